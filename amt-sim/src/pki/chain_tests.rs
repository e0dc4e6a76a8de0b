use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use rstest::rstest;

use super::*;
use crate::pki::test_chain::{Plan, SHORT_KEY, TestChain};

/// A device in `corp.example` in 2026 that knows the root.
struct Judge {
    rules: Rules,
    hashes: Vec<CertificateHash>,
    suffix: Option<&'static str>,
    takes_weak: bool,
}

impl Judge {
    fn knowing(chain: &TestChain) -> Self {
        Self {
            rules: Rules::default(),
            hashes: vec![chain.root_entry(HashAlgorithm::Sha256, true)],
            suffix: Some("corp.example"),
            takes_weak: false,
        }
    }

    fn without(mut self, rule: Rule) -> Self {
        self.rules.knock_out(rule.id()).unwrap();
        self
    }

    fn judge(&self, certificates: &[Vec<u8>]) -> Result<Trust, ChainRefusal> {
        let policy = Policy {
            rules: self.rules.clone(),
            now: UnixTime(1_767_225_600), // 2026-01-01
            out_of_time: OutOfTime::Refused,
            more_suffixes: Vec::new(),
            suffix: self.suffix.map(|name| Suffix {
                name: name.to_owned(),
                secure: true,
            }),
            hashes: self.hashes.clone(),
            takes_weak: self.takes_weak,
            assumptions: ChainAssumptions::default(),
        };
        let mut chain = Chain::default();
        let last = certificates.len() - 1;
        for (at, der) in certificates.iter().enumerate() {
            let place = match at {
                0 => Place::Leaf,
                at if at == last => Place::Root,
                _ => Place::Intermediate,
            };
            if let Err(refusal) = chain.add(&policy, der, place) {
                assert_eq!(chain.status(), ChainStatus::NotStarted);
                return Err(refusal);
            }
        }
        assert_eq!(chain.status(), ChainStatus::Complete);
        Ok(chain.trust().unwrap().clone())
    }
}

/// The chain is refused for this reason; with the rule off it is taken, which shows that nothing else is wrong.
fn refused_for(chain: &TestChain, judge: Judge, reason: ChainRefusal, rule: Rule) {
    let certificates = chain.build();
    assert_eq!(judge.judge(&certificates), Err(reason));
    assert!(judge.without(rule).judge(&certificates).is_ok());
}

#[rstest]
#[case::no_intermediate(0)]
#[case::one(1)]
#[case::the_guides_example(2)]
#[case::longest(3)]
fn a_good_chain(#[case] intermediates: usize) {
    let chain = TestChain::with_intermediates(intermediates);
    let trust = Judge::knowing(&chain).judge(&chain.build()).unwrap();
    assert_eq!(trust.name, "mc.corp.example");
    assert!(trust.secure_dns && !trust.hash_is_default);
    assert_eq!(trust.hash_algorithm, HashAlgorithm::Sha256);
    assert_eq!(
        trust.hash,
        chain.root_entry(HashAlgorithm::Sha256, true).hash
    );
    let serials: Vec<String> = chain.0[1..]
        .iter()
        .map(|plan| serial(&plan.serial))
        .collect();
    assert!(serials.ends_with(&trust.ca_serials));
    assert_eq!(trust.ca_serials.len(), (intermediates + 1).min(3));
    assert_eq!(trust.more_serials, intermediates + 1 > 3);
}

type Change = fn(&mut Plan);

