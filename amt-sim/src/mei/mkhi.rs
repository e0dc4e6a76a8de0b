//! ME kernel host interface: firmware version, capabilities, boot state.
//!
//! ```text
//! u32 LE header  bits 0-7 group, 8-14 command, 15 answer, 16-23 reserved, 24-31 result
//! group 3    2   Get FW capabilities rule   u32 rule -> u32 rule, u8 4, u32 data
//! group FF   2   Get FW version             -> two blocks of u16 minor, major, build, hotfix
//! group FF   A   Get boot state             -> u32 bits (0 end of POST), u32 reserved
//! group FF  18   Get image type             -> u32, not 0 when production-signed
//! group FF  1C   Get image FW version       u32 partition -> u32 n, n x 88 bytes
//! group FF  1D   Get end-of-POST state      -> u32, low byte not 0 once it was sent
//! group FF  23   Get measured boot state    -> u8
//! ```
//! The same messages travel on a client of fixed address, where the firmware knows the first two only.
//!
//! Source: Intel LMS `MEIClient/MKHIClient`; Linux `drivers/misc/mei/mkhi.h`, `bus-fixup.c`.

use super::amthi::{Reader, Writer};
use crate::device::{Event, Firmware, Rule, assumed};
use crate::mei::ClientKind;

const RESPONSE: u32 = 1 << 15;

/// What stands in the top byte of an answer's header.
mod result {
    pub(super) const SIZE_ERROR: u8 = 0x05;
    pub(super) const NOT_FOUND: u8 = 0x81;
    pub(super) const NOT_SUPPORTED: u8 = 0x89;
    pub(super) const INVALID_COMMAND: u8 = 0x8d;
}

type Outcome = Result<Writer, u8>;

