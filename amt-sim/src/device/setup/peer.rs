//! The server that sets the device up over TLS: it proves itself by its certificate, and by nothing else.
//!
//! ```text
//!   handshake with a client certificate ──▶ judge ──▶ accepted: administrator until the mode changes
//!                                                └──▶ refused: the connection ends
//! ```
//! Source: "Intel AMT Implementation and Reference Guide", pages "Setup and Configuration of Intel AMT" and
//! "CFG_StartConfigurationHBased"; class IPS_TLSProvisioningRecord.

use super::{host_based_tls, policy};
use crate::device::account::Interface;
use crate::device::assumed;
use crate::device::firmware::Firmware;
use crate::device::mode::Mode;
use crate::device::state::SetupRecord;
use crate::pki::ChainRefusal;
use crate::pki::chain::{Chain, OutOfTime, Place, Policy, Trust};

/// Why a TLS client may not set the device up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerRefusal {
    #[error("nobody sets the device up from this side now")]
    NotInSetup,
    #[error("its certificate does not have the hash that StartConfigurationHBased announced")]
    OtherLeaf,
    #[error("its chain is one certificate without a root")]
    NoRoot,
    #[error("its certificate chain does not hold: {0}")]
    Chain(#[from] ChainRefusal),
}

/// Whether mode and side are such that a TLS client may set the device up.
pub(crate) const fn sets_up(mode: Mode, side: Interface) -> bool {
    matches!(
        (mode, side),
        (Mode::SetupHostBased, Interface::Local) | (Mode::SetupOutOfBand, Interface::Network)
    )
}

/// Judges the chain that a TLS client showed, DER, leaf first.
pub(crate) fn judge(
    fw: &mut Firmware,
    side: Interface,
    chain: &[Vec<u8>],
) -> Result<(), PeerRefusal> {
    let believed = match (fw.mode(), side) {
        (Mode::SetupHostBased, Interface::Local) => host_based_tls::judge(fw, chain)?,
        (Mode::SetupOutOfBand, Interface::Network) => walk(fw, chain, &[])?,
        _ => return Err(PeerRefusal::NotInSetup),
    };
    fw.setup.believed = Some(believed);
    Ok(())
}

impl Firmware {
    /// What is left of a set-up over TLS that was committed: who did it.
    pub(in crate::device) fn record_setup_over_tls(&mut self) {
        let Some(trust) = self.setup.believed.clone() else {
            return;
        };
        let at = self.clock();
        let flow = self.state.out_of_band.as_ref();
        let alone = flow.is_some_and(|flow| flow.bare_metal);
        self.assume(assumed::SERVER_ADDRESS);
        self.remember(|state| {
            state.provisioning_record = None;
            state.setup_record = Some(SetupRecord {
                secure_dns: trust.secure_dns,
                host_initiated: !alone,
                hash_algorithm: trust.hash_algorithm,
                hash: trust.hash,
                hash_is_default: trust.hash_is_default,
                ca_serials: trust.ca_serials,
                more_serials: trust.more_serials,
                time_valid: trust.time_valid,
                server_address: String::new(),
                server_fqdn: trust.name,
                at,
            });
        });
    }
}

/// The rules of a provisioning chain, as a TLS client's is measured by them: the last certificate is the root, and a
/// certificate out of its time is believed and noted. `more` are domains besides the device's own.
pub(super) fn walk(fw: &Firmware, ders: &[Vec<u8>], more: &[String]) -> Result<Trust, PeerRefusal> {
    let policy = Policy {
        out_of_time: OutOfTime::Noted,
        more_suffixes: more,
        ..policy(fw)
    };
    let mut chain = Chain::default();
    let last = ders.len().saturating_sub(1);
    for (index, der) in ders.iter().enumerate() {
        let place = match index {
            0 => Place::Leaf,
            index if index == last => Place::Root,
            _ => Place::Intermediate,
        };
        chain.add(&policy, der, place)?;
    }
    chain.trust().cloned().ok_or(PeerRefusal::NoRoot)
}
