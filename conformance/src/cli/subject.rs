//! From `--target` to who is tried.

use amt_sim::host::backend::{self, Choice as BackendChoice};
use amt_sim::host::local_ports::Reach;

use super::{BackendArgs, RunArgs, Stop};
use crate::fact::Feature;
use crate::report::Subject as Subjects;
use crate::role::target::{
    ExternalAgent, ExternalApplication, ExternalConsole, Programs, Side, Target, TargetError,
    program_version,
};
use crate::run::{Several, Subject};
use crate::scenario::{Library, Role};

/// Who is tried, how the report calls it, and whether only one may run at a time.
pub(super) fn subject(
    args: &RunArgs,
    library: &Library,
) -> Result<(Subject, Subjects, bool), Stop> {
    let mut targets = Vec::new();
    for name in &args.target {
        let target = Target::find(name).map_err(target_wrong)?;
        check_known(&target, library)?;
        targets.push(target);
    }
    if targets.is_empty() {
        let described = Subjects::reference();
        return Ok((Subject::Reference, described, false));
    }
    let programs = args.programs.programs();
    check_programs(&programs, &targets)?;
    let serial = targets.iter().any(|target| target.serial);
    let mut cast = Cast::default();
    let mut described = Vec::new();
    for target in targets {
        described.push(cast.take(target, &programs, args)?);
    }
    if args.trust.is_some() && cast.application.is_none() {
        return Err(Stop::wrong(
            "--trust is for the root of an application; no target is one",
        ));
    }
    Ok((cast.subject()?, together(described), serial))
}

/// The real programs, each in its part.
#[derive(Debug, Default)]
struct Cast {
    agent: Option<ExternalAgent>,
    console: Option<ExternalConsole>,
    application: Option<ExternalApplication>,
}

impl Cast {
    fn take(
        &mut self,
        target: Target,
        programs: &Programs,
        args: &RunArgs,
    ) -> Result<Subjects, Stop> {
        let role = target.role;
        let taken = match role {
            Role::Sca => self.application.is_some(),
            Role::Console => self.console.is_some(),
            _ => self.agent.is_some(),
        };
        if taken {
            return Err(Stop::wrong(format!(
                "--target {}: there is another {role} already; give one target for each role",
                target.name
            )));
        }
        // What runs already is nobody's to start.
        let runs = match &target.service {
            Some(service) => service.args.is_some(),
            None => target.commands.iter().any(|command| command.http.is_none()),
        };
        let program = match runs || target.program_name != "-" {
            true => Some(programs.locate(&target).map_err(target_wrong)?),
            false => None,
        };
        // One that comes over the network needs no device node.
        let choice = match (role, target.side) {
            (Role::Agent, Side::Host) => Some(choose_backend(&args.backend)?),
            _ => None,
        };
        let described = Subjects {
            kind: match role {
                Role::Sca => "sca",
                Role::Console => "console",
                _ => "agent",
            },
            name: target.name.clone(),
            title: target.title.clone(),
            program: program.as_ref().map(|path| path.display().to_string()),
            program_version: program
                .as_ref()
                .and_then(|path| program_version(&target, path).ok()),
            backend: choice
                .as_ref()
                .map(|choice| format!("{}, because {}", choice.backend, choice.why)),
        };
        match (target.service.clone(), program) {
            (Some(mut service), program) => {
                if let Some(root) = &args.trust {
                    service.trust = Some(root.clone());
                }
                let reach = Reach::beyond_loopback(args.beyond_loopback);
                self.application = Some(ExternalApplication::new(target, service, program, reach));
            }
            (None, program) if role == Role::Console => {
                self.console = Some(ExternalConsole::new(target, program));
            }
            (None, Some(program)) => {
                let backend = choice.map(|choice| choice.backend);
                self.agent = Some(ExternalAgent::new(target, program, backend));
            }
            (None, None) => {} // Whatever is no service was located above.
        }
        Ok(described)
    }

