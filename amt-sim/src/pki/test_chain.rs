//! Provisioning chains for tests, right ones and wrong ones. Every one is a function of its description.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm,
    SigningKey, date_time_ymd,
};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::DecodePrivateKey;

use super::signature::{Digest, fingerprint};
use super::{PROVISIONING_EKU, PROVISIONING_OU};
use crate::device::{CertificateHash, HashAlgorithm};

/// A key of 1024 bits. As public as this file is.
pub(crate) const SHORT_KEY: &str = include_str!("testdata/short-key.pem");

/// One certificate to be.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) common_name: Option<&'static str>,
    pub(crate) unit: Option<&'static str>,
    /// DNS name of a subject alternative name.
    pub(crate) alternative: Option<&'static str>,
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) authority: IsCa,
    pub(crate) key_usages: Vec<KeyUsagePurpose>,
    /// Years whose first days begin and end the validity.
    pub(crate) years: (i32, i32),
    /// PKCS#8 PEM.
    pub(crate) key: &'static str,
    /// What the certificate is signed over.
    pub(crate) digest: Digest,
    pub(crate) serial: Vec<u8>,
}

/// A chain to be, leaf first, root last.
#[derive(Debug, Clone)]
pub(crate) struct TestChain(pub(crate) Vec<Plan>);

impl TestChain {
    /// Leaf, one intermediate, root: what a device in `corp.example` takes once it knows the root.
    pub(crate) fn good() -> Self {
        Self::with_intermediates(1)
    }

    pub(crate) fn with_intermediates(count: usize) -> Self {
        const NAMES: [&str; 6] = ["CA 1", "CA 2", "CA 3", "CA 4", "CA 5", "CA 6"];
        let mut plans = vec![Plan::leaf()];
        for name in &NAMES[..count] {
            plans.push(Plan::authority(name, fixtures::keys::INTERMEDIATE));
        }
        plans.push(Plan::authority("Root CA", fixtures::keys::ROOT));
        Self(plans)
    }

    pub(crate) fn leaf(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.0[0]);
        self
    }

    /// Changes the certificate at this place, 0 being the leaf.
    pub(crate) fn at(mut self, place: usize, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.0[place]);
        self
    }

    /// DER, leaf first.
    pub(crate) fn build(&self) -> Vec<Vec<u8>> {
        (0..self.0.len())
            .map(|place| {
                let issuer = self.0.get(place + 1).unwrap_or(&self.0[place]);
                self.0[place].issued_by(issuer)
            })
            .collect()
    }

    pub(crate) fn root_entry(&self, algorithm: HashAlgorithm, active: bool) -> CertificateHash {
        let root = self.build().pop().unwrap();
        CertificateHash {
            name: "Test root".to_owned(),
            algorithm,
            hash: crate::hex::encode(&fingerprint(algorithm, &root)),
            active,
            default: false,
        }
    }

    /// The leaf's key.
    pub(crate) fn key(&self) -> RsaPrivateKey {
        RsaPrivateKey::from_pkcs8_pem(self.0[0].key).unwrap()
    }
}

impl Plan {
    pub(crate) fn leaf() -> Self {
        Self {
            common_name: Some("mc.corp.example"),
            unit: Some(PROVISIONING_OU),
            alternative: None,
            usages: vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::Other(PROVISIONING_EKU.to_vec()),
            ],
            authority: IsCa::ExplicitNoCa,
            key_usages: vec![KeyUsagePurpose::DigitalSignature],
            years: (2024, 2045),
            key: fixtures::keys::PROVISIONING,
            digest: Digest::Sha256,
            serial: vec![0x11],
        }
    }

    pub(crate) fn authority(name: &'static str, key: &'static str) -> Self {
        Self {
            common_name: Some(name),
            unit: None,
            usages: Vec::new(),
            authority: IsCa::Ca(BasicConstraints::Unconstrained),
            key_usages: vec![KeyUsagePurpose::KeyCertSign],
            serial: name.as_bytes().to_vec(),
            key,
            ..Self::leaf()
        }
    }

    pub(crate) fn self_signed(&self) -> Vec<u8> {
        self.issued_by(self)
    }

    fn issued_by(&self, issuer: &Self) -> Vec<u8> {
        let signer = Signer::new(issuer.key, self.digest);
        let params = issuer.params();
        let der = self
            .params()
            .signed_by(
                &Signer::new(self.key, self.digest),
                &Issuer::from_params(&params, &signer),
            )
            .unwrap()
            .der()
            .to_vec();
        match self.digest {
            Digest::Md5 => signer.sign_again(der, 4),
            Digest::Sha1 => signer.sign_again(der, 5),
            _ => der,
        }
    }

    fn params(&self) -> CertificateParams {
        let mut name = DistinguishedName::new();
        if let Some(unit) = self.unit {
            name.push(DnType::OrganizationalUnitName, unit);
        }
        if let Some(common_name) = self.common_name {
            name.push(DnType::CommonName, common_name);
        }
        let names: Vec<String> = self.alternative.map(str::to_owned).into_iter().collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = name;
        params.extended_key_usages = self.usages.clone();
        params.is_ca = self.authority;
        params.key_usages = self.key_usages.clone();
        params.not_before = date_time_ymd(self.years.0, 1, 1);
        params.not_after = date_time_ymd(self.years.1, 1, 1);
        params.serial_number = Some(SerialNumber::from(self.serial.clone()));
        params.key_identifier_method = KeyIdMethod::PreSpecified(vec![1; 20]);
        params
    }
}

struct Signer {
    key: RsaPrivateKey,
    public: Vec<u8>,
    digest: Digest,
}

impl Signer {
    fn new(pem: &str, digest: Digest) -> Self {
        let key = RsaPrivateKey::from_pkcs8_pem(pem).unwrap();
        let public = key.to_public_key().to_pkcs1_der().unwrap().into_vec();
        Self {
            key,
            public,
            digest,
        }
    }

    /// The same certificate under an algorithm that the certificate maker does not know: both identifiers
    /// `1.2.840.113549.1.1.11` get another last number, and the signature is made anew.
    fn sign_again(&self, mut der: Vec<u8>, algorithm: u8) -> Vec<u8> {
        const SHA256_WITH_RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
        let places: Vec<usize> = (0..der.len())
            .filter(|at| der[*at..].starts_with(SHA256_WITH_RSA))
            .collect();
        assert_eq!(places.len(), 2);
        for at in &places {
            der[at + SHA256_WITH_RSA.len() - 1] = algorithm;
        }
        // What is signed stands between the outer header (4 bytes) and the sequence of the second identifier.
        let signed = &der[4..places[1] - 2];
        let signature = self
            .key
            .sign(self.digest.padding(), &self.digest.of(signed))
            .unwrap();
        let end = der.len() - signature.len();
        der.truncate(end);
        der.extend(signature);
        der
    }
}

impl PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.digest {
            Digest::Sha384 => &rcgen::PKCS_RSA_SHA384,
            Digest::Sha512 => &rcgen::PKCS_RSA_SHA512,
            _ => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let digest = match self.digest {
            Digest::Md5 | Digest::Sha1 => Digest::Sha256,
            strong => strong,
        };
        let signed = self.key.sign(digest.padding(), &digest.of(message));
        signed.map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
