//! The nonces that were given out, how long each one lives, and how far its count has come.
//!
//! ```text
//! 0   u64 LE   device time in nanoseconds
//! 8   u32      0
//! 12  [u8; 12] random
//! ```
//! in base64: 32 characters without padding. Source for the shape: three challenges of AMT 11 and 15 in public
//! recordings; that the first field is a time is inferred.

use std::collections::VecDeque;
use std::time::Duration;

use crate::device::Seed;
use crate::time::Instant;

/// Nonces held at a time. A client that never logs in must not push out those of the others for long.
const MOST: usize = 256;

/// All nonces of one device. They do not survive a power cycle.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    /// Oldest first.
    table: VecDeque<Nonce>,
    issued: u32,
}

#[derive(Debug)]
struct Nonce {
    text: String,
    issued: Instant,
    /// Highest count that was accepted; 0 while unused.
    count: u32,
}

/// What is to be thought of a nonce and its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    /// Not given out since power-on, or forgotten.
    Unknown,
    Expired,
    /// The count is not higher than the last one.
    CountBehind,
}

impl Nonces {
    /// A new nonce.
    pub(crate) fn issue(&mut self, seed: Seed, boots: u64, now: Instant) -> String {
        if self.table.len() >= MOST {
            // The oldest that nobody used, else the oldest.
            let unused = self.table.iter().position(|nonce| nonce.count == 0);
            self.table.remove(unused.unwrap_or(0));
        }
        let turn = boots << 32 | u64::from(self.issued);
        self.issued = self.issued.wrapping_add(1);
        let mut bytes = [0; 24];
        let (time, rest) = bytes.split_at_mut(12);
        time[..8].copy_from_slice(&now.as_nanos().to_le_bytes());
        rest.copy_from_slice(&seed.bytes::<12>("http nonce", turn));
        let text = base64(&bytes);
        self.table.push_back(Nonce {
            text: text.clone(),
            issued: now,
            count: 0,
        });
        text
    }

    /// How a nonce stands that is used with this count.
    pub(crate) fn standing(
        &self,
        text: &str,
        count: u32,
        now: Instant,
        life: Duration,
    ) -> Standing {
        match self.table.iter().find(|nonce| nonce.text == text) {
            None => Standing::Unknown,
            Some(nonce) if now.since(nonce.issued) >= life => Standing::Expired,
            Some(nonce) if count <= nonce.count => Standing::CountBehind,
            Some(_) => Standing::Good,
        }
    }

    /// Remembers that this count was accepted.
    pub(crate) fn spend(&mut self, text: &str, count: u32) {
        if let Some(nonce) = self.table.iter_mut().find(|nonce| nonce.text == text) {
            nonce.count = nonce.count.max(count);
        }
    }
}

/// Base64 of whole groups of three bytes.
fn base64(bytes: &[u8; 24]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (groups, _) = bytes.as_chunks::<3>();
    groups
        .iter()
        .flat_map(|[a, b, c]| {
            let word = u32::from_be_bytes([0, *a, *b, *c]);
            [18, 12, 6, 0].map(|shift| LETTERS[(word >> shift & 63) as usize] as char)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Instant {
        Instant::POWER_ON + Duration::from_secs(seconds)
    }

    #[test]
    fn they_look_like_firmwares() {
        let bytes = *b"\xc2\x56\xc4\x2b\x51\x2d\0\0\0\0\0\0\x59\x6e\x5a\x50\x71\x69\xfa\x64\x10\xd6\x3e\xb7";
        assert_eq!(base64(&bytes), "wlbEK1EtAAAAAAAAWW5aUHFp+mQQ1j63");
        let nonce = Nonces::default().issue(Seed(1), 1, at(3));
        assert_eq!(nonce.len(), 32);
        assert!(!nonce.contains('='));
        assert!(nonce[10..16].chars().all(|letter| letter == 'A'), "{nonce}");
    }

    #[test]
    fn counts_rise_and_need_not_start_at_one() {
        let mut nonces = Nonces::default();
        let nonce = nonces.issue(Seed(1), 1, at(0));
        let mut standing = |count| {
            let standing = nonces.standing(&nonce, count, at(1), LIFE);
            if standing == Standing::Good {
                nonces.spend(&nonce, count);
            }
            standing
        };
        assert_eq!(standing(0), Standing::CountBehind);
        assert_eq!(standing(2), Standing::Good);
        assert_eq!(standing(2), Standing::CountBehind);
        assert_eq!(standing(1), Standing::CountBehind);
        assert_eq!(standing(9), Standing::Good);
    }

    #[test]
    fn they_live_for_a_while() {
        let mut nonces = Nonces::default();
        let nonce = nonces.issue(Seed(1), 1, at(10));
        assert_eq!(nonces.standing(&nonce, 1, at(69), LIFE), Standing::Good);
        assert_eq!(nonces.standing(&nonce, 1, at(70), LIFE), Standing::Expired);
        assert_eq!(nonces.standing("other", 1, at(11), LIFE), Standing::Unknown);
    }

    #[test]
    fn a_crowd_of_strangers_does_not_push_out_a_nonce_in_use() {
        let mut nonces = Nonces::default();
        let ours = nonces.issue(Seed(1), 1, at(0));
        nonces.spend(&ours, 1);
        let strange: Vec<String> = (0..MOST * 2)
            .map(|_| nonces.issue(Seed(1), 1, at(0)))
            .collect();
        assert_eq!(nonces.standing(&ours, 2, at(1), LIFE), Standing::Good);
        assert_eq!(
            nonces.standing(&strange[0], 1, at(1), LIFE),
            Standing::Unknown
        );
        assert_eq!(nonces.table.len(), MOST);
        assert_ne!(strange[0], strange[1]);
    }
}
