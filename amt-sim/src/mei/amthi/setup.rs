//! The commands that start set-up, and those that prepare it.

use super::provisioning::before_provisioning;
use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::setup::out_of_band::{self, StartRefusal};
use crate::device::{Firmware, HashAlgorithm, Rule, Trigger, assumed};

/// Where a flow would start. The mode table's refusal goes out as the status that stands for it.
fn not_started(fw: &mut Firmware, trigger: Trigger) -> Outcome {
    fw.permit(trigger)?;
    fw.assume(assumed::SETUP_FLOW);
    Err(Status::NOT_READY)
}

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
    }
}

/// The four layouts of StartConfigurationHBased in the field, by the length of their data.
///
/// ```text
/// 390  u8  algorithm, hash[64], u8  VPN, u32 bytes in list, char[320]   rpc-go
///  73  u8  algorithm, hash[64], u32 VPN, u32 names in list              MeshCentral, without a list
/// 393  u8  algorithm, hash[64], u32 VPN, u32 names in list, char[320]   MeshCentral
/// 396  u32 algorithm, hash[64], u32 VPN, u32 names in list, char[320]   MeshAgent
/// ```
pub(super) const HOST_BASED_SIZES: &[usize] = &[73, 390, 393, 396];

/// StartConfigurationHBased: the hash of the SCA's certificate that is to come.
pub(super) fn start_configuration_host_based(fw: &mut Firmware, request: Reader<'_>) -> Outcome {
    let request = HostBased::read(request);
    if request.algorithm.is_none() && fw.enforced(Rule::AMTHI_HOST_BASED_ALGORITHM) {
        return Err(Status::INVALID_PARAMETER);
    }
    not_started(fw, Trigger::StartConfigurationHostBased)
}

/// A StartConfigurationHBased request in any of its layouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostBased {
    /// `None` when it is none of the two that firmware takes.
    pub(super) algorithm: Option<HashAlgorithm>,
    /// The digest of the SCA's leaf certificate, as long as the algorithm says.
    pub(super) hash: Vec<u8>,
}

impl HostBased {
    fn read(mut request: Reader<'_>) -> Self {
        let algorithm = match request.len() {
            396 => request.u32(),
            _ => request.u8().into(),
        };
        let algorithm = match algorithm {
            2 => Some(HashAlgorithm::Sha256),
            3 => Some(HashAlgorithm::Sha384),
            _ => None,
        };
        let field: [u8; 64] = request.array();
        let size = algorithm.map_or(field.len(), HashAlgorithm::size);
        Self {
            algorithm,
            hash: field[..size].to_vec(),
        }
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

/// GenerateRngSeed: before provisioning only. There is a seed already.
pub(super) fn generate_rng_seed(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    if !before_provisioning(fw.mode()) {
        return Err(Status::INVALID_AMT_MODE);
    }
    fw.assume(assumed::RNG_SEED);
    Ok(Writer::new())
}

/// GetRngSeedStatus: u32 0 exists, 1 in progress, 2 does not exist. Every generation here makes its own.
pub(super) fn rng_seed_status(_: &mut Firmware, _: Reader<'_>) -> Outcome {
    const EXISTS: u32 = 0;
    Ok(Writer::new().u32(EXISTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8]) -> HostBased {
        HostBased::read(Reader::new(data))
    }

    #[test]
    fn the_hash_is_found_in_every_layout() {
        let digest: Vec<u8> = (1..=48).collect();
        for size in HOST_BASED_SIZES {
            let mut data = vec![0; *size];
            let at = if *size == 396 { 4 } else { 1 };
            data[0] = 3;
            data[at..at + 48].copy_from_slice(&digest);
            let request = read(&data);
            assert_eq!(request.algorithm, Some(HashAlgorithm::Sha384), "{size}");
            assert_eq!(request.hash, digest, "{size}");
        }
    }

    #[test]
    fn two_algorithms_are_taken() {
        for (number, expected) in [(1, None), (2, Some(HashAlgorithm::Sha256)), (5, None)] {
            let mut data = vec![0; 390];
            data[0] = number;
            assert_eq!(read(&data).algorithm, expected);
        }
    }
}
