//! The scenarios of the secure flow notice what they are there to notice: each wrong chain a verifier that skips the
//! check, each trouble an agent that does not look, each rule of the device its absence.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "common/shelf.rs"]
mod shelf;

use amt_sim::device::{FaultEffect, Seed};
use amt_sim::{Errno, Fault, Mode, Rules};
use conformance::role::Ending;
use conformance::role::Misbehaviour::{self, *};
use conformance::run::{Blame, Case, Engine, Evidence, Performed, Subject};
use conformance::scenario::Outcome;
use conformance::sweep::{Layer, faults_at, points};
use rstest::rstest;

use shelf::{cases, is_noticed, one_of_each, run_cases, shelf};

/// Every mistake, and scenarios that are there to notice it.
#[rstest]
#[case(AgentUsesLegacyStart, &["whole"])]
#[case(AgentArmsOldFirmware, &["old-firmware"])]
#[case(AgentSendsRootHash, &["whole", "sha-384"])]
#[case(AgentConnectsAnyway, &["status-1", "status-3", "status-36"])]
#[case(AgentTakesLossForSuccess, &["commit-cut", "commit-half"])]
#[case(AgentTakesLossForFailure, &["commit-lost", "commit-cut-inside"])]
#[case(AgentChecksModeOnly, &["commit-half"])]
#[case(AgentNeverStops, &["wrong-cn", "left-in-setup", "commit-cut"])]
#[case(AgentNeverLooks, &["return-fails"])]
#[case(AgentNeverRetries, &["lost-link-start", "lost-link-upid", "lost-link-confirm", "channel-shortage", "stop-retried", "interrupted-call"])]
#[case(ScaTrustsHashAlone, &["wrong-cn", "rom-missing", "other-root", "self-signed", "other-device", "four", "revoked-rom"])]
#[case(ScaSkipsHash, &["other-leaf", "rotating-leaf", "chain-changes"])]
#[case(ScaFixedAlgorithm, &["sha-384"])]
#[case(ScaTrustsFirstHash, &["leaf-of-each-start"])]
#[case(ScaVerifiesOnce, &["chain-changes"])]
#[case(ScaTakesSelfSigned, &["self-signed"])]
#[case(ScaSkipsLength, &["five", "seven", "with-root"])]
#[case(ScaSkipsLeafName, &["wrong-cn", "ptt-leaf", "ws-man-leaf", "audit-leaf"])]
#[case(ScaSkipsRomName, &["rom-misnamed", "other-issuer-ou"])]
#[case(ScaSkipsOrder, &["wrong-order"])]
#[case(ScaSkipsSignature, &["broken-leaf", "broken-amt", "broken-kernel", "broken-rom", "broken-issuing"])]
#[case(ScaSkipsRoot, &["broken-intermediate", "other-root"])]
#[case(ScaSkipsAuthority, &["non-ca"])]
#[case(ScaSkipsCurve, &["p256"])]
#[case(ScaSkipsDates, &["expired", "expired-authority", "not-yet-valid"])]
#[case(ScaSkipsPlatform, &["wrong-upid", "other-device"])]
#[case(ScaSkipsLists, &["revoked-leaf", "revoked-kernel", "revoked-rom", "revoked-intermediate"])]
#[case(ScaForgivesLists, &["lists-missing", "lists-outdated", "lists-forged"])]
#[case(ScaLeavesMebx, &["mebx-password"])]
fn a_mistake_is_noticed(#[case] mistake: Misbehaviour, #[case] scenarios: &[&str]) {
    let filter: Vec<String> = scenarios
        .iter()
        .map(|name| format!("secure.{name}"))
        .collect();
    for run in run_cases(
        &one_of_each(Some(&filter.join(", "))),
        Some(mistake),
        Rules::default(),
    ) {
        assert!(
            is_noticed(&run),
            "{} is silent about {mistake}: {:#?}",
            run.scenario,
            run.remarks
        );
        let blamed = matches!(run.blame(), Some(Blame::Agent | Blame::Sca));
        assert!(blamed, "{}: {:#?}", run.id, run.checks);
    }
}

/// The application judges the chain by the same verifier, where no hash is told beforehand: a check that is left out is
/// noticed by the scenario that is there for it, and by no other.
#[rstest]
#[case(ScaSkipsLeafName, &["wrong-cn", "ws-man-leaf"])]
#[case(ScaSkipsRomName, &["rom-misnamed"])]
#[case(ScaSkipsOrder, &["wrong-order"])]
#[case(ScaSkipsSignature, &["broken-leaf"])]
#[case(ScaSkipsRoot, &["other-root"])]
#[case(ScaSkipsAuthority, &["non-ca"])]
#[case(ScaSkipsCurve, &["p256"])]
#[case(ScaSkipsDates, &["expired"])]
#[case(ScaSkipsPlatform, &["other-device"])]
#[case(ScaSkipsLength, &["five"])]
#[case(ScaTakesSelfSigned, &["self-signed"])]
fn a_check_of_the_application_that_is_left_out_is_noticed(
    #[case] mistake: Misbehaviour,
    #[case] scenarios: &[&str],
) {
    let wrong = run_cases(
        &one_of_each(Some("setup.odca-*")),
        Some(mistake),
        Rules::default(),
    );
    let noticed: Vec<&str> = wrong
        .iter()
        .filter(|run| is_noticed(run))
        .filter_map(|run| run.scenario.strip_prefix("setup.odca-"))
        .collect();
    assert_eq!(noticed, scenarios, "{mistake}");
}

