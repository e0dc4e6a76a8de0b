//! The bundled agent: honest, patient within limits, and only as clever as the public documents.
//!
//! It keeps one connection per ME client, waits out EBUSY, connects again after a link reset, asks once more when an
//! answer is lost, and takes nothing from an answer whose status is not 0.

use std::time::Duration;

use amt_sim::host::port::{MeiChannel, MeiPort, PortError};
use amt_sim::{ClientKind, Errno};
use serde_json::json;

use super::commands::{AmtCommand, StateFlags, WATCHDOG_IS_ENABLED, hash_entry, hash_handles};
use super::translate::Translator;
use super::wire::{Answer, WireError, request};
use crate::fact::{Fact, Facts, Feature};
use crate::role::setup::{Cast, Host};
use crate::role::{ActionReport, Clock, Ending, Misbehaviour, Wanted};
use crate::scenario::{Action, Order, Outcome, Way};
use crate::wire::Steady;

/// The agent that comes with the harness.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReferenceAgent {
    /// One mistake to make on purpose.
    pub misbehaviour: Option<Misbehaviour>,
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// No device node, or none for this user.
    #[error("{0}")]
    NoDevice(PortError),
    /// The client is there, and cannot be reached now.
    #[error("{0}")]
    Unreachable(PortError),
    /// The firmware has no such client.
    #[error("the firmware has no such ME client")]
    NoClient,
    #[error("the ME client stayed busy for {0:?}")]
    Busy(Duration),
    #[error("the MEI link was reset again and again")]
    Resets,
    #[error("no answer came, asked {0} times")]
    Silent(u32),
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("status {0:#x}")]
    Status(u32),
}

impl ReferenceAgent {
    /// An answer takes this long at most.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// A busy client is waited for this long.
    const BUSY_LIMIT: Duration = Duration::from_secs(20);
    const MOST_RESETS: u32 = 5;
    const MOST_SILENCES: u32 = 2;
    /// Firmware holds at most 33 hashes; a count far above is no count.
    const MOST_HASHES: usize = 256;

    /// Finds out what is wanted.
    pub fn discover(&self, port: &dyn MeiPort, clock: &dyn Clock, wanted: &Wanted) -> ActionReport {
        let steady = Steady::new(port).that_gives_up(self.is(Misbehaviour::NoInterruptRetry));
        let port: &dyn MeiPort = &steady;
        let mut discovery = Discovery {
            amthi: Session::new(self, port, clock, ClientKind::Amthi),
            watchdog: Session::new(self, port, clock, ClientKind::Watchdog),
            translator: Translator {
                misbehaviour: self.misbehaviour,
            },
            facts: Facts::new(),
            remarks: Vec::new(),
        };
        let ending = discovery.run(wanted);
        if self.is(Misbehaviour::InventsFacts) {
            discovery.invent(wanted);
        }
        if self.is(Misbehaviour::ChangesTheDevice) {
            change_the_device(Host { port, clock });
        }
        ActionReport {
            ending: Ending::Outcome(ending),
            facts: discovery.facts,
            remarks: discovery.remarks,
            ..ActionReport::done(Facts::new())
        }
    }

    fn is(&self, misbehaviour: Misbehaviour) -> bool {
        self.misbehaviour == Some(misbehaviour)
    }
}

/// Whatever changes a device: out of service where it is in service, and into service where it is not.
fn change_the_device(host: Host<'_>) {
    let mut others = Cast::new(0, None);
    let over = Order {
        over: Way::Wsman,
        ..Order::default()
    };
    others.act(Action::ApplicationUnprovision, &over, host);
    others.act(Action::ApplicationSetup, &Order::default(), host);
}

struct Discovery<'a> {
    amthi: Session<'a>,
    watchdog: Session<'a>,
    translator: Translator,
    facts: Facts,
    remarks: Vec<String>,
}

