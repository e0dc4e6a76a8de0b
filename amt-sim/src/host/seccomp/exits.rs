//! Notices the end of processes that hold the device.
#![expect(unsafe_code, reason = "raw system calls")]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use super::process;

/// Readable when a watched process ended.
#[derive(Debug)]
pub(super) struct Exits {
    epoll: Arc<OwnedFd>,
    watched: HashMap<i32, OwnedFd>,
}

impl Exits {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: `fd` is new and nobody else owns it.
            epoll: Arc::new(unsafe { OwnedFd::from_raw_fd(fd) }),
            watched: HashMap::new(),
        })
    }

    /// To wait for it in another thread.
    pub(super) fn event(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.epoll)
    }

    /// Watches the process of this thread. Where that is not possible (it ended already, or a container forbids
    /// it) the sweep notices its end.
    pub(super) fn watch(&mut self, tid: i32) {
        if self.watched.contains_key(&tid) {
            return;
        }
        // Only the first thread of a process can be watched.
        let Some(process) = process::process_of(tid) else {
            return;
        };
        if self.watched.contains_key(&process) {
            return;
        }
        if let Ok(handle) = self.open(process) {
            self.watched.insert(process, handle);
        }
    }

    fn open(&self, process: i32) -> io::Result<OwnedFd> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: `fd` is new and nobody else owns it.
        let handle = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: u64::from(process.unsigned_abs()),
        };
        // SAFETY: the pointer is to one event.
        let result = unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                handle.as_raw_fd(),
                &raw mut event,
            )
        };
        match result {
            0 => Ok(handle),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Forgets the processes that ended; true when there were any.
    pub(super) fn drain(&mut self) -> bool {
        const AT_ONCE: usize = 16;
        if self.watched.is_empty() {
            return false;
        }
        let mut any = false;
        loop {
            let mut events = [libc::epoll_event { events: 0, u64: 0 }; AT_ONCE];
            // SAFETY: the pointer is to an array of the given length.
            let count = unsafe {
                libc::epoll_wait(
                    self.epoll.as_raw_fd(),
                    events.as_mut_ptr(),
                    AT_ONCE as libc::c_int,
                    0,
                )
            };
            let count = usize::try_from(count).unwrap_or(0);
            for event in &events[..count] {
                let process = event.u64;
                // Closing the handle takes it out of the epoll set.
                self.watched
                    .retain(|known, _| u64::from(known.unsigned_abs()) != process);
            }
            any |= count > 0;
            if count < AT_ONCE {
                return any;
            }
        }
    }
}

impl AsFd for Exits {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::poll::poll;
    use std::process::{Command, Stdio};

    #[test]
    fn the_end_of_a_process_is_seen_once() {
        let mut exits = Exits::new().unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        exits.watch(child.id().cast_signed());
        assert!(!exits.drain());
        drop(child.stdin.take());
        poll(&[(exits.as_fd(), libc::POLLIN)], None).unwrap();
        assert!(exits.drain());
        assert!(!exits.drain());
        child.wait().unwrap();
        exits.watch(child.id().cast_signed());
        assert!(exits.watched.is_empty());
    }
}
