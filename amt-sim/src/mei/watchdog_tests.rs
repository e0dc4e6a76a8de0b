//! The watchdog client, byte by byte.

use rstest::rstest;

use super::*;
use crate::device::Profile;
use crate::mei::testing::{assumed, bytes, firmware, profile};

fn ask(fw: &mut Firmware, request: &str) -> Vec<u8> {
    receive(fw, &bytes(request)).remove(0)
}

#[rstest]
#[case("skylake-11", Mode::PreProvisioning, 0x01)]
#[case("skylake-11", Mode::Admin, 0x00)]
#[case("tiger-lake-15", Mode::Disabled, 0x01)]
#[case::new_interface("alder-lake-16", Mode::PreProvisioning, 0x83)]
#[case::switched_off("alder-lake-16", Mode::Disabled, 0x81)]
#[case::provisioned("alder-lake-16", Mode::Admin, 0x82)]
#[case::in_setup("alder-lake-16", Mode::SetupHostBased, 0x82)]
#[case::cira_timer("meteor-lake-18", Mode::PreProvisioning, 0xa3)]
#[case::local_tls("arrow-lake-19", Mode::PreProvisioning, 0xe3)]
#[case::local_tls("arrow-lake-19", Mode::Admin, 0xe2)]
fn state_is_one_byte(#[case] name: &str, #[case] mode: Mode, #[case] expected: u8) {
    let mut fw = firmware(Profile::builtin(name).unwrap(), mode);
    assert_eq!(ask(&mut fw, "05025110"), [expected]);
}

/// The two bytes that public sources show.
#[rstest]
#[case(Mode::PreProvisioning, 0xc3)]
#[case(Mode::Client, 0xc2)]
fn without_the_repaired_timer(#[case] mode: Mode, #[case] expected: u8) {
    let profile = Profile::builtin("arrow-lake-19").unwrap();
    let profile = profile
        .with("capabilities.cira_timer_fix", "false")
        .unwrap();
    assert_eq!(ask(&mut firmware(profile, mode), "05025110"), [expected]);
}

#[test]
fn amt_goes_off_and_on() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    assert_eq!(ask(&mut fw, "05035310 00"), bytes("05065310 00000000"));
    assert_eq!(fw.mode(), Mode::Disabled);
    assert_eq!(ask(&mut fw, "05035310 01"), bytes("05065310 00000000"));
    assert_eq!(fw.mode(), Mode::PreProvisioning);
}

#[rstest]
#[case::provisioned("alder-lake-16", Mode::Admin, "05035310 00", 0xa8)]
#[case::in_setup("alder-lake-16", Mode::SetupOutOfBand, "05035310 01", 0xa8)]
#[case::old("tiger-lake-15", Mode::PreProvisioning, "05035310 00", 0x89)]
#[case::neither("alder-lake-16", Mode::PreProvisioning, "05035310 02", 0x9e)]
#[case::no_data("alder-lake-16", Mode::PreProvisioning, "05025310", 0x9e)]
#[case::unknown("alder-lake-16", Mode::PreProvisioning, "05026010", 0x89)]
#[case::wrong_count("alder-lake-16", Mode::PreProvisioning, "05045310 01", 0x89)]
#[case::wrong_version("alder-lake-16", Mode::PreProvisioning, "05025111", 0x89)]
#[case::wrong_command("alder-lake-16", Mode::PreProvisioning, "04025110", 0x89)]
fn refused(#[case] name: &str, #[case] mode: Mode, #[case] request: &str, #[case] status: u8) {
    let mut fw = firmware(Profile::builtin(name).unwrap(), mode);
    let answer = ask(&mut fw, request);
    assert_eq!(answer[4..], [status, 0, 0, 0]);
    assert_eq!(answer[..2], [5, 6]);
    assert_eq!(fw.mode(), mode);
}

#[test]
fn the_deprecated_way_on() {
    let mut fw = firmware(profile(), Mode::Disabled);
    assert_eq!(ask(&mut fw, "05025210"), [0, 0, 0, 0]);
    assert_eq!(fw.mode(), Mode::PreProvisioning);
    assert_eq!(ask(&mut fw, "05025210"), [0x9e, 0, 0, 0]);
}

#[test]
fn less_than_a_header_is_met_with_silence() {
    let mut fw = firmware(profile(), Mode::Admin);
    assert!(receive(&mut fw, &[5, 2, 0x51]).is_empty());
    assert_eq!(
        assumed(&mut fw),
        ["device.assumed.watchdog-unknown-command"]
    );
}
