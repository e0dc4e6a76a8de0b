//! Set-up over TLS from the host: StartConfigurationHBased says which certificate will come, the local TLS port takes
//! that one and no other.
//!
//! ```text
//!   0x8B: hash of the server's leaf ──▶ device arms itself, answers with the hash of its own leaf
//!   16993, from the host: the leaf must have that hash, its chain must hold as any provisioning chain
//! ```
//! Source: "Intel AMT Implementation and Reference Guide", page "CFG_StartConfigurationHBased".

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::peer::{PeerRefusal, walk};
use crate::device::account::Interface;
use crate::device::assumed;
use crate::device::firmware::Firmware;
use crate::device::journal::Event;
use crate::device::mode::{Mode, Refusal, Trigger};
use crate::device::profile::HashAlgorithm;
use crate::device::rule::Rule;
use crate::pki::chain::Trust;
use crate::pki::{OnDieChain, fingerprint};

/// What StartConfigurationHBased announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announced {
    pub algorithm: HashAlgorithm,
    /// Hash of the server's leaf certificate, as hex digits.
    pub hash: String,
    /// Domains that the host says it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suffixes: Vec<String>,
    /// A server far away comes through the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host_vpn: bool,
}

/// The certificate that was announced, with a chain that holds.
pub(super) fn judge(fw: &mut Firmware, chain: &[Vec<u8>]) -> Result<Trust, PeerRefusal> {
    let announced = fw.state.announced.clone().ok_or(PeerRefusal::NotInSetup)?;
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    let hash = crate::hex::encode(&fingerprint(announced.algorithm, leaf));
    if hash != announced.hash && fw.enforced(Rule::SETUP_ANNOUNCED_LEAF) {
        return Err(PeerRefusal::OtherLeaf);
    }
    if !announced.suffixes.is_empty() {
        fw.assume(assumed::HOST_SUFFIXES);
    }
    walk(fw, chain, &announced.suffixes)
}

/// `StartConfigurationHBased`: into set-up through the host. What comes back is the hash, by the same algorithm, of the
/// certificate that the device will show.
pub(crate) fn start(fw: &mut Firmware, announced: Announced) -> Result<Vec<u8>, Refusal> {
    fw.trigger(Trigger::StartConfigurationHostBased)?;
    fw.remember(|state| state.announced = Some(announced.clone()));
    let leaf = crate::http::leaf(fw, Interface::Local);
    let leaf = fingerprint(announced.algorithm, &leaf);
    fw.record(Event::HostBasedTlsStarted {
        server: announced,
        leaf: crate::hex::encode(&leaf),
    });
    Ok(leaf)
}

/// Whether TLS towards this side shows the on-die chain now: until set-up is committed, where there is one.
pub(crate) fn shows_on_die(fw: &Firmware, side: Interface) -> bool {
    let capabilities = &fw.profile.capabilities;
    let phase = match fw.mode() {
        Mode::SetupHostBased => true,
        Mode::PreProvisioning | Mode::HalfClient | Mode::HalfAdmin => {
            capabilities.local_tls_enforced
        }
        _ => false,
    };
    capabilities.on_die_ca && side == Interface::Local && phase
}

/// The device's on-die chain; `None` on generations without one.
pub(crate) fn on_die(fw: &mut Firmware) -> Option<Arc<OnDieChain>> {
    if !fw.profile.capabilities.on_die_ca {
        return None;
    }
    if fw.setup.on_die.is_none() {
        let amt = fw.profile.firmware.parts()[0];
        let family = &fw.profile.platform.family;
        // It fails for no seed that anybody will draw.
        let chain = OnDieChain::for_device(fw.seed, family, amt).ok()?;
        if amt < SEEN_SINCE {
            fw.assume(assumed::ON_DIE_NAMES);
        }
        fw.setup.on_die = Some(Arc::new(chain));
    }
    fw.setup.on_die.clone()
}

/// Chains of these and later versions were seen.
const SEEN_SINCE: u16 = 20;
