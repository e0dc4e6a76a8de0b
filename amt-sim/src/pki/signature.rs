//! RSASSA-PKCS1-v1_5 as firmware checks it, and fingerprints of certificates.
//!
//! Source: RFC 8017 section 8.2 and, for the bytes in front of a digest, section 9.2.

use md5::Md5;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::device::HashAlgorithm;

/// A hash that an RSA signature may be made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    pub(crate) const ALL: [Self; 5] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// Of the SHA-2 family.
    pub(crate) const fn is_strong(self) -> bool {
        matches!(self, Self::Sha256 | Self::Sha384 | Self::Sha512)
    }

    pub(crate) fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => Md5::digest(message).to_vec(),
            Self::Sha1 => Sha1::digest(message).to_vec(),
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }

    /// Whether `signature` is this key's over `message`.
    pub(crate) fn verifies(self, key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> bool {
        key.verify(self.padding(), &self.of(message), signature)
            .is_ok()
    }

    pub(super) fn padding(self) -> Pkcs1v15Sign {
        match self {
            Self::Md5 => legacy(
                16,
                b"\x30\x20\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00\x04\x10",
            ),
            Self::Sha1 => legacy(
                20,
                b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
            ),
            Self::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
            Self::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
            Self::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
        }
    }
}

/// The frame of a digest that the `rsa` crate has no name for without more features.
fn legacy(size: usize, prefix: &[u8]) -> Pkcs1v15Sign {
    Pkcs1v15Sign {
        hash_len: Some(size),
        prefix: prefix.into(),
    }
}

/// Fingerprint of a certificate by one of the algorithms of a root hash.
pub(crate) fn fingerprint(algorithm: HashAlgorithm, certificate: &[u8]) -> Vec<u8> {
    match algorithm {
        HashAlgorithm::Sha1 => Digest::Sha1,
        HashAlgorithm::Sha256 => Digest::Sha256,
        HashAlgorithm::Sha384 => Digest::Sha384,
    }
    .of(certificate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::RsaPrivateKey;
    use rsa::pkcs8::DecodePrivateKey;

    #[test]
    fn every_digest_verifies_its_own_signature_only() {
        let key = RsaPrivateKey::from_pkcs8_pem(fixtures::keys::ROOT).unwrap();
        let public = key.to_public_key();
        for digest in Digest::ALL {
            let signature = key.sign(digest.padding(), &digest.of(b"message")).unwrap();
            for other in Digest::ALL {
                assert_eq!(
                    other.verifies(&public, b"message", &signature),
                    other == digest
                );
            }
            assert!(!digest.verifies(&public, b"Message", &signature));
            assert!(!digest.verifies(&public, b"message", &signature[1..]));
            assert!(!digest.verifies(&public, b"message", &[]));
        }
    }

    #[test]
    fn fingerprints_have_the_size_of_their_algorithm() {
        for algorithm in [
            HashAlgorithm::Sha1,
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
        ] {
            assert_eq!(fingerprint(algorithm, b"x").len(), algorithm.size());
        }
    }
}
