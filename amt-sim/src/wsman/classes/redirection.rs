//! SOL, IDER and KVM. Which are on at first, the profile says.

pub(crate) mod consent;

use crate::device::{Firmware, Realm, assumed};
use crate::wsman::call::status::cim;
use crate::wsman::call::{Access, Call, Method, Outcome};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Applied, Change, Live, Provider};
use crate::wsman::store;
use crate::wsman::value::Instance;

const SERVICE: &str = "AMT_RedirectionService";
const KVM: &str = "CIM_KVMRedirectionSAP";
const SCREEN: &str = "IPS_ScreenConfigurationService";

/// EnabledState of AMT_RedirectionService counts from here: bit 0 IDER, bit 1 SOL.
const STATES: i64 = 32_768;
/// MKHI feature bit of KVM.
const KVM_FITTED: u32 = 1 << 18;

const REDIRECTION: Access = Access::Realms(&[Realm::REDIRECTION]);
/// LMS ends sessions when the user asks for it.
const USER: Access = Access::Realms(&[Realm::REDIRECTION, Realm::LOCAL_SYSTEM]);

pub(crate) const METHODS: &[Method] = &[
    Method::new(SERVICE, "RequestStateChange", REDIRECTION, request_state),
    Method::new(SERVICE, "TerminateSession", USER, terminate),
    Method::new(KVM, "RequestStateChange", REDIRECTION, request_kvm_state),
    Method::new("IPS_KVMRedirectionSettingData", "TerminateSession", USER, terminate),
    Method::new(SCREEN, "RequestStateChange", Access::Administrator, request_screen_state),
    Method::new("IPS_OptInService", "StartOptIn", REDIRECTION, consent::start),
    Method::new("IPS_OptInService", "SendOptInCode", REDIRECTION, consent::send),
    Method::new("IPS_OptInService", "CancelOptIn", USER, consent::cancel),
];

pub(crate) const PROVIDERS: &[Provider] = &[
    Provider {
        put: Some(put_service),
        ..Provider::of(SERVICE)
    },
    Provider {
        instances: Some(kvm),
        ..Provider::of(KVM)
    },
    Provider {
        put: Some(put_kvm_settings),
        ..Provider::of("IPS_KVMRedirectionSettingData")
    },
    Provider {
        put: Some(consent::put),
        ..Provider::of("IPS_OptInService")
    },
];

pub(crate) const LIVE: &[Live] = &[
    Live::new("redirection-state", |fw| {
        let features = &fw.profile.features;
        Some((STATES + i64::from(features.ider) + 2 * i64::from(features.sol)).into())
    }),
    Live::new("redirection-listener", |fw| {
        let features = &fw.profile.features;
        Some((features.ider || features.sol || features.kvm).into())
    }),
    Live::new("kvm-enabled-by-mebx", |fw| Some(fw.profile.features.kvm.into())),
    Live::new("opt-in-required", |fw| Some(consent::default_policy(fw).into())),
    Live::new("opt-in-state", |fw| Some(consent::state(fw).into())),
    Live::new("can-modify-opt-in", |fw| {
        Some(u8::from(consent::policy_can_change(fw)).into())
    }),
];

/// RequestStateChange of AMT_RedirectionService: 32768 none, 32769 IDER, 32770 SOL, 32771 both.
fn request_state(call: &mut Call<'_>) -> Outcome {
    let Some(state @ 32_768..=32_771) = call.input.number("RequestedState") else {
        return Outcome::status(cim::INVALID_PARAMETER);
    };
    let keys = call.instance.clone();
    store::set(call.fw, SERVICE, &keys, "EnabledState", state);
    Outcome::OK
}

/// Put: the listener, and the state when it is one of the four. Clients also send CIM's 2 and 3 there.
fn put_service(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let mut after = change.after.clone();
    let state = after.int("EnabledState");
    if !state.is_some_and(|state| (STATES..STATES + 4).contains(&state)) {
        change.fw.assume(assumed::REDIRECTION_STATE_PUT);
        if let Some(before) = change.before.int("EnabledState") {
            after.set("EnabledState", before);
        }
    }
    Ok(Applied::store(after))
}

/// TerminateSession: there never is a session.
fn terminate(_: &mut Call<'_>) -> Outcome {
    Outcome::OK
}

/// One access point, where KVM is fitted: 6 is enabled without a session, 3 disabled.
fn kvm(fw: &Firmware) -> Vec<Instance> {
    if fw.profile.platform.features & KVM_FITTED == 0 {
        return Vec::new();
    }
    let (state, requested) = match fw.profile.features.kvm {
        true => (6, 2),
        false => (3, 3),
    };
    const NAME: &str = "KVM Redirection Service Access Point";
    vec![
        Instance::new()
            .with("CreationClassName", KVM)
            .with("ElementName", NAME)
            .with("EnabledState", state)
            .with("KVMProtocol", 4)
            .with("Name", NAME)
            .with("RequestedState", requested)
            .with("SystemCreationClassName", "CIM_ComputerSystem")
            .with("SystemName", "ManagedSystem"),
    ]
}

/// RequestStateChange of the KVM access point: 2 on, 3 off.
fn request_kvm_state(call: &mut Call<'_>) -> Outcome {
    let state = match call.input.number("RequestedState") {
        Some(2) => 6,
        Some(3) => 3,
        _ => return Outcome::status(cim::INVALID_PARAMETER),
    };
    let changes = Instance::new()
        .with("EnabledState", state)
        .with("RequestedState", if state == 6 { 2 } else { 3 });
    let keys = call.instance.clone();
    store::put(call.fw, KVM, &keys, changes);
    Outcome::OK
}

/// Put: the password of port 5900 has exactly eight characters.
fn put_kvm_settings(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let password = change.given.text("RFBPassword");
    if password.is_some_and(|text| !text.is_empty() && text.len() != 8) {
        return Err(Fault::InvalidValues);
    }
    Ok(Applied::store(change.after.clone()))
}

/// RequestStateChange of screen blanking: 2 on, 3 off.
fn request_screen_state(call: &mut Call<'_>) -> Outcome {
    let Some(state @ 2..=3) = call.input.number("RequestedState") else {
        return Outcome::status(cim::INVALID_PARAMETER);
    };
    let keys = call.instance.clone();
    store::set(call.fw, SCREEN, &keys, "EnabledState", state);
    Outcome::OK
}
