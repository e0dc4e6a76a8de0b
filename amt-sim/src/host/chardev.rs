//! The MEI character device as a program's system calls see it: what the front ends have in common.
//!
//! A front end finds out *that* a program called `open`, `ioctl`, `read`, `write`, `poll` or `close`, and moves
//! bytes in and out of it. What the call means and which errno it ends with is decided here, once.
//!
//! Nothing here waits. [`Errno::Eagain`] is the final answer on a non-blocking descriptor; on a blocking one the
//! front end keeps the call and repeats it when [`OpenFile::readiness`] has changed: after any other call, when
//! [`CharDevice::watch`] becomes readable, and after [`CharDevice::next_wake`].
//!
//! Source: Linux `drivers/misc/mei/main.c`, `include/uapi/linux/mei.h`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::shared::{SharedDevice, Watch};
use crate::machine::Device;
use crate::mei::{Errno, Guid, HandleId, Readiness};

/// The requests that the driver knows, by number.
///
/// ```text
/// IOCTL_MEI_CONNECT_CLIENT       _IOWR('H', 1, 16 bytes)   in: GUID; out: client properties over its first 8
/// IOCTL_MEI_NOTIFY_SET           _IOW ('H', 2, 4 bytes)    in: u32, 1 to enable, 0 to disable
/// IOCTL_MEI_NOTIFY_GET           _IOR ('H', 3, 4 bytes)    out: u32, 1 when an event came
/// IOCTL_MEI_CONNECT_CLIENT_VTAG  _IOWR('H', 4, 20 bytes)   in: GUID, u8 tag, u8[3] 0; out: client properties
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ioctl {
    ConnectClient,
    NotifySet,
    NotifyGet,
    ConnectClientVtag,
}

impl Ioctl {
    /// What a program means by this request number; `None` is answered with [`Errno::Enotty`].
    pub(crate) const fn from_number(number: u32) -> Option<Self> {
        match number {
            0xC010_4801 => Some(Self::ConnectClient),
            0x4004_4802 => Some(Self::NotifySet),
            0x8004_4803 => Some(Self::NotifyGet),
            0xC014_4804 => Some(Self::ConnectClientVtag),
            _ => None,
        }
    }

    /// Bytes that are read from the argument.
    pub(crate) const fn input(self) -> usize {
        match self {
            Self::ConnectClient => 16,
            Self::NotifySet => 4,
            Self::NotifyGet => 0,
            Self::ConnectClientVtag => 20,
        }
    }

    /// Bytes that are written to the argument when the request succeeds.
    pub(crate) const fn output(self) -> usize {
        match self {
            Self::ConnectClient => 16,
            Self::NotifySet => 0,
            Self::NotifyGet => 4,
            Self::ConnectClientVtag => 20,
        }
    }
}

/// The device behind one front end. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct CharDevice {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    device: SharedDevice,
    watch: Watch,
}

impl CharDevice {
    pub(crate) fn new(device: SharedDevice) -> io::Result<Self> {
        let watch = device.watch()?;
        Ok(Self {
            shared: Arc::new(Shared { device, watch }),
        })
    }

    /// `open(2)`.
    pub(crate) fn open(&self, nonblocking: bool) -> Result<OpenFile, Errno> {
        let handle = self.with(Device::mei_open)?;
        Ok(OpenFile {
            device: self.clone(),
            handle,
            nonblocking,
        })
    }

    /// Readable when something outside this front end changed the readiness of its files; clear it then.
    pub(crate) fn watch(&self) -> &Watch {
        &self.shared.watch
    }

    /// How long until readiness changes by itself.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        self.shared.device.next_wake()
    }

    /// Lets the device do what has fallen due.
    pub(crate) fn tick(&self) {
        self.with(|_| ());
    }

    fn with<R>(&self, act: impl FnOnce(&mut Device) -> R) -> R {
        self.shared.device.with(Some(&self.shared.watch), act)
    }
}

/// One open file description of `/dev/mei0`. Dropping it is the last `close(2)`.
#[derive(Debug)]
pub(crate) struct OpenFile {
    device: CharDevice,
    handle: HandleId,
    nonblocking: bool,
}

