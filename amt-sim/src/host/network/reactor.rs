//! The one thread behind all ports and all Hello messages of any number of devices.
//!
//! Every port that a device listens on is a listener of its own, at the device's own address: a port that is closed
//! refuses, as firmware's would. Whatever happens to a device, by its peers, by time or by somebody else, ends in
//! [`Reactor::tend`], which brings its sockets in line with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Call, Step};
use super::connection::Connection;
use super::{Member, PORTS};
use crate::device::Interface;
use crate::host::epoll::{Epoll, READ};
use crate::host::resolver::{Names, Resolver};
use crate::host::shared::{Bell, SharedDevice, Watch};

/// When the process is out of descriptors, or a port is taken by another program, it is tried again after this.
const PAUSE: Duration = Duration::from_millis(200);

/// Hello messages under way at a time; the others wait their turn. An SCA that is slow to accept has a queue of 128 in
/// many runtimes, and one more would be sent again a second later.
const MOST_CALLS: usize = 64;

/// How often a device is looked at again because tending to it changed it.
const MOST_ROUNDS: usize = 8;

/// What a descriptor belongs to, as one number: kind, port, index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Stop,
    Bell,
    Names,
    Listener { seat: u32, port: u16 },
    Connection(u32),
    Call(u32),
}

impl Token {
    fn pack(self) -> u64 {
        let (kind, port, index) = match self {
            Self::Stop => (0, 0, 0),
            Self::Bell => (1, 0, 0),
            Self::Names => (2, 0, 0),
            Self::Listener { seat, port } => (3, port, seat),
            Self::Connection(index) => (4, 0, index),
            Self::Call(index) => (5, 0, index),
        };
        kind << 48 | u64::from(port) << 32 | u64::from(index)
    }

    fn unpack(number: u64) -> Self {
        let [_, kind, high, low, index @ ..] = number.to_be_bytes();
        let index = u32::from_be_bytes(index);
        match kind {
            0 => Self::Stop,
            1 => Self::Bell,
            2 => Self::Names,
            3 => Self::Listener {
                seat: index,
                port: u16::from_be_bytes([high, low]),
            },
            4 => Self::Connection(index),
            _ => Self::Call(index),
        }
    }
}

/// What a moment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// The device does something by itself, or a port is to be bound again.
    Seat(u32),
    Connection(u32),
    Call(u32),
    /// Listeners that were not looked at for a while.
    Paused,
}

/// One device.
struct Seat {
    device: SharedDevice,
    watch: Watch,
    side: Interface,
    address: Option<IpAddr>,
    listens: bool,
    dials: bool,
    listeners: Vec<(u16, TcpListener)>,
    connections: Vec<u32>,
    /// A port could not be bound; until then it is not tried again.
    bind_after: Option<Instant>,
    due: Option<Instant>,
}

/// Something with a descriptor, what is looked for there, and its moment.
struct Held<T> {
    it: T,
    seat: u32,
    interest: Option<u32>,
    due: Option<Instant>,
}

pub(super) struct Reactor {
    epoll: Epoll,
    bell: Arc<Bell>,
    seats: Vec<Seat>,
    connections: BTreeMap<u32, Held<Connection>>,
    calls: BTreeMap<u32, Held<Call>>,
    /// Those of them whose message is not sent yet.
    calling: usize,
    /// Calls whose turn has not come.
    waiting: VecDeque<Call>,
    next: u32,
    due: BTreeSet<(Instant, Due)>,
    names: Arc<Names>,
    resolver: Resolver,
    /// Listeners that nobody is accepted from because descriptors ran out.
    paused: Vec<(u32, u16)>,
    /// Said once, however many devices it concerns.
    complained: bool,
}

impl Reactor {
    /// Binds what the devices listen on now.
    pub(super) fn new(
        members: impl IntoIterator<Item = Member>,
        names: Arc<Names>,
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let failed = |error| (nowhere, error);
        let bell = Bell::new().map_err(failed)?;
        let epoll = Epoll::new().map_err(failed)?;
        let resolver = Resolver::new().map_err(failed)?;
        let named = [
            (bell.as_fd(), Token::Bell),
            (resolver.as_fd(), Token::Names),
        ];
        for (fd, token) in named {
            epoll.add(fd, token.pack(), READ).map_err(failed)?;
        }
        let mut reactor = Self {
            epoll,
            seats: Vec::new(),
            connections: BTreeMap::new(),
            calls: BTreeMap::new(),
            calling: 0,
            waiting: VecDeque::new(),
            next: 0,
            due: BTreeSet::new(),
            names,
            resolver,
            paused: Vec::new(),
            complained: false,
            bell,
        };
        for (number, member) in (0..).zip(members) {
            reactor.seats.push(Seat {
                watch: member.device.watch_at(&reactor.bell, number),
                device: member.device,
                side: member.side,
                address: member.address,
                listens: member.listens,
                dials: member.dials,
                listeners: Vec::new(),
                connections: Vec::new(),
                bind_after: None,
                due: None,
            });
            reactor.bind(number)?;
        }
        Ok(reactor)
    }

