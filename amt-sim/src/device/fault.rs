//! Being wrong on purpose: misbehaviour that was asked for, once, a number of times, or always.
//!
//! A fault is data: where it strikes, how often, and what happens. It is journaled each time it takes effect.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::journal::Operation;
use super::setup::HelloFault;
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
    /// Only these WS-Management requests: a class, class and action as in `CLASS.CommitChanges` or `CLASS.Get`, or an
    /// action of any class as in `.CommitChanges`; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
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
    /// A Hello message; [`HelloFault`] lists what can be wrong with one.
    Hello,
    /// The answer to a WS-Management request of somebody who may ask it. `rv-N` and `status-N` are answered instead
    /// of doing it; `drop`, `truncate-N` and `delay-N` take effect once it is done.
    Wsman,
    /// What TLS has to say at a time, handshake or records: `drop` and `truncate-N` let none of it, or so many bytes,
    /// leave before the connection ends; `status-N` sends the alert of that number in its place; `delay-N` keeps it back.
    Tls,
    /// Anything that comes from outside, an MEI message or bytes for a port: the power is gone before it is heard (`cut`),
    /// or once it was obeyed and before any answer leaves (`drop`). The device comes back at once with what it has saved.
    Power,
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
            | FaultPoint::Hello
            | FaultPoint::Odca
            | FaultPoint::Commit
            | FaultPoint::Wsman
            | FaultPoint::Tls
            | FaultPoint::Power => Self::Read,
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
    /// The method does nothing and returns this.
    ReturnValue(u32),
    /// The answer comes this much later, in milliseconds.
    DelayMs(u64),
    /// The connection is closed, and what was asked is not done.
    Cut,
    /// What was asked stops half way.
    Half,
    /// This chain stands in for the genuine one.
    Chain(WrongChain),
    /// Something that only a Hello message can have wrong.
    Hello(HelloFault),
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

/// What a request asks of which class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) class: &'a str,
    pub(crate) action: &'a str,
}

