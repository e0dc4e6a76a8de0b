//! The little DER that on-die certificates and revocation lists need beyond their makers: tag, length, content.

use rcgen::{DistinguishedName, DnType};

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
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
    tlv(SEQUENCE, &parts.concat())
}

/// A positive number, most significant octet first.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let high_bit = bytes.first().is_none_or(|byte| byte & 0x80 != 0);
    let content = match high_bit {
        true => [&[0], bytes].concat(),
        false => bytes.to_vec(),
    };
    tlv(INTEGER, &content)
}

/// A name as the certificate maker writes it.
pub(super) fn name(name: &DistinguishedName) -> Vec<u8> {
    let parts: Vec<_> = name
        .iter()
        .map(|(kind, value)| {
            let number = match kind {
                DnType::CountryName => 6,
                DnType::OrganizationName => 10,
                DnType::OrganizationalUnitName => 11,
                _ => 3,
            };
            let text = match value {
                rcgen::DnValue::Utf8String(text) => text.as_bytes(),
                // No name of ours has other text.
                _ => &[],
            };
            let pair = sequence(&[tlv(OID, &[0x55, 4, number]), tlv(UTF8_STRING, text)]);
            tlv(SET, &pair)
        })
        .collect();
    sequence(&parts)
}

/// An extension: an identifier below `id-ce` (2.5.29), whether it is critical, and what it says.
pub(super) fn extension(number: u8, critical: bool, content: &[u8]) -> Vec<u8> {
    let mut parts = vec![tlv(OID, &[0x55, 0x1d, number])];
    if critical {
        parts.push(tlv(BOOLEAN, &[0xff]));
    }
    parts.push(tlv(OCTET_STRING, content));
    sequence(&parts)
}
