//! Reading requests and writing answers, in the types that AMTHI is made of.
//!
//! ```text
//! integers         little-endian, packed
//! AMT_BOOLEAN      u32, 0 or 1
//! AMT_ANSI_STRING  u16 length, that many bytes, no NUL; always the last field of an answer
//! char[n]          text, padded with NUL to n bytes
//! IPv4 address     u32; 192.0.2.1 is 0xC0000201
//! ```

use std::net::Ipv4Addr;

/// Takes the fields of a request off its front.
///
/// Bytes that are not there read as 0: whether a request is long enough is decided once, before its handler
/// runs, and a handler that runs with that rule knocked out must not panic.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// Bytes that are left.
    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let taken = self.take(N);
        out[..taken.len()].copy_from_slice(taken);
        out
    }

    /// AMT_ANSI_STRING. Some hosts count a NUL at the end, some do not.
    pub(crate) fn ansi(&mut self) -> &'a [u8] {
        let length = usize::from(self.u16());
        let text = self.take(length);
        text.strip_suffix(&[0]).unwrap_or(text)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// Builds the data of an answer, field after field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    /// AMT_BOOLEAN.
    pub(crate) fn bool(self, value: bool) -> Self {
        self.u32(value.into())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn zeros(self, count: usize) -> Self {
        self.padded(&[], count)
    }

    pub(crate) fn ipv4(self, address: Ipv4Addr) -> Self {
        self.u32(address.into())
    }

    /// `char[size]` or `u8[size]`; what does not fit is cut off.
    pub(crate) fn padded(mut self, text: &[u8], size: usize) -> Self {
        let end = self.0.len() + size;
        self.0.extend_from_slice(&text[..text.len().min(size)]);
        self.0.resize(end, 0);
        self
    }

    /// AMT_ANSI_STRING.
    ///
    /// Whoever holds the text keeps it within 255 bytes: LMS reads the low byte of the length only.
    pub(crate) fn ansi(self, text: &str) -> Self {
        let text = &text.as_bytes()[..text.len().min(255)];
        self.u16(text.len() as u16).bytes(text)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_as_the_field_reads_them() {
        let data = Writer::new()
            .bool(true)
            .ipv4(Ipv4Addr::new(1, 2, 3, 4))
            .padded(b"abc", 5)
            .ansi("xy")
            .finish();
        assert_eq!(
            data,
            [
                1, 0, 0, 0, 4, 3, 2, 1, b'a', b'b', b'c', 0, 0, 2, 0, b'x', b'y'
            ]
        );
    }

    #[test]
    fn what_is_not_there_reads_as_zero() {
        let mut reader = Reader::new(&[5, 0, b'a']);
        assert_eq!(reader.ansi(), b"a");
        assert_eq!(reader.u32(), 0);
        assert_eq!(reader.array::<3>(), [0; 3]);
    }

    #[test]
    fn a_counted_nul_is_no_part_of_the_text() {
        assert_eq!(Reader::new(&[2, 0, b'a', 0]).ansi(), b"a");
        assert_eq!(Reader::new(&[1, 0, b'a']).ansi(), b"a");
    }
}
