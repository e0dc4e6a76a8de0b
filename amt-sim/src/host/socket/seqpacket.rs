//! UNIX sockets of type SEQPACKET, which the standard library does not have: connections that keep packets whole.
#![expect(unsafe_code, reason = "raw system calls")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A non-blocking socket that listens at a file with mode 0600.
pub(crate) fn listen(path: &Path) -> io::Result<OwnedFd> {
    let (address, length) = address(path)?;
    let socket = socket()?;
    // Before bind(2), so that the file never has another mode: Linux makes it with that of the socket.
    // SAFETY: no pointers.
    check(unsafe { libc::fchmod(socket.as_raw_fd(), 0o600) })?;
    // SAFETY: `address` is a socket address of at least `length` bytes that outlives the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), 64) })?;
    Ok(socket)
}

/// A non-blocking connection. `WouldBlock` means that somebody listens who is too busy to accept.
pub(crate) fn connect(path: &Path) -> io::Result<OwnedFd> {
    let (address, length) = address(path)?;
    let socket = socket()?;
    // SAFETY: `address` is a socket address of at least `length` bytes that outlives the call.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(socket)
}

/// The next connection, non-blocking.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: null pointers say that the peer's address is not wanted.
    let fd = check(unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        )
    })?;
    // SAFETY: `fd` is new and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends one packet whole, without waiting and without SIGPIPE.
pub(crate) fn send(socket: BorrowedFd<'_>, packet: &[u8]) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: pointer and length are those of `packet`.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            flags,
        )
    };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Takes one packet without waiting and returns its true length, which may be more than the buffer holds. Zero
/// is the end of the connection.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: pointer and length are those of `buffer`.
    let got = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            flags,
        )
    };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: `fd` is new and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn address(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: plain old data for which all zeros is valid.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as _;
    let bytes = path.as_os_str().as_bytes();
    let room = address.sun_path.len() - 1; // the rest stays zero and ends the name
    if bytes.is_empty() || bytes.contains(&0) {
        let why = "not a name that a file can have";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    if bytes.len() > room {
        let why = format!(
            "{} bytes; the name of a socket has at most {room}, take a shorter one",
            bytes.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as _;
    }
    let length = std::mem::size_of::<libc::sockaddr_un>() as libc::socklen_t;
    Ok((address, length))
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
