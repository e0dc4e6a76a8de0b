//! A real SCA as a target: the bundled one as a program of its own, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "common/folder.rs"]
mod folder;
#[path = "common/shelf.rs"]
#[allow(dead_code, reason = "it is for other roles too")]
mod shelf;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;

use amt_sim::Rules;
use amt_sim::host::local_ports::Reach;
use conformance::role::target::{ExternalApplication, parse};
use conformance::run::{Blame, Case, Check, CheckVerdict, Engine, Run, Subject, Verdict, run_all};
use folder::Folder;

const TARGET: &str = include_str!("../../fixtures/targets/reference-sca.toml");

#[test]
fn the_bundled_sca_sets_a_device_up_over_real_sockets() {
    let folder = Folder::new("service");
    let output = Command::new(env!("CARGO_BIN_EXE_conformance"))
        .args([
            "run",
            "--target",
            "reference-sca",
            "--filter",
            "flow.legacy",
        ])
        .args(["--profile", "tiger-lake-15", "--report"])
        .arg(&folder.0)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let report = std::fs::read_to_string(folder.0.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let process = &report["runs"][0]["processes"][0];
    let said = process["stdout"].as_str().unwrap();
    assert!(said.contains("configured: "), "{process}");
}

/// Stories with the SCA of this target file, on one device.
fn tell(text: &str, stories: &[&str]) -> Vec<Run> {
    let cases = shelf::cases(Some(&stories.join(", ")));
    let one = |case: &Case<'_>| case.profile.name == "tiger-lake-15";
    let cases: Vec<Case<'_>> = cases.into_iter().filter(one).collect();
    let target = parse("test.toml", text).unwrap();
    let service = target.service.clone().unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_conformance"));
    let application = ExternalApplication::new(target, service, Some(program), Reach::Loopback);
    let engine = Engine {
        ledger: &shelf::shelf().ledger,
        subject: Subject::Application(Box::new(application)),
        misbehaviour: None,
        rules: Rules::default(),
    };
    let mut runs = Vec::new();
    run_all(
        &cases,
        NonZeroUsize::new(4).unwrap(),
        |case| engine.run(case),
        |_| (),
        |run| runs.push(run),
    );
    runs
}

fn careless(mistake: &str) -> String {
    let usual = "\"sca\", \"--listen\"";
    assert!(TARGET.contains(usual));
    let instead = format!("\"sca\", \"--misbehave\", \"{mistake}\", \"--listen\"");
    TARGET.replace(usual, &instead)
}

/// Stories in which a real SCA sees more than one machine, one caller, or one try; and one that it cannot be told.
#[test]
fn a_stranger_and_another_try_go_well_with_a_real_sca() {
    let stories = [
        "flow.again-after-stop",
        "flow.key-before-hello",
        "sca.hello-duplicate",
        "sca.hello-other-machine",
        "sca.hello-unknown-machine",
        "sca.stand-in-later",
        "sca.tries-again",
        "flow.expired-certificate",
    ];
    let runs = tell(TARGET, &stories);
    assert_eq!(runs.len(), stories.len());
    for run in runs {
        let left_out = run.scenario == "flow.expired-certificate";
        let wanted = match left_out {
            true => Verdict::NotApplicable,
            false => Verdict::Pass,
        };
        let (reason, failed) = (&run.reason, run.failed_checks().collect::<Vec<_>>());
        assert_eq!(run.verdict, wanted, "{}: {reason:?}, {failed:?}", run.id);
        assert_eq!(reason.is_some(), left_out, "{}: {reason:?}", run.id);
    }
}

/// Mistakes of an SCA that is a process of its own, and the requirement that each breaks.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("sca-skips-otp", "flow.legacy", "sca.otp.read-before-write"),
    (
        "sca-takes-no-otp",
        "sca.no-password",
        "sca.otp.refuses-none",
    ),
    (
        "sca-lax-hello",
        "sca.hello-truncated",
        "sca.hello.refuses-malformed",
    ),
    (
        "sca-takes-duplicates",
        "sca.hello-duplicate",
        "sca.hello.duplicate",
    ),
    ("sca-starts-again", "sca.hello-replayed", "sca.hello.replay"),
    (
        "sca-takes-anybody",
        "sca.hello-unknown-machine",
        "sca.hello.unknown-device",
    ),
    (
        "sca-trusts-hello-uuid",
        "sca.stand-in",
        "sca.hello.not-trusted",
    ),
    (
        "sca-any-certificate",
        "sca.stand-in-later",
        "sca.setup.own-certificate",
    ),
    (
        "sca-ignores-return-values",
        "sca.refused-commit",
        "sca.setup.stops-at-refusal",
    ),
    ("sca-shrugs", "sca.http-500", "sca.setup.http-errors"),
    (
        "sca-late-mebx",
        "sca.returns",
        "sca.setup.mebx-before-commit",
    ),
];

#[test]
fn an_sca_that_makes_a_mistake_is_found_out() {
    let found = |(mistake, story, requirement): &(&str, &str, &str)| {
        let runs = tell(&careless(mistake), &[story]);
        let failed: Vec<&Check> = runs.iter().flat_map(Run::failed_checks).collect();
        let is_noticed = failed.iter().any(|check| check.requirement == *requirement);
        let is_its_own = failed.iter().all(|check| check.blame == Some(Blame::Sca));
        (!is_noticed || !is_its_own).then(|| format!("{mistake}, {story}: {failed:#?}"))
    };
    let mut wrong = Vec::new();
    let jobs = NonZeroUsize::new(4).unwrap();
    run_all(MISTAKES, jobs, found, |_| (), |found| wrong.extend(found));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One that says nothing is judged by what the device sees of it.
#[test]
fn an_sca_that_says_nothing_of_itself_is_judged_by_the_device() {
    let silent = [
        "refused = ",
        "committed = ",
        "done = ",
        "failed = ",
        "quiet = ",
    ];
    let said = TARGET.find("[service.facts]").unwrap();
    let lines = TARGET[..said].lines();
    let lines = lines.filter(|line| !silent.iter().any(|key| line.starts_with(key)));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let text = text.replace("[service]\n", "[service]\nquiet = \"3s\"\n");
    let runs = tell(
        &text,
        &["flow.legacy", "sca.refused-commit", "sca.other-password"],
    );
    for run in runs {
        let checks: Vec<_> = run.failed_checks().collect();
        assert_eq!(run.verdict, Verdict::Pass, "{}: {checks:?}", run.id);
        let untold = |check: &&Check| check.verdict == CheckVerdict::NotApplicable;
        let untold = run.checks.iter().filter(untold).count();
        assert_eq!(untold > 0, run.scenario != "flow.legacy", "{}", run.id);
    }
}

#[test]
fn what_is_known_of_an_sca_is_no_finding_until_it_passes() {
    let known = "[[known_failing]]\nscenario = \"flow.*\"\nprofile = \"*\"\nreason = \"known\"\n\n[service]";
    for (text, is_finding) in [(TARGET, true), (&careless("sca-skips-otp"), false)] {
        let runs = tell(&text.replace("[service]", known), &["flow.legacy"]);
        assert_eq!(runs[0].known_failing.as_deref(), Some("known"));
        assert_eq!(runs[0].is_finding(), is_finding);
    }
}
