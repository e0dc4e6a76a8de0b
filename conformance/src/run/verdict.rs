//! What a run came to, in the shape in which reports carry it.

use std::collections::BTreeMap;

use amt_sim::{Entry, Mode};
use serde::{Deserialize, Serialize};

use super::evidence::Captured;
use super::sequence::{Sequence, in_words};
use crate::fact::{Fact, Value};
use crate::requirement::Level;
use crate::role::{Ending, Process};
use crate::scenario::Action;
use crate::words::words;

words! {
    /// What one run came to.
    Verdict {
        Pass = "pass",
        /// Something that should be so is not.
        Warn = "warn",
        /// Something that must be so is not.
        Fail = "fail",
        /// The program under test has nothing to do with it.
        NotApplicable = "not-applicable",
        /// The program says that it cannot do this.
        NotImplemented = "not-implemented",
        /// It ran, and proved nothing either way.
        Inconclusive = "inconclusive",
        /// The set-up is wrong; nobody under test is to blame.
        ConfigurationError = "configuration-error",
    }
}

words! {
    /// Who has to change for a finding to go away.
    Blame {
        Agent = "agent",
        Sca = "sca",
        Console = "console",
        Network = "network",
        Configuration = "configuration",
        Device = "device",
        Harness = "harness",
    }
}

words! {
    CheckVerdict {
        Pass = "pass",
        Fail = "fail",
        /// The program has no way to report what was asked for.
        NotApplicable = "not-applicable",
    }
}

/// One scenario on one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// `SCENARIO@PROFILE`, or `SCENARIO@PROFILE,PARAMETER-VALUE`
    pub id: String,
    pub scenario: String,
    pub title: String,
    pub profile: String,
    /// What varies beside the device, by the name of the parameter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// File that the scenario stands in, below the root of the project.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Mode at power-on, in the journal's words.
    pub mode: String,
    pub seed: u64,
    pub verdict: Verdict,
    /// Why that verdict, where the checks alone do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The target file expects this run to fail, and says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_failing: Option<String>,
    /// What came of running it several times; absent after one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    /// What the scenario claims to prove.
    pub requirements: Vec<String>,
    pub checks: Vec<Check>,
    /// Assumptions about real firmware that answers in this run rest on.
    pub assumptions: Vec<String>,
    /// What the role under test found out last.
    pub facts: BTreeMap<Fact, Value>,
    /// What it said went wrong.
    pub remarks: Vec<String>,
    pub processes: Vec<Process>,
    /// Device time from power-on to the end.
    pub device_time_ms: u64,
    /// What went where, and what it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    /// The whole record. Kept out of `report.json`; written beside it where the verdict asks for it.
    #[serde(skip)]
    pub journal: Vec<Entry>,
    /// Every action, as far as anybody has to judge it without the scenario's own expectations.
    #[serde(skip)]
    pub actions: Vec<Performed>,
    /// What the sequence and a capture are made of.
    #[serde(skip)]
    pub captured: Captured,
}

/// One action of a role, and the device behind it.
#[derive(Debug, Clone)]
pub struct Performed {
    pub action: Action,
    pub ending: Ending,
    /// The device's mode after it.
    pub mode: Mode,
    /// Facts that the role told and that are not so.
    pub lies: Vec<Fact>,
    pub facts: BTreeMap<Fact, Value>,
}

impl Run {
    /// What stands behind the `@`: the device, and what varies beside it.
    pub fn device(&self) -> &str {
        self.id
            .split_once('@')
            .map_or(self.profile.as_str(), |(_, device)| device)
    }
}

/// The same run, done several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    pub times: u32,
    /// Runs by verdict.
    pub verdicts: BTreeMap<Verdict, u32>,
    /// What was not the same each time.
    pub differences: Vec<String>,
}

/// One expectation of a scenario on one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Check {
    pub requirement: String,
    pub severity: Level,
    pub verdict: CheckVerdict,
    /// What was looked at, such as `version`.
    pub about: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// Why that party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Assumptions about real firmware that this rests on: the requirement itself, or answers of the action that it
    /// judges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rests_on: Vec<String>,
    pub place: Place,
}

/// Where to look.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    /// Line of the scenario file.
    pub line: usize,
    /// The journal line where things went apart, if one can be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<u64>,
    /// That line and its neighbours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<JournalLine>,
}

/// A journal entry as it stands in the journal's file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JournalLine(pub Entry);

impl JournalLine {
    /// The entry in one line, for people.
    pub fn in_words(&self) -> String {
        let Entry { seq, at, event } = &self.0;
        let at = at.as_nanos() / 1000;
        format!(
            "{seq:>5} {:>8}.{:03} ms  {}",
            at / 1000,
            at % 1000,
            in_words(event)
        )
    }
}

impl Run {
    /// Whether this run calls for attention: an unexpected failure, or an unexpected pass.
    pub fn is_finding(&self) -> bool {
        let wavers = self
            .repeats
            .as_ref()
            .is_some_and(|repeats| repeats.verdicts.len() > 1);
        match self.verdict {
            Verdict::NotApplicable | Verdict::ConfigurationError => false,
            _ if wavers => self.known_failing.is_none(),
            Verdict::Fail => self.known_failing.is_none(),
            Verdict::Pass => self.known_failing.is_some(),
            _ => false,
        }
    }

    /// The checks that did not hold.
    pub fn failed_checks(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| check.verdict == CheckVerdict::Fail)
    }
}
