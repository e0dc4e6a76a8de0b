//! The supervisor: takes system calls, finds out which mean the device, answers them.
//!
//! Two threads share it. One receives notifications; that is all it waits for, because receiving directly is the
//! fastest way. The other waits for everything else: the device's clock, other front ends, the end of processes,
//! and the word to stop.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Abi, Call};
use super::exits::Exits;
use super::files::{Files, Key};
use super::node::Node;
use super::notify::{Answer, Gone, Listener, Notification};
use super::strays::Strays;
use super::timer::Timer;
use super::transfer::Unclaimed;
use crate::host::chardev::CharDevice;
use crate::host::inject::Injector;
use crate::host::sys;

pub(super) struct Server {
    pub(super) listener: Arc<Listener>,
    /// `None` once serving was stopped: whoever is left finds no device any more, and is otherwise undisturbed.
    pub(super) device: Option<CharDevice>,
    pub(super) files: Files,
    pub(super) exits: Exits,
    pub(super) strays: Strays,
    pub(super) node: Node,
    /// The program shall believe that it is root.
    pub(super) as_root: bool,
    injector: Option<Arc<Injector>>,
    /// By thread.
    pub(super) unclaimed: HashMap<i32, Unclaimed>,
    /// Takes the place of a descriptor that is about to be closed.
    pub(super) placeholder: OwnedFd,
    timer: Arc<Timer>,
    last_sweep: Instant,
    last_look: Instant,
}

/// What became of a call.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It ends so.
    Answer(Answer, Undo),
    /// It ended already, or it waits.
    Settled,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer, Undo::Nothing)
    }
}

/// What to do when a call was executed and its thread is not there to hear of it.
#[derive(Debug)]
pub(super) enum Undo {
    Nothing,
    /// The next reader of the file gets these bytes.
    PutBack(Key, Vec<u8>),
    /// The thread will make the same call again.
    Remember(i32, Box<Unclaimed>),
}

/// Descriptors can be lost in ways that nobody tells of; so often `/proc` is asked while files are open.
const SWEEP: Duration = Duration::from_secs(1);

/// A thread that sleeps in a call may have got a signal; so often it is looked at.
const LOOK: Duration = Duration::from_millis(10);

impl Server {
    pub(super) fn new(
        listener: Arc<Listener>,
        device: CharDevice,
        exits: Exits,
        strays: Strays,
        timer: Arc<Timer>,
        as_root: bool,
        injector: Option<Arc<Injector>>,
    ) -> io::Result<Self> {
        Ok(Self {
            listener,
            device: Some(device),
            files: Files::new(),
            exits,
            strays,
            node: Node::new(),
            as_root,
            injector,
            unclaimed: HashMap::new(),
            placeholder: sys::eventfd()?,
            timer,
            last_sweep: Instant::now(),
            last_look: Instant::now(),
        })
    }

    /// Answers one system call, now or later.
    pub(super) fn handle(&mut self, n: &Notification) {
        let outcome = self.execute(n);
        // Before the caller goes on, so that what it sees next does not depend on who is faster.
        self.settle();
        if let Outcome::Answer(answer, undo) = outcome
            && self.listener.answer(n.id, answer) == Err(Gone)
        {
            self.undo(undo);
            self.settle();
        }
    }

    fn execute(&mut self, n: &Notification) -> Outcome {
        let Some(abi) = Abi::by_arch(n.arch) else {
            return Answer::Continue.into();
        };
        let call = match abi.shape(n.number) {
            Some(shape) if n.tid != 0 => Call::decode(shape, &n.args),
            _ => Call::Other,
        };
        // Whatever else the thread does now, it does not claim the old answer any more.
        let claim = match self.unclaimed.is_empty() {
            true => None,
            false => self.unclaimed.remove(&n.tid),
        };
        match call {
            Call::Read { fd, to } => self.read(n, abi.word, fd, to),
            Call::Write { fd, from } => self.write(n, abi.word, fd, from, claim),
            Call::Ioctl {
                fd,
                request,
                argument,
            } => self.ioctl(n, fd, request, argument, claim),
            Call::Sync { fd } => self.sync(n, fd),
            Call::Socket { fd } => match self.files.find(n.tid, fd) {
                Some(_) => Answer::Error(libc::ENOTSOCK).into(),
                None => Answer::Continue.into(),
            },
            Call::Open {
                directory,
                path,
                how,
            } => self.open(n, directory, path, how),
            Call::Close { fd } => self.close(n, fd),
            Call::CloseRange { first, last, flags } => self.close_range(n, first, last, flags),
            Call::Dup {
                fd,
                at_least,
                cloexec,
            } => self.dup(n, fd, at_least, cloexec),
            Call::DupTo {
                fd,
                target,
                cloexec,
            } => self.dup_to(n, fd, target, cloexec),
            Call::Status {
                directory,
                path,
                to,
                layout,
                empty_path,
            } => self.status(n, directory, path, to, layout, empty_path),
            Call::Access {
                directory,
                path,
                mode,
            } => self.access(n, directory, path, mode),
            Call::ReadLink { directory, path } => self.read_link(n, directory, path),
            Call::Begin => {
                self.begin(n);
                Answer::Continue.into()
            }
            Call::Other => Answer::Continue.into(),
        }
    }

