//! One request for a class over a connection that is kept: the device against hyper with nothing behind it.
//!
//! One client asks both, with the same request, and the answers are equally long.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::server::Server;
use super::{Measurement, example, in_turn, json_of};
use crate::workspace::Programs;

const NAME: &str = "wsman.get";
const PASSWORD: &str = "P@ssw0rd1";
/// Requests that one turn takes the median of.
const REQUESTS: &str = "3000";

pub(crate) fn measure<'a>(
    programs: &'a Programs,
    wanted: &'a impl Fn(&str) -> bool,
) -> impl Iterator<Item = Result<Measurement>> + 'a {
    wanted(NAME).then(|| one(programs)).into_iter()
}

/// What the client prints: one JSON object.
#[derive(serde::Deserialize)]
struct Asked {
    median_ns: f64,
    bytes: usize,
}

fn one(programs: &Programs) -> Result<Measurement> {
    let client = example("xtask", "wsman_get")?;
    // An address of this run's own: the device's port is always the same.
    let address = format!("127.0.0.{}", 20 + std::process::id() % 200);
    let mut device = Command::new(&programs.amt_sim);
    device.args(["serve", "--preset", "acm", "--admin-password", PASSWORD]);
    device.args(["--address", &address]);
    let (_device, _) = Server::start(&mut device)?;
    let device = format!("{address}:16992");
    let bytes = ask(&client, &device)?.bytes;
    let mut hyper = Command::new(&client);
    let (_hyper, hyper) = Server::start(hyper.args(["answer", &bytes.to_string()]))?;
    let length = ask(&client, &hyper)?.bytes;
    ensure!(
        length.abs_diff(bytes) <= 8,
        "hyper answers {length} bytes where the device answers {bytes}"
    );
    let (ours, anchored) = in_turn(
        || Ok(ask(&client, &device)?.median_ns / 1000.0),
        || Ok(ask(&client, &hyper)?.median_ns / 1000.0),
    )?;
    Ok(Measurement {
        name: NAME.to_owned(),
        anchor: "hyper with an answer as long",
        unit: "us",
        ours,
        anchored,
        aim: 2.0,
    })
}

fn ask(client: &Path, address: &str) -> Result<Asked> {
    json_of(Command::new(client).args(["ask", address, PASSWORD, REQUESTS]))
}
