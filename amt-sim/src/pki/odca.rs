//! The on-die certificate authority: what a device shows of itself before anybody gave it a certificate.
//!
//! ```text
//!   root ─▶ CSME intermediate ─▶ issuing, one a platform ─▶ ROM, one a device ─▶ kernel ─▶ AMT ─▶ leaf
//!   not sent └─────────────────────────── shown on TLS, leaf first ──────────────────────────────────┘
//! ```
//! Shape, names, extensions and validity are those of real chains; the root is the project's own and says so. The ROM
//! authority's certificate tells devices apart: the hardware part of the unique platform identifier is its hash.
//!
//! Everything follows from the device's seed: keys are drawn from it, signatures draw nothing (RFC 6979).
//!
//! Source: chains of Lunar Lake and Panther Lake devices in rpc-go's issues 1068, 1095 and 1329; rpc-go,
//! `internal/certs`; names of Tiger Lake and Alder Lake chains in intel-ek-dechainer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use p384::SecretKey;
use p384::ecdsa::signature::Signer as _;
use p384::elliptic_curve::sec1::ToEncodedPoint as _;
use p384::pkcs8::EncodePrivateKey as _;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, IsCa, Issuer, KeyIdMethod,
    PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use sha2::{Digest as _, Sha256};

use super::odca_der as der;
use super::odca_names::{Names, Place, Purpose};
use super::{AuthorityError, odca_root};
use crate::device::Seed;

/// How much of its chain a device shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainForm {
    /// Leaf to ROM authority. Whoever verifies it needs the rest from elsewhere.
    Four,
    /// Leaf to intermediate: all but the root.
    Six,
}

/// A device's own chain, as the factory left it in the chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDieChain {
    /// DER: leaf, AMT, kernel, ROM, issuing, intermediate, root.
    pub certificates: Vec<Vec<u8>>,
    /// The leaf's key, PKCS#8 DER.
    pub key: Vec<u8>,
}

impl OnDieChain {
    /// Places of the certificates below the root.
    const ROM: usize = 3;

    /// The chain of the device with this seed, on a platform such as `LNL`, for firmware of this AMT version: the one
    /// that it sets itself up with.
    pub fn for_device(seed: Seed, family: &str, amt: u16) -> Result<Self, AuthorityError> {
        Self::for_purpose(seed, family, amt, Purpose::Rcfg)
    }

    /// The same chain with a leaf that has this DNS name, as no real one has: for programs that look for one.
    pub fn for_device_called(
        seed: Seed,
        family: &str,
        amt: u16,
        dns_name: &str,
    ) -> Result<Self, AuthorityError> {
        let mut links = links(seed, &Names::of(family, amt), Purpose::Rcfg)?;
        if let Some(leaf) = links.last_mut() {
            leaf.dns_name = Some(dns_name.to_owned());
        }
        Self::of(&links)
    }

    /// The chain whose leaf signs what WS-Management is asked to vouch for.
    pub fn for_ws_man(seed: Seed, family: &str, amt: u16) -> Result<Self, AuthorityError> {
        Self::for_purpose(seed, family, amt, Purpose::WsMan)
    }

    fn for_purpose(
        seed: Seed,
        family: &str,
        amt: u16,
        purpose: Purpose,
    ) -> Result<Self, AuthorityError> {
        static MADE: Made<OnDieChain> = Made::new();
        let key = format!("{} {family} {amt} {purpose:?}", seed.0);
        MADE.get(key, || Self::make(seed, family, amt, purpose))
    }

    fn make(seed: Seed, family: &str, amt: u16, purpose: Purpose) -> Result<Self, AuthorityError> {
        let mut chain = Self::of(&links(seed, &Names::of(family, amt), purpose)?)?;
        if let Some(root) = chain.certificates.last_mut() {
            *root = odca_root::usual()?;
        }
        Ok(chain)
    }

    /// Each link certified by the one before it, the first by itself.
    pub(super) fn of(links: &[Link]) -> Result<Self, AuthorityError> {
        let mut certificates = Vec::new();
        let mut issuer = links.first();
        for link in links {
            if let Some(by) = issuer {
                certificates.push(link.certify(by)?);
            }
            issuer = Some(link);
        }
        certificates.reverse();
        let key = links.last().map(|leaf| leaf.holder.pkcs8.clone());
        Ok(Self {
            certificates,
            key: key.unwrap_or_default(),
        })
    }

    /// What goes over the wire, leaf first.
    pub fn shown(&self, form: ChainForm) -> &[Vec<u8>] {
        let count = match form {
            ChainForm::Four => 4,
            ChainForm::Six => 6,
        };
        self.certificates.get(..count).unwrap_or_default()
    }

    pub fn leaf(&self) -> &[u8] {
        self.certificates.first().map_or(&[], Vec::as_slice)
    }

    /// What a program must trust to verify a chain.
    pub fn root(&self) -> &[u8] {
        self.certificates.last().map_or(&[], Vec::as_slice)
    }

