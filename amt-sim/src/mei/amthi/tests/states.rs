//! What each command answers in each mode, and what it leaves behind.

use rstest::rstest;

use super::*;
use crate::device::{Mode, Profile};
use crate::mei::testing::{assumed, firmware, profile, with_rules, without};

fn suffix() -> Vec<u8> {
    request(0x2f, b"\x0b\0lab.example")
}

fn otp() -> Vec<u8> {
    request(0x2a, b"\x08\x0012345678")
}

fn host_based() -> Vec<u8> {
    let mut data = [0; 390];
    data[0] = 2;
    request(0x8b, &data)
}

// Columns: disabled, pre, out of band, elapsed, host-based, half client, half admin, client, admin.
#[rstest]
#[case::unprovision(request(0x10, &[1, 0, 0, 0]), [3, 3, 3, 3, 3, 3, 3, 0, 3])]
#[case::stop(request(0x5e, &[]), [3, 3, 0, 0, 0, 0, 0, 3, 3])]
#[case::disable_and_clear(request(0x88, &[]), [3, 0, 3, 3, 3, 3, 3, 3, 3])]
#[case::start(request(0x29, &[]), [3, 0, 3, 0, 3, 3, 3, 3, 3])]
#[case::start_ex(request(0x62, &[1, 0, 0, 0]), [3, 0, 3, 0, 3, 3, 3, 3, 3])]
#[case::start_host_based(host_based(), [3, 0, 3, 3, 3, 3, 3, 3, 3])]
#[case::otp(otp(), [3, 0, 3, 0, 3, 3, 3, 3, 3])]
#[case::rng_seed(request(0x28, &[]), [3, 0, 3, 0, 3, 3, 3, 3, 3])]
#[case::suffix(suffix(), [3, 0, 3, 0, 3, 3, 3, 3, 3])]
#[case::zero_touch(request(0x3a, &[0, 0, 0, 0]), [3, 0, 3, 0, 3, 3, 3, 3, 3])]
#[case::ehbc_off(request(0x85, &[0, 0, 0, 0]), [3, 0, 0, 0, 0, 0, 0, 0, 0])]
#[case::host_name(request(0x5b, b"\x05\0host\0"), [3, 0, 0, 0, 0, 0, 0, 0, 0])]
#[case::open_tunnel(request(0x44, &[]), [3, 3, 3, 3, 3, 3, 3, 0x809, 0x809])]
#[case::close_tunnel(request(0x45, &[]), [3, 3, 3, 3, 3, 3, 3, 0, 0])]
fn by_mode(#[case] request: Vec<u8>, #[case] expected: [u32; 9]) {
    for (mode, expected) in Mode::ALL.into_iter().zip(expected) {
        let mut fw = firmware(profile(), mode);
        let got = status(&mut fw, &request);
        assert_eq!(got, expected, "{mode}");
    }
}

#[rstest]
#[case(Mode::Disabled, 0, 0)]
#[case(Mode::PreProvisioning, 0, 0)]
#[case(Mode::SetupOutOfBand, 1, 0)]
#[case(Mode::SetupElapsed, 1, 0)]
#[case(Mode::SetupHostBased, 1, 0)]
#[case(Mode::HalfClient, 1, 1)]
#[case(Mode::HalfAdmin, 1, 2)]
#[case(Mode::Client, 2, 1)]
#[case(Mode::Admin, 2, 2)]
fn the_two_states_that_agents_ask_for(
    #[case] mode: Mode,
    #[case] provisioning: u8,
    #[case] control: u8,
) {
    let mut fw = firmware(profile(), mode);
    let answer = ask(&mut fw, "01010000 11000004 00000000");
    assert!(
        answer.ends_with(&format!("00000000{provisioning:02x}000000")),
        "{answer}"
    );
    let answer = ask(&mut fw, "01010000 6b000004 00000000");
    assert!(
        answer.ends_with(&format!("00000000{control:02x}000000")),
        "{answer}"
    );
}

