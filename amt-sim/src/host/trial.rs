//! A trial of what this machine allows: a child puts itself under a filter and makes one system call that is
//! handed over. What is then tried on the child is the caller's part.
#![expect(unsafe_code, reason = "a child that makes system calls only")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use libc::sock_filter;

use super::backend::Unavailable;
use super::poll::poll;
use super::seccomp::notify::{self, Listener, Notification};
use super::sys;

/// For a step that takes microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far it came, where it did not come to the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// A system call of this process failed; no fault of seccomp.
    Own(i32),
    /// `seccomp(2)` failed in the child.
    Filter(i32),
    /// The child's call did not arrive.
    Silence,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Own(error.raw_os_error().unwrap_or(0))
    }
}

impl Failure {
    pub(super) fn explain(self) -> Unavailable {
        let name = |errno: i32| io::Error::from_raw_os_error(errno).to_string();
        let (reason, remedy) = match self {
            Self::Own(errno) => (
                format!("this process lacks what the attempt takes: {}", name(errno)),
                "raise its limits of processes and descriptors",
            ),
            Self::Filter(libc::EBUSY) => (
                "another supervisor already answers system calls of this process: an outer `amt-sim run` or a \
                 container manager that intercepts calls"
                    .to_owned(),
                "start amt-sim outside of it",
            ),
            Self::Filter(libc::ENOSYS) => (
                "this kernel has no seccomp".to_owned(),
                "take a kernel with CONFIG_SECCOMP_FILTER",
            ),
            Self::Filter(libc::EINVAL) => (
                "this kernel cannot hand system calls to a supervisor".to_owned(),
                "take Linux 5.14 or newer with CONFIG_SECCOMP_FILTER",
            ),
            Self::Filter(errno) => (
                format!("seccomp(2) is refused: {}", name(errno)),
                "allow it in the container's own profile (--security-opt seccomp=unconfined)",
            ),
            Self::Silence => (
                "a filtered system call was not handed to the supervisor".to_owned(),
                "report the kernel and its version",
            ),
        };
        Unavailable {
            reason,
            remedy: remedy.to_owned(),
        }
    }
}

/// The child's call waits for its answer. The child is killed and waited for when this is dropped.
pub(super) struct Trial {
    pub(super) listener: Listener,
    pub(super) notification: Notification,
    _child: Child,
}

impl Trial {
    /// The child runs `prepare`, enters the filter and runs `call`; it shares nothing with this process by then, and
    /// both may do no more than is allowed between fork and exec.
    pub(super) fn start(
        program: &[sock_filter],
        prepare: impl FnOnce() -> io::Result<()>,
        call: impl FnOnce(),
    ) -> Result<Self, Failure> {
        let (ours, theirs) = sys::socket_pair()?;
        // SAFETY: the child makes system calls only and never returns.
        let child = match unsafe { libc::fork() } {
            ..0 => return Err(io::Error::last_os_error().into()),
            0 => in_the_child(program, &theirs, prepare, call),
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
        let notification = listener.receive()?.ok_or(Failure::Silence)?;
        Ok(Self {
            listener,
            notification,
            _child: child,
        })
    }
}

fn in_the_child(
    program: &[sock_filter],
    control: &OwnedFd,
    prepare: impl FnOnce() -> io::Result<()>,
    call: impl FnOnce(),
) -> ! {
    let enter = || {
        sys::die_with_parent()?;
        prepare()?;
        let listener = notify::listen(program)?;
        sys::send_fd(control.as_fd(), listener.as_fd())
    };
    let status = match enter() {
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        Ok(()) => {
            call();
            // SAFETY: no pointers. The child waits to be killed.
            unsafe { libc::pause() }
        }
    };
    // SAFETY: ends this process and touches nothing of it.
    unsafe { libc::_exit(status) }
}

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

/// `kernel.yama.ptrace_scope`, where there is one: 2 and 3 forbid to look into programs.
pub(super) fn ptrace_scope() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok()?;
    text.trim().parse().ok()
}

/// What to do about a scope of 2 or more.
pub(super) fn widen_ptrace_scope(scope: u32) -> &'static str {
    match scope {
        ..=2 => "sudo sysctl -w kernel.yama.ptrace_scope=1, or run as root",
        3.. => "boot with kernel.yama.ptrace_scope at 1: 3 cannot be taken back",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Failure::Filter(libc::EBUSY), "another supervisor", "outside")]
    #[case(Failure::Filter(libc::EPERM), "refused", "seccomp=unconfined")]
    #[case(Failure::Filter(libc::EINVAL), "supervisor", "5.14")]
    #[case(Failure::Filter(libc::ENOSYS), "no seccomp", "CONFIG_SECCOMP_FILTER")]
    #[case(Failure::Own(libc::EMFILE), "lacks", "limits")]
    fn what_is_wrong_and_what_to_do(
        #[case] failure: Failure,
        #[case] reason: &str,
        #[case] remedy: &str,
    ) {
        let unavailable = failure.explain();
        assert!(unavailable.reason.contains(reason), "{unavailable}");
        assert!(unavailable.remedy.contains(remedy), "{unavailable}");
    }

    #[test]
    fn a_child_that_cannot_prepare_says_why() {
        let prepare = || Err(io::Error::from_raw_os_error(libc::EXDEV));
        let outcome = Trial::start(&[], prepare, || ());
        assert_eq!(outcome.err(), Some(Failure::Filter(libc::EXDEV)));
    }
}
