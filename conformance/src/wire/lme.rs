//! The host's side of the ME client LME: AMT's ports are forwarded to the host, and each connection to one of them is
//! an APF channel.
//!
//! ```text
//!   host                                     AMT
//!        ◀── PROTOCOLVERSION 1.0, 254 ──
//!        ─── PROTOCOLVERSION 1.0 ──▶
//!        ◀── SERVICE_REQUEST pfwd ──         ─── SERVICE_ACCEPT ──▶
//!        ◀── tcpip-forward 16992 ──          ─── REQUEST_SUCCESS ──▶   … one for each port
//!   open ─── CHANNEL_OPEN forwarded-tcpip ──▶ ◀── CONFIRMATION ──
//!        ─── DATA ──▶ ◀── WINDOW_ADJUST ──   ◀── DATA ── ─── WINDOW_ADJUST ──▶
//!        ◀── CLOSE ── ─── CLOSE ──▶
//! ```
//! Source: RFC 4254; Intel LMS, MeshAgent `amt-lme.js` and rpc-go, which all do it nearly the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amt_sim::apf::{
    AUTHENTICATION, DATA_HEADER, Endpoints, GlobalRequest, Message, OpenFailure, PORT_FORWARDING,
    ParseError, ProtocolVersion, Route, SuccessForm, Trigger, parse,
};
use amt_sim::host::port::{MeiChannel, MeiPort, PortError};
use amt_sim::{ClientKind, Errno};

use crate::role::Clock;

/// A connection to LME over which ports of the device can be reached.
#[derive(Debug)]
pub struct Lme {
    link: Box<dyn MeiChannel>,
    ports: BTreeSet<u32>,
    greeted: bool,
    serving: bool,
    next: u32,
    /// By the number that we gave it.
    channels: BTreeMap<u32, Channel>,
}

/// Number of a channel, as we gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelId(u32);

/// Why nothing came through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LmeError {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("LME sent something that is no message: {0}")]
    Message(#[from] ParseError),
    #[error("AMT asks for the service {0:?}, which nobody has")]
    Service(String),
    #[error("AMT disconnected with reason {0}")]
    Disconnected(u32),
    #[error("AMT does not forward port {0}")]
    NotForwarded(u16),
    #[error("AMT refused the connection with reason {0}")]
    Refused(u32),
    #[error("AMT broke the rules of a channel: {0}")]
    Channel(String),
}

impl LmeError {
    /// Whether connecting anew may help.
    pub fn is_link(&self) -> bool {
        match self {
            Self::Port(error) => error.is(Errno::Enodev),
            Self::Disconnected(_) | Self::NotForwarded(_) => true,
            _ => false,
        }
    }
}

impl Lme {
    /// AMT is silent for this long at most.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// Bytes that AMT may send before it is credited.
    const WINDOW: u32 = 4096;

    /// Connects, and answers until the port is forwarded.
    pub fn connect(port: &dyn MeiPort, clock: &dyn Clock, wanted: u16) -> Result<Self, LmeError> {
        let mut lme = Self {
            link: super::connect(port, clock, ClientKind::Lme)?,
            ports: BTreeSet::new(),
            greeted: false,
            serving: false,
            next: 0,
            channels: BTreeMap::new(),
        };
        lme.await_port(wanted)?;
        Ok(lme)
    }

