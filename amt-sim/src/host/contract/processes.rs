//! Descriptors that are duplicated, inherited and left behind by processes that die.

use std::ffi::CString;
use std::time::Duration;

use super::os::{self, Ended, Events, Fd, Process};
use super::run::EXCHANGE_ON;
use super::{
    Check, CheckResult, GET_UUID, Node, PATIENCE, QUIET, ROOM, Stop, await_readable, equal,
    exchange, fail, fails_with, receive, retry, send, succeeds,
};
use crate::mei::ClientKind;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "contract.processes.dup",
        "after dup one descriptor writes, the other reads, and both have the same connection",
        dup,
    ),
    Check::new(
        "contract.processes.dup-at-least",
        "F_DUPFD_CLOEXEC gives the same connection at a number that is not below the one asked for",
        dup_at_least,
    ),
    Check::new(
        "contract.processes.dup-to",
        "dup2 gives the same connection at the number asked for, as a shell's redirection uses it",
        dup_to,
    ),
    Check::new(
        "contract.processes.dup-close",
        "the connection lives until the last duplicate is closed",
        dup_close,
    ),
    Check::new(
        "contract.processes.fork-inherits",
        "a forked process uses the descriptor that it inherited",
        fork_inherits,
    ),
    Check::new(
        "contract.processes.fork-own",
        "a forked process opens a descriptor of its own beside its parent's",
        fork_own,
    ),
    Check::new(
        "contract.processes.exec-inherits",
        "another program uses the descriptor that it inherited across exec",
        exec_inherits,
    ),
    Check::new(
        "contract.processes.daemon",
        "a process that detached itself, and whose parent is gone, reaches the device",
        daemon,
    ),
    Check::new(
        "contract.processes.exit-releases",
        "a process that ends without close leaves its connection to others",
        exit_releases,
    ),
    Check::new(
        "contract.processes.killed-in-read",
        "a process that is killed while it blocks in read is gone at once, and its connection is free",
        killed_in_read,
    ),
    Check::new(
        "contract.processes.killed-anywhere",
        "processes that are killed in the middle of open, connect and write do no harm",
        killed_anywhere,
    ),
];

fn dup(node: &Node) -> CheckResult {
    let first = node.amthi()?;
    let second = succeeds("dup", first.duplicate())?;
    let uuid = exchange(&first, GET_UUID)?;
    send(&first, GET_UUID)?;
    equal("read on the other", &uuid, &receive(&second)?)?;
    send(&second, GET_UUID)?;
    equal("read on the first", &uuid, &receive(&first)?)?;
    let again = second.connect(ClientKind::Amthi.guid());
    fails_with(libc::EBUSY, "connect on the other", again)?;
    let shown = succeeds("poll", second.poll(Events::IN_OUT, QUIET))?;
    equal("poll on the other", Events::OUT, shown)
}

fn dup_at_least(node: &Node) -> CheckResult {
    let first = node.amthi()?;
    let second = succeeds("fcntl(F_DUPFD_CLOEXEC)", first.duplicate_from(200))?;
    if second.raw() < 200 {
        return fail("a number of at least 200", second.raw().to_string());
    }
    let flags = succeeds("F_GETFD", second.fcntl(libc::F_GETFD, 0))?;
    equal("F_GETFD", libc::FD_CLOEXEC, flags & libc::FD_CLOEXEC)?;
    let again = second.connect(ClientKind::Amthi.guid());
    fails_with(libc::EBUSY, "connect again", again)?;
    exchange(&second, GET_UUID)?;
    Ok(())
}

fn dup_to(node: &Node) -> CheckResult {
    for number in [99, 500] {
        let first = node.open()?;
        let what = format!("dup2 to {number}");
        let second = succeeds(&what, first.duplicate_to(number))?;
        equal(&what, number, second.raw())?;
        drop(first);
        node.connect(&second, ClientKind::Amthi)?;
        send(&second, GET_UUID)?;
        // Not straight into read, which might never end.
        await_readable(&second)?;
        receive(&second)?;
    }
    Ok(())
}

fn dup_close(node: &Node) -> CheckResult {
    let first = node.open()?;
    node.connect(&first, ClientKind::Lme)?;
    let second = succeeds("dup", first.duplicate())?;
    drop(first);
    let other = node.open()?;
    let refused = other.connect(ClientKind::Lme.guid());
    fails_with(libc::EBUSY, "connect while a duplicate is open", refused)?;
    drop(second);
    let connected = retry(libc::EBUSY, || other.connect(ClientKind::Lme.guid()));
    succeeds("connect when all are closed", connected)?;
    Ok(())
}

/// The exit code of a child whose work went as it should.
fn code(result: &CheckResult) -> i32 {
    match result {
        Ok(()) => 0,
        Err(Stop::Failed(failure)) => {
            // The parent can only tell that it went wrong; this says what.
            eprintln!(
                "in the child: expected {}, saw {}",
                failure.expected, failure.actual
            );
            1
        }
        Err(Stop::Skipped(_)) => 2,
    }
}

fn ends_well(what: &str, process: &mut Process) -> CheckResult {
    match succeeds("waitpid", process.wait(PATIENCE))? {
        Some(Ended::Code(0)) => Ok(()),
        Some(Ended::Code(code)) => fail(format!("{what}: success"), format!("exit code {code}")),
        Some(Ended::Signal(number)) => fail(format!("{what}: success"), format!("signal {number}")),
        None => fail(
            format!("{what} ends"),
            format!("still there after {PATIENCE:?}"),
        ),
    }
}