#[test]
fn unprovision_ends_a_client_devices_life() {
    let mut fw = firmware(profile(), Mode::Client);
    fw.state.admin_ha1 = Some("00".repeat(16));
    assert_eq!(status(&mut fw, &request(0x10, &[0; 4])), 0);
    assert_eq!(fw.mode(), Mode::PreProvisioning);
    assert_eq!(fw.state.admin_ha1, None);
    assert_eq!(fw.state.pki_dns_suffix, "corp.example");
    assert_eq!(status(&mut fw, &request(0x11, &[])), 0);
}

#[test]
fn before_12_an_unprovision_takes_the_suffix_with_it() {
    let mut fw = firmware(Profile::builtin("skylake-11").unwrap(), Mode::Client);
    assert_eq!(status(&mut fw, &request(0x10, &[0; 4])), 0);
    assert_eq!(fw.state.pki_dns_suffix, "");
}

#[test]
fn unprovision_waits_for_the_bios() {
    let profile = profile().with("platform.end_of_post", "false").unwrap();
    let mut fw = firmware(profile.clone(), Mode::Client);
    assert_eq!(status(&mut fw, &request(0x10, &[0; 4])), 0x81c);
    assert_eq!(fw.mode(), Mode::Client);
    let mut fw = firmware(profile.clone(), Mode::Admin);
    assert_eq!(status(&mut fw, &request(0x10, &[0; 4])), 3);
    let rules = without("device.amthi.unprovision-end-of-post");
    let mut fw = with_rules(profile, Mode::Client, rules);
    assert_eq!(status(&mut fw, &request(0x10, &[0; 4])), 0);
}

#[test]
fn disable_and_clear_switches_amt_off() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    assert_eq!(status(&mut fw, &request(0x88, &[])), 0);
    assert_eq!(fw.mode(), Mode::Disabled);
}

#[rstest]
#[case(b"\x0b\0lab.example", 0, "lab.example")]
#[case::counted_nul(b"\x0c\0lab.example\0", 0, "lab.example")]
#[case::unset(b"\0\0", 0, "")]
#[case::no_name(b"\x03\0a b", 0x24, "corp.example")]
#[case::no_ascii(b"\x03\0a\xffb", 0x24, "corp.example")]
fn suffixes(#[case] data: &[u8], #[case] expected: u32, #[case] then: &str) {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    assert_eq!(status(&mut fw, &request(0x2f, data)), expected);
    assert_eq!(fw.state.pki_dns_suffix, then);
    assert_eq!(fw.dirty, expected == 0);
}

#[test]
fn the_longest_suffix_has_223_characters() {
    let name = |size: usize| {
        let text = "a"
            .repeat(size)
            .as_bytes()
            .chunks(50)
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect::<Vec<_>>()
            .join(".");
        text[..size].trim_end_matches('.').to_owned()
    };
    for (size, expected) in [(223, 0), (224, 0x24)] {
        let text = name(size);
        assert_eq!(text.len(), size);
        let mut data = (size as u16).to_le_bytes().to_vec();
        data.extend(text.as_bytes());
        let mut fw = firmware(profile(), Mode::PreProvisioning);
        assert_eq!(status(&mut fw, &request(0x2f, &data)), expected);
    }
}

#[rstest]
#[case(b"\x07\x001234567", 0x24)]
#[case(b"\x08\x0012345678", 0)]
#[case(b"\x09\x0012345678\0", 0)]
#[case(b"\x08\x001234567\xff", 0x24)]
#[case(b"\x20\x0012345678901234567890123456789012", 0)]
#[case(b"\x21\x00123456789012345678901234567890123", 0x24)]
fn one_time_passwords(#[case] data: &[u8], #[case] expected: u32) {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    assert_eq!(status(&mut fw, &request(0x2a, data)), expected);
    assert_eq!(fw.state.otp.is_some(), expected == 0);
    assert_eq!(fw.dirty, expected == 0);
}

