use std::time::{Duration, Instant};

use rstest::rstest;

use super::*;
use crate::host::SharedDevice;
use crate::host::socket::{MeiSocket, tests::Scratch};
use crate::{ClientKind, Device};

const PATIENCE: Duration = Duration::from_secs(5);
const GET_UUID: [u8; 12] = [1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0];

/// The same device behind each port that needs no node.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Process,
    Socket,
}

struct Rig {
    port: Box<dyn MeiPort>,
    device: SharedDevice,
    _socket: Option<(MeiSocket, Scratch)>,
}

fn rig(kind: Kind) -> Rig {
    let device = SharedDevice::new(Device::builder("tiger-lake-15").build().unwrap());
    match kind {
        Kind::Process => Rig {
            port: Box::new(DevicePort::new(device.clone())),
            device,
            _socket: None,
        },
        Kind::Socket => {
            let scratch = Scratch::new();
            let socket = MeiSocket::open(scratch.path("mei"), &device).unwrap();
            Rig {
                port: Box::new(SocketPort::at(socket.path())),
                device,
                _socket: Some((socket, scratch)),
            }
        }
    }
}

/// A socket's server hears of a close a moment later, so whoever needs the place tries again, as agents do.
fn connect(port: &dyn MeiPort, client: ClientKind) -> Box<dyn MeiChannel> {
    let started = Instant::now();
    loop {
        match port.connect(client.guid()) {
            Ok(channel) => return channel,
            Err(error) if started.elapsed() > PATIENCE => panic!("{error}"),
            Err(error) if error.is(Errno::Ebusy) || error.is(Errno::Enodev) => {
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[rstest]
#[case(Kind::Process)]
#[case(Kind::Socket)]
fn messages_are_exchanged_in_order(#[case] kind: Kind) {
    let rig = rig(kind);
    let mut amthi = connect(&*rig.port, ClientKind::Amthi);
    assert_eq!(amthi.properties().max_message, 5120);
    assert_eq!(amthi.properties().protocol_version, 1);
    for operation in [0x5c, 0x11, 0x5c] {
        let mut request = GET_UUID;
        request[4] = operation;
        amthi.send(&request).unwrap();
    }
    for operation in [0x5c, 0x11, 0x5c] {
        let answer = amthi.receive(PATIENCE).unwrap();
        assert_eq!(answer[..2], [1, 1]);
        assert_eq!(answer[4], operation);
    }
    let none = amthi.receive(Duration::from_millis(2)).unwrap_err();
    assert!(matches!(none, PortError::Timeout(_)), "{none}");
}

#[rstest]
#[case(Kind::Process)]
#[case(Kind::Socket)]
fn refusals_carry_the_errno_of_the_device(#[case] kind: Kind) {
    let rig = rig(kind);
    let nobody = rig.port.connect(Guid::from_wire([7; 16])).unwrap_err();
    assert!(nobody.is(Errno::Enotty), "{nobody}");

    let held = connect(&*rig.port, ClientKind::Lme);
    let second = rig.port.connect(ClientKind::Lme.guid()).unwrap_err();
    assert!(second.is(Errno::Ebusy), "{second}");
    assert!(matches!(second, PortError::Connect { .. }));
    drop(held);
    connect(&*rig.port, ClientKind::Lme);

    let mut amthi = connect(&*rig.port, ClientKind::Amthi);
    let long = amthi.send(&[0; 5121]).unwrap_err();
    assert!(long.is(Errno::Efbig), "{long}");
    amthi.send(&GET_UUID).unwrap();
    amthi.receive(PATIENCE).unwrap();
}

#[rstest]
#[case(Kind::Process)]
#[case(Kind::Socket)]
fn a_reset_ends_a_channel_that_waits(#[case] kind: Kind) {
    let rig = rig(kind);
    let mut amthi = connect(&*rig.port, ClientKind::Amthi);
    let device = rig.device.clone();
    let other = std::thread::spawn(move || device.with(None, |device| device.mei_reset("test")));
    let error = amthi.receive(PATIENCE).unwrap_err();
    other.join().unwrap();
    assert!(error.is(Errno::Enodev), "{error}");
    let error = amthi.receive(PATIENCE).unwrap_err();
    assert!(error.is(Errno::Enodev), "{error}");
    let error = amthi.send(&GET_UUID).unwrap_err();
    assert!(error.is(Errno::Enodev), "{error}");
    // The link comes back by itself.
    let mut again = connect(&*rig.port, ClientKind::Amthi);
    again.send(&GET_UUID).unwrap();
    again.receive(PATIENCE).unwrap();
}

#[test]
fn a_node_that_is_no_device_says_so() {
    let missing = NodePort::at("/nonexistent/mei0");
    let error = missing.connect(ClientKind::Amthi.guid()).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENOENT));
    assert_eq!(
        error.to_string(),
        "cannot open /nonexistent/mei0: No such file or directory (os error 2)"
    );
    let null = NodePort::at("/dev/null");
    let error = null.connect(ClientKind::Amthi.guid()).unwrap_err();
    assert!(error.is(Errno::Enotty), "{error}");
}
