//! The front door: flags and exit codes that users' scripts depend on.
//!
//! Exit codes: 0 everything as expected, 1 findings, 2 the set-up or a file is wrong, 3 nothing could be concluded.

mod agent;
mod check;
mod console;
mod demo;
mod doctor;
mod explain;
mod ledger;
mod list;
mod report;
mod run;
mod sca;
mod schema;
mod subject;
mod sweep;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use amt_sim::diagnostic::Diagnostic;
use clap::{Args, Parser, Subcommand};

use crate::report::Format;
use crate::requirement::Ledger;
use crate::role::Misbehaviour;
use crate::role::target::Programs;
use crate::run::Shard;
use crate::scenario::Library;
use crate::sweep::Layer;

/// The set-up or a file is wrong.
const WRONG: u8 = 2;

/// Drives AMT agents against a simulated device, and says who is wrong.
#[derive(Debug, Parser)]
#[command(name = "conformance", version, max_term_width = 100, after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  everything as expected: no finding; what fails is known to fail
  1  findings: a failure that is not known, a known failure that passes, a run that wavers under --repeat;
     with --strict also a warning
  2  the set-up or a file is wrong: nobody under test is to blame
  3  some run could not be concluded, or none was";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios; writes DIR/report.json, junit.xml, report.sarif, report.html, a badge
    #[command(after_help = EXIT_CODES)]
    Run(RunArgs),
    /// Draw a report again from its report.json
    Report(ReportArgs),
    /// List scenarios, or targets, or facts
    List(ListArgs),
    /// Check scenario and target files; those that come with the program when none is named
    Check { files: Vec<PathBuf> },
    /// Print the ledger: each requirement and the scenarios that prove it, or the other way round
    Ledger(LedgerArgs),
    /// Explain a requirement, by ID or alias, or a scenario
    Explain {
        id: String,
        /// Show the whole exchange, not only its beginning
        #[arg(long)]
        whole: bool,
    },
    /// Try one fault at every point of a run: no role may hang, or claim what it did not do
    ///
    /// What is found is reduced to the smallest schedule of faults and written as a scenario file.
    Sweep(SweepArgs),
    /// Print the JSON schema of scenario or target files, for editors
    Schema(SchemaArgs),
    /// Look whether this machine can run real agents
    Doctor(DoctorArgs),
    /// Play set-up over the network for a newcomer, live in the terminal: console, agent, device and SCA
    Demo(DemoArgs),
    /// The bundled SCA, as a program of its own: hears Hello messages and sets devices up over the network
    Sca(sca::ScaArgs),
    /// The bundled management console, as a program of its own: its parts in set-up over the network
    ///
    /// Agent and SCA answer lines of JSON at the addresses given.
    Console {
        #[command(subcommand)]
        command: console::ConsoleCommand,
    },
    /// The bundled reference agent, as a program of its own
    Agent {
        #[command(subcommand)]
        command: AgentCommand,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Scenarios to run, such as `discovery.* and not tag:fault` or `requirement:P01`
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Scenario files of your own, in place of those that come with the program
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// The program under test: a target file, or the name of one that comes with this program. In set-up over the
    /// network agent, console and SCA may be real programs at once: give one target for each
    #[arg(long, value_name = "FILE|NAME", value_delimiter = ',')]
    target: Vec<String>,
    /// Only this device
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// Root of an application's provisioning certificate, which the device is told to trust, as one types it into MEBx
    #[arg(long, value_name = "FILE", requires = "target")]
    trust: Option<PathBuf>,
    /// Let the device listen where its target file says although that is no loopback address
    #[arg(long, requires = "target")]
    beyond_loopback: bool,
    /// Every combination of what a scenario's parameters may be, and not only each pair of values once
    #[arg(long)]
    all_combinations: bool,
    /// Where the report goes
    #[arg(long, value_name = "DIR", default_value = "report")]
    report: PathBuf,
    /// Everything that looks random in a device follows from this number
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only one part of the runs, such as 2/8 for the second of eight machines; a run stays in its part for ever
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Only the runs that called for attention in the report of --report, each with its seed
    #[arg(long)]
    rerun_failed: bool,
    /// Do each run so often, and tell what was not the same each time
    #[arg(long, value_name = "N", default_value = "1")]
    repeat: std::num::NonZeroU32,
    /// How far it is, on standard error: live (one line that changes), plain (a line every few seconds), none
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = ["auto", "live", "plain", "none"])]
    progress: String,
    #[command(flatten)]
    programs: ProgramArgs,
    #[command(flatten)]
    backend: BackendArgs,
    /// Runs at a time; as many as there are processors when absent
    #[arg(long, value_name = "N")]
    jobs: Option<std::num::NonZeroUsize>,
    /// Also write everything that is needed to look into the runs elsewhere: journals, captures, scenarios. The captures
    /// hold what is secret
    #[arg(long, value_name = "FILE.zip|DIR")]
    bundle: Option<PathBuf>,
    /// Of which runs the report keeps what went over the wire: findings or all
    #[arg(long, value_name = "WHICH", default_value = "findings", value_parser = parse_evidence)]
    evidence: EvidenceChoice,
    /// Do not take passwords and keys out of the report
    #[arg(long)]
    show_secrets: bool,
    /// Print annotations for GitHub Actions; they are printed anyway where GITHUB_ACTIONS is set
    #[arg(long)]
    github: bool,
    /// Warnings count as findings
    #[arg(long)]
    strict: bool,
    /// Let the bundled roles make this mistake: the suite must notice
    #[arg(long, value_name = "MISTAKE", value_parser = parse_misbehaviour)]
    misbehave: Option<Misbehaviour>,
    /// Switch off a rule of the device: the suite must notice
    #[arg(long, value_name = "RULE")]
    without: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EvidenceChoice {
    all: bool,
}

