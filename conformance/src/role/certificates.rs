//! Certificates of the central server: one that a device takes, and those that each have one thing wrong.
//!
//! ```text
//!   amt-sim Provisioning Root CA ─▶ amt-sim Provisioning Issuing CA ─▶ the server's own
//! ```
//! The good one is that of [`ProvisioningIdentity`]. Every other one is the same but for what its name says, and like it
//! a function of its name alone: the same bytes every time.

use std::sync::OnceLock;

use amt_sim::pki::{PROVISIONING_EKU, PROVISIONING_OU, ProvisioningIdentity};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm,
    SigningKey, date_time_ymd,
};
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::words::words;

/// Name of the central server: within the domain of the devices that come with the program.
pub const SERVER: &str = "mc.corp.example";

/// A key that is nobody's who sets devices up: that of whoever took the host over.
pub const ROGUE_KEY: &str = include_str!("../../../fixtures/keys/rogue.pem");

/// A key of 1024 bits.
const SHORT_KEY: &str = include_str!("../../../fixtures/keys/short.pem");

words! {
    /// What certificate the server was given by its authority.
    CertificateForm {
        /// One that a device of its domain takes.
        Good = "good",
        /// Its validity is over.
        Expired = "expired",
        /// It was signed over SHA-1.
        Sha1 = "sha1",
        /// Its key has 1024 bits.
        Rsa1024 = "rsa-1024",
        /// It is for a name in another domain.
        WrongSuffix = "wrong-suffix",
        /// It is for a name that only ends in the same letters as the device's domain.
        LookAlikeSuffix = "look-alike-suffix",
        /// Neither extended key usage nor organisational unit say that it is for AMT set-up.
        NoSetupMark = "no-setup-mark",
        /// It is for TLS clients, not for servers.
        ClientOnly = "client-only",
        /// Its issuer is no authority.
        IssuerIsNoAuthority = "issuer-is-no-authority",
        /// The issuer did not sign it, though it names it.
        ForgedSignature = "forged-signature",
        /// The chain ends at a root that no device knows.
        UnknownRoot = "unknown-root",
        /// Five authorities stand between it and the root.
        LongChain = "long-chain",
    }
}

/// A certificate with its chain and key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// DER, leaf first, root last.
    pub chain: Vec<Vec<u8>>,
    pub key: RsaPrivateKey,
}

/// Why a certificate could not be made. It never happens: what goes into it is fixed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    #[error("a certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("a certificate could not be made: {0}")]
    Authority(#[from] amt_sim::pki::AuthorityError),
    #[error("a key cannot be read: {0}")]
    Key(String),
    #[error("a certificate could not be signed over SHA-1")]
    Sha1,
}

impl Identity {
    /// What the server holds. Making one takes a while, so that each is made once.
    pub fn of(form: CertificateForm) -> Result<Self, CertificateError> {
        static MADE: [OnceLock<Identity>; CertificateForm::ALL.len()] =
            [const { OnceLock::new() }; CertificateForm::ALL.len()];
        // Forms are numbered as they stand in the list of all.
        let Some(slot) = MADE.get(form as usize) else {
            return Self::make(form);
        };
        if let Some(made) = slot.get() {
            return Ok(made.clone());
        }
        let made = Self::make(form)?;
        Ok(slot.get_or_init(|| made).clone())
    }