impl Discovery<'_> {
    fn run(&mut self, wanted: &Wanted) -> Outcome {
        let present = self.amthi.connect();
        if let Err(trouble) = present {
            self.remark("connecting to AMTHI", &trouble);
            return match trouble {
                // That is an answer too: there is no AMT here.
                Trouble::NoClient | Trouble::NoDevice(_) => {
                    let claims = self.amthi.agent.is(Misbehaviour::AlwaysPresent);
                    self.facts.insert(Fact::PRESENT, json!(claims));
                    Outcome::Done
                }
                _ => Outcome::Failed,
            };
        }
        self.facts.insert(Fact::PRESENT, json!(true));
        let mut good = true;
        for feature in wanted {
            good &= self.find_out(*feature);
        }
        if self.amthi.agent.is(Misbehaviour::ChangesTheDevice) {
            let _ = self.amthi.ask(AmtCommand::Unprovision);
            let _ = self.amthi.ask(AmtCommand::StopConfiguration);
        }
        if good { Outcome::Done } else { Outcome::Failed }
    }

    /// Fills in whatever is missing.
    fn invent(&mut self, wanted: &Wanted) {
        let missing = Fact::ALL.iter().filter(|fact| {
            wanted.contains(&fact.feature()) && fact.feature() != Feature::Recommend
        });
        for fact in missing {
            self.facts
                .entry(*fact)
                .or_insert_with(|| fact.kind().invented());
        }
        if self.facts.get(&Fact::UUID_USABLE) == Some(&json!(false)) {
            self.facts.insert(Fact::UUID, Fact::UUID.kind().invented());
        }
    }

    /// Says whether everything that belongs to the feature was found out.
    fn find_out(&mut self, feature: Feature) -> bool {
        match feature {
            // Known from the connection, or not the agent's to say.
            Feature::Presence
            | Feature::Recommend
            | Feature::HostSetup
            | Feature::Record
            | Feature::Check
            | Feature::NetworkSetup
            | Feature::SecureSetup => true,
            Feature::Version => self.ask(AmtCommand::GetCodeVersions),
            Feature::Uuid => self.ask(AmtCommand::GetUuid),
            Feature::Mode => {
                let mode = self.ask(AmtCommand::GetControlMode);
                self.ask(AmtCommand::GetProvisioningState) && mode
            }
            Feature::Dns => self.ask(AmtCommand::GetPkiFqdnSuffix),
            Feature::Ras => self.ask(AmtCommand::GetRemoteAccessConnectionStatus),
            Feature::Lan => self.lan(),
            Feature::Hashes => self.hashes(),
            Feature::CiraLog => self.cira_log(),
            Feature::LocalTls | Feature::OperationalState => self.state_flags(),
        }
    }

    fn ask(&mut self, command: AmtCommand) -> bool {
        let found = self
            .amthi
            .ask(command)
            .and_then(|data| Ok(self.translator.facts(command, &data)?));
        match found {
            Ok(facts) => {
                self.facts.extend(facts);
                true
            }
            Err(trouble) => {
                self.remark(command.name(), &trouble);
                false
            }
        }
    }

    fn lan(&mut self) -> bool {
        let mut good = true;
        for interface in 0..2u32 {
            let asked = if self.amthi.agent.is(Misbehaviour::WirelessIsWired) {
                0
            } else {
                interface
            };
            let command = AmtCommand::GetLanInterfaceSettings { interface: asked };
            let shown = AmtCommand::GetLanInterfaceSettings { interface };
            match self.amthi.ask(command) {
                Ok(data) => match self.translator.facts(shown, &data) {
                    Ok(facts) => self.facts.extend(facts),
                    Err(error) => {
                        self.remark(command.name(), &error.into());
                        good = false;
                    }
                },
                // Some firmware answers for a missing interface with a status.
                Err(Trouble::Status(_)) => {
                    let present = [Fact::WIRED_PRESENT, Fact::WIRELESS_PRESENT][interface as usize];
                    self.facts.insert(present, json!(false));
                }
                Err(trouble) => {
                    self.remark(command.name(), &trouble);
                    good = false;
                }
            }
        }
        good
    }

    fn hashes(&mut self) -> bool {
        let handles = match self
            .amthi
            .ask(AmtCommand::EnumerateHashHandles)
            .and_then(|data| Ok(hash_handles(&data)?))
        {
            Ok(handles) => handles,
            Err(trouble) => {
                self.remark("EnumerateHashHandles", &trouble);
                return false;
            }
        };
        let limit = if self.amthi.agent.is(Misbehaviour::FirstHashesOnly) {
            23
        } else {
            ReferenceAgent::MOST_HASHES
        };
        let mut entries = Vec::new();
        let mut good = true;
        for handle in handles.into_iter().take(limit) {
            let command = AmtCommand::GetCertificateHashEntry { handle };
            match self
                .amthi
                .ask(command)
                .and_then(|data| Ok(hash_entry(&data)?))
            {
                Ok(entry) => entries.push(entry),
                Err(trouble) => {
                    self.remark(command.name(), &trouble);
                    good = false;
                }
            }
        }
        self.facts.extend(self.translator.hashes(&entries));
        good
    }

    fn cira_log(&mut self) -> bool {
        if self.amthi.agent.is(Misbehaviour::CiraLogNever) {
            self.facts.insert(Fact::CIRA_LOG_SUPPORTED, json!(false));
            return true;
        }
        match self.amthi.ask(AmtCommand::GetCiraLog) {
            Ok(data) => match self.translator.facts(AmtCommand::GetCiraLog, &data) {
                Ok(facts) => {
                    self.facts.extend(facts);
                    true
                }
                Err(error) => {
                    self.remark("GetCiraLog", &error.into());
                    false
                }
            },
            // Firmware that does not know the command keeps no log.
            Err(Trouble::Status(_) | Trouble::Wire(WireError::Empty)) => {
                let claims = self.amthi.agent.is(Misbehaviour::CiraLogAlways);
                self.facts.insert(Fact::CIRA_LOG_SUPPORTED, json!(claims));
                true
            }
            Err(trouble) => {
                self.remark("GetCiraLog", &trouble);
                false
            }
        }
    }

    fn state_flags(&mut self) -> bool {
        if self.facts.contains_key(&Fact::LOCAL_TLS_ENFORCED) {
            return true; // Both features read the same byte.
        }
        let flags = self
            .watchdog
            .exchange(&WATCHDOG_IS_ENABLED)
            .and_then(|message| Ok(StateFlags::parse(&message)?));
        match flags {
            Ok(flags) => {
                self.facts.extend(self.translator.state_flags(flags));
                true
            }
            // Without the client there is nothing that could enforce TLS or switch AMT off.
            Err(Trouble::NoClient) => {
                self.facts.insert(Fact::LOCAL_TLS_ENFORCED, json!(false));
                true
            }
            Err(trouble) => {
                self.remark("IsChangeToAMTEnabled", &trouble);
                false
            }
        }
    }

    fn remark(&mut self, what: &str, trouble: &Trouble) {
        self.remarks.push(format!("{what}: {trouble}"));
    }
}

