//! What TLS on the ports takes from the stores: the certificate to show, and the roots to believe.

use super::credentials::{CERTIFICATE, certificate_number, key_of};
use crate::device::Firmware;
use crate::wsman::store;
use crate::wsman::value::{Instance, Value};

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// DER.
    pub(crate) certificate: Vec<u8>,
    /// PKCS#1 RSAPrivateKey, DER.
    pub(crate) key: Vec<u8>,
}

/// The certificate of this number, if it is there and the device has its key.
pub(crate) fn certificate(fw: &Firmware, number: u32) -> Option<Shown> {
    let stored = store::instances(fw, CERTIFICATE)
        .into_iter()
        .find(|stored| stored.text("InstanceID").and_then(certificate_number) == Some(number))?;
    Some(Shown {
        certificate: der(&stored)?,
        key: crate::hex::decode(&key_of(fw, &stored)?.private)?,
    })
}

/// Every root that was added as a trusted one, DER.
pub(crate) fn trusted_roots(fw: &Firmware) -> Vec<Vec<u8>> {
    store::instances(fw, CERTIFICATE)
        .iter()
        .filter(|stored| stored.bool("TrustedRootCertficate") == Some(true))
        .filter_map(der)
        .collect()
}

/// A certificate's subject, as AMT_PublicKeyCertificate shows it.
pub(crate) fn subject_of(certificate: &[u8]) -> Option<String> {
    Some(super::der::certificate(certificate)?.subject)
}

fn der(stored: &Instance) -> Option<Vec<u8>> {
    match stored.get("X509Certificate")? {
        Value::Bytes(der) => Some(der.clone()),
        _ => None,
    }
}

/// For tests of TLS on the ports: what clients do with AddKey and AddCertificate.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::device::StoredKey;
    use crate::wsman::value::Selectors;
    use rsa::RsaPrivateKey;
    use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey};
    use rsa::pkcs8::DecodePrivateKey;

    pub(crate) fn store_certificate(fw: &mut Firmware, number: u32, der: &[u8], trusted: bool) {
        let id = format!("Intel(r) AMT Certificate: Handle: {number}");
        let keys = Selectors::new().with("InstanceID", id.as_str());
        let instance = Instance::new()
            .with("InstanceID", id.as_str())
            .with("TrustedRootCertficate", trusted)
            .with("X509Certificate", Value::Bytes(der.to_vec()));
        store::create(fw, CERTIFICATE, &keys, instance);
    }

    pub(crate) fn store_key(fw: &mut Firmware, pkcs8: &[u8]) {
        let key = RsaPrivateKey::from_pkcs8_der(pkcs8).unwrap();
        let public = key.to_public_key().to_pkcs1_der().unwrap();
        fw.state.keys.push(StoredKey {
            handle: 4,
            private: crate::hex::encode(key.to_pkcs1_der().unwrap().as_bytes()),
            public: crate::hex::encode(public.as_bytes()),
        });
    }
}