fn parse_layer(text: &str) -> Result<Layer, String> {
    Layer::named(text).ok_or_else(|| {
        let known: Vec<&str> = Layer::ALL.iter().map(|layer| layer.word()).collect();
        format!("known: {}", known.join(", "))
    })
}

fn parse_evidence(text: &str) -> Result<EvidenceChoice, String> {
    match text {
        "findings" => Ok(EvidenceChoice { all: false }),
        "all" => Ok(EvidenceChoice { all: true }),
        _ => Err("write findings or all".to_owned()),
    }
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// The folder that `conformance run --report` wrote, or a report.json
    #[arg(value_name = "DIR|FILE", default_value = "report")]
    report: PathBuf,
    /// Print it as terminal, junit, sarif, github, badge, badge-json or html; all files are written anew when absent
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format: Option<Format>,
    /// Write to this file instead
    #[arg(long, value_name = "FILE", requires = "format")]
    output: Option<PathBuf>,
}

fn parse_format(text: &str) -> Result<Format, String> {
    Format::named(text).ok_or_else(|| {
        let known: Vec<&str> = Format::ALL.iter().map(|format| format.word()).collect();
        format!("known: {}", known.join(", "))
    })
}

#[derive(Debug, Args)]
struct ProgramArgs {
    /// Where a program is, when it is not on PATH
    #[arg(long = "program", value_name = "NAME=PATH", value_parser = parse_program)]
    programs: Vec<(String, PathBuf)>,
}

impl ProgramArgs {
    fn programs(&self) -> Programs {
        let mut programs = Programs::default();
        for (name, path) in &self.programs {
            programs.give(name.clone(), path.clone());
        }
        programs
    }
}

#[derive(Debug, Args)]
struct BackendArgs {
    /// How the program gets its /dev/mei0: auto, cuse, fuse or seccomp
    #[arg(long, value_name = "BACKEND", default_value = "auto")]
    backend: String,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Target files that come with this program
    #[arg(long, conflicts_with = "facts")]
    targets: bool,
    /// The vocabulary of scenarios and target files
    #[arg(long)]
    facts: bool,
}

