//! Host-based set-up with every party of its own: the application on the host, the central server, whoever looks later,
//! and the host's administrator who means no good.
//!
//! ```text
//!            sign, done, known (lines of JSON)          MEI: AMTHI, and WS-Management over LME
//!   server ◀──────────────────────────────── application ────────────────────────────────▶ device
//!     ▲ ▲                                                                                    ▲ ▲
//!     │ └───────────────────────────────────── checker ───────────────────────────────────────┘ │
//!     └───────────────────────────────────────  rogue  ─────────────────────────────────────────┘
//! ```
//! The server alone has the signing key; it never sees the device. The application alone sees both. What they say to
//! each other is in [`server`]. A real program takes the application's place by doing the same on the host; the others
//! need not know.
//!
//! Source: "Intel AMT Implementation and Reference Guide", page "Creating a Signed Configuration Request".

mod application;
mod checker;
pub(super) mod record;
mod rogue;
pub mod server;
mod trust;

use amt_sim::device::Seed;
use amt_sim::host::port::MeiPort;
use serde_json::json;

pub use application::Application;
pub use record::Record;
pub use rogue::Rogue;
pub use server::Server;

use super::certificates::CertificateError;
use super::{ActionReport, Clock, Ending, Misbehaviour};
use crate::fact::{Fact, Facts};
use crate::scenario::{Action, Order, Outcome, Through};
use crate::wire::amthi::AmthiError;
use crate::wire::soap::SoapError;
use crate::wire::{Amthi, Client, ClientError, Dialer, Kept, Login, Steady};

const SERVICE: &str = "IPS_HostBasedSetupService";

/// The machine that a program runs on: its ME clients, and a clock to wait with.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    pub port: &'a dyn MeiPort,
    pub clock: &'a dyn Clock,
}

impl<'a> Host<'a> {
    pub(super) fn amthi(&self) -> Result<Amthi, Trouble> {
        Ok(Amthi::open(self.port, self.clock)?)
    }

    /// WS-Management as the operating system's own account.
    pub(super) fn os_admin(&self) -> Result<Client<'a>, Trouble> {
        let account = self.amthi()?.local_account()?;
        Ok(self.login(account.user, account.password))
    }

    fn login(&self, user: impl Into<String>, password: impl Into<String>) -> Client<'a> {
        Client::new(self.port, self.clock, user, password)
    }
}

/// The same machine, and what carries the application's WS-Management to its firmware.
#[derive(Debug, Clone, Copy)]
struct Door<'a> {
    host: Host<'a>,
    /// The device's ports as LMS offers them to programs on the host; LME itself when absent.
    local: Option<&'a dyn Dialer>,
}

impl<'a> Door<'a> {
    /// The port without TLS.
    const PORT: u16 = 16992;

    fn amthi(&self) -> Result<Amthi, Trouble> {
        self.host.amthi()
    }

    fn os_admin(&self) -> Result<Client<'a>, Trouble> {
        let account = self.amthi()?.local_account()?;
        Ok(self.login(account.user, account.password))
    }

    fn login(&self, user: impl Into<String>, password: impl Into<String>) -> Client<'a> {
        match self.local {
            None => self.host.login(user, password),
            Some(local) => {
                let login = Some(Login::new(user, password));
                Client::over(local, Self::PORT, login, Kept::Alive)
            }
        }
    }
}

/// Why a role could not do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    #[error(transparent)]
    Amthi(#[from] AmthiError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("the server said no: {0}")]
    Server(String),
    #[error("{0}")]
    Other(String),
}

impl Trouble {
    /// Whether the device may have done what it was asked, although no whole answer came.
    fn is_lost_answer(&self) -> bool {
        matches!(
            self,
            Self::Client(ClientError::Lme(_) | ClientError::Pipe(_) | ClientError::Http(_))
        )
    }
}

impl From<SoapError> for Trouble {
    fn from(error: SoapError) -> Self {
        Self::Client(error.into())
    }
}

/// Everybody of one story, with what each remembers from one step to the next.
#[derive(Debug)]
pub struct Cast {
    application: Application,
    server: Server,
    rogue: Rogue,
    misbehaviour: Option<Misbehaviour>,
    /// Ports of the device that LMS listens on, where there is one.
    local: Option<Box<dyn Dialer>>,
}

