//! The revocation lists of on-die authorities: what the addresses in the certificates would give.
//!
//! ```text
//!   OnDie_CA.crl                    by the root, of intermediate authorities
//!   ODCA_CA2_CSME_Product.crl       by the intermediate authority, of issuing authorities
//!   LNL_00003648_OnDie_CA.crl       by the issuing authority, of ROM authorities
//!   ODCA_CA2_CSME_Indirect.crl      by the intermediate authority, in the names of those below: of kernel and AMT
//!                                   authorities and leaves
//! ```
//! Of each kind one certificate is revoked, whose number is the same for all devices: those that the laboratory of
//! wrong chains shows under `revoked-…`.
//!
//! Source: intel-ek-dechainer (which list is whose); RFC 5280, section 5 (the form).

use std::collections::BTreeSet;

use super::AuthorityError;
use super::odca::{Holder, Link, links, project, sign};
use super::odca_der as der;
use super::odca_names::{Names, Place, Purpose};
use super::odca_wrong::revoked_serial;
use crate::device::Profile;

/// One list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// The address that certificates give.
    pub address: String,
    pub der: Vec<u8>,
}

impl RevocationList {
    /// Where it lies on the server that the address names.
    pub fn path(&self) -> &str {
        let (_, rest) = self.address.split_once("://").unwrap_or_default();
        rest.find('/').map_or("/", |at| &rest[at..])
    }

    /// The last part of the address.
    pub fn file(&self) -> &str {
        self.address.rsplit('/').next().unwrap_or_default()
    }
}

/// Devices whose chains share names and authorities down to the one that issued their ROM authorities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// Such as `LNL`.
    pub family: String,
    /// AMT version.
    pub amt: u16,
}

impl Platform {
    /// None where the firmware has no on-die authority.
    pub fn of(profile: &Profile) -> Option<Self> {
        profile.capabilities.on_die_ca.then(|| Self {
            family: profile.platform.family.clone(),
            amt: profile.firmware.parts()[0],
        })
    }

    /// Those of the profiles that come with the device.
    pub fn known() -> BTreeSet<Self> {
        let profiles = fixtures::PROFILES.iter();
        let profiles = profiles.filter_map(|file| Profile::builtin(file.name).ok());
        profiles.filter_map(|profile| Self::of(&profile)).collect()
    }
}

/// A right list, and wrong ones for whoever verifies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListForm {
    Right,
    /// The next one was due a day after this one.
    Outdated,
    /// Somebody else signed it in the issuer's name.
    Forged,
}

/// The lists that chains of these platforms refer to. What two of them have at one address is one list.
pub fn revocation_lists<'a>(
    platforms: impl IntoIterator<Item = &'a Platform>,
    form: ListForm,
) -> Result<Vec<RevocationList>, AuthorityError> {
    let mut lists: Vec<Draft> = Vec::new();
    for platform in platforms {
        for draft in drafts(platform)? {
            match lists.iter_mut().find(|list| list.address == draft.address) {
                Some(list) => list.add(draft.entries),
                None => lists.push(draft),
            }
        }
    }
    let made = lists.into_iter().map(|list| {
        Ok(RevocationList {
            der: list.sign(form)?,
            address: list.address,
        })
    });
    made.collect()
}

