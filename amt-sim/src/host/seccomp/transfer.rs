//! `read`, `write`, `ioctl` and `fsync` on the device: bytes between the program's memory and the open file.
//!
//! A call that would sleep in the driver stays unanswered until it can end. A signal ends it with EINTR, as the
//! driver does: where the kernel keeps signals from calls that were received, the supervisor looks for them; else
//! (before Linux 5.19) the call disappears, and the program sees EINTR or calls again by itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::call::Buffer;
use super::files::{File, Key};
use super::memory::{self, Fault, Segment};
use super::notify::{Answer, Gone, Listener, Notification};
use super::process;
use super::server::{Outcome, Server, Undo};
use crate::host::chardev::{Ioctl, OpenFile};
use crate::mei::{Errno, Readiness};

/// More than any client's longest message: such a write is refused by its length, nobody looks at its bytes.
const NO_MESSAGE: usize = 64 * 1024;

/// A call that sleeps.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) tid: i32,
    key: Key,
    pub(super) call: SameCall,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Read {
        to: Vec<Segment>,
    },
    Write {
        /// One message for each segment of the program's buffer.
        messages: VecDeque<Vec<u8>>,
        written: usize,
    },
}

/// A call that was executed, but whose thread took a signal before it could be told. The kernel makes the thread
/// call again, or the program does: then the answer is waiting here, and nothing is executed twice.
#[derive(Debug, Clone)]
pub(super) struct Unclaimed {
    key: Key,
    call: SameCall,
    /// What was written, or what the ioctl answered: its argument does not hold the question any more.
    bytes: Vec<u8>,
    answer: Answer,
    since: Instant,
}

/// Number and arguments, by which a repeated call is known.
pub(super) type SameCall = (u32, [u64; 6]);

impl Unclaimed {
    /// Whoever has not come back after this long does something else.
    const PATIENCE: Duration = Duration::from_secs(1);

    fn new(key: Key, call: SameCall, bytes: Vec<u8>, answer: Answer) -> Self {
        Self {
            key,
            call,
            bytes,
            answer,
            since: Instant::now(),
        }
    }

    pub(super) fn is_old(&self) -> bool {
        self.since.elapsed() > Self::PATIENCE
    }

    /// Whether a connect is this one again, although its answer was sent without an error.
    ///
    /// A signal can still take the thread away between its wake-up and its look at the answer; the kernel then
    /// drops the answer and tells nobody (`seccomp_do_user_notification`). The argument shows it: where the GUID
    /// was there lies what the first connect answered.
    fn was_unheard(&self, call: SameCall, argument: &[u8]) -> bool {
        self.call == call && self.bytes == argument
    }

    fn is_of(&self, key: Key, call: SameCall) -> bool {
        self.key == key && self.call == call && !self.is_old()
    }
}

/// The end of a call, and what to do when nobody is there to hear of it.
pub(super) type End = (Answer, Undo);

impl Server {
    pub(super) fn read(&mut self, n: &Notification, word: usize, fd: i32, to: Buffer) -> Outcome {
        let Some(key) = self.files.find(n.tid, fd) else {
            return Answer::Continue.into();
        };
        let to = match memory::segments(n.tid, word, to) {
            Ok(segments) => segments,
            Err(errno) => return Answer::Error(errno).into(),
        };
        if to
            .iter()
            .any(|segment| segment.address == 0 && segment.length > 0)
        {
            return error(Errno::Emsgsize).into();
        }
        self.start(n, key, Work::Read { to })
    }

    pub(super) fn write(
        &mut self,
        n: &Notification,
        word: usize,
        fd: i32,
        from: Buffer,
        claim: Option<Unclaimed>,
    ) -> Outcome {
        let Some(key) = self.files.find(n.tid, fd) else {
            return Answer::Continue.into();
        };
        let Some(file) = self.files.get(key) else {
            return Answer::Continue.into();
        };
        let segments = match memory::segments(n.tid, word, from) {
            Ok(segments) => segments,
            Err(errno) => return Answer::Error(errno).into(),
        };
        let mut messages = VecDeque::with_capacity(segments.len());
        for segment in segments {
            let mut message = vec![0; segment.length.min(NO_MESSAGE)];
            let seen = match segment.length {
                NO_MESSAGE.. => Ok(()),
                _ => memory::read(n.tid, segment.address, &mut message),
            };
            match seen {
                Ok(()) => messages.push_back(message),
                Err(Fault) if !messages.is_empty() => break,
                // The driver looks at its own state before it looks at the pointer.
                Err(Fault) => {
                    let state = file.device().and_then(|device| device.write(&[]));
                    return error(state.err().unwrap_or(Errno::Efault)).into();
                }
            }
        }
        if messages.is_empty() {
            return Answer::Value(0).into();
        }
        if !self.listener.is_waiting(n.id) {
            return self.interrupted_again(n.tid, claim);
        }
        let call = (n.number, n.args);
        if let Some(known) = claim
            && known.is_of(key, call)
            && messages.iter().flatten().eq(&known.bytes)
        {
            return Outcome::Answer(known.answer, Undo::Remember(n.tid, Box::new(known)));
        }
        let work = Work::Write {
            messages,
            written: 0,
        };
        self.start(n, key, work)
    }

