//! A real setup and configuration application: started, told about the device, and watched until it is done.
//!
//! It shares nothing with the device but the network. The device gets what an administrator types into MEBx: the
//! root of the application's certificate, the PKI DNS suffix, and where to say Hello.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use amt_sim::device::{CertificateHash, Interface};
use amt_sim::host::local_ports::Reach;
use amt_sim::host::{HelloSender, LocalPorts, SharedDevice, keystore};
use amt_sim::pki::{ProvisioningIdentity, pem};
use amt_sim::{Mode, Profile};

use super::external::{Scratch, last_line, process};
use super::process::{Ended, Invocation, Live};
use super::{Service, Target, Telling, telling};
use crate::fact::Truth;
use crate::role::{Ending, Process};
use crate::scenario::Outcome;
use crate::scenario::placeholder::{ServiceValues, Told, Values};

/// Password of the PFX file in `{ca}`.
const PFX_PASSWORD: &str = "P@ssw0rd1";

const LOOK_AGAIN: Duration = Duration::from_millis(25);

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

    /// What one run needs, before there is a device.
    pub fn site(&self) -> Result<Site<'_>, String> {
        let scratch = Scratch::new().map_err(|error| format!("no scratch folder: {error}"))?;
        let suffix = self.service.suffix.clone();
        let folder = scratch.path.join("ca");
        let own = authority(&folder, suffix.as_deref().unwrap_or("corp.example"))
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let root = self.service.trust.as_deref().unwrap_or(&own);
        let bytes = fs::read(root).map_err(|error| format!("{}: {error}", root.display()))?;
        let root = keystore::root_hash(&bytes)
            .ok_or_else(|| format!("{}: no certificate in PEM or DER", root.display()))?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let free = free.map_err(|error| format!("no free port: {error}"))?;
        Ok(Site {
            application: self,
            root,
            values: ServiceValues {
                otp: String::new(),
                hello_port: free.port(),
                address: self.service.address.unwrap_or_else(next_address),
                authority: folder.to_string_lossy().into_owned(),
            },
            scratch,
            started: None,
        })
    }
}

/// A loopback address of the run's own: an application knows a device by it.
pub(super) fn next_address() -> IpAddr {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    // Not the first nor the last of a network, which some programs refuse.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let (high, low) = ((count / 254) as u8, (count % 254) as u8 + 1);
    let process = (std::process::id() % 200) as u8;
    Ipv4Addr::new(127, 50 + process, high, low).into()
}

/// Writes the project's own provisioning certificate for a name below the suffix; the path of its root.
fn authority(folder: &Path, suffix: &str) -> Result<PathBuf, String> {
    let identity = ProvisioningIdentity::for_name(suffix).map_err(|error| error.to_string())?;
    let pfx = keystore::pfx(&identity, PFX_PASSWORD).map_err(|error| error.to_string())?;
    let root = folder.join("root.pem");
    let mut files = vec![
        ("chain.pem", identity.chain_pem().into_bytes()),
        ("key.pem", identity.key_pem().into_bytes()),
        ("provisioning.pfx", pfx),
    ];
    let names = ["leaf.pem", "intermediate.pem", "root.pem"];
    for (name, der) in names.into_iter().zip(&identity.chain) {
        files.push((name, pem("CERTIFICATE", der).into_bytes()));
    }
    let write = || {
        fs::create_dir_all(folder)?;
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes)?;
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
}

/// What is there while the application runs.
#[derive(Debug)]
struct Started {
    /// None when it ran already.
    live: Option<(Live, Invocation)>,
    // Declared last, so that the application goes first.
    ports: LocalPorts,
    /// None before anybody is to hear one.
    hello: Option<HelloSender>,
}

