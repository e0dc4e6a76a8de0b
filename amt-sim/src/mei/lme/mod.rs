//! Local manageability engine: AMT's ports, forwarded to the host in APF messages.
//!
//! One MEI message is one APF message. AMT speaks first, and waits for nothing but what it must:
//!
//! ```text
//!   AMT                                   host
//!   PROTOCOLVERSION 1.0, trigger 254 ──▶
//!   SERVICE_REQUEST pfwd ──────────────▶
//!                                     ◀── PROTOCOLVERSION   before or after AMT's, once or twice
//!                                     ◀── SERVICE_ACCEPT pfwd
//!   GLOBAL_REQUEST tcpip-forward ──────▶
//!                                     ◀── REQUEST_SUCCESS   and so on, port by port
//!                                     ◀── CHANNEL_OPEN      a program connected to a forwarded port
//!   CHANNEL_OPEN_CONFIRMATION ─────────▶
//! ```
//! LMS says nothing before it has AMT's version and gives up when no port is forwarded within five seconds; it
//! answers each further version with its own, so AMT sends exactly one. rpc-go speaks first and answers AMT's
//! version with a second one of its own. MicroLMS answers with a copy of AMT's.
//!
//! Source: Intel LMS `PortForwardingService/Protocol.cpp`, MeshAgent `amt-lme.js`, rpc-go `internal/lm`.

mod channel;
mod forward;
mod ports;
#[cfg(test)]
mod tests;

use channel::{CHANNELS, Channel, Channels, Slot, UNLIMITED};
use forward::Forwards;
use ports::{Ports, Web};

use crate::apf::{
    self, DATA_HEADER, DisconnectReason, GlobalRequest, Message, OpenFailure, PORT_FORWARDING,
    ParseError, ProtocolVersion, Route, SuccessForm, Trigger,
};
use crate::device::{
    Event, FaultEffect, FaultPoint, Firmware, LmeDrop, Mode, Occasion, Party, Rule, assumed,
};
use crate::mei::{ClientKind, ClientProperties};

/// Bytes that a host may send on a channel before it is credited. MicroLMS sends them in one message, so they
/// must fit in one.
const WINDOW: usize = 4096;

/// Most data of one message to the host. LMS drops what is longer than 4095 bytes; half a window of the others
/// leaves no crumbs behind.
const LONGEST_DATA: usize = 2048;

/// One LME connection.
#[derive(Debug)]
pub(crate) struct Session<P: Ports = Web> {
    ports: P,
    /// Longest message in bytes, either way.
    max_message: usize,
    greeted: bool,
    /// The host told its version.
    agreed: bool,
    /// The host forwards ports for AMT.
    accepted: bool,
    forwards: Forwards,
    channels: Channels<P::Stream>,
    /// What the ports depended on when they were last looked at.
    mode: Mode,
    /// A reason to drop the connection came up: it is dropped when the last channel is closed.
    drop_pending: bool,
    over: bool,
}

impl<P: Ports + Default> Session<P> {
    pub(crate) fn start(fw: &mut Firmware, properties: ClientProperties) -> (Self, Vec<Vec<u8>>) {
        let mut session = Self {
            ports: P::default(),
            max_message: properties.max_message as usize,
            greeted: false,
            agreed: false,
            accepted: false,
            forwards: Forwards::default(),
            channels: Channels::new(),
            mode: fw.mode(),
            drop_pending: false,
            over: false,
        };
        let mut out = Vec::new();
        if fw.enforced(Rule::LME_SPEAKS_FIRST) {
            session.greet(fw, &mut out);
        }
        (session, encode(&out))
    }
}

impl<P: Ports> Session<P> {
    /// One message from the host, and what it is answered at once. Data of channels comes from [`Self::poll`].
    pub(crate) fn receive(&mut self, fw: &mut Firmware, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if self.over {
            return Vec::new();
        }
        if !self.greeted {
            self.greet(fw, &mut out);
        }
        if !self.greeted {
            fw.assume(assumed::LME_WHILE_DISABLED);
            return encode(&out);
        }
        match apf::parse(bytes, SuccessForm::ByLength) {
            Ok((message, size)) => {
                if size < bytes.len() {
                    fw.assume(assumed::LME_TRAILING_BYTES);
                }
                self.take(fw, message, &mut out);
            }
            Err(ParseError::UnknownOpcode(code)) => {
                fw.assume(assumed::LME_UNKNOWN_OPCODE);
                fw.record(Event::UnknownCommand {
                    client: ClientKind::Lme,
                    id: code.into(),
                    status: 0,
                });
            }
            Err(why) if fw.enforced(Rule::LME_MALFORMED) => {
                self.protocol_error(fw, &mut out, why.to_string());
            }
            Err(_) => {}
        }
        encode(&out)
    }

