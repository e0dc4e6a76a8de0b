//! Descriptors that were moved out of the window (`dup2(960, 3)`, as a shell does it), where the filter does not
//! see what is read and written.
//!
//! Such a file's socket carries the messages themselves: what the program writes arrives in our end, and the next
//! message waits in its end. The kernel answers then, and so what only a driver can do is lost there: the rest of
//! a message after a short read, ENODEV, EFBIG. Descriptors of the same file inside the window stay exact.
#![expect(unsafe_code, reason = "raw system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

/// Readable when something happened in one of the sockets.
#[derive(Debug, Clone)]
pub(super) struct Strays {
    epoll: Arc<OwnedFd>,
}

impl Strays {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: `fd` is new and nobody else owns it.
            epoll: Arc::new(unsafe { OwnedFd::from_raw_fd(fd) }),
        })
    }

    /// Watches our end of a socket until it is closed: a message came, or one was taken at the other end.
    pub(super) fn watch(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32,
            u64: 0,
        };
        // SAFETY: the pointer is to one event.
        let result = unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                socket.as_raw_fd(),
                &raw mut event,
            )
        };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Makes it quiet until something happens again.
    pub(super) fn clear(&self) {
        const AT_ONCE: usize = 16;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; AT_ONCE];
        // SAFETY: the pointer is to an array of the given length.
        unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                events.as_mut_ptr(),
                AT_ONCE as libc::c_int,
                0,
            )
        };
    }
}

impl AsFd for Strays {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
