//! Root certificate hashes: which roots an SCA's certificate may end at.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::ProfileError;
use crate::diagnostic::{Diagnostic, closest, parse_toml};

/// Root certificate hashes built into the firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificates {
    /// Name of a file in `fixtures/hashes`.
    pub builtin: String,
    /// Hashes beside the built-in ones: what an OEM added, or what was typed into the set-up screen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom: Vec<CertificateHash>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateHash {
    /// At most 32 characters.
    pub name: String,
    pub algorithm: HashAlgorithm,
    /// Hex digits, as many as the algorithm needs.
    pub hash: String,
    #[serde(default = "yes")]
    pub active: bool,
    #[serde(default)]
    pub default: bool,
}

/// Algorithm numbers of CERT_HASH_ALGORITHM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    Sha1 = 1,
    Sha256 = 2,
    Sha384 = 3,
}

impl HashAlgorithm {
    /// Bytes of a digest.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// A file of root certificate hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashSet {
    pub title: String,
    pub hash: Vec<CertificateHash>,
}

/// Every file of hashes by its name, read once: each profile that is checked and each new device asks for one.
static BUILTIN: LazyLock<Vec<(&str, Result<HashSet, Diagnostic>)>> = LazyLock::new(|| {
    let files = fixtures::HASH_SETS.iter();
    files
        .map(|file| (file.name, parse_toml(file.path, file.text)))
        .collect()
});

impl HashSet {
    pub fn builtin(name: &str) -> Result<&'static Self, ProfileError> {
        match BUILTIN.iter().find(|(file, _)| *file == name) {
            Some((_, parsed)) => Ok(parsed.as_ref().map_err(Diagnostic::clone)?),
            None => Err(ProfileError::UnknownHashes {
                name: name.to_owned(),
                suggestion: closest(name, BUILTIN.iter().map(|(file, _)| *file)).map(str::to_owned),
            }),
        }
    }
}

impl CertificateHash {
    pub(super) fn is_well_formed(&self) -> bool {
        (1..=32).contains(&self.name.len())
            && self.name.is_ascii()
            && self.hash.len() == 2 * self.algorithm.size()
            && self.hash.bytes().all(|letter| letter.is_ascii_hexdigit())
    }

    /// The digest; empty when the text is not hex, which [`Profile::parse`] refuses.
    pub fn digest(&self) -> Vec<u8> {
        crate::hex::decode(&self.hash).unwrap_or_default()
    }
}

const fn yes() -> bool {
    true
}