    /// Another signal came before the repeated call could be looked at. Its answer waits for the next repetition:
    /// on a busy machine signals can be faster than the supervisor many times in a row.
    fn interrupted_again(&mut self, tid: i32, claim: Option<Unclaimed>) -> Outcome {
        if let Some(claim) = claim {
            self.unclaimed.insert(tid, claim);
        }
        Outcome::Settled
    }

    /// Executes the work now, or keeps it until it can be.
    fn start(&mut self, n: &Notification, key: Key, work: Work) -> Outcome {
        let Some(file) = self.files.get(key) else {
            return error(Errno::Enodev).into();
        };
        let mut waiting = Waiting {
            id: n.id,
            tid: n.tid,
            key,
            call: (n.number, n.args),
            work,
        };
        match waiting.attempt(file, &self.listener) {
            Ok(Some((answer, undo))) => Outcome::Answer(answer, undo),
            Err(Gone) => Outcome::Settled,
            Ok(None) if file.beacon.is_nonblocking() => error(Errno::Eagain).into(),
            Ok(None) if self.listener.waits_killable && process::has_signal(n.tid) => {
                error(Errno::Eintr).into()
            }
            Ok(None) => {
                if file.forget_interrupted(n.tid) == Some(waiting.call) {
                    // The driver ends a sleeping call with EINTR even where the program's handler asks for a
                    // restart. The kernel restarted this one, or the program itself has: then it hears of its
                    // signal twice.
                    return error(Errno::Eintr).into();
                }
                // As in the kernel, a message goes to the reader that came last; writers keep their order.
                match waiting.work {
                    Work::Read { .. } => file.waiting.push_front(waiting),
                    Work::Write { .. } => file.waiting.push_back(waiting),
                }
                Outcome::Settled
            }
        }
    }

    /// Those waiting calls of a file that can end now, and how; they are not answered yet.
    pub(super) fn wake(&mut self, key: Key) -> Vec<(u64, End)> {
        let mut ends = Vec::new();
        let Some(file) = self.files.get(key) else {
            return ends;
        };
        if file.waiting.is_empty() {
            return ends;
        }
        let readiness = file.readiness();
        if !file.waiting.iter().any(|call| call.may_end(readiness)) {
            return ends;
        }
        let mut waiting = std::mem::take(&mut file.waiting);
        let mut served = false;
        waiting.retain_mut(|call| {
            if !self.listener.is_waiting(call.id) {
                // Interrupted; it is known by that when it comes again.
                return process::exists(call.tid);
            }
            let reads = matches!(call.work, Work::Read { .. });
            if reads && served && !file.is_expecting() {
                // The kernel wakes every reader; those who find the message gone return with nothing.
                // Where another is on its way, they get that instead: who is faster is up to chance.
                ends.push((call.id, (Answer::Value(0), Undo::Nothing)));
                return false;
            }
            match call.attempt(file, &self.listener) {
                Ok(None) => true,
                Err(Gone) => false,
                Ok(Some(end)) => {
                    served |= reads && matches!(end.0, Answer::Value(_));
                    ends.push((call.id, end));
                    false
                }
            }
        });
        file.waiting = waiting;
        ends
    }

    /// Ends the calls whose threads got a signal.
    pub(super) fn interrupt(&mut self) {
        for key in self.files.keys() {
            let Some(file) = self.files.get(key) else {
                continue;
            };
            file.waiting.retain(|call| {
                let ends = process::has_signal(call.tid);
                // Whoever is not there to hear of it is dead.
                ends.then(|| self.listener.answer(call.id, error(Errno::Eintr)))
                    .is_none()
            });
        }
    }

