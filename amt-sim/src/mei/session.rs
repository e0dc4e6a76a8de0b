//! What a connected client does with messages: one arm per client, each client in its own file.

use super::client::{ClientKind, ClientProperties};
use super::{amthi, hotham, lme, mkhi, upid, watchdog};
use crate::device::Firmware;

/// The state of one connection inside the firmware. Most clients have none: a command is a whole exchange.
#[derive(Debug)]
pub(crate) enum Session {
    Stateless(ClientKind),
    Lme(lme::Session),
}

impl Session {
    /// A new connection, and what the firmware sends before the host says anything.
    pub(crate) fn start(
        client: ClientKind,
        properties: ClientProperties,
        fw: &mut Firmware,
    ) -> (Self, Vec<Vec<u8>>) {
        match client {
            ClientKind::Lme => {
                let (session, greetings) = lme::Session::start(fw, properties);
                (Self::Lme(session), greetings)
            }
            other => (Self::Stateless(other), Vec::new()),
        }
    }

    /// One whole message from the host; the answers, in order.
    pub(crate) fn receive(&mut self, fw: &mut Firmware, message: &[u8]) -> Vec<Vec<u8>> {
        match self {
            Self::Lme(session) => session.receive(fw, message),
            Self::Stateless(client) => match client {
                ClientKind::Amthi => amthi::receive(fw, message),
                ClientKind::Watchdog => watchdog::receive(fw, message),
                ClientKind::Mkhi | ClientKind::MkhiFixed => mkhi::receive(fw, *client, message),
                ClientKind::Upid => upid::receive(fw, message),
                ClientKind::Hotham => hotham::receive(fw, message),
                // `start` makes the other kind of session for it.
                ClientKind::Lme => Vec::new(),
            },
        }
    }
}

impl Session {
    /// What the firmware says without being asked, `room` messages at most.
    pub(crate) fn poll(&mut self, fw: &mut Firmware, room: usize) -> Vec<Vec<u8>> {
        match self {
            Self::Lme(session) => session.poll(fw, room),
            Self::Stateless(_) => Vec::new(),
        }
    }

    /// Whether it may say something without being asked.
    pub(crate) const fn speaks_up(&self) -> bool {
        matches!(self, Self::Lme(_))
    }

    /// Whether the firmware ends the connection once everything is read.
    pub(crate) const fn over(&self) -> bool {
        match self {
            Self::Lme(session) => session.over(),
            Self::Stateless(_) => false,
        }
    }

    /// The connection is gone.
    pub(crate) fn end(&mut self, fw: &mut Firmware) {
        match self {
            Self::Lme(session) => session.end(fw),
            Self::Stateless(_) => {}
        }
    }
}

/// The command number that faults strike an answer by: that of the request, or where answers are messages in their
/// own right, their own.
pub(crate) fn answer_number(
    client: ClientKind,
    request: Option<u32>,
    answer: &[u8],
) -> Option<u32> {
    match client {
        ClientKind::Lme => command_number(client, answer),
        _ => request,
    }
}

/// The command number of a message, as faults name it.
pub(crate) fn command_number(client: ClientKind, message: &[u8]) -> Option<u32> {
    match client {
        ClientKind::Amthi => amthi::command_number(message),
        ClientKind::Mkhi | ClientKind::MkhiFixed => mkhi::command_number(message),
        ClientKind::Watchdog => message.get(2).map(|byte| (*byte).into()),
        ClientKind::Upid | ClientKind::Hotham => message.get(1).map(|byte| (*byte).into()),
        ClientKind::Lme => message.first().map(|byte| (*byte).into()),
    }
}

/// Replaces a good answer by one that carries this status and no data.
pub(crate) fn set_status(client: ClientKind, answer: &mut Vec<u8>, status: u32) {
    match client {
        ClientKind::Amthi => amthi::set_status(answer, status),
        ClientKind::Mkhi | ClientKind::MkhiFixed => mkhi::set_status(answer, status),
        ClientKind::Watchdog | ClientKind::Upid => {
            answer.truncate(4);
            answer.extend_from_slice(&status.to_le_bytes());
        }
        ClientKind::Hotham | ClientKind::Lme => {}
    }
}
