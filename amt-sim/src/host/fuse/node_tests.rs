use std::sync::Arc;

use rstest::rstest;

use super::super::kernel::{self, parse_reply};
use super::*;
use crate::device::{Fault, Profile};
use crate::host::shared::SharedDevice;
use crate::machine::Device;
use crate::mei::ClientKind;

const CONNECT: u32 = 0xC010_4801;
const UNRESTRICTED: u32 = 2;
const NONBLOCK: u32 = libc::O_NONBLOCK as u32;

/// What the kernel got, taken apart: unique, error or code, body.
#[derive(Default)]
struct Sent(Vec<(u64, i32, Vec<u8>)>);

impl Outlet for Sent {
    fn send(&mut self, mut message: Message, data: &[u8]) {
        let bytes = [message.with_data(data), data].concat();
        self.0.push(parse_reply(&bytes));
    }
}

struct Bench {
    node: Node,
    device: SharedDevice,
    next: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(adjust: impl FnOnce(crate::DeviceBuilder) -> crate::DeviceBuilder) -> Self {
        let profile = Profile::builtin("tiger-lake-15")
            .and_then(|profile| profile.with("timings.mei_reply_ms", "0"))
            .and_then(|profile| profile.with("mei.tx_queue", "1"))
            .and_then(|profile| profile.with("assumptions.unread_answers", "1"))
            .unwrap();
        let device = SharedDevice::new(adjust(Device::of(Arc::new(profile))).build().unwrap());
        let node = Node::new(CharDevice::new(device.clone()).unwrap(), 0);
        let mut bench = Self {
            node,
            device,
            next: 10,
        };
        bench.send(&kernel::init());
        bench
    }

    /// One request; everything that went out because of it.
    fn send(&mut self, request: &[u8]) -> Vec<(u64, i32, Vec<u8>)> {
        let mut sent = Sent::default();
        self.node.handle(request, &mut sent);
        sent.0
    }

    fn wake(&mut self) -> Vec<(u64, i32, Vec<u8>)> {
        let mut sent = Sent::default();
        self.node.wake(&mut sent);
        sent.0
    }

    fn unique(&mut self) -> u64 {
        self.next += 2;
        self.next
    }

    /// The one answer to one request: error and body.
    fn ask(&mut self, make: impl FnOnce(u64) -> Vec<u8>) -> (i32, Vec<u8>) {
        let unique = self.unique();
        let mut sent = self.send(&make(unique));
        assert_eq!(sent.len(), 1, "{sent:?}");
        let (of, error, body) = sent.remove(0);
        assert_eq!(of, unique);
        (error, body)
    }

    fn open(&mut self) -> u64 {
        let (error, body) = self.ask(|unique| kernel::open(unique, 2));
        assert_eq!(error, 0);
        u64::from_ne_bytes(body[..8].try_into().unwrap())
    }

    fn connect(&mut self, file: u64, client: ClientKind) -> (i32, Vec<u8>) {
        let guid = client.guid().to_wire();
        self.ask(|unique| kernel::ioctl(unique, file, 0, CONNECT, &guid, 16))
    }

    fn connected(&mut self) -> u64 {
        let file = self.open();
        assert_eq!(self.connect(file, ClientKind::Amthi).0, 0);
        file
    }

    fn write(&mut self, file: u64, message: &[u8]) -> (i32, Vec<u8>) {
        self.ask(|unique| kernel::write(unique, file, message, 0))
    }

    /// Makes a request that gets no answer yet.
    fn park(&mut self, make: impl FnOnce(u64) -> Vec<u8>) -> u64 {
        let unique = self.unique();
        assert_eq!(self.send(&make(unique)), []);
        unique
    }
}

#[test]
fn the_introduction_decides_whether_the_kernel_is_new_enough() {
    let bench = Bench::new();
    assert_eq!(bench.node.phase(), Phase::Serving);
    for (major, minor, want) in [
        (7, 30, Phase::TooOld { minor: 30 }),
        (6, 99, Phase::TooOld { minor: 99 }),
        (8, 0, Phase::New),
    ] {
        let mut bench = Bench::new();
        let fields = [(major, 4), (minor, 4), (0, 4), (0, 4)];
        bench.send(&kernel::request(26, 2, &kernel::body(&fields)));
        assert_eq!(bench.node.phase(), want);
    }
}

