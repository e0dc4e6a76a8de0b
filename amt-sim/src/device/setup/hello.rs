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

mod fault;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use fault::HelloFault;
pub(super) use fault::{Sending, sendings};

use crate::device::firmware::Firmware;
use crate::device::profile::Profile;
use crate::device::rule::Rule;

const FLAG_AT: usize = 0;
const VERSION_AT: usize = 2;
const RETRY_AT: usize = 4;
const UUID_AT: usize = 8;
const COUNT_AT: usize = 24;
const FIRST_HASH_LENGTH_AT: usize = 26;

/// Hashes that one message lists.
const MOST_HASHES: usize = 23;

/// What the device calls its SCA when nobody told it a name.
const WELL_KNOWN: &str = "ProvisionServer";

/// A connection that the device wants to make: connect, write, close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// Counts from 0; what came of it is told by it.
    pub id: u32,
    /// Names or addresses, in the order in which to try them.
    pub hosts: Vec<String>,
    pub port: u16,
    /// The message.
    pub bytes: Vec<u8>,
    pub delivery: Delivery,
}

/// How a message is written and its connection closed: in one write and with FIN, unless a fault says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// Bytes of one piece, each in a TCP segment of its own with a moment before the next; whole when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<usize>,
    /// RST closes the connection instead of FIN.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

impl Delivery {
    /// What to write, one piece after the other.
    pub fn pieces<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        bytes.chunks(self.pieces.unwrap_or(bytes.len()).max(1))
    }

    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// Why no more Hello messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HelloStop {
    /// The last one of the schedule is sent; the interface stays open.
    AllSent,
    /// An SCA set the device up.
    Committed,
    /// Set-up was stopped.
    Stopped,
    /// The provisioning period is over.
    Elapsed,
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

/// Where to look for the SCA: what was typed in; else the well-known name in the domain that was typed in, asked for
/// even without one; else the well-known name in the domain from DHCP.
pub(super) fn hosts(fw: &Firmware) -> Vec<String> {
    let server = &fw.profile.setup_server;
    if let Some(told) = [&server.address, &server.fqdn]
        .into_iter()
        .find(|told| !told.is_empty())
    {
        return vec![told.clone()];
    }
    let within = |domain: &str| match domain {
        "" => WELL_KNOWN.to_owned(),
        domain => format!("{WELL_KNOWN}.{domain}"),
    };
    let learnt = within(&fw.profile.network.dhcp_domain);
    if !fw.enforced(Rule::OOB_HELLO_TARGET) {
        return vec![learnt];
    }
    let mut hosts = vec![within(&fw.state.pki_dns_suffix), learnt];
    hosts.dedup_by(|one, other| one.eq_ignore_ascii_case(other));
    hosts
}

/// From the message with this count to the next one; `None` when it was the last.
pub(super) fn wait_after(count: u32, profile: &Profile) -> Option<Duration> {
    let timings = &profile.timings;
    let last = count + 1 >= profile.setup_server.most_hellos;
    let doubled = timings
        .hello_retry_ms
        .saturating_mul(2_u32.saturating_pow(count));
    (!last).then(|| doubled.min(timings.hello_retry_longest_ms))
}
