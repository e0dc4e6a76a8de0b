//! APF messages: through the codec, and as what a program on the host writes to LME.
//!
//! An input is records. Each begins with a u16, big-endian:
//!
//! ```text
//!   0x8000  the program does not read after it has written this
//!   0x4000  before it, the program closes the device and connects anew
//!   0x3FFF  bytes that follow, which are one write(2); none: a second passes
//! ```
//! The last record may be short.

use std::time::Duration;

use amt_sim::apf::{Message, SuccessForm, parse};
use amt_sim::device::Interface;
use amt_sim::{ClientKind, Device, Errno, HandleId, Instant, Preset};

use super::{Before, LONGEST_INPUT, PORT, bound, connect, device, is_well, pass, read};

const UNREAD: u16 = 0x8000;
const ANEW: u16 = 0x4000;
const LENGTH: u16 = 0x3fff;

pub fn run(input: &[u8]) {
    if input.len() > LONGEST_INPUT {
        return;
    }
    codec(input);
    let mut program = Program::new(device(Preset::Client));
    let before = Before::of(&program.device);
    let mut rest = input;
    while let Some((flags, message, after)) = record(rest) {
        rest = after;
        codec(message);
        if flags & ANEW != 0 {
            program.connect();
        }
        if message.is_empty() {
            pass(
                &mut program.device,
                Duration::from_secs(1),
                &mut program.now,
            );
        } else {
            program.write(message);
        }
        if flags & UNREAD == 0 {
            program.read_all();
        }
    }
    program.read_all();
    let received = program.received;
    assert!(received <= bound(input.len()), "{received} bytes");
    program.connect();
    program.asks();
    let Program {
        mut device,
        handle,
        mut now,
        ..
    } = program;
    device.mei_close(handle);
    is_well(&mut device, &before, &mut now);
}

fn record(input: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (head, rest) = input.split_first_chunk::<2>()?;
    let head = u16::from_be_bytes(*head);
    let length = usize::from(head & LENGTH).min(rest.len());
    let (message, after) = rest.split_at(length);
    Some((head, message, after))
}

/// What can be read is written back the same.
fn codec(bytes: &[u8]) {
    for form in [SuccessForm::Bare, SuccessForm::Port, SuccessForm::ByLength] {
        if let Ok((message, size)) = parse(bytes, form) {
            assert!(size <= bytes.len());
            let again = message.encode();
            let (same, length) = parse(&again, form).expect("what was written is readable");
            assert_eq!((same, length), (message, again.len()));
        }
    }
}

/// A program that has LME open.
struct Program {
    device: Device,
    handle: HandleId,
    now: Instant,
    received: usize,
}

impl Program {
    fn new(mut device: Device) -> Self {
        let mut now = Instant::POWER_ON;
        let handle = connect(&mut device, ClientKind::Lme, &mut now);
        let mut program = Self {
            device,
            handle,
            now,
            received: 0,
        };
        program.read_all();
        program
    }

    fn connect(&mut self) {
        self.device.mei_close(self.handle);
        self.handle = connect(&mut self.device, ClientKind::Lme, &mut self.now);
    }

    fn write(&mut self, message: &[u8]) {
        match self.device.mei_write(self.handle, message) {
            Ok(size) => assert_eq!(size, message.len()),
            // It takes no more while nobody reads.
            Err(Errno::Eagain) => self.read_all(),
            // Longer than the client takes; the program's own mistake.
            Err(Errno::Efbig) => {}
            Err(Errno::Enodev) => self.connect(),
            Err(errno) => panic!("write: {errno:?}"),
        }
    }

    fn read(&mut self) -> Option<Message> {
        let bytes = match read(&mut self.device, self.handle, &mut self.now) {
            Ok(bytes) => bytes,
            Err(Errno::Eagain | Errno::Enodev) => return None,
            Err(errno) => panic!("read: {errno:?}"),
        };
        self.received += bytes.len();
        let properties = self.device.mei_properties(self.handle);
        let most = properties.map_or(usize::MAX, |properties| properties.max_message as usize);
        assert!(bytes.len() <= most, "a message of {} bytes", bytes.len());
        let (message, size) = parse(&bytes, SuccessForm::ByLength).expect("AMT writes APF");
        assert_eq!(size, bytes.len());
        Some(message)
    }

    fn read_all(&mut self) {
        let mut messages = 0;
        while self.read().is_some() {
            messages += 1;
            assert!(messages < 10_000, "AMT never stops");
        }
    }

    /// As rpc-go shakes hands, and asks without a login.
    fn asks(&mut self) {
        if !self.device.stream_listens(Interface::Local, PORT) {
            return;
        }
        let mut forwarded = false;
        while let Some(message) = self.read() {
            use amt_sim::apf::GlobalRequest;
            let answer = match message {
                Message::ProtocolVersion(version) => Message::ProtocolVersion(version),
                Message::ServiceRequest { service } => Message::ServiceAccept { service },
                Message::GlobalRequest {
                    request: GlobalRequest::TcpipForward { port, .. },
                    want_reply: true,
                } => {
                    forwarded |= port == u32::from(PORT);
                    Message::RequestSuccess { port: Some(port) }
                }
                _ => continue,
            };
            self.write(&answer.encode());
        }
        assert!(forwarded, "after all that, AMT forwards its port again");
        self.write(&OPEN);
        let Some(Message::ChannelOpenConfirmation { sender, .. }) = self.read() else {
            panic!("no channel");
        };
        let request = b"POST /wsman HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_vec();
        let data = Message::ChannelData {
            recipient: sender,
            data: request,
        };
        self.write(&data.encode());
        let mut answer = Vec::new();
        while let Some(message) = self.read() {
            if let Message::ChannelData { data, .. } = message {
                answer.extend(data);
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 401 "), "{answer:?}");
    }
}

/// CHANNEL_OPEN forwarded-tcpip, channel 2, window 4096, ::1 port 16992.
const OPEN: [u8; 54] = *b"\x5a\0\0\0\x0fforwarded-tcpip\0\0\0\x02\0\0\x10\0\xff\xff\xff\xff\0\0\0\x03::1\0\0\x42\x60\0\0\0\x03::1\0\0\0\x7b";
