//! One message there and back: through each back end, against a bare socket pair between two processes.

use std::process::Command;

use amt_sim::host::backend::Backend;
use anyhow::Result;

use super::{Measurement, backends, example, in_turn, json_of};
use crate::workspace::Programs;

/// Round trips that one turn averages over.
const TRIPS: &str = "5000";

pub(crate) fn measure<'a>(
    programs: &'a Programs,
    wanted: &'a impl Fn(&str) -> bool,
) -> impl Iterator<Item = Result<Measurement>> + 'a {
    backends("mei.round-trip", wanted).map(|(backend, name)| one(programs, backend, name))
}

fn one(programs: &Programs, backend: Backend, name: String) -> Result<Measurement> {
    // The program that makes the trips.
    let traveller = example("amt-sim", "mei_roundtrip")?;
    let (ours, anchored) = in_turn(
        || {
            let mut command = Command::new(&programs.amt_sim);
            command
                .args([
                    "run",
                    "--quiet",
                    "--set",
                    "timings.mei_reply_ms=0",
                    "--backend",
                ])
                .arg(backend.to_string())
                .arg("--")
                .arg(&traveller)
                .args(["device", TRIPS]);
            microseconds(command)
        },
        || {
            let mut command = Command::new(&traveller);
            command.args(["sockets", TRIPS]);
            microseconds(command)
        },
    )?;
    Ok(Measurement {
        name,
        anchor: "socket pair between two processes",
        unit: "us",
        ours,
        anchored,
        aim: 1.5,
    })
}

/// It prints one JSON object.
#[derive(serde::Deserialize)]
struct Trips {
    median_ns: f64,
}

fn microseconds(mut command: Command) -> Result<f64> {
    let trips: Trips = json_of(&mut command)?;
    Ok(trips.median_ns / 1000.0)
}
