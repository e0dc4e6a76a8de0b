//! What people and machines get to see, held still.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

use std::num::NonZeroUsize;

use amt_sim::Rules;
use conformance::report::{Invocation, Report, Subject as Described, Terminal, Timing, junit};
use conformance::requirement::{Ledger, Matrix};
use conformance::role::Misbehaviour;
use conformance::run::{Choice, Engine, Plan, Run, Subject, Verdict, run_all};
use conformance::scenario::Library;

fn report(filter: &str, misbehaviour: Option<Misbehaviour>, change: impl Fn(&mut Run)) -> Report {
    let ledger = Ledger::builtin().unwrap();
    let library = Library::builtin(&ledger).unwrap();
    let choice = Choice {
        filter: Some(filter.to_owned()),
        ..Choice::default()
    };
    let plan = Plan::new(&library, &ledger, &choice).unwrap();
    let engine = Engine {
        ledger: &ledger,
        subject: Subject::Reference,
        misbehaviour,
        rules: Rules::default(),
    };
    let mut runs = Vec::new();
    run_all(
        &plan.cases,
        NonZeroUsize::MIN,
        |case| engine.run(case),
        |_| (),
        |mut run| {
            change(&mut run);
            runs.push(run);
        },
    );
    let described = Described::reference();
    let invocation = Invocation {
        filter: choice.filter.clone(),
        seed: Plan::SEED,
        misbehave: misbehaviour.map(|mistake| mistake.to_string()),
        ..Invocation::default()
    };
    Report::new(
        described,
        invocation,
        Timing::default(),
        runs,
        &ledger,
        false,
    )
}

fn shown(report: &Report) -> String {
    let terminal = Terminal::default();
    let mut text: String = report
        .runs
        .chunk_by(|a, b| a.scenario == b.scenario)
        .map(|runs| terminal.scenario(runs))
        .collect();
    text += &terminal.summary(report, "report");
    text
}

#[test]
fn a_finding_in_the_terminal() {
    let report = report(
        "discovery.uuid, discovery.hashes-custom, discovery.mode-factory",
        Some(Misbehaviour::UuidByteOrder),
        |_| (),
    );
    assert_eq!(report.exit_code, 1);
    insta::assert_snapshot!(shown(&report));
}

#[test]
fn lists_are_shown_as_far_as_they_differ() {
    let report = report(
        "discovery.hashes-custom",
        Some(Misbehaviour::Sha384AsSha512),
        |_| (),
    );
    insta::assert_snapshot!(shown(&report));
}

#[test]
fn nothing_to_complain_about() {
    let report = report("discovery.dns-*", None, |_| ());
    assert_eq!(report.exit_code, 0);
    insta::assert_snapshot!(shown(&report));
}

/// Every other verdict, made by hand: a bundled role never comes to them.
fn odd_ones(run: &mut Run) {
    let (verdict, reason, known) = match run.profile.as_str() {
        "skylake-11" => (Verdict::NotApplicable, Some("mine has no `dns`"), None),
        "cannon-lake-12" => (Verdict::NotImplemented, Some("it says so"), None),
        "comet-lake-14" => (Verdict::Inconclusive, Some("the fault never struck"), None),
        "alder-lake-16" => (Verdict::Fail, None, Some("a <known> \"failure\"\u{1b}[31m")),
        "meteor-lake-18" => (Verdict::Pass, None, Some("does not fail any more")),
        "arrow-lake-19" => (
            Verdict::ConfigurationError,
            Some("exit 1: run me as root"),
            None,
        ),
        _ => return,
    };
    run.verdict = verdict;
    run.reason = reason.map(str::to_owned);
    run.known_failing = known.map(str::to_owned);
}

#[test]
fn every_verdict_in_the_terminal_and_in_junit() {
    let report = report("discovery.dns-suffix", None, odd_ones);
    assert_eq!(report.exit_code, 2);
    insta::assert_snapshot!("verdicts_terminal", shown(&report));
    let xml = junit(&report);
    insta::assert_snapshot!("verdicts_junit", xml);
    let document = roxmltree::Document::parse(&xml).unwrap();
    let suite = document
        .descendants()
        .find(|node| node.has_tag_name("testsuite"))
        .unwrap();
    assert_eq!(suite.attribute("tests"), Some("9"));
    assert_eq!(suite.attribute("skipped"), Some("3"));
    assert_eq!(suite.attribute("errors"), Some("2"));
    assert_eq!(suite.attribute("failures"), Some("1"));
}

#[test]
fn a_failure_in_junit_is_well_formed() {
    let report = report("discovery.uuid-zero", Some(Misbehaviour::AnyUuid), |run| {
        run.verdict = Verdict::Fail;
        run.remarks.push("garbage: \u{0}\u{1b} ]]> & <".to_owned());
    });
    let xml = junit(&report);
    roxmltree::Document::parse(&xml).unwrap();
    insta::assert_snapshot!(xml);
}

#[test]
fn the_report_as_json() {
    let report = report("discovery.uuid-zero", Some(Misbehaviour::AnyUuid), |_| ());
    insta::assert_json_snapshot!(report, { ".tool.version" => "[version]" });
}

#[test]
fn the_matrix_shows_what_nobody_proves() {
    let text = r#"
[[requirement]]
id = "agent.discovery.proven"
text = "The agent does it."
level = "MUST"
who = "agent"
grade = "documented"
source = "a page"
alias = "P01"
[[requirement]]
id = "agent.discovery.untested"
text = "The agent does that."
level = "SHOULD"
who = "agent"
grade = "inferred"
source = "a thread"
[[requirement]]
id = "device.key.entropy"
text = "The key is random."
level = "MUST"
who = "device"
grade = "assumed"
source = "nobody knows"
untestable = "one key does not tell"
"#;
    let ledger = Ledger::parse([("fixtures/requirements/a.toml", text)]).unwrap();
    let scenario = r#"
id = "discovery.one"
title = "One"
story = "One."
requirements = ["agent.discovery.proven"]
roles = ["agent"]
needs = ["uuid"]
device = {}
[[step]]
do = "agent.discover"
[[step]]
expect = { matches_device = "uuid" }
requirement = "agent.discovery.proven"
severity = "MUST"
"#;
    let library = Library::parse([("scenarios/discovery/one.toml", scenario)], &ledger).unwrap();
    insta::assert_snapshot!(Matrix::new(&ledger, &library.scenarios));
}
