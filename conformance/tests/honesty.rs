//! A suite that nobody has tried to fool proves nothing: here the bundled roles make mistakes and the device loses
//! rules, and the scenarios that claim to notice must notice.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "common/shelf.rs"]
mod shelf;

use std::collections::{BTreeMap, BTreeSet};

use amt_sim::Rules;
use conformance::role::Misbehaviour;
use conformance::run::{Blame, Case, Engine, Run, Subject, Tampering, Verdict};
use conformance::scenario::{Role, Step, StepKind};
use rstest::rstest;

use shelf::{cases, is_noticed, one_of_each, run_cases, shelf};

fn run(filter: Option<&str>, misbehaviour: Option<Misbehaviour>, rules: Rules) -> Vec<Run> {
    run_cases(&cases(filter), misbehaviour, rules)
}

/// Scenarios of which some run shows that something is wrong.
fn noticed(runs: &[Run]) -> BTreeSet<&str> {
    runs.iter()
        .filter(|run| is_noticed(run))
        .map(|run| run.scenario.as_str())
        .collect()
}

#[test]
fn honest_roles_pass_everything() {
    for run in run(None, None, Rules::default()) {
        assert_eq!(run.verdict, Verdict::Pass, "{}: {:#?}", run.id, run.checks);
    }
}

/// Every mistake, and the scenarios that are there to notice it.
#[rstest]
#[case(Misbehaviour::IgnoreStatus, &["status-not-success", "cira-log-unknown"])]
#[case(Misbehaviour::ZeroFill, &["cut-answer", "amt-off-silent"])]
#[case(Misbehaviour::WrongVersionRow, &["version", "version-parts", "capability", "old-firmware", "configured-version"])]
#[case(Misbehaviour::UuidByteOrder, &["uuid", "capability", "uuid-placeholder", "configured-uuid"])]
#[case(Misbehaviour::AnyUuid, &["uuid-zero", "uuid-placeholder"])]
#[case(Misbehaviour::NoBusyRetry, &["busy-then-free"])]
#[case(Misbehaviour::EndlessBusyRetry, &["busy-for-ever"])]
#[case(Misbehaviour::NoResetRetry, &["reset-while-asking"])]
#[case(Misbehaviour::NoInterruptRetry, &["interrupted-call"])]
#[case(Misbehaviour::EndlessWait, &["lost-answer", "silent-firmware"])]
#[case(Misbehaviour::Impatient, &["slow-answer"])]
#[case(Misbehaviour::AddressByteOrder, &["lan-wired", "lan-wireless", "lan-link-down", "configured-lan"])]
#[case(Misbehaviour::ZeroMacIsACard, &["lan-no-wireless", "lan-no-wired"])]
#[case(Misbehaviour::LinkFromEnabled, &["lan-link-down"])]
#[case(Misbehaviour::WirelessIsWired, &["lan-wireless", "lan-no-wireless", "lan-absent-status"])]
#[case(Misbehaviour::FirstHashesOnly, &["hashes-33"])]
#[case(Misbehaviour::ShortHashes, &["hashes", "hashes-33", "hashes-custom"])]
#[case(Misbehaviour::AllHashesActive, &["hashes-custom"])]
#[case(Misbehaviour::Sha384AsSha512, &["hashes-custom"])]
#[case(Misbehaviour::ShortSuffix, &["dns-suffix"])]
#[case(Misbehaviour::InventedSuffix, &["dns-suffix-empty"])]
#[case(Misbehaviour::ModeCountsFromOne, &["mode-factory", "mode-client", "mode-admin"])]
#[case(Misbehaviour::ModeFromState, &["mode-client", "mode-half-way"])]
#[case(Misbehaviour::StateFromMode, &["mode-half-way", "mode-in-setup"])]
#[case(Misbehaviour::RasShifted, &["ras-outside"])]
#[case(Misbehaviour::RasCountsFromOne, &["ras", "ras-outside"])]
#[case(Misbehaviour::CiraLogNever, &["cira-log"])]
#[case(Misbehaviour::CiraLogAlways, &["cira-log-unknown"])]
#[case(Misbehaviour::TlsFromWrongBit, &["local-tls"])]
#[case(Misbehaviour::AlwaysOn, &["amt-off"])]
#[case(Misbehaviour::AlwaysOff, &["amt-on"])]
#[case(Misbehaviour::WrongLength, &["version"])]
#[case(Misbehaviour::AlwaysPresent, &["no-amt"])]
#[case(Misbehaviour::InventsFacts, &["no-amt", "busy-for-ever", "uuid-zero", "uuid-ones", "status-not-success"])]
#[case(Misbehaviour::MisreadsRecord, &["setup.signed", "setup.admin", "setup.unsigned"])]
#[case(Misbehaviour::SendsAgain, &["setup.slow-answers", "setup.upgrade-returns-1", "setup.setup-returns-1"])]
#[case(Misbehaviour::SkipsChain, &["setup.odca-broken-leaf", "setup.odca-expired", "setup.odca-five", "setup.odca-non-ca", "setup.odca-other-device", "setup.odca-other-root", "setup.odca-p256", "setup.odca-rom-misnamed", "setup.odca-self-signed", "setup.odca-wrong-cn", "setup.odca-wrong-order", "setup.odca-ws-man-leaf"])]
#[case(Misbehaviour::ChangesTheDevice, &["capability", "mode-client"])]
#[case(Misbehaviour::RecommendAbove15, &["recommend-secure"])]
#[case(Misbehaviour::AlwaysSecure, &["recommend-legacy"])]
#[case(Misbehaviour::SwapsNonces, &["setup.signed", "setup.admin"])]
#[case(Misbehaviour::ReusesMcNonce, &["setup.again", "setup.upgrade"])]
#[case(Misbehaviour::ReusesConfigurationNonce, &["setup.again"])]
#[case(Misbehaviour::IgnoresReturnValue, &["setup.wrong-signature", "setup.expired-leaf", "setup.unprovision-mei-admin"])]
#[case(Misbehaviour::TakesLossForFailure, &["setup.lost-answer", "setup.reset-at-admin-setup"])]
#[case(Misbehaviour::GoesOnAfterRefusal, &["setup.chain-gap", "setup.wrong-suffix"])]
#[case(Misbehaviour::DropsSignature, &["setup.signed"])]
#[case(Misbehaviour::ServerHashesAgain, &["setup.signed", "setup.admin"])]
#[case(Misbehaviour::ServerUsesOtherKey, &["setup.signed", "setup.admin"])]
#[case(Misbehaviour::ServerForgets, &["setup.checked"])]
#[case(Misbehaviour::CheckerOnlyCertificate, &["setup.rogue-same-certificate"])]
#[case(Misbehaviour::CheckerOnlyTimestamp, &["setup.rogue-clock-set-back"])]
#[case(Misbehaviour::CheckerForgivesUnsigned, &["setup.rogue-unsigned", "setup.unsigned"])]
fn a_mistake_is_noticed(#[case] mistake: Misbehaviour, #[case] scenarios: &[&str]) {
    let filter: Vec<String> = scenarios
        .iter()
        .map(|name| match name.contains('.') {
            true => (*name).to_owned(),
            false => format!("discovery.{name}"),
        })
        .collect();
    let runs = run(Some(&filter.join(", ")), Some(mistake), Rules::default());
    let noticed = noticed(&runs);
    for scenario in &filter {
        assert!(
            noticed.contains(scenario.as_str()),
            "{scenario} is silent about {mistake}"
        );
    }
    // Whoever is wrong on purpose is the one who is blamed.
    let wanted = match mistake {
        Misbehaviour::RecommendAbove15 | Misbehaviour::AlwaysSecure => Blame::Console,
        Misbehaviour::ServerHashesAgain
        | Misbehaviour::ServerUsesOtherKey
        | Misbehaviour::ServerForgets => Blame::Sca,
        _ => Blame::Agent,
    };
    for run in runs.iter().filter(|run| run.blame().is_some()) {
        assert_eq!(run.blame(), Some(wanted), "{}: {:#?}", run.id, run.checks);
    }
}

