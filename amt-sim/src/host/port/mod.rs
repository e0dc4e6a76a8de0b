//! Speaking MEI from a program of ours, without caring how the messages travel.
//!
//! A [`MeiPort`] is the place where ME clients are found, a [`MeiChannel`] one connection to one of them.
//!
//! | port           | the messages travel                                            |
//! |----------------|----------------------------------------------------------------|
//! | [`DevicePort`] | by function calls, to a device in the same process             |
//! | [`NodePort`]   | through `/dev/mei0`, virtual or real                           |
//! | [`SocketPort`] | through the UNIX socket of `amt-sim serve --mei-socket`        |
//!
//! ```
//! use amt_sim::host::port::{DevicePort, MeiPort};
//! use amt_sim::{ClientKind, Device, host::SharedDevice};
//! use std::time::Duration;
//!
//! let device = SharedDevice::new(Device::builder("tiger-lake-15").build()?);
//! let mut amthi = DevicePort::new(device).connect(ClientKind::Amthi.guid())?;
//! amthi.send(&[1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0])?; // GetUUID
//! let answer = amthi.receive(Duration::from_secs(1))?;
//! assert_eq!(answer[..2], [1, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod device;
mod node;
mod socket;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use device::DevicePort;
pub use node::NodePort;
pub use socket::SocketPort;

use crate::mei::{ClientProperties, Errno, Guid};

/// Where ME clients are found.
pub trait MeiPort: fmt::Debug + Send + Sync {
    /// Opens the device and connects to one client.
    fn connect(&self, client: Guid) -> Result<Box<dyn MeiChannel>, PortError>;
}

/// One connection to one ME client. It ends when it is dropped.
pub trait MeiChannel: fmt::Debug + Send {
    /// What the firmware told about the client.
    fn properties(&self) -> ClientProperties;

    /// Sends one whole message. It never waits: a device that takes no more says [`Errno::Eagain`], and what
    /// helps is to receive.
    fn send(&mut self, message: &[u8]) -> Result<(), PortError>;

    /// The next whole message.
    fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, PortError>;
}

/// What went wrong on the way to the firmware. What the firmware itself answers is in the messages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// The device is not there, or not for this user.
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    /// [`Errno::Enotty`]: there is no such client. [`Errno::Ebusy`]: others hold all its connections; try again.
    #[error("cannot connect to ME client {client}: {source}")]
    Connect { client: Guid, source: io::Error },
    /// [`Errno::Enodev`]: the link was reset, connect again. [`Errno::Efbig`]: the message is too long.
    #[error("cannot send: {0}")]
    Send(#[source] io::Error),
    /// [`Errno::Enodev`]: the link was reset, connect again.
    #[error("cannot receive: {0}")]
    Receive(#[source] io::Error),
    #[error("no message came within {0:?}")]
    Timeout(Duration),
    /// The other end of the transport does not keep to its protocol.
    #[error("the peer broke the protocol: {0}")]
    Protocol(String),
}

impl PortError {
    /// The error number behind it, as in `errno(3)`.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open { source, .. }
            | Self::Connect { source, .. }
            | Self::Send(source)
            | Self::Receive(source) => source.raw_os_error(),
            Self::Timeout(_) | Self::Protocol(_) => None,
        }
    }

    pub fn is(&self, errno: Errno) -> bool {
        self.errno() == Some(errno.raw())
    }
}

/// The device's own error numbers are those of the system.
fn os_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw())
}
