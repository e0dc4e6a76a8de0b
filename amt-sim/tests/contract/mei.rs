//! `/dev/mei0` by plain system calls, and what a test needs to know of its threads.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use amt_sim::ClientKind;

pub const CONNECT: libc::c_ulong = 0xC010_4801;
/// GetUUID.
pub const REQUEST: [u8; 12] = [1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0];
/// Longest message of AMTHI in the profile.
pub const LONGEST: usize = 5120;

/// Runs in a fork of this process, which has threads: system calls only. The exit status, 0 for true.
pub fn in_a_child(act: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child ends by `_exit` without returning here.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(i32::from(!act()));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        status
    }
}

/// Waits until the process or thread sleeps in a system call.
pub fn until_thread_asleep(id: libc::pid_t) {
    while state(&format!("/proc/{id}/stat")) != Some('S') {
        std::thread::yield_now();
    }
}

/// Waits until that many threads of this process sleep besides the one that asks.
pub fn until_asleep(count: usize) {
    loop {
        let asleep = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(Result::ok)
            .filter(|task| state(task.path().join("stat").to_str().unwrap()) == Some('S'))
            .count();
        if asleep >= count {
            return;
        }
        std::thread::yield_now();
    }
}

fn state(stat: &str) -> Option<char> {
    let text = std::fs::read_to_string(stat).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}

pub fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap()
}

/// An open `/dev/mei0`.
pub struct Mei(pub OwnedFd);

impl Mei {
    pub fn open() -> Self {
        Self::open_with("/dev/mei0", libc::O_RDWR).unwrap()
    }

    pub fn open_with(path: &str, flags: libc::c_int) -> Result<Self, i32> {
        let path = CString::new(path).unwrap();
        // SAFETY: a string that outlives the call.
        let raw = unsafe { libc::open(path.as_ptr(), flags, 0o600) };
        match raw {
            ..0 => Err(errno()),
            // SAFETY: just opened.
            _ => Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) })),
        }
    }

    pub fn connected() -> Self {
        let mei = Self::open();
        mei.connect(ClientKind::Amthi).unwrap();
        mei
    }

    pub fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub fn connect(&self, client: ClientKind) -> Result<(), i32> {
        self.ioctl(CONNECT, &mut client.guid().to_wire())
    }

    pub fn ioctl(&self, number: libc::c_ulong, argument: &mut [u8]) -> Result<(), i32> {
        // SAFETY: every caller passes as many bytes as the number says.
        match unsafe { libc::ioctl(self.raw(), number, argument.as_mut_ptr()) } {
            0 => Ok(()),
            _ => Err(errno()),
        }
    }

    pub fn write(&self, message: &[u8]) -> Result<usize, i32> {
        // SAFETY: a readable slice of that size.
        let written = unsafe { libc::write(self.raw(), message.as_ptr().cast(), message.len()) };
        usize::try_from(written).map_err(|_| errno())
    }

    pub fn read(&self, capacity: usize) -> Result<Vec<u8>, i32> {
        let mut buffer = vec![0; capacity];
        // SAFETY: a writable slice of that size.
        let read = unsafe { libc::read(self.raw(), buffer.as_mut_ptr().cast(), capacity) };
        buffer.truncate(usize::try_from(read).map_err(|_| errno())?);
        Ok(buffer)
    }

    /// A request and its answer.
    pub fn round_trip(&self) -> Vec<u8> {
        assert_eq!(self.write(&REQUEST), Ok(REQUEST.len()));
        self.read(LONGEST).unwrap()
    }

    pub fn poll(&self, events: i16, milliseconds: i32) -> i16 {
        let mut poll = libc::pollfd {
            fd: self.raw(),
            events,
            revents: 0,
        };
        // SAFETY: one entry that outlives the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
        assert!(ready >= 0);
        poll.revents
    }

    pub fn select_read(&self, limit: Duration) -> i32 {
        let mut limit = libc::timeval {
            tv_sec: limit.as_secs().cast_signed(),
            tv_usec: limit.subsec_micros().into(),
        };
        // SAFETY: all zeros is an empty set, and the descriptor is small enough for one.
        unsafe {
            let mut set: libc::fd_set = std::mem::zeroed();
            libc::FD_SET(self.raw(), &raw mut set);
            let none = std::ptr::null_mut();
            libc::select(self.raw() + 1, &raw mut set, none, none, &raw mut limit)
        }
    }

    pub fn set_flags(&self, flags: libc::c_int) {
        // SAFETY: no pointers.
        assert_eq!(unsafe { libc::fcntl(self.raw(), libc::F_SETFL, flags) }, 0);
    }
}

pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new(mei: &Mei, events: libc::c_int) -> Self {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: 0,
        };
        // SAFETY: the result is checked before it becomes an owner; the event outlives the call.
        unsafe {
            let raw = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            assert!(raw >= 0);
            let added = libc::epoll_ctl(raw, libc::EPOLL_CTL_ADD, mei.raw(), &raw mut event);
            assert_eq!(added, 0, "{}", errno());
            Self(OwnedFd::from_raw_fd(raw))
        }
    }

    pub fn wait(&self, milliseconds: i32) -> Option<u32> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        let count =
            unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, milliseconds) };
        assert!(count >= 0);
        (count == 1).then_some(event.events)
    }
}
