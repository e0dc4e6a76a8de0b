//! One whole activation into client control mode, by the reference application on its own wire.

use std::process::Command;

use anyhow::{Result, ensure};

use super::{Measurement, example, json_of};

const NAME: &str = "setup.ccm";

/// What it may take, in milliseconds: no scenario should be slow for it.
const GOAL: f64 = 20.0;

pub(crate) fn measure(wanted: &impl Fn(&str) -> bool) -> impl Iterator<Item = Result<Measurement>> {
    wanted(NAME).then(one).into_iter()
}

fn one() -> Result<Measurement> {
    /// It prints one JSON object.
    #[derive(serde::Deserialize)]
    struct Activations {
        times: usize,
        median_ms: f64,
    }
    let figures: Activations = json_of(&mut Command::new(example("conformance", "setup_ccm")?))?;
    ensure!(figures.times > 0, "nothing was measured");
    Ok(Measurement {
        name: NAME.to_owned(),
        anchor: "what it may take",
        unit: "ms",
        ours: figures.median_ms,
        anchored: GOAL,
        aim: 1.0,
    })
}
