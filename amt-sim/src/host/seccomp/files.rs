//! The open files of the device: which descriptors of which programs mean them, and whether any still does.
//!
//! A program's descriptor is recognised by the socket behind it, so copies are recognised however they came about
//! (`dup`, `fork`, another thread). The kernel does not tell when the last copy is gone, because the supervisor
//! keeps one too. So each moment at which one may go is watched (`close`, `dup2` over it, exec, the end of a
//! process), and then `/proc` is asked who else holds it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

use super::beacon::{Beacon, TOKEN};
use super::call::WINDOW;
use super::process::{self, Births, Identity};
use super::strays::Strays;
use super::transfer::{SameCall, Unclaimed, Waiting};
use crate::host::chardev::OpenFile;
use crate::mei::{Errno, Readiness};

/// More than any client's longest message.
const LONGEST: usize = 64 * 1024;

/// Names one open file for as long as the supervisor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(u32);

/// One open file description, and the socket that stands for it in programs.
#[derive(Debug)]
pub(super) struct File {
    /// `None` once serving was stopped.
    open: Option<OpenFile>,
    pub(super) beacon: Beacon,
    /// Calls that wait for a message, or for room.
    pub(super) waiting: VecDeque<Waiting>,
    /// The connect that last succeeded. See [`Unclaimed::was_unheard`].
    pub(super) connected: Option<Unclaimed>,
    /// Taken from the device for a reader that then was not there any more.
    unread: Vec<u8>,
    /// Something was read since readiness was last shown.
    was_read: bool,
    /// A descriptor of it left the window; see [`Strays`](super::strays::Strays).
    strayed: bool,
    identity: Identity,
    /// Every number under which a program was given it.
    numbers: Vec<i32>,
    /// The process that opened it.
    opener: i32,
    /// The thread or process that was last seen to hold it.
    holder: i32,
    /// When it was opened, counted in processes and threads.
    births: Option<u64>,
}

impl File {
    pub(super) fn device(&self) -> Result<&OpenFile, Errno> {
        self.open.as_ref().ok_or(Errno::Enodev)
    }

    /// `read(2)`, with what an earlier reader left behind coming first.
    pub(super) fn take(&mut self, capacity: usize) -> Result<Vec<u8>, Errno> {
        if self.strayed {
            self.withdraw();
        }
        if self.unread.is_empty() || capacity == 0 {
            let bytes = self.device()?.read(capacity)?;
            self.was_read = true;
            return Ok(bytes);
        }
        let rest = self.unread.split_off(capacity.min(self.unread.len()));
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    /// The reader is gone; the next one gets its bytes.
    pub(super) fn put_back(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.unread);
        self.unread = bytes;
    }

    pub(super) fn is_expecting(&self) -> bool {
        !self.unread.is_empty() || self.open.as_ref().is_some_and(OpenFile::is_expecting)
    }

    pub(super) fn readiness(&mut self) -> Readiness {
        if self.strayed {
            self.forward();
        }
        let gone = Readiness {
            error: true,
            ..Readiness::default()
        };
        let mut readiness = self.open.as_ref().map_or(gone, OpenFile::readiness);
        if readiness.error {
            self.unread.clear();
        }
        readiness.readable |= !self.unread.is_empty();
        readiness
    }

    /// A descriptor left the window: from now on the socket carries the messages themselves.
    pub(super) fn stray(&mut self, strays: &Strays) -> io::Result<()> {
        if !self.strayed {
            self.beacon.widen()?;
            strays.watch(self.beacon.ours())?;
            self.strayed = true;
            // What is shown is no message.
            self.beacon.take_back()?;
        }
        Ok(())
    }

    /// Passes on what the program wrote by itself, and notices what it read.
    fn forward(&mut self) {
        while let Ok(Some(message)) = self.beacon.receive() {
            // The program was told that it is written: there is nobody who could hear of an error.
            let _ = self.device().and_then(|device| device.write(&message));
        }
        if self.beacon.was_taken() {
            self.withdraw();
        }
        if self.unread.is_empty()
            && let Ok(message) = self.device().and_then(|device| device.read(LONGEST))
        {
            self.unread = message;
        }
    }

    /// Takes the message back that waits in the socket, unless the program was faster.
    fn withdraw(&mut self) {
        if self.beacon.take_back().is_ok_and(|there| !there) {
            self.unread.clear();
        }
    }

    /// Closes the device under it. Programs that hold it see what they would after a reset.
    pub(super) fn abandon(&mut self) {
        self.open = None;
    }

