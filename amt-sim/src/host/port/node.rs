//! A port through the character device, as any host program uses it.
#![expect(
    unsafe_code,
    reason = "the ioctl that connects has no safe counterpart"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use super::{MeiChannel, MeiPort, PortError};
use crate::host::poll::poll;
use crate::mei::{ClientProperties, Guid};

/// `IOCTL_MEI_CONNECT_CLIENT` of Linux `include/uapi/linux/mei.h`: `_IOWR('H', 1, 16 bytes)`.
const CONNECT_CLIENT: u32 = 0xC010_4801;

/// ME clients behind a device node.
#[derive(Debug, Clone)]
pub struct NodePort {
    path: PathBuf,
}

impl NodePort {
    /// The port at another node than `/dev/mei0`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Default for NodePort {
    fn default() -> Self {
        Self::at("/dev/mei0")
    }
}

impl MeiPort for NodePort {
    fn connect(&self, client: Guid) -> Result<Box<dyn MeiChannel>, PortError> {
        let node = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&self.path)
            .map_err(|source| PortError::Open {
                path: self.path.clone(),
                source,
            })?;
        let mut argument = client.to_wire();
        // SAFETY: the ioctl reads and writes the sixteen bytes of `argument`, which outlives the call.
        let result =
            unsafe { libc::ioctl(node.as_raw_fd(), CONNECT_CLIENT as _, argument.as_mut_ptr()) };
        if result < 0 {
            return Err(PortError::Connect {
                client,
                source: io::Error::last_os_error(),
            });
        }
        let [a, b, c, d, protocol_version, ..] = argument;
        Ok(Box::new(Channel {
            node,
            properties: ClientProperties {
                max_message: u32::from_le_bytes([a, b, c, d]),
                protocol_version,
            },
        }))
    }
}

#[derive(Debug)]
struct Channel {
    node: File,
    properties: ClientProperties,
}

impl MeiChannel for Channel {
    fn properties(&self) -> ClientProperties {
        self.properties
    }

    fn send(&mut self, message: &[u8]) -> Result<(), PortError> {
        let written = self.node.write(message).map_err(PortError::Send)?;
        if written == message.len() {
            return Ok(());
        }
        Err(PortError::Protocol(format!(
            "the device took {written} of {} bytes, where MEI takes whole messages",
            message.len()
        )))
    }

    fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, PortError> {
        let shown = poll(&[(self.node.as_fd(), libc::POLLIN)], Some(timeout))
            .map_err(PortError::Receive)?;
        if shown == [0] {
            return Err(PortError::Timeout(timeout));
        }
        // A real device may name any length; a message that long would not fit through MEI anyway.
        let mut message = vec![0; self.properties.max_message.min(1 << 20) as usize];
        let length = self.node.read(&mut message).map_err(PortError::Receive)?;
        message.truncate(length);
        Ok(message)
    }
}
