//! Bytes to the device's HTTP port, cut where the input says.
//!
//! ```text
//!   1F  what stands before it arrives now
//!   1E  the same, and the peer takes the answers that are there
//!   1D  the same, and the peer sends no more; what follows is another connection, from the other side
//! ```
//! Words that only a client knows who has seen the last challenge: `@REALM@`, `@NONCE@`, `@CNONCE@`, and `@RESPONSE@`
//! and `@RESPONSE2@`, which are right for the administrator's POST to /wsman with the counts 00000001 and 00000002.

use amt_sim::device::{Interface, digest_a1};
use amt_sim::{Instant, Preset};

use super::login::{CLIENT_NONCE, challenge, response};
use super::{Before, LONGEST_INPUT, PORT, answers, bound, device, is_well, take};

const CUT: u8 = 0x1f;
const TAKE: u8 = 0x1e;
const NEXT: u8 = 0x1d;

pub fn run(input: &[u8]) {
    if input.len() <= LONGEST_INPUT {
        statuses(input);
    }
}

/// What the device answers, in order.
pub fn statuses(input: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut device = device(Preset::Admin);
    let before = Before::of(&device);
    let mut now = Instant::POWER_ON;
    let mut sides = [Interface::Network, Interface::Local].into_iter().cycle();
    let mut known = (String::new(), String::new());
    let mut received = 0;
    for connection in input.split(|byte| *byte == NEXT) {
        let side = sides.next().unwrap_or(Interface::Network);
        let Ok(stream) = device.stream_open(side, PORT) else {
            assert!(!device.stream_listens(side, PORT));
            continue;
        };
        let mut output = Vec::new();
        for part in connection.split_inclusive(|byte| matches!(*byte, CUT | TAKE)) {
            let (bytes, takes) = match part.split_last() {
                Some((&CUT, bytes)) => (bytes, false),
                Some((&TAKE, bytes)) => (bytes, true),
                _ => (part, true),
            };
            device.stream_receive(stream, &filled(bytes, &known));
            if takes {
                output.extend(take(&mut device, stream));
                known = challenge(&output).unwrap_or(known);
            }
        }
        device.stream_end(stream);
        output.extend(take(&mut device, stream));
        known = challenge(&output).unwrap_or(known);
        if device.stream_listens(side, PORT) {
            assert!(device.stream_finished(stream), "who sends no more is left");
        }
        for (status, _) in answers(&output) {
            let known = [200, 303, 400, 401, 404, 405];
            assert!(known.contains(&status), "status {status}");
            statuses.push(status);
        }
        received += output.len();
        device.stream_close(stream);
    }
    assert!(received <= bound(input.len()), "{received} bytes");
    is_well(&mut device, &before, &mut now);
    statuses
}

/// With the words that only the device's answers tell.
fn filled(bytes: &[u8], (realm, nonce): &(String, String)) -> Vec<u8> {
    if !bytes.contains(&b'@') {
        return bytes.to_vec();
    }
    let a1 = digest_a1("admin", realm, Preset::PASSWORD);
    let words = [
        ("@REALM@", realm.clone()),
        ("@NONCE@", nonce.clone()),
        ("@CNONCE@", CLIENT_NONCE.to_owned()),
        ("@RESPONSE@", response(&a1, nonce, "00000001")),
        ("@RESPONSE2@", response(&a1, nonce, "00000002")),
    ];
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let word = words
            .iter()
            .find(|(word, _)| rest.starts_with(word.as_bytes()));
        match word {
            Some((word, value)) => {
                out.extend_from_slice(value.as_bytes());
                rest = &rest[word.len()..];
            }
            None => {
                out.push(*first);
                rest = &rest[1..];
            }
        }
    }
    out
}
