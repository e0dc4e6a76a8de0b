use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;

use super::*;
use crate::device::{DialEnd, Event};
use crate::host::testing::amthi;
use crate::{ClientKind, Device, Preset, Profile};

const PATIENCE: Duration = Duration::from_secs(20);

/// A loopback address that no other test uses.
fn own_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    IpAddr::from([127, high ^ 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed)])
}

fn member(device: SharedDevice, address: Option<IpAddr>) -> Member {
    Member {
        device,
        side: Interface::Network,
        address,
        listens: true,
        dials: true,
    }
}

fn open_fleet(members: Vec<Member>, names: Names) -> Fleet {
    Fleet::open(members, names, Reach::Loopback).unwrap()
}

fn names(rules: &[String]) -> Names {
    rules
        .iter()
        .map(|rule| rule.parse::<crate::host::NameRule>().unwrap())
        .collect()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A device that says Hello as soon as it is started, to this port of whoever is found.
fn device(port: u16, settings: &[(&str, &str)], fault: Option<&str>) -> SharedDevice {
    let port = port.to_string();
    let mut profile = Profile::builtin("tiger-lake-15").unwrap();
    let usual = [
        ("timings.key_generation_ms", "0"),
        ("setup_server.port", &*port),
    ];
    for (key, value) in usual.iter().chain(settings) {
        profile = profile.with(key, value).unwrap();
    }
    let mut builder = Device::of(profile.into());
    if let Some(fault) = fault {
        builder = builder.fault(fault.parse().unwrap());
    }
    SharedDevice::new(builder.build().unwrap())
}

fn start(device: &SharedDevice) {
    device.with(None, |device| {
        amthi(device, 0x29);
    });
}

fn ends(device: &SharedDevice) -> Vec<DialEnd> {
    device.with(None, |device| {
        let ends = device.journal().filter_map(|entry| match &entry.event {
            Event::HelloEnded { end, .. } => Some(end.clone()),
            _ => None,
        });
        ends.collect()
    })
}

/// An SCA: every connection to the end, with how it ended.
fn hear(sca: &TcpListener) -> (Vec<u8>, bool) {
    let (mut peer, _) = sca.accept().unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    let whole = peer.read_to_end(&mut bytes).is_ok();
    (bytes, whole)
}

#[rstest]
#[case::usual(None, 1, true)]
#[case::split(Some("hello=split-100"), 1, true)]
#[case::reset(Some("hello=reset"), 1, false)]
#[case::duplicate(Some("hello=duplicate"), 2, true)]
#[case::late(Some("hello=delay-100"), 1, true)]
fn how_a_message_arrives(#[case] fault: Option<&str>, #[case] times: usize, #[case] fin: bool) {
    let sca = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = sca.local_addr().unwrap().port();
    let device = device(port, &[("setup_server.address", "127.0.0.1")], fault);
    let fleet = open_fleet(
        vec![member(device.clone(), Some(own_address()))],
        Names::default(),
    );
    start(&device);
    for _ in 0..times {
        let (bytes, whole) = hear(&sca);
        assert_eq!(bytes.len(), 25 + usize::from(bytes[24]) * 34);
        assert_eq!(whole, fin);
    }
    eventually("the device is told", || ends(&device).len() == times);
    fleet.stop().unwrap();
}

/// First nobody has the name, then nobody is at the address, then somebody takes it.
#[test]
fn the_next_name_has_its_turn_when_one_fails() {
    let sca = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = sca.local_addr().unwrap().port();
    let settings = [
        ("network.pki_dns_suffix", ""),
        ("network.dhcp_domain", "corp.example"),
    ];
    let device = device(port, &settings, None);
    let closed = own_address();
    let names = names(&[
        format!("provisionserver.corp.example={closed}"),
        "provisionserver.corp.example=127.0.0.1".to_owned(),
    ]);
    let fleet = open_fleet(vec![member(device.clone(), None)], names);
    start(&device);
    assert!(hear(&sca).1);
    eventually("the device is told", || !ends(&device).is_empty());
    let to = format!("127.0.0.1:{port}");
    assert_eq!(ends(&device), [DialEnd::Sent { to }]);
    fleet.stop().unwrap();
}

#[test]
fn a_name_that_nobody_knows_is_told() {
    let device = device(9971, &[], None);
    let fleet = open_fleet(vec![member(device.clone(), None)], Names::default());
    start(&device);
    eventually("the device is told", || !ends(&device).is_empty());
    let why = format!("{:?}", ends(&device));
    assert!(
        why.contains("ProvisionServer.corp.example") && why.contains("--resolve"),
        "{why}"
    );
    fleet.stop().unwrap();
}

/// Every device answers at its own address, and one that is not set up refuses while the others serve.
#[test]
fn each_device_has_its_own_ports() {
    let presets = [
        Preset::Admin,
        Preset::Factory,
        Preset::Admin,
        Preset::Client,
    ];
    let devices: Vec<_> = (1..)
        .zip(presets)
        .map(|(seed, preset)| {
            let device = Device::builder("tiger-lake-15").seed(seed).preset(preset);
            (SharedDevice::new(device.build().unwrap()), own_address())
        })
        .collect();
    let members = devices
        .iter()
        .map(|(device, address)| member(device.clone(), Some(*address)));
    let fleet = open_fleet(members.collect(), Names::default());
    let open = |address: &IpAddr| TcpStream::connect((*address, 16992)).is_ok();
    let found: Vec<bool> = devices.iter().map(|(_, address)| open(address)).collect();
    assert_eq!(found, [true, false, true, true]);
    // Unprovisioned over MEI by somebody else: that one's port closes, the others' stay.
    let (client, address) = &devices[3];
    client.with(None, |device| {
        let handle = device.mei_open().unwrap();
        device
            .mei_connect(handle, ClientKind::Amthi.guid())
            .unwrap();
        let request = [1, 1, 0, 0, 0x10, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0];
        device.mei_write(handle, &request).unwrap();
    });
    eventually("the port closes", || !open(address));
    assert!(open(&devices[0].1) && open(&devices[2].1));
    fleet.stop().unwrap();
    assert!(!open(&devices[0].1));
}
