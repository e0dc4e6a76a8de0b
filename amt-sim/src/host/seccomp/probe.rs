//! Whether this front end works here: a child puts itself under the filter and opens the device once.
#![expect(unsafe_code, reason = "a child that makes system calls only")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::call::{Abi, WINDOW};
use super::memory;
use super::notify::{self, Listener, Notification};
use super::process::{self, identity_of};
use super::{filter, sys};
use crate::host::backend::{Options, Unavailable};
use crate::host::poll::poll;

/// Tries it for real. Takes about a millisecond.
pub(crate) fn probe() -> Result<(), Unavailable> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let scope = scope.ok().and_then(|text| text.trim().parse().ok());
    attempt().map_err(|failure| explain(failure, scope))
}

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// A system call of this process failed; no fault of seccomp.
    Own(i32),
    /// The child may not have this many descriptors.
    Limit(u64),
    /// `seccomp(2)` failed in the child.
    Filter(i32),
    /// The child's open did not arrive.
    Silence,
    /// The child's memory cannot be read.
    Memory,
    /// No descriptor can be put into the child.
    Descriptor(i32),
    /// The child's descriptors cannot be looked at.
    Proc,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Own(error.raw_os_error().unwrap_or(0))
    }
}

const PATH: &std::ffi::CStr = c"/dev/mei0";
/// For a step that takes microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

fn attempt() -> Result<(), Failure> {
    let wanted = WINDOW.end().unsigned_abs().into();
    let most = sys::descriptor_limit()?;
    if most <= wanted {
        return Err(Failure::Limit(most));
    }
    let (ours, theirs) = sys::socket_pair()?;
    let program = filter::program(&Options::default());
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
    match listener.receive()? {
        Some(notification) => give(&listener, &notification),
        None => Err(Failure::Silence),
    }
}

/// What the server does at an open.
fn give(listener: &Listener, n: &Notification) -> Result<(), Failure> {
    let place = match Abi::by_arch(n.arch).and_then(|abi| abi.shape(n.number)) {
        Some(super::call::Shape::Open) => 0,
        _ => 1,
    };
    match memory::read_path(n.tid, n.args[place]) {
        Ok(path) if path == PATH.to_bytes() => {}
        _ => return Err(Failure::Memory),
    }
    let ours = sys::eventfd()?;
    let fd = *WINDOW.start();
    listener
        .answer_with(n.id, ours.as_fd(), fd, true)
        .map_err(|error| Failure::Descriptor(error.raw_os_error().unwrap_or(0)))?;
    match process::identity(n.tid, fd) {
        Some(seen) if seen == identity_of(ours.as_fd())? => Ok(()),
        _ => Err(Failure::Proc),
    }
}

fn in_the_child(program: &[libc::sock_filter], control: &OwnedFd) -> ! {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let enter = || {
        sys::die_with_parent()?;
        sys::raise_descriptor_limit(WINDOW.end().unsigned_abs() as libc::rlim_t + 1)?;
        let listener = notify::listen(program)?;
        sys::send_fd(control.as_fd(), listener.as_fd())
    };
    let status = match enter() {
        Err(error) => errno(error),
        Ok(()) => {
            // SAFETY: a string that outlives the call; the rest has no pointers. The child waits to be killed.
            unsafe {
                libc::open(PATH.as_ptr(), libc::O_RDWR);
                libc::pause()
            }
        }
    };
    // SAFETY: ends this process and touches nothing of it.
    unsafe { libc::_exit(status) }
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
    let (reason, remedy) = match failure {
        Failure::Own(errno) => (
            format!("this process lacks what the attempt takes: {}", name(errno)),
            "raise its limits of processes and descriptors".to_owned(),
        ),
        Failure::Limit(most) => (
            format!("a program may have {most} descriptors here, and 1024 are needed"),
            "raise the hard limit (ulimit -Hn 4096; docker run --ulimit nofile=4096)".to_owned(),
        ),
        Failure::Filter(libc::EBUSY) => (
            "another supervisor already answers system calls of this process: an outer `amt-sim run` or a \
             container manager that intercepts calls"
                .to_owned(),
            "start amt-sim outside of it".to_owned(),
        ),
        Failure::Filter(libc::ENOSYS) => (
            "this kernel has no seccomp".to_owned(),
            "take a kernel with CONFIG_SECCOMP_FILTER".to_owned(),
        ),
        Failure::Filter(libc::EINVAL) => (
            "this kernel cannot hand system calls to a supervisor".to_owned(),
            "take Linux 5.14 or newer with CONFIG_SECCOMP_FILTER".to_owned(),
        ),
        Failure::Filter(errno) => (
            format!("seccomp(2) is refused: {}", name(errno)),
            "allow it in the container's own profile (--security-opt seccomp=unconfined)".to_owned(),
        ),
        Failure::Silence => (
            "a filtered system call was not handed to the supervisor".to_owned(),
            "report the kernel and its version".to_owned(),
        ),
        Failure::Memory => match yama {
            Some(scope @ 2..) => (
                format!("programs may not be looked into: kernel.yama.ptrace_scope is {scope}"),
                match scope {
                    2 => "sudo sysctl -w kernel.yama.ptrace_scope=1, or run as root",
                    _ => "boot with kernel.yama.ptrace_scope at 1: 3 cannot be taken back",
                }
                .to_owned(),
            ),
            _ => (
                "programs may not be looked into: process_vm_readv is refused".to_owned(),
                "allow it in the container (--cap-add SYS_PTRACE), or take a kernel with \
                 CONFIG_CROSS_MEMORY_ATTACH"
                    .to_owned(),
            ),
        },
        Failure::Descriptor(errno) => (
            format!("no descriptor can be put into a program: {}", name(errno)),
            "take Linux 5.14 or newer".to_owned(),
        ),
        Failure::Proc => (
            "the descriptors of programs cannot be seen in /proc".to_owned(),
            "mount /proc in this process's own PID namespace".to_owned(),
        ),
    };
    Unavailable { reason, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Failure::Limit(512), None, "512 descriptors", "ulimit")]
    #[case(Failure::Filter(libc::EBUSY), None, "another supervisor", "outside")]
    #[case(Failure::Filter(libc::EPERM), None, "refused", "seccomp=unconfined")]
    #[case(Failure::Filter(libc::EINVAL), None, "supervisor", "5.14")]
    #[case(Failure::Memory, Some(2), "ptrace_scope is 2", "ptrace_scope=1")]
    #[case(Failure::Memory, Some(3), "ptrace_scope is 3", "boot")]
    #[case(Failure::Memory, Some(1), "process_vm_readv", "SYS_PTRACE")]
    #[case(Failure::Memory, None, "process_vm_readv", "SYS_PTRACE")]
    #[case(Failure::Descriptor(libc::EINVAL), None, "descriptor", "5.14")]
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
}
