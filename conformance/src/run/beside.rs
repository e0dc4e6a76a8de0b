//! The bundled console, agent and stranger beside a real SCA: a device on a network of loopback addresses.
//!
//! What the SCA does shows in the device's journal and at the door of its address; what it says of itself is known only
//! as far as its target file reads it. The device lives in real time while the SCA is at work; the minutes in which it
//! makes a key or waits to say Hello again are skipped.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amt_sim::device::{DialEnd, Interface};
use amt_sim::host::LocalPorts;
use amt_sim::{Device, Entry, Event, Profile};
use serde_json::json;

use super::observe::Observed;
use super::world::RealDevice;
use crate::fact::{Fact, Facts};
use crate::role::network::{Company, Delivery, Field, Lan, Look, Machine};
use crate::role::setup::Host;
use crate::role::target::{Goal, Ordered, Shown, Site, is_operational, serve};
use crate::role::{ActionReport, Clock, Ending, WallClock};
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
}

impl<'e> Beside<'e> {
    pub(super) fn new(site: Site<'e>, profile: Profile, seed: u64, looks: Look) -> Self {
        Self {
            company: Company::new(seed, None).looking_at(looks),
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
                self.site.order(&world.device, self.seed, self.ordered())?;
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
        self.company.act(action, order, field)
    }

    fn ordered(&self) -> Ordered {
        let (other, other_otp) = self.company.other_machine().unwrap_or_default();
        Ordered {
            otp: self.company.otp().unwrap_or_default().to_owned(),
            other_uuid: other.to_owned(),
            other_otp: other_otp.unwrap_or_default().to_owned(),
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
        let writes = Observed::of(&device.journal()).writes();
        self.stand_in = Some(StandIn { device, writes });
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
        let calls = matches!(action, Action::ScaAwaitHello | Action::StrangerHello);
        if calls && report.ending == Ending::Outcome(Outcome::Done) {
            facts.insert(Fact::SCA_HEARD, json!("accepted"));
        }
        let untold = UNTOLD
            .into_iter()
            .filter(|fact| !facts.contains_key(fact) && !self.site.can_tell(*fact));
        report.unmapped = BTreeSet::from_iter(untold);
    }

    /// Ends the SCA, and tells what it did.
    pub(super) fn stop(self) -> Vec<crate::role::Process> {
        self.site.stop()
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
