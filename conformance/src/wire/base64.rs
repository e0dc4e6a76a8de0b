//! Base64 as certificates, nonces and signatures travel: RFC 4648, section 4, with padding.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a text, or `None` when it is no Base64. White space is skipped.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text
        .bytes()
        .filter(|letter| !letter.is_ascii_whitespace())
        .collect();
    STANDARD.decode(letters).ok()
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
