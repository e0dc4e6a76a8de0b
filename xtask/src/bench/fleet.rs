//! Many devices in one process: how fast they say Hello, and what an idle one costs.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use amt_sim::host::limits;
use anyhow::{Context, Result, ensure};

use super::server::Server;
use super::{Measurement, in_turn, skipped};
use crate::workspace::Programs;

const HELLO: &str = "hello.1000-devices";
const DEVICES: usize = 1000;

/// KiB that an idle device may take.
const GOAL: f64 = 16.0;

/// Nobody waits longer for the next Hello.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn measure<'a>(
    programs: &'a Programs,
    wanted: &'a impl Fn(&str) -> bool,
) -> impl Iterator<Item = Result<Measurement>> + 'a {
    let hello = wanted(HELLO).then(|| hellos(programs));
    let idle = [1_000, 10_000]
        .map(|count| (count, format!("memory.{count}-idle-devices")))
        .into_iter()
        .filter(|(count, name)| {
            let room = || match limits::make_room(*count, 0) {
                Ok(Ok(_)) => true,
                Ok(Err(few)) => skipped(name, &few.to_string()),
                Err(error) => skipped(name, &error.to_string()),
            };
            wanted(name) && room()
        })
        .map(|(count, name)| memory(programs, count, name));
    hello.into_iter().chain(idle)
}

/// From the first message to the last, by whom they are sent to: devices that say Hello when they are switched on,
/// against connections that one thread makes, with as many bytes, one after the other.
fn hellos(programs: &Programs) -> Result<Measurement> {
    let sca = TcpListener::bind("127.0.0.1:0")?;
    let to = sca.local_addr()?;
    let (ours, anchored) = in_turn(
        || {
            let mut command = Command::new(&programs.amt_sim);
            command
                .args(["serve", "--devices", &DEVICES.to_string()])
                .args(["--address", "127.77.0.0/16", "--sca", &to.to_string()])
                .args(["--set", "capabilities.bare_metal=true"])
                .args(["--set", "timings.key_generation_ms=0"])
                // Each says it once.
                .args(["--set", "setup_server.most_hellos=1"])
                .stdout(std::process::Stdio::null());
            let _devices = Server::spawn(&mut command)?;
            hear(&sca)
        },
        || {
            let sender = std::thread::spawn(move || send(to));
            let heard = hear(&sca)?;
            let sent = sender.join().ok().context("the sender panicked")?;
            sent?;
            Ok(heard)
        },
    )?;
    Ok(Measurement {
        name: HELLO.to_owned(),
        anchor: "bare connections from one thread",
        unit: "us",
        ours,
        anchored,
        aim: 2.0,
    })
}

/// Microseconds a message.
fn hear(sca: &TcpListener) -> Result<f64> {
    let mut started = None;
    let mut bytes = Vec::new();
    for _ in 0..DEVICES {
        let (mut peer, _) = sca.accept()?;
        started.get_or_insert_with(Instant::now);
        peer.set_read_timeout(Some(PATIENCE))?;
        bytes.clear();
        peer.read_to_end(&mut bytes)?;
        ensure!(bytes.len() > 24, "a Hello of {} bytes", bytes.len());
    }
    let took = started.context("nobody came")?.elapsed();
    Ok(took.as_secs_f64() * 1e6 / DEVICES as f64)
}

fn send(to: SocketAddr) -> Result<()> {
    // As long as a message with 23 hashes.
    let bytes = [1; 807];
    for _ in 0..DEVICES {
        let mut peer = TcpStream::connect(to)?;
        peer.write_all(&bytes)?;
        peer.shutdown(Shutdown::Write)?;
        // Until the other side has closed too, as the devices wait for it.
        peer.read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

/// What each of so many devices adds to a process with one.
fn memory(programs: &Programs, count: u64, name: String) -> Result<Measurement> {
    let of = |count: u64| {
        let mut command = Command::new(&programs.amt_sim);
        command
            .args(["serve", "--preset", "acm", "--address", "127.78.0.0/16"])
            .args(["--devices", &count.to_string()]);
        Server::start(&mut command)?.0.memory()
    };
    let ours = (of(count)? - of(1)?) / (count - 1) as f64;
    Ok(Measurement {
        name,
        anchor: "what it may take",
        unit: "KiB",
        ours,
        anchored: GOAL,
        aim: 1.0,
    })
}