    /// What the firmware has to say by itself, `room` messages at most: data of channels, their end, and what
    /// follows from a change of mode or settings.
    pub(crate) fn poll(&mut self, fw: &mut Firmware, room: usize) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if self.over || room == 0 {
            return Vec::new();
        }
        if !self.greeted && fw.enforced(Rule::LME_SPEAKS_FIRST) {
            self.greet(fw, &mut out);
        }
        self.notice_mode(fw);
        if self.accepted {
            self.forwards.update(&forward::wanted(fw, &self.ports));
            out.extend(self.forwards.next());
        }
        self.send(fw, room, &mut out);
        if self.drop_pending && !self.channels.any_open() {
            self.over = true;
        }
        encode(&out)
    }

    /// The handle was closed, or the link was reset.
    pub(crate) fn end(&mut self, fw: &mut Firmware) {
        self.over = true;
        self.close_all(fw, Party::Host);
    }

    /// The firmware is done with this connection: it is dropped as soon as the host has read everything.
    pub(crate) const fn over(&self) -> bool {
        self.over
    }

    /// Begins, once in the life of a connection. AMT that is switched off has nothing to say.
    fn greet(&mut self, fw: &Firmware, out: &mut Vec<Message>) {
        if fw.mode().enabled() {
            self.greeted = true;
            out.push(version(fw));
            out.push(Message::ServiceRequest {
                service: PORT_FORWARDING.to_owned(),
            });
        }
    }

    fn take(&mut self, fw: &mut Firmware, message: Message, out: &mut Vec<Message>) {
        let name = message.name();
        let needs_service = matches!(
            message,
            Message::GlobalRequest { .. } | Message::ChannelOpen { .. }
        );
        let needs_version = matches!(
            message,
            Message::ServiceAccept { .. } | Message::ServiceRequest { .. }
        );
        let early = (needs_service && !self.accepted) || (needs_version && !self.agreed);
        if early && fw.enforced(Rule::LME_ORDER) {
            return self.protocol_error(fw, out, format!("{name} comes too early"));
        }
        let opcode = message.opcode();
        match message {
            Message::ProtocolVersion(theirs) => {
                understood(fw, name, opcode);
                if theirs.major < 1 && fw.enforced(Rule::LME_VERSION) {
                    let reason = DisconnectReason::VERSION_NOT_SUPPORTED;
                    return self.disconnect(fw, out, reason);
                }
                self.agreed = true;
                if !fw.enforced(Rule::LME_GREETS_ONCE) {
                    out.push(version(fw));
                }
            }
            Message::ServiceAccept { service } if service == PORT_FORWARDING => {
                understood(fw, name, opcode);
                if !self.accepted {
                    self.accepted = true;
                    fw.assume(assumed::LME_FORWARD_LIST);
                }
            }
            Message::ServiceRequest { service } => {
                fw.assume(assumed::LME_HOST_REQUESTS);
                understood(fw, name, opcode);
                if service == PORT_FORWARDING {
                    out.push(Message::ServiceAccept { service });
                } else {
                    self.disconnect(fw, out, DisconnectReason::SERVICE_NOT_AVAILABLE);
                }
            }
            Message::RequestSuccess { .. } => self.answered(fw, true),
            Message::RequestFailure => self.answered(fw, false),
            Message::GlobalRequest {
                want_reply,
                request,
            } => out.extend(requested(fw, want_reply, request)),
            Message::ChannelOpen {
                sender,
                window,
                route,
            } => {
                let answer = self.open(fw, sender, window, route);
                out.push(answer);
            }
            Message::ChannelData { recipient, data } => {
                out.extend(self.data(fw, recipient, &data));
            }
            Message::ChannelWindowAdjust { recipient, bytes } => {
                if let Some(channel) = self.channels.open_mut(recipient) {
                    channel.send_window = channel.send_window.saturating_add(bytes);
                }
            }
            Message::ChannelClose { recipient } => self.closed(fw, recipient, out),
            Message::KeepaliveRequest { cookie } => {
                understood(fw, name, opcode);
                out.push(Message::KeepaliveReply { cookie });
            }
            Message::KeepaliveOptionsRequest(options) => {
                understood(fw, name, opcode);
                out.push(Message::KeepaliveOptionsReply(options));
            }
            Message::KeepaliveReply { .. } | Message::KeepaliveOptionsReply(_) => {}
            Message::Disconnect { .. } => {
                understood(fw, name, opcode);
                self.over = true;
                self.close_all(fw, Party::Host);
            }
            // AMT logs in nowhere here, opens no channels of its own, and asked for one service.
            Message::ServiceAccept { .. }
            | Message::UserauthRequest { .. }
            | Message::UserauthFailure { .. }
            | Message::UserauthSuccess
            | Message::ChannelOpenConfirmation { .. }
            | Message::ChannelOpenFailure { .. } => {
                self.protocol_error(fw, out, format!("{name} answers nothing that AMT said"));
            }
        }
    }

    fn answered(&mut self, fw: &mut Firmware, accepted: bool) {
        if let Some(port) = self.forwards.answered(accepted) {
            fw.record(Event::PortForwarded { port, accepted });
        }
    }

    fn open(&mut self, fw: &mut Firmware, sender: u32, window: u32, route: Route) -> Message {
        let refuse = |fw: &mut Firmware, port, reason: OpenFailure| {
            fw.record(Event::ChannelRefused {
                client: ClientKind::Lme,
                port,
                reason: reason.0,
            });
            Message::ChannelOpenFailure {
                recipient: sender,
                reason,
            }
        };
        let otherwise = |fw: &Firmware, rule, reason| {
            if fw.enforced(rule) {
                reason
            } else {
                OpenFailure::PROHIBITED
            }
        };
        const OCCASION: Occasion = Occasion {
            at: FaultPoint::Channel,
            client: None,
            command: None,
        };
        if let Some(FaultEffect::Status(reason)) = fw.strike(OCCASION).map(|fault| fault.effect) {
            let port = match route {
                Route::Forwarded(ends) => ends.port,
                _ => 0,
            };
            return refuse(fw, port, OpenFailure(reason));
        }
        let Route::Forwarded(ends) = route else {
            let reason = otherwise(fw, Rule::LME_CHANNEL_TYPE, OpenFailure::UNKNOWN_TYPE);
            return refuse(fw, 0, reason);
        };
        let limit = if fw.enforced(Rule::LME_CHANNELS) {
            CHANNELS
        } else {
            UNLIMITED
        };
        if !self.channels.has_room(limit) {
            return refuse(fw, ends.port, OpenFailure::RESOURCE_SHORTAGE);
        }
        let opened = u16::try_from(ends.port)
            .ok()
            .and_then(|port| Some((port, self.ports.open(fw, port)?)));
        let Some((port, stream)) = opened else {
            let reason = otherwise(fw, Rule::LME_NOBODY_LISTENS, OpenFailure::CONNECT_FAILED);
            return refuse(fw, ends.port, reason);
        };
        let ours = self.window();
        let channel = Channel {
            host: sender,
            stream,
            send_window: window,
            receive_window: ours,
            owed: 0,
        };
        let numbers = fw.profile.assumptions.lme_numbers;
        let Some(number) = self.channels.insert(limit, numbers, channel) else {
            self.ports.close(fw, stream);
            return refuse(fw, ends.port, OpenFailure::RESOURCE_SHORTAGE);
        };
        fw.assume(assumed::LME_CHANNELS);
        fw.record(Event::ChannelOpened {
            client: ClientKind::Lme,
            channel: number,
            port,
        });
        Message::ChannelOpenConfirmation {
            recipient: sender,
            sender: number,
            window: ours,
        }
    }

    fn window(&self) -> u32 {
        let most = self.max_message.saturating_sub(DATA_HEADER).max(1);
        u32::try_from(WINDOW.min(most)).unwrap_or(u32::MAX)
    }

    /// Data for a channel. What comes for one that is closed was on its way, and is lost with it.
    fn data(&mut self, fw: &mut Firmware, number: u32, data: &[u8]) -> Option<Message> {
        let half = (self.window() / 2).max(1);
        let channel = self.channels.open_mut(number)?;
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if size > channel.receive_window {
            fw.assume(assumed::LME_OVERRUN);
        }
        channel.receive_window = channel.receive_window.saturating_sub(size);
        channel.owed = channel.owed.saturating_add(size);
        let credit = (channel.owed >= half && fw.enforced(Rule::LME_CREDIT)).then(|| {
            let bytes = std::mem::take(&mut channel.owed);
            channel.receive_window = channel.receive_window.saturating_add(bytes);
            Message::ChannelWindowAdjust {
                recipient: channel.host,
                bytes,
            }
        });
        self.ports.receive(fw, channel.stream, data);
        credit
    }

    /// The host closes a channel, or answers that the device did. Some hosts do both.
    fn closed(&mut self, fw: &mut Firmware, number: u32, out: &mut Vec<Message>) {
        match self.channels.replace(number, Slot::Free) {
            Slot::Open(channel) => {
                self.ports.close(fw, channel.stream);
                fw.record(Event::ChannelClosed {
                    client: ClientKind::Lme,
                    channel: number,
                    by: Party::Host,
                });
                if fw.enforced(Rule::LME_CLOSE_ANSWERED) {
                    out.push(Message::ChannelClose {
                        recipient: channel.host,
                    });
                }
            }
            Slot::Closing => {}
            Slot::Free if fw.enforced(Rule::LME_LATE_CLOSE) => {}
            Slot::Free => {
                self.protocol_error(fw, out, format!("channel {number} is not open"));
            }
        }
    }

    /// The mode may have been changed over another connection.
    fn notice_mode(&mut self, fw: &mut Firmware) {
        let mode = fw.mode();
        if mode != self.mode {
            self.mode = mode;
            if self.greeted {
                fw.assume(assumed::LME_AFTER_RESTART);
                self.drop_pending |= fw.profile.assumptions.lme_drop == LmeDrop::AfterRestart;
            }
        }
    }

    /// A message from each channel in turn, as far as windows and room go.
    fn send(&mut self, fw: &mut Firmware, room: usize, out: &mut Vec<Message>) {
        loop {
            let mut progress = false;
            for number in self.channels.round() {
                if out.len() >= room {
                    return;
                }
                if let Some(message) = self.next_of(fw, number) {
                    out.push(message);
                    self.channels.turn = number as usize + 1;
                    progress = true;
                }
            }
            if !progress {
                return;
            }
        }
    }

    /// What a channel has to send next.
    fn next_of(&mut self, fw: &mut Firmware, number: u32) -> Option<Message> {
        let channel = self.channels.open_mut(number)?;
        let (host, stream) = (channel.host, channel.stream);
        let pending = self.ports.pending(fw, stream);
        if pending == 0 {
            if !self.ports.finished(fw, stream) {
                return None;
            }
            self.ports.close(fw, stream);
            self.channels.replace(number, Slot::Closing);
            fw.record(Event::ChannelClosed {
                client: ClientKind::Lme,
                channel: number,
                by: Party::Device,
            });
            self.drop_pending |= fw.profile.assumptions.lme_drop == LmeDrop::AfterClose;
            return Some(Message::ChannelClose { recipient: host });
        }
        let mut most = if fw.enforced(Rule::LME_MESSAGE_LENGTH) {
            LONGEST_DATA.min(self.max_message.saturating_sub(DATA_HEADER))
        } else {
            self.max_message
        };
        if fw.enforced(Rule::LME_SEND_WINDOW) {
            most = most.min(channel.send_window as usize);
        }
        if most == 0 {
            return None;
        }
        let data = self.ports.take(fw, stream, most);
        if data.is_empty() {
            return None;
        }
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        channel.send_window = channel.send_window.saturating_sub(size);
        Some(Message::ChannelData {
            recipient: host,
            data,
        })
    }

    fn protocol_error(&mut self, fw: &mut Firmware, out: &mut Vec<Message>, why: String) {
        fw.assume(assumed::LME_PROTOCOL_ERROR);
        fw.record(Event::Malformed {
            client: ClientKind::Lme,
            why,
        });
        self.disconnect(fw, out, DisconnectReason::PROTOCOL_ERROR);
    }

    fn disconnect(&mut self, fw: &mut Firmware, out: &mut Vec<Message>, reason: DisconnectReason) {
        self.over = true;
        self.close_all(fw, Party::Device);
        out.push(Message::Disconnect { reason });
    }

    fn close_all(&mut self, fw: &mut Firmware, by: Party) {
        for (number, channel) in self.channels.drain() {
            self.ports.close(fw, channel.stream);
            fw.record(Event::ChannelClosed {
                client: ClientKind::Lme,
                channel: number,
                by,
            });
        }
    }
}

