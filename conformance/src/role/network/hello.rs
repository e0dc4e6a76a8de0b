//! The Hello message as an SCA reads it: from a stream that may bring it in any pieces, from anybody who can reach
//! the SCA's port.
//!
//! ```text
//! 0   u16       administrator's credentials are set: 0 or 1
//! 2   u16       version: 3, set-up by certificates
//! 4   u32       how many Hello messages came before: 0 to 14
//! 8   u8[16]    SMBIOS UUID, its first three groups little-endian
//! 24  u8        number of root hashes, up to 33
//! 25  for each: u8 algorithm (1 SHA-1, 2 SHA-256, 3 SHA-384), u8 length, u8[length] digest
//! ```
//! Everything is little-endian; the message ends where the sender ends the connection, and not before. Nothing of it
//! is proven: it says who wants to be set up, not who it is.
//!
//! Source: "Intel AMT Implementation and Reference Guide", page "Setup Mode Hello Messages"; MeshCentral,
//! `amtprovisioningserver.js`, with three messages of real devices. Written apart from the device's own side.

use amt_sim::Guid;

/// One message that is whole and well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub credentials_set: bool,
    pub version: u16,
    /// Messages before this one.
    pub retry: u32,
    pub uuid: Guid,
    pub hashes: Vec<RootHash>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootHash {
    /// 1 SHA-1, 2 SHA-256, 3 SHA-384.
    pub algorithm: u8,
    pub digest: Vec<u8>,
}

/// Why bytes are no Hello message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    #[error("it ends after {0} bytes, within the message")]
    Cut(usize),
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    #[error("{0} bytes follow the message")]
    Trailing(usize),
    #[error("the first field is {0}, neither 0 nor 1")]
    Credentials(u16),
    #[error("its version is {0}; set-up by certificates is version 3")]
    Version(u16),
    #[error("its count is {0}, above 14")]
    Retry(u32),
    #[error("it announces {0} hashes; a device has 33 at most")]
    Count(u8),
    #[error("hash algorithm {0} is not known")]
    Algorithm(u8),
    #[error("a hash of algorithm {algorithm} has {length} bytes")]
    Length { algorithm: u8, length: u8 },
}

/// More than any message has: 25 bytes, and 33 hashes of 50.
pub const LONGEST: usize = 2048;

/// What is in a device's list of hashes at most.
const MOST_HASHES: u8 = 33;

const HEADER: usize = 25;

/// How strictly a message is read. A good SCA forgives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leniency {
    /// Takes versions that it does not know.
    pub any_version: bool,
    /// Takes whatever it can make sense of.
    pub lax: bool,
}

impl Hello {
    /// Reads a whole message, from the first byte to the end of the connection.
    pub fn parse(bytes: &[u8]) -> Result<Self, HelloError> {
        Self::parse_with(bytes, Leniency::default())
    }

    pub fn parse_with(bytes: &[u8], lenient: Leniency) -> Result<Self, HelloError> {
        if bytes.len() > LONGEST && !lenient.lax {
            return Err(HelloError::TooLong);
        }
        let cut = HelloError::Cut(bytes.len());
        let Some((header, mut rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(cut);
        };
        let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let [_, _, _, _, r0, r1, r2, r3, ..] = *header;
        let retry = u32::from_le_bytes([r0, r1, r2, r3]);
        let (credentials, version, count) = (short(0), short(2), header[24]);
        if version != 3 && !lenient.any_version {
            return Err(HelloError::Version(version));
        }
        if credentials > 1 && !lenient.lax {
            return Err(HelloError::Credentials(credentials));
        }
        if retry > 14 && !lenient.lax {
            return Err(HelloError::Retry(retry));
        }
        if count > MOST_HASHES && !lenient.lax {
            return Err(HelloError::Count(count));
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&header[8..24]);
        let mut hashes = Vec::new();
        for _ in 0..count {
            let Some(([algorithm, length], after)) = rest.split_first_chunk::<2>() else {
                if lenient.lax {
                    break;
                }
                return Err(cut);
            };
            let (algorithm, length) = (*algorithm, *length);
            let wanted = match algorithm {
                1 => 20,
                2 => 32,
                3 => 48,
                _ if lenient.lax => length,
                other => return Err(HelloError::Algorithm(other)),
            };
            if length != wanted && !lenient.lax {
                return Err(HelloError::Length { algorithm, length });
            }
            let Some((digest, after)) = after.split_at_checked(length.into()) else {
                if lenient.lax {
                    break;
                }
                return Err(cut);
            };
            hashes.push(RootHash {
                algorithm,
                digest: digest.to_vec(),
            });
            rest = after;
        }
        if !rest.is_empty() && !lenient.lax {
            return Err(HelloError::Trailing(rest.len()));
        }
        Ok(Self {
            credentials_set: credentials != 0,
            version,
            retry,
            uuid: Guid::from_wire(uuid),
            hashes,
        })
    }

    /// The message as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.hashes.len() * 34);
        out.extend(u16::from(self.credentials_set).to_le_bytes());
        out.extend(self.version.to_le_bytes());
        out.extend(self.retry.to_le_bytes());
        out.extend(self.uuid.to_wire());
        // Nobody has more than 255 hashes, and no digest is longer than 48 bytes.
        out.push(u8::try_from(self.hashes.len()).unwrap_or(u8::MAX));
        for hash in &self.hashes {
            out.push(hash.algorithm);
            out.push(u8::try_from(hash.digest.len()).unwrap_or(u8::MAX));
            out.extend(&hash.digest);
        }
        out
    }