#[rstest]
#[case::rpc_go(390, 0)]
#[case::meshcentral(393, 0)]
#[case::meshcentral_without_a_list(73, 0)]
#[case::meshagent(396, 0)]
fn every_layout_of_the_host_based_start(#[case] size: usize, #[case] at: usize) {
    for (algorithm, expected) in [(2, 0), (3, 0), (1, 0x24), (4, 0x24), (5, 0x24)] {
        let mut data = vec![0; size];
        data[at] = algorithm;
        let mut fw = firmware(profile(), Mode::PreProvisioning);
        assert_eq!(
            status(&mut fw, &request(0x8b, &data)),
            expected,
            "{algorithm}"
        );
        let armed = fw.mode() == Mode::SetupHostBased;
        assert_eq!(armed, expected == 0);
    }
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    assert_eq!(status(&mut fw, &request(0x8b, &vec![2; size + 1])), 4);
}

#[rstest]
#[case("device.amthi.dns-suffix-state", Mode::Admin, suffix(), 0)]
#[case(
    "device.amthi.dns-suffix-value",
    Mode::PreProvisioning,
    request(0x2f, b"\x03\0a b"),
    0
)]
#[case("device.amthi.otp-state", Mode::Admin, otp(), 0)]
#[case(
    "device.amthi.otp-value",
    Mode::PreProvisioning,
    request(0x2a, b"\x01\0a"),
    0
)]
#[case("device.amthi.host-based-algorithm", Mode::PreProvisioning, request(0x8b, &[0; 390]), 0)]
#[case("device.amthi.ehbc-enable", Mode::PreProvisioning, request(0x85, &[1, 0, 0, 0]), 0)]
#[case("device.amthi.hash-handle", Mode::Admin, request(0x2d, &[0xff; 4]), 0)]
fn a_knocked_out_rule_no_longer_refuses(
    #[case] rule: &str,
    #[case] mode: Mode,
    #[case] request: Vec<u8>,
    #[case] expected: u32,
) {
    let mut fw = firmware(profile(), mode);
    assert_ne!(status(&mut fw, &request), expected, "with the rule");
    let mut fw = with_rules(profile(), mode, without(rule));
    assert_eq!(status(&mut fw, &request), expected, "without the rule");
}

#[rstest]
#[case(0x3a)]
#[case(0x85)]
#[case(0x62)]
fn a_boolean_is_0_or_1(#[case] operation: u8) {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    assert_eq!(status(&mut fw, &request(operation, &[2, 0, 0, 0])), 0x24);
    assert!(!fw.dirty);
}

#[test]
fn what_was_set_reads_back() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    status(&mut fw, &request(0x3a, &[0, 0, 0, 0]));
    assert!(ask(&mut fw, "01010000 30000004 00000000").ends_with("0000000000000000"));
    status(&mut fw, &request(0x5b, b"\x0f\0laptop.example\0"));
    let answer = ask(&mut fw, "01010000 56000004 00000000");
    // "laptop" has 6 letters, the whole name 14
    assert!(
        answer.ends_with("060000000e006c6170746f702e6578616d706c65"),
        "{answer}"
    );
}

#[test]
fn while_off_reads_go_on_and_rest_on_an_assumption() {
    let mut fw = firmware(profile(), Mode::Disabled);
    assert_eq!(status(&mut fw, &request(0x5c, &[])), 0);
    assert_eq!(assumed(&mut fw), ["device.assumed.amthi-while-disabled"]);
}

#[test]
fn while_off_old_firmware_answers_with_nothing() {
    let mut fw = firmware(Profile::builtin("skylake-11").unwrap(), Mode::Disabled);
    let answers = crate::mei::amthi::receive(&mut fw, &request(0x11, &[]));
    assert_eq!(answers, [Vec::<u8>::new()]);
}
