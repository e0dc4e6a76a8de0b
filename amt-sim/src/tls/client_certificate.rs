//! Client certificates are taken as they come: TLS proves that the peer has the key, the device judges the rest,
//! afterwards or through a [`Judge`].
//!
//! A standard verifier would refuse what AMT accepts. A provisioning certificate need not be valid for client
//! authentication, may have expired, and ends at a root of which the device knows only the hash.

use std::fmt;
use std::sync::Arc;

use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, Pss};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use sha2::{Digest, Sha256, Sha384, Sha512};

use super::credential::provider;
use super::trust::{Alert, Judge, Untrusted};
use crate::pki::{Certificate, Key};

/// Asks for a certificate and accepts any that the judge accepts.
#[derive(Debug)]
pub(super) struct AnyCertificate {
    /// A peer without one is refused.
    pub(super) mandatory: bool,
    pub(super) judge: Option<Arc<dyn Judge>>,
}

/// Why the judge does not accept it.
#[derive(Debug)]
pub(super) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The error that makes rustls send this alert.
fn refusal(Untrusted { why, alert }: Untrusted) -> CertificateError {
    match alert {
        Alert::BadCertificate => CertificateError::BadEncoding,
        Alert::UnsupportedCertificate => CertificateError::InvalidPurpose,
        Alert::CertificateExpired => CertificateError::Expired,
        Alert::CertificateUnknown => CertificateError::Other(OtherError(Arc::new(Refused(why)))),
        Alert::UnknownAuthority => CertificateError::UnknownIssuer,
        Alert::AccessDenied => CertificateError::ApplicationVerificationFailure,
    }
}

/// Older generations take RSA keys below 2048 bits, which rustls' provider does not compute with. Whether the device
/// does was for the judge to say.
fn short_key(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Option<HandshakeSignatureValid> {
    const STRONG: usize = 2048;
    let certificate = Certificate::read(certificate).ok()?;
    let Key::Rsa(key) = &certificate.key else {
        return None;
    };
    if key.n().bits() >= STRONG {
        return None;
    }
    let (sha256, sha384, sha512) = (
        || Sha256::digest(message).to_vec(),
        || Sha384::digest(message).to_vec(),
        || Sha512::digest(message).to_vec(),
    );
    let signature = signed.signature();
    let verified = match signed.scheme {
        SignatureScheme::RSA_PKCS1_SHA256 => {
            key.verify(Pkcs1v15Sign::new::<Sha256>(), &sha256(), signature)
        }
        SignatureScheme::RSA_PKCS1_SHA384 => {
            key.verify(Pkcs1v15Sign::new::<Sha384>(), &sha384(), signature)
        }
        SignatureScheme::RSA_PKCS1_SHA512 => {
            key.verify(Pkcs1v15Sign::new::<Sha512>(), &sha512(), signature)
        }
        // A salt has the length of the hash: RFC 8446 section 4.2.3.
        SignatureScheme::RSA_PSS_SHA256 => {
            key.verify(Pss::new_with_salt::<Sha256>(32), &sha256(), signature)
        }
        SignatureScheme::RSA_PSS_SHA384 => {
            key.verify(Pss::new_with_salt::<Sha384>(48), &sha384(), signature)
        }
        _ => return None,
    };
    verified.is_ok().then(HandshakeSignatureValid::assertion)
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    /// None: Go sends no certificate when the list names authorities and its own is not among them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(judge) = &self.judge {
            let all = std::iter::once(end_entity).chain(intermediates);
            let chain: Vec<&[u8]> = all.map(|der| der.as_ref()).collect();
            judge
                .judge(&chain)
                .map_err(|untrusted| Error::InvalidCertificate(refusal(untrusted)))?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
            .or_else(|error| short_key(message, certificate, signature).ok_or(error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
            .or_else(|error| short_key(message, certificate, signature).ok_or(error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