/// Rules of the device, and the scenarios that are there to notice that one is gone.
#[rstest]
#[case("device.amthi.unknown-command", &["discovery.cira-log-unknown"])]
#[case("device.setup.signature", &["setup.wrong-signature", "setup.other-key", "setup.one-nonce"])]
#[case("device.setup.nonce-order", &["setup.swapped-nonces", "setup.admin-swapped-nonces"])]
#[case("device.setup.nonce-fresh", &["setup.stale-nonce", "setup.reused-nonce"])]
#[case("device.setup.nonce-renewed", &["setup.nonce-renewed"])]
#[case("device.setup.signing-algorithm", &["setup.unknown-algorithm"])]
#[case("device.setup.mc-nonce", &["setup.short-nonce"])]
#[case("device.setup.chain-complete", &["setup.chain-truncated"])]
#[case("device.pki.chain-order", &["setup.chain-gap", "setup.chain-out-of-order", "certificates.order"])]
#[case("device.pki.chain-length", &["setup.chain-too-long", "certificates.long-chain"])]
#[case("device.pki.chain-signature", &["setup.forged-leaf", "certificates.signature"])]
#[case("device.pki.authority", &["setup.issuer-is-no-authority", "certificates.authority"])]
#[case("device.pki.digest", &["setup.sha1", "certificates.digest", "certificates.md5"])]
#[case("device.pki.key-size", &["setup.rsa-1024", "certificates.key-size"])]
#[case("device.pki.validity", &["setup.expired-leaf", "certificates.validity"])]
#[case("device.pki.server-usage", &["setup.client-only", "certificates.server-usage", "certificates.any-usage-refused"])]
#[case("device.pki.setup-mark", &["setup.no-setup-mark", "certificates.setup-mark"])]
#[case("device.pki.dns-suffix", &["setup.wrong-suffix", "certificates.names", "certificates.public-suffix", "certificates.parent-domain", "certificates.alternative-name", "certificates.wildcard-refused"])]
#[case("device.pki.whole-labels", &["setup.look-alike-suffix", "certificates.names"])]
#[case("device.pki.root-known", &["setup.unknown-root", "certificates.root"])]
#[case("device.pki.root-active", &["setup.inactive-root", "certificates.root-inactive"])]
#[case("device.setup.peer-judged", &["certificates.network-marks", "certificates.network-links", "certificates.network-roots"])]
#[case("device.pki.time-noted", &["certificates.network-time-noted", "certificates.network-not-yet-valid"])]
#[case("device.pki.secure-dns", &["certificates.network-domain-from-dhcp"])]
#[case("device.pki.root-digest", &["certificates.root-sha1-hash"])]
#[case("device.mode.mei-unprovision-client-only", &["setup.unprovision-mei-admin"])]
fn a_rule_that_is_gone_is_noticed(#[case] rule: &str, #[case] scenarios: &[&str]) {
    let mut rules = Rules::default();
    rules.knock_out(rule).unwrap();
    for scenario in scenarios {
        let runs = run(Some(scenario), None, rules.clone());
        assert!(
            noticed(&runs).contains(scenario),
            "{scenario} is silent about {rule}"
        );
    }
}