impl Cast {
    /// Everything that they draw follows from the seed.
    pub fn new(seed: u64, misbehaviour: Option<Misbehaviour>) -> Self {
        Self {
            application: Application::new(Seed(seed), misbehaviour),
            server: Server::new(misbehaviour),
            rogue: Rogue::new(Seed(seed)),
            misbehaviour,
            local: None,
        }
    }

    /// The host has LMS, which offers these ports of the device.
    #[must_use]
    pub fn with_local_ports(mut self, ports: impl Dialer + 'static) -> Self {
        self.local = Some(Box::new(ports));
        self
    }

    /// Lets one of them act, and then looks at what the device is like.
    pub fn act(&mut self, action: Action, order: &Order, host: Host<'_>) -> ActionReport {
        let gives_up = self.misbehaviour == Some(Misbehaviour::NoInterruptRetry);
        let steady = Steady::new(host.port).that_gives_up(gives_up);
        let host = Host {
            port: &steady,
            ..host
        };
        let mut facts = Facts::new();
        let result = self.try_act(action, order, host, &mut facts);
        let looked = look(host, &mut facts);
        if self.misbehaviour == Some(Misbehaviour::MisreadsRecord) {
            record::misread(&mut facts);
        }
        if let Some(refusal) = self.application.refusal() {
            facts.insert(Fact::SETUP_REFUSAL, json!(refusal.to_string()));
        }
        let mut report = ActionReport::done(facts);
        let good = match result {
            Ok(good) => good,
            Err(trouble) => {
                report.remarks.push(format!("{action}: {trouble}"));
                false
            }
        };
        if let Err(trouble) = looked {
            report
                .remarks
                .push(format!("looking at the device: {trouble}"));
        }
        if !good {
            report.ending = Ending::Outcome(Outcome::Failed);
        }
        report
    }

    /// Whether the device did what it was asked.
    fn try_act(
        &mut self,
        action: Action,
        order: &Order,
        host: Host<'_>,
        facts: &mut Facts,
    ) -> Result<bool, Trouble> {
        let Self {
            application,
            server,
            rogue,
            misbehaviour,
            local,
        } = self;
        let local = match (order.through, local.as_deref()) {
            (Through::Lme, _) => None,
            (Through::LocalPort, Some(local)) => Some(local),
            (Through::LocalPort, None) => {
                return Err(Trouble::Other("no LMS runs on this host".to_owned()));
            }
        };
        let door = Door { host, local };
        match action {
            Action::ApplicationPrepare => application.prepare(door, order).map(|()| true),
            Action::ServerIssue => {
                if !application.is_prepared() {
                    application.prepare(door, &Order::default())?;
                }
                application.ask_server(server, order).map(|()| true)
            }
            Action::ApplicationSetup => application.set_up_unsigned(door, server, facts),
            Action::ApplicationSetupSigned
            | Action::ApplicationSetupAdmin
            | Action::ApplicationUpgrade => {
                if !application.is_prepared() {
                    application.prepare(door, &Order::default())?;
                }
                if !application.is_answered() {
                    application.ask_server(server, &Order::default())?;
                }
                match action {
                    Action::ApplicationSetupSigned => {
                        application.set_up_signed(door, order, server, facts)
                    }
                    Action::ApplicationSetupAdmin => application.set_up_admin(door, order, facts),
                    _ => application.upgrade(door, order, facts),
                }
            }
            Action::ApplicationUnprovision => application.unprovision(door, order, facts),
            Action::ApplicationLook => application.look(door, facts).map(|()| true),
            Action::RogueSetup => rogue.set_up_signed(host, order, server),
            Action::RogueSetupUnsigned => rogue.set_up_unsigned(host, order),
            Action::CheckerCheck => {
                checker::check(door, order.by, *misbehaviour, server, facts).map(|()| true)
            }
            _ => Err(Trouble::Other("that is somebody else's to do".to_owned())),
        }
    }
}

/// Mode and record, as the device tells them now.
fn look(host: Host<'_>, facts: &mut Facts) -> Result<(), Trouble> {
    let mut amthi = host.amthi()?;
    let modes = ["none", "ccm", "acm"];
    if let Some(mode) = modes.get(amthi.control_mode()? as usize) {
        facts.insert(Fact::CONTROL_MODE, json!(mode));
    }
    let states = ["pre", "in", "post"];
    if let Some(state) = states.get(amthi.provisioning_state()? as usize) {
        facts.insert(Fact::PROVISIONING_STATE, json!(state));
    }
    let record = Record::read(&mut host.os_admin()?)?;
    record::tell(record.as_ref(), facts);
    Ok(())
}