    /// Serves until `stop` is readable.
    pub(super) fn run(mut self, stop: BorrowedFd<'_>) -> io::Result<()> {
        self.epoll.add(stop, Token::Stop.pack(), READ)?;
        for seat in 0..self.seats.len() {
            self.tend(index(seat), &BTreeMap::new());
        }
        loop {
            let now = Instant::now();
            let next = self.due.first().map(|(moment, _)| *moment);
            let timeout = next.map(|moment| moment.saturating_duration_since(now));
            let shown = self.epoll.wait(timeout)?;
            // What each device's connections show.
            let mut touched = BTreeMap::<u32, BTreeMap<u32, u32>>::new();
            for (token, events) in shown {
                match Token::unpack(token) {
                    Token::Stop => return Ok(()),
                    Token::Bell => {
                        for seat in self.bell.rung() {
                            touched.entry(seat).or_default();
                        }
                    }
                    Token::Names => self.resolved(),
                    Token::Listener { seat, port } => {
                        self.accept(seat, port);
                        touched.entry(seat).or_default();
                    }
                    Token::Connection(connection) => {
                        if let Some(held) = self.connections.get(&connection) {
                            let shown = touched.entry(held.seat).or_default();
                            shown.insert(connection, events);
                        }
                    }
                    Token::Call(call) => self.advance(call, events),
                }
            }
            for due in self.fallen_due() {
                match due {
                    Due::Seat(seat) => {
                        touched.entry(seat).or_default();
                    }
                    Due::Connection(connection) => {
                        if let Some(held) = self.connections.get(&connection) {
                            touched.entry(held.seat).or_default();
                        }
                    }
                    Due::Call(call) => self.advance(call, 0),
                    Due::Paused => self.resume(),
                }
            }
            for (seat, shown) in touched {
                self.tend(seat, &shown);
            }
        }
    }

