//! Unique platform identifier.
//!
//! ```text
//! u8 feature 0, u8 command, u16 LE bytes after the header; an answer repeats feature and command, then u32 status
//! 0  is it supported          -> u8 bits, 0 identifier
//! 1  is it switched on        -> u8
//! 2  switch it                u8 0 or 1 ->
//! 3  may the OS switch it     -> u8
//! 4  let the OS switch it     u8 -> refused after POST
//! 5  identifier               -> u32 type (0 none, 1 binary, 2 text), u8[32] the vendor's, u8[32] the hardware's
//! ```
//! Source: Intel LMS `MEIClient/UPIDClient`, rpc-go `pkg/upid`.

use super::amthi::{Reader, Writer};
use crate::device::setup::host_based_tls;
use crate::device::{Event, Firmware, Rule, assumed};
use crate::mei::ClientKind;

const FEATURE_NOT_SUPPORTED: u32 = 1;
const INVALID_INPUT_PARAMETER: u32 = 2;
const NOT_ALLOWED_AFTER_EOP: u32 = 4;

type Outcome = Result<Writer, u32>;

/// One whole message from the host.
pub(crate) fn receive(fw: &mut Firmware, message: &[u8]) -> Vec<Vec<u8>> {
    let Some((header, data)) = message.split_first_chunk::<4>() else {
        fw.assume(assumed::UPID_RESULTS);
        malformed(fw, format!("{} bytes are no header", message.len()));
        return Vec::new();
    };
    let [feature, command, c0, c1] = *header;
    let announced = usize::from(u16::from_le_bytes([c0, c1]));
    let named = match (feature, command) {
        (0, 0) => Some(("GetFeatureSupport", 0)),
        (0, 1) => Some(("GetFeatureState", 0)),
        (0, 2) => Some(("SetFeatureState", 1)),
        (0, 3) => Some(("GetOsControl", 0)),
        (0, 4) => Some(("SetOsControl", 1)),
        (0, 5) => Some(("GetPlatformId", 0)),
        _ => None,
    };
    let Some((name, size)) = named else {
        fw.assume(assumed::UPID_RESULTS);
        fw.record(Event::UnknownCommand {
            client: ClientKind::Upid,
            id: command.into(),
            status: FEATURE_NOT_SUPPORTED,
        });
        return vec![answer(feature, command, Err(FEATURE_NOT_SUPPORTED))];
    };
    let sized = announced == data.len() && data.len() == size;
    let outcome = if !sized && fw.enforced(Rule::UPID_BYTE_COUNT) {
        malformed(
            fw,
            format!("{name}: {announced} bytes announced, {} follow", data.len()),
        );
        Err(INVALID_INPUT_PARAMETER)
    } else {
        run(fw, command, Reader::new(data))
    };
    fw.record(Event::Command {
        client: ClientKind::Upid,
        name: name.to_owned(),
        id: command.into(),
        status: outcome.as_ref().map_or_else(|status| *status, |_| 0),
    });
    vec![answer(feature, command, outcome)]
}

fn run(fw: &mut Firmware, command: u8, mut request: Reader<'_>) -> Outcome {
    const SUPPORTED: u8 = 1;
    match command {
        0 => Ok(Writer::new().u8(SUPPORTED)),
        1 => Ok(Writer::new().u8(fw.state.upid_enabled.into())),
        2 => {
            let wanted = match request.u8() {
                0 => false,
                1 => true,
                _ => return Err(INVALID_INPUT_PARAMETER),
            };
            fw.remember(|state| state.upid_enabled = wanted);
            Ok(Writer::new())
        }
        3 => Ok(Writer::new().u8(1)),
        // The BIOS alone may do this, and no program of the host runs before it is done.
        4 => Err(NOT_ALLOWED_AFTER_EOP),
        _ => Ok(platform_id(fw)),
    }
}

/// Nothing at all while the feature is off, which agents read as "not provisioned".
fn platform_id(fw: &mut Firmware) -> Writer {
    const NOT_SET: u32 = 0;
    const TEXT: u32 = 2;
    if !fw.state.upid_enabled {
        fw.assume(assumed::UPID_RESULTS);
        return Writer::new();
    }
    // Where the chip has authorities of its own, the identifier is that of its ROM authority's certificate.
    let hardware = match host_based_tls::exhibit(fw) {
        Some(chain) if fw.enforced(Rule::UPID_BOUND_TO_ROM) => chain.hardware_id,
        _ => fw.identity.upid_hardware,
    };
    let vendor = fw.profile.platform.oem_platform_id.as_deref();
    Writer::new()
        .u32(vendor.map_or(NOT_SET, |_| TEXT))
        .padded(vendor.unwrap_or_default().as_bytes(), 32)
        .bytes(&hardware)
}

fn answer(feature: u8, command: u8, outcome: Outcome) -> Vec<u8> {
    let (status, data) = match outcome {
        Ok(data) => (0, data.finish()),
        Err(status) => (status, Vec::new()),
    };
    Writer::new()
        .u8(feature)
        .u8(command)
        // 68 bytes of data at most.
        .u16((4 + data.len()) as u16)
        .u32(status)
        .bytes(&data)
        .finish()
}

fn malformed(fw: &mut Firmware, why: String) {
    fw.record(Event::Malformed {
        client: ClientKind::Upid,
        why,
    });
}

#[cfg(test)]
#[path = "upid_tests.rs"]
mod tests;
