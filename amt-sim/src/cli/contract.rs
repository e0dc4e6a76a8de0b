//! `amt-sim contract`: does the `/dev/mei0` that this process sees keep its promises?

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;

use amt_sim::host::contract::{self, Node, Outcome, Report, Selection};

/// Checks what a program may rely on at /dev/mei0.
///
/// Works on whatever node there is: start it under `amt-sim run`, or on a machine with the real device. Exit code: 0
/// every check passed or was skipped with a reason, 1 at least one failed, 2 the command line is wrong.
#[derive(Debug, clap::Args)]
pub struct Contract {
    /// Checks or groups of checks, such as contract.io; all when none is named.
    checks: Vec<String>,

    /// The device node.
    #[arg(long, value_name = "PATH", default_value = "/dev/mei0")]
    device: PathBuf,

    /// The device has the fault write:hotham:0xee=reset, so the checks of resets can run.
    #[arg(long)]
    armed: bool,

    /// Prints one JSON object a line instead of a table.
    #[arg(long)]
    json: bool,

    /// Prints the checks instead of running them.
    #[arg(long)]
    list: bool,

    /// Makes one round trip on a descriptor that was inherited; a check calls this.
    #[arg(long, value_name = "FD", hide = true)]
    exchange_on: Option<RawFd>,

    /// Blocks in a read, for tests of what happens when the supervisor goes away.
    #[arg(long, hide = true)]
    hold: bool,

    /// With --hold: as a daemon whose parent is gone.
    #[arg(long, hide = true, requires = "hold")]
    detached: bool,
}

impl Contract {
    pub fn run(self) -> ExitCode {
        if let Some(descriptor) = self.exchange_on {
            return print_end(contract::exchange_on(descriptor).map(|()| "exchanged".to_owned()));
        }
        if self.list {
            for check in contract::checks() {
                println!("{:<42} {}", check.id, check.text);
            }
            return ExitCode::SUCCESS;
        }
        let selection = match Selection::of(&self.checks) {
            Ok(selection) => selection,
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        };
        let node = Node::new(self.device, self.armed);
        if self.hold {
            return print_end(contract::hold(&node, self.detached));
        }
        let mut counts = Counts::default();
        contract::run(&node, selection, |report| {
            counts.add(&report.outcome);
            match self.json {
                // Strings and numbers only: it always serialises.
                true => println!("{}", serde_json::to_string(report).unwrap_or_default()),
                false => print(report),
            }
        });
        if !self.json {
            println!(
                "\n{} passed, {} failed, {} skipped",
                counts.passed, counts.failed, counts.skipped
            );
        }
        match counts.failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}

fn print_end(end: Result<String, String>) -> ExitCode {
    match end {
        Ok(word) => {
            println!("{word}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Pass => self.passed += 1,
            Outcome::Fail(_) => self.failed += 1,
            Outcome::Skip { .. } => self.skipped += 1,
        }
    }
}

fn print(report: &Report) {
    let (word, more) = match &report.outcome {
        Outcome::Pass => ("ok", None),
        Outcome::Fail(failure) => (
            "FAIL",
            Some(format!("     {}\n     {failure}", report.text)),
        ),
        Outcome::Skip { reason } => ("skip", Some(format!("     {reason}"))),
    };
    println!("{word:<4} {:<42} {:>5} ms", report.id, report.milliseconds);
    if let Some(more) = more {
        println!("{more}");
    }
}