impl Asked<'_> {
    fn is_meant_by(self, pattern: &str) -> bool {
        match pattern.split_once('.') {
            Some((class, action)) => {
                (class.is_empty() || class == self.class) && action == self.action
            }
            None => pattern == self.class,
        }
    }
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
        self.strike_where(|fault| {
            fault.at == occasion.at
                && (fault.client.is_none() || fault.client == occasion.client)
                && (fault.command.is_none() || fault.command == occasion.command)
        })
    }

    /// The same for a WS-Management request.
    pub(crate) fn strike_request(&mut self, asked: Asked<'_>) -> Option<Fault> {
        self.strike_where(|fault| {
            let meant = |pattern: &String| asked.is_meant_by(pattern);
            fault.at == FaultPoint::Wsman && fault.request.as_ref().is_none_or(meant)
        })
    }

    fn strike_where(&mut self, concerns: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut struck = None;
        for armed in &mut self.armed {
            let Armed { fault, seen } = armed;
            if !concerns(fault) {
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
    /// Whether it can mean anything at this point.
    fn fits(&self, at: FaultPoint) -> bool {
        match at {
            FaultPoint::Power => return matches!(self, Self::Cut | Self::Drop),
            FaultPoint::Tls => {
                return matches!(
                    self,
                    Self::Drop | Self::Truncate(_) | Self::Status(_) | Self::DelayMs(_)
                );
            }
            _ => {}
        }
        match self {
            Self::Hello(_) => at == FaultPoint::Hello,
            Self::ReturnValue(_) => at == FaultPoint::Wsman,
            Self::Cut | Self::Half => at == FaultPoint::Commit,
            Self::Chain(_) => at == FaultPoint::Odca,
            Self::Errno(_) | Self::Status(_) => at != FaultPoint::Hello,
            Self::Reset | Self::Drop | Self::Truncate(_) | Self::DelayMs(_) => true,
        }
    }

    pub(crate) fn delay(&self) -> Option<Duration> {
        match self {
            Self::DelayMs(milliseconds) => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        }
    }
}

/// The short form, as [`FromStr`] reads it.
impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", name(&self.at))?;
        if let Some(request) = &self.request {
            write!(f, ":{request}")?;
        }
        if let Some(client) = &self.client {
            write!(f, ":{}", name(client))?;
        }
        if let Some(command) = self.command {
            write!(f, ":{command:#x}")?;
        }
        if self.after > 0 {
            write!(f, "+{}", self.after)?;
        }
        write!(f, "={}", self.effect)?;
        match self.times {
            Some(times) => write!(f, "*{times}"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for FaultEffect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Errno(errno) => f.write_str(&name(errno)),
            Self::Reset => f.write_str("reset"),
            Self::Drop => f.write_str("drop"),
            Self::Truncate(length) => write!(f, "truncate-{length}"),
            Self::Status(status) => write!(f, "status-{status}"),
            Self::DelayMs(milliseconds) => write!(f, "delay-{milliseconds}"),
            Self::ReturnValue(value) => write!(f, "rv-{value}"),
            Self::Cut => f.write_str("cut"),
            Self::Half => f.write_str("half"),
            Self::Chain(chain) => f.write_str(&name(chain)),
            Self::Hello(fault) => write!(f, "{fault}"),
        }
    }
}

/// The word of one of the serialised enumerations.
fn name(value: &impl Serialize) -> String {
    let word = serde_json::to_value(value).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

/// Why a fault's short form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a fault: {why}")]
pub struct FaultError {
    pub text: String,
    pub why: String,
}

/// The short form of `--fault`: `connect:amthi=EBUSY*3`, `answer:amthi:0x1a=drop`, `write+2=reset`,
/// `wsman:AMT_SetupAndConfigurationService.CommitChanges=rv-2057*1`.
///
/// ```text
/// POINT[:CLIENT[:COMMAND]][+AFTER]=EFFECT[*TIMES]
/// wsman[:CLASS[.ACTION]|:.ACTION][+AFTER]=EFFECT[*TIMES]
/// EFFECT  EBUSY | ENODEV | ... | reset | drop | truncate-N | status-N | rv-N | delay-N (ms)
///         commit: cut | half | drop | truncate-N | status-N        channel: status-N
///         tls: drop | truncate-N | status-N (an alert) | delay-N   power: cut | drop
///         odca: a wrong chain by its name, as in odca=wrong-cn
/// ```
/// `hello=...` has effects of its own: [`HelloFault`].
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
        let request = match at {
            FaultPoint::Wsman => words.next().map(str::to_owned),
            _ => None,
        };
        let client = words
            .next()
            .map(|name| word(name, "client"))
            .transpose()
            .map_err(&refuse)?;
        let command = words.next().map(number).transpose().map_err(&refuse)?;
        if let Some(extra) = words.next() {
            return Err(refuse(format!("{extra:?} is one part too many")));
        }
        let effect = match at {
            FaultPoint::Odca => word(effect, "wrong chain").map(FaultEffect::Chain),
            FaultPoint::Commit | FaultPoint::Power if effect == "cut" => Ok(FaultEffect::Cut),
            FaultPoint::Commit if effect == "half" => Ok(FaultEffect::Half),
            _ => parse_effect(effect),
        };
        let effect = effect.map_err(&refuse)?;
        if matches!(effect, FaultEffect::ReturnValue(_)) && at != FaultPoint::Wsman {
            return Err(refuse("only a method of `wsman` returns a value".into()));
        }
        if !effect.fits(at) {
            return Err(refuse("this effect makes no sense at this point".into()));
        }
        Ok(Self {
            at,
            client,
            command,
            request,
            after: after.unwrap_or(0),
            times,
            effect,
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
    let (head, tail) = text.rsplit_once('-').unwrap_or((text, ""));
    let hello = match number(tail) {
        Ok(number) => HelloFault::parse(head, Some(number)),
        Err(_) => HelloFault::parse(text, None),
    };
    if let Some(fault) = hello {
        return fault.map(FaultEffect::Hello);
    }
    let (name, argument) = text.split_once('-').unwrap_or((text, ""));
    match name {
        "reset" => Ok(FaultEffect::Reset),
        "drop" => Ok(FaultEffect::Drop),
        "truncate" => Ok(FaultEffect::Truncate(number(argument)? as usize)),
        "status" => Ok(FaultEffect::Status(number(argument)?)),
        "rv" => Ok(FaultEffect::ReturnValue(number(argument)?)),
        "delay" => Ok(FaultEffect::DelayMs(number(argument)?.into())),
        _ => word(text, "errno").map(FaultEffect::Errno).map_err(|why| {
            format!(
                "{why}; effects are an errno, reset, drop, truncate-N, status-N, rv-N, delay-N; of a hello: {}",
                HelloFault::WORDS
            )
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
    #[case("tls+2=truncate-40*1")]
    #[case("tls=status-80")]
    #[case("power+7=cut*1")]
    #[case("power=drop")]
    #[case("hello=split-100")]
    #[case("hello=replay*2")]
    #[case("hello=hash-length-7")]
    #[case("wsman:AMT_GeneralSettings=delay-10")]
    #[case("wsman:.AdminSetup+1=rv-1*2")]
    #[case("wsman:AMT_SetupAndConfigurationService.CommitChanges+1=rv-2057*1")]
    fn short_forms_are_read(#[case] text: &str) {
        let fault = text.parse::<Fault>().unwrap();
        assert_eq!(fault.to_string().parse::<Fault>().unwrap(), fault);
    }

    #[rstest]
    #[case("conect=EBUSY", "did you mean \"connect\"")]
    #[case("connect:amthy=EBUSY", "did you mean \"amthi\"")]
    #[case("connect=EBUZY", "did you mean \"EBUSY\"")]
    #[case("connect", "POINT")]
    #[case("odca=wrong-cm", "did you mean \"wrong-cn\"")]
    #[case("connect=wrong-cn", "is no errno")]
    #[case("connect=half", "is no errno")]
    #[case("power=half", "is no errno")]
    #[case("power=truncate-3", "makes no sense")]
    #[case("tls=reset", "makes no sense")]
    #[case("http=rv-1", "only a method")]
    #[case("wsman:X.Y:3=rv-1", "no client")]
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
