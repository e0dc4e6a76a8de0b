//! The whole way: file descriptor, MEI messages, APF, HTTP, and back.

use rstest::rstest;

use super::*;
use crate::apf::opcode;
use crate::mei::testing::bytes;
use crate::{Device, Errno, HandleId, Preset};

/// A program that has LME open and is as slow as it likes.
struct Program {
    device: Device,
    handle: HandleId,
}

impl Program {
    fn new(faults: &[&str]) -> Self {
        Self::of(Profile::builtin("comet-lake-14").unwrap(), faults)
    }

    fn of(profile: Profile, faults: &[&str]) -> Self {
        let mut builder = Device::of(std::sync::Arc::new(profile)).preset(Preset::Client);
        for fault in faults {
            builder = builder.fault(fault.parse().unwrap());
        }
        let device = builder.build().unwrap();
        let handle = HandleId(0);
        let mut program = Self { device, handle };
        program.connect();
        program
    }

    fn connect(&mut self) {
        self.handle = self.device.mei_open().unwrap();
        let lme = ClientKind::Lme.guid();
        self.device.mei_connect(self.handle, lme).unwrap();
    }

    fn write(&mut self, message: &Message) -> Result<usize, Errno> {
        self.device.mei_write(self.handle, &message.encode())
    }

    /// The next message, if one is on its way.
    fn read(&mut self) -> Option<Vec<u8>> {
        if !self.device.mei_readiness(self.handle).readable {
            let wake = self.device.next_wake()?;
            self.device.advance(wake);
        }
        self.device.mei_read(self.handle, 5120).ok()
    }

