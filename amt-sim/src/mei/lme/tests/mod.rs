//! LME against the habits of the programs in the field, and against hosts without manners.

mod channels;
mod device;
mod handshake;
mod properties;

use std::collections::BTreeMap;

use super::*;
use crate::apf::Endpoints;
use crate::device::Profile;
use crate::mei::testing::{firmware, profile, with_rules, without};

/// Ports without a web server behind them. What is sent comes back; after the word `bye` the device closes.
#[derive(Debug)]
pub(super) struct Echo {
    pub(super) listening: Vec<u16>,
    streams: BTreeMap<u32, Stream>,
    next: u32,
}

#[derive(Debug, Default)]
struct Stream {
    out: Vec<u8>,
    finished: bool,
}

impl Default for Echo {
    fn default() -> Self {
        Self {
            listening: vec![16992],
            streams: BTreeMap::new(),
            next: 0,
        }
    }
}

impl Ports for Echo {
    type Stream = u32;

    fn listens(&self, _: &Firmware, port: u16) -> bool {
        self.listening.contains(&port)
    }

    fn open(&mut self, fw: &mut Firmware, port: u16) -> Option<u32> {
        self.listens(fw, port).then(|| {
            self.next += 1;
            self.streams.insert(self.next, Stream::default());
            self.next
        })
    }

    fn receive(&mut self, _: &mut Firmware, stream: u32, bytes: &[u8]) {
        let stream = self.streams.get_mut(&stream).unwrap();
        stream.out.extend_from_slice(bytes);
        stream.finished |= bytes.windows(3).any(|word| word == b"bye");
    }

    fn take(&mut self, _: &mut Firmware, stream: u32, most: usize) -> Vec<u8> {
        let out = &mut self.streams.get_mut(&stream).unwrap().out;
        out.drain(..most.min(out.len())).collect()
    }

    fn pending(&self, _: &Firmware, stream: u32) -> usize {
        self.streams[&stream].out.len()
    }

    fn finished(&self, _: &Firmware, stream: u32) -> bool {
        self.streams[&stream].finished
    }

    fn close(&mut self, _: &mut Firmware, stream: u32) {
        assert!(self.streams.remove(&stream).is_some(), "closed twice");
    }
}

/// One connection, with everything that the device said on it.
pub(super) struct Rig {
    pub(super) fw: Firmware,
    pub(super) session: Session<Echo>,
    /// Messages that the host has not looked at yet.
    pub(super) inbox: Vec<Message>,
}

const ROOM: usize = 8;

impl Rig {
    pub(super) fn new(mut fw: Firmware, max_message: u32) -> Self {
        let properties = ClientProperties {
            max_message,
            protocol_version: 1,
        };
        let (session, greeting) = Session::start(&mut fw, properties);
        Self {
            fw,
            session,
            inbox: greeting.iter().map(|bytes| read(bytes)).collect(),
        }
    }

    pub(super) fn of(profile: Profile, mode: Mode) -> Self {
        Self::new(firmware(profile, mode), 5120)
    }

    /// After a handshake.
    pub(super) fn ready() -> Self {
        Self::of(profile(), Mode::PreProvisioning).shaken()
    }

    /// With one rule knocked out.
    pub(super) fn lenient(rule: &str) -> Self {
        let fw = with_rules(profile(), Mode::PreProvisioning, without(rule));
        Self::new(fw, 5120)
    }

    pub(super) fn shaken(mut self) -> Self {
        self.send(ours(1, 0));
        self.send(accept());
        while self.forward_asked() {
            self.send(Message::RequestSuccess { port: Some(0) });
        }
        assert!(self.session.accepted);
        self.inbox.clear();
        self.fw.journal.drain();
        self
    }

    fn forward_asked(&mut self) -> bool {
        let asked = self
            .inbox
            .iter()
            .any(|message| matches!(message, Message::GlobalRequest { .. }));
        self.inbox.clear();
        asked
    }

    pub(super) fn send(&mut self, message: Message) {
        self.send_bytes(&message.encode());
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        let answers = self.session.receive(&mut self.fw, bytes);
        self.inbox.extend(answers.iter().map(|bytes| read(bytes)));
        self.poll(ROOM);
    }

    pub(super) fn poll(&mut self, room: usize) {
        let messages = self.session.poll(&mut self.fw, room);
        self.inbox.extend(messages.iter().map(|bytes| read(bytes)));
    }

    pub(super) fn inbox(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.inbox)
    }

    /// What the device answers to this.
    pub(super) fn ask(&mut self, message: Message) -> Vec<Message> {
        self.inbox.clear();
        self.send(message);
        self.inbox()
    }

    /// Opens a channel with the host's number and window; the device's number for it.
    pub(super) fn open(&mut self, sender: u32, window: u32) -> u32 {
        match self.ask(open(sender, window, 16992)).as_slice() {
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

    pub(super) fn events(&mut self) -> Vec<Event> {
        let entries = self.fw.journal.drain();
        entries.into_iter().map(|entry| entry.event).collect()
    }
}

pub(super) fn read(bytes: &[u8]) -> Message {
    let (message, size) = apf::parse(bytes, SuccessForm::ByLength).unwrap();
    assert_eq!(size, bytes.len());
    message
}

/// PROTOCOLVERSION as rpc-go writes it.
pub(super) fn ours(major: u32, minor: u32) -> Message {
    Message::ProtocolVersion(ProtocolVersion {
        major,
        minor,
        trigger: Trigger(9),
        uuid: [0; 16],
    })
}

pub(super) fn accept() -> Message {
    Message::ServiceAccept {
        service: PORT_FORWARDING.into(),
    }
}

pub(super) fn open(sender: u32, window: u32, port: u32) -> Message {
    Message::ChannelOpen {
        sender,
        window,
        route: Route::Forwarded(Endpoints {
            address: "::1".into(),
            port,
            origin_address: "::1".into(),
            origin_port: 123,
        }),
    }
}

pub(super) fn data(recipient: u32, data: &[u8]) -> Message {
    Message::ChannelData {
        recipient,
        data: data.to_vec(),
    }
}

pub(super) fn close(recipient: u32) -> Message {
    Message::ChannelClose { recipient }
}

pub(super) fn disconnect(reason: u32) -> Message {
    Message::Disconnect {
        reason: DisconnectReason(reason),
    }
}
