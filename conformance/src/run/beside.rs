//! The bundled console, agent and stranger beside a real SCA: a device on a network of loopback addresses.
//!
//! What the SCA does shows in the device's journal and at the door of its address; what it says of itself is known only
//! as far as its target file reads it. The device lives in real time while the SCA is at work; the minutes in which it
//! makes a key or waits to say Hello again are skipped.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amt_sim::device::{DialEnd, Interface, Seed};
use amt_sim::host::LocalPorts;
use amt_sim::{Device, Entry, Event, Guid, Profile};
use serde_json::json;

use super::observe::Observed;
use super::world::RealDevice;
use crate::fact::{Fact, Facts};
use crate::requirement::Party;
use crate::role::network::talk::Listener;
use crate::role::network::{Company, Delivery, Field, Lan, Look, Machine, Orders};
use crate::role::setup::Host;
use crate::role::target::{
    Beginning, ExternalAgent, Goal, Office, Ordered, Shown, Site, is_operational, serve,
};
use crate::role::{ActionReport, Clock, Ending, Process, WallClock};
use crate::scenario::{Action, HelloSource, Order, Outcome};
use crate::wire::Dialer;
use crate::wire::pipe::TcpDialer;

/// The device needs at most seven minutes for its key, and says Hello once a minute at first.
const HELLO_WITHIN: Duration = Duration::from_secs(15 * 60);

/// How long a Hello may be on its way.
const DELIVERY: Duration = Duration::from_secs(30);

const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What an SCA says of itself, and nobody else knows.
const UNTOLD: [Fact; 4] = [
    Fact::SCA_HEARD,
    Fact::SCA_STOPPED_BY,
    Fact::SCA_STOPPED_AT,
    Fact::SCA_RETURN_VALUE,
];

/// Who is there beside the SCA.
#[derive(Debug)]
pub(super) struct Beside<'e> {
    company: Company,
    /// In the place of the bundled ones.
    agent: Option<&'e ExternalAgent>,
    console: Option<Office<'e>>,
    /// What the agent ran.
    ran: Vec<Process>,
    /// Who is to blame for it that the SCA knows nothing of this machine.
    unheard: Option<Party>,
    site: Site<'e>,
    profile: Arc<Profile>,
    clock: WallClock,
    seed: u64,
    /// The last Hello brought the SCA here.
    heard: bool,
    /// It has set the device up, and did not come back yet.
    committed: bool,
    /// What came of the application's work, by its target file.
    result: Option<&'static str>,
    /// Journal entries before the last Hello.
    since: usize,
    stand_in: Option<StandIn>,
}

/// The machine in the device's place.
#[derive(Debug)]
struct StandIn {
    device: RealDevice,
    /// What the stranger himself wrote to it.
    writes: u64,
    /// Journal entries before the SCA can have come.
    since: usize,
}

impl StandIn {
    /// Whether somebody tried to log in. Whoever looks at its certificate first does not.
    fn saw_a_login(&self) -> bool {
        let journal = self.device.journal();
        let mut later = journal.get(self.since..).unwrap_or_default().iter();
        later.any(|entry| matches!(entry.event, Event::LoginRefused { .. }))
    }
}

impl<'e> Beside<'e> {
    pub(super) fn new(site: Site<'e>, profile: Profile, seed: u64, looks: Look) -> Self {
        Self {
            company: Company::new(seed, None).looking_at(looks),
            agent: None,
            console: None,
            ran: Vec::new(),
            unheard: None,
            site,
            profile: Arc::new(profile),
            clock: WallClock::default(),
            seed,
            heard: false,
            committed: false,
            result: None,
            since: 0,
            stand_in: None,
        }
    }

    /// The same with real programs in the place of the bundled agent and console.
    pub(super) fn with(
        self,
        agent: Option<&'e ExternalAgent>,
        console: Option<Office<'e>>,
    ) -> Self {
        Self {
            agent,
            console,
            ..self
        }
    }

    pub(super) fn act(
        &mut self,
        action: Action,
        order: &Order,
        world: &RealDevice,
    ) -> ActionReport {
        let mut report = match self.try_act(action, order, world) {
            Ok(report) => report,
            Err(why) => return ActionReport::configuration(why),
        };
        let host = Host {
            port: world,
            clock: &self.clock,
        };
        self.company.look(host, &mut report);
        self.tell(action, world, &mut report);
        report
    }

