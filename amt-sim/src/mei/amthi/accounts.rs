//! Accounts: the operating system's own, and whether the administrator's is still the factory's.

use super::table::Outcome;
use super::{Reader, Writer};
use crate::device::Firmware;

/// GetLocalSystemAccount: forty reserved bytes in the request.
///
/// ```text
/// 0   char[33]  user
/// 33  char[33]  password
/// 66  u8[2]     0
/// ```
/// The fields make 66 bytes; MeshAgent takes the answer with 68 only, and byte 66 must end the password.
pub(super) fn local_system_account(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let account = &fw.local_account;
    Ok(Writer::new()
        .padded(account.user.as_bytes(), 33)
        .padded(account.password.as_bytes(), 33)
        .zeros(2))
}

/// GetAdminNetACLEntryStatus: AMT_BOOLEAN, the factory password still stands.
pub(super) fn admin_acl_entry_status(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().bool(fw.state.admin_ha1.is_none()))
}
