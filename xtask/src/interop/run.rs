//! Running a program with a time limit and reading what it printed.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use amt_sim::host::backend::Backend;
use anyhow::{Context, Result, bail};

/// What a program printed and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A device for one run.
#[derive(Debug, Clone)]
pub(crate) struct Setting<'a> {
    pub(crate) backend: Backend,
    pub(crate) profile: &'a str,
    /// More arguments of `amt-sim run`.
    pub(crate) device: &'a [&'a str],
    /// Run everything as an ordinary user.
    pub(crate) unprivileged: bool,
    /// The program must end within.
    pub(crate) seconds: u32,
}

impl Setting<'_> {
    /// Enough for a program that asks a few questions.
    pub(crate) const SECONDS: u32 = 30;
}

/// `timeout` of coreutils answers so when the limit struck.
const TIMED_OUT: i32 = 124;
const KILLED: i32 = 137;

/// Runs a command that ends within this many seconds, or is killed with everything it started.
pub(crate) fn limited(
    seconds: u32,
    program: &OsStr,
    arguments: &[&OsStr],
    folder: &Path,
) -> Result<Output> {
    let output = Command::new("timeout")
        .arg("--kill-after=3")
        .arg(seconds.to_string())
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("timeout(1) could not be started")?;
    let output = Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    if matches!(output.code, Some(TIMED_OUT | KILLED)) {
        bail!(
            "did not end within {seconds} s; it printed:\n{}",
            output.shown()
        );
    }
    Ok(output)
}

/// Runs a program under `amt-sim run`.
pub(crate) fn under_device(
    amt_sim: &Path,
    setting: &Setting<'_>,
    program: &Path,
    arguments: &[&str],
    folder: &Path,
) -> Result<Output> {
    let backend = setting.backend.to_string();
    let mut words: Vec<&OsStr> = Vec::new();
    if setting.unprivileged {
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        words.extend(nobody.map(OsStr::new));
        words.push(amt_sim.as_os_str());
    }
    words.extend(
        [
            "run",
            "--quiet",
            "--backend",
            &backend,
            "--profile",
            setting.profile,
        ]
        .map(OsStr::new),
    );
    words.extend(setting.device.iter().map(OsStr::new));
    words.push(OsStr::new("--"));
    words.push(program.as_os_str());
    words.extend(arguments.iter().map(OsStr::new));
    let first = if setting.unprivileged {
        OsStr::new("setpriv")
    } else {
        amt_sim.as_os_str()
    };
    limited(setting.seconds, first, &words, folder)
}

impl Output {
    pub(crate) fn succeeded(self) -> Result<Self> {
        if self.code == Some(0) {
            return Ok(self);
        }
        bail!("exit code {:?}; it printed:\n{}", self.code, self.shown())
    }

    /// Every one of these lines must be printed, in this order, other lines between them or not.
    pub(crate) fn shows(&self, lines: &[String]) -> Result<()> {
        let mut printed = self.stdout.lines();
        for expected in lines {
            if !printed.any(|line| line.trim_end() == expected.as_str()) {
                bail!(
                    "expected this line:\n  {expected}\nactual output:\n{}",
                    self.shown()
                );
            }
        }
        Ok(())
    }

    /// The JSON object in the output. Some agents say something about the host's network before it.
    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        let start = self.stdout.find("{\n").or_else(|| self.stdout.find('{'));
        serde_json::from_str(&self.stdout[start.unwrap_or(0)..])
            .with_context(|| format!("not JSON; it printed:\n{}", self.shown()))
    }

    pub(crate) fn shown(&self) -> String {
        let text = format!("{}{}", self.stdout, self.stderr);
        let tail: Vec<&str> = text.lines().rev().take(25).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}