#[rstest]
#[case::expired_leaf(0, |plan: &mut Plan| plan.years = (2020, 2025), ChainRefusal::Expired, Rule::PKI_VALIDITY)]
#[case::expired_root(2, |plan: &mut Plan| plan.years = (2020, 2025), ChainRefusal::Expired, Rule::PKI_VALIDITY)]
#[case::leaf_of_the_future(0, |plan: &mut Plan| plan.years = (2030, 2040), ChainRefusal::NotYetValid, Rule::PKI_VALIDITY)]
#[case::sha1_leaf(0, |plan: &mut Plan| plan.digest = Digest::Sha1, ChainRefusal::WeakDigest, Rule::PKI_DIGEST)]
#[case::sha1_root(2, |plan: &mut Plan| plan.digest = Digest::Sha1, ChainRefusal::WeakDigest, Rule::PKI_DIGEST)]
#[case::md5_intermediate(1, |plan: &mut Plan| plan.digest = Digest::Md5, ChainRefusal::WeakDigest, Rule::PKI_DIGEST)]
#[case::short_leaf(0, |plan: &mut Plan| plan.key = SHORT_KEY, ChainRefusal::ShortKey, Rule::PKI_KEY_SIZE)]
#[case::short_root(2, |plan: &mut Plan| plan.key = SHORT_KEY, ChainRefusal::ShortKey, Rule::PKI_KEY_SIZE)]
#[case::other_suffix(0, |plan: &mut Plan| plan.common_name = Some("mc.other.example"), ChainRefusal::OtherSuffix, Rule::PKI_DNS_SUFFIX)]
#[case::alternative_name(0, |plan: &mut Plan| { plan.common_name = Some("mc.other.example"); plan.alternative = Some("mc.corp.example") }, ChainRefusal::AlternativeNameOnly, Rule::PKI_DNS_SUFFIX)]
#[case::look_alike_suffix(0, |plan: &mut Plan| plan.common_name = Some("evilcorp.example"), ChainRefusal::LookAlikeSuffix, Rule::PKI_WHOLE_LABELS)]
#[case::look_alike_suffix_without_any_rule(0, |plan: &mut Plan| plan.common_name = Some("evilcorp.example"), ChainRefusal::LookAlikeSuffix, Rule::PKI_DNS_SUFFIX)]
#[case::no_name(0, |plan: &mut Plan| plan.common_name = None, ChainRefusal::NoName, Rule::PKI_DNS_SUFFIX)]
#[case::name_with_zero_byte(0, |plan: &mut Plan| plan.common_name = Some("evil.test\0.corp.example"), ChainRefusal::NoName, Rule::PKI_DNS_SUFFIX)]
#[case::neither_usage_nor_unit(0, |plan: &mut Plan| { plan.unit = None; plan.usages.truncate(1) }, ChainRefusal::NotForSetup, Rule::PKI_SETUP_MARK)]
#[case::unit_in_wrong_case(0, |plan: &mut Plan| { plan.unit = Some("Intel(R) client setup certificate"); plan.usages.truncate(1) }, ChainRefusal::NotForSetup, Rule::PKI_SETUP_MARK)]
#[case::not_for_servers(0, |plan: &mut Plan| plan.usages = vec![ExtendedKeyUsagePurpose::ClientAuth], ChainRefusal::NotServer, Rule::PKI_SERVER_USAGE)]
#[case::intermediate_that_is_no_authority(1, |plan: &mut Plan| plan.authority = IsCa::ExplicitNoCa, ChainRefusal::NotAuthority, Rule::PKI_AUTHORITY)]
#[case::intermediate_without_constraints(1, |plan: &mut Plan| plan.authority = IsCa::NoCa, ChainRefusal::NotAuthority, Rule::PKI_AUTHORITY)]
#[case::intermediate_for_signing_nothing(1, |plan: &mut Plan| plan.key_usages = vec![KeyUsagePurpose::CrlSign], ChainRefusal::NotAuthority, Rule::PKI_AUTHORITY)]
#[case::more_authorities_than_allowed(2, |plan: &mut Plan| plan.authority = IsCa::Ca(BasicConstraints::Constrained(0)), ChainRefusal::PathLength, Rule::PKI_AUTHORITY)]
fn one_thing_wrong(
    #[case] place: usize,
    #[case] change: Change,
    #[case] reason: ChainRefusal,
    #[case] rule: Rule,
) {
    let chain = TestChain::good().at(place, change);
    refused_for(&chain, Judge::knowing(&chain), reason, rule);
}

