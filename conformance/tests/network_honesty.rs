//! Set-up over the network: its parties make mistakes and the device loses rules, and the scenarios that claim to
//! notice must notice, and blame whoever is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "common/shelf.rs"]
mod shelf;

use std::collections::BTreeSet;

use amt_sim::Rules;
use conformance::role::Misbehaviour;
use conformance::run::Blame;

use shelf::{is_noticed, one_of_each, run_cases, shelf};

/// Every mistake, and the scenarios that notice it, each with a requirement that fails.
#[rustfmt::skip]
const MISTAKES: &[(Misbehaviour, &[(&str, &str)])] = &[
    (Misbehaviour::ConsoleOneOtp, &[("flow.password-for-each", "console.out-of-band.otp-per-machine")]),
    (Misbehaviour::ConsoleForgetsSca, &[
        ("flow.legacy", "console.setup.identity-to-sca"), ("flow.without-password", "console.setup.identity-to-sca"), ("flow.again-after-stop", "console.setup.identity-to-sca"), ("flow.key-before-hello", "console.setup.identity-to-sca"),
        ("flow.domain-from-dhcp", "console.setup.identity-to-sca"), ("flow.domain-typed-in", "console.setup.identity-to-sca"), ("flow.expired-certificate", "console.setup.identity-to-sca"),
    ]),
    (Misbehaviour::AgentForgetsOtp, &[("flow.legacy", "agent.setup.otp-to-device")]),
    (Misbehaviour::AgentInventsOtp, &[("flow.without-password", "agent.setup.otp-to-device")]),
    (Misbehaviour::AgentGivesUpOnLostAnswer, &[("flow.lost-start-answer", "agent.out-of-band.lost-start")]),
    (Misbehaviour::AgentStartsFirst, &[("flow.legacy", "agent.setup.otp-to-device")]),
    (Misbehaviour::AgentStartsAnyway, &[("flow.password-too-short", "agent.out-of-band.notices-refusal"), ("flow.password-too-long", "agent.out-of-band.notices-refusal"), ("flow.configured-already", "agent.out-of-band.notices-refusal")]),
    (Misbehaviour::AgentHidesStatus, &[("flow.started-already", "agent.out-of-band.notices-refusal"), ("flow.no-network", "agent.out-of-band.notices-refusal"), ("flow.called-off", "agent.out-of-band.stop")]),
    (Misbehaviour::ScaSkipsOtp, &[("flow.legacy", "sca.otp.read-before-write"), ("sca.other-password", "sca.otp.refuses-other"), ("sca.no-password", "sca.otp.refuses-none")]),
    (Misbehaviour::ScaComparesPrefix, &[("sca.last-letter", "sca.otp.refuses-other")]),
    (Misbehaviour::ScaComparesShownLength, &[("sca.one-letter-more", "sca.otp.refuses-other")]),
    (Misbehaviour::ScaReadsOtpLate, &[("flow.legacy", "sca.otp.read-before-write"), ("sca.last-letter", "sca.otp.refuses-other"), ("sca.no-password", "sca.otp.refuses-none")]),
    (Misbehaviour::ScaTakesNoOtp, &[("sca.no-password", "sca.otp.refuses-none")]),
    (Misbehaviour::ScaTrustsHelloUuid, &[("sca.hello-other-machine", "sca.hello.not-trusted"), ("sca.stand-in", "sca.hello.not-trusted")]),
    (Misbehaviour::ScaTakesAnybody, &[("sca.hello-unknown-machine", "sca.hello.unknown-device")]),
    (Misbehaviour::ScaFirstSegmentOnly, &[("sca.hello-in-two", "sca.hello.any-pieces"), ("sca.hello-byte-by-byte", "sca.hello.any-pieces")]),
    (Misbehaviour::ScaAnyVersion, &[("sca.hello-version-2", "sca.hello.version"), ("sca.hello-version-4", "sca.hello.version")]),
    (Misbehaviour::ScaLaxHello, &[
        ("sca.hello-credentials-2", "sca.hello.refuses-malformed"), ("sca.hello-retry-15", "sca.hello.refuses-malformed"), ("sca.hello-count-34", "sca.hello.refuses-malformed"),
        ("sca.hello-count-too-high", "sca.hello.refuses-malformed"), ("sca.hello-unknown-algorithm", "sca.hello.refuses-malformed"), ("sca.hello-wrong-hash-length", "sca.hello.refuses-malformed"),
        ("sca.hello-trailing", "sca.hello.refuses-malformed"), ("sca.hello-truncated", "sca.hello.refuses-malformed"),
    ]),
    (Misbehaviour::ScaTakesDuplicates, &[("sca.hello-duplicate", "sca.hello.duplicate")]),
    (Misbehaviour::ScaStartsAgain, &[("sca.hello-replayed", "sca.hello.replay")]),
    (Misbehaviour::ScaIgnoresRootList, &[("sca.hello-other-roots", "sca.hello.root-match")]),
    (Misbehaviour::ScaSpeaksBeforeTls, &[("sca.returns", "sca.tls.first")]),
    (Misbehaviour::ScaPlainLogin, &[("sca.returns", "sca.tls.no-plain-login")]),
    (Misbehaviour::ScaIgnoresReturnValues, &[
        ("sca.refused-password", "sca.setup.stops-at-refusal"), ("sca.refused-administrator", "sca.setup.stops-at-refusal"), ("sca.refused-key", "sca.setup.stops-at-refusal"),
        ("sca.refused-certificate", "sca.setup.stops-at-refusal"), ("sca.refused-commit", "sca.setup.stops-at-refusal"), ("sca.data-missing", "sca.setup.data-missing"), ("sca.tries-again", "sca.setup.stops-at-refusal"),
    ]),
    (Misbehaviour::ScaShrugs, &[
        ("sca.http-400", "sca.setup.http-errors"), ("sca.http-401", "sca.setup.http-errors"), ("sca.http-500", "sca.setup.http-errors"),
        ("sca.closed-at-greeting", "sca.setup.http-errors"), ("sca.closed-at-password", "sca.setup.http-errors"), ("sca.closed-at-middle", "sca.setup.http-errors"),
    ]),
    (Misbehaviour::ScaSkipsMebx, &[("sca.returns", "sca.setup.mebx-before-commit")]),
    (Misbehaviour::ScaLateMebx, &[("sca.returns", "sca.setup.mebx-before-commit")]),
    (Misbehaviour::ScaFixedRealm, &[("sca.realm", "sca.setup.realm")]),
    (Misbehaviour::ScaWeakPassword, &[("sca.returns", "sca.setup.mebx-before-commit")]),
    (Misbehaviour::ScaImpatient, &[("sca.slow-answer", "sca.setup.patience")]),
    (Misbehaviour::ScaEndlessWait, &[("sca.no-answer", "sca.setup.patience")]),
    (Misbehaviour::ScaKeepsCertificateLogin, &[("sca.returns", "sca.setup.returns-with-digest")]),
    (Misbehaviour::ScaAnyCertificate, &[("sca.stand-in-later", "sca.setup.own-certificate")]),
    (Misbehaviour::ScaOneConnection, &[("sca.connection-ends", "sca.setup.connection-ends")]),
    (Misbehaviour::ScaGivesUpOnLostAnswer, &[("sca.lost-commit-answer", "sca.setup.lost-commit-answer")]),
];

