//! General settings, versions, time, leaving provisioning.

use super::super::After;
use crate::device::setup::out_of_band::{self, ExtendRefusal};
use crate::device::{FaultEffect, FaultPoint, Occasion, 
    ControlMode, Firmware, Interface, Mode, Principal, ProvisioningState, Realm, Refusal, Rule, Trigger, assumed,
    check_password,
};
use crate::wsman::call::{Access, Call, Method, Outcome, status};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Applied, Change, Live, Provider};
use crate::wsman::store;
use crate::wsman::value::{Selectors, Value};

const SETUP: &str = "AMT_SetupAndConfigurationService";
const TIME: &str = "AMT_TimeSynchronizationService";

/// Whoever sees general information may read the clock: every client does at its start.
const CLOCK_READERS: Access = Access::Realms(&[Realm::NETWORK_TIME, Realm::GENERAL_INFO]);

#[rustfmt::skip]
pub(crate) const METHODS: &[Method] = &[
    Method { class: SETUP, name: "CommitChanges", access: Access::Administrator, call: commit_changes },
    Method { class: SETUP, name: "Unprovision", access: Access::Administrator, call: unprovision },
    Method { class: SETUP, name: "PartialUnprovision", access: Access::Administrator, call: unprovision },
    Method { class: SETUP, name: "ExtendProvisioningPeriod", access: Access::Administrator, call: extend_provisioning_period },
    Method { class: SETUP, name: "SetMEBxPassword", access: Access::Administrator, call: set_mebx_password },
    Method { class: SETUP, name: "GetUuid", access: Access::Realms(&[Realm::GENERAL_INFO]), call: get_uuid },
    Method { class: SETUP, name: "GetUnprovisionBlockingComponents", access: Access::Administrator, call: blocking_components },
    Method { class: TIME, name: "GetLowAccuracyTimeSynch", access: CLOCK_READERS, call: get_time },
    Method { class: TIME, name: "SetHighAccuracyTimeSynch", access: CLOCK_READERS, call: set_time },
    Method { class: TIME, name: "EnableLocalTimeSync", access: Access::Administrator, call: enable_local_time_sync },
];

pub(crate) const PROVIDERS: &[Provider] = &[Provider {
    put: Some(put_setup),
    ..Provider::of(SETUP)
}];

#[rustfmt::skip]
pub(crate) const LIVE: &[Live] = &[
    Live { name: "digest-realm", value: |fw| Some(fw.identity.digest_realm.as_str().into()) },
    Live { name: "host-name", value: |fw| Some(fw.profile.network.hostname.as_str().into()) },
    Live { name: "domain-name", value: |fw| Some(fw.profile.network.dhcp_domain.as_str().into()) },
    Live { name: "host-os-fqdn", value: |fw| Some(fw.state.host_fqdn.as_str().into()) },
    Live { name: "shared-fqdn", value: |fw| Some(fw.profile.network.shared_fqdn.into()) },
    Live { name: "ddns-enabled", value: |fw| Some(fw.profile.network.dynamic_dns.enabled.into()) },
    Live { name: "ddns-interval", value: |fw| Some(fw.profile.network.dynamic_dns.interval.into()) },
    Live { name: "ddns-ttl", value: |fw| Some(fw.profile.network.dynamic_dns.ttl.into()) },
    Live { name: "network-enabled", value: |fw| Some((fw.mode().provisioning_state() != ProvisioningState::Pre).into()) },
    Live { name: "version-amt", value: |fw| Some(fw.profile.firmware.amt.as_str().into()) },
    Live { name: "version-flash", value: |fw| Some(fw.profile.firmware.flash.as_str().into()) },
    Live { name: "version-netstack", value: |fw| Some(fw.profile.firmware.netstack.as_str().into()) },
    Live { name: "version-apps", value: |fw| Some(fw.profile.firmware.apps.as_str().into()) },
    Live { name: "version-build", value: |fw| Some(fw.profile.firmware.build.as_str().into()) },
    Live { name: "version-sku", value: |fw| Some(fw.profile.firmware.sku.to_string().into()) },
    Live { name: "version-vendor", value: |fw| Some(fw.profile.firmware.vendor_id.as_str().into()) },
    Live { name: "version-recovery", value: |fw| Some(fw.profile.firmware.recovery.as_str().into()) },
    Live { name: "version-recovery-build", value: |fw| Some(fw.profile.firmware.recovery_build.as_str().into()) },
    Live { name: "version-legacy-mode", value: |fw| Some(if fw.profile.firmware.legacy_mode { "True" } else { "False" }.into()) },
    Live { name: "provisioning-state", value: |fw| Some(Value::Int(fw.mode().provisioning_state() as i64)) },
    Live { name: "provisioning-mode", value: provisioning_mode },
    Live { name: "dhcp-dns-suffix", value: |fw| some_text(&fw.profile.network.dhcp_domain) },
    Live { name: "trusted-dns-suffix", value: |fw| some_text(&fw.state.pki_dns_suffix) },
    Live { name: "one-time-password", value: one_time_password },
    Live { name: "zero-touch", value: |fw| Some(fw.state.zero_touch.into()) },
];

