//! Thin, safe wrappers around the system calls that the standard library does not have.
#![expect(unsafe_code, reason = "raw system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A counter that `poll(2)` shows as readable while it is not zero.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked before it becomes an owner.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` is new and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds one. A counter at its limit stays readable, which is all that is wanted.
pub(crate) fn eventfd_raise(event: BorrowedFd<'_>) {
    let one: u64 = 1;
    // SAFETY: the pointer is to eight readable bytes that outlive the call.
    unsafe { libc::write(event.as_raw_fd(), (&raw const one).cast(), 8) };
}

/// Back to zero.
pub(crate) fn eventfd_clear(event: BorrowedFd<'_>) {
    let mut count: u64 = 0;
    // SAFETY: the pointer is to eight writable bytes that outlive the call.
    unsafe { libc::read(event.as_raw_fd(), (&raw mut count).cast(), 8) };
}

/// Two connected sockets of type SEQPACKET, closed at exec.
pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the pointer is to two writable ints.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both are new and nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Space for one descriptor in a control message, aligned as `cmsghdr` wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Sends one descriptor with one byte. Allocates nothing: it also runs between fork and exec.
pub(crate) fn send_fd(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut byte = 0u8;
    let mut control = Control([0; 64]);
    let mut part = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: msghdr is plain old data for which all zeros is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute; CMSG_FIRSTHDR points into `control`, which is large and
    // aligned enough for one header with one descriptor.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header)
            .cast::<libc::c_int>()
            .write_unaligned(fd.as_raw_fd());
        if libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Waits for one descriptor; `None` when the other end went away without sending one.
pub(crate) fn receive_fd(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut byte = 0u8;
    let mut control = Control([0; 64]);
    let mut part = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: as in `send_fd`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = 64;
    loop {
        // SAFETY: every pointer in `message` is to a live local of the given size.
        let got =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        if got < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        if got == 0 {
            return Ok(None);
        }
        break;
    }
    // SAFETY: the kernel filled `control`; the header is checked before its data is read, and a descriptor
    // that arrived belongs to us alone.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null()
            || (*header).cmsg_level != libc::SOL_SOCKET
            || (*header).cmsg_type != libc::SCM_RIGHTS
        {
            return Ok(None);
        }
        let fd = libc::CMSG_DATA(header)
            .cast::<libc::c_int>()
            .read_unaligned();
        Ok(Some(OwnedFd::from_raw_fd(fd)))
    }
}

/// Sends one byte without raising SIGPIPE.
pub(crate) fn send_byte(socket: BorrowedFd<'_>) -> io::Result<()> {
    let byte = 1u8;
    // SAFETY: the pointer is to one readable byte.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            (&raw const byte).cast(),
            1,
            libc::MSG_NOSIGNAL,
        )
    };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Waits for one byte; an error when the other end went away instead.
pub(crate) fn receive_byte(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut byte = 0u8;
    loop {
        // SAFETY: the pointer is to one writable byte.
        let got = unsafe { libc::recv(socket.as_raw_fd(), (&raw mut byte).cast(), 1, 0) };
        match got {
            1 => return Ok(()),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// The calling process dies with the thread that started it. Runs between fork and exec.
pub(crate) fn die_with_parent() -> io::Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Undoes what the Rust runtime did to SIGPIPE. Runs between fork and exec.
pub(crate) fn default_sigpipe() {
    // SAFETY: resets a disposition; no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Waits until a descriptor is readable, at most this long; false when the time ran out first.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, at_most: Option<std::time::Duration>) -> bool {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let milliseconds = match at_most {
        None => -1,
        Some(time) => i32::try_from(time.as_millis()).unwrap_or(i32::MAX),
    };
    loop {
        // SAFETY: the pointer is to one pollfd.
        let got = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
        if got >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return got > 0;
        }
    }
}

/// Allows the calling process this many descriptors, as far as its hard limit goes. Runs between fork and exec.
pub(crate) fn raise_descriptor_limit(count: libc::rlim_t) -> io::Result<()> {
    let mut limit = descriptor_limits()?;
    if limit.rlim_cur >= count {
        return Ok(());
    }
    limit.rlim_cur = count.min(limit.rlim_max);
    // SAFETY: the pointer is to a readable structure.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// How many descriptors this process may have now.
pub(crate) fn descriptors_allowed() -> io::Result<libc::rlim_t> {
    Ok(descriptor_limits()?.rlim_cur)
}

/// How many descriptors a process may allow itself.
pub(crate) fn descriptor_limit() -> io::Result<libc::rlim_t> {
    Ok(descriptor_limits()?.rlim_max)
}

fn descriptor_limits() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a writable structure.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit)
}

/// Sets out for a TCP connection from this address of the machine, or from any, and does not wait: when the socket is
/// writable, [`std::net::TcpStream::take_error`] says what came of it.
pub(crate) fn connect_start(
    from: Option<std::net::IpAddr>,
    to: std::net::SocketAddr,
) -> io::Result<std::net::TcpStream> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let family = match to {
        std::net::SocketAddr::V4(_) => libc::AF_INET,
        std::net::SocketAddr::V6(_) => libc::AF_INET6,
    };
    // SAFETY: no pointers; the result is checked before it becomes an owner.
    let fd = unsafe { libc::socket(family, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` is new and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    if let Some(from) = from.filter(|from| from.is_ipv4() == to.is_ipv4()) {
        // The port is chosen at connect: many may come from one address.
        let _ = set_option(
            socket.as_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            1,
        );
        with_address(std::net::SocketAddr::new(from, 0), |address, length| {
            // SAFETY: `with_address` gives a pointer to that many readable bytes.
            unsafe { libc::bind(fd, address, length) }
        })?;
    }
    let connected = with_address(to, |address, length| {
        // SAFETY: as above.
        unsafe { libc::connect(fd, address, length) }
    });
    match connected {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Closing this socket sends RST, and throws away what has not left yet.
pub(crate) fn reset_at_close(socket: BorrowedFd<'_>) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    set_option(socket, libc::SOL_SOCKET, libc::SO_LINGER, linger)
}

fn set_option<T>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: T,
) -> io::Result<()> {
    // SAFETY: the pointer is to a readable value of the given size. Options here are ints and plain structures.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Calls with the address as the kernel reads it.
fn with_address(
    address: std::net::SocketAddr,
    call: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> libc::c_int,
) -> io::Result<()> {
    // Both structures are a few dozen bytes.
    const fn length<T>() -> libc::socklen_t {
        size_of::<T>() as libc::socklen_t
    }
    let result = match address {
        std::net::SocketAddr::V4(address) => {
            // SAFETY: plain old data for which all zeros is valid.
            let mut raw: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            raw.sin_family = libc::AF_INET as libc::sa_family_t;
            raw.sin_port = address.port().to_be();
            raw.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
            call((&raw const raw).cast(), length::<libc::sockaddr_in>())
        }
        std::net::SocketAddr::V6(address) => {
            // SAFETY: plain old data for which all zeros is valid.
            let mut raw: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            raw.sin6_port = address.port().to_be();
            raw.sin6_addr.s6_addr = address.ip().octets();
            raw.sin6_scope_id = address.scope_id();
            call((&raw const raw).cast(), length::<libc::sockaddr_in6>())
        }
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
