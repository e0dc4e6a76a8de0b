//! Stories with parameters: what they become, and what is said about those that are wrong.

use rstest::rstest;

use super::{Scenario, StepKind, parse, told_for};
use crate::requirement::Ledger;

const GOOD: &str = r#"id = "discovery.sample"
title = "A sample"
story = "It is told."
requirements = ["agent.discovery.uuid"]
roles = ["agent"]
needs = ["uuid"]

[parameters]
tls = ["1.2", "1.3"]
wait = { short = "1s", long = "1min" }
domain = { told = { text = "corp.example" }, untold = { text = "" } }
unless = [{ profile = "tiger-*", tls = "1.3", domain = "told" }]

[device]
profiles = ["tiger-lake-15", "alder-lake-16"]
set.tls.versions = ["{parameter.tls}"]
set.network.pki_dns_suffix = "{parameter.domain.text}"

[[step]]
advance = "{parameter.wait}"

[[step]]
do = "agent.discover"

[[step]]
expect = { fact = "uuid", equals = "{device.uuid}" }
requirement = "agent.discovery.uuid"
severity = "MUST"
"#;

fn read(text: &str) -> Result<Scenario, Vec<String>> {
    let ledger = Ledger::builtin().unwrap();
    parse("sample.toml", text, &ledger).map_err(|errors| {
        let shown = errors.iter().map(|error| {
            let help = error.help.as_deref().unwrap_or("-");
            format!("{}:{} {} | {help}", error.line, error.column, error.message)
        });
        shown.collect()
    })
}

fn names(story: &Scenario, all: bool) -> Vec<String> {
    let profiles = ["tiger-lake-15", "alder-lake-16"];
    let runs = story.runs(&profiles, all).into_iter();
    runs.map(|(told, profile)| told.run_name(profiles[profile]))
        .collect()
}

#[test]
fn a_story_is_told_for_each_combination() {
    let story = read(GOOD).unwrap();
    assert_eq!(story.variants.len(), 8);
    for told in &story.variants {
        let tls = format!("[\"{}\"]", told.values["tls"]);
        let domain = match told.values["domain"].as_str() {
            "told" => "\"corp.example\"",
            _ => "\"\"",
        };
        let set = |key: &str, value: &str| {
            let mut pairs = told.device.set.iter();
            pairs.any(|(name, is)| name == key && is == value)
        };
        assert!(set("tls.versions", &tls), "{:?}", told.device.set);
        assert!(set("network.pki_dns_suffix", domain));
        let seconds = match told.values["wait"].as_str() {
            "short" => 1,
            _ => 60,
        };
        assert!(matches!(told.steps[0].kind, StepKind::Advance(time) if time.as_secs() == seconds));
    }
}

#[test]
fn names_show_the_values_and_stay() {
    let story = read(GOOD).unwrap();
    let want = [
        "discovery.sample@tiger-lake-15,domain-told,tls-1.2,wait-short",
        "discovery.sample@tiger-lake-15,domain-untold,tls-1.2,wait-long",
        "discovery.sample@tiger-lake-15,domain-untold,tls-1.3,wait-short",
        "discovery.sample@alder-lake-16,domain-told,tls-1.2,wait-long",
        "discovery.sample@alder-lake-16,domain-told,tls-1.3,wait-short",
        "discovery.sample@alder-lake-16,domain-untold,tls-1.3,wait-long",
    ];
    assert_eq!(names(&story, false), want);
}

#[test]
fn all_combinations_are_those_that_nothing_forbids() {
    let story = read(GOOD).unwrap();
    let all = names(&story, true);
    assert_eq!(all.len(), 14);
    for run in names(&story, false) {
        assert!(all.contains(&run), "{run}");
    }
}

#[test]
fn a_story_without_parameters_is_itself() {
    let (head, rest) = GOOD.split_once("[parameters]").unwrap();
    let (_, steps) = rest.split_once("[[step]]\nadvance").unwrap();
    let (_, steps) = steps.split_once("\n\n").unwrap();
    let device = "profiles = [\"tiger-lake-15\", \"alder-lake-16\"]";
    let text = format!("{head}[device]\n{device}\n{steps}");
    let story = read(&text).unwrap();
    assert!(story.variants.is_empty());
    assert_eq!(
        names(&story, false),
        [
            "discovery.sample@tiger-lake-15",
            "discovery.sample@alder-lake-16"
        ]
    );
}

/// The order in the file decides nothing.
#[test]
fn another_order_gives_the_same_runs() {
    let lines: Vec<&str> = GOOD.lines().collect();
    let mut turned = lines.clone();
    turned[8..11].reverse();
    assert_ne!(lines, turned);
    let (one, other) = (read(GOOD).unwrap(), read(&turned.join("\n")).unwrap());
    assert_eq!(names(&one, false), names(&other, false));
}

