//! The notification descriptor: taking over system calls and answering them.
//!
//! Source: `seccomp_unotify(2)`, Linux `kernel/seccomp.c`, `include/uapi/linux/seccomp.h`.
#![expect(unsafe_code, reason = "raw system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::sock_filter;

/// One system call that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::host) struct Notification {
    pub(in crate::host) id: u64,
    /// The calling thread, as this process numbers it; 0 when it is out of sight.
    pub(in crate::host) tid: i32,
    pub(in crate::host) arch: u32,
    pub(in crate::host) number: u32,
    pub(in crate::host) args: [u64; 6],
}

/// How a system call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum Answer {
    Value(i64),
    /// A positive errno.
    Error(i32),
    /// The kernel executes it as if nobody had looked.
    Continue,
}

/// The call is not there any more: its thread was killed or took a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) struct Gone;

/// Puts the calling thread under the filter. Runs between fork and exec.
///
/// Once a call is received nothing but the end of its thread takes it away again, where the kernel can do that:
/// else a signal may strike between the last look at a thread and what is written into its memory, or make the
/// kernel drop an answer unheard.
pub(in crate::host) fn listen(program: &[sock_filter]) -> io::Result<OwnedFd> {
    let mut flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    if can_wait_killable() {
        flags |= libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    }
    let mut program = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(u16::MAX),
        filter: program.as_ptr().cast_mut(),
    };
    let mut install = || {
        // SAFETY: `program` describes an array that outlives the call; the kernel only reads it.
        unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw mut program,
            )
        }
    };
    let mut fd = install();
    if fd < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EACCES) {
        // Without CAP_SYS_ADMIN the program must give up set-user-ID; with it, sudo goes on working.
        // SAFETY: no pointers.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        fd = install();
    }
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: `fd` is new and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The supervisor's side.
#[derive(Debug)]
pub(in crate::host) struct Listener {
    fd: OwnedFd,
    /// Receiving ends by itself when nobody is under the filter any more.
    receive_ends: bool,
    /// No signal but a deadly one takes a call away that was received: whoever sleeps in one has to be looked at.
    pub(in crate::host) waits_killable: bool,
}

impl Listener {
    pub(in crate::host) fn new(fd: OwnedFd) -> Self {
        // Caller and supervisor never run at the same time: let one wake the other on its own processor.
        // Kernels before 6.6 refuse, and are only slower.
        const SYNC_WAKE_UP: libc::c_ulong = 1;
        // SAFETY: the argument is a number.
        unsafe {
            libc::ioctl(
                fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                SYNC_WAKE_UP,
            )
        };
        Self {
            fd,
            receive_ends: kernel_version() >= (6, 11),
            waits_killable: can_wait_killable(),
        }
    }

    /// Waits for a system call; `None` when nobody is left to make one.
    pub(in crate::host) fn receive(&self) -> io::Result<Option<Notification>> {
        loop {
            // Receiving directly saves a system call in twenty, but older kernels sleep in it for ever.
            if !self.receive_ends && self.is_abandoned(-1)? {
                return Ok(None);
            }
            // SAFETY: plain old data for which all zeros is valid; the kernel demands zeros.
            let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
            // SAFETY: the pointer is to a writable structure of the size that the request number carries.
            let result = unsafe {
                libc::ioctl(
                    self.fd.as_raw_fd(),
                    libc::SECCOMP_IOCTL_NOTIF_RECV,
                    &raw mut raw,
                )
            };
            if result == 0 {
                return Ok(Some(Notification {
                    id: raw.id,
                    tid: raw.pid.cast_signed(),
                    arch: raw.data.arch,
                    number: raw.data.nr.cast_unsigned(),
                    args: raw.data.args,
                }));
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // The caller went away before we came, or everybody did.
                Some(libc::ENOENT) => {
                    if self.is_abandoned(0)? {
                        return Ok(None);
                    }
                }
                _ => return Err(error),
            }
        }
    }

