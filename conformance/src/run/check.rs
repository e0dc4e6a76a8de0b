//! Expectations against what happened.

use amt_sim::{Device, Entry, Event, Rules};

use super::blame::{Cause, of_fact, of_outcome};
use super::verdict::{Blame, Check, CheckVerdict, JournalLine, Place};
use crate::fact::{Expected, Fact, Truth, Value, project, show};
use crate::probe::Mismatch;
use crate::requirement::{Level, Party};
use crate::role::{ActionReport, Ending};
use crate::scenario::placeholder::Values;
use crate::scenario::{Expectation, FactTest, JournalQuery, Literal, Outcome};

/// What an expectation is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    /// The last action's.
    pub(super) report: &'a ActionReport,
    pub(super) took: std::time::Duration,
    /// The device after it.
    pub(super) truth: &'a Truth,
    pub(super) seed: u64,
    /// The whole journal.
    pub(super) journal: &'a [Entry],
    /// Where in it the last action began.
    pub(super) action_start: usize,
    /// Which rules the device enforces.
    pub(super) rules: &'a Rules,
}

impl<'a> Scene<'a> {
    /// The journal of the last action.
    fn action(&self) -> &'a [Entry] {
        self.journal.get(self.action_start..).unwrap_or_default()
    }
}

/// One expectation of the scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) requirement: &'a str,
    /// Who is bound by the requirement.
    pub(super) party: Party,
    pub(super) severity: Level,
    /// Nobody outside knows whether real firmware is so.
    pub(super) assumed: bool,
    pub(super) line: usize,
}

/// Judges one expectation; one that names several facts gives a check for each.
pub(super) fn judge(expectation: &Expectation, asked: Asked<'_>, scene: Scene<'_>) -> Vec<Check> {
    let mut checks = judge_one(expectation, asked, scene);
    for check in &mut checks {
        check.rests_on = rests_on(check.verdict, asked, scene);
    }
    checks
}

/// Assumptions that a check of the last action rests on. What held may hold for many reasons, and the run names all
/// of them; what did not hold wants to be looked at one by one.
fn rests_on(verdict: CheckVerdict, asked: Asked<'_>, scene: Scene<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    found.extend(asked.assumed.then(|| asked.requirement.to_owned()));
    if verdict != CheckVerdict::Fail {
        return found;
    }
    for entry in scene.action() {
        if let Event::Assumed { requirement } = &entry.event
            && !found.contains(requirement)
        {
            found.push(requirement.clone());
        }
    }
    found
}

/// Judges a script that was played on the device itself.
pub(super) fn judge_probe(
    played: Result<usize, Mismatch>,
    asked: Asked<'_>,
    scene: Scene<'_>,
) -> Check {
    let mut check = asked.check("probe");
    match played {
        Ok(answers) => {
            let answers = format!("{answers} answers as they are written");
            check.expected = Some(answers.clone());
            check.actual = Some(answers);
        }
        Err(mismatch) => {
            check.expected = Some(mismatch.expected);
            check.actual = Some(mismatch.actual);
            // The last thing that the device did before the answer was wrong.
            let journal = scene.action().last().map(|entry| entry.seq);
            let cause = Cause {
                journal,
                note: Some(format!("line {}: {}", mismatch.line, mismatch.text)),
                ..Cause::of(asked.party)
            };
            check.fail(cause, scene);
        }
    }
    check.rests_on = rests_on(check.verdict, asked, scene);
    check
}

fn judge_one(expectation: &Expectation, asked: Asked<'_>, scene: Scene<'_>) -> Vec<Check> {
    match expectation {
        Expectation::Fact { fact, test } => {
            vec![judge_fact(*fact, &wanted(*fact, test, scene), asked, scene)]
        }
        Expectation::Facts(tests) => tests
            .iter()
            .map(|(fact, test)| judge_fact(*fact, &wanted(*fact, test, scene), asked, scene))
            .collect(),
        Expectation::MatchesDevice(facts) => facts
            .iter()
            .map(|fact| judge_fact(*fact, &fact.expected(scene.truth), asked, scene))
            .collect(),
        Expectation::Outcome(allowed) => vec![judge_outcome(allowed, asked, scene)],
        Expectation::TookAtMost(limit) => {
            let mut check = asked.check("time taken");
            check.expected = Some(format!("at most {limit:?}"));
            check.actual = Some(format!("{:?}", scene.took));
            if scene.took > *limit {
                check.fail(Cause::of(asked.party), scene);
            }
            vec![check]
        }
        Expectation::Journal(query) => vec![judge_journal(query, asked, scene)],
        Expectation::JournalDistinct { kind, field } => {
            vec![judge_distinct(kind, field, asked, scene)]
        }
    }
}

impl Asked<'_> {
    pub(super) fn check(&self, about: impl Into<String>) -> Check {
        Check {
            requirement: self.requirement.to_owned(),
            severity: self.severity,
            verdict: CheckVerdict::Pass,
            about: about.into(),
            expected: None,
            actual: None,
            blame: None,
            note: None,
            rests_on: Vec::new(),
            place: Place {
                line: self.line,
                journal: None,
                around: Vec::new(),
            },
        }
    }
}

