//! Each wrong chain is wrong in the one way that its name says, as libraries of others see it.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use p384::ecdsa::signature::Verifier as _;
use rstest::rstest;
use x509_parser::prelude::*;

use super::*;

const SEED: Seed = Seed(7);

fn genuine() -> Exhibit {
    Exhibit::genuine(&OnDieChain::for_device(SEED, "LNL", 20).unwrap())
}

/// Made once: a chain is a dozen operations on the curve.
fn wrong(chain: WrongChain) -> Exhibit {
    static MADE: [OnceLock<Exhibit>; WrongChain::ALL.len()] =
        [const { OnceLock::new() }; WrongChain::ALL.len()];
    MADE[chain as usize].get_or_init(|| make(chain)).clone()
}

fn make(chain: WrongChain) -> Exhibit {
    chain.exhibit(SEED, "LNL", 20, Turn::default()).unwrap()
}

fn read(der: &[u8]) -> X509Certificate<'_> {
    X509Certificate::from_der(der).unwrap().1
}

fn root() -> Vec<u8> {
    OnDieChain::for_device(SEED, "LNL", 20)
        .unwrap()
        .root()
        .to_vec()
}

fn is_signed_by(der: &[u8], issuer: &[u8]) -> bool {
    let (certificate, issuer) = (read(der), read(issuer));
    let key =
        p384::ecdsa::VerifyingKey::from_sec1_bytes(&issuer.public_key().subject_public_key.data);
    let signature = p384::ecdsa::Signature::from_der(&certificate.signature_value.data);
    let (Ok(key), Ok(signature)) = (key, signature) else {
        return false;
    };
    key.verify(certificate.tbs_certificate.as_ref(), &signature)
        .is_ok()
}

/// Places, leaf first, whose signature is not that of the next one.
fn broken(shown: &[Vec<u8>]) -> Vec<usize> {
    let root = root();
    (0..shown.len())
        .filter(|at| !is_signed_by(&shown[*at], shown.get(at + 1).unwrap_or(&root)))
        .collect()
}

#[test]
fn they_follow_from_the_seed_and_differ() {
    let mut seen = BTreeSet::new();
    let genuine = genuine();
    let changed = WrongChain::OtherLeaf;
    assert_eq!(wrong(changed), make(changed));
    for chain in WrongChain::ALL {
        let exhibit = wrong(*chain);
        assert_ne!(exhibit, genuine, "{chain}");
        assert!(
            seen.insert(format!("{exhibit:?}")),
            "{chain} is another one's"
        );
        let word = chain.to_string();
        let read: WrongChain = serde_json::from_str(&format!("\"{word}\"")).unwrap();
        assert_eq!(read, *chain);
        assert!(chain.about().ends_with('.'), "{word}");
    }
}

/// Everybody but those who are about numbers shows six.
#[rstest]
#[case(WrongChain::RomMissing, 5)]
#[case(WrongChain::SelfSigned, 1)]
#[case(WrongChain::Four, 4)]
#[case(WrongChain::Five, 5)]
#[case(WrongChain::Seven, 7)]
#[case(WrongChain::WithRoot, 7)]
#[case(WrongChain::NonCa, 6)]
fn lengths(#[case] chain: WrongChain, #[case] length: usize) {
    assert_eq!(wrong(chain).shown.len(), length);
}

/// What does not verify does so at the one place.
#[rstest]
fn signatures() {
    for chain in WrongChain::ALL {
        let expected: &[usize] = match chain {
            WrongChain::BrokenLeaf => &[0],
            WrongChain::BrokenAmt => &[1],
            WrongChain::BrokenKernel => &[2],
            WrongChain::BrokenRom => &[3],
            WrongChain::BrokenIssuing => &[4],
            WrongChain::BrokenIntermediate | WrongChain::OtherRoot => &[5],
            WrongChain::SelfSigned => &[0],
            WrongChain::Four => &[3],
            WrongChain::WrongOrder => &[3, 4, 5],
            _ => &[],
        };
        assert_eq!(broken(&wrong(*chain).shown), expected, "{chain}");
    }
}

