//! Who noticed what.

use std::collections::{BTreeMap, BTreeSet};

use amt_sim::device::Rule;

use super::survey::{Task, concerns};
use super::{CheckKey, CheckRow, Fate, Mutation, Row, Survey};
use crate::requirement::Ledger;
use crate::role::Misbehaviour;
use crate::run::{Case, Verdict};

/// One expectation in one run.
pub(super) struct SeenCheck {
    pub(super) key: CheckKey,
    pub(super) requirement: String,
    pub(super) question: &'static str,
    pub(super) red: bool,
}

/// What is kept of a run.
pub(super) struct Seen {
    pub(super) mutation: Option<Mutation>,
    pub(super) scenario: String,
    pub(super) run: String,
    pub(super) verdict: Verdict,
    pub(super) checks: Vec<SeenCheck>,
}

impl Seen {
    pub(super) fn noticed(&self) -> bool {
        matches!(self.verdict, Verdict::Fail | Verdict::Warn)
    }

    pub(super) fn is_red(&self, key: &CheckKey) -> bool {
        self.checks
            .iter()
            .any(|check| check.red && check.key == *key)
    }

    /// The kind of check without which nobody would have noticed.
    fn only_question(&self) -> Option<&'static str> {
        let mut red = self.checks.iter().filter(|check| check.red);
        let first = red.next()?.question;
        (self.noticed() && red.all(|check| check.question == first)).then_some(first)
    }
}

/// Who noticed what so far.
#[derive(Default)]
pub(super) struct Book {
    pub(super) runs: usize,
    /// For each mutation, the scenarios that noticed, and where first.
    noticed: BTreeMap<Mutation, BTreeMap<String, String>>,
    checks: BTreeMap<CheckKey, Known>,
    /// For each kind of check, the runs in which nothing else noticed.
    alone: BTreeMap<&'static str, usize>,
    played: BTreeSet<(Mutation, String)>,
    broken: Vec<String>,
}

/// What is known of one check.
struct Known {
    requirement: String,
    question: &'static str,
    /// What turned it red.
    by: BTreeSet<Mutation>,
}

impl Book {
    pub(super) fn enter(&mut self, seen: Seen) {
        self.runs += 1;
        let Some(mutation) = seen.mutation else {
            if seen.verdict != Verdict::Pass {
                self.broken.push(format!("{}: {}", seen.run, seen.verdict));
            }
            for check in seen.checks {
                self.checks.entry(check.key).or_insert_with(|| Known {
                    requirement: check.requirement,
                    question: check.question,
                    by: BTreeSet::new(),
                });
            }
            return;
        };
        self.played.insert((mutation, seen.run.clone()));
        if let Some(question) = seen.only_question() {
            *self.alone.entry(question).or_default() += 1;
        }
        if seen.noticed() {
            let by = self.noticed.entry(mutation).or_default();
            by.entry(seen.scenario.clone()).or_insert(seen.run);
        }
        for check in seen.checks.into_iter().filter(|check| check.red) {
            if let Some(known) = self.checks.get_mut(&check.key) {
                known.by.insert(mutation);
            }
        }
    }

    /// Whether it was played before.
    pub(super) fn has(&self, task: &Task<'_>) -> bool {
        let played = |mutation| self.played.contains(&(mutation, task.case.id()));
        task.mutation.is_some_and(played)
    }

    pub(super) fn noticed(&self, mutation: Mutation, scenario: Option<&str>) -> bool {
        let by = self.noticed.get(&mutation);
        by.is_some_and(|by| scenario.is_none_or(|scenario| by.contains_key(scenario)))
    }

    /// Checks of this scenario that nothing turned red.
    pub(super) fn blind(&self, scenario: &str) -> BTreeSet<CheckKey> {
        let checks = self.checks.iter();
        checks
            .filter(|(key, known)| key.scenario == scenario && known.by.is_empty())
            .map(|(key, _)| key.clone())
            .collect()
    }

    pub(super) fn close(self, ledger: &Ledger, played: &[&Case<'_>]) -> Survey {
        let claims = |id: &str| -> Vec<&str> {
            let played = played.iter().map(|case| case.scenario);
            played
                .filter(|scenario| scenario.requirements.iter().any(|claim| claim == id))
                .map(|scenario| scenario.id.as_str())
                .collect()
        };
        let rules = Rule::ALL.iter().map(|rule| {
            let mut row = self.row(Mutation::Rule(*rule), &claims(rule.id()));
            let requirement = ledger.get(rule.id());
            row.unit_tests = requirement.map_or_else(Vec::new, |entry| entry.proved_by.clone());
            if row.fate == Fate::Dead && !row.unit_tests.is_empty() {
                row.fate = Fate::NotRun;
            }
            row
        });
        let mistakes = Misbehaviour::ALL.iter().map(|mistake| {
            let mut row = self.row(Mutation::Mistake(*mistake), &[]);
            let somebody = played.iter().any(|case| concerns(*mistake, case.scenario));
            if row.fate == Fate::Dead && somebody {
                row.fate = Fate::Silent;
            }
            row
        });
        let (rules, mistakes) = (rules.collect(), mistakes.collect());
        let checks = self.checks.into_iter().map(|(key, known)| {
            let by = known.by.iter();
            let (specific, general): (Vec<Mutation>, Vec<Mutation>) =
                by.partition(|mutation| mutation.is_specific());
            CheckRow {
                question: known.question,
                requirement: known.requirement,
                turned_red_by: specific.iter().map(ToString::to_string).collect(),
                needs_somebody: !general.is_empty(),
                key,
            }
        });
        Survey {
            runs: self.runs,
            rules,
            mistakes,
            checks: checks.collect(),
            alone: self.alone,
            broken: self.broken,
        }
    }

    fn row(&self, mutation: Mutation, claimed_by: &[&str]) -> Row {
        let empty = BTreeMap::new();
        let by = self.noticed.get(&mutation).unwrap_or(&empty);
        let silent: Vec<String> = claimed_by
            .iter()
            .filter(|scenario| !by.contains_key(**scenario))
            .map(|scenario| (*scenario).to_owned())
            .collect();
        let fate = match (by.is_empty(), claimed_by.is_empty()) {
            (false, _) => Fate::Killed,
            (true, false) => Fate::Silent,
            (true, true) => Fate::Dead,
        };
        Row {
            name: mutation.to_string(),
            fate,
            noticed_by: by.values().cloned().collect(),
            silent,
            unit_tests: Vec::new(),
            trouble: None,
        }
    }
}
