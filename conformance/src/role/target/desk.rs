//! Where a console that is a program finds agent and SCA: two addresses on loopback, behind which the harness lets
//! whoever has these parts answer.
//!
//! A question is a line of JSON, or the body of an HTTP request to any path; the answer comes the same way. What is
//! asked and answered is in [`talk`](crate::role::network::talk).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::role::network::talk::Listener;

/// A question is a few hundred bytes.
const LONGEST: usize = 64 * 1024;

/// How long the console may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One party's address.
#[derive(Debug)]
pub(super) struct Desk {
    door: TcpListener,
    address: SocketAddr,
    callers: Vec<Caller>,
}

#[derive(Debug)]
struct Caller {
    stream: TcpStream,
    said: Vec<u8>,
}

impl Desk {
    pub(super) fn open() -> io::Result<Self> {
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        door.set_nonblocking(true)?;
        Ok(Self {
            address: door.local_addr()?,
            door,
            callers: Vec::new(),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets the party answer everything that was asked by now; whether there was anything.
    pub(super) fn serve(&mut self, party: &mut dyn Listener) -> bool {
        let mut busy = false;
        while let Ok((stream, _)) = self.door.accept() {
            // Without both it could keep everybody waiting.
            let set = stream.set_nonblocking(true);
            if set
                .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
                .is_ok()
            {
                self.callers.push(Caller {
                    stream,
                    said: Vec::new(),
                });
            }
            busy = true;
        }
        self.callers.retain_mut(|caller| {
            let stays = caller.listen(&mut busy);
            // Whoever has hung up may still have asked.
            stays & caller.answer(party)
        });
        busy
    }
}

impl Caller {
    /// Takes what has come; whether there may come more.
    fn listen(&mut self, busy: &mut bool) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    *busy = true;
                    self.said
                        .extend_from_slice(buffer.get(..count).unwrap_or_default());
                    if self.said.len() > LONGEST {
                        return false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Answers every question that is complete; whether the caller still listens.
    fn answer(&mut self, party: &mut dyn Listener) -> bool {
        while let Some(question) = question(&self.said) {
            let rest = self.said.split_off(question.end);
            let text = self.said.get(question.start..).unwrap_or_default();
            let answer = party.answer(String::from_utf8_lossy(text).trim());
            self.said = rest;
            let told = match question.http {
                true => format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
                    answer.len()
                ),
                false => format!("{answer}\n"),
            };
            let sent = self
                .stream
                .set_nonblocking(false)
                .and_then(|()| self.stream.write_all(told.as_bytes()))
                .and_then(|()| self.stream.set_nonblocking(true));
            if sent.is_err() {
                return false;
            }
        }
        true
    }
}

/// The first question of these bytes, where it is complete.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    http: bool,
    start: usize,
    end: usize,
}

fn question(said: &[u8]) -> Option<Question> {
    let find = |what: &[u8]| said.windows(what.len()).position(|part| part == what);
    if said.first().is_none_or(|first| !first.is_ascii_uppercase()) {
        let end = find(b"\n")? + 1;
        return Some(Question {
            http: false,
            start: 0,
            end,
        });
    }
    let start = find(b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(said.get(..start)?).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0);
    let end = start.checked_add(length)?;
    (said.len() >= end).then_some(Question {
        http: true,
        start,
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    struct Parrot;

    impl Listener for Parrot {
        fn answer(&mut self, line: &str) -> String {
            format!("<{line}>")
        }
    }

    /// What comes back when this is said, piece by piece, and the caller hangs up.
    fn heard(pieces: &[&str]) -> String {
        let mut desk = Desk::open().unwrap();
        let mut caller = TcpStream::connect(desk.address()).unwrap();
        let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
        let asking = std::thread::spawn(move || {
            for piece in pieces {
                caller.write_all(piece.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
            caller.shutdown(std::net::Shutdown::Write).unwrap();
            let mut back = String::new();
            caller.read_to_string(&mut back).unwrap();
            back
        });
        while !asking.is_finished() {
            desk.serve(&mut Parrot);
        }
        asking.join().unwrap()
    }

    #[rstest]
    #[case::lines(&["a\nb\n"], "<a>\n<b>\n")]
    #[case::a_line_in_two(&["{\"a", "\": 1}\r\n"], "<{\"a\": 1}>\n")]
    #[case::half_a_line(&["{\"a"], "")]
    #[case::a_request(
        &["POST /x HTTP/1.1\r\ncontent-", "length: 3\r\n\r\n{", "}\n"],
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n<{}>"
    )]
    fn questions_are_answered_as_they_were_asked(#[case] said: &[&str], #[case] back: &str) {
        assert_eq!(heard(said), back);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(said in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(question) = question(&said) {
                prop_assert!(question.start <= question.end && question.end <= said.len());
            }
        }

        #[test]
        fn no_length_is_a_panic(length in any::<u64>()) {
            let said = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
            let _ = question(said.as_bytes());
        }
    }
}
