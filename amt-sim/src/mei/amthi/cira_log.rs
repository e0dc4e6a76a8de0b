//! GetCIRALog: what became of the last tunnels.
//!
//! ```text
//! offset  size  in the data, everything packed, integers little-endian
//! 0       1     version
//! 1       27    summary: u8 open, u8 where (0 inside the enterprise, 1 VPN, 2 outside), u8[3],
//!               u32 last keep-alive, u32 interval, u8 last connection status, u32 when, u8 last tunnel status, u32 opened, u32 closed
//! 28      545   last failed tunnel: u8 valid, u32 opened, u8 trigger, u8[3], char server[256], u8 proxy used,
//!               char proxy[256], u8 authentication, u8 interface, u8[3], u32 last keep-alive, u32 interval,
//!               closure of 10 bytes
//! 573     2208  last failed connection: u8 valid, u32 when, u8 trigger, u8[3], char server[256],
//!               u8 authentication, two interfaces of 676 bytes, wireless 34, wired 4, u8 interface, u8[3],
//!               two attempts of 269 bytes, closure
//! ```
//! Source: rpc-go `pkg/pthi/types.go`.

use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::{Firmware, Tunnel, assumed};

/// Bytes of data; the reader in the field refuses fewer.
const SIZE: usize = 2781;
const SUMMARY: usize = 27;

/// GetCIRALog: u8 version, 0. No tunnel was ever opened, so both records are marked as not valid.
pub(super) fn cira_log(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    let version = request.u8();
    if version != 0 {
        fw.assume(assumed::CIRA_LOG_VERSION);
        return Err(Status::UNSUPPORTED);
    }
    let open = fw.profile.remote_access.tunnel == Tunnel::Connected;
    Ok(Writer::new()
        .u8(version)
        .u8(open.into())
        // 0 to 3: the profile's check.
        .u8(fw.profile.network.environment as u8)
        .zeros(SUMMARY - 2)
        .zeros(SIZE - SUMMARY - 1))
}