impl OpenFile {
    /// `O_NONBLOCK`, as far as the front end last knew.
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.nonblocking
    }

    /// `fcntl(F_SETFL)` or `ioctl(FIONBIO)`.
    pub(crate) fn set_nonblocking(&mut self, nonblocking: bool) {
        self.nonblocking = nonblocking;
    }

    /// `ioctl(2)`. The argument holds [`Ioctl::input`] bytes, has room for [`Ioctl::output`] bytes, and is
    /// written only on success. A shorter one stands for a pointer that cannot be followed: [`Errno::Efault`].
    pub(crate) fn ioctl(&self, number: u32, argument: &mut [u8]) -> Result<(), Errno> {
        self.device.with(|device| {
            let refuse = |device: &mut Device, errno, why: &str| {
                Err(device.mei_refuse_ioctl(self.handle, errno, why))
            };
            if !device.mei_link_is_up() {
                return refuse(device, Errno::Enodev, "the link is down");
            }
            let Some(request) = Ioctl::from_number(number) else {
                let why = format!("the MEI driver has no request {number:#010x}");
                return refuse(device, Errno::Enotty, &why);
            };
            if argument.len() < request.input().max(request.output()) {
                return refuse(device, Errno::Efault, "the argument cannot be accessed");
            }
            match request {
                Ioctl::ConnectClient => self.connect(device, argument),
                Ioctl::NotifySet if !matches!(argument[..4], [0 | 1, 0, 0, 0]) => {
                    refuse(device, Errno::Einval, "neither 0 nor 1")
                }
                Ioctl::NotifySet | Ioctl::NotifyGet => {
                    let why = "the firmware has no event notification";
                    refuse(device, Errno::Eopnotsupp, why)
                }
                Ioctl::ConnectClientVtag => {
                    let why = "the firmware has no tagged connections";
                    refuse(device, Errno::Eopnotsupp, why)
                }
            }
        })
    }

    fn connect(&self, device: &mut Device, argument: &mut [u8]) -> Result<(), Errno> {
        let mut guid = [0; 16];
        guid.copy_from_slice(&argument[..16]);
        let properties = device.mei_connect(self.handle, Guid::from_wire(guid))?;
        argument[..8].copy_from_slice(&properties.to_wire());
        Ok(())
    }

    /// `write(2)`.
    pub(crate) fn write(&self, message: &[u8]) -> Result<usize, Errno> {
        self.device
            .with(|device| device.mei_write(self.handle, message))
    }

    /// `read(2)`.
    pub(crate) fn read(&self, capacity: usize) -> Result<Vec<u8>, Errno> {
        self.device
            .with(|device| device.mei_read(self.handle, capacity))
    }

    /// `fsync(2)`. The firmware takes what it can at once, so there is nothing to wait for.
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        match self.readiness().error {
            true => Err(Errno::Enodev),
            false => Ok(()),
        }
    }

    /// Whether a message is here or on its way.
    pub(crate) fn is_expecting(&self) -> bool {
        self.device
            .with(|device| device.mei_is_expecting(self.handle))
    }

    /// What `poll(2)` looks at; [`poll_events`] says it in the kernel's bits.
    pub(crate) fn readiness(&self) -> Readiness {
        self.device.with(|device| device.mei_readiness(self.handle))
    }

    /// The last `close(2)`.
    pub(crate) fn close(self) {}
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.device.with(|device| device.mei_close(self.handle));
    }
}

