//! Octets on the wire: base64 of RFC 4648 section 4, with padding.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padding may be missing, as real senders have it.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

pub(crate) fn encode(bytes: &[u8]) -> String {
    FORGIVING.encode(bytes)
}

/// The octets of a text, or `None` when it is not base64. White space is skipped, as XML Schema has it.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    FORGIVING.decode(letters).ok()
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