    fn make(form: CertificateForm) -> Result<Self, CertificateError> {
        if form == CertificateForm::Good {
            let good = ProvisioningIdentity::for_name(SERVER)?;
            return Ok(Self {
                chain: good.chain,
                key: private_key(fixtures::keys::PROVISIONING)?,
            });
        }
        let root_key = match form {
            CertificateForm::UnknownRoot => ROGUE_KEY,
            _ => fixtures::keys::ROOT,
        };
        let root = Party::new(root_key)?;
        let issuing = Party::new(fixtures::keys::INTERMEDIATE)?;
        let leaf = Party::new(match form {
            CertificateForm::Rsa1024 => SHORT_KEY,
            _ => fixtures::keys::PROVISIONING,
        })?;
        // Names and keys of the good chain: its root is the one that devices are told about.
        let root_params = authority("amt-sim Provisioning Root CA", &root);
        let mut issuing_params = authority("amt-sim Provisioning Issuing CA", &issuing);
        if form == CertificateForm::IssuerIsNoAuthority {
            issuing_params.is_ca = IsCa::ExplicitNoCa;
            issuing_params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        }
        let root_issuer = Issuer::from_params(&root_params, &root);
        let issuing_certificate = issuing_params.signed_by(&issuing, &root_issuer)?;
        // Whoever forges has the issuer's name, but a key of his own.
        let signer = Party::new(match form {
            CertificateForm::ForgedSignature => ROGUE_KEY,
            _ => fixtures::keys::INTERMEDIATE,
        })?;
        let leaf_issuer = Issuer::from_params(&issuing_params, &signer);
        let mut certificate = leaf_params(form, &leaf)
            .signed_by(&leaf, &leaf_issuer)?
            .der()
            .to_vec();
        if form == CertificateForm::Sha1 {
            certificate = signed_over_sha1(certificate, &signer.key)?;
        }
        let mut between = vec![issuing_certificate.der().to_vec()];
        if form == CertificateForm::LongChain {
            between = long_way(&issuing, &issuing_params, &root_issuer)?;
        }
        let root_certificate = match form {
            CertificateForm::UnknownRoot => root_params.self_signed(&root)?.der().to_vec(),
            _ => ProvisioningIdentity::for_name(SERVER)?
                .chain
                .pop()
                .unwrap_or_default(),
        };
        let mut chain = vec![certificate];
        chain.append(&mut between);
        chain.push(root_certificate);
        Ok(Self {
            chain,
            key: leaf.key,
        })
    }

    /// What somebody has who trusts nobody but himself.
    pub fn rogue() -> Result<Self, CertificateError> {
        let rogue = Party::new(ROGUE_KEY)?;
        let certificate = leaf_params(CertificateForm::Good, &rogue).self_signed(&rogue)?;
        Ok(Self {
            chain: vec![certificate.der().to_vec()],
            key: rogue.key,
        })
    }

    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map(Vec::as_slice).unwrap_or_default()
    }
}

/// SHA-256 of a certificate, as hex digits.
pub fn fingerprint(der: &[u8]) -> String {
    amt_sim::hex::encode(&Sha256::digest(der))
}

/// A key in PKCS#8 PEM.
pub fn private_key(pem: &str) -> Result<RsaPrivateKey, CertificateError> {
    RsaPrivateKey::from_pkcs8_pem(pem).map_err(|error| CertificateError::Key(error.to_string()))
}

fn leaf_params(form: CertificateForm, party: &Party) -> CertificateParams {
    let name = match form {
        CertificateForm::WrongSuffix => "mc.other.example",
        CertificateForm::LookAlikeSuffix => "mc.evilcorp.example",
        _ => SERVER,
    };
    let marked = form != CertificateForm::NoSetupMark;
    let unit = (marked && form != CertificateForm::ClientOnly).then_some(PROVISIONING_OU);
    let mut params = params(name, unit, party);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![match form {
        CertificateForm::ClientOnly => ExtendedKeyUsagePurpose::ClientAuth,
        _ => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    if marked {
        let usage = ExtendedKeyUsagePurpose::Other(PROVISIONING_EKU.to_vec());
        params.extended_key_usages.push(usage);
    }
    if form == CertificateForm::Expired {
        params.not_before = date_time_ymd(2022, 1, 1);
        params.not_after = date_time_ymd(2023, 1, 1);
    }
    params
}

/// Five authorities, each issued by the next: the last by the root.
fn long_way(
    issuing: &Party,
    lowest: &CertificateParams,
    root: &Issuer<'_, &Party>,
) -> Result<Vec<Vec<u8>>, CertificateError> {
    let mut params = vec![lowest.clone()];
    for number in 2..=5 {
        params.push(authority(&format!("amt-sim Issuing CA {number}"), issuing));
    }
    let mut chain = Vec::new();
    for (at, subject) in params.iter().enumerate() {
        let certificate = match params.get(at + 1) {
            Some(above) => subject.signed_by(issuing, &Issuer::from_params(above, issuing))?,
            None => subject.signed_by(issuing, root)?,
        };
        chain.push(certificate.der().to_vec());
    }
    Ok(chain)
}

fn authority(name: &str, party: &Party) -> CertificateParams {
    let mut params = params(name, None, party);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(common_name: &str, unit: Option<&str>, party: &Party) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "US");
    name.push(DnType::OrganizationName, "amt-sim");
    if let Some(unit) = unit {
        name.push(DnType::OrganizationalUnitName, unit);
    }
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    // Sixteen bytes, positive and not zero.
    let mut serial = Sha256::digest(common_name.as_bytes())[..16].to_vec();
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from(serial));
    let identifier = Sha256::digest(&party.public)[..20].to_vec();
    params.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
    params
}

