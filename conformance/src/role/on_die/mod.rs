//! Believing a device's on-die chain, for whoever speaks TLS to a device that is not set up yet: the SCA of the secure
//! flow, and the application on the host where local ports speak TLS only.

mod lists;
mod publisher;
mod verifier;

use std::sync::{Arc, Mutex, PoisonError};

use amt_sim::device::Seed;
use amt_sim::pki::OnDieChain;

pub use lists::Lists;
pub use publisher::Publisher;
pub use verifier::{Refusal, ToldHash, Verifier};

use super::{Clock, Misbehaviour};
use crate::scenario::Anchors;
use crate::wire::tls::ServerJudge;

/// What is known of all on-die chains beforehand.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// DER of the root.
    pub(super) root: Vec<u8>,
    /// Authorities below it, lowest first.
    pub(super) authorities: Vec<Vec<u8>>,
}

impl Known {
    pub(super) fn of(anchors: Anchors) -> Self {
        // They are the same for all devices of a platform.
        let chain = OnDieChain::for_device(Seed(0), "LNL", 20);
        let chain = chain.map(|chain| chain.certificates).unwrap_or_default();
        Self {
            root: chain.last().cloned().unwrap_or_default(),
            authorities: match anchors {
                Anchors::Root => Vec::new(),
                Anchors::Authorities => chain.get(4..6).unwrap_or_default().to_vec(),
            },
        }
    }
}

/// Seconds since 1970 by the clock that the device lives by.
pub(super) fn now(clock: &dyn Clock) -> i64 {
    /// Where a device's clock begins in virtual time: 2026-01-01.
    const BEGINNING: u64 = 1_767_225_600;
    i64::try_from(BEGINNING + clock.now().as_secs()).unwrap_or(i64::MAX)
}

/// The verifier behind a TLS client, and why it said no.
#[derive(Debug)]
pub(super) struct Judge {
    verifier: Verifier,
    refusal: Mutex<Option<Refusal>>,
    connections: Mutex<u32>,
}

impl Judge {
    pub(super) fn new(verifier: Verifier) -> Arc<Self> {
        Arc::new(Self {
            verifier,
            refusal: Mutex::default(),
            connections: Mutex::default(),
        })
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerJudge for Judge {
    /// requirement `sca.secure.live-chain`: the chain of this very handshake, each time.
    fn judge(&self, chain: &[&[u8]]) -> Result<(), String> {
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *connections += 1;
        let once = self.verifier.misbehaviour == Some(Misbehaviour::ScaVerifiesOnce);
        if once && *connections > 1 {
            return Ok(());
        }
        self.verifier.judge(chain).map_err(|refusal| {
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
            refusal.to_string()
        })
    }
}
