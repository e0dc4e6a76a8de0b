//! One byte stream to a port of the device, whatever carries it.
//!
//! ```text
//!   Client (WS-Management)      TlsPipe is a Pipe over a Pipe, TlsDialer a Dialer over a Dialer
//!     │
//!   Pipe  ◀── Dialer::open(port)
//!     ├── TcpDialer            over the network, in real time
//!     ├── VirtualDialer        to a device in virtual time (run::world)
//!     └── LmeDialer            through the host: an APF channel over LME, as an agent relays it
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amt_sim::host::port::{MeiPort, PortError};

use super::lme::{ChannelId, Lme, LmeError};
use super::tls::TlsError;
use crate::role::Clock;

/// One connection. Dropping it closes it.
pub trait Pipe: fmt::Debug + Send {
    /// Sends all of it.
    fn send(&mut self, bytes: &[u8]) -> Result<(), PipeError>;

    /// What came next, at least one byte; nothing at all once the other side has ended. `patience` is time on the
    /// clock that the other side lives by.
    fn receive(&mut self, patience: Duration) -> Result<Vec<u8>, PipeError>;

    /// Says that no more will be sent. What the other side still sends can be received.
    fn end(&mut self) -> Result<(), PipeError>;

    /// Whether the other side is known to have ended already, with nothing left to receive.
    fn is_over(&mut self) -> bool;

    /// Whether the other side has said close_notify; never without TLS.
    fn said_goodbye(&self) -> bool {
        false
    }
}

/// Opens connections to the ports of one device.
pub trait Dialer: fmt::Debug + Send + Sync {
    fn open(&self, port: u16) -> Result<Box<dyn Pipe + '_>, PipeError>;

    /// What the device is called in the `Host` of a request.
    fn host(&self) -> String {
        "localhost".to_owned()
    }
}

/// Why bytes do not get through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipeError {
    #[error("nobody listens on port {0}")]
    NotListening(u16),
    #[error("nothing came within {0:?}")]
    Timeout(Duration),
    #[error("the other side has closed the connection")]
    Ended,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Lme(#[from] LmeError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Ports of a device with an address of its own.
#[derive(Debug, Clone)]
pub struct TcpDialer {
    device: IpAddr,
    /// Where somebody else listens for one of the device's ports.
    mapped: BTreeMap<u16, SocketAddr>,
}

impl TcpDialer {
    /// How long an address may take to answer.
    const PATIENCE: Duration = Duration::from_secs(5);

    pub fn new(device: IpAddr) -> Self {
        Self {
            device,
            mapped: BTreeMap::new(),
        }
    }

    /// The device's port `port` is found at `at`.
    #[must_use]
    pub fn map(mut self, port: u16, at: SocketAddr) -> Self {
        self.mapped.insert(port, at);
        self
    }
}

impl Dialer for TcpDialer {
    fn open(&self, port: u16) -> Result<Box<dyn Pipe + '_>, PipeError> {
        let address = match self.mapped.get(&port) {
            Some(at) => *at,
            None => SocketAddr::new(self.device, port),
        };
        let socket = TcpStream::connect_timeout(&address, Self::PATIENCE).map_err(|error| {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => PipeError::NotListening(port),
                _ => PipeError::Io(error),
            }
        })?;
        Ok(Box::new(TcpPipe::new(socket)?))
    }

    fn host(&self) -> String {
        match self.device {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        }
    }
}

/// A TCP connection, whoever made it.
#[derive(Debug)]
pub struct TcpPipe {
    socket: TcpStream,
    ended: bool,
}

impl TcpPipe {
    pub fn new(socket: TcpStream) -> Result<Self, PipeError> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            socket,
            ended: false,
        })
    }
}