impl Check {
    pub(super) fn fail(&mut self, cause: Cause, scene: Scene<'_>) {
        /// Neighbours on each side that a report shows.
        const AROUND: u64 = 2;
        self.verdict = CheckVerdict::Fail;
        self.blame = Some(cause.blame);
        self.note = cause.note;
        // A device that was told not to enforce a rule is the one that breaks it, whoever is bound otherwise.
        let mut off = scene.rules.knocked_out();
        if off.any(|rule| rule.id() == self.requirement) {
            self.blame = Some(Blame::Device);
            let told = format!("the device's rule {} is switched off", self.requirement);
            self.note = Some(match self.note.take() {
                Some(note) => format!("{told}; {note}"),
                None => told,
            });
        }
        self.place.journal = cause.journal;
        if let Some(seq) = cause.journal {
            let near = seq.saturating_sub(AROUND)..=seq.saturating_add(AROUND);
            self.place.around = scene
                .journal
                .iter()
                .filter(|entry| near.contains(&entry.seq))
                .map(|entry| JournalLine(entry.clone()))
                .collect();
        }
    }
}

fn wanted(fact: Fact, test: &FactTest, scene: Scene<'_>) -> Expected {
    let values = Values::of_device(scene.truth, scene.seed);
    match test {
        FactTest::Absent => Expected { any_of: vec![None] },
        FactTest::OneOf {
            values: literals,
            or_absent,
        } => {
            let mut any_of: Vec<Option<Value>> = literals
                .iter()
                .map(|literal| match literal {
                    Literal::Value(value) => Some(value.clone()),
                    Literal::Template(template) => {
                        let text = Value::String(template.fill(values));
                        // A text that is none of the fact's values can never be equal, and is shown as it is.
                        Some(fact.normalise(text.clone()).unwrap_or(text))
                    }
                })
                .collect();
            if *or_absent {
                any_of.push(None);
            }
            Expected { any_of }
        }
    }
}

fn judge_fact(fact: Fact, expected: &Expected, asked: Asked<'_>, scene: Scene<'_>) -> Check {
    let mut check = asked.check(fact.name());
    if scene.report.unmapped.contains(&fact) {
        check.verdict = CheckVerdict::NotApplicable;
        check.note = Some("the target file reads no such fact".to_owned());
        return check;
    }
    let actual = scene.report.facts.get(&fact);
    let allowed: Vec<Option<Value>> = expected
        .any_of
        .iter()
        .map(|allowed| match (allowed, actual) {
            (Some(allowed), Some(actual)) => Some(project(allowed, actual)),
            (allowed, _) => allowed.clone(),
        })
        .collect();
    let (shown_expected, shown_actual) = match (allowed.first(), actual) {
        (Some(Some(Value::Array(want))), Some(Value::Array(have))) if want != have => {
            difference(want, have)
        }
        _ => {
            let texts: Vec<String> = allowed
                .iter()
                .map(|allowed| shown(allowed.as_ref()))
                .collect();
            (texts.join(" or "), shown(actual))
        }
    };
    check.expected = Some(shown_expected);
    check.actual = Some(shown_actual);
    if !allowed.iter().any(|allowed| allowed.as_ref() == actual) {
        let cause = match scene.report.untranslated.get(&fact) {
            Some(why) => Cause {
                blame: Blame::Configuration,
                journal: None,
                note: Some(why.clone()),
            },
            // The device is like that and everybody said so: whoever brought it there is to blame.
            None if is_true(fact, actual, scene) => Cause {
                note: Some("the device is like that now".to_owned()),
                ..Cause::of(asked.party)
            },
            // The device is as it should be, and somebody says otherwise.
            None if asked.party == Party::Device && is_as_wanted(fact, expected, scene) => Cause {
                note: Some("the device is as it should be; it was read out wrongly".to_owned()),
                ..Cause::of(Party::Agent)
            },
            // Nobody could say anything: it is whoever did not do his part.
            None if actual.is_none() && scene.report.at_fault.is_some() => Cause {
                note: scene.report.remarks.first().cloned(),
                ..Cause::of(scene.report.at_fault.unwrap_or(asked.party))
            },
            None => of_fact(fact, expected, asked.party, scene.action()),
        };
        check.fail(cause, scene);
    }
    check
}

/// Whether what was reported is what the device itself is like.
fn is_true(fact: Fact, actual: Option<&Value>, scene: Scene<'_>) -> bool {
    fact.is_of_the_device()
        && actual.is_some()
        && fact.expected(scene.truth).any_of.contains(&actual.cloned())
}

/// Whether what is wanted is what the device itself is like.
fn is_as_wanted(fact: Fact, expected: &Expected, scene: Scene<'_>) -> bool {
    let truth = fact.expected(scene.truth);
    fact.is_of_the_device()
        && truth
            .any_of
            .iter()
            .any(|value| expected.any_of.contains(value))
}

