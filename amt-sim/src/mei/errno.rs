//! The error numbers that a program sees at `/dev/mei0`, as Linux numbers them on every architecture we run on.

use serde::{Deserialize, Serialize};

/// What a system call on the character device fails with.
///
/// Source: Linux `drivers/misc/mei/main.c` and `client.c`; the numbers are those of `asm-generic/errno*.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Errno {
    /// Nothing to read now, or no room to write now, on a non-blocking descriptor.
    Eagain,
    /// A user pointer cannot be read or written; also a firmware silent for 15 s at connect.
    Efault,
    /// The descriptor or the client is connected already, or its connection limit is reached.
    Ebusy,
    /// Device not enabled, descriptor not connected, or the link was reset under it.
    Enodev,
    /// A request that makes no sense, such as a tag of 0.
    Einval,
    /// 255 handles are open already.
    Emfile,
    /// No such ME client, or no such ioctl.
    Enotty,
    /// A write longer than the client's longest message.
    Efbig,
    /// A message from the firmware that is longer than the client's longest.
    Emsgsize,
    /// The firmware does not offer this (tags, notifications).
    Eopnotsupp,
    /// Interrupted by a signal before anything happened.
    Eintr,
    /// The device did not answer in time.
    Etime,
    /// The front end failed underneath the device.
    Eio,
}

impl Errno {
    /// The positive number, as in `errno`.
    pub const fn raw(self) -> i32 {
        match self {
            Self::Eintr => 4,
            Self::Eio => 5,
            Self::Eagain => 11,
            Self::Efault => 14,
            Self::Ebusy => 16,
            Self::Enodev => 19,
            Self::Einval => 22,
            Self::Emfile => 24,
            Self::Enotty => 25,
            Self::Efbig => 27,
            Self::Etime => 62,
            Self::Emsgsize => 90,
            Self::Eopnotsupp => 95,
        }
    }

    /// The symbolic name, as in `errno(3)`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eintr => "EINTR",
            Self::Eio => "EIO",
            Self::Eagain => "EAGAIN",
            Self::Efault => "EFAULT",
            Self::Ebusy => "EBUSY",
            Self::Enodev => "ENODEV",
            Self::Einval => "EINVAL",
            Self::Emfile => "EMFILE",
            Self::Enotty => "ENOTTY",
            Self::Efbig => "EFBIG",
            Self::Etime => "ETIME",
            Self::Emsgsize => "EMSGSIZE",
            Self::Eopnotsupp => "EOPNOTSUPP",
        }
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Errno {}
