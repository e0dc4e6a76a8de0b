//! Descriptors that several threads use, and signals that interrupt them.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::os::{self, Events, Fd, Number, Sys};
use super::{
    Check, CheckResult, GET_PROVISIONING_STATE, GET_UUID, Node, PATIENCE, equal, exchange, fail,
    fails_with, receive, send, skip, succeeds,
};
use crate::mei::ClientKind;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "contract.threads.round-trips",
        "up to 8 threads with a descriptor each make round trips and get their own answers",
        round_trips,
    ),
    Check::new(
        "contract.threads.write-during-read",
        "a write goes through while another thread blocks in read on the same descriptor",
        write_during_read,
    ),
    Check::new(
        "contract.threads.two-readers",
        "of two threads that block in read on one descriptor, one gets the message and the other nothing",
        two_readers,
    ),
    Check::new(
        "contract.threads.poll-during-read",
        "poll and ioctl return while another thread blocks in read on the same descriptor",
        poll_during_read,
    ),
    Check::new(
        "contract.threads.read-interrupted",
        "a signal ends a blocking read with EINTR, with SA_RESTART too",
        read_interrupted,
    ),
    Check::new(
        "contract.threads.poll-interrupted",
        "a signal ends poll with EINTR, and the descriptor works on",
        poll_interrupted,
    ),
    Check::new(
        "contract.threads.signals-during-exchange",
        "open, connect, write and read survive a storm of signals whose handler restarts system calls",
        signals_during_exchange,
    ),
];

