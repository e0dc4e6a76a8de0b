//! HTTP answers as a script expects them. An answer is read as a whole; the lines below it look at that same answer.
//!
//! ```text
//! < HTTP 401                                     a whole answer comes, with this status
//! < WWW-Authenticate: Digest realm="*", *        the value of a header
//! < no Transfer-Encoding                         there is no such header
//! < headers Content-Type, Server                 these and no others, in this order
//! < chunks 0220 02FA *                           sizes of its chunks as they are written, but for the last, empty one
//! < body *</html>                                its body, white space at the end left out
//! ```
//! [`TextPattern`] says what stands for what.

use super::pattern::TextPattern;
use super::player::Wrong;
use super::request::Asked;
use crate::scenario::placeholder::Values;
use crate::wire::digest::Challenge;
use crate::wire::http::{self, Response};

/// What must be so of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebAnswer {
    /// It comes.
    Status(u16),
    /// The rest is about the one that came last.
    Header {
        name: String,
        value: TextPattern,
    },
    NoHeader(String),
    Headers(Vec<String>),
    Chunks(TextPattern),
    Body(TextPattern),
}

/// What of HTTP is remembered from line to line.
#[derive(Debug, Default)]
pub struct Visitor {
    pub asked: Option<Asked>,
    last: Option<Response>,
}

impl WebAnswer {
    /// Reads what stands behind `<`; none where that is not about HTTP.
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        let (word, rest) = text.split_once(' ')?;
        let rest = rest.trim();
        let answer = match word {
            "HTTP" => status(rest).map(Self::Status),
            "headers" => names(rest).map(Self::Headers),
            "no" => token(rest).map(|name| Self::NoHeader(name.to_owned())),
            "chunks" => TextPattern::parse(rest).map(Self::Chunks),
            "body" => TextPattern::parse(rest).map(Self::Body),
            _ => {
                let name = word.strip_suffix(':')?;
                // Bytes begin with small letters and digits.
                if !name.starts_with(|first: char| first.is_ascii_uppercase()) {
                    return None;
                }
                token(name).and_then(|name| {
                    let name = name.to_owned();
                    let value = TextPattern::parse(rest)?;
                    Ok(Self::Header { name, value })
                })
            }
        };
        Some(answer)
    }
}

fn status(text: &str) -> Result<u16, String> {
    let status = text
        .parse()
        .ok()
        .filter(|status| (100..600).contains(status));
    status.ok_or_else(|| format!("`{text}` is no status of HTTP: write `< HTTP 401`"))
}

fn names(text: &str) -> Result<Vec<String>, String> {
    let one = |name: &str| token(name.trim()).map(str::to_owned);
    text.split(',').map(one).collect()
}

fn token(text: &str) -> Result<&str, String> {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    match !text.is_empty() && text.chars().all(letter) {
        true => Ok(text),
        false => Err(format!("`{text}` is no name of a header")),
    }
}

impl Visitor {
    /// Takes the first answer out of what came. Says whether there was a whole one; `ended` says that no more comes.
    pub fn take(&mut self, come: &mut Vec<u8>, ended: bool) -> Result<bool, String> {
        let found = http::first_response(come, ended).map_err(|error| error.to_string())?;
        let Some((response, taken)) = found else {
            return Ok(false);
        };
        come.drain(..taken.min(come.len()));
        let header = response.header("www-authenticate");
        // One that this client cannot answer is still there to be looked at.
        if let Some(challenge) = header.and_then(|header| Challenge::parse(header).ok()) {
            let answered = 0;
            self.asked = Some(Asked {
                challenge,
                answered,
            });
        }
        self.last = Some(response);
        Ok(true)
    }

