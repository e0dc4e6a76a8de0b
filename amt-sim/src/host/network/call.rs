//! One message that a device wants delivered: where to, and how far it is.
//!
//! ```text
//!   host ──look up──▶ address ──connect──▶ pieces ──▶ FIN, and wait for the peer's ──▶ gone
//!    ▲                   ▲          │failed            └─ or RST ────────────────────▶ gone
//!    └── next host ──────┴──────────┘
//! ```
//! The first address that takes the message gets it; when none does, the device is told why, address by address.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::device::{Dial, DialEnd};
use crate::host::epoll::{READ, WRITE};
use crate::host::resolver::{Known, Names};
use crate::host::sys;

/// How long one address may take to answer, and then to take the message.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the SCA may take to close too.
const PARTING: Duration = Duration::from_secs(2);

/// Between two pieces, so that they do not travel in one segment, and before a RST, which would overtake them.
const BREATH: Duration = Duration::from_millis(20);

/// Pieces that are given a breath each; what follows comes as fast as it can.
const MOST_BREATHS: usize = 50;

/// A [`Dial`] under way.
pub(super) struct Call {
    /// Whose it is.
    pub(super) seat: u32,
    dial: Dial,
    from: Option<IpAddr>,
    hosts: VecDeque<String>,
    addresses: VecDeque<IpAddr>,
    /// What went wrong so far.
    why: String,
    stage: Stage,
}

enum Stage {
    /// Nothing is under way: the next address, or the next host, is to be tried.
    Free,
    Resolving {
        host: String,
    },
    Connecting {
        socket: TcpStream,
        to: SocketAddr,
        until: Instant,
    },
    Sending(Sending),
    /// Everything is sent; only the peer's own end is waited for.
    Parting {
        socket: TcpStream,
        until: Instant,
    },
}

struct Sending {
    socket: TcpStream,
    to: SocketAddr,
    until: Instant,
    /// Bytes written.
    sent: usize,
    /// Breaths taken between pieces.
    breaths: usize,
    /// Nothing is written before that.
    not_before: Option<Instant>,
}

/// What the call needs next.
pub(super) enum Step {
    /// The socket shows something, or a moment comes.
    Wait,
    /// This name's addresses, from the system.
    Ask(String),
    /// The device is to be told; the call may go on to part.
    Ended(DialEnd),
    /// Over and told.
    Over,
}

impl Call {
    pub(super) fn new(seat: u32, dial: Dial, from: Option<IpAddr>) -> Self {
        Self {
            seat,
            hosts: dial.hosts.iter().cloned().collect(),
            dial,
            from,
            addresses: VecDeque::new(),
            why: String::new(),
            stage: Stage::Free,
        }
    }

    pub(super) fn dial(&self) -> u32 {
        self.dial.id
    }

