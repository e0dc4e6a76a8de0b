//! The thread behind a MEI socket: one loop over the listener and all connections.
//!
//! ```text
//!   accepted ──hello──▶ Connected ⇄ messages ──reset, broken packet──▶ Ending ──flushed──▶ closed
//!      └── foreign hello, errno of open or connect, silence ──────────────┘
//! ```
//! Neither side can make the server hoard: while the device takes no message, or the client reads none, nothing
//! more is read from the client; while the client reads none, nothing more is read from the device.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::wire::{self, EPROTO, Failed, Frame, Hello, Reply};
use super::{SocketFile, seqpacket};
use crate::host::poll::poll;
use crate::host::shared::{SharedDevice, Watch};
use crate::mei::{Errno, HandleId};

/// More than a device has handles, so that it is the device that says no.
const MOST_CONNECTIONS: usize = 300;

/// How long a connection may stay without a hello.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);

/// When the process is out of descriptors, this is how long new connections are left waiting.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Packets taken from one connection before the others have their turn.
const TURN: usize = 16;

pub(super) struct Server {
    file: SocketFile,
    device: SharedDevice,
    watch: Watch,
    connections: Vec<Connection>,
    accept_after: Option<Instant>,
    pub(super) hello_patience: Duration,
}

struct Connection {
    socket: OwnedFd,
    stage: Stage,
    /// Packets that the client's receive buffer had no room for.
    outbox: VecDeque<Vec<u8>>,
}

enum Stage {
    Hello {
        until: Instant,
    },
    Connected {
        /// Closes when the stage is left.
        handle: Handle,
        max_message: usize,
        /// A message that the device does not take yet.
        held: Option<Vec<u8>>,
    },
    /// Only what lies in the outbox still leaves.
    Ending,
}

struct Handle {
    device: SharedDevice,
    id: HandleId,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.device.with(None, |device| device.mei_close(self.id));
    }
}

/// The connection is gone and can be forgotten.
struct Gone;

impl Server {
    pub(super) fn new(file: SocketFile, device: &SharedDevice) -> io::Result<Self> {
        Ok(Self {
            file,
            device: device.clone(),
            watch: device.watch()?,
            connections: Vec::new(),
            accept_after: None,
            hello_patience: HELLO_PATIENCE,
        })
    }

    /// Serves until `stop` is readable.
    pub(super) fn run(mut self, stop: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            let shown = self.wait(stop)?;
            let [stopped, disturbed, knocking, connections @ ..] = shown.as_slice() else {
                return Ok(()); // poll(2) answers for each descriptor that it was asked about.
            };
            if *stopped != 0 {
                return Ok(());
            }
            if *disturbed != 0 {
                self.watch.clear();
            }
            let now = Instant::now();
            let device = &self.device;
            let mut shown = connections.iter();
            self.connections.retain_mut(|connection| {
                let shown = shown.next().copied().unwrap_or_default();
                connection.serve(device, shown, now).is_ok()
            });
            if *knocking != 0 {
                self.accept(now);
            }
        }
    }

    fn wait(&self, stop: BorrowedFd<'_>) -> io::Result<Vec<i16>> {
        let now = Instant::now();
        let listen = match self.accept_after {
            Some(moment) if now < moment => 0,
            _ => libc::POLLIN,
        };
        let mut watched = vec![
            (stop, libc::POLLIN),
            (self.watch.as_fd(), libc::POLLIN),
            (self.file.socket.as_fd(), listen),
        ];
        watched.extend(
            self.connections
                .iter()
                .map(|connection| (connection.socket.as_fd(), connection.interest())),
        );
        let hellos = self
            .connections
            .iter()
            .filter_map(|connection| match connection.stage {
                Stage::Hello { until } => Some(until),
                _ => None,
            });
        let timeout = hellos
            .chain(self.accept_after.filter(|moment| *moment > now))
            .map(|moment| moment - now)
            .chain(self.device.next_wake())
            .min();
        poll(&watched, timeout)
    }

    fn accept(&mut self, now: Instant) {
        self.accept_after = None;
        loop {
            let socket = match seqpacket::accept(self.file.socket.as_fd()) {
                Ok(socket) => socket,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // The client gave up before its turn.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => continue,
                    // Out of descriptors or memory: the listener stays readable, so look away for a while.
                    _ => {
                        self.accept_after = Some(now + ACCEPT_PAUSE);
                        return;
                    }
                },
            };
            if self.connections.len() >= MOST_CONNECTIONS {
                let no = Reply::new(Err(Errno::Emfile.wire())).to_wire();
                let _ = seqpacket::send(socket.as_fd(), &no);
                continue;
            }
            self.connections.push(Connection {
                socket,
                stage: Stage::Hello {
                    until: now + self.hello_patience,
                },
                outbox: VecDeque::new(),
            });
        }
    }
}

impl Connection {
    /// What poll(2) is to look for.
    fn interest(&self) -> i16 {
        if !self.outbox.is_empty() {
            return libc::POLLOUT;
        }
        match &self.stage {
            Stage::Connected { held: Some(_), .. } => 0,
            _ => libc::POLLIN,
        }
    }

