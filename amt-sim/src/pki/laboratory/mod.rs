//! The certificate laboratory: provisioning chains of an SCA by name, a few that a device takes and many that have one
//! thing wrong each, and what AMT says to each of them.
//!
//! ```text
//!   specimen ──alter──▶ draft of a good chain ──sign──▶ chain, key, and what the device must know
//!       └── answer: by way of set-up and by generation
//! ```
//! Everything is signed for real, and a function of specimen and server's name: the same bytes every time. Whatever a
//! chain has wrong is its only fault; without the rule that it breaks it would be taken.

mod answer;
mod draft;
mod leaves;
mod links;
mod sign;

pub use answer::{Verdict, Way};

use super::AuthorityError;
use crate::device::CertificateHash;
use answer::{Answer, When};
use draft::Draft;

/// One chain of the laboratory.
#[derive(Debug, Clone, Copy)]
pub struct Specimen {
    /// Words and digits joined by hyphens; the same for the life of the project.
    pub name: &'static str,
    /// What it is, in one line.
    pub what: &'static str,
    /// The requirement that decides about it.
    pub requirement: &'static str,
    answer: Answer,
    alter: fn(&mut Draft),
}

/// A specimen that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// DER, in the order in which the server sends it.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8 DER. Not always that of the leaf.
    pub key: Vec<u8>,
    /// The root that the chain belongs to, DER, whether it is sent or not.
    pub root: Vec<u8>,
    /// What the device has in its list of hashes.
    pub entry: Option<CertificateHash>,
    /// Domain that the device is in.
    pub domain: String,
    /// The certificate whose hash StartConfigurationHBased announces, DER.
    pub announced: Vec<u8>,
}

impl Specimen {
    /// Every specimen, the good one first, then those about the leaf.
    pub const ALL: [&'static Self; leaves::SPECIMENS.len() + links::SPECIMENS.len()] = {
        let mut all = [&leaves::SPECIMENS[0]; leaves::SPECIMENS.len() + links::SPECIMENS.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = match at.checked_sub(leaves::SPECIMENS.len()) {
                Some(behind) => &links::SPECIMENS[behind],
                None => &leaves::SPECIMENS[at],
            };
            at += 1;
        }
        all
    };

    pub fn all() -> impl Iterator<Item = &'static Self> {
        Self::ALL.into_iter()
    }

    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().find(|specimen| specimen.name == name)
    }

    /// What a device of this AMT version says to it.
    pub fn verdict(&self, way: Way, amt: u16) -> Verdict {
        self.answer.of(way, amt)
    }

    /// Whether a device of this AMT version lets its holder in, whichever way he comes.
    pub fn is_good(&self, amt: u16) -> bool {
        Way::ALL
            .into_iter()
            .all(|way| self.verdict(way, amt) == Verdict::Taken)
    }

    /// The chain of a server of this name, which must have a domain: `mc.corp.example`.
    pub fn make(&self, server: &str) -> Result<Made, AuthorityError> {
        let mut draft = Draft::good();
        (self.alter)(&mut draft);
        draft.make(server)
    }
}

/// A specimen that the device says one thing to, whichever the way and the generation.
const fn specimen(
    name: &'static str,
    what: &'static str,
    requirement: &'static str,
    usual: Verdict,
    alter: fn(&mut Draft),
) -> Specimen {
    Specimen {
        name,
        what,
        requirement,
        answer: Answer::always(usual),
        alter,
    }
}

impl Specimen {
    /// ... but for these; the first that fits counts.
    const fn except(mut self, exceptions: &'static [(When, Verdict)]) -> Self {
        self.answer = self.answer.except(exceptions);
        self
    }
}

#[cfg(test)]
mod tests;
