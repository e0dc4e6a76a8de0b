//! Whether this front end works here: a child puts itself under the filter and opens the device once.
#![expect(unsafe_code, reason = "a child that makes system calls only")]

use std::io;
use std::os::fd::AsFd;

use super::call::{Abi, Shape, WINDOW};
use super::memory;
use super::process::{self, identity_of};
use super::{filter, sys};
use crate::host::backend::{Options, Unavailable};
use crate::host::trial::{self, Trial};

/// Tries it for real. Takes about a millisecond.
pub(crate) fn probe() -> Result<(), Unavailable> {
    attempt().map_err(|failure| explain(failure, trial::ptrace_scope()))
}

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Trial(trial::Failure),
    /// The child may not have this many descriptors.
    Limit(u64),
    /// The child's memory cannot be read.
    Memory,
    /// No descriptor can be put into the child.
    Descriptor(i32),
    /// The child's descriptors cannot be looked at.
    Proc,
}

impl<E: Into<trial::Failure>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Trial(error.into())
    }
}

const PATH: &std::ffi::CStr = c"/dev/mei0";

fn attempt() -> Result<(), Failure> {
    let wanted = WINDOW.end().unsigned_abs().into();
    let most = sys::descriptor_limit()?;
    if most <= wanted {
        return Err(Failure::Limit(most));
    }
    let trial = Trial::start(
        &filter::program(&Options::default()),
        || sys::raise_descriptor_limit(WINDOW.end().unsigned_abs() as libc::rlim_t + 1),
        || {
            // SAFETY: a string that outlives the call.
            unsafe { libc::open(PATH.as_ptr(), libc::O_RDWR) };
        },
    )?;
    give(&trial)
}

/// What the server does at an open.
fn give(trial: &Trial) -> Result<(), Failure> {
    let n = &trial.notification;
    let place = match Abi::by_arch(n.arch).and_then(|abi| abi.shape(n.number)) {
        Some(Shape::Open) => 0,
        _ => 1,
    };
    match memory::read_path(n.tid, n.args[place]) {
        Ok(path) if path == PATH.to_bytes() => {}
        _ => return Err(Failure::Memory),
    }
    let ours = sys::eventfd()?;
    let fd = *WINDOW.start();
    trial
        .listener
        .answer_with(n.id, ours.as_fd(), fd, true)
        .map_err(|error| Failure::Descriptor(error.raw_os_error().unwrap_or(0)))?;
    match process::identity(n.tid, fd) {
        Some(seen) if seen == identity_of(ours.as_fd())? => Ok(()),
        _ => Err(Failure::Proc),
    }
}

fn explain(failure: Failure, yama: Option<u32>) -> Unavailable {
    let name = |errno: i32| io::Error::from_raw_os_error(errno).to_string();
    let (reason, remedy) = match failure {
        Failure::Trial(failure) => return failure.explain(),
        Failure::Limit(most) => (
            format!("a program may have {most} descriptors here, and 1024 are needed"),
            "raise the hard limit (ulimit -Hn 4096; docker run --ulimit nofile=4096)",
        ),
        Failure::Memory => match yama {
            Some(scope @ 2..) => (
                format!("programs may not be looked into: kernel.yama.ptrace_scope is {scope}"),
                trial::widen_ptrace_scope(scope),
            ),
            _ => (
                "programs may not be looked into: process_vm_readv is refused".to_owned(),
                "allow it in the container (--cap-add SYS_PTRACE), or take a kernel with \
                 CONFIG_CROSS_MEMORY_ATTACH",
            ),
        },
        Failure::Descriptor(errno) => (
            format!("no descriptor can be put into a program: {}", name(errno)),
            "take Linux 5.14 or newer",
        ),
        Failure::Proc => (
            "the descriptors of programs cannot be seen in /proc".to_owned(),
            "mount /proc in this process's own PID namespace",
        ),
    };
    Unavailable {
        reason,
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Failure::Limit(512), None, "512 descriptors", "ulimit")]
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
