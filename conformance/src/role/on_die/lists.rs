//! Revocation lists: fetched over HTTP by the addresses in the certificates, believed when their issuer signed them.
//!
//! The names in the addresses lead to Intel, which knows nothing of our devices. So whoever checks is told another server,
//! and asks that one for the path.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

use super::verifier::{Refusal, signed_by};
use crate::wire::{Dialer as _, TcpDialer, http};

/// The lists that a server has, fetched when they are first asked for.
#[derive(Debug, Clone)]
pub struct Lists {
    server: SocketAddr,
    /// By path; none where the server has no such list, or nothing came.
    fetched: Arc<Mutex<BTreeMap<String, Option<Vec<u8>>>>>,
}

/// What becomes of a chain of which nobody can say whether it was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    Refuse,
    Forgive,
}

impl Lists {
    pub fn of(server: SocketAddr) -> Self {
        Self {
            server,
            fetched: Arc::default(),
        }
    }

    /// Every certificate of the chain but the root, which nobody can revoke.
    pub fn judge(
        &self,
        chain: &[X509Certificate<'_>],
        now: i64,
        doubt: Doubt,
    ) -> Result<(), Refusal> {
        for certificate in chain.iter().take(chain.len().saturating_sub(1)) {
            let list = path_of(certificate).and_then(|path| self.fetch(path));
            let listed = list.and_then(|der| is_on(&der, certificate, chain, now));
            match listed {
                Some(true) => return Err(Refusal::Revoked),
                // requirement `sca.secure.revocation-list`
                None if doubt == Doubt::Refuse => return Err(Refusal::List),
                _ => {}
            }
        }
        Ok(())
    }

    fn fetch(&self, path: String) -> Option<Vec<u8>> {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let of_server = || self.get(&path);
        fetched
            .entry(path.clone())
            .or_insert_with(of_server)
            .clone()
    }

    fn get(&self, path: &str) -> Option<Vec<u8>> {
        const PATIENCE: Duration = Duration::from_secs(10);
        const LONGEST: usize = 1 << 20;
        let dialer = TcpDialer::new(self.server.ip());
        let mut pipe = dialer.open(self.server.port()).ok()?;
        pipe.send(&http::get(&self.server.to_string(), path)).ok()?;
        let mut received = Vec::new();
        while received.len() <= LONGEST {
            let bytes = pipe.receive(PATIENCE).ok()?;
            received.extend_from_slice(&bytes);
            if let Some(answer) = http::response(&received, bytes.is_empty()).ok()? {
                return (answer.status == 200).then_some(answer.body);
            }
        }
        None
    }
}

/// Where the server has the list that this certificate would be on.
fn path_of(certificate: &X509Certificate<'_>) -> Option<String> {
    let extensions = certificate.extensions().iter();
    let points = extensions.filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::CRLDistributionPoints(points) => Some(&points.points),
        _ => None,
    });
    let names = points
        .flatten()
        .filter_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => Some(names),
            _ => None,
        });
    names.flatten().find_map(|name| match name {
        GeneralName::URI(uri) => {
            let (_, rest) = uri.split_once("://")?;
            rest.find('/').map(|at| rest[at..].to_owned())
        }
        _ => None,
    })
}

/// Whether a certificate is on a list; `None` when the list is not one to go by.
fn is_on(
    der: &[u8],
    certificate: &X509Certificate<'_>,
    chain: &[X509Certificate<'_>],
    now: i64,
) -> Option<bool> {
    const CERTIFICATE_ISSUER: &str = "2.5.29.29";
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    let issuer = list.issuer().as_raw();
    // An indirect list is that of an authority higher up.
    let signer = chain.iter().find(|one| one.subject().as_raw() == issuer)?;
    if !signed_by(
        list.tbs_cert_list.as_ref(),
        &list.signature_value.data,
        signer,
    ) {
        return None;
    }
    let current = list.last_update().timestamp() <= now
        && list
            .next_update()
            .is_some_and(|next| now <= next.timestamp());
    if !current {
        return None;
    }
    let mine = certificate.issuer().as_raw();
    let direct = issuer == mine;
    let listed = list.iter_revoked_certificates().any(|entry| {
        let whose = entry
            .extensions()
            .iter()
            .find(|extension| extension.oid.to_id_string() == CERTIFICATE_ISSUER);
        // Numbers are unique below one issuer only.
        let of_mine = match whose {
            Some(names) => names.value.windows(mine.len()).any(|window| window == mine),
            None => direct,
        };
        of_mine && entry.user_certificate == certificate.tbs_certificate.serial
    });
    Some(listed)
}
