//! A program that is measured while it serves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// It serves until this is dropped.
pub(super) struct Server(Child);

impl Server {
    pub(super) fn spawn(command: &mut Command) -> Result<Self> {
        let shown = command.get_program().to_string_lossy().into_owned();
        command.spawn().map(Self).context(shown)
    }

    /// Starts it, and waits for its first line.
    pub(super) fn start(command: &mut Command) -> Result<(Self, String)> {
        let shown = command.get_program().to_string_lossy().into_owned();
        let mut server = Self::spawn(command.stdout(Stdio::piped()))?;
        let output = server.0.stdout.take();
        let mut line = String::new();
        BufReader::new(output.context("no output")?).read_line(&mut line)?;
        ensure!(!line.is_empty(), "{shown} did not start");
        Ok((server, line.trim_end().to_owned()))
    }

    /// Nanoseconds that its threads have been on a processor.
    pub(super) fn processor_time(&self) -> Result<f64> {
        let mut sum = 0.0;
        let tasks = format!("/proc/{}/task", self.0.id());
        for task in fs::read_dir(&tasks).context(tasks)? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split_whitespace().next().unwrap_or_default();
            sum += first.parse::<f64>().context("schedstat")?;
        }
        Ok(sum)
    }

    /// KiB of memory that it has now.
    pub(super) fn memory(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.0.id());
        let text = fs::read_to_string(&path).context(path)?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no VmRSS")?.parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
