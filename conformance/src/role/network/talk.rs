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

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

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

/// Somebody at an address, who is asked over TCP.
#[derive(Debug)]
pub struct Remote {
    at: SocketAddr,
    line: Option<BufReader<TcpStream>>,
}

impl Remote {
    /// An agent may have to wait for a slow device before it answers.
    const PATIENCE: Duration = Duration::from_secs(120);

    pub fn new(at: SocketAddr) -> Self {
        Self { at, line: None }
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        let line = match &mut self.line {
            Some(line) => line,
            None => {
                let stream = TcpStream::connect(self.at)?;
                stream.set_read_timeout(Some(Self::PATIENCE))?;
                self.line.insert(BufReader::new(stream))
            }
        };
        line.get_mut()
            .write_all(format!("{question}\n").as_bytes())?;
        let mut answer = String::new();
        match line.read_line(&mut answer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(answer),
        }
    }
}

impl Listener for Remote {
    fn answer(&mut self, line: &str) -> String {
        self.ask(line).unwrap_or_else(|error| {
            let why = format!("nobody answers at {}: {error}", self.at);
            json!({"refused": {"why": why}}).to_string()
        })
    }
}

/// Listens in on what a console tells an SCA.
pub struct Tap<'a> {
    sca: &'a mut dyn Listener,
    /// The machines that were named, and their one-time passwords.
    orders: Vec<(String, Option<String>)>,
    refused: bool,
}

impl std::fmt::Debug for Tap<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

impl<'a> Tap<'a> {
    pub fn new(sca: &'a mut dyn Listener) -> Self {
        Self {
            sca,
            orders: Vec::new(),
            refused: false,
        }
    }

    /// The machines that were named, and their one-time passwords.
    pub fn orders(&self) -> &[(String, Option<String>)] {
        &self.orders
    }

    /// Whether the SCA refused anything.
    pub fn refused(&self) -> bool {
        self.refused
    }

    /// Whether no two machines have the same one-time password; nothing when fewer than two have one.
    pub fn passwords_differ(&self) -> Option<bool> {
        let passwords = || self.orders.iter().filter_map(|(_, otp)| otp.as_ref());
        let different: BTreeSet<&String> = passwords().collect();
        let given = passwords().count();
        (given > 1).then_some(different.len() == given)
    }
}

impl Listener for Tap<'_> {
    fn answer(&mut self, line: &str) -> String {
        if let Ok(ToSca::Expect { uuid, otp }) = serde_json::from_str(line) {
            self.orders.push((uuid, otp));
        }
        let answer = self.sca.answer(line);
        let said = serde_json::from_str(&answer);
        self.refused |= matches!(said, Ok(FromSca::Refused { .. }));
        answer
    }
}

/// Listens in on what an agent answers.
pub struct Ear<'a> {
    agent: &'a mut dyn Listener,
    answers: Vec<FromAgent>,
}

impl std::fmt::Debug for Ear<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ear").finish_non_exhaustive()
    }
}

impl<'a> Ear<'a> {
    pub fn new(agent: &'a mut dyn Listener) -> Self {
        Self {
            agent,
            answers: Vec::new(),
        }
    }

    /// Everything that it answered.
    pub fn answers(&self) -> &[FromAgent] {
        &self.answers
    }
}

impl Listener for Ear<'_> {
    fn answer(&mut self, line: &str) -> String {
        let answer = self.agent.answer(line);
        self.answers.extend(serde_json::from_str(&answer));
        answer
    }
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
