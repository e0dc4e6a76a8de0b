//! Set-up over TLS from the host: StartConfigurationHBased says which certificate will come, the local TLS port takes
//! that one and no other.
//!
//! ```text
//!   0x8B: hash of the server's leaf ──▶ device arms itself, answers with the hash of its own leaf
//!   16993, from the host: the leaf must have that hash, its chain must hold as any provisioning chain
//! ```
//! Source: "Intel AMT Implementation and Reference Guide", page "CFG_StartConfigurationHBased".

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::device::account::Interface;
use crate::device::assumed;
use crate::device::fault::{FaultEffect, FaultPoint, Occasion};
use crate::device::firmware::Firmware;
use crate::device::journal::Event;
use crate::device::mode::{Mode, Refusal, Trigger};
use crate::device::profile::{HashAlgorithm, HostBasedAgain};
use crate::pki::{Exhibit, OnDieChain, WrongChain, fingerprint};
use crate::time::Instant;

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

/// `StartConfigurationHBased`: into set-up through the host. What comes back is the hash, by the same algorithm, of the
/// certificate that the device will show.
pub(crate) fn start(fw: &mut Firmware, announced: Announced) -> Result<Vec<u8>, Refusal> {
    if fw.mode() == Mode::SetupHostBased {
        fw.assume(assumed::HOST_BASED_AGAIN);
    }
    let again = fw.mode() == Mode::SetupHostBased
        && fw.profile.assumptions.host_based_again == HostBasedAgain::Taken;
    if again {
        // Whoever came for the first call is nobody now.
        fw.setup.mode_changed();
        fw.setup.forget_server();
    } else {
        fw.trigger(Trigger::StartConfigurationHostBased)?;
    }
    fw.remember(|state| state.announced = Some(announced.clone()));
    fw.setup.turn.starts += 1;
    begin_waiting(fw);
    let leaf = match exhibit(fw) {
        Some(exhibit) => exhibit.told,
        // Firmware before the on-die authority shows what it made itself.
        None => crate::http::leaf(fw, Interface::Local),
    };
    let leaf = fingerprint(announced.algorithm, &leaf);
    fw.record(Event::HostBasedTlsStarted {
        server: announced,
        leaf: crate::hex::encode(&leaf),
    });
    Ok(leaf)
}

/// The device waits from now on, unless nobody knows for how long.
fn begin_waiting(fw: &mut Firmware) {
    let limit = fw.profile.assumptions.host_based_wait_ms;
    fw.setup.waits_until = (limit > 0).then(|| fw.now + Duration::from_millis(limit));
}

/// At power-on.
pub(crate) fn resume(fw: &mut Firmware) {
    if fw.mode() == Mode::SetupHostBased {
        begin_waiting(fw);
    }
}

/// When the device gives up waiting for its server: never once one was accepted.
pub(crate) fn next_wake(fw: &Firmware) -> Option<Instant> {
    let waits = fw.mode() == Mode::SetupHostBased && fw.setup.believed.is_none();
    fw.setup.waits_until.filter(|_| waits)
}

/// Gives up when it is time to.
pub(crate) fn advance(fw: &mut Firmware) {
    if next_wake(fw).is_some_and(|due| due <= fw.now) {
        fw.setup.waits_until = None;
        fw.assume(assumed::HOST_BASED_WAIT);
        // A refusal is journaled; there is nobody to tell.
        let _ = fw.trigger(Trigger::WaitElapsed);
    }
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
        let chain = match fw.profile.tls.on_die_dns_name.as_str() {
            "" => OnDieChain::for_device(fw.seed, family, amt),
            name => OnDieChain::for_device_called(fw.seed, family, amt, name),
        };
        let chain = chain.ok()?;
        if amt < SEEN_SINCE {
            fw.assume(assumed::ON_DIE_NAMES);
        }
        fw.setup.on_die = Some(Arc::new(chain));
    }
    fw.setup.on_die.clone()
}

/// What the device tells of its on-die chain, and shows next: the genuine one, or what a fault put in its place.
/// `None` on generations without one.
pub(crate) fn exhibit(fw: &mut Firmware) -> Option<Exhibit> {
    let chain = on_die(fw)?;
    match fw.faults.peek(FaultPoint::Odca) {
        Some(FaultEffect::Chain(wrong)) => make(fw, *wrong),
        _ => Some(Exhibit::genuine(&chain)),
    }
}

/// The wrong chain that a connection is shown, if a fault strikes it.
pub(crate) fn wrong_chain(fw: &mut Firmware) -> Option<Exhibit> {
    const OCCASION: Occasion = Occasion {
        at: FaultPoint::Odca,
        client: None,
        command: None,
    };
    fw.setup.turn.connections += 1;
    match fw.strike(OCCASION)?.effect {
        FaultEffect::Chain(wrong) => make(fw, wrong),
        _ => None,
    }
}

fn make(fw: &Firmware, wrong: WrongChain) -> Option<Exhibit> {
    let amt = fw.profile.firmware.parts()[0];
    let family = &fw.profile.platform.family;
    // It fails for no seed that anybody will draw.
    wrong.exhibit(fw.seed, family, amt, fw.setup.turn).ok()
}

/// Chains of these and later versions were seen.
const SEEN_SINCE: u16 = 20;