    /// The hardware part of the unique platform identifier: twenty bytes, the rest of the field is zero.
    pub fn hardware_id(&self) -> [u8; 32] {
        hardware_id(self.certificates.get(Self::ROM).map_or(&[], Vec::as_slice))
    }
}

/// What was made before, by what it follows from: a chain is a dozen operations on the curve, and the same device is
/// switched on again and again.
#[derive(Debug)]
pub(super) struct Made<T>(Mutex<BTreeMap<String, T>>);

impl<T: Clone> Made<T> {
    /// Beyond that all are forgotten: a fleet would fill the memory with them.
    const MOST: usize = 256;

    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    pub(super) fn get(
        &self,
        key: String,
        make: impl FnOnce() -> Result<T, AuthorityError>,
    ) -> Result<T, AuthorityError> {
        let held = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = held().get(&key) {
            return Ok(made.clone());
        }
        // Others need not wait; who makes the same makes it alike.
        let made = make()?;
        let mut held = held();
        if held.len() >= Self::MOST {
            held.clear();
        }
        held.insert(key, made.clone());
        Ok(made)
    }
}

/// The identifier of the device whose ROM authority has this certificate.
pub(super) fn hardware_id(rom: &[u8]) -> [u8; 32] {
    let mut id = [0; 32];
    id[..20].copy_from_slice(&Sha256::digest(rom)[..20]);
    id
}

/// What is the same for all devices is drawn from this one number, and as public as it is.
pub(super) const fn project() -> Seed {
    Seed(0)
}

/// A chain before it is certified, root first.
pub(super) fn links(
    seed: Seed,
    names: &Names,
    purpose: Purpose,
) -> Result<Vec<Link>, AuthorityError> {
    let mut links: Vec<Link> = Place::ALL
        .into_iter()
        .map(|place| Link::new(seed, names, place, purpose))
        .collect::<Result<_, _>>()?;
    if let Some(root) = links.first_mut() {
        root.made = Some(odca_root::usual()?);
    }
    Ok(links)
}

/// One certificate of a chain before it is made.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) holder: Holder,
    pub(super) subject: DistinguishedName,
    pub(super) serial: [u8; 16],
    /// First day of its validity.
    pub(super) since: (i32, u8, u8),
    /// The day after the last.
    pub(super) until: (i32, u8, u8),
    /// It may certify others.
    pub(super) authority: bool,
    /// It is a TLS server's.
    pub(super) server: bool,
    /// Where it would be revoked, and in whose name if that is not its issuer's.
    pub(super) list: Option<(String, Option<DistinguishedName>)>,
    /// Whom a client may call it.
    pub(super) dns_name: Option<String>,
    /// Somebody signed it who has the issuer's name, but not the issuer's key.
    pub(super) forged_by: Option<SecretKey>,
    /// It was certified elsewhere.
    pub(super) made: Option<Vec<u8>>,
}

impl Link {
    pub(super) fn new(
        seed: Seed,
        names: &Names,
        place: Place,
        purpose: Purpose,
    ) -> Result<Self, AuthorityError> {
        let seed = if place.is_shared() { project() } else { seed };
        // Leaves of several purposes hang from one authority.
        let name = match (place, purpose) {
            (Place::Leaf, Purpose::Rcfg) | (Place::Root, _) => format!("{place:?}"),
            (Place::Leaf, _) => format!("{place:?} {purpose:?}"),
            _ => format!("{place:?}"),
        };
        let indirectly = place
            .is_revoked_indirectly()
            .then(|| names.subject(Place::Intermediate, purpose));
        Ok(Self {
            holder: Holder::new(seed, &name)?,
            subject: names.subject(place, purpose),
            serial: serial(seed, &name),
            since: names.since(place),
            until: (2050, 1, 1),
            authority: place != Place::Leaf,
            server: place == Place::Leaf,
            list: names.revocation_list(place).map(|uri| (uri, indirectly)),
            dns_name: None,
            forged_by: None,
            made: None,
        })
    }

    /// The certificate that `issuer` gives this one.
    fn certify(&self, issuer: &Self) -> Result<Vec<u8>, AuthorityError> {
        if let Some(made) = &self.made {
            return Ok(made.clone());
        }
        let params = self.params();
        let issuer_params = issuer.params();
        let signer = Holder {
            secret: self
                .forged_by
                .clone()
                .unwrap_or_else(|| issuer.holder.secret.clone()),
            ..issuer.holder.clone()
        };
        let issuer = Issuer::from_params(&issuer_params, &signer);
        Ok(params.signed_by(&self.holder, &issuer)?.der().to_vec())
    }

    pub(super) fn params(&self) -> CertificateParams {
        let day = |(year, month, day)| date_time_ymd(year, month, day);
        let mut params = CertificateParams::default();
        params.distinguished_name = self.subject.clone();
        params.not_before = day(self.since);
        params.not_after = day(self.until) - std::time::Duration::from_secs(1);
        params.serial_number = Some(SerialNumber::from(self.serial.to_vec()));
        params.key_identifier_method = KeyIdMethod::PreSpecified(self.holder.key_identifier());
        params.use_authority_key_identifier_extension = true;
        // The others are written out, for their order and what is critical of them.
        params.is_ca = IsCa::NoCa;
        params.custom_extensions = self.extensions();
        params
    }