/// The same certificate under `sha1WithRSAEncryption`, which its maker cannot write: both identifiers get another last
/// number, and the signature is made anew. It has the same length.
fn signed_over_sha1(mut der: Vec<u8>, key: &RsaPrivateKey) -> Result<Vec<u8>, CertificateError> {
    /// sha256WithRSAEncryption, 1.2.840.113549.1.1.11; that over SHA-1 ends in 5.
    const IDENTIFIER: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
    /// What stands before a SHA-1 hash in a signature: RFC 8017, section 9.2, note 1.
    const DIGEST_INFO: [u8; 15] = *b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14";
    /// Tag and length of the outer sequence, which is longer than 255 bytes.
    const OUTER_HEADER: usize = 4;
    let places: Vec<usize> = der
        .windows(IDENTIFIER.len())
        .enumerate()
        .filter(|(_, window)| *window == IDENTIFIER)
        .map(|(at, _)| at)
        .collect();
    let [_, second] = places.as_slice() else {
        return Err(CertificateError::Sha1);
    };
    for at in &places {
        der[at + IDENTIFIER.len() - 1] = 5;
    }
    // What is signed stands between the outer header and the sequence around the second identifier.
    let signed = der
        .get(OUTER_HEADER..second.saturating_sub(2))
        .ok_or(CertificateError::Sha1)?;
    let padding = Pkcs1v15Sign {
        hash_len: Some(20),
        prefix: DIGEST_INFO.into(),
    };
    let signature = key
        .sign(padding, &Sha1::digest(signed))
        .map_err(|_| CertificateError::Sha1)?;
    let end = der.len() - signature.len();
    der[end..].copy_from_slice(&signature);
    Ok(der)
}

/// Somebody who holds a key.
struct Party {
    key: RsaPrivateKey,
    /// PKCS#1 DER.
    public: Vec<u8>,
}

impl Party {
    fn new(pem: &str) -> Result<Self, CertificateError> {
        let key = private_key(pem)?;
        let public = key
            .to_public_key()
            .to_pkcs1_der()
            .map_err(|error| CertificateError::Key(error.to_string()))?
            .into_vec();
        Ok(Self { key, public })
    }
}

impl PublicKeyData for Party {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl SigningKey for Party {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key
            .sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message))
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_form_gives_the_same_bytes_and_another_one_others() {
        let mut leaves = Vec::new();
        for form in CertificateForm::ALL {
            let first = Identity::of(*form).unwrap();
            assert_eq!(first.chain, Identity::make(*form).unwrap().chain, "{form}");
            let length = if *form == CertificateForm::LongChain {
                7
            } else {
                3
            };
            assert_eq!(first.chain.len(), length, "{form}");
            leaves.push(first.leaf().to_vec());
        }
        leaves.sort();
        leaves.dedup();
        // Three of them have the same leaf: what is wrong is above it.
        assert_eq!(leaves.len(), CertificateForm::ALL.len() - 2);
        let rogue = Identity::rogue().unwrap();
        assert!(!leaves.contains(&rogue.chain[0]));
    }

    #[test]
    fn all_but_one_end_at_the_root_that_scenarios_name() {
        let root = |form| fingerprint(Identity::of(form).unwrap().chain.last().unwrap());
        let good = root(CertificateForm::Good);
        for form in CertificateForm::ALL {
            let known = root(*form) == good;
            assert_eq!(known, *form != CertificateForm::UnknownRoot, "{form}");
        }
        for file in fixtures::SCENARIOS {
            if file.path.contains("scenarios/setup/") && file.text.contains("certificates.custom") {
                assert!(file.text.contains(&good), "{}: not {good}", file.path);
            }
        }
    }
}