    fn fallen_due(&mut self) -> Vec<Due> {
        let now = Instant::now();
        let mut due = Vec::new();
        while let Some((moment, what)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(moment, what));
            due.push(what);
        }
        due
    }

    /// Brings everything of one device in line with it.
    fn tend(&mut self, number: u32, shown: &BTreeMap<u32, u32>) {
        let nothing = BTreeMap::new();
        let mut shown = shown;
        for _ in 0..MOST_ROUNDS {
            let Some(before) = self.look(number) else {
                return;
            };
            self.serve(number, shown);
            // One connection's request may have ended another, or opened a port.
            if self.look(number).is_none_or(|after| after == before) {
                break;
            }
            shown = &nothing;
        }
        self.bind_again(number);
        self.take_dials(number);
        self.set_alarm(number);
    }

    /// Something that is different when the device was disturbed since.
    fn look(&self, number: u32) -> Option<impl PartialEq + use<>> {
        let seat = self.seat(number)?;
        Some(
            seat.device
                .with(Some(&seat.watch), |device| device.disturbances()),
        )
    }

    fn seat(&self, number: u32) -> Option<&Seat> {
        self.seats.get(number as usize)
    }

    /// Lets every connection of a device do what it can.
    fn serve(&mut self, number: u32, shown: &BTreeMap<u32, u32>) {
        let now = Instant::now();
        let Some(seat) = self.seats.get_mut(number as usize) else {
            return;
        };
        let (epoll, connections, due) = (&self.epoll, &mut self.connections, &mut self.due);
        let (device, watch) = (&seat.device, &seat.watch);
        seat.connections.retain(|id| {
            let Some(held) = connections.get_mut(id) else {
                return false;
            };
            let shown = shown.get(id).copied().unwrap_or_default();
            let mut lives = held.it.serve(device, watch, shown, now).is_ok();
            let token = Token::Connection(*id);
            if lives {
                lives = look_for(epoll, token, &held.it, &mut held.interest).is_ok();
            }
            let wake = held.it.patience().filter(|_| lives);
            set_due(due, Due::Connection(*id), &mut held.due, wake);
            if !lives {
                connections.remove(id);
            }
            lives
        });
    }

    fn bind_again(&mut self, number: u32) {
        let Some(seat) = self.seats.get_mut(number as usize) else {
            return;
        };
        if seat
            .bind_after
            .is_some_and(|moment| Instant::now() < moment)
        {
            return;
        }
        seat.bind_after = None;
        if let Err((address, error)) = self.bind(number) {
            if !std::mem::replace(&mut self.complained, true) {
                eprintln!("amt-sim: cannot listen at {address}: {error}; trying again");
            }
            if let Some(seat) = self.seats.get_mut(number as usize) {
                seat.bind_after = Some(Instant::now() + PAUSE);
            }
        }
    }

    /// Binds what the device listens on and lets go of what it does not.
    fn bind(&mut self, number: u32) -> Result<(), (SocketAddr, io::Error)> {
        let Some(seat) = self.seats.get_mut(number as usize) else {
            return Ok(());
        };
        let Some(address) = seat.address.filter(|_| seat.listens) else {
            return Ok(());
        };
        let side = seat.side;
        let open = seat.device.with(Some(&seat.watch), |device| {
            PORTS.map(|port| (port, device.stream_listens(side, port)))
        });
        let mut failed = None;
        for (port, listens) in open {
            let bound = seat.listeners.iter().position(|(bound, _)| *bound == port);
            match (listens, bound) {
                (false, Some(place)) => {
                    let (_, listener) = seat.listeners.swap_remove(place);
                    // Who came just before is sent away by FIN, not by the RST of a listener that closes.
                    while listener.accept().is_ok() {}
                }
                (true, None) => {
                    let address = SocketAddr::new(address, port);
                    let token = Token::Listener { seat: number, port };
                    let listener = listen(address).and_then(|listener| {
                        self.epoll.add(listener.as_fd(), token.pack(), READ)?;
                        Ok(listener)
                    });
                    match listener {
                        Ok(listener) => seat.listeners.push((port, listener)),
                        Err(error) => failed = Some((address, error)),
                    }
                }
                _ => {}
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn accept(&mut self, number: u32, port: u16) {
        let id = &mut self.next;
        let Some(seat) = self.seats.get_mut(number as usize) else {
            return;
        };
        let listeners = seat.listeners.iter();
        let Some((_, listener)) = listeners.clone().find(|(bound, _)| *bound == port) else {
            return;
        };
        loop {
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // The peer gave up before its turn.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => continue,
                    // Out of descriptors or memory: the listener stays readable, so look away for a while.
                    _ => {
                        let token = Token::Listener { seat: number, port };
                        let _ = self.epoll.change(listener.as_fd(), token.pack(), 0);
                        self.paused.push((number, port));
                        self.due.insert((Instant::now() + PAUSE, Due::Paused));
                        return;
                    }
                },
            };
            // Dropping the socket is all that can be done for a peer that the device does not want.
            let opened = Connection::open(&seat.device, &seat.watch, seat.side, port, socket);
            if let Some(connection) = opened {
                let id = free(id, |id| self.connections.contains_key(&id));
                self.connections.insert(id, Held::new(connection, number));
                seat.connections.push(id);
            }
        }
    }

    /// Looks again at the listeners that were left alone.
    fn resume(&mut self) {
        for (number, port) in std::mem::take(&mut self.paused) {
            let listeners = self.seat(number).map(|seat| seat.listeners.iter());
            let found = listeners.and_then(|mut all| all.find(|(bound, _)| *bound == port));
            if let Some((_, listener)) = found {
                let token = Token::Listener { seat: number, port };
                let _ = self.epoll.change(listener.as_fd(), token.pack(), READ);
            }
        }
    }

    fn take_dials(&mut self, number: u32) {
        let Some(seat) = self.seats.get(number as usize).filter(|seat| seat.dials) else {
            return;
        };
        let dials = seat
            .device
            .with(Some(&seat.watch), |device| device.take_dials());
        let from = seat.address;
        let calls = dials.into_iter().map(|dial| Call::new(number, dial, from));
        self.waiting.extend(calls);
        self.begin_calls();
    }

    fn begin_calls(&mut self) {
        while self.calling < MOST_CALLS {
            let Some(call) = self.waiting.pop_front() else {
                return;
            };
            self.calling += 1;
            let id = free(&mut self.next, |id| self.calls.contains_key(&id));
            let seat = call.seat;
            self.calls.insert(id, Held::new(call, seat));
            self.go_on(id, 0);
        }
    }

    fn resolved(&mut self) {
        for answer in self.resolver.answers() {
            let id = u32::try_from(answer.asker).unwrap_or(u32::MAX);
            if let Some(held) = self.calls.get_mut(&id) {
                held.it.resolved(answer.addresses);
                self.advance(id, 0);
            }
        }
    }

    /// A call goes on; when it is over the next one has its turn.
    fn advance(&mut self, id: u32, shown: u32) {
        self.go_on(id, shown);
        self.begin_calls();
    }

    fn go_on(&mut self, id: u32, shown: u32) {
        let now = Instant::now();
        let Some(held) = self.calls.get_mut(&id) else {
            return;
        };
        let over = loop {
            match held.it.advance(&self.names, shown, now) {
                Step::Wait => break false,
                Step::Over => break true,
                Step::Ask(host) => {
                    self.resolver.ask(u64::from(id), host);
                    break false;
                }
                Step::Ended(end) => {
                    self.calling = self.calling.saturating_sub(1);
                    let dial = held.it.dial();
                    if let Some(seat) = self.seats.get(held.seat as usize) {
                        seat.device
                            .with(Some(&seat.watch), |device| device.dial_ended(dial, end));
                    }
                    if held.it.is_over() {
                        break true;
                    }
                }
            }
        };
        let lost = held.it.interest().is_some_and(|(fd, events)| {
            // It may be another socket than before, at another address.
            let token = Token::Call(id).pack();
            let added = self.epoll.add(fd, token, events);
            added
                .or_else(|_| self.epoll.change(fd, token, events))
                .is_err()
        });
        let wake = held.it.wake().filter(|_| !over && !lost);
        set_due(&mut self.due, Due::Call(id), &mut held.due, wake);
        if over || lost {
            // What epoll does not take is lost before it is sent.
            let unsent = lost && !held.it.is_sent();
            self.calling = self.calling.saturating_sub(usize::from(unsent));
            self.calls.remove(&id);
        }
    }

    /// When the device is to be looked at again.
    fn set_alarm(&mut self, number: u32) {
        let Some(seat) = self.seats.get_mut(number as usize) else {
            return;
        };
        let now = Instant::now();
        let wake = seat
            .device
            .next_wake()
            .and_then(|wake| now.checked_add(wake));
        let next = [wake, seat.bind_after].into_iter().flatten().min();
        set_due(&mut self.due, Due::Seat(number), &mut seat.due, next);
    }
}

