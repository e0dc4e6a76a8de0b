//! Starting a program under a front end: what happens between fork and exec, and who serves whom.
//!
//! ```text
//!   supervisor                              child (forked, not yet exec'ed)
//!   serving thread: receive descriptor <──── FrontEnd::enter() -> descriptor, sent over the control socket
//!                   FrontEnd::serve() ─────> "go" ──▶ exec
//!   calling thread: Command::spawn() returns once exec happened
//! ```
#![expect(unsafe_code, reason = "code between fork and exec")]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::inject::{Injector, watch};
use super::seccomp::notify;
use super::shared::SharedDevice;
use super::sys;

/// One way to show a program a `/dev/mei0`.
pub(crate) trait FrontEnd: Send + Sync {
    /// The name on the command line and in messages.
    fn name(&self) -> &'static str;

    /// Runs in the child between fork and exec: raw system calls only, no allocation, no locks. The result
    /// goes to the supervisor, and the child waits until the supervisor serves it.
    fn enter(&mut self) -> io::Result<OwnedFd>;

    /// Runs in the child after the supervisor said "go", directly before exec, under the same restrictions.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Serves the program and its descendants until they are gone or `stop` is readable. Calls `go` once,
    /// when the child may go on.
    fn serve(
        &mut self,
        descriptor: OwnedFd,
        device: &SharedDevice,
        stop: &OwnedFd,
        go: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()>;
}

/// A program under a front end.
#[derive(Debug)]
pub struct Running {
    child: Child,
    server: Option<JoinHandle<io::Result<()>>>,
    stop: Arc<OwnedFd>,
}

/// Starts `command` under the front end. `make` is called twice: the two ends live in different processes.
///
/// An `injector` is for front ends that do not hear of programs that begin: the program gets a filter for that alone.
///
/// The program dies when the calling thread ends (`PR_SET_PDEATHSIG`), so keep that thread.
pub(crate) fn launch<F: FrontEnd + 'static>(
    mut command: Command,
    make: impl Fn() -> io::Result<F>,
    device: &SharedDevice,
    injector: Option<Arc<Injector>>,
) -> io::Result<Running> {
    let (ours, theirs) = sys::socket_pair()?;
    let stop = Arc::new(sys::eventfd()?);
    let mut inside = make()?;
    let mut outside = make()?;

    let begin = injector.is_some().then(watch::program);
    let enter = move || {
        sys::die_with_parent()?;
        sys::default_sigpipe();
        let descriptor = inside.enter()?;
        sys::send_fd(theirs.as_fd(), descriptor.as_fd())?;
        drop(descriptor);
        if let Some(begin) = &begin {
            let listener = notify::listen(begin)?;
            sys::send_fd(theirs.as_fd(), listener.as_fd())?;
        }
        sys::receive_byte(theirs.as_fd())?;
        inside.settle()
    };
    // SAFETY: the closure makes raw system calls only, as `FrontEnd::enter` demands of its implementors.
    unsafe { command.pre_exec(enter) };

    let server = {
        let device = device.clone();
        let stop = Arc::clone(&stop);
        std::thread::Builder::new()
            .name(format!("mei-{}", outside.name()))
            .spawn(move || {
                let Some(descriptor) = sys::receive_fd(ours.as_fd())? else {
                    return Ok(()); // The child failed before it got so far; spawn() says why.
                };
                if let Some(injector) = injector {
                    match sys::receive_fd(ours.as_fd())? {
                        Some(listener) => watch::start(listener, injector)?,
                        None => return Ok(()),
                    }
                }
                let mut go = || sys::send_byte(ours.as_fd());
                outside.serve(descriptor, &device, &stop, &mut go)
            })?
    };
    let child = command.spawn();
    // The closure holds the child's end of the control socket: without this the server waits for ever when
    // the child fails.
    drop(command);
    match child {
        Ok(child) => Ok(Running {
            child,
            server: Some(server),
            stop,
        }),
        Err(error) => {
            sys::eventfd_raise(stop.as_fd());
            match server.join() {
                // The child only saw that nobody serves it.
                Ok(Err(why)) => Err(why),
                _ => Err(error),
            }
        }
    }
}

impl Running {
    /// The program's process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the program itself; descendants of it may live on and are still served.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Stops serving. Descendants that are still there find no device any more.
    pub fn stop(mut self) -> io::Result<()> {
        self.finish()
    }

    /// True when nobody is served any more: every process under the front end is gone.
    pub fn is_idle(&self) -> bool {
        self.server.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn finish(&mut self) -> io::Result<()> {
        sys::eventfd_raise(self.stop.as_fd());
        match self.server.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the front end's thread panicked")),
        }
    }
}

impl Drop for Running {
    /// A program that is still running is killed: nothing is left behind when the harness gives up.
    fn drop(&mut self) {
        if self.server.is_some() {
            if matches!(self.child.try_wait(), Ok(None)) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            let _ = self.finish();
        }
    }
}
