//! What is switched on: redirection, power policy, and what LMS asks of them all the time.

use super::provisioning::is_operational;
use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::{Firmware, FirmwareUpdate, Mode, assumed};

/// GetSecurityParameters: seventeen u32: enterprise mode, TLS, hardware cryptography, provisioning state, network
/// interface, SOL, IDER, firmware update, link, KVM, seven reserved.
pub(super) fn security_parameters(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    const ENTERPRISE: bool = true;
    let mode = fw.mode();
    let profile = &fw.profile;
    let lans = [&profile.network.wired, &profile.network.wireless];
    let enabled = lans.into_iter().flatten().any(|lan| lan.enabled);
    let open = is_operational(mode) || mode == Mode::SetupOutOfBand;
    Ok(Writer::new()
        .bool(ENTERPRISE)
        .bool(profile.capabilities.local_tls_enforced)
        .bool(profile.platform.hardware_crypto)
        .u32(mode.provisioning_state() as u32)
        .bool(enabled && open)
        .bool(profile.features.sol)
        .bool(profile.features.ider)
        .bool(profile.platform.firmware_update != FirmwareUpdate::Disabled)
        .bool(profile.network.link_up())
        .bool(profile.features.kvm)
        .zeros(7 * 4))
}

/// GetRedirectionState: u32 bits, 0 SOL, 1 IDER, 2 KVM.
pub(super) fn redirection_state(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let features = &fw.profile.features;
    let bits =
        u32::from(features.sol) | u32::from(features.ider) << 1 | u32::from(features.kvm) << 2;
    Ok(Writer::new().u32(bits))
}

/// GetFeaturesState: u32 feature; it is repeated in front of the answer.
///
/// ```text
/// 0  sessions        AMT_BOOLEAN IDER open, AMT_BOOLEAN SOL open, u32 reserved
/// 1  system defense  AMT_BOOLEAN
/// 2  web page        AMT_BOOLEAN
/// 3  endpoint access control  AMT_BOOLEAN
/// 4  KVM             u32 bits, 0 session active, 1 waiting for consent
/// ```
pub(super) fn features_state(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    let id = request.u32();
    let features = &fw.profile.features;
    let data = Writer::new().u32(id);
    match id {
        // No redirection session can be opened yet.
        0 => Ok(data.bool(false).bool(false).u32(0)),
        1 => Ok(data.bool(features.system_defense)),
        2 => Ok(data.bool(features.web_ui)),
        3 => Ok(data.bool(features.endpoint_access)),
        4 => Ok(data.u32(0)),
        _ => {
            fw.assume(assumed::FEATURE_ID);
            Err(Status::INVALID_PARAMETER)
        }
    }
}

/// GetCurrentPowerPolicy: AMT_ANSI_STRING.
pub(super) fn power_policy(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().ansi(&fw.profile.platform.power_policy))
}

/// GetLastHostResetReason: u32 0 remote control, 1 other; u32 seconds since 1970.
pub(super) fn last_host_reset(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let reset = fw.profile.platform.last_host_reset;
    Ok(Writer::new().bool(!reset.remote_control).u32(reset.at))
}
