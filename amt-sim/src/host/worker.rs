//! A thread that serves until it is told to stop: every front end that runs beside its caller is one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use super::sys;

/// Stopped and waited for when it is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    thread: Option<JoinHandle<io::Result<()>>>,
    stop: OwnedFd,
    /// What it serves, for the message when it panics.
    what: &'static str,
}

impl Worker {
    /// Starts `serve` on a thread of this name. It has to return once the descriptor that it is given is readable.
    pub(crate) fn start(
        name: &str,
        what: &'static str,
        serve: impl FnOnce(BorrowedFd<'_>) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let stop = sys::eventfd()?;
        let heard = stop.try_clone()?;
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || serve(heard.as_fd()))?;
        Ok(Self {
            thread: Some(thread),
            stop,
            what,
        })
    }

    /// Stops it and tells how it ended.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> io::Result<()> {
        sys::eventfd_raise(self.stop.as_fd());
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other(format!("{} panicked", self.what))),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::poll::poll;

    #[test]
    fn it_is_stopped_and_says_how_it_ended() {
        let wait = |stop: BorrowedFd<'_>| poll(&[(stop, libc::POLLIN)], None).map(|_| ());
        Worker::start("test", "the thread", wait)
            .unwrap()
            .stop()
            .unwrap();
        let broken = Worker::start("test", "the thread", |_| Err(io::Error::other("broken")));
        assert_eq!(broken.unwrap().stop().unwrap_err().to_string(), "broken");
    }
}
