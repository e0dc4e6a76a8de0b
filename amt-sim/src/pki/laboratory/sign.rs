//! Keys of the laboratory, and signing with them.

use std::sync::OnceLock;

use p384::SecretKey;
use p384::elliptic_curve::sec1::ToEncodedPoint as _;
use p384::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPublicKey as _;

use crate::pki::AuthorityError;
use crate::pki::signature::Digest;

/// A key that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Root,
    Intermediate,
    Provisioning,
    /// Of somebody else.
    Rogue,
    /// RSA 1024.
    Short,
    /// RSA 4096.
    Long,
    /// P-384; the last one, all before it are RSA.
    Elliptic,
}

impl Key {
    const fn pem(self) -> &'static str {
        match self {
            Self::Root => fixtures::keys::ROOT,
            Self::Intermediate => fixtures::keys::INTERMEDIATE,
            Self::Provisioning => fixtures::keys::PROVISIONING,
            Self::Rogue => fixtures::keys::ROGUE,
            Self::Short => fixtures::keys::SHORT,
            Self::Long => fixtures::keys::LONG,
            Self::Elliptic => fixtures::keys::ELLIPTIC,
        }
    }

    pub(super) fn pkcs8(self) -> Result<Vec<u8>, AuthorityError> {
        let document = match self {
            Self::Elliptic => elliptic()?.to_pkcs8_der(),
            _ => self.rsa()?.to_pkcs8_der(),
        };
        let document = document.map_err(|error| AuthorityError::Key(error.to_string()))?;
        Ok(document.as_bytes().to_vec())
    }

    /// Reading a key takes longer than signing with it, so that each is read once.
    fn rsa(self) -> Result<&'static RsaPrivateKey, AuthorityError> {
        const KEYS: usize = Key::Elliptic as usize;
        static READ: [OnceLock<RsaPrivateKey>; KEYS] = [const { OnceLock::new() }; KEYS];
        let no_rsa = || AuthorityError::Key("it is no RSA key".to_owned());
        let slot = READ.get(self as usize).ok_or_else(no_rsa)?;
        if let Some(key) = slot.get() {
            return Ok(key);
        }
        let key = RsaPrivateKey::from_pkcs8_pem(self.pem())
            .map_err(|error| AuthorityError::Key(error.to_string()))?;
        Ok(slot.get_or_init(|| key))
    }
}

fn elliptic() -> Result<SecretKey, AuthorityError> {
    SecretKey::from_pkcs8_pem(Key::Elliptic.pem())
        .map_err(|error| AuthorityError::Key(error.to_string()))
}

/// Somebody who has a key; what he signs is signed over `digest`.
pub(super) struct Holder {
    /// Absent where the key is elliptic: nobody here signs with one.
    key: Option<&'static RsaPrivateKey>,
    /// PKCS#1 DER, or an uncompressed point.
    public: Vec<u8>,
    digest: Digest,
}

impl Holder {
    pub(super) fn new(key: Key, digest: Digest) -> Result<Self, AuthorityError> {
        let (key, public) = if key == Key::Elliptic {
            let public = elliptic()?.public_key().to_encoded_point(false);
            (None, public.as_bytes().to_vec())
        } else {
            let key = key.rsa()?;
            let public = key.to_public_key().to_pkcs1_der();
            let public = public.map_err(|error| AuthorityError::Key(error.to_string()))?;
            (Some(key), public.into_vec())
        };
        Ok(Self {
            key,
            public,
            digest,
        })
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    fn signature(&self, digest: Digest, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let key = self.key.ok_or(rcgen::Error::RemoteKeyError)?;
        let signed = key.sign(digest.padding(), &digest.of(message));
        signed.map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl PublicKeyData for Holder {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match (&self.key, self.digest) {
            (None, _) => &rcgen::PKCS_ECDSA_P384_SHA384,
            (_, Digest::Sha384) => &rcgen::PKCS_RSA_SHA384,
            (_, Digest::Sha512) => &rcgen::PKCS_RSA_SHA512,
            _ => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for Holder {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        // The certificate maker knows no weaker one; such a certificate is signed once more.
        let digest = match self.digest {
            Digest::Md5 | Digest::Sha1 => Digest::Sha256,
            strong => strong,
        };
        self.signature(digest, message)
    }
}

/// The same certificate under an algorithm that the certificate maker does not know: both identifiers of
/// `sha256WithRSAEncryption` get another last number, and the signature is made anew. It has the same length.
pub(super) fn resign(
    mut der: Vec<u8>,
    signer: &Holder,
    digest: Digest,
) -> Result<Vec<u8>, AuthorityError> {
    /// 1.2.840.113549.1.1.11.
    const IDENTIFIER: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
    /// Tag and length of the outer sequence, which is longer than 255 bytes.
    const OUTER_HEADER: usize = 4;
    let odd = || AuthorityError::Make(rcgen::Error::CouldNotParseCertificate);
    let number = match digest {
        Digest::Md5 => 4,
        _ => 5,
    };
    let places: Vec<usize> = der
        .windows(IDENTIFIER.len())
        .enumerate()
        .filter(|(_, window)| *window == IDENTIFIER)
        .map(|(at, _)| at)
        .collect();
    let [_, second] = places.as_slice() else {
        return Err(odd());
    };
    for at in &places {
        der[at + IDENTIFIER.len() - 1] = number;
    }
    // What is signed stands between the outer header and the sequence around the second identifier.
    let signed = der
        .get(OUTER_HEADER..second.saturating_sub(2))
        .ok_or_else(odd)?;
    let signature = signer.signature(digest, signed)?;
    let end = der.len().checked_sub(signature.len()).ok_or_else(odd)?;
    der[end..].copy_from_slice(&signature);
    Ok(der)
}
