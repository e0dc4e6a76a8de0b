//! A laboratory of on-die chains that are wrong, each in the one way that its name says and otherwise as the genuine
//! one: really signed, really shown, and the same for the same device every time.
//!
//! ```text
//!   what a verifier sees       what is told beforehand
//!   the chain on 16993         hash of the leaf: answer to StartConfigurationHBased
//!                              hardware identifier: UPID, the hash of the ROM authority's certificate
//! ```
//! Both are told as the wrong chain has them, so that a verifier cannot find by accident what it does not look for;
//! where the contradiction is the point, the genuine ones are told.

use rcgen::{DistinguishedName, DnType};
use serde::{Deserialize, Serialize};

use super::odca::{ChainForm, Holder, Link, Made, OnDieChain, hardware_id, links, project, serial};
use super::odca_names::{Names, Place, Purpose};
use super::{AuthorityError, odca_root};
use crate::device::Seed;

macro_rules! wrong_chains {
    ($(#[doc = $doc:literal] $name:ident,)*) => {
        /// What is wrong with an on-die chain.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum WrongChain { $(#[doc = $doc] $name,)* }

        impl WrongChain {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it means, in one sentence.
            pub const fn about(self) -> &'static str {
                // What stands after `///` begins with a space.
                match self { $(Self::$name => $doc.trim_ascii(),)* }
            }
        }
    };
}

wrong_chains! {
    /// The leaf is another than the hash said.
    OtherLeaf,
    /// Every connection gets another leaf, and the hash is of none of them.
    RotatingLeaf,
    /// Every StartConfigurationHBased makes another leaf; the hash is right each time.
    LeafOfEachStart,
    /// The leaf's common name begins like the right one and goes on.
    WrongCn,
    /// The kernel authority is certified by the issuing authority itself: five certificates.
    RomMissing,
    /// The fourth certificate is not called a ROM authority.
    RomMisnamed,
    /// The ROM authority's issuer is of another organisational unit.
    OtherIssuerOu,
    /// Somebody else signed the leaf in the AMT authority's name.
    BrokenLeaf,
    /// Somebody else signed the AMT authority in the kernel authority's name.
    BrokenAmt,
    /// Somebody else signed the kernel authority in the ROM authority's name.
    BrokenKernel,
    /// Somebody else signed the ROM authority in the issuing authority's name.
    BrokenRom,
    /// Somebody else signed the issuing authority in the intermediate authority's name.
    BrokenIssuing,
    /// Somebody else signed the intermediate authority in the root's name.
    BrokenIntermediate,
    /// It ends at another root of the same name.
    OtherRoot,
    /// The leaf's validity is over.
    Expired,
    /// The kernel authority's validity is over.
    ExpiredAuthority,
    /// The leaf's validity has not begun.
    NotYetValid,
    /// The kernel authority is certified as no authority.
    NonCa,
    /// The leaf's key is on the curve P-256.
    P256,
    /// The leaf signed itself, and is all there is.
    SelfSigned,
    /// The leaf is that of platform trust technology.
    PttLeaf,
    /// The leaf is that of WS-Management.
    WsManLeaf,
    /// The leaf is that of the audit log.
    AuditLeaf,
    /// The leaf is on the revocation list.
    RevokedLeaf,
    /// The kernel authority is on the indirect revocation list.
    RevokedKernel,
    /// The ROM authority is on its platform's revocation list.
    RevokedRom,
    /// The intermediate authority is on the root's revocation list.
    RevokedIntermediate,
    /// The platform identifier is not the hash of the ROM authority's certificate.
    WrongUpid,
    /// The whole chain is another device's, and so is the hash of the leaf.
    OtherDevice,
    /// It ends with the ROM authority: the form of four certificates.
    Four,
    /// The root itself certified the issuing authority: five certificates.
    Five,
    /// One authority more stands below the intermediate one: seven certificates.
    Seven,
    /// The two highest certificates come in the wrong order.
    WrongOrder,
    /// The root comes along: seven certificates.
    WithRoot,
}

