//! The commands that start set-up, and those that prepare it.

use super::provisioning::before_provisioning;
use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::setup::out_of_band::{self, StartRefusal};
use crate::device::setup::random_seed::{self, SeedStatus};
use crate::device::{Firmware, Rule, assumed};

/// StartConfiguration: no request data.
pub(super) fn start_configuration(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    start(fw, None)
}

/// StartConfigurationEx: AMT_BOOLEAN IPv6.
pub(super) fn start_configuration_ex(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    match request.u32() {
        ipv6 @ (0 | 1) => start(fw, Some(ipv6 == 1)),
        _ => Err(Status::INVALID_PARAMETER),
    }
}

fn start(fw: &mut Firmware, ipv6: Option<bool>) -> Outcome {
    match out_of_band::start(fw, ipv6) {
        Ok(()) => Ok(Writer::new()),
        Err(StartRefusal::Mode(refusal)) => Err(refusal.into()),
        Err(StartRefusal::NoNetwork) => Err(Status::NOT_READY),
        Err(StartRefusal::Seed(SeedStatus::InProgress)) => Err(Status::RNG_GENERATION_IN_PROGRESS),
        Err(StartRefusal::Seed(_)) => Err(Status::RNG_NOT_READY),
        Err(StartRefusal::Key) => Err(Status::CERTIFICATE_NOT_READY),
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
    fw.assume(assumed::OTP_LIFE);
    // With the rule knocked out anything goes, as far as a string can hold it.
    let otp = String::from_utf8_lossy(otp).into_owned();
    fw.remember(|state| state.otp = Some(otp));
    Ok(Writer::new())
}

/// GenerateRngSeed: before provisioning only. It is under way when this returns, or there was one already.
pub(super) fn generate_rng_seed(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    if !before_provisioning(fw.mode()) {
        return Err(Status::INVALID_AMT_MODE);
    }
    fw.assume(assumed::RNG_SEED);
    match random_seed::generate(fw) {
        SeedStatus::InProgress => Err(Status::RNG_GENERATION_IN_PROGRESS),
        SeedStatus::Exists | SeedStatus::Missing => Ok(Writer::new()),
    }
}

/// GetRngSeedStatus: u32 0 exists, 1 in progress, 2 does not exist.
pub(super) fn rng_seed_status(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    Ok(Writer::new().u32(random_seed::status(fw) as u32))
}
