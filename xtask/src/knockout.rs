//! `cargo xtask knockout`: who would notice if the device lost a rule, or a role its honesty?
//!
//! The scenarios are run in this process, in virtual time. The unit tests that the ledger names for rules which no
//! scenario reaches are run in the device's own test program, with `AMT_SIM_KNOCK_OUT=RULE`.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{IsTerminal, stderr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use conformance::knockout::{Depth, Row, Survey, survey};
use conformance::requirement::Ledger;
use conformance::run::Choice;
use conformance::scenario::Library;

use crate::workspace::{root, target};

#[derive(Debug, Args)]
pub(crate) struct KnockoutArguments {
    /// Only these scenarios, such as `setup.*`
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Do not run the unit tests that the ledger names
    #[arg(long)]
    no_unit: bool,
    /// Find everybody who notices each mistake, not only the first
    #[arg(long)]
    thorough: bool,
    /// Name everything, not only what is wrong
    #[arg(long)]
    all: bool,
}

pub(crate) fn knockout(arguments: &KnockoutArguments) -> Result<ExitCode> {
    let wrong = |errors: Vec<_>| {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", texts.join("\n\n"))
    };
    let ledger = Ledger::builtin().map_err(wrong)?;
    let library = Library::builtin(&ledger).map_err(wrong)?;
    let choice = Choice {
        filter: arguments.filter.clone(),
        ..Choice::default()
    };
    let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let live = stderr().is_terminal();
    let depth = match arguments.thorough {
        true => Depth::Everybody,
        false => Depth::FirstNotice,
    };
    let mut found = survey(&ledger, &library, &choice, depth, jobs, |done| {
        if live {
            eprint!("\r{done} runs\u{1b}[K");
        }
    })?;
    if live {
        eprint!("\r\u{1b}[K");
    }
    if !arguments.no_unit {
        let tests = UnitTests::build()?;
        tests.stand(&found.rules)?;
        found.unit_tested(jobs, |row| tests.notice(row));
    }
    if arguments.all {
        tell_all(&found);
    }
    println!("{found}");
    let path = target().join("knockout.json");
    let text = serde_json::to_string_pretty(&found)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("written to {}", path.display());
    // Part of the scenarios cannot notice everything.
    let silent = found.is_silent() && arguments.filter.is_none();
    Ok(ExitCode::from(u8::from(silent)))
}

fn tell_all(found: &Survey) {
    for row in found.rules.iter().chain(&found.mistakes) {
        let by = row.noticed_by.iter().chain(&row.unit_tests).next();
        let more = (row.noticed_by.len() + row.unit_tests.len()).saturating_sub(1);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        println!(
            "{:<8} {:<44} {}{more}",
            row.fate,
            row.name,
            by.map_or("", String::as_str)
        );
    }
    println!();
}

/// The device's own unit tests, as cargo builds them.
struct UnitTests {
    program: PathBuf,
    names: BTreeSet<String>,
}

impl UnitTests {
    fn build() -> Result<Self> {
        let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            // The whole workspace, as `cargo test` builds it: of the device alone, the libraries would be built again
            // with other features.
            .args(["test", "--workspace", "--lib", "--no-run"])
            .args(["--message-format", "json"])
            .current_dir(root())
            .stderr(Stdio::inherit())
            .output()
            .context("cargo could not be started")?;
        if !output.status.success() {
            bail!("the unit tests of amt-sim cannot be built");
        }
        let lines = String::from_utf8_lossy(&output.stdout);
        let program = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| {
                message["profile"]["test"] == true && message["target"]["name"] == "amt_sim"
            })
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .context("cargo names no test program")?;
        let names = names(&program)?;
        Ok(Self { program, names })
    }

    /// A test, or a function with a test for each of its cases.
    fn has(&self, name: &str) -> bool {
        let cases = format!("{name}::");
        self.names.contains(name) || self.names.iter().any(|test| test.starts_with(&cases))
    }

    /// With every rule in force they pass, or nothing could be concluded from their failing.
    fn stand(&self, rules: &[Row]) -> Result<()> {
        let named: BTreeSet<&String> = rules.iter().flat_map(|row| &row.unit_tests).collect();
        let status = self.run(named, "")?;
        if !status.success() {
            bail!(
                "unit tests that the ledger names fail although every rule is in force: run `cargo test -p amt-sim --lib`"
            );
        }
        Ok(())
    }

    /// Whether one of the tests that the ledger names fails without the rule.
    fn notice(&self, row: &Row) -> Result<bool, String> {
        let stale: Vec<&str> = row
            .unit_tests
            .iter()
            .filter(|name| !self.has(name))
            .map(String::as_str)
            .collect();
        if !stale.is_empty() {
            return Err(format!("no unit test is called {}", stale.join(", ")));
        }
        let status = self.run(&row.unit_tests, &row.name);
        match status.map_err(|error| format!("{error:#}"))?.code() {
            Some(0) => Ok(false),
            // How the test program says that a test failed.
            Some(101) => Ok(true),
            other => Err(format!("the unit tests ended with {other:?}")),
        }
    }

    fn run<'n>(
        &self,
        names: impl IntoIterator<Item = &'n String>,
        without: &str,
    ) -> Result<ExitStatus> {
        Command::new(&self.program)
            .args(names)
            .arg("--quiet")
            .env("AMT_SIM_KNOCK_OUT", without)
            // A snapshot that differs, or a failing case, is noticed, not kept.
            .env("INSTA_UPDATE", "no")
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
            .env("RUST_BACKTRACE", "0")
            .current_dir(root().join("amt-sim"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .with_context(|| format!("{} cannot be started", self.program.display()))
    }
}

fn names(program: &Path) -> Result<BTreeSet<String>> {
    let output = Command::new(program)
        .args(["--list", "--format", "terse"])
        .output()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}
