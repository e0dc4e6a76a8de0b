//! Set-up over the network with every party of the guide's page "Out of Band Remote PKI Configuration with a Local
//! Agent", and one that is not on it.
//!
//! ```text
//!            lines of JSON                   MEI: OTP, StartConfigurationEx
//!   console ───────────────▶ agent ─────────────────────────────────▶ device
//!      │                                                              │    ▲
//!      │ lines of JSON                     Hello, from its own address│    │ TLS to 16993, both with certificates,
//!      └───────────────────▶ SCA ◀──────────────────────────────────┘    │ then WS-Management
//!                             │ └───────────────────────────────────────────┘
//!                             └◀── Hello, and answers, of a stranger on the same network
//! ```
//! The console alone knows which machines are to be set up, and makes the one-time passwords. The SCA alone has the
//! certificate that devices believe. The agent alone is on the machine. What they say to each other is in [`talk`]; a
//! real program can take the place of any of them.

mod agent;
mod console;
mod device_certificate;
pub mod hello;
mod sca;
mod sca_session;
mod stranger;
pub mod talk;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use amt_sim::device::Seed;
use amt_sim::host::port::MeiPort;
use serde_json::json;

pub use agent::Agent;
pub use console::{Console, Orders, begun, called_off};
pub use sca::{Job, NotHeard, Sca, Verdict, Work};
pub use sca_session::{Stop, Why};
pub use stranger::Stranger;
use talk::{Listener, Tap};

use super::setup::{Host, Record, record};
use super::{ActionReport, Clock, Ending, Misbehaviour};
use crate::fact::{Fact, Facts};
use crate::scenario::{Action, Order, Outcome};
use crate::wire::{Dialer, Steady};

/// The network between the device and its SCA.
pub trait Lan: fmt::Debug {
    /// The next connection to the SCA's port, waiting that long for it.
    fn next_call(&self, limit: Duration) -> Option<Delivery>;

    /// Whatever has that address.
    fn dialer(&self, to: IpAddr) -> Box<dyn Dialer + '_>;

    /// The device's own address.
    fn device_address(&self) -> IpAddr;

    /// Puts another machine in the place of the device; none where that cannot be done.
    fn place_stand_in(&self) -> Option<Box<dyn Machine>>;
}

/// A machine that somebody sits at.
pub trait Machine: MeiPort + Clock {}

impl<T: MeiPort + Clock> Machine for T {}

/// What came over one connection to the SCA's port, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub from: IpAddr,
    /// As TCP brought it.
    pub pieces: Vec<Vec<u8>>,
}

/// Where the parties are.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    pub host: Host<'a>,
    pub lan: &'a dyn Lan,
    /// Seconds since 1970 when `host.clock` began.
    pub epoch: u64,
}

/// Everybody of one story, with what each remembers from one step to the next.
#[derive(Debug)]
pub struct Company {
    console: Console,
    agent: Agent,
    sca: Sca,
    stranger: Stranger,
    looks: Look,
    /// The machines that the SCA was told of, and their one-time passwords.
    ordered: Vec<(String, Option<String>)>,
}

/// What everybody looks at on the device after each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Mode,
    /// The record of set-up too, which takes a login: seconds of real time where nobody answers.
    Record,
}

impl Company {
    /// The device needs at most seven minutes for its key, and says Hello once a minute at first.
    const HELLO_WITHIN: Duration = Duration::from_secs(15 * 60);

    /// Everything that they draw follows from the seed.
    pub fn new(seed: u64, misbehaviour: Option<Misbehaviour>) -> Self {
        Self {
            console: Console::new(Seed(seed), misbehaviour),
            agent: Agent::new(misbehaviour),
            sca: Sca::new(Seed(seed), misbehaviour),
            stranger: Stranger::new(Seed(seed)),
            looks: Look::Record,
            ordered: Vec::new(),
        }
    }

    /// What is looked at after each step.
    pub fn looking_at(self, looks: Look) -> Self {
        Self { looks, ..self }
    }

    pub fn sca(&self) -> &Sca {
        &self.sca
    }

    /// The machines that the SCA was told of, and their one-time passwords.
    pub fn ordered(&self) -> &[(String, Option<String>)] {
        &self.ordered
    }

    /// What went by on the network, which the stranger hears too.
    pub fn overhear(&mut self, call: &Delivery) {
        self.stranger.overhear(call);
    }

    /// What the stranger says to the SCA, for whoever carries it there.
    pub fn stranger_call(&self, order: &Order, device: IpAddr) -> Result<Delivery, String> {
        self.stranger.call(order, self.console.machines(), device)
    }

    /// Lets the stranger put a machine in the place of the device.
    pub fn stranger_stands_in(&self, order: &Order, lan: &dyn Lan) -> Result<(), String> {
        self.stranger.stand_in(lan, order.stand_in, &self.console)
    }

    /// Lets one of them act, and then looks at what the device is like.
    pub fn act(&mut self, action: Action, order: &Order, field: Field<'_>) -> ActionReport {
        self.act_with(action, order, field, None, None)
    }