#[rstest]
#[case(
    "{parameter.tls}",
    "{parameter.tlss}",
    "16:22 no parameter is called `tlss` | did you mean `tls`?"
)]
#[case(
    "{parameter.domain.text}",
    "{parameter.domain.txt}",
    "17:31 no part of `domain` is called `txt` | did you mean `text`?"
)]
#[case(
    "long = \"1min\"",
    "long = \"1mni\"",
    "10:31 `1mni` is not a time | write a whole number and a unit: ms, s, min or h"
)]
#[case(
    "profile = \"tiger-*\"",
    "profile = \"tigre-lake-15\"",
    "12:23 no value of `profile` is called `tigre-lake-15` | did you mean `tiger-lake-15`?"
)]
#[case(
    "tls = \"1.3\", domain",
    "tlss = \"1.3\", domain",
    "12:34 no parameter is called `tlss` | did you mean `tls`?"
)]
#[case(
    "domain = \"told\" }",
    "domain = \"tolled\" }",
    "12:56 no value of `domain` is called `tolled` | did you mean `told`?"
)]
#[case(
    "\"{parameter.wait}\"",
    "\"1s\"",
    "10:1 nothing depends on `wait` | write {parameter.wait} where its value belongs"
)]
#[case(
    "[\"1.2\", \"1.3\"]",
    "[\"1.2\"]",
    "9:1 a parameter with one value does not vary | -"
)]
#[case(
    "[\"1.2\", \"1.3\"]",
    "[\"1.2\", \"1.3\", \"1.2\"]",
    "9:22 `1.2` is there already | -"
)]
#[case(
    "[\"1.2\", \"1.3\"]",
    "[\"1.2\", \"TLS 1.3\"]",
    "9:15 this cannot be part of the name of a run | name it: { short-name = value }, in lower-case words, digits, dots and hyphens"
)]
#[case(
    "profile = \"tiger-*\", tls",
    "tls",
    "9:15 no combination has `1.3` | -"
)]
#[case(
    "title = \"A sample\"",
    "title = \"A {parameter.tls}\"",
    "2:12 `[device]` and `[[step]]` alone have parameters | -"
)]
#[case(
    "\"alder-lake-16\"]",
    "\"{parameter.tls}\"]",
    "15:31 which devices there are does not vary: see `unless` and `only` of [parameters] | -"
)]
#[case(
    "wait = { short = \"1s\", long = \"1min\" }",
    "wait = \"1s\"",
    "10:8 `wait` takes a list of values, or a table of named ones, not a string | -"
)]
#[case(
    "[parameters]",
    "[paramters]",
    "8:2 unknown key `paramters` in the file | did you mean `parameters`?"
)]
fn what_is_wrong_is_said_where_it_stands(
    #[case] good: &str,
    #[case] bad: &str,
    #[case] want: &str,
) {
    assert!(GOOD.contains(good));
    let mut text = GOOD.replacen(good, bad, 1);
    if want.contains("`1.3` |") {
        text = text.replace("tls = \"1.3\", domain = \"told\"", "tls = \"1.3\"");
    }
    let errors = read(&text).unwrap_err();
    assert!(errors.iter().any(|error| error == want), "{errors:#?}");
    // Once, however many combinations there are.
    assert_eq!(errors.iter().filter(|error| *error == want).count(), 1);
}

#[test]
fn too_many_are_refused() {
    let many: Vec<String> = (0..65).map(|number| format!("\"{number}\"")).collect();
    let text = GOOD.replace("[\"1.2\", \"1.3\"]", &format!("[{}]", many.join(", ")));
    let errors = read(&text).unwrap_err();
    assert!(
        errors[0].contains("260 combinations; 64 are the most"),
        "{errors:?}"
    );
}

/// A sweep writes what it found for one combination.
#[test]
fn a_telling_is_a_file_of_its_own() {
    let story = read(GOOD).unwrap();
    let told = &story.variants[3];
    let table = told_for("sample.toml", GOOD, &told.values).unwrap();
    let text = toml::to_string(&table).unwrap();
    assert!(!text.contains("parameter"), "{text}");
    let again = read(&text).unwrap();
    assert_eq!(again.device.set, told.device.set);
}

/// Braces that are doubled are braces.
#[test]
fn a_brace_can_be_written() {
    let text = GOOD.replace("corp.example\" }", "corp.example\", odd = \"x\" }");
    let text = text.replace(
        "equals = \"{device.uuid}\"",
        "equals = \"{{parameter.none}}\"",
    );
    let errors = read(&text).unwrap_err();
    assert!(
        errors.iter().all(|error| error.starts_with("2")),
        "{errors:#?}"
    );
}
