//! Host-based set-up: IPS_HostBasedSetupService without its wire.
//!
//! ```text
//!   Setup ───────────────────────────────────▶ client control mode, signed or not
//!   AddNextCertInChain (leaf … root), AdminSetup ─────────────▶ admin control mode (up to CSME 18)
//!   AddNextCertInChain (leaf … root), UpgradeClientToAdmin ───▶ admin control mode, from client control mode
//! ```
//! Every method journals what came of it: the return value, and the reason that the return value does not tell.
//!
//! Source: class IPS_HostBasedSetupService of the "Intel AMT Implementation and Reference Guide", and its pages
//! "Creating a Signed Configuration Request" and "Certificate Chains for Host-Based Configuration".

mod hello;
pub(crate) mod host_based_tls;
mod nonce;
pub(crate) mod out_of_band;
pub(crate) mod peer;
mod proof;
pub(crate) mod random_seed;
mod record;
mod refusal;

pub use hello::{Delivery, Dial, DialEnd, HelloFault, HelloStop};
pub use host_based_tls::Announced;
pub(crate) use nonce::configuration_nonce;
pub use out_of_band::{KeyStage, OutOfBand};
pub(crate) use proof::Proof;
pub use record::{AdminRecord, ClientRecord, ProvisioningRecord};
pub use refusal::{SetupMethod, SetupRefusal};

use super::firmware::Firmware;
use super::journal::Event;
use super::mode::{ControlMode, Mode, Trigger};
use super::rule::Rule;
use super::{HashAlgorithm, assumed};
use crate::pki::chain::{Chain, ChainStatus, OutOfTime, Place, Policy, Suffix, Trust};
use crate::pki::{Certificate, ChainRefusal, Key, fingerprint};

/// What set-up keeps in working memory: gone with the power.
#[derive(Debug, Default)]
pub(crate) struct Runtime {
    /// The provisioning chain as far as it was sent.
    chain: Chain,
    pub(super) out_of_band: out_of_band::Runtime,
    /// When a seed for random numbers is made.
    seed_ready: Option<crate::time::Instant>,
    /// The TLS client that was accepted last.
    pub(crate) believed: Option<Trust>,
    /// How often the mode has changed: who was accepted is accepted until it changes again.
    mode_changes: u64,
    /// Made when it is first asked for.
    on_die: Option<std::sync::Arc<crate::pki::OnDieChain>>,
    /// What wrong on-die chains depend on.
    pub(crate) turn: crate::pki::Turn,
    /// When a device that waits for its server gives up.
    waits_until: Option<crate::time::Instant>,
}

impl Runtime {
    pub(super) fn mode_changed(&mut self) {
        self.mode_changes += 1;
    }

    /// Whoever was let in has nothing more to set up.
    pub(super) fn forget_server(&mut self) {
        self.believed = None;
    }

    pub(crate) fn mode_changes(&self) -> u64 {
        self.mode_changes
    }

    /// The device came into or out of a control mode: a chain counts for one change only.
    pub(super) fn control_mode_changed(&mut self) {
        self.chain.clear();
    }
}

/// The administrator's password as Setup and AdminSetup carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Password<'a> {
    /// NetAdminPassEncryptionType: 2 is the only one that firmware takes.
    pub(crate) encryption: i64,
    /// MD5 of `admin:REALM:PASSWORD` as 32 hex digits.
    pub(crate) digest: &'a str,
}

impl Password<'_> {
    const HTTP_DIGEST_MD5_A1: i64 = 2;

    fn check(self, fw: &Firmware) -> Result<String, SetupRefusal> {
        if self.encryption != Self::HTTP_DIGEST_MD5_A1 && fw.enforced(Rule::SETUP_PASSWORD_TYPE) {
            return Err(SetupRefusal::PasswordType);
        }
        let digest = crate::hex::decode(self.digest).filter(|digest| digest.len() == 16);
        match digest {
            Some(digest) => Ok(crate::hex::encode(&digest)),
            None => Err(SetupRefusal::PasswordForm),
        }
    }
}

/// `Setup`: into client control mode, from the host, with or without a signature.
pub(crate) fn setup(
    fw: &mut Firmware,
    password: Password<'_>,
    certificate: Option<&[u8]>,
    proof: Proof<'_>,
) -> u32 {
    let outcome = setup_signed_or_not(fw, password, certificate, proof);
    // What was sent, whether or not it was believed.
    let certificate = certificate.map(sha256);
    answer(fw, SetupMethod::Setup, proof, certificate, outcome)
}

