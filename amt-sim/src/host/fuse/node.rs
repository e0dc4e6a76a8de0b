//! The device node as the kernel asks for it: one request in, replies out. No system calls of its own.
//!
//! A call that would sleep in the real driver is kept (parked) and answered later; a poller that has been told
//! "not yet" is sent a notice. [`Node::wake`] looks at both: after every request, and whenever the device may
//! have changed by itself.
//!
//! The file is a regular one under FUSE, because the kernel sends `open(2)` of a special file to a driver of its
//! own, not to us; under CUSE it is a real character device.

use super::protocol::{Attributes, Change, Ioctl, Message, Operation, Request};
use super::protocol::{MAJOR, MAX_WRITE, OLDEST_MINOR};
use crate::host::chardev::{self, CharDevice, OpenFile};
use crate::mei::Errno;

/// Takes replies and notices to the kernel, each in one piece.
pub(super) trait Outlet {
    fn send(&mut self, message: Message, data: &[u8]);
}

/// How far the conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The kernel has not introduced itself.
    New,
    Serving,
    /// The kernel speaks a protocol older than 7.31.
    TooOld {
        minor: u32,
    },
}

#[derive(Debug)]
pub(super) struct Node {
    device: CharDevice,
    /// By file number; a free place is used again.
    opens: Vec<Option<Open>>,
    /// In order of arrival.
    parked: Vec<Parked>,
    /// How many opens have a poller to notify.
    armed: usize,
    attributes: Attributes,
    /// The first process to look at the node owns it: the program's own, before it starts.
    owned: bool,
    phase: Phase,
}

#[derive(Debug)]
struct Open {
    file: OpenFile,
    poller: Option<Poller>,
}

/// Somebody sleeps in `poll(2)`, `select(2)` or `epoll_wait(2)`.
#[derive(Debug, Clone, Copy)]
struct Poller {
    kernel_handle: u64,
    /// What the poller knows to be the case.
    seen: u32,
}

/// A blocking call whose time has not come.
#[derive(Debug)]
struct Parked {
    unique: u64,
    file: u64,
    call: Call,
}

#[derive(Debug)]
enum Call {
    Read { size: u32 },
    Write { message: Vec<u8> },
}

impl Node {
    /// The name of the device, without its directory.
    pub(super) const NAME: &str = "mei0";

