//! One alarm that either thread may set and one waits for.
#![expect(unsafe_code, reason = "raw system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Readable when its time came.
#[derive(Debug)]
pub(super) struct Timer {
    fd: OwnedFd,
    set_to: Mutex<Option<Instant>>,
}

/// Setting it costs a system call: so much earlier or later is as good.
const GRAIN: Duration = Duration::from_micros(20);

impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no pointers.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: `fd` is new and nobody else owns it.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            set_to: Mutex::new(None),
        })
    }

    /// Rings this long from now, and not at any time that was set before.
    pub(super) fn set(&self, after: Option<Duration>) {
        let mut set_to = self.set_to.lock().unwrap_or_else(PoisonError::into_inner);
        let at = after.map(|after| Instant::now() + after);
        match (*set_to, at) {
            (None, None) => return,
            (Some(old), Some(new)) => {
                let apart = old.max(new) - old.min(new);
                if apart < GRAIN {
                    return;
                }
            }
            _ => {}
        }
        *set_to = at;
        // A zero would switch it off.
        self.arm(after.map_or(Duration::ZERO, |after| after.max(Duration::from_nanos(1))));
    }

    /// It rang, and has to be set again.
    pub(super) fn clear(&self) {
        let mut set_to = self.set_to.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count: u64 = 0;
        // SAFETY: the pointer is to eight writable bytes.
        let got = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), 8) };
        if got == 8 {
            *set_to = None;
        }
    }

    fn arm(&self, after: Duration) {
        // SAFETY: plain old data for which all zeros is valid.
        let mut spec: libc::itimerspec = unsafe { std::mem::zeroed() };
        spec.it_value.tv_sec = libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX);
        spec.it_value.tv_nsec = after.subsec_nanos().into();
        // SAFETY: the pointer is to a readable structure; the old value is not asked for.
        unsafe {
            libc::timerfd_settime(
                self.fd.as_raw_fd(),
                0,
                &raw const spec,
                std::ptr::null_mut(),
            )
        };
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::poll::poll;

    fn rings(timer: &Timer, within: Duration) -> bool {
        poll(&[(timer.as_fd(), libc::POLLIN)], Some(within)).unwrap() != [0]
    }

    #[test]
    fn it_rings_once_for_each_setting() {
        let timer = Timer::new().unwrap();
        assert!(!rings(&timer, Duration::ZERO));
        timer.set(Some(Duration::ZERO));
        assert!(rings(&timer, Duration::from_secs(5)));
        timer.clear();
        assert!(!rings(&timer, Duration::ZERO));
        timer.set(Some(Duration::ZERO));
        assert!(rings(&timer, Duration::from_secs(5)));
    }

    #[test]
    fn it_can_be_put_off() {
        let timer = Timer::new().unwrap();
        timer.set(Some(Duration::ZERO));
        timer.set(None);
        assert!(!rings(&timer, Duration::ZERO));
        timer.set(Some(Duration::from_secs(3600)));
        assert!(!rings(&timer, Duration::ZERO));
    }
}
