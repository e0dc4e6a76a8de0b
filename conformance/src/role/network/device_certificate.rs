//! The certificate that an SCA gives a device for its own ports, signed by the SCA's authority.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
    SigningKey, date_time_ymd,
};
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest as _, Sha256};

use crate::role::certificates::{CertificateError, private_key};

/// A certificate for the key whose public half is `public`, as PKCS#1 RSAPublicKey.
pub(super) fn issue(name: &str, public: &[u8]) -> Result<Vec<u8>, CertificateError> {
    let authority = Authority::new()?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    if let Ok(name) = name.try_into() {
        params.subject_alt_names = vec![SanType::DnsName(name)];
    }
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let hash = Sha256::digest(public);
    // Sixteen bytes, positive and not zero.
    let mut serial = hash[..16].to_vec();
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from(serial));
    params.key_identifier_method = KeyIdMethod::PreSpecified(hash[..20].to_vec());

    let mut issuer = DistinguishedName::new();
    issuer.push(DnType::OrganizationName, "amt-sim");
    issuer.push(DnType::CommonName, "amt-sim Device CA");
    let mut issuer_params = CertificateParams::default();
    issuer_params.distinguished_name = issuer;
    issuer_params.key_identifier_method = KeyIdMethod::PreSpecified(vec![7; 20]);
    let issuer = Issuer::from_params(&issuer_params, &authority);
    let certificate = params.signed_by(&Subject(public.to_vec()), &issuer)?;
    Ok(certificate.der().to_vec())
}

/// Somebody else's public key.
struct Subject(Vec<u8>);

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

/// The authority for the devices' own certificates. It has nothing to do with who may set devices up.
struct Authority {
    key: RsaPrivateKey,
    public: Vec<u8>,
}

impl Authority {
    fn new() -> Result<Self, CertificateError> {
        let key = private_key(fixtures::keys::INTERMEDIATE)?;
        let public = key
            .to_public_key()
            .to_pkcs1_der()
            .map_err(|error| CertificateError::Key(error.to_string()))?
            .into_vec();
        Ok(Self { key, public })
    }
}

impl PublicKeyData for Authority {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl SigningKey for Authority {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key
            .sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message))
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
