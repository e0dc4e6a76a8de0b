//! Octets on the wire: base64 of RFC 4648 section 4, with padding.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut word = [0; 4];
        for (place, byte) in word[1..].iter_mut().zip(group) {
            *place = *byte;
        }
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            if place > group.len() {
                out.push('=');
            } else {
                let index = (word >> (18 - 6 * place)) & 63;
                out.push(LETTERS[index as usize] as char);
            }
        }
    }
    out
}

/// The octets of a text, or `None` when it is not base64. White space is skipped and padding may be missing, as
/// XML Schema and real senders have it.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0_u32, 0_u32);
    let mut padded = false;
    for letter in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padded = true;
                continue;
            }
            _ => return None,
        };
        if padded {
            return None;
        }
        word = (word << 6) | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    // A single letter left over holds no whole octet.
    (bits < 6).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// RFC 4648 section 10.
    #[rstest]
    #[case("", "")]
    #[case("f", "Zg==")]
    #[case("fo", "Zm8=")]
    #[case("foo", "Zm9v")]
    #[case("foobar", "Zm9vYmFy")]
    fn vectors_of_the_rfc(#[case] plain: &str, #[case] text: &str) {
        assert_eq!(encode(plain.as_bytes()), text);
        assert_eq!(decode(text), Some(plain.as_bytes().to_vec()));
    }

    #[rstest]
    #[case("Zm9v\r\n YmFy", Some("foobar"))]
    #[case("Zg", Some("f"))]
    #[case("Z", None)]
    #[case("Zg==Zg==", None)]
    #[case("Zg_-", None)]
    fn spellings(#[case] text: &str, #[case] plain: Option<&str>) {
        assert_eq!(decode(text), plain.map(|plain| plain.as_bytes().to_vec()));
    }

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn no_text_is_a_panic(text in ".{0,30}") {
            let _ = decode(&text);
        }
    }
}
