//! What the device's journal shows of whoever set it up over the network: the ground truth about an SCA, whatever it
//! says of itself.

use std::collections::BTreeMap;

use amt_sim::device::Interface;
use amt_sim::tls::FailureKind;
use amt_sim::{Entry, Event};
use serde_json::json;

use crate::fact::{Fact, Facts};

const SERVICE: &str = "AMT_SetupAndConfigurationService";

/// One request that came over the network and was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub port: u16,
    /// Who asked, where that was proven.
    pub user: Option<String>,
    pub class: String,
    pub action: String,
    pub return_value: Option<u32>,
    pub refused: bool,
    /// Hello messages before it.
    pub hellos: usize,
}

impl Request {
    /// Whether it could change the device.
    pub fn writes(&self) -> bool {
        let reads = [
            "Get",
            "Enumerate",
            "Pull",
            "Release",
            "Identify",
            "unreadable",
        ];
        !reads.contains(&self.action.as_str())
            && !self.action.starts_with("Get")
            && self.action != "AMTAuthenticate"
    }

    fn is(&self, class: &str, action: &str) -> bool {
        self.class == class && self.action == action
    }
}

/// Everything that came over the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    pub requests: Vec<Request>,
    /// Connections to the device's ports.
    pub connections: u64,
    /// Something came to a TLS port that was none.
    pub in_the_clear: bool,
}

impl Observed {
    pub fn of(journal: &[Entry]) -> Self {
        let mut seen = Self::default();
        // Ports by stream; those of the host are none of the SCA's.
        let mut streams: BTreeMap<u32, u16> = BTreeMap::new();
        let mut asked = None;
        let mut hellos = 0;
        for entry in journal {
            match &entry.event {
                Event::StreamOpened {
                    stream,
                    side: Interface::Network,
                    port,
                } => {
                    streams.insert(*stream, *port);
                    seen.connections += 1;
                }
                Event::StreamClosed { stream } => {
                    streams.remove(stream);
                }
                Event::Hello { .. } => hellos += 1,
                Event::TlsFailed {
                    stream,
                    reason: FailureKind::NotTls,
                    ..
                } if streams.contains_key(stream) => seen.in_the_clear = true,
                Event::Wsman {
                    class,
                    action,
                    return_value,
                    fault,
                    ..
                } => asked = Some((class, action, *return_value, fault.is_some())),
                // It follows what it carried.
                Event::HttpRequest { stream, user, .. } => {
                    let Some((class, action, return_value, refused)) = asked.take() else {
                        continue;
                    };
                    let Some(port) = streams.get(stream) else {
                        continue;
                    };
                    seen.requests.push(Request {
                        port: *port,
                        user: user.clone(),
                        class: class.clone(),
                        action: action.clone(),
                        return_value,
                        refused,
                        hellos,
                    });
                }
                _ => {}
            }
        }
        seen
    }

    pub fn writes(&self) -> u64 {
        self.requests
            .iter()
            .filter(|request| request.writes())
            .count() as u64
    }

    /// Writes after a method had refused, up to the next Hello.
    fn writes_after_refusal(&self) -> u64 {
        let refusal = |request: &Request| {
            request.writes() && request.return_value.is_some_and(|value| value != 0)
        };
        let mut refused_in = None;
        let mut count = 0;
        for request in &self.requests {
            if request.writes() && refused_in == Some(request.hellos) {
                count += 1;
            }
            if refusal(request) {
                refused_in = Some(request.hellos);
            }
        }
        count
    }

    fn otp_read(&self) -> &'static str {
        // Afterwards there is none to be read any more.
        let committed = |request: &Request| {
            request.is(SERVICE, "CommitChanges") && request.return_value == Some(0)
        };
        let end = self.requests.iter().position(committed);
        let before_commit = self.requests.get(..end.unwrap_or(self.requests.len()));
        let read = before_commit
            .unwrap_or_default()
            .iter()
            .position(|request| {
                !request.refused && (request.is(SERVICE, "Get") || request.is(SERVICE, "Pull"))
            });
        let written = self.requests.iter().position(Request::writes);
        match (read, written) {
            (None, _) => "never",
            (Some(read), Some(written)) if written < read => "after-writes",
            _ => "before-writes",
        }
    }

    fn mebx_password(&self) -> &'static str {
        let good = |action: &str| {
            self.requests
                .iter()
                .position(|request| request.is(SERVICE, action) && request.return_value == Some(0))
        };
        match (good("SetMEBxPassword"), good("CommitChanges")) {
            (None, _) => "never",
            (Some(set), Some(committed)) if committed < set => "after-commit",
            _ => "before-commit",
        }
    }

    /// Logins that went over the network without TLS.
    fn plain_logins(&self) -> u64 {
        let plain = |request: &&Request| request.port == 16992 && request.user.is_some();
        self.requests.iter().filter(plain).count() as u64
    }

    pub fn tell(&self, facts: &mut Facts) {
        facts.insert(Fact::SCA_OTP_READ, json!(self.otp_read()));
        facts.insert(Fact::SCA_WRITES, json!(self.writes()));
        facts.insert(Fact::SCA_GOES_ON, json!(self.writes_after_refusal()));
        facts.insert(Fact::SCA_MEBX, json!(self.mebx_password()));
        facts.insert(Fact::SCA_CONNECTIONS, json!(self.connections));
        facts.insert(Fact::SCA_PLAIN_LOGINS, json!(self.plain_logins()));
        facts.insert(Fact::SCA_IN_THE_CLEAR, json!(self.in_the_clear));
    }
}
