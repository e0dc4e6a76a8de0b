//! The schemas for editors: committed, in step with the code, and agreeing with the files that ship.
//!
//! `UPDATE_DOCS=1 cargo test -p conformance --test schema` writes them anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

use conformance::schema;
use rstest::rstest;
use serde_json::Value;

#[rstest]
#[case("scenario", schema::scenario())]
#[case("target", schema::target())]
fn the_committed_schema_is_that_of_the_code(#[case] name: &str, #[case] schema: Value) {
    let path = format!("{}/../docs/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == text,
        "docs/{name}.schema.json is out of date: run with UPDATE_DOCS=1"
    );
}

#[test]
fn every_file_that_ships_agrees() {
    let (scenario, target) = (schema::scenario(), schema::target());
    for (schema, files) in [
        (&scenario, fixtures::SCENARIOS),
        (&target, fixtures::TARGETS),
    ] {
        for file in files {
            let table: toml::Table = file.text.parse().unwrap();
            let value = serde_json::to_value(table).unwrap();
            let wrong = disagreements(schema, schema, &value, "");
            assert!(wrong.is_empty(), "{}: {wrong:#?}", file.path);
        }
    }
}

#[rstest]
#[case("titel = \"x\"", "/titel")]
#[case("tags = [1]", "/tags/0")]
#[case("roles = [\"agnet\"]", "/roles/0")]
#[case("requirements = [\"agent.discovery.versoin\"]", "/requirements/0")]
#[case("[[step]]\ndo = \"agent.discover\"\nadvance = \"1s\"", "/step/0")]
#[case("[[step]]\nadvance = \"soon\"", "/step/0")]
#[case("[parameters]\ntls = \"1.2\"", "/parameters/tls")]
#[case("[parameters]\nunless = [{ tls = 1 }]", "/parameters/unless/0/tls")]
fn mistakes_are_seen(#[case] text: &str, #[case] place: &str) {
    let schema = schema::scenario();
    let value = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    let wrong = disagreements(&schema, &schema, &value, "");
    assert!(wrong.iter().any(|at| at.starts_with(place)), "{wrong:#?}");
}

/// As much of draft 7 as our schemas use.
fn disagreements(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.strip_prefix('#').unwrap();
        return disagreements(root, root.pointer(pointer).unwrap(), value, at);
    }
    let mut wrong = Vec::new();
    let mut complain = |why: String| wrong.push(format!("{at}: {why}"));
    if let Some(kind) = schema["type"].as_str() {
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "boolean" => value.is_boolean(),
            other => panic!("{other}"),
        };
        if !fits {
            complain(format!("not of type {kind}"));
        }
    }
    if let Some(list) = schema["enum"].as_array()
        && !list.contains(value)
    {
        complain(format!("{value} is none of the words"));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && !regex::Regex::new(pattern).unwrap().is_match(text)
    {
        complain(format!("{text} is not of the form {pattern}"));
    }
    for (key, exactly) in [("anyOf", false), ("oneOf", true)] {
        if let Some(options) = schema[key].as_array() {
            let fitting = options
                .iter()
                .filter(|option| disagreements(root, option, value, at).is_empty())
                .count();
            if fitting == 0 || (exactly && fitting > 1) {
                complain(format!("{fitting} of {key} fit"));
            }
        }
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.get(required.as_str().unwrap()).is_none() {
            complain(format!("lacks {required}"));
        }
    }
    let no_schema = Value::Null;
    if let Some(object) = value.as_object() {
        for (key, inner) in object {
            let known = schema["properties"].get(key);
            if known.is_none() && schema["additionalProperties"] == false {
                wrong.push(format!("{at}/{key}: unknown"));
            }
            let names = schema.get("propertyNames").unwrap_or(&no_schema);
            if !names.is_null() {
                let name = Value::String(key.clone());
                wrong.extend(disagreements(root, names, &name, &format!("{at}/{key}")));
            }
            // Keys that nobody lists, such as the parameters of a scenario.
            let others = Some(&schema["additionalProperties"]).filter(|others| others.is_object());
            if let Some(known) = known.or(others) {
                wrong.extend(disagreements(root, known, inner, &format!("{at}/{key}")));
            }
        }
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        for (index, item) in list.iter().enumerate() {
            wrong.extend(disagreements(root, items, item, &format!("{at}/{index}")));
        }
    }
    wrong
}
