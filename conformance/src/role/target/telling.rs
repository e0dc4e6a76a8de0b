//! Telling a service about a device, in the way that its target file describes.

use std::fs;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use super::Target;
use super::external::not_run;
use super::process::{Ended, run};
use super::service::Request;
use crate::scenario::Template;
use crate::scenario::placeholder::Values;
use crate::wire::http;
use crate::wire::pipe::{Dialer, PipeError, TcpDialer};
use crate::wire::tls::{TlsDialer, TlsOptions};

/// How long an answer over HTTP may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes the file that the service reads.
pub(super) fn write(path: &Template, text: &Template, values: Values<'_>) -> Result<(), String> {
    let path = path.fill(values);
    fs::write(&path, text.fill(values)).map_err(|error| format!("{path}: {error}"))
}

/// Runs the target's program once more, to its end.
pub(super) fn command(
    target: &Target,
    program: &Path,
    args: &[Template],
    values: Values<'_>,
) -> Result<(), String> {
    let invocation = target.invocation(program, args, values);
    let finished = run(&invocation, None).map_err(|error| not_run(program, &error))?;
    match finished.ended {
        Ended::Exit(code) if target.exit.done.contains(&code) => Ok(()),
        ended => {
            let said = finished.said().unwrap_or("it says nothing more");
            let words = invocation.args.join(" ");
            Err(format!("`{} {words}`: {ended}: {said}", program.display()))
        }
    }
}

/// A request with everything filled in.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Call {
    pub(super) fn of(request: &Request, values: Values<'_>) -> Self {
        let headers = request.headers.iter();
        Self {
            method: request.method.clone(),
            url: request.url.fill(values),
            headers: headers
                .map(|(name, value)| (name.clone(), value.fill(values)))
                .collect(),
            body: request.body.fill(values),
        }
    }

    /// The text of the answer; one of 2xx is success.
    pub(super) fn make(&self) -> Result<String, String> {
        let Self {
            method,
            url,
            headers,
            body,
        } = self;
        let address = Url::parse(url)?;
        let ip = resolve(&address)?;
        let tcp = TcpDialer::new(ip);
        let answer = match address.secure {
            // It is the user's own service, at an address that the user wrote down.
            true => ask(
                &TlsDialer::new(&tcp, TlsOptions::default()),
                &address,
                method,
                headers,
                body,
            ),
            false => ask(&tcp, &address, method, headers, body),
        };
        let answer = answer.map_err(|error| format!("{method} {url}: {error}"))?;
        match answer.status {
            200..300 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            status => Err(format!("{method} {url}: {status} {}", answer.reason)),
        }
    }
}

fn ask(
    dialer: &dyn Dialer,
    url: &Url<'_>,
    method: &str,
    headers: &[(String, String)],
    body: &str,
) -> Result<http::Response, PipeError> {
    let mut head = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", url.path, url.host());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!(
        "Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut pipe = dialer.open(url.port)?;
    pipe.send(head.as_bytes())?;
    pipe.send(body.as_bytes())?;
    let mut bytes = Vec::new();
    loop {
        let more = pipe.receive(PATIENCE)?;
        let ended = more.is_empty();
        bytes.extend(more);
        let answer = http::response(&bytes, ended)
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        match answer {
            Some(answer) => return Ok(answer),
            None if ended => return Err(PipeError::Ended),
            None => {}
        }
    }
}

/// `http://HOST[:PORT]/PATH`.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    secure: bool,
    name: &'a str,
    port: u16,
    path: &'a str,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let wrong = || format!("{text}: not an address such as http://127.0.0.1:8080/devices");
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(wrong()),
        };
        let (place, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let usual = if secure { 443 } else { 80 };
        // The colons of an IPv6 address stand in brackets.
        let (name, port) = match place.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => {
                (name, port.parse().map_err(|_| wrong())?)
            }
            _ => (place, usual),
        };
        let name = name.trim_matches(['[', ']']);
        if name.is_empty() || name.contains('@') {
            return Err(wrong());
        }
        Ok(Self {
            secure,
            name,
            port,
            path,
        })
    }

    fn host(&self) -> String {
        match self.name.contains(':') {
            true => format!("[{}]:{}", self.name, self.port),
            false => format!("{}:{}", self.name, self.port),
        }
    }
}

fn resolve(url: &Url<'_>) -> Result<IpAddr, String> {
    let found = (url.name, url.port).to_socket_addrs();
    let mut found = found.map_err(|error| format!("{}: {error}", url.name))?;
    match found.next() {
        Some(address) => Ok(address.ip()),
        None => Err(format!("{}: no address", url.name)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://localhost/", false, "localhost", 80, "/")]
    #[case("https://127.0.0.1:8443/a/b?c", true, "127.0.0.1", 8443, "/a/b?c")]
    #[case("http://[::1]:8080", false, "::1", 8080, "/")]
    #[case("https://[::1]/x", true, "::1", 443, "/x")]
    fn an_address_is_read(
        #[case] text: &str,
        #[case] secure: bool,
        #[case] name: &str,
        #[case] port: u16,
        #[case] path: &str,
    ) {
        let wanted = Url {
            secure,
            name,
            port,
            path,
        };
        assert_eq!(Url::parse(text), Ok(wanted));
    }

    #[rstest]
    #[case("ftp://localhost/")]
    #[case("http://")]
    #[case("http://:80/")]
    #[case("http://host:port/")]
    #[case("http://user@host/")]
    fn other_texts_are_refused(#[case] text: &str) {
        assert!(Url::parse(text).is_err());
    }

    #[rstest]
    #[case("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", true)]
    #[case("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", false)]
    #[case("HTTP/1.1 2", false)]
    fn the_status_decides(#[case] answer: &'static str, #[case] good: bool) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let asked = thread::spawn(move || {
            let (mut peer, _) = server.accept().unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"{\"otp\":1}") {
                let mut buffer = [0; 512];
                let count = peer.read(&mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..count]);
            }
            peer.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(seen).unwrap()
        });
        let url = format!("http://127.0.0.1:{port}/devices");
        let call = Call {
            method: "POST".to_owned(),
            url,
            headers: vec![("X-Key".to_owned(), "secret".to_owned())],
            body: "{\"otp\":1}".to_owned(),
        };
        let told = call.make();
        assert_eq!(told.is_ok(), good, "{told:?}");
        let seen = asked.join().unwrap();
        assert!(seen.starts_with("POST /devices HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("X-Key: secret\r\n"), "{seen}");
    }
}
