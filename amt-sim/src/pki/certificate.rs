//! Reading an X.509 certificate: what firmware looks at, and nothing else.
//!
//! ```text
//! Certificate ::= SEQUENCE {
//!     tbsCertificate      what was signed: serial, issuer, validity, subject, key, extensions
//!     signatureAlgorithm  the same identifier once more
//!     signatureValue      BIT STRING }
//! ```
//! Source: RFC 5280 section 4.1.

use rsa::{BigUint, RsaPublicKey, traits::PublicKeyParts};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::signature::Digest;
use crate::time::UnixTime;

/// What one certificate says of itself. Nothing of it is proven yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Certificate {
    /// The whole certificate.
    pub(crate) der: Vec<u8>,
    /// `tbsCertificate` as it was signed.
    signed: Vec<u8>,
    signature: Vec<u8>,
    pub(crate) signature_algorithm: SignatureAlgorithm,
    /// Names as DER: two names are the same when their bytes are.
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    /// Serial number as it stands, big-endian, with the zero that keeps it positive.
    pub(crate) serial: Vec<u8>,
    /// The last common name of the subject, which is the most particular one.
    pub(crate) common_name: Option<String>,
    /// Organisational units of the subject.
    pub(crate) units: Vec<String>,
    /// DNS names of the subject alternative name.
    pub(crate) alternative_names: Vec<String>,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    pub(crate) key: Key,
    /// `None` without the basic constraints extension.
    pub(crate) constraints: Option<Constraints>,
    /// Whether key usage allows signing certificates; `None` without that extension.
    pub(crate) signs_certificates: Option<bool>,
    /// Extended key usages in dots; `None` without that extension.
    pub(crate) usages: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Constraints {
    pub(crate) authority: bool,
    /// Authorities that may stand between this one and the leaf.
    pub(crate) below: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5.
    Rsa(Digest),
    /// Another one, by its object identifier.
    Other(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Key {
    Rsa(RsaPublicKey),
    /// Another kind, by its object identifier.
    Other(String),
}

/// Why bytes are no certificate that can be worked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it is not the DER of an X.509 certificate")]
    Der,
    #[error("bytes follow the certificate")]
    Trailing,
    #[error("the signed and the outer signature algorithm differ")]
    Algorithms,
    #[error("an extension cannot be read or stands twice")]
    Extension,
    #[error("the public key cannot be used")]
    Key,
}

impl Certificate {
    /// Longest RSA modulus that is computed with, in bits: a longer one only costs time.
    const LONGEST_KEY: usize = 8192;
    /// Shortest one that is read at all.
    const SHORTEST_KEY: usize = 512;

    pub(crate) fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Unreadable::Der)?;
        if !rest.is_empty() {
            return Err(Unreadable::Trailing);
        }
        let body = &certificate.tbs_certificate;
        if body.signature != certificate.signature_algorithm {
            return Err(Unreadable::Algorithms);
        }
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            value.as_str().ok().map(str::to_owned)
        };
        Ok(Self {
            der: der.to_vec(),
            signed: body.as_ref().to_vec(),
            signature: certificate.signature_value.data.to_vec(),
            signature_algorithm: SignatureAlgorithm::of(
                &certificate.signature_algorithm.algorithm.to_id_string(),
            ),
            subject: body.subject.as_raw().to_vec(),
            issuer: body.issuer.as_raw().to_vec(),
            serial: body.raw_serial().to_vec(),
            common_name: body.subject.iter_common_name().filter_map(text).last(),
            units: body
                .subject
                .iter_organizational_unit()
                .filter_map(text)
                .collect(),
            alternative_names: alternative_names(&certificate)?,
            not_before: UnixTime(body.validity.not_before.timestamp()),
            not_after: UnixTime(body.validity.not_after.timestamp()),
            key: Self::key(&certificate)?,
            constraints: body
                .basic_constraints()
                .map_err(|_| Unreadable::Extension)?
                .map(|extension| Constraints {
                    authority: extension.value.ca,
                    below: extension.value.path_len_constraint,
                }),
            signs_certificates: body
                .key_usage()
                .map_err(|_| Unreadable::Extension)?
                .map(|extension| extension.value.key_cert_sign()),
            usages: usages(&certificate)?,
        })
    }

    fn key(certificate: &X509Certificate<'_>) -> Result<Key, Unreadable> {
        let info = certificate.public_key();
        let PublicKey::RSA(numbers) = info.parsed().map_err(|_| Unreadable::Key)? else {
            return Ok(Key::Other(info.algorithm.algorithm.to_id_string()));
        };
        let modulus = BigUint::from_bytes_be(numbers.modulus);
        let exponent = BigUint::from_bytes_be(numbers.exponent);
        // The arithmetic behind a signature wants an odd modulus of some size; this refuses every other one.
        let key = RsaPublicKey::new_with_max_size(modulus, exponent, Self::LONGEST_KEY)
            .map_err(|_| Unreadable::Key)?;
        if key.n().bits() < Self::SHORTEST_KEY {
            return Err(Unreadable::Key);
        }
        Ok(Key::Rsa(key))
    }

    /// Bits of the modulus of an RSA key.
    pub(crate) fn key_bits(&self) -> Option<usize> {
        match &self.key {
            Key::Rsa(key) => Some(key.n().bits()),
            Key::Other(_) => None,
        }
    }

    /// Whether `issuer`'s key made the signature on this certificate.
    pub(crate) fn is_signed_by(&self, issuer: &Self) -> bool {
        match (&self.signature_algorithm, &issuer.key) {
            (SignatureAlgorithm::Rsa(digest), Key::Rsa(key)) => {
                digest.verifies(key, &self.signed, &self.signature)
            }
            _ => false,
        }
    }

    /// Whether this extended key usage is named.
    pub(crate) fn has_usage(&self, wanted: &str) -> bool {
        let mut usages = self.usages.iter().flatten();
        usages.any(|usage| usage == wanted)
    }

    /// Whether the certificate names itself as its issuer.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

