//! The configuration nonce: what a signed request must be signed over, so that it serves once.

use crate::device::{Firmware, Rule, Seed};

/// Bytes of ConfigurationNonce and of McNonce.
pub(super) const SIZE: usize = 20;

/// ConfigurationNonce as it stands now. It changes with every set-up and every unprovision, and outlives a reboot.
pub(crate) fn configuration_nonce(fw: &Firmware) -> [u8; SIZE] {
    at(fw.seed, fw.state.nonce_turn)
}

/// The nonces that stood before this one, the latest first.
pub(super) fn earlier(fw: &Firmware) -> impl Iterator<Item = [u8; SIZE]> {
    /// How far back a replay is told from any other wrong signature.
    const REMEMBERED: usize = 8;
    let seed = fw.seed;
    (0..fw.state.nonce_turn)
        .rev()
        .take(REMEMBERED)
        .map(move |turn| at(seed, turn))
}

fn at(seed: Seed, turn: u64) -> [u8; SIZE] {
    seed.bytes("configuration nonce", turn)
}

impl Firmware {
    /// A new configuration nonce: what was signed so far is worth nothing any more.
    pub(in crate::device) fn renew_configuration_nonce(&mut self) {
        if self.enforced(Rule::SETUP_NONCE_RENEWED) {
            self.remember(|state| state.nonce_turn += 1);
        }
    }
}
