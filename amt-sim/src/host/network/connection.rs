//! One connection to a port of a device.
//!
//! ```text
//!   accepted ──▶ open ⇄ bytes ──device is finished──▶ parting ──peer closed, or patience over──▶ gone
//!                  └── peer reset, stop ────────────────────────────────────────────────────▶ gone
//! ```
//! While the peer takes no answers nothing more is read from it, so that neither side makes the other hoard.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::device::Interface;
use crate::host::epoll::{GONE, READ, WRITE};
use crate::host::shared::{SharedDevice, Watch};
use crate::http::StreamId;

/// How long a peer may take to close a connection that the device closed.
const PARTING: Duration = Duration::from_secs(2);

/// Bytes read from one connection before the others have their turn.
const TURN: usize = 16 * 1024;

/// One TCP connection, which is one stream of a device.
pub(super) struct Connection {
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
pub(super) struct Gone;

impl Connection {
    /// For a peer that was accepted, if the device wants it.
    pub(super) fn open(
        device: &SharedDevice,
        watch: &Watch,
        side: Interface,
        port: u16,
        socket: TcpStream,
    ) -> Option<Self> {
        socket.set_nonblocking(true).ok()?;
        let _ = socket.set_nodelay(true);
        let id = device
            .with(Some(watch), |device| device.stream_open(side, port))
            .ok()?;
        Some(Self {
            socket,
            stream: Stream {
                device: device.clone(),
                id,
            },
            outbox: Vec::new(),
            ended: false,
            parting: None,
        })
    }

    /// What to look for.
    pub(super) fn interest(&self) -> u32 {
        match (self.outbox.is_empty(), self.ended && self.parting.is_none()) {
            (false, _) => WRITE,
            (true, false) => READ,
            (true, true) => 0,
        }
    }

    /// When it is given up at the latest.
    pub(super) fn patience(&self) -> Option<Instant> {
        self.parting
    }

    /// Does all that can be done without waiting.
    pub(super) fn serve(
        &mut self,
        device: &SharedDevice,
        watch: &Watch,
        shown: u32,
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
        if shown & (READ | GONE) != 0 && self.outbox.is_empty() {
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
            return self.discard(READ);
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
    fn discard(&mut self, shown: u32) -> Result<(), Gone> {
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

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
