//! The system calls of the checks, one wrapper each and nothing more: what the kernel said is what the check sees.
#![expect(unsafe_code, reason = "raw system calls, with bad pointers on purpose")]

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::mei::{Errno, Guid};

/// The result of a system call.
pub(super) type Sys<T> = Result<T, Number>;

/// An error number, printed by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) i32);

impl Number {
    fn last() -> Self {
        Self(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const OTHERS: [(i32, &str); 12] = [
            (libc::ENOENT, "ENOENT"),
            (libc::ENXIO, "ENXIO"),
            (libc::EBADF, "EBADF"),
            (libc::EACCES, "EACCES"),
            (libc::EPERM, "EPERM"),
            (libc::EPIPE, "EPIPE"),
            (libc::ESPIPE, "ESPIPE"),
            (libc::ENOSYS, "ENOSYS"),
            (libc::ENOTCONN, "ENOTCONN"),
            (libc::ECONNABORTED, "ECONNABORTED"),
            (libc::ECONNRESET, "ECONNRESET"),
            (libc::EPROTO, "EPROTO"),
        ];
        if let Some(errno) = DEVICE.into_iter().find(|errno| errno.raw() == self.0) {
            return f.write_str(errno.name());
        }
        match OTHERS.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The numbers that the device itself uses.
const DEVICE: [Errno; 13] = [
    Errno::Eagain,
    Errno::Efault,
    Errno::Ebusy,
    Errno::Enodev,
    Errno::Einval,
    Errno::Emfile,
    Errno::Enotty,
    Errno::Efbig,
    Errno::Emsgsize,
    Errno::Eopnotsupp,
    Errno::Eintr,
    Errno::Etime,
    Errno::Eio,
];

fn check(result: impl Into<i64>) -> Sys<i64> {
    let result = result.into();
    if result < 0 {
        return Err(Number::last());
    }
    Ok(result)
}

fn length(result: isize) -> Sys<usize> {
    usize::try_from(result).map_err(|_| Number::last())
}

fn path_bytes(path: &Path) -> CString {
    // Whatever follows a zero byte is not part of the name that the kernel would see either.
    let bytes = path.as_os_str().as_bytes();
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}

/// The poll(2) bits that the checks talk about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Events(pub(super) i16);

impl Events {
    pub(super) const NONE: Self = Self(0);
    pub(super) const IN: Self = Self(libc::POLLIN);
    pub(super) const OUT: Self = Self(libc::POLLOUT);
    pub(super) const IN_OUT: Self = Self(libc::POLLIN | libc::POLLOUT);
    pub(super) const ERR: Self = Self(libc::POLLERR);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(i16, &str); 6] = [
            (libc::POLLIN, "POLLIN"),
            (libc::POLLPRI, "POLLPRI"),
            (libc::POLLOUT, "POLLOUT"),
            (libc::POLLERR, "POLLERR"),
            (libc::POLLHUP, "POLLHUP"),
            (libc::POLLNVAL, "POLLNVAL"),
        ];
        let mut separator = "";
        for (bit, name) in NAMES {
            if self.0 & bit != 0 {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        if separator.is_empty() {
            f.write_str("nothing")?;
        }
        Ok(())
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct Fd(OwnedFd);

/// An address where nothing is ever mapped.
pub(super) const NOWHERE: usize = 8;

const CONNECT_CLIENT: u32 = 0xC010_4801;

impl Fd {
    fn new(result: impl Into<i64>) -> Sys<Self> {
        let fd = check(result)?;
        // SAFETY: the kernel just made it, so nobody else owns it; descriptors are small positive numbers.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }

    pub(super) fn open(path: &Path, flags: i32) -> Sys<Self> {
        Self::open_at(libc::AT_FDCWD, path, flags)
    }

    /// `openat(2)` below another descriptor.
    pub(super) fn open_in(&self, path: &Path, flags: i32) -> Sys<Self> {
        Self::open_at(self.0.as_raw_fd(), path, flags)
    }

    fn open_at(folder: RawFd, path: &Path, flags: i32) -> Sys<Self> {
        let path = path_bytes(path);
        // SAFETY: `path` is a C string that outlives the call. The mode is read with O_CREAT only.
        Self::new(unsafe { libc::openat(folder, path.as_ptr(), flags, 0o600 as libc::c_uint) })
    }

    /// `openat2(2)`, which the C library has no function for.
    pub(super) fn open2(path: &Path, flags: i32) -> Sys<Self> {
        let path = path_bytes(path);
        let how: [u64; 3] = [u64::from(flags.unsigned_abs()), 0, 0];
        // SAFETY: `path` is a C string and `how` a `struct open_how` of 24 bytes; both outlive the call.
        Self::new(unsafe {
            libc::syscall(
                libc::SYS_openat2,
                libc::AT_FDCWD,
                path.as_ptr(),
                how.as_ptr(),
                24usize,
            )
        })
    }

    pub(super) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// `IOCTL_MEI_CONNECT_CLIENT`; the sixteen bytes as the driver leaves them.
    pub(super) fn connect(&self, client: Guid) -> Sys<[u8; 16]> {
        let mut argument = client.to_wire();
        self.ioctl(CONNECT_CLIENT, argument.as_mut_ptr() as usize)?;
        Ok(argument)
    }

    pub(super) fn connect_at(&self, address: usize) -> Sys<()> {
        self.ioctl(CONNECT_CLIENT, address)
    }

    /// `ioctl(2)` with whatever argument; only requests that are refused, or of 16 bytes, come here.
    pub(super) fn ioctl(&self, request: u32, argument: usize) -> Sys<()> {
        // SAFETY: the kernel checks the address itself; where it is good, it is that of a buffer of the caller's.
        check(unsafe { libc::ioctl(self.raw(), request as _, argument) }).map(|_| ())
    }

    pub(super) fn read(&self, capacity: usize) -> Sys<Vec<u8>> {
        let mut buffer = vec![0; capacity];
        // SAFETY: pointer and length are those of `buffer`.
        let got = length(unsafe { libc::read(self.raw(), buffer.as_mut_ptr().cast(), capacity) })?;
        buffer.truncate(got);
        Ok(buffer)
    }

    pub(super) fn write(&self, bytes: &[u8]) -> Sys<usize> {
        // SAFETY: pointer and length are those of `bytes`.
        length(unsafe { libc::write(self.raw(), bytes.as_ptr().cast(), bytes.len()) })
    }

    /// `pread(2)`.
    pub(super) fn read_from(&self, offset: i64, capacity: usize) -> Sys<usize> {
        let mut buffer = vec![0u8; capacity];
        // SAFETY: pointer and length are those of `buffer`.
        length(unsafe { libc::pread64(self.raw(), buffer.as_mut_ptr().cast(), capacity, offset) })
    }

    /// Writes from an address that need not be good.
    pub(super) fn write_at(&self, address: usize, bytes: usize) -> Sys<usize> {
        // SAFETY: the kernel only reads there, and checks the address itself.
        length(unsafe { libc::write(self.raw(), address as *const libc::c_void, bytes) })
    }

    pub(super) fn seek(&self) -> Sys<i64> {
        // SAFETY: no pointers.
        check(unsafe { libc::lseek(self.raw(), 0, libc::SEEK_SET) })
    }

    /// What `poll(2)` shows of IN and OUT, and what it shows unasked.
    pub(super) fn poll(&self, wanted: Events, timeout: Duration) -> Sys<Events> {
        let mut fd = libc::pollfd {
            fd: self.raw(),
            events: wanted.0,
            revents: 0,
        };
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: `fd` is one pollfd that outlives the call.
        check(unsafe { libc::poll(&raw mut fd, 1, milliseconds) })?;
        Ok(Events(fd.revents))
    }

    pub(super) fn select_readable(&self, timeout: Duration) -> Sys<bool> {
        if self.raw() >= libc::FD_SETSIZE as RawFd {
            return Err(Number(libc::EINVAL)); // what the C library cannot even express
        }
        // SAFETY: fd_set and timeval are plain old data for which all zeros is valid.
        let (mut set, mut limit): (libc::fd_set, libc::timeval) = unsafe { std::mem::zeroed() };
        limit.tv_sec = timeout.as_secs() as _;
        limit.tv_usec = timeout.subsec_micros() as _;
        // SAFETY: the number was checked against FD_SETSIZE; all pointers are to locals or null.
        unsafe {
            libc::FD_SET(self.raw(), &raw mut set);
            check(libc::select(
                self.raw() + 1,
                &raw mut set,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                &raw mut limit,
            ))?;
            Ok(libc::FD_ISSET(self.raw(), &raw const set))
        }
    }

    pub(super) fn duplicate(&self) -> Sys<Self> {
        // SAFETY: no pointers.
        Self::new(unsafe { libc::dup(self.raw()) })
    }

    /// `dup2(2)` to a number that is free.
    pub(super) fn duplicate_to(&self, number: RawFd) -> Sys<Self> {
        // SAFETY: no pointers; the caller names a number that nobody owns.
        Self::new(unsafe { libc::dup2(self.raw(), number) })
    }

    /// `fcntl(2)` with a number or nothing as its argument.
    pub(super) fn fcntl(&self, command: i32, argument: i32) -> Sys<i32> {
        // SAFETY: the commands used here take no pointer.
        check(unsafe { libc::fcntl(self.raw(), command, argument) }).map(|result| result as i32)
    }

    /// `fcntl(F_DUPFD_CLOEXEC)`.
    pub(super) fn duplicate_from(&self, least: RawFd) -> Sys<Self> {
        Self::new(self.fcntl(libc::F_DUPFD_CLOEXEC, least)?)
    }

    pub(super) fn set_nonblocking(&self) -> Sys<()> {
        let flags = self.fcntl(libc::F_GETFL, 0)?;
        self.fcntl(libc::F_SETFL, flags | libc::O_NONBLOCK)
            .map(|_| ())
    }

    /// `ioctl(FIONBIO)`.
    pub(super) fn set_nonblocking_by_ioctl(&self) -> Sys<()> {
        let on: i32 = 1;
        self.ioctl(libc::FIONBIO as u32, &raw const on as usize)
    }

    /// File type bits of `fstat(2)`.
    pub(super) fn file_type(&self) -> Sys<u32> {
        // SAFETY: plain old data for which all zeros is valid.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: `stat` is writable and outlives the call.
        check(unsafe { libc::fstat(self.raw(), &raw mut stat) })?;
        Ok(stat.st_mode & libc::S_IFMT)
    }

    pub(super) fn into_raw(self) -> RawFd {
        use std::os::fd::IntoRawFd;
        self.0.into_raw_fd()
    }

    /// Takes over a descriptor that the process inherited.
    pub(super) fn inherited(number: RawFd) -> Sys<Self> {
        // SAFETY: no pointers; an unused number says EBADF.
        check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
        Self::new(number)
    }
}

/// File type bits of `stat(2)` or `lstat(2)`.
pub(super) fn file_type(path: &Path, follow: bool) -> Sys<u32> {
    let path = path_bytes(path);
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: plain old data for which all zeros is valid.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `path` is a C string and `stat` is writable; both outlive the call.
    check(unsafe { libc::fstatat(libc::AT_FDCWD, path.as_ptr(), &raw mut stat, flags) })?;
    Ok(stat.st_mode & libc::S_IFMT)
}

pub(super) fn remove(path: &Path) {
    let path = path_bytes(path);
    // SAFETY: `path` is a C string that outlives the call.
    unsafe { libc::unlink(path.as_ptr()) };
}

pub(super) fn access(path: &Path, mode: i32) -> Sys<()> {
    let path = path_bytes(path);
    // SAFETY: `path` is a C string that outlives the call.
    check(unsafe { libc::access(path.as_ptr(), mode) }).map(|_| ())
}

pub(super) fn change_folder(path: &Path) -> Sys<()> {
    let path = path_bytes(path);
    // SAFETY: `path` is a C string that outlives the call.
    check(unsafe { libc::chdir(path.as_ptr()) }).map(|_| ())
}

/// `epoll(7)` with one descriptor of interest.
#[derive(Debug)]
pub(super) struct Epoll(Fd);

impl Epoll {
    pub(super) fn of(fd: &Fd, events: i32) -> Sys<Self> {
        // SAFETY: no pointers.
        let epoll = Fd::new(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: 0,
        };
        // SAFETY: `event` outlives the call.
        check(unsafe {
            libc::epoll_ctl(epoll.raw(), libc::EPOLL_CTL_ADD, fd.raw(), &raw mut event)
        })?;
        Ok(Self(epoll))
    }

    /// The next event; the bits of the lower half are those of poll(2).
    pub(super) fn wait(&self, timeout: Duration) -> Sys<Events> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: there is room for the one event that is asked for.
        let count =
            check(unsafe { libc::epoll_wait(self.0.raw(), &raw mut event, 1, milliseconds) })?;
        let bits = event.events & 0x3f; // IN, PRI, OUT, ERR, HUP
        Ok(match count {
            0 => Events::NONE,
            _ => Events(bits as i16),
        })
    }
}

/// A handler that does nothing, so that the signal does no more than interrupt.
pub(super) fn interrupt_by(signal: i32, restart: bool) -> Sys<()> {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: plain old data for which all zeros is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    action.sa_flags = if restart { libc::SA_RESTART } else { 0 };
    // SAFETY: the handler touches nothing, so it may run at any moment; `action` outlives the call.
    check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }).map(|_| ())
}

/// Sends a signal to one thread that was not joined yet.
pub(super) fn signal_thread<T>(thread: &std::thread::JoinHandle<T>, signal: i32) {
    use std::os::unix::thread::JoinHandleExt;
    // SAFETY: the handle is not joined, so the thread's id is still valid.
    unsafe { libc::pthread_kill(thread.as_pthread_t(), signal) };
}

/// A process that the check made. It is killed when nobody waited for it.
#[derive(Debug)]
pub(super) struct Process {
    id: libc::pid_t,
    ended: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Code(i32),
    Signal(i32),
}

impl Process {
    /// Runs `body` in a copy of this process; its result is the exit code. Only while there is one thread.
    pub(super) fn fork(body: impl FnOnce() -> i32) -> Sys<Self> {
        // SAFETY: the callers have one thread, so the copy is complete and every lock is free.
        let id = check(unsafe { libc::fork() })? as libc::pid_t;
        if id == 0 {
            let body = std::panic::AssertUnwindSafe(body);
            let code = std::panic::catch_unwind(body).unwrap_or(101);
            // SAFETY: ends the copy at once; nothing of the original's runs a second time.
            unsafe { libc::_exit(code) };
        }
        Ok(Self { id, ended: false })
    }

    /// Runs another program.
    pub(super) fn execute(path: &CStr, arguments: &[&CStr]) -> Number {
        let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
        pointers.push(std::ptr::null());
        // SAFETY: C strings and a null-terminated array of them, which outlive the call.
        unsafe { libc::execv(path.as_ptr(), pointers.as_ptr()) };
        Number::last()
    }

    /// How it ended, or `None` when it is still there after that time.
    pub(super) fn wait(&mut self, limit: Duration) -> Sys<Option<Ended>> {
        let deadline = Instant::now() + limit;
        loop {
            let mut status = 0;
            // SAFETY: `status` is writable and outlives the call.
            let id = check(unsafe { libc::waitpid(self.id, &raw mut status, libc::WNOHANG) })?;
            if id != 0 {
                self.ended = true;
                return Ok(Some(if libc::WIFSIGNALED(status) {
                    Ended::Signal(libc::WTERMSIG(status))
                } else {
                    Ended::Code(libc::WEXITSTATUS(status))
                }));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub(super) fn kill(&self) {
        if !self.ended {
            // SAFETY: no pointers; the process was not waited for, so the number is still its own.
            unsafe { libc::kill(self.id, libc::SIGKILL) };
        }
    }

    /// Kills everything in the process's group, which it leads.
    pub(super) fn kill_group(&self) {
        // SAFETY: no pointers; the group has the number of a process of ours.
        unsafe { libc::kill(-self.id, libc::SIGKILL) };
    }

    /// Makes the calling process the leader of a new group.
    pub(super) fn lead_group() {
        // SAFETY: no pointers.
        unsafe { libc::setpgid(0, 0) };
    }

    /// Makes the calling process the leader of a new session, as daemons do.
    pub(super) fn lead_session() -> Sys<()> {
        // SAFETY: no pointers.
        check(unsafe { libc::setsid() }).map(|_| ())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if !self.ended {
            let _ = self.wait(Duration::from_secs(1));
        }
    }
}

/// Both ends of a pipe: read, write.
pub(super) fn pipe() -> Sys<(Fd, Fd)> {
    let mut fds = [0; 2];
    // SAFETY: there is room for two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok((Fd::new(fds[0])?, Fd::new(fds[1])?))
}