    /// Looks at the answer that came last.
    pub fn look(&self, wanted: &WebAnswer, values: Values<'_>) -> Result<(), Wrong> {
        let Some(response) = &self.last else {
            let nothing = ("an HTTP answer before this line", "there is none");
            return Err((nothing.0.to_owned(), nothing.1.to_owned()));
        };
        let (what, value, pattern) = match wanted {
            WebAnswer::Status(status) if response.status == *status => return Ok(()),
            WebAnswer::Status(status) => {
                let actual = format!("HTTP {} {}", response.status, response.reason);
                return Err((format!("HTTP {status}"), actual));
            }
            WebAnswer::Headers(names) => {
                let actual = response.headers.iter().map(|(name, _)| name.as_str());
                let actual: Vec<&str> = actual.collect();
                return match names.iter().eq(actual.iter()) {
                    true => Ok(()),
                    false => Err((names.join(", "), actual.join(", "))),
                };
            }
            WebAnswer::NoHeader(name) => match response.header(name) {
                None => return Ok(()),
                Some(value) => return Err((format!("no {name}"), format!("{name}: {value}"))),
            },
            WebAnswer::Header { name, value } => match response.header(name) {
                Some(actual) => (format!("{name}: "), actual.to_owned(), value),
                None => {
                    let expected = format!("{name}: {}", value.written());
                    return Err((expected, "no such header".to_owned()));
                }
            },
            WebAnswer::Chunks(sizes) => ("chunks ".to_owned(), response.chunks.join(" "), sizes),
            WebAnswer::Body(pattern) => {
                let body = String::from_utf8_lossy(&response.body);
                ("body ".to_owned(), body.trim_end().to_owned(), pattern)
            }
        };
        match pattern.matches(&value, values) {
            true => Ok(()),
            false => Err((
                format!("{what}{}", pattern.written()),
                format!("{what}{}", shortened(&value)),
            )),
        }
    }
}

/// As much of a text as fits into a report.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 400;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use amt_sim::Device;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::fact::Truth;

    const ANSWER: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"Digest:0\", nonce=\"n\",stale=\"false\",qop=\"auth\"\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n000A\r\n</html>\n\n\n\r\n0\r\n\r\nmore";

    fn look(line: &str) -> Result<(), Wrong> {
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let truth = Truth::of(&device);
        let mut visitor = Visitor::default();
        let mut come = ANSWER.as_bytes().to_vec();
        assert_eq!(visitor.take(&mut come, false), Ok(true));
        assert_eq!(come, b"more");
        assert_eq!(visitor.asked.as_ref().unwrap().challenge.nonce, "n");
        let wanted = WebAnswer::parse(line).unwrap().unwrap();
        visitor.look(&wanted, Values::of_device(&truth, 1))
    }

    #[rstest]
    #[case("HTTP 401", None)]
    #[case("HTTP 200", Some("HTTP 401 Unauthorized"))]
    #[case("Content-Type: text/html", None)]
    #[case("Content-Type: text/*", None)]
    #[case("Content-Type: text", Some("Content-Type: text/html"))]
    #[case("Connection: close", Some("no such header"))]
    #[case("no Connection", None)]
    #[case("no Content-Type", Some("Content-Type: text/html"))]
    #[case("headers WWW-Authenticate, Content-Type, Transfer-Encoding", None)]
    #[case(
        "headers Content-Type, WWW-Authenticate, Transfer-Encoding",
        Some("WWW-Authenticate, Content-Type, Transfer-Encoding")
    )]
    #[case("chunks <4 hex> 000A", None)]
    #[case("chunks 0003", Some("chunks 0003 000A"))]
    #[case("body abc*</html>", None)]
    #[case("body *<html>*", Some("body abc</html>"))]
    fn an_answer_is_looked_at(#[case] line: &str, #[case] actual: Option<&str>) {
        let wrong = look(line).err().map(|(_, actual)| actual);
        assert_eq!(wrong.as_deref(), actual);
    }

    #[rstest]
    #[case("HTTP 4011", "`4011` is no status")]
    #[case("HTTP ok", "`ok` is no status")]
    #[case("headers Date,, Server", "`` is no name of a header")]
    #[case("no such header", "`such header` is no name of a header")]
    #[case("Server: {device.versio}", "no placeholder is called")]
    fn what_is_wrong_is_said(#[case] line: &str, #[case] complaint: &str) {
        let wrong = WebAnswer::parse(line).unwrap().unwrap_err();
        assert!(wrong.starts_with(complaint), "{wrong}");
    }

    #[test]
    fn bytes_are_not_about_http() {
        for line in [
            "0101 0000",
            "u32:0 u32:5",
            "nothing",
            "\"HTTP/1.1 200\"",
            "..*4 00",
        ] {
            assert_eq!(WebAnswer::parse(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_and_no_bytes_are_a_panic(line in "\\PC{0,30}", bytes: Vec<u8>, ended: bool) {
            let _ = WebAnswer::parse(&line);
            let _ = Visitor::default().take(&mut bytes.clone(), ended);
        }
    }
}
