//! Whether a program's memory may be written to here: a child hands over its `arch_prctl` and is written to.
#![expect(unsafe_code, reason = "a child that makes system calls only")]

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::watch;
use crate::host::backend::Unavailable;
use crate::host::poll::poll;
use crate::host::seccomp::notify::{self, Listener};
use crate::host::sys;

/// For a step that takes microseconds.
const PATIENCE: Duration = Duration::from_secs(5);
const BEFORE: [u8; 8] = *b"as built";
const AFTER: [u8; 8] = *b"replaced";

/// Tries it for real, on a page that the child may only read. Takes about a millisecond.
pub fn probe() -> Result<(), Unavailable> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Unavailable {
            reason: "no system call marks the beginning of every program on this processor"
                .to_owned(),
            remedy: "run on x86-64".to_owned(),
        });
    }
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let scope = scope.ok().and_then(|text| text.trim().parse().ok());
    attempt().map_err(|failure| explain(failure, scope))
}

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// A system call of this process failed.
    Own(i32),
    /// `seccomp(2)` failed in the child.
    Filter(i32),
    /// The child's call did not arrive.
    Silence,
    /// The child's memory cannot be opened.
    Open(i32),
    /// It can, but not be written to where the child itself cannot.
    Write(i32),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Own(number(&error))
    }
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

fn attempt() -> Result<(), Failure> {
    let page = Page::new()?;
    let (ours, theirs) = sys::socket_pair()?;
    let program = watch::program();
    // SAFETY: the child makes system calls only and never returns.
    let child = match unsafe { libc::fork() } {
        ..0 => return Err(io::Error::last_os_error().into()),
        0 => in_the_child(&program, &theirs),
        child => Child(child),
    };
    drop(theirs);
    let Some(descriptor) = sys::receive_fd(ours.as_fd())? else {
        return Err(Failure::Filter(child.errno()));
    };
    let listener = Listener::new(descriptor);
    let ready = poll(&[(listener.as_fd(), libc::POLLIN)], Some(PATIENCE))?;
    if ready[0] & libc::POLLIN == 0 {
        return Err(Failure::Silence);
    }
    let Some(notification) = listener.receive()? else {
        return Err(Failure::Silence);
    };
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{}/mem", notification.tid))
        .map_err(|error| Failure::Open(number(&error)))?;
    let written = || {
        let mut there = [0; 8];
        memory.read_exact_at(&mut there, page.address())?;
        if there != BEFORE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        memory.write_all_at(&AFTER, page.address())?;
        memory.read_exact_at(&mut there, page.address())?;
        match there == AFTER {
            true => Ok(()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    };
    written().map_err(|error| Failure::Write(number(&error)))
}

fn in_the_child(program: &[libc::sock_filter], control: &OwnedFd) -> ! {
    const GET_FS: libc::c_long = 0x1003;
    let enter = || {
        sys::die_with_parent()?;
        let listener = notify::listen(program)?;
        sys::send_fd(control.as_fd(), listener.as_fd())
    };
    let status = match enter() {
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        Ok(()) => {
            let mut word = 0_u64;
            // SAFETY: the call fills one word that outlives it. The child waits to be killed.
            unsafe {
                begin(GET_FS, &raw mut word);
                libc::pause()
            }
        }
    };
    // SAFETY: ends this process and touches nothing of it.
    unsafe { libc::_exit(status) }
}

/// # Safety
/// As `arch_prctl(2)`: the address must be of a writable word.
#[cfg(target_arch = "x86_64")]
unsafe fn begin(code: libc::c_long, word: *mut u64) {
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_arch_prctl, code, word) };
}

/// # Safety
/// None is needed: there is no such call.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn begin(_: libc::c_long, _: *mut u64) {}

/// A page that nobody may write to, as a program's constants are.
struct Page(*mut libc::c_void);

impl Page {
    const SIZE: usize = 4096;

    fn new() -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), Self::SIZE, access, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let page = Self(page);
        // SAFETY: the mapping is ours, writable so far, and larger than eight bytes.
        unsafe { page.0.cast::<[u8; 8]>().write(BEFORE) };
        // SAFETY: the mapping is ours, and nothing refers to it.
        if unsafe { libc::mprotect(page.0, Self::SIZE, libc::PROT_READ) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(page)
    }

    fn address(&self) -> u64 {
        self.0 as u64
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it.
        unsafe { libc::munmap(self.0, Self::SIZE) };
    }
}

