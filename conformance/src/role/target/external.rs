//! A real agent: runs what the target file says, under a virtual `/dev/mei0` or beside the device's ports on the
//! network, and reads what it prints.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amt_sim::device::Interface;
use amt_sim::host::backend::{Backend, Options};
use amt_sim::host::local_ports::Reach;
use amt_sim::host::{LocalPorts, SharedDevice};
use serde_json::Value;

use super::application::next_address;
use super::extract::extract;
use super::process::{Ended, Finished, Front, Invocation, Live, run};
use super::{CommandLine, Side, Stream, Target, telling};
use crate::fact::{Fact, Facts, Truth};
use crate::role::{ActionReport, Ending, Process, Wanted};
use crate::scenario::placeholder::{Told, Values};
use crate::scenario::{Action, Outcome, Template};

/// A program under test.
#[derive(Debug, Clone)]
pub struct ExternalAgent {
    target: Target,
    program: PathBuf,
    /// None for one that never opens the device node.
    backend: Option<Backend>,
}

/// Bytes of a program's output that a report shows.
const SHOWN: usize = 4096;

impl ExternalAgent {
    pub fn new(target: Target, program: PathBuf, backend: Option<Backend>) -> Self {
        Self {
            target,
            program,
            backend,
        }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Runs every command that reports something wanted.
    pub fn discover(&self, device: &SharedDevice, seed: u64, wanted: &Wanted) -> ActionReport {
        let wants = |command: &CommandLine| {
            let reports = command.facts.keys().map(|fact| fact.feature());
            !reports.collect::<BTreeSet<_>>().is_disjoint(wanted)
        };
        let told = Told::default();
        let mut report = self.perform(Action::AgentDiscover, device, seed, told, wants);
        let mapped = self.target.mapped();
        report.unmapped = Fact::ALL
            .iter()
            .copied()
            .filter(|fact| wanted.contains(&fact.feature()) && !mapped.contains(fact))
            .collect();
        report
    }

    /// Runs the commands that begin set-up over the network, or call it off.
    pub fn set_up(
        &self,
        action: Action,
        device: &SharedDevice,
        seed: u64,
        otp: Option<&str>,
    ) -> ActionReport {
        let told = Told {
            otp: otp.unwrap_or_default().to_owned(),
            ..Told::default()
        };
        let wants = |command: &CommandLine| otp.is_some() || !command.needs_otp;
        self.perform(action, device, seed, told, wants)
    }

    fn perform(
        &self,
        action: Action,
        device: &SharedDevice,
        seed: u64,
        mut told: Told,
        wants: impl Fn(&CommandLine) -> bool,
    ) -> ActionReport {
        let mut report = ActionReport::done(Facts::new());
        let scratch = match Scratch::new() {
            Ok(scratch) => scratch,
            Err(error) => {
                return ActionReport::configuration(format!("no scratch folder: {error}"));
            }
        };
        let reached = match self.target.side {
            Side::Host => None,
            Side::Network => {
                let address = next_address();
                match LocalPorts::open(device, Interface::Network, address, Reach::Loopback) {
                    Ok(ports) => Some(ports),
                    Err(why) => return ActionReport::configuration(why.to_string()),
                }
            }
        };
        if let Some(ports) = &reached {
            told.address = ports.address().to_string();
        }
        let truth = device.with(None, |device| Truth::of(device));
        let scratch_text = scratch.path.to_string_lossy();
        let conformance = std::env::current_exe().unwrap_or_default();
        let conformance = conformance.to_string_lossy();
        let values = Values {
            truth: &truth,
            seed,
            scratch: &scratch_text,
            conformance: &conformance,
            service: None,
            told: &told,
        };
        for command in &self.target.commands {
            if command.action != action || !wants(command) {
                continue;
            }
            if let Err(why) = command.tell(values) {
                return ActionReport::configuration(why);
            }
            let invocation = self.target.invocation(&self.program, &command.args, values);
            let front = self.backend.map(|backend| Front {
                device,
                backend,
                options: Options {
                    as_root: self.target.as_root,
                    look: self.target.look,
                },
            });
            let finished = match run(&invocation, front) {
                Ok(finished) => finished,
                Err(error) => {
                    let why = format!("cannot run {}: {error}", invocation.program.display());
                    return ActionReport::configuration(why);
                }
            };
            self.target.judge(command, &finished, values, &mut report);
            report.processes.push(process(&invocation, finished));
            let goes_on = match report.ending {
                Ending::Outcome(Outcome::Done) => true,
                // What it cannot find out by one command it may by another.
                Ending::Outcome(Outcome::Failed) => action == Action::AgentDiscover,
                // It will not get better.
                _ => false,
            };
            if !goes_on {
                break;
            }
        }
        report
    }
}

impl Target {
    /// The target's program with these arguments.
    pub(super) fn invocation(
        &self,
        program: &Path,
        args: &[Template],
        values: Values<'_>,
    ) -> Invocation {
        let environment = self.environment.iter();
        Invocation {
            program: program.to_owned(),
            args: args.iter().map(|arg| arg.fill(values)).collect(),
            environment: environment
                .map(|(key, value)| (key.clone(), value.fill(values)))
                .collect(),
            working_directory: self.working_directory.fill(values).into(),
            time_limit: self.time_limit,
        }
    }

