//! `conformance doctor`: is this machine fit to run real agents, and is the program there?
//!
//! Before a real program is blamed, the bundled ones are tried: what even they cannot do here is the machine's fault.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amt_sim::host::backend::Backend;
use amt_sim::{Device, Preset, Rules};

use super::subject::choose_backend;
use super::{Console, DoctorArgs, Stop, WRONG, shelf};
use crate::fact::{Fact, Feature, Truth};
use crate::report::rfc3339;
use crate::requirement::Ledger;
use crate::role::target::{ExternalAgent, Target, program_version};
use crate::role::{Ending, Wanted};
use crate::run::{Choice, Engine, Plan, Subject, Verdict, World};
use crate::scenario::{Library, Outcome, Role};

pub(super) fn doctor(args: &DoctorArgs, console: &mut Console) -> Result<u8, Stop> {
    let (ledger, library) = shelf()?;
    let mut doctor = Doctor {
        console,
        healthy: true,
    };
    doctor.good(&format!(
        "files: {} requirements, {} scenarios, {} profiles, {} targets",
        ledger.iter().count(),
        library.scenarios.len(),
        fixtures::PROFILES.len(),
        fixtures::TARGETS.len()
    ))?;
    doctor.machine()?;
    doctor.clock()?;
    doctor.ports()?;
    doctor.folder(&args.report)?;
    doctor.roles(&ledger, &library)?;
    if Path::new("/dev/mei0").exists() {
        doctor.note("this machine has a real /dev/mei0; no run of ours touches it")?;
    }
    for backend in Backend::ALL {
        match backend.probe() {
            Ok(()) => doctor.good(&format!("back end {backend}"))?,
            // One of them is enough.
            Err(why) => doctor.note(&format!("back end {backend}: {why}"))?,
        }
    }
    let backend = match choose_backend(&args.backend) {
        Ok(choice) => {
            doctor.good(&format!("takes {}: {}", choice.backend, choice.why))?;
            Some(choice.backend)
        }
        Err(Stop::Wrong(why)) => {
            doctor.bad(&why)?;
            None
        }
        Err(stop) => return Err(stop),
    };
    if let Some(backend) = backend {
        doctor.prove(backend)?;
    }
    if let Some(name) = &args.target {
        doctor.target(name, args)?;
    }
    doctor.console.out.flush()?;
    Ok(if doctor.healthy { 0 } else { WRONG })
}

struct Doctor<'a> {
    console: &'a mut Console,
    healthy: bool,
}

