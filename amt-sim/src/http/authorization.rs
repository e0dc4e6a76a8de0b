//! What a client says about itself: the `Authorization` header with HTTP digest.
//!
//! Source: RFC 7616 section 3.4. Clients in the field quote values that the RFC writes bare, and the other way round.

use md5::{Digest as _, Md5};

/// A login as the client sent it. Every value may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) realm: String,
    pub(crate) nonce: String,
    pub(crate) uri: String,
    pub(crate) response: String,
    pub(crate) algorithm: Option<String>,
    pub(crate) qop: Option<String>,
    /// Eight hex digits, as text: they are part of what is hashed.
    pub(crate) count: Option<String>,
    pub(crate) client_nonce: Option<String>,
}

/// Why a header says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the scheme is not Digest")]
    Scheme,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0:?} stands twice")]
    Twice(String),
    #[error("no parameter at {0:?}")]
    Syntax(String),
}

impl Login {
    pub(crate) fn parse(header: &str) -> Result<Self, Unreadable> {
        let text = header.trim();
        let (scheme, mut rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("digest") {
            return Err(Unreadable::Scheme);
        }
        let mut found: Vec<(String, String)> = Vec::new();
        loop {
            rest = rest.trim_start_matches(|letter: char| letter == ',' || letter.is_whitespace());
            if rest.is_empty() {
                break;
            }
            let ((name, value), after) = parameter(rest)
                .ok_or_else(|| Unreadable::Syntax(rest.chars().take(40).collect()))?;
            if found.iter().any(|(known, _)| *known == name) {
                return Err(Unreadable::Twice(name));
            }
            found.push((name, value));
            rest = after;
        }
        let mut take = |name: &str| {
            let at = found.iter().position(|(known, _)| known == name)?;
            Some(found.swap_remove(at).1)
        };
        let mut must = |name: &'static str| take(name).ok_or(Unreadable::Missing(name));
        Ok(Self {
            user: must("username")?,
            realm: must("realm")?,
            nonce: must("nonce")?,
            uri: must("uri")?,
            response: must("response")?,
            algorithm: take("algorithm"),
            qop: take("qop"),
            count: take("nc"),
            client_nonce: take("cnonce"),
        })
    }

    /// The count as a number, when it is eight hex digits.
    pub(crate) fn count(&self) -> Option<u32> {
        let text = self.count.as_deref()?;
        let well_formed = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(text, 16).ok().filter(|_| well_formed)
    }

    /// The response of one who knows the password: 32 lower-case hex digits.
    /// With `auth-int` it vouches for the body too.
    pub(crate) fn expected_response(&self, ha1: &str, method: &str, body: &[u8]) -> String {
        let ha2 = match self.qop.as_deref() {
            Some("auth-int") => hash(&[method, &self.uri, &crate::hex::encode(&Md5::digest(body))]),
            _ => hash(&[method, &self.uri]),
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        hash(&[
            ha1,
            &self.nonce,
            &text(&self.count),
            &text(&self.client_nonce),
            &text(&self.qop),
            &ha2,
        ])
    }
}

/// MD5 of the parts with colons between them.
fn hash(parts: &[&str]) -> String {
    crate::hex::encode(&Md5::digest(parts.join(":").as_bytes()))
}

/// One `name=value` and what follows it; names come out in lower case.
fn parameter(text: &str) -> Option<((String, String), &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim();
    let is_token = |letter: char| letter.is_ascii_graphic() && !"\",;=".contains(letter);
    if name.is_empty() || !name.chars().all(is_token) {
        return None;
    }
    let rest = rest.trim_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_string(quoted)?,
        None => {
            let end = rest.find(',').unwrap_or(rest.len());
            let (value, rest) = rest.split_at_checked(end)?;
            (value.trim_end().to_owned(), rest)
        }
    };
    let rest = rest.trim_start();
    let ends = rest.is_empty() || rest.starts_with(',');
    ends.then(|| ((name.to_ascii_lowercase(), value), rest))
}

/// What stands before the closing quotation mark, and what follows that.
fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// RFC 7616 section 3.9.1, MD5.
    const RFC: &str = r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html",
        algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,
        response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;

    #[test]
    fn the_response_is_that_of_the_rfc() {
        let login = Login::parse(RFC).unwrap();
        let ha1 = crate::device::digest_a1("Mufasa", &login.realm, "Circle of Life");
        assert_eq!(login.expected_response(&ha1, "GET", b""), login.response);
        assert_eq!(login.count(), Some(1));
        assert_eq!(login.algorithm.as_deref(), Some("MD5"));
    }

    #[rstest]
    #[case::blanks(
        r#"Digest username = "a" , realm="r",nonce="n", uri="/", response="", nc = 00000002"#
    )]
    #[case::packed(r#"Digest username="a",realm="r",nonce="n",uri="/",response="",nc="00000002""#)]
    #[case::bare("digest username=a,realm=r,nonce=n,uri=/,response=,nc=00000002")]
    #[case::names(r#"DIGEST USERNAME="a",Realm="r",NONCE="n",URI="/",Response="",NC=00000002,"#)]
    fn spellings(#[case] header: &str) {
        let login = Login::parse(header).unwrap();
        assert_eq!((login.user.as_str(), login.uri.as_str()), ("a", "/"));
        assert_eq!((login.response.as_str(), login.count()), ("", Some(2)));
    }

    #[rstest]
    #[case("Basic YWRtaW46", Unreadable::Scheme)]
    #[case("", Unreadable::Scheme)]
    #[case("Digest", Unreadable::Missing("username"))]
    #[case(
        r#"Digest username="a",realm="r",nonce="n",uri="/""#,
        Unreadable::Missing("response")
    )]
    #[case(r#"Digest username="a",username="b""#, Unreadable::Twice("username".to_owned()))]
    #[case(r#"Digest username="a"#, Unreadable::Syntax(r#"username="a"#.to_owned()))]
    #[case(r#"Digest username="a"b"#, Unreadable::Syntax(r#"username="a"b"#.to_owned()))]
    #[case("Digest =a", Unreadable::Syntax("=a".to_owned()))]
    #[case("Digest username", Unreadable::Syntax("username".to_owned()))]
    fn refused(#[case] header: &str, #[case] expected: Unreadable) {
        assert_eq!(Login::parse(header), Err(expected));
    }

    #[test]
    fn a_backslash_hides_a_quotation_mark() {
        let header = r#"Digest username="a\"b\\c",realm="",nonce="",uri="",response="""#;
        assert_eq!(Login::parse(header).unwrap().user, r#"a"b\c"#);
    }

    #[rstest]
    #[case("00000010", Some(16))]
    #[case("ffffffff", Some(u32::MAX))]
    #[case("1", None)]
    #[case("+0000001", None)]
    #[case("000000001", None)]
    #[case("", None)]
    fn counts(#[case] text: &str, #[case] expected: Option<u32>) {
        let login = Login {
            count: Some(text.to_owned()),
            ..Login::default()
        };
        assert_eq!(login.count(), expected);
    }

    proptest! {
        #[test]
        fn no_header_is_a_panic(rest in "(Digest )?.{0,80}") {
            let _ = Login::parse(&rest);
        }

        #[test]
        fn no_parameters_are_a_panic(rest in r#"Digest ([a-z]{0,8} ?=? ?"?[a-z"\\, é]{0,6}"?,? ?){0,8}"#) {
            let _ = Login::parse(&rest);
        }
    }
}
