//! From what a program prints to facts: JSON paths, patterns and labelled lines, then the target's own words.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Value, json};

use crate::fact::{Fact, Facts};
use crate::words::words;

words! {
    /// The form of a program's output.
    Output {
            /// One JSON object or array. Lines before and after it are passed over.
        Json = "json",
        Text = "text",
        /// One JSON object whose keys are the names of facts, as `conformance agent discover --json` prints.
        Facts = "facts",
    }
}

impl Output {
    /// The document in what a program printed; nothing if one was promised and there is none.
    pub(super) fn document(self, text: &str) -> Option<Value> {
        match self {
            Self::Text => Some(Value::Null),
            Self::Json | Self::Facts => find_json(text),
        }
    }
}

/// How one fact is read.
#[derive(Debug, Clone)]
pub struct Rule {
    pub source: Source,
    /// The program's words and ours.
    pub map: BTreeMap<String, Value>,
    /// For every word that the map does not know.
    pub otherwise: Option<Value>,
    /// For a fact that the output does not mention.
    pub missing: Option<Value>,
    /// Parts of the text that stand for words of a list.
    pub contains: BTreeMap<String, Value>,
}

#[derive(Debug, Clone)]
pub enum Source {
    /// The keys on the way down; none for the whole.
    Json(Vec<String>),
    /// The group called `value`, else the first group, else all of the match.
    Regex(Regex),
    /// What stands behind a label at the start of a line, after blanks, `:` or `=`.
    Line(String),
    /// A list of records in JSON: an array, or an object whose keys do not count.
    JsonRecords {
        path: Vec<String>,
        fields: BTreeMap<String, Field>,
    },
    /// A record for every match; the named groups are its fields. A field of true or false is true when its group
    /// took part.
    RegexRecords(Regex),
    /// The same value whenever the command succeeds.
    Constant(Value),
}

/// Where one field of a record is, and the program's words for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub key: String,
    pub map: BTreeMap<String, Value>,
}

/// What was read, and what could not be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extract {
    pub facts: Facts,
    /// What cannot be understood, never guessed.
    pub remarks: Vec<String>,
    /// Facts whose words the target file does not know: a gap of the file, not of the program.
    pub untranslated: BTreeMap<Fact, String>,
}

/// Reads everything that the rules ask for.
pub fn extract(output: Output, rules: &BTreeMap<Fact, Rule>, text: &str) -> Extract {
    let mut extract = Extract::default();
    let Some(document) = output.document(text) else {
        extract.remarks.push("its output is not JSON".to_owned());
        return extract;
    };
    for (fact, rule) in rules {
        let found = match output {
            Output::Facts => Ok(document.get(fact.name()).cloned()),
            _ => rule.read(text, &document),
        };
        let value = match found {
            Ok(Some(value)) => value,
            Ok(None) => continue,
            Err(why) => {
                extract.remarks.push(format!("`{fact}`: {why}"));
                extract.untranslated.insert(*fact, why);
                continue;
            }
        };
        match fact.normalise(value) {
            Ok(value) => {
                extract.facts.insert(*fact, value);
            }
            Err(why) => extract.remarks.push(why),
        }
    }
    let hashes = extract.facts.get(&Fact::HASHES).and_then(Value::as_array);
    if let Some(count) = hashes.map(|list| json!(list.len())) {
        extract.facts.entry(Fact::HASHES_COUNT).or_insert(count);
    }
    extract
}

/// The first JSON object or array in the text.
fn find_json(text: &str) -> Option<Value> {
    let mut from = 0;
    while let Some(at) = text[from..].find(['{', '[']) {
        let start = from + at;
        let mut stream = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        if let Some(Ok(value)) = stream.next() {
            return Some(value);
        }
        // Only the start of a line can begin the document: a flood of braces must not cost a parse each.
        from = start + text[start..].find('\n')?;
    }
    None
}

impl Rule {
    fn read(&self, text: &str, document: &Value) -> Result<Option<Value>, String> {
        let Some(raw) = self.source.read(text, document)? else {
            return Ok(self.missing.clone());
        };
        if !self.contains.is_empty() {
            let whole = raw.as_str().unwrap_or_default();
            let words: Vec<Value> = self
                .contains
                .iter()
                .filter(|(part, _)| whole.contains(part.as_str()))
                .map(|(_, word)| word.clone())
                .collect();
            return Ok(Some(words.into()));
        }
        translate(raw, &self.map, self.otherwise.as_ref()).map(Some)
    }
}

fn translate(
    raw: Value,
    map: &BTreeMap<String, Value>,
    otherwise: Option<&Value>,
) -> Result<Value, String> {
    if map.is_empty() && otherwise.is_none() {
        return Ok(raw);
    }
    let word = match &raw {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    map.get(&word)
        .or(otherwise)
        .cloned()
        .ok_or_else(|| format!("the program's word {word:?} is not in the target file's map"))
}

impl Source {
    pub(super) fn read(&self, text: &str, document: &Value) -> Result<Option<Value>, String> {
        Ok(match self {
            Self::Constant(value) => Some(value.clone()),
            Self::Json(path) => at(document, path).cloned(),
            Self::Regex(regex) => regex.captures(text).map(|found| {
                let part = found
                    .name("value")
                    .or_else(|| found.get(1))
                    .or_else(|| found.get(0));
                json!(part.map_or("", |part| part.as_str()).trim())
            }),
            Self::Line(label) => {
                const SEPARATORS: [char; 4] = [' ', '\t', ':', '='];
                text.lines()
                    .filter_map(|line| line.trim_start().strip_prefix(label.as_str()))
                    // `AMT` is not the label of a line that begins with `AMTApps`.
                    .find(|rest| rest.is_empty() || rest.starts_with(SEPARATORS))
                    .map(|rest| json!(rest.trim_start_matches(SEPARATORS).trim_end()))
            }
            Self::JsonRecords { path, fields } => match at(document, path) {
                None => None,
                Some(Value::Array(list)) => Some(records(list.iter(), fields)?),
                Some(Value::Object(table)) => Some(records(table.values(), fields)?),
                Some(other) => return Err(format!("{other} is no list of records")),
            },
            Self::RegexRecords(regex) => {
                let names: Vec<&str> = regex.capture_names().flatten().collect();
                let list: Vec<Value> = regex
                    .captures_iter(text)
                    .map(|found| {
                        let fields = names.iter().filter_map(|name| {
                            let part = found.name(name);
                            let value = match *name {
                                "active" | "default" => json!(part.is_some()),
                                _ => json!(part?.as_str().trim()),
                            };
                            Some(((*name).to_owned(), value))
                        });
                        fields.collect::<serde_json::Map<_, _>>().into()
                    })
                    .collect();
                Some(list.into())
            }
        })
    }
}

fn at<'a>(document: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter()
        .try_fold(document, |value, key| value.get(key))
        .filter(|value| !value.is_null())
}