    fn read_all(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.read().map(|bytes| read(&bytes))).collect()
    }

    /// As rpc-go shakes hands.
    fn shaken(mut self) -> Self {
        self.shake();
        self
    }

    fn shake(&mut self) {
        self.write(&ours(1, 0)).unwrap();
        let mut ports = Vec::new();
        while !(ports.contains(&16992) && ports.contains(&623)) {
            let message = read(&self.read().unwrap());
            let answer = match message {
                Message::ProtocolVersion(version) => Message::ProtocolVersion(version),
                Message::ServiceRequest { service } => Message::ServiceAccept { service },
                Message::GlobalRequest {
                    request: GlobalRequest::TcpipForward { port, .. },
                    ..
                } => {
                    ports.push(port);
                    Message::RequestSuccess { port: Some(port) }
                }
                other => panic!("{other:?}"),
            };
            self.write(&answer).unwrap();
        }
    }

    fn open(&mut self, sender: u32) -> u32 {
        self.write(&open(sender, 4096, 16992)).unwrap();
        match self.read_all().as_slice() {
            [
                Message::ChannelOpenConfirmation {
                    recipient,
                    sender: ours,
                    ..
                },
            ] if *recipient == sender => *ours,
            other => panic!("{other:?}"),
        }
    }

    /// Everything that comes back on a channel, credited as rpc-go does it, and whether the device closed it.
    fn exchange(&mut self, channel: u32, request: &str) -> (String, bool) {
        self.write(&data(channel, request.as_bytes())).unwrap();
        let mut answer = Vec::new();
        let mut closed = false;
        while let Some(bytes) = self.read() {
            match read(&bytes) {
                Message::ChannelData { data, .. } => {
                    let bytes = data.len() as u32;
                    answer.extend(data);
                    let credit = Message::ChannelWindowAdjust {
                        recipient: channel,
                        bytes,
                    };
                    self.write(&credit).unwrap();
                }
                Message::ChannelClose { .. } => {
                    closed = true;
                    self.write(&close(channel)).unwrap();
                }
                Message::ChannelWindowAdjust { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        (String::from_utf8(answer).unwrap(), closed)
    }

    fn events(&mut self) -> Vec<Event> {
        let entries = self.device.drain_journal();
        entries.into_iter().map(|entry| entry.event).collect()
    }

    /// Streams that were opened and not closed.
    fn streams(&mut self) -> i32 {
        self.events()
            .iter()
            .map(|event| match event {
                Event::StreamOpened { .. } => 1,
                Event::StreamClosed { .. } => -1,
                _ => 0,
            })
            .sum()
    }
}

/// No Host, one chunk, as rpc-go writes it.
const POST: &str = "POST /wsman HTTP/1.1\r\nConnection: close\r\n\
    Content-Type: application/soap+xml; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n\
    4\r\n<a/>\r\n0\r\n\r\n";

#[test]
fn rpc_go_asks_and_is_asked_who_it_is() {
    let mut program = Program::new(&[]);
    // Byte for byte, from its first word to the end of its first request.
    let version = bytes(&format!(
        "c0 00000001 00000000 00000009 {}",
        "00".repeat(80)
    ));
    let send = |program: &mut Program, wire: &[u8]| {
        let sent = program.device.mei_write(program.handle, wire);
        assert_eq!(sent, Ok(wire.len()));
    };
    send(&mut program, &version);
    let theirs = program.read().unwrap();
    assert_eq!(theirs.len(), 93);
    let uuid = program.device.identity().uuid.to_wire();
    assert_eq!(theirs[..13], bytes("c0 00000001 00000000 000000fe"));
    assert_eq!(theirs[13..29], uuid);
    send(&mut program, &theirs);
    let pfwd = "00000012 7066776440616d742e696e74656c2e636f6d";
    assert_eq!(program.read().unwrap(), bytes(&format!("05 {pfwd}")));
    send(&mut program, &bytes(&format!("06 {pfwd}")));
    for port in ["00004260", "0000026f"] {
        let forward = "50 0000000d 74637069702d666f7277617264 01 00000009 3132372e302e302e31";
        assert_eq!(program.read().unwrap(), bytes(&format!("{forward} {port}")));
        send(&mut program, &bytes(&format!("51 {port}")));
    }
    let open = "5a 0000000f 666f727761726465642d7463706970 00000002 00001000 ffffffff
        00000003 3a3a31 00004260 00000003 3a3a31 0000007b";
    send(&mut program, &bytes(open));
    let confirmed = bytes("5b 00000002 00000000 00001000 ffffffff");
    assert_eq!(program.read().unwrap(), confirmed);
    let (answer, closed) = program.exchange(0, POST);
    assert!(
        answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("WWW-Authenticate: Digest realm=\""),
        "{answer}"
    );
    assert!(closed);
    assert_eq!(program.streams(), 0);
    // And so on.
    let next = program.open(3);
    assert!(program.exchange(next, POST).1);
}

#[test]
fn a_connection_that_is_kept_serves_again() {
    let mut program = Program::new(&[]).shaken();
    let channel = program.open(2);
    for _ in 0..3 {
        let request = "GET /logon.htm HTTP/1.1\r\nHost: 127.0.0.1:16992\r\n\r\n";
        let (answer, closed) = program.exchange(channel, request);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(!closed);
    }
    assert_eq!(program.streams(), 1);
    program.write(&close(channel)).unwrap();
    assert_eq!(program.read_all(), [close(2)]);
    assert_eq!(program.streams(), -1);
}

#[rstest]
#[case::closed(false)]
#[case::reset(true)]
fn a_lost_descriptor_ends_its_connections(#[case] reset: bool) {
    let mut program = Program::new(&[]).shaken();
    program.open(2);
    program.open(3);
    assert_eq!(program.streams(), 2);
    if reset {
        program.device.mei_reset("test");
        assert_eq!(program.write(&close(0)), Err(Errno::Enodev));
        while !program.device.mei_link_is_up() {
            let wake = program.device.next_wake().unwrap();
            program.device.advance(wake);
        }
    } else {
        program.device.mei_close(program.handle);
    }
    assert_eq!(program.streams(), -2);
    // It begins from the start.
    program.connect();
    program.shake();
    assert_eq!(program.open(9), 0);
}

/// As with the credits of the real bus: the next message sets out when the one before was read.
#[test]
fn messages_come_one_at_a_time() {
    let mut program = Program::new(&[]);
    let handle = program.handle;
    program.read().unwrap();
    assert!(program.device.mei_is_expecting(handle));
    assert_eq!(program.device.mei_read(handle, 5120), Err(Errno::Eagain));
    assert!(!program.device.mei_readiness(handle).readable);
    assert_eq!(program.read().unwrap()[0], opcode::SERVICE_REQUEST);
    assert!(!program.device.mei_is_expecting(handle));
}

#[test]
fn lms_looks_whether_there_is_an_lme() {
    let mut program = Program::new(&[]);
    for _ in 0..3 {
        program.device.mei_close(program.handle);
        program.connect();
    }
    program.shake();
}

#[test]
fn after_a_protocol_error_the_descriptor_is_dead_until_it_connects_again() {
    let mut program = Program::new(&[]);
    program.write(&open(2, 4096, 16992)).unwrap();
    let messages = program.read_all();
    assert_eq!(messages.last(), Some(&disconnect(2)));
    assert_eq!(program.write(&ours(1, 0)), Err(Errno::Enodev));
    assert!(program.device.mei_readiness(program.handle).error);
    let hung_up = Event::HungUp {
        handle: program.handle.number(),
        client: ClientKind::Lme,
    };
    assert!(program.events().contains(&hung_up));
    let lme = ClientKind::Lme.guid();
    program.device.mei_connect(program.handle, lme).unwrap();
    program.shake();
}

#[rstest]
#[case::after_close("after-close")]
#[case::after_restart("after-restart")]
fn a_dropped_connection_is_taken_up_again(#[case] policy: &str) {
    let profile = Profile::builtin("comet-lake-14").unwrap();
    let profile = profile.with("assumptions.lme_drop", policy).unwrap();
    let mut program = Program::of(profile, &[]).shaken();
    if policy == "after-close" {
        let channel = program.open(2);
        program.write(&data(channel, POST.as_bytes())).unwrap();
        let messages = program.read_all();
        assert_eq!(messages.last(), Some(&close(2)));
    } else {
        // Another program unprovisions the device.
        let handle = program.device.mei_open().unwrap();
        let amthi = ClientKind::Amthi.guid();
        program.device.mei_connect(handle, amthi).unwrap();
        let unprovision = bytes("01 01 00 00 10 00 00 04 04 00 00 00 00 00 00 00");
        program.device.mei_write(handle, &unprovision).unwrap();
        program.read_all();
    }
    assert_eq!(program.write(&open(3, 4096, 16992)), Err(Errno::Enodev));
    program.device.mei_close(program.handle);
    program.connect();
    program.shake();
    assert_eq!(program.open(4), 0);
}

/// A write that fails once, as rpc-go's authors saw it on machines; the program opens the device again.
#[test]
fn a_fault_in_the_second_open() {
    let mut program = Program::new(&["write:lme:90+1=ENODEV*1"]).shaken();
    assert_eq!(program.open(2), 0);
    assert_eq!(program.write(&open(3, 4096, 16992)), Err(Errno::Enodev));
    program.device.mei_close(program.handle);
    program.connect();
    program.shake();
    assert_eq!(program.open(4), 0);
}

/// An opcode in a fault is that of the message itself.
#[rstest]
#[case::confirmation("answer:lme:91=drop", opcode::CHANNEL_OPEN_CONFIRMATION)]
#[case::close("answer:lme:97=drop*1", opcode::CHANNEL_CLOSE)]
fn a_fault_loses_one_kind_of_message(#[case] fault: &str, #[case] lost: u8) {
    let mut program = Program::new(&[fault]).shaken();
    program.write(&open(2, 4096, 16992)).unwrap();
    program.write(&data(0, POST.as_bytes())).unwrap();
    let opcodes: Vec<u8> = program.read_all().iter().map(Message::opcode).collect();
    assert!(opcodes.contains(&opcode::CHANNEL_DATA));
    assert!(!opcodes.contains(&lost));
}

#[test]
fn a_fault_delays_a_message() {
    let mut program = Program::new(&["answer:lme:97=delay-5000"]).shaken();
    program.write(&open(2, 4096, 16992)).unwrap();
    program.write(&data(0, POST.as_bytes())).unwrap();
    let before = program.device.clock();
    program.read_all();
    assert!(program.device.clock().0 >= before.0 + 5);
}
