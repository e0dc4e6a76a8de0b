//! `amt-sim serve --devices N`: many devices in one process, each with its own address, UUID, memory and life.
#![expect(clippy::unwrap_used, reason = "a broken promise is a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amt_sim::ClientKind;
use amt_sim::host::port::{MeiPort, SocketPort};

const PATIENCE: Duration = Duration::from_secs(20);

struct Served {
    child: Child,
    ready: serde_json::Value,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amt-sim"));
    command.args(["serve", "--json"]).args(arguments);
    command
}

fn serve(arguments: &[&str]) -> Served {
    let mut child = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready = serde_json::from_str(&line).unwrap();
    Served { child, ready }
}

/// 254 addresses of this test's own.
fn range(number: u8) -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{}.0/24", high ^ 0x20 ^ number, low)
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("amt-sim-fleet-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

fn addresses(served: &Served) -> Vec<IpAddr> {
    serde_json::from_value(served.ready["addresses"].clone()).unwrap()
}

#[test]
fn each_has_its_own_address_memory_and_journal() {
    let folder = folder("memory");
    let in_folder = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (states, journals, meis) = (in_folder("state"), in_folder("journal"), in_folder("mei"));
    let range = range(1);
    let arguments = [
        "--devices",
        "3",
        "--seed",
        "40",
        "--preset",
        "ccm",
        "--address",
        &range,
        "--state",
        &states,
        "--journal",
        &journals,
        "--mei-socket",
        &meis,
    ];
    let served = serve(&arguments);
    let open = |address: &IpAddr| TcpStream::connect((*address, 16992)).is_ok();
    let all = addresses(&served);
    assert!(all.len() == 3 && all.iter().all(open));
    let devices = served.ready["devices"].as_array().unwrap();
    let uuids: BTreeSet<_> = devices
        .iter()
        .map(|device| device["uuid"].to_string())
        .collect();
    assert_eq!(
        (uuids.len(), &devices[2]["seed"]),
        (3, &serde_json::json!(42))
    );

    // The second one leaves client control mode through its own MEI socket: its port closes, the others' stay.
    let socket = devices[1]["mei_socket"].as_str().unwrap();
    let mut amthi = SocketPort::at(socket)
        .connect(ClientKind::Amthi.guid())
        .unwrap();
    amthi
        .send(&[1, 1, 0, 0, 0x10, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0])
        .unwrap();
    assert_eq!(amthi.receive(PATIENCE).unwrap()[12..16], [0; 4]);
    while open(&all[1]) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(open(&all[0]) && open(&all[2]));

    let refused = command(&arguments).output().unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && why.contains("another process"),
        "{why}"
    );
    drop(served);
    for seed in 40..43 {
        assert!(
            folder
                .join(format!("journal/seed-{seed}.jsonl"))
                .metadata()
                .unwrap()
                .len()
                > 0
        );
    }
    let again = serve(&[
        "--devices",
        "3",
        "--seed",
        "40",
        "--address",
        &range,
        "--state",
        &states,
    ]);
    let found: Vec<bool> = addresses(&again).iter().map(open).collect();
    assert_eq!(found, [true, false, true]);
    fs::remove_dir_all(folder).unwrap();
}

/// Without an agent: every device finds the SCA by its well-known name and says who it is, from its own address.
#[test]
fn all_say_hello() {
    const DEVICES: usize = 40;
    let sca = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("setup_server.port={}", sca.local_addr().unwrap().port());
    let served = serve(&[
        "--devices",
        &DEVICES.to_string(),
        "--address",
        &range(2),
        "--set",
        "capabilities.bare_metal=true",
        "--set",
        "timings.key_generation_ms=0",
        "--set",
        &port,
        "--resolve",
        "provisionserver.corp.example=127.0.0.1",
    ]);
    let mut heard = BTreeSet::new();
    for _ in 0..DEVICES {
        let (mut peer, from) = sca.accept().unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes[..8], [1, 0, 3, 0, 0, 0, 0, 0]);
        heard.insert((from.ip(), bytes[8..24].to_vec()));
    }
    let from: BTreeSet<IpAddr> = heard.iter().map(|(from, _)| *from).collect();
    let uuids: BTreeSet<_> = heard.iter().map(|(_, uuid)| uuid).collect();
    let all = addresses(&served).into_iter().collect();
    assert_eq!((&from, uuids.len()), (&all, DEVICES));
    // Each waits for the SCA where it said Hello from.
    assert!(
        all.iter()
            .all(|address| TcpStream::connect((*address, 16993)).is_ok())
    );
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let refusal = |arguments: &[&str]| {
        let output = command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let few = refusal(&["--devices", "300", "--address", &range(3)]);
    assert!(few.contains("254 addresses for 300 devices"), "{few}");
    let many = refusal(&["--devices", "300", "--mei-socket", "/nowhere"]);
    assert!(many.contains("256"), "{many}");
    let outside = refusal(&["--devices", "2", "--address", "192.0.2.1"]);
    assert!(outside.contains("no loopback address"), "{outside}");
}