impl<T> Held<T> {
    fn new(it: T, seat: u32) -> Self {
        Self {
            it,
            seat,
            interest: None,
            due: None,
        }
    }
}

fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A number that nobody has.
fn free(next: &mut u32, taken: impl Fn(u32) -> bool) -> u32 {
    loop {
        let id = *next;
        *next = next.wrapping_add(1);
        if !taken(id) {
            return id;
        }
    }
}

/// Tells epoll what to look for, where that is new.
fn look_for(
    epoll: &Epoll,
    token: Token,
    connection: &Connection,
    known: &mut Option<u32>,
) -> io::Result<()> {
    let (fd, events) = (connection.as_fd(), connection.interest());
    match known.replace(events) {
        None => epoll.add(fd, token.pack(), events),
        Some(before) if before == events => Ok(()),
        Some(_) => epoll.change(fd, token.pack(), events),
    }
}

fn set_due(
    all: &mut BTreeSet<(Instant, Due)>,
    what: Due,
    known: &mut Option<Instant>,
    wanted: Option<Instant>,
) {
    if *known == wanted {
        // It may have fallen due just now, and be wanted at the same moment still.
        if let Some(moment) = wanted {
            all.insert((moment, what));
        }
        return;
    }
    if let Some(moment) = known.take() {
        all.remove(&(moment, what));
    }
    if let Some(moment) = wanted {
        all.insert((moment, what));
    }
    *known = wanted;
}

/// Like [`TcpListener::bind`], without waiting in accept.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_numbers() {
        let all = [
            Token::Stop,
            Token::Bell,
            Token::Names,
            Token::Listener {
                seat: u32::MAX,
                port: 16993,
            },
            Token::Connection(7),
            Token::Call(u32::MAX),
        ];
        for token in all {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
