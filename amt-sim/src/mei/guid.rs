//! GUIDs in the mixed-endian order in which MEI and SMBIOS carry them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Sixteen bytes as they lie on the wire: the first three groups little-endian, the rest as printed.
///
/// ```text
/// offset  0        4     6     8           16
///         u32 LE   u16LE u16LE 8 bytes as printed
/// ```
/// Source: Linux `include/uapi/linux/mei.h` (`uuid_le`), SMBIOS 2.6 section 7.2.1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid([u8; 16]);

impl Guid {
    /// From wire bytes.
    pub const fn from_wire(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// From the groups as they are printed.
    pub const fn from_fields(a: u32, b: u16, c: u16, d: [u8; 8]) -> Self {
        let a = a.to_le_bytes();
        let b = b.to_le_bytes();
        let c = c.to_le_bytes();
        Self([
            a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5],
            d[6], d[7],
        ])
    }

    pub const fn to_wire(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PRINTED: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        for (position, &index) in PRINTED.iter().enumerate() {
            if matches!(position, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0[index])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

/// The text is not a GUID: 32 hex digits in groups of 8-4-4-4-12.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a GUID; write it as 32 hex digits in groups of 8-4-4-4-12")]
pub struct GuidError(String);

impl FromStr for Guid {
    type Err = GuidError;

    fn from_str(text: &str) -> Result<Self, GuidError> {
        let bad = || GuidError(text.to_owned());
        let groups: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        if lengths != [8, 4, 4, 4, 12] || !text.is_ascii() {
            return Err(bad());
        }
        let number = |group: &str| u64::from_str_radix(group, 16).map_err(|_| bad());
        let tail = (number(groups[3])? << 48) | number(groups[4])?;
        // The lengths above bound every group, so the narrowing casts lose nothing.
        Ok(Self::from_fields(
            number(groups[0])? as u32,
            number(groups[1])? as u16,
            number(groups[2])? as u16,
            tail.to_be_bytes(),
        ))
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_in_the_order_that_people_read() {
        let amthi = Guid::from_wire([
            0x28, 0x00, 0xf8, 0x12, 0xb7, 0xb4, 0x2d, 0x4b, 0xac, 0xa8, 0x46, 0xe0, 0xff, 0x65,
            0x81, 0x4c,
        ]);
        assert_eq!(amthi.to_string(), "12f80028-b4b7-4b2d-aca8-46e0ff65814c");
    }

    proptest! {
        #[test]
        fn text_and_wire_agree(bytes: [u8; 16]) {
            let guid = Guid::from_wire(bytes);
            prop_assert_eq!(guid.to_string().parse::<Guid>().unwrap(), guid);
        }

        #[test]
        fn no_text_is_a_panic(text in ".{0,40}") {
            let _ = text.parse::<Guid>();
        }
    }
}
