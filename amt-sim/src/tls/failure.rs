//! Why a TLS connection failed, and whose fault it was.

use rustls::{CertificateError, ContentType, Error};
use serde::{Deserialize, Serialize};

use super::hello::Offer;

/// A TLS connection that came to nothing, or broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// In words, for people.
    pub why: String,
}

/// What went wrong, by who is to look into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The peer does not speak TLS at all: plain HTTP, most often.
    NotTls,
    /// The peer broke the protocol.
    PeerMisbehaved,
    /// Both speak TLS, but no version or cipher in common.
    Incompatible,
    /// The peer offers nothing but key exchange by static RSA, which rustls does not have.
    StaticRsa,
    /// The peer speaks TLS 1.1 at most.
    OldVersion,
    /// The peer was asked for a certificate and showed none.
    NoClientCertificate,
    /// The peer's certificate cannot be read, or it does not have the key to it.
    ClientCertificate,
    /// The device does not accept the peer's certificate.
    UntrustedClient,
    /// The peer sent an alert: it does not like what the device showed.
    RefusedByPeer,
    /// The peer went away in the middle of the handshake.
    PeerLeft,
    /// The device could not do its part.
    Device,
}

impl Failure {
    /// `heard` is what the peer sent first, as much of it as there is.
    pub(super) fn of(error: &Error, heard: &[u8]) -> Self {
        // A client begins with a handshake record, or gives up with an alert.
        let speaks_tls = heard.first().is_none_or(|byte| {
            matches!(
                ContentType::from(*byte),
                ContentType::Handshake | ContentType::Alert
            )
        });
        if !speaks_tls {
            return Self {
                kind: FailureKind::NotTls,
                why: format!("the peer does not speak TLS ({error})"),
            };
        }
        let kind = FailureKind::of(error);
        if kind == FailureKind::Incompatible
            && let Some(offer) = Offer::read(heard)
        {
            return Self::nothing_in_common(error, &offer);
        }
        Self {
            kind,
            why: match error {
                Error::InvalidCertificate(CertificateError::Other(refused)) => {
                    refused.0.to_string()
                }
                error => error.to_string(),
            },
        }
    }

    /// Firmware may have something in common with a peer with which this device has not.
    fn nothing_in_common(error: &Error, offer: &Offer) -> Self {
        const TLS_1_2: u16 = 0x0303;
        if offer.version < TLS_1_2 {
            let minor = (offer.version & 0xff).saturating_sub(1);
            return Self {
                kind: FailureKind::OldVersion,
                why: format!(
                    "the peer speaks TLS 1.{minor} at most, and this device 1.2 at least; see docs/tls.md"
                ),
            };
        }
        if offer.is_static_rsa_only() {
            return Self {
                kind: FailureKind::StaticRsa,
                why: format!(
                    "the peer offers key exchange by static RSA only ({}), which firmware may take and this device cannot; see docs/tls.md",
                    offer.names()
                ),
            };
        }
        Self {
            kind: FailureKind::Incompatible,
            why: format!("{error}; the peer offers {}", offer.names()),
        }
    }

    pub(super) fn device(why: String) -> Self {
        Self {
            kind: FailureKind::Device,
            why,
        }
    }

    pub(super) fn peer_left() -> Self {
        Self {
            kind: FailureKind::PeerLeft,
            why: "the peer closed the connection in the middle of the handshake".to_owned(),
        }
    }
}

impl FailureKind {
    fn of(error: &Error) -> Self {
        match error {
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord
            | Error::DecryptError => Self::PeerMisbehaved,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible,
            Error::NoCertificatesPresented => Self::NoClientCertificate,
            Error::InvalidCertificate(CertificateError::Other(_)) => Self::UntrustedClient,
            Error::InvalidCertificate(_) => Self::ClientCertificate,
            Error::AlertReceived(_) => Self::RefusedByPeer,
            _ => Self::Device,
        }
    }
}
