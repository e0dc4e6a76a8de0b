//! A program that never touches MEI: what the shim costs it.

use std::process::{Command, Stdio};
use std::time::Instant;

use amt_sim::host::backend::Backend;
use anyhow::{Context, Result, ensure};

use super::{Measurement, backends, in_turn};
use crate::workspace::Programs;

pub(crate) fn measure<'a>(
    programs: &'a Programs,
    wanted: &'a impl Fn(&str) -> bool,
) -> impl Iterator<Item = Result<Measurement>> + 'a {
    backends("find", wanted).map(|(backend, name)| one(programs, backend, name))
}

fn one(programs: &Programs, backend: Backend, name: String) -> Result<Measurement> {
    let (ours, anchored) = in_turn(
        || {
            let mut command = Command::new(&programs.amt_sim);
            command
                .args(["run", "--quiet", "--backend"])
                .arg(backend.to_string())
                .args(["--", "find"])
                .args(WHAT);
            milliseconds(command)
        },
        || {
            let mut command = Command::new("find");
            command.args(WHAT);
            milliseconds(command)
        },
    )?;
    Ok(Measurement {
        name,
        anchor: "the same find without amt-sim",
        unit: "ms",
        ours,
        anchored,
        aim: 1.2,
    })
}

const WHAT: [&str; 3] = ["/usr", "-type", "f"];

fn milliseconds(mut command: Command) -> Result<f64> {
    let started = Instant::now();
    let status = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("find could not be started")?;
    ensure!(status.success(), "find failed: {status}");
    Ok(started.elapsed().as_secs_f64() * 1000.0)
}
