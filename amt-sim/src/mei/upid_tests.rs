//! UPID, byte by byte.

use rstest::rstest;

use super::*;
use crate::device::{Mode, Profile};
use crate::mei::testing::{bytes, firmware, profile, with_rules, without};

fn ask(fw: &mut Firmware, request: &str) -> Vec<u8> {
    receive(fw, &bytes(request)).remove(0)
}

#[rstest]
#[case::supported("00000000", "00000500 00000000 01")]
#[case::off("00010000", "00010500 00000000 00")]
#[case::os_may("00030000", "00030500 00000000 01")]
#[case::os_may_not("00040100 00", "00040400 04000000")]
#[case::id_while_off("00050000", "00050400 00000000")]
#[case::neither("00020100 02", "00020400 02000000")]
#[case::wrong_count("00020200 01", "00020400 02000000")]
#[case::data_missing("00020000", "00020400 02000000")]
#[case::unknown("00060000", "00060400 01000000")]
#[case::other_feature("01000000", "01000400 01000000")]
fn answers(#[case] request: &str, #[case] expected: &str) {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    assert_eq!(ask(&mut fw, request), bytes(expected));
}

#[test]
fn on_id_off() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    assert_eq!(ask(&mut fw, "00020100 01"), bytes("00020400 00000000"));
    assert_eq!(ask(&mut fw, "00010000"), bytes("00010500 00000000 01"));
    let answer = ask(&mut fw, "00050000");
    assert_eq!(answer.len(), 76);
    // 72 bytes follow; type 2 is text: EXAMPLE-RPL-0001
    assert_eq!(answer[..12], bytes("00054800 00000000 02000000"));
    assert_eq!(answer[12..28], *b"EXAMPLE-RPL-0001");
    assert_eq!(answer[28..44], [0; 16]);
    let chain = crate::device::setup::host_based_tls::on_die(&mut fw).unwrap();
    assert_eq!(answer[44..], chain.hardware_id());
    assert_ne!(answer[44..64], [0; 20]);
    assert_eq!(ask(&mut fw, "00020100 00"), bytes("00020400 00000000"));
    assert_eq!(ask(&mut fw, "00050000").len(), 8);
}

#[test]
fn a_vendor_need_not_set_an_identifier() {
    let mut fw = firmware(Profile::builtin("alder-lake-16").unwrap(), Mode::Admin);
    ask(&mut fw, "00020100 01");
    assert_eq!(ask(&mut fw, "00050000")[8..44], [0; 36]);
}

#[test]
fn a_knocked_out_rule_lets_it_pass() {
    let mut fw = with_rules(profile(), Mode::Admin, without("device.upid.byte-count"));
    assert_eq!(ask(&mut fw, "00020200 01"), bytes("00020400 00000000"));
}

#[test]
fn less_than_a_header_is_met_with_silence() {
    let mut fw = firmware(profile(), Mode::Admin);
    assert!(receive(&mut fw, &[0, 5, 0]).is_empty());
}
