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
            let is_about = |line: &&str| {
                let rows = line.split(" | ").next().unwrap_or_default();
                rows.trim_start_matches("| ")
                    .split(", ")
                    .any(|one| one == row)
            };
            let line = text.lines().find(is_about);
            let named = line.is_some_and(|line| line.contains(&format!("`{}`", scenario.id)));
            assert!(named, "row {row} does not name {}", scenario.id);
        }
    }
}

/// The page about the guide: every row names requirements and stories that there are, each requirement is claimed by one
/// of the row's stories, and no story stands there for nothing.
#[test]
fn the_page_about_the_guide() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide.md");
    let text = std::fs::read_to_string(path).unwrap();
    let ledger = conformance::requirement::Ledger::builtin().unwrap();
    let library = conformance::scenario::Library::builtin(&ledger).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let rows = rows.filter(|line| !line.starts_with("| step"));
    let mut steps = 0;
    for row in rows {
        let named = |cell: usize| {
            let cell = row.split(" | ").nth(cell).unwrap();
            cell.split('`').skip(1).step_by(2).collect::<Vec<_>>()
        };
        let (requirements, stories) = (named(2), named(3));
        assert!(!requirements.is_empty() && !stories.is_empty(), "{row}");
        let claims = |story: &str, id: &str| {
            let story = library.get(story);
            let story = story.unwrap_or_else(|| panic!("no such story: {row}"));
            story.requirements.iter().any(|claimed| claimed == id)
        };
        for id in &requirements {
            assert!(ledger.get(id).is_some(), "no requirement is called {id}");
            let proven = stories.iter().any(|story| claims(story, id));
            assert!(proven, "no story of the row claims {id}: {row}");
        }
        for story in &stories {
            let needed = requirements.iter().any(|id| claims(story, id));
            assert!(needed, "{story} claims nothing of its row: {row}");
        }
        steps += 1;
    }
    assert!(steps > 30, "{steps} rows");
}
