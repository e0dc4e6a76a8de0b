//! What the supervisor does with signals while a program runs under it.
//!
//! The terminal sends SIGINT and SIGQUIT to the whole foreground group, so the program has them already and the
//! supervisor only must not die before it. SIGTERM and SIGHUP go to the supervisor alone: it passes them on.
#![expect(unsafe_code, reason = "signal handlers")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicI32, Ordering};

use super::sys;

/// Who gets SIGTERM and SIGHUP; 0 for nobody.
static PROGRAM: AtomicI32 = AtomicI32::new(0);

/// The eventfd that [`StopSignal`] raises; -1 for none.
static STOP: AtomicI32 = AtomicI32::new(-1);

extern "C" fn pass_on(signal: libc::c_int) {
    let program = PROGRAM.load(Ordering::Relaxed);
    if program > 0 {
        // SAFETY: kill(2) is async-signal-safe.
        unsafe { libc::kill(program, signal) };
    }
}

extern "C" fn raise_stop(_: libc::c_int) {
    let stop = STOP.load(Ordering::Relaxed);
    if stop >= 0 {
        let one: u64 = 1;
        // SAFETY: write(2) is async-signal-safe; the pointer is to eight readable bytes.
        unsafe { libc::write(stop, (&raw const one).cast(), 8) };
    }
}

fn handle(signal: libc::c_int, handler: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: sigaction is plain old data; the handler is async-signal-safe or a constant.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART;
        if libc::sigaction(signal, &raw const action, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Hands signals to the program from now on.
pub fn pass_signals_to(program: u32) -> io::Result<()> {
    PROGRAM.store(i32::try_from(program).unwrap_or(0), Ordering::Relaxed);
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        handle(signal, libc::SIG_IGN)?;
    }
    for signal in [libc::SIGTERM, libc::SIGHUP] {
        handle(signal, pass_on as *const () as libc::sighandler_t)?;
    }
    Ok(())
}

/// Readable once SIGINT, SIGTERM or SIGHUP came.
#[derive(Debug)]
pub struct StopSignal {
    event: OwnedFd,
}

impl StopSignal {
    /// From now on those signals no longer end the process.
    pub fn listen() -> io::Result<Self> {
        PROGRAM.store(0, Ordering::Relaxed);
        let event = sys::eventfd()?;
        STOP.store(event.as_raw_fd(), Ordering::Relaxed);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            handle(signal, raise_stop as *const () as libc::sighandler_t)?;
        }
        Ok(Self { event })
    }

    /// Waits for a signal, at most this long; true when one came.
    pub fn wait(&self, at_most: Option<std::time::Duration>) -> bool {
        sys::wait_readable(self.event.as_fd(), at_most)
    }
}

impl AsFd for StopSignal {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Drop for StopSignal {
    fn drop(&mut self) {
        STOP.store(-1, Ordering::Relaxed);
    }
}

/// Ends this process the way the program ended: with its exit code, or by the signal that killed it.
pub fn end_like(status: ExitStatus) -> std::process::ExitCode {
    if let Some(signal) = status.signal() {
        // SAFETY: default dispositions and plain values only. No core of ours: the program left its own.
        unsafe {
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        // Still here: the signal was blocked or does not kill. Say it as a shell would.
        return std::process::ExitCode::from(128u8.wrapping_add(u8::try_from(signal).unwrap_or(0)));
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    std::process::ExitCode::from(code.unwrap_or(1))
}

/// Makes orphans of the program children of this process, so that a daemon is still seen and served.
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Collects adopted processes that ended. Only for a process that waits for nobody else by itself.
pub fn reap_orphans() {
    let mut status = 0;
    // SAFETY: the pointer is to a writable int.
    while unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } > 0 {}
}
