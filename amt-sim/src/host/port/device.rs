//! A port to a device in the same process.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{MeiChannel, MeiPort, PortError, os_error};
use crate::host::poll::poll;
use crate::host::shared::{SharedDevice, Watch};
use crate::mei::{ClientProperties, Errno, Guid, HandleId};

/// ME clients of a device in this process.
#[derive(Debug, Clone)]
pub struct DevicePort {
    device: SharedDevice,
}

impl DevicePort {
    pub fn new(device: SharedDevice) -> Self {
        Self { device }
    }
}

impl MeiPort for DevicePort {
    fn connect(&self, client: Guid) -> Result<Box<dyn MeiChannel>, PortError> {
        let open_error = |source| PortError::Open {
            path: PathBuf::from("the device in this process"),
            source,
        };
        let watch = self.device.watch().map_err(open_error)?;
        let handle = self
            .device
            .with(Some(&watch), |device| device.mei_open())
            .map_err(|errno| open_error(os_error(errno)))?;
        // From here on, dropping the channel closes the handle.
        let mut channel = Channel {
            device: self.device.clone(),
            watch,
            handle,
            properties: ClientProperties {
                max_message: 0,
                protocol_version: 0,
            },
        };
        channel.properties = channel
            .device
            .with(Some(&channel.watch), |device| {
                device.mei_connect(handle, client)
            })
            .map_err(|errno| PortError::Connect {
                client,
                source: os_error(errno),
            })?;
        Ok(Box::new(channel))
    }
}

#[derive(Debug)]
struct Channel {
    device: SharedDevice,
    watch: Watch,
    handle: HandleId,
    properties: ClientProperties,
}

impl MeiChannel for Channel {
    fn properties(&self) -> ClientProperties {
        self.properties
    }

    fn send(&mut self, message: &[u8]) -> Result<(), PortError> {
        self.device
            .with(Some(&self.watch), |device| {
                device.mei_write(self.handle, message)
            })
            .map(|_| ())
            .map_err(|errno| PortError::Send(os_error(errno)))
    }

    fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, PortError> {
        let started = Instant::now();
        loop {
            // Cleared before the look, so that whatever happens after it is not missed.
            self.watch.clear();
            let capacity = self.properties.max_message as usize;
            let read = self.device.with(Some(&self.watch), |device| {
                device.mei_read(self.handle, capacity)
            });
            match read {
                Ok(message) => return Ok(message),
                Err(Errno::Eagain) => {}
                Err(errno) => return Err(PortError::Receive(os_error(errno))),
            }
            let left = timeout
                .checked_sub(started.elapsed())
                .filter(|left| !left.is_zero())
                .ok_or(PortError::Timeout(timeout))?;
            let wait = self.device.next_wake().map_or(left, |wake| wake.min(left));
            poll(&[(self.watch.as_fd(), libc::POLLIN)], Some(wait)).map_err(PortError::Receive)?;
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.device
            .with(Some(&self.watch), |device| device.mei_close(self.handle));
    }
}
