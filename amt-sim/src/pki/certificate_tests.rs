use proptest::prelude::*;
use proptest::sample::Index;
use rcgen::{ExtendedKeyUsagePurpose, IsCa};
use rstest::rstest;

use super::*;
use crate::pki::ProvisioningIdentity;
use crate::pki::test_chain::{Plan, SHORT_KEY, TestChain};

#[test]
fn the_projects_own_leaf_reads_as_it_was_made() {
    let identity = ProvisioningIdentity::for_name("mc.corp.example").unwrap();
    let chain: Vec<_> = identity
        .chain
        .iter()
        .map(|der| Certificate::read(der).unwrap())
        .collect();
    let leaf = &chain[0];
    assert_eq!(leaf.common_name.as_deref(), Some("mc.corp.example"));
    assert_eq!(leaf.units, [crate::pki::PROVISIONING_OU]);
    assert_eq!(
        leaf.usages.as_deref().unwrap(),
        [usage::SERVER, usage::PROVISIONING]
    );
    assert_eq!(leaf.not_before, UnixTime(1_704_067_200)); // 2024-01-01
    assert_eq!(leaf.key_bits(), Some(2048));
    assert_eq!(leaf.serial.len(), 16);
    assert_eq!(
        leaf.constraints,
        Some(Constraints {
            authority: false,
            below: None
        })
    );
    assert_eq!(leaf.signs_certificates, Some(false));
    assert_eq!(chain[1].constraints.unwrap().below, Some(0));
    assert_eq!(chain[1].signs_certificates, Some(true));
    assert!(leaf.is_signed_by(&chain[1]) && chain[1].is_signed_by(&chain[2]));
    assert!(chain[2].is_signed_by(&chain[2]) && chain[2].is_self_issued());
    assert!(!leaf.is_signed_by(&chain[2]) && !leaf.is_self_issued());
}

#[rstest]
#[case(Digest::Md5)]
#[case(Digest::Sha1)]
#[case(Digest::Sha256)]
#[case(Digest::Sha384)]
#[case(Digest::Sha512)]
fn every_digest_of_rsa_is_read_and_verified(#[case] digest: Digest) {
    let chain = TestChain::good().leaf(|leaf| leaf.digest = digest).build();
    let leaf = Certificate::read(&chain[0]).unwrap();
    assert_eq!(leaf.signature_algorithm, SignatureAlgorithm::Rsa(digest));
    assert!(leaf.is_signed_by(&Certificate::read(&chain[1]).unwrap()));
}

#[test]
fn what_is_not_there_reads_as_absent() {
    let bare = Plan {
        common_name: None,
        unit: None,
        usages: Vec::new(),
        authority: IsCa::NoCa,
        key_usages: Vec::new(),
        key: SHORT_KEY,
        ..Plan::leaf()
    };
    let bare = Certificate::read(&bare.self_signed()).unwrap();
    assert_eq!(bare.common_name, None);
    assert!(bare.units.is_empty() && bare.alternative_names.is_empty());
    assert_eq!(bare.usages, None);
    assert_eq!(bare.constraints, None);
    assert_eq!(bare.signs_certificates, None);
    assert_eq!(bare.key_bits(), Some(1024));
}

#[test]
fn every_use_is_a_use() {
    let any = Plan {
        usages: vec![ExtendedKeyUsagePurpose::Any],
        ..Plan::leaf()
    };
    let any = Certificate::read(&any.self_signed()).unwrap();
    assert_eq!(any.usages.unwrap(), [usage::ANY]);
}

/// P-256 key, ECDSA signature; made with OpenSSL.
const ELLIPTIC: &[u8] = include_bytes!("testdata/elliptic.der");

#[test]
fn other_kinds_of_keys_are_read_but_verify_nothing() {
    let elliptic = Certificate::read(ELLIPTIC).unwrap();
    assert_eq!(elliptic.key, Key::Other("1.2.840.10045.2.1".to_owned()));
    assert_eq!(
        elliptic.signature_algorithm,
        SignatureAlgorithm::Other("1.2.840.10045.4.3.2".to_owned())
    );
    assert!(!elliptic.is_signed_by(&elliptic));
}

#[test]
fn bytes_that_are_no_certificate() {
    let good = Plan::leaf().self_signed();
    assert_eq!(Certificate::read(&[]), Err(Unreadable::Der));
    assert_eq!(Certificate::read(b"hello"), Err(Unreadable::Der));
    assert_eq!(
        Certificate::read(&good[..good.len() - 1]),
        Err(Unreadable::Der)
    );
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(Certificate::read(&longer), Err(Unreadable::Trailing));
    // The outer identifier says SHA-384, the signed one SHA-256.
    let oid = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
    let outer = (0..good.len())
        .rfind(|at| good[*at..].starts_with(oid))
        .unwrap();
    let mut torn = good;
    torn[outer + 8] = 12;
    assert_eq!(Certificate::read(&torn), Err(Unreadable::Algorithms));
}

#[test]
fn a_modulus_that_arithmetic_cannot_take_is_refused() {
    let good = Plan::leaf().self_signed();
    let key = TestChain::good().key();
    let modulus = key.n().to_bytes_be();
    let at = good
        .windows(modulus.len())
        .position(|window| window == modulus)
        .unwrap();
    let mut even = good.clone();
    even[at + modulus.len() - 1] &= 0xfe;
    assert_eq!(Certificate::read(&even), Err(Unreadable::Key));
    let mut zero = good;
    zero[at..at + modulus.len()].fill(0);
    assert_eq!(Certificate::read(&zero), Err(Unreadable::Key));
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(bytes: Vec<u8>) {
        let _ = Certificate::read(&bytes);
    }

    #[test]
    fn no_damaged_certificate_is_a_panic(
        elliptic: bool,
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<Index>()),
    ) {
        let mut der = if elliptic {
            ELLIPTIC.to_vec()
        } else {
            // Reading a key is what takes the time here, so one certificate must do.
            static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            GOOD.get_or_init(|| Plan::leaf().self_signed()).clone()
        };
        for (at, byte) in damage {
            let at = at.index(der.len());
            der[at] = byte;
        }
        if let Some(cut) = cut {
            der.truncate(cut.index(der.len()));
        }
        if let Ok(certificate) = Certificate::read(&der) {
            let _ = certificate.is_signed_by(&certificate);
        }
    }
}
