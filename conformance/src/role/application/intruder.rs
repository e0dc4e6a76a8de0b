//! Somebody who administers the host: he needs no password of AMT to unprovision a device in client control mode
//! and to set it up again for himself.

use super::host::Host;
use super::server::Server;
use super::{Parties, Trouble, password};
use crate::scenario::Action;

impl Parties {
    pub(super) fn intrude(&mut self, action: Action, host: &Host<'_>) -> Result<(), Trouble> {
        let seen = host.record()?;
        host.unprovision()?;
        match action {
            // Nothing to sign with, and none needed.
            Action::IntruderUnsigned => host.setup(&password(host)?),
            // A certificate of his own, and the record's time is whatever he wants it to be.
            Action::IntruderBackdated => {
                let created = seen.map(|record| record.created).unwrap_or_default();
                host.set_clock(&created)?;
                let server = Server::of_somebody_else()?;
                let (request, _) = self.signed_request(host, &server)?;
                host.setup(&request)
            }
            // The owner's server signs for whoever asks.
            Action::IntruderThroughServer => {
                let (request, _) = self.signed_request(host, &Server::own()?)?;
                host.setup(&request)
            }
            // The owner's request once more, byte by byte.
            Action::IntruderReplay => {
                let memory = self.memory.as_ref();
                let recorded = memory.ok_or(Trouble::Story("there is nothing to play again"))?;
                host.setup(&recorded.request)
            }
            _ => Err(Trouble::Story("this is no deed of the intruder's")),
        }
    }
}