    /// `now` is in seconds since 1970.
    pub(super) fn new(device: CharDevice, now: u64) -> Self {
        Self {
            device,
            opens: Vec::new(),
            parked: Vec::new(),
            armed: 0,
            attributes: Attributes {
                mode: libc::S_IFREG | 0o600,
                uid: 0,
                gid: 0,
                // Not the 0 of a device node: the kernel lets writes within the size pass at the same time,
                // those beyond it one after the other, so that a sleeping one would block all other handles.
                size: MAX_WRITE.into(),
                time: now,
            },
            owned: false,
            phase: Phase::New,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn device(&self) -> &CharDevice {
        &self.device
    }

    /// One whole request, as it was read.
    pub(super) fn handle(&mut self, bytes: &[u8], out: &mut impl Outlet) {
        let Some(request) = Request::parse(bytes) else {
            return; // Not even a name to answer to; the kernel never sends such a thing.
        };
        let unique = request.unique;
        match request.operation {
            Operation::Init {
                major,
                minor,
                flags,
            } => {
                self.introduce(major, minor);
                out.send(Message::init(unique, flags), &[]);
            }
            Operation::CuseInit { major, minor } => {
                self.introduce(major, minor);
                out.send(Message::cuse_init(unique, Self::NAME), &[]);
            }
            Operation::GetAttributes => {
                if !self.owned {
                    self.owned = true;
                    self.attributes.uid = request.uid;
                    self.attributes.gid = request.gid;
                }
                out.send(Message::attributes(unique, &self.attributes), &[]);
            }
            Operation::SetAttributes(change) => {
                self.change(change);
                out.send(Message::attributes(unique, &self.attributes), &[]);
            }
            Operation::Open { flags } => self.open(unique, flags, out),
            Operation::Read { file, size, flags } => {
                self.note_flags(file, flags);
                self.read(unique, file, size, out);
            }
            Operation::Write { file, flags, data } => {
                self.note_flags(file, flags);
                self.write(unique, file, data, out);
            }
            Operation::Release { file } => {
                self.release(file);
                out.send(Message::done(unique), &[]);
            }
            Operation::Sync { file } => {
                let result = self.file(file).and_then(OpenFile::sync);
                out.send(reply(unique, result), &[]);
            }
            Operation::Ioctl(ioctl) => out.send(self.ioctl(unique, &ioctl), &[]),
            Operation::Poll {
                file,
                kernel_handle,
                notify,
            } => self.poll(unique, file, kernel_handle, notify, out),
            Operation::Interrupt { unique } => self.interrupt(unique, out),
            Operation::Forget => {}
            Operation::Destroy => out.send(Message::done(unique), &[]),
            Operation::FileSystemStatistics => out.send(Message::statistics(unique), &[]),
            Operation::Other(_) => out.send(Message::error(unique, libc::ENOSYS), &[]),
            Operation::Truncated(_) => out.send(Message::error(unique, libc::EIO), &[]),
        }
        if self.is_waited_for() {
            self.wake(out);
        }
    }

    /// Answers the parked calls whose time has come and tells pollers what is new.
    pub(super) fn wake(&mut self, out: &mut impl Outlet) {
        while self.retry(out) {}
        if self.armed > 0 {
            self.notify(out);
        }
    }

    /// True while calls wait for the device.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.parked.is_empty() || self.armed > 0
    }

    fn introduce(&mut self, major: u32, minor: u32) {
        self.phase = match (major, minor) {
            (MAJOR, ..OLDEST_MINOR) | (..MAJOR, _) => Phase::TooOld { minor },
            // A newer major version answers our reply with an INIT of our version.
            (MAJOR, _) => Phase::Serving,
            _ => Phase::New,
        };
    }

    fn change(&mut self, change: Change) {
        let attributes = &mut self.attributes;
        if let Some(mode) = change.mode {
            attributes.mode = attributes.mode & libc::S_IFMT | mode & !libc::S_IFMT;
        }
        attributes.uid = change.uid.unwrap_or(attributes.uid);
        attributes.gid = change.gid.unwrap_or(attributes.gid);
    }

    fn file(&self, number: u64) -> Result<&OpenFile, Errno> {
        let open = usize::try_from(number)
            .ok()
            .and_then(|index| self.opens.get(index)?.as_ref());
        // The kernel only names files that we gave it and that it has not released.
        open.map(|open| &open.file).ok_or(Errno::Eio)
    }

    fn open(&mut self, unique: u64, flags: u32, out: &mut impl Outlet) {
        let file = match self.device.open(is_nonblocking(flags)) {
            Ok(file) => file,
            Err(errno) => return out.send(Message::error(unique, errno.raw()), &[]),
        };
        let open = Open { file, poller: None };
        let index = match self.opens.iter().position(Option::is_none) {
            Some(free) => {
                self.opens[free] = Some(open);
                free
            }
            None => {
                self.opens.push(Some(open));
                self.opens.len() - 1
            }
        };
        out.send(Message::opened(unique, index as u64), &[]);
    }

    fn release(&mut self, file: u64) {
        let place = usize::try_from(file)
            .ok()
            .and_then(|index| self.opens.get_mut(index));
        if let Some(open) = place.and_then(Option::take) {
            self.armed -= usize::from(open.poller.is_some());
            open.file.close();
        }
    }

    /// `fcntl(2)` may have changed them since the last call.
    fn note_flags(&mut self, file: u64, flags: u32) {
        if let Some(Some(open)) = self.opens.get_mut(file as usize) {
            open.file.set_nonblocking(is_nonblocking(flags));
        }
    }

    fn waits(&self, file: u64) -> bool {
        self.file(file).is_ok_and(|file| !file.is_nonblocking())
    }

    fn read(&mut self, unique: u64, file: u64, size: u32, out: &mut impl Outlet) {
        match self.file(file).and_then(|open| open.read(size as usize)) {
            Ok(data) => {
                self.answer_read(unique, file, &data, out);
            }
            Err(Errno::Eagain) if self.waits(file) => {
                // As in the kernel, a message goes to the reader that came last; writers keep their order.
                let call = Call::Read { size };
                self.parked.insert(0, Parked { unique, file, call });
            }
            Err(errno) => out.send(Message::error(unique, errno.raw()), &[]),
        }
    }

    fn answer_read(&mut self, unique: u64, file: u64, data: &[u8], out: &mut impl Outlet) {
        out.send(Message::done(unique), data);
        // The driver wakes pollers at every message, not only at the first of several: an edge-triggered
        // epoll that takes one message at a time counts on it.
        if let Some(Some(open)) = self.opens.get_mut(file as usize)
            && let Some(poller) = &mut open.poller
        {
            poller.seen &= !READABLE;
        }
    }

    fn write(&mut self, unique: u64, file: u64, message: &[u8], out: &mut impl Outlet) {
        match self.file(file).and_then(|open| open.write(message)) {
            Ok(size) => out.send(Message::written(unique, size as u32), &[]),
            Err(Errno::Eagain) if self.waits(file) => {
                let message = message.to_vec();
                let call = Call::Write { message };
                self.parked.push(Parked { unique, file, call });
            }
            Err(errno) => out.send(Message::error(unique, errno.raw()), &[]),
        }
    }

    fn ioctl(&self, unique: u64, ioctl: &Ioctl<'_>) -> Message {
        let mut argument = [0; 20];
        let known = chardev::Ioctl::from_number(ioctl.number);
        let (input, output) = known.map_or((0, 0), |known| (known.input(), known.output()));
        let given = (ioctl.input.len(), ioctl.output as usize);
        if ioctl.unrestricted && (given.0 < input || given.1 < output) {
            return Message::ioctl_retry(unique, ioctl.argument, input, output);
        }
        let length = ioctl.input.len().min(argument.len());
        argument[..length].copy_from_slice(&ioctl.input[..length]);
        let argument = &mut argument[..input.max(output)];
        let result = self
            .file(ioctl.file)
            .and_then(|file| file.ioctl(ioctl.number, argument));
        match result {
            Ok(()) => Message::ioctl_done(unique, &argument[..output]),
            Err(errno) => Message::error(unique, errno.raw()),
        }
    }

    fn poll(
        &mut self,
        unique: u64,
        file: u64,
        kernel_handle: u64,
        notify: bool,
        out: &mut impl Outlet,
    ) {
        let Some(Some(open)) = self.opens.get_mut(file as usize) else {
            return out.send(Message::error(unique, libc::EIO), &[]);
        };
        let now = chardev::poll_events(open.file.readiness());
        if let Some(earlier) = open.poller.take() {
            self.armed -= 1;
            // Another thread sleeps on the same file, and time brought something that it has not seen.
            if now & !earlier.seen != 0 {
                out.send(Message::poll_changed(earlier.kernel_handle), &[]);
            }
        }
        if notify {
            self.armed += 1;
            open.poller = Some(Poller {
                kernel_handle,
                seen: now,
            });
        }
        out.send(Message::polled(unique, now), &[]);
    }

    /// A process that is being killed waits for this answer, so it must not be late.
    fn interrupt(&mut self, unique: u64, out: &mut impl Outlet) {
        // One that is not parked has been answered already.
        if let Some(index) = self.parked.iter().position(|call| call.unique == unique) {
            self.parked.remove(index);
            out.send(Message::error(unique, libc::EINTR), &[]);
        }
    }

    /// True when a call was answered, which may have made room for another one.
    fn retry(&mut self, out: &mut impl Outlet) -> bool {
        let mut answered = false;
        let mut index = 0;
        while let Some(Parked { unique, file, call }) = self.parked.get(index) {
            let (unique, file) = (*unique, *file);
            let outcome = self.file(file).and_then(|open| {
                let ready = open.readiness();
                match call {
                    Call::Read { size } if ready.readable || ready.error => {
                        open.read(*size as usize).map(Outcome::Read)
                    }
                    Call::Write { message } if ready.writable || ready.error => {
                        open.write(message).map(Outcome::Written)
                    }
                    // A fault may be armed for the call: trying it in vain would use the fault up.
                    _ => Err(Errno::Eagain),
                }
            });
            match outcome {
                Err(Errno::Eagain) => {
                    index += 1;
                    continue;
                }
                Ok(Outcome::Read(data)) => {
                    self.answer_read(unique, file, &data, out);
                    self.parked.remove(index);
                    self.disappoint(file, out);
                    answered = true;
                    continue;
                }
                Ok(Outcome::Written(size)) => {
                    out.send(Message::written(unique, size as u32), &[]);
                }
                Err(errno) => out.send(Message::error(unique, errno.raw()), &[]),
            }
            self.parked.remove(index);
            answered = true;
        }
        answered && !self.parked.is_empty()
    }

    /// The kernel wakes every reader; those who find the message gone return with nothing. Where another is on
    /// its way, they get that instead: who is faster is up to chance.
    fn disappoint(&mut self, file: u64, out: &mut impl Outlet) {
        if self.file(file).is_ok_and(OpenFile::is_expecting) {
            return;
        }
        self.parked.retain(|parked| {
            let loses = parked.file == file && matches!(parked.call, Call::Read { .. });
            if loses {
                out.send(Message::done(parked.unique), &[]);
            }
            !loses
        });
    }

    fn notify(&mut self, out: &mut impl Outlet) {
        for open in self.opens.iter_mut().flatten() {
            let Some(poller) = &mut open.poller else {
                continue;
            };
            let now = chardev::poll_events(open.file.readiness());
            poller.seen &= now;
            if poller.seen != now {
                out.send(Message::poll_changed(poller.kernel_handle), &[]);
                // The kernel polls again, and says then whether it still wants to know.
                open.poller = None;
                self.armed -= 1;
            }
        }
    }
}

enum Outcome {
    Read(Vec<u8>),
    Written(usize),
}

const READABLE: u32 = (libc::POLLIN | libc::POLLRDNORM) as u32;

fn is_nonblocking(flags: u32) -> bool {
    flags & libc::O_NONBLOCK as u32 != 0
}

fn reply(unique: u64, result: Result<(), Errno>) -> Message {
    match result {
        Ok(()) => Message::done(unique),
        Err(errno) => Message::error(unique, errno.raw()),
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
