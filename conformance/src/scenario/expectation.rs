//! What a step may expect, and how it is written.

use std::collections::BTreeMap;
use std::time::Duration;

use amt_sim::device::{Operation, PeerRefusal, SetupMethod, SetupRefusal};
use amt_sim::{ClientKind, Errno, Event};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::placeholder::{Scope, Template};
use crate::document::{Findings, Located, Table};
use crate::fact::{Fact, Feature};
use crate::words::words;

/// One thing that must be so.
#[derive(Debug, Clone)]
pub enum Expectation {
    /// One fact against values that the scenario names.
    Fact { fact: Fact, test: FactTest },
    /// Several facts, each against one value.
    Facts(Vec<(Fact, FactTest)>),
    /// These facts against what a good agent would say of the device.
    MatchesDevice(Vec<Fact>),
    /// How the last action ended.
    Outcome(Vec<Outcome>),
    /// How long the last action took, on the device's clock.
    TookAtMost(Duration),
    /// What the device's own record holds.
    Journal(JournalQuery),
    /// A field of the journal's entries of one kind never has the same value twice.
    JournalDistinct { kind: String, field: String },
}

impl Expectation {
    /// Whether this fact is looked at.
    pub fn asks_for(&self, wanted: Fact) -> bool {
        match self {
            Self::Fact { fact, .. } => *fact == wanted,
            Self::Facts(tests) => tests.iter().any(|(fact, _)| *fact == wanted),
            Self::MatchesDevice(facts) => facts.contains(&wanted),
            _ => false,
        }
    }
}

#[derive(Debug, Clone)]
pub enum FactTest {
    OneOf {
        values: Vec<Literal>,
        /// Not reporting the fact is fine too.
        or_absent: bool,
    },
    /// The agent must not report the fact.
    Absent,
}

/// A value, or a text that becomes one once the device is known.
#[derive(Debug, Clone)]
pub enum Literal {
    Value(Value),
    Template(Template),
}

words! {
    /// How an action of a role ends.
    Outcome {
        /// It says that it did what it was told.
        Done = "done",
        /// It says that it could not.
        Failed = "failed",
        /// It was still busy when its time was up, and was ended.
        Hung = "hung",
    }
}

/// Counts journal entries of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalQuery {
    /// `kind` of the event, as the journal's JSON writes it.
    pub kind: String,
    /// Further fields of the event and the values that they must have.
    pub fields: BTreeMap<String, Value>,
    pub at_least: u64,
    pub at_most: Option<u64>,
}

impl JournalQuery {
    pub fn takes(&self, event: &Event) -> bool {
        // An event is strings, numbers and nested tagged values: serialising it cannot fail.
        let event = serde_json::to_value(event).unwrap_or_default();
        event["kind"] == self.kind.as_str()
            && self
                .fields
                .iter()
                .all(|(key, value)| event.get(key) == Some(value))
    }

    /// As people read it: `command name=GetUUID`.
    pub fn describe(&self) -> String {
        let mut text = self.kind.clone();
        for (key, value) in &self.fields {
            text += &format!(" {key}={}", crate::fact::show(value));
        }
        text
    }
}

impl Expectation {
    /// Which question it asks, in the words of the file.
    pub const fn question(&self) -> &'static str {
        match self {
            Self::Fact { test, .. } => match test {
                FactTest::Absent => "fact, absent",
                FactTest::OneOf {
                    or_absent: true, ..
                } => "fact, or absent",
                FactTest::OneOf { .. } => "fact",
            },
            Self::Facts(_) => "facts",
            Self::MatchesDevice(_) => "matches_device",
            Self::Outcome(_) => "outcome",
            Self::TookAtMost(_) => "took_at_most",
            Self::Journal(query) => match (query.at_least, query.at_most) {
                (0, Some(0)) => "journal_none",
                (_, None) => "journal, at least",
                (0, Some(_)) => "journal, at most",
                (_, Some(_)) => "journal, between",
            },
            Self::JournalDistinct { .. } => "journal_distinct",
        }
    }

    /// What an agent must be able to do for this to be a fair question.
    pub fn needs(&self) -> Vec<Feature> {
        match self {
            Self::Fact { fact, .. } => vec![fact.feature()],
            Self::Facts(tests) => tests.iter().map(|(fact, _)| fact.feature()).collect(),
            Self::MatchesDevice(facts) => facts.iter().map(|fact| fact.feature()).collect(),
            Self::Outcome(_)
            | Self::TookAtMost(_)
            | Self::Journal(_)
            | Self::JournalDistinct { .. } => Vec::new(),
        }
    }
}

/// The keys that say what is expected; exactly one of them stands in every expectation.
const QUESTIONS: [&str; 8] = [
    "fact",
    "facts",
    "matches_device",
    "outcome",
    "took_at_most",
    "journal",
    "journal_none",
    "journal_distinct",
];

