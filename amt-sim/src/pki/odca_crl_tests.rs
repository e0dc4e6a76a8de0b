//! Revocation lists, as another library reads them.

use p384::ecdsa::signature::Verifier as _;
use rstest::rstest;
use x509_parser::prelude::*;

use super::super::{OnDieChain, Turn, WrongChain};
use super::*;
use crate::device::Seed;

fn platform(family: &str, amt: u16) -> Platform {
    Platform {
        family: family.to_owned(),
        amt,
    }
}

fn lists() -> Vec<RevocationList> {
    revocation_lists([&platform("LNL", 20)], ListForm::Right).unwrap()
}

fn subject(der: &[u8]) -> String {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    certificate.subject().to_string()
}

#[test]
fn four_lists_each_signed_by_its_authority() {
    let chain = OnDieChain::for_device(Seed(3), "LNL", 20).unwrap();
    let lists = lists();
    let files: Vec<&str> = lists.iter().map(|list| list.file()).collect();
    assert_eq!(
        files,
        [
            "OnDie_CA.crl",
            "ODCA_CA2_CSME_Product.crl",
            "LNL_00003648_OnDie_CA.crl",
            "ODCA_CA2_CSME_Indirect.crl"
        ]
    );
    // Root, intermediate, issuing, intermediate, in the order of the chain.
    for (list, issuer) in lists.iter().zip([6, 5, 4, 5]) {
        let (rest, read) = CertificateRevocationList::from_der(&list.der).unwrap();
        assert!(rest.is_empty());
        let issuer = &chain.certificates[issuer];
        assert_eq!(read.issuer().to_string(), subject(issuer));
        let (_, issuer) = X509Certificate::from_der(issuer).unwrap();
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(
            &issuer.public_key().subject_public_key.data,
        );
        let signature = p384::ecdsa::Signature::from_der(&read.signature_value.data).unwrap();
        let signed = read.tbs_cert_list.as_ref();
        key.unwrap().verify(signed, &signature).unwrap();
        assert!(read.next_update().is_some());
    }
}

#[rstest]
#[case(WrongChain::RevokedLeaf, 0, "ODCA_CA2_CSME_Indirect.crl")]
#[case(WrongChain::RevokedKernel, 2, "ODCA_CA2_CSME_Indirect.crl")]
#[case(WrongChain::RevokedRom, 3, "LNL_00003648_OnDie_CA.crl")]
#[case(WrongChain::RevokedIntermediate, 5, "OnDie_CA.crl")]
fn what_the_laboratory_shows_is_on_its_list(
    #[case] chain: WrongChain,
    #[case] at: usize,
    #[case] file: &str,
) {
    let shown = chain
        .exhibit(Seed(3), "LNL", 20, Turn::default())
        .unwrap()
        .shown;
    let (_, certificate) = X509Certificate::from_der(&shown[at]).unwrap();
    let lists = lists();
    let list = lists.iter().find(|list| list.file() == file).unwrap();
    let (_, list) = CertificateRevocationList::from_der(&list.der).unwrap();
    let entry = list
        .iter_revoked_certificates()
        .find(|entry| entry.user_certificate == certificate.tbs_certificate.serial)
        .unwrap();
    // On the indirect list the entry names who certified it.
    let issuer = entry
        .extensions()
        .iter()
        .find(|extension| extension.oid.to_id_string() == "2.5.29.29");
    assert_eq!(issuer.is_some(), file.contains("Indirect"));
    if let Some(issuer) = issuer {
        let name = certificate.issuer().as_raw();
        assert!(
            issuer
                .value
                .windows(name.len())
                .any(|window| window == name)
        );
    }
    let genuine = OnDieChain::for_device(Seed(3), "LNL", 20).unwrap();
    for der in &genuine.certificates {
        let (_, other) = X509Certificate::from_der(der).unwrap();
        let mut entries = list.iter_revoked_certificates();
        assert!(!entries.any(|entry| entry.user_certificate == other.tbs_certificate.serial));
    }
}

/// Platforms with the same authority above them share its lists; the others have their own at other addresses.
#[test]
fn one_list_an_address() {
    let platforms = [
        platform("LNL", 20),
        platform("ADL", 16),
        platform("TGL", 15),
        platform("LNL", 20),
    ];
    let lists = revocation_lists(&platforms, ListForm::Right).unwrap();
    let entries = |file: &str| {
        let mut found = lists.iter().filter(|list| list.file() == file);
        let list = found.next().unwrap();
        assert!(found.next().is_none(), "{file}");
        let (_, list) = CertificateRevocationList::from_der(&list.der).unwrap();
        list.iter_revoked_certificates().count()
    };
    // Of two generations of intermediate authorities; of two platforms three each.
    assert_eq!(entries("OnDie_CA.crl"), 1);
    assert_eq!(entries("ODCA_CA2_CSME_Indirect.crl"), 6);
    assert_eq!(entries("OnDie_CA_CSME_Indirect.crl"), 3);
    assert_eq!(entries("ODCA_CA2_CSME_Product.crl"), 1);
    assert_eq!(lists.len(), 8);
}

#[test]
fn wrong_lists_are_wrong_in_one_way() {
    let made = |form| {
        let lists = revocation_lists([&platform("LNL", 20)], form).unwrap();
        let (_, list) = CertificateRevocationList::from_der(&lists[0].der).unwrap();
        (
            list.tbs_cert_list.as_ref().to_vec(),
            list.next_update().unwrap().to_string(),
        )
    };
    let right = made(ListForm::Right);
    assert_eq!(made(ListForm::Forged), right);
    assert!(made(ListForm::Outdated).1.contains("2025"));
}