/// The bits of `poll(2)`, as `mei_poll` sets them.
pub(crate) fn poll_events(readiness: Readiness) -> u32 {
    let bits = |on: bool, bits: libc::c_short| if on { bits } else { 0 };
    let events = bits(readiness.readable, libc::POLLIN | libc::POLLRDNORM)
        | bits(readiness.writable, libc::POLLOUT | libc::POLLWRNORM)
        | bits(readiness.error, libc::POLLERR);
    u32::from(events.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::device::{Event, Operation, Profile};
    use crate::mei::ClientKind;

    const CONNECT: u32 = 0xC010_4801;

    fn device() -> CharDevice {
        let profile = Profile::builtin("tiger-lake-15")
            .and_then(|profile| profile.with("timings.mei_reply_ms", "0"))
            .unwrap();
        let device = Device::of(Arc::new(profile)).build().unwrap();
        CharDevice::new(SharedDevice::new(device)).unwrap()
    }

    fn connected(device: &CharDevice, client: ClientKind) -> OpenFile {
        let file = device.open(false).unwrap();
        let mut argument = client.guid().to_wire();
        file.ioctl(CONNECT, &mut argument).unwrap();
        file
    }

    #[test]
    fn connect_answers_with_the_properties_and_keeps_the_tail_of_the_guid() {
        let device = device();
        let file = device.open(false).unwrap();
        let guid = ClientKind::Amthi.guid().to_wire();
        let mut argument = guid;
        file.ioctl(CONNECT, &mut argument).unwrap();
        assert_eq!(argument[..8], [0, 0x14, 0, 0, 1, 0, 0, 0]);
        assert_eq!(argument[8..], guid[8..]);
        assert_eq!(file.ioctl(CONNECT, &mut { guid }), Err(Errno::Ebusy));
    }

    #[rstest]
    #[case::connect_of_nobody(CONNECT, &[0xff; 16], Errno::Enotty)]
    #[case::connect_with_a_short_argument(CONNECT, &[0; 15], Errno::Efault)]
    #[case::notify_on(0x4004_4802, &[1, 0, 0, 0], Errno::Eopnotsupp)]
    #[case::notify_off(0x4004_4802, &[0, 0, 0, 0], Errno::Eopnotsupp)]
    #[case::notify_nonsense(0x4004_4802, &[2, 0, 0, 0], Errno::Einval)]
    #[case::notify_high_bits(0x4004_4802, &[1, 0, 0, 1], Errno::Einval)]
    #[case::notify_get(0x8004_4803, &[0; 4], Errno::Eopnotsupp)]
    #[case::tag_of_zero(0xC014_4804, &[0; 20], Errno::Eopnotsupp)]
    #[case::tag(0xC014_4804, &[1; 20], Errno::Eopnotsupp)]
    #[case::heci_version_of_windows(0xC005_4800, &[0; 5], Errno::Enotty)]
    #[case::terminal(0x5401, &[], Errno::Enotty)]
    fn what_the_driver_refuses(#[case] number: u32, #[case] input: &[u8], #[case] errno: Errno) {
        let device = device();
        let file = device.open(false).unwrap();
        let mut argument = input.to_vec();
        assert_eq!(file.ioctl(number, &mut argument), Err(errno));
        assert_eq!(argument, input);
        let journaled = device.with(|device| {
            device.journal().any(|entry| {
                matches!(&entry.event, Event::Refused { handle: Some(1), operation: Operation::Ioctl | Operation::Connect, errno: seen, .. } if *seen == errno)
            })
        });
        assert!(journaled);
    }

    #[test]
    fn while_the_link_is_down_every_ioctl_is_enodev() {
        let device = device();
        let file = connected(&device, ClientKind::Amthi);
        device.with(|device| device.mei_reset("test"));
        for number in [CONNECT, 0x4004_4802, 0x5401] {
            assert_eq!(file.ioctl(number, &mut [0; 16]), Err(Errno::Enodev));
        }
        assert_eq!(file.sync(), Err(Errno::Enodev));
        assert!(device.open(false).is_err());
    }

    #[test]
    fn a_dropped_file_frees_its_client() {
        let device = device();
        let first = connected(&device, ClientKind::Lme);
        let second = device.open(true).unwrap();
        let mut argument = ClientKind::Lme.guid().to_wire();
        assert_eq!(second.ioctl(CONNECT, &mut argument), Err(Errno::Ebusy));
        first.close();
        assert_eq!(second.ioctl(CONNECT, &mut argument), Ok(()));
    }

    #[test]
    fn poll_says_what_the_driver_says() {
        let device = device();
        let file = device.open(false).unwrap();
        assert_eq!(poll_events(file.readiness()), 0x008);
        let mut argument = ClientKind::Amthi.guid().to_wire();
        file.ioctl(CONNECT, &mut argument).unwrap();
        assert_eq!(poll_events(file.readiness()), 0x104);
        file.write(&[0; 12]).unwrap();
        assert_eq!(poll_events(file.readiness()), 0x145);
        assert_eq!(file.sync(), Ok(()));
    }
}