    fn extensions(&self) -> Vec<CustomExtension> {
        const SUBJECT_KEY: &[u64] = &[2, 5, 29, 14];
        const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
        const CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
        const DISTRIBUTION_POINTS: &[u64] = &[2, 5, 29, 31];
        const EXTENDED_USAGE: &[u64] = &[2, 5, 29, 37];
        let plain = |oid: &[u64], content| CustomExtension::from_oid_content(oid, content);
        let critical = |oid: &[u64], content| {
            let mut extension = CustomExtension::from_oid_content(oid, content);
            extension.set_criticality(true);
            extension
        };
        let mut all = Vec::new();
        if self.authority {
            let identifier = der::tlv(der::OCTET_STRING, &self.holder.key_identifier());
            all.push(plain(SUBJECT_KEY, identifier));
            let authority = der::tlv(der::BOOLEAN, &[0xff]);
            all.push(critical(CONSTRAINTS, der::sequence(&[authority])));
            // keyCertSign and cRLSign.
            all.push(critical(KEY_USAGE, der::tlv(der::BIT_STRING, &[1, 0x06])));
        } else {
            all.push(critical(CONSTRAINTS, der::sequence(&[])));
            // digitalSignature and keyEncipherment.
            all.push(critical(KEY_USAGE, der::tlv(der::BIT_STRING, &[5, 0xa0])));
        }
        if self.server {
            let server = der::tlv(der::OID, &[0x2b, 6, 1, 5, 5, 7, 3, 1]);
            all.push(critical(EXTENDED_USAGE, der::sequence(&[server])));
        }
        if let Some(name) = &self.dns_name {
            const ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];
            let name = der::tlv(0x82, name.as_bytes());
            all.push(plain(ALTERNATIVE_NAME, der::sequence(&[name])));
        }
        if let Some((uri, issuer)) = &self.list {
            let mut point = vec![der::tlv(
                0xa0,
                &der::tlv(0xa0, &der::tlv(0x86, uri.as_bytes())),
            )];
            if let Some(issuer) = issuer {
                point.push(der::tlv(0xa2, &der::tlv(0xa4, &der::name(issuer))));
            }
            let points = der::sequence(&[der::sequence(&point)]);
            all.push(plain(DISTRIBUTION_POINTS, points));
        }
        all
    }
}

/// Sixteen octets, positive and not zero.
pub(super) fn serial(seed: Seed, name: &str) -> [u8; 16] {
    let mut serial: [u8; 16] = seed.bytes(&format!("on-die serial of {name}"), 0);
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

/// Whoever has a key: an authority or the device's TLS server.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) secret: SecretKey,
    /// Uncompressed point.
    pub(super) public: Vec<u8>,
    pub(super) pkcs8: Vec<u8>,
    pub(super) algorithm: &'static SignatureAlgorithm,
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Holder").finish_non_exhaustive()
    }
}

impl Holder {
    pub(super) fn new(seed: Seed, name: &str) -> Result<Self, AuthorityError> {
        // A number beyond the order of the curve is no key. One draw in 2^190 is.
        let secret = (0..8).find_map(|turn| {
            let purpose = format!("on-die key of {name}");
            SecretKey::from_slice(&seed.bytes::<48>(&purpose, turn)).ok()
        });
        let secret = secret.ok_or_else(|| AuthorityError::Key("no key was drawn".to_owned()))?;
        let pkcs8 = secret.to_pkcs8_der();
        let pkcs8 = pkcs8.map_err(|error| AuthorityError::Key(error.to_string()))?;
        let point = secret.public_key().to_encoded_point(false);
        Ok(Self {
            public: point.as_bytes().to_vec(),
            pkcs8: pkcs8.as_bytes().to_vec(),
            secret,
            algorithm: &rcgen::PKCS_ECDSA_P384_SHA384,
        })
    }

    pub(super) fn key_identifier(&self) -> Vec<u8> {
        Sha256::digest(&self.public)[..20].to_vec()
    }
}

impl PublicKeyData for Holder {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for Holder {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        sign(&self.secret, message).ok_or(rcgen::Error::RemoteKeyError)
    }
}

/// ECDSA over SHA-384, as DER.
pub(super) fn sign(secret: &SecretKey, message: &[u8]) -> Option<Vec<u8>> {
    let signer = p384::ecdsa::SigningKey::from(secret);
    let signed: p384::ecdsa::Signature = signer.try_sign(message).ok()?;
    Some(signed.to_der().as_bytes().to_vec())
}

/// Signs with a key in PKCS#8: what a leaf vouches for. `None` for a key of another kind.
pub(crate) fn sign_with(pkcs8: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    use p384::pkcs8::DecodePrivateKey as _;
    sign(&SecretKey::from_pkcs8_der(pkcs8).ok()?, message)
}

#[cfg(test)]
#[path = "odca_tests.rs"]
mod tests;
