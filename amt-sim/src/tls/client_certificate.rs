//! Client certificates are taken as they come: TLS proves that the peer has the key, the device judges the rest,
//! afterwards or through a [`Judge`].
//!
//! A standard verifier would refuse what AMT accepts. A provisioning certificate need not be valid for client
//! authentication, may have expired, and ends at a root of which the device knows only the hash.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::credential::provider;
use super::trust::Judge;

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
            judge.judge(&chain).map_err(|why| {
                let refused = OtherError(Arc::new(Refused(why)));
                Error::InvalidCertificate(CertificateError::Other(refused))
            })?;
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
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
