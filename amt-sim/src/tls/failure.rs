//! Why a TLS connection failed, and whose fault it was.

use rustls::{CertificateError, ContentType, Error};
use serde::{Deserialize, Serialize};

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
    /// `greeting` is the first byte that the peer sent.
    pub(super) fn of(error: &Error, greeting: Option<u8>) -> Self {
        // A client begins with a handshake record, or gives up with an alert.
        let speaks_tls = greeting.is_none_or(|byte| {
            matches!(
                ContentType::from(byte),
                ContentType::Handshake | ContentType::Alert
            )
        });
        if speaks_tls {
            Self {
                kind: FailureKind::of(error),
                why: match error {
                    Error::InvalidCertificate(CertificateError::Other(refused)) => {
                        refused.0.to_string()
                    }
                    error => error.to_string(),
                },
            }
        } else {
            Self {
                kind: FailureKind::NotTls,
                why: format!("the peer does not speak TLS ({error})"),
            }
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