#[rstest]
#[case("device.setup.announced-leaf", "sca-other-leaf")]
#[case("device.setup.peer-judged", "sca-wrong-suffix")]
#[case("device.setup.peer-administrator", "known-by-certificate")]
#[case("device.odca.upid-bound", "known-by-certificate")]
#[case("device.amthi.host-based-algorithm", "sha-1")]
fn a_rule_that_is_gone_is_noticed(#[case] rule: &str, #[case] scenario: &str) {
    let mut rules = Rules::default();
    rules.knock_out(rule).unwrap();
    for run in run_cases(
        &one_of_each(Some(&format!("secure.{scenario}"))),
        None,
        rules,
    ) {
        assert!(is_noticed(&run), "{} is silent about {rule}", run.scenario);
    }
}

/// EBUSY and ENODEV wherever a system call of the agent can fail: for good from the first occasion on, and once at every
/// one. In an order that follows from a seed: those in front are from everywhere.
fn trouble_of_the_link(case: &Case<'_>) -> Vec<Fault> {
    let engine = Engine {
        ledger: &shelf().ledger,
        subject: Subject::Reference,
        misbehaviour: None,
        rules: Rules::default(),
    };
    let chances = Evidence {
        chances: true,
        ..Evidence::default()
    };
    let honest = engine.run_for(case, chances);
    let mut points = points(&honest.captured.recording.chances);
    points.retain(|point| point.layer == Layer::Errno);
    // Each call of each of the four clients, and of AMTHI each command.
    let firsts = points.iter().filter(|point| point.fault.after == 0);
    assert!(firsts.count() > 20, "{points:#?}");
    let mut faults: Vec<Fault> = points.iter().flat_map(faults_at).collect();
    faults.retain(|fault| match fault.effect {
        FaultEffect::Errno(Errno::Enodev) => fault.after == 0 || fault.times == Some(1),
        FaultEffect::Errno(Errno::Ebusy) => fault.after == 0,
        _ => false,
    });
    faults.sort_by_cached_key(|fault| Seed(1).bytes::<8>(&fault.to_string(), 0));
    faults
}

/// A few of them; `conformance sweep secure.whole` tries them all. A mistake is looked for until one shows it.
#[rstest]
#[case::honest(None)]
#[case::claims(Some(AgentTakesLossForSuccess))]
#[case::blind(Some(AgentNeverLooks))]
fn whatever_fails_of_the_link_the_agent_says_what_is_so(#[case] mistake: Option<Misbehaviour>) {
    const A_FEW: usize = 24;
    let whole = one_of_each(Some("secure.whole")).pop().unwrap();
    let mut faults = trouble_of_the_link(&whole);
    if mistake.is_none() {
        faults.truncate(A_FEW);
    }
    let mut wrong = Vec::new();
    for faults in faults.chunks(A_FEW) {
        wrong.extend(what_goes_wrong(&whole, faults, mistake));
        if !wrong.is_empty() {
            break;
        }
    }
    assert_eq!(wrong.is_empty(), mistake.is_none(), "{wrong:#?}");
}

/// Under which of these faults, one at a time, the agent does not say what is so.
fn what_goes_wrong(
    whole: &Case<'_>,
    faults: &[Fault],
    mistake: Option<Misbehaviour>,
) -> Vec<(Fault, Performed)> {
    let with = |fault: &Fault| {
        let mut scenario = whole.scenario.clone();
        scenario.device.faults.push(fault.clone());
        scenario
    };
    let scenarios: Vec<_> = faults.iter().map(with).collect();
    let case = |scenario| Case {
        scenario,
        ..whole.clone()
    };
    let cases: Vec<Case<'_>> = scenarios.iter().map(case).collect();
    let runs = run_cases(&cases, mistake, Rules::default());
    let ends = runs.into_iter().map(|mut run| run.actions.remove(0));
    let is_wrong = |end: &Performed| {
        let done = end.ending == Ending::Outcome(Outcome::Done);
        let failed = end.ending == Ending::Outcome(Outcome::Failed);
        let right = done && end.mode == Mode::Admin || failed && end.mode != Mode::HalfAdmin;
        !right || !end.lies.is_empty()
    };
    faults
        .iter()
        .cloned()
        .zip(ends)
        .filter(|(_, end)| is_wrong(end))
        .collect()
}

/// No scenario is decoration: each one notices some mistake.
#[test]
fn every_scenario_notices_something() {
    let mut silent = one_of_each(Some("secure.*"));
    // At most of its steps an agent that never looks cannot be wrong.
    silent.extend(cases(Some("secure.every-mei-step")));
    for mistake in Misbehaviour::ALL {
        if !mistake.is_of_secure_flow() {
            continue;
        }
        let runs = run_cases(&silent, Some(*mistake), Rules::default());
        let noticed: Vec<&str> = runs
            .iter()
            .filter(|run| is_noticed(run))
            .map(|run| run.scenario.as_str())
            .collect();
        silent.retain(|case| !noticed.contains(&case.scenario.id.as_str()));
    }
    let silent: Vec<&str> = silent
        .iter()
        .map(|case| case.scenario.id.as_str())
        .collect();
    assert!(silent.is_empty(), "these notice nothing: {silent:?}");
}