fn version(fw: &Firmware) -> Message {
    Message::ProtocolVersion(ProtocolVersion {
        major: 1,
        minor: 0,
        trigger: Trigger::LME,
        uuid: fw.identity.uuid.to_wire(),
    })
}

/// A request of the host's own. Nothing is offered to it but a way for datagrams.
fn requested(fw: &mut Firmware, want_reply: bool, request: GlobalRequest) -> Option<Message> {
    fw.assume(assumed::LME_HOST_REQUESTS);
    let answer = match request {
        GlobalRequest::UdpSendTo {
            port,
            origin_address,
            origin_port,
            data,
            ..
        } => {
            fw.record(Event::Datagram {
                client: ClientKind::Lme,
                from: origin_address,
                from_port: origin_port,
                port,
                size: data.len(),
            });
            Message::RequestSuccess { port: None }
        }
        _ => Message::RequestFailure,
    };
    want_reply.then_some(answer)
}

fn understood(fw: &mut Firmware, name: &str, opcode: u8) {
    fw.record(Event::Command {
        client: ClientKind::Lme,
        name: name.to_owned(),
        id: opcode.into(),
        status: 0,
    });
}

fn encode(messages: &[Message]) -> Vec<Vec<u8>> {
    messages.iter().map(Message::encode).collect()
}
