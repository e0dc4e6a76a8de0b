//! MeshCentral as the server that a device calls: Hello, a TLS connection back, set-up without a login, and management.
//!
//! An agent's part is two AMTHI commands; they are ours, over the socket of `amt-sim serve`.

use std::ffi::OsStr;

use amt_sim::Mode;
use anyhow::{Context, Result, ensure};

use super::agent::Machine;
use super::checks::Place;
use super::group::{HELLO_PORT, PASSWORD};
use super::namespace::Program;
use super::server::Server;
use crate::interop::in_setup;

/// One device that calls. MeshCentral deals with one device an address at a time, and goes on asking for those that
/// it knows.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) title: &'static str,
    address: &'static str,
    seed: u64,
    time: &'static str,
}

pub(super) const VISITS: &[Visit] = &[
    Visit {
        title: "ACM over the network, by Hello and TLS client certificate",
        address: "127.0.0.77",
        seed: 121,
        time: "jump",
    },
    Visit {
        title: "the same, the key made in hundredfold time",
        address: "127.0.0.78",
        seed: 122,
        time: "scaled:100",
    },
];

/// For a server that the call ends.
pub(super) const UNREPAIRED: Visit = Visit {
    title: "",
    address: "127.0.0.79",
    seed: 141,
    time: "jump",
};

const PROFILE: &str = "tiger-lake-15";

/// A device that calls the server, started and told to go.
pub(super) fn call<'a>(
    place: &Place<'a>,
    server: &mut Server,
    visit: &Visit,
) -> Result<(Machine<'a>, Program)> {
    let machine = place.machine(PROFILE, visit.seed, &server.root)?;
    let folder = machine.folder();
    let socket = folder.join("mei");
    server.hears_hello()?;
    server.settle();
    let seed = visit.seed.to_string();
    let root = server.root.clone();
    let (journal, state) = (folder.join("journal-0.jsonl"), folder.join("state.json"));
    let sca = format!("127.0.0.1:{HELLO_PORT}");
    let mut words = vec![place.amt_sim.as_os_str()];
    words.extend(["serve", "--profile", PROFILE, "--seed", &seed].map(OsStr::new));
    words.extend(["--address", visit.address, "--sca", &sca].map(OsStr::new));
    words.extend(["--time", visit.time].map(OsStr::new));
    words.extend([OsStr::new("--trust"), root.as_os_str()]);
    words.extend([OsStr::new("--state"), state.as_os_str()]);
    words.extend([OsStr::new("--journal"), journal.as_os_str()]);
    words.extend([OsStr::new("--mei-socket"), socket.as_os_str()]);
    let log = folder.join("serve.log");
    let mut device = server.namespace.start(&words, &[], folder, &log)?;
    device.prints(0, &["ready:"], 30, None)?;
    in_setup::start(&socket)?;
    Ok((machine, device))
}

pub(super) fn run(place: &Place<'_>, server: &mut Server, visit: &Visit) -> Result<()> {
    server.settle();
    let mark = server.mark();
    let (mut machine, mut device) = call(place, server, visit)?;
    let done = server.says(mark, &[" Done.\n"], 90, &mut device);
    done.with_context(|| {
        format!(
            "the server's story:\n{}\nthe device's:\n{}",
            server.story(mark),
            device.tail()
        )
    })?;
    went_through(&machine.mode_changes()?)?;
    let logged = server.activation(&machine.uuid()?, "")?;
    ensure!(
        logged["action"] == "acmactivate-bare-metal" && logged["pass"] == PASSWORD,
        "amtactivation.log: expected action \"acmactivate-bare-metal\", actual {logged}"
    );
    drop(device);
    let namespace = server.namespace.clone();
    machine.is_in(
        &namespace,
        place.meshcmd,
        "activated in Admin Control Mode (ACM)",
    )
}

fn went_through(modes: &[Mode]) -> Result<()> {
    ensure!(
        modes == [Mode::SetupOutOfBand, Mode::Admin],
        "the journal's mode changes: expected set-up over the network and then admin, actual {modes:?}"
    );
    Ok(())
}
