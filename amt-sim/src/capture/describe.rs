//! A MEI message in words.

use crate::apf::{GlobalRequest, Message, Route, SuccessForm, parse};
use crate::device::Party;
use crate::mei::ClientKind;
use crate::mei::amthi::frame::Header;
use crate::mei::amthi::{Status, command_name};

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Command or message by name.
    pub label: String,
    /// Its fields, as far as they are worth a line each.
    pub fields: Vec<(&'static str, String)>,
    /// It says that something went wrong.
    pub bad: bool,
}

impl Description {
    fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            fields: Vec::new(),
            bad: false,
        }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }

    /// In one line.
    pub fn text(&self) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        match fields.is_empty() {
            true => self.label.clone(),
            false => format!("{}: {}", self.label, fields.join(", ")),
        }
    }
}

/// Reads one whole message to or from a client.
pub fn describe(client: ClientKind, by: Party, bytes: &[u8]) -> Description {
    match client {
        ClientKind::Amthi => amthi(bytes),
        ClientKind::Lme => apf(bytes),
        _ => {
            let way = match by {
                Party::Host => "request",
                Party::Device => "answer",
            };
            Description::new(format!("{client:?} {way}")).with("bytes", bytes.len())
        }
    }
}

/// The bit of a command word that makes it an answer.
const RESPONSE: u32 = 1 << 23;

fn amthi(bytes: &[u8]) -> Description {
    let Some((header, data)) = Header::split(bytes) else {
        let mut short = Description::new("shorter than a header").with("bytes", bytes.len());
        short.bad = !bytes.is_empty();
        return short;
    };
    let request = header.command.0 & !RESPONSE;
    let name = command_name(request).map_or_else(
        || format!("command {:#x}", header.command.operation()),
        str::to_owned,
    );
    let version = format!("{}.{}", header.major, header.minor);
    if !header.command.is_response() {
        return Description::new(name)
            .with("version", version)
            .with("command", header.command)
            .with("length", header.length);
    }
    let status = data
        .first_chunk::<4>()
        .map(|bytes| Status(u32::from_le_bytes(*bytes)));
    let mut answer = Description::new(match status {
        None => format!("{name} without a status"),
        Some(Status::SUCCESS) => format!("{name} answered"),
        Some(status) => format!("{name}: {}", status_name(status)),
    })
    .with("version", version)
    .with("command", header.command)
    .with("length", header.length);
    if let Some(status) = status {
        answer = answer.with("status", status_name(status));
    }
    answer.bad = status != Some(Status::SUCCESS);
    answer
}

fn status_name(status: Status) -> String {
    match status.name() {
        Some(name) => format!("{name} ({:#x})", status.0),
        None => format!("status {:#x}", status.0),
    }
}

fn apf(bytes: &[u8]) -> Description {
    let message = match parse(bytes, SuccessForm::ByLength) {
        Ok((message, _)) => message,
        Err(error) => {
            let mut wrong = Description::new("no APF message").with("why", error);
            wrong.bad = true;
            return wrong;
        }
    };
    let said = Description::new(message.name());
    let mut said = match &message {
        Message::Disconnect { reason } => said.with("reason", reason.0),
        Message::ServiceRequest { service } | Message::ServiceAccept { service } => {
            said.with("service", service)
        }
        Message::UserauthRequest { user, .. } => said.with("user", user),
        Message::GlobalRequest { request, .. } => match request {
            GlobalRequest::TcpipForward { address, port } => said
                .with("request", "tcpip-forward")
                .with("address", address)
                .with("port", port),
            GlobalRequest::CancelTcpipForward { address, port } => said
                .with("request", "cancel-tcpip-forward")
                .with("address", address)
                .with("port", port),
            GlobalRequest::UdpSendTo { .. } => said.with("request", "udp-send-to"),
            GlobalRequest::Other { .. } => said.with("request", "unknown"),
        },
        Message::RequestSuccess { port: Some(port) } => said.with("port", port),
        Message::ChannelOpen {
            sender,
            window,
            route,
        } => {
            let said = said.with("channel", sender).with("window", window);
            match route {
                Route::Forwarded(ends) | Route::Direct(ends) => {
                    said.with("ends", format!("{ends:?}"))
                }
                Route::Other { kind, .. } => said.with("type", kind),
            }
        }
        Message::ChannelOpenConfirmation {
            recipient,
            sender,
            window,
        } => said
            .with("recipient", recipient)
            .with("channel", sender)
            .with("window", window),
        Message::ChannelOpenFailure { recipient, reason } => {
            said.with("recipient", recipient).with("reason", reason.0)
        }
        Message::ChannelWindowAdjust { recipient, bytes } => {
            said.with("recipient", recipient).with("bytes", bytes)
        }
        Message::ChannelData { recipient, data } => {
            said.with("recipient", recipient).with("bytes", data.len())
        }
        Message::ChannelClose { recipient } => said.with("recipient", recipient),
        Message::ProtocolVersion(version) => said.with("version", format!("{version:?}")),
        Message::RequestSuccess { port: None }
        | Message::UserauthFailure { .. }
        | Message::UserauthSuccess
        | Message::RequestFailure
        | Message::KeepaliveRequest { .. }
        | Message::KeepaliveReply { .. }
        | Message::KeepaliveOptionsRequest(_)
        | Message::KeepaliveOptionsReply(_) => said,
    };
    said.bad = matches!(
        message,
        Message::Disconnect { .. }
            | Message::RequestFailure
            | Message::UserauthFailure { .. }
            | Message::ChannelOpenFailure { .. }
    );
    said
}
