//! Base64 as certificates, nonces and signatures travel: RFC 4648, section 4, with padding.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0u32, |group, byte| group << 8 | u32::from(*byte));
        for place in 0..4 {
            if place > chunk.len() {
                out.push('=');
            } else {
                let index = group >> (18 - 6 * place) & 63;
                out.push(char::from(LETTERS[index as usize]));
            }
        }
    }
    out
}

/// The bytes of a text, or `None` when it is no Base64. White space is skipped.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    if !letters.len().is_multiple_of(4) {
        return None;
    }
    let padding = letters.iter().rev().take_while(|b| **b == b'=').count();
    if padding > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(letters.len() / 4 * 3);
    let (mut group, mut bits) = (0u32, 0);
    for letter in &letters[..letters.len() - padding] {
        let value = LETTERS.iter().position(|known| known == letter)?;
        group = group << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((group >> bits & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("", "")]
    #[case("f", "Zg==")]
    #[case("fo", "Zm8=")]
    #[case("foo", "Zm9v")]
    #[case("foobar", "Zm9vYmFy")]
    fn vectors_of_the_rfc(#[case] plain: &str, #[case] text: &str) {
        assert_eq!(encode(plain.as_bytes()), text);
        assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()));
    }

    #[rstest]
    #[case("Zg=")]
    #[case("Z===")]
    #[case("Z!==")]
    #[case("=Zg=")]
    fn what_is_none_is_refused(#[case] text: &str) {
        assert_eq!(decode(text), None);
    }

    proptest! {
        #[test]
        fn there_and_back(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn no_text_is_a_panic(text in "\\PC{0,40}") {
            let _ = decode(&text);
        }
    }
}