    pub(super) fn ioctl(
        &mut self,
        n: &Notification,
        fd: i32,
        request: u32,
        argument: u64,
        claim: Option<Unclaimed>,
    ) -> Outcome {
        /// What the kernel itself does for every kind of file.
        const GENERAL: [u32; 4] = [
            libc::FIOCLEX as u32,
            libc::FIONCLEX as u32,
            libc::FIONBIO as u32,
            libc::FIOASYNC as u32,
        ];
        if GENERAL.contains(&request) {
            return Answer::Continue.into();
        }
        let Some(key) = self.files.find(n.tid, fd) else {
            return Answer::Continue.into();
        };
        let (input, output) =
            Ioctl::from_number(request).map_or((0, 0), |known| (known.input(), known.output()));
        let mut bytes = vec![0; input.max(output)];
        if memory::read(n.tid, argument, &mut bytes[..input]).is_err() {
            // A short argument stands for a bad pointer.
            bytes.clear();
        }
        let Some(file) = self.files.get(key) else {
            return error(Errno::Enodev).into();
        };
        if !self.listener.is_waiting(n.id) {
            return self.interrupted_again(n.tid, claim);
        }
        let call = (n.number, n.args);
        let is_connect = Ioctl::from_number(request) == Some(Ioctl::ConnectClient);
        let claim = claim.filter(|known| known.is_of(key, call)).or_else(|| {
            let known = file.connected.take().filter(|_| is_connect)?;
            let is_same = known.was_unheard(call, &bytes) && !file.readiness().error;
            is_same.then_some(known)
        });
        let result = match claim {
            Some(known) => {
                bytes = known.bytes;
                match known.answer {
                    Answer::Error(_) => Err(known.answer),
                    _ => Ok(()),
                }
            }
            None => file
                .device()
                .and_then(|device| device.ioctl(request, &mut bytes))
                .map_err(error),
        };
        bytes.truncate(output);
        let to = [Segment {
            address: argument,
            length: bytes.len(),
        }];
        let answer = match result {
            Err(answer) => answer,
            Ok(()) => match memory::write(n.tid, &to, &bytes) {
                Ok(()) => Answer::Value(0),
                Err(Fault) => error(Errno::Efault),
            },
        };
        let unclaimed = Unclaimed::new(key, call, bytes, answer);
        if is_connect && answer == Answer::Value(0) {
            file.connected = Some(unclaimed.clone());
        }
        Outcome::Answer(answer, Undo::Remember(n.tid, Box::new(unclaimed)))
    }

    pub(super) fn sync(&mut self, n: &Notification, fd: i32) -> Outcome {
        let Some(key) = self.files.find(n.tid, fd) else {
            return Answer::Continue.into();
        };
        let Some(file) = self.files.get(key) else {
            return error(Errno::Enodev).into();
        };
        match file.device().and_then(OpenFile::sync) {
            Err(errno) => error(errno).into(),
            Ok(()) => Answer::Value(0).into(),
        }
    }
}

impl Waiting {
    /// Whether it is worth a try.
    fn may_end(&self, readiness: Readiness) -> bool {
        readiness.error
            || match self.work {
                Work::Read { .. } => readiness.readable,
                Work::Write { .. } => readiness.writable,
            }
    }

    /// `Ok(None)` when it must wait.
    fn attempt(&mut self, file: &mut File, listener: &Listener) -> Result<Option<End>, Gone> {
        match &mut self.work {
            Work::Read { to } => {
                let capacity = to
                    .iter()
                    .fold(0, |sum: usize, segment| sum.saturating_add(segment.length));
                let bytes = match file.take(capacity) {
                    Ok(bytes) => bytes,
                    Err(Errno::Eagain) => return Ok(None),
                    Err(errno) => return Ok(Some((error(errno), Undo::Nothing))),
                };
                if !listener.is_waiting(self.id) {
                    file.put_back(bytes);
                    return Err(Gone);
                }
                if bytes.is_empty() {
                    return Ok(Some((Answer::Value(0), Undo::Nothing)));
                }
                // The driver drops a message that it cannot copy out.
                let answer = match memory::write(self.tid, to, &bytes) {
                    Ok(()) => value(bytes.len()),
                    Err(Fault) => error(Errno::Efault),
                };
                Ok(Some((answer, Undo::PutBack(self.key, bytes))))
            }
            Work::Write { messages, written } => {
                let mut all = Vec::new();
                while let Some(message) = messages.front() {
                    match file.device().and_then(|device| device.write(message)) {
                        Ok(count) => *written += count,
                        Err(Errno::Eagain) if *written == 0 => return Ok(None),
                        Err(errno) if *written == 0 => {
                            return Ok(Some((error(errno), Undo::Nothing)));
                        }
                        Err(_) => break,
                    }
                    all.extend(messages.pop_front().into_iter().flatten());
                }
                let answer = value(*written);
                let unclaimed = Unclaimed::new(self.key, self.call, all, answer);
                let undo = Undo::Remember(self.tid, Box::new(unclaimed));
                Ok(Some((answer, undo)))
            }
        }
    }
}

fn value(length: usize) -> Answer {
    Answer::Value(i64::try_from(length).unwrap_or(i64::MAX))
}

pub(super) fn error(errno: Errno) -> Answer {
    Answer::Error(errno.raw())
}
