//! Whether a program's memory may be written to here: a child hands over its `arch_prctl` and is written to.
#![expect(unsafe_code, reason = "a child that makes system calls only")]

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;

use super::watch;
use crate::host::backend::Unavailable;
use crate::host::trial::{self, Trial};

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
    attempt().map_err(|failure| explain(failure, trial::ptrace_scope()))
}

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Trial(trial::Failure),
    /// The child's memory cannot be opened.
    Open(i32),
    /// It can, but not be written to where the child itself cannot.
    Write(i32),
}

impl<E: Into<trial::Failure>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Trial(error.into())
    }
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

fn attempt() -> Result<(), Failure> {
    const GET_FS: libc::c_long = 0x1003;
    let page = Page::new()?;
    let call = || {
        let mut word = 0_u64;
        // SAFETY: the call fills one word that outlives it.
        unsafe { begin(GET_FS, &raw mut word) };
    };
    let trial = Trial::start(&watch::program(), || Ok(()), call)?;
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{}/mem", trial.notification.tid))
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

fn explain(failure: Failure, yama: Option<u32>) -> Unavailable {
    let name = |errno: i32| io::Error::from_raw_os_error(errno).to_string();
    let (reason, remedy) = match (failure, yama) {
        (Failure::Trial(failure), _) => return failure.explain(),
        (Failure::Open(_), Some(scope @ 2..)) => (
            format!(
                "the memory of programs may not be opened: kernel.yama.ptrace_scope is {scope}"
            ),
            trial::widen_ptrace_scope(scope),
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
