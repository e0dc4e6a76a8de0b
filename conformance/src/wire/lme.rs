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

use std::collections::BTreeSet;
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
}

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
        };
        while !lme.ports.contains(&u32::from(wanted)) {
            match lme.receive(Self::PATIENCE) {
                Ok(message) => lme.housekeeping(message)?,
                Err(LmeError::Port(PortError::Timeout(_))) => {
                    return Err(LmeError::NotForwarded(wanted));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(lme)
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
        let mut channel = self.open(port)?;
        let mut unsent = request;
        let mut received = Vec::new();
        loop {
            unsent = self.push(&mut channel, unsent)?;
            match self.receive(Self::PATIENCE)? {
                Message::ChannelWindowAdjust { recipient, bytes } if recipient == channel.ours => {
                    channel.window = channel.window.saturating_add(bytes as usize);
                }
                Message::ChannelData { recipient, data } if recipient == channel.ours => {
                    channel.take(data.len())?;
                    received.extend_from_slice(&data);
                    // Nothing here comes near 4 GiB: the window is smaller.
                    self.credit(&mut channel, data.len() as u32)?;
                    if let Some(answer) = complete(&received, false)? {
                        self.close(channel)?;
                        return Ok(answer);
                    }
                }
                Message::ChannelClose { recipient } if recipient == channel.ours => {
                    self.send(&Message::ChannelClose {
                        recipient: channel.theirs,
                    })?;
                    return complete(&received, true)?.ok_or_else(|| {
                        LmeError::Channel("closed without an answer".to_owned()).into()
                    });
                }
                other => self.housekeeping(other)?,
            }
        }
    }

    fn open(&mut self, port: u16) -> Result<Channel, LmeError> {
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
                    return Ok(Channel {
                        ours,
                        theirs: sender,
                        window: window as usize,
                        offered: Self::WINDOW as usize,
                    });
                }
                Message::ChannelOpenFailure { recipient, reason } if recipient == ours => {
                    return Err(LmeError::Refused(reason.0));
                }
                other => self.housekeeping(other)?,
            }
        }
    }

    /// Sends as much as the window allows, and gives back the rest.
    fn push<'d>(&mut self, channel: &mut Channel, data: &'d [u8]) -> Result<&'d [u8], LmeError> {
        let longest = (self.link.properties().max_message as usize).saturating_sub(DATA_HEADER);
        let mut rest = data;
        while !rest.is_empty() && channel.window > 0 {
            let (now, later) = rest.split_at(rest.len().min(longest).min(channel.window));
            self.send(&Message::ChannelData {
                recipient: channel.theirs,
                data: now.to_vec(),
            })?;
            channel.window -= now.len();
            rest = later;
        }
        Ok(rest)
    }

    fn credit(&mut self, channel: &mut Channel, bytes: u32) -> Result<(), LmeError> {
        channel.offered += bytes as usize;
        self.send(&Message::ChannelWindowAdjust {
            recipient: channel.theirs,
            bytes,
        })
    }

    /// Closes, and waits for AMT's own CLOSE, so that it cannot be taken for that of the next channel.
    fn close(&mut self, channel: Channel) -> Result<(), LmeError> {
        self.send(&Message::ChannelClose {
            recipient: channel.theirs,
        })?;
        loop {
            match self.receive(Self::PATIENCE)? {
                Message::ChannelClose { recipient } if recipient == channel.ours => return Ok(()),
                // What was on its way already.
                Message::ChannelWindowAdjust { recipient, .. }
                | Message::ChannelData { recipient, .. }
                    if recipient == channel.ours => {}
                other => self.housekeeping(other)?,
            }
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
    ours: u32,
    theirs: u32,
    /// Bytes that may be sent now.
    window: usize,
    /// Bytes that AMT may send now.
    offered: usize,
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
