//! What the device shows of itself: a certificate chain and the key of its first certificate.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

/// A certificate chain with its key, read once and used for any number of connections.
#[derive(Clone)]
pub struct Credential {
    key: Arc<CertifiedKey>,
}

/// Why a chain and a key are no credential: the fault of whoever gave them to the device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    #[error("there is no certificate")]
    Empty,
    #[error("the private key is neither PKCS#8, PKCS#1 nor SEC1 DER")]
    KeyEncoding,
    #[error(
        "the private key cannot be used; RSA of 2048 to 4096 bits, P-256, P-384 and Ed25519 can"
    )]
    Key,
    #[error("the private key does not belong to the first certificate")]
    Mismatch,
}

impl Credential {
    /// `chain` is DER, leaf first; `key` is the leaf's, as PKCS#8, PKCS#1 or SEC1 DER.
    ///
    /// The certificates are shown as they are: whether they are any good is for the peer to judge.
    pub fn new(chain: &[Vec<u8>], key: &[u8]) -> Result<Self, CredentialError> {
        if chain.is_empty() {
            return Err(CredentialError::Empty);
        }
        let key = PrivateKeyDer::try_from(key).map_err(|_| CredentialError::KeyEncoding)?;
        let key = provider()
            .key_provider
            .load_private_key(key.clone_key())
            .map_err(|_| CredentialError::Key)?;
        let chain = chain.iter().cloned().map(CertificateDer::from).collect();
        let key = CertifiedKey::new(chain, key);
        // A certificate that webpki cannot read is shown all the same: some peer may want to see one.
        match key.keys_match() {
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(CredentialError::Mismatch)
            }
            _ => Ok(Self { key: Arc::new(key) }),
        }
    }

    /// DER, leaf first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.key.cert.iter().map(|certificate| certificate.as_ref())
    }

    pub(super) fn certified_key(&self) -> CertifiedKey {
        CertifiedKey::clone(&self.key)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key stays out of it.
        f.debug_struct("Credential")
            .field("certificates", &self.key.cert.len())
            .finish_non_exhaustive()
    }
}

/// Cryptography for every connection of every device.
pub(super) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()))
}
