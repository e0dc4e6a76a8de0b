//! The project's own certificate authority: provisioning certificates that a device accepts once it trusts the root.
//!
//! ```text
//!   amt-sim Provisioning Root CA ─▶ amt-sim Provisioning Issuing CA ─▶ CN=NAME, OU=Intel(R) Client Setup Certificate
//! ```
//! Everything is a function of its arguments: RSA PKCS#1 v1.5 signatures draw nothing, the keys are fixed and public.
//!
//! Source for what a provisioning certificate must hold: "Intel AMT Implementation and Reference Guide", page
//! "Acquiring an Intel vPro certificate".

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm,
    SigningKey, date_time_ymd,
};
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs1v15::SigningKey as RsaSigner;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rsa::signature::{SignatureEncoding, Signer};
use rsa::{RsaPrivateKey, sha2::Sha256};
use sha2::Digest;

/// Extended key usage that marks a certificate as one for setting up AMT.
pub const PROVISIONING_EKU: [u64; 8] = [2, 16, 840, 1, 113_741, 1, 2, 3];

/// The other mark: this organisational unit, to the letter.
pub const PROVISIONING_OU: &str = "Intel(R) Client Setup Certificate";

/// A provisioning certificate with its chain and key.
#[derive(Debug, Clone)]
pub struct ProvisioningIdentity {
    /// DER, leaf first, root last.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's key, PKCS#8 DER.
    pub key: Vec<u8>,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    #[error(
        "{0:?} cannot be a certificate's name: write a host name such as provision.corp.example"
    )]
    Name(String),
    #[error("the certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("a built-in key cannot be read: {0}")]
    Key(String),
    #[error("the on-die root cannot be made {0} bytes long")]
    RootLength(usize),
}

impl ProvisioningIdentity {
    /// A certificate whose common name is `name`; its domain must be the device's DNS suffix.
    pub fn for_name(name: &str) -> Result<Self, AuthorityError> {
        if !is_host_name(name) {
            return Err(AuthorityError::Name(name.to_owned()));
        }
        let root = Party::new("root", fixtures::keys::ROOT)?;
        let intermediate = Party::new("intermediate", fixtures::keys::INTERMEDIATE)?;
        let leaf = Party::new(name, fixtures::keys::PROVISIONING)?;

        let root_params = root.authority(ROOT_NAME, 1);
        let root_certificate = root_params.self_signed(&root)?;
        let root_issuer = Issuer::from_params(&root_params, &root);

        let intermediate_params = intermediate.authority(ISSUING_NAME, 0);
        let intermediate_certificate =
            intermediate_params.signed_by(&intermediate, &root_issuer)?;
        let intermediate_issuer = Issuer::from_params(&intermediate_params, &intermediate);

        let leaf_certificate = leaf
            .provisioning(name)
            .signed_by(&leaf, &intermediate_issuer)?;
        Ok(Self {
            chain: vec![
                leaf_certificate.der().to_vec(),
                intermediate_certificate.der().to_vec(),
                root_certificate.der().to_vec(),
            ],
            key: leaf.pkcs8()?,
        })
    }

    /// SHA-256 of the root: what a device must have in its list of hashes.
    pub fn root_hash(&self) -> [u8; 32] {
        let root = self.chain.last().map(Vec::as_slice).unwrap_or_default();
        sha2::Sha256::digest(root).into()
    }

    /// The chain as PEM, leaf first.
    pub fn chain_pem(&self) -> String {
        self.chain
            .iter()
            .map(|der| pem("CERTIFICATE", der))
            .collect()
    }

    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

/// One DER object in PEM armour.
pub fn pem(label: &str, der: &[u8]) -> String {
    rsa::pkcs8::der::pem::encode_string(label, rsa::pkcs8::LineEnding::LF, der).unwrap_or_default()
}

/// Names of the two authorities.
pub(super) const ROOT_NAME: &str = "amt-sim Provisioning Root CA";
pub(super) const ISSUING_NAME: &str = "amt-sim Provisioning Issuing CA";

/// Letters, digits, hyphens and dots, with at least two labels; a leading `*.` is a name too.
pub(super) fn is_host_name(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 64 && name.contains('.') && name.split('.').all(label)
}

/// Somebody who holds a key: an authority or the leaf.
pub(super) struct Party {
    key: RsaPrivateKey,
    /// PKCS#1 DER.
    public: Vec<u8>,
    /// Told apart by it: the serial number follows from it.
    tag: String,
}

impl Party {
    pub(super) fn new(tag: &str, key: &str) -> Result<Self, AuthorityError> {
        let wrong = |error: String| AuthorityError::Key(error);
        let key = RsaPrivateKey::from_pkcs8_pem(key).map_err(|error| wrong(error.to_string()))?;
        let public = key
            .to_public_key()
            .to_pkcs1_der()
            .map_err(|error| wrong(error.to_string()))?
            .into_vec();
        Ok(Self {
            key,
            public,
            tag: tag.to_owned(),
        })
    }

    pub(super) fn pkcs8(&self) -> Result<Vec<u8>, AuthorityError> {
        match self.key.to_pkcs8_der() {
            Ok(document) => Ok(document.as_bytes().to_vec()),
            Err(error) => Err(AuthorityError::Key(error.to_string())),
        }
    }

    pub(super) fn authority(&self, common_name: &str, below: u8) -> CertificateParams {
        let mut params = self.params(common_name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    fn provisioning(&self, common_name: &str) -> CertificateParams {
        let mut params = self.params(common_name, Some(PROVISIONING_OU));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::Other(PROVISIONING_EKU.to_vec()),
        ];
        params
    }

    pub(super) fn params(&self, common_name: &str, unit: Option<&str>) -> CertificateParams {
        params(Some(common_name), unit, &self.tag, &self.public)
    }
}

/// What all certificates of the project have in common. The serial number follows from `tag`.
pub(super) fn params(
    common_name: Option<&str>,
    unit: Option<&str>,
    tag: &str,
    public: &[u8],
) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "US");
    name.push(DnType::OrganizationName, "amt-sim");
    if let Some(unit) = unit {
        name.push(DnType::OrganizationalUnitName, unit);
    }
    if let Some(common_name) = common_name {
        name.push(DnType::CommonName, common_name);
    }
    // Sixteen bytes, positive and not zero.
    let mut serial = sha2::Sha256::digest(tag.as_bytes())[..16].to_vec();
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params.serial_number = Some(SerialNumber::from(serial));
    let identifier = sha2::Sha256::digest(public)[..20].to_vec();
    params.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
    params.use_authority_key_identifier_extension = true;
    params
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
        let signer = RsaSigner::<Sha256>::new(self.key.clone());
        match signer.try_sign(message) {
            Ok(signature) => Ok(signature.to_vec()),
            Err(_) => Err(rcgen::Error::RemoteKeyError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn the_same_name_gives_the_same_certificate() {
        let first = ProvisioningIdentity::for_name("mc.corp.example").unwrap();
        let second = ProvisioningIdentity::for_name("mc.corp.example").unwrap();
        let other = ProvisioningIdentity::for_name("rps.corp.example").unwrap();
        assert_eq!(first.chain, second.chain);
        assert_ne!(first.chain[0], other.chain[0]);
        assert_eq!(first.root_hash(), other.root_hash());
    }

    #[rstest]
    #[case("")]
    #[case("corp")]
    #[case("a b.example")]
    #[case("-a.example")]
    #[case("a..example")]
    fn what_is_no_host_name_is_refused(#[case] name: &str) {
        assert!(matches!(
            ProvisioningIdentity::for_name(name),
            Err(AuthorityError::Name(_))
        ));
    }
}
