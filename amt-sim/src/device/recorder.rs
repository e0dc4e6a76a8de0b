//! What went over the device's own ports, byte for byte, for those who ask for it.
//!
//! The journal says what a request came to; this is what it looked like. Nothing is recorded unless it is asked
//! for: it costs memory, and with TLS it holds what TLS was to hide.

use super::account::Interface;
use super::fault::FaultPoint;
use super::journal::Party;
use crate::mei::ClientKind;
use crate::time::Instant;
use crate::tls::KeyLog;

/// One thing that happened to a connection to one of the device's ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    pub at: Instant,
    /// Number of the journal entry that was made next: what has a lower one happened before.
    pub before: u64,
    /// The connection, by its number in the journal.
    pub stream: u32,
    pub what: Passage,
}

/// What happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passage {
    Opened {
        side: Interface,
        port: u16,
    },
    /// Bytes as they went by.
    Wire {
        by: Party,
        bytes: Vec<u8>,
    },
    /// What was inside of them, on a connection with TLS.
    Text {
        by: Party,
        bytes: Vec<u8>,
    },
    /// The peer sends no more.
    Ended,
    Closed,
}

/// An occasion on which a [fault](super::Fault) could have struck, whether or not one did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chance {
    /// Number of the journal entry that was made next.
    pub before: u64,
    pub at: FaultPoint,
    pub client: Option<ClientKind>,
    /// The number by which a fault names the message.
    pub command: Option<u32>,
    /// Class and action of a WS-Management request, as in `CLASS.Get`.
    pub request: Option<String>,
}

/// What was recorded since it was last taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    pub traffic: Vec<Traffic>,
    /// Secrets of TLS connections: lines of the `SSLKEYLOGFILE` format.
    pub secrets: String,
    /// Every occasion for a fault, in order.
    pub chances: Vec<Chance>,
    /// Bytes that were not recorded because nobody took what was.
    pub lost: u64,
}

impl Recording {
    /// Adds what was recorded later.
    pub fn append(&mut self, later: Self) {
        self.traffic.extend(later.traffic);
        self.secrets += &later.secrets;
        self.chances.extend(later.chances);
        self.lost += later.lost;
    }
}

/// Bytes that are held when nobody takes them.
const MOST: usize = 64 << 20;

/// Occasions that are held when nobody takes them; later ones are forgotten.
const MOST_CHANCES: usize = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    streams: bool,
    key_log: Option<KeyLog>,
    /// None while nobody wants them.
    chances: Option<Vec<Chance>>,
    traffic: Vec<Traffic>,
    held: usize,
    lost: u64,
}

impl Recorder {
    pub(crate) fn record_streams(&mut self, wanted: bool) {
        self.streams = wanted;
    }

    pub(crate) fn record_secrets(&mut self, wanted: bool) {
        self.key_log = wanted.then(KeyLog::default);
    }

    pub(crate) fn record_chances(&mut self, wanted: bool) {
        self.chances = wanted.then(Vec::new);
    }

    pub(crate) fn add_chance(&mut self, chance: impl FnOnce() -> Chance) {
        if let Some(chances) = &mut self.chances
            && chances.len() < MOST_CHANCES
        {
            chances.push(chance());
        }
    }

    pub(crate) fn key_log(&self) -> Option<KeyLog> {
        self.key_log.clone()
    }

    pub(crate) fn is_on(&self) -> bool {
        self.streams
    }

    pub(crate) fn add(&mut self, traffic: Traffic) {
        let size = match &traffic.what {
            Passage::Wire { bytes, .. } | Passage::Text { bytes, .. } => bytes.len(),
            Passage::Opened { .. } | Passage::Ended | Passage::Closed => 0,
        };
        if self.held + size > MOST {
            self.lost += size as u64;
            return;
        }
        self.held += size;
        self.traffic.push(traffic);
    }

    pub(crate) fn take(&mut self) -> Recording {
        self.held = 0;
        Recording {
            traffic: std::mem::take(&mut self.traffic),
            secrets: self.key_log.as_ref().map(KeyLog::take).unwrap_or_default(),
            chances: self
                .chances
                .as_mut()
                .map(std::mem::take)
                .unwrap_or_default(),
            lost: std::mem::take(&mut self.lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_counted_and_dropped() {
        let piece = |size| Traffic {
            at: Instant::POWER_ON,
            before: 1,
            stream: 0,
            what: Passage::Wire {
                by: Party::Host,
                bytes: vec![0; size],
            },
        };
        let mut recorder = Recorder::default();
        recorder.add(piece(MOST));
        recorder.add(piece(3));
        let taken = recorder.take();
        assert_eq!((taken.traffic.len(), taken.lost), (1, 3));
        recorder.add(piece(3));
        assert_eq!(recorder.take().traffic.len(), 1);
    }
}
