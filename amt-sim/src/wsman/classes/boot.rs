//! How the host boots next: options that are used once, and the user's consent to them.

use super::redirection::consent;
use crate::device::{Firmware, Realm};
use crate::wsman::call::status::cim;
use crate::wsman::call::{Access, Call, Method, Outcome};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Applied, Change, Live, Provider};
use crate::wsman::store;
use crate::wsman::value::{Selectors, Value};

const SERVICE: &str = "CIM_BootService";
const CONFIGURATION: &str = "CIM_BootConfigSetting";
const SOURCE: &str = "CIM_BootSourceSetting";
const SETTINGS: &str = "AMT_BootSettingData";

/// SetBootConfigRole.
const ACCESS_DENIED: u32 = 6;
const INVALID_REFERENCE: u32 = 4;
const NEXT_SINGLE_USE: i64 = 1;
const NOT_NEXT: i64 = 32_768;

const REMOTE_CONTROL: Access = Access::Realms(&[Realm::REMOTE_CONTROL]);

pub(crate) const METHODS: &[Method] = &[
    method(SERVICE, "SetBootConfigRole", set_role),
    method(SERVICE, "RequestStateChange", request_state),
    method(CONFIGURATION, "ChangeBootOrder", change_order),
];

pub(crate) const PROVIDERS: &[Provider] = &[Provider {
    put: Some(put_settings),
    ..Provider::of(SETTINGS)
}];

pub(crate) const LIVE: &[Live] = &[
    Live::new("boot-service-state", |fw| {
        // 2 before one-click recovery; 32768 to 32771 since: bit 0 recovery, bit 1 erase.
        Some(if has_recovery(fw) { 32_769 } else { 2 }.into())
    }),
    Live::new("one-click-recovery", |fw| {
        has_recovery(fw).then_some(true.into())
    }),
    Live::new("remote-erase", |fw| has_recovery(fw).then_some(false.into())),
    Live::new("uefi-boot-parameters", |fw| {
        has_recovery(fw).then_some(0.into())
    }),
    Live::new("uefi-wifi-share-possible", |fw| {
        has_recovery(fw).then_some(fw.profile.network.wireless.is_some().into())
    }),
];

const fn method(
    class: &'static str,
    name: &'static str,
    call: fn(&mut Call<'_>) -> Outcome,
) -> Method {
    Method::new(class, name, REMOTE_CONTROL, call)
}

/// One-click recovery came with AMT 16.
pub(super) fn has_recovery(fw: &Firmware) -> bool {
    fw.profile.firmware.parts() >= [16, 0, 0]
}

/// SetBootConfigRole: 1 the configuration is used at the next boot, 32768 it is not.
fn set_role(call: &mut Call<'_>) -> Outcome {
    let configuration = call.input.reference("BootConfigSetting");
    let known = configuration.is_some_and(|configuration| {
        configuration.class == CONFIGURATION
            && store::find(call.fw, CONFIGURATION, &configuration.selectors).is_some()
    });
    if !known {
        return Outcome::status(INVALID_REFERENCE);
    }
    let Some(role @ (NEXT_SINGLE_USE | NOT_NEXT)) = call.input.number("Role") else {
        return Outcome::status(cim::INVALID_PARAMETER);
    };
    if !consent::allows_boot_options(call.fw) {
        return Outcome::status(ACCESS_DENIED);
    }
    call.fw
        .remember(|state| state.next_boot.armed = role == NEXT_SINGLE_USE);
    Outcome::OK
}

/// ChangeBootOrder: the first source counts; none clears what was chosen.
fn change_order(call: &mut Call<'_>) -> Outcome {
    if !consent::allows_boot_options(call.fw) {
        return Outcome::status(ACCESS_DENIED);
    }
    let source = match call.input.references("Source").first() {
        None => None,
        Some(source) => {
            let named = source.class == SOURCE && !source.selectors.is_empty();
            let found = store::find(call.fw, SOURCE, &source.selectors).filter(|_| named);
            match found.and_then(|found| found.text("InstanceID").map(str::to_owned)) {
                None => return Outcome::status(INVALID_REFERENCE),
                id => id,
            }
        }
    };
    call.fw.remember(|state| state.next_boot.source = source);
    Outcome::OK
}

/// RequestStateChange: 32768 to 32771, on devices with one-click recovery.
fn request_state(call: &mut Call<'_>) -> Outcome {
    if !has_recovery(call.fw) {
        return Outcome::status(cim::NOT_SUPPORTED);
    }
    let Some(state @ 32_768..=32_771) = call.input.number("RequestedState") else {
        return Outcome::status(cim::INVALID_PARAMETER);
    };
    let keys = call.instance.clone();
    store::set(call.fw, SERVICE, &keys, "EnabledState", state);
    Outcome::OK
}

/// Put: the whole instance comes back, changed here and there.
fn put_settings(change: &mut Change<'_>) -> Result<Applied, Fault> {
    if !consent::allows_boot_options(change.fw) {
        return Err(Fault::AccessDenied);
    }
    let mut after = change.after.clone();
    after.set("OptionsCleared", false);
    Ok(Applied::store(after))
}

/// Forgets source, role and settings.
pub(super) fn clear_options(fw: &mut Firmware) {
    fw.remember(|state| state.next_boot = Default::default());
    if let Some(settings) = store::find(fw, SETTINGS, &Selectors::new()) {
        let keys = Selectors::new().with("InstanceID", settings.text("InstanceID").unwrap_or_default());
        let mut cleared = Selectors::new();
        for (name, value) in &settings {
            if !is_option(name) {
                continue;
            }
            match value {
                Value::Bool(true) => cleared.set(name, false),
                Value::Int(number) if *number != 0 => cleared.set(name, 0),
                Value::Bytes(bytes) if !bytes.is_empty() => cleared.set(name, Vec::<u8>::new()),
                _ => {}
            }
        }
        cleared.set("OptionsCleared", true);
        store::put(fw, SETTINGS, &keys, cleared);
    }
}

/// What a boot uses up; the rest tells what the machine can do.
fn is_option(name: &str) -> bool {
    matches!(
        name,
        "BIOSPause"
            | "BIOSSetup"
            | "BootMediaIndex"
            | "ConfigurationDataReset"
            | "EnforceSecureBoot"
            | "FirmwareVerbosity"
            | "ForcedProgressEvents"
            | "IDERBootDevice"
            | "LockKeyboard"
            | "LockPowerButton"
            | "LockResetButton"
            | "LockSleepButton"
            | "PlatformErase"
            | "ReflashBIOS"
            | "SecureErase"
            | "UefiBootNumberOfParams"
            | "UefiBootParametersArray"
            | "UEFIBootParametersArray"
            | "UseIDER"
            | "UseSOL"
            | "UseSafeMode"
            | "UserPasswordBypass"
    )
}

/// The host boots: what was asked for takes effect, once. Names the source and the settings for the journal.
pub(super) fn take_options(fw: &mut Firmware) -> Vec<String> {
    let next = fw.state.next_boot.clone();
    let mut how = Vec::new();
    if next.armed {
        how.extend(next.source);
        let settings = store::find(fw, SETTINGS, &Selectors::new()).unwrap_or_default();
        let asked = settings
            .iter()
            .filter(|(name, value)| is_option(name) && **value == Value::Bool(true));
        how.extend(asked.map(|(name, _)| name.clone()));
    }
    clear_options(fw);
    how
}
