//! AMT host interface (AMTHI, also PTHI): one request, one answer.
//!
//! ```text
//! message ─▶ header whole? ─▶ version ─▶ command known? ─▶ Length ─▶ size of data ─▶ handler
//!             no: silence      no: 0x1D   no: profile's     no: 4     no: 4           status, data
//! ```
//! Every answer is as long as its header says: the length is computed from the data, never written by hand.
//!
//! Source: Intel LMS `MEIClient/AMTHIClient`, rpc-go `pkg/pthi`, MeshAgent `modules/amt-mei.js`, and the
//! "Intel AMT Implementation and Reference Guide", host interface command pages.

mod accounts;
mod audit;
mod cira_log;
mod features;
pub mod frame;
mod hashes;
mod host_based;
mod network;
mod provisioning;
mod remote_access;
mod setup;
mod status;
mod table;
mod versions;
mod wire;

use frame::{Command, Header};
pub use status::Status;
use table::{Effect, Outcome};
pub(crate) use wire::{Reader, Writer};

use crate::device::{Event, Firmware, Rule, WhileDisabled, assumed};
use crate::mei::ClientKind;

/// One whole message from the host.
pub(crate) fn receive(fw: &mut Firmware, message: &[u8]) -> Vec<Vec<u8>> {
    if !fw.mode().enabled() {
        fw.assume(assumed::AMTHI_WHILE_DISABLED);
        if fw.profile.assumptions.while_disabled == WhileDisabled::Empty {
            return vec![Vec::new()];
        }
    }
    let Some((header, data)) = Header::split(message) else {
        malformed(fw, format!("{} bytes are no header", message.len()));
        fw.assume(assumed::SHORT_MESSAGE);
        return Vec::new();
    };
    let Some(outcome) = answer(fw, header, data) else {
        return Vec::new();
    };
    let (status, data) = match outcome {
        Ok(data) => (Status::SUCCESS, data.finish()),
        Err(status) => (status, Vec::new()),
    };
    vec![frame::answer(header.command, status, &data)]
}

/// How the field calls a command, by its whole number such as `0x0400_001a`, whatever firmware knows it.
pub fn command_name(command: u32) -> Option<&'static str> {
    table::name(Command(command))
}

/// The operation number of a message, without class bits.
pub(crate) fn command_number(message: &[u8]) -> Option<u32> {
    Header::split(message).map(|(header, _)| header.command.operation())
}

/// Leaves the header and this status of an answer. What is too short to have a header stays as it is.
pub(crate) fn set_status(answer: &mut Vec<u8>, status: u32) {
    if let Some((header, _)) = Header::split(answer) {
        *answer = frame::answer(header.command, Status(status), &[]);
    }
}

/// What becomes of one request; `None` is silence.
fn answer(fw: &mut Firmware, header: Header, data: &[u8]) -> Option<Outcome> {
    if !header.is_current() && fw.enforced(Rule::AMTHI_VERSION) {
        let Header {
            major,
            minor,
            reserved,
            ..
        } = header;
        malformed(
            fw,
            format!("version {major}.{minor}, reserved field {reserved:#x} instead of 1.1 and 0"),
        );
        fw.assume(assumed::HEADER_VERSION);
        return Some(Err(Status::UNSUPPORTED_VERSION));
    }
    let Some(command) = table::find(header.command, &fw.profile) else {
        return unknown(fw, header.command);
    };
    let outcome = if header.length as usize != data.len() && fw.enforced(Rule::AMTHI_LENGTH) {
        malformed(
            fw,
            format!(
                "{}: Length says {}, {} bytes follow",
                command.name,
                header.length,
                data.len()
            ),
        );
        Err(Status::INVALID_MESSAGE_LENGTH)
    } else if !command.request.fits(data) && fw.enforced(Rule::AMTHI_REQUEST_SIZE) {
        malformed(
            fw,
            format!(
                "{}: {} bytes of data where {:?} is wanted",
                command.name,
                data.len(),
                command.request
            ),
        );
        Err(Status::INVALID_MESSAGE_LENGTH)
    } else if !fw.mode().enabled() && command.effect == Effect::Settings {
        Err(Status::INVALID_AMT_MODE)
    } else {
        (command.handle)(fw, Reader::new(data))
    };
    fw.record(Event::Command {
        client: ClientKind::Amthi,
        name: command.name.to_owned(),
        id: command.id.0,
        status: outcome.as_ref().map_or_else(|status| status.0, |_| 0),
    });
    Some(outcome)
}

fn unknown(fw: &mut Firmware, command: Command) -> Option<Outcome> {
    let status = fw.profile.assumptions.unknown_command_status;
    fw.record(Event::UnknownCommand {
        client: ClientKind::Amthi,
        id: command.0,
        status,
    });
    if !fw.enforced(Rule::AMTHI_UNKNOWN_COMMAND) {
        return None;
    }
    fw.assume(assumed::UNKNOWN_COMMAND);
    Some(Err(Status(status)))
}

fn malformed(fw: &mut Firmware, why: String) {
    fw.record(Event::Malformed {
        client: ClientKind::Amthi,
        why,
    });
}

#[cfg(test)]
mod tests;