    /// Whether the device says that it knows this root, by its SHA-256 or SHA-384.
    pub fn knows(&self, root: &[u8]) -> bool {
        use sha2::Digest as _;
        let by_256 = sha2::Sha256::digest(root);
        let by_384 = sha2::Sha384::digest(root);
        self.hashes.iter().any(|hash| match hash.algorithm {
            2 => hash.digest == by_256.as_slice(),
            3 => hash.digest == by_384.as_slice(),
            _ => false,
        })
    }
}

/// Collects one connection's bytes.
#[derive(Debug, Default)]
pub struct HelloReader {
    bytes: Vec<u8>,
    pieces: usize,
}

impl HelloReader {
    /// Takes what came next. An error means that the connection can be closed at once.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), HelloError> {
        self.pieces += 1;
        self.bytes.extend_from_slice(piece);
        match self.bytes.len() > LONGEST {
            true => Err(HelloError::TooLong),
            false => Ok(()),
        }
    }

    /// The sender has ended the connection.
    pub fn finish(self, lenient: Leniency) -> Result<Hello, HelloError> {
        Hello::parse_with(&self.bytes, lenient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn sample() -> Hello {
        Hello {
            credentials_set: true,
            version: 3,
            retry: 2,
            uuid: Guid::from_wire([
                0xc4, 0xc9, 0x45, 0x4c, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
            ]),
            hashes: vec![
                RootHash {
                    algorithm: 2,
                    digest: vec![0xc3; 32],
                },
                RootHash {
                    algorithm: 1,
                    digest: vec![7; 20],
                },
            ],
        }
    }

    #[test]
    fn byte_by_byte_from_the_layout() {
        let bytes = sample().encode();
        assert_eq!(bytes[..8], [1, 0, 3, 0, 2, 0, 0, 0]);
        assert_eq!(bytes[24..27], [2, 2, 32]);
        assert_eq!(bytes.len(), 25 + 34 + 22);
        let hello = Hello::parse(&bytes).unwrap();
        assert_eq!(hello, sample());
        assert!(
            hello
                .uuid
                .to_string()
                .to_lowercase()
                .starts_with("4c45c9c4")
        );
    }

    #[rstest]
    #[case::credentials(0, 2, HelloError::Credentials(2))]
    #[case::psk(2, 2, HelloError::Version(2))]
    #[case::version_4(2, 4, HelloError::Version(4))]
    #[case::retry(4, 15, HelloError::Retry(15))]
    #[case::too_many(24, 34, HelloError::Count(34))]
    #[case::too_few(24, 1, HelloError::Trailing(22))]
    #[case::one_more(24, 3, HelloError::Cut(81))]
    #[case::algorithm(25, 9, HelloError::Algorithm(9))]
    #[case::length(26, 31, HelloError::Length { algorithm: 2, length: 31 })]
    fn one_byte_that_is_wrong(#[case] at: usize, #[case] value: u8, #[case] want: HelloError) {
        let mut bytes = sample().encode();
        bytes[at] = value;
        assert_eq!(Hello::parse(&bytes), Err(want));
    }

    #[test]
    fn a_sender_that_never_ends_is_cut_off() {
        let mut reader = HelloReader::default();
        let mut pushed = 0;
        let error = loop {
            pushed += 1;
            if let Err(error) = reader.push(&[0; 100]) {
                break error;
            }
        };
        assert_eq!((error, pushed), (HelloError::TooLong, 21));
    }

    proptest! {
        #[test]
        fn any_cut_is_noticed(at in 0_usize..80) {
            let bytes = sample().encode();
            prop_assert_eq!(Hello::parse(&bytes[..at]), Err(HelloError::Cut(at)));
        }

        #[test]
        fn pieces_do_not_matter(cuts in proptest::collection::vec(0_usize..82, 0..6)) {
            let bytes = sample().encode();
            let mut cuts = cuts;
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut reader = HelloReader::default();
            for pair in cuts.windows(2) {
                reader.push(&bytes[pair[0].min(bytes.len())..pair[1].min(bytes.len())]).unwrap();
            }
            prop_assert_eq!(reader.finish(Leniency::default()), Ok(sample()));
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), lax: bool) {
            let _ = Hello::parse_with(&bytes, Leniency { any_version: lax, lax });
        }

        #[test]
        fn what_is_written_is_read(retry in 0_u32..15, count in 0_usize..34) {
            let hash = RootHash { algorithm: 3, digest: vec![5; 48] };
            let hello = Hello { retry, hashes: vec![hash; count], ..sample() };
            prop_assert_eq!(Hello::parse(&hello.encode()), Ok(hello));
        }
    }
}
