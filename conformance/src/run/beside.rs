//! The bundled console and agent beside a real SCA: a device in real time, on a network of loopback addresses.
//!
//! What the SCA does shows in the device's journal; what it says of itself is known only as far as its target file
//! reads it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amt_sim::Event;
use amt_sim::device::DialEnd;
use amt_sim::host::port::DevicePort;
use serde_json::json;

use super::observe::Observed;
use super::world::RealDevice;
use crate::fact::{Fact, Facts};
use crate::role::network::{self, Company, Delivery, Field, Lan, Machine};
use crate::role::setup::Host;
use crate::role::target::Site;
use crate::role::{ActionReport, Ending, WallClock};
use crate::scenario::{Action, Order, Outcome};
use crate::wire::Dialer;
use crate::wire::pipe::TcpDialer;

/// A Hello leaves as soon as the device has its key, which takes no time here.
const HELLO_WITHIN: Duration = Duration::from_secs(60);

/// What no SCA but the bundled one tells the harness.
const UNTOLD: [Fact; 6] = [
    Fact::SCA_HEARD,
    Fact::SCA_STOPPED_BY,
    Fact::SCA_STOPPED_AT,
    Fact::SCA_RETURN_VALUE,
    Fact::STRANGER_WRITES,
    Fact::STRANGER_CALLS,
];

/// Who is there beside the SCA.
#[derive(Debug)]
pub(super) struct Beside<'e> {
    company: Company,
    site: Site<'e>,
    clock: WallClock,
    seed: u64,
    /// What came of the application's work, by its target file.
    result: Option<&'static str>,
}

impl<'e> Beside<'e> {
    pub(super) fn new(site: Site<'e>, seed: u64) -> Self {
        Self {
            company: Company::new(seed, None),
            site,
            clock: WallClock::default(),
            seed,
            result: None,
        }
    }

    pub(super) fn act(
        &mut self,
        action: Action,
        order: &Order,
        world: &RealDevice,
    ) -> ActionReport {
        let port = DevicePort::new(world.device.clone());
        let lan = Loopback {
            device: self.site.address(),
        };
        let host = Host {
            port: &port,
            clock: &self.clock,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let field = Field {
            host,
            lan: &lan,
            epoch: now.unwrap_or_default().as_secs(),
        };
        let mut report = match action {
            Action::ConsoleOrder => {
                let report = self.company.act(action, order, field);
                let otp = self.company.otp().unwrap_or_default().to_owned();
                match self.site.start(&world.device, self.seed, &otp) {
                    Ok(()) => report,
                    Err(why) => return ActionReport::configuration(why),
                }
            }
            Action::AgentStart | Action::AgentStop => self.company.act(action, order, field),
            Action::ScaAwaitHello => match self.site.let_hello_out(&world.device) {
                Ok(()) => await_hello(world),
                Err(why) => return ActionReport::configuration(why),
            },
            Action::ScaConfigure => {
                let (ending, remark) = self.site.wait(&world.device, || {
                    let seen = Observed::of(&world.journal());
                    seen.requests.len() + usize::try_from(seen.connections).unwrap_or(usize::MAX)
                });
                self.result = match ending {
                    Ending::Outcome(Outcome::Done) => Some("configured"),
                    Ending::Outcome(_) => Some("stopped"),
                    _ => None,
                };
                let mut report = ActionReport::done(Facts::new());
                report.ending = ending;
                report.remarks.extend(remark);
                report
            }
            // It comes back by itself, as part of what it calls done.
            Action::ScaReturn => ActionReport::done(Facts::new()),
            other => {
                let why = format!("`{other}`: the harness cannot do this beside a real SCA");
                return ActionReport::configuration(why);
            }
        };
        if let Err(why) = network::look(host, &mut report.facts) {
            report.remarks.push(format!("looking at the device: {why}"));
        }
        if let Some(result) = self.result {
            report.facts.insert(Fact::SCA_RESULT, json!(result));
        }
        let journal = world.journal();
        Observed::of(&journal).tell(&mut report.facts);
        report.unmapped = BTreeSet::from(UNTOLD);
        report
    }

    /// Ends the SCA, and tells what it did.
    pub(super) fn stop(self) -> Vec<crate::role::Process> {
        self.site.stop()
    }
}

/// Waits until a Hello has reached the SCA's port.
fn await_hello(world: &RealDevice) -> ActionReport {
    let deadline = Instant::now() + HELLO_WITHIN;
    let mut report = ActionReport::done(Facts::new());
    loop {
        let mut why = None;
        for entry in world.journal() {
            match entry.event {
                Event::HelloEnded {
                    end: DialEnd::Sent { .. },
                    ..
                } => return report,
                Event::HelloEnded {
                    end: DialEnd::Failed { why: told },
                    ..
                } => why = Some(told),
                _ => {}
            }
        }
        if Instant::now() >= deadline {
            report.ending = Ending::Outcome(Outcome::Failed);
            let why = why.unwrap_or_else(|| "the device sent none".to_owned());
            report
                .remarks
                .push(format!("no Hello reached the SCA: {why}"));
            return report;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everybody is on this machine, each at an address of its own.
#[derive(Debug)]
struct Loopback {
    device: IpAddr,
}

impl Lan for Loopback {
    fn next_call(&self, _: Duration) -> Option<Delivery> {
        None // The SCA hears them itself.
    }

    fn dialer(&self, to: IpAddr) -> Box<dyn Dialer + '_> {
        Box::new(TcpDialer::new(to))
    }

    fn device_address(&self) -> IpAddr {
        self.device
    }

    fn place_stand_in(&self) -> Option<Box<dyn Machine>> {
        None
    }
}
