//! User consent: IPS_OptInService.
//!
//! ```text
//!   0 none ──StartOptIn──▶ 2 displayed ──SendOptInCode──▶ 3 received ──session──▶ 4 in session
//!     ▲                        │ cancel, display timeout       │ cancel, code timeout  │ end
//!     └────────────────────────┴───────────────────────────────┴───────────────────────┘
//! ```
//! Source: "Intel AMT Implementation and Reference Guide", pages "Start the consent flow", "Send the consent code",
//! "Remote control and user consent".

use std::time::Duration;

use crate::device::{Consent, ConsentStage, ControlMode, Event, Firmware, Rule, assumed};
use crate::wsman::call::{Call, Outcome};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Applied, Change};
use crate::wsman::store;
use crate::wsman::value::Selectors;

const SERVICE: &str = "IPS_OptInService";

/// OptInRequired.
pub(crate) const FOR_KVM: u32 = 1;
pub(crate) const FOR_ALL: u32 = u32::MAX;

/// Return values of the three methods.
const OK: u32 = 0;
const INVALID_STATE: u32 = 2;
const BLOCKED: u32 = 3;
const FAILED: u32 = 4;

const ATTEMPTS: u8 = 3;

/// Every operation needs consent in client control mode; else the default is KVM alone.
pub(crate) fn default_policy(fw: &Firmware) -> u32 {
    match fw.mode().control_mode() {
        ControlMode::Client => FOR_ALL,
        ControlMode::Admin | ControlMode::None => FOR_KVM,
    }
}

pub(crate) fn policy_can_change(fw: &Firmware) -> bool {
    fw.mode().control_mode() == ControlMode::Admin
}

fn setting(fw: &Firmware, name: &str, default: i64) -> i64 {
    let service = store::find(fw, SERVICE, &Selectors::new());
    service
        .and_then(|service| service.int(name))
        .unwrap_or(default)
}

fn policy(fw: &Firmware) -> u32 {
    match fw.mode().control_mode() {
        ControlMode::Client => FOR_ALL,
        _ => u32::try_from(setting(fw, "OptInRequired", FOR_KVM.into())).unwrap_or(FOR_ALL),
    }
}

/// The consent that stands now.
fn pending(fw: &Firmware) -> Option<&Consent> {
    let consent = fw.state.consent.as_ref()?;
    let stands = consent.boot == fw.state.boots && fw.now < consent.until;
    stands.then_some(consent)
}

/// OptInState.
pub(crate) fn state(fw: &Firmware) -> u8 {
    pending(fw).map_or(0, |consent| consent.stage as u8)
}

/// Whether the host's next boot may be changed: the policy does not ask for consent, or it was given.
pub(crate) fn allows_boot_options(fw: &mut Firmware) -> bool {
    if !fw.enforced(Rule::CONSENT_FOR_BOOT) || policy(fw) != FOR_ALL || state(fw) >= 3 {
        return true;
    }
    fw.assume(assumed::CONSENT_ANSWER);
    false
}

/// StartOptIn: shows a code to the user.
pub(crate) fn start(call: &mut Call<'_>) -> Outcome {
    if state(call.fw) != 0 && call.fw.enforced(Rule::CONSENT_ONE_AT_A_TIME) {
        return Outcome::status(INVALID_STATE);
    }
    if policy(call.fw) == 0 {
        call.fw.assume(assumed::CONSENT_NOT_NEEDED);
    }
    let fw = &mut *call.fw;
    // Every code of one device is another one: the moment is part of the draw.
    let turn = fw.now.as_nanos() ^ fw.state.boots.rotate_left(48);
    let draw = u32::from_be_bytes(fw.seed.bytes("consent code", turn));
    let code = draw % 1_000_000;
    let until = fw.now + seconds(setting(fw, "OptInDisplayTimeout", 300));
    let boot = fw.state.boots;
    fw.remember(|state| {
        state.consent = Some(Consent {
            code,
            stage: ConsentStage::Displayed,
            until,
            wrong: 0,
            boot,
        });
    });
    fw.record(Event::ConsentDisplayed {
        code: format!("{code:06}"),
    });
    Outcome::status(OK)
}

/// SendOptInCode: what the user told the operator.
pub(crate) fn send(call: &mut Call<'_>) -> Outcome {
    if state(call.fw) != ConsentStage::Displayed as u8 {
        return Outcome::status(INVALID_STATE);
    }
    let sent = call.input.fits::<u32>("OptInCode");
    let timeout = seconds(setting(call.fw, "OptInCodeTimeout", 120));
    let until = call.fw.now + timeout;
    let limited = call.fw.enforced(Rule::CONSENT_ATTEMPTS);
    let mut answer = INVALID_STATE;
    call.fw.remember(|state| {
        let Some(consent) = &mut state.consent else {
            return;
        };
        if sent == Some(consent.code) {
            consent.stage = ConsentStage::Received;
            consent.until = until;
            answer = OK;
            return;
        }
        consent.wrong = consent.wrong.saturating_add(1);
        answer = FAILED;
        if limited && consent.wrong >= ATTEMPTS {
            state.consent = None;
            answer = BLOCKED;
        }
    });
    changed(call.fw);
    Outcome::status(answer)
}

/// CancelOptIn, by the operator or by the user. Boot options that rested on the consent are cleared.
pub(crate) fn cancel(call: &mut Call<'_>) -> Outcome {
    if state(call.fw) == 0 {
        return Outcome::status(INVALID_STATE);
    }
    call.fw.remember(|state| state.consent = None);
    if policy(call.fw) == FOR_ALL {
        super::super::boot::clear_options(call.fw);
    }
    changed(call.fw);
    Outcome::status(OK)
}

fn changed(fw: &mut Firmware) {
    let state = state(fw);
    fw.record(Event::ConsentChanged { state });
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(number.clamp(0, i64::from(u32::MAX)).unsigned_abs())
}

/// Put: read-only in client control mode; clients send the whole instance back all the same.
pub(crate) fn put(change: &mut Change<'_>) -> Result<Applied, Fault> {
    const POLICY: [&str; 3] = ["OptInRequired", "OptInDisplayTimeout", "OptInCodeTimeout"];
    let differs = |name: &str| change.after.get(name) != change.before.get(name);
    let changes = POLICY.into_iter().any(differs);
    let fixed = !policy_can_change(change.fw);
    if changes && fixed && change.fw.enforced(Rule::CONSENT_POLICY_CLIENT_MODE) {
        return Err(Fault::AccessDenied);
    }
    let wanted = change.after.int("OptInRequired").unwrap_or_default();
    let known = [0, FOR_KVM, FOR_ALL].map(i64::from);
    if !known.contains(&wanted) {
        return Err(Fault::InvalidValues);
    }
    let keys = change.keys.clone();
    for name in POLICY {
        if let (true, Some(value)) = (differs(name), change.after.get(name)) {
            store::set(change.fw, SERVICE, &keys, name, value.clone());
        }
    }
    Ok(Applied::elsewhere())
}
