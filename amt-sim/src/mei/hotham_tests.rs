//! HOTHAM, byte by byte, and what its log says.

use super::*;
use crate::device::Mode;
use crate::mei::testing::{bytes, firmware, profile};

fn ask(fw: &mut Firmware, request: &str) -> Vec<u8> {
    receive(fw, &bytes(request)).remove(0)
}

#[test]
fn size_and_log_agree() {
    let mut fw = firmware(profile(), Mode::Admin);
    let size = ask(&mut fw, "06800000");
    // Eight bytes in all, result 0x10.
    assert_eq!(size[..4], bytes("00100800"));
    assert_eq!(size.len(), 8);
    let size = u32::from_le_bytes(size[4..].try_into().unwrap()) as usize;
    let log = ask(&mut fw, "06810000");
    assert_eq!(log[..4], bytes("0010ff0f"));
    assert_eq!(log.len(), 8196);
    let text = log[4..].split(|byte| *byte == 0).next().unwrap();
    assert!(size > 0 && text.len() >= size);
}

#[test]
fn the_log_tells_what_happened_even_when_the_journal_was_drained() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    fw.trigger(crate::device::Trigger::Setup).unwrap();
    fw.journal.drain();
    let log = ask(&mut fw, "06810000");
    let text = String::from_utf8(log[4..].to_vec()).unwrap();
    assert!(
        text.starts_with("[    0.000000] {\"kind\":\"power-on\""),
        "{text}"
    );
    assert!(text.contains("mode-changed"), "{text}");
}

#[test]
fn a_long_life_still_fits() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    for turn in 0..400 {
        fw.record(Event::Malformed {
            client: ClientKind::Hotham,
            why: format!("turn {turn} {}", "x".repeat(200)),
        });
    }
    let log = ask(&mut fw, "06810000");
    assert_eq!(log.len(), 8196);
    let text = String::from_utf8(log[4..].to_vec()).unwrap();
    assert!(text.contains("turn 399") && !text.contains("turn 300"));
}

#[test]
fn the_log_fits_the_client() {
    let profile = profile()
        .with("mei.clients.hotham.max_message", "512")
        .unwrap();
    let mut fw = firmware(profile, Mode::Admin);
    assert_eq!(ask(&mut fw, "06810000").len(), 512);
}

#[test]
fn the_sequence_number_comes_back() {
    let mut fw = firmware(profile(), Mode::Admin);
    assert_eq!(ask(&mut fw, "66800000")[0], 0x60);
}

#[test]
fn unknown_codes_say_so_to_both_readers() {
    let mut fw = firmware(profile(), Mode::Admin);
    for request in ["06820000", "05800000", "06800080", "06800400"] {
        assert_eq!(ask(&mut fw, request), [0, 0x89, 0, 0x89], "{request}");
    }
    assert!(receive(&mut fw, &[6, 0x80, 0]).is_empty());
}
