//! `conformance doctor`: is this machine fit to run real agents, and is the program there?

use std::io::Write;
use std::path::Path;

use amt_sim::host::backend::Backend;
use amt_sim::{Device, Preset};

use super::run::choose_backend;
use super::{Console, DoctorArgs, Stop, WRONG, shelf};
use crate::fact::{Fact, Feature, Truth};
use crate::role::target::{ExternalAgent, Target, program_version};
use crate::role::{Ending, Wanted};
use crate::run::World;
use crate::scenario::Outcome;

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

    /// The bundled agent as a real program: when even that finds no device, no other program is to blame.
    fn prove(&mut self, backend: Backend) -> Result<(), Stop> {
        let found = Target::find("reference-agent")
            .map_err(|error| error.to_string())
            .and_then(|target| {
                let program = std::env::current_exe().map_err(|error| error.to_string())?;
                try_agent(&ExternalAgent::new(target, program, backend))
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