    /// The same with others in the place of agent and console.
    pub fn act_with(
        &mut self,
        action: Action,
        order: &Order,
        field: Field<'_>,
        agent: Option<&mut dyn Listener>,
        console: Option<&mut dyn Orders>,
    ) -> ActionReport {
        let steady = Steady::new(field.host.port);
        let host = Host {
            port: &steady,
            ..field.host
        };
        let field = Field { host, ..field };
        let mut facts = Facts::new();
        let mut bundled = self.agent.on(field.host);
        let agent: &mut dyn Listener = match agent {
            Some(agent) => agent,
            None => &mut bundled,
        };
        let result = self.try_act(action, order, field, agent, console, &mut facts);
        let mut report = ActionReport::done(facts);
        let good = match result {
            Ok(good) => good,
            Err(why) => {
                report.remarks.push(format!("{action}: {why}"));
                false
            }
        };
        self.look(field.host, &mut report);
        if !good {
            report.ending = Ending::Outcome(Outcome::Failed);
        }
        report
    }

    /// Adds what the device is like.
    pub fn look(&self, host: Host<'_>, report: &mut ActionReport) {
        if let Err(why) = look(host, self.looks, &mut report.facts) {
            report.remarks.push(format!("looking at the device: {why}"));
        }
    }

    fn try_act(
        &mut self,
        action: Action,
        order: &Order,
        field: Field<'_>,
        agent: &mut dyn Listener,
        console: Option<&mut dyn Orders>,
        facts: &mut Facts,
    ) -> Result<bool, String> {
        let console: &mut dyn Orders = match console {
            Some(console) => console,
            None => &mut self.console,
        };
        match action {
            Action::ConsoleOrder => {
                let mut tap = Tap::new(&mut self.sca);
                let ordered = console.order(agent, &mut tap, order.otp);
                self.ordered = tap.orders().to_vec();
                ordered?;
                if let Some(differ) = tap.passwords_differ() {
                    facts.insert(Fact::CONSOLE_PASSWORDS_DIFFER, json!(differ));
                }
                Ok(true)
            }
            Action::AgentStart => console.start(agent, facts),
            Action::AgentStop => console.stop(agent, facts),
            Action::ScaAwaitHello => {
                let Some(call) = field.lan.next_call(Self::HELLO_WITHIN) else {
                    return Err("no Hello came".to_owned());
                };
                self.stranger.overhear(&call);
                self.hear(&call, facts)
            }
            Action::ScaConfigure => {
                let verdicts = self.sca.work(field, order);
                self.tell(&verdicts, facts)
            }
            Action::ScaReturn => {
                let verdicts = self.sca.come_back(field);
                self.tell(&verdicts, facts)
            }
            Action::StrangerHello => {
                let known = self.console.machines();
                let call = self
                    .stranger
                    .call(order, known, field.lan.device_address())?;
                self.hear(&call, facts)
            }
            Action::StrangerStandIn => {
                self.stranger
                    .stand_in(field.lan, order.stand_in, &self.console)?;
                Ok(true)
            }
            other => Err(format!("`{other}` is somebody else's to do")),
        }
    }

    /// The SCA hears one connection.
    fn hear(&mut self, call: &Delivery, facts: &mut Facts) -> Result<bool, String> {
        let heard = self.sca.hear(call);
        let word = match &heard {
            Ok(_) => "accepted",
            Err(refused) => refused.word(),
        };
        facts.insert(Fact::SCA_HEARD, json!(word));
        match heard {
            Ok(_) => Ok(true),
            Err(refused) => Err(refused.to_string()),
        }
    }

    /// The verdicts of all that the SCA did, the last one as facts.
    fn tell(&self, verdicts: &[Verdict], facts: &mut Facts) -> Result<bool, String> {
        let Some(last) = verdicts.last() else {
            return Err("there is nothing to do".to_owned());
        };
        let result = match &last.result {
            Ok(()) => "configured",
            Err(_) => "stopped",
        };
        facts.insert(Fact::SCA_RESULT, json!(result));
        match &last.result {
            Ok(()) => Ok(true),
            Err(stop) => {
                facts.insert(Fact::SCA_STOPPED_BY, json!(stop.why.word()));
                facts.insert(Fact::SCA_STOPPED_AT, json!(stop.at));
                if let Some(value) = stop.value {
                    facts.insert(Fact::SCA_RETURN_VALUE, json!(value));
                }
                Err(stop.to_string())
            }
        }
    }
}

/// Mode and record, as the device tells its own host now. Where local ports speak TLS only, the record is left out.
fn look(host: Host<'_>, looks: Look, facts: &mut Facts) -> Result<(), String> {
    let mut amthi = host.amthi().map_err(|error| error.to_string())?;
    let mode = amthi.control_mode().map_err(|error| error.to_string())?;
    if let Some(word) = ["none", "ccm", "acm"].get(mode as usize) {
        facts.insert(Fact::CONTROL_MODE, json!(word));
    }
    let state = amthi
        .provisioning_state()
        .map_err(|error| error.to_string())?;
    if let Some(word) = ["pre", "in", "post"].get(state as usize) {
        facts.insert(Fact::PROVISIONING_STATE, json!(word));
    }
    drop(amthi);
    if looks == Look::Mode {
        return Ok(());
    }
    let record = host
        .os_admin()
        .and_then(|mut client| Ok(Record::read(&mut client)?));
    if let Ok(found) = record {
        record::tell(found.as_ref(), facts);
    }
    Ok(())
}
