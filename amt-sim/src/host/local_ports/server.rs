//! The thread behind the ports: one loop over listeners and connections.
//!
//! ```text
//!   accepted ──▶ Open ⇄ bytes ──device is finished──▶ Ending ──peer closed, or patience over──▶ gone
//!                  └── peer reset, stop ─────────────────────────────────────────────────────▶ gone
//! ```
//! While the peer takes no answers nothing more is read from it, so that neither side makes the other hoard.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::PORTS;
use crate::device::Interface;
use crate::host::poll::poll;
use crate::host::shared::{SharedDevice, Watch};
use crate::http::StreamId;

/// When the process is out of descriptors, or a port is taken by another program, it is tried again after this.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a peer may take to close a connection that the device closed.
const PARTING: Duration = Duration::from_secs(2);

/// Bytes read from one connection before the others have their turn.
const TURN: usize = 16 * 1024;

pub(super) struct Server {
    device: SharedDevice,
    watch: Watch,
    side: Interface,
    address: IpAddr,
    listeners: BTreeMap<u16, TcpListener>,
    connections: Vec<Connection>,
    bind_after: Option<Instant>,
    accept_after: Option<Instant>,
}

struct Connection {
    socket: TcpStream,
    stream: Stream,
    /// What the socket did not take yet.
    outbox: Vec<u8>,
    /// The peer sends no more.
    ended: bool,
    /// Everything is sent; only the peer's own end is waited for, until then.
    parting: Option<Instant>,
}

/// A stream of the device that is closed with its connection.
struct Stream {
    device: SharedDevice,
    id: StreamId,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.device
            .with(None, |device| device.stream_close(self.id));
    }
}

/// The connection is gone and can be forgotten.
struct Gone;

impl Server {
    pub(super) fn new(device: &SharedDevice, side: Interface, address: IpAddr) -> io::Result<Self> {
        Ok(Self {
            device: device.clone(),
            watch: device.watch()?,
            side,
            address,
            listeners: BTreeMap::new(),
            connections: Vec::new(),
            bind_after: None,
            accept_after: None,
        })
    }

    /// Binds what the device listens on and lets go of what it does not.
    pub(super) fn bind(&mut self) -> Result<(), (SocketAddr, io::Error)> {
        self.bind_after = None;
        let side = self.side;
        let open = self.device.with(Some(&self.watch), |device| {
            PORTS.map(|port| (port, device.stream_listens(side, port)))
        });
        let mut failed = None;
        for (port, listens) in open {
            if !listens {
                self.listeners.remove(&port);
            } else if !self.listeners.contains_key(&port) {
                let address = SocketAddr::new(self.address, port);
                match listen(address) {
                    Ok(listener) => {
                        self.listeners.insert(port, listener);
                    }
                    Err(error) => failed = Some((address, error)),
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Serves until `stop` is readable.
    pub(super) fn run(mut self, stop: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            let shown = self.wait(stop)?;
            let [stopped, disturbed, rest @ ..] = shown.as_slice() else {
                return Ok(()); // poll(2) answers for each descriptor that it was asked about.
            };
            if *stopped != 0 {
                return Ok(());
            }
            if *disturbed != 0 {
                self.watch.clear();
            }
            let now = Instant::now();
            let (knocking, connections) = rest.split_at(rest.len().min(self.listeners.len()));
            let knocked: Vec<u16> = self
                .listeners
                .keys()
                .zip(knocking)
                .filter_map(|(port, shown)| (*shown != 0).then_some(*port))
                .collect();
            let (device, watch) = (&self.device, &self.watch);
            let mut shown = connections.iter();
            self.connections.retain_mut(|connection| {
                let shown = shown.next().copied().unwrap_or_default();
                connection.serve(device, watch, shown, now).is_ok()
            });
            for port in knocked {
                self.accept(port, now);
            }
            self.bind_again(now);
        }
    }

    /// A request, or anybody else who touched the device, may have opened and closed ports.
    fn bind_again(&mut self, now: Instant) {
        if self.bind_after.is_some_and(|moment| now < moment) {
            return;
        }
        let waited = self.bind_after.is_some();
        if let Err((address, error)) = self.bind() {
            if !waited {
                eprintln!("amt-sim: cannot listen at {address}: {error}; trying again");
            }
            self.bind_after = Some(now + PAUSE);
        }
    }

    fn wait(&self, stop: BorrowedFd<'_>) -> io::Result<Vec<i16>> {
        let now = Instant::now();
        let listen = match self.accept_after {
            Some(moment) if now < moment => 0,
            _ => libc::POLLIN,
        };
        let mut watched = vec![(stop, libc::POLLIN), (self.watch.as_fd(), libc::POLLIN)];
        let listeners = self.listeners.values();
        watched.extend(listeners.map(|listener| (listener.as_fd(), listen)));
        let connections = self.connections.iter();
        watched.extend(
            connections.map(|connection| (connection.socket.as_fd(), connection.interest())),
        );
        let partings = self
            .connections
            .iter()
            .filter_map(|connection| connection.parting);
        let timeout = partings
            .chain(self.accept_after.filter(|moment| *moment > now))
            .chain(self.bind_after)
            .map(|moment| moment.saturating_duration_since(now))
            .chain(self.device.next_wake())
            .min();
        poll(&watched, timeout)
    }

    fn accept(&mut self, port: u16, now: Instant) {
        self.accept_after = None;
        let Some(listener) = self.listeners.get(&port) else {
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
                        self.accept_after = Some(now + PAUSE);
                        return;
                    }
                },
            };
            // Dropping the socket is all that can be done for a peer that the device does not want.
            if socket.set_nonblocking(true).is_err() {
                continue;
            }
            let _ = socket.set_nodelay(true);
            let side = self.side;
            let opened = self
                .device
                .with(Some(&self.watch), |device| device.stream_open(side, port));
            if let Ok(id) = opened {
                let device = self.device.clone();
                self.connections.push(Connection {
                    socket,
                    stream: Stream { device, id },
                    outbox: Vec::new(),
                    ended: false,
                    parting: None,
                });
            }
        }
    }
}

