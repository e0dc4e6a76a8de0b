//! The root above every on-die chain, in any wanted length.
//!
//! A program that has another root compiled in can only be given ours where both have the same number of bytes
//! (`host::inject`). Key, names and validity are always the same, so that every length is a root of the same chains.
//! What varies is a comment (Netscape's, 2.16.840.1.113730.1.13, an IA5String), the serial, and through its last four
//! bytes the signature, which DER writes in 101 to 104 bytes as its two numbers fall.
//!
//! Nothing is drawn: the same length gives the same bytes.

use std::sync::OnceLock;

use rcgen::{CustomExtension, Issuer, SerialNumber};

use super::AuthorityError;
use super::odca::{Link, project};
use super::odca_der as der;
use super::odca_names::{Names, Place, Purpose};

/// Bytes of the root that rpc-go and others have compiled in, and so of ours.
const LENGTH: usize = 702;

/// Bytes of a serial. Twenty are the most that RFC 5280 allows.
const SERIAL: std::ops::RangeInclusive<usize> = 9..=20;

/// Each fits with a chance of one in two to one in four.
const SIGNATURES: u32 = 24;

/// The root that devices have.
pub(super) fn usual() -> Result<Vec<u8>, AuthorityError> {
    of_length(LENGTH)
}

/// The same root with this many bytes of DER. Any length from that of a root with a short comment on can be had.
pub(crate) fn of_length(length: usize) -> Result<Vec<u8>, AuthorityError> {
    static USUAL: OnceLock<Vec<u8>> = OnceLock::new();
    if length != LENGTH {
        return search(length);
    }
    if let Some(made) = USUAL.get() {
        return Ok(made.clone());
    }
    let made = search(length)?;
    Ok(USUAL.get_or_init(|| made).clone())
}

fn search(length: usize) -> Result<Vec<u8>, AuthorityError> {
    // Of the names in a chain, the root's is the same on all platforms.
    let root = Link::new(project(), &Names::of("", 0), Place::Root, Purpose::Rcfg)?;
    for serial in SERIAL.rev() {
        for comment in [None, fitting(&root, serial, length)?] {
            for counter in 0..SIGNATURES {
                let made = make(&root, serial, counter, comment)?;
                if made.len() == length {
                    return Ok(made);
                }
                // A signature varies by three bytes.
                if made.len().abs_diff(length) > 3 {
                    break;
                }
            }
        }
    }
    Err(AuthorityError::RootLength(length))
}

/// About how long the comment must be.
fn fitting(root: &Link, serial: usize, length: usize) -> Result<Option<usize>, AuthorityError> {
    let mut comment = 1;
    // The second and third time correct for headers that became longer.
    for _ in 0..3 {
        let made = make(root, serial, 0, Some(comment))?.len();
        match (comment + length).checked_sub(made) {
            Some(wanted @ 1..) => comment = wanted,
            _ => return Ok(None),
        }
    }
    Ok(Some(comment))
}

fn make(
    root: &Link,
    serial: usize,
    counter: u32,
    comment: Option<usize>,
) -> Result<Vec<u8>, AuthorityError> {
    const IA5_STRING: u8 = 0x16;
    const COMMENT: &[u64] = &[2, 16, 840, 1, 113_730, 1, 13];
    const TEXT: &str = "This root belongs to the software device amt-sim. Its key is public: trust it in tests only. ";
    let mut params = root.params();
    let mut number = root.serial.to_vec();
    number.truncate(serial - 4);
    number.extend(counter.to_be_bytes());
    params.serial_number = Some(SerialNumber::from(number));
    if let Some(length) = comment {
        let text: Vec<u8> = TEXT.bytes().cycle().take(length).collect();
        let content = der::tlv(IA5_STRING, &text);
        let extension = CustomExtension::from_oid_content(COMMENT, content);
        params.custom_extensions.push(extension);
    }
    let own = root.params();
    let issuer = Issuer::from_params(&own, &root.holder);
    Ok(params.signed_by(&root.holder, &issuer)?.der().to_vec())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use x509_parser::prelude::*;

    use super::*;
    use crate::device::Seed;
    use crate::pki::OnDieChain;

    #[test]
    fn devices_have_a_root_of_the_usual_length() {
        let chain = OnDieChain::for_device(Seed(3), "LNL", 20).unwrap();
        assert_eq!(chain.root().len(), LENGTH);
        assert_eq!(chain.root(), of_length(LENGTH).unwrap());
    }

    /// Also around the lengths at which a length's own header grows.
    #[rstest]
    fn every_length_is_a_root_of_the_same_chain(
        #[values(
            690, 701, 703, 740, 743, 744, 745, 746, 747, 871, 872, 873, 874, 1024, 1500
        )]
        length: usize,
    ) {
        let made = of_length(length).unwrap();
        assert_eq!(made.len(), length);
        let (rest, root) = X509Certificate::from_der(&made).unwrap();
        assert!(rest.is_empty());
        assert_eq!(root.subject().as_raw(), root.issuer().as_raw());
        let usual = usual().unwrap();
        let (_, usual) = X509Certificate::from_der(&usual).unwrap();
        assert_eq!(root.public_key(), usual.public_key());
        assert_eq!(root.subject().as_raw(), usual.subject().as_raw());
        assert!(root.raw_serial().len() <= 20);
        let constraints = root.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
    }

    #[test]
    fn what_is_too_short_for_a_root_is_refused() {
        assert!(matches!(
            of_length(300),
            Err(AuthorityError::RootLength(300))
        ));
    }
}
