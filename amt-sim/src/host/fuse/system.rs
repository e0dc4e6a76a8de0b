//! System calls that the standard library does not have: mounts, namespaces, waiting with nanoseconds.
//!
//! Nothing here allocates or takes a lock: most of it runs between fork and exec.
#![expect(unsafe_code, reason = "raw system calls")]

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn check_fd(result: libc::c_long) -> io::Result<OwnedFd> {
    match libc::c_int::try_from(result) {
        // SAFETY: the kernel just made this descriptor for us.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `CLONE_NEWNS`, `CLONE_NEWUSER`.
pub(super) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::unshare(flags) })
}

pub(super) fn mount(
    source: &CStr,
    target: &CStr,
    kind: &CStr,
    flags: libc::c_ulong,
    options: &CStr,
) -> io::Result<()> {
    // SAFETY: four strings that outlive the call.
    check(unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    })
}

/// Closed at exec.
pub(super) fn open(path: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: a string that outlives the call.
    check_fd(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) }.into())
}

/// A detached copy of a directory with the mounts below it.
pub(super) fn copy_mounts(directory: &CStr) -> io::Result<OwnedFd> {
    const OPEN_TREE_CLONE: libc::c_int = 1;
    const AT_RECURSIVE: libc::c_int = 0x8000;
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | libc::O_CLOEXEC;
    // SAFETY: a string that outlives the call.
    check_fd(unsafe {
        libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            directory.as_ptr(),
            flags,
        )
    })
}

/// Puts a detached copy of mounts in its place.
pub(super) fn attach_mounts(mounts: BorrowedFd<'_>, target: &CStr) -> io::Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: libc::c_int = 4;
    // SAFETY: two strings that outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mounts.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes a mount and those below it away; what is open stays open.
pub(super) fn unmount(target: &CStr) -> io::Result<()> {
    // SAFETY: a string that outlives the call.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) })
}

pub(super) fn make_directory(path: &CStr, mode: libc::mode_t) -> io::Result<()> {
    // SAFETY: a string that outlives the call.
    check(unsafe { libc::mkdir(path.as_ptr(), mode) })
}

/// An empty file, in one system call.
pub(super) fn make_file(path: &CStr, mode: libc::mode_t) -> io::Result<()> {
    // SAFETY: a string that outlives the call.
    check(unsafe { libc::mknod(path.as_ptr(), libc::S_IFREG | mode, 0) })
}

/// A node of character device 5:2, for everybody.
pub(super) fn make_terminal_master(path: &CStr) -> io::Result<()> {
    let device = libc::makedev(5, 2);
    // SAFETY: a string that outlives the call.
    check(unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, device) })
}

pub(super) fn make_link(target: &CStr, path: &CStr) -> io::Result<()> {
    // SAFETY: two strings that outlive the call.
    check(unsafe { libc::symlink(target.as_ptr(), path.as_ptr()) })
}

pub(super) fn remove_file(path: &CStr) -> io::Result<()> {
    // SAFETY: a string that outlives the call.
    check(unsafe { libc::unlink(path.as_ptr()) })
}

pub(super) fn remove_directory(path: &CStr) -> io::Result<()> {
    // SAFETY: a string that outlives the call.
    check(unsafe { libc::rmdir(path.as_ptr()) })
}

/// Writes all of it in one system call, as the files in `/proc` want it.
pub(super) fn write_file(path: &CStr, flags: libc::c_int, contents: &[u8]) -> io::Result<()> {
    let file = open(path, libc::O_WRONLY | flags)?;
    match write(file.as_fd(), contents) {
        Ok(count) if count == contents.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(errno) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Gives the files in `/proc/self` back to the calling process, from which a change of user has taken them.
pub(super) fn own_proc_files() -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) })
}

/// Sets the mask of permissions that new files do not get; returns the earlier one.
pub(super) fn umask(mask: libc::mode_t) -> libc::mode_t {
    // SAFETY: no pointers; cannot fail.
    unsafe { libc::umask(mask) }
}

pub(super) fn user() -> libc::uid_t {
    // SAFETY: no pointers; cannot fail.
    unsafe { libc::geteuid() }
}

pub(super) fn group() -> libc::gid_t {
    // SAFETY: no pointers; cannot fail.
    unsafe { libc::getegid() }
}

/// The path of the working directory, in the caller's buffer.
pub(super) fn working_directory(buffer: &mut [u8]) -> io::Result<&CStr> {
    // SAFETY: a writable slice of the given length that outlives the call.
    let found = unsafe { libc::getcwd(buffer.as_mut_ptr().cast(), buffer.len()) };
    if found.is_null() {
        return Err(io::Error::last_os_error());
    }
    CStr::from_bytes_until_nul(buffer).map_err(|_| io::ErrorKind::InvalidData.into())
}

pub(super) fn change_directory(path: &CStr) -> io::Result<()> {
    // SAFETY: a string that outlives the call.
    check(unsafe { libc::chdir(path.as_ptr()) })
}

/// The type and permissions of a file.
pub(super) fn file_mode(path: &CStr) -> io::Result<libc::mode_t> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a string and room for one `stat`, which outlive the call.
    check(unsafe { libc::stat(path.as_ptr(), status.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so the kernel filled it.
    Ok(unsafe { status.assume_init() }.st_mode)
}

/// `read(2)` without the C library's cancellation points, which show in a loop of many thousands a second.
pub(super) fn read(file: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: a writable slice of that size, which outlives the call.
    let count = unsafe {
        libc::syscall(
            libc::SYS_read,
            file.as_raw_fd(),
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    };
    usize::try_from(count).map_err(|_| errno())
}

/// `write(2)`, likewise.
pub(super) fn write(file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, i32> {
    // SAFETY: a readable slice of that size, which outlives the call.
    let count = unsafe {
        libc::syscall(
            libc::SYS_write,
            file.as_raw_fd(),
            bytes.as_ptr(),
            bytes.len(),
        )
    };
    usize::try_from(count).map_err(|_| errno())
}

fn errno() -> i32 {
    // SAFETY: a pointer to this thread's own errno.
    unsafe { *libc::__errno_location() }
}

/// Waits until one of the descriptors has something to read (or its peer is gone), or the time is over.
/// Says which.
pub(super) fn wait_readable<const N: usize>(
    descriptors: [BorrowedFd<'_>; N],
    limit: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polls = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    let limit = limit.map(|limit| libc::timespec {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the array holds N entries; the limit is null or a valid timespec; both outlive the call.
    let result = unsafe { libc::ppoll(polls.as_mut_ptr(), N as libc::nfds_t, limit, ptr::null()) };
    if result < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok([false; N]),
            _ => Err(error),
        };
    }
    Ok(polls.map(|poll| poll.revents != 0))
}

/// Timers of this thread fire on time: the kernel adds 50 µs otherwise, which shows in a reply of 1 ms.
pub(super) fn fire_timers_on_time() {
    // SAFETY: no pointers. Failure leaves the slack as it was.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn waiting_says_which_descriptor_is_ready() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (quiet, _other) = UnixStream::pair().unwrap();
        let both = [quiet.as_fd(), ours.as_fd()];
        let at_once = Some(Duration::ZERO);
        assert_eq!(wait_readable(both, at_once).unwrap(), [false, false]);
        theirs.write_all(b"x").unwrap();
        assert_eq!(wait_readable(both, None).unwrap(), [false, true]);
    }

    #[test]
    fn a_failed_call_says_why() {
        let error = make_directory(c"/proc/nowhere/x", 0o755).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        assert!(file_mode(c"/").is_ok_and(|mode| mode & libc::S_IFMT == libc::S_IFDIR));
    }
}