/// Like [`TcpListener::bind`], without waiting in accept.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Connection {
    /// What poll(2) is to look for.
    fn interest(&self) -> i16 {
        match (self.outbox.is_empty(), self.ended) {
            (false, _) => libc::POLLOUT,
            (true, false) => libc::POLLIN,
            (true, true) => 0,
        }
    }

    /// Does all that can be done without waiting.
    fn serve(
        &mut self,
        device: &SharedDevice,
        watch: &Watch,
        shown: i16,
        now: Instant,
    ) -> Result<(), Gone> {
        if let Some(until) = self.parting {
            return if now >= until {
                Err(Gone)
            } else {
                self.discard(shown)
            };
        }
        self.flush()?;
        if shown & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) != 0 && self.outbox.is_empty() {
            self.read(device, watch)?;
        }
        self.take_from_device(device, watch)?;
        let id = self.stream.id;
        if self.outbox.is_empty()
            && device.with(Some(watch), |device| {
                device.stream_finished(id) && device.stream_pending(id) == 0
            })
        {
            // Closing with unread bytes would take our last ones away from the peer (ECONNRESET).
            self.socket.shutdown(Shutdown::Write).map_err(|_| Gone)?;
            self.parting = Some(now + PARTING);
            return self.discard(libc::POLLIN);
        }
        Ok(())
    }

    fn read(&mut self, device: &SharedDevice, watch: &Watch) -> Result<(), Gone> {
        let id = self.stream.id;
        let mut bytes = [0; TURN];
        match self.socket.read(&mut bytes) {
            Ok(0) => {
                self.ended = true;
                device.with(Some(watch), |device| device.stream_end(id));
            }
            Ok(length) => {
                let bytes = bytes.get(..length).unwrap_or_default();
                device.with(Some(watch), |device| device.stream_receive(id, bytes));
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => return Err(Gone),
            },
        }
        Ok(())
    }

    /// Hands on what the device sends, as long as the peer takes it.
    fn take_from_device(&mut self, device: &SharedDevice, watch: &Watch) -> Result<(), Gone> {
        let id = self.stream.id;
        while self.outbox.is_empty() {
            self.outbox = device.with(Some(watch), |device| device.stream_take(id, usize::MAX));
            if self.outbox.is_empty() {
                return Ok(());
            }
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        while !self.outbox.is_empty() {
            match self.socket.write(&self.outbox) {
                Ok(0) => return Err(Gone),
                Ok(length) => {
                    self.outbox.drain(..length.min(self.outbox.len()));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(Gone),
                },
            }
        }
        Ok(())
    }

    /// Throws away what the peer still sends, until it closes too.
    fn discard(&mut self, shown: i16) -> Result<(), Gone> {
        if shown == 0 {
            return Ok(());
        }
        match self.socket.read(&mut [0; TURN]) {
            Ok(length) if length > 0 => Ok(()),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(())
            }
            _ => Err(Gone),
        }
    }
}
