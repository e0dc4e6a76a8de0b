//! The server that sets the device up over TLS: it proves itself by its certificate, and by nothing else.
//!
//! ```text
//!   connection ──▶ Judge of that moment ──handshake──▶ accepted: administrator until the mode changes
//!                                                  └──▶ refused: an alert, and the connection ends
//! ```
//! Source: "Intel AMT Implementation and Reference Guide", pages "Setup and Configuration of Intel AMT" and
//! "CFG_StartConfigurationHBased"; class IPS_TLSProvisioningRecord; alert 46 in rpc-go's issues 355 and 941.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::{Announced, assume_refusal, policy};
use crate::device::account::Interface;
use crate::device::assumed;
use crate::device::firmware::Firmware;
use crate::device::mode::Mode;
use crate::device::profile::ChainAlert;
use crate::device::rule::Rule;
use crate::device::state::SetupRecord;
use crate::pki::chain::{Chain, OutOfTime, Place, Policy, Suffix, Trust};
use crate::pki::{ChainRefusal, fingerprint};
use crate::tls::{self, Alert, Untrusted};

/// Why a TLS client may not set the device up. Serialised in kebab-case, a chain's reason without anything around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PeerRefusal {
    #[error("its certificate does not have the hash that StartConfigurationHBased announced")]
    OtherLeaf,
    #[error("its chain is one certificate without a root")]
    NoRoot,
    #[error("its certificate chain does not hold: {0}")]
    #[serde(untagged)]
    Chain(#[from] ChainRefusal),
}

impl PeerRefusal {
    /// As the journal has it.
    pub fn word(self) -> String {
        let word = serde_json::to_value(self).unwrap_or_default();
        word.as_str().unwrap_or_default().to_owned()
    }

    /// What RFC 8446 section 6.2 has for it.
    const fn alert(self) -> Alert {
        match self {
            Self::NoRoot
            | Self::Chain(
                ChainRefusal::UnknownRoot | ChainRefusal::InactiveRoot | ChainRefusal::NotIssuer,
            ) => Alert::UnknownAuthority,
            Self::OtherLeaf
            | Self::Chain(
                ChainRefusal::NoSuffix
                | ChainRefusal::NoName
                | ChainRefusal::LookAlikeSuffix
                | ChainRefusal::OtherSuffix
                | ChainRefusal::AlternativeNameOnly,
            ) => Alert::AccessDenied,
            Self::Chain(
                ChainRefusal::Algorithm
                | ChainRefusal::WeakDigest
                | ChainRefusal::ShortKey
                | ChainRefusal::NotServer
                | ChainRefusal::NotForSetup,
            ) => Alert::UnsupportedCertificate,
            Self::Chain(ChainRefusal::Expired | ChainRefusal::NotYetValid) => {
                Alert::CertificateExpired
            }
            Self::Chain(_) => Alert::BadCertificate,
        }
    }
}

/// Whether a TLS client may set the device up from this side now.
///
/// A device that stopped half way waits for the same server to finish: rpc-go met it where local ports speak TLS only.
pub(crate) fn sets_up(fw: &Firmware, side: Interface) -> bool {
    match (fw.mode(), side) {
        (Mode::SetupHostBased, Interface::Local) | (Mode::SetupOutOfBand, Interface::Network) => {
            true
        }
        (Mode::HalfAdmin, Interface::Local) => {
            fw.profile.capabilities.local_tls_enforced && fw.state.announced.is_some()
        }
        _ => false,
    }
}

/// Judges the TLS client of one connection, by what the device knew when it came.
#[derive(Debug)]
pub(crate) struct Judge {
    policy: Policy,
    /// The leaf that was announced, in set-up through the host.
    announced: Option<Announced>,
    alert: ChainAlert,
    /// Whoever is refused is let in all the same.
    lenient: bool,
    verdict: OnceLock<Result<Trust, PeerRefusal>>,
}

impl Judge {
    /// `None` where nobody sets the device up over TLS from this side now.
    pub(crate) fn of(fw: &Firmware, side: Interface) -> Option<Self> {
        if !sets_up(fw, side) {
            return None;
        }
        let announced = match side {
            Interface::Local => Some(fw.state.announced.clone()?),
            Interface::Network => None,
        };
        let more = announced.iter().flat_map(|announced| &announced.suffixes);
        let more_suffixes = more
            .map(|name| Suffix {
                name: name.clone(),
                secure: false,
            })
            .collect();
        Some(Self {
            policy: Policy {
                out_of_time: OutOfTime::Noted,
                more_suffixes,
                ..policy(fw)
            },
            announced: announced.filter(|_| fw.enforced(Rule::SETUP_ANNOUNCED_LEAF)),
            alert: fw.profile.assumptions.chain.alert,
            lenient: !fw.enforced(Rule::SETUP_PEER_JUDGED),
            verdict: OnceLock::new(),
        })
    }

    /// Why the client is not let in.
    pub(crate) fn refusal(&self) -> Option<PeerRefusal> {
        let refused = self.verdict.get()?.as_ref().err().copied();
        refused.filter(|_| !self.lenient)
    }

    /// The last certificate is the root.
    fn walk(&self, ders: &[&[u8]]) -> Result<Trust, PeerRefusal> {
        if let Some(announced) = &self.announced {
            let leaf = ders.first().copied().unwrap_or_default();
            let hash = crate::hex::encode(&fingerprint(announced.algorithm, leaf));
            if hash != announced.hash {
                return Err(PeerRefusal::OtherLeaf);
            }
        }
        let mut chain = Chain::default();
        let last = ders.len().saturating_sub(1);
        for (index, der) in ders.iter().enumerate() {
            let place = match index {
                0 => Place::Leaf,
                index if index == last => Place::Root,
                _ => Place::Intermediate,
            };
            chain.add(&self.policy, der, place)?;
        }
        chain.trust().cloned().ok_or(PeerRefusal::NoRoot)
    }
}

impl tls::Judge for Judge {
    fn judge(&self, chain: &[&[u8]]) -> Result<(), Untrusted> {
        let verdict = self.verdict.get_or_init(|| self.walk(chain));
        match verdict {
            Err(refusal) if !self.lenient => Err(Untrusted {
                why: refusal.to_string(),
                alert: match self.alert {
                    ChainAlert::CertificateUnknown => Alert::CertificateUnknown,
                    ChainAlert::ByReason => refusal.alert(),
                },
            }),
            _ => Ok(()),
        }
    }
}

/// Its client was let in: what it proved is kept for the record. False where it showed nothing.
pub(crate) fn accepted(fw: &mut Firmware, judge: &Judge) -> bool {
    let Some(verdict) = judge.verdict.get() else {
        return false;
    };
    if let Ok(trust) = verdict {
        for id in &trust.assumed {
            fw.assume(id);
        }
        if !judge.policy.more_suffixes.is_empty() {
            fw.assume(assumed::HOST_SUFFIXES);
        }
        fw.setup.believed = Some(trust.clone());
    }
    true
}

/// Its client was not let in: notes what that rests on.
pub(crate) fn refused(fw: &mut Firmware, refusal: PeerRefusal) {
    fw.assume(assumed::CHAIN_ALERT);
    if let PeerRefusal::Chain(refusal) = refusal {
        assume_refusal(fw, refusal);
    }
}

impl Firmware {
    /// What is left of a set-up over TLS that was committed: who did it.
    pub(in crate::device) fn record_setup_over_tls(&mut self) {
        let Some(trust) = self.setup.believed.take() else {
            return;
        };
        if self.mode() == Mode::HalfAdmin {
            self.assume(assumed::HALF_WAY_RECORD);
        }
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
