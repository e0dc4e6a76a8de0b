//! A provisioning identity as the files that programs want. Here and not in `pki`, because PKCS#12 needs random salts.

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKeyChain};
use sha2::{Digest, Sha256};

use crate::device::{CertificateHash, HashAlgorithm};
use crate::pki::{ProvisioningIdentity, pem};

/// Why there is no PFX.
#[derive(Debug, thiserror::Error)]
#[error("the PFX could not be made: {0}")]
pub struct KeystoreError(String);

/// Key and whole chain, encrypted with AES-256 and HMAC-SHA-256 as current programs expect.
pub fn pfx(identity: &ProvisioningIdentity, password: &str) -> Result<Vec<u8>, KeystoreError> {
    let wrong = |error: p12_keystore::error::Error| KeystoreError(error.to_string());
    let chain = identity
        .chain
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong)?;
    let local_key_id = [1];
    let mut store = KeyStore::new();
    store.add_entry(
        "provisioning",
        KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(
            identity.key.clone(),
            local_key_id,
            chain,
        )),
    );
    store.writer(password).write().map_err(wrong)
}

/// One file of an identity.
#[derive(Debug)]
pub struct IdentityFile {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// It holds the private key.
    pub is_secret: bool,
}

/// A chain of three as single certificates, as a whole, and with its key: whatever an SCA may ask for.
pub fn files(
    identity: &ProvisioningIdentity,
    pfx_password: &str,
) -> Result<Vec<IdentityFile>, KeystoreError> {
    let public = |name, text: String| IdentityFile {
        name,
        bytes: text.into_bytes(),
        is_secret: false,
    };
    let secret = |name, bytes| IdentityFile {
        name,
        bytes,
        is_secret: true,
    };
    let names = ["leaf.pem", "intermediate.pem", "root.pem"];
    let single = names.into_iter().zip(&identity.chain);
    let mut files: Vec<IdentityFile> = single
        .map(|(name, der)| public(name, pem("CERTIFICATE", der)))
        .collect();
    files.push(public("chain.pem", identity.chain_pem()));
    files.push(secret("key.pem", identity.key_pem().into_bytes()));
    files.push(secret("provisioning.pfx", pfx(identity, pfx_password)?));
    Ok(files)
}

/// A certificate's fingerprint.
pub fn sha256(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

/// The entry that typing a root certificate's hash into MEBx makes: active, not a default, named after the
/// certificate. `None` when the bytes are no certificate, neither PEM nor DER.
pub fn root_hash(bytes: &[u8]) -> Option<CertificateHash> {
    /// Characters that a name in the list of hashes may have.
    const LONGEST_NAME: usize = 32;
    let der = match rsa::pkcs8::der::pem::decode_vec(bytes) {
        Ok(("CERTIFICATE", der)) => der,
        _ => bytes.to_vec(),
    };
    let certificate = Certificate::from_der(&der).ok()?;
    let subject = certificate.subject();
    let name = subject
        .split(',')
        .find_map(|part| part.trim().strip_prefix("CN="))
        .unwrap_or(subject);
    let name: String = name
        .chars()
        .filter(char::is_ascii)
        .take(LONGEST_NAME)
        .collect();
    Some(CertificateHash {
        name: if name.is_empty() {
            "custom".to_owned()
        } else {
            name
        },
        algorithm: HashAlgorithm::Sha256,
        hash: crate::hex::encode(&sha256(&der)),
        active: true,
        default: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_taken_as_pem_and_as_der() {
        let identity = ProvisioningIdentity::for_name("mc.corp.example").unwrap();
        let der = identity.chain.last().unwrap();
        let pem = crate::pki::pem("CERTIFICATE", der);
        let hash = root_hash(pem.as_bytes()).unwrap();
        assert_eq!(hash.name, "amt-sim Provisioning Root CA");
        assert_eq!(hash.digest(), identity.root_hash());
        assert_eq!(root_hash(der), Some(hash));
        assert_eq!(root_hash(b"hello"), None);
    }

    #[test]
    fn a_store_opens_with_its_password_only() {
        let identity = ProvisioningIdentity::for_name("mc.corp.example").unwrap();
        let store = pfx(&identity, "secret").unwrap();
        assert!(KeyStore::from_pkcs12(&store, "wrong").is_err());
        let opened = KeyStore::from_pkcs12(&store, "secret").unwrap();
        let (_, chain) = opened.private_key_chain().unwrap();
        assert_eq!(chain.key(), identity.key);
        assert_eq!(chain.chain().len(), 3);
    }
}
