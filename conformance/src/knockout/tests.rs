//! The survey itself: what nobody would miss is found, and what somebody misses is not accused.

use std::num::NonZeroUsize;

use super::{Depth, Fate, Survey, survey};
use crate::requirement::Ledger;
use crate::run::Choice;
use crate::scenario::Library;

/// Of a library with one scenario, which expects this beside the version, and claims that with it.
fn surveyed(expectation: &str, claims: &str) -> Survey {
    let text = format!(
        r#"
id = "discovery.tried"
title = "Tried"
story = "The agent looks at the machine."
requirements = ["agent.discovery.version", {claims}]
tags = ["discovery"]
roles = ["agent"]
needs = ["version"]

[device]
profiles = ["tiger-lake-15"]

[[step]]
do = "agent.discover"

[[step]]
expect = {{ matches_device = ["version"] }}
requirement = "agent.discovery.version"
severity = "MUST"

[[step]]
expect = {{ {expectation} }}
requirement = {claims}
severity = "SHOULD"
"#
    );
    let ledger = Ledger::builtin().unwrap();
    let library = Library::parse([("tried.toml", text.as_str())], &ledger).unwrap();
    let found = survey(
        &ledger,
        &library,
        &Choice::default(),
        Depth::FirstNotice,
        NonZeroUsize::new(2).unwrap(),
        |_| (),
    );
    found.unwrap()
}

fn fate_of(found: &Survey, name: &str) -> Fate {
    let rows = found.rules.iter().chain(&found.mistakes);
    rows.filter(|row| row.name == name)
        .map(|row| row.fate)
        .next()
        .unwrap()
}

#[test]
fn a_claim_that_nobody_tests_is_silent() {
    let found = surveyed(
        r#"fact = "version", equals = "15.0.35""#,
        r#""device.amthi.unknown-command""#,
    );
    assert_eq!(
        fate_of(&found, "device.amthi.unknown-command"),
        Fate::Silent
    );
    assert!(found.is_silent());
    // Nothing else of it is wrong.
    assert!(found.broken.is_empty(), "{found}");
    assert_eq!(fate_of(&found, "wrong-version-row"), Fate::Killed);
    // A rule for which the ledger names unit tests is left to whoever can run them.
    let ledger = Ledger::builtin().unwrap();
    for requirement in ledger.iter().filter(|one| !one.proved_by.is_empty()) {
        assert_eq!(fate_of(&found, &requirement.id), Fate::NotRun);
    }
    let shown = found.to_string();
    assert!(
        shown.contains("SILENT  device.amthi.unknown-command"),
        "{shown}"
    );
}

/// No agent that looks at the machine makes the device say hello, whatever else is wrong with it.
#[test]
fn a_check_that_cannot_fail_is_silent() {
    let found = surveyed(
        r#"journal_none = "hello""#,
        r#""device.amthi.unknown-command""#,
    );
    let blind: Vec<&str> = found
        .checks
        .iter()
        .filter(|check| !check.can_fail())
        .map(|check| check.question)
        .collect();
    assert_eq!(blind, ["journal_none"]);
    assert!(!found.alone.contains_key("journal_none"));
}
