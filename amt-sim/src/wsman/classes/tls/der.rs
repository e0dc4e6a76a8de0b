//! What the certificate store shows of a certificate, and a certification request signed again.
//!
//! Requests come with an empty signature (`NullSignedCertificateRequest`) or none, so they are taken apart here:
//!
//! ```text
//! element      tag u8, length (short, or 0x81..0x84 and that many bytes), content
//! request      SEQUENCE { CertificationRequestInfo, algorithm, BIT STRING }
//! info         SEQUENCE { version, subject, SubjectPublicKeyInfo, [0] attributes }
//! ```
//! Source: ITU-T X.690; RFC 2986 section 4.

use x509_parser::asn1_rs::{Oid, Tag};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate, X509Name};

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// One element and where it ends.
#[derive(Debug, Clone, Copy)]
struct Tlv<'a> {
    tag: u8,
    content: &'a [u8],
    /// Tag, length and content.
    whole: &'a [u8],
}

/// Elements one behind the other.
#[derive(Debug, Clone)]
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn next(&mut self) -> Option<Tlv<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes
                    .iter()
                    .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (content, left) = rest.split_at_checked(length)?;
        let (whole, _) = self.0.split_at_checked(self.0.len() - left.len())?;
        self.0 = left;
        Some(Tlv {
            tag,
            content,
            whole,
        })
    }

    fn expect(&mut self, tag: u8) -> Option<Tlv<'a>> {
        self.next().filter(|element| element.tag == tag)
    }
}

/// What the store shows of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// Content of the key's BIT STRING: PKCS#1 RSAPublicKey for RSA.
    pub(super) public_key: Vec<u8>,
}

/// `None`: these bytes are no certificate, or something follows it.
pub(super) fn certificate(der: &[u8]) -> Option<Certificate> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    let key = &certificate.public_key().subject_public_key;
    (rest.is_empty() && key.unused_bits == 0).then(|| Certificate {
        issuer: name(certificate.issuer()),
        subject: name(certificate.subject()),
        public_key: key.data.to_vec(),
    })
}

/// The bits of a SubjectPublicKeyInfo.
fn public_key(info: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Elements(info);
    parts.expect(SEQUENCE)?;
    let (unused, bits) = parts.expect(BIT_STRING)?.content.split_first()?;
    (*unused == 0).then(|| bits.to_vec())
}

/// A name as clients take it apart: `C=US,O=Example,CN=host`, every part with an equals sign, no blanks between.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter_attributes()
        .map(|part| format!("{}={}", label(part.attr_type()), text(part)))
        .collect();
    parts.join(",")
}

/// What stands in a name: commas would part it, so they are shown as blanks.
fn text(part: &AttributeTypeAndValue<'_>) -> String {
    let value = part.attr_value();
    let text = match value.tag() {
        Tag::BmpString => {
            let units = value.data.chunks_exact(2);
            let units: Vec<u16> = units
                .map(|unit| unit.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte)))
                .collect();
            String::from_utf16_lossy(&units)
        }
        _ => String::from_utf8_lossy(value.data).into_owned(),
    };
    text.replace([',', '='], " ")
}

/// RFC 4514 section 3; other kinds by their identifier.
fn label(kind: &Oid<'_>) -> String {
    match kind.to_id_string().as_str() {
        "2.5.4.3" => "CN".to_owned(),
        "2.5.4.5" => "SERIALNUMBER".to_owned(),
        "2.5.4.6" => "C".to_owned(),
        "2.5.4.7" => "L".to_owned(),
        "2.5.4.8" => "ST".to_owned(),
        "2.5.4.10" => "O".to_owned(),
        "2.5.4.11" => "OU".to_owned(),
        "0.9.2342.19200300.100.1.25" => "DC".to_owned(),
        "1.2.840.113549.1.9.1" => "E".to_owned(),
        other => format!("OID.{other}"),
    }
}

/// The part of a certification request that is signed, and the public key in it.
pub(super) fn request(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut outer = Elements(der);
    let mut parts = Elements(outer.expect(SEQUENCE)?.content);
    let info = parts.expect(SEQUENCE)?;
    let mut body = Elements(info.content);
    body.next()?;
    body.expect(SEQUENCE)?;
    let key = public_key(body.expect(SEQUENCE)?.content)?;
    Some((info.whole.to_vec(), key))
}

/// The request again, with a signature. `algorithm` is the content of its object identifier.
pub(super) fn signed_request(info: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    const NULL: [u8; 2] = [0x05, 0x00];
    let identifier = [element(OBJECT_IDENTIFIER, algorithm), NULL.to_vec()].concat();
    let bits = [&[0_u8], signature].concat();
    let content = [
        info.to_vec(),
        element(SEQUENCE, &identifier),
        element(BIT_STRING, &bits),
    ]
    .concat();
    element(SEQUENCE, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => out.push(short),
        Ok(one) => out.extend([0x81, one]),
        Err(_) => {
            let bytes = length.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let bytes = bytes.get(zeros..).unwrap_or_default();
            out.push(0x80 | bytes.len() as u8);
            out.extend(bytes);
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::ProvisioningIdentity;
    use proptest::prelude::*;

    #[test]
    fn a_certificate_shows_its_names() {
        let identity = ProvisioningIdentity::for_name("setup.corp.example").unwrap();
        let leaf = certificate(&identity.chain[0]).unwrap();
        assert_eq!(
            leaf.subject,
            "C=US,O=amt-sim,OU=Intel(R) Client Setup Certificate,CN=setup.corp.example"
        );
        assert_eq!(
            leaf.issuer,
            "C=US,O=amt-sim,CN=amt-sim Provisioning Issuing CA"
        );
        assert_eq!(leaf.public_key.len(), 270);
        let mut longer = identity.chain[0].clone();
        longer.push(0);
        assert_eq!(certificate(&longer), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = certificate(&bytes);
            let _ = request(&bytes);
        }

        #[test]
        fn lengths_read_back(content in prop::collection::vec(any::<u8>(), 0..700)) {
            let der = element(SEQUENCE, &content);
            let mut elements = Elements(&der);
            prop_assert_eq!(elements.expect(SEQUENCE).unwrap().content, content.as_slice());
            prop_assert!(elements.0.is_empty());
        }
    }
}