    fn try_act(
        &mut self,
        action: Action,
        order: &Order,
        world: &RealDevice,
    ) -> Result<ActionReport, String> {
        let (ending, remark) = match action {
            Action::ConsoleOrder => {
                let report = self.among_us(action, order, world);
                let ordered = self.ordered(world);
                if ordered.named {
                    self.unheard = None;
                } else {
                    self.unheard = self.unheard.or(Some(Party::Console));
                }
                self.site.order(&world.device, self.seed, ordered)?;
                self.hold_the_door_at_commit(world);
                return Ok(report);
            }
            Action::AgentStart | Action::AgentStop => {
                return Ok(self.among_us(action, order, world));
            }
            Action::ScaAwaitHello => {
                self.since = world.journal().len();
                let from = self.site.address();
                let before = hellos(&world.journal()).ended;
                let reaction = match bring_hello(world) {
                    Ok(()) => self
                        .site
                        .let_hello_out(&world.device, || await_hello(world, before))?,
                    Err(why) => no_hello(why),
                };
                if let Some(bytes) = last_hello(&world.journal()) {
                    let pieces = vec![bytes];
                    self.company.overhear(&Delivery { from, pieces });
                }
                self.heard = reaction.0 == Ending::Outcome(Outcome::Done);
                reaction
            }
            Action::StrangerHello => {
                self.since = world.journal().len();
                let call = self.company.stranger_call(order, self.site.address())?;
                let elsewhere = order.from == HelloSource::Elsewhere;
                let at_work = self.heard;
                let reaction = self.site.call(elsewhere, &call.pieces)?;
                let heard = reaction.0 == Ending::Outcome(Outcome::Done);
                self.heard = at_work || heard;
                reaction
            }
            Action::ScaConfigure if !self.heard => (
                Ending::Outcome(Outcome::Failed),
                Some("the SCA has no reason to come".to_owned()),
            ),
            Action::ScaConfigure => {
                self.heard = false;
                let (ending, remark) = self.wait(Goal::Committed, world);
                self.committed = ending == Ending::Outcome(Outcome::Done);
                (ending, remark)
            }
            Action::ScaReturn if !self.committed => (
                Ending::Outcome(Outcome::Failed),
                Some("the SCA has nothing to come back to".to_owned()),
            ),
            Action::ScaReturn => {
                self.committed = false;
                self.wait(Goal::Managed, world)
            }
            Action::StrangerStandIn => {
                self.place_stand_in(order)?;
                (Ending::Outcome(Outcome::Done), None)
            }
            other => {
                return Err(format!(
                    "`{other}`: the harness cannot do this beside a real SCA"
                ));
            }
        };
        let mut report = ActionReport::done(Facts::new());
        report.ending = ending;
        report.remarks.extend(remark);
        report.at_fault = self.unheard;
        Ok(report)
    }

