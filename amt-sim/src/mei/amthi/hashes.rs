//! Root certificate hashes. A handle is a position in the device's list.

use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::{Firmware, Rule};

/// EnumerateHashHandles: u32 n, n x u32 handle.
pub(super) fn enumerate(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let count = fw.state.hashes.len() as u32;
    Ok((0..count).fold(Writer::new().u32(count), Writer::u32))
}

/// GetCertificateHashEntry: u32 handle.
///
/// ```text
/// 0   AMT_BOOLEAN  from the factory
/// 4   AMT_BOOLEAN  active
/// 8   u8[64]       digest, padded with zeros
/// 72  u8           algorithm: 1 SHA-1, 2 SHA-256, 3 SHA-384
/// 73  ANSI         name, at most 32 bytes
/// ```
pub(super) fn entry(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    let handle = request.u32() as usize;
    let hashes = &fw.state.hashes;
    let found = hashes.get(handle).or_else(|| {
        // Knocked out: a wild handle finds the last entry.
        let lenient = !fw.enforced(Rule::AMTHI_HASH_HANDLE);
        hashes.last().filter(|_| lenient)
    });
    let hash = found.ok_or(Status::INVALID_HANDLE)?;
    Ok(Writer::new()
        .bool(hash.default)
        .bool(hash.active)
        .padded(&hash.digest(), 64)
        .u8(hash.algorithm as u8)
        .ansi(&hash.name))
}