    /// Begins to run it, without a device node.
    pub(super) fn start(
        &self,
        program: &Path,
        args: &[Template],
        values: Values<'_>,
    ) -> Result<(Live, Invocation), String> {
        let invocation = self.invocation(program, args, values);
        let live = Live::start(&invocation, None).map_err(|error| not_run(program, &error))?;
        Ok((live, invocation))
    }

    /// What this exit means.
    pub(super) fn ending(&self, finished: &Finished) -> Ending {
        let exit = &self.exit;
        match finished.ended {
            Ended::TimeLimit(_) => Ending::Outcome(Outcome::Hung),
            Ended::Exit(code) if exit.done.contains(&code) => Ending::Outcome(Outcome::Done),
            Ended::Exit(code) if exit.not_implemented.contains(&code) => Ending::NotImplemented,
            Ended::Exit(code) if exit.configuration.contains(&code) => {
                let said = finished.said().unwrap_or("it says nothing more");
                Ending::Configuration(format!("exit {code}: {said}"))
            }
            Ended::Exit(_) | Ended::Signal(_) => Ending::Outcome(Outcome::Failed),
        }
    }

    /// What came of one command, and what it printed of facts.
    pub(super) fn judge(
        &self,
        command: &CommandLine,
        finished: &Finished,
        values: Values<'_>,
        report: &mut ActionReport,
    ) {
        let ending = self.ending(finished);
        if ending != Ending::Outcome(Outcome::Done) {
            report.ending = ending;
            report.remarks.push(finished.remark());
        }
        let text = command.printed(finished, values);
        // A program that failed may have said something true before.
        let mut found = extract(command.output, &command.facts, &text);
        report.facts.extend(found.facts);
        report.remarks.append(&mut found.remarks);
        report.untranslated.extend(found.untranslated);
    }
}

impl CommandLine {
    /// Writes the files that it is told by.
    pub(super) fn tell(&self, values: Values<'_>) -> Result<(), String> {
        let mut files = self.files.iter();
        files.try_for_each(|(path, text)| telling::write(path, text, values))
    }

    /// Where its results are.
    pub(super) fn printed(&self, finished: &Finished, values: Values<'_>) -> String {
        if let Some(file) = &self.file {
            let text = fs::read(file.fill(values)).unwrap_or_default();
            return String::from_utf8_lossy(&text).into_owned();
        }
        match self.stream {
            Stream::Stdout => finished.stdout.clone(),
            Stream::Stderr => finished.stderr.clone(),
            Stream::Both => format!("{}\n{}", finished.stdout, finished.stderr),
        }
    }
}

impl Finished {
    /// Its last words.
    pub(super) fn said(&self) -> Option<&str> {
        last_line(&self.stderr).or_else(|| last_line(&self.stdout))
    }

    pub(super) fn remark(&self) -> String {
        match self.said() {
            Some(line) => format!("{}: {line}", self.ended),
            None => self.ended.to_string(),
        }
    }
}

/// The version that a program tells of itself.
pub fn program_version(target: &Target, program: &Path) -> Result<String, String> {
    let Some(version) = &target.version else {
        return Err("its target file does not say how to ask".to_owned());
    };
    let scratch = Scratch::new().map_err(|error| error.to_string())?;
    let args = version.args.iter().map(Template::text).collect();
    let invocation = Invocation {
        program: program.to_owned(),
        args,
        environment: Vec::new(),
        working_directory: scratch.path.clone(),
        time_limit: Duration::from_secs(10),
    };
    let finished = run(&invocation, None).map_err(|error| error.to_string())?;
    let text = format!("{}\n{}", finished.stdout, finished.stderr);
    let document = version
        .output
        .document(&finished.stdout)
        .unwrap_or_default();
    match version.source.read(&text, &document) {
        Ok(Some(Value::String(text))) => Ok(text),
        Ok(Some(other)) => Ok(other.to_string()),
        Ok(None) => Err(format!("{}; no version in its output", finished.ended)),
        Err(why) => Err(why),
    }
}

pub(super) fn not_run(program: &Path, error: &io::Error) -> String {
    format!("cannot run {}: {error}", program.display())
}

pub(super) fn process(invocation: &Invocation, finished: Finished) -> Process {
    let mut command = vec![invocation.program.display().to_string()];
    command.extend(invocation.args.iter().cloned());
    Process {
        command,
        ended: finished.ended.to_string(),
        duration_ms: u64::try_from(finished.duration.as_millis()).unwrap_or(u64::MAX),
        stdout: tail(&finished.stdout),
        stderr: tail(&finished.stderr),
        left_behind: finished.left_behind,
    }
}

fn tail(text: &str) -> String {
    let mut start = text.len().saturating_sub(SHOWN);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

pub(super) fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

/// A folder of one run's own, gone afterwards.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) path: PathBuf,
}

impl Scratch {
    pub(super) fn new() -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "amt-conformance-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_text_starts_at_a_character() {
        let text = "é".repeat(SHOWN);
        assert!(tail(&text).chars().all(|letter| letter == 'é'));
        assert_eq!(tail("short"), "short");
    }

    #[test]
    fn the_last_line_is_the_last_that_says_something() {
        assert_eq!(last_line("a\n b \n\n"), Some("b"));
        assert_eq!(last_line("\n"), None);
    }
}
