//! HTTP requests as a script writes them, and logins that may be wrong in one thing.
//!
//! ```text
//! > GET /index.htm
//! > POST /wsman Get AMT_GeneralSettings
//! > POST /wsman "<not xml" as admin
//! > GET /index.htm as admin "secret" nc=00000001
//! > GET /index.htm as $$OsAdmin @password
//! ```
//! A login answers the last challenge that came, on whichever connection. Each of its fields can be replaced:
//! `realm`, `nonce`, `uri`, `qop`, `nc`, `cnonce`, `algorithm`; `none` leaves one out. The response is that of the fields
//! as they are sent, but for the realm, which the device has hashed into what it keeps of a password. `response=` replaces
//! that too; `response=first-31` sends its first 31 digits.

use amt_sim::Preset;

use super::bytes::{Kept, template, token_end, unescape};
use crate::scenario::placeholder::{Template, Values};
use crate::wire::digest::{Challenge, Claim, a1};
use crate::wire::soap::{self, Operation};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    method: String,
    path: String,
    body: Body,
    login: Option<Login>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    Nothing,
    Text(Template),
    /// WS-Management: Get of the only instance of a class.
    Get(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Login {
    user: String,
    password: Password,
    replaced: Vec<(Field, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Password {
    /// That of `admin` on a device that a preset has set up.
    Preset,
    Text(Template),
    /// What was kept of an answer, up to its first zero.
    Kept(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Realm,
    Nonce,
    Uri,
    Protection,
    Count,
    ClientNonce,
    Algorithm,
    Response,
}

impl Field {
    const NAMED: [(&'static str, Self); 8] = [
        ("realm", Self::Realm),
        ("nonce", Self::Nonce),
        ("uri", Self::Uri),
        ("qop", Self::Protection),
        ("nc", Self::Count),
        ("cnonce", Self::ClientNonce),
        ("algorithm", Self::Algorithm),
        ("response", Self::Response),
    ];
}

/// What the device asked for last, and how often that was answered.
#[derive(Debug, Clone)]
pub struct Asked {
    pub challenge: Challenge,
    pub answered: u32,
}

impl Request {
    const METHODS: [&'static str; 6] = ["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"];

    /// Reads what stands behind `>`; none where that does not begin with a method.
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        let method = text.split_whitespace().next()?;
        Self::METHODS
            .contains(&method)
            .then(|| Self::read(text).map_err(|wrong| format!("{wrong}; {HOW}")))
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut words = Words { rest: text };
        let method = words.next()?.unwrap_or_default().to_owned();
        let path = words.next()?.ok_or("a request has a path")?.to_owned();
        let mut request = Self {
            method,
            path,
            body: Body::Nothing,
            login: None,
        };
        while let Some(word) = words.next()? {
            match word {
                "as" if request.login.is_none() => {
                    request.login = Some(Login::read(&mut words)?);
                }
                "Get" if request.body == Body::Nothing => {
                    let class = words.next()?.ok_or("`Get` takes a class")?;
                    request.body = Body::Get(class.to_owned());
                }
                text if text.starts_with('"') && request.body == Body::Nothing => {
                    request.body = Body::Text(quoted(text)?);
                }
                other => return Err(format!("`{other}` does not belong there")),
            }
        }
        Ok(request)
    }

    /// The bytes of it. A login wants to be asked for first.
    pub fn bytes(
        &self,
        asked: Option<&mut Asked>,
        values: Values<'_>,
        kept: &Kept,
    ) -> Result<Vec<u8>, String> {
        let Self { method, path, .. } = self;
        let body = match &self.body {
            Body::Nothing => String::new(),
            Body::Text(text) => text.fill(values),
            Body::Get(class) => soap::envelope(class, Operation::Get, "1"),
        };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: amt\r\n");
        if let Some(login) = &self.login {
            let asked = asked.ok_or("the device has asked for no login yet")?;
            let header = login.header((method, path, &body), asked, values, kept)?;
            head += &format!("Authorization: {header}\r\n");
        }
        if method != "GET" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        Ok(format!("{head}\r\n{body}").into_bytes())
    }
}

const HOW: &str = "write METHOD PATH, then perhaps \"a body\" or Get CLASS, then perhaps as USER";

impl Login {
    /// Everything behind `as`.
    fn read(words: &mut Words<'_>) -> Result<Self, String> {
        let user = words.next()?.ok_or("`as` takes the name of a user")?;
        let mut login = Self {
            user: user.to_owned(),
            password: Password::Preset,
            replaced: Vec::new(),
        };
        while let Some(word) = words.next()? {
            if let Some(name) = word.strip_prefix('@') {
                login.password = Password::Kept(name.to_owned());
            } else if word.starts_with('"') {
                login.password = Password::Text(quoted(word)?);
            } else {
                login.replaced.push(replaced(word)?);
            }
        }
        Ok(login)
    }

    fn header(
        &self,
        (method, path, body): (&str, &str, &str),
        asked: &mut Asked,
        values: Values<'_>,
        kept: &Kept,
    ) -> Result<String, String> {
        let password = match &self.password {
            Password::Preset => Preset::PASSWORD.to_owned(),
            Password::Text(text) => text.fill(values),
            Password::Kept(name) => {
                let bytes = kept.get(name);
                let bytes = bytes.ok_or_else(|| format!("nothing was kept as `@{name}`"))?;
                let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                String::from_utf8_lossy(text).into_owned()
            }
        };
        asked.answered += 1;
        let Challenge { realm, nonce } = &asked.challenge;
        let secret = a1(&self.user, realm, &password);
        let mut claim = Claim {
            user: self.user.clone(),
            realm: realm.clone(),
            nonce: nonce.clone(),
            uri: path.to_owned(),
            protection: Some("auth".to_owned()),
            count: Some(format!("{:08x}", asked.answered)),
            client_nonce: Some("probe".to_owned()),
            algorithm: None,
        };
        let mut response = None;
        for (field, value) in &self.replaced {
            let present = (value != "none").then(|| value.clone());
            match field {
                Field::Realm => claim.realm.clone_from(value),
                Field::Nonce => claim.nonce.clone_from(value),
                Field::Uri => claim.uri.clone_from(value),
                Field::Protection => claim.protection = present,
                Field::Count => claim.count = present,
                Field::ClientNonce => claim.client_nonce = present,
                Field::Algorithm => claim.algorithm = present,
                Field::Response => response = Some(value),
            }
        }
        let right = claim.response(&secret, method, body.as_bytes());
        let response = match response {
            None => right,
            Some(value) => match first_digits(value) {
                Some(count) => right.get(..count).unwrap_or(&right).to_owned(),
                None => value.clone(),
            },
        };
        Ok(claim.header(&response))
    }
}

/// `first-31`
fn first_digits(value: &str) -> Option<usize> {
    value.strip_prefix("first-")?.parse().ok()
}

fn replaced(word: &str) -> Result<(Field, String), String> {
    let (name, value) = word.split_once('=').ok_or_else(|| {
        format!("`{word}` is no field of a login, and a password stands in quotes")
    })?;
    let known = Field::NAMED.iter().find(|(known, _)| *known == name);
    let (_, field) = known.ok_or_else(|| {
        let names = Field::NAMED.map(|(known, _)| known);
        format!(
            "no field of a login is called `{name}`; there are {}",
            names.join(", ")
        )
    })?;
    Ok((*field, value.trim_matches('"').to_owned()))
}

fn quoted(word: &str) -> Result<Template, String> {
    let text = word.strip_prefix('"').unwrap_or(word);
    template(&unescape(text.strip_suffix('"').unwrap_or(text))?)
}

/// Words, and texts in quotes.
struct Words<'t> {
    rest: &'t str,
}

impl<'t> Words<'t> {
    fn next(&mut self) -> Result<Option<&'t str>, String> {
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (word, rest) = self.rest.split_at(token_end(self.rest)?);
        self.rest = rest;
        Ok(Some(word))
    }
}

#[cfg(test)]
mod tests {
    use amt_sim::Device;
    use rstest::rstest;

    use super::*;
    use crate::fact::Truth;

    fn asked() -> Asked {
        Asked {
            challenge: Challenge {
                realm: "Digest:00".to_owned(),
                nonce: "abc".to_owned(),
            },
            answered: 0,
        }
    }

    fn bytes(line: &str) -> Result<String, String> {
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let truth = Truth::of(&device);
        let kept = Kept::from([("password".to_owned(), b"secret\0\0".to_vec())]);
        let request = Request::parse(line).unwrap()?;
        let bytes = request.bytes(Some(&mut asked()), Values::of_device(&truth, 1), &kept)?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_request_is_whole() {
        assert_eq!(
            bytes("GET /index.htm").unwrap(),
            "GET /index.htm HTTP/1.1\r\nHost: amt\r\n\r\n"
        );
        assert_eq!(
            bytes("POST /wsman \"<a/>\"").unwrap(),
            "POST /wsman HTTP/1.1\r\nHost: amt\r\nContent-Length: 4\r\n\r\n<a/>"
        );
        let get = bytes("POST /wsman Get AMT_GeneralSettings").unwrap();
        assert!(get.contains("transfer/Get</a:Action>"), "{get}");
    }

    /// The same login, as `wire::digest` writes it.
    #[test]
    fn a_login_is_what_any_client_says() {
        let header = asked()
            .challenge
            .answer("admin", "secret", "GET", "/", 1, "probe");
        let line = format!("\r\nAuthorization: {header}\r\n");
        for password in ["\"secret\"", "@password"] {
            let request = bytes(&format!("GET / as admin {password}")).unwrap();
            assert!(request.contains(&line), "{request}");
        }
        assert!(!bytes("GET / as admin").unwrap().contains(&line));
    }

    #[rstest]
    #[case("realm=x", "realm=\"x\"", true)]
    #[case("nonce=x", "nonce=\"x\"", false)]
    #[case("uri=/x", "uri=\"/x\"", false)]
    #[case("qop=auth-int", "qop=auth-int", false)]
    #[case("nc=0000000f", "nc=0000000f", false)]
    #[case("cnonce=x", "cnonce=\"x\"", false)]
    #[case("algorithm=MD5", "algorithm=MD5", true)]
    #[case("response=\"\"", "response=\"\"", false)]
    fn one_field_is_otherwise(#[case] field: &str, #[case] said: &str, #[case] same: bool) {
        let honest = bytes("GET / as admin").unwrap();
        let other = bytes(&format!("GET / as admin {field}")).unwrap();
        assert!(other.contains(said), "{other}");
        let response = |text: &str| {
            let rest = text.split_once("response=\"").unwrap().1;
            rest.split_once('"').unwrap().0.to_owned()
        };
        assert_eq!(response(&honest) == response(&other), same);
    }

    #[test]
    fn a_part_of_the_response_is_a_part_of_it() {
        let honest = bytes("GET / as admin").unwrap();
        let part = bytes("GET / as admin response=first-31").unwrap();
        let (_, rest) = part.split_once("response=\"").unwrap();
        let (digits, _) = rest.split_once('"').unwrap();
        assert_eq!(digits.len(), 31);
        assert!(honest.contains(&format!("response=\"{digits}")));
        let without = bytes("GET / as admin qop=none nc=none cnonce=none").unwrap();
        assert!(!without.contains("nonce=\"probe\"") && !without.contains("qop"));
    }

    #[rstest]
    #[case("GET", "a request has a path")]
    #[case("GET / twice", "`twice` does not belong there")]
    #[case("GET / as", "`as` takes the name of a user")]
    #[case("GET / as admin secret", "a password stands in quotes")]
    #[case(
        "GET / as admin respons=\"\"",
        "no field of a login is called `respons`"
    )]
    #[case("POST / Get", "`Get` takes a class")]
    #[case("POST / \"a", "a quote without its partner")]
    #[case("GET / as admin @nobody", "nothing was kept as `@nobody`")]
    fn what_is_wrong_is_said(#[case] line: &str, #[case] complaint: &str) {
        let wrong = bytes(line).unwrap_err();
        assert!(wrong.contains(complaint), "{wrong}");
    }

    #[test]
    fn nobody_logs_in_unasked() {
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let truth = Truth::of(&device);
        let request = Request::parse("GET / as admin").unwrap().unwrap();
        let values = Values::of_device(&truth, 1);
        assert!(request.bytes(None, values, &Kept::new()).is_err());
        assert!(Request::parse("0101 0000").is_none());
    }
}
