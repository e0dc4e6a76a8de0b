//! The 12-byte header in front of every AMTHI message.
//!
//! ```text
//! 0  u8      major version, 1
//! 1  u8      minor version, 1
//! 2  u16 LE  reserved, 0
//! 4  u32 LE  command: bits 0-22 operation, bit 23 response, bits 24-31 class
//! 8  u32 LE  bytes after the header
//! ```
//! An answer carries a u32 status first, which the length counts, and data after it only on success.
//!
//! Source: Intel LMS `MEIClient/AMTHIClient/Include/AMTHICommand.h`, rpc-go `pkg/pthi/types.go`.

use std::fmt;

use super::status::Status;

/// Command word: operation, direction and class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Command(pub u32);

impl Command {
    const RESPONSE: u32 = 1 << 23;

    /// The operation without class and direction, as in `0x1A`.
    pub const fn operation(self) -> u32 {
        self.0 & 0x007f_ffff
    }

    pub const fn is_response(self) -> bool {
        self.0 & Self::RESPONSE != 0
    }

    /// What the answer to this command is called.
    pub const fn response(self) -> Self {
        Self(self.0 | Self::RESPONSE)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// One header, as it lies on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub major: u8,
    pub minor: u8,
    pub reserved: u16,
    pub command: Command,
    pub length: u32,
}

impl Header {
    /// Bytes of a header.
    pub const SIZE: usize = 12;

    /// A header of the version that is in use.
    pub const fn new(command: Command, length: u32) -> Self {
        Self {
            major: 1,
            minor: 1,
            reserved: 0,
            command,
            length,
        }
    }

    /// Header and data of a message; `None` when it is shorter than a header.
    pub fn split(message: &[u8]) -> Option<(Self, &[u8])> {
        let (head, data) = message.split_first_chunk::<{ Self::SIZE }>()?;
        let [major, minor, r0, r1, c0, c1, c2, c3, l0, l1, l2, l3] = *head;
        let header = Self {
            major,
            minor,
            reserved: u16::from_le_bytes([r0, r1]),
            command: Command(u32::from_le_bytes([c0, c1, c2, c3])),
            length: u32::from_le_bytes([l0, l1, l2, l3]),
        };
        Some((header, data))
    }

    pub fn to_wire(self) -> [u8; Self::SIZE] {
        let [r0, r1] = self.reserved.to_le_bytes();
        let [c0, c1, c2, c3] = self.command.0.to_le_bytes();
        let [l0, l1, l2, l3] = self.length.to_le_bytes();
        [
            self.major, self.minor, r0, r1, c0, c1, c2, c3, l0, l1, l2, l3,
        ]
    }

    /// Whether the version is the one in use and the reserved field is zero.
    pub const fn is_current(&self) -> bool {
        self.major == 1 && self.minor == 1 && self.reserved == 0
    }
}

/// A whole message to the firmware.
pub fn request(command: Command, data: &[u8]) -> Vec<u8> {
    // No MEI client takes messages of 4 GiB.
    let header = Header::new(command, u32::try_from(data.len()).unwrap_or(u32::MAX));
    [&header.to_wire(), data].concat()
}

/// A whole answer; `Length` is what follows by construction.
pub fn answer(command: Command, status: Status, data: &[u8]) -> Vec<u8> {
    let body = [&status.0.to_le_bytes(), data].concat();
    request(command.response(), &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_lie_where_the_field_puts_them() {
        let message = [1, 1, 0, 0, 0x1a, 0, 0, 4, 2, 0, 0, 0, 0xaa, 0xbb];
        let (header, data) = Header::split(&message).unwrap();
        assert_eq!(header, Header::new(Command(0x0400_001a), 2));
        assert_eq!(data, [0xaa, 0xbb]);
        assert_eq!(header.command.operation(), 0x1a);
        assert_eq!(header.command.response(), Command(0x0480_001a));
    }

    #[test]
    fn an_answer_counts_its_status() {
        assert_eq!(
            answer(Command(0x0400_0010), Status::INVALID_AMT_MODE, &[]),
            [1, 1, 0, 0, 0x10, 0, 0x80, 4, 4, 0, 0, 0, 3, 0, 0, 0]
        );
    }

    proptest! {
        #[test]
        fn round_trip(bytes: [u8; 12], data: Vec<u8>) {
            let message = [&bytes[..], &data].concat();
            let (header, rest) = Header::split(&message).unwrap();
            prop_assert_eq!(header.to_wire(), bytes);
            prop_assert_eq!(rest, data);
        }

        #[test]
        fn no_message_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            prop_assert_eq!(Header::split(&bytes).is_some(), bytes.len() >= 12);
        }
    }
}