fn ended<T>(thread: &JoinHandle<T>, patience: Duration) -> bool {
    let started = Instant::now();
    while !thread.is_finished() {
        if started.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

/// The thread's result; a thread that does not end is left to the end of this process.
pub(super) fn result<T>(what: &str, thread: JoinHandle<T>) -> CheckResult<T> {
    result_within(PATIENCE, what, thread)
}

fn result_within<T>(patience: Duration, what: &str, thread: JoinHandle<T>) -> CheckResult<T> {
    if !ended(&thread, patience) {
        return fail(
            format!("{what} ends"),
            format!("still there after {patience:?}"),
        );
    }
    thread
        .join()
        .or_else(|_| fail(format!("{what} ends"), "a panic"))
}

fn round_trips(node: &Node) -> CheckResult {
    const THREADS: usize = 8;
    const TRIPS: usize = 200;
    let mut files = vec![node.amthi()?];
    while files.len() < THREADS {
        let fd = node.open()?;
        match fd.connect(ClientKind::Amthi.guid()) {
            Ok(_) => files.push(fd),
            Err(Number(libc::EBUSY)) if files.len() > 1 => break,
            Err(Number(libc::EBUSY)) => return skip("AMTHI takes one connection only"),
            Err(number) => return fail("connect: success or EBUSY", number.to_string()),
        }
    }
    let uuid = exchange(&files[0], GET_UUID)?;
    let state = exchange(&files[0], GET_PROVISIONING_STATE)?;
    let started = Instant::now();
    let threads: Vec<_> = files
        .into_iter()
        .enumerate()
        .map(|(number, fd)| {
            let (operation, answer) = match number % 2 {
                0 => (GET_UUID, uuid.clone()),
                _ => (GET_PROVISIONING_STATE, state.clone()),
            };
            std::thread::spawn(move || {
                (0..TRIPS)
                    .take_while(|_| started.elapsed() < PATIENCE)
                    .try_for_each(|trip| {
                        let what = format!("round trip {trip} of thread {number}");
                        equal(&what, &answer, &exchange(&fd, operation)?)
                    })
            })
        })
        .collect();
    for thread in threads {
        result_within(PATIENCE * 2, "a thread", thread)??;
    }
    Ok(())
}

/// A thread that blocks in read, given time to get there.
fn reader(fd: &Arc<Fd>) -> JoinHandle<Sys<Vec<u8>>> {
    let file = Arc::clone(fd);
    let thread = std::thread::spawn(move || file.read(super::ROOM));
    std::thread::sleep(super::QUIET);
    thread
}

fn write_during_read(node: &Node) -> CheckResult {
    let fd = Arc::new(node.amthi()?);
    let uuid = exchange(&fd, GET_UUID)?;
    let reading = reader(&fd);
    let file = Arc::clone(&fd);
    let writing = std::thread::spawn(move || send(&file, GET_UUID));
    result("the write", writing)??;
    let answer = result("the read", reading)?;
    equal("the read", Ok(uuid), answer)
}

fn two_readers(node: &Node) -> CheckResult {
    let fd = Arc::new(node.amthi()?);
    let uuid = exchange(&fd, GET_UUID)?;
    let readers = [reader(&fd), reader(&fd)];
    send(&fd, GET_UUID)?;
    let mut sizes = Vec::new();
    for reader in readers {
        let data = succeeds("a read", result("a read", reader)?)?;
        sizes.push(data.len());
    }
    sizes.sort_unstable();
    equal("sizes of both reads", vec![0, uuid.len()], sizes)
}

fn poll_during_read(node: &Node) -> CheckResult {
    let fd = Arc::new(node.amthi()?);
    let reading = reader(&fd);
    let file = Arc::clone(&fd);
    let others = std::thread::spawn(move || {
        let shown = file.poll(Events::IN_OUT, Duration::ZERO);
        equal("poll", Ok(Events::OUT), shown)?;
        let again = file.connect(ClientKind::Amthi.guid());
        fails_with(libc::EBUSY, "connect again", again)
    });
    result("poll and ioctl", others)??;
    send(&fd, GET_UUID)?;
    let answer = result("the read", reading)?;
    succeeds("the read", answer)?;
    Ok(())
}

/// Sends the signal again and again until the thread ends: the first ones may come before it blocks.
fn interrupt<T>(thread: &JoinHandle<T>) {
    let started = Instant::now();
    while !thread.is_finished() && started.elapsed() < PATIENCE {
        os::signal_thread(thread, libc::SIGUSR1);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn read_interrupted(node: &Node) -> CheckResult {
    // The driver says EINTR, where most say ERESTARTSYS: SA_RESTART does not help a reader here.
    for restart in [false, true] {
        succeeds("sigaction", os::interrupt_by(libc::SIGUSR1, restart))?;
        let fd = Arc::new(node.amthi()?);
        let reading = reader(&fd);
        interrupt(&reading);
        let answer = result("the read", reading)?;
        let what = format!("the read, SA_RESTART {restart}");
        fails_with(libc::EINTR, &what, answer)?;
        exchange(&fd, GET_UUID)?;
    }
    Ok(())
}

fn poll_interrupted(node: &Node) -> CheckResult {
    succeeds("sigaction", os::interrupt_by(libc::SIGUSR1, true))?;
    let fd = Arc::new(node.amthi()?);
    let file = Arc::clone(&fd);
    let polling = std::thread::spawn(move || file.poll(Events::IN, PATIENCE * 2));
    std::thread::sleep(super::QUIET);
    interrupt(&polling);
    let shown = result("the poll", polling)?;
    // poll(2) is never restarted.
    fails_with(libc::EINTR, "the poll", shown)?;
    exchange(&fd, GET_UUID)?;
    Ok(())
}

/// An exchange that waits in poll, which may be interrupted, and not in read.
fn patient_exchange(fd: &Fd) -> CheckResult<Vec<u8>> {
    send(fd, GET_UUID)?;
    let started = Instant::now();
    loop {
        match fd.poll(Events::IN, PATIENCE) {
            Err(Number(libc::EINTR)) if started.elapsed() < PATIENCE => {}
            shown => {
                equal("poll", Ok(Events::IN), shown)?;
                return receive(fd);
            }
        }
    }
}

fn signals_during_exchange(node: &Node) -> CheckResult {
    succeeds("sigaction", os::interrupt_by(libc::SIGUSR1, true))?;
    let fd = node.amthi()?;
    let uuid = exchange(&fd, GET_UUID)?;
    let path = node.clone();
    let working = std::thread::spawn(move || {
        let started = Instant::now();
        for _ in (0..50).take_while(|_| started.elapsed() < PATIENCE) {
            equal("the answer", &uuid, &patient_exchange(&fd)?)?;
            // Each of these is one call of the front end's that a signal may hit.
            let second = path.open()?;
            path.connect(&second, ClientKind::Amthi)?;
            equal("the second's answer", &uuid, &patient_exchange(&second)?)?;
        }
        Ok(())
    });
    let started = Instant::now();
    while !working.is_finished() && started.elapsed() < PATIENCE / 2 {
        os::signal_thread(&working, libc::SIGUSR1);
        std::thread::sleep(Duration::from_micros(300));
    }
    result_within(PATIENCE * 2, "the exchanges", working)?
}
