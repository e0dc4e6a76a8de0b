use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rstest::rstest;

use super::server::Server;
use super::wire::{EPROTO, EPROTONOSUPPORT, Failed, Frame, Hello, Reply};
use super::*;
use crate::host::poll::poll;
use crate::host::sys;
use crate::{ClientKind, ClientProperties, Device, Errno};

const PATIENCE: Duration = Duration::from_secs(10);

/// A folder that goes away again.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("amt-sim-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A client that knows packets only.
struct Raw(OwnedFd);

impl Raw {
    fn to(socket: &MeiSocket) -> Self {
        Self(seqpacket::connect(socket.path()).unwrap())
    }

    fn greeted(socket: &MeiSocket, client: ClientKind) -> (Self, Result<ClientProperties, u16>) {
        let raw = Self::to(socket);
        let hello = Hello {
            client: client.guid(),
        };
        assert!(raw.send(&hello.to_wire()));
        let reply = Reply::from_wire(&raw.receive().unwrap()).unwrap();
        (raw, reply.outcome)
    }

    /// False when there is no room for the packet now.
    fn send(&self, packet: &[u8]) -> bool {
        match seqpacket::send(self.0.as_fd(), packet) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next packet, or `None` at the end of the connection.
    fn receive(&self) -> Option<Vec<u8>> {
        let shown = poll(&[(self.0.as_fd(), libc::POLLIN)], Some(PATIENCE)).unwrap();
        assert_ne!(shown, [0], "nothing came");
        let mut packet = vec![0; 10_000];
        match seqpacket::receive(self.0.as_fd(), &mut packet) {
            Ok(0) => None,
            Ok(length) => {
                packet.truncate(length);
                Some(packet)
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn device() -> SharedDevice {
    SharedDevice::new(Device::builder("tiger-lake-15").build().unwrap())
}

fn message(operation: u8) -> Vec<u8> {
    vec![0, 1, 1, 0, 0, operation, 0, 0, 4, 0, 0, 0, 0]
}

#[test]
fn the_file_is_the_owners_alone_and_goes_away() {
    let scratch = Scratch::new();
    let path = scratch.path("mei");
    let socket = MeiSocket::open(&path, &device()).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    socket.stop().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_file_that_came_in_its_place_is_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.path("mei");
    let socket = MeiSocket::open(&path, &device()).unwrap();
    fs::rename(&path, scratch.path("moved")).unwrap();
    fs::write(&path, "precious").unwrap();
    socket.stop().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_socket_of_a_dead_program_is_replaced() {
    let scratch = Scratch::new();
    let path = scratch.path("mei");
    drop(seqpacket::listen(&path).unwrap());
    assert!(path.exists());
    let socket = MeiSocket::open(&path, &device()).unwrap();
    let (_raw, outcome) = Raw::greeted(&socket, ClientKind::Amthi);
    assert!(outcome.is_ok());

    let stream = scratch.path("stream");
    drop(UnixListener::bind(&stream).unwrap());
    MeiSocket::open(&stream, &device()).unwrap();
}

#[test]
fn what_lives_at_the_path_is_not_replaced() {
    let scratch = Scratch::new();
    let path = scratch.path("mei");
    let _first = MeiSocket::open(&path, &device()).unwrap();
    let second = MeiSocket::open(&path, &device()).unwrap_err();
    assert!(matches!(second, SocketError::InUse(_)), "{second}");

    let stream = scratch.path("stream");
    let _other = UnixListener::bind(&stream).unwrap();
    let refused = MeiSocket::open(&stream, &device()).unwrap_err();
    assert!(matches!(refused, SocketError::InUse(_)), "{refused}");

    let file = scratch.path("file");
    fs::write(&file, "precious").unwrap();
    let refused = MeiSocket::open(&file, &device()).unwrap_err();
    assert!(matches!(refused, SocketError::NotASocket(_)), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_name_that_is_too_long_is_explained() {
    let path = std::env::temp_dir().join("x".repeat(120));
    let error = MeiSocket::open(path, &device()).unwrap_err().to_string();
    assert!(error.contains("at most 107"), "{error}");
}

#[rstest]
#[case::text(b"GET / HTTP/1.1\r\n\r\n", EPROTO)]
#[case::one_byte(b"M", EPROTO)]
#[case::later_version(b"MEIS\x02\0\0\0", EPROTONOSUPPORT)]
#[case::cut_short(b"MEIS\x01\0\0\0\x28\x00\xf8\x12", EPROTO)]
#[case::far_too_long(&[b'M'; 5000], EPROTO)]
fn a_foreign_hello_is_refused_with_our_version(#[case] packet: &[u8], #[case] errno: u16) {
    let scratch = Scratch::new();
    let socket = MeiSocket::open(scratch.path("mei"), &device()).unwrap();
    let raw = Raw::to(&socket);
    assert!(raw.send(packet));
    let reply = Reply::from_wire(&raw.receive().unwrap()).unwrap();
    assert_eq!(reply, Reply::new(Err(errno)));
    assert_eq!(raw.receive(), None);
}

#[test]
fn a_client_that_never_says_hello_is_dropped() {
    let scratch = Scratch::new();
    let path = scratch.path("mei");
    let stop = sys::eventfd().unwrap();
    let mut server = Server::new(SocketFile::listen(&path).unwrap(), &device()).unwrap();
    server.hello_patience = Duration::ZERO;
    let raw = Raw(seqpacket::connect(&path).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| server.run(stop.as_fd()).unwrap());
        let reply = Reply::from_wire(&raw.receive().unwrap()).unwrap();
        assert_eq!(reply.outcome, Err(Errno::Etime.raw() as u16));
        assert_eq!(raw.receive(), None);
        sys::eventfd_raise(stop.as_fd());
    });
}

#[test]
fn errors_come_as_packets_and_only_fatal_ones_end_the_connection() {
    let scratch = Scratch::new();
    let device = device();
    let socket = MeiSocket::open(scratch.path("mei"), &device).unwrap();
    let (raw, outcome) = Raw::greeted(&socket, ClientKind::Amthi);
    assert_eq!(outcome.unwrap().max_message, 5120);

    // One byte too many, and far too many: not taken, and the next message is answered all the same.
    for length in [5121, 9000] {
        assert!(raw.send(&vec![0; 1 + length]));
        let error = Frame::from_wire(&raw.receive().unwrap()).unwrap();
        let too_long = Frame::Error {
            failed: Failed::Write,
            errno: Errno::Efbig.raw() as u16,
        };
        assert_eq!(error, too_long);
    }
    assert!(raw.send(&[0])); // an empty message is nothing, as write(2) of 0 bytes
    assert!(raw.send(&message(0x5c)));
    assert_eq!(raw.receive().unwrap()[5], 0x5c);

    device.with(None, |device| device.mei_reset("test"));
    let error = Frame::from_wire(&raw.receive().unwrap()).unwrap();
    let over = Frame::Error {
        failed: Failed::Connection,
        errno: Errno::Enodev.raw() as u16,
    };
    assert_eq!(error, over);
    assert_eq!(raw.receive(), None);
}

#[rstest]
#[case::error_from_client(&[1, 0, 19, 0])]
#[case::unknown_kind(&[9, 1, 2, 3])]
fn a_packet_of_another_kind_ends_the_connection(#[case] packet: &[u8]) {
    let scratch = Scratch::new();
    let socket = MeiSocket::open(scratch.path("mei"), &device()).unwrap();
    let (raw, _) = Raw::greeted(&socket, ClientKind::Amthi);
    assert!(raw.send(packet));
    let error = Frame::from_wire(&raw.receive().unwrap()).unwrap();
    let over = Frame::Error {
        failed: Failed::Connection,
        errno: EPROTO,
    };
    assert_eq!(error, over);
    assert_eq!(raw.receive(), None);
}

#[test]
fn a_flood_blocks_its_sender_only_and_loses_nothing() {
    let scratch = Scratch::new();
    let socket = MeiSocket::open(scratch.path("mei"), &device()).unwrap();
    let (flooder, _) = Raw::greeted(&socket, ClientKind::Amthi);
    let (other, _) = Raw::greeted(&socket, ClientKind::Amthi);

    // Without reading an answer, until neither the device nor the socket takes more. A pause in between lets the
    // server take what it can, so "no room" twice over an exchange of the other client means that it took all.
    let mut sent = 0u32;
    let mut refused = 0;
    while refused < 2 {
        while flooder.send(&message(sent as u8)) {
            sent += 1;
            refused = 0;
            assert!(sent < 1_000_000, "nothing holds the flood back");
        }
        refused += 1;
        assert!(other.send(&message(0x5c)));
        assert_eq!(other.receive().unwrap()[5], 0x5c);
    }
    for number in 0..sent {
        let answer = flooder.receive().unwrap();
        assert_eq!(answer[5], number as u8, "answer {number} of {sent}");
    }
}

#[test]
fn clients_that_vanish_leave_their_place() {
    let scratch = Scratch::new();
    let device = device();
    let socket = MeiSocket::open(scratch.path("mei"), &device).unwrap();
    for round in 0..200 {
        // LME takes one connection at a time.
        let raw = loop {
            match Raw::greeted(&socket, ClientKind::Lme) {
                (raw, Ok(_)) => break raw,
                (_, Err(errno)) => assert_eq!(errno, Errno::Ebusy.raw() as u16),
            }
        };
        if round % 2 == 0 {
            raw.send(&message(round as u8));
        }
    }
    // Neither do those that never said hello.
    let _silent: Vec<Raw> = (0..20).map(|_| Raw::to(&socket)).collect();
    let (_, outcome) = Raw::greeted(&socket, ClientKind::Amthi);
    assert!(outcome.is_ok());
}

#[test]
fn stopping_ends_connections_and_closes_their_handles() {
    let scratch = Scratch::new();
    let device = device();
    let socket = MeiSocket::open(scratch.path("mei"), &device).unwrap();
    let (raw, _) = Raw::greeted(&socket, ClientKind::Lme);
    socket.stop().unwrap();
    assert_eq!(raw.receive(), None);
    let free = device.with(None, |device| {
        let handle = device.mei_open().unwrap();
        device.mei_connect(handle, ClientKind::Lme.guid())
    });
    assert!(free.is_ok());
}

#[test]
fn a_stream_client_is_turned_away_by_the_kernel() {
    let scratch = Scratch::new();
    let socket = MeiSocket::open(scratch.path("mei"), &device()).unwrap();
    let error = UnixStream::connect(socket.path()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPROTOTYPE));
}