/// Absent rather than empty.
fn some_text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| text.into())
}

/// 1 admin control mode, 4 client control mode: what consoles tell the modes by.
fn provisioning_mode(fw: &Firmware) -> Option<Value> {
    Some(Value::Int(match fw.mode().control_mode() {
        ControlMode::Admin => 1,
        ControlMode::Client => 4,
        ControlMode::None => 0,
    }))
}

/// ProvisioningServerOTP: to be read in set-up mode only. Elsewhere real devices show 32 zero octets.
fn one_time_password(fw: &Firmware) -> Option<Value> {
    let in_setup = fw.mode().provisioning_state() == ProvisioningState::In;
    let readable = in_setup || !fw.enforced(Rule::OOB_OTP_READ);
    let octets = match &fw.state.otp {
        Some(otp) if readable => otp.as_bytes().to_vec(),
        _ => vec![0; 32],
    };
    Some(octets.into())
}

fn put_setup(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let mut kept = change.after.clone();
    if let Some(enabled) = change.given.bool("ZeroTouchConfigurationEnabled") {
        change.fw.remember(|state| state.zero_touch = enabled);
        // Memory has it; the property shows memory.
        kept.set(
            "ZeroTouchConfigurationEnabled",
            change
                .before
                .bool("ZeroTouchConfigurationEnabled")
                .unwrap_or(enabled),
        );
    }
    // What is put there is for a set-up to come, which begins with a one-time password of its own.
    if let Some(otp) = change.before.get("ProvisioningServerOTP") {
        kept.set("ProvisioningServerOTP", otp.clone());
    }
    Ok(Applied::store(kept))
}

/// Ends setup mode, or puts TLS settings of an operational device into force.
fn commit_changes(call: &mut Call<'_>) -> Outcome {
    const OCCASION: Occasion = Occasion {
        at: FaultPoint::Commit,
        client: None,
        command: None,
    };
    if let Some(fault) = call.fw.strike(OCCASION) {
        let effect = fault.effect;
        call.fw.wsman.spoil(effect.clone());
        match effect {
            FaultEffect::Cut => return Outcome::status(status::INTERNAL_ERROR),
            FaultEffect::Status(value) => return Outcome::status(value),
            FaultEffect::Half => {
                return match call.fw.trigger(Trigger::CommitHalted) {
                    Ok(_) => Outcome::status(status::INTERNAL_ERROR).then(After::PortsRestart),
                    Err(refusal) => refused(refusal),
                };
            }
            _ => {}
        }
    }
    let before = call.fw.mode();
    // Source: public agents; firmware has no administrator to hand over to before that.
    if before.control_mode() == ControlMode::None && call.fw.state.admin_ha1.is_none() {
        return Outcome::status(match before.provisioning_state() {
            ProvisioningState::Pre => status::INVALID_PROVISIONING_STATE,
            _ => status::DATA_MISSING,
        });
    }
    let in_setup = matches!(before, Mode::SetupOutOfBand | Mode::SetupHostBased);
    if in_setup
        && call.fw.profile.capabilities.local_tls_enforced
        && !call.fw.state.mebx_password_set
        && call.fw.enforced(Rule::WSMAN_COMMIT_MEBX)
    {
        return Outcome::status(status::DATA_MISSING);
    }
    let operational = matches!(before, Mode::Client | Mode::Admin);
    if !operational && let Err(refusal) = call.fw.permit(Trigger::CommitChanges) {
        return refused(refusal);
    }
    let changed = match super::tls::commit(call.fw) {
        Ok(changed) => changed,
        Err(refused) => return Outcome::status(refused),
    };
    match (operational, changed) {
        (true, false) => return Outcome::OK,
        (true, true) => return Outcome::OK.then(After::PortsRestart),
        (false, _) => {}
    }
    match call.fw.trigger(Trigger::CommitChanges) {
        Ok(_) => Outcome::OK.then(After::PortsRestart),
        Err(refusal) => refused(refusal),
    }
}