/// The hash that is told is that of the leaf, but where it is the point that it is not.
#[rstest]
fn hashes_and_identifiers() {
    for chain in WrongChain::ALL {
        let exhibit = wrong(*chain);
        let fits = exhibit.told == exhibit.shown[0];
        let other = matches!(chain, WrongChain::OtherLeaf | WrongChain::RotatingLeaf);
        assert_eq!(fits, !other, "{chain}");
        let bound = exhibit
            .shown
            .get(3)
            .is_some_and(|rom| hardware_id(rom) == exhibit.hardware_id);
        let unbound = matches!(
            chain,
            WrongChain::WrongUpid
                | WrongChain::OtherDevice
                | WrongChain::SelfSigned
                | WrongChain::RomMissing
        );
        assert_eq!(bound, !unbound, "{chain}");
    }
}

#[rstest]
#[case(WrongChain::WrongCn, 0, "CN=AMT RCFG 2")]
#[case(WrongChain::PttLeaf, 0, "CN=CSME LNL PTT  01SVN")]
#[case(WrongChain::WsManLeaf, 0, "CN=AMT WS-MAN")]
#[case(WrongChain::AuditLeaf, 0, "CN=AMT AuditL")]
#[case(WrongChain::RomMisnamed, 3, "CN=ODCA 2 CSME LNL SOC RAM CA")]
#[case(
    WrongChain::OtherIssuerOu,
    4,
    "OU=OEM CSME Issuing CA, CN=www.intel.com"
)]
fn names(#[case] chain: WrongChain, #[case] at: usize, #[case] name: &str) {
    let shown = wrong(chain).shown;
    assert_eq!(read(&shown[at]).subject().to_string(), name);
}

#[rstest]
#[case(WrongChain::Expired, 0)]
#[case(WrongChain::ExpiredAuthority, 2)]
#[case(WrongChain::NotYetValid, 0)]
fn dates(#[case] chain: WrongChain, #[case] at: usize) {
    let now = ASN1Time::from_timestamp(1_767_225_600).unwrap();
    let shown = wrong(chain).shown;
    let out: Vec<usize> = (0..6)
        .filter(|at| !read(&shown[*at]).validity().is_valid_at(now))
        .collect();
    assert_eq!(out, [at]);
}

#[test]
fn one_authority_is_none() {
    let shown = wrong(WrongChain::NonCa).shown;
    let no_authority: Vec<usize> = (0..6).filter(|at| !read(&shown[*at]).is_ca()).collect();
    assert_eq!(no_authority, [0, 2]);
}

#[test]
fn another_curve() {
    let exhibit = wrong(WrongChain::P256);
    let leaf = read(&exhibit.shown[0]);
    assert_eq!(leaf.public_key().subject_public_key.data.len(), 65);
    // A TLS server can use it.
    let key = rustls::pki_types::PrivateKeyDer::try_from(exhibit.key.clone()).unwrap();
    rustls::crypto::ring::sign::any_ecdsa_type(&key).unwrap();
}

#[rstest]
#[case(WrongChain::RotatingLeaf, Turn { connections: 1, starts: 0 }, Turn { connections: 2, starts: 0 })]
#[case(WrongChain::LeafOfEachStart, Turn { connections: 0, starts: 1 }, Turn { connections: 0, starts: 2 })]
fn some_change(#[case] chain: WrongChain, #[case] first: Turn, #[case] second: Turn) {
    let leaf = |turn| chain.exhibit(SEED, "LNL", 20, turn).unwrap().shown[0].clone();
    assert_ne!(leaf(first), leaf(second));
    let other = |turn: Turn| Turn {
        connections: turn.starts,
        starts: turn.connections,
    };
    assert_eq!(leaf(other(first)), leaf(other(second)));
}
