//! Passwords as AMT keeps them: never the text, only the A1 hash of HTTP digest.

use md5::{Digest, Md5};

/// MD5 of `user:realm:password` as 32 lower-case hex digits.
///
/// Source: RFC 2617 section 3.2.2.2; IPS_HostBasedSetupService.Setup, NetAdminPassEncryptionType 2.
pub fn digest_a1(user: &str, realm: &str, password: &str) -> String {
    let mut hash = Md5::new();
    for part in [user, ":", realm, ":", password] {
        hash.update(part.as_bytes());
    }
    crate::hex::encode(&hash.finalize())
}

/// Why firmware would not take a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    #[error("the password has {0} characters; AMT takes 8 to 32")]
    Length(usize),
    #[error("the password has a character that is not printable ASCII")]
    NotAscii,
    #[error(
        "the password lacks {0}; AMT wants upper case, lower case, a digit and a special character"
    )]
    Lacks(&'static str),
}

/// The strong-password rule of AMT administrators and MEBx: 8 to 32 printable ASCII characters of all four
/// classes. `_` and space count as letters of no class.
pub fn check_password(password: &str) -> Result<(), WeakPassword> {
    if !password.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(WeakPassword::NotAscii);
    }
    if !(8..=32).contains(&password.len()) {
        return Err(WeakPassword::Length(password.len()));
    }
    let special = |byte: u8| byte.is_ascii_punctuation() && byte != b'_';
    let classes: [(&'static str, &dyn Fn(u8) -> bool); 4] = [
        ("an upper-case letter", &|byte| byte.is_ascii_uppercase()),
        ("a lower-case letter", &|byte| byte.is_ascii_lowercase()),
        ("a digit", &|byte| byte.is_ascii_digit()),
        ("a special character", &special),
    ];
    match classes
        .into_iter()
        .find(|(_, belongs)| !password.bytes().any(belongs))
    {
        Some((what, _)) => Err(WeakPassword::Lacks(what)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a1_is_that_of_the_rfc() {
        // RFC 2617 section 3.5: the response there follows from this A1.
        assert_eq!(
            digest_a1("Mufasa", "testrealm@host.com", "Circle Of Life"),
            "939e7578ed9e3c518a452acee763bce9"
        );
    }

    #[rstest]
    #[case("P@ssw0rd1", Ok(()))]
    #[case("P@ss0rd", Err(WeakPassword::Length(7)))]
    #[case("P@ssw0rdP@ssw0rdP@ssw0rdP@ssw0rd", Ok(()))]
    #[case("P@ssw0rdP@ssw0rdP@ssw0rdP@ssw0rdx", Err(WeakPassword::Length(33)))]
    #[case("p@ssw0rd", Err(WeakPassword::Lacks("an upper-case letter")))]
    #[case("P@SSW0RD", Err(WeakPassword::Lacks("a lower-case letter")))]
    #[case("P@ssword", Err(WeakPassword::Lacks("a digit")))]
    #[case("Passw0rd", Err(WeakPassword::Lacks("a special character")))]
    #[case("Pass_w0rd", Err(WeakPassword::Lacks("a special character")))]
    #[case("P@ssw0rdé", Err(WeakPassword::NotAscii))]
    fn the_four_classes(#[case] password: &str, #[case] expected: Result<(), WeakPassword>) {
        assert_eq!(check_password(password), expected);
    }
}