    /// Makes `poll(2)` see it.
    pub(super) fn show(&mut self, readiness: Readiness) -> io::Result<()> {
        if self.strayed {
            return self.beacon.show(readiness, &self.unread);
        }
        if std::mem::take(&mut self.was_read) && readiness.readable {
            self.beacon.renew()?;
        }
        self.beacon.show(readiness, TOKEN)
    }

    /// A thread makes one call at a time: one of it that waits here while it makes another was interrupted.
    pub(super) fn forget_interrupted(&mut self, tid: i32) -> Option<SameCall> {
        let at = self.waiting.iter().position(|call| call.tid == tid)?;
        self.waiting.remove(at).map(|call| call.call)
    }

    /// It is now known under this number too.
    pub(super) fn add_number(&mut self, fd: i32) {
        if !self.numbers.contains(&fd) {
            self.numbers.push(fd);
        }
    }

    fn is_held_by(&self, tid: i32) -> bool {
        let held = |fd: &i32| process::identity(tid, *fd) == Some(self.identity);
        self.numbers.iter().any(held)
            || (self.strayed && process::descriptors(tid).iter().any(held))
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Files {
    files: BTreeMap<Key, File>,
    by_identity: HashMap<Identity, Key>,
    /// What descriptors of threads are, as far as they were looked at; `None` is somebody else's file.
    seen: HashMap<(i32, i32), Option<Key>>,
    next: u32,
    births: Births,
}

impl Files {
    pub(super) fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            by_identity: HashMap::new(),
            seen: HashMap::new(),
            next: 0,
            births: Births::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.files.keys().copied().collect()
    }

    pub(super) fn get(&mut self, key: Key) -> Option<&mut File> {
        self.files.get_mut(&key)
    }

    /// A new file, about to be given to the process under this number.
    pub(super) fn insert(
        &mut self,
        open: OpenFile,
        beacon: Beacon,
        opener: i32,
        fd: i32,
    ) -> io::Result<Key> {
        let identity = beacon.identity()?;
        let key = Key(self.next);
        self.next += 1;
        let file = File {
            open: Some(open),
            beacon,
            waiting: VecDeque::new(),
            connected: None,
            unread: Vec::new(),
            was_read: false,
            strayed: false,
            identity,
            numbers: vec![fd],
            opener,
            holder: opener,
            births: self.births.count(),
        };
        self.files.insert(key, file);
        self.by_identity.insert(identity, key);
        Ok(key)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<File> {
        let file = self.files.remove(&key)?;
        self.by_identity.remove(&file.identity);
        self.look_again();
        Some(file)
    }

    /// Which of ours the thread means by this descriptor.
    pub(super) fn find(&mut self, tid: i32, fd: i32) -> Option<Key> {
        if self.files.is_empty() {
            return None;
        }
        if let Some(known) = self.seen.get(&(tid, fd)) {
            return *known;
        }
        let key = process::identity(tid, fd)
            .and_then(|identity| self.by_identity.get(&identity))
            .copied();
        self.seen.insert((tid, fd), key);
        if let Some(file) = key.and_then(|key| self.files.get_mut(&key)) {
            file.holder = tid;
            file.add_number(fd);
        }
        key
    }

    /// Some table of descriptors changed, or a thread's number may mean another thread.
    pub(super) fn look_again(&mut self) {
        self.seen.clear();
    }

    /// The lowest number of the window that means nothing to the thread.
    pub(super) fn free_number(tid: i32, at_least: i32) -> Option<i32> {
        WINDOW
            .skip_while(|fd| *fd < at_least)
            .find(|fd| process::identity(tid, *fd).is_none())
    }

    /// Somebody who holds the file, as of now.
    pub(super) fn holder(&mut self, key: Key) -> Option<i32> {
        /// Forks can outrun a walk through `/proc`; so often we begin again.
        const WALKS: usize = 5;
        let file = self.files.get_mut(&key)?;
        let likely = [file.holder, file.opener];
        if let Some(holder) = likely.into_iter().find(|tid| file.is_held_by(*tid)) {
            file.holder = holder;
            return Some(holder);
        }
        for _ in 0..WALKS {
            let births = self.births.count();
            if births.is_some() && births == file.births {
                // Nobody was born since it was opened, so nobody can have inherited it.
                return None;
            }
            let mut everybody = process::others().into_iter();
            if let Some(holder) = everybody.find(|process| file.is_held_by(*process)) {
                file.holder = holder;
                return Some(holder);
            }
            if births.is_some() && births == self.births.count() {
                return None;
            }
        }
        None
    }
}
