//! Certificates for the tests of mutual TLS.

use rcgen::{
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PublicKeyData, SignatureAlgorithm,
};

use super::ProvisioningIdentity;
use super::authority::Party;

/// A client's certificate, signed by the project's provisioning root; the chain is the leaf and that root.
pub(crate) fn client(name: &str) -> ProvisioningIdentity {
    let root = Party::new("root", fixtures::keys::ROOT).unwrap();
    let leaf = Party::new(name, fixtures::keys::PROVISIONING).unwrap();
    let root_params = root.authority("amt-sim Provisioning Root CA", 1);
    let root_certificate = root_params.self_signed(&root).unwrap();
    let mut params = leaf.params(name, None);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let issuer = Issuer::from_params(&root_params, &root);
    let certificate = params.signed_by(&leaf, &issuer).unwrap();
    ProvisioningIdentity {
        chain: vec![certificate.der().to_vec(), root_certificate.der().to_vec()],
        key: leaf.pkcs8().unwrap(),
    }
}

/// A certificate of the same root for somebody else's RSA key, which is given as PKCS#1 RSAPublicKey.
pub(crate) fn certify(name: &str, public: &[u8]) -> Vec<u8> {
    let root = Party::new("root", fixtures::keys::ROOT).unwrap();
    let root_params = root.authority("amt-sim Provisioning Root CA", 1);
    let mut params = root.params(name, None);
    params.is_ca = IsCa::ExplicitNoCa;
    let issuer = Issuer::from_params(&root_params, &root);
    let certificate = params.signed_by(&Public(public.to_vec()), &issuer).unwrap();
    certificate.der().to_vec()
}

struct Public(Vec<u8>);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}
