//! The central server: it has the key and the certificate, and signs what it is sent. It never sees the device.

use amt_sim::pki::ProvisioningIdentity;
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::Sha256;

use super::Trouble;

#[derive(Debug)]
pub(super) struct Server {
    certificate: Vec<u8>,
    key: RsaPrivateKey,
}

/// What the server sends back.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) signature: Vec<u8>,
    /// DER.
    pub(super) certificate: Vec<u8>,
}

impl Server {
    /// The owner's.
    pub(super) fn own() -> Result<Self, Trouble> {
        Self::named("server.corp.example")
    }

    /// Somebody else's; any certificate will do, as no chain is asked for.
    pub(super) fn of_somebody_else() -> Result<Self, Trouble> {
        Self::named("server.other.example")
    }

    fn named(name: &str) -> Result<Self, Trouble> {
        let trouble = |why: String| Trouble::Server(why);
        let identity =
            ProvisioningIdentity::for_name(name).map_err(|error| trouble(error.to_string()))?;
        let key = RsaPrivateKey::from_pkcs8_der(&identity.key)
            .map_err(|error| trouble(error.to_string()))?;
        let certificate = identity.chain.into_iter().next().unwrap_or_default();
        Ok(Self { certificate, key })
    }

    /// Signs a SHA-256 that was made elsewhere: RSASSA-PKCS1-v1_5.
    pub(super) fn sign(&self, hash: &[u8]) -> Result<Signed, Trouble> {
        let signature = self.key.sign(Pkcs1v15Sign::new::<Sha256>(), hash);
        Ok(Signed {
            signature: signature.map_err(|error| Trouble::Server(error.to_string()))?,
            certificate: self.certificate.clone(),
        })
    }
}
