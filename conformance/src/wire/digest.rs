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
        let claim = Claim {
            user: user.to_owned(),
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: uri.to_owned(),
            protection: Some("auth".to_owned()),
            count: Some(format!("{count:08x}")),
            client_nonce: Some(client_nonce.to_owned()),
            algorithm: None,
        };
        let secret = a1(user, &self.realm, password);
        claim.header(&claim.response(&secret, method, b""))
    }
}

/// What a login says of itself. A client that is right says what the challenge said; each of it may be wrong too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub user: String,
    pub realm: String,
    pub nonce: String,
    pub uri: String,
    /// `qop`
    pub protection: Option<String>,
    /// `nc`
    pub count: Option<String>,
    /// `cnonce`
    pub client_nonce: Option<String>,
    pub algorithm: Option<String>,
}

impl Claim {
    /// The response of one who knows `secret`, which is [`a1`] of the password. Without a quality of protection it is
    /// that of RFC 2069; `auth-int` vouches for the body.
    pub fn response(&self, secret: &str, method: &str, body: &[u8]) -> String {
        let asked = match self.protection.as_deref() {
            Some("auth-int") => {
                let body = hex::encode(&Md5::digest(body));
                md5(&format!("{method}:{}:{body}", self.uri))
            }
            _ => md5(&format!("{method}:{}", self.uri)),
        };
        let nonce = &self.nonce;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        match &self.protection {
            None => md5(&format!("{secret}:{nonce}:{asked}")),
            Some(quality) => md5(&format!(
                "{secret}:{nonce}:{}:{}:{quality}:{asked}",
                text(&self.count),
                text(&self.client_nonce)
            )),
        }
    }

    /// The value of `Authorization`.
    pub fn header(&self, response: &str) -> String {
        let mut fields = vec![
            format!("username=\"{}\"", self.user),
            format!("realm=\"{}\"", self.realm),
            format!("nonce=\"{}\"", self.nonce),
            format!("uri=\"{}\"", self.uri),
            format!("response=\"{response}\""),
        ];
        let bare = [
            ("algorithm", &self.algorithm),
            ("qop", &self.protection),
            ("nc", &self.count),
        ];
        for (name, value) in bare {
            fields.extend(value.iter().map(|value| format!("{name}={value}")));
        }
        let client_nonce = self.client_nonce.iter();
        fields.extend(client_nonce.map(|value| format!("cnonce=\"{value}\"")));
        format!("Digest {}", fields.join(","))
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
