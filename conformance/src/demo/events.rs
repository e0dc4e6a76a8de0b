//! The device's journal as lines of the picture: what a newcomer wants to see of it.

use std::collections::BTreeSet;
use std::time::Duration;

use amt_sim::device::{Interface, KeyStage};
use amt_sim::{ClientKind, Entry, Event, Instant, Mode};

use super::lanes::{Lane, Line, Tone, What};

const SERVICE: &str = "AMT_SetupAndConfigurationService";

/// Goes through a journal from where it was left.
#[derive(Debug, Default)]
pub(super) struct Reader {
    read: usize,
    /// Streams of the network.
    streams: BTreeSet<u32>,
    asked: Option<(String, Tone)>,
    /// CommitChanges was obeyed: what is read now is no secret any more.
    committed: bool,
}

/// Commands of the host interface that belong to the story; the rest is the harness that looks.
const COMMANDS: [&str; 6] = [
    "GetUUID",
    "GetCodeVersions",
    "SetProvisioningServerOTP",
    "StartConfiguration",
    "StartConfigurationEx",
    "StopConfiguration",
];

impl Reader {
    pub(super) fn lines(&mut self, journal: &[Entry]) -> Vec<Line> {
        let new = journal.get(self.read..).unwrap_or_default();
        self.read = journal.len();
        let mut lines = Vec::new();
        for entry in new {
            if let Some((what, text, tone)) = self.line(&entry.event) {
                lines.push(Line {
                    at: since_power_on(entry.at),
                    what,
                    text,
                    tone,
                });
            }
        }
        lines
    }

    fn line(&mut self, event: &Event) -> Option<(What, String, Tone)> {
        let to_device = |from| What::Says {
            from,
            to: Lane::Device,
        };
        let at_device = What::Alone(Lane::Device);
        match event {
            Event::Command {
                client: ClientKind::Amthi,
                name,
                status,
                ..
            } if COMMANDS.contains(&name.as_str()) => {
                let (text, tone) = match (name.as_str(), status) {
                    ("SetProvisioningServerOTP", 0) => (
                        "SetProvisioningServerOTP: the device keeps it".to_owned(),
                        Tone::Plain,
                    ),
                    (_, 0) => (name.clone(), Tone::Plain),
                    _ => (format!("{name}: status {status}"), Tone::Bad),
                };
                Some((to_device(Lane::Agent), text, tone))
            }
            Event::KeyGeneration { stage, takes_ms } => {
                let text = match stage {
                    KeyStage::Started => format!(
                        "makes the key of its certificate: {} minutes",
                        takes_ms / 60_000
                    ),
                    KeyStage::Finished => "the key is there".to_owned(),
                    KeyStage::Cancelled => "the key is given up".to_owned(),
                };
                Some((at_device, text, Tone::Plain))
            }
            Event::NetworkInterface { open: true } => Some((
                at_device,
                "opens its network interface: port 16993".to_owned(),
                Tone::Bright,
            )),
            Event::NetworkInterface { open: false } => Some((
                at_device,
                "closes its network interface".to_owned(),
                Tone::Plain,
            )),
            Event::Hello { retry, bytes, .. } => {
                let hashes = bytes.get(24).copied().unwrap_or(0);
                Some((
                    What::Says {
                        from: Lane::Device,
                        to: Lane::Sca,
                    },
                    format!(
                        "Hello, number {}: UUID and {hashes} root hashes in {} bytes",
                        retry + 1,
                        bytes.len()
                    ),
                    Tone::Bright,
                ))
            }
            Event::StreamOpened {
                stream,
                side: Interface::Network,
                ..
            } => {
                self.streams.insert(*stream);
                None
            }
            Event::TlsEstablished {
                stream,
                version,
                client,
                ..
            } if self.streams.contains(stream) => {
                let text = match client {
                    Some(client) => {
                        let name = client
                            .subject
                            .split(',')
                            .find_map(|part| part.trim().strip_prefix("CN="))
                            .unwrap_or("a client");
                        format!("TLS {version}; {name} is believed")
                    }
                    None => format!("TLS {version}, to the certificate that it was given"),
                };
                Some((to_device(Lane::Sca), text, Tone::Bright))
            }
            Event::TlsFailed { stream, why, .. } if self.streams.contains(stream) => {
                Some((to_device(Lane::Sca), format!("no TLS: {why}"), Tone::Bad))
            }
            Event::Wsman {
                action,
                class,
                return_value,
                fault,
                ..
            } => {
                let (mut text, mut tone) = request(action, class, *return_value, fault.as_deref());
                if action == "Get" && class == SERVICE && fault.is_none() {
                    (text, tone) = match self.committed {
                        false => ("reads the one-time password".to_owned(), Tone::Bright),
                        true => ("reads in which state it is".to_owned(), Tone::Plain),
                    };
                }
                self.asked = Some((text, tone));
                None
            }
            // It follows what it carried.
            Event::HttpRequest { stream, status, .. } => {
                let asked = self.asked.take();
                if !self.streams.contains(stream) {
                    return None;
                }
                let (text, tone) = asked.unwrap_or_else(|| match status {
                    401 => ("a request without a login: 401".to_owned(), Tone::Plain),
                    _ => (format!("HTTP {status}"), Tone::Bad),
                });
                Some((to_device(Lane::Sca), text, tone))
            }
            Event::ModeChanged { to, .. } => {
                let text = match to {
                    Mode::SetupOutOfBand => "is in set-up mode",
                    Mode::Admin => {
                        self.committed = true;
                        "is configured, in admin control mode"
                    }
                    Mode::PreProvisioning => "is back before set-up",
                    _ => return None,
                };
                Some((at_device, text.to_owned(), Tone::Bright))
            }
            _ => None,
        }
    }
}

fn request(
    action: &str,
    class: &str,
    return_value: Option<u32>,
    fault: Option<&str>,
) -> (String, Tone) {
    if let Some(fault) = fault {
        return (format!("{action} {class}: {fault}"), Tone::Plain);
    }
    match (action, return_value) {
        (_, Some(0)) => (action.to_owned(), Tone::Plain),
        (_, Some(value)) => (format!("{action} returns {value}"), Tone::Bad),
        (_, None) => (format!("{action} {class}"), Tone::Plain),
    }
}

fn since_power_on(at: Instant) -> Duration {
    at - Instant::POWER_ON
}
