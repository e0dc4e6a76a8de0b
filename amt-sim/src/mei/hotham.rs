//! Firmware log.
//!
//! ```text
//! u32 LE request  bits 0-1 class 2, 2-4 target, 5-7 sequence, 8-15 code, 16-27 length 0, 31 type 0
//! u32 LE answer   bits 5-7 sequence, 8-15 result (0x10 success), 16-27 length, 31 type 0
//! 0x80  size of the log  -> u32 bytes
//! 0x81  the log          -> 8192 bytes, padded with zeros
//! ```
//! Real firmware writes records for its vendor's eyes. Here each is a line of text: what the firmware did last.
//!
//! Source: Intel LMS `MEIClient/HOTHAMClient`, rpc-go `pkg/hotham`.

use std::fmt::Write as _;

use crate::device::{Event, Firmware, assumed};
use crate::mei::ClientKind;
use crate::time::Instant;

/// Bytes of log that programs in the field expect.
const LOG_SIZE: usize = 8192;

const SUCCESS: u8 = 0x10;
const UNSUPPORTED: u8 = 0x89;

/// One whole message from the host.
pub(crate) fn receive(fw: &mut Firmware, message: &[u8]) -> Vec<Vec<u8>> {
    fw.assume(assumed::HOTHAM);
    let &[first, code, low, high] = message else {
        let why = format!("{} bytes where a request has 4", message.len());
        fw.record(Event::Malformed {
            client: ClientKind::Hotham,
            why,
        });
        return Vec::new();
    };
    let sequence = first & 0xe0;
    // Class "command", length 0, type 0.
    let is_command = first & 3 == 2 && low == 0 && high == 0;
    let (name, data) = match code {
        0x80 if is_command => ("GetFlogSize", (log(fw).len() as u32).to_le_bytes().to_vec()),
        0x81 if is_command => {
            let mut log = log(fw);
            log.resize(capacity(fw), 0);
            ("GetFlog", log)
        }
        _ => {
            fw.record(Event::UnknownCommand {
                client: ClientKind::Hotham,
                id: code.into(),
                status: UNSUPPORTED.into(),
            });
            // One reader looks for the code in the second byte, the other in the last.
            return vec![vec![sequence, UNSUPPORTED, 0, UNSUPPORTED]];
        }
    };
    fw.record(Event::Command {
        client: ClientKind::Hotham,
        name: name.to_owned(),
        id: code.into(),
        status: 0,
    });
    // The field has 12 bits; a whole log is longer than they can say.
    let length = (4 + data.len()).min(0xfff) as u16;
    let [low, high] = length.to_le_bytes();
    vec![[&[sequence, SUCCESS, low, high], data.as_slice()].concat()]
}

/// How much log fits into one message of this client.
fn capacity(fw: &Firmware) -> usize {
    let limit = fw.profile.mei.clients.get(&ClientKind::Hotham);
    limit.map_or(LOG_SIZE, |client| {
        (client.max_message as usize)
            .saturating_sub(4)
            .min(LOG_SIZE)
    })
}

/// The newest lines that fit, oldest first.
fn log(fw: &Firmware) -> Vec<u8> {
    let capacity = capacity(fw);
    let mut lines: Vec<String> = Vec::new();
    let mut size = 0;
    let recent: Vec<_> = fw.journal.recent().collect();
    for (at, event) in recent.into_iter().rev() {
        let line = line(*at, event);
        size += line.len();
        if size > capacity {
            break;
        }
        lines.push(line);
    }
    lines.into_iter().rev().collect::<String>().into_bytes()
}

fn line(at: Instant, event: &Event) -> String {
    let time = at.since(Instant::POWER_ON);
    let mut line = String::new();
    // Events are strings, numbers and nested tagged values, which JSON can always say.
    let text = serde_json::to_string(event).unwrap_or_default();
    // Writing into a string does not fail.
    let _ = writeln!(
        line,
        "[{:>5}.{:06}] {text}",
        time.as_secs(),
        time.subsec_micros()
    );
    line
}

#[cfg(test)]
#[path = "hotham_tests.rs"]
mod tests;
