//! `conformance demo`.

use std::io::{self, IsTerminal};
use std::time::Duration;

use amt_sim::Profile;

use super::{Console, DemoArgs, Stop};
use crate::demo::{Demo, DemoError};
use crate::run::Plan;

/// Milliseconds that a reader needs for a line.
const READABLE: u64 = 80;

pub(super) fn demo(args: &DemoArgs, console: &mut Console) -> Result<u8, Stop> {
    let profile =
        Profile::builtin(&args.profile).map_err(|error| Stop::Wrong(error.to_string()))?;
    // Nobody watches a file being written.
    let watched = io::stdout().is_terminal();
    let pace = args.pace.unwrap_or(if watched { READABLE } else { 0 });
    let demo = Demo {
        profile,
        seed: args.seed.unwrap_or(Plan::SEED),
        misbehaviour: args.misbehave,
        pace: Duration::from_millis(pace),
        width: columns(),
        colour: console.colour,
    };
    match demo.play(&mut console.out) {
        Ok(good) => Ok(u8::from(!good)),
        Err(DemoError::Output(error)) => Err(Stop::Output(error)),
        Err(error) => Err(Stop::Wrong(error.to_string())),
    }
}

/// What the shell says of the terminal's width; a usual one otherwise.
fn columns() -> usize {
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|text| text.parse().ok());
    told.unwrap_or(100).clamp(72, 160)
}