impl Key {
    /// id-ecPublicKey.
    pub(crate) const ELLIPTIC: &str = "1.2.840.10045.2.1";
}

impl SignatureAlgorithm {
    fn of(oid: &str) -> Self {
        match oid {
            "1.2.840.113549.1.1.4" => Self::Rsa(Digest::Md5),
            "1.2.840.113549.1.1.5" => Self::Rsa(Digest::Sha1),
            "1.2.840.113549.1.1.11" => Self::Rsa(Digest::Sha256),
            "1.2.840.113549.1.1.12" => Self::Rsa(Digest::Sha384),
            "1.2.840.113549.1.1.13" => Self::Rsa(Digest::Sha512),
            other => Self::Other(other.to_owned()),
        }
    }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, Unreadable> {
    let extension = certificate
        .subject_alternative_name()
        .map_err(|_| Unreadable::Extension)?;
    let names = extension
        .iter()
        .flat_map(|extension| &extension.value.general_names);
    Ok(names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect())
}

fn usages(certificate: &X509Certificate<'_>) -> Result<Option<Vec<String>>, Unreadable> {
    let extension = certificate
        .extended_key_usage()
        .map_err(|_| Unreadable::Extension)?;
    Ok(extension.map(|extension| {
        let usage = extension.value;
        // The reader turns the identifiers it knows into flags; only these two matter here.
        let known = [(usage.any, usage::ANY), (usage.server_auth, usage::SERVER)];
        let known = known
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, oid)| oid.to_owned());
        known
            .chain(usage.other.iter().map(|oid| oid.to_id_string()))
            .collect()
    }))
}

/// Extended key usages that a provisioning certificate is judged by.
pub(crate) mod usage {
    pub(crate) const ANY: &str = "2.5.29.37.0";
    /// TLS server authentication.
    pub(crate) const SERVER: &str = "1.3.6.1.5.5.7.3.1";
    /// [`super::super::PROVISIONING_EKU`] in dots.
    pub(crate) const PROVISIONING: &str = "2.16.840.1.113741.1.2.3";
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
