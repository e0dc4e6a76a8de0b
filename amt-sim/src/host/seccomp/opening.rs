//! Descriptors come and go: `open`, `dup`, `close` and their kin.

use std::io;

use super::beacon::Beacon;
use super::call::{How, WINDOW};
use super::files::{Files, Key};
use super::memory;
use super::notify::{Answer, Notification};
use super::server::{Outcome, Server};
use super::transfer::error;

impl Server {
    pub(super) fn open(
        &mut self,
        n: &Notification,
        directory: i32,
        path: u64,
        how: How,
    ) -> Outcome {
        let Some(device) = self.device.clone() else {
            return Answer::Continue.into();
        };
        let Ok(path) = memory::read_path(n.tid, path) else {
            return Answer::Continue.into();
        };
        if !self.node.is_meant(n.tid, directory, &path) {
            return Answer::Continue.into();
        }
        let flags = match how {
            How::Flags(flags) => flags,
            How::At(address) => {
                let mut flags = [0; 8];
                if memory::read(n.tid, address, &mut flags).is_err() {
                    return Answer::Continue.into();
                }
                i32::try_from(u64::from_ne_bytes(flags)).unwrap_or(0)
            }
        };
        let exclusive = libc::O_CREAT | libc::O_EXCL;
        if flags & (libc::O_ACCMODE | libc::O_DIRECTORY | libc::O_PATH) != libc::O_RDWR {
            return Answer::Continue.into();
        }
        if flags & exclusive == exclusive {
            return Answer::Error(libc::EEXIST).into();
        }
        // Whoever ended before this call was made must not be in its way.
        self.bury();
        if !self.listener.is_waiting(n.id) {
            return Outcome::Settled;
        }
        let Some(fd) = Files::free_number(n.tid, 0) else {
            return Answer::Error(libc::EMFILE).into();
        };
        let Some(opener) = super::process::process_of(n.tid) else {
            return Outcome::Settled;
        };
        let nonblocking = flags & libc::O_NONBLOCK != 0;
        let open = match device.open(nonblocking) {
            Ok(open) => open,
            Err(errno) => return error(errno).into(),
        };
        let key =
            Beacon::new(nonblocking).and_then(|beacon| self.files.insert(open, beacon, opener, fd));
        let key = match key {
            Ok(key) => key,
            // Our own descriptors ran out, most likely.
            Err(failed) => {
                return Answer::Error(failed.raw_os_error().unwrap_or(libc::EIO)).into();
            }
        };
        self.exits.watch(opener);
        self.give(n, key, fd, flags & libc::O_CLOEXEC != 0, true)
    }

    /// Ends the call with a descriptor of the file.
    fn give(
        &mut self,
        n: &Notification,
        key: Key,
        fd: i32,
        cloexec: bool,
        is_new: bool,
    ) -> Outcome {
        let Some(file) = self.files.get(key) else {
            return Answer::Continue.into();
        };
        let given = self
            .listener
            .answer_with(n.id, file.beacon.held(), fd, cloexec);
        match given {
            Ok(()) => {
                file.add_number(fd);
                self.files.look_again();
                Outcome::Settled
            }
            Err(failed) => {
                if is_new {
                    self.files.remove(key);
                }
                match failed.raw_os_error() {
                    // The program's limit is below the window.
                    Some(libc::EBADF) => Answer::Error(libc::EMFILE).into(),
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => {
                        Answer::Error(libc::ENFILE).into()
                    }
                    // The caller is gone.
                    _ => Outcome::Settled,
                }
            }
        }
    }

    pub(super) fn close(&mut self, n: &Notification, fd: i32) -> Outcome {
        let Some(key) = self.files.find(n.tid, fd) else {
            return Answer::Continue.into();
        };
        if self.vacate(n, fd).is_err() {
            return Outcome::Settled;
        }
        self.release_if_unheld(key);
        Answer::Continue.into()
    }

    pub(super) fn close_range(
        &mut self,
        n: &Notification,
        first: u32,
        last: u32,
        flags: u32,
    ) -> Outcome {
        self.files.look_again();
        if flags != 0 {
            // The thread gets a table of its own first; what it loses shows in the next sweep.
            return Answer::Continue.into();
        }
        for fd in WINDOW {
            if !(first..=last).contains(&fd.cast_unsigned()) {
                continue;
            }
            let Some(key) = self.files.find(n.tid, fd) else {
                continue;
            };
            if self.vacate(n, fd).is_err() {
                return Outcome::Settled;
            }
            self.release_if_unheld(key);
        }
        Answer::Continue.into()
    }

    pub(super) fn dup(
        &mut self,
        n: &Notification,
        fd: i32,
        at_least: i32,
        cloexec: bool,
    ) -> Outcome {
        let Some(key) = self.files.find(n.tid, fd) else {
            return Answer::Continue.into();
        };
        match Files::free_number(n.tid, at_least) {
            Some(free) => self.give(n, key, free, cloexec, false),
            None => Answer::Error(libc::EMFILE).into(),
        }
    }

    pub(super) fn dup_to(
        &mut self,
        n: &Notification,
        fd: i32,
        target: i32,
        cloexec: bool,
    ) -> Outcome {
        if fd == target || super::process::identity(n.tid, fd).is_none() {
            return Answer::Continue.into();
        }
        let source = self.files.find(n.tid, fd);
        let in_window = WINDOW.contains(&target);
        let victim = match in_window {
            true => self.files.find(n.tid, target),
            false => None,
        };
        if let Some(key) = source
            && in_window
        {
            let outcome = self.give(n, key, target, cloexec, false);
            if let Some(victim) = victim {
                self.release_if_unheld(victim);
            }
            return outcome;
        }
        if let Some(file) = source.and_then(|key| self.files.get(key)) {
            // Where it is not possible the program sees a socket; there is nothing better to tell it.
            let _ = file.stray(&self.strays);
            self.files.look_again();
        }
        if let Some(victim) = victim {
            if self.vacate(n, target).is_err() {
                return Outcome::Settled;
            }
            self.release_if_unheld(victim);
        }
        Answer::Continue.into()
    }

    /// Takes our file from under a descriptor that the call is about to close. Then it is known at once whether
    /// that was the last one, and the program does not go on before the device knows it too.
    fn vacate(&mut self, n: &Notification, fd: i32) -> io::Result<()> {
        use std::os::fd::AsFd;
        self.files.look_again();
        self.listener.install(n.id, self.placeholder.as_fd(), fd)
    }
}
