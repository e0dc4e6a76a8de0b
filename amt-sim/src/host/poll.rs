//! `ppoll(2)`: the one call in which the threads of this crate wait for descriptors.
#![expect(unsafe_code, reason = "raw system calls")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Waits until one of the descriptors has one of its events (`POLLIN`, `POLLOUT`), or the time is up; `None`
/// waits for ever. What each descriptor shows comes back in the same order, 0 for nothing. A signal does not end
/// the wait.
pub(crate) fn poll(
    watched: &[(BorrowedFd<'_>, i16)],
    timeout: Option<Duration>,
) -> io::Result<Vec<i16>> {
    let mut fds: Vec<libc::pollfd> = watched
        .iter()
        .map(|(fd, events)| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: *events,
            revents: 0,
        })
        .collect();
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|deadline| timespec(deadline - Instant::now()));
        let limit = left
            .as_ref()
            .map_or(std::ptr::null(), |left| &raw const *left);
        // SAFETY: `fds` is an array of the given length, `limit` is null or points to `left`, and both outlive
        // the call.
        let ready = unsafe {
            libc::ppoll(
                fds.as_mut_ptr(),
                fds.len() as libc::nfds_t,
                limit,
                std::ptr::null(),
            )
        };
        if ready >= 0 {
            return Ok(fds.iter().map(|fd| fd.revents).collect());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: plain old data for which all zeros is valid; some targets have padding fields that cannot be named.
    let mut spec: libc::timespec = unsafe { std::mem::zeroed() };
    spec.tv_sec = libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX);
    spec.tv_nsec = duration.subsec_nanos() as _;
    spec
}