#[derive(Debug, Args)]
struct SchemaArgs {
    /// scenario or target
    #[arg(default_value = "scenario", value_parser = ["scenario", "target"])]
    what: String,
}

#[derive(Debug, Args)]
struct SweepArgs {
    /// The scenario, or several by a filter; on its newest device unless one is named
    #[arg(value_name = "SCENARIO[@PROFILE]")]
    run: String,
    /// Everything that looks random follows from this number
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Single faults that are tried at most, spread over the run; all of them when absent
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Schedules of two to four faults, drawn by the seed
    #[arg(long, value_name = "N", default_value = "50")]
    several: usize,
    /// Only faults of these layers, such as tls,power; the first line of a sweep names those that there are
    #[arg(long, value_name = "LAYER", value_delimiter = ',', value_parser = parse_layer)]
    layer: Vec<Layer>,
    /// Say of each schedule what became of it
    #[arg(long)]
    each: bool,
    /// Where scenarios about what was found go
    #[arg(long, value_name = "DIR", default_value = "found")]
    out: PathBuf,
    /// Scenario files of your own, in place of those that come with the program
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Runs at a time; as many as there are processors when absent
    #[arg(long, value_name = "N")]
    jobs: Option<std::num::NonZeroUsize>,
    /// Let the bundled roles make this mistake: the sweep must find it
    #[arg(long, value_name = "MISTAKE", value_parser = parse_misbehaviour)]
    misbehave: Option<Misbehaviour>,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// Milliseconds after each line; 80 on a terminal, else none
    #[arg(long, value_name = "MS")]
    pace: Option<u64>,
    /// How the device's minutes pass: jump, over everything that nobody waits for
    #[arg(long, value_name = "HOW", default_value = "jump", value_parser = ["jump"])]
    time: String,
    /// Which device
    #[arg(long, value_name = "NAME", default_value = "comet-lake-14")]
    profile: String,
    /// Everything that looks random follows from this number
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Let console, agent or SCA make this mistake, and see what comes of it
    #[arg(long, value_name = "MISTAKE", value_parser = parse_misbehaviour)]
    misbehave: Option<Misbehaviour>,
}

#[derive(Debug, Args)]
struct LedgerArgs {
    /// Which way round
    #[arg(long, value_name = "WHAT", default_value = "requirement", value_parser = ["requirement", "scenario"])]
    by: String,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    /// Look at this target's program, too
    #[arg(long, value_name = "FILE|NAME")]
    target: Option<String>,
    /// Where reports will go
    #[arg(long, value_name = "DIR", default_value = "report")]
    report: PathBuf,
    #[command(flatten)]
    programs: ProgramArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Debug, Subcommand)]
enum AgentCommand {
    /// Find out about the AMT device of this machine
    Discover(AgentArgs),
    /// Set the AMT device of this machine up as the guide's signed flow does, and check the record
    ///
    /// Keys, nonces and passwords are public and the same every time: for simulated devices only.
    SetUp(AgentArgs),
    /// Hand the one-time password to the AMT device of this machine, and start configuration over the network
    Start {
        /// The one-time password; none is handed over where it is empty
        #[arg(long, value_name = "TEXT", default_value = "")]
        otp: String,
        #[command(flatten)]
        with: AgentArgs,
    },
    /// Call configuration over the network off
    Stop(AgentArgs),
}

#[derive(Debug, Args)]
struct AgentArgs {
    /// Print one JSON object: facts by name
    #[arg(long)]
    json: bool,
    /// The device node
    #[arg(long, value_name = "PATH", default_value = "/dev/mei0")]
    node: PathBuf,
    /// Make this mistake on purpose
    #[arg(long, value_name = "MISTAKE", value_parser = parse_misbehaviour)]
    misbehave: Option<Misbehaviour>,
}

fn parse_program(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => Err("write NAME=PATH, such as rpc=/usr/local/bin/rpc".to_owned()),
    }
}

