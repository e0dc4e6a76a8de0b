//! What console, agent and SCA say to each other: lines of JSON, one question, one answer. Whether they travel over a
//! network, through pipes or within one process is nothing that either side could tell, so that a real program can take
//! any of the places.
//!
//! ```text
//! console to agent
//!   {"identify": {}}                         {"identity": {"present": true, "uuid": U, "version": "15.0.35"}}
//!   {"start": {"otp": TEXT or null}}         {"started": {"otp_status": 0, "status": 0}}
//!   {"stop": {}}                             {"stopped": {"status": 0}}
//! console to SCA
//!   {"expect": {"uuid": U, "otp": TEXT or null}}       {"expected": {}}
//!   {"result": {"uuid": U}}                  {"state": {"state": "configured", "why": null}}
//! anybody
//!   {"refused": {"why": TEXT}}               in answer to anything
//! ```
//! A status is that of the AMTHI command: 0 is success; one that was not sent is missing.

use serde::{Deserialize, Serialize};

/// What an agent is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ToAgent {
    Identify {},
    Start {
        #[serde(default)]
        otp: Option<String>,
    },
    Stop {},
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FromAgent {
    Identity {
        present: bool,
        #[serde(default)]
        uuid: Option<String>,
        #[serde(default)]
        version: Option<String>,
    },
    Started {
        #[serde(default)]
        otp_status: Option<u32>,
        #[serde(default)]
        status: Option<u32>,
    },
    Stopped {
        status: u32,
    },
    Refused {
        why: String,
    },
}

/// What an SCA is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ToSca {
    /// A machine that is to be set up.
    Expect {
        uuid: String,
        #[serde(default)]
        otp: Option<String>,
    },
    Result {
        uuid: String,
    },
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FromSca {
    Expected {},
    State {
        state: JobState,
        #[serde(default)]
        why: Option<String>,
    },
    Refused {
        why: String,
    },
}

/// How far an SCA is with one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Nobody told it about that machine.
    Unknown,
    /// It waits for a Hello.
    Waiting,
    /// It is at work.
    AtWork,
    Configured,
    /// The last try came to nothing; the next Hello may bring another.
    Failed,
}

/// Whoever answers lines.
pub trait Listener {
    /// Answers one line with one line.
    fn answer(&mut self, line: &str) -> String;
}

/// One question, as a client of these protocols asks it.
pub fn ask<Q: Serialize, A: for<'de> Deserialize<'de>>(
    whom: &mut dyn Listener,
    question: &Q,
) -> Result<A, String> {
    // Texts and numbers only: writing them cannot fail.
    let line = serde_json::to_string(question).unwrap_or_default();
    let answer = whom.answer(&line);
    serde_json::from_str(&answer).map_err(|error| format!("its answer cannot be read: {error}"))
}

/// Reads a question, has it answered, and writes the answer.
pub fn reply<Q: for<'de> Deserialize<'de>, A: Serialize>(
    line: &str,
    refused: impl FnOnce(String) -> A,
    answer: impl FnOnce(Q) -> A,
) -> String {
    let said = match serde_json::from_str(line) {
        Ok(question) => answer(question),
        Err(error) => refused(error.to_string()),
    };
    serde_json::to_string(&said).unwrap_or_default()
}
