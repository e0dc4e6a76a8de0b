//! MeshCentral as the server that a device calls: Hello, a TLS connection back, set-up without a login, and management.
//!
//! An agent's part is two AMTHI commands; they are ours, over the socket of `amt-sim serve`.

use std::ffi::OsStr;
use std::time::Duration;

use amt_sim::host::port::{MeiPort, SocketPort};
use amt_sim::{ClientKind, Mode};
use anyhow::{Context, Result, ensure};

use super::checks::Place;
use super::group::{HELLO_PORT, PASSWORD};
use super::server::Server;

pub(super) const TITLE: &str = "ACM over the network, by Hello and TLS client certificate";

/// MeshCentral deals with one device an address at a time.
const ADDRESS: &str = "127.0.0.77";

pub(super) fn run(place: &Place<'_>, server: &mut Server) -> Result<()> {
    let machine = place.machine("tiger-lake-15", 121, &server.root)?;
    let folder = place.folder.join("machine-121");
    let socket = folder.join("mei");
    server.hears_hello()?;
    server.settle();
    let mark = server.mark();
    let root = server.root.clone();
    let journal = folder.join("journal-0.jsonl");
    let sca = format!("127.0.0.1:{HELLO_PORT}");
    let mut words = vec![place.amt_sim.as_os_str()];
    words.extend(["serve", "--profile", "tiger-lake-15", "--seed", "121"].map(OsStr::new));
    words.extend(["--address", ADDRESS, "--time", "jump", "--sca", &sca].map(OsStr::new));
    words.extend([OsStr::new("--trust"), root.as_os_str()]);
    words.extend([OsStr::new("--journal"), journal.as_os_str()]);
    words.extend([OsStr::new("--mei-socket"), socket.as_os_str()]);
    let log = folder.join("serve.log");
    let mut device = server.namespace.start(&words, &[], &folder, &log)?;
    device.prints(0, &["ready:"], 10, None)?;
    start(&socket)?;
    let done = server.says(mark, &[" Done.\n"], 60, &mut device);
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
    Ok(())
}

/// What a local agent does: the one-time password, and the start.
fn start(socket: &std::path::Path) -> Result<()> {
    const SET_OTP: u8 = 0x2a;
    const START_EX: u8 = 0x62;
    let mut amthi = SocketPort::at(socket).connect(ClientKind::Amthi.guid())?;
    let steps: [(u8, &[u8]); 2] = [(SET_OTP, b"\x0c\0PassWord1234"), (START_EX, &[0; 4])];
    for (command, data) in steps {
        let length = u8::try_from(data.len())?;
        let mut message = vec![1, 1, 0, 0, command, 0, 0, 4, length, 0, 0, 0];
        message.extend(data);
        amthi.send(&message)?;
        let answer = amthi.receive(Duration::from_secs(5))?;
        ensure!(
            answer.get(12..16) == Some([0; 4].as_slice()),
            "command {command:#x}: expected status 0, actual {answer:02x?}"
        );
    }
    Ok(())
}

fn went_through(modes: &[Mode]) -> Result<()> {
    ensure!(
        modes == [Mode::SetupOutOfBand, Mode::Admin],
        "the journal's mode changes: expected set-up over the network and then admin, actual {modes:?}"
    );
    Ok(())
}