#[test]
fn the_first_to_look_owns_the_node_and_may_change_it() {
    let mut bench = Bench::new();
    let mode_and_owner = |body: &[u8]| {
        let at = |offset: usize| u32::from_ne_bytes(body[offset..offset + 4].try_into().unwrap());
        (at(76), at(84), at(88))
    };
    let (_, body) = bench.ask(kernel::getattr);
    assert_eq!(mode_and_owner(&body), (0o100_600, 1000, 100));
    let (_, body) = bench.ask(|unique| kernel::chmod(unique, 0o100_666));
    assert_eq!(mode_and_owner(&body), (0o100_666, 1000, 100));
    let (_, body) = bench.ask(kernel::getattr);
    assert_eq!(mode_and_owner(&body).0, 0o100_666);
}

#[test]
fn a_message_goes_in_and_its_answer_comes_out() {
    let mut bench = Bench::new();
    let file = bench.open();
    let (error, body) = bench.connect(file, ClientKind::Amthi);
    assert_eq!(error, 0);
    assert_eq!(body[..16], [0; 16]);
    assert_eq!(body[16..24], [0, 0x14, 0, 0, 1, 0, 0, 0]);
    assert_eq!(body.len(), 32);
    assert_eq!(bench.connect(file, ClientKind::Amthi).0, -libc::EBUSY);

    let (error, body) = bench.write(file, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!((error, &body[..4]), (0, &12u32.to_ne_bytes()[..]));
    let (_, first) = bench.ask(|unique| kernel::read(unique, file, 5, 0));
    assert_eq!(first.len(), 5);
    let (_, rest) = bench.ask(|unique| kernel::read(unique, file, 4096, 0));
    assert!(!rest.is_empty());
}

#[rstest]
#[case::unknown(0xC005_4800, 5, 5, libc::ENOTTY)]
#[case::terminal(0x5401, 0, 0, libc::ENOTTY)]
#[case::notify(0x4004_4802, 4, 0, libc::EOPNOTSUPP)]
#[case::tag(0xC014_4804, 20, 20, libc::EOPNOTSUPP)]
#[case::connect_to_nobody(CONNECT, 16, 16, libc::ENOTTY)]
#[case::longer_than_any(0xFFFF_4801, 0x3fff, 0, libc::ENOTTY)]
fn ioctls_fail_with_the_drivers_errno(
    #[case] number: u32,
    #[case] input: usize,
    #[case] output: u32,
    #[case] errno: i32,
) {
    let mut bench = Bench::new();
    let file = bench.open();
    let input = vec![0; input];
    let (error, _) = bench.ask(|unique| kernel::ioctl(unique, file, 0, number, &input, output));
    assert_eq!(error, -errno);
}

#[test]
fn a_blocking_read_waits_for_its_message() {
    let mut bench = Bench::new();
    let file = bench.connected();
    let reader = bench.park(|unique| kernel::read(unique, file, 4096, 2));
    let (error, _) = bench.ask(|unique| kernel::read(unique, file, 4096, NONBLOCK));
    assert_eq!(error, -libc::EAGAIN);
    assert!(bench.node.is_waited_for());

    let writer = bench.unique();
    let sent = bench.send(&kernel::write(writer, file, &[0; 12], 2));
    let names: Vec<_> = sent
        .iter()
        .map(|(unique, error, _)| (*unique, *error))
        .collect();
    assert_eq!(names, [(writer, 0), (reader, 0)]);
    assert!(!bench.node.is_waited_for());
}

#[test]
fn a_blocking_write_waits_for_room_and_sleeping_calls_are_answered_in_order() {
    let mut bench = Bench::new();
    let file = bench.connected();
    // One answer unread, one message queued: that is all this profile takes.
    for _ in 0..2 {
        assert_eq!(bench.write(file, &[0; 12]).0, 0);
    }
    let (error, _) = bench.ask(|unique| kernel::write(unique, file, &[0; 12], NONBLOCK));
    assert_eq!(error, -libc::EAGAIN);
    let first = bench.park(|unique| kernel::write(unique, file, &[0; 12], 0));
    let second = bench.park(|unique| kernel::write(unique, file, &[0; 12], 0));
    for waiting in [first, second] {
        let unique = bench.unique();
        let sent = bench.send(&kernel::read(unique, file, 4096, 0));
        let names: Vec<_> = sent
            .iter()
            .map(|(unique, error, _)| (*unique, *error))
            .collect();
        assert_eq!(names, [(unique, 0), (waiting, 0)]);
    }
}

#[test]
fn an_interrupted_call_ends_at_once_and_others_stay() {
    let mut bench = Bench::new();
    let file = bench.connected();
    let first = bench.park(|unique| kernel::read(unique, file, 1, 0));
    let second = bench.park(|unique| kernel::read(unique, file, 1, 0));
    let sent = bench.send(&kernel::interrupt(first + 1, first));
    assert_eq!(sent, [(first, -libc::EINTR, vec![])]);
    // The answer crossed with the signal: nothing is left to say.
    assert_eq!(bench.send(&kernel::interrupt(first + 1, first)), []);
    assert_eq!(bench.write(file, &[]).0, 0);
    let sent = bench.send(&kernel::interrupt(second + 1, second));
    assert_eq!(sent[0].1, -libc::EINTR);
}

#[test]
fn a_link_reset_ends_what_waits_and_shows_as_an_error() {
    let mut bench = Bench::new();
    let file = bench.connected();
    let reader = bench.park(|unique| kernel::read(unique, file, 1, 0));
    bench.device.with(None, |device| device.mei_reset("test"));
    assert_eq!(bench.wake(), [(reader, -libc::ENODEV, vec![])]);
    let (_, body) = bench.ask(|unique| kernel::poll(unique, file, 7, false));
    assert_eq!(body[..4], 0x008u32.to_ne_bytes());
    assert_eq!(bench.write(file, &[0; 12]).0, -libc::ENODEV);
    assert_eq!(
        bench.ask(|unique| kernel::fsync(unique, file)).0,
        -libc::ENODEV
    );
    assert_eq!(bench.ask(|unique| kernel::open(unique, 2)).0, -libc::ENODEV);
}

#[test]
fn a_sleeping_poller_is_told_once_about_what_it_has_not_seen() {
    let mut bench = Bench::new();
    let file = bench.connected();
    let (_, body) = bench.ask(|unique| kernel::poll(unique, file, 7, true));
    assert_eq!(body[..4], 0x104u32.to_ne_bytes());
    let writer = bench.unique();
    let sent = bench.send(&kernel::write(writer, file, &[0; 12], 0));
    let notice = (0, 1, 7u64.to_ne_bytes().to_vec());
    assert_eq!(sent[0].0, writer);
    assert_eq!(sent[1..], [notice]);
    assert!(!bench.node.is_waited_for());
    assert_eq!(bench.wake(), []);
    let (_, body) = bench.ask(|unique| kernel::poll(unique, file, 7, true));
    assert_eq!(body[..4], 0x145u32.to_ne_bytes());
    assert_eq!(bench.wake(), []);
}

#[test]
fn an_edge_triggered_poller_is_told_about_every_further_message() {
    let mut bench = Bench::new();
    let file = bench.connected();
    for _ in 0..2 {
        assert_eq!(bench.write(file, &[0; 12]).0, 0);
    }
    bench.ask(|unique| kernel::poll(unique, file, 7, true));
    let unique = bench.unique();
    let sent = bench.send(&kernel::read(unique, file, 4096, 0));
    assert_eq!(sent.len(), 2);
    assert_eq!((sent[1].0, sent[1].1), (0, 1));
}

#[test]
fn a_second_poller_does_not_swallow_the_news_of_the_first() {
    let mut bench = Bench::new();
    let file = bench.connected();
    bench.ask(|unique| kernel::poll(unique, file, 7, true));
    // Behind the node's back, as time does it.
    bench.device.with(None, |device| {
        device.mei_write(HANDLE, &[0; 12]).unwrap();
    });
    let unique = bench.unique();
    let sent = bench.send(&kernel::poll(unique, file, 7, true));
    let names: Vec<_> = sent
        .iter()
        .map(|(unique, code, _)| (*unique, *code))
        .collect();
    assert_eq!(names, [(0, 1), (unique, 0)]);
}

const HANDLE: crate::mei::HandleId = crate::mei::HandleId(1);

#[test]
fn a_released_file_frees_its_number_and_its_client() {
    let mut bench = Bench::new();
    let first = bench.open();
    assert_eq!(bench.connect(first, ClientKind::Lme).0, 0);
    bench.ask(|unique| kernel::poll(unique, first, 7, true));
    let second = bench.open();
    assert_eq!(bench.connect(second, ClientKind::Lme).0, -libc::EBUSY);
    bench.ask(|unique| kernel::release(unique, first));
    assert!(!bench.node.is_waited_for());
    assert_eq!(bench.connect(second, ClientKind::Lme).0, 0);
    assert_eq!(bench.open(), first);
    assert_eq!(bench.write(99, &[0; 12]).0, -libc::EIO);
}

#[test]
fn a_fault_on_writes_is_not_used_up_by_a_write_that_waits() {
    let fault: Fault = "write+3=EBUSY*1".parse().unwrap();
    let mut bench = Bench::with(|builder| builder.fault(fault));
    let file = bench.connected();
    for _ in 0..2 {
        bench.write(file, &[0; 12]);
    }
    let waiting = bench.park(|unique| kernel::write(unique, file, &[0; 12], 0));
    for _ in 0..5 {
        assert_eq!(bench.wake(), []);
    }
    let unique = bench.unique();
    let sent = bench.send(&kernel::read(unique, file, 4096, 0));
    assert_eq!(sent[1], (waiting, -libc::EBUSY, vec![]));
}

#[test]
fn under_cuse_an_ioctl_is_asked_for_again_with_its_data() {
    let mut bench = Bench::new();
    let mut sent = bench.send(&kernel::cuse_init());
    let (_, error, body) = sent.remove(0);
    assert_eq!(error, 0);
    let number = |at: usize| u32::from_ne_bytes(body[at..at + 4].try_into().unwrap());
    assert_eq!((number(0), number(12)), (7, 1));
    assert!(number(20) >= 4096);
    assert_eq!(&body[72..], b"DEVNAME=mei0\0");
    assert_eq!(bench.node.phase(), Phase::Serving);

    let file = bench.open();
    let (error, body) =
        bench.ask(|unique| kernel::ioctl(unique, file, UNRESTRICTED, CONNECT, &[], 0));
    let retry = kernel::body(&[
        (0, 4),
        (4, 4),
        (1, 4),
        (1, 4),
        (0x7fff_0000_1000, 8),
        (16, 8),
        (0x7fff_0000_1000, 8),
        (16, 8),
    ]);
    assert_eq!((error, body), (0, retry));

    let guid = ClientKind::Amthi.guid().to_wire();
    let (error, body) =
        bench.ask(|unique| kernel::ioctl(unique, file, UNRESTRICTED, CONNECT, &guid, 16));
    assert_eq!((error, body.len()), (0, 32));
    assert_eq!(body[..16], [0; 16]);

    // Only an answer: no input to fetch. An unknown one is refused before its pointer is looked at.
    let (_, body) =
        bench.ask(|unique| kernel::ioctl(unique, file, UNRESTRICTED, 0x8004_4803, &[], 0));
    let retry = kernel::body(&[
        (0, 4),
        (4, 4),
        (0, 4),
        (1, 4),
        (0x7fff_0000_1000, 8),
        (4, 8),
    ]);
    assert_eq!(body, retry);
    let (error, _) = bench.ask(|unique| kernel::ioctl(unique, file, UNRESTRICTED, 0x5401, &[], 0));
    assert_eq!(error, -libc::ENOTTY);
}

#[rstest]
#[case::getxattr(22)]
#[case::flush(25)]
#[case::lseek(46)]
#[case::statx(52)]
fn what_a_device_has_no_use_for_is_left_to_the_kernel(#[case] opcode: u32) {
    let mut bench = Bench::new();
    let (error, _) = bench.ask(|unique| kernel::request(opcode, unique, &[0; 64]));
    assert_eq!(error, -libc::ENOSYS);
}

#[test]
fn forget_wants_no_answer() {
    let mut bench = Bench::new();
    assert_eq!(bench.send(&kernel::request(2, 8, &[0; 8])), []);
}
