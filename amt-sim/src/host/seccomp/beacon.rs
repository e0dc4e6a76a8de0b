//! What a program holds as its descriptor: a socket that carries no data and only shows readiness.
//!
//! Every read and write on it is answered by the supervisor; `poll`, `select` and `epoll` go to the kernel and see
//! what the supervisor arranged with three AF_UNIX datagram sockets, all of which it keeps:
//!
//! ```text
//!   shown     arranged by
//!   POLLIN    a token in the program's socket, sent by `signal`
//!   !POLLOUT  an unread datagram of the program's socket in `ballast`, as large as its send buffer
//!   POLLERR   `signal` disconnects while something from the program's socket is unread in it:
//!             the kernel throws that away and sets ECONNRESET on the program's socket (no other kind of
//!             socket shows POLLERR without POLLIN or POLLHUP)
//! ```
//! Source: Linux `net/unix/af_unix.c` (`unix_dgram_poll`, `unix_dgram_disconnected`, `unix_writable`).
#![expect(unsafe_code, reason = "raw system calls")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::process::{Identity, identity_of};
use crate::mei::Readiness;

#[derive(Debug)]
pub(super) struct Beacon {
    /// Shared with the program.
    held: OwnedFd,
    signal: OwnedFd,
    ballast: OwnedFd,
    held_address: Address,
    ballast_address: Address,
    /// Bytes of ballast that make the program's socket unwritable.
    weight: usize,
    shown: Readiness,
}

impl Beacon {
    /// A new one, which shows an error: nothing is connected yet.
    pub(super) fn new(nonblocking: bool) -> io::Result<Self> {
        let (held, signal) = pair()?;
        let ballast = single()?;
        // The smallest buffer that the kernel gives: one datagram of ballast fills it.
        set_option(&held, libc::SO_SNDBUF, 0)?;
        if nonblocking {
            set_nonblocking(&held)?;
        }
        let mut beacon = Self {
            held_address: Address::bind(&held)?,
            ballast_address: Address::bind(&ballast)?,
            held,
            signal,
            ballast,
            weight: BALLAST,
            shown: Readiness {
                readable: false,
                writable: true,
                error: false,
            },
        };
        let error = Readiness {
            error: true,
            ..Readiness::default()
        };
        beacon.show(error, TOKEN)?;
        Ok(beacon)
    }

    /// What the program is given.
    pub(super) fn held(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }

