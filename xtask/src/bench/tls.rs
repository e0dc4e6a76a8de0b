//! A TLS handshake with a client certificate, and the first answer over it: a device in set-up over the network against
//! `openssl s_server`, with the same client, the same client's chain, RSA keys of 2048 bits and an answer as long.
//!
//! Measured is the time that the server is on a processor, so that the client's share does not count, nor anybody
//! else's who keeps the machine busy.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use amt_sim::pki::{ProvisioningIdentity, pem};
use anyhow::{Context, Result, ensure};

use super::server::Server;
use super::{Measurement, example, in_turn, json_of, skipped};
use crate::workspace::{self, Programs};

const NAME: &str = "tls.first-answer";

/// Connections that one turn averages over.
const TIMES: &str = "200";

/// A generation that shows a self-signed certificate, as openssl does here.
const PROFILE: &str = "cannon-lake-12";

pub(crate) fn measure<'a>(
    programs: &'a Programs,
    wanted: &'a impl Fn(&str) -> bool,
) -> impl Iterator<Item = Result<Measurement>> + 'a {
    let there = || {
        let mut openssl = Command::new("openssl");
        let ran = openssl.arg("version").stdout(Stdio::null()).status();
        ran.is_ok_and(|status| status.success()) || skipped(NAME, "there is no openssl")
    };
    let asked = wanted(NAME) && there();
    asked.then(|| one(programs)).into_iter()
}

#[derive(serde::Deserialize)]
struct Answers {
    times: f64,
    bytes: usize,
    version: String,
}

fn one(programs: &Programs) -> Result<Measurement> {
    let client = example("xtask", "tls_first_answer")?;
    let folder = workspace::target().join("bench-tls");
    fs::create_dir_all(&folder)?;
    let identity = ProvisioningIdentity::for_name("sca.corp.example")?;
    let root = identity.chain.last().context("a chain without a root")?;
    fs::write(folder.join("root.pem"), pem("CERTIFICATE", root))?;
    let leaf = identity.chain.first().context("a chain without a leaf")?;
    fs::write(folder.join("leaf.pem"), pem("CERTIFICATE", leaf))?;
    fs::write(folder.join("key.pem"), pem("PRIVATE KEY", &identity.key))?;

    // An address of this run's own: the device's port is always the same.
    let address = format!("127.0.1.{}", 20 + std::process::id() % 200);
    let mut device = Command::new(&programs.amt_sim);
    device
        .args(["serve", "--profile", PROFILE, "--address", &address])
        .args(["--set", "capabilities.bare_metal=true"])
        .args(["--set", "timings.key_generation_ms=0", "--trust"])
        .arg(folder.join("root.pem"));
    let (device, _) = Server::start(&mut device)?;
    let at_device = format!("{address}:16993");
    wait_for(&at_device)?;
    let first = ask(&client, "device", &at_device, "1")?;
    fs::write(
        folder.join("answer"),
        "x".repeat(first.bytes.saturating_sub(45)),
    )?;
    let (openssl, at_openssl) = openssl(&folder)?;
    let other = ask(&client, "openssl", &at_openssl, "1")?;
    ensure!(
        first.version == other.version && first.bytes.abs_diff(other.bytes) < 64,
        "not the same work: {} bytes over {}, and {} over {}",
        first.bytes,
        first.version,
        other.bytes,
        other.version
    );
    let (ours, anchored) = in_turn(
        || each(&client, "device", &at_device, &device),
        || each(&client, "openssl", &at_openssl, &openssl),
    )?;
    Ok(Measurement {
        name: NAME.to_owned(),
        anchor: "openssl s_server, time on a core",
        unit: "us",
        ours,
        anchored,
        aim: 1.0,
    })
}

/// Microseconds that a connection costs the server.
fn each(client: &Path, whom: &str, address: &str, server: &Server) -> Result<f64> {
    let before = server.processor_time()?;
    let times = ask(client, whom, address, TIMES)?.times;
    Ok((server.processor_time()? - before) / times / 1000.0)
}

fn ask(client: &Path, whom: &str, address: &str, times: &str) -> Result<Answers> {
    json_of(Command::new(client).args([whom, address, times]))
}

fn openssl(folder: &Path) -> Result<(Server, String)> {
    // Given back at once: openssl has no way to say which port it was given.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut command = Command::new("openssl");
    command
        .args(["s_server", "-accept", &address, "-WWW", "-quiet"])
        .args(["-cert", "leaf.pem", "-key", "key.pem"])
        .args(["-CAfile", "root.pem", "-Verify", "4"])
        // Set-up certificates are for servers.
        .args([
            "-purpose",
            "any",
            "-verify_return_error",
            "-num_tickets",
            "0",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = Server::spawn(&mut command)?;
    wait_for(&address)?;
    Ok((server, address))
}

fn wait_for(address: &str) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        ensure!(Instant::now() < until, "nobody listens at {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
