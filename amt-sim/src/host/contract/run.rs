//! Running checks, each in a process of its own, and saying what came out.

use std::ffi::CStr;
use std::fmt;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::os::{self, Ended, Events, Fd, Number, Process};
use super::{Check, Failure, GET_UUID, Node, Stop, checks, exchange};
use crate::diagnostic::closest;

/// A check that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(12);

/// How long a killed process may take to go.
const DEATH: Duration = Duration::from_secs(2);

/// The option by which a check calls its own program to work on an inherited descriptor.
pub(super) const EXCHANGE_ON: &CStr = c"--exchange-on";

/// What came out of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    Pass,
    Fail(Failure),
    Skip { reason: String },
}

/// One check's line in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub id: &'static str,
    pub text: &'static str,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub milliseconds: u64,
}

/// Which checks run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    checks: Option<Vec<&'static Check>>,
}

/// A name that selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no check and no group of checks{}", did_you_mean(near))]
pub struct UnknownCheck {
    pub name: String,
    pub near: Option<String>,
}

fn did_you_mean(near: &Option<String>) -> String {
    match near {
        Some(near) => format!("; did you mean {near:?}?"),
        None => "; `amt-sim contract --list` shows all".to_owned(),
    }
}

impl Selection {
    /// The checks with these identifiers, or below these groups (`contract.io`); all when there are none.
    pub fn of(names: &[String]) -> Result<Self, UnknownCheck> {
        if names.is_empty() {
            return Ok(Self::default());
        }
        let matches = |check: &Check, name: &str| {
            check
                .id
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        for name in names {
            if !checks().any(|check| matches(check, name)) {
                return Err(UnknownCheck {
                    name: name.clone(),
                    near: closest(name, checks().map(|check| check.id)).map(str::to_owned),
                });
            }
        }
        let chosen = checks().filter(|check| names.iter().any(|name| matches(check, name)));
        Ok(Self {
            checks: Some(chosen.collect()),
        })
    }

    fn into_checks(self) -> Vec<&'static Check> {
        self.checks.unwrap_or_else(|| checks().collect())
    }
}

