//! Judging the chain that a device shows in set-up through the host: whether it is really the chip's own.
//!
//! ```text
//!   told by the agent      hash of the leaf ── whose TLS this is
//!   known beforehand       root of the on-die authorities ── that it is a chip's at all
//!   told by the platform   hash of the ROM authority's certificate ── that it is this chip's
//!   published              revocation lists ── that nobody has taken it back
//! ```
//! The leaf names no host: a name cannot be checked. Whatever is checked is checked of every connection, because each
//! of them could lead to somebody else.
//!
//! Source: "Intel AMT Implementation and Reference Guide", page on the on-die certificate authority; rpc-go,
//! `internal/certs`. Written apart from the device's own side.

use rustls::SignatureScheme;
use rustls::pki_types::SignatureVerificationAlgorithm;
use sha2::{Digest as _, Sha256, Sha384};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::lists::{Doubt, Lists};
use crate::role::Misbehaviour;
use crate::wire::upid::HardwareId;
use crate::words::words;

words! {
    /// Why a chain is not believed.
    Refusal {
        /// The answer of StartConfigurationHBased holds no hash that can be compared.
        NoHash = "no-hash",
        /// The leaf is another than the hash said.
        LeafHash = "leaf-hash",
        /// A single certificate that signed itself.
        SelfSigned = "self-signed",
        /// There are too few or too many certificates.
        Length = "length",
        /// A certificate cannot be read.
        Unreadable = "unreadable",
        /// The leaf is for another use.
        LeafName = "leaf-name",
        /// The fourth certificate is no ROM authority's, or another unit issued it.
        RomName = "rom-name",
        /// A certificate does not name the next one as its issuer.
        Order = "order",
        /// A certificate that issued another is no authority's.
        Authority = "authority",
        /// A key is on another curve.
        Curve = "curve",
        /// A signature is not that of the issuer.
        Signature = "signature",
        /// The chain ends at another root.
        Root = "root",
        /// A certificate is out of its validity.
        Validity = "validity",
        /// The platform identifier is not the hash of the ROM authority's certificate.
        Platform = "platform",
        /// A certificate was revoked.
        Revoked = "revoked",
        /// A revocation list is missing, outdated, or not signed by its issuer.
        List = "list",
    }
}

/// The hash that the device told beforehand, as it stands in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldHash {
    pub algorithm: u8,
    pub hash: Vec<u8>,
}

impl ToldHash {
    /// From the data of the answer: `u8` algorithm and 64 bytes, of which the rest is zero.
    pub fn of(data: &[u8], fixed: bool) -> Result<Self, Refusal> {
        const FIELD: usize = 64;
        let Some((algorithm, field)) = data.split_first() else {
            return Err(Refusal::NoHash);
        };
        let algorithm = if fixed { 2 } else { *algorithm };
        let length = match algorithm {
            2 => 32,
            3 => 48,
            _ => return Err(Refusal::NoHash),
        };
        let Some((hash, rest)) = field.split_at_checked(length) else {
            return Err(Refusal::NoHash);
        };
        let zeros = rest.iter().all(|byte| *byte == 0) || fixed;
        if field.len() != FIELD || !zeros || hash.iter().all(|byte| *byte == 0) {
            return Err(Refusal::NoHash);
        }
        Ok(Self {
            algorithm,
            hash: hash.to_vec(),
        })
    }

    fn is_of(&self, leaf: &[u8]) -> bool {
        match self.algorithm {
            3 => Sha384::digest(leaf).as_slice() == self.hash,
            _ => Sha256::digest(leaf).as_slice() == self.hash,
        }
    }
}

/// What a chain is measured by.
#[derive(Debug, Clone)]
pub struct Verifier {
    /// None in client control mode, where the device tells nothing beforehand.
    pub told: Option<ToldHash>,
    /// DER of the root of all on-die chains.
    pub root: Vec<u8>,
    /// Authorities below the root that are known beforehand, lowest first: for devices that show four certificates.
    pub authorities: Vec<Vec<u8>>,
    /// What the platform says of its hardware, if it was asked.
    pub hardware: Option<HardwareId>,
    /// Revocation lists, if they are to be looked at.
    pub lists: Option<Lists>,
    /// Seconds since 1970.
    pub now: i64,
    pub misbehaviour: Option<Misbehaviour>,
}

/// Places in a chain that begins with the leaf.
const ROM: usize = 3;

/// Certificates that a device shows: all but the root.
const LENGTH: usize = 6;

/// Of the shorter form, which ends with the ROM authority.
const SHORT: usize = 4;

impl Verifier {
    fn is(&self, misbehaviour: Misbehaviour) -> bool {
        self.misbehaviour == Some(misbehaviour)
    }

    /// `shown` is DER, leaf first, exactly as it came.
    pub fn judge(&self, shown: &[&[u8]]) -> Result<(), Refusal> {
        let leaf = shown.first().copied().unwrap_or_default();
        // requirement `sca.secure.pin-leaf`
        let told = self.told.as_ref();
        let other = told.is_some_and(|told| !told.is_of(leaf));
        if other && !self.is(Misbehaviour::ScaSkipsHash) {
            return Err(Refusal::LeafHash);
        }
        if self.is(Misbehaviour::ScaTrustsHashAlone) {
            return Ok(());
        }
        let mut ders: Vec<&[u8]> = shown.to_vec();
        // requirement `sca.secure.chain-to-root`
        match ders.len() {
            1 if self.is(Misbehaviour::ScaTakesSelfSigned) => return Ok(()),
            1 => return Err(Refusal::SelfSigned),
            SHORT if !self.authorities.is_empty() => {
                ders.extend(self.authorities.iter().map(Vec::as_slice));
            }
            LENGTH => {}
            _ if self.is(Misbehaviour::ScaSkipsLength) => {
                // Whoever does not count does not mind a root among them either.
                ders.retain(|der| *der != self.root.as_slice());
            }
            _ => return Err(Refusal::Length),
        }
        ders.push(&self.root);
        let mut chain = Vec::new();
        for der in &ders {
            match X509Certificate::from_der(der) {
                Ok(([], certificate)) => chain.push(certificate),
                _ => return Err(Refusal::Unreadable),
            }
        }
        self.names(&chain)?;
        self.links(&chain)?;
        self.dates(&chain)?;
        self.platform(&ders)?;
        match &self.lists {
            Some(lists) if !self.is(Misbehaviour::ScaSkipsLists) => {
                let doubt = match self.is(Misbehaviour::ScaForgivesLists) {
                    true => Doubt::Forgive,
                    false => Doubt::Refuse,
                };
                lists.judge(&chain, self.now, doubt)
            }
            _ => Ok(()),
        }
    }

