//! Whom the application logs in to where local ports speak TLS only.
//!
//! ```text
//!   not operational yet    the chip's own chain, judged as in the secure flow but for the hash of the leaf, which nobody
//!                          tells in client control mode
//!   operational            a certificate that the device made itself: whoever knows the password is known by digest
//! ```
//! Source: rpc-go, `internal/certs`, which decides by the control mode at its start.

use std::sync::{Arc, Mutex, PoisonError};

use amt_sim::Errno;

use super::{Host, Trouble};
use crate::role::Misbehaviour;
use crate::role::on_die::{self, Judge, Known, Refusal, Verifier};
use crate::scenario::Anchors;
use crate::wire::amthi::AmthiError;
use crate::wire::tls::{AnyServer, ServerJudge};
use crate::wire::{Client, ClientError, upid};

#[derive(Debug, Clone)]
pub(super) struct Trust {
    misbehaviour: Option<Misbehaviour>,
    /// Of the connection made last.
    judge: Arc<Mutex<Option<Arc<Judge>>>>,
}

impl Trust {
    pub(super) fn new(misbehaviour: Option<Misbehaviour>) -> Self {
        Self {
            misbehaviour,
            judge: Arc::default(),
        }
    }

    /// A client that looks whom it speaks to, at every connection.
    pub(super) fn guard<'a>(&self, host: Host<'a>, client: Client<'a>) -> Client<'a> {
        let trust = self.clone();
        client.judged_by(move || {
            let judge = trust.judge(host);
            judge.map_err(|trouble| ClientError::NoJudge(trouble.to_string()))
        })
    }

    /// Why the device was not believed, if it was not.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        judge.as_ref().and_then(|judge| judge.refusal())
    }

    fn judge(&self, host: Host<'_>) -> Result<Arc<dyn ServerJudge>, Trouble> {
        const POST: u32 = 2;
        // requirement `app.setup.on-die-chain`
        let skips = self.misbehaviour == Some(Misbehaviour::SkipsChain);
        if skips || host.amthi()?.provisioning_state()? == POST {
            return Ok(Arc::new(AnyServer));
        }
        let hardware = match upid::hardware_id(host.port, host.clock) {
            // There is no such client: nothing can be told.
            Err(error) if error.is(Errno::Enotty) => None,
            result => result.map_err(AmthiError::from)?,
        };
        let known = Known::of(Anchors::Root);
        let judge = Judge::new(Verifier {
            told: None,
            root: known.root,
            authorities: known.authorities,
            hardware,
            lists: None,
            now: on_die::now(host.clock),
            misbehaviour: self.misbehaviour,
        });
        *self.judge.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&judge));
        Ok(judge)
    }
}