impl Pipe for TcpPipe {
    fn send(&mut self, bytes: &[u8]) -> Result<(), PipeError> {
        self.socket
            .write_all(bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => PipeError::Ended,
                _ => PipeError::Io(error),
            })
    }

    fn receive(&mut self, patience: Duration) -> Result<Vec<u8>, PipeError> {
        if self.ended {
            return Ok(Vec::new());
        }
        // A time-out of zero would mean none.
        let timeout = patience.max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(timeout))?;
        let mut block = vec![0; 16 * 1024];
        loop {
            match self.socket.read(&mut block) {
                Ok(count) => {
                    self.ended = count == 0;
                    block.truncate(count);
                    return Ok(block);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        return Err(PipeError::Timeout(patience));
                    }
                    io::ErrorKind::ConnectionReset => return Err(PipeError::Ended),
                    _ => return Err(error.into()),
                },
            }
        }
    }

    fn end(&mut self) -> Result<(), PipeError> {
        match self.socket.shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn is_over(&mut self) -> bool {
        if self.ended || self.socket.set_nonblocking(true).is_err() {
            return true;
        }
        let over = match self.socket.peek(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        self.socket.set_nonblocking(false).is_err() || over
    }
}

/// Ports of a device as whoever sits on its host reaches them: by LME. An agent that relays for others does this.
#[derive(Debug)]
pub struct LmeDialer<'a> {
    port: &'a dyn MeiPort,
    clock: &'a dyn Clock,
    /// One connection to LME carries every channel.
    lme: Mutex<Option<Lme>>,
}

impl<'a> LmeDialer<'a> {
    pub fn new(port: &'a dyn MeiPort, clock: &'a dyn Clock) -> Self {
        Self {
            port,
            clock,
            lme: Mutex::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Lme>> {
        self.lme.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_open(&self, port: u16) -> Result<ChannelId, LmeError> {
        let mut held = self.lock();
        let mut lme = match held.take() {
            Some(mut lme) => {
                lme.await_port(port)?;
                lme
            }
            None => Lme::connect(self.port, self.clock, port)?,
        };
        let id = lme.open(port)?;
        *held = Some(lme);
        Ok(id)
    }
}

impl Dialer for LmeDialer<'_> {
    /// The link may have been reset since the last time: then it is made anew, once.
    fn open(&self, port: u16) -> Result<Box<dyn Pipe + '_>, PipeError> {
        let reused = self.lock().is_some();
        let id = match self.try_open(port) {
            Err(error) if reused && error.is_link() => self.try_open(port)?,
            result => result?,
        };
        Ok(Box::new(LmePipe { dialer: self, id }))
    }
}

/// One APF channel.
#[derive(Debug)]
struct LmePipe<'a> {
    dialer: &'a LmeDialer<'a>,
    id: ChannelId,
}

impl LmePipe<'_> {
    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut Lme, ChannelId) -> Result<T, LmeError>,
    ) -> Result<T, PipeError> {
        let mut held = self.dialer.lock();
        let lme = held.as_mut().ok_or(PipeError::Ended)?;
        let result = act(lme, self.id);
        if result.as_ref().is_err_and(LmeError::is_link) {
            *held = None;
        }
        Ok(result?)
    }
}

impl Pipe for LmePipe<'_> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), PipeError> {
        self.with(|lme, id| lme.write(id, bytes))
    }

    fn receive(&mut self, patience: Duration) -> Result<Vec<u8>, PipeError> {
        let clock = self.dialer.clock;
        let deadline = clock.now() + patience;
        loop {
            if let Some(bytes) = self.with(|lme, id| lme.take(id))? {
                return Ok(bytes);
            }
            let left = deadline.saturating_sub(clock.now());
            match self.with(|lme, _| lme.step(left)) {
                Err(PipeError::Lme(LmeError::Port(PortError::Timeout(_)))) => {
                    return Err(PipeError::Timeout(patience));
                }
                result => result?,
            }
        }
    }

    /// APF knows no half of a connection: what ends, ends both ways.
    fn end(&mut self) -> Result<(), PipeError> {
        self.with(|lme, id| lme.close(id))
    }

    fn is_over(&mut self) -> bool {
        self.with(|lme, id| Ok(lme.is_closed(id))).unwrap_or(true)
    }
}

impl Drop for LmePipe<'_> {
    fn drop(&mut self) {
        // Nobody is left to be told that it did not work.
        let _ = self.with(|lme, id| {
            lme.abandon(id);
            Ok(())
        });
    }
}
