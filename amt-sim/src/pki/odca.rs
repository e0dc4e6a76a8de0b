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

use p384::SecretKey;
use p384::ecdsa::signature::Signer as _;
use p384::elliptic_curve::sec1::ToEncodedPoint as _;
use p384::pkcs8::EncodePrivateKey as _;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyIdMethod,
    PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use sha2::{Digest as _, Sha256};

use super::odca_names::{Names, Place};
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

    /// The chain of the device with this seed, on a platform such as `LNL`, for firmware of this AMT version.
    pub fn for_device(seed: Seed, family: &str, amt: u16) -> Result<Self, AuthorityError> {
        let names = Names::of(family, amt);
        let mut issuer = Holder::new(project(), Place::Root)?;
        let mut certificates = vec![odca_root::usual()?];
        for place in Place::BELOW_ROOT {
            let drawn_from = if place.is_shared() { project() } else { seed };
            let holder = Holder::new(drawn_from, place)?;
            certificates.push(holder.certify(&names, &issuer)?);
            issuer = holder;
        }
        certificates.reverse();
        // The loop ends with the leaf.
        let key = issuer.secret.to_pkcs8_der();
        let key = key.map_err(|error| AuthorityError::Key(error.to_string()))?;
        Ok(Self {
            certificates,
            key: key.as_bytes().to_vec(),
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
        let rom = self.certificates.get(Self::ROM);
        let hash = Sha256::digest(rom.map_or(&[][..], Vec::as_slice));
        let mut id = [0; 32];
        id[..20].copy_from_slice(&hash[..20]);
        id
    }
}

/// What is the same for all devices is drawn from this one number, and as public as it is.
pub(super) const fn project() -> Seed {
    Seed(0)
}

/// Whoever has a key: an authority or the device's TLS server.
pub(super) struct Holder {
    place: Place,
    secret: SecretKey,
    /// Uncompressed point.
    public: Vec<u8>,
    pub(super) serial: [u8; 16],
}

impl Holder {
    pub(super) fn new(seed: Seed, place: Place) -> Result<Self, AuthorityError> {
        // A number beyond the order of the curve is no key. One draw in 2^190 is.
        let secret = (0..8).find_map(|turn| {
            let purpose = format!("on-die key of {place:?}");
            SecretKey::from_slice(&seed.bytes::<48>(&purpose, turn)).ok()
        });
        let secret = secret.ok_or_else(|| AuthorityError::Key("no key was drawn".to_owned()))?;
        let mut serial: [u8; 16] = seed.bytes(&format!("on-die serial of {place:?}"), 0);
        serial[0] = serial[0] & 0x7f | 0x40;
        Ok(Self {
            place,
            public: secret
                .public_key()
                .to_encoded_point(false)
                .as_bytes()
                .to_vec(),
            secret,
            serial,
        })
    }

    /// The certificate that `issuer` gives this one.
    fn certify(&self, names: &Names, issuer: &Self) -> Result<Vec<u8>, AuthorityError> {
        let params = self.params(names);
        let issuer_params = issuer.params(names);
        let issuer = Issuer::from_params(&issuer_params, issuer);
        Ok(params.signed_by(self, &issuer)?.der().to_vec())
    }

    pub(super) fn params(&self, names: &Names) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = names.subject(self.place);
        let (year, month, day) = names.since(self.place);
        params.not_before = date_time_ymd(year, month, day);
        params.not_after = date_time_ymd(2050, 1, 1) - std::time::Duration::from_secs(1);
        params.serial_number = Some(SerialNumber::from(self.serial.to_vec()));
        params.key_identifier_method = KeyIdMethod::PreSpecified(self.key_identifier());
        params.use_authority_key_identifier_extension = true;
        // The others are written out, for their order and what is critical of them.
        params.is_ca = IsCa::NoCa;
        params.custom_extensions = self.extensions(names);
        params
    }

    fn key_identifier(&self) -> Vec<u8> {
        Sha256::digest(&self.public)[..20].to_vec()
    }

    fn extensions(&self, names: &Names) -> Vec<CustomExtension> {
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
        if self.place == Place::Leaf {
            all.push(critical(CONSTRAINTS, der::sequence(&[])));
            // digitalSignature and keyEncipherment.
            all.push(critical(KEY_USAGE, der::tlv(0x03, &[5, 0xa0])));
            let server = der::tlv(0x06, &[0x2b, 6, 1, 5, 5, 7, 3, 1]);
            all.push(critical(EXTENDED_USAGE, der::sequence(&[server])));
        } else {
            all.push(plain(SUBJECT_KEY, der::tlv(0x04, &self.key_identifier())));
            let authority = der::tlv(0x01, &[0xff]);
            all.push(critical(CONSTRAINTS, der::sequence(&[authority])));
            // keyCertSign and cRLSign.
            all.push(critical(KEY_USAGE, der::tlv(0x03, &[1, 0x06])));
        }
        if let Some(uri) = names.revocation_list(self.place) {
            let uri = der::tlv(0x86, uri.as_bytes());
            let name = der::tlv(0xa0, &der::tlv(0xa0, &uri));
            let mut point = vec![name];
            if self.place.is_revoked_indirectly() {
                let issuer = der::name(&names.subject(Place::Intermediate));
                point.push(der::tlv(0xa2, &der::tlv(0xa4, &issuer)));
            }
            let points = der::sequence(&[der::sequence(&point)]);
            all.push(plain(DISTRIBUTION_POINTS, points));
        }
        all
    }
}

impl PublicKeyData for Holder {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P384_SHA384
    }
}

impl SigningKey for Holder {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signer = p384::ecdsa::SigningKey::from(&self.secret);
        let signed: Result<p384::ecdsa::Signature, _> = signer.try_sign(message);
        match signed {
            Ok(signature) => Ok(signature.to_der().as_bytes().to_vec()),
            Err(_) => Err(rcgen::Error::RemoteKeyError),
        }
    }
}

/// The little DER that goes into extensions: tag, length, content.
pub(super) mod der {
    use super::{DistinguishedName, DnType};

    pub(in super::super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        match u8::try_from(content.len()) {
            Ok(short @ ..0x80) => out.push(short),
            Ok(long) => out.extend([0x81, long]),
            // Nothing here comes near 64 KiB.
            Err(_) => {
                out.push(0x82);
                out.extend((content.len() as u16).to_be_bytes());
            }
        }
        out.extend(content);
        out
    }

    pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
        tlv(0x30, &parts.concat())
    }

    /// A name of common names and units, as the certificate maker writes it.
    pub(super) fn name(name: &DistinguishedName) -> Vec<u8> {
        let parts: Vec<_> = name
            .iter()
            .map(|(kind, value)| {
                let number = match kind {
                    DnType::OrganizationalUnitName => 11,
                    _ => 3,
                };
                let text = match value {
                    rcgen::DnValue::Utf8String(text) => text.as_bytes(),
                    _ => &[],
                };
                let pair = sequence(&[tlv(0x06, &[0x55, 4, number]), tlv(0x0c, text)]);
                tlv(0x31, &pair)
            })
            .collect();
        sequence(&parts)
    }
}

#[cfg(test)]
#[path = "odca_tests.rs"]
mod tests;