    /// By which the program's descriptors are recognised.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        identity_of(self.held.as_fd())
    }

    /// `O_NONBLOCK`, as the program last set it.
    pub(super) fn is_nonblocking(&self) -> bool {
        // SAFETY: no pointers.
        let flags = unsafe { libc::fcntl(self.held.as_raw_fd(), libc::F_GETFL) };
        flags & libc::O_NONBLOCK != 0
    }

    /// Makes the program see this; what is readable is `content`. An error comes last and alone: nobody ever sees
    /// it beside something else.
    pub(super) fn show(&mut self, wanted: Readiness, content: &[u8]) -> io::Result<()> {
        if wanted == self.shown {
            return Ok(());
        }
        if self.shown.error && !wanted.error {
            self.clear_error()?;
            self.shown.error = false;
        }
        if wanted.writable != self.shown.writable {
            match wanted.writable {
                true => self.unload()?,
                false => self.load()?,
            }
            self.shown.writable = wanted.writable;
        }
        if wanted.readable != self.shown.readable {
            match wanted.readable {
                true => send(&self.signal, content, None)?,
                false => _ = self.take_back()?,
            }
            self.shown.readable = wanted.readable;
        }
        if wanted.error && !self.shown.error {
            self.raise_error()?;
            self.shown.error = true;
        }
        Ok(())
    }

    /// One more message became readable: whoever waits for edges is told again.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        if self.shown.readable {
            self.take_back()?;
            let readable = Readiness {
                readable: true,
                ..self.shown
            };
            self.show(readable, TOKEN)?;
        }
        Ok(())
    }

    /// Takes out again what is readable; false when the program took it before.
    pub(super) fn take_back(&mut self) -> io::Result<bool> {
        if !self.shown.readable {
            return Ok(true);
        }
        let there = receive(&self.held, &mut [])?.is_some();
        self.shown.readable = false;
        Ok(there)
    }

    /// Whether the program took what was readable by itself.
    pub(super) fn was_taken(&self) -> bool {
        self.shown.readable && is_empty(&self.held)
    }

    /// From now on the program may write to its socket by itself.
    pub(super) fn widen(&mut self) -> io::Result<()> {
        // A pending error would be spent on the send below, and the program would never see it.
        let shown = self.shown;
        let calm = Readiness {
            error: false,
            ..shown
        };
        self.show(calm, TOKEN)?;
        set_option(&self.held, libc::SO_SNDBUF, WIDE / 2)?;
        self.weight = WIDE_BALLAST;
        if !self.shown.writable {
            self.unload()?;
            self.load()?;
        }
        self.show(shown, TOKEN)
    }

    /// Our end, where that arrives.
    pub(super) fn ours(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }

    /// What the program wrote by itself.
    pub(super) fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; WIDE as usize];
        let length = receive(&self.signal, &mut bytes)?;
        Ok(length.map(|length| {
            bytes.truncate(length);
            bytes
        }))
    }

    fn load(&self) -> io::Result<()> {
        let ballast = vec![0; self.weight];
        send(&self.held, &ballast, Some(&self.ballast_address))
    }

    fn unload(&self) -> io::Result<()> {
        receive(&self.ballast, &mut [])?;
        Ok(())
    }

    fn raise_error(&self) -> io::Result<()> {
        send(&self.held, TOKEN, None)?;
        let nobody = Address::unspecified();
        nobody.connect(&self.signal)
    }

    fn clear_error(&self) -> io::Result<()> {
        let mut error: libc::c_int = 0;
        let mut length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: both pointers are to writable memory of the given size.
        let result = unsafe {
            libc::getsockopt(
                self.held.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                (&raw mut error).cast(),
                &raw mut length,
            )
        };
        checked(result)?;
        self.held_address.connect(&self.signal)
    }
}

/// Large enough that one datagram is more than a quarter of the smallest send buffer, which is where the kernel
/// stops calling a socket writable; small enough that one more byte can be sent.
const BALLAST: usize = 1024;

/// The buffer of a socket to which the program itself writes, as the kernel counts it (twice what is asked for),
/// and the ballast for that.
const WIDE: libc::c_int = 128 * 1024;
const WIDE_BALLAST: usize = 48 * 1024;

/// What is readable when nothing is meant to be read.
pub(super) const TOKEN: &[u8] = &[0];

/// A name that the kernel chose, in the abstract namespace. Nobody else can send there: `held` has a peer.
#[derive(Debug, Clone, Copy)]
struct Address {
    name: libc::sockaddr_un,
    length: libc::socklen_t,
}

impl Address {
    fn unspecified() -> Self {
        // SAFETY: plain old data for which all zeros is valid, and zero is AF_UNSPEC.
        let name: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        Self {
            name,
            length: size_of::<libc::sa_family_t>() as libc::socklen_t,
        }
    }

    fn bind(socket: &OwnedFd) -> io::Result<Self> {
        let mut address = Self::unspecified();
        address.name.sun_family = libc::AF_UNIX as libc::sa_family_t;
        // SAFETY: the pointer is to a structure of at least the given length.
        checked(unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address.name).cast(),
                address.length,
            )
        })?;
        address.length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        // SAFETY: the pointers are to a writable structure of the given length, and to that length.
        checked(unsafe {
            libc::getsockname(
                socket.as_raw_fd(),
                (&raw mut address.name).cast(),
                &raw mut address.length,
            )
        })?;
        Ok(address)
    }

    fn connect(&self, socket: &OwnedFd) -> io::Result<()> {
        // SAFETY: the pointer is to a structure of at least the given length.
        checked(unsafe {
            libc::connect(
                socket.as_raw_fd(),
                (&raw const self.name).cast(),
                self.length,
            )
        })
    }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: the pointer is to two writable ints.
    checked(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    // SAFETY: both are new and nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

fn single() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    checked(fd)?;
    // SAFETY: `fd` is new and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_option(socket: &OwnedFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer is to a readable int of the given size.
    checked(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
}

fn set_nonblocking(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: no pointers.
    checked(unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })
}

