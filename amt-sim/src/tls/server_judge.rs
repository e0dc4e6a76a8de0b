//! The other end's half: a device shows a certificate that no public authority has signed and that names no host,
//! so whoever connects to one judges it by rules of their own.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

use super::credential::provider;

/// Judges what a server showed.
pub trait ServerJudge: fmt::Debug + Send + Sync {
    /// `chain` is DER, leaf first, exactly as the server sent it. An error ends the handshake with an alert.
    fn judge(&self, chain: &[&[u8]]) -> Result<(), String>;
}

/// Takes any certificate.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnyServer;

impl ServerJudge for AnyServer {
    fn judge(&self, _: &[&[u8]]) -> Result<(), String> {
        Ok(())
    }
}

/// What rustls' client takes: the judge says whether the chain will do, rustls that the server has the leaf's key.
#[derive(Debug)]
pub struct JudgedServer(Arc<dyn ServerJudge>);

impl JudgedServer {
    /// In the form that `with_custom_certificate_verifier` wants.
    pub fn by(judge: impl ServerJudge + 'static) -> Arc<Self> {
        Arc::new(Self(Arc::new(judge)))
    }
}

/// Why the judge refuses.
#[derive(Debug)]
struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl ServerCertVerifier for JudgedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        let chain: Vec<&[u8]> = all.map(|der| der.as_ref()).collect();
        self.0.judge(&chain).map_err(|why| {
            let why = OtherError(Arc::new(Refusal(why)));
            rustls::Error::InvalidCertificate(CertificateError::Other(why))
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