/// The four lists of one platform.
fn drafts(platform: &Platform) -> Result<Vec<Draft>, AuthorityError> {
    let names = Names::of(&platform.family, platform.amt);
    // Issuers down to the issuing authority are the same for all devices.
    let shared = links(project(), &names, Purpose::Rcfg)?;
    let by = |place| {
        let at = Place::ALL.iter().position(|known| *known == place);
        at.and_then(|at| shared.get(at))
    };
    let plan = [
        (Place::Root, &[Place::Intermediate][..]),
        (Place::Intermediate, &[Place::Issuing]),
        (Place::Issuing, &[Place::Rom]),
        (
            Place::Intermediate,
            &[Place::Kernel, Place::Amt, Place::Leaf],
        ),
    ];
    let mut drafts = Vec::new();
    for (issuer, revoked) in plan {
        let address = revoked
            .first()
            .and_then(|place| names.revocation_list(*place));
        if let (Some(issuer), Some(address)) = (by(issuer), address) {
            let indirect = revoked.iter().any(|place| place.is_revoked_indirectly());
            let entries = revoked.iter().map(|place| entry(*place, &names, indirect));
            drafts.push(Draft {
                address,
                issuer: issuer.clone(),
                indirect,
                entries: entries.collect(),
            });
        }
    }
    Ok(drafts)
}

/// A list before it is signed.
struct Draft {
    address: String,
    issuer: Link,
    indirect: bool,
    /// DER, one a certificate.
    entries: Vec<Vec<u8>>,
}

impl Draft {
    fn add(&mut self, entries: Vec<Vec<u8>>) {
        for entry in entries {
            if !self.entries.contains(&entry) {
                self.entries.push(entry);
            }
        }
    }

    fn sign(&self, form: ListForm) -> Result<Vec<u8>, AuthorityError> {
        const AUTHORITY_KEY: u8 = 35;
        const NUMBER: u8 = 20;
        const ISSUING_POINT: u8 = 28;
        // ecdsa-with-SHA384.
        let algorithm =
            der::sequence(&[der::tlv(der::OID, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3])]);
        let holder = &self.issuer.holder;
        let key = der::sequence(&[der::tlv(0x80, &holder.key_identifier())]);
        let mut point = vec![der::tlv(
            0xa0,
            &der::tlv(0xa0, &der::tlv(0x86, self.address.as_bytes())),
        )];
        if self.indirect {
            point.push(der::tlv(0x84, &[0xff]));
        }
        let extensions = der::sequence(&[
            der::extension(AUTHORITY_KEY, false, &key),
            der::extension(NUMBER, false, &der::integer(&[1])),
            der::extension(ISSUING_POINT, true, &der::sequence(&point)),
        ]);
        let list = der::sequence(&[
            // Version 2 is written as 1.
            der::integer(&[1]),
            algorithm.clone(),
            der::name(&self.issuer.subject),
            time("251001000000Z"),
            time(match form {
                ListForm::Outdated => "251002000000Z",
                _ => "491231235959Z",
            }),
            der::sequence(&self.entries),
            der::tlv(0xa0, &extensions),
        ]);
        let signature = match form {
            ListForm::Forged => sign(&Holder::new(project(), "forger of lists")?.secret, &list),
            _ => sign(&holder.secret, &list),
        };
        let signature = signature
            .ok_or_else(|| AuthorityError::Key("a revocation list cannot be signed".to_owned()))?;
        let signature = der::tlv(der::BIT_STRING, &[&[0][..], &signature].concat());
        Ok(der::sequence(&[list, algorithm, signature]))
    }
}

/// One certificate that is revoked. On an indirect list each says whose it was.
fn entry(place: Place, names: &Names, indirect: bool) -> Vec<u8> {
    const CERTIFICATE_ISSUER: u8 = 29;
    let mut parts = vec![der::integer(&revoked_serial(place)), time("250901000000Z")];
    if indirect {
        let issuer = names.subject(place.above(), Purpose::Rcfg);
        let issuer = der::sequence(&[der::tlv(0xa4, &der::name(&issuer))]);
        parts.push(der::sequence(&[der::extension(
            CERTIFICATE_ISSUER,
            true,
            &issuer,
        )]));
    }
    der::sequence(&parts)
}

fn time(text: &str) -> Vec<u8> {
    const UTC_TIME: u8 = 0x17;
    der::tlv(UTC_TIME, text.as_bytes())
}

#[cfg(test)]
#[path = "odca_crl_tests.rs"]
mod tests;