    /// Waits until there is something to receive (false) or nobody is left (true).
    fn is_abandoned(&self, milliseconds: i32) -> io::Result<bool> {
        let mut poll = libc::pollfd {
            fd: self.fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        loop {
            // SAFETY: the pointer is to one pollfd.
            if unsafe { libc::poll(&raw mut poll, 1, milliseconds) } >= 0 {
                return Ok(poll.revents & libc::POLLIN == 0 && poll.revents & libc::POLLHUP != 0);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Whether the call still waits. While it does, its thread's number means that thread and no other.
    pub(in crate::host) fn is_waiting(&self, id: u64) -> bool {
        // SAFETY: the pointer is to eight readable bytes.
        let result = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
                &raw const id,
            )
        };
        result == 0
    }

    pub(in crate::host) fn answer(&self, id: u64, answer: Answer) -> Result<(), Gone> {
        let (val, error, flags) = match answer {
            Answer::Value(value) => (value, 0, 0),
            Answer::Error(errno) => (0, -errno, 0),
            Answer::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        };
        let response = libc::seccomp_notif_resp {
            id,
            val,
            error,
            flags,
        };
        // SAFETY: the pointer is to a structure of the size that the request number carries.
        let result = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw const response,
            )
        };
        if result == 0 { Ok(()) } else { Err(Gone) }
    }

    /// Puts a descriptor into the calling program at this number, replacing what is there; the call still waits.
    pub(in crate::host) fn install(&self, id: u64, fd: BorrowedFd<'_>, at: i32) -> io::Result<()> {
        self.add(id, fd, at, false, false)
    }

    /// The same, and ends the call with that number, all or nothing.
    pub(in crate::host) fn answer_with(
        &self,
        id: u64,
        fd: BorrowedFd<'_>,
        at: i32,
        cloexec: bool,
    ) -> io::Result<()> {
        self.add(id, fd, at, cloexec, true)
    }

    fn add(
        &self,
        id: u64,
        fd: BorrowedFd<'_>,
        at: i32,
        cloexec: bool,
        answer: bool,
    ) -> io::Result<()> {
        let mut flags = libc::SECCOMP_ADDFD_FLAG_SETFD as u32;
        if answer {
            flags |= libc::SECCOMP_ADDFD_FLAG_SEND as u32;
        }
        let request = libc::seccomp_notif_addfd {
            id,
            flags,
            srcfd: fd.as_raw_fd().cast_unsigned(),
            newfd: at.cast_unsigned(),
            newfd_flags: if cloexec {
                libc::O_CLOEXEC.cast_unsigned()
            } else {
                0
            },
        };
        loop {
            // SAFETY: the pointer is to a structure of the size that the request number carries.
            let result = unsafe {
                libc::ioctl(
                    self.fd.as_raw_fd(),
                    libc::SECCOMP_IOCTL_NOTIF_ADDFD,
                    &raw const request,
                )
            };
            if result >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether the kernel knows `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19). It looks at the flags before it
/// looks at the filter; there is none, so nothing happens.
fn can_wait_killable() -> bool {
    // SAFETY: the kernel refuses the null pointer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
            std::ptr::null::<libc::sock_fprog>(),
        )
    };
    result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// Major and minor of the running kernel; (0, 0) when it cannot be read.
pub(in crate::host) fn kernel_version() -> (u32, u32) {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    parse_version(&text)
}

fn parse_version(text: &str) -> (u32, u32) {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("6.18.44-fc-v669\n", (6, 18))]
    #[case("5.15.167.4-microsoft-standard-WSL2", (5, 15))]
    #[case("6.1.0-56-amd64", (6, 1))]
    #[case("", (0, 0))]
    fn versions_are_read(#[case] text: &str, #[case] version: (u32, u32)) {
        assert_eq!(parse_version(text), version);
    }
}
