//! What a peer offered in its first message, when that was not enough to agree on anything.
//!
//! ```text
//!   record:  22, version (2), length (2)
//!   message: 1, length (3), version (2), random (32), session id (1 + n), suites (2 + 2n), compression (1 + n),
//!            extensions (2 + n): type (2), length (2), content; type 43 lists versions (1 + 2n)
//! ```
//! Source: RFC 5246 section 7.4.1.2, RFC 8446 section 4.1.2.

/// A ClientHello, as far as versions and cipher suites go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// The highest version: 0x0303 is TLS 1.2.
    pub(super) version: u16,
    /// Cipher suites by number, without those that are only signals.
    pub(super) suites: Vec<u16>,
}

impl Offer {
    /// Bytes of a first message that are worth keeping: more than any known client sends.
    pub(super) const LONGEST: usize = 4096;

    /// Reads the beginning of what a peer sent; `None` when it is no ClientHello, or not all of it.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        const HANDSHAKE: u8 = 22;
        const CLIENT_HELLO: u8 = 1;
        const SUPPORTED_VERSIONS: u16 = 43;
        let mut record = Reader(bytes);
        if record.byte()? != HANDSHAKE {
            return None;
        }
        record.number()?;
        let length = record.number()?;
        let mut hello = Reader(record.bytes(usize::from(length))?);
        if hello.byte()? != CLIENT_HELLO {
            return None;
        }
        hello.bytes(3)?;
        let mut version = hello.number()?;
        hello.bytes(32)?;
        let session = hello.byte()?;
        hello.bytes(usize::from(session))?;
        let suites = hello.number()?;
        let mut list = Reader(hello.bytes(usize::from(suites))?);
        let mut suites = Vec::new();
        while let Some(suite) = list.number() {
            if !is_signal(suite) {
                suites.push(suite);
            }
        }
        let methods = hello.byte()?;
        hello.bytes(usize::from(methods))?;
        // Extensions are optional.
        hello.number();
        while let (Some(kind), Some(length)) = (hello.number(), hello.number()) {
            let Some(content) = hello.bytes(usize::from(length)) else {
                break;
            };
            if kind == SUPPORTED_VERSIONS {
                let mut list = Reader(content.get(1..).unwrap_or_default());
                while let Some(offered) = list.number() {
                    if !is_signal(offered) {
                        version = version.max(offered);
                    }
                }
            }
        }
        Some(Self { version, suites })
    }

    /// Nothing but suites whose key exchange is encryption under the server's RSA key.
    pub(super) fn is_static_rsa_only(&self) -> bool {
        !self.suites.is_empty() && self.suites.iter().all(|suite| static_rsa(*suite).is_some())
    }

    /// The suites as people know them; numbers of those without a name here.
    pub(super) fn names(&self) -> String {
        let names = self.suites.iter().map(|suite| {
            static_rsa(*suite).map_or_else(|| format!("0x{suite:04x}"), str::to_owned)
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

/// Values that only test a peer (RFC 8701), and the two that signal something (RFC 5746, RFC 7507).
const fn is_signal(value: u16) -> bool {
    matches!(value, 0x00ff | 0x5600) || (value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff)
}

/// Name of a suite that exchanges keys by static RSA.
const fn static_rsa(suite: u16) -> Option<&'static str> {
    Some(match suite {
        0x0001 => "TLS_RSA_WITH_NULL_MD5",
        0x0002 => "TLS_RSA_WITH_NULL_SHA",
        0x0004 => "TLS_RSA_WITH_RC4_128_MD5",
        0x0005 => "TLS_RSA_WITH_RC4_128_SHA",
        0x0009 => "TLS_RSA_WITH_DES_CBC_SHA",
        0x000a => "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        0x002f => "TLS_RSA_WITH_AES_128_CBC_SHA",
        0x0035 => "TLS_RSA_WITH_AES_256_CBC_SHA",
        0x003b => "TLS_RSA_WITH_NULL_SHA256",
        0x003c => "TLS_RSA_WITH_AES_128_CBC_SHA256",
        0x003d => "TLS_RSA_WITH_AES_256_CBC_SHA256",
        0x0041 => "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA",
        0x0084 => "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA",
        0x0096 => "TLS_RSA_WITH_SEED_CBC_SHA",
        0x009c => "TLS_RSA_WITH_AES_128_GCM_SHA256",
        0x009d => "TLS_RSA_WITH_AES_256_GCM_SHA384",
        0x00ba => "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA256",
        0x00c0 => "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA256",
        0xc03c => "TLS_RSA_WITH_ARIA_128_CBC_SHA256",
        0xc03d => "TLS_RSA_WITH_ARIA_256_CBC_SHA384",
        0xc050 => "TLS_RSA_WITH_ARIA_128_GCM_SHA256",
        0xc051 => "TLS_RSA_WITH_ARIA_256_GCM_SHA384",
        0xc09c => "TLS_RSA_WITH_AES_128_CCM",
        0xc09d => "TLS_RSA_WITH_AES_256_CCM",
        0xc0a0 => "TLS_RSA_WITH_AES_128_CCM_8",
        0xc0a1 => "TLS_RSA_WITH_AES_256_CCM_8",
        _ => return None,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u16> {
        let bytes = self.bytes(2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Version;
    use crate::tls::testing::{client, spoken};
    use proptest::prelude::*;
    use rstest::rstest;

    /// A ClientHello without extensions.
    pub(super) fn hello(version: u16, suites: &[u16]) -> Vec<u8> {
        let list: Vec<u8> = suites
            .iter()
            .flat_map(|suite| suite.to_be_bytes())
            .collect();
        let mut body = version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.push(0);
        body.extend((list.len() as u16).to_be_bytes());
        body.extend(list);
        body.extend([1, 0]);
        let mut message = vec![1, 0, 0, body.len() as u8];
        message.extend(body);
        let mut record = vec![22, 3, 1, 0, message.len() as u8];
        record.extend(message);
        record
    }

    #[rstest]
    #[case(&[0x0035, 0x002f, 0x00ff], true, "TLS_RSA_WITH_AES_256_CBC_SHA, TLS_RSA_WITH_AES_128_CBC_SHA")]
    #[case(&[0x0035, 0xc02f], false, "TLS_RSA_WITH_AES_256_CBC_SHA, 0xc02f")]
    #[case(&[0x00ff, 0x5600, 0x0a0a], false, "")]
    fn offered(#[case] suites: &[u16], #[case] only: bool, #[case] names: &str) {
        let offer = Offer::read(&hello(0x0303, suites)).unwrap();
        assert_eq!((offer.version, offer.is_static_rsa_only()), (0x0303, only));
        assert_eq!(offer.names(), names);
    }

    #[test]
    fn a_real_one_names_its_versions() {
        let offer = |version| Offer::read(&spoken(&mut client(version, false))).unwrap();
        assert_eq!(offer(Version::Tls13).version, 0x0304);
        assert_eq!(offer(Version::Tls12).version, 0x0303);
        assert!(!offer(Version::Tls12).is_static_rsa_only());
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..80) {
            Offer::read(&bytes);
            let whole = hello(0x0303, &[0x0035]);
            Offer::read(whole.get(..cut).unwrap_or(&whole));
        }
    }
}