/// Rules of the device, and the scenarios that notice that one is gone.
const RULES: &[(&str, &[&str])] = &[
    ("device.out-of-band.start-network", &["flow.no-network"]),
    (
        "device.amthi.otp-value",
        &["flow.password-too-short", "flow.password-too-long"],
    ),
    ("device.amthi.otp-state", &["flow.configured-already"]),
];

#[test]
fn every_mistake_is_noticed_where_it_should_be() {
    let mut wrong = Vec::new();
    for (mistake, scenarios) in MISTAKES {
        let names: Vec<&str> = scenarios.iter().map(|(name, _)| *name).collect();
        let wanted = match mistake.to_string() {
            name if name.starts_with("console-") => Blame::Console,
            name if name.starts_with("agent-") => Blame::Agent,
            _ => Blame::Sca,
        };
        let cases = one_of_each(Some(&names.join(", ")));
        let runs = run_cases(&cases, Some(*mistake), Rules::default());
        for (scenario, requirement) in *scenarios {
            let run = runs.iter().find(|run| run.scenario == *scenario);
            let checks = run.map_or(&[][..], |run| run.checks.as_slice());
            let failed: Vec<(&str, Option<Blame>)> = checks
                .iter()
                .filter(|check| check.blame.is_some())
                .map(|check| (check.requirement.as_str(), check.blame))
                .collect();
            if !run.is_some_and(is_noticed) || !failed.contains(&(requirement, Some(wanted))) {
                wrong.push(format!(
                    "{mistake}: {scenario} should fail {requirement}, but these do: {failed:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_mistake_of_the_network_stands_in_the_table() {
    let listed: BTreeSet<Misbehaviour> = MISTAKES.iter().map(|(mistake, _)| *mistake).collect();
    let all: BTreeSet<Misbehaviour> = Misbehaviour::ALL
        .iter()
        .copied()
        .filter(|mistake| mistake.is_of_the_network())
        .collect();
    assert_eq!(listed, all);
}

#[test]
fn every_scenario_notices_something() {
    let mistakes = MISTAKES.iter().flat_map(|(_, scenarios)| *scenarios);
    let by_mistake = mistakes.map(|(scenario, _)| *scenario);
    let by_rule = RULES.iter().flat_map(|(_, scenarios)| *scenarios).copied();
    let noticing: BTreeSet<&str> = by_mistake.chain(by_rule).collect();
    let is_here = |id: &str| id.starts_with("flow.") || id.starts_with("sca.");
    let all: BTreeSet<&str> = shelf()
        .library
        .scenarios
        .iter()
        .map(|scenario| scenario.id.as_str())
        .filter(|id| is_here(id))
        .collect();
    let silent: Vec<&&str> = all.difference(&noticing).collect();
    assert!(silent.is_empty(), "these notice nothing: {silent:?}");
}

#[test]
fn a_rule_that_is_gone_is_noticed() {
    for (rule, scenarios) in RULES {
        let mut rules = Rules::default();
        rules.knock_out(rule).unwrap();
        let cases = one_of_each(Some(&scenarios.join(", ")));
        for run in run_cases(&cases, None, rules) {
            assert!(is_noticed(&run), "{} is silent about {rule}", run.id);
        }
    }
}
