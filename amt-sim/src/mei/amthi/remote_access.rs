//! The tunnel to a management presence server (CIRA), as the host sees it.

use super::provisioning::is_operational;
use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::{Firmware, assumed};

/// GetRemoteAccessConnectionStatus.
///
/// ```text
/// 0   u32   network: 0 direct, 1 VPN, 2 outside, 3 unknown
/// 4   u32   tunnel: 0 not connected, 1 connecting, 2 connected
/// 8   u32   trigger: 0 user, 1 alert, 2 provisioning, 3 periodic
/// 12  ANSI  server
/// ```
/// The server's name shows while a link is up only
/// (<https://github.com/device-management-toolkit/rpc-go/issues/1140>).
pub(super) fn status(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let network = &fw.profile.network;
    let remote = &fw.profile.remote_access;
    let server = if network.link_up() {
        remote.server.as_str()
    } else {
        ""
    };
    Ok(Writer::new()
        .u32(network.environment)
        .u32(remote.tunnel as u32)
        .u32(remote.trigger as u32)
        .ansi(server))
}

/// GetUserInitiatedEnabledInterfaces: u32 bits, 0 BIOS, 1 agent in the operating system.
pub(super) fn enabled_interfaces(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let features = &fw.profile.features;
    let bits = u32::from(features.user_initiated_bios) | u32::from(features.user_initiated_os) << 1;
    Ok(Writer::new().u32(bits))
}

/// OpenUserInitiatedConnection: the status is the whole answer. No tunnel is opened by it here.
pub(super) fn open(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    user_may_ask(fw)?;
    if fw.profile.remote_access.server.is_empty() {
        return Err(Status::DATA_MISSING);
    }
    fw.assume(assumed::USER_INITIATED);
    Err(Status::NOT_READY)
}

/// CloseUserInitiatedConnection: the status is the whole answer. Without a tunnel there is nothing left to do.
pub(super) fn close(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    user_may_ask(fw)?;
    fw.assume(assumed::USER_INITIATED);
    Ok(Writer::new())
}

fn user_may_ask(fw: &Firmware) -> Result<(), Status> {
    if !is_operational(fw.mode()) {
        Err(Status::INVALID_AMT_MODE)
    } else if !fw.profile.features.user_initiated_os {
        Err(Status::NOT_PERMITTED)
    } else {
        Ok(())
    }
}