fn records<'a>(
    list: impl Iterator<Item = &'a Value>,
    fields: &BTreeMap<String, Field>,
) -> Result<Value, String> {
    let mut out = Vec::new();
    for item in list {
        let mut record = serde_json::Map::new();
        for (name, field) in fields {
            let raw = item
                .get(&field.key)
                .ok_or_else(|| format!("{item} has no `{}`", field.key))?;
            record.insert(name.clone(), translate(raw.clone(), &field.map, None)?);
        }
        out.push(Value::Object(record));
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn rule(source: Source) -> Rule {
        Rule {
            source,
            map: BTreeMap::new(),
            otherwise: None,
            missing: None,
            contains: BTreeMap::new(),
        }
    }

    fn one(fact: Fact, rule: Rule, output: Output, text: &str) -> (Option<Value>, Vec<String>) {
        let found = extract(output, &[(fact, rule)].into(), text);
        (found.facts.get(&fact).cloned(), found.remarks)
    }

    #[rstest]
    #[case("{\"amt\": \"15.0.35\"}")]
    #[case("level=info hello\n{\"amt\": \"15.0.35\"}\ntrailing")]
    #[case("{not json\n{\"amt\": \"15.0.35\"}")]
    fn json_is_found_between_other_lines(#[case] text: &str) {
        let source = Source::Json(vec!["amt".into()]);
        let (value, _) = one(Fact::VERSION, rule(source), Output::Json, text);
        assert_eq!(value, Some(json!("15.0.35")));
    }

    #[test]
    fn a_label_is_followed_by_blanks_and_a_colon() {
        let source = Source::Line("Version".into());
        let text = "Versions: 2\n  Version\t\t\t: 15.0.35\r\nOther: 1\n";
        let (value, _) = one(Fact::VERSION, rule(source), Output::Text, text);
        assert_eq!(value, Some(json!("15.0.35")));
    }

    #[test]
    fn a_word_that_the_map_does_not_know_is_a_remark() {
        let mut rule = rule(Source::Json(vec!["mode".into()]));
        rule.map = [("not activated".to_owned(), json!("none"))].into();
        let text = r#"{"mode": "pre-provisioning state"}"#;
        let (value, remarks) = one(Fact::CONTROL_MODE, rule, Output::Json, text);
        assert_eq!(value, None);
        insta::assert_snapshot!(remarks.join("\n"), @r#"`control-mode`: the program's word "pre-provisioning state" is not in the target file's map"#);
    }

    #[test]
    fn records_of_an_object_lose_their_keys() {
        let field = |key: &str| Field {
            key: key.into(),
            map: BTreeMap::new(),
        };
        let source = Source::JsonRecords {
            path: vec!["hashes".into()],
            fields: [
                ("name".into(), field("Name")),
                ("hash".into(), field("Hash")),
            ]
            .into(),
        };
        let text = r#"{"hashes": {"x": {"Name": "Root", "Hash": "AB"}}}"#;
        let rules = [(Fact::HASHES, rule(source))].into();
        let facts = extract(Output::Json, &rules, text).facts;
        assert_eq!(
            facts[&Fact::HASHES],
            json!([{"hash": "ab", "name": "Root"}])
        );
        assert_eq!(facts[&Fact::HASHES_COUNT], json!(1));
    }

    #[test]
    fn records_of_a_pattern_take_its_groups() {
        let regex = Regex::new(
            r"(?m)^(?<name>.+?), (?<default>Default)?, ?(?<active>Active)?: (?<hash>[0-9a-f]+)$",
        )
        .unwrap();
        let text = "Root A, Default, Active: abcd\nRoot B, , : 0123\n";
        let (value, _) = one(
            Fact::HASHES,
            rule(Source::RegexRecords(regex)),
            Output::Text,
            text,
        );
        assert_eq!(
            value,
            Some(json!([
                {"name": "Root B", "hash": "0123", "active": false, "default": false},
                {"name": "Root A", "hash": "abcd", "active": true, "default": true},
            ]))
        );
    }

    #[test]
    fn a_flood_of_braces_is_read_in_reasonable_time() {
        assert_eq!(find_json(&"{".repeat(1 << 20)), None);
        assert_eq!(find_json(&"{\n".repeat(1 << 16)), None);
    }

    proptest! {
        #[test]
        fn no_output_is_a_panic(text in ".{0,80}") {
            let _ = one(Fact::VERSION, rule(Source::Line("V".into())), Output::Text, &text);
            let _ = one(Fact::VERSION, rule(Source::Json(vec!["v".into()])), Output::Json, &text);
        }
    }
}
