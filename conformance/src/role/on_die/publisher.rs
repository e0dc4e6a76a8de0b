//! Whoever publishes revocation lists: a server on a loopback address, for as long as somebody needs it.

use std::net::{Ipv4Addr, SocketAddr};

use amt_sim::host::RevocationServer;
use amt_sim::host::local_ports::{PortsError, Reach};
use amt_sim::pki::{ListForm, Platform, RevocationList, revocation_lists};

use crate::scenario::Published;

/// The server of the names in the certificates, which lead to nobody here.
#[derive(Debug)]
pub struct Publisher(RevocationServer);

impl Publisher {
    /// What it publishes is for every platform that has a profile.
    pub fn start(published: Published) -> Result<Self, PortsError> {
        let lists = match published {
            Published::Right => made(ListForm::Right),
            Published::Nothing => Vec::new(),
            Published::Outdated => made(ListForm::Outdated),
            Published::Forged => made(ListForm::Forged),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        RevocationServer::open(address, Reach::Loopback, lists).map(Self)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

/// What cannot be made is not published, and missed by whoever asks for it.
fn made(form: ListForm) -> Vec<RevocationList> {
    revocation_lists(&Platform::known(), form).unwrap_or_default()
}