impl Doctor<'_> {
    fn good(&mut self, text: &str) -> Result<(), Stop> {
        Ok(writeln!(self.console.out, "ok    {text}")?)
    }

    fn note(&mut self, text: &str) -> Result<(), Stop> {
        Ok(writeln!(self.console.out, "note  {text}")?)
    }

    fn bad(&mut self, text: &str) -> Result<(), Stop> {
        self.healthy = false;
        Ok(writeln!(self.console.out, "BAD   {text}")?)
    }

    /// Versions, and who we are.
    fn machine(&mut self) -> Result<(), Stop> {
        let first_line = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let kernel = first_line("/proc/sys/kernel/osrelease");
        self.good(&format!(
            "conformance {} on Linux {} {}",
            env!("CARGO_PKG_VERSION"),
            kernel.trim(),
            std::env::consts::ARCH
        ))?;
        let status = first_line("/proc/self/status");
        let uid = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|ids| ids.split_whitespace().nth(1));
        match uid {
            Some("0") => self.note("runs as root; no back end but cuse needs that")?,
            Some(uid) => self.good(&format!("runs as user {uid}, without privileges"))?,
            None => self.note("cannot tell the user: /proc is not there")?,
        }
        let namespaces = first_line("/proc/sys/user/max_user_namespaces");
        if namespaces.trim() == "0" {
            self.note("user namespaces are switched off (user.max_user_namespaces = 0): fuse needs root then")?;
        }
        if first_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").trim() == "1" {
            self.note("AppArmor restricts user namespaces: fuse needs root or a profile then")?;
        }
        Ok(())
    }

    /// Certificates are valid by somebody's clock, and a real program takes this machine's.
    fn clock(&mut self) -> Result<(), Stop> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or(Duration::ZERO).as_secs();
        let told = rfc3339(now);
        /// 2025 to 2049: the certificates that are made here are valid, and their dates have two digits of year.
        const SANE: std::ops::Range<u64> = 1_735_689_600..2_524_608_000;
        if SANE.contains(&now) {
            self.good(&format!("the clock shows {told}"))
        } else {
            self.bad(&format!(
                "the clock shows {told}: certificates will look expired, or not yet valid; set it"
            ))
        }
    }

    /// What the device's ports need on loopback, where a real LMS may sit already.
    fn ports(&mut self) -> Result<(), Stop> {
        let free = |address: SocketAddr| TcpListener::bind(address).map(drop);
        let other = Ipv4Addr::new(127, 0, 0, 9);
        if let Err(error) = free((other, 0).into()) {
            self.note(&format!(
                "no port can be opened on {other} ({error}): give `amt-sim serve` another --address"
            ))?;
        }
        let mut taken = Vec::new();
        for port in [16992, 16993, 9971] {
            if let Err(error) = free((Ipv4Addr::LOCALHOST, port).into()) {
                taken.push(format!("{port} ({error})"));
            }
        }
        if taken.is_empty() {
            self.good("ports 16992, 16993 and 9971 are free on 127.0.0.1")
        } else {
            self.note(&format!(
                "taken on 127.0.0.1: {}; a real LMS or SCA? Programs that want these ports will meet it",
                taken.join(", ")
            ))
        }
    }

    fn folder(&mut self, folder: &Path) -> Result<(), Stop> {
        let probe = folder.join(".doctor");
        let was_there = folder.exists();
        let tried = fs::create_dir_all(folder).and_then(|()| fs::write(&probe, b""));
        let shown = folder.display();
        let told = match tried {
            Ok(()) => self.good(&format!("reports can be written to {shown}")),
            Err(error) => self.bad(&format!("reports cannot be written to {shown}: {error}")),
        };
        let _ = fs::remove_file(&probe);
        if !was_there {
            let _ = fs::remove_dir(folder);
        }
        told
    }

    /// The bundled roles in this process: device, certificates and codecs, without the machine's part.
    fn roles(&mut self, ledger: &Ledger, library: &Library) -> Result<(), Stop> {
        for role in Role::ALL {
            let choice = Choice {
                filter: Some(format!("role:{role} and not tag:fault")),
                ..Choice::default()
            };
            let Ok(plan) = Plan::new(library, ledger, &choice) else {
                self.note(&format!("no scenario has a part for the {role}"))?;
                continue;
            };
            let Some(case) = plan.cases.last() else {
                continue;
            };
            let engine = Engine {
                ledger,
                subject: Subject::Reference,
                misbehaviour: None,
                rules: Rules::default(),
            };
            let run = engine.run(case);
            match run.verdict {
                Verdict::Pass => self.good(&format!("bundled {role}: {} passes", run.id))?,
                verdict => {
                    let why = run.reason.unwrap_or_default();
                    self.bad(&format!(
                        "bundled {role}: {} ends as {verdict} {why}",
                        run.id
                    ))?;
                }
            }
        }
        Ok(())
    }

    /// The bundled agent as a real program: when even that finds no device, no other program is to blame.
    fn prove(&mut self, backend: Backend) -> Result<(), Stop> {
        let found = Target::find("reference-agent")
            .map_err(|error| error.to_string())
            .and_then(|target| {
                let program = std::env::current_exe().map_err(|error| error.to_string())?;
                try_agent(&ExternalAgent::new(target, program, Some(backend)))
            });
        match found {
            Ok(version) => self.good(&format!(
                "the bundled agent, run as a program, finds AMT {version}"
            )),
            Err(why) => self.bad(&format!("the bundled agent, run as a program: {why}")),
        }
    }

    fn target(&mut self, name: &str, args: &DoctorArgs) -> Result<(), Stop> {
        let target = match Target::find(name) {
            Ok(target) => target,
            Err(error) => return self.bad(&error.to_string()),
        };
        self.good(&format!("target {}: {}", target.name, target.title))?;
        let program = match args.programs.programs().locate(&target) {
            Ok(program) => program,
            Err(error) => return self.bad(&error.to_string()),
        };
        match program_version(&target, &program) {
            Ok(version) => self.good(&format!("{} is {version}", program.display())),
            Err(why) => self.note(&format!("{}: version unknown: {why}", program.display())),
        }
    }
}

/// The version that the agent finds on a device, or what went wrong.
fn try_agent(agent: &ExternalAgent) -> Result<String, String> {
    let device = Device::builder("tiger-lake-15")
        .preset(Preset::Factory)
        .build()
        .map_err(|error| error.to_string())?;
    let expected = Fact::VERSION.expected(&Truth::of(&device));
    let world = World::in_real_time(device);
    let World::Real(real) = &world else {
        return Err("no device in real time".to_owned());
    };
    let wanted: Wanted = [Feature::Version].into();
    let report = agent.discover(&real.device, 1, &wanted);
    let version = report.facts.get(&Fact::VERSION);
    match &report.ending {
        Ending::Outcome(Outcome::Done) if version == expected.best() => {
            Ok(version.map_or(String::new(), crate::fact::show))
        }
        Ending::Configuration(why) => Err(why.clone()),
        ending => Err(format!("{ending:?}; {}", report.remarks.join("; "))),
    }
}