/// The child is killed and waited for, however the attempt ends.
struct Child(libc::pid_t);

impl Child {
    /// What it exits with by itself.
    fn errno(self) -> i32 {
        let mut status = 0;
        // SAFETY: the pointer is to a writable int; the child is ours and was not waited for.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        std::mem::forget(self);
        match waited > 0 && libc::WIFEXITED(status) {
            true => libc::WEXITSTATUS(status),
            false => libc::EIO,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: the child is ours and was not waited for; the status is not asked for.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

fn explain(failure: Failure, yama: Option<u32>) -> Unavailable {
    let name = |errno: i32| io::Error::from_raw_os_error(errno).to_string();
    let (reason, remedy) = match (failure, yama) {
        (Failure::Own(errno), _) => (
            format!("this process lacks what the attempt takes: {}", name(errno)),
            "raise its limits of processes and descriptors",
        ),
        (Failure::Filter(libc::EBUSY), _) => (
            "another supervisor already answers system calls of this process: an outer `amt-sim run` or a \
             container manager that intercepts calls"
                .to_owned(),
            "start amt-sim outside of it",
        ),
        (Failure::Filter(errno), _) => (
            format!("seccomp(2) is refused: {}", name(errno)),
            "take Linux 5.14 or newer with CONFIG_SECCOMP_FILTER; in a container, allow it \
             (--security-opt seccomp=unconfined)",
        ),
        (Failure::Silence, _) => (
            "a filtered system call was not handed to the supervisor".to_owned(),
            "report the kernel and its version",
        ),
        (Failure::Open(_), Some(scope @ 3..)) => (
            format!("the memory of programs may not be opened: kernel.yama.ptrace_scope is {scope}"),
            "boot with kernel.yama.ptrace_scope at 1: 3 cannot be taken back",
        ),
        (Failure::Open(_), Some(scope @ 2)) => (
            format!("the memory of programs may not be opened: kernel.yama.ptrace_scope is {scope}"),
            "sudo sysctl -w kernel.yama.ptrace_scope=1, or run as root",
        ),
        (Failure::Open(errno), _) => (
            format!("the memory of programs may not be opened: {}", name(errno)),
            "allow it in the container (--cap-add SYS_PTRACE), and have /proc mounted in this process's own PID \
             namespace",
        ),
        (Failure::Write(errno), _) => (
            format!(
                "constants of programs may not be written to through /proc/PID/mem: {}",
                name(errno)
            ),
            "boot without proc_mem.force_override=ptrace or never (CONFIG_PROC_MEM_ALWAYS_FORCE)",
        ),
    };
    Unavailable {
        reason,
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Failure::Filter(libc::EBUSY), None, "another supervisor", "outside")]
    #[case(Failure::Filter(libc::EPERM), None, "refused", "seccomp=unconfined")]
    #[case(
        Failure::Open(libc::EACCES),
        Some(2),
        "ptrace_scope is 2",
        "ptrace_scope=1"
    )]
    #[case(Failure::Open(libc::EACCES), Some(3), "ptrace_scope is 3", "boot")]
    #[case(
        Failure::Open(libc::EACCES),
        Some(1),
        "may not be opened",
        "SYS_PTRACE"
    )]
    #[case(Failure::Open(libc::EACCES), None, "may not be opened", "SYS_PTRACE")]
    #[case(Failure::Write(libc::EIO), None, "/proc/PID/mem", "force_override")]
    fn what_is_wrong_and_what_to_do(
        #[case] failure: Failure,
        #[case] yama: Option<u32>,
        #[case] reason: &str,
        #[case] remedy: &str,
    ) {
        let unavailable = explain(failure, yama);
        assert!(unavailable.reason.contains(reason), "{unavailable}");
        assert!(unavailable.remedy.contains(remedy), "{unavailable}");
    }

    /// Our own page stays as it was: only the child's is written.
    #[test]
    fn the_attempt_ends() {
        let page = Page::new().unwrap();
        let _ = attempt();
        // SAFETY: the mapping is ours, readable, and larger than eight bytes.
        assert_eq!(unsafe { page.0.cast::<[u8; 8]>().read() }, BEFORE);
    }
}
