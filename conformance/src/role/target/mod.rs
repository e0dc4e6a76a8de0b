//! Target files: how to run one real program, and how to read what it prints.
//!
//! The format is documented in `docs/targets.md`.

mod application;
mod beginning;
mod console;
mod desk;
mod door;
mod errand;
mod external;
mod extract;
mod parse;
mod process;
mod service;
mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amt_sim::diagnostic::{Diagnostic, closest};

pub use application::{ExternalApplication, Goal, Ordered, Shown, Site, is_operational, serve};
pub use beginning::Beginning;
pub use console::{ExternalConsole, Office};
pub use external::{ExternalAgent, program_version};
pub use extract::{Extract, Field, Output, Rule, Source};
pub use parse::parse;
pub use service::{Request, Service, Telling};

use crate::fact::{Fact, Feature, Value};
use crate::glob::Glob;
use crate::scenario::{Action, Role, Template};
use crate::words::words;

/// One real program.
#[derive(Debug, Clone)]
pub struct Target {
    pub name: String,
    pub title: String,
    /// File that it stands in.
    pub file: String,
    /// A name on `PATH`, a path, or a template such as `{conformance}`.
    pub program: Template,
    /// The same as it stands in the file.
    pub program_name: String,
    /// How to get the program, for people who do not have it.
    pub get_it: Option<String>,
    /// How it tells its own version.
    pub version: Option<VersionCommand>,
    pub has: BTreeSet<Feature>,
    /// Whose part it has: the agent's, the console's or the SCA's.
    pub role: Role,
    /// From where it reaches the device.
    pub side: Side,
    /// A command takes this long at most.
    pub time_limit: Duration,
    /// The program wants to be root.
    pub as_root: bool,
    /// The program looks for the device node before it opens it.
    pub look: bool,
    /// No answer of the device comes sooner, for programs that lose one that is already there.
    pub reply_delay: Duration,
    /// One run of it at a time.
    pub serial: bool,
    pub working_directory: Template,
    pub environment: Vec<(String, Template)>,
    pub exit: ExitCodes,
    pub commands: Vec<CommandLine>,
    /// It is an application that stays, not an agent that is run.
    pub service: Option<Service>,
    pub known_failing: Vec<KnownFailing>,
    /// Runs that fail now and then. They are run like all others; a failure of theirs is as expected, and so is a
    /// pass.
    pub known_flaky: Vec<KnownFailing>,
}

#[derive(Debug, Clone)]
pub struct VersionCommand {
    pub args: Vec<Template>,
    pub output: Output,
    pub source: Source,
}

/// What exit codes mean; every other one is a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitCodes {
    pub done: Vec<i32>,
    pub not_implemented: Vec<i32>,
    /// The set-up is wrong, not the program.
    pub configuration: Vec<i32>,
}

impl Default for ExitCodes {
    fn default() -> Self {
        Self {
            done: vec![0],
            not_implemented: vec![89],
            configuration: Vec::new(),
        }
    }
}

/// One command line that does (part of) an action.
#[derive(Debug, Clone)]
pub struct CommandLine {
    pub action: Action,
    /// A console that runs already is asked to do it, and no program is run.
    pub http: Option<Request>,
    pub args: Vec<Template>,
    pub output: Output,
    pub stream: Stream,
    /// A file that the program writes its results to, instead of a stream.
    pub file: Option<Template>,
    pub facts: BTreeMap<Fact, Rule>,
    /// Files that it reads, written before it is run.
    pub files: Vec<(Template, Template)>,
    /// It hands the one-time password over: nothing to do where there is none.
    pub needs_otp: bool,
    /// Where a console prints the one-time password that it made.
    pub otp: Option<Source>,
}

words! {
    /// Where a program prints its results.
    Stream {
        Stdout = "stdout",
        Stderr = "stderr",
        /// All of the one, then all of the other.
        Both = "both",
    }
}

words! {
    /// From where a program reaches the device.
    Side {
        /// It runs on the machine, and opens `/dev/mei0`.
        Host = "host",
        /// It comes over the network, with a login, to a device that is set up.
        Network = "network",
    }
}

/// Something that is known to go wrong. It is still run; when it passes, or when there is no such run, the file
/// has to be brought up to date.
#[derive(Debug, Clone)]
pub struct KnownFailing {
    pub scenario: Glob,
    pub profile: Glob,
    pub reason: String,
    /// For messages about the entry itself.
    pub place: Diagnostic,
}

