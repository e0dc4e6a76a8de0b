//! Set-up over TLS from the host: StartConfigurationHBased says which certificate will come, the local TLS port takes
//! that one and no other.
//!
//! ```text
//!   0x8B: hash of the server's leaf ──▶ device arms itself, answers with the hash of its own leaf
//!   16993, from the host: the leaf must have that hash, its chain must hold as any provisioning chain
//! ```
//! Source: "Intel AMT Implementation and Reference Guide", page "CFG_StartConfigurationHBased".

use serde::{Deserialize, Serialize};

use super::peer::{Believed, PeerRefusal, believe};
use crate::device::assumed;
use crate::device::firmware::Firmware;
use crate::device::profile::HashAlgorithm;
use crate::device::rule::Rule;
use crate::pki::fingerprint;

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
pub(super) fn judge(fw: &mut Firmware, chain: &[Vec<u8>]) -> Result<Believed, PeerRefusal> {
    let announced = fw.state.announced.clone().ok_or(PeerRefusal::NotInSetup)?;
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    let hash = crate::hex::encode(&fingerprint(announced.algorithm, leaf));
    if hash != announced.hash && fw.enforced(Rule::SETUP_ANNOUNCED_LEAF) {
        return Err(PeerRefusal::OtherLeaf);
    }
    if !announced.suffixes.is_empty() {
        fw.assume(assumed::HOST_SUFFIXES);
    }
    believe(fw, chain, &announced.suffixes)
}
