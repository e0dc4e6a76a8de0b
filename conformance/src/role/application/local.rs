//! HTTP with digest over the device's local port, one connection a request, and reading what comes back.
//!
//! Source: RFC 9112 for the frame, RFC 2617 section 3.2.2 for the digest.

use std::fmt;

use md5::{Digest as _, Md5};

use super::{Trouble, hex};

/// The device's WS-Management port as programs on the host reach it.
pub trait LocalPort: fmt::Debug {
    /// Opens a connection, sends a request, and gives back what the device sent until it had nothing more to say.
    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, &'static str>;
}

/// A digest account.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: String,
    body: String,
}

impl Login {
    /// Posts an envelope: once to be challenged, once more with the answer to the challenge.
    pub(super) fn post(&self, port: &dyn LocalPort, envelope: &str) -> Result<Answer, Trouble> {
        let challenge = send(port, envelope, "")?;
        if challenge.status != 401 {
            return Ok(challenge);
        }
        let (Some(realm), Some(nonce)) = (challenge.quoted("realm"), challenge.quoted("nonce"))
        else {
            return Err(Trouble::Port("a challenge without realm or nonce"));
        };
        let (nc, cnonce) = ("00000001", "636f6e666f726d");
        let md5 = |text: String| hex(&Md5::digest(text));
        let ha1 = md5(format!("{}:{realm}:{}", self.user, self.password));
        let ha2 = md5("POST:/wsman".to_owned());
        let response = md5(format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"));
        let authorization = format!(
            "Authorization: Digest username=\"{}\",realm=\"{realm}\",nonce=\"{nonce}\",uri=\"/wsman\",\
             qop=auth,nc={nc},cnonce=\"{cnonce}\",response=\"{response}\"\r\n",
            self.user
        );
        send(port, envelope, &authorization)
    }
}

fn send(port: &dyn LocalPort, envelope: &str, authorization: &str) -> Result<Answer, Trouble> {
    let request = format!(
        "POST /wsman HTTP/1.1\r\nHost: 127.0.0.1:16992\r\n{authorization}\
         Content-Type: application/soap+xml;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{envelope}",
        envelope.len()
    );
    let bytes = port.exchange(request.as_bytes()).map_err(Trouble::Port)?;
    Answer::read(&String::from_utf8_lossy(&bytes)).ok_or(Trouble::Port("no HTTP answer"))
}

impl Answer {
    fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let chunked = headers
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked");
        Some(Self {
            status,
            headers: headers.to_owned(),
            body: if chunked {
                unchunked(body)?
            } else {
                body.to_owned()
            },
        })
    }

    /// A quoted value of the challenge.
    fn quoted(&self, name: &str) -> Option<&str> {
        let from = self.headers.split(&format!("{name}=\"")).nth(1)?;
        from.split('"').next()
    }

    /// The text of the first element of this name, whatever its namespace, and of what is in it.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let document = roxmltree::Document::parse(&self.body).ok()?;
        let mut elements = document.descendants();
        let element = elements.find(|node| node.is_element() && node.tag_name().name() == name)?;
        let text: String = element
            .descendants()
            .filter(roxmltree::Node::is_text)
            .filter_map(|node| node.text())
            .collect();
        Some(text.trim().to_owned())
    }
}

fn unchunked(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 section 4.
pub fn base64_encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let word = group
            .iter()
            .chain([&0, &0])
            .take(3)
            .fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
        for place in 0..4 {
            let letter = LETTERS[word >> (18 - 6 * place) & 63];
            out.push(if place > group.len() {
                '='
            } else {
                letter.into()
            });
        }
    }
    out
}

/// The octets of a base64 text, or `None` when it is not one.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut word, mut bits) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let six = LETTERS.iter().position(|known| *known == letter)?;
        word = word << 6 | six as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_frames_are_read() {
        let plain = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"R\", nonce=\"N\"\r\n\r\n";
        let plain = Answer::read(plain).unwrap();
        assert_eq!((plain.status, plain.quoted("nonce")), (401, Some("N")));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       4\r\n<a><\r\n9\r\nb>x</b></\r\n2\r\na>\r\n0\r\n\r\n";
        let chunked = Answer::read(chunked).unwrap();
        assert_eq!(chunked.text("b").as_deref(), Some("x"));
        assert_eq!(chunked.text("c"), None);
    }

    proptest! {
        #[test]
        fn base64_there_and_back(bytes: Vec<u8>) {
            prop_assert_eq!(base64_decode(&base64_encode(&bytes)), Some(bytes));
        }

        #[test]
        fn no_answer_is_a_panic(text in ".{0,60}", body in "[0-9a-f\r\nxé]{0,30}") {
            let _ = Answer::read(&text);
            let _ = Answer::read(&format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}"));
            let _ = base64_decode(&text);
        }
    }
}
