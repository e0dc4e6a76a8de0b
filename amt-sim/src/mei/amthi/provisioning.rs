//! Provisioning state and the settings that set-up depends on.

use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::setup::out_of_band;
use crate::device::{
    ControlMode, Firmware, LONGEST_SUFFIX, Mode, ProvisioningState, Rule, Trigger, assumed,
};

/// GetProvisioningState: u32 0 pre, 1 in, 2 post.
pub(super) fn provisioning_state(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().u32(fw.mode().provisioning_state() as u32))
}

/// GetControlMode: u32 0 none, 1 client, 2 admin.
pub(super) fn control_mode(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().u32(fw.mode().control_mode() as u32))
}

/// GetProvisioningMode: u32 mode (0 none, 1 enterprise), u32 legacy mode. The one agent that still asks reads
/// both words.
pub(super) fn provisioning_mode(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let state = fw.mode().provisioning_state();
    if state == ProvisioningState::Pre {
        fw.assume(assumed::PROVISIONING_MODE);
    }
    Ok(Writer::new()
        .bool(state != ProvisioningState::Pre)
        .bool(fw.profile.firmware.legacy_mode))
}

/// Unprovision: in client control mode only. No data; the one agent that looks for a state word after the
/// status reads its absence as 0.
pub(super) fn unprovision(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    fw.permit(Trigger::MeiUnprovision)?;
    if !fw.profile.platform.end_of_post && fw.enforced(Rule::AMTHI_UNPROVISION_END_OF_POST) {
        return Err(Status::BLOCKING_COMPONENT);
    }
    fw.trigger(Trigger::MeiUnprovision)?;
    Ok(Writer::new())
}

/// StopConfiguration: success means that setup mode was left, 3 that there was none. Agents steer waits of up
/// to 70 s by exactly these two.
pub(super) fn stop_configuration(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    if out_of_band::cancel_start(fw) {
        return Ok(Writer::new());
    }
    fw.trigger(Trigger::StopConfiguration)?;
    Ok(Writer::new())
}

/// DisableAndClearAMT: before provisioning only.
pub(super) fn disable_and_clear(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    fw.trigger(Trigger::DisableAndClear)?;
    Ok(Writer::new())
}

/// GetProvisioningTLSMode: u32 0 unknown, 1 PSK, 2 PKI. PSK went with AMT 11, the oldest generation here.
pub(super) fn tls_mode(_: &mut Firmware, _: Reader<'_>) -> Outcome {
    const PKI: u32 = 2;
    Ok(Writer::new().u32(PKI))
}

/// GetPID: eight characters of the PSK set-up.
pub(super) fn pid(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    fw.assume(assumed::PID);
    Ok(Writer::new().zeros(8))
}

/// GetZeroTouchEnabled: AMT_BOOLEAN.
pub(super) fn zero_touch(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().bool(fw.state.zero_touch))
}

/// SetZeroTouchEnabled: AMT_BOOLEAN.
pub(super) fn set_zero_touch(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    let wanted = boolean(&mut request)?;
    fw.assume(assumed::ZERO_TOUCH_STATE);
    if !before_provisioning(fw.mode()) {
        return Err(Status::INVALID_AMT_MODE);
    }
    fw.remember(|state| state.zero_touch = wanted);
    Ok(Writer::new())
}

/// GetEHBCState: AMT_BOOLEAN.
pub(super) fn ehbc(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().bool(fw.state.ehbc))
}

/// SetEHBCState: AMT_BOOLEAN. Off at any time, on before manufacturing ends: that is, never here.
pub(super) fn set_ehbc(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    let wanted = boolean(&mut request)?;
    if wanted && !fw.state.ehbc && fw.enforced(Rule::AMTHI_EHBC_ENABLE) {
        fw.assume(assumed::EHBC_STATUS);
        return Err(Status::NOT_PERMITTED);
    }
    fw.remember(|state| state.ehbc = wanted);
    Ok(Writer::new())
}

/// GetPkiFQDNSuffix: AMT_ANSI_STRING, empty when unset.
pub(super) fn dns_suffix(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().ansi(&fw.state.pki_dns_suffix))
}

/// SetPkiFQDNSuffix: AMT_ANSI_STRING. An empty one unsets it.
pub(super) fn set_dns_suffix(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    let text = request.ansi();
    if !before_provisioning(fw.mode()) && fw.enforced(Rule::AMTHI_SUFFIX_STATE) {
        return Err(Status::INVALID_AMT_MODE);
    }
    if !is_suffix(text) && fw.enforced(Rule::AMTHI_SUFFIX_VALUE) {
        return Err(Status::INVALID_PARAMETER);
    }
    if text.is_empty() {
        fw.assume(assumed::EMPTY_SUFFIX);
    }
    // With the rule knocked out anything goes, as far as memory and answers can hold it.
    let text: String = text
        .iter()
        .take(LONGEST_SUFFIX)
        .map(|byte| {
            if byte.is_ascii() {
                char::from(*byte)
            } else {
                '?'
            }
        })
        .collect();
    fw.remember(|state| state.pki_dns_suffix = text);
    Ok(Writer::new())
}

/// GetConfigServerData: where Hello messages go.
///
/// ```text
/// 0   u16       port
/// 2   char[46]  address
/// 48  ANSI      name
/// ```
pub(super) fn config_server(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let server = &fw.profile.setup_server;
    Ok(Writer::new()
        .u16(server.port)
        .padded(server.address.as_bytes(), 46)
        .ansi(&server.fqdn))
}

/// Where set-up may still be prepared: nothing has started, or what had started ran out of time.
pub(super) fn before_provisioning(mode: Mode) -> bool {
    matches!(mode, Mode::PreProvisioning | Mode::SetupElapsed)
}

/// Whether the device is operational.
pub(super) fn is_operational(mode: Mode) -> bool {
    mode.provisioning_state() == ProvisioningState::Post && mode.control_mode() != ControlMode::None
}

fn boolean(request: &mut Reader<'_>) -> Result<bool, Status> {
    match request.u32() {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Status::INVALID_PARAMETER),
    }
}

/// Labels of letters, digits, hyphens and underscores, with one dot between two of them; or nothing.
fn is_suffix(text: &[u8]) -> bool {
    let label = |label: &[u8]| {
        (1..=63).contains(&label.len())
            && label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.is_empty() || (text.len() <= LONGEST_SUFFIX && text.split(|byte| *byte == b'.').all(label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"corp.example", true)]
    #[case(b"x", true)]
    #[case(b"", true)]
    #[case(b"a..b", false)]
    #[case(b".example", false)]
    #[case(b"corp.example.", false)]
    #[case(b"corp example", false)]
    #[case(b"corp\xffexample", false)]
    #[case(&[b'a'; 64], false)]
    fn suffixes(#[case] text: &[u8], #[case] expected: bool) {
        assert_eq!(is_suffix(text), expected);
    }
}