/// Runs checks one after the other and hands out each result as it comes. The calling process must have one thread.
pub fn run(node: &Node, selection: Selection, mut report: impl FnMut(&Report)) {
    for check in selection.into_checks() {
        let started = Instant::now();
        let outcome = if check.armed && !node.armed {
            Outcome::Skip {
                reason: format!("needs a device with the fault {}", super::ARMED),
            }
        } else {
            isolated(node, check)
        };
        report(&Report {
            id: check.id,
            text: check.text,
            outcome,
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
}

/// What a check's process says about it.
#[derive(Serialize, Deserialize)]
enum Word {
    Pass,
    Fail { expected: String, actual: String },
    Skip { reason: String },
}

fn isolated(node: &Node, check: &Check) -> Outcome {
    let trouble = |what: &str, number: Number| {
        Outcome::Fail(Failure {
            expected: "a process for the check".to_owned(),
            actual: format!("{what}: {number}"),
        })
    };
    let (theirs, ours) = match os::pipe() {
        Ok(ends) => ends,
        Err(number) => return trouble("pipe", number),
    };
    let forked = Process::fork(|| {
        Process::lead_group();
        let word = match (check.run)(node) {
            Ok(()) => Word::Pass,
            Err(Stop::Failed(Failure { expected, actual })) => Word::Fail { expected, actual },
            Err(Stop::Skipped(reason)) => Word::Skip { reason },
        };
        // Strings only: it always serialises.
        let mut text = serde_json::to_vec(&word).unwrap_or_default();
        text.push(b'\n');
        let _ = ours.write(&text);
        0
    });
    let mut process = match forked {
        Ok(process) => process,
        Err(number) => return trouble("fork", number),
    };
    drop(ours);
    let word = hear(&theirs, &mut process);
    process.kill_group();
    process.kill();
    // Whatever it said, a check's process must be able to die.
    if !matches!(process.wait(DEATH), Ok(Some(_)) | Err(_)) {
        return Outcome::Fail(Failure {
            expected: "a process that can be killed".to_owned(),
            actual: format!("it is still there {DEATH:?} after SIGKILL"),
        });
    }
    match word {
        Ok(Word::Pass) => Outcome::Pass,
        Ok(Word::Fail { expected, actual }) => Outcome::Fail(Failure { expected, actual }),
        Ok(Word::Skip { reason }) => Outcome::Skip { reason },
        Err(actual) => Outcome::Fail(Failure {
            expected: "the check comes to its end".to_owned(),
            actual,
        }),
    }
}

/// Waits for the check's word, or for a sign that it will never come.
fn hear(pipe: &Fd, process: &mut Process) -> Result<Word, String> {
    let started = Instant::now();
    let mut text = Vec::new();
    loop {
        // Looked at before the pipe: what it said before it ended is in the pipe then.
        let ended = process.wait(Duration::ZERO).ok().flatten();
        let shown = pipe.poll(Events::IN, Duration::from_millis(20));
        if shown.is_ok_and(|shown| shown.has(Events::IN)) {
            text.extend(pipe.read(64 * 1024).unwrap_or_default());
            if text.last() == Some(&b'\n') {
                return serde_json::from_slice(&text).map_err(|error| error.to_string());
            }
            continue;
        }
        match ended {
            Some(Ended::Signal(number)) => return Err(format!("killed by signal {number}")),
            Some(Ended::Code(101)) => return Err("a panic".to_owned()),
            Some(Ended::Code(code)) => return Err(format!("exit code {code} without a word")),
            None => {}
        }
        if started.elapsed() > LIMIT {
            return Err(format!("still running after {LIMIT:?}"));
        }
    }
}

/// What the program does for a check that gives it a descriptor across exec: one round trip on it.
pub fn exchange_on(descriptor: RawFd) -> Result<(), String> {
    let fd = Fd::inherited(descriptor).map_err(|number| format!("descriptor: {number}"))?;
    match exchange(&fd, GET_UUID) {
        Ok(_) => Ok(()),
        Err(Stop::Failed(failure)) => Err(failure.to_string()),
        Err(Stop::Skipped(reason)) => Err(reason),
    }
}

/// What is left to a program whose supervisor goes away: connects, detaches itself from its parent as a daemon does
/// when `detached`, says `ready` with its process id, and blocks in read until that ends.
pub fn hold(node: &Node, detached: bool) -> Result<String, String> {
    let work = || -> Result<String, Stop> {
        let fd = node.amthi()?;
        println!("ready {}", std::process::id());
        Ok(match fd.read(super::ROOM) {
            Ok(message) => format!("a message of {} bytes", message.len()),
            Err(number) => number.to_string(),
        })
    };
    let work = || {
        work().map_err(|stop| match stop {
            Stop::Failed(failure) => failure.to_string(),
            Stop::Skipped(reason) => reason,
        })
    };
    if !detached {
        return work();
    }
    let child = Process::fork(|| {
        let ended = Process::lead_session()
            .map_err(|number| format!("setsid: {number}"))
            .and_then(|()| work());
        println!("ended {ended:?}");
        0
    });
    // Not waited for, and not killed.
    std::mem::forget(child.map_err(|number| format!("fork: {number}"))?);
    Ok("detached".to_owned())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, saw {}", self.expected, self.actual)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn identifiers_are_unique_and_in_dotted_words() {
        let mut seen = BTreeSet::new();
        for check in checks() {
            assert!(seen.insert(check.id), "{} is there twice", check.id);
            let words: Vec<_> = check.id.split('.').collect();
            assert!(words.len() == 3 && words[0] == "contract", "{}", check.id);
            let plain =
                |letter: char| letter.is_ascii_lowercase() || "-.0123456789".contains(letter);
            assert!(check.id.chars().all(plain), "{}", check.id);
            assert!(!check.text.ends_with('.'), "{}", check.text);
        }
        assert!(seen.len() >= 42);
    }

    #[test]
    fn groups_and_single_checks_are_selected() {
        let of = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            Selection::of(&names).map(|selection| selection.into_checks().len())
        };
        assert_eq!(of(&[]), Ok(checks().count()));
        assert_eq!(of(&["contract.open"]), Ok(super::super::open::CHECKS.len()));
        assert_eq!(of(&["contract.io.empty", "contract.poll.select"]), Ok(2));
        let error = of(&["contract.io.emty"]).unwrap_err();
        assert_eq!(error.near.as_deref(), Some("contract.io.empty"));
        assert!(of(&["contract.i"]).is_err());
    }
}
