//! Being wrong on purpose: misbehaviour that was asked for, once, a number of times, or always.
//!
//! A fault is data: where it strikes, how often, and what happens. It is journaled each time it takes effect.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::journal::Operation;
use crate::diagnostic::closest;
use crate::mei::{ClientKind, Errno};
use crate::pki::WrongChain;

/// One fault, as a scenario or `--fault` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The system call or message that it strikes.
    pub at: FaultPoint,
    /// Only this client; any when absent.
    #[serde(default)]
    pub client: Option<ClientKind>,
    /// Only this command number (without class bits for AMTHI, as in `0x1A`; group and command for MKHI, as in
    /// `0xff02`; for LME the opcode of the message itself, either way); any when absent.
    #[serde(default)]
    pub command: Option<u32>,
    /// Occasions that pass unharmed first.
    #[serde(default)]
    pub after: u32,
    /// Occasions that are struck; all when absent.
    #[serde(default)]
    pub times: Option<u32>,
    pub effect: FaultEffect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultPoint {
    Open,
    Connect,
    Write,
    Read,
    /// The answer to a message.
    Answer,
    /// The answer of the device's own web server. `status-N` is answered instead of looking at the request;
    /// `drop` and `truncate-N` take effect once it is obeyed, and close the connection.
    Http,
    /// A connection that is shown the on-die chain: it is shown a wrong one, and what the device says of its chain
    /// elsewhere is made to fit.
    Odca,
    /// CommitChanges: `cut` closes the connection and obeys nothing; `drop` and `truncate-N` obey and spoil the answer;
    /// `half` stops half way, without an answer; `status-N` obeys nothing and returns that.
    Commit,
    /// CHANNEL_OPEN of a program on the host: `status-N` refuses with that APF reason.
    Channel,
}

impl From<FaultPoint> for Operation {
    fn from(point: FaultPoint) -> Self {
        match point {
            FaultPoint::Open => Self::Open,
            FaultPoint::Connect => Self::Connect,
            FaultPoint::Write | FaultPoint::Channel => Self::Write,
            FaultPoint::Read
            | FaultPoint::Answer
            | FaultPoint::Http
            | FaultPoint::Odca
            | FaultPoint::Commit => Self::Read,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultEffect {
    /// The system call fails with this.
    Errno(Errno),
    /// The MEI link resets: every descriptor is disconnected.
    Reset,
    /// No answer comes.
    Drop,
    /// The answer is cut to this many bytes.
    Truncate(usize),
    /// The answer carries this AMTHI status and no data, or is an HTTP error of this number.
    Status(u32),
    /// The answer comes this much later, in milliseconds.
    DelayMs(u64),
    /// The connection is closed, and what was asked is not done.
    Cut,
    /// What was asked stops half way.
    Half,
    /// This chain stands in for the genuine one.
    Chain(WrongChain),
}

/// The faults of one device with what is left of each.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    armed: Vec<Armed>,
}

#[derive(Debug, Clone)]
struct Armed {
    fault: Fault,
    seen: u32,
}

/// Where the device stands when it asks for faults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occasion {
    pub(crate) at: FaultPoint,
    pub(crate) client: Option<ClientKind>,
    pub(crate) command: Option<u32>,
}

impl Faults {
    pub fn arm(&mut self, fault: Fault) {
        self.armed.push(Armed { fault, seen: 0 });
    }

    /// What the first fault would do that would strike at this point next. Counts nothing.
    pub(crate) fn peek(&self, at: FaultPoint) -> Option<&FaultEffect> {
        let mut faults = self.armed.iter().filter(|armed| armed.fault.at == at);
        let next = faults.find(|Armed { fault, seen }| {
            *seen >= fault.after && fault.times.is_none_or(|times| seen - fault.after < times)
        });
        next.map(|armed| &armed.fault.effect)
    }

