//! MKHI, byte by byte.

use rstest::rstest;

use super::*;
use crate::device::{Mode, Profile};
use crate::mei::testing::{bytes, firmware, profile, with_rules, without};

// raptor-lake-16-wifi is 16.1.27 build 2176; its features are 0x00260004, its platform type 0x1481.
#[rstest]
#[case::capable("03020000 00000000", "03820000 00000000 04 04002600")]
#[case::firmware_update("03020000 07000000", "03820000 07000000 04 01000000")]
#[case::platform_type("03020000 1d000000", "03820000 1d000000 04 81140000")]
#[case::enabled("03020000 20000000", "03820000 20000000 04 04002600")]
#[case::available("03020000 27000000", "03820000 27000000 04 04002600")]
#[case::unknown_rule("03020000 08000000", "03820089")]
#[case::version("ff020000", "ff820000 0100 1000 8008 1b00 0100 1000 8008 1b00")]
#[case::boot_state("ff0a0000", "ff8a0000 01000000 00000000")]
#[case::image_type("ff180000", "ff980000 01000000")]
#[case::end_of_post("ff1d0000", "ff9d0000 01000000")]
#[case::measured_boot("ff230000", "ffa30000 00")]
#[case::no_such_partition("ff1c0000 58585858", "ff9c0081")]
#[case::unknown_command("ff7f0000", "ffff008d")]
#[case::unknown_group("0a0a0000", "0a8a008d")]
#[case::an_answer("ff820000", "ff82008d")]
#[case::rule_missing("03020000", "03820005")]
#[case::data_not_wanted("ff020000 00", "ff820005")]
fn answers(#[case] request: &str, #[case] expected: &str) {
    let mut fw = firmware(profile(), Mode::Admin);
    let answer = receive(&mut fw, ClientKind::Mkhi, &bytes(request)).remove(0);
    assert_eq!(answer, bytes(expected));
}

#[test]
fn a_partition_has_one_module() {
    let mut fw = firmware(profile(), Mode::Admin);
    // "PMCP", 160.2.0.1005, vendor 0x8086
    let expected = format!(
        "ff9c0000 01000000 504d4350 0000000000000000 a000 0200 0000 ed03 86800000 {}",
        "00".repeat(64)
    );
    let answer = receive(&mut fw, ClientKind::Mkhi, &bytes("ff1c0000 504d4350")).remove(0);
    assert_eq!(answer, bytes(&expected));
    assert_eq!(answer.len(), 4 + 4 + 88);
}

#[test]
fn while_amt_is_off_it_is_capable_but_not_enabled() {
    let mut fw = firmware(profile(), Mode::Disabled);
    let mut ask = |rule: &str| {
        let answer = receive(
            &mut fw,
            ClientKind::Mkhi,
            &bytes(&format!("03020000 {rule}")),
        );
        answer[0][9]
    };
    assert_eq!(
        [ask("00000000"), ask("20000000"), ask("27000000")],
        [4, 0, 0]
    );
}

#[rstest]
#[case("ff020000", 0)]
#[case("03020000 00000000", 0)]
#[case("ff0a0000", 0x8d)]
#[case("ff1d0000", 0x8d)]
fn the_fixed_address_knows_less(#[case] request: &str, #[case] result: u8) {
    let mut fw = firmware(profile(), Mode::Admin);
    let answer = receive(&mut fw, ClientKind::MkhiFixed, &bytes(request)).remove(0);
    assert_eq!(answer[3], result);
}

#[test]
fn lms_loads_everything_on_every_profile() {
    for file in fixtures::PROFILES {
        let mut fw = firmware(Profile::builtin(file.name).unwrap(), Mode::PreProvisioning);
        let answer = receive(&mut fw, ClientKind::Mkhi, &bytes("03020000 1d000000")).remove(0);
        let platform_type = u32::from_le_bytes(answer[9..].try_into().unwrap());
        assert_eq!(platform_type >> 8 & 15, 4, "image type");
        assert_eq!(platform_type >> 12 & 15, 1, "brand");
    }
}

#[test]
fn without_its_rule_an_unknown_command_is_met_with_silence() {
    let rules = without("device.mkhi.unknown-command");
    let mut fw = with_rules(profile(), Mode::Admin, rules);
    assert!(receive(&mut fw, ClientKind::Mkhi, &bytes("ff7f0000")).is_empty());
}

#[test]
fn a_fault_leaves_the_header() {
    let mut answer = bytes("ff820000 0100");
    set_status(&mut answer, 0x88);
    assert_eq!(answer, bytes("ff820088"));
    assert_eq!(command_number(&bytes("ff020000")), Some(0xff02));
    assert_eq!(command_number(&[0xff]), None);
}
