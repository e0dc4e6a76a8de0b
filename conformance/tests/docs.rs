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
