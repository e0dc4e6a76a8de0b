//! What the firmware is: versions, UUID, state of link and flash.

use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::{Firmware, assumed};

/// GetCodeVersions.
///
/// ```text
/// 0   char[65]  BIOS version
/// 65  u32       n, at most 50
/// 69  n x { u16 length, char[20] description, u16 length, char[20] version }
/// ```
/// Lengths are those of the texts; both readers in the field are served: one takes the length, one takes all
/// twenty bytes and drops the NULs.
pub(super) fn code_versions(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    const ENTRY: usize = 20;
    let versions = fw.profile.code_versions();
    let mut data = Writer::new()
        .padded(fw.profile.firmware.bios.as_bytes(), 65)
        .u32(versions.len() as u32);
    for (description, version) in &versions {
        for text in [description.as_bytes(), version.as_bytes()] {
            // The profile's check keeps versions within 19 characters, so that a NUL always follows.
            data = data.u16(text.len() as u16).padded(text, ENTRY);
        }
    }
    Ok(data)
}

/// GetUUID: sixteen bytes in SMBIOS order.
pub(super) fn uuid(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().bytes(&fw.identity.uuid.to_wire()))
}

/// GetAMTState, the one command of class 1. The request is the UUID of the variable that is asked for.
///
/// ```text
/// 0   u8[16]  the UUID again
/// 16  u32     5, the size of what follows
/// 20  u8      link up
/// 21  u8      reserved
/// 22  u8      cryptography is not fused off
/// 23  u8      flash protection
/// 24  u8      last ME reset: 0 none, 1 ME, 2 global, 3 exception
/// ```
pub(super) fn amt_state(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    const LINK_STATE: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let variable = request.array();
    if variable != LINK_STATE {
        fw.assume(assumed::STATE_ID);
        return Err(Status::INVALID_PARAMETER);
    }
    let platform = &fw.profile.platform;
    Ok(Writer::new()
        .bytes(&variable)
        .u32(5)
        .u8(fw.profile.network.link_up().into())
        .u8(0)
        .u8(platform.hardware_crypto.into())
        .u8(platform.flash_protection.into())
        .u8(platform.last_me_reset as u8))
}