    /// Does all that can be done without waiting.
    fn serve(&mut self, device: &SharedDevice, shown: i16, now: Instant) -> Result<(), Gone> {
        self.flush()?;
        if shown & libc::POLLIN != 0 {
            for _ in 0..TURN {
                if self.interest() != libc::POLLIN || !self.take_packet(device)? {
                    break;
                }
            }
        } else if shown & (libc::POLLHUP | libc::POLLERR) != 0 {
            return Err(Gone);
        }
        if let Stage::Hello { until } = self.stage
            && until <= now
        {
            self.end(Reply::new(Err(Errno::Etime.wire())).to_wire().to_vec())?;
        }
        self.offer_held(device)?;
        self.take_from_device(device)?;
        if matches!(self.stage, Stage::Ending) && self.outbox.is_empty() {
            self.discard_unread();
            return Err(Gone);
        }
        Ok(())
    }

    /// Closing with unread packets would take the last one that we sent away from the client (ECONNRESET).
    fn discard_unread(&self) {
        for _ in 0..TURN {
            if !seqpacket::receive(self.socket.as_fd(), &mut [0]).is_ok_and(|length| length > 0) {
                return;
            }
        }
    }

    /// Takes one packet from the client; false when there is none.
    fn take_packet(&mut self, device: &SharedDevice) -> Result<bool, Gone> {
        // One byte more than the longest message shows that a longer one came; how much longer is no matter.
        let room = match &self.stage {
            Stage::Hello { .. } => Hello::LENGTH,
            Stage::Connected { max_message, .. } => Frame::OVERHEAD + max_message,
            Stage::Ending => return Ok(false),
        };
        let mut packet = vec![0; room + 1];
        let length = match seqpacket::receive(self.socket.as_fd(), &mut packet) {
            Ok(0) => return Err(Gone),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(_) => return Err(Gone),
        };
        packet.truncate(length);
        match &mut self.stage {
            Stage::Hello { .. } => self.greet(device, &packet)?,
            Stage::Connected { held, .. } => match packet.first() {
                Some(0) => {
                    packet.remove(0);
                    *held = Some(packet);
                    self.offer_held(device)?;
                }
                _ => self.end(failure(Failed::Connection, EPROTO))?,
            },
            Stage::Ending => {}
        }
        Ok(true)
    }

    fn greet(&mut self, device: &SharedDevice, packet: &[u8]) -> Result<(), Gone> {
        let outcome = Hello::from_wire(packet).and_then(|hello| {
            let id = device
                .with(None, |device| device.mei_open())
                .map_err(Errno::wire)?;
            let handle = Handle {
                device: device.clone(),
                id,
            };
            let properties = device
                .with(None, |device| device.mei_connect(id, hello.client))
                .map_err(Errno::wire)?;
            Ok((handle, properties))
        });
        match outcome {
            Ok((handle, properties)) => {
                self.stage = Stage::Connected {
                    handle,
                    max_message: properties.max_message as usize,
                    held: None,
                };
                self.post(Reply::new(Ok(properties)).to_wire().to_vec())
            }
            Err(errno) => self.end(Reply::new(Err(errno)).to_wire().to_vec()),
        }
    }

    /// Writes the message that is held, if the device takes it now.
    fn offer_held(&mut self, device: &SharedDevice) -> Result<(), Gone> {
        let Stage::Connected { handle, held, .. } = &mut self.stage else {
            return Ok(());
        };
        let Some(message) = held.take() else {
            return Ok(());
        };
        let id = handle.id;
        match device.with(None, |device| device.mei_write(id, &message)) {
            Ok(_) => Ok(()),
            Err(Errno::Eagain) => {
                *held = Some(message);
                Ok(())
            }
            // `take_from_device` says it, in the order in which the client has to hear it.
            Err(Errno::Enodev) => Ok(()),
            Err(errno) => self.post(failure(Failed::Write, errno.wire())),
        }
    }

    /// Hands on what the firmware sends, as long as the client takes it.
    fn take_from_device(&mut self, device: &SharedDevice) -> Result<(), Gone> {
        loop {
            let Stage::Connected {
                handle,
                max_message,
                ..
            } = &self.stage
            else {
                return Ok(());
            };
            if !self.outbox.is_empty() {
                return Ok(());
            }
            let (id, capacity) = (handle.id, *max_message);
            let read = device.with(None, |device| {
                let readiness = device.mei_readiness(id);
                match readiness.readable || readiness.error {
                    true => device.mei_read(id, capacity),
                    false => Err(Errno::Eagain),
                }
            });
            match read {
                Ok(message) => self.post(wire::message_packet(&message))?,
                Err(Errno::Eagain) => return Ok(()),
                Err(Errno::Enodev) => {
                    return self.end(failure(Failed::Connection, Errno::Enodev.wire()));
                }
                Err(errno) => self.post(failure(Failed::Read, errno.wire()))?,
            }
        }
    }

    fn end(&mut self, last: Vec<u8>) -> Result<(), Gone> {
        self.stage = Stage::Ending;
        self.post(last)
    }

    fn post(&mut self, packet: Vec<u8>) -> Result<(), Gone> {
        self.outbox.push_back(packet);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Gone> {
        while let Some(packet) = self.outbox.front() {
            match seqpacket::send(self.socket.as_fd(), packet) {
                Ok(()) => {
                    self.outbox.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }
}

fn failure(failed: Failed, errno: u16) -> Vec<u8> {
    Frame::Error { failed, errno }.to_wire()
}

impl Errno {
    /// As the socket's packets carry it.
    fn wire(self) -> u16 {
        // Every number of the enumeration is a small positive one.
        u16::try_from(self.raw()).unwrap_or(EPROTO)
    }
}