fn fork_inherits(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    let uuid = exchange(&fd, GET_UUID)?;
    let child = Process::fork(|| {
        code(&exchange(&fd, GET_UUID).and_then(|answer| equal("the answer", &uuid, &answer)))
    });
    ends_well("the child", &mut succeeds("fork", child)?)?;
    // The child's end must not have closed it for the parent.
    equal("the parent's answer", &uuid, &exchange(&fd, GET_UUID)?)
}

fn fork_own(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    let uuid = exchange(&fd, GET_UUID)?;
    let work = || {
        let own = node.amthi()?;
        equal("the child's answer", &uuid, &exchange(&own, GET_UUID)?)
    };
    let mut child = succeeds("fork", Process::fork(|| code(&work())))?;
    equal("the parent's answer", &uuid, &exchange(&fd, GET_UUID)?)?;
    ends_well("the child", &mut child)?;
    equal("the parent's answer", &uuid, &exchange(&fd, GET_UUID)?)
}

fn exec_inherits(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    // A number that is told to the program, as shells do it.
    let number = CString::new(fd.raw().to_string()).unwrap_or_default();
    let child = Process::fork(|| {
        let arguments = [c"amt-sim", c"contract", EXCHANGE_ON, &number];
        let error = Process::execute(c"/proc/self/exe", &arguments);
        eprintln!("in the child: exec: {error}");
        3
    });
    ends_well("the program", &mut succeeds("fork", child)?)?;
    exchange(&fd, GET_UUID)?;
    Ok(())
}

fn daemon(node: &Node) -> CheckResult {
    let (theirs, ours) = succeeds("pipe", os::pipe())?;
    let work = || {
        succeeds("setsid", Process::lead_session())?;
        let (waits, parent) = succeeds("pipe", os::pipe())?;
        let grandchild = Process::fork(|| {
            drop(parent);
            // Ends when the process in between is gone.
            let _ = waits.read(1);
            let result = node.amthi().and_then(|fd| exchange(&fd, GET_UUID));
            let byte = code(&result.map(|_| ())) as u8;
            let _ = ours.write(&[byte]);
            0
        });
        std::mem::forget(succeeds("fork", grandchild)?);
        Ok(())
    };
    let mut child = succeeds("fork", Process::fork(|| code(&work())))?;
    ends_well("the process in between", &mut child)?;
    drop(ours);
    let shown = succeeds("poll", theirs.poll(Events::IN, PATIENCE))?;
    if shown == Events::NONE {
        return fail("word from the daemon", format!("silence for {PATIENCE:?}"));
    }
    equal("the daemon's result", Ok(vec![0]), theirs.read(1))
}

/// LME takes one connection: it is free when it can be had.
fn lme_is_free(node: &Node) -> CheckResult {
    let fd = node.open()?;
    let connected = retry(libc::EBUSY, || fd.connect(ClientKind::Lme.guid()));
    succeeds("connect to LME", connected)?;
    Ok(())
}

/// Makes a process that connects to LME, says so, and goes on with `then`.
fn with_lme(node: &Node, then: impl FnOnce(&Fd)) -> CheckResult<Process> {
    let (theirs, ours) = succeeds("pipe", os::pipe())?;
    let child = Process::fork(|| {
        let work = || {
            let fd = node.open()?;
            node.connect(&fd, ClientKind::Lme)?;
            Ok(fd)
        };
        match work() {
            Ok(fd) => {
                let _ = ours.write(&[1]);
                then(&fd);
                // Not closed here: that is for the kernel to do.
                let _ = fd.into_raw();
                0
            }
            Err(stop) => code(&Err(stop)),
        }
    });
    let child = succeeds("fork", child)?;
    drop(ours);
    let shown = succeeds("poll", theirs.poll(Events::IN, PATIENCE))?;
    if !shown.has(Events::IN) {
        return fail(
            "the child connects to LME",
            format!("{shown:?} from the child"),
        );
    }
    Ok(child)
}

fn exit_releases(node: &Node) -> CheckResult {
    for _ in 0..5 {
        let mut child = with_lme(node, |_| ())?;
        ends_well("the child", &mut child)?;
        lme_is_free(node)?;
    }
    Ok(())
}

/// Whatever the firmware sends first is read, and then there is nothing more to come.
fn block_in_read(fd: &Fd) {
    while fd.read(ROOM).is_ok() {}
}

fn killed_in_read(node: &Node) -> CheckResult {
    for _ in 0..3 {
        let mut child = with_lme(node, block_in_read)?;
        if succeeds("waitpid", child.wait(QUIET))?.is_some() {
            return fail("a child that blocks in read", "it ended");
        }
        child.kill();
        let ended = succeeds("waitpid", child.wait(PATIENCE))?;
        equal("the child's end", Some(Ended::Signal(libc::SIGKILL)), ended)?;
        lme_is_free(node)?;
    }
    Ok(())
}

fn killed_anywhere(node: &Node) -> CheckResult {
    for round in 0..60u64 {
        let work = || {
            loop {
                let fd = node.open()?;
                if fd.connect(ClientKind::Amthi.guid()).is_ok() {
                    send(&fd, GET_UUID)?;
                }
            }
        };
        let mut child = succeeds("fork", Process::fork(|| code(&work())))?;
        // Moments that fall into every part of the loop, the same ones in each run.
        let moment = Duration::from_micros(300 + round * 97 % 1500);
        if succeeds("waitpid", child.wait(moment))?.is_some() {
            return fail("a child that goes on until it is killed", "it ended");
        }
        child.kill();
        let ended = succeeds("waitpid", child.wait(PATIENCE))?;
        equal("the child's end", Some(Ended::Signal(libc::SIGKILL)), ended)?;
    }
    // All places are free: as many connections as before can be had.
    let held: CheckResult<Vec<Fd>> = (0..2).map(|_| node.amthi()).collect();
    for fd in held? {
        exchange(&fd, GET_UUID)?;
    }
    Ok(())
}