    /// Of the leaf and of the ROM authority.
    fn names(&self, chain: &[X509Certificate<'_>]) -> Result<(), Refusal> {
        const LEAVES: [&str; 2] = ["AMT RCFG", "iAMT CSME IDevID RCFG"];
        const UNITS: [&str; 2] = ["ODCA 2 CSME", "On Die CSME"];
        let leaf = chain.first().ok_or(Refusal::Unreadable)?;
        let mut names = leaf.subject().iter_common_name();
        let name = names.next().and_then(|name| name.as_str().ok());
        let right = name.is_some_and(|name| LEAVES.contains(&name)) && names.next().is_none();
        if !right && !self.is(Misbehaviour::ScaSkipsLeafName) {
            return Err(Refusal::LeafName);
        }
        if self.is(Misbehaviour::ScaSkipsRomName) {
            return Ok(());
        }
        let rom = chain.get(ROM).ok_or(Refusal::Length)?;
        let mut names = rom.subject().iter_common_name();
        let is_rom = names.any(|name| name.as_str().is_ok_and(|name| name.contains(" ROM CA")));
        let mut units = rom.issuer().iter_organizational_unit();
        let by_unit = units.any(|unit| {
            unit.as_str()
                .is_ok_and(|unit| UNITS.iter().any(|known| unit.starts_with(known)))
        });
        match is_rom && by_unit {
            true => Ok(()),
            false => Err(Refusal::RomName),
        }
    }

    /// Each is issued by the next, the last by itself.
    fn links(&self, chain: &[X509Certificate<'_>]) -> Result<(), Refusal> {
        let pairs = chain.iter().zip(chain.iter().skip(1));
        for (at, (certificate, issuer)) in pairs.enumerate() {
            let reaches_root = at + 2 == chain.len();
            let named = certificate.issuer().as_raw() == issuer.subject().as_raw();
            if !named && !self.is(Misbehaviour::ScaSkipsOrder) {
                return Err(Refusal::Order);
            }
            // requirement `sca.secure.refuses-wrong-chain`
            if !issuer.is_ca() && !self.is(Misbehaviour::ScaSkipsAuthority) {
                return Err(Refusal::Authority);
            }
            let point = &certificate.public_key().subject_public_key.data;
            if point.len() != P384_POINT && !self.is(Misbehaviour::ScaSkipsCurve) {
                return Err(Refusal::Curve);
            }
            let skipped = match reaches_root {
                true => self.is(Misbehaviour::ScaSkipsRoot),
                false => self.is(Misbehaviour::ScaSkipsSignature),
            };
            // A broken order breaks the signatures too: whoever sorts for himself verifies what he sorted.
            let skipped = skipped || self.is(Misbehaviour::ScaSkipsOrder) && !named;
            let good = signed_by(
                certificate.tbs_certificate.as_ref(),
                &certificate.signature_value.data,
                issuer,
            );
            if !good && !skipped {
                return Err(match reaches_root {
                    true => Refusal::Root,
                    false => Refusal::Signature,
                });
            }
        }
        Ok(())
    }

    fn dates(&self, chain: &[X509Certificate<'_>]) -> Result<(), Refusal> {
        let valid = chain.iter().all(|certificate| {
            let validity = certificate.validity();
            validity.not_before.timestamp() <= self.now
                && self.now <= validity.not_after.timestamp()
        });
        match valid || self.is(Misbehaviour::ScaSkipsDates) {
            true => Ok(()),
            false => Err(Refusal::Validity),
        }
    }

    /// requirement `sca.secure.platform-binding`
    fn platform(&self, ders: &[&[u8]]) -> Result<(), Refusal> {
        let Some(hardware) = &self.hardware else {
            return Ok(());
        };
        let rom = Sha256::digest(ders.get(ROM).copied().unwrap_or_default());
        match rom.starts_with(hardware) || self.is(Misbehaviour::ScaSkipsPlatform) {
            true => Ok(()),
            false => Err(Refusal::Platform),
        }
    }
}

/// Octets of an uncompressed point on P-384.
const P384_POINT: usize = 97;

/// Whether `issuer` signed this, by ECDSA on P-384 with SHA-384.
pub(super) fn signed_by(message: &[u8], signature: &[u8], issuer: &X509Certificate<'_>) -> bool {
    let Some(algorithm) = ecdsa() else {
        return false;
    };
    let key = &issuer.public_key().subject_public_key.data;
    algorithm.verify_signature(key, message, signature).is_ok()
}

fn ecdsa() -> Option<&'static dyn SignatureVerificationAlgorithm> {
    let known = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let scheme = SignatureScheme::ECDSA_NISTP384_SHA384;
    let found = known.mapping.iter().find(|(name, _)| *name == scheme);
    found.and_then(|(_, algorithms)| algorithms.first().copied())
}
