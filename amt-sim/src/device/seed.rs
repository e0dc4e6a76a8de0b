//! The only source of randomness in the device: everything it "draws" is derived from one number.

use sha2::{Digest, Sha256};

/// The root of all that looks random in one device.
///
/// Each purpose has a stream of its own, so that a new draw for one purpose never shifts another:
/// block *n* of purpose *p* is SHA-256(`"amt-sim seed"` ‖ seed ‖ len(p) ‖ p ‖ *n*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The first `N` bytes of a purpose's stream. `turn` tells repeated draws for one purpose apart.
    pub fn bytes<const N: usize>(self, purpose: &str, turn: u64) -> [u8; N] {
        let mut out = [0; N];
        for (block, chunk) in out.chunks_mut(32).enumerate() {
            let mut hash = Sha256::new();
            hash.update(b"amt-sim seed");
            hash.update(self.0.to_be_bytes());
            hash.update((purpose.len() as u64).to_be_bytes());
            hash.update(purpose.as_bytes());
            hash.update(turn.to_be_bytes());
            hash.update((block as u64).to_be_bytes());
            chunk.copy_from_slice(&hash.finalize()[..chunk.len()]);
        }
        out
    }

    /// A seed for one of several devices that share a starting number.
    #[must_use]
    pub fn child(self, index: u64) -> Self {
        Self(u64::from_be_bytes(self.bytes("child", index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_stable_and_apart() {
        let seed = Seed(1);
        assert_eq!(seed.bytes::<8>("uuid", 0), Seed(1).bytes::<8>("uuid", 0));
        assert_ne!(seed.bytes::<8>("uuid", 0), seed.bytes::<8>("uuid", 1));
        assert_ne!(seed.bytes::<8>("uuid", 0), seed.bytes::<8>("mac", 0));
        assert_ne!(seed.bytes::<8>("uuid", 0), Seed(2).bytes::<8>("uuid", 0));
        assert_eq!(seed.bytes::<40>("uuid", 0)[..8], seed.bytes::<8>("uuid", 0));
        assert_ne!(seed.child(0), seed.child(1));
    }
}