impl KnownFailing {
    /// Whether a run of this name is meant. `profile` may name the device alone, or with what varies beside it.
    pub fn takes(&self, run: &str) -> bool {
        let (scenario, device) = run.split_once('@').unwrap_or((run, ""));
        let profile = device.split(',').next().unwrap_or_default();
        self.scenario.matches(scenario)
            && (self.profile.matches(profile) || self.profile.matches(device))
    }
}

impl Target {
    /// A target by the name of a file that comes with the program, or by path.
    pub fn find(name: &str) -> Result<Self, TargetError> {
        if let Some(file) = fixtures::named(fixtures::TARGETS, name) {
            return parse(file.path, file.text).map_err(TargetError::File);
        }
        if !name.ends_with(".toml") && !name.contains('/') {
            return Err(TargetError::Unknown {
                name: name.to_owned(),
                suggestion: closest(name, fixtures::TARGETS.iter().map(|file| file.name))
                    .map(str::to_owned),
            });
        }
        let text = std::fs::read_to_string(name).map_err(|error| TargetError::Unreadable {
            path: PathBuf::from(name),
            error,
        })?;
        parse(name, &text).map_err(TargetError::File)
    }

    /// Every fact that some command of it reports.
    pub fn mapped(&self) -> BTreeSet<Fact> {
        let mut facts: BTreeSet<Fact> = self
            .commands
            .iter()
            .flat_map(|command| command.facts.keys().copied())
            .collect();
        if facts.contains(&Fact::HASHES) {
            facts.insert(Fact::HASHES_COUNT); // It follows from the list.
        }
        facts
    }

    /// The first line that says why a scenario with these needs makes no sense for it.
    pub fn lacks(&self, needs: &[Feature]) -> Option<Feature> {
        needs
            .iter()
            .copied()
            // The console is ours whoever the agent is.
            .find(|need| *need != Feature::Recommend && !self.has.contains(need))
    }
}

/// Where the programs of targets are, beside `PATH`: `--program NAME=PATH`.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    given: BTreeMap<String, PathBuf>,
}

impl Programs {
    pub fn give(&mut self, name: impl Into<String>, path: impl Into<PathBuf>) {
        self.given.insert(name.into(), path.into());
    }

    /// The names that were given and that are neither this target's nor its program's.
    pub fn strangers<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a str> {
        self.given
            .keys()
            .map(String::as_str)
            .filter(|name| **name != target.name && **name != target.program_name)
    }

    /// The program of a target.
    pub fn locate(&self, target: &Target) -> Result<PathBuf, TargetError> {
        let given = self
            .given
            .get(&target.name)
            .or_else(|| self.given.get(&target.program_name));
        if let Some(path) = given {
            // The run happens in a folder of its own.
            return std::path::absolute(path)
                .ok()
                .filter(|path| is_executable(path))
                .ok_or_else(|| TargetError::NotExecutable { path: path.clone() });
        }
        if target.program_name == "{conformance}" {
            return std::env::current_exe().map_err(|error| TargetError::Unreadable {
                path: PathBuf::from("{conformance}"),
                error,
            });
        }
        if target.program_name.contains('/') {
            let path = PathBuf::from(&target.program_name);
            return std::path::absolute(&path)
                .ok()
                .filter(|path| is_executable(path))
                .ok_or(TargetError::NotExecutable { path });
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders)
            .map(|folder| folder.join(&target.program_name))
            .find(|path| is_executable(path))
            .ok_or_else(|| TargetError::NotFound {
                program: target.program_name.clone(),
                get_it: target.get_it.clone(),
            })
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Why a target cannot be used: the set-up, never the program under test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    #[error("no target is called `{name}`{}; `conformance list --targets` shows those that come with it, any other is named by its path", suggestion.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    Unknown {
        name: String,
        suggestion: Option<String>,
    },
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{}", shown(.0))]
    File(Vec<Diagnostic>),
    #[error("`{program}` is not on PATH; say where it is with --program {program}=PATH{}", get_it.as_ref().map_or(String::new(), |how| format!("\n{how}")))]
    NotFound {
        program: String,
        get_it: Option<String>,
    },
    #[error("{} is not a program that can be run", path.display())]
    NotExecutable { path: PathBuf },
}

fn shown(errors: &[Diagnostic]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("\n\n")
}

/// A value as a target file writes it.
pub(crate) fn plain_value(value: &toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