    /// What the bundled parties do without the SCA.
    fn among_us(&mut self, action: Action, order: &Order, world: &RealDevice) -> ActionReport {
        let lan = Loopback {
            device: self.site.address(),
            stand_in: None,
        };
        let host = Host {
            port: world,
            clock: &self.clock,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let field = Field {
            host,
            lan: &lan,
            epoch: now.unwrap_or_default().as_secs(),
        };
        let mut agent = self
            .agent
            .map(|agent| Beginning::new(agent, &world.device, self.seed));
        let mut report = self.company.act_with(
            action,
            order,
            field,
            agent.as_mut().map(|agent| agent as &mut dyn Listener),
            self.console
                .as_mut()
                .map(|console| console as &mut dyn Orders),
        );
        let agents = agent.and_then(|agent| {
            self.ran.extend(agent.processes);
            // Whoever gives a wrong name is looked for under that.
            let here = world.device.with(None, |device| device.identity().uuid);
            if agent.uuid.is_some_and(|uuid| uuid != here.to_string()) {
                self.unheard = Some(Party::Agent);
            }
            Some((Party::Agent, agent.trouble?, agent.remarks))
        });
        let consoles = self.console.as_mut().and_then(|console| {
            let remarks = std::mem::take(&mut console.remarks);
            Some((Party::Console, console.trouble.take()?, remarks))
        });
        // A console can do nothing with an agent that does not answer.
        if let Some((party, ending, remarks)) = agents.or(consoles) {
            report.ending = ending;
            report.at_fault = Some(party);
            report.remarks.splice(0..0, remarks);
        }
        report
    }

    /// What the SCA is to be told, which is what the console has said.
    fn ordered(&self, world: &RealDevice) -> Ordered {
        let here = world.device.with(None, |device| device.identity().uuid);
        let here = here.to_string();
        let (this, others): (Vec<_>, Vec<_>) = self
            .company
            .ordered()
            .iter()
            .partition(|(uuid, _)| *uuid == here);
        let otp = |order: Option<&&(String, Option<String>)>| {
            order.and_then(|(_, otp)| otp.clone()).unwrap_or_default()
        };
        Ordered {
            named: !this.is_empty(),
            otp: otp(this.first()),
            other_uuid: match others.first() {
                Some((uuid, _)) => uuid.clone(),
                // A machine that nobody has: the order was for this one alone.
                None => {
                    Guid::from_wire(Seed(self.seed).bytes("a machine of nobody", 0)).to_string()
                }
            },
            other_otp: otp(others.first()),
        }
    }

    /// What an SCA does after CommitChanges is another step of the story: until then it waits.
    fn hold_the_door_at_commit(&self, world: &RealDevice) {
        let Some(latch) = self.site.latch() else {
            return;
        };
        world.device.add_sink(Box::new(move |entries: &[Entry]| {
            if entries.iter().any(is_commit) {
                latch.hold();
            }
        }));
    }

    fn wait(&mut self, goal: Goal, world: &RealDevice) -> (Ending, Option<String>) {
        let since = self.since;
        let stand_in = self
            .stand_in
            .as_ref()
            .map(|stand_in| stand_in.device.clone());
        let (ending, remark) = self.site.wait(goal, || {
            let journal = world.journal();
            let mut shown = shown(journal.get(since..).unwrap_or_default());
            // The machine in its place is another one.
            shown.logged_in &= stand_in.is_none();
            shown
        });
        self.result = match ending {
            Ending::Outcome(Outcome::Done) => Some("configured"),
            Ending::Outcome(_) => Some("stopped"),
            _ => None,
        };
        (ending, remark)
    }

    fn place_stand_in(&mut self, order: &Order) -> Result<(), String> {
        let builder = Device::of(Arc::clone(&self.profile)).seed(self.seed.wrapping_add(1));
        let device = RealDevice::new(builder.build().map_err(|error| error.to_string())?);
        let ports = Arc::new(serve(&device.device)?);
        let lan = Loopback {
            device: self.site.address(),
            stand_in: Some((device.clone(), Arc::clone(&ports))),
        };
        self.company.stranger_stands_in(order, &lan)?;
        self.site.stand_in(ports)?;
        let journal = device.journal();
        self.stand_in = Some(StandIn {
            device,
            writes: Observed::of(&journal).writes(),
            since: journal.len(),
        });
        Ok(())
    }

    /// What the network and the SCA itself tell of it.
    fn tell(&self, action: Action, world: &RealDevice, report: &mut ActionReport) {
        let facts = &mut report.facts;
        if let Some(result) = self.result {
            facts.insert(Fact::SCA_RESULT, json!(result));
        }
        Observed::of(&world.journal()).tell(facts);
        let writes = self.stand_in.as_ref().map_or(0, |stand_in| {
            Observed::of(&stand_in.device.journal()).writes() - stand_in.writes
        });
        facts.insert(Fact::STRANGER_WRITES, json!(writes));
        facts.insert(Fact::STRANGER_CALLS, json!(self.site.calls_elsewhere()));
        let told = self.site.tells();
        facts.extend(told.facts);
        report.remarks.extend(told.remarks);
        report.untranslated.extend(told.untranslated);
        // Whatever it stopped by, it was not the certificate.
        if self.stand_in.as_ref().is_some_and(StandIn::saw_a_login) {
            facts
                .entry(Fact::SCA_STOPPED_BY)
                .or_insert_with(|| json!("unauthorized"));
        }
        let calls = matches!(action, Action::ScaAwaitHello | Action::StrangerHello);
        if calls && report.ending == Ending::Outcome(Outcome::Done) {
            facts.insert(Fact::SCA_HEARD, json!("accepted"));
        }
        let untold = UNTOLD
            .into_iter()
            .filter(|fact| !facts.contains_key(fact) && !self.site.can_tell(*fact));
        report.unmapped = BTreeSet::from_iter(untold);
    }

    /// Ends the SCA, and tells what all of them did.
    pub(super) fn stop(self) -> Vec<Process> {
        let mut processes = self.ran;
        processes.extend(self.console.into_iter().flat_map(|office| office.processes));
        processes.extend(self.site.stop());
        processes
    }
}

fn is_commit(entry: &Entry) -> bool {
    matches!(entry.event, Event::ModeChanged { from, to, .. } if !is_operational(from) && is_operational(to))
}

/// What the journal shows of the application's work.
fn shown(journal: &[Entry]) -> Shown {
    let Some(commit) = journal.iter().position(is_commit) else {
        return Shown::default();
    };
    // Whoever came before it has no login.
    let mut later = BTreeSet::new();
    let mut logged_in = false;
    for entry in journal.get(commit..).unwrap_or_default() {
        match &entry.event {
            Event::StreamOpened {
                stream,
                side: Interface::Network,
                ..
            } => {
                later.insert(*stream);
            }
            Event::HttpRequest {
                stream,
                user: Some(_),
                status: 200..300,
                ..
            } => logged_in |= later.contains(stream),
            _ => {}
        }
    }
    Shown {
        committed: true,
        logged_in,
    }
}

fn last_hello(journal: &[Entry]) -> Option<Vec<u8>> {
    journal.iter().rev().find_map(|entry| match &entry.event {
        Event::Hello { bytes, .. } => Some(bytes.clone()),
        _ => None,
    })
}

fn no_hello(why: String) -> (Ending, Option<String>) {
    let remark = format!("no Hello reached the SCA: {why}");
    (Ending::Outcome(Outcome::Failed), Some(remark))
}

/// Skips the time until the device has a Hello to say.
fn bring_hello(world: &RealDevice) -> Result<(), String> {
    let end = Clock::now(world) + HELLO_WITHIN;
    loop {
        let found = hellos(&world.journal());
        if found.begun > found.ended {
            return Ok(());
        }
        let left = end.saturating_sub(Clock::now(world));
        match world.device.next_wake().filter(|wake| *wake <= left) {
            Some(wake) => Clock::pause(world, wake),
            None => {
                return Err(found
                    .why
                    .unwrap_or_else(|| "the device sent none".to_owned()));
            }
        }
    }
}

/// Waits until one more Hello has reached the SCA's port than before.
fn await_hello(world: &RealDevice, before: usize) -> Result<(), String> {
    let deadline = Instant::now() + DELIVERY;
    loop {
        let found = hellos(&world.journal());
        if found.sent > before {
            return Ok(());
        }
        if found.ended > before || Instant::now() >= deadline {
            return Err(found
                .why
                .unwrap_or_else(|| format!("it is on its way for {DELIVERY:?}")));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Hello messages in a journal.
#[derive(Debug, Default)]
struct Hellos {
    begun: usize,
    ended: usize,
    /// Ends before the last one that was sent, itself included.
    sent: usize,
    /// Why one was not.
    why: Option<String>,
}

fn hellos(journal: &[Entry]) -> Hellos {
    let mut found = Hellos::default();
    for entry in journal {
        match &entry.event {
            Event::Hello { .. } => found.begun += 1,
            Event::HelloEnded { end, .. } => {
                found.ended += 1;
                match end {
                    DialEnd::Failed { why } => found.why = Some(why.clone()),
                    _ => found.sent = found.ended,
                }
            }
            _ => {}
        }
    }
    found
}

/// Everybody is on this machine, each at an address of its own.
#[derive(Debug)]
struct Loopback {
    device: IpAddr,
    stand_in: Option<(RealDevice, Arc<LocalPorts>)>,
}

impl Lan for Loopback {
    fn next_call(&self, _: Duration) -> Option<Delivery> {
        None // The SCA hears them itself.
    }

    /// The stranger sits beside his own machine.
    fn dialer(&self, to: IpAddr) -> Box<dyn Dialer + '_> {
        let address = self.stand_in.as_ref().map(|(_, ports)| ports.address());
        Box::new(TcpDialer::new(address.unwrap_or(to)))
    }

    fn device_address(&self) -> IpAddr {
        self.device
    }

    fn place_stand_in(&self) -> Option<Box<dyn Machine>> {
        let (device, _) = self.stand_in.as_ref()?;
        Some(Box::new(device.clone()))
    }
}
