use rstest::rstest;

use super::*;
use crate::device::{Fault, Mode};
use crate::http::testing::firmware;

fn effect(text: &str) -> FaultEffect {
    let fault: Fault = format!("hello={text}").parse().unwrap();
    fault.effect
}

fn sent(count: u32, text: &str) -> Vec<Sending> {
    sendings(&firmware(Mode::SetupOutOfBand), count, Some(&effect(text)))
}

/// The one field that differs from the honest message, and what it is then.
#[rstest]
#[case("flag", 0..2, "0200")]
#[case("version", 2..4, "0200")]
#[case("version-300", 2..4, "2c01")]
#[case("counter", 4..8, "0f000000")]
#[case("counter-0x01020304", 4..8, "04030201")]
#[case("count", 24..25, "ff")]
#[case("count-0", 24..25, "00")]
#[case("hash-length-21", 26..27, "15")]
fn one_field_is_wrong(
    #[case] fault: &str,
    #[case] field: std::ops::Range<usize>,
    #[case] expected: &str,
) {
    let honest = message(&firmware(Mode::SetupOutOfBand), 3);
    let sent = sent(3, fault).remove(0).bytes;
    assert_eq!(crate::hex::encode(&sent[field.clone()]), expected);
    let mut mended = sent;
    mended[field.clone()].copy_from_slice(&honest[field]);
    assert_eq!(mended, honest);
}

#[test]
fn another_device_says_it() {
    let honest = message(&firmware(Mode::SetupOutOfBand), 0);
    let sent = sent(0, "uuid").remove(0).bytes;
    assert_ne!(sent[8..24], honest[8..24]);
    assert_eq!((&sent[..8], &sent[24..]), (&honest[..8], &honest[24..]));
}

#[test]
fn how_it_travels() {
    let honest = message(&firmware(Mode::SetupOutOfBand), 1);
    let first = message(&firmware(Mode::SetupOutOfBand), 0);
    assert!(sent(1, "drop").is_empty());
    let twice = sent(1, "duplicate");
    assert!(twice.len() == 2 && twice.iter().all(|sending| sending.bytes == honest));
    assert_eq!(sent(1, "replay")[0].bytes, first);
    assert!(sent(1, "reset")[0].delivery.reset);
    assert_eq!(sent(1, "truncate-24")[0].bytes, honest[..24]);
    assert_eq!(sent(1, "delay-1500")[0].delay, Duration::from_millis(1500));
    let longer = &sent(1, "trailing-40000")[0].bytes;
    assert_eq!(longer.len(), honest.len() + 40000);
    assert!(longer.starts_with(&honest));
}

#[rstest]
#[case("split", 400)]
#[case("split-1", 1)]
#[case("split-5000", 5000)]
fn pieces_are_the_message(#[case] fault: &str, #[case] size: usize) {
    let sending = sent(0, fault).remove(0);
    let pieces: Vec<&[u8]> = sending.delivery.pieces(&sending.bytes).collect();
    assert_eq!(pieces.concat(), message(&firmware(Mode::SetupOutOfBand), 0));
    assert_eq!(pieces[0].len(), size.min(sending.bytes.len()));
    assert!(pieces.iter().all(|piece| piece.len() <= size));
}

#[rstest]
#[case("hello=split-0", "never end")]
#[case("hello=version-70000", "does not fit")]
#[case("hello=trailing-9999999", "at most")]
#[case("hello=EBUSY", "no sense")]
#[case("hello=status-3", "no sense")]
#[case("answer=duplicate", "no sense")]
#[case("hello=splat", "split-N")]
fn bad_ones_say_why(#[case] text: &str, #[case] why: &str) {
    let error = text.parse::<Fault>().unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}
