use std::collections::BTreeSet;

use rstest::rstest;

use super::*;
use crate::device::{PeerRefusal, Rule, Rules};
use crate::pki::chain::{Chain, OutOfTime, Place, Policy, Suffix};
use crate::pki::{Certificate, ChainRefusal, ProvisioningIdentity};
use crate::time::UnixTime;

const SERVER: &str = "mc.corp.example";

/// A device in the specimen's domain, in 2026, that has the specimen's entry in its list.
fn policy(made: &Made, amt: u16, way: Way) -> Policy {
    Policy {
        rules: Rules::default(),
        now: UnixTime(1_767_225_600),
        out_of_time: match way {
            Way::Chain => OutOfTime::Refused,
            Way::ThroughHost | Way::Network => OutOfTime::Noted,
        },
        suffix: Some(Suffix {
            name: made.domain.clone(),
            secure: true,
        }),
        more_suffixes: Vec::new(),
        hashes: made.entry.clone().into_iter().collect(),
        takes_weak: amt < leaves::STRICT_SINCE,
        assumptions: crate::device::ChainAssumptions::default(),
    }
}

fn walk(policy: &Policy, chain: &[Vec<u8>]) -> Result<bool, ChainRefusal> {
    let mut judged = Chain::default();
    let last = chain.len() - 1;
    for (at, der) in chain.iter().enumerate() {
        let place = match at {
            0 => Place::Leaf,
            at if at == last => Place::Root,
            _ => Place::Intermediate,
        };
        judged.add(policy, der, place)?;
    }
    Ok(judged.trust().is_some_and(|trust| trust.time_valid))
}

#[test]
fn names_are_unique_and_plain() {
    let names: Vec<&str> = Specimen::all().map(|specimen| specimen.name).collect();
    assert!(names.len() >= 30, "{}", names.len());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for name in names {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.chars().all(plain), "{name}");
        assert_eq!(Specimen::named(name).unwrap().name, name);
    }
}

#[test]
fn what_decides_is_in_the_ledger() {
    for specimen in Specimen::all() {
        let id = format!("id = \"{}\"", specimen.requirement);
        let known = fixtures::REQUIREMENTS
            .iter()
            .any(|file| file.text.contains(&id));
        assert!(known, "{}: {}", specimen.name, specimen.requirement);
    }
}

#[test]
fn the_good_one_is_that_of_the_project() {
    let good = Specimen::named("good").unwrap().make(SERVER).unwrap();
    let identity = ProvisioningIdentity::for_name(SERVER).unwrap();
    assert_eq!((good.chain, good.key), (identity.chain, identity.key));
}

#[test]
fn the_same_name_gives_the_same_bytes() {
    for specimen in Specimen::all() {
        let made = specimen.make(SERVER).unwrap();
        assert_eq!(
            made.chain,
            specimen.make(SERVER).unwrap().chain,
            "{}",
            specimen.name
        );
        let other = specimen.make("rps.lab.example").unwrap();
        assert_ne!(made.chain, other.chain, "{}", specimen.name);
    }
    assert!(Specimen::named("good").unwrap().make("corp").is_err());
}

/// Through the judge alone: the way over the wire is tested where the wire is.
#[rstest]
fn chains_are_what_they_say(
    #[values(15, 16)] amt: u16,
    #[values(Way::Chain, Way::Network)] way: Way,
) {
    for specimen in Specimen::all() {
        let made = specimen.make(SERVER).unwrap();
        let found = walk(&policy(&made, amt, way), &made.chain);
        let expected = match specimen.verdict(way, amt) {
            Verdict::Taken | Verdict::KeyNotHeld => Ok(true),
            Verdict::Noted => Ok(false),
            Verdict::Refused(PeerRefusal::Chain(ChainRefusal::Flags) | PeerRefusal::NoRoot) => {
                // One certificate is no root to the walk; who sends it decides how it is flagged.
                assert_eq!(made.chain.len(), 1);
                continue;
            }
            Verdict::Refused(PeerRefusal::Chain(refusal)) => Err(refusal),
            Verdict::Refused(PeerRefusal::OtherLeaf) => Ok(true),
        };
        assert_eq!(found, expected, "{} on AMT {amt}, {way}", specimen.name);
    }
}

/// Without the rule that it breaks, it is taken: nothing else is wrong with it.
#[test]
fn each_has_one_thing_wrong() {
    for specimen in Specimen::all() {
        let Some(rule) = Rule::ALL
            .iter()
            .find(|rule| rule.id() == specimen.requirement)
        else {
            continue;
        };
        let Verdict::Refused(PeerRefusal::Chain(refusal)) = specimen.verdict(Way::Network, 16)
        else {
            continue;
        };
        // Out of order, a certificate is also not signed by the one after it, or no leaf at all.
        if matches!(refusal, ChainRefusal::NotIssuer) || specimen.name == "root-first" {
            continue;
        }
        let made = specimen.make(SERVER).unwrap();
        let mut policy = policy(&made, 16, Way::Network);
        policy.rules.knock_out(rule.id()).unwrap();
        let found = walk(&policy, &made.chain);
        // A leaf that is no authority did not sign itself either.
        let other = specimen.name == "leaf-twice" && found == Err(ChainRefusal::NotIssuer);
        assert!(found == Ok(true) || other, "{}: {found:?}", specimen.name);
    }
}

#[test]
fn certificates_show_what_is_said_of_them() {
    let leaf = |name| {
        let made = Specimen::named(name).unwrap().make(SERVER).unwrap();
        Certificate::read(&made.chain[0]).unwrap()
    };
    assert_eq!(leaf("rsa-1024").key_bits(), Some(1024));
    assert_eq!(leaf("rsa-4096").key_bits(), Some(4096));
    assert_eq!(leaf("elliptic-leaf").key_bits(), None);
    assert_eq!(leaf("empty-name").common_name.as_deref(), Some(""));
    assert_eq!(leaf("no-name").common_name, None);
    assert_eq!(
        leaf("upper-case-name").common_name.as_deref(),
        Some("MC.CORP.EXAMPLE")
    );
    assert_eq!(leaf("parent-domain").common_name.as_deref(), Some(SERVER));
    assert_eq!(leaf("alternative-name-only").alternative_names, [SERVER]);
    let made = |name| Specimen::named(name).unwrap().make(SERVER).unwrap();
    assert_eq!(made("long-chain").chain.len(), 7);
    assert_eq!(made("longest-chain").chain.len(), 5);
    let other = made("other-leaf");
    assert_ne!(other.announced, other.chain[0]);
    assert_ne!(made("other-key").key, made("good").key);
}
