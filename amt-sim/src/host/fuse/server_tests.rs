//! The loop against a kernel that is a socket: it keeps messages whole, as `/dev/fuse` does.

use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::super::kernel::{self, parse_reply};
use super::*;
use crate::host::chardev::CharDevice;
use crate::host::shared::SharedDevice;
use crate::host::sys;
use crate::machine::Device;
use crate::mei::ClientKind;

struct Bench {
    kernel: OwnedFd,
    stop: OwnedFd,
    device: SharedDevice,
    went: mpsc::Receiver<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Bench {
    fn new() -> Self {
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let device = SharedDevice::new(device);
        let (kernel, server) = sys::socket_pair().unwrap();
        let server = UnixStream::from(server);
        server.set_nonblocking(true).unwrap();
        let stop = sys::eventfd().unwrap();
        let node = Node::new(CharDevice::new(device.clone()).unwrap(), 0);
        let (going, went) = mpsc::channel();
        let theirs = stop.try_clone().unwrap();
        let server = std::thread::spawn(move || {
            let mut go = || going.send(()).map_err(io::Error::other);
            serve(server.into(), node, &theirs, &mut go)
        });
        Self {
            kernel,
            stop,
            device,
            went,
            server,
        }
    }

    fn send(&self, request: &[u8]) {
        assert_eq!(
            system::write(self.kernel.as_fd(), request),
            Ok(request.len())
        );
    }

    /// The next reply: unique and error.
    fn receive(&self) -> (u64, i32) {
        let mut buffer = [0; 8192];
        let length = system::read(self.kernel.as_fd(), &mut buffer).unwrap();
        let (unique, error, _) = parse_reply(&buffer[..length]);
        (unique, error)
    }

    fn ask(&self, request: &[u8]) -> i32 {
        self.send(request);
        self.receive().1
    }

    /// An open file 0, connected to AMTHI.
    fn connected() -> Self {
        let bench = Self::new();
        assert_eq!(bench.ask(&kernel::init()), 0);
        assert_eq!(bench.ask(&kernel::open(4, 2)), 0);
        let guid = ClientKind::Amthi.guid().to_wire();
        let connect = kernel::ioctl(6, 0, 0, 0xC010_4801, &guid, 16);
        assert_eq!(bench.ask(&connect), 0);
        bench
    }

    fn ended(self) -> io::Result<()> {
        self.server.join().unwrap()
    }
}

#[test]
fn the_program_goes_when_the_kernel_has_introduced_itself() {
    let bench = Bench::new();
    assert_eq!(bench.went.try_recv(), Err(mpsc::TryRecvError::Empty));
    assert_eq!(bench.ask(&kernel::init()), 0);
    assert_eq!(bench.went.recv(), Ok(()));
    sys::eventfd_raise(bench.stop.as_fd());
    bench.ended().unwrap();
}

#[test]
fn a_kernel_that_is_too_old_is_named() {
    let bench = Bench::new();
    let fields = [(7, 4), (26, 4), (0, 4), (0, 4)];
    bench.send(&kernel::request(26, 2, &kernel::body(&fields)));
    let error = bench.ended().unwrap_err();
    assert!(error.to_string().contains("7.26"), "{error}");
}

#[test]
fn a_late_answer_comes_by_itself() {
    let bench = Bench::connected();
    assert_eq!(bench.ask(&kernel::write(8, 0, &[0; 12], 2)), 0);
    bench.send(&kernel::read(10, 0, 4096, 2));
    assert_eq!(bench.receive(), (10, 0));
}

#[test]
fn what_another_front_end_does_wakes_the_sleeper() {
    let bench = Bench::connected();
    bench.send(&kernel::read(8, 0, 4096, 2));
    bench.device.with(None, |device| device.mei_reset("test"));
    assert_eq!(bench.receive(), (8, -libc::ENODEV));
}

#[test]
fn the_end_of_the_mount_ends_the_server_and_closes_what_is_open() {
    let Bench {
        kernel,
        device,
        server,
        ..
    } = Bench::connected();
    drop(kernel);
    server.join().unwrap().unwrap();
    let closed = device.with(None, |device| {
        let closed = |entry: &&crate::Entry| matches!(entry.event, crate::Event::Closed { .. });
        device.journal().filter(closed).count()
    });
    assert_eq!(closed, 1);
}

#[test]
fn a_flood_does_not_hide_the_stop() {
    let bench = Bench::connected();
    sys::eventfd_raise(bench.stop.as_fd());
    // The server ends although requests never do: sooner or later nobody takes them.
    while system::write(bench.kernel.as_fd(), &kernel::request(2, 8, &[0; 8])).is_ok() {}
    bench.ended().unwrap();
}

#[test]
fn looking_closely_is_for_those_who_ask_again_soon() {
    let mut patience = Patience {
        longest: Patience::LONGEST,
        limit: Duration::ZERO,
    };
    let soon = Some(Duration::from_micros(3));
    assert_eq!(patience.limit(None), Duration::ZERO);
    patience.came_after(Duration::from_micros(20));
    assert_eq!(patience.limit(None), Patience::LONGEST);
    assert_eq!(patience.limit(soon), Duration::from_micros(3));
    patience.came_after(Duration::from_millis(1));
    assert_eq!(patience.limit(None), Duration::ZERO);
}