#[rstest]
#[case::usage_alone(|plan: &mut Plan| plan.unit = None)]
#[case::unit_alone(|plan: &mut Plan| plan.usages.truncate(1))]
#[case::unit_without_any_usage(|plan: &mut Plan| plan.usages.clear())]
#[case::wildcard(|plan: &mut Plan| plan.common_name = Some("*.corp.example"))]
#[case::sha384(|plan: &mut Plan| plan.digest = Digest::Sha384)]
#[case::sha512(|plan: &mut Plan| plan.digest = Digest::Sha512)]
fn leaves_that_are_as_good(#[case] change: Change) {
    let chain = TestChain::good().leaf(change);
    assert!(Judge::knowing(&chain).judge(&chain.build()).is_ok());
}

#[test]
fn older_generations_take_sha1_and_short_keys_but_never_md5() {
    let judged = |chain: &TestChain| {
        let judge = Judge {
            takes_weak: true,
            ..Judge::knowing(chain)
        };
        judge.judge(&chain.build())
    };
    let weak = TestChain::good()
        .leaf(|leaf| leaf.key = SHORT_KEY)
        .at(1, |plan| plan.digest = Digest::Sha1);
    assert!(judged(&weak).is_ok());
    let worse = TestChain::good().leaf(|leaf| leaf.digest = Digest::Md5);
    assert_eq!(judged(&worse), Err(ChainRefusal::WeakDigest));
}

#[test]
fn one_certificate_too_many() {
    let chain = TestChain::with_intermediates(4);
    refused_for(
        &chain,
        Judge::knowing(&chain),
        ChainRefusal::TooLong,
        Rule::PKI_CHAIN_LENGTH,
    );
}

#[test]
fn authorities_in_the_wrong_order() {
    let chain = TestChain::with_intermediates(2);
    let mut certificates = chain.build();
    certificates.swap(1, 2);
    let judge = Judge::knowing(&chain);
    assert_eq!(judge.judge(&certificates), Err(ChainRefusal::NotIssuer));
    // Both intermediates have one key, so that the names alone are wrong.
    let judge = judge.without(Rule::PKI_CHAIN_ORDER);
    assert_eq!(judge.judge(&certificates), Err(ChainRefusal::Signature));
}

#[test]
fn a_leaf_signed_by_somebody_of_the_same_name() {
    let chain = TestChain::good();
    let mut certificates = chain.build();
    certificates[0] = chain
        .clone()
        .at(1, |plan| plan.key = fixtures::keys::PROVISIONING)
        .build()
        .remove(0);
    let judge = Judge::knowing(&chain);
    assert_eq!(judge.judge(&certificates), Err(ChainRefusal::Signature));
    assert!(
        judge
            .without(Rule::PKI_CHAIN_SIGNATURE)
            .judge(&certificates)
            .is_ok()
    );
}

#[test]
fn a_root_of_the_same_name_and_another_key() {
    let chain = TestChain::good();
    let rogue = TestChain::good().at(2, |plan| plan.key = fixtures::keys::PROVISIONING);
    refused_for(
        &rogue,
        Judge::knowing(&chain),
        ChainRefusal::UnknownRoot,
        Rule::PKI_ROOT_KNOWN,
    );
}

#[test]
fn a_chain_that_stops_before_its_root() {
    let chain = TestChain::with_intermediates(2);
    let mut certificates = chain.build();
    certificates.pop();
    let judge = Judge::knowing(&chain);
    assert_eq!(judge.judge(&certificates), Err(ChainRefusal::UnknownRoot));
}

#[test]
fn an_inactive_root() {
    let chain = TestChain::good();
    let judge = Judge {
        hashes: vec![chain.root_entry(HashAlgorithm::Sha256, false)],
        ..Judge::knowing(&chain)
    };
    refused_for(
        &chain,
        judge,
        ChainRefusal::InactiveRoot,
        Rule::PKI_ROOT_ACTIVE,
    );
}

