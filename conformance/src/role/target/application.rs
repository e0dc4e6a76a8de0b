//! A real setup and configuration application: started, told about the device, and watched until it is done.
//!
//! It shares nothing with the device but the network. The device gets what an administrator types into MEBx: the
//! root of the application's certificate, the PKI DNS suffix, and where to say Hello.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use amt_sim::device::{CertificateHash, Interface};
use amt_sim::host::local_ports::Reach;
use amt_sim::host::{HelloSender, LocalPorts, SharedDevice, call_from, keystore};
use amt_sim::pki::ProvisioningIdentity;
use amt_sim::{Mode, Profile};

use super::door::{Behind, Door, Latch};
use super::external::{Scratch, last_line, process};
use super::extract::{Extract, Output, extract};
use super::process::{Ended, Invocation, Live, Printed};
use super::{Programs, Service, Target, TargetError, Telling, telling};
use crate::fact::{Fact, Truth};
use crate::role::certificates::CertificateForm;
use crate::role::{Ending, Process};
use crate::scenario::placeholder::{ServiceValues, Told, Values};
use crate::scenario::{HelloForm, Outcome, Scenario, StepKind, Template};

/// Password of the PFX file in `{ca}`.
const PFX_PASSWORD: &str = "P@ssw0rd1";

/// That of the bundled SCA.
const SUFFIX: &str = "corp.example";

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// An application under test.
#[derive(Debug, Clone)]
pub struct ExternalApplication {
    target: Target,
    service: Service,
    /// None when it runs already.
    program: Option<PathBuf>,
    reach: Reach,
}

impl ExternalApplication {
    /// `service` is the target's.
    pub fn new(target: Target, service: Service, program: Option<PathBuf>, reach: Reach) -> Self {
        Self {
            target,
            service,
            program,
            reach,
        }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Why this story cannot be told with a real application.
    pub fn cannot(&self, scenario: &Scenario) -> Option<String> {
        let suffix = self.service.suffix.as_deref();
        let another = self.service.trust.is_some() || suffix.is_some_and(|name| name != SUFFIX);
        scenario.steps.iter().find_map(|step| {
            let order = match &step.kind {
                StepKind::Do { order, .. } => order,
                StepKind::Expect { expectation, .. } => {
                    let named = another && expectation.asks_for(Fact::RECORD_NAME);
                    return named.then(|| {
                        "it is about the name in the certificate of the bundled SCA".to_owned()
                    });
                }
                _ => return None,
            };
            if order.certificate != CertificateForm::Good {
                return Some(
                    "it is about another certificate of the SCA, and a real one has its own"
                        .to_owned(),
                );
            }
            let other = order.hello == HelloForm::OtherMachine;
            (other && !self.service.is_told_of_others()).then(|| {
                "the target file does not tell the program of the second machine, {other.uuid}"
                    .to_owned()
            })
        })
    }

    /// The SCA that comes with the harness, as a program of its own.
    pub fn bundled() -> Result<Self, TargetError> {
        let target = Target::find("reference-sca")?;
        let program = Programs::default().locate(&target)?;
        let unfit = || TargetError::Unknown {
            name: target.name.clone(),
            suggestion: None,
        };
        let service = target.service.clone().ok_or_else(unfit)?;
        Ok(Self::new(target, service, Some(program), Reach::Loopback))
    }

    /// What one run needs, before there is a device.
    pub fn site(&self) -> Result<Site<'_>, String> {
        let scratch = Scratch::new().map_err(|error| format!("no scratch folder: {error}"))?;
        let suffix = self.service.suffix.clone();
        let folder = scratch.path.join("ca");
        let own = authority(&folder, suffix.as_deref().unwrap_or(SUFFIX))
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let root = self.service.trust.as_deref().unwrap_or(&own);
        let bytes = fs::read(root).map_err(|error| format!("{}: {error}", root.display()))?;
        let root = keystore::root_hash(&bytes)
            .ok_or_else(|| format!("{}: no certificate in PEM or DER", root.display()))?;
        let (hello_port, reserved) = free_port()?;
        Ok(Site {
            application: self,
            root,
            values: ServiceValues {
                otp: String::new(),
                other_uuid: String::new(),
                other_otp: String::new(),
                hello_port,
                address: self.service.address.unwrap_or_else(next_address),
                authority: folder.to_string_lossy().into_owned(),
            },
            scratch,
            started: None,
            _reserved: reserved,
        })
    }
}