    fn subject(self) -> Result<Subject, Stop> {
        let Self {
            agent,
            console,
            application,
        } = self;
        // One that only finds out about a device needs nobody else.
        let alone = |agent: &ExternalAgent| !agent.target().has.contains(&Feature::NetworkSetup);
        match (agent, console, application) {
            (None, None, Some(application)) => Ok(Subject::Application(Box::new(application))),
            (Some(agent), None, None) if alone(&agent) => Ok(Subject::Agent(Box::new(agent))),
            (agent, console, application) => {
                let tries_application = application.is_some();
                let application = match application {
                    Some(application) => application,
                    None => ExternalApplication::bundled().map_err(target_wrong)?,
                };
                Ok(Subject::Several(Box::new(Several {
                    agent,
                    console,
                    application,
                    tries_application,
                })))
            }
        }
    }
}

/// How the report calls several at once.
fn together(mut described: Vec<Subjects>) -> Subjects {
    let join = |text: fn(&Subjects) -> Option<&str>| {
        let texts: Vec<&str> = described.iter().filter_map(text).collect();
        (!texts.is_empty()).then(|| texts.join(" + "))
    };
    let names = join(|one| Some(&one.name)).unwrap_or_default();
    let (program, program_version, backend) = (
        join(|one| one.program.as_deref()),
        join(|one| one.program_version.as_deref()),
        join(|one| one.backend.as_deref()),
    );
    match (described.pop(), described.is_empty()) {
        (Some(only), true) => only,
        _ => Subjects {
            kind: "several",
            // Their titles one behind the other would be no title.
            title: names.clone(),
            name: names,
            program,
            program_version,
            backend,
        },
    }
}

/// Every program that was given is some target's.
fn check_programs(programs: &Programs, targets: &[Target]) -> Result<(), Stop> {
    let Some((first, rest)) = targets.split_first() else {
        return Ok(());
    };
    let mut strangers = programs.strangers(first);
    let stranger = strangers.find(|name| {
        let mut others = rest.iter();
        others.all(|target| programs.strangers(target).any(|other| other == *name))
    });
    let Some(stranger) = stranger else {
        return Ok(());
    };
    let runs: Vec<String> = targets
        .iter()
        .map(|target| format!("the target {} runs `{}`", target.name, target.program_name))
        .collect();
    Err(Stop::wrong(format!(
        "--program {stranger}=...: {}",
        runs.join(", ")
    )))
}

fn target_wrong(error: TargetError) -> Stop {
    match error {
        // These carry their own place.
        TargetError::File(errors) => Stop::files(&errors),
        other => Stop::wrong(other),
    }
}

pub(super) fn choose_backend(args: &BackendArgs) -> Result<BackendChoice, Stop> {
    let wanted = match args.backend.as_str() {
        "auto" => None,
        name => Some(name.parse().map_err(Stop::wrong)?),
    };
    backend::choose(wanted).map_err(Stop::wrong)
}

/// An entry that matches nothing has outlived its scenario.
fn check_known(target: &Target, library: &Library) -> Result<(), Stop> {
    let profiles: Vec<amt_sim::Profile> = fixtures::PROFILES
        .iter()
        .filter_map(|file| amt_sim::Profile::parse(file.path, file.text).ok())
        .collect();
    let mut wrong = Vec::new();
    for entry in target.known_failing.iter().chain(&target.known_flaky) {
        let matches = library.scenarios.iter().any(|scenario| {
            let takes = |profile: &&amt_sim::Profile| scenario.device.profiles.takes(profile);
            let names = profiles.iter().filter(takes);
            let names: Vec<&str> = names.map(|profile| profile.name.as_str()).collect();
            let runs = scenario.runs(&names, true);
            runs.into_iter().any(|(told, profile)| {
                let profile = names.get(profile).copied().unwrap_or_default();
                entry.takes(&told.run_name(profile))
            })
        });
        if !matches {
            let mut place = entry.place.clone();
            place.message = format!(
                "no run is called `{}@{}`: this entry is out of date",
                entry.scenario, entry.profile
            );
            wrong.push(place);
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Stop::files(&wrong))
    }
}
