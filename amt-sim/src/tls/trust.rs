//! Judging client certificates by a list of roots, as mutual authentication does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;

use super::credential::provider;
use crate::time::UnixTime;

/// Judges what a client shows, at the moment of the handshake: a refusal ends it with an alert.
///
/// A judge is made for one connection and knows all it needs; it cannot ask the device.
pub trait Judge: fmt::Debug + Send + Sync {
    /// `chain` is DER, leaf first, never empty.
    fn judge(&self, chain: &[&[u8]]) -> Result<(), Untrusted>;
}

/// Why a client is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted {
    /// For people. Only [`Alert::CertificateUnknown`] takes it as far as [`super::Failure::why`].
    pub why: String,
    pub alert: Alert,
}

impl From<String> for Untrusted {
    fn from(why: String) -> Self {
        Self {
            why,
            alert: Alert::CertificateUnknown,
        }
    }
}

/// What the client is told: RFC 8446 section 6.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    BadCertificate,
    UnsupportedCertificate,
    CertificateExpired,
    CertificateUnknown,
    UnknownAuthority,
    AccessDenied,
}

/// Whether a chain ends at one of these roots, holds at that moment, and is a client's.
///
/// The rules are those of RFC 5280 as webpki reads them: signatures, validity, authorities, and extended key usage
/// where a certificate names any.
pub fn ends_at_root(chain: &[&[u8]], roots: &[Vec<u8>], at: UnixTime) -> Result<(), String> {
    let Some((leaf, others)) = chain.split_first() else {
        return Err("it is empty".to_owned());
    };
    let mut store = RootCertStore::empty();
    // A root that cannot be read helps nobody.
    store.add_parsable_certificates(roots.iter().map(|der| CertificateDer::from(der.as_slice())));
    if store.is_empty() {
        return Err("the device trusts no root".to_owned());
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider()))
            .build()
            .map_err(|error| error.to_string())?;
    let others: Vec<_> = others
        .iter()
        .map(|der| CertificateDer::from(*der))
        .collect();
    verifier
        .verify_client_cert(&CertificateDer::from(*leaf), &others, to_rustls(at))
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// A moment before 1970 counts as 1970.
pub(super) fn to_rustls(at: UnixTime) -> rustls::pki_types::UnixTime {
    let seconds = u64::try_from(at.0).unwrap_or(0);
    rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::ProvisioningIdentity;

    const NOW: UnixTime = UnixTime(1_767_225_600);

    #[test]
    fn a_chain_that_is_none() {
        let none: &[&[u8]] = &[];
        assert!(ends_at_root(none, &[], NOW).is_err());
        assert!(ends_at_root(&[b"leaf"], &[], NOW).is_err());
        assert!(ends_at_root(&[b"leaf"], &[b"root".to_vec()], NOW).is_err());
    }

    #[test]
    fn a_server_certificate_is_no_clients() {
        let identity = ProvisioningIdentity::for_name("sca.corp.example").unwrap();
        let chain: Vec<&[u8]> = identity.chain.iter().map(Vec::as_slice).collect();
        let why = ends_at_root(&chain, &identity.chain[2..], NOW).unwrap_err();
        assert!(why.contains("usage") || why.contains("Purpose"), "{why}");
    }
}
