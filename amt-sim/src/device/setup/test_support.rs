//! A device and an application that sets it up, for the tests of this folder.

use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer};

use super::*;
use crate::device::fault::Faults;
use crate::device::{Event, Profile, Rules, Seed, State};
use crate::pki::ProvisioningIdentity;
use crate::pki::test_chain::TestChain;
use crate::time::UnixTime;

pub(super) const NOON: UnixTime = UnixTime(1_767_268_800); // 2026-01-01T12:00:00Z
pub(super) const DIGEST: &str = "0123456789abcdef0123456789abcdef";
pub(super) const PASSWORD: Password<'static> = Password {
    encryption: 2,
    digest: DIGEST,
};
pub(super) const MC_NONCE: [u8; 20] = [0x5a; 20];

/// A factory-fresh device of this profile that knows the root of [`TestChain::good`].
pub(super) fn device(profile: &str) -> Firmware {
    with_rules(profile, Rules::default())
}

pub(super) fn without(profile: &str, rule: Rule) -> Firmware {
    let mut rules = Rules::default();
    rules.knock_out(rule.id()).unwrap();
    with_rules(profile, rules)
}

fn with_rules(profile: &str, rules: Rules) -> Firmware {
    let profile = Profile::builtin(profile).unwrap();
    let mut state = State::factory(&profile, Seed(7)).unwrap();
    state
        .hashes
        .push(TestChain::good().root_entry(HashAlgorithm::Sha256, true));
    Firmware::power_on(profile.into(), state, rules, Faults::default(), NOON)
}

/// The same machine after its power was cut, its clock showing `clock`.
pub(super) fn reboot(fw: Firmware, clock: UnixTime) -> Firmware {
    Firmware::power_on(fw.profile, fw.state, fw.rules, Faults::default(), clock)
}

/// Somebody with a certificate and its key.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) certificate: Vec<u8>,
    pub(super) key: RsaPrivateKey,
}

impl Server {
    /// The server that the owner of the device runs.
    pub(super) fn own() -> Self {
        let identity = ProvisioningIdentity::for_name("mc.corp.example").unwrap();
        Self {
            certificate: identity.chain[0].clone(),
            key: RsaPrivateKey::from_pkcs8_pem(fixtures::keys::PROVISIONING).unwrap(),
        }
    }

    /// Somebody else: any certificate will do, as no chain is asked for.
    pub(super) fn rogue() -> Self {
        let identity = ProvisioningIdentity::for_name("mc.corp.example").unwrap();
        Self {
            certificate: identity.chain[1].clone(),
            key: RsaPrivateKey::from_pkcs8_pem(fixtures::keys::INTERMEDIATE).unwrap(),
        }
    }

    pub(super) fn hash(&self) -> String {
        sha256(&self.certificate)
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        SigningKey::<Sha256>::new(self.key.clone())
            .sign(message)
            .to_vec()
    }

    pub(super) fn sign_nonces(&self, fw: &Firmware, mc_nonce: &[u8]) -> Vec<u8> {
        self.sign(&[&configuration_nonce(fw), mc_nonce].concat())
    }

    /// The whole flow of the guide's page: nonces, signature, signed Setup.
    pub(super) fn set_up(&self, fw: &mut Firmware, mc_nonce: &[u8]) -> u32 {
        let signature = self.sign_nonces(fw, mc_nonce);
        setup(
            fw,
            PASSWORD,
            Some(&self.certificate),
            signed(mc_nonce, &signature),
        )
    }
}

pub(super) fn signed<'a>(mc_nonce: &'a [u8], signature: &'a [u8]) -> Proof<'a> {
    Proof {
        mc_nonce: Some(mc_nonce),
        algorithm: Some(Proof::RSA_SHA_256),
        signature: Some(signature),
    }
}

pub(super) fn unsigned_setup(fw: &mut Firmware) -> u32 {
    setup(fw, PASSWORD, None, Proof::default())
}

/// Sends a chain, leaf first, root last; stops at the first return value that is not 0.
pub(super) fn send_chain(fw: &mut Firmware, chain: &[Vec<u8>]) -> u32 {
    let last = chain.len() - 1;
    for (at, der) in chain.iter().enumerate() {
        let value = add_next_certificate(fw, der, at == 0, at == last);
        if value != 0 {
            return value;
        }
    }
    0
}

/// Why the last method did what it did, as the journal has it.
pub(super) fn last_refusal(fw: &Firmware) -> Option<SetupRefusal> {
    fw.journal
        .entries()
        .filter_map(|entry| match &entry.event {
            Event::HostBasedSetup { refusal, .. } => Some(*refusal),
            _ => None,
        })
        .last()
        .unwrap()
}
