//! The signature of a set-up request, and what is wrong with one that does not fit.
//!
//! ```text
//! signed bytes   ConfigurationNonce (20) ‖ McNonce (20)
//! signature      RSASSA-PKCS1-v1_5 over SHA-256
//! ```
//! Source: class IPS_HostBasedSetupService; public agents (rpc-go, MeshCentral).

use rsa::{Pss, RsaPublicKey};
use sha2::{Digest as _, Sha256};

use super::nonce;
use super::refusal::SetupRefusal;
use crate::device::{Firmware, Rule};
use crate::pki::Digest;

/// McNonce, SigningAlgorithm and DigitalSignature, as far as the request has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Proof<'a> {
    pub(crate) mc_nonce: Option<&'a [u8]>,
    pub(crate) algorithm: Option<i64>,
    pub(crate) signature: Option<&'a [u8]>,
}

impl Proof<'_> {
    /// SigningAlgorithm: none.
    const NONE: i64 = 0;
    /// SigningAlgorithm: RSA with SHA-256, the only one.
    pub(crate) const RSA_SHA_256: i64 = 2;

    /// Whether the request says that it is signed. A nonce alone says nothing.
    pub(super) fn is_given(self) -> bool {
        self.signature.is_some() || self.algorithm.is_some_and(|number| number != Self::NONE)
    }

    /// Whether `key` signed this device's nonce and the application's.
    pub(super) fn check(self, fw: &Firmware, key: &RsaPublicKey) -> Result<(), SetupRefusal> {
        if self.algorithm != Some(Self::RSA_SHA_256) && fw.enforced(Rule::SETUP_SIGNING_ALGORITHM) {
            return Err(SetupRefusal::SigningAlgorithm);
        }
        let (Some(mc_nonce), Some(signature)) = (self.mc_nonce, self.signature) else {
            return Err(SetupRefusal::Incomplete);
        };
        if mc_nonce.len() != nonce::SIZE && fw.enforced(Rule::SETUP_MC_NONCE) {
            return Err(SetupRefusal::McNonce);
        }
        let found = examine(fw, key, mc_nonce, signature);
        let forgiven = |rule| !fw.enforced(rule);
        match found {
            Ok(()) => Ok(()),
            Err(_) if forgiven(Rule::SETUP_SIGNATURE) => Ok(()),
            Err(SetupRefusal::NoncesSwapped) if forgiven(Rule::SETUP_NONCE_ORDER) => Ok(()),
            Err(SetupRefusal::StaleNonce) if forgiven(Rule::SETUP_NONCE_FRESH) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }
}

/// Verifies as firmware does. Firmware tells all that is wrong as "authentication failed"; the journal tells what an
/// author of the other side wants to know, by trying the mistakes that are likely.
fn examine(
    fw: &Firmware,
    key: &RsaPublicKey,
    mc_nonce: &[u8],
    signature: &[u8],
) -> Result<(), SetupRefusal> {
    let sha256 =
        |message: &[u8], signature: &[u8]| Digest::Sha256.verifies(key, message, signature);
    let current = nonce::configuration_nonce(fw);
    let message = [&current, mc_nonce].concat();
    if sha256(&message, signature) {
        return Ok(());
    }
    if sha256(&[mc_nonce, &current].concat(), signature) {
        return Err(SetupRefusal::NoncesSwapped);
    }
    if nonce::earlier(fw).any(|stale| sha256(&[&stale, mc_nonce].concat(), signature)) {
        return Err(SetupRefusal::StaleNonce);
    }
    if sha256(&Sha256::digest(&message), signature) {
        return Err(SetupRefusal::HashedTwice);
    }
    let mut digests = Digest::ALL.into_iter();
    let padded_otherwise = || {
        key.verify(Pss::new::<Sha256>(), &Sha256::digest(&message), signature)
            .is_ok()
    };
    if digests.any(|digest| digest.verifies(key, &message, signature)) || padded_otherwise() {
        return Err(SetupRefusal::OtherAlgorithm);
    }
    Err(SetupRefusal::Signature)
}
