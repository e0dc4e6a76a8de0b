//! `/dev/mei0` without any privilege: the program's system calls are filtered, and those that may mean the device
//! are answered here.
//!
//! ```text
//!   program                     kernel                       supervisor (this process)
//!   open("/dev/mei0", O_RDWR) ─▶ filter: O_RDWR, notify ────▶ reads the path; a socket becomes fd 960
//!   write(960, message) ───────▶ filter: 960..1023, notify ─▶ reads the message, tells the device
//!   poll(960) ─────────────────▶ the socket itself ◀───────── arranges what it shows
//!   everything else ───────────▶ allowed, no notification
//! ```
//! | file        | what it knows                                                        |
//! |-------------|----------------------------------------------------------------------|
//! | `call`      | which system call means what, on each ABI                            |
//! | `filter`    | the BPF program                                                      |
//! | `notify`    | the notification descriptor                                          |
//! | `memory`    | the program's memory                                                 |
//! | `process`   | what `/proc` tells                                                   |
//! | `beacon`    | the socket that shows readiness                                      |
//! | `node`      | paths and `stat`                                                     |
//! | `files`     | open files, and who holds them                                       |
//! | `server`    | dispatch; `opening`, `transfer`, `look` are its operations           |
//! | `strays`    | descriptors that were moved out of the window                        |
//! | `exits`, `timer` | what else the second thread waits for                           |
//! | `probe`     | whether all this works here                                          |
//!
//! # What differs from the real device
//!
//! - A descriptor's number is 960 or above, also after `dup`; 64 of them at a time in one process. One that is
//!   moved elsewhere by `dup2` works, but short reads lose the rest and some errors are another.
//! - `/proc/self/fd/960` names a socket. `/sys/class/mei` and DMI files are the machine's own: opens for reading
//!   are not filtered. The node is in no directory listing.
//! - A symbolic link of another name that leads to the node is not followed; neither is a descriptor that was
//!   sent over a socket.
//! - io_uring makes its calls past the filter.
//! - A program that forbids to be looked at (`PR_SET_DUMPABLE` 0, set-user-ID) finds no device, unless the
//!   supervisor is root. Set-user-ID programs lose their effect, unless the supervisor has `CAP_SYS_ADMIN`.
//! - A thread that sleeps in a call hears of a signal up to 10 ms late, and `ps` shows it in state D. A debugger
//!   that wants to attach waits until the call has ended. Before Linux 5.19 neither is so, and a signal in the
//!   moment of an answer can make the kernel drop it.
//! - One supervisor at a time: a program under it cannot start another (EBUSY).
//!
//! None of this is a sandbox: the program can change a path or a message while it is being read. It is only ever
//! given a device, never a permission.

mod beacon;
mod call;
mod exits;
mod files;
mod filter;
mod look;
mod memory;
mod node;
pub(super) mod notify;
mod opening;
mod probe;
mod process;
mod server;
mod strays;
mod timer;
mod transfer;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub(crate) use self::probe::probe;

use self::exits::Exits;
use self::notify::Listener;
use self::server::Server;
use self::strays::Strays;
use self::timer::Timer;
use super::backend::Options;
use super::chardev::CharDevice;
use super::inject::Injector;
use super::launch::{self, FrontEnd, Running};
use super::poll::poll;
use super::shared::SharedDevice;
use super::sys;

/// The front end of [`Backend::Seccomp`](super::backend::Backend::Seccomp).
#[derive(Debug)]
pub(crate) struct Seccomp {
    options: Options,
    program: Vec<libc::sock_filter>,
    injector: Option<Arc<Injector>>,
}

impl Seccomp {
    pub(crate) fn new(options: &Options, injector: Option<Arc<Injector>>) -> Self {
        Self {
            options: *options,
            program: filter::program(options),
            injector,
        }
    }
}

/// Starts a program that sees the device.
pub(crate) fn run(
    device: &SharedDevice,
    command: Command,
    options: &Options,
    injector: Option<Arc<Injector>>,
) -> io::Result<Running> {
    // The filter hears of every program that begins as it is: no second one is needed, nor possible.
    let make = || Ok(Seccomp::new(options, injector.clone()));
    launch::launch(command, make, device, None)
}

impl FrontEnd for Seccomp {
    fn name(&self) -> &'static str {
        "seccomp"
    }

    fn enter(&mut self) -> io::Result<OwnedFd> {
        sys::raise_descriptor_limit(call::WINDOW.end().unsigned_abs() as libc::rlim_t + 1)?;
        notify::listen(&self.program)
    }

    fn serve(
        &mut self,
        descriptor: OwnedFd,
        device: &SharedDevice,
        stop: &OwnedFd,
        go: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        let listener = Arc::new(Listener::new(descriptor));
        let device = CharDevice::new(device.clone())?;
        let exits = Exits::new()?;
        let ended = exits.event();
        let strays = Strays::new()?;
        let timer = Arc::new(Timer::new()?);
        let server = Server::new(
            Arc::clone(&listener),
            device.clone(),
            exits,
            strays.clone(),
            Arc::clone(&timer),
            self.options.as_root,
            self.injector.clone(),
        )?;
        let server = Arc::new(Mutex::new(server));
        let (receiver, done) = receive(listener, Arc::clone(&server))?;
        go()?;
        loop {
            let ready = poll(
                &[
                    (stop.as_fd(), libc::POLLIN),
                    (done.as_fd(), libc::POLLIN),
                    (device.watch().as_fd(), libc::POLLIN),
                    (timer.as_fd(), libc::POLLIN),
                    (ended.as_fd(), libc::POLLIN),
                    (strays.as_fd(), libc::POLLIN),
                ],
                None,
            )?;
            if ready[1] != 0 {
                return match receiver.join() {
                    Ok(result) => result,
                    Err(_) => Err(io::Error::other(
                        "the supervisor's receiving thread panicked",
                    )),
                };
            }
            if ready[0] != 0 {
                // The receiving thread stays as long as there are programs, and lets everything through.
                lock(&server).retire();
                return Ok(());
            }
            let mut server = lock(&server);
            device.watch().clear();
            timer.clear();
            strays.clear();
            server.tick();
        }
    }
}

/// The thread that takes system calls; the event is raised when it ends.
fn receive(
    listener: Arc<Listener>,
    server: Arc<Mutex<Server>>,
) -> io::Result<(JoinHandle<io::Result<()>>, Arc<OwnedFd>)> {
    /// Raised also when the thread panics: the supervisor must not wait for it then.
    struct Done(Arc<OwnedFd>);
    impl Drop for Done {
        fn drop(&mut self) {
            sys::eventfd_raise(self.0.as_fd());
        }
    }

    let event = Arc::new(sys::eventfd()?);
    let done = Done(Arc::clone(&event));
    let work = move || {
        let _done = done;
        while let Some(notification) = listener.receive()? {
            lock(&server).handle(&notification);
        }
        Ok(())
    };
    let thread = std::thread::Builder::new()
        .name("mei-calls".to_owned())
        .spawn(work)?;
    Ok((thread, event))
}

/// A thread that panicked while it held the lock has ended serving already; this one only cleans up.
fn lock(server: &Mutex<Server>) -> MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}
