//! The revocation lists of on-die authorities over HTTP, as the server would give them that certificates name.
//!
//! ```text
//!   certificate: https://tsci.intel.com/content/OnDieCA/crls/FILE
//!   here:        http://127.0.0.1:PORT/content/OnDieCA/crls/FILE      application/pkix-crl, DER
//! ```
//! The name does not lead here, and there is no TLS: whoever checks lists is told the address of this server and asks it
//! for the path. Lists are signed, so RFC 5280 has them fetched without TLS. A request that names the whole address, as a
//! proxy gets it, is answered by its path too.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::local_ports::{PortsError, Reach};
use super::poll::poll;
use super::worker::Worker;
use crate::http::parser::{Parser, Request, Step};
use crate::pki::RevocationList;

/// Served until it is stopped or dropped.
#[derive(Debug)]
pub struct RevocationServer {
    address: SocketAddr,
    worker: Worker,
}

impl RevocationServer {
    /// Serves these lists, each at the path of its address. Port 0 is any that is free.
    pub fn open(
        address: SocketAddr,
        reach: Reach,
        lists: Vec<RevocationList>,
    ) -> Result<Self, PortsError> {
        reach.allow(address.ip())?;
        let failed = |source| PortsError::of_listening(address, source);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let worker = Worker::start(
            "revocation",
            "the thread of the revocation lists",
            move |stop| serve(&listener, &lists, stop),
        );
        let worker = worker.map_err(|source| PortsError::Thread { source })?;
        Ok(Self { address, worker })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn stop(self) -> io::Result<()> {
        self.worker.stop()
    }
}

fn serve(listener: &TcpListener, lists: &[RevocationList], stop: BorrowedFd<'_>) -> io::Result<()> {
    /// Who comes beyond that waits until somebody has gone.
    const MOST: usize = 64;
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let room = if clients.len() < MOST {
            libc::POLLIN
        } else {
            0
        };
        let mut watched = vec![(stop, libc::POLLIN), (listener.as_fd(), room)];
        watched.extend(
            clients
                .iter()
                .map(|client| (client.socket.as_fd(), client.interest())),
        );
        let first = clients.iter().map(|client| client.until).min();
        let shown = poll(
            &watched,
            first.map(|until| until.saturating_duration_since(Instant::now())),
        )?;
        let (stopped, arrived, of_clients) = match shown.as_slice() {
            [stopped, arrived, rest @ ..] => (*stopped, *arrived, rest),
            _ => return Ok(()),
        };
        if stopped != 0 {
            return Ok(());
        }
        let now = Instant::now();
        let mut shown = of_clients.iter();
        clients.retain_mut(|client| {
            let shown = shown.next().is_some_and(|events| *events != 0);
            now < client.until && (!shown || client.serve(lists, now).is_ok())
        });
        if arrived != 0 {
            // One that went away again while it waited is no failure of the server's.
            if let Ok((socket, _)) = listener.accept() {
                clients.extend(Client::new(socket, now));
            }
        }
    }
}

/// One connection.
struct Client {
    socket: TcpStream,
    parser: Parser,
    /// What the socket did not take yet.
    outbox: Vec<u8>,
    /// No further request is answered; the rest is for the peer to close first, so that it gets everything.
    parting: bool,
    /// When it is given up.
    until: Instant,
}

/// The connection can be forgotten.
struct Gone;

impl Client {
    const PATIENCE: Duration = Duration::from_secs(30);

    fn new(socket: TcpStream, now: Instant) -> Option<Self> {
        socket.set_nonblocking(true).ok()?;
        Some(Self {
            socket,
            parser: Parser::default(),
            outbox: Vec::new(),
            parting: false,
            until: now + Self::PATIENCE,
        })
    }

    fn interest(&self) -> i16 {
        match self.outbox.is_empty() {
            true => libc::POLLIN,
            false => libc::POLLOUT,
        }
    }

    /// Does what can be done without waiting. Nothing is read while an answer is not taken.
    fn serve(&mut self, lists: &[RevocationList], now: Instant) -> Result<(), Gone> {
        if self.outbox.is_empty() {
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes) {
                Ok(0) => return Err(Gone),
                Ok(length) if !self.parting => {
                    self.parser.push(bytes.get(..length).unwrap_or_default());
                    self.until = now + Self::PATIENCE;
                }
                Ok(_) => return Ok(()),
                Err(error) => return is_passing(&error),
            }
        }
        loop {
            self.flush()?;
            if self.parting || !self.outbox.is_empty() {
                return Ok(());
            }
            match self.parser.step(true) {
                Step::More => return Ok(()),
                Step::Request(request) => {
                    self.parting = !request.head.keeps_alive();
                    self.outbox = answer(lists, &request, self.parting);
                }
                Step::Broken(_) => {
                    self.parting = true;
                    self.outbox = response("400 Bad Request", "", None, true);
                }
            }
        }
    }

    fn flush(&mut self) -> Result<(), Gone> {
        while !self.outbox.is_empty() {
            match self.socket.write(&self.outbox) {
                Ok(0) => return Err(Gone),
                Ok(length) => {
                    self.outbox.drain(..length);
                }
                Err(error) => return is_passing(&error),
            }
        }
        if self.parting {
            self.socket.shutdown(Shutdown::Write).map_err(|_| Gone)?;
        }
        Ok(())
    }
}

