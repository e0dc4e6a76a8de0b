//! A client that knows the password, as RFC 7616 tells it to log in.

use amt_sim::device::{Interface, digest_a1};
use amt_sim::{Device, StreamId, hex};
use md5::{Digest as _, Md5};

use super::{PORT, answers, take};

/// What a client draws; nothing hangs on it here.
pub const CLIENT_NONCE: &str = "0a4f113b";

/// One user, with the nonce that the device gave last.
#[derive(Debug)]
pub struct Login {
    user: String,
    password: String,
    realm: String,
    nonce: String,
    count: u32,
    /// The connection that is kept, and its side.
    stream: Option<(StreamId, Interface)>,
}

impl Login {
    pub fn new(user: String, password: String) -> Self {
        Self {
            user,
            password,
            realm: String::new(),
            nonce: String::new(),
            count: 0,
            stream: None,
        }
    }

    /// Posts until the device lets the user in or says no to a fresh nonce: status and body of the last answer.
    pub fn post(&mut self, device: &mut Device, side: Interface, body: &[u8]) -> (u16, Vec<u8>) {
        let mut last = (0, Vec::new());
        for _ in 0..3 {
            let mut request = format!(
                "POST /wsman HTTP/1.1\r\nHost: 127.0.0.1:16992\r\n{}Content-Type: application/soap+xml; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
                self.authorization(),
                body.len()
            )
            .into_bytes();
            request.extend_from_slice(body);
            let Some(stream) = self.stream(device, side) else {
                return last;
            };
            device.stream_receive(stream, &request);
            let bytes = take(device, stream);
            assert!(bytes.len() <= 1024 * 1024, "{} bytes", bytes.len());
            let stale = challenge(&bytes);
            last = answers(&bytes).pop().expect("one request, one answer");
            if device.stream_finished(stream) {
                self.hang_up(device);
            }
            match stale {
                Some((realm, nonce)) if last.0 == 401 => {
                    self.realm = realm;
                    self.nonce = nonce;
                    self.count = 0;
                }
                _ => break,
            }
        }
        last
    }

    pub fn hang_up(&mut self, device: &mut Device) {
        if let Some((stream, _)) = self.stream.take() {
            device.stream_close(stream);
        }
    }

    fn stream(&mut self, device: &mut Device, side: Interface) -> Option<StreamId> {
        if let Some((stream, known)) = self.stream {
            if known == side && !device.stream_finished(stream) {
                return Some(stream);
            }
            self.hang_up(device);
        }
        let stream = device.stream_open(side, PORT).ok()?;
        self.stream = Some((stream, side));
        Some(stream)
    }

    /// The header, as Go clients write it; nothing while there is no nonce.
    fn authorization(&mut self) -> String {
        if self.nonce.is_empty() {
            return String::new();
        }
        self.count += 1;
        let (user, realm, nonce) = (&self.user, &self.realm, &self.nonce);
        let count = format!("{:08x}", self.count);
        let a1 = digest_a1(user, realm, &self.password);
        let response = response(&a1, nonce, &count);
        format!(
            "Authorization: Digest username=\"{user}\",realm=\"{realm}\",nonce=\"{nonce}\",uri=\"/wsman\",response=\"{response}\",qop=\"auth\",nc=\"{count}\",cnonce=\"{CLIENT_NONCE}\"\r\n"
        )
    }
}

/// The response to a nonce for a POST to /wsman.
pub fn response(a1: &str, nonce: &str, count: &str) -> String {
    let md5 = |text: String| hex::encode(&Md5::digest(text));
    let a2 = md5("POST:/wsman".to_owned());
    md5(format!("{a1}:{nonce}:{count}:{CLIENT_NONCE}:auth:{a2}"))
}

/// Realm and nonce of the last challenge in these answers.
pub fn challenge(bytes: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let at = text.rfind("WWW-Authenticate: Digest ")?;
    let value = |name: &str| {
        let rest = text.get(at..)?.split_once(&format!("{name}=\""))?.1;
        Some(rest.split('"').next()?.to_owned())
    };
    Some((value("realm")?, value("nonce")?))
}