    /// Answers until the port is forwarded.
    pub fn await_port(&mut self, wanted: u16) -> Result<(), LmeError> {
        while !self.ports.contains(&u32::from(wanted)) {
            match self.receive(Self::PATIENCE) {
                Ok(message) => self.handle(message)?,
                Err(LmeError::Port(PortError::Timeout(_))) => {
                    return Err(LmeError::NotForwarded(wanted));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ports that AMT has forwarded so far.
    pub fn ports(&self) -> impl Iterator<Item = u32> + '_ {
        self.ports.iter().copied()
    }

    /// Opens a connection to the port, sends `request` and collects what comes until AMT closes or `complete` says
    /// that this is all. The flag of `complete` says whether the connection has ended.
    pub fn exchange<T, E: From<LmeError>>(
        &mut self,
        port: u16,
        request: &[u8],
        complete: impl Fn(&[u8], bool) -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        let id = self.open(port)?;
        self.exchange_on(id, request, complete)
    }

    /// The same on a connection that is open, and is not afterwards.
    pub fn exchange_on<T, E: From<LmeError>>(
        &mut self,
        id: ChannelId,
        request: &[u8],
        complete: impl Fn(&[u8], bool) -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        let mut unsent = request;
        let mut seen = 0;
        loop {
            unsent = self.push(id, unsent)?;
            let message = self.receive(Self::PATIENCE)?;
            self.handle(message)?;
            let channel = self.channel(id)?;
            let received = channel.inbox.as_slice();
            if channel.closed {
                let answer = complete(received, true)?;
                self.channels.remove(&id.0);
                return answer.ok_or_else(|| {
                    LmeError::Channel("closed without an answer".to_owned()).into()
                });
            }
            if received.len() > seen {
                seen = received.len();
                if let Some(answer) = complete(received, false)? {
                    self.close(id)?;
                    return Ok(answer);
                }
            }
        }
    }

    /// Sends all of it, waiting for room.
    pub fn write(&mut self, id: ChannelId, data: &[u8]) -> Result<(), LmeError> {
        let mut unsent = data;
        loop {
            unsent = self.push(id, unsent)?;
            if unsent.is_empty() {
                return Ok(());
            }
            if self.channel(id)?.closed {
                return Err(LmeError::Channel("AMT closed it".to_owned()));
            }
            self.step(Self::PATIENCE)?;
        }
    }

    /// What came on the channel so far; none while there is nothing, and nothing once AMT has closed it.
    pub fn take(&mut self, id: ChannelId) -> Result<Option<Vec<u8>>, LmeError> {
        let channel = self.channel(id)?;
        match std::mem::take(&mut channel.inbox) {
            none if none.is_empty() && !channel.closed => Ok(None),
            bytes => Ok(Some(bytes)),
        }
    }

    /// Whether AMT has closed the channel, as far as was heard.
    pub fn is_closed(&mut self, id: ChannelId) -> bool {
        self.channel(id).map_or(true, |channel| channel.closed)
    }

    /// Hears one message, whatever it is about, and answers it.
    pub fn step(&mut self, timeout: Duration) -> Result<(), LmeError> {
        let message = self.receive(timeout)?;
        self.handle(message)
    }

    /// Closes without waiting for AMT's own CLOSE.
    pub fn abandon(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.remove(&id.0)
            && !channel.closed
        {
            let recipient = channel.theirs;
            // Whoever drops a connection has nothing left to be told.
            let _ = self.send(&Message::ChannelClose { recipient });
        }
    }

    fn channel(&mut self, id: ChannelId) -> Result<&mut Channel, LmeError> {
        self.channels
            .get_mut(&id.0)
            .ok_or_else(|| LmeError::Channel("it is closed".to_owned()))
    }

    /// Opens a connection to a port that is forwarded.
    pub fn open(&mut self, port: u16) -> Result<ChannelId, LmeError> {
        let port = u32::from(port);
        if !self.ports.contains(&port) {
            return Err(LmeError::NotForwarded(port as u16));
        }
        let ours = self.next;
        self.next = self.next.wrapping_add(1);
        let local = "127.0.0.1".to_owned();
        self.send(&Message::ChannelOpen {
            sender: ours,
            window: Self::WINDOW,
            route: Route::Forwarded(Endpoints {
                address: local.clone(),
                port,
                origin_address: local,
                origin_port: 49_152 + ours % 16_384,
            }),
        })?;
        loop {
            match self.receive(Self::PATIENCE)? {
                Message::ChannelOpenConfirmation {
                    recipient,
                    sender,
                    window,
                } if recipient == ours => {
                    let channel = Channel {
                        theirs: sender,
                        window: window as usize,
                        offered: Self::WINDOW as usize,
                        inbox: Vec::new(),
                        closed: false,
                        closing: false,
                    };
                    self.channels.insert(ours, channel);
                    return Ok(ChannelId(ours));
                }
                Message::ChannelOpenFailure { recipient, reason } if recipient == ours => {
                    return Err(LmeError::Refused(reason.0));
                }
                other => self.handle(other)?,
            }
        }
    }

    /// Sends as much as the window allows, and gives back the rest.
    fn push<'d>(&mut self, id: ChannelId, data: &'d [u8]) -> Result<&'d [u8], LmeError> {
        let longest = (self.link.properties().max_message as usize).saturating_sub(DATA_HEADER);
        let mut rest = data;
        while !rest.is_empty() {
            let channel = self.channel(id)?;
            let now = rest.len().min(longest).min(channel.window);
            if now == 0 || channel.closed {
                break;
            }
            let (now, later) = rest.split_at(now);
            channel.window -= now.len();
            let recipient = channel.theirs;
            self.send(&Message::ChannelData {
                recipient,
                data: now.to_vec(),
            })?;
            rest = later;
        }
        Ok(rest)
    }

    /// Closes, and waits for AMT's own CLOSE, so that it cannot be taken for that of the next channel.
    pub fn close(&mut self, id: ChannelId) -> Result<(), LmeError> {
        let channel = self.channel(id)?;
        channel.closing = true;
        let recipient = channel.theirs;
        if !channel.closed {
            self.send(&Message::ChannelClose { recipient })?;
        }
        while !self.channel(id)?.closed {
            self.step(Self::PATIENCE)?;
        }
        self.channels.remove(&id.0);
        Ok(())
    }

    /// One message of AMT's: for a channel of ours, or about the connection itself.
    fn handle(&mut self, message: Message) -> Result<(), LmeError> {
        match message {
            Message::ChannelWindowAdjust { recipient, bytes }
                if self.channels.contains_key(&recipient) =>
            {
                let channel = self.channel(ChannelId(recipient))?;
                channel.window = channel.window.saturating_add(bytes as usize);
                Ok(())
            }
            Message::ChannelData { recipient, data } if self.channels.contains_key(&recipient) => {
                let channel = self.channel(ChannelId(recipient))?;
                if channel.closing {
                    return Ok(()); // It was on its way already.
                }
                channel.take(data.len())?;
                channel.inbox.extend_from_slice(&data);
                channel.offered += data.len();
                let recipient = channel.theirs;
                // Nothing here comes near 4 GiB: the window is smaller.
                let bytes = data.len() as u32;
                self.send(&Message::ChannelWindowAdjust { recipient, bytes })
            }
            Message::ChannelClose { recipient } if self.channels.contains_key(&recipient) => {
                let channel = self.channel(ChannelId(recipient))?;
                channel.closed = true;
                let recipient = channel.theirs;
                match channel.closing {
                    true => Ok(()),
                    false => self.send(&Message::ChannelClose { recipient }),
                }
            }
            other => self.housekeeping(other),
        }
    }

    /// Everything that belongs to no channel of ours.
    fn housekeeping(&mut self, message: Message) -> Result<(), LmeError> {
        match message {
            Message::ProtocolVersion(version) => {
                if self.greeted {
                    return Ok(());
                }
                self.greeted = true;
                self.send(&Message::ProtocolVersion(ProtocolVersion {
                    major: 1,
                    minor: 0,
                    trigger: Trigger::LME,
                    uuid: version.uuid,
                }))
            }
            Message::ServiceRequest { service } => {
                if service != PORT_FORWARDING && service != AUTHENTICATION {
                    return Err(LmeError::Service(service));
                }
                self.serving |= service == PORT_FORWARDING;
                self.send(&Message::ServiceAccept { service })
            }
            Message::UserauthRequest { .. } => self.send(&Message::UserauthSuccess),
            Message::GlobalRequest {
                want_reply,
                request,
            } => self.global(want_reply, request),
            Message::KeepaliveRequest { cookie } => self.send(&Message::KeepaliveReply { cookie }),
            Message::KeepaliveOptionsRequest(options) => {
                self.send(&Message::KeepaliveOptionsReply(options))
            }
            // An alert: nobody here listens to it.
            Message::ChannelOpen { sender, .. } => self.send(&Message::ChannelOpenFailure {
                recipient: sender,
                reason: OpenFailure::PROHIBITED,
            }),
            Message::Disconnect { reason } => Err(LmeError::Disconnected(reason.0)),
            // A CLOSE or a credit that crossed ours on the way.
            _ => Ok(()),
        }
    }

    fn global(&mut self, want_reply: bool, request: GlobalRequest) -> Result<(), LmeError> {
        let answer = match request {
            GlobalRequest::TcpipForward { port, .. } if self.serving => {
                if self.ports.insert(port) {
                    Message::RequestSuccess { port: Some(port) }
                } else {
                    Message::RequestFailure
                }
            }
            GlobalRequest::TcpipForward { .. } => {
                return Err(LmeError::Channel(
                    "a port is to be forwarded before the service was asked for".to_owned(),
                ));
            }
            GlobalRequest::CancelTcpipForward { port, .. } => {
                self.ports.remove(&port);
                Message::RequestSuccess { port: None }
            }
            GlobalRequest::UdpSendTo { .. } => return Ok(()),
            GlobalRequest::Other { .. } => Message::RequestFailure,
        };
        match want_reply {
            true => self.send(&answer),
            false => Ok(()),
        }
    }

    fn send(&mut self, message: &Message) -> Result<(), LmeError> {
        Ok(self.link.send(&message.encode())?)
    }

    fn receive(&mut self, timeout: Duration) -> Result<Message, LmeError> {
        let bytes = self.link.receive(timeout)?;
        let (message, used) = parse(&bytes, SuccessForm::ByLength)?;
        // One MEI message is one APF message.
        match bytes.len() - used {
            0 => Ok(message),
            more => Err(LmeError::Channel(format!(
                "{more} bytes follow {}",
                message.name()
            ))),
        }
    }
}

/// One connection to a port of the device.
#[derive(Debug)]
struct Channel {
    theirs: u32,
    /// Bytes that may be sent now.
    window: usize,
    /// Bytes that AMT may send now.
    offered: usize,
    /// What came and nobody has taken yet.
    inbox: Vec<u8>,
    /// AMT said CLOSE.
    closed: bool,
    /// We said CLOSE first.
    closing: bool,
}

impl Channel {
    fn take(&mut self, bytes: usize) -> Result<(), LmeError> {
        match self.offered.checked_sub(bytes) {
            Some(left) => {
                self.offered = left;
                Ok(())
            }
            None => Err(LmeError::Channel(format!(
                "{bytes} bytes came where {} were allowed",
                self.offered
            ))),
        }
    }
}

#[cfg(test)]
#[path = "lme_tests.rs"]
mod tests;
