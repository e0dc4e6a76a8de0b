//! Documents that repeat what the code knows are kept in step with it.
//!
//! `UPDATE_DOCS=1 cargo test -p conformance --test docs` writes them anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

use conformance::fact::Fact;

#[test]
fn the_table_of_facts() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scenarios.md");
    let text = std::fs::read_to_string(path).unwrap();
    let head = "| fact | feature | value | meaning |\n|---|---|---|---|\n";
    let tail = "<!-- end of facts -->";
    let start = text.find(head).unwrap() + head.len();
    let end = text.find(tail).unwrap();
    let rows: String = Fact::ALL
        .iter()
        .map(|fact| {
            format!(
                "| `{}` | `{}` | {} | {} |\n",
                fact.name(),
                fact.feature(),
                fact.kind().describe(),
                fact.doc()
            )
        })
        .collect();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let new = format!("{}{rows}{}", &text[..start], &text[end..]);
        std::fs::write(path, new).unwrap();
        return;
    }
    assert_eq!(&text[start..end], rows, "run with UPDATE_DOCS=1");
}

/// The page about reports names scenarios that there are, and a scenario that says which report it tells stands there.
#[test]
fn the_page_about_field_reports() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/field-reports.md");
    let text = std::fs::read_to_string(path).unwrap();
    let ledger = conformance::requirement::Ledger::builtin().unwrap();
    let library = conformance::scenario::Library::builtin(&ledger).unwrap();
    for name in text.split('`').skip(1).step_by(2) {
        if ["setup.", "discovery."]
            .iter()
            .any(|folder| name.starts_with(folder))
        {
            assert!(library.get(name).is_some(), "no scenario is called {name}");
        }
    }
    let reported = |scenario: &&conformance::scenario::Scenario| {
        scenario.tags.iter().any(|tag| tag == "field-report")
    };
    for scenario in library.scenarios.iter().filter(reported) {
        for row in scenario.tags.iter().filter(|tag| tag.len() == 2) {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("| {row} |")));
            let named = line.is_some_and(|line| line.contains(&format!("`{}`", scenario.id)));
            assert!(named, "row {row} does not name {}", scenario.id);
        }
    }
}