fn setup_signed_or_not(
    fw: &mut Firmware,
    password: Password<'_>,
    certificate: Option<&[u8]>,
    proof: Proof<'_>,
) -> Result<(), SetupRefusal> {
    fw.permit(Trigger::Setup)?;
    if fw.state.client_mode_disabled && fw.enforced(Rule::SETUP_CLIENT_MODE_DISABLED) {
        return Err(SetupRefusal::ClientModeDisabled);
    }
    let digest = password.check(fw)?;
    let hash = match certificate {
        None if !proof.is_given() => None,
        None => return Err(SetupRefusal::Incomplete),
        Some(der) => {
            // Its form and its signature count, not who issued it.
            let signer = Certificate::read(der).map_err(|_| SetupRefusal::Certificate)?;
            let Key::Rsa(key) = &signer.key else {
                return Err(SetupRefusal::Certificate);
            };
            proof.check(fw, key)?;
            fw.assume(assumed::RECORD_HASH);
            Some(sha256(der))
        }
    };
    let at = fw.clock();
    fw.trigger(Trigger::Setup)?;
    fw.remember(|state| {
        state.admin_ha1 = Some(digest);
        state.record_provisioning(ProvisioningRecord::Client(ClientRecord { hash, at }));
    });
    Ok(())
}

/// `AddNextCertInChain`: one certificate of the provisioning chain, leaf first, root last.
pub(crate) fn add_next_certificate(fw: &mut Firmware, der: &[u8], leaf: bool, root: bool) -> u32 {
    let outcome = add_certificate(fw, der, leaf, root);
    let nothing = Proof::default();
    let method = SetupMethod::AddNextCertInChain;
    answer(fw, method, nothing, Some(sha256(der)), outcome)
}

fn add_certificate(
    fw: &mut Firmware,
    der: &[u8],
    leaf: bool,
    root: bool,
) -> Result<(), SetupRefusal> {
    let open = matches!(fw.mode(), Mode::PreProvisioning | Mode::Client);
    if !open && fw.enforced(Rule::SETUP_CHAIN_STATE) {
        return Err(SetupRefusal::Mode);
    }
    let place = match (leaf, root) {
        (true, false) => Place::Leaf,
        (false, false) => Place::Intermediate,
        (false, true) => Place::Root,
        (true, true) => return Err(SetupRefusal::Chain(ChainRefusal::Flags)),
    };
    let mut chain = std::mem::take(&mut fw.setup.chain);
    let outcome = chain.add(&policy(fw), der, place);
    let rests_on = chain.trust().map(|trust| trust.assumed.clone());
    let rests_on = rests_on.unwrap_or_default();
    fw.setup.chain = chain;
    match outcome {
        Ok(_) => {
            for id in rests_on {
                fw.assume(id);
            }
            Ok(())
        }
        Err(refusal) => {
            fw.assume(assumed::CHAIN_STAGE);
            assume_refusal(fw, refusal);
            Err(SetupRefusal::Chain(refusal))
        }
    }
}

/// Notes what a refusal rests on that nobody has seen of real firmware.
fn assume_refusal(fw: &mut Firmware, refusal: ChainRefusal) {
    match refusal {
        ChainRefusal::TooLong => fw.assume(assumed::CHAIN_LENGTH),
        ChainRefusal::OtherSuffix | ChainRefusal::LookAlikeSuffix => {
            fw.assume(assumed::SUFFIX_MATCH);
        }
        ChainRefusal::AlternativeNameOnly => fw.assume(assumed::ALTERNATIVE_NAMES),
        ChainRefusal::Algorithm => fw.assume(assumed::CHAIN_RSA_ONLY),
        _ => {}
    }
}

/// What this device measures a provisioning chain by.
fn policy(fw: &Firmware) -> Policy {
    /// SHA-1 and short keys went with this generation.
    const STRICT_SINCE: u16 = 16;
    let network = &fw.profile.network;
    let typed_in = Some(&fw.state.pki_dns_suffix).filter(|name| !name.is_empty());
    let learnt = Some(&network.dhcp_domain).filter(|name| !name.is_empty() && network.link_up());
    Policy {
        rules: fw.rules.clone(),
        now: fw.clock(),
        out_of_time: OutOfTime::Refused,
        suffix: typed_in.or(learnt).map(|name| Suffix {
            name: name.clone(),
            secure: typed_in.is_some(),
        }),
        more_suffixes: Vec::new(),
        hashes: fw.state.hashes.clone(),
        takes_weak: fw.profile.firmware.parts()[0] < STRICT_SINCE,
        assumptions: fw.profile.assumptions.chain.clone(),
    }
}

/// `AdminSetup`: from nothing into admin control mode, after a whole chain.
pub(crate) fn admin_setup(fw: &mut Firmware, password: Password<'_>, proof: Proof<'_>) -> u32 {
    let outcome = admin(fw, Trigger::AdminSetup, Some(password), proof);
    finish_admin(fw, SetupMethod::AdminSetup, proof, outcome)
}