fn shown(value: Option<&Value>) -> String {
    value.map_or("(not reported)".to_owned(), show)
}

/// Two lists, as far as they differ: nobody reads thirty hashes to find the one that is wrong.
fn difference(want: &[Value], have: &[Value]) -> (String, String) {
    let only = |these: &[Value], those: &[Value]| {
        let missing: Vec<String> = these
            .iter()
            .filter(|item| !those.contains(item))
            .map(entry)
            .collect();
        let count = these.len();
        match missing.as_slice() {
            [] => format!("{count} entries"),
            [first] => format!("{count} entries, among them {first}"),
            [first, rest @ ..] => {
                format!(
                    "{count} entries, among them {first} and {} more",
                    rest.len()
                )
            }
        }
    };
    (only(want, have), only(have, want))
}

/// One certificate hash in few words; anything else as it is.
fn entry(item: &Value) -> String {
    let Some(fields) = item.as_object() else {
        return show(item);
    };
    let text = |key: &str| fields.get(key).map_or(String::new(), show);
    let hash = text("hash");
    let start: String = hash.chars().take(12).collect();
    let mut words = vec![
        format!("{:?}", text("name")),
        text("algorithm"),
        format!("{start}... of {} bytes", hash.len() / 2),
    ];
    for flag in ["active", "default"] {
        match fields.get(flag) {
            Some(Value::Bool(true)) => words.push(flag.to_owned()),
            Some(_) => words.push(format!("not {flag}")),
            None => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words.join(", ")
}

fn judge_outcome(allowed: &[Outcome], asked: Asked<'_>, scene: Scene<'_>) -> Check {
    let mut check = asked.check("outcome");
    let words: Vec<&str> = allowed.iter().map(|outcome| outcome.word()).collect();
    check.expected = Some(words.join(" or "));
    // An action that got no outcome ends the run before anything is judged.
    let Ending::Outcome(outcome) = scene.report.ending else {
        check.verdict = CheckVerdict::NotApplicable;
        return check;
    };
    check.actual = Some(outcome.to_string());
    if !allowed.contains(&outcome) {
        let party = scene.report.at_fault.unwrap_or(asked.party);
        let mut cause = of_outcome(outcome == Outcome::Done, party, scene.action());
        // What the program says of it is worth more than what we make of it.
        cause.note = scene.report.remarks.first().cloned().or(cause.note);
        check.fail(cause, scene);
    }
    check
}

fn judge_journal(query: &JournalQuery, asked: Asked<'_>, scene: Scene<'_>) -> Check {
    let mut check = asked.check(format!("journal: {}", query.describe()));
    let found: Vec<&Entry> = scene
        .journal
        .iter()
        .filter(|entry| query.takes(&entry.event))
        .collect();
    let count = found.len() as u64;
    check.expected = Some(match (query.at_least, query.at_most) {
        (0, Some(0)) => "none".to_owned(),
        (least, None) => format!("at least {least}"),
        (0, Some(most)) => format!("at most {most}"),
        (least, Some(most)) if least == most => format!("exactly {least}"),
        (least, Some(most)) => format!("{least} to {most}"),
    });
    check.actual = Some(count.to_string());
    let too_many = query.at_most.is_some_and(|most| count > most);
    if count < query.at_least || too_many {
        let mut cause = Cause::of(asked.party);
        if too_many {
            let first_wrong = query.at_most.unwrap_or(0) as usize;
            cause.journal = found.get(first_wrong).map(|entry| entry.seq);
        }
        check.fail(cause, scene);
    }
    check
}

fn judge_distinct(kind: &str, field: &str, asked: Asked<'_>, scene: Scene<'_>) -> Check {
    let mut check = asked.check(format!("journal: {field} of {kind}"));
    check.expected = Some("another one each time".to_owned());
    let mut seen: Vec<(Value, u64)> = Vec::new();
    let mut again = None;
    for entry in scene.journal {
        // An event is strings, numbers and nested tagged values: serialising it cannot fail.
        let event = serde_json::to_value(&entry.event).unwrap_or_default();
        let Some(value) = event.get(field).filter(|_| event["kind"] == kind) else {
            continue;
        };
        match seen.iter().find(|(known, _)| known == value) {
            Some((_, first)) => again = again.or(Some((entry.seq, *first))),
            None => seen.push((value.clone(), entry.seq)),
        }
    }
    check.actual = Some(match again {
        Some((seq, first)) => format!("entry {seq} has that of entry {first}"),
        None => format!("{} different ones", seen.len()),
    });
    if let Some((seq, _)) = again {
        let mut cause = Cause::of(asked.party);
        cause.journal = Some(seq);
        check.fail(cause, scene);
    } else if seen.is_empty() {
        check.fail(Cause::of(asked.party), scene);
    }
    check
}

/// The device's mode as the journal writes it.
pub(super) fn mode_word(device: &Device) -> String {
    let word = serde_json::to_value(device.mode()).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}