fn unprovision(call: &mut Call<'_>) -> Outcome {
    match call.fw.trigger(Trigger::WsmanUnprovision) {
        Ok(_) => Outcome::OK.then(After::PortsRestart),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Outcome {
    Outcome::status(match refusal {
        Refusal::InvalidMode => status::INVALID_PROVISIONING_STATE,
        Refusal::Unsupported => status::UNSUPPORTED,
    })
}

fn extend_provisioning_period(call: &mut Call<'_>) -> Outcome {
    match out_of_band::extend(call.fw, call.input.fits("Duration")) {
        Ok(()) => Outcome::OK,
        Err(ExtendRefusal::Mode) => Outcome::status(status::INVALID_PROVISIONING_STATE),
        Err(ExtendRefusal::Hours) => Outcome::status(status::INVALID_PARAMETER),
    }
}

fn set_mebx_password(call: &mut Call<'_>) -> Outcome {
    let password = call.input.raw_text("Password").unwrap_or_default();
    if call.fw.mode().control_mode() == ControlMode::Client {
        return Outcome::status(status::NOT_PERMITTED);
    }
    if check_password(password).is_err() && call.fw.enforced(Rule::WSMAN_MEBX_PASSWORD) {
        return Outcome::status(status::INVALID_PASSWORD);
    }
    // Nobody can ask for it back, so all that is kept is that there is one.
    call.fw.remember(|state| state.mebx_password_set = true);
    Outcome::OK
}

fn get_uuid(call: &mut Call<'_>) -> Outcome {
    let uuid = call.fw.identity.uuid.to_wire().to_vec();
    Outcome::OK.with("UUID", uuid)
}

fn blocking_components(call: &mut Call<'_>) -> Outcome {
    call.fw.assume(assumed::WSMAN_BLOCKING_COMPONENTS);
    Outcome::OK
}

fn get_time(call: &mut Call<'_>) -> Outcome {
    Outcome::OK.with("Ta0", seconds(call.fw))
}

/// The clock as the wire has it.
fn seconds(fw: &Firmware) -> u32 {
    let clock = fw.clock().0.max(0);
    u32::try_from(clock).unwrap_or(u32::MAX)
}

/// Sets the clock: the manager's time at which it got Ta0 was Tm1, and at which it sent this Tm2.
///
/// Source: "Intel AMT Implementation and Reference Guide", page "Set High Accuracy Time Synch"; MOF of the method.
fn set_time(call: &mut Call<'_>) -> Outcome {
    // The host's own clock may be kept out.
    let local = call.caller.interface == Interface::Local;
    let kept_out = store::find(call.fw, TIME, &call.instance)
        .and_then(|service| service.int("LocalTimeSyncEnabled"))
        == Some(2);
    if local && kept_out && call.caller.principal != Principal::Admin {
        return Outcome::status(status::NOT_PERMITTED);
    }
    let number = |name| call.input.fits::<u32>(name);
    let (Some(device_then), Some(received), Some(sent)) =
        (number("Ta0"), number("Tm1"), number("Tm2"))
    else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    if sent < received {
        return Outcome::status(status::INVALID_PARAMETER);
    }
    // Half of what went by on the device's clock and not at the manager is the way here.
    let elapsed = i64::from(seconds(call.fw)) - i64::from(device_then);
    let way = (elapsed - i64::from(sent - received)).clamp(0, 3600) / 2;
    let right = i64::from(sent) + way;
    let off = right - call.fw.clock().0;
    call.fw
        .remember(|state| state.clock_offset = state.clock_offset.saturating_add(off));
    store::set(call.fw, TIME, &Selectors::new(), "TimeSource", 1_u32);
    Outcome::OK
}

/// 1 is configured as enabled, 2 as disabled; 0 was the default.
fn enable_local_time_sync(call: &mut Call<'_>) -> Outcome {
    let Some(enable) = call.input.bool("Enable") else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    let value = if enable { 1_u32 } else { 2 };
    store::set(call.fw, TIME, &Selectors::new(), "LocalTimeSyncEnabled", value);
    Outcome::OK
}