    /// A program began: exec may have closed descriptors.
    fn begin(&mut self, n: &Notification) {
        if let Some(injector) = &self.injector {
            injector.began(n.tid, || self.listener.is_waiting(n.id));
        }
        if !self.files.is_empty() {
            self.files.look_again();
            self.release_unheld();
        }
    }

    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::PutBack(key, bytes) => {
                if let Some(file) = self.files.get(key) {
                    file.put_back(bytes);
                }
            }
            Undo::Remember(tid, unclaimed) => {
                self.unclaimed.insert(tid, *unclaimed);
            }
        }
    }

    /// Something may have changed that is not a system call: time, another front end, the end of a process.
    pub(super) fn tick(&mut self) {
        self.bury();
        if self.listener.waits_killable && self.last_look.elapsed() >= LOOK {
            self.last_look = Instant::now();
            self.interrupt();
        }
        if self.last_sweep.elapsed() >= SWEEP {
            self.release_unheld();
            self.unclaimed.retain(|_, unclaimed| !unclaimed.is_old());
        }
        self.settle();
    }

    /// Lets go of what ended processes held.
    pub(super) fn bury(&mut self) {
        if self.exits.drain() {
            self.files.look_again();
            self.release_unheld();
        }
    }

    /// Closes the files that no program holds any more.
    pub(super) fn release_unheld(&mut self) {
        self.last_sweep = Instant::now();
        for key in self.files.keys() {
            self.release_if_unheld(key);
        }
    }

    pub(super) fn release_if_unheld(&mut self, key: Key) {
        if let Some(holder) = self.files.holder(key) {
            self.exits.watch(holder);
            return;
        }
        let listener = &self.listener;
        let is_in_use = self.files.get(key).is_some_and(|file| {
            // As in the kernel, a call that sleeps in a file keeps it open.
            file.waiting.iter().any(|call| listener.is_waiting(call.id))
        });
        if !is_in_use {
            self.files.remove(key);
        }
    }

    /// Brings waiting calls, readiness and the timer up to date with the device.
    pub(super) fn settle(&mut self) {
        let mut is_anyone_asleep = false;
        for key in self.files.keys() {
            self.settle_file(key);
            let file = self.files.get(key);
            is_anyone_asleep |= file.is_some_and(|file| !file.waiting.is_empty());
        }
        let Some(device) = &self.device else {
            return;
        };
        let until = |at: Instant| at.saturating_duration_since(Instant::now());
        let sweep = (!self.files.is_empty()).then(|| until(self.last_sweep + SWEEP));
        let look = self.listener.waits_killable && is_anyone_asleep;
        let look = look.then(|| until(self.last_look + LOOK));
        let wake = device.next_wake().into_iter().chain(sweep).chain(look);
        self.timer.set(wake.min());
    }

    fn settle_file(&mut self, key: Key) {
        loop {
            let ends = self.wake(key);
            if let Some(file) = self.files.get(key) {
                let readiness = file.readiness();
                // What cannot be shown now (no memory for a datagram) is tried again at the next call.
                let _ = file.show(readiness);
            }
            let mut all_heard = true;
            for (id, (answer, undo)) in ends {
                if self.listener.answer(id, answer) == Err(Gone) {
                    self.undo(undo);
                    all_heard = false;
                }
            }
            // What one reader gave back is for the next one.
            if all_heard {
                return;
            }
        }
    }

    /// Stops serving. The programs that are left find the device gone, and go on otherwise.
    pub(super) fn retire(&mut self) {
        for key in self.files.keys() {
            if let Some(file) = self.files.get(key) {
                file.abandon();
            }
        }
        self.settle();
        self.device = None;
    }
}
