//! `epoll(7)`: waiting for thousands of descriptors at once.
#![expect(unsafe_code, reason = "raw system calls")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Something can be read, or the peer sends no more.
pub(crate) const READ: u32 = libc::EPOLLIN as u32;
/// Something can be written.
pub(crate) const WRITE: u32 = libc::EPOLLOUT as u32;
/// The connection is gone, or failed. Shown without being asked for.
pub(crate) const GONE: u32 = (libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// Events that one wait returns.
const MOST: usize = 256;

/// A set of descriptors, each with a number that says whose it is. A descriptor leaves it when it is closed.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it becomes an owner.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is new and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, whose: u64, events: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, whose, events)
    }

    pub(crate) fn change(&self, fd: BorrowedFd<'_>, whose: u64, events: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, whose, events)
    }

    fn control(
        &self,
        operation: libc::c_int,
        fd: BorrowedFd<'_>,
        whose: u64,
        events: u32,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: whose };
        // SAFETY: the pointer is to one event that outlives the call; both descriptors are open.
        let result = unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                operation,
                fd.as_raw_fd(),
                &raw mut event,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Waits until one of them shows something, or the time is up; `None` waits for ever. A signal may end it early.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<(u64, u32)>> {
        let milliseconds = match timeout {
            None => -1,
            // Rounded up: a wake-up that comes too early would be one for nothing.
            Some(time) => i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX),
        };
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; MOST];
        // SAFETY: the pointer is to that many writable events.
        let count = unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.as_mut_ptr(),
                MOST as libc::c_int,
                milliseconds,
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::Interrupted => Ok(Vec::new()),
                _ => Err(error),
            };
        };
        let shown = events.iter().take(count);
        Ok(shown.map(|event| (event.u64, event.events)).collect())
    }
}