    /// The first fault that strikes now. Counts the occasion for every fault that it concerns.
    pub(crate) fn strike(&mut self, occasion: Occasion) -> Option<Fault> {
        let mut struck = None;
        for armed in &mut self.armed {
            let Armed { fault, seen } = armed;
            let concerns = fault.at == occasion.at
                && (fault.client.is_none() || fault.client == occasion.client)
                && (fault.command.is_none() || fault.command == occasion.command);
            if !concerns {
                continue;
            }
            let turn = *seen;
            *seen = seen.saturating_add(1);
            let in_budget =
                turn >= fault.after && fault.times.is_none_or(|times| turn - fault.after < times);
            if in_budget && struck.is_none() {
                struck = Some(fault.clone());
            }
        }
        struck
    }
}

impl FaultEffect {
    pub(crate) fn delay(&self) -> Option<Duration> {
        match self {
            Self::DelayMs(milliseconds) => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        }
    }
}

/// Why a fault's short form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a fault: {why}")]
pub struct FaultError {
    pub text: String,
    pub why: String,
}

/// The short form of `--fault`: `connect:amthi=EBUSY*3`, `answer:amthi:0x1a=drop`, `write+2=reset`.
///
/// ```text
/// POINT[:CLIENT[:COMMAND]][+AFTER]=EFFECT[*TIMES]
/// EFFECT  EBUSY | ENODEV | ... | reset | drop | truncate-N | status-N | delay-N (ms)
///         commit: cut | half | drop | truncate-N | status-N        channel: status-N
///         odca: a wrong chain by its name, as in odca=wrong-cn
/// ```
impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let refuse = |why: String| FaultError {
            text: text.to_owned(),
            why,
        };
        let (place, effect) = text.split_once('=').ok_or_else(|| {
            refuse("write POINT[:CLIENT[:COMMAND]][+AFTER]=EFFECT[*TIMES]".into())
        })?;
        let (place, after) = split_number(place, '+').map_err(&refuse)?;
        let (effect, times) = split_number(effect, '*').map_err(&refuse)?;
        let mut words = place.split(':');
        let at = word(words.next().unwrap_or_default(), "point").map_err(&refuse)?;
        let client = words
            .next()
            .map(|name| word(name, "client"))
            .transpose()
            .map_err(&refuse)?;
        let command = words.next().map(number).transpose().map_err(&refuse)?;
        if let Some(extra) = words.next() {
            return Err(refuse(format!("{extra:?} is one part too many")));
        }
        Ok(Self {
            at,
            client,
            command,
            after: after.unwrap_or(0),
            times,
            effect: match at {
                FaultPoint::Odca => word(effect, "wrong chain").map(FaultEffect::Chain),
                FaultPoint::Commit if effect == "cut" => Ok(FaultEffect::Cut),
                FaultPoint::Commit if effect == "half" => Ok(FaultEffect::Half),
                _ => parse_effect(effect),
            }
            .map_err(&refuse)?,
        })
    }
}

fn split_number(text: &str, mark: char) -> Result<(&str, Option<u32>), String> {
    match text.split_once(mark) {
        None => Ok((text, None)),
        Some((head, count)) => Ok((head, Some(number(count)?))),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text:?} is not a number"))
}

/// A word of one of the serialised enumerations, so that the names stand in one place only.
fn word<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, String> {
    let value = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
    T::deserialize(value).map_err(|error| {
        let message = error.to_string();
        let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        match closest(text, known.iter().copied()) {
            Some(near) => format!("{text:?} is no {what}; did you mean {near:?}?"),
            None => format!("{text:?} is no {what}; known: {}", known.join(", ")),
        }
    })
}

fn parse_effect(text: &str) -> Result<FaultEffect, String> {
    let (name, argument) = text.split_once('-').unwrap_or((text, ""));
    match name {
        "reset" => Ok(FaultEffect::Reset),
        "drop" => Ok(FaultEffect::Drop),
        "truncate" => Ok(FaultEffect::Truncate(number(argument)? as usize)),
        "status" => Ok(FaultEffect::Status(number(argument)?)),
        "delay" => Ok(FaultEffect::DelayMs(number(argument)?.into())),
        _ => word(text, "errno").map(FaultEffect::Errno).map_err(|why| {
            format!("{why}; effects are an errno, reset, drop, truncate-N, status-N, delay-N")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn occasion(at: FaultPoint) -> Occasion {
        Occasion {
            at,
            client: Some(ClientKind::Amthi),
            command: Some(0x1a),
        }
    }

    #[test]
    fn a_budget_is_spent_after_the_occasions_that_pass() {
        let mut faults = Faults::default();
        faults.arm("answer:amthi+1=drop*2".parse().unwrap());
        let struck: Vec<bool> = (0..5)
            .map(|_| faults.strike(occasion(FaultPoint::Answer)).is_some())
            .collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert!(faults.strike(occasion(FaultPoint::Write)).is_none());
    }

    #[rstest]
    #[case("connect:amthi=EBUSY*3")]
    #[case("open=ENODEV")]
    #[case("answer:watchdog:0x51=status-3")]
    #[case("write:lme+2=reset*1")]
    #[case("answer=truncate-5")]
    #[case("answer=delay-250")]
    #[case("http=status-503*2")]
    #[case("odca=wrong-cn")]
    #[case("odca+1=rotating-leaf")]
    #[case("commit=half*1")]
    #[case("channel=status-4*1")]
    fn short_forms_are_read(#[case] text: &str) {
        text.parse::<Fault>().unwrap();
    }

    #[rstest]
    #[case("conect=EBUSY", "did you mean \"connect\"")]
    #[case("connect:amthy=EBUSY", "did you mean \"amthi\"")]
    #[case("connect=EBUZY", "did you mean \"EBUSY\"")]
    #[case("connect", "POINT")]
    #[case("odca=wrong-cm", "did you mean \"wrong-cn\"")]
    #[case("connect=wrong-cn", "is no errno")]
    #[case("connect=half", "is no errno")]
    #[case("answer:amthi:zz=drop", "not a number")]
    #[case("answer=truncate-x", "not a number")]
    fn bad_ones_say_what_was_meant(#[case] text: &str, #[case] hint: &str) {
        let error = text.parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in ".{0,30}") {
            let _ = text.parse::<Fault>();
        }
    }
}