/// `UpgradeClientToAdmin`: from client into admin control mode, after a whole chain. The password stays.
pub(crate) fn upgrade_client_to_admin(fw: &mut Firmware, proof: Proof<'_>) -> u32 {
    let outcome = admin(fw, Trigger::UpgradeClientToAdmin, None, proof);
    finish_admin(fw, SetupMethod::UpgradeClientToAdmin, proof, outcome)
}

fn admin(
    fw: &mut Firmware,
    trigger: Trigger,
    password: Option<Password<'_>>,
    proof: Proof<'_>,
) -> Result<Option<String>, SetupRefusal> {
    fw.permit(trigger)?;
    let digest = password.map(|password| password.check(fw)).transpose()?;
    let mut record = AdminRecord {
        ehbc: fw.state.ehbc,
        at: fw.clock(),
        ..AdminRecord::default()
    };
    let mut signer = None;
    let enterprise = fw.state.ehbc
        && trigger == Trigger::AdminSetup
        && !proof.is_given()
        && fw.setup.chain.status() == ChainStatus::NotStarted;
    if enterprise {
        fw.assume(assumed::EHBC_ADMIN_SETUP);
    } else {
        let chain = fw.setup.chain.clone();
        if chain.trust().is_none() && fw.enforced(Rule::SETUP_CHAIN_COMPLETE) {
            fw.assume(assumed::CHAIN_INCOMPLETE);
            return Err(SetupRefusal::ChainIncomplete);
        }
        // With the rule knocked out there may be no chain to take a key from, and so nothing to prove.
        if let Some(leaf) = chain.leaf() {
            // The one signing algorithm that there is takes an RSA key.
            let Key::Rsa(key) = &leaf.key else {
                return Err(SetupRefusal::OtherAlgorithm);
            };
            proof.check(fw, key)?;
            signer = Some(sha256(&leaf.der));
        }
        if let Some(trust) = chain.trust() {
            record.take(trust);
        }
    }
    fw.trigger(trigger)?;
    fw.remember(|state| {
        if let Some(digest) = digest {
            state.admin_ha1 = Some(digest);
        }
        state.record_provisioning(ProvisioningRecord::Admin(record));
    });
    Ok(signer)
}

fn finish_admin(
    fw: &mut Firmware,
    method: SetupMethod,
    proof: Proof<'_>,
    outcome: Result<Option<String>, SetupRefusal>,
) -> u32 {
    let signer = match &outcome {
        Ok(signer) => signer.clone(),
        Err(_) => fw.setup.chain.leaf().map(|leaf| sha256(&leaf.der)),
    };
    answer(fw, method, proof, signer, outcome.map(|_| ()))
}

/// `DisableClientControlMode`: Setup is refused from now on.
pub(crate) fn disable_client_control_mode(fw: &mut Firmware) -> u32 {
    fw.assume(assumed::DISABLE_CLIENT_MODE);
    let outcome = if fw.mode() == Mode::PreProvisioning {
        fw.remember(|state| state.client_mode_disabled = true);
        Ok(())
    } else {
        Err(SetupRefusal::Mode)
    };
    let method = SetupMethod::DisableClientControlMode;
    answer(fw, method, Proof::default(), None, outcome)
}

/// A request with a parameter that is no base64 at all.
pub(crate) fn refuse_encoding(fw: &mut Firmware, method: SetupMethod) -> u32 {
    let refused = Err(SetupRefusal::Encoding);
    answer(fw, method, Proof::default(), None, refused)
}

/// AllowedControlModes, in the order that a real device lists them.
pub(crate) fn allowed_control_modes(fw: &Firmware) -> Vec<ControlMode> {
    let mut modes = vec![ControlMode::Admin];
    if !fw.state.client_mode_disabled {
        modes.push(ControlMode::Client);
    }
    modes
}

/// CertChainStatus.
pub(crate) fn chain_status(fw: &Firmware) -> ChainStatus {
    fw.setup.chain.status()
}

/// The return value, journaled with what stands behind it.
fn answer(
    fw: &mut Firmware,
    method: SetupMethod,
    proof: Proof<'_>,
    certificate: Option<String>,
    outcome: Result<(), SetupRefusal>,
) -> u32 {
    let refusal = outcome.err();
    let return_value = refusal.map_or(0, |refusal| refusal.return_value(method));
    fw.record(Event::HostBasedSetup {
        method,
        return_value,
        refusal,
        certificate,
        mc_nonce: proof.mc_nonce.map(crate::hex::encode),
    });
    return_value
}

fn sha256(der: &[u8]) -> String {
    crate::hex::encode(&fingerprint(HashAlgorithm::Sha256, der))
}

#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod mode_tests;
#[cfg(test)]
mod rogue_tests;
#[cfg(test)]
mod signed_tests;
#[cfg(test)]
mod test_support;