impl std::fmt::Display for WrongChain {
    /// The word of faults and scenarios.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// What a device shows of an on-die chain, and what it says of it elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhibit {
    /// DER, leaf first.
    pub shown: Vec<Vec<u8>>,
    /// The shown leaf's key, PKCS#8 DER.
    pub key: Vec<u8>,
    /// The certificate whose hash StartConfigurationHBased answers.
    pub told: Vec<u8>,
    /// The hardware part of the platform identifier.
    pub hardware_id: [u8; 32],
}

/// What came before, for chains that change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Connections that saw the chain.
    pub connections: u64,
    /// Calls of StartConfigurationHBased that were obeyed.
    pub starts: u64,
}

impl Exhibit {
    pub fn genuine(chain: &OnDieChain) -> Self {
        Self {
            shown: chain.shown(ChainForm::Six).to_vec(),
            key: chain.key.clone(),
            told: chain.leaf().to_vec(),
            hardware_id: chain.hardware_id(),
        }
    }
}

/// Places in a list that begins with the root.
const ROOT: usize = 0;
const INTERMEDIATE: usize = 1;
const ISSUING: usize = 2;
const ROM: usize = 3;
const KERNEL: usize = 4;
const AMT: usize = 5;
const LEAF: usize = 6;

/// The ROM authority's place in a list that begins with the leaf.
const ROM_FROM_LEAF: usize = 3;

impl WrongChain {
    /// What the device with this seed shows and tells instead of its own chain.
    pub fn exhibit(
        self,
        seed: Seed,
        family: &str,
        amt: u16,
        turn: Turn,
    ) -> Result<Exhibit, AuthorityError> {
        static MADE: Made<Exhibit> = Made::new();
        // What does not change from turn to turn is made once.
        let turn = match self {
            Self::RotatingLeaf => Turn { starts: 0, ..turn },
            Self::LeafOfEachStart => Turn {
                connections: 0,
                ..turn
            },
            _ => Turn::default(),
        };
        let key = format!("{self:?} {} {family} {amt} {turn:?}", seed.0);
        MADE.get(key, || self.make(seed, family, amt, turn))
    }

    fn make(
        self,
        seed: Seed,
        family: &str,
        amt: u16,
        turn: Turn,
    ) -> Result<Exhibit, AuthorityError> {
        let names = Names::of(family, amt);
        let whose = match self {
            Self::OtherDevice => seed.child(1),
            _ => seed,
        };
        let mut links = links(whose, &names, self.purpose())?;
        self.spoil(&mut links, seed, turn)?;
        let chain = OnDieChain::of(&links)?;
        // Of the certificates below the root.
        let mut shown = chain.certificates.clone();
        shown.pop();
        let genuine = || OnDieChain::for_device(seed, family, amt);
        let mut told = chain.leaf().to_vec();
        let mut hardware = match self {
            Self::SelfSigned | Self::RomMissing => genuine()?.hardware_id(),
            // Whatever changes above it, three certificates stand below the ROM authority's.
            _ => hardware_id(shown.get(ROM_FROM_LEAF).map_or(&[], Vec::as_slice)),
        };
        match self {
            Self::OtherLeaf | Self::RotatingLeaf => told = genuine()?.leaf().to_vec(),
            Self::OtherDevice => hardware = genuine()?.hardware_id(),
            Self::WrongUpid => {
                hardware[..20].copy_from_slice(&seed.bytes::<20>("another platform", 0));
            }
            Self::SelfSigned => shown = chain.certificates.clone(),
            Self::Four => shown.truncate(4),
            Self::WrongOrder => shown.swap(4, 5),
            Self::WithRoot => shown.push(odca_root::usual()?),
            _ => {}
        }
        Ok(Exhibit {
            shown,
            key: chain.key,
            told,
            hardware_id: hardware,
        })
    }

    const fn purpose(self) -> Purpose {
        match self {
            Self::PttLeaf => Purpose::Ptt,
            Self::WsManLeaf => Purpose::WsMan,
            Self::AuditLeaf => Purpose::AuditLog,
            _ => Purpose::Rcfg,
        }
    }

    /// The certificate that somebody else signed.
    const fn forged(self) -> Option<usize> {
        match self {
            Self::BrokenLeaf => Some(LEAF),
            Self::BrokenAmt => Some(AMT),
            Self::BrokenKernel => Some(KERNEL),
            Self::BrokenRom => Some(ROM),
            Self::BrokenIssuing => Some(ISSUING),
            Self::BrokenIntermediate => Some(INTERMEDIATE),
            _ => None,
        }
    }

