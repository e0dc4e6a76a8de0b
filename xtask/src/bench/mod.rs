//! `cargo xtask bench`: ours against an anchor, both measured in one run, as a ratio with an aim.
//!
//! Ours and the anchor take turns, so that a machine that slows down slows both; the medians are compared.

mod find;
mod fleet;
mod harness;
mod inject;
mod mei;
mod server;
mod setup;
mod tls;
mod wsman;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use amt_sim::host::backend::{self, Backend};
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::workspace;

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Only measurements whose name contains this.
    name: Option<String>,
}

/// One line of the table. Less is better everywhere.
#[derive(Debug, Serialize)]
pub(crate) struct Measurement {
    /// What was measured, in dotted words.
    pub(crate) name: String,
    /// What ours is held against.
    pub(crate) anchor: &'static str,
    pub(crate) unit: &'static str,
    /// Medians.
    pub(crate) ours: f64,
    pub(crate) anchored: f64,
    /// Ours may be at most this many times the anchor.
    pub(crate) aim: f64,
}

impl Measurement {
    fn ratio(&self) -> f64 {
        self.ours / self.anchored
    }
}

/// Turns that ours and the anchor take.
const TURNS: usize = 7;

/// Runs both in turn and returns their medians.
pub(crate) fn in_turn(
    mut ours: impl FnMut() -> Result<f64>,
    mut anchor: impl FnMut() -> Result<f64>,
) -> Result<(f64, f64)> {
    // Caches and clocks settle in a turn that does not count.
    ours()?;
    anchor()?;
    let mut figures = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        figures.0.push(ours()?);
        figures.1.push(anchor()?);
    }
    Ok((median(figures.0), median(figures.1)))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The back ends that work on this machine, each with the name of its measurement, as far as that is wanted.
pub(crate) fn backends(
    work: &'static str,
    wanted: &impl Fn(&str) -> bool,
) -> impl Iterator<Item = (Backend, String)> {
    Backend::ALL
        .into_iter()
        .map(move |backend| (backend, format!("{work}.{backend}")))
        .filter(|(backend, name)| wanted(name) && backend::choose(Some(*backend)).is_ok())
}

/// Says why a measurement is not made; false, for whoever asked whether it can be.
pub(crate) fn skipped(name: &str, why: &str) -> bool {
    println!("{name:<28} skipped: {why}");
    false
}

/// An example of one of our packages, built for release: what is measured must not be a debug build's doing.
pub(crate) fn example(package: &str, name: &str) -> Result<PathBuf> {
    workspace::cargo(&[
        "build",
        "--release",
        "--quiet",
        "--package",
        package,
        "--example",
        name,
    ])?;
    Ok(workspace::target().join("release/examples").join(name))
}

/// Runs a program that prints one JSON object.
pub(crate) fn json_of<T: serde::de::DeserializeOwned>(command: &mut Command) -> Result<T> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| shown.clone())?;
    ensure!(
        output.status.success(),
        "{shown} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).with_context(|| {
        let printed = String::from_utf8_lossy(&output.stdout);
        format!("{shown} printed {printed:?}")
    })
}

pub(crate) fn bench(arguments: &BenchArguments) -> Result<ExitCode> {
    let programs = workspace::programs()?;
    let wanted = |name: &str| {
        arguments
            .name
            .as_ref()
            .is_none_or(|part| name.contains(part.as_str()))
    };
    let mut rows = Vec::new();
    println!(
        "{:<28} {:<34} {:>12} {:>12}  {:>6}  {:>5}",
        "work", "anchor", "ours", "anchor", "ratio", "aim"
    );
    let rounds = mei::measure(&programs, &wanted)
        .chain(wsman::measure(&programs, &wanted))
        .chain(setup::measure(&wanted))
        .chain(tls::measure(&programs, &wanted))
        .chain(fleet::measure(&programs, &wanted))
        .chain(harness::measure(&wanted))
        .chain(find::measure(&programs, &wanted))
        .chain(inject::measure(&programs, &wanted));
    for row in rounds {
        let row = row?;
        println!("{}", line(&row));
        rows.push(row);
    }
    let json = workspace::target().join("bench.json");
    let text = serde_json::to_string_pretty(&rows)?;
    fs::write(&json, text + "\n").with_context(|| json.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn line(row: &Measurement) -> String {
    format!(
        "{:<28} {:<34} {:>9.1} {unit} {:>9.1} {unit}  {:>5.2}x  {:>4.1}x{}",
        row.name,
        row.anchor,
        row.ours,
        row.anchored,
        row.ratio(),
        row.aim,
        if row.ratio() <= row.aim { "" } else { "  over" },
        unit = row.unit,
    )
}
