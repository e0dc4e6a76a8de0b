//! Whether anybody would notice: what is right is made wrong, piece by piece, and the scenarios are run again.
//!
//! Three things are knocked out, each on its own:
//!
//! - a *rule* of the device: the scenarios that claim to prove it must notice;
//! - honesty: a reference role makes one of its *mistakes*, and some scenario that it plays a part in must notice;
//! - a *check*: every expectation must turn red under some rule, some mistake, or at least a role that does nothing;
//!   and without each kind of check, some of that must go unnoticed.
//!
//! What nobody notices is *silent*: the suite says more than it tests. What nobody claims is *dead*. A rule that no
//! reference role ever comes near is proved by unit tests of the device, which the ledger names in `proved_by`; whoever
//! can run them tells [`Survey::unit_tested`].

mod book;
mod show;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use amt_sim::device::Rule;
use serde::Serialize;

pub use survey::{Depth, survey};

use crate::role::Misbehaviour;
use crate::run::run_all;
use crate::words::words;

words! {
    /// What became of one thing that was knocked out.
    Fate {
        /// A scenario noticed.
        Killed = "killed",
        /// A unit test of the device noticed.
        Unit = "unit",
        /// The ledger names unit tests, and they were not run.
        NotRun = "not-run",
        /// Somebody claims to prove it and does not notice that it is gone.
        Silent = "silent",
        /// Nobody claims to prove it.
        Dead = "dead",
    }
}

/// One thing that is made wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutation {
    Rule(Rule),
    Mistake(Misbehaviour),
    /// Every role does nothing and says that it is done.
    DoesNothing,
    /// Every role does its work and says that it failed.
    SaysFailed,
    /// Every role does its work and never says anything.
    Hangs,
    /// Every role does its work and takes its time.
    Dawdles,
}

impl Mutation {
    /// Whether it is one mistake among many, not a role that is not there at all.
    pub const fn is_specific(self) -> bool {
        matches!(self, Self::Rule(_) | Self::Mistake(_))
    }
}

impl std::fmt::Display for Mutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rule(rule) => f.pad(rule.id()),
            Self::Mistake(mistake) => f.pad(mistake.word()),
            Self::DoesNothing => f.pad("does-nothing"),
            Self::SaysFailed => f.pad("says-failed"),
            Self::Hangs => f.pad("hangs"),
            Self::Dawdles => f.pad("dawdles"),
        }
    }
}

/// A rule or a mistake, and who noticed.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// ID of the rule, or word of the mistake.
    pub name: String,
    pub fate: Fate,
    /// Runs that noticed, `SCENARIO@PROFILE`, one for each scenario.
    pub noticed_by: Vec<String>,
    /// Scenarios that claim it and did not notice on any device. Where another one does notice, these show the other
    /// side of the rule: what it allows.
    pub silent: Vec<String>,
    /// Unit tests that the ledger names.
    pub unit_tests: Vec<String>,
    /// What is wrong with those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// One expectation of one scenario: `about` tells the facts of one step apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CheckKey {
    pub scenario: String,
    pub line: usize,
    pub about: String,
}

/// A check of a scenario, and what turned it red.
#[derive(Debug, Clone, Serialize)]
pub struct CheckRow {
    #[serde(flatten)]
    pub key: CheckKey,
    pub requirement: String,
    /// What the expectation asks, in the words of the file.
    pub question: &'static str,
    /// Rules and mistakes that turn it red.
    pub turned_red_by: BTreeSet<String>,
    /// A role that does nothing, says that it failed, hangs or dawdles turns it red.
    pub needs_somebody: bool,
}

impl CheckRow {
    pub fn can_fail(&self) -> bool {
        self.needs_somebody || !self.turned_red_by.is_empty()
    }
}

/// Everything that was found out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Survey {
    pub runs: usize,
    pub rules: Vec<Row>,
    pub mistakes: Vec<Row>,
    pub checks: Vec<CheckRow>,
    /// For each kind of check, the runs with something wrong that nobody would have noticed without it.
    pub alone: BTreeMap<&'static str, usize>,
    /// Honest runs that do not pass: nothing can be said about their scenarios.
    pub broken: Vec<String>,
}

impl Survey {
    /// Takes the word of whoever runs the unit tests that the ledger names, several at a time: whether one of them
    /// failed without the rule, or why that cannot be told.
    pub fn unit_tested(
        &mut self,
        jobs: NonZeroUsize,
        noticed: impl Fn(&Row) -> Result<bool, String> + Sync,
    ) {
        let open = self.rules.iter_mut().filter(|row| row.fate == Fate::NotRun);
        let mut open: Vec<&mut Row> = open.collect();
        let mut words = Vec::new();
        run_all(
            &open,
            jobs,
            |row| noticed(row),
            |_| (),
            |word| words.push(word),
        );
        for (row, word) in open.iter_mut().zip(words) {
            row.fate = match word {
                Ok(true) => Fate::Unit,
                Ok(false) => Fate::Silent,
                Err(why) => {
                    row.trouble = Some(why);
                    Fate::Silent
                }
            };
        }
    }

    /// The checks by question: how many there are, and how many of them can fail.
    pub fn questions(&self) -> BTreeMap<&'static str, (usize, usize)> {
        let mut questions = BTreeMap::new();
        for check in &self.checks {
            let (all, good) = questions.entry(check.question).or_insert((0, 0));
            *all += 1;
            *good += usize::from(check.can_fail());
        }
        questions
    }

    /// Whether something is there that nobody would miss.
    pub fn is_silent(&self) -> bool {
        let silent = |row: &Row| matches!(row.fate, Fate::Silent | Fate::Dead);
        !self.broken.is_empty()
            || self.rules.iter().any(silent)
            || self.mistakes.iter().any(silent)
            || self.checks.iter().any(|check| !check.can_fail())
            || self
                .questions()
                .keys()
                .any(|kind| !self.alone.contains_key(kind))
    }
}