fn is_passing(error: &io::Error) -> Result<(), Gone> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
        _ => Err(Gone),
    }
}

/// What the server says to one request.
fn answer(lists: &[RevocationList], request: &Request, closes: bool) -> Vec<u8> {
    let head = &request.head;
    let list = lists.iter().find(|list| list.path() == head.path());
    match (list, head.method.as_str()) {
        (None, _) => response("404 Not Found", "", None, closes),
        (Some(list), "GET") => response("200 OK", "", Some((&list.der, true)), closes),
        (Some(list), "HEAD") => response("200 OK", "", Some((&list.der, false)), closes),
        (Some(_), _) => response(
            "405 Method Not Allowed",
            "Allow: GET, HEAD\r\n",
            None,
            closes,
        ),
    }
}

/// `list`: its bytes, and whether they follow.
fn response(status: &str, more: &str, list: Option<(&[u8], bool)>, closes: bool) -> Vec<u8> {
    let (der, follows) = list.unwrap_or_default();
    let kind = match list {
        Some(_) => "Content-Type: application/pkix-crl\r\n",
        None => "",
    };
    let close = if closes { "Connection: close\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\n{kind}{more}Content-Length: {}\r\n{close}\r\n",
        der.len()
    );
    let body = if follows { der } else { &[] };
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rstest::rstest;

    use super::*;
    use crate::pki::{ListForm, Platform, revocation_lists};

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    fn lists() -> Vec<RevocationList> {
        let platform = Platform {
            family: "LNL".to_owned(),
            amt: 20,
        };
        revocation_lists([&platform], ListForm::Right).unwrap()
    }

    fn server() -> RevocationServer {
        RevocationServer::open(LOOPBACK, Reach::Loopback, lists()).unwrap()
    }

    /// Everything that comes until the server closes.
    fn ask(server: &RevocationServer, request: &str) -> Vec<u8> {
        let mut socket = TcpStream::connect(server.address()).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut all = Vec::new();
        socket.read_to_end(&mut all).unwrap();
        all
    }

    fn path(file: &str) -> String {
        format!("/content/OnDieCA/crls/{file}")
    }

    #[test]
    fn every_list_by_its_path() {
        let server = server();
        for list in lists() {
            let path = path(list.file());
            assert_eq!(list.path(), path);
            let asked = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let answer = ask(&server, &asked);
            assert!(
                answer.starts_with(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\n")
            );
            assert!(answer.ends_with(&list.der));
        }
        server.stop().unwrap();
    }

    #[rstest]
    #[case("GET", "/content/OnDieCA/crls/", "404")]
    #[case("GET", "/", "404")]
    #[case("GET", "/content/OnDieCA/crls/ODCA_CA2_CSME_Indirect.crl", "200")]
    #[case(
        "GET",
        "http://tsci.intel.com/content/OnDieCA/crls/ODCA_CA2_CSME_Indirect.crl",
        "200"
    )]
    #[case("HEAD", "/content/OnDieCA/crls/ODCA_CA2_CSME_Indirect.crl", "200")]
    #[case("POST", "/content/OnDieCA/crls/ODCA_CA2_CSME_Indirect.crl", "405")]
    #[case("nonsense", " nonsense nonsense", "400")]
    fn one_request(#[case] method: &str, #[case] target: &str, #[case] status: &str) {
        let server = server();
        let asked = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = ask(&server, &asked);
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
        let has_body = !answer.ends_with(b"\r\n\r\n");
        assert_eq!(has_body, method == "GET" && status == "200");
    }

    #[test]
    fn a_connection_serves_many_and_many_are_served_at_once() {
        let server = server();
        // Silent ones stand in nobody's way.
        let silent: Vec<TcpStream> = (0..8)
            .map(|_| TcpStream::connect(server.address()).unwrap())
            .collect();
        let once = format!("HEAD {} HTTP/1.1\r\nHost: x\r\n", path("OnDie_CA.crl"));
        let asked = format!("{once}\r\n{once}\r\n{once}Connection: close\r\n\r\n");
        let answer = String::from_utf8(ask(&server, &asked)).unwrap();
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3);
        drop(silent);
    }

    #[test]
    fn only_for_this_machine_unless_told() {
        let open = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let refused = RevocationServer::open(open, Reach::Loopback, Vec::new());
        assert!(matches!(refused, Err(PortsError::NotLoopback(_))));
        let server = server();
        let taken = RevocationServer::open(server.address(), Reach::Loopback, Vec::new());
        assert!(matches!(taken, Err(PortsError::InUse(..))));
    }
}