fn parse_misbehaviour(text: &str) -> Result<Misbehaviour, String> {
    Misbehaviour::named(text).ok_or_else(|| {
        let known = || Misbehaviour::ALL.iter().map(|mistake| mistake.word());
        match amt_sim::diagnostic::closest(text, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known().collect::<Vec<_>>().join(", ")),
        }
    })
}

/// Runs the program; the result is its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Help and version are no mistakes.
            return if error.use_stderr() { WRONG } else { 0 };
        }
    };
    let stdout = io::stdout();
    let mut console = Console {
        colour: stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        live: io::stderr().is_terminal(),
        out: Box::new(stdout.lock()),
    };
    match dispatch(&cli.command, &mut console) {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(Stop::Output(error)) => {
            eprintln!("conformance: cannot write: {error}");
            WRONG
        }
        Err(Stop::Wrong(message)) => {
            eprintln!("{message}");
            WRONG
        }
    }
}

/// Where output goes.
struct Console {
    out: Box<dyn Write>,
    colour: bool,
    /// Somebody watches: progress is welcome.
    live: bool,
}

/// Why a command ends before its end.
enum Stop {
    Output(io::Error),
    /// The set-up or a file is wrong, and this is what to say about it.
    Wrong(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Stop {
    fn wrong(error: impl std::fmt::Display) -> Self {
        Self::Wrong(format!("conformance: {error}"))
    }

    fn files(errors: &[Diagnostic]) -> Self {
        Self::Wrong(shown(errors))
    }
}

fn shown(errors: &[Diagnostic]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("\n\n")
}

fn dispatch(command: &Command, console: &mut Console) -> Result<u8, Stop> {
    match command {
        Command::Run(args) => run::run(args, console),
        Command::Report(args) => report::report(args, console),
        Command::List(args) => list::list(args, console),
        Command::Check { files } => check::check(files, console),
        Command::Ledger(args) => ledger::ledger(args, console),
        Command::Explain { id, whole } => explain::explain(id, *whole, console),
        Command::Schema(args) => schema::print(args, console),
        Command::Sweep(args) => sweep::run(args, console),
        Command::Doctor(args) => doctor::doctor(args, console),
        Command::Demo(args) => demo::demo(args, console),
        Command::Sca(args) => sca::sca(args, console),
        Command::Console { command } => console::console(command, console),
        Command::Agent { command } => match command {
            AgentCommand::Discover(args) => agent::discover(args, console),
            AgentCommand::SetUp(args) => agent::set_up(args, console),
            AgentCommand::Start { otp, with } => agent::start(otp, with, console),
            AgentCommand::Stop(args) => agent::stop(args, console),
        },
    }
}

/// The ledger, and the scenarios of these files, or those that come with the program when there are none; with the text
/// of each file by its path.
#[allow(
    clippy::type_complexity,
    reason = "three things that belong together once"
)]
fn library(files: &[PathBuf]) -> Result<(Ledger, Library, Vec<(String, String)>), Stop> {
    let ledger = Ledger::builtin().map_err(|errors| Stop::files(&errors))?;
    let mut texts = Vec::new();
    for file in files {
        let path = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Stop::wrong(format!("cannot read {path}: {error}")))?;
        texts.push((path, text));
    }
    if files.is_empty() {
        let builtin = fixtures::SCENARIOS.iter();
        texts.extend(builtin.map(|file| (file.path.to_owned(), file.text.to_owned())));
    }
    let pairs = texts
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    let library = Library::parse(pairs, &ledger).map_err(|errors| Stop::files(&errors))?;
    Ok((ledger, library, texts))
}

/// The ledger and the scenarios that come with the program.
fn shelf() -> Result<(Ledger, Library), Stop> {
    let ledger = Ledger::builtin().map_err(|errors| Stop::files(&errors))?;
    let library = Library::builtin(&ledger).map_err(|errors| Stop::files(&errors))?;
    Ok((ledger, library))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }
}