fn send(socket: &OwnedFd, bytes: &[u8], to: Option<&Address>) -> io::Result<()> {
    let (name, length) = match to {
        Some(address) => (&raw const address.name, address.length),
        None => (std::ptr::null(), 0),
    };
    // SAFETY: the pointers are to readable memory of the given lengths, or null with length 0.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            name.cast(),
            length,
        )
    };
    match sent {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes one datagram out, if there is one; what does not fit is dropped.
fn receive(socket: &OwnedFd, bytes: &mut [u8]) -> io::Result<Option<usize>> {
    receive_with(socket, bytes, 0)
}

fn is_empty(socket: &OwnedFd) -> bool {
    matches!(receive_with(socket, &mut [], libc::MSG_PEEK), Ok(None))
}

fn receive_with(
    socket: &OwnedFd,
    bytes: &mut [u8],
    flags: libc::c_int,
) -> io::Result<Option<usize>> {
    // SAFETY: the pointer is to writable memory of the given length.
    let got = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            bytes.as_mut_ptr().cast(),
            bytes.len(),
            flags | libc::MSG_DONTWAIT,
        )
    };
    if let Ok(length) = usize::try_from(got) {
        return Ok(Some(length));
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(None),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ALL: i16 = libc::POLLIN | libc::POLLOUT | libc::POLLPRI;

    fn seen(beacon: &Beacon) -> i16 {
        let mut poll = libc::pollfd {
            fd: beacon.held.as_raw_fd(),
            events: ALL,
            revents: 0,
        };
        // SAFETY: the pointer is to one pollfd.
        unsafe { libc::poll(&raw mut poll, 1, 0) };
        poll.revents
    }

    fn readiness(text: &str) -> Readiness {
        Readiness {
            readable: text.contains('r'),
            writable: text.contains('w'),
            error: text.contains('e'),
        }
    }

    fn expected(text: &str) -> i16 {
        let bit = |letter: char, bit: i16| if text.contains(letter) { bit } else { 0 };
        bit('r', libc::POLLIN) | bit('w', libc::POLLOUT) | bit('e', libc::POLLERR)
    }

    #[test]
    fn a_new_one_shows_an_error_and_nothing_else() {
        assert_eq!(seen(&Beacon::new(false).unwrap()), libc::POLLERR);
    }

    #[rstest]
    fn every_state_follows_every_other(
        #[values(false, true)] wide: bool,
        #[values("", "r", "w", "rw", "e")] first: &str,
        #[values("", "r", "w", "rw", "e")] second: &str,
        #[values("", "r", "w", "rw", "e")] third: &str,
    ) {
        let mut beacon = Beacon::new(false).unwrap();
        if wide {
            beacon.widen().unwrap();
        }
        for state in [first, second, third, first] {
            beacon.show(readiness(state), TOKEN).unwrap();
            assert_eq!(seen(&beacon), expected(state), "{first}-{second}-{third}");
        }
    }

    #[test]
    fn edges_are_seen_once_each() {
        let mut beacon = Beacon::new(true).unwrap();
        beacon.show(readiness("w"), TOKEN).unwrap();
        // SAFETY: no pointers; the descriptor is new.
        let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            u64: 7,
        };
        let (epoll, held) = (epoll.as_raw_fd(), beacon.held.as_raw_fd());
        let wait = || {
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: the pointer is to one event.
            let count = unsafe { libc::epoll_wait(epoll, &raw mut event, 1, 0) };
            (count, event.events)
        };
        // SAFETY: the pointer is to one event.
        unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, held, &raw mut event) };
        let readable = (1, libc::EPOLLIN as u32);
        assert_eq!(wait().0, 0);
        beacon.show(readiness("rw"), TOKEN).unwrap();
        assert_eq!(wait(), readable);
        assert_eq!(wait().0, 0);
        beacon.renew().unwrap();
        assert_eq!(wait(), readable);
        assert_eq!(wait().0, 0);
        beacon.show(readiness("e"), TOKEN).unwrap();
        assert_eq!(wait(), (1, libc::EPOLLERR as u32));
    }
}
