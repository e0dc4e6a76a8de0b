//! The loop between the kernel and the [`Node`]: one thread reads requests, waits, and wakes who waits.
//!
//! ```text
//!   request there ──▶ answer ──▶ next request there? ── yes ──▶ answer ...
//!                                     │ no
//!                                     ▼
//!                  look again and again for a moment (if that paid the last time)
//!                                     │ nothing came
//!                                     ▼
//!       sleep until: a request | stop | another front end touched the device | its next wake-up
//! ```

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::node::{Node, Outlet, Phase};
use super::protocol::{Message, REQUEST_BUFFER};
use super::system;

/// Serves until every open file and the mount are gone, or `stop` is readable. `go` is called once, when the
/// kernel has introduced itself.
pub(super) fn serve(
    descriptor: OwnedFd,
    mut node: Node,
    stop: &OwnedFd,
    go: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<()> {
    system::fire_timers_on_time();
    let mut channel = Channel {
        kernel: descriptor,
        reply: Vec::with_capacity(2 * 4096),
        replied: false,
        refused: false,
    };
    let mut buffer = vec![0; REQUEST_BUFFER];
    let mut patience = Patience::new();
    let mut held_back = Some(go);
    loop {
        let mut received = channel.receive(&mut buffer)?;
        let mut in_a_row = 0;
        loop {
            channel.replied = false;
            match received {
                Received::Request(length) => node.handle(&buffer[..length], &mut channel),
                Received::Nothing => break,
                Received::Gone => return Ok(()),
            }
            if channel.refused {
                return Err(io::Error::other("the kernel does not understand a reply"));
            }
            match node.phase() {
                Phase::New => {}
                Phase::Serving => {
                    if let Some(go) = held_back.take()
                        && go().is_err()
                    {
                        return Ok(()); // The program's process is gone already.
                    }
                }
                Phase::TooOld { minor } => return Err(too_old(minor)),
            }
            in_a_row += 1;
            if in_a_row == REQUESTS_BEFORE_A_LOOK_AROUND {
                break;
            }
            let limit = match channel.replied {
                true => patience.limit(node.device().next_wake()),
                // Whoever asked is asleep until the device has something, and asks nothing more.
                false => Duration::ZERO,
            };
            received = channel.watch_closely(&mut buffer, limit)?;
        }

        let idle_since = Instant::now();
        let busy = in_a_row == REQUESTS_BEFORE_A_LOOK_AROUND;
        let wake = node.device().next_wake();
        let limit = if busy { Some(Duration::ZERO) } else { wake };
        let watch = node.device().watch();
        let descriptors = [channel.kernel.as_fd(), stop.as_fd(), watch.as_fd()];
        let [request, stopped, disturbed] = system::wait_readable(descriptors, limit)?;
        if stopped {
            return Ok(());
        }
        if disturbed {
            watch.clear();
        }
        let slept = idle_since.elapsed();
        if disturbed || wake.is_some_and(|wake| wake <= slept) {
            node.device().tick();
            node.wake(&mut channel);
        }
        if request && !busy {
            patience.came_after(slept);
        }
    }
}

fn too_old(minor: u32) -> io::Error {
    io::Error::other(format!(
        "the kernel speaks FUSE 7.{minor}; Linux 5.2 or later is needed"
    ))
}

/// A flood of requests must not hide a stop, a disturbance or the time.
const REQUESTS_BEFORE_A_LOOK_AROUND: usize = 64;

/// The open `/dev/fuse`.
struct Channel {
    kernel: OwnedFd,
    /// A reply with data, put together.
    reply: Vec<u8>,
    /// Something was sent since this was last cleared.
    replied: bool,
    /// The kernel found a reply malformed: our mistake, and the program would wait for ever.
    refused: bool,
}

enum Received {
    /// So many bytes.
    Request(usize),
    Nothing,
    /// Unmounted, and no file is open any more.
    Gone,
}

impl Channel {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            match system::read(self.kernel.as_fd(), buffer) {
                Ok(0) => return Ok(Received::Gone),
                Ok(length) => return Ok(Received::Request(length)),
                Err(libc::EAGAIN) => return Ok(Received::Nothing),
                Err(libc::ENODEV | libc::ECONNABORTED) => return Ok(Received::Gone),
                // The caller was killed while its request was being copied.
                Err(libc::ENOENT | libc::EINTR) => {}
                Err(errno) => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }

    /// Waits without sleeping. Spares the kernel the waking of this thread, which costs more than everything
    /// else in an exchange when it sleeps on another processor.
    fn watch_closely(&mut self, buffer: &mut [u8], limit: Duration) -> io::Result<Received> {
        /// Reading the clock takes a good part of the time that looking takes.
        const LOOKS_A_CLOCK: usize = 8;
        let since = Instant::now();
        loop {
            for _ in 0..LOOKS_A_CLOCK {
                match self.receive(buffer)? {
                    Received::Nothing if limit.is_zero() => return Ok(Received::Nothing),
                    Received::Nothing => {}
                    found => return Ok(found),
                }
            }
            if since.elapsed() >= limit {
                return Ok(Received::Nothing);
            }
        }
    }
}

impl Outlet for Channel {
    fn send(&mut self, mut message: Message, data: &[u8]) {
        self.replied = true;
        let head = message.with_data(data);
        let sent = if data.is_empty() {
            system::write(self.kernel.as_fd(), head)
        } else {
            // One piece of memory: the kernel pins each on its own, which costs more than this copy.
            self.reply.clear();
            self.reply.extend_from_slice(head);
            self.reply.extend_from_slice(data);
            system::write(self.kernel.as_fd(), &self.reply)
        };
        // Other failures concern whom the reply was for: killed meanwhile, or without memory for it.
        if sent == Err(libc::EINVAL) {
            self.refused = true;
        }
    }
}

/// How long to look for the next request before going to sleep. It costs nothing unless the last one came
/// soon: a program that asks once a second finds a sleeping server.
struct Patience {
    longest: Duration,
    limit: Duration,
}

impl Patience {
    /// Long enough for a program on another processor to wake up, read the answer and ask again.
    const LONGEST: Duration = Duration::from_micros(50);

    fn new() -> Self {
        // With one processor, looking keeps the program from running.
        let several = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        Self {
            longest: if several {
                Self::LONGEST
            } else {
                Duration::ZERO
            },
            limit: Duration::ZERO,
        }
    }

    /// Not past the moment at which the device does something by itself.
    fn limit(&self, wake: Option<Duration>) -> Duration {
        wake.map_or(self.limit, |wake| self.limit.min(wake))
    }

    /// A request came that we slept for.
    fn came_after(&mut self, gap: Duration) {
        self.limit = match gap <= 2 * self.longest {
            true => self.longest,
            false => Duration::ZERO,
        };
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
