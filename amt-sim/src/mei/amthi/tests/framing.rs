//! Requests that are wrong in their header, and the rules that refuse them.

use rstest::rstest;

use super::*;
use crate::device::{Event, Mode};
use crate::mei::testing::{assumed, firmware, profile, with_rules, without};

#[rstest]
#[case::major("02010000 5c000004 00000000", "01010000 5c008004 04000000 1d000000")]
#[case::minor("01000000 5c000004 00000000", "01010000 5c008004 04000000 1d000000")]
#[case::reserved("01010100 5c000004 00000000", "01010000 5c008004 04000000 1d000000")]
#[case::length_too_long("01010000 5c000004 01000000", "01010000 5c008004 04000000 04000000")]
#[case::length_too_short(
    "01010000 48000004 00000000 00000000",
    "01010000 48008004 04000000 04000000"
)]
#[case::data_not_wanted(
    "01010000 5c000004 04000000 00000000",
    "01010000 5c008004 04000000 04000000"
)]
#[case::data_missing("01010000 48000004 00000000", "01010000 48008004 04000000 04000000")]
#[case::text_shorter_than_it_says(
    "01010000 2f000004 03000000 020061",
    "01010000 2f008004 04000000 04000000"
)]
#[case::unknown("01010000 ff000004 00000000", "01010000 ff008004 04000000 12080000")]
#[case::unknown_whatever_follows(
    "01010000 ff000004 09000000",
    "01010000 ff008004 04000000 12080000"
)]
#[case::response_bit("01010000 5c008004 00000000", "01010000 5c008004 04000000 12080000")]
#[case::other_class("01010000 5c000003 00000000", "01010000 5c008003 04000000 12080000")]
fn refused(#[case] request: &str, #[case] expected: &str) {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    assert_eq!(ask(&mut fw, request), expected.replace(' ', ""));
    assert!(!fw.dirty);
}

#[rstest]
#[case("device.amthi.version", "02010000 5c000004 00000000")]
#[case("device.amthi.length", "01010000 5c000004 01000000")]
#[case("device.amthi.request-size", "01010000 5c000004 04000000 00000000")]
fn a_knocked_out_rule_lets_it_pass(#[case] rule: &str, #[case] request: &str) {
    let mut fw = with_rules(profile(), Mode::PreProvisioning, without(rule));
    assert!(ask(&mut fw, request).starts_with("010100005c0080041400000000000000"));
}

#[test]
fn without_its_rule_an_unknown_command_is_met_with_silence() {
    let rules = without("device.amthi.unknown-command");
    let mut fw = with_rules(profile(), Mode::PreProvisioning, rules);
    let answers = crate::mei::amthi::receive(&mut fw, &bytes("01010000 ff000004 00000000"));
    assert!(answers.is_empty());
}

#[test]
fn less_than_a_header_is_met_with_silence() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    assert!(crate::mei::amthi::receive(&mut fw, &[1; 11]).is_empty());
    assert_eq!(
        assumed(&mut fw),
        ["device.assumed.short-message-unanswered"]
    );
}

#[test]
fn the_journal_tells_known_from_unknown_from_broken() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    for request in [
        "01010000 5c000004 00000000",
        "01010000 ff000004 00000000",
        "01010000 5c000004 01000000",
    ] {
        ask(&mut fw, request);
    }
    let events: Vec<Event> = fw
        .journal
        .drain()
        .into_iter()
        .map(|entry| entry.event)
        .collect();
    insta::assert_json_snapshot!(events);
}

/// A command of a later generation is unknown to an earlier one.
#[rstest]
#[case("skylake-11", 0x88, &[])]
#[case("skylake-11", 0x8e, &[0])]
#[case("cannon-lake-12", 0x8b, &[0; 390])]
fn generations_lack_commands(#[case] name: &str, #[case] operation: u8, #[case] data: &[u8]) {
    let profile = crate::device::Profile::builtin(name).unwrap();
    let mut fw = firmware(profile, Mode::PreProvisioning);
    assert_eq!(status(&mut fw, &request(operation, data)), 0x812);
    assert_eq!(assumed(&mut fw), ["device.assumed.unknown-command-status"]);
}

#[test]
fn the_profile_chooses_the_status_of_an_unknown_command() {
    let profile = profile()
        .with("assumptions.unknown_command_status", "1")
        .unwrap();
    let mut fw = firmware(profile, Mode::PreProvisioning);
    assert_eq!(status(&mut fw, &request(0xff, &[])), 1);
}

#[test]
fn a_fault_leaves_header_and_status() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    let mut answer = crate::mei::amthi::receive(&mut fw, &request(0x5c, &[])).remove(0);
    crate::mei::amthi::set_status(&mut answer, 0x30);
    assert_eq!(answer, bytes("01010000 5c008004 04000000 30000000"));
    let mut nothing = Vec::new();
    crate::mei::amthi::set_status(&mut nothing, 0x30);
    assert!(nothing.is_empty());
}

#[test]
fn faults_name_a_command_by_its_operation() {
    use crate::mei::amthi::command_number;
    assert_eq!(command_number(&request(0x1a, &[])), Some(0x1a));
    assert_eq!(
        command_number(&bytes("01010000 01000001 00000000")),
        Some(1)
    );
    assert_eq!(command_number(&[1; 11]), None);
}