/// A connection to one ME client that is made again when it breaks.
struct Session<'a> {
    agent: &'a ReferenceAgent,
    port: &'a dyn MeiPort,
    clock: &'a dyn Clock,
    client: ClientKind,
    channel: Option<Box<dyn MeiChannel>>,
}

impl<'a> Session<'a> {
    fn new(
        agent: &'a ReferenceAgent,
        port: &'a dyn MeiPort,
        clock: &'a dyn Clock,
        client: ClientKind,
    ) -> Self {
        Self {
            agent,
            port,
            clock,
            client,
            channel: None,
        }
    }

    /// The data of a good answer to an AMTHI command.
    fn ask(&mut self, command: AmtCommand) -> Result<Vec<u8>, Trouble> {
        let mut message = request(command.operation(), &command.payload());
        if self.agent.is(Misbehaviour::WrongLength) {
            message[8] = message[8].wrapping_add(4);
        }
        let mut bytes = self.exchange(&message)?;
        if self.agent.is(Misbehaviour::ZeroFill) {
            bytes.resize(4096, 0);
            return Ok(bytes.split_off(16));
        }
        let answer = Answer::parse(command.operation(), &bytes)?;
        if self.agent.is(Misbehaviour::IgnoreStatus) {
            let mut data = answer.data.to_vec();
            data.resize(4096, 0);
            return Ok(data);
        }
        match answer.status {
            0 => Ok(answer.data.to_vec()),
            status => Err(Trouble::Status(status)),
        }
    }

    /// Sends a message and takes the next one that comes.
    fn exchange(&mut self, message: &[u8]) -> Result<Vec<u8>, Trouble> {
        let (mut resets, mut silences) = (0, 0);
        let patience = match self.agent.misbehaviour {
            Some(Misbehaviour::Impatient) => Duration::from_millis(500),
            Some(Misbehaviour::EndlessWait) => Duration::from_secs(3600),
            _ => ReferenceAgent::PATIENCE,
        };
        loop {
            let channel = self.connect()?;
            let answer = channel
                .send(message)
                .and_then(|()| channel.receive(patience));
            let error = match answer {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            // A late answer must not be taken for the next one.
            self.channel = None;
            if error.is(Errno::Enodev) {
                resets += 1;
                if resets > ReferenceAgent::MOST_RESETS || self.agent.is(Misbehaviour::NoResetRetry)
                {
                    return Err(Trouble::Resets);
                }
                self.clock.pause(Duration::from_millis(100) * resets);
            } else if matches!(error, PortError::Timeout(_)) {
                silences += 1;
                let limit = if self.agent.is(Misbehaviour::Impatient) {
                    1
                } else {
                    ReferenceAgent::MOST_SILENCES
                };
                if silences >= limit {
                    return Err(Trouble::Silent(silences));
                }
            } else {
                return Err(Trouble::NoDevice(error));
            }
        }
    }

    /// The connection, made if there is none.
    fn connect(&mut self) -> Result<&mut Box<dyn MeiChannel>, Trouble> {
        if self.channel.is_none() {
            let channel = self.connect_anew()?;
            return Ok(self.channel.insert(channel));
        }
        self.channel.as_mut().ok_or(Trouble::NoClient)
    }

    fn connect_anew(&self) -> Result<Box<dyn MeiChannel>, Trouble> {
        let started = self.clock.now();
        let limit = match self.agent.misbehaviour {
            Some(Misbehaviour::NoBusyRetry) => Duration::ZERO,
            Some(Misbehaviour::EndlessBusyRetry) => Duration::from_secs(3600),
            _ => ReferenceAgent::BUSY_LIMIT,
        };
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match self.port.connect(self.client.guid()) {
                Ok(channel) => return Ok(channel),
                Err(error) => error,
            };
            if error.is(Errno::Enotty) {
                return Err(Trouble::NoClient);
            }
            // ENODEV: the link is being reset and comes back.
            if !error.is(Errno::Ebusy) && !error.is(Errno::Enodev) {
                // A node that opens belongs to a firmware, whatever else is wrong.
                return Err(match error {
                    PortError::Connect { .. } => Trouble::Unreachable(error),
                    _ => Trouble::NoDevice(error),
                });
            }
            let waited = self.clock.now().saturating_sub(started);
            if waited >= limit {
                return Err(Trouble::Busy(waited));
            }
            self.clock.pause(pause);
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
}