impl Site<'_> {
    /// The device as its administrator prepares it for this application.
    pub fn prepare(&self, profile: &mut Profile) -> Result<(), String> {
        let service = &self.application.service;
        if let Some(suffix) = &service.suffix {
            profile.network.pki_dns_suffix.clone_from(suffix);
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

    /// Puts the device on the network, and starts the application.
    pub fn start(&mut self, device: &SharedDevice, seed: u64, otp: &str) -> Result<(), String> {
        let application = self.application;
        let service = &application.service;
        self.values.otp = otp.to_owned();
        let truth = device.with(None, |device| Truth::of(device));
        let address = self.values.address;
        let ports = LocalPorts::open(device, Interface::Network, address, application.reach)
            .map_err(|error| error.to_string())?;
        let mut started = Started {
            live: None,
            ports,
            hello: None,
        };
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
                telling::write(path, text, values)?;
            }
        }
        if let (Some(program), Some(args)) = (&application.program, &service.args) {
            let target = &application.target;
            let environment = target.environment.iter();
            let invocation = Invocation {
                program: program.clone(),
                args: args.iter().map(|arg| arg.fill(values)).collect(),
                environment: environment
                    .map(|(key, value)| (key.clone(), value.fill(values)))
                    .collect(),
                working_directory: target.working_directory.fill(values).into(),
                time_limit: target.time_limit,
            };
            let live = Live::start(&invocation, None)
                .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
            started.live = Some((live, invocation));
        }
        let hello = self.hello()?;
        let ready = ready(service, started.live.as_mut().map(|(live, _)| live), hello);
        self.started = Some(started);
        ready?;
        for telling in &service.told {
            match telling {
                Telling::File { .. } => {}
                Telling::Command(args) => {
                    let program = application.program.as_deref().ok_or(
                        "told by a command, but nothing says which program: give `program`",
                    )?;
                    telling::command(&application.target, program, args, values)?;
                }
                Telling::Http {
                    method,
                    url,
                    headers,
                    body,
                } => {
                    let headers: Vec<(String, String)> = headers
                        .iter()
                        .map(|(name, value)| (name.clone(), value.fill(values)))
                        .collect();
                    telling::request(method, &url.fill(values), &headers, &body.fill(values))?;
                }
            }
        }
        Ok(())
    }

    /// Lets the device's Hello messages out. Until then the application has no reason to come, so that what is so
    /// before can be looked at.
    pub fn let_hello_out(&mut self, device: &SharedDevice) -> Result<(), String> {
        let address = self.values.address;
        if let Some(started) = &mut self.started
            && started.hello.is_none()
        {
            let sender = HelloSender::start(device, Some(address));
            started.hello = Some(sender.map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// Waits until the application is done with the device, or gives up. What it came to, and a remark.
    /// `heard_of` counts what the application has done to the device.
    pub fn wait(
        &mut self,
        device: &SharedDevice,
        heard_of: impl Fn() -> usize,
    ) -> (Ending, Option<String>) {
        let service = &self.application.service;
        let Some(started) = &mut self.started else {
            let why = "the application was never started".to_owned();
            return (Ending::Configuration(why), None);
        };
        let deadline = Instant::now() + service.within;
        let mut quiet = Quiet::new(service.quiet);
        loop {
            let printed = started.live.as_ref().map(|(live, _)| live.printed());
            let printed = printed.unwrap_or_default();
            if let Some(found) = service.failed.as_ref().and_then(|sign| sign.find(&printed)) {
                let remark = format!("it says {:?}", found.as_str());
                return (Ending::Outcome(Outcome::Failed), Some(remark));
            }
            let done = match &service.done {
                Some(sign) => sign.is_match(&printed),
                None => device.with(None, |device| is_operational(device.mode())),
            };
            if done {
                return (Ending::Outcome(Outcome::Done), None);
            }
            let ended = started.live.as_mut().map(|(live, _)| live.ended());
            if let Some(Ok(Some(ended))) = ended {
                return self.judge_end(ended, &printed);
            }
            if Instant::now() >= deadline {
                let remark = format!("still at work after {:?}", service.within);
                return (Ending::Outcome(Outcome::Hung), Some(remark));
            }
            // Whoever gave up without a word leaves the device alone.
            if quiet.is_over(&heard_of) {
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

    /// Ends the application, and tells what it did.
    pub fn stop(mut self) -> Vec<Process> {
        let Some(started) = self.started.take() else {
            return Vec::new();
        };
        let Started { live, ports, hello } = started;
        let told = live.and_then(|(live, invocation)| {
            // Its work is over: whatever it still does is nobody's business.
            let finished = live.finish(Duration::ZERO).ok()?;
            Some(process(&invocation, finished))
        });
        // Nobody is left who would call.
        let _ = hello.map(HelloSender::stop);
        let _ = ports.stop();
        told.into_iter().collect()
    }
}

/// Notices when a number has stood still for long. Counting may cost something, so it is not done at every look.
struct Quiet {
    limit: Duration,
    number: usize,
    since: Instant,
    looked: Instant,
}

impl Quiet {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            number: 0,
            since: Instant::now(),
            looked: Instant::now(),
        }
    }

    fn is_over(&mut self, count: &impl Fn() -> usize) -> bool {
        const EVERY: Duration = Duration::from_millis(500);
        if self.looked.elapsed() < EVERY {
            return false;
        }
        self.looked = Instant::now();
        let number = count();
        if number != self.number {
            self.number = number;
            self.since = Instant::now();
        }
        self.since.elapsed() >= self.limit
    }
}

fn is_operational(mode: Mode) -> bool {
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
