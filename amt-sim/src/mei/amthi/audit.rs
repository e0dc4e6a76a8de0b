//! What set-up left behind, and the audit log.

use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::{Firmware, assumed};

/// GetMESetupAuditRecord.
///
/// ```text
/// 0    u8           set-up over TLS: 1 PSK, 2 PKI
/// 1    AMT_BOOLEAN  DNS suffix from the set-up screen
/// 5    AMT_BOOLEAN  started by the host
/// 9    u32          algorithm of the root hash
/// 13   u8[64]       root hash
/// 77   u8[48]       serial numbers of three CAs
/// 125  AMT_BOOLEAN  there were more CAs
/// 129  AMT_BOOLEAN  the hash came from the factory
/// 133  AMT_BOOLEAN  the certificate was valid by the clock
/// 137  char[46]     address of the SCA
/// 183  u16[7]       year, month, day of week, day, hour, minute, second
/// 197  ANSI         name of the SCA
/// ```
pub(super) fn me_setup_audit_record(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    const PKI: u8 = 2;
    let Some(record) = &fw.state.setup_record else {
        let status = Status(fw.profile.assumptions.no_audit_record_status);
        fw.assume(assumed::NO_AUDIT_RECORD);
        return Err(status);
    };
    let hex = |text: &str| crate::hex::decode(text).unwrap_or_default();
    let mut serials = [0; 48];
    for (field, serial) in serials.chunks_exact_mut(16).zip(&record.ca_serials) {
        let serial = hex(serial);
        let size = serial.len().min(field.len());
        field[..size].copy_from_slice(&serial[..size]);
    }
    let at = record.at.civil();
    let [month, weekday, day, hour, minute, second] =
        [at.month, at.weekday, at.day, at.hour, at.minute, at.second].map(u16::from);
    Ok(Writer::new()
        .u8(PKI)
        .bool(record.secure_dns)
        .bool(record.host_initiated)
        .u32(record.hash_algorithm as u32)
        .padded(&hex(&record.hash), 64)
        .bytes(&serials)
        .bool(record.more_serials)
        .bool(record.hash_is_default)
        .bool(record.time_valid)
        .padded(record.server_address.as_bytes(), 46)
        .u16(at.year)
        .u16(month)
        .u16(weekday)
        .u16(day)
        .u16(hour)
        .u16(minute)
        .u16(second)
        .ansi(&record.server_fqdn))
}

/// GetAMTSetupAuditRecord. No public source gives its layout, so that a record cannot be shown.
pub(super) fn amt_setup_audit_record(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    fw.assume(assumed::SETUP_AUDIT_RECORD);
    Err(Status::NOT_FOUND)
}

/// GetAuditLogRecords: u32 start index. Answer: u32 total, u32 returned, records. The log is empty.
pub(super) fn log_records(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    fw.assume(assumed::AUDIT_LOG_EMPTY);
    match request.u32() {
        0 | 1 => Ok(Writer::new().u32(0).u32(0)),
        _ => Err(Status::INVALID_INDEX),
    }
}

/// GetAuditLogSignature. No public source gives its layout.
pub(super) fn log_signature(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    fw.assume(assumed::AUDIT_LOG_SIGNATURE);
    Err(Status::UNSUPPORTED)
}
