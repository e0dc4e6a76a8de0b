//! The commands that start set-up. Their requests are judged in full; the flows behind them do not run yet.
//!
//! [`not_started`] is the one place where that shows: the mode table says whether the command is legal now, and
//! a legal one is answered NOT_READY, which agents read as "try again later", without any change of mode.

use super::provisioning::before_provisioning;
use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::{Firmware, Rule, Trigger, assumed};

/// Where a flow would start. The mode table's refusal goes out as the status that stands for it.
fn not_started(fw: &mut Firmware, trigger: Trigger) -> Outcome {
    fw.permit(trigger)?;
    fw.assume(assumed::SETUP_FLOW);
    Err(Status::NOT_READY)
}

/// StartConfiguration: no request data.
pub(super) fn start_configuration(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    not_started(fw, Trigger::StartConfiguration)
}

/// StartConfigurationEx: AMT_BOOLEAN IPv6.
pub(super) fn start_configuration_ex(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    match request.u32() {
        0 | 1 => not_started(fw, Trigger::StartConfiguration),
        _ => Err(Status::INVALID_PARAMETER),
    }
}

/// SetProvisioningServerOTP: AMT_ANSI_STRING of 8 to 32 characters.
pub(super) fn set_otp(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    let otp = request.ansi();
    if !before_provisioning(fw.mode()) && fw.enforced(Rule::AMTHI_OTP_STATE) {
        return Err(Status::INVALID_AMT_MODE);
    }
    let well_formed = (8..=32).contains(&otp.len()) && otp.is_ascii();
    if !well_formed && fw.enforced(Rule::AMTHI_OTP_VALUE) {
        return Err(Status::INVALID_PARAMETER);
    }
    fw.assume(assumed::SETUP_FLOW);
    Err(Status::NOT_READY)
}

/// GenerateRngSeed: before provisioning only.
pub(super) fn generate_rng_seed(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    if !before_provisioning(fw.mode()) {
        return Err(Status::INVALID_AMT_MODE);
    }
    fw.assume(assumed::SETUP_FLOW);
    Err(Status::NOT_READY)
}

/// GetRngSeedStatus: u32 0 exists, 1 in progress, 2 does not exist. Every generation here makes its own.
pub(super) fn rng_seed_status(_: &mut Firmware, _: Reader<'_>) -> Outcome {
    const EXISTS: u32 = 0;
    Ok(Writer::new().u32(EXISTS))
}