pub(super) fn parse_expectation(table: &Table<'_, '_>, findings: &Findings) -> Option<Expectation> {
    let asked: Vec<&str> = QUESTIONS
        .iter()
        .copied()
        .filter(|key| table.has(key))
        .collect();
    let expectation = match asked.as_slice() {
        ["fact"] => parse_fact(table, findings),
        ["facts"] => parse_facts(table, findings),
        ["matches_device"] => parse_matches(table, findings),
        ["outcome"] => parse_outcome(table, findings),
        ["took_at_most"] => table
            .duration("took_at_most")
            .map(|limit| Expectation::TookAtMost(limit.value)),
        ["journal"] => parse_journal(table, findings, "journal"),
        ["journal_none"] => parse_journal(table, findings, "journal_none"),
        ["journal_distinct"] => parse_distinct(table, findings),
        [] => {
            // Named, so that a misspelt key is answered with the one that was meant.
            for key in QUESTIONS {
                table.any(key);
            }
            table.finish();
            findings.add_with_help(
                table.span(),
                "an expectation without a question",
                format!("give one of {}", QUESTIONS.join(", ")),
            );
            return None;
        }
        several => {
            findings.add(
                table.span(),
                format!(
                    "one expectation asks one thing, not {}",
                    several.join(" and ")
                ),
            );
            return None;
        }
    };
    table.finish();
    expectation
}

fn parse_fact(table: &Table<'_, '_>, findings: &Findings) -> Option<Expectation> {
    let fact = table
        .require_string("fact")
        .and_then(|name| known_fact(&name, findings));
    let equals = table.any("equals");
    let one_of = table.any("one_of");
    let absent = table.flag("absent");
    let or_absent = table.flag("or_absent").is_some_and(|flag| flag.value);
    let given = [equals.is_some(), one_of.is_some(), absent.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        findings.add(
            table.span(),
            "a fact is compared with exactly one of `equals`, `one_of` and `absent = true`",
        );
        return None;
    }
    if let Some(absent) = absent {
        if !absent.value || or_absent {
            findings.add(absent.span, "`absent` takes true, and nothing beside it");
        }
        return Some(Expectation::Fact {
            fact: fact?,
            test: FactTest::Absent,
        });
    }
    let fact = fact?;
    let mut values = Vec::new();
    if let Some(value) = equals {
        values.extend(literal(fact, &value, findings));
    }
    if let Some(list) = one_of {
        let toml::Value::Array(items) = &list.value else {
            findings.add(list.span, "`one_of` takes a list");
            return None;
        };
        for item in items {
            let item = Located {
                value: item.clone(),
                span: list.span.clone(),
            };
            values.extend(literal(fact, &item, findings));
        }
    }
    let test = FactTest::OneOf { values, or_absent };
    Some(Expectation::Fact { fact, test })
}

fn parse_facts(table: &Table<'_, '_>, findings: &Findings) -> Option<Expectation> {
    let named = table.table("facts")?;
    let mut tests = Vec::new();
    for name in named.keys() {
        let (Some(fact), Some(value)) = (known_fact(&name, findings), named.free_any(&name)) else {
            continue;
        };
        if let Some(literal) = literal(fact, &value, findings) {
            let test = FactTest::OneOf {
                values: vec![literal],
                or_absent: false,
            };
            tests.push((fact, test));
        }
    }
    if tests.is_empty() {
        findings.add(named.span(), "`facts` names no fact");
    }
    Some(Expectation::Facts(tests))
}

fn literal(fact: Fact, value: &Located<toml::Value>, findings: &Findings) -> Option<Literal> {
    if let toml::Value::String(text) = &value.value {
        match Template::parse(text, Scope::Scenario) {
            Ok(template) if !template.is_plain() => return Some(Literal::Template(template)),
            Ok(_) => {}
            Err(error) => {
                error.tell(&value.span, findings);
                return None;
            }
        }
    }
    let plain = serde_json::to_value(&value.value).unwrap_or_default();
    match fact.normalise(plain) {
        Ok(value) => Some(Literal::Value(value)),
        Err(why) => {
            findings.add_with_help(
                value.span.clone(),
                why,
                format!("it takes: {}", fact.kind().describe()),
            );
            None
        }
    }
}

fn parse_matches(table: &Table<'_, '_>, findings: &Findings) -> Option<Expectation> {
    let names = table.strings("matches_device")?;
    if names.is_empty() {
        findings.add(table.span(), "`matches_device` names no fact");
    }
    let facts: Vec<Fact> = names
        .iter()
        .filter_map(|name| known_fact(name, findings))
        .collect();
    for (name, fact) in names.iter().zip(&facts) {
        if !fact.is_of_the_device() {
            findings.add_with_help(
                name.span.clone(),
                format!("what `{fact}` should be, the device cannot say"),
                "compare it with `equals` or `one_of`",
            );
        }
    }
    Some(Expectation::MatchesDevice(facts))
}

/// The fact of this name; a finding with the nearest one when there is none.
pub(crate) fn known_fact(name: &Located<String>, findings: &Findings) -> Option<Fact> {
    let fact = Fact::named(&name.value);
    if fact.is_none() {
        findings.unknown(name, "fact", Fact::names());
    }
    fact
}

