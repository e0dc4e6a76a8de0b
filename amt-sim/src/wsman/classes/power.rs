//! Power: the host's state, which AMT changes and remembers, power packages, and power saving.

use super::boot;
use crate::device::{Event, Firmware, Realm, assumed};
use crate::wsman::call::status::cim;
use crate::wsman::call::{Access, Call, Method, Outcome, status};
use crate::wsman::provider::{Live, Provider};
use crate::wsman::store;
use crate::wsman::value::Value;

const SAVING: &str = "IPS_PowerManagementService";
pub(super) const SCHEME: &str = "AMT_SystemPowerScheme";

/// PowerState of the association.
const ON: i64 = 2;
const SLEEP: i64 = 4;
const HIBERNATE: i64 = 7;
const OFF: i64 = 8;

const REMOTE_CONTROL: Access = Access::Realms(&[Realm::REMOTE_CONTROL]);

pub(crate) const METHODS: &[Method] = &[
    Method {
        class: "CIM_PowerManagementService",
        name: "RequestPowerStateChange",
        access: REMOTE_CONTROL,
        call: request_power,
    },
    Method {
        class: SAVING,
        name: "RequestOSPowerSavingStateChange",
        access: REMOTE_CONTROL,
        call: request_saving,
    },
    Method {
        class: SCHEME,
        name: "SetPowerScheme",
        access: Access::Administrator,
        call: set_scheme,
    },
];

pub(crate) const PROVIDERS: &[Provider] = &[];

pub(crate) const LIVE: &[Live] = &[
    Live {
        name: "power-state",
        value: |fw| Some(power_state(fw).into()),
    },
    Live {
        name: "available-power-states",
        value: |fw| {
            let states = available(power_state(fw));
            Some(Value::List(states.iter().map(|state| (*state).into()).collect()))
        },
    },
    Live {
        name: "power-policy",
        value: |fw| Some(fw.profile.platform.power_policy.as_str().into()),
    },
];

/// The state that the host was last put into; the device is only up while somebody drives it, so at first it is on.
fn power_state(fw: &Firmware) -> i64 {
    match &fw.state.host_power {
        Some(power) if power.boot == fw.state.boots => power.state.into(),
        _ => ON,
    }
}

/// Requests that make sense in a state. A host that is on can be reset, cycled, put off, hibernated or put to sleep.
fn available(state: i64) -> &'static [i64] {
    match state {
        ON => &[10, 8, 5, 11, 4, 7, 12, 14],
        SLEEP => &[2, 10, 8, 5],
        _ => &[2, 5],
    }
}

/// RequestPowerStateChange. The host obeys at once; how it boots then, the boot options say.
fn request_power(call: &mut Call<'_>) -> Outcome {
    let Some(request) = call.input.fits::<u16>("PowerState") else {
        return Outcome::status(cim::INVALID_PARAMETER);
    };
    let machine = call.input.reference("ManagedElement");
    if machine.is_none_or(|machine| machine.class != "CIM_ComputerSystem") {
        return Outcome::status(cim::INVALID_PARAMETER);
    }
    call.fw.assume(assumed::POWER_TRANSITIONS);
    let before = power_state(call.fw);
    let wanted = i64::from(request);
    if !available(before).contains(&wanted) {
        return Outcome::status(match wanted {
            2 | 4..=8 | 10..=12 | 14 => cim::UNKNOWN_ERROR,
            _ => cim::INVALID_PARAMETER,
        });
    }
    let (after, boots) = match wanted {
        2 => (ON, before != SLEEP),
        5 | 10 | 14 => (ON, true),
        4 => (SLEEP, false),
        7 => (HIBERNATE, false),
        8 | 12 => (OFF, false),
        _ => (before, false),
    };
    let how = match boots {
        true => boot::take_options(call.fw),
        false => Vec::new(),
    };
    let state = u16::try_from(after).unwrap_or_default();
    let boot = call.fw.state.boots;
    call.fw.remember(|memory| {
        memory.host_power = Some(crate::device::HostPower { state, boot });
    });
    call.fw.record(Event::HostPower {
        request,
        state,
        boot: how,
    });
    Outcome::OK
}

/// RequestOSPowerSavingStateChange: 2 full power, 3 saving.
fn request_saving(call: &mut Call<'_>) -> Outcome {
    let Some(state @ 2..=3) = call.input.number("OSPowerSavingState") else {
        return Outcome::status(cim::INVALID_PARAMETER);
    };
    let keys = call.instance.clone();
    store::set(call.fw, SAVING, &keys, "OSPowerSavingState", state);
    Outcome::OK
}

/// InstanceID of the power package in force.
pub(super) fn current_scheme(fw: &Firmware) -> String {
    fw.state
        .power_scheme
        .clone()
        .unwrap_or_else(|| "SCHEME 0".to_owned())
}

/// SetPowerScheme is called on the package that is to be in force.
fn set_scheme(call: &mut Call<'_>) -> Outcome {
    let Some(id) = call.instance.text("InstanceID").map(str::to_owned) else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    call.fw.remember(|state| state.power_scheme = Some(id));
    Outcome::OK
}
