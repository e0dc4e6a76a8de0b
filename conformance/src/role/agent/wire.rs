//! AMTHI framing as a host program needs it. Written from the public descriptions, apart from the device's own.
//!
//! ```text
//! request   0  u8 major = 1   u8 minor = 1   u16 reserved = 0
//!           4  u32 command    bits 24-31 class, bit 23 response, bits 0-22 operation
//!           8  u32 length     bytes that follow
//!          12  payload
//! answer   12  u32 status     0 is success; data follows only then
//!          16  data
//! ```
//! All integers are little-endian. Source: Intel AMT Implementation and Reference Guide, "AMT Host Interface";
//! Linux `samples/mei/mei-amt-version.c`.

/// Class of every command that discovery uses.
const CLASS: u32 = 0x0400_0000;
const RESPONSE: u32 = 0x0080_0000;
pub(super) const HEADER: usize = 12;

/// A whole request message.
pub fn request(operation: u32, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + payload.len());
    message.extend_from_slice(&[1, 1, 0, 0]);
    message.extend_from_slice(&(CLASS | operation).to_le_bytes());
    // A payload is a few hundred bytes at most.
    message.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    message.extend_from_slice(payload);
    message
}

/// The operation that a request asks for.
pub(super) fn operation_of(request: &[u8]) -> Option<u32> {
    let bytes = request.get(4..8)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes) & !(CLASS | RESPONSE))
}

/// A message that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    pub status: u32,
    /// Everything after the status.
    pub data: &'a [u8],
}

/// Why a message is no answer to what was asked: the device's fault, or the way there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    #[error("the answer is empty: AMT is not the active manageability mode")]
    Empty,
    #[error("the answer ends within {what}, after {length} bytes")]
    Short { what: &'static str, length: usize },
    #[error("the header says version {major}.{minor}, not 1.1")]
    Version { major: u8, minor: u8 },
    #[error("the answer is to command {found:#010x}, not {wanted:#010x}")]
    Command { found: u32, wanted: u32 },
    #[error("the header counts {said} bytes where {there} follow")]
    Length { said: u32, there: usize },
    #[error("{0}")]
    Content(String),
}

impl<'a> Answer<'a> {
    /// Takes an answer apart, as strictly as the Linux kernel's sample program does.
    pub fn parse(operation: u32, message: &'a [u8]) -> Result<Self, WireError> {
        if message.is_empty() {
            return Err(WireError::Empty);
        }
        let mut reader = Reader::new(message);
        let [major, minor] = reader.array("the version")?;
        if (major, minor) != (1, 1) {
            return Err(WireError::Version { major, minor });
        }
        reader.array::<2>("the reserved field")?;
        let found = reader.u32("the command")?;
        let wanted = CLASS | RESPONSE | operation;
        if found != wanted {
            return Err(WireError::Command { found, wanted });
        }
        let said = reader.u32("the length")?;
        let there = message.len() - HEADER;
        if usize::try_from(said) != Ok(there) {
            return Err(WireError::Length { said, there });
        }
        let status = reader.u32("the status")?;
        Ok(Self {
            status,
            data: reader.rest(),
        })
    }
}

/// Takes fields off the front of a message.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            length: bytes.len(),
        }
    }

    pub(super) fn bytes(
        &mut self,
        count: usize,
        what: &'static str,
    ) -> Result<&'a [u8], WireError> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(WireError::Short {
                what,
                length: self.length,
            }),
        }
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N, what)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        self.array(what).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// A u16 length and that many bytes of text.
    pub(super) fn ansi(&mut self, what: &'static str) -> Result<String, WireError> {
        let length = self.u16(what)?;
        let bytes = self.bytes(length.into(), what)?;
        Ok(text(bytes))
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}

/// Bytes up to the first NUL, each a character of its own: AMT's texts are ASCII.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take_while(|byte| **byte != 0)
        .map(|byte| char::from(*byte))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const GET_UUID: u32 = 0x5c;

    fn answer() -> Vec<u8> {
        let mut bytes = vec![1, 1, 0, 0, 0x5c, 0, 0x80, 4, 20, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(1..=16);
        bytes
    }

    #[test]
    fn a_request_is_twelve_bytes_and_its_payload() {
        assert_eq!(
            request(0x48, &[1, 0, 0, 0]),
            [1, 1, 0, 0, 0x48, 0, 0, 4, 4, 0, 0, 0, 1, 0, 0, 0]
        );
        assert_eq!(operation_of(&request(0x48, &[])), Some(0x48));
    }

    #[test]
    fn a_good_answer_is_taken_apart() {
        let bytes = answer();
        let parsed = Answer::parse(GET_UUID, &bytes).unwrap();
        assert_eq!((parsed.status, parsed.data.len()), (0, 16));
    }

    #[rstest]
    #[case(0, 2, WireError::Version { major: 2, minor: 1 })]
    #[case(6, 0x00, WireError::Command { found: 0x0400_005c, wanted: 0x0480_005c })]
    #[case(8, 19, WireError::Length { said: 19, there: 20 })]
    fn a_wrong_header_is_named(#[case] at: usize, #[case] byte: u8, #[case] want: WireError) {
        let mut bytes = answer();
        bytes[at] = byte;
        assert_eq!(Answer::parse(GET_UUID, &bytes), Err(want));
    }

    #[test]
    fn an_empty_answer_says_what_it_means() {
        assert_eq!(Answer::parse(GET_UUID, &[]), Err(WireError::Empty));
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(bytes: Vec<u8>) {
            let _ = Answer::parse(GET_UUID, &bytes);
        }

        #[test]
        fn a_cut_answer_is_an_error(length in 0usize..32) {
            prop_assert!(Answer::parse(GET_UUID, &answer()[..length]).is_err());
        }
    }
}
