//! Hello messages that are wrong on purpose: what an SCA must survive.
//!
//! | short form | what goes out |
//! |---|---|
//! | `hello=split-N` | in pieces of N bytes, each in a TCP segment of its own; 400 when N is not given |
//! | `hello=reset` | whole, and then RST instead of FIN |
//! | `hello=duplicate` | twice, in two connections at the same time |
//! | `hello=replay` | the message before this one in its place; the first one replays itself |
//! | `hello=counter-N` | with this retry count; 15 when N is not given |
//! | `hello=version-N` | with this version; 2 when N is not given |
//! | `hello=flag-N` | with this first field; 2 when N is not given |
//! | `hello=uuid` | with the UUID of another device |
//! | `hello=count-N` | with this number of hashes, however many follow; 255 when N is not given |
//! | `hello=hash-length-N` | with this length of the first hash, however long it is; 255 when N is not given |
//! | `hello=truncate-N` | the first N bytes |
//! | `hello=trailing-N` | with N more bytes at the end; 1 when N is not given |
//! | `hello=delay-N` | N milliseconds late |
//! | `hello=drop` | not at all |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    COUNT_AT, Delivery, FIRST_HASH_LENGTH_AT, FLAG_AT, RETRY_AT, UUID_AT, VERSION_AT, message,
};
use crate::device::fault::FaultEffect;
use crate::device::firmware::Firmware;

/// More bytes than that are of no more use.
const MOST_TRAILING: u32 = 1 << 20;

/// What is wrong with a Hello message and with nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HelloFault {
    /// Pieces of so many bytes.
    Split(usize),
    Duplicate,
    Replay,
    Counter(u32),
    Version(u16),
    Flag(u16),
    Uuid,
    Count(u8),
    HashLength(u8),
    /// So many bytes more.
    Trailing(usize),
}

impl HelloFault {
    pub(crate) const WORDS: &'static str = "split-N, duplicate, replay, counter-N, version-N, flag-N, uuid, count-N, hash-length-N, trailing-N";

    /// The word and number of its short form; `None` when it is no word of this list.
    pub(crate) fn parse(word: &str, number: Option<u32>) -> Option<Result<Self, String>> {
        fn fits<N: TryFrom<u32>>(number: Option<u32>, usual: N) -> Result<N, String> {
            let Some(number) = number else {
                return Ok(usual);
            };
            N::try_from(number).map_err(|_| format!("{number} does not fit the field"))
        }
        Some(match word {
            "split" => match number {
                Some(0) => Err("pieces of no bytes never end".to_owned()),
                number => fits(number, 400).map(Self::Split),
            },
            "duplicate" => Ok(Self::Duplicate),
            "replay" => Ok(Self::Replay),
            "counter" => fits(number, 15).map(Self::Counter),
            "version" => fits(number, 2).map(Self::Version),
            "flag" => fits(number, 2).map(Self::Flag),
            "uuid" => Ok(Self::Uuid),
            "count" => fits(number, u8::MAX).map(Self::Count),
            "hash-length" => fits(number, u8::MAX).map(Self::HashLength),
            "trailing" if number.is_some_and(|number| number > MOST_TRAILING) => {
                Err(format!("at most {MOST_TRAILING} bytes more"))
            }
            "trailing" => fits(number, 1).map(Self::Trailing),
            _ => return None,
        })
    }
}

/// The short form, as [`HelloFault::parse`] reads it.
impl std::fmt::Display for HelloFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Split(size) => write!(f, "split-{size}"),
            Self::Duplicate => f.write_str("duplicate"),
            Self::Replay => f.write_str("replay"),
            Self::Counter(count) => write!(f, "counter-{count}"),
            Self::Version(version) => write!(f, "version-{version}"),
            Self::Flag(flag) => write!(f, "flag-{flag}"),
            Self::Uuid => f.write_str("uuid"),
            Self::Count(count) => write!(f, "count-{count}"),
            Self::HashLength(length) => write!(f, "hash-length-{length}"),
            Self::Trailing(more) => write!(f, "trailing-{more}"),
        }
    }
}

/// One connection of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Sending {
    pub(in super::super) bytes: Vec<u8>,
    pub(in super::super) delivery: Delivery,
    pub(in super::super) delay: Duration,
}

/// The connections in which the message with this count goes out, as a fault leaves them.
pub(in super::super) fn sendings(
    fw: &Firmware,
    count: u32,
    effect: Option<&FaultEffect>,
) -> Vec<Sending> {
    let mut sending = Sending {
        bytes: message(fw, count),
        delivery: Delivery::default(),
        delay: Duration::ZERO,
    };
    let bytes = &mut sending.bytes;
    match effect {
        // The others belong to other points.
        None
        | Some(
            FaultEffect::Errno(_)
            | FaultEffect::Status(_)
            | FaultEffect::ReturnValue(_)
            | FaultEffect::Cut
            | FaultEffect::Half
            | FaultEffect::Chain(_),
        ) => {}
        Some(FaultEffect::Drop) => return Vec::new(),
        Some(FaultEffect::Reset) => sending.delivery.reset = true,
        Some(FaultEffect::Truncate(length)) => bytes.truncate(*length),
        Some(FaultEffect::DelayMs(late)) => sending.delay = Duration::from_millis(*late),
        Some(FaultEffect::Hello(fault)) => match *fault {
            HelloFault::Split(size) => sending.delivery.pieces = Some(size),
            HelloFault::Duplicate => return vec![sending.clone(), sending],
            HelloFault::Replay => *bytes = message(fw, count.saturating_sub(1)),
            HelloFault::Counter(wrong) => put(bytes, RETRY_AT, &wrong.to_le_bytes()),
            HelloFault::Version(wrong) => put(bytes, VERSION_AT, &wrong.to_le_bytes()),
            HelloFault::Flag(wrong) => put(bytes, FLAG_AT, &wrong.to_le_bytes()),
            HelloFault::Uuid => {
                let other = fw.seed.bytes::<16>("another device", u64::from(count));
                put(bytes, UUID_AT, &other);
            }
            HelloFault::Count(wrong) => put(bytes, COUNT_AT, &[wrong]),
            HelloFault::HashLength(wrong) => put(bytes, FIRST_HASH_LENGTH_AT, &[wrong]),
            HelloFault::Trailing(more) => {
                let noise = fw.seed.bytes::<32>("trailing bytes", u64::from(count));
                bytes.extend(noise.iter().cycle().take(more));
            }
        },
    }
    vec![sending]
}

/// Nothing changes where the message has no such field: one without hashes has no length of the first.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(field) = bytes.get_mut(at..at + value.len()) {
        field.copy_from_slice(value);
    }
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