    /// The certificate whose serial number is on a list.
    const fn revoked(self) -> Option<(usize, Place)> {
        match self {
            Self::RevokedLeaf => Some((LEAF, Place::Leaf)),
            Self::RevokedKernel => Some((KERNEL, Place::Kernel)),
            Self::RevokedRom => Some((ROM, Place::Rom)),
            Self::RevokedIntermediate => Some((INTERMEDIATE, Place::Intermediate)),
            _ => None,
        }
    }

    /// Makes the links wrong.
    fn spoil(self, links: &mut Vec<Link>, seed: Seed, turn: Turn) -> Result<(), AuthorityError> {
        if let Some(at) = self.forged() {
            links[at].forged_by = Some(Holder::new(seed, "a forger")?.secret);
        }
        if let Some((at, place)) = self.revoked() {
            links[at].serial = revoked_serial(place);
        }
        let other_leaf = |links: &mut [Link], name: &str| {
            links[LEAF].serial = serial(seed, name);
            links[LEAF].holder = Holder::new(seed, name)?;
            Ok::<(), AuthorityError>(())
        };
        match self {
            Self::OtherLeaf => other_leaf(links, "another Leaf")?,
            Self::RotatingLeaf => {
                other_leaf(links, &format!("Leaf of connection {}", turn.connections))?;
            }
            Self::LeafOfEachStart => {
                other_leaf(links, &format!("Leaf of start {}", turn.starts))?;
            }
            Self::WrongCn => rename(&mut links[LEAF].subject, |name| format!("{name} 2")),
            Self::RomMissing => drop(links.remove(ROM)),
            Self::RomMisnamed => {
                rename(&mut links[ROM].subject, |name| {
                    name.replace(" ROM ", " RAM ")
                });
            }
            Self::OtherIssuerOu => {
                let mut other = DistinguishedName::new();
                other.push(DnType::OrganizationalUnitName, "OEM CSME Issuing CA");
                other.push(DnType::CommonName, "www.intel.com");
                links[ISSUING].subject = other;
            }
            Self::OtherRoot => {
                links[ROOT].holder = Holder::new(seed, "another Root")?;
                links[ROOT].made = None;
            }
            Self::Expired => links[LEAF].until = (2025, 9, 1),
            Self::ExpiredAuthority => links[KERNEL].until = (2025, 9, 1),
            Self::NotYetValid => links[LEAF].since = (2045, 1, 1),
            Self::NonCa => links[KERNEL].authority = false,
            Self::P256 => {
                let key = fixtures::keys::ON_DIE_P256;
                let holder = &mut links[LEAF].holder;
                holder.pkcs8 = key.to_vec();
                holder.public = key[key.len() - 65..].to_vec();
                holder.algorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
            }
            Self::SelfSigned => drop(links.drain(..LEAF)),
            Self::Five => drop(links.remove(INTERMEDIATE)),
            Self::Seven => {
                let mut more = links[INTERMEDIATE].clone();
                more.holder = Holder::new(project(), "another Intermediate")?;
                more.serial = serial(project(), "another Intermediate");
                let mut name = DistinguishedName::new();
                name.push(
                    DnType::OrganizationalUnitName,
                    "ODCA CA2 CSME Second Intermediate CA",
                );
                name.push(DnType::CommonName, "www.intel.com");
                more.subject = name;
                links.insert(ISSUING, more);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The number of the certificate at this place that is on its list: the same for all devices, so that lists can be
/// made without knowing them.
pub(super) fn revoked_serial(place: Place) -> [u8; 16] {
    serial(project(), &format!("revoked {place:?}"))
}

fn rename(name: &mut DistinguishedName, change: impl FnOnce(&str) -> String) {
    let text = match name.get(&DnType::CommonName) {
        Some(rcgen::DnValue::Utf8String(text)) => text.clone(),
        _ => String::new(),
    };
    let mut changed = DistinguishedName::new();
    changed.push(DnType::CommonName, change(&text));
    *name = changed;
}

#[cfg(test)]
#[path = "odca_wrong_tests.rs"]
mod tests;