#[rstest]
#[case(HashAlgorithm::Sha1)]
#[case(HashAlgorithm::Sha384)]
fn a_root_is_known_by_any_active_entry(#[case] algorithm: HashAlgorithm) {
    let chain = TestChain::good();
    let judge = Judge {
        hashes: vec![
            chain.root_entry(HashAlgorithm::Sha256, false),
            chain.root_entry(algorithm, true),
        ],
        // Younger generations know nobody by SHA-1.
        takes_weak: algorithm == HashAlgorithm::Sha1,
        ..Judge::knowing(&chain)
    };
    let trust = judge.judge(&chain.build()).unwrap();
    assert_eq!(trust.hash_algorithm, algorithm);
    assert_eq!(trust.hash, chain.root_entry(algorithm, true).hash);
}

#[test]
fn a_device_without_a_domain_takes_nobody() {
    let chain = TestChain::good();
    let judge = Judge {
        suffix: None,
        ..Judge::knowing(&chain)
    };
    refused_for(&chain, judge, ChainRefusal::NoSuffix, Rule::PKI_DNS_SUFFIX);
}

#[test]
fn other_kinds_of_keys_are_refused() {
    let judge = Judge::knowing(&TestChain::good());
    let elliptic = include_bytes!("testdata/elliptic.der").to_vec();
    assert_eq!(judge.judge(&[elliptic]), Err(ChainRefusal::Algorithm));
}

#[test]
fn a_leaf_starts_anew_and_a_refusal_leaves_nothing() {
    let chain = TestChain::good();
    let certificates = chain.build();
    let judge = Judge::knowing(&chain);
    let policy = Policy {
        rules: judge.rules.clone(),
        now: UnixTime(1_767_225_600),
        out_of_time: OutOfTime::Refused,
        more_suffixes: Vec::new(),
        suffix: Some(Suffix {
            name: "corp.example".to_owned(),
            secure: false,
        }),
        hashes: judge.hashes.clone(),
        takes_weak: false,
        assumptions: ChainAssumptions::default(),
    };
    let mut chain = Chain::default();
    let no_leaf = chain.add(&policy, &certificates[1], Place::Intermediate);
    assert_eq!(no_leaf, Err(ChainRefusal::NoLeaf));
    for _ in 0..2 {
        let started = chain.add(&policy, &certificates[0], Place::Leaf);
        assert_eq!(started, Ok(ChainStatus::InProgress));
    }
    let going = chain.add(&policy, &certificates[1], Place::Intermediate);
    assert_eq!(going, Ok(ChainStatus::InProgress));
    let done = chain.add(&policy, &certificates[2], Place::Root);
    assert_eq!(done, Ok(ChainStatus::Complete));
    assert!(!chain.trust().unwrap().secure_dns);
    // Complete is complete: one more that is no leaf has no chain to belong to.
    let more = chain.add(&policy, &certificates[2], Place::Root);
    assert_eq!(more, Err(ChainRefusal::NoLeaf));
    assert_eq!(chain.status(), ChainStatus::NotStarted);
    chain.add(&policy, &certificates[0], Place::Leaf).unwrap();
    let garbage = chain.add(&policy, b"garbage", Place::Intermediate);
    assert_eq!(garbage, Err(ChainRefusal::Unreadable));
    assert_eq!(chain.status(), ChainStatus::NotStarted);
}

#[rstest]
#[case(&[0x12, 0x34], "00000000000000000000000000001234")]
#[case(&[0; 20], "00000000000000000000000000000000")]
#[case(&[0xff; 20], "ffffffffffffffffffffffffffffffff")]
#[case(&[], "00000000000000000000000000000000")]
fn serial_numbers(#[case] bytes: &[u8], #[case] expected: &str) {
    assert_eq!(serial(bytes), expected);
}
