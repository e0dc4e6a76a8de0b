//! What a program may rely on at `/dev/mei0`, as checks that run against whatever node there is.
//!
//! Every check makes raw system calls, as an agent does, in a process of its own: one that hangs, or is killed by a
//! signal, fails and harms no other. The same checks run against each back end and against a real device; only
//! those that need a link reset need a device that was told to reset ([`ARMED`]).
//!
//! Source of the expectations: Linux `drivers/misc/mei/main.c` and `client.c`, and what agents do with the node.

mod connect;
mod io;
mod open;
mod os;
mod poll;
mod processes;
mod reset;
mod run;
mod threads;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use self::os::{Fd, Number, Sys};
use crate::mei::ClientKind;

pub use run::{Outcome, Report, Selection, UnknownCheck, exchange_on, hold, run};

/// The fault that the reset checks pull: this HOTHAM message resets the link instead of being taken.
pub const ARMED: &str = "write:hotham:0xee=reset";

/// One promise of the device node.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// In dotted words; never reused for another promise.
    pub id: &'static str,
    /// The promise as a sentence.
    pub text: &'static str,
    /// It needs a device that has the fault [`ARMED`].
    pub armed: bool,
    run: fn(&Node) -> CheckResult,
}

impl Check {
    const fn new(id: &'static str, text: &'static str, run: fn(&Node) -> CheckResult) -> Self {
        Self {
            id,
            text,
            armed: false,
            run,
        }
    }

    const fn armed(id: &'static str, text: &'static str, run: fn(&Node) -> CheckResult) -> Self {
        Self {
            id,
            text,
            armed: true,
            run,
        }
    }
}

/// All checks, in the order in which they run.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    [
        open::CHECKS,
        connect::CHECKS,
        io::CHECKS,
        poll::CHECKS,
        threads::CHECKS,
        processes::CHECKS,
        reset::CHECKS,
    ]
    .into_iter()
    .flatten()
}

/// A promise that is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub expected: String,
    pub actual: String,
}

/// Why a check ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stop {
    Failed(Failure),
    /// The device cannot show this; the reason.
    Skipped(String),
}

type CheckResult<T = ()> = Result<T, Stop>;

/// How long a check waits for what must come.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a check waits for what must not come.
const QUIET: Duration = Duration::from_millis(30);

/// The device node under test.
#[derive(Debug, Clone)]
pub struct Node {
    path: PathBuf,
    armed: bool,
}

impl Node {
    /// `armed` says that the device has the fault [`ARMED`].
    pub fn new(path: impl Into<PathBuf>, armed: bool) -> Self {
        Self {
            path: path.into(),
            armed,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> CheckResult<Fd> {
        self.open_with(0)
    }

    /// Opens for reading and writing, with more flags.
    fn open_with(&self, flags: i32) -> CheckResult<Fd> {
        succeeds("open", Fd::open(&self.path, libc::O_RDWR | flags))
    }

    fn amthi(&self) -> CheckResult<Fd> {
        let fd = self.open()?;
        self.connect(&fd, ClientKind::Amthi)?;
        Ok(fd)
    }

    /// Connects, and waits when an earlier check's connection is not released yet.
    fn connect(&self, fd: &Fd, client: ClientKind) -> CheckResult<[u8; 16]> {
        let connected = retry(libc::EBUSY, || fd.connect(client.guid()));
        match connected {
            // Every device has AMTHI; the other clients depend on the profile.
            Err(Number(libc::ENOTTY)) if client != ClientKind::Amthi => {
                skip(format!("the device has no {client} client"))
            }
            other => succeeds(&format!("connect to {client}"), other),
        }
    }

    /// Opens, and waits while the link comes back.
    fn reopen(&self) -> CheckResult<Fd> {
        let opened = retry(libc::ENODEV, || Fd::open(&self.path, libc::O_RDWR));
        succeeds("open after the link came back", opened)
    }

    /// Resets the link by the armed fault.
    fn reset(&self) -> CheckResult {
        let fd = self.open()?;
        self.connect(&fd, ClientKind::Hotham)?;
        let mut message = [0; 16];
        message[1] = 0xee; // the command number of the fault
        fails_with(
            libc::ENODEV,
            "the write that resets the link",
            fd.write(&message),
        )
    }
}

/// Repeats a call that may fail with one errno for a while.
fn retry<T>(errno: i32, mut call: impl FnMut() -> Sys<T>) -> Sys<T> {
    let started = Instant::now();
    loop {
        match call() {
            Err(Number(number)) if number == errno && started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(2));
            }
            other => return other,
        }
    }
}

/// AMTHI requests without data, which every firmware answers in any state.
const GET_UUID: u8 = 0x5c;
const GET_PROVISIONING_STATE: u8 = 0x11;

fn request(operation: u8) -> [u8; 12] {
    [1, 1, 0, 0, operation, 0, 0, 4, 0, 0, 0, 0]
}

/// The longest answer that a read here must have room for.
const ROOM: usize = 16 * 1024;

/// Writes a request and reads its answer.
fn exchange(fd: &Fd, operation: u8) -> CheckResult<Vec<u8>> {
    send(fd, operation)?;
    receive(fd)
}

fn send(fd: &Fd, operation: u8) -> CheckResult {
    let message = request(operation);
    let written = succeeds("write of a request", fd.write(&message))?;
    equal("bytes written", message.len(), written)
}

fn receive(fd: &Fd) -> CheckResult<Vec<u8>> {
    let answer = succeeds("read of the answer", fd.read(ROOM))?;
    if answer.is_empty() {
        return fail("read of the answer: a message", "0 bytes");
    }
    Ok(answer)
}

/// Waits until `poll(2)` says readable.
fn await_readable(fd: &Fd) -> CheckResult {
    let shown = succeeds("poll", fd.poll(os::Events::IN, PATIENCE))?;
    equal("poll for an answer", os::Events::IN, shown)
}

fn fail<T>(expected: impl Into<String>, actual: impl Into<String>) -> CheckResult<T> {
    Err(Stop::Failed(Failure {
        expected: expected.into(),
        actual: actual.into(),
    }))
}

fn skip<T>(reason: impl Into<String>) -> CheckResult<T> {
    Err(Stop::Skipped(reason.into()))
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, actual: T) -> CheckResult {
    if expected == actual {
        return Ok(());
    }
    fail(format!("{what}: {expected:?}"), format!("{actual:?}"))
}

fn succeeds<T>(what: &str, result: Sys<T>) -> CheckResult<T> {
    result.or_else(|number| fail(format!("{what}: success"), number.to_string()))
}

fn fails_with<T>(errno: i32, what: &str, result: Sys<T>) -> CheckResult {
    let expected = Number(errno);
    match result {
        Err(number) if number == expected => Ok(()),
        Err(number) => fail(format!("{what}: {expected}"), number.to_string()),
        Ok(_) => fail(format!("{what}: {expected}"), "success"),
    }
}
