//! The client's side of HTTP digest authentication: MD5 and quality of protection `auth`, as AMT wants it.
//!
//! Source: RFC 7616, section 3; "Intel AMT Implementation and Reference Guide", page "Authentication Options".

use amt_sim::hex;
use md5::{Digest as _, Md5};

/// What the server asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
}

/// Why a challenge cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    #[error("the challenge is not for digest: {0:?}")]
    Scheme(String),
    #[error("the challenge lacks `{0}`")]
    Missing(&'static str),
    #[error("the challenge wants the algorithm {0:?}, which is not MD5")]
    Algorithm(String),
    #[error("the challenge offers {0:?}, but not `auth`")]
    Quality(String),
}

impl Challenge {
    /// Reads the value of `WWW-Authenticate`.
    pub fn parse(header: &str) -> Result<Self, ChallengeError> {
        let rest = match header.trim().split_once(' ') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("digest") => rest,
            _ => return Err(ChallengeError::Scheme(header.to_owned())),
        };
        let values = parameters(rest);
        let value = |name: &'static str| {
            values
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.clone())
        };
        if let Some(algorithm) = value("algorithm")
            && !algorithm.eq_ignore_ascii_case("MD5")
        {
            return Err(ChallengeError::Algorithm(algorithm));
        }
        let quality = value("qop").ok_or(ChallengeError::Missing("qop"))?;
        if !quality.split(',').any(|one| one.trim() == "auth") {
            return Err(ChallengeError::Quality(quality));
        }
        Ok(Self {
            realm: value("realm").ok_or(ChallengeError::Missing("realm"))?,
            nonce: value("nonce").ok_or(ChallengeError::Missing("nonce"))?,
        })
    }

    /// The value of `Authorization` for the request number `count` under this nonce.
    pub fn answer(
        &self,
        user: &str,
        password: &str,
        method: &str,
        uri: &str,
        count: u32,
        client_nonce: &str,
    ) -> String {
        let Self { realm, nonce } = self;
        let secret = a1(user, realm, password);
        let asked = md5(&format!("{method}:{uri}"));
        let response = md5(&format!(
            "{secret}:{nonce}:{count:08x}:{client_nonce}:auth:{asked}"
        ));
        format!(
            "Digest username=\"{user}\",realm=\"{realm}\",nonce=\"{nonce}\",uri=\"{uri}\",response=\"{response}\",qop=auth,nc={count:08x},cnonce=\"{client_nonce}\""
        )
    }
}

/// What AMT keeps of a password: MD5 of `user:realm:password` as 32 hex digits.
pub fn a1(user: &str, realm: &str, password: &str) -> String {
    md5(&format!("{user}:{realm}:{password}"))
}

fn md5(text: &str) -> String {
    hex::encode(&Md5::digest(text.as_bytes()))
}

/// `name=value` or `name="value"`, separated by commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut rest = text;
    while let Some((name, tail)) = rest.split_once('=') {
        let name = name.trim_matches([',', ' ']).to_owned();
        let (value, tail) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => tail.split_once(',').unwrap_or((tail, "")),
        };
        values.push((name, value.trim().to_owned()));
        rest = tail;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// Computed with `md5sum` from the parts that RFC 2617, section 3.5, gives.
    #[test]
    fn the_example_of_the_rfc() {
        let challenge = Challenge::parse(
            "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"",
        )
        .unwrap();
        let header = challenge.answer(
            "Mufasa",
            "Circle Of Life",
            "GET",
            "/dir/index.html",
            1,
            "0a4f113b",
        );
        assert!(
            header.contains("response=\"6629fae49393a05397450978507c4ef1\""),
            "{header}"
        );
    }

    #[test]
    fn the_challenge_of_a_device() {
        let challenge = Challenge::parse(
            "Digest realm=\"Digest:A4070000000000000000000000000000\", nonce=\"wlbEK1EtAAAAAAAAWW5aUHFp+mQQ1j63\",stale=\"false\",qop=\"auth\"",
        )
        .unwrap();
        assert_eq!(challenge.realm, "Digest:A4070000000000000000000000000000");
        assert_eq!(challenge.nonce, "wlbEK1EtAAAAAAAAWW5aUHFp+mQQ1j63");
    }

    #[rstest]
    #[case("Basic realm=\"x\"", ChallengeError::Scheme("Basic realm=\"x\"".into()))]
    #[case("Digest nonce=\"x\",qop=\"auth\"", ChallengeError::Missing("realm"))]
    #[case("Digest realm=\"x\",qop=\"auth\"", ChallengeError::Missing("nonce"))]
    #[case("Digest realm=\"x\",nonce=\"y\",qop=\"auth-int\"", ChallengeError::Quality("auth-int".into()))]
    #[case("Digest realm=\"x\",nonce=\"y\",qop=auth,algorithm=SHA-256", ChallengeError::Algorithm("SHA-256".into()))]
    fn what_cannot_be_answered(#[case] header: &str, #[case] want: ChallengeError) {
        assert_eq!(Challenge::parse(header), Err(want));
    }

    proptest! {
        #[test]
        fn no_header_is_a_panic(text in "\\PC{0,60}") {
            let _ = Challenge::parse(&text);
            let _ = Challenge::parse(&format!("Digest {text}"));
        }
    }
}