fn is_of_the_network(step: &Step) -> bool {
    matches!(&step.kind, StepKind::Do { action, .. } if action.is_of_the_network())
}

/// Faults on the way, where a role can only claim what is not so or never end. No bundled role has a switch for either
/// alone; `cargo xtask knockout` lets all of them do both.
const ONLY_THE_END: [&str; 4] = [
    "setup.bare-400",
    "setup.channel-refused",
    "setup.lost-close",
    "setup.sporadic-500",
];

/// No scenario is decoration: each one notices at least one mistake, on one device at least.
#[test]
fn every_scenario_notices_something() {
    let one_each: Vec<Case<'_>> = one_of_each(None)
        .into_iter()
        // A probe has no role to be wrong: see the test below. The secure flow has tests of its own, and so has set-up
        // over the network: network_honesty.rs. What is about certificates tries the device, not a role: a rule that is
        // out shows there.
        .filter(|case| !case.scenario.id.starts_with("certificates."))
        .filter(|case| !case.scenario.roles.contains(&Role::Prober))
        .filter(|case| !ONLY_THE_END.contains(&case.scenario.id.as_str()))
        .filter(|case| !case.scenario.id.starts_with("secure."))
        .filter(|case| !case.scenario.steps.iter().any(is_of_the_network))
        .collect();
    let mut killers: BTreeMap<String, Vec<Misbehaviour>> = one_each
        .iter()
        .map(|case| (case.scenario.id.clone(), Vec::new()))
        .collect();
    for mistake in Misbehaviour::ALL {
        // It spoils whatever it touches and would hide that a scenario notices nothing else.
        let elsewhere = mistake.is_of_secure_flow() || mistake.is_of_the_network();
        if *mistake == Misbehaviour::WrongLength || elsewhere {
            continue;
        }
        // The parties of set-up take no part in discovery, and the other way round.
        let cases: Vec<Case<'_>> = one_each
            .iter()
            .filter(|case| case.scenario.id.starts_with("setup.") == mistake.is_of_set_up())
            .cloned()
            .collect();
        for run in run_cases(&cases, Some(*mistake), Rules::default()) {
            if is_noticed(&run)
                && let Some(list) = killers.get_mut(&run.scenario)
            {
                list.push(*mistake);
            }
        }
    }
    let silent: Vec<&String> = killers
        .iter()
        .filter(|(_, mistakes)| mistakes.is_empty())
        .map(|(scenario, _)| scenario)
        .collect();
    assert!(silent.is_empty(), "these notice nothing: {silent:?}");
}

/// A story about the device itself fails where nothing is sent to it.
#[test]
fn every_probe_needs_its_answers() {
    let probes: Vec<Case<'_>> = one_of_each(None)
        .into_iter()
        .filter(|case| case.scenario.roles.contains(&Role::Prober))
        .collect();
    assert!(probes.len() > 100, "{} stories", probes.len());
    let engine = Engine {
        ledger: &shelf().ledger,
        subject: Subject::Reference,
        misbehaviour: None,
        rules: Rules::default(),
    };
    let deaf = probes.iter().filter(|case| {
        let run = engine.run_tampered(case, Tampering::DoesNothing);
        !is_noticed(&run)
    });
    let deaf: Vec<&str> = deaf.map(|case| case.scenario.id.as_str()).collect();
    assert!(deaf.is_empty(), "these notice nothing: {deaf:?}");
}

#[test]
fn the_same_seed_gives_the_same_journal() {
    let first = run(Some("discovery.*"), None, Rules::default());
    let second = run(Some("discovery.*"), None, Rules::default());
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.journal, second.journal, "{}", first.id);
    }
}