fn parse_outcome(table: &Table<'_, '_>, findings: &Findings) -> Option<Expectation> {
    let mut outcomes = Vec::new();
    for name in table.strings("outcome")? {
        match Outcome::named(&name.value) {
            Some(outcome) => outcomes.push(outcome),
            None => findings.unknown(
                &name,
                "outcome",
                Outcome::ALL.iter().map(|outcome| outcome.word()),
            ),
        }
    }
    if outcomes.is_empty() {
        findings.add(table.span(), "`outcome` names none");
    }
    Some(Expectation::Outcome(outcomes))
}

/// Why the device refuses a set-up: over the service, or over TLS.
fn is_refusal(word: &str) -> Option<Vec<String>> {
    let over_service = is_word::<SetupRefusal>(word)?;
    is_word::<PeerRefusal>(word)?;
    Some(over_service)
}

fn parse_distinct(table: &Table<'_, '_>, findings: &Findings) -> Option<Expectation> {
    let kind = known_kind(table, findings, "journal_distinct")?;
    let field = table.require_string("field")?;
    Some(Expectation::JournalDistinct {
        kind,
        field: field.value,
    })
}

fn known_kind(table: &Table<'_, '_>, findings: &Findings, key: &'static str) -> Option<String> {
    let kind = table.require_string(key)?;
    let kinds = journal_kinds();
    if !kinds.contains(&kind.value) {
        findings.unknown(&kind, "journal event", kinds.iter().map(String::as_str));
    }
    Some(kind.value)
}

fn parse_journal(
    table: &Table<'_, '_>,
    findings: &Findings,
    key: &'static str,
) -> Option<Expectation> {
    let kind = known_kind(table, findings, key)?;
    let mut fields = BTreeMap::new();
    for key in ["name", "action", "class"] {
        if let Some(name) = table.string(key) {
            fields.insert(key.to_owned(), json!(name.value));
        }
    }
    for (key, check) in [
        (
            "client",
            is_word::<ClientKind> as fn(&str) -> Option<Vec<String>>,
        ),
        ("operation", is_word::<Operation>),
        ("errno", is_word::<Errno>),
        ("method", is_word::<SetupMethod>),
        ("refusal", is_refusal),
    ] {
        let Some(word) = table.string(key) else {
            continue;
        };
        if let Some(known) = check(&word.value) {
            findings.unknown(&word, key, known.iter().map(String::as_str));
        }
        fields.insert(key.to_owned(), json!(word.value));
    }
    for key in ["id", "status", "return_value"] {
        if let Some(number) = table.number(key) {
            fields.insert(key.to_owned(), json!(number.value));
        }
    }
    let at_least = table.number("at_least");
    let at_most = table.number("at_most");
    let none = key == "journal_none";
    if let Some(bound) = at_least.as_ref().or(at_most.as_ref()).filter(|_| none) {
        findings.add(bound.span.clone(), "`journal_none` means none at all");
    }
    let at_most_value = if none {
        Some(0)
    } else {
        at_most.map(|n| n.value)
    };
    let default_least = u64::from(at_most_value.is_none());
    let at_least = at_least.map_or(default_least, |bound| bound.value);
    if at_most_value.is_some_and(|most| most < at_least) {
        findings.add(table.span(), "`at_most` is below `at_least`");
    }
    if at_least == 0 && at_most_value.is_none() {
        findings.add(table.span(), "`at_least = 0` is always true");
    }
    Some(Expectation::Journal(JournalQuery {
        kind,
        fields,
        at_least,
        at_most: at_most_value,
    }))
}

/// Every kind of event that the journal knows, as serde names them in its complaint about an unknown one.
pub(crate) fn journal_kinds() -> Vec<String> {
    known_words(&serde_json::from_value::<Event>(json!({"kind": ""})))
}

/// The words of an enumeration when `text` is none of them.
fn is_word<T: DeserializeOwned>(text: &str) -> Option<Vec<String>> {
    match serde_json::from_value::<T>(json!(text)) {
        Ok(_) => None,
        error => Some(known_words(&error)),
    }
}

fn known_words<T>(result: &Result<T, serde_json::Error>) -> Vec<String> {
    let message = match result {
        Ok(_) => return Vec::new(),
        Err(error) => error.to_string(),
    };
    message
        .split('`')
        .skip(3)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_names_its_own_kinds() {
        let kinds = journal_kinds();
        for known in ["power-on", "command", "malformed", "fault-injected"] {
            assert!(kinds.iter().any(|kind| kind == known), "{kinds:?}");
        }
    }

    #[test]
    fn a_query_looks_at_the_fields_that_it_names() {
        let query = JournalQuery {
            kind: "command".into(),
            fields: [("name".to_owned(), json!("GetUUID"))].into(),
            at_least: 1,
            at_most: None,
        };
        let command = |name: &str| Event::Command {
            client: ClientKind::Amthi,
            name: name.into(),
            id: 0x0400_005c,
            status: 0,
        };
        assert!(query.takes(&command("GetUUID")));
        assert!(!query.takes(&command("GetCodeVersions")));
        assert!(!query.takes(&Event::LinkUp));
        assert_eq!(query.describe(), "command name=GetUUID");
    }
}
