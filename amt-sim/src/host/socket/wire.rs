//! The packets of the MEI socket. `docs/mei-socket.md` is the same for people who write a client.
//!
//! ```text
//! hello    client to server, 24 bytes     reply    server to client, 16 bytes
//!  0  u8[4]   "MEIS"                       0  u8[4]   "MEIS"
//!  4  u16 LE  version, 1                   4  u16 LE  version that the server speaks, 1
//!  6  u16 LE  0                            6  u16 LE  errno; 0: connected
//!  8  u8[16]  GUID of the client           8  u8[8]   what IOCTL_MEI_CONNECT_CLIENT returns; 0 on error
//!
//! message  both ways                      error    server to client, 4 bytes
//!  0  u8      0                            0  u8      1
//!  1  ...     one whole MEI message        1  u8      what failed: 0 connection (it is over), 1 write, 2 read
//!                                          2  u16 LE  errno
//! ```
//! No packet is empty: an empty one cannot be told from the end of the connection.

use crate::mei::{ClientProperties, Guid};

/// What both ends speak.
pub(crate) const VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"MEIS";

/// Error numbers of the handshake that the device itself never uses; Linux `asm-generic/errno.h`.
pub(crate) const EPROTO: u16 = 71;
pub(crate) const EPROTONOSUPPORT: u16 = 93;

/// The first packet: which ME client is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) client: Guid,
}

impl Hello {
    pub(crate) const LENGTH: usize = 24;

    pub(crate) fn to_wire(self) -> [u8; Self::LENGTH] {
        let mut packet = [0; Self::LENGTH];
        packet[..4].copy_from_slice(&MAGIC);
        packet[4..6].copy_from_slice(&VERSION.to_le_bytes());
        packet[8..].copy_from_slice(&self.client.to_wire());
        packet
    }

    /// The errno to refuse with when the packet is none of ours.
    pub(crate) fn from_wire(packet: &[u8]) -> Result<Self, u16> {
        if packet.len() < 8 || packet[..4] != MAGIC {
            return Err(EPROTO);
        }
        // A later version may be longer, so the version is looked at before the length.
        if u16::from_le_bytes([packet[4], packet[5]]) != VERSION {
            return Err(EPROTONOSUPPORT);
        }
        let guid: [u8; 16] = packet[8..].try_into().map_err(|_| EPROTO)?;
        if packet[6..8] != [0, 0] {
            return Err(EPROTO);
        }
        Ok(Self {
            client: Guid::from_wire(guid),
        })
    }
}

/// The answer to a [`Hello`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) version: u16,
    /// The properties, or the errno of the refusal; never `Err(0)`.
    pub(crate) outcome: Result<ClientProperties, u16>,
}

impl Reply {
    pub(crate) const LENGTH: usize = 16;

    pub(crate) fn new(outcome: Result<ClientProperties, u16>) -> Self {
        Self {
            version: VERSION,
            outcome,
        }
    }

    pub(crate) fn to_wire(self) -> [u8; Self::LENGTH] {
        let mut packet = [0; Self::LENGTH];
        packet[..4].copy_from_slice(&MAGIC);
        packet[4..6].copy_from_slice(&self.version.to_le_bytes());
        match self.outcome {
            Ok(properties) => packet[8..].copy_from_slice(&properties.to_wire()),
            Err(errno) => packet[6..8].copy_from_slice(&errno.to_le_bytes()),
        }
        packet
    }

    pub(crate) fn from_wire(packet: &[u8]) -> Option<Self> {
        let packet: &[u8; Self::LENGTH] = packet.try_into().ok()?;
        if packet[..4] != MAGIC {
            return None;
        }
        let outcome = match u16::from_le_bytes([packet[6], packet[7]]) {
            0 => Ok(ClientProperties {
                max_message: u32::from_le_bytes([packet[8], packet[9], packet[10], packet[11]]),
                protocol_version: packet[12],
            }),
            errno => Err(errno),
        };
        Some(Self {
            version: u16::from_le_bytes([packet[4], packet[5]]),
            outcome,
        })
    }
}