/// A loopback address of the run's own: an application knows a device by it.
pub(super) fn next_address() -> IpAddr {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Not the first nor the last of a network, which some programs refuse.
    let (high, low) = (count / 254, count % 254 + 1);
    let process = (std::process::id() % 200) as u8;
    Ipv4Addr::new(127, 50 + process, high as u8, low as u8).into()
}

/// A port for Hello messages that no other run has, in this process or in another one, while the socket lives: below
/// those that the system hands out by itself, and taken as a port of UDP, which an application leaves alone.
fn free_port() -> Result<(u16, UdpSocket), String> {
    const FIRST: u16 = 20_000;
    const MANY: u16 = 10_000;
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id() % u32::from(MANY)) as u16;
    let mut why = String::new();
    for _ in 0..1000 {
        let count = COUNT.fetch_add(1, Ordering::Relaxed) % MANY;
        let port = FIRST + (begin + count) % MANY;
        let place = (Ipv4Addr::LOCALHOST, port);
        let reserved = UdpSocket::bind(place);
        match reserved.and_then(|reserved| TcpListener::bind(place).map(|_| reserved)) {
            Ok(reserved) => return Ok((port, reserved)),
            Err(error) => why = error.to_string(),
        }
    }
    Err(format!("no free port: {why}"))
}

/// Writes the project's own provisioning certificate for a name below the suffix; the path of its root.
fn authority(folder: &Path, suffix: &str) -> Result<PathBuf, String> {
    let name = format!("mc.{suffix}");
    let identity = ProvisioningIdentity::for_name(&name).map_err(|error| error.to_string())?;
    let files = keystore::files(&identity, PFX_PASSWORD).map_err(|error| error.to_string())?;
    let root = folder.join("root.pem");
    let write = || {
        fs::create_dir_all(folder)?;
        for file in files {
            fs::write(folder.join(file.name), file.bytes)?;
        }
        Ok(())
    };
    write().map_err(|error: std::io::Error| error.to_string())?;
    Ok(root)
}

/// One run of an application.
#[derive(Debug)]
pub struct Site<'a> {
    application: &'a ExternalApplication,
    root: CertificateHash,
    values: ServiceValues,
    scratch: Scratch,
    started: Option<Started>,
    /// Keeps its Hello port for it.
    _reserved: UdpSocket,
}

/// What is there while the application runs.
#[derive(Debug)]
struct Started {
    /// None when it ran already.
    live: Option<(Live, Invocation)>,
    /// What it had printed when the last Hello went out.
    mark: Printed,
    // Declared after it, so that the application goes first.
    door: Door,
    /// A machine at another address, once somebody has spoken from there.
    elsewhere: Option<(IpAddr, Door)>,
    // Kept here too, so that the door never has to wait for its end.
    _ports: Arc<LocalPorts>,
}

/// What the console has ordered.
#[derive(Debug, Clone, Default)]
pub struct Ordered {
    /// Whether the console named this machine at all.
    pub named: bool,
    pub otp: String,
    pub other_uuid: String,
    pub other_otp: String,
}

/// What the application is waited for to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Everything up to CommitChanges.
    Committed,
    /// Coming back afterwards.
    Managed,
}

/// What the device shows of the application's work since the last Hello.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    /// The device became operational.
    pub committed: bool,
    /// Somebody logged in at it afterwards.
    pub logged_in: bool,
}

