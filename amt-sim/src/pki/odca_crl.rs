//! The revocation lists of on-die authorities: what the addresses in the certificates would give.
//!
//! ```text
//!   OnDie_CA.crl                    by the root, of intermediate authorities
//!   OnDie_CA_CSME_Product.crl       by the intermediate authority, of issuing authorities
//!   LNL_00003648_OnDie_CA.crl       by the issuing authority, of ROM authorities
//!   ODCA_CA2_CSME_Indirect.crl      by the intermediate authority, in the names of those below: of kernel and AMT
//!                                   authorities and leaves
//! ```
//! Of each kind one certificate is revoked, whose number is the same for all devices: those that the laboratory of
//! wrong chains shows under `revoked-…`.
//!
//! Source: intel-ek-dechainer (which list is whose); RFC 5280, section 5 (the form).

use super::AuthorityError;
use super::odca::{Link, links, project, sign};
use super::odca_der as der;
use super::odca_names::{Names, Place, Purpose};
use super::odca_wrong::revoked_serial;

/// One list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// The file's name in the address that certificates give.
    pub file: String,
    pub der: Vec<u8>,
}

/// The lists that a chain of this platform refers to.
pub fn revocation_lists(family: &str, amt: u16) -> Result<Vec<RevocationList>, AuthorityError> {
    let names = Names::of(family, amt);
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
    let mut lists = Vec::new();
    for (issuer, revoked) in plan {
        let uri = revoked
            .first()
            .and_then(|place| names.revocation_list(*place));
        if let (Some(issuer), Some(uri)) = (by(issuer), uri) {
            let file = uri.rsplit('/').next().unwrap_or_default().to_owned();
            lists.push(RevocationList {
                der: list(issuer, &uri, revoked, &names)?,
                file,
            });
        }
    }
    Ok(lists)
}

fn list(
    issuer: &Link,
    uri: &str,
    revoked: &[Place],
    names: &Names,
) -> Result<Vec<u8>, AuthorityError> {
    const AUTHORITY_KEY: u8 = 35;
    const NUMBER: u8 = 20;
    const ISSUING_POINT: u8 = 28;
    let indirect = revoked.iter().any(|place| place.is_revoked_indirectly());
    // ecdsa-with-SHA384.
    let algorithm = der::sequence(&[der::tlv(der::OID, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3])]);
    let entries: Vec<Vec<u8>> = revoked
        .iter()
        .map(|place| entry(*place, names, indirect))
        .collect();
    let key = der::sequence(&[der::tlv(0x80, &issuer.holder.key_identifier())]);
    let mut point = vec![der::tlv(
        0xa0,
        &der::tlv(0xa0, &der::tlv(0x86, uri.as_bytes())),
    )];
    if indirect {
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
        der::name(&issuer.subject),
        time("251001000000Z"),
        time("491231235959Z"),
        der::sequence(&entries),
        der::tlv(0xa0, &extensions),
    ]);
    let signature = sign(&issuer.holder.secret, &list)
        .ok_or_else(|| AuthorityError::Key("a revocation list cannot be signed".to_owned()))?;
    let signature = der::tlv(der::BIT_STRING, &[&[0][..], &signature].concat());
    Ok(der::sequence(&[list, algorithm, signature]))
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