/// What an [`Frame::Error`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The connection is over; nothing follows.
    Connection,
    /// One message of the host was not taken.
    Write,
    /// One message of the firmware is lost.
    Read,
}

/// A packet after the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Message(Vec<u8>),
    Error { failed: Failed, errno: u16 },
}

impl Frame {
    /// Bytes that a message's packet has beside the message.
    pub(crate) const OVERHEAD: usize = 1;

    pub(crate) fn to_wire(&self) -> Vec<u8> {
        match self {
            Self::Message(bytes) => message_packet(bytes),
            Self::Error { failed, errno } => {
                let [low, high] = errno.to_le_bytes();
                vec![1, *failed as u8, low, high]
            }
        }
    }

    pub(crate) fn from_wire(packet: &[u8]) -> Option<Self> {
        match packet {
            [0, message @ ..] => Some(Self::Message(message.to_vec())),
            [1, failed, low, high] => Some(Self::Error {
                failed: match failed {
                    0 => Failed::Connection,
                    1 => Failed::Write,
                    2 => Failed::Read,
                    _ => return None,
                },
                errno: u16::from_le_bytes([*low, *high]),
            }),
            _ => None,
        }
    }
}

/// The packet of [`Frame::Message`] without a copy of its own of the message.
pub(crate) fn message_packet(message: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(Frame::OVERHEAD + message.len());
    packet.push(0);
    packet.extend_from_slice(message);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mei::ClientKind;
    use proptest::prelude::*;
    use rstest::rstest;

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let hello = Hello {
            client: ClientKind::Amthi.guid(),
        };
        assert_eq!(
            crate::hex::encode(&hello.to_wire()),
            "4d454953010000002800f812b7b42d4baca846e0ff65814c"
        );
        let reply = Reply::new(Ok(ClientProperties {
            max_message: 5120,
            protocol_version: 1,
        }));
        assert_eq!(
            crate::hex::encode(&reply.to_wire()),
            "4d454953010000000014000001000000"
        );
        assert_eq!(
            crate::hex::encode(&Reply::new(Err(25)).to_wire()),
            "4d454953010019000000000000000000"
        );
        let error = Frame::Error {
            failed: Failed::Write,
            errno: 27,
        };
        assert_eq!(error.to_wire(), [1, 1, 27, 0]);
        assert_eq!(Frame::Message(vec![7, 8]).to_wire(), [0, 7, 8]);
    }

    #[rstest]
    #[case::empty(&[], EPROTO)]
    #[case::other_magic(b"HTTP\x01\0\0\0................", EPROTO)]
    #[case::later_version(b"MEIS\x02\0\0\0", EPROTONOSUPPORT)]
    #[case::later_and_longer(b"MEIS\x02\0\0\0........................", EPROTONOSUPPORT)]
    #[case::too_short(b"MEIS\x01\0\0\0...", EPROTO)]
    #[case::too_long(b"MEIS\x01\0\0\0.................", EPROTO)]
    #[case::reserved(b"MEIS\x01\0\x01\0................", EPROTO)]
    fn a_foreign_hello_is_refused(#[case] packet: &[u8], #[case] errno: u16) {
        assert_eq!(Hello::from_wire(packet), Err(errno));
    }

    proptest! {
        #[test]
        fn hellos_and_replies_are_read_back(
            guid: [u8; 16], version: u16, max_message: u32, protocol_version: u8, errno in 1u16..
        ) {
            let hello = Hello { client: Guid::from_wire(guid) };
            prop_assert_eq!(Hello::from_wire(&hello.to_wire()), Ok(hello));
            for outcome in [Ok(ClientProperties { max_message, protocol_version }), Err(errno)] {
                let reply = Reply { version, outcome };
                prop_assert_eq!(Reply::from_wire(&reply.to_wire()), Some(reply));
            }
        }

        #[test]
        fn whatever_is_read_as_a_frame_is_written_the_same(packet in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(frame) = Frame::from_wire(&packet) {
                prop_assert_eq!(frame.to_wire(), packet);
            }
        }

        #[test]
        fn no_packet_is_a_panic(packet in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Hello::from_wire(&packet);
            let _ = Reply::from_wire(&packet);
        }
    }
}