impl Site<'_> {
    /// The device as its administrator prepares it for this application.
    pub fn prepare(&self, profile: &mut Profile) -> Result<(), String> {
        let service = &self.application.service;
        let network = &mut profile.network;
        match &service.suffix {
            // A story in which nobody typed one in: DHCP names it.
            Some(suffix) if network.pki_dns_suffix.is_empty() => {
                network.dhcp_domain.clone_from(suffix);
            }
            Some(suffix) => network.pki_dns_suffix.clone_from(suffix),
            None => {}
        }
        profile.certificates.custom.push(self.root.clone());
        let hello = self.hello()?;
        profile.setup_server.address = hello.ip().to_string();
        profile.setup_server.port = hello.port();
        Ok(())
    }

    /// Where the device is on the network.
    pub fn address(&self) -> IpAddr {
        self.values.address
    }

    /// Where the application hears Hello.
    fn hello(&self) -> Result<SocketAddr, String> {
        let text = self.application.service.hello.fill_service(&self.values);
        text.parse().map_err(|_| {
            format!("hello = \"{text}\": not an address and port such as 127.0.0.1:9971")
        })
    }

    /// Puts the device on the network, starts the application, and tells it what the console has ordered. The second
    /// time it is told only.
    pub fn order(
        &mut self,
        device: &SharedDevice,
        seed: u64,
        ordered: Ordered,
    ) -> Result<(), String> {
        let application = self.application;
        let service = &application.service;
        self.values.otp = ordered.otp;
        self.values.other_uuid = ordered.other_uuid;
        self.values.other_otp = ordered.other_otp;
        let truth = device.with(None, |device| Truth::of(device));
        let conformance = std::env::current_exe().unwrap_or_default();
        let conformance = conformance.to_string_lossy();
        let scratch = self.scratch.path.to_string_lossy();
        let values = Values {
            truth: &truth,
            seed,
            scratch: &scratch,
            conformance: &conformance,
            service: Some(&self.values),
            told: &Told::NOTHING,
        };
        for telling in &service.told {
            if let Telling::File { path, text } = telling {
                match ordered.named {
                    true => telling::write(path, text, values)?,
                    false => telling::write(path, &Template::default(), values)?,
                }
            }
        }
        if self.started.is_none() {
            let mut started = self.open(device)?;
            if let (Some(program), Some(args)) = (&application.program, &service.args) {
                started.live = Some(application.target.start(program, args, values)?);
            }
            let hello = self.hello()?;
            ready(service, started.live.as_mut().map(|(live, _)| live), hello)?;
            self.started = Some(started);
        }
        let values = Values {
            service: Some(&self.values),
            ..values
        };
        for telling in &service.told {
            match telling {
                Telling::File { .. } => {}
                _ if !ordered.named => {}
                Telling::Command(args) => {
                    let program = application.program.as_deref().ok_or(
                        "told by a command, but nothing says which program: give `program`",
                    )?;
                    telling::command(&application.target, program, args, values)?;
                }
                Telling::Http(request) => {
                    telling::Call::of(request, values).make()?;
                }
            }
        }
        Ok(())
    }

    /// The device's ports, and the door before them.
    fn open(&self, device: &SharedDevice) -> Result<Started, String> {
        let address = self.values.address;
        let allowed = self.application.reach.allow(address);
        allowed.map_err(|error| error.to_string())?;
        let ports = Arc::new(serve(device)?);
        let door = Door::open(address, Behind::Machine(Arc::clone(&ports)))
            .map_err(|error| format!("cannot listen at {address}: {error}"))?;
        Ok(Started {
            live: None,
            mark: Printed::default(),
            door,
            elsewhere: None,
            _ports: ports,
        })
    }

    fn started(&mut self) -> Result<&mut Started, String> {
        let started = self.started.as_mut();
        started.ok_or_else(|| "the application was never started".to_owned())
    }

    /// Shuts and opens the door at the device's address; none before anybody has ordered anything.
    pub fn latch(&self) -> Option<Latch> {
        let started = self.started.as_ref()?;
        Some(started.door.latch().clone())
    }

    /// Who calls the device's address comes to this one from now on.
    pub fn stand_in(&mut self, ports: Arc<LocalPorts>) -> Result<(), String> {
        self.started()?.door.lead_to(Behind::Machine(ports));
        Ok(())
    }

    /// Calls that the application made to the machine elsewhere.
    pub fn calls_elsewhere(&self) -> u64 {
        let started = self.started.as_ref();
        let elsewhere = started.and_then(|started| started.elsewhere.as_ref());
        elsewhere.map_or(0, |(_, door)| door.callers())
    }

    fn callers(&self) -> u64 {
        let here = self.started.as_ref().map(|started| started.door.callers());
        here.unwrap_or_default() + self.calls_elsewhere()
    }

    /// Makes this the moment from which on everything is about the next Hello. Who comes because of it waits at the
    /// door.
    fn expect(&mut self) -> Result<(), String> {
        let started = self.started()?;
        started.door.latch().hold();
        // A port that the device has opened just now is open before anybody hears of it.
        started.door.settle();
        started.mark = match &started.live {
            Some((live, _)) => live.mark(),
            None => Printed::default(),
        };
        Ok(())
    }

    /// Lets the device's Hello messages out until `sent` says that one arrived, or why it did not; then waits for what
    /// the application makes of it.
    pub fn let_hello_out(
        &mut self,
        device: &SharedDevice,
        sent: impl FnOnce() -> Result<(), String>,
    ) -> Result<(Ending, Option<String>), String> {
        self.expect()?;
        let before = self.callers();
        let sender = HelloSender::start(device, Some(self.values.address));
        let sender = sender.map_err(|error| error.to_string())?;
        let sent = sent();
        // One at a time: the next step of a story may want another.
        sender.stop().map_err(|error| error.to_string())?;
        Ok(match sent {
            Ok(()) => self.reaction(before),
            Err(why) => {
                let remark = format!("no Hello reached the SCA: {why}");
                (Ending::Outcome(Outcome::Failed), Some(remark))
            }
        })
    }

    /// Says to the application what no device said: from the device's address, or from another one.
    pub fn call(
        &mut self,
        elsewhere: bool,
        pieces: &[Vec<u8>],
    ) -> Result<(Ending, Option<String>), String> {
        let to = self.hello()?;
        let mut from = self.values.address;
        let started = self.started()?;
        if elsewhere {
            if started.elsewhere.is_none() {
                let address = next_address();
                let door = Door::open(address, Behind::Nobody);
                let door = door.map_err(|error| format!("cannot listen at {address}: {error}"))?;
                started.elsewhere = Some((address, door));
            }
            if let Some((address, _)) = &started.elsewhere {
                from = *address;
            }
        }
        self.expect()?;
        let before = self.callers();
        Ok(match call_from(from, to, pieces) {
            Ok(()) => self.reaction(before),
            // It may well refuse before it has heard all.
            Err(error) => (
                Ending::Outcome(Outcome::Failed),
                Some(format!("it did not take what was said to {to}: {error}")),
            ),
        })
    }

    /// Waits for what the application makes of a Hello: it comes, says that it does not, or does nothing.
    fn reaction(&mut self, callers_before: u64) -> (Ending, Option<String>) {
        let service = &self.application.service;
        let since = Instant::now();
        loop {
            if self.callers() > callers_before {
                return (Ending::Outcome(Outcome::Done), None);
            }
            let said = self.said();
            let signs = [&service.refused, &service.failed].into_iter().flatten();
            for sign in signs {
                if let Some(found) = sign.find(&said) {
                    let remark = format!("it says {:?}", found.as_str());
                    return (Ending::Outcome(Outcome::Failed), Some(remark));
                }
            }
            if let Some(ended) = self.ended() {
                let last = last_line(&said).unwrap_or("it says nothing");
                let remark = format!("{ended}: {last}");
                return (Ending::Outcome(Outcome::Failed), Some(remark));
            }
            if since.elapsed() >= service.quiet {
                let remark = format!("it did not come within {:?}", service.quiet);
                return (Ending::Outcome(Outcome::Failed), Some(remark));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// What it printed since the last Hello.
    fn said(&self) -> String {
        let started = self.started.as_ref();
        let live = started.and_then(|started| Some((&started.live.as_ref()?.0, started.mark)));
        live.map_or(String::new(), |(live, mark)| live.printed_since(mark))
    }

    fn ended(&mut self) -> Option<Ended> {
        let (live, _) = self.started.as_mut()?.live.as_mut()?;
        live.ended().ok().flatten()
    }

    /// Lets in who waits at the door, and waits until the application has come to the goal, or gives up. What it came
    /// to, and a remark.
    pub fn wait(&mut self, goal: Goal, shown: impl Fn() -> Shown) -> (Ending, Option<String>) {
        let service = &self.application.service;
        let Ok(started) = self.started() else {
            let why = "the application was never started".to_owned();
            return (Ending::Configuration(why), None);
        };
        started.door.latch().let_in();
        let deadline = Instant::now() + service.within;
        let mut bustle = (0, Instant::now());
        loop {
            let ended = self.ended();
            let said = self.said();
            let says = |sign: &Option<regex::Regex>| {
                sign.as_ref().is_some_and(|sign| sign.is_match(&said))
            };
            let shown = shown();
            let done = match goal {
                Goal::Committed => {
                    shown.committed || says(&service.committed) || says(&service.done)
                }
                Goal::Managed if service.done.is_some() => says(&service.done),
                Goal::Managed => shown.logged_in,
            };
            if done {
                return (Ending::Outcome(Outcome::Done), None);
            }
            if let Some(found) = service.failed.as_ref().and_then(|sign| sign.find(&said)) {
                let remark = format!("it says {:?}", found.as_str());
                return (Ending::Outcome(Outcome::Failed), Some(remark));
            }
            if let Some(ended) = ended {
                return self.judge_end(ended, &said);
            }
            if Instant::now() >= deadline {
                let remark = format!("still at work after {:?}", service.within);
                return (Ending::Outcome(Outcome::Hung), Some(remark));
            }
            // Whoever gave up without a word leaves the device alone. Who waits for an answer does not.
            if let Some(started) = &self.started {
                let now = started.door.bustle();
                if now != bustle.0 || started.door.is_awaited() {
                    bustle = (now, Instant::now());
                }
            }
            if bustle.1.elapsed() >= service.quiet {
                let remark = format!("it left the device alone for {:?}", service.quiet);
                return (Ending::Outcome(Outcome::Failed), Some(remark));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn judge_end(&self, ended: Ended, printed: &str) -> (Ending, Option<String>) {
        let exit = &self.application.target.exit;
        let said = last_line(printed).unwrap_or("it says nothing");
        let remark = Some(format!("{ended}: {said}"));
        let ending = match ended {
            // One that ends well has done what it is for; the device tells whether it has.
            Ended::Exit(code) if exit.done.contains(&code) => Ending::Outcome(Outcome::Done),
            Ended::Exit(code) if exit.not_implemented.contains(&code) => Ending::NotImplemented,
            Ended::Exit(code) if exit.configuration.contains(&code) => {
                Ending::Configuration(format!("exit {code}: {said}"))
            }
            _ => Ending::Outcome(Outcome::Failed),
        };
        (ending, remark)
    }

    /// What it says of itself since the last Hello.
    pub fn tells(&self) -> Extract {
        let rules = &self.application.service.facts;
        extract(Output::Text, rules, &self.said())
    }

    /// Whether the target file knows how it says this.
    pub fn can_tell(&self, fact: Fact) -> bool {
        self.application.service.facts.contains_key(&fact)
    }

    /// Ends the application, and tells what it did.
    pub fn stop(mut self) -> Vec<Process> {
        let Some(started) = self.started.take() else {
            return Vec::new();
        };
        let told = started.live.and_then(|(live, invocation)| {
            // Its work is over: whatever it still does is nobody's business.
            let finished = live.finish(Duration::ZERO).ok()?;
            Some(process(&invocation, finished))
        });
        told.into_iter().collect()
    }
}

/// A machine's ports, at an address of their own.
pub fn serve(device: &SharedDevice) -> Result<LocalPorts, String> {
    LocalPorts::open(device, Interface::Network, next_address(), Reach::Loopback)
        .map_err(|error| error.to_string())
}

pub fn is_operational(mode: Mode) -> bool {
    matches!(mode, Mode::Admin | Mode::Client)
}

/// Waits until the application takes Hello messages.
fn ready(service: &Service, mut live: Option<&mut Live>, hello: SocketAddr) -> Result<(), String> {
    let deadline = Instant::now() + service.ready_within;
    loop {
        let printed = live.as_ref().map_or(String::new(), |live| live.printed());
        let is_ready = match &service.ready {
            Some(sign) => sign.is_match(&printed),
            None => TcpStream::connect_timeout(&hello, LOOK_AGAIN).is_ok(),
        };
        if is_ready {
            return Ok(());
        }
        if let Some(live) = live.as_deref_mut()
            && let Ok(Some(ended)) = live.ended()
        {
            let said = last_line(&printed).unwrap_or("it says nothing");
            return Err(format!("it ended before it was ready: {ended}: {said}"));
        }
        if Instant::now() >= deadline {
            let sign = match &service.ready {
                Some(sign) => format!("it did not print /{sign}/"),
                None => format!("nobody listens at {hello}"),
            };
            return Err(format!("{sign} within {:?}", service.ready_within));
        }
        thread::sleep(LOOK_AGAIN);
    }
}
