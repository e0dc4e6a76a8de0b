//! What replacing a root in a program costs: `rpc version`, which does nothing else. Needs an `rpc` on PATH.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use amt_sim::host::backend::Backend;
use anyhow::{Context, Result, ensure};

use super::{Measurement, in_turn};
use crate::interop::on_path;
use crate::workspace::Programs;

pub(crate) fn measure<'a>(
    programs: &'a Programs,
    wanted: &'a impl Fn(&str) -> bool,
) -> impl Iterator<Item = Result<Measurement>> + 'a {
    let rpc: Option<PathBuf> = on_path("rpc");
    Backend::ALL
        .into_iter()
        .filter(|backend| amt_sim::host::backend::choose(Some(*backend)).is_ok())
        .map(|backend| (backend, format!("inject.{backend}")))
        .filter(|(_, name)| wanted(name))
        .filter_map(move |(backend, name)| {
            let rpc = rpc.as_deref()?;
            Some(one(programs, rpc, backend, name))
        })
}

fn one(programs: &Programs, rpc: &Path, backend: Backend, name: String) -> Result<Measurement> {
    let (ours, anchored) = in_turn(
        || milliseconds(programs, rpc, backend, &["--inject-odca-root"]),
        || milliseconds(programs, rpc, backend, &[]),
    )?;
    Ok(Measurement {
        name,
        anchor: "the same without injection",
        unit: "ms",
        ours,
        anchored,
        aim: 3.0,
    })
}

/// Twenty runs, one after the other: one alone is too short to be measured.
fn milliseconds(programs: &Programs, rpc: &Path, backend: Backend, more: &[&str]) -> Result<f64> {
    const RUNS: u32 = 20;
    let started = Instant::now();
    for _ in 0..RUNS {
        let status = Command::new(&programs.amt_sim)
            .args(["run", "--quiet", "--backend"])
            .arg(backend.to_string())
            .args(more)
            .arg("--")
            .arg(rpc)
            .arg("version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("amt-sim could not be started")?;
        ensure!(status.success(), "rpc version failed: {status}");
    }
    Ok(started.elapsed().as_secs_f64() * 1000.0 / f64::from(RUNS))
}