    /// The socket, and what to look for at it.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, u32)> {
        match &self.stage {
            Stage::Free | Stage::Resolving { .. } => None,
            Stage::Connecting { socket, .. } => Some((socket.as_fd(), WRITE)),
            Stage::Sending(sending) => {
                let held = sending.not_before.is_some();
                Some((sending.socket.as_fd(), if held { 0 } else { WRITE }))
            }
            Stage::Parting { socket, .. } => Some((socket.as_fd(), READ)),
        }
    }

    /// When it goes on at the latest.
    pub(super) fn wake(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Free | Stage::Resolving { .. } => None,
            Stage::Connecting { until, .. } | Stage::Parting { until, .. } => Some(*until),
            Stage::Sending(sending) => Some(sending.not_before.unwrap_or(sending.until)),
        }
    }

    /// The system's answer.
    pub(super) fn resolved(&mut self, addresses: Result<Vec<IpAddr>, String>) {
        let Stage::Resolving { host } = &self.stage else {
            return;
        };
        match addresses {
            Ok(addresses) => self.addresses = addresses.into(),
            Err(error) => note(&mut self.why, &format!("{host}: {error}")),
        }
        self.stage = Stage::Free;
    }

    /// Goes on as far as it can without waiting. `shown` is what the socket shows.
    pub(super) fn advance(&mut self, names: &Names, shown: u32, now: Instant) -> Step {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Free) {
                Stage::Free => match self.set_out(names, now) {
                    Some(Step::Wait) | None => {}
                    Some(step) => return step,
                },
                Stage::Resolving { host } => {
                    self.stage = Stage::Resolving { host };
                    return Step::Wait;
                }
                Stage::Connecting { socket, to, until } => match connected(&socket, shown) {
                    Ok(true) => {
                        let _ = socket.set_nodelay(true);
                        self.stage = Stage::Sending(Sending {
                            socket,
                            to,
                            until: now + PATIENCE,
                            sent: 0,
                            breaths: 0,
                            not_before: None,
                        });
                    }
                    Ok(false) if now < until => {
                        self.stage = Stage::Connecting { socket, to, until };
                        return Step::Wait;
                    }
                    Ok(false) => note(&mut self.why, &format!("{to}: no answer")),
                    Err(error) => note(&mut self.why, &format!("{to}: {error}")),
                },
                Stage::Sending(mut sending) => match sending.go_on(&self.dial, now) {
                    Ok(Progress::Stuck) if now < sending.until => {
                        self.stage = Stage::Sending(sending);
                        return Step::Wait;
                    }
                    Ok(Progress::Stuck) => {
                        note(&mut self.why, &format!("{}: takes nothing", sending.to));
                    }
                    Ok(Progress::Written) => self.stage = Stage::Sending(sending),
                    Ok(Progress::All) => {
                        let to = sending.to.to_string();
                        if !self.dial.delivery.reset {
                            self.stage = Stage::Parting {
                                socket: sending.socket,
                                until: now + PARTING,
                            };
                        }
                        return Step::Ended(DialEnd::Sent { to });
                    }
                    Err(error) => note(&mut self.why, &format!("{}: {error}", sending.to)),
                },
                Stage::Parting { socket, until } => {
                    if now >= until || !still_there(&socket) {
                        return Step::Over;
                    }
                    self.stage = Stage::Parting { socket, until };
                    return Step::Wait;
                }
            }
        }
    }

    /// Towards the next address; nothing when there is something to go on with at once.
    fn set_out(&mut self, names: &Names, now: Instant) -> Option<Step> {
        while let Some(address) = self.addresses.pop_front() {
            let to = SocketAddr::new(address, self.dial.port);
            match sys::connect_start(self.from, to) {
                Ok(socket) => {
                    self.stage = Stage::Connecting {
                        socket,
                        to,
                        until: now + PATIENCE,
                    };
                    return None;
                }
                Err(error) => note(&mut self.why, &format!("{to}: {error}")),
            }
        }
        let Some(host) = self.hosts.pop_front() else {
            let why = std::mem::take(&mut self.why);
            return Some(Step::Ended(DialEnd::Failed { why }));
        };
        match names.look_up(&host) {
            Known::Addresses(addresses) => self.addresses = addresses.into(),
            Known::Unknown(why) => note(&mut self.why, &format!("{host}: {why}")),
            Known::Ask => {
                self.stage = Stage::Resolving { host: host.clone() };
                return Some(Step::Ask(host));
            }
        }
        None
    }

    /// Whether the message is on its way, and the device knows.
    pub(super) fn is_sent(&self) -> bool {
        matches!(self.stage, Stage::Parting { .. })
    }

    /// Whether nothing is left to wait for.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Free)
    }
}

enum Progress {
    Written,
    /// The peer takes no more for now, or a breath is taken.
    Stuck,
    /// Everything is written, and the connection closed from here.
    All,
}

impl Sending {
    fn go_on(&mut self, dial: &Dial, now: Instant) -> io::Result<Progress> {
        if self.not_before.is_some_and(|moment| now < moment) {
            return Ok(Progress::Stuck);
        }
        self.not_before = None;
        let left = dial.bytes.get(self.sent..).unwrap_or_default();
        if left.is_empty() {
            if dial.delivery.reset {
                sys::reset_at_close(self.socket.as_fd())?;
            } else {
                self.socket.shutdown(Shutdown::Write)?;
            }
            return Ok(Progress::All);
        }
        // What is left of the piece that was begun.
        let size = dial.delivery.pieces.unwrap_or(dial.bytes.len()).max(1);
        let piece = left.get(..size - self.sent % size).unwrap_or(left);
        let count = match self.socket.write(piece) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Stuck),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return Ok(Progress::Written);
            }
            Err(error) => return Err(error),
        };
        self.sent += count;
        // Every byte that the peer takes buys it more time.
        self.until = now + PATIENCE;
        let more = self.sent < dial.bytes.len();
        if count == piece.len() && (more || dial.delivery.reset) && self.breaths < MOST_BREATHS {
            self.breaths += 1;
            self.not_before = Some(now + BREATH);
        }
        Ok(Progress::Written)
    }
}

/// Whether the connection stands.
fn connected(socket: &TcpStream, shown: u32) -> io::Result<bool> {
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(shown & WRITE != 0),
    }
}

/// Throws away what comes; false once the peer closed.
fn still_there(mut socket: &TcpStream) -> bool {
    loop {
        match socket.read(&mut [0; 256]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => {
                return matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                );
            }
        }
    }
}

fn note(why: &mut String, more: &str) {
    if !why.is_empty() {
        why.push_str("; ");
    }
    why.push_str(more);
}
