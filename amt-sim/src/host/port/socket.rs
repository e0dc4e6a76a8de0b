//! A port through a device's MEI socket.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{MeiChannel, MeiPort, PortError, os_error};
use crate::host::poll::poll;
use crate::host::socket::seqpacket;
use crate::host::socket::wire::{self, Failed, Frame, Hello, Reply};
use crate::mei::{ClientProperties, Errno, Guid};

/// The server answers a hello without waiting for anything, so a peer that is silent for so long is another one.
const REPLY_PATIENCE: Duration = Duration::from_secs(5);

/// ME clients behind a socket of `amt-sim serve --mei-socket`.
#[derive(Debug, Clone)]
pub struct SocketPort {
    path: PathBuf,
}

impl SocketPort {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn open_error(&self, source: io::Error) -> PortError {
        PortError::Open {
            path: self.path.clone(),
            source,
        }
    }
}

impl MeiPort for SocketPort {
    fn connect(&self, client: Guid) -> Result<Box<dyn MeiChannel>, PortError> {
        let socket = seqpacket::connect(&self.path).map_err(|error| self.open_error(error))?;
        // A server that refuses at once has hung up already, but its reply is still there to read.
        let _ = seqpacket::send(socket.as_fd(), &Hello { client }.to_wire());
        let mut packet = [0; Reply::LENGTH + 1];
        let length = match receive(&socket, &mut packet, REPLY_PATIENCE) {
            Err(PortError::Timeout(patience)) => {
                let why = format!("no answer to the hello within {patience:?}");
                return Err(PortError::Protocol(why));
            }
            other => other?,
        };
        let reply = packet
            .get(..length)
            .and_then(Reply::from_wire)
            .ok_or_else(|| {
                PortError::Protocol(
                    "the answer to the hello is not that of a MEI socket".to_owned(),
                )
            })?;
        match reply.outcome {
            Ok(properties) => Ok(Box::new(Channel { socket, properties })),
            Err(wire::EPROTONOSUPPORT) => Err(PortError::Protocol(format!(
                "the server speaks version {} of the socket's protocol, this program version {}",
                reply.version,
                wire::VERSION
            ))),
            Err(errno) => {
                let source = io::Error::from_raw_os_error(errno.into());
                // What open(2) fails with at the character device.
                if [Errno::Enodev, Errno::Emfile]
                    .map(Errno::raw)
                    .contains(&errno.into())
                {
                    return Err(self.open_error(source));
                }
                Err(PortError::Connect { client, source })
            }
        }
    }
}

#[derive(Debug)]
struct Channel {
    socket: OwnedFd,
    properties: ClientProperties,
}

impl MeiChannel for Channel {
    fn properties(&self) -> ClientProperties {
        self.properties
    }

    fn send(&mut self, message: &[u8]) -> Result<(), PortError> {
        if message.len() > self.properties.max_message as usize {
            return Err(PortError::Send(os_error(Errno::Efbig)));
        }
        seqpacket::send(self.socket.as_fd(), &wire::message_packet(message)).map_err(|error| {
            PortError::Send(match error.kind() {
                // The server hangs up when the link was reset.
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                    os_error(Errno::Enodev)
                }
                _ => error,
            })
        })
    }

    fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, PortError> {
        // A real device may name any length; a message that long would not fit through MEI anyway.
        let longest = self.properties.max_message.min(1 << 20) as usize;
        let mut packet = vec![0; Frame::OVERHEAD + longest];
        let length = receive(&self.socket, &mut packet, timeout)?;
        packet.truncate(length);
        match Frame::from_wire(&packet) {
            Some(Frame::Message(message)) if length <= Frame::OVERHEAD + longest => Ok(message),
            Some(Frame::Error { failed, errno }) => {
                let error = io::Error::from_raw_os_error(errno.into());
                Err(match failed {
                    Failed::Write => PortError::Send(error),
                    Failed::Read | Failed::Connection => PortError::Receive(error),
                })
            }
            Some(Frame::Message(_)) | None => Err(PortError::Protocol(format!(
                "a packet of {length} bytes is no message of at most {longest} bytes"
            ))),
        }
    }
}

/// The next packet's true length. The end of the connection is what a reset is at the character device.
fn receive(socket: &OwnedFd, packet: &mut [u8], timeout: Duration) -> Result<usize, PortError> {
    let started = Instant::now();
    loop {
        match seqpacket::receive(socket.as_fd(), packet) {
            Ok(0) => return Err(PortError::Receive(os_error(Errno::Enodev))),
            Ok(length) => return Ok(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The server closed while a packet of ours was unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(PortError::Receive(os_error(Errno::Enodev)));
            }
            Err(error) => return Err(PortError::Receive(error)),
        }
        let left = timeout
            .checked_sub(started.elapsed())
            .filter(|left| !left.is_zero())
            .ok_or(PortError::Timeout(timeout))?;
        poll(&[(socket.as_fd(), libc::POLLIN)], Some(left)).map_err(PortError::Receive)?;
    }
}
