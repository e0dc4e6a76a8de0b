//! The requirement ledger knows everything that the device can refuse, and everything that it assumes.

use std::collections::BTreeMap;

use super::{Rule, assumed};

/// The entries about the device, by ID.
fn ledger() -> BTreeMap<String, toml::Table> {
    let mut out = BTreeMap::new();
    for file in fixtures::REQUIREMENTS {
        let table: toml::Table = file.text.parse().unwrap();
        for entry in table["requirement"].as_array().unwrap() {
            let entry = entry.as_table().unwrap();
            if entry["who"].as_str() != Some("device") {
                continue;
            }
            let id = entry["id"].as_str().unwrap().to_owned();
            assert!(
                out.insert(id.clone(), entry.clone()).is_none(),
                "{id} stands twice"
            );
        }
    }
    out
}

#[test]
fn every_rule_enforces_a_requirement() {
    let ledger = ledger();
    for rule in Rule::ALL {
        let entry = ledger.get(rule.id());
        assert!(entry.is_some(), "{} is not in the ledger", rule.id());
    }
}

#[test]
fn every_assumption_is_graded_as_one_and_no_other_entry_is() {
    let ledger = ledger();
    for id in assumed::ALL {
        assert!(ledger.contains_key(*id), "{id} is not in the ledger");
    }
    for (id, entry) in &ledger {
        let assumed = id.starts_with("device.assumed.");
        assert_eq!(entry["grade"].as_str() == Some("assumed"), assumed, "{id}");
    }
}

#[test]
fn entries_are_whole() {
    for (id, entry) in ledger() {
        let text = |key: &str| {
            entry
                .get(key)
                .and_then(toml::Value::as_str)
                .unwrap_or_default()
        };
        assert!(text("text").ends_with('.'), "{id}: one sentence");
        assert!(["MUST", "SHOULD", "MAY"].contains(&text("level")), "{id}");
        assert!(
            ["documented", "observed", "inferred", "assumed"].contains(&text("grade")),
            "{id}"
        );
        assert!(!text("source").is_empty(), "{id}");
    }
}
