//! `hello in 7min BYTES`: the next Hello message of the device, and `hello none in 1h`: that there is none.
//!
//! The network around the device takes each message, as an SCA's port does, and says so to the device.

use std::time::Duration;

use amt_sim::device::DialEnd;

use super::bytes::{self, Bytes, Kept};
use super::player::{Wrong as Differs, unreadable, wrong};
use super::script::Wrong;
use crate::document::parse_duration;
use crate::role::Clock;
use crate::run::VirtualDevice;
use crate::scenario::placeholder::Values;

/// What must go out, or that nothing does.
#[derive(Debug, Clone)]
pub struct Hello {
    within: Duration,
    message: Option<Message>,
}

#[derive(Debug, Clone)]
struct Message {
    /// Where it goes: addresses or names in the order of trial, and the port.
    to: Option<String>,
    bytes: Bytes,
}

impl Hello {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let how = "write `hello in TIME BYTES`, `hello in TIME to ADDRESS:PORT BYTES` or `hello none in TIME`";
        let none = text.strip_prefix("none ");
        let rest = none.unwrap_or(text).trim_start();
        let rest = rest.strip_prefix("in ").ok_or_else(|| how.to_owned())?;
        let (time, rest) = next_word(rest);
        let within = parse_duration(time)
            .ok_or_else(|| format!("`{time}` is not a time: write 10s, 200ms or 7min"))?;
        if none.is_some() {
            return match rest.is_empty() {
                true => Ok(Self {
                    within,
                    message: None,
                }),
                false => Err(how.to_owned().into()),
            };
        }
        let (to, rest) = match rest.strip_prefix("to ") {
            Some(rest) => {
                let (to, rest) = next_word(rest);
                (Some(to.to_owned()), rest)
            }
            None => (None, rest),
        };
        let bytes = Bytes::parse(rest)?;
        let message = Some(Message { to, bytes });
        Ok(Self { within, message })
    }

    pub(super) fn judge(
        &self,
        device: &VirtualDevice,
        values: Values<'_>,
        kept: &mut Kept,
        last: &mut Vec<u8>,
    ) -> Result<(), Differs> {
        let come = next(device, self.within);
        let Some(message) = &self.message else {
            return match come {
                None => Ok(()),
                Some((to, come)) => {
                    let came = format!("to {to}: {}", bytes::describe(&come));
                    Err(wrong("no Hello message", &came))
                }
            };
        };
        let pattern = message.bytes.pattern(values, kept).map_err(unreadable)?;
        let Some((to, come)) = come else {
            let expected = format!("a Hello message: {}", pattern.describe());
            return Err(wrong(&expected, "none"));
        };
        if let Some(wanted) = message.to.as_ref().filter(|wanted| **wanted != to) {
            return Err(wrong(&format!("to {wanted}"), &format!("to {to}")));
        }
        *last = come;
        pattern.compare(last, kept).map_err(Differs::from)
    }
}

/// The next message within that time, and where it goes. Time stands still at the moment at which it goes out.
fn next(device: &VirtualDevice, within: Duration) -> Option<(String, Vec<u8>)> {
    let end = Clock::now(device) + within;
    loop {
        if let Some(dial) = device.take_dial() {
            let to = format!("{}:{}", dial.hosts.join(","), dial.port);
            device.dial_ended(dial.id, DialEnd::Sent { to: to.clone() });
            return Some((to, dial.bytes));
        }
        let left = end.saturating_sub(Clock::now(device));
        if !device.pass_to_next_wake(left) {
            return None;
        }
    }
}

fn next_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}