struct Command {
    group: u8,
    command: u8,
    name: &'static str,
    /// Bytes of data in a request.
    request: usize,
    /// Known on the client of fixed address too.
    fixed: bool,
    handle: fn(&mut Firmware, Reader<'_>) -> Outcome,
}

#[rustfmt::skip]
const COMMANDS: &[Command] = &[
    Command { group: 0x03, command: 0x02, name: "GetFWCapsRule",        request: 4, fixed: true,  handle: rule },
    Command { group: 0xff, command: 0x02, name: "GetFWVersion",         request: 0, fixed: true,  handle: version },
    Command { group: 0xff, command: 0x0a, name: "GetBootState",         request: 0, fixed: false, handle: boot_state },
    Command { group: 0xff, command: 0x18, name: "GetImageType",         request: 0, fixed: false, handle: image_type },
    Command { group: 0xff, command: 0x1c, name: "GetImageFWVersion",    request: 4, fixed: false, handle: image_version },
    Command { group: 0xff, command: 0x1d, name: "GetEOPState",          request: 0, fixed: false, handle: end_of_post },
    Command { group: 0xff, command: 0x23, name: "GetMeasuredBootState", request: 0, fixed: false, handle: measured_boot },
];

/// One whole message from the host.
pub(crate) fn receive(fw: &mut Firmware, client: ClientKind, message: &[u8]) -> Vec<Vec<u8>> {
    let Some((header, data)) = message.split_first_chunk::<4>() else {
        fw.assume(assumed::MKHI_RESULTS);
        let why = format!("{} bytes are no header", message.len());
        fw.record(Event::Malformed { client, why });
        return Vec::new();
    };
    let header = u32::from_le_bytes(*header);
    let id = number(header);
    let found = COMMANDS.iter().find(|row| {
        let listed = u32::from(row.group) << 8 | u32::from(row.command);
        listed == id && header & RESPONSE == 0 && (row.fixed || client == ClientKind::Mkhi)
    });
    let Some(row) = found else {
        fw.record(Event::UnknownCommand {
            client,
            id,
            status: result::INVALID_COMMAND.into(),
        });
        if !fw.enforced(Rule::MKHI_UNKNOWN_COMMAND) {
            return Vec::new();
        }
        fw.assume(assumed::MKHI_RESULTS);
        return vec![answer(header, result::INVALID_COMMAND, &[])];
    };
    let outcome = if data.len() == row.request {
        (row.handle)(fw, Reader::new(data))
    } else {
        fw.assume(assumed::MKHI_RESULTS);
        let why = format!(
            "{}: {} bytes of data, not {}",
            row.name,
            data.len(),
            row.request
        );
        fw.record(Event::Malformed { client, why });
        Err(result::SIZE_ERROR)
    };
    let (result, data) = match outcome {
        Ok(data) => (0, data.finish()),
        Err(result) => (result, Vec::new()),
    };
    fw.record(Event::Command {
        client,
        name: row.name.to_owned(),
        id,
        status: result.into(),
    });
    vec![answer(header, result, &data)]
}

/// Group and command of a message as one number, such as `0xff02` for Get FW version.
pub(crate) fn command_number(message: &[u8]) -> Option<u32> {
    let header = message.first_chunk::<4>()?;
    Some(number(u32::from_le_bytes(*header)))
}

/// Leaves the header of an answer, with the low byte of this status as its result.
pub(crate) fn set_status(answer: &mut Vec<u8>, status: u32) {
    answer.truncate(4);
    if let [_, _, _, result] = answer.as_mut_slice() {
        *result = status.to_le_bytes()[0];
    }
}

fn number(header: u32) -> u32 {
    (header & 0xff) << 8 | (header >> 8 & 0x7f)
}

fn answer(request: u32, result: u8, data: &[u8]) -> Vec<u8> {
    let header = request & 0x7fff | RESPONSE | u32::from(result) << 24;
    [&header.to_le_bytes(), data].concat()
}

fn rule(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    /// Bit of AMT among the features.
    const AMT: u32 = 1 << 2;
    const CAPABLE: u32 = 0;
    const FIRMWARE_UPDATE: u32 = 7;
    const PLATFORM_TYPE: u32 = 29;
    const ENABLED: u32 = 32;
    const AVAILABLE: u32 = 39;
    let rule = request.u32();
    let platform = &fw.profile.platform;
    let data = match rule {
        CAPABLE => platform.features,
        FIRMWARE_UPDATE => platform.firmware_update as u32,
        PLATFORM_TYPE => platform.platform_type,
        ENABLED | AVAILABLE if fw.mode().enabled() => platform.features,
        ENABLED | AVAILABLE => platform.features & !AMT,
        _ => {
            fw.assume(assumed::MKHI_RESULTS);
            return Err(result::NOT_SUPPORTED);
        }
    };
    Ok(Writer::new().u32(rule).u8(4).u32(data))
}

fn version(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    fw.assume(assumed::MKHI_VERSION_BLOCKS);
    let firmware = &fw.profile.firmware;
    let [major, minor, hotfix] = firmware.parts();
    let block = |data: Writer| {
        data.u16(minor)
            .u16(major)
            .u16(firmware.build_number())
            .u16(hotfix)
    };
    Ok(block(block(Writer::new())))
}

fn boot_state(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().bool(fw.profile.platform.end_of_post).u32(0))
}

fn image_type(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let production_signed = fw.profile.platform.platform_type >> 7 & 1;
    Ok(Writer::new().u32(production_signed))
}

/// A module of a flash partition: char[12] name, u16[4] version, u32 vendor, u32[16] reserved.
fn image_version(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    const INTEL: u32 = 0x8086;
    let name: [u8; 4] = request.array();
    let version = std::str::from_utf8(&name)
        .ok()
        .and_then(|name| fw.profile.firmware.partitions.get(name));
    let Some(version) = version else {
        fw.assume(assumed::MKHI_RESULTS);
        return Err(result::NOT_FOUND);
    };
    let mut parts = [0; 4];
    for (part, text) in parts.iter_mut().zip(version.split('.')) {
        *part = text.parse().unwrap_or(0);
    }
    let data = Writer::new().u32(1).padded(&name, 12);
    let data = parts.into_iter().fold(data, Writer::u16);
    Ok(data.u32(INTEL).zeros(16 * 4))
}

fn end_of_post(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().bool(fw.profile.platform.end_of_post))
}

fn measured_boot(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().u8(fw.profile.platform.measured_boot.into()))
}

#[cfg(test)]
#[path = "mkhi_tests.rs"]
mod tests;
