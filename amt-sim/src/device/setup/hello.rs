//! The Hello message: what a device tells its SCA so that the SCA comes and sets it up.
//!
//! ```text
//! 0   u16       administrator's credentials are set
//! 2   u16       version: 3, set-up by certificates
//! 4   u32       how many Hello messages came before: 0 to 14
//! 8   u8[16]    SMBIOS UUID, its first three groups little-endian
//! 24  u8        number of root hashes
//! 25  for each: u8 algorithm, u8 length, u8[length] digest
//! ```
//! Everything is little-endian. The device connects, writes it whole, and closes; nobody answers.
//!
//! Source: "Intel AMT Implementation and Reference Guide", page "Setup Mode Hello Messages"; MeshCentral,
//! `amtprovisioningserver.js`, with three messages of real devices.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::device::firmware::Firmware;
use crate::device::rule::Rule;

/// Messages that one set-up sends: the count goes up to 14.
pub(super) const MOST: u32 = 15;

/// Hashes that one message lists.
const MOST_HASHES: usize = 23;

/// Two messages are never further apart than this.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What the device calls its SCA when nobody told it a name.
const WELL_KNOWN: &str = "ProvisionServer";

/// A connection that the device wants to make: connect, write everything at once, close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// Counts from 0; what came of it is told by it.
    pub id: u32,
    /// Names or addresses, in the order in which to try them.
    pub hosts: Vec<String>,
    pub port: u16,
    pub bytes: Vec<u8>,
}

/// What came of a dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DialEnd {
    /// Sent to that address and closed.
    Sent { to: String },
    /// Nobody took it.
    Failed { why: String },
}

/// The message with this count.
pub(super) fn message(fw: &Firmware, count: u32) -> Vec<u8> {
    const CREDENTIALS_SET: u16 = 1;
    const PKI: u16 = 3;
    let only_active = fw.enforced(Rule::OOB_HELLO_ACTIVE_HASHES);
    let hashes: Vec<_> = fw
        .state
        .hashes
        .iter()
        .filter(|hash| hash.active || !only_active)
        .collect();
    // What somebody typed in is there for an SCA to find, so that it never falls off the end.
    let own = hashes.iter().filter(|hash| !hash.default).count();
    let room = MOST_HASHES.saturating_sub(own);
    let mut factory = 0;
    let listed: Vec<_> = hashes
        .into_iter()
        .filter(|hash| {
            factory += usize::from(hash.default);
            !hash.default || factory <= room
        })
        .take(MOST_HASHES)
        .collect();
    let mut out = Vec::with_capacity(25 + listed.len() * 34);
    out.extend(CREDENTIALS_SET.to_le_bytes());
    out.extend(PKI.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(fw.identity.uuid.to_wire());
    // At most MOST_HASHES, and no digest is longer than 48 bytes.
    out.push(u8::try_from(listed.len()).unwrap_or(u8::MAX));
    for hash in listed {
        let digest = hash.digest();
        out.push(hash.algorithm as u8);
        out.push(u8::try_from(digest.len()).unwrap_or(u8::MAX));
        out.extend(digest);
    }
    out
}

/// Where to look for the SCA: what was typed in, or the well-known name in the domains that the device knows.
pub(super) fn hosts(fw: &Firmware) -> Vec<String> {
    let server = &fw.profile.setup_server;
    if let Some(told) = [&server.address, &server.fqdn]
        .into_iter()
        .find(|told| !told.is_empty())
    {
        return vec![told.clone()];
    }
    let domains = [&fw.state.pki_dns_suffix, &fw.profile.network.dhcp_domain];
    let mut hosts: Vec<String> = domains
        .into_iter()
        .filter(|domain| !domain.is_empty())
        .map(|domain| format!("{WELL_KNOWN}.{domain}"))
        .collect();
    hosts.dedup();
    if hosts.is_empty() {
        hosts.push(WELL_KNOWN.to_owned());
    }
    hosts
}

/// From the message with this count to the next one; `None` when it was the last.
pub(super) fn wait_after(count: u32, first: Duration) -> Option<Duration> {
    let last = count + 1 >= MOST;
    let doubled = first.saturating_mul(2_u32.saturating_pow(count));
    (!last).then(|| doubled.min(LONGEST_WAIT))
}
