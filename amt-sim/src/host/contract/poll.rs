//! Waiting for a descriptor: poll, select, epoll.
//!
//! Nothing is promised to an epoll that watches a descriptor since before its connect: `mei_poll` of Linux
//! `drivers/misc/mei/main.c` registers no waiter then, so a real driver never wakes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::os::{Epoll, Events, Fd};
use super::{
    Check, CheckResult, GET_UUID, Node, PATIENCE, QUIET, await_readable, equal, exchange, fail,
    receive, send, succeeds, threads,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "contract.poll.writable",
        "after the connect poll shows POLLOUT only",
        writable,
    ),
    Check::new(
        "contract.poll.readable",
        "poll waits for an answer, shows POLLIN until it is read, and not any more then",
        readable,
    ),
    Check::new(
        "contract.poll.time-out",
        "poll without an answer ends with its time-out, not before",
        time_out,
    ),
    Check::new(
        "contract.poll.select",
        "select waits for an answer and says readable",
        select,
    ),
    Check::new(
        "contract.poll.select-time-out",
        "select without an answer ends with its time-out",
        select_time_out,
    ),
    Check::new(
        "contract.poll.epoll-level",
        "epoll repeats the event until the answer is read",
        epoll_level,
    ),
    Check::new(
        "contract.poll.epoll-edge",
        "edge-triggered epoll says once that an answer came, and again for the next",
        epoll_edge,
    ),
    Check::new(
        "contract.poll.several",
        "several threads that poll one descriptor are all woken by one answer",
        several,
    ),
];

fn writable(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    let shown = succeeds("poll", fd.poll(Events::IN_OUT, PATIENCE))?;
    equal("poll", Events::OUT, shown)
}

fn readable(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    for _ in 0..3 {
        send(&fd, GET_UUID)?;
        await_readable(&fd)?;
        let shown = succeeds("poll", fd.poll(Events::IN_OUT, PATIENCE))?;
        equal("poll with an answer there", Events::IN_OUT, shown)?;
        receive(&fd)?;
        let shown = succeeds("poll", fd.poll(Events::IN_OUT, QUIET))?;
        equal("poll when it is read", Events::OUT, shown)?;
    }
    Ok(())
}

/// The wait took as long as it was asked to, give or take a clock tick.
fn took_its_time(started: Instant) -> CheckResult {
    let took = started.elapsed();
    if took + Duration::from_millis(2) < QUIET {
        return fail(format!("a wait of {QUIET:?}"), format!("{took:?}"));
    }
    Ok(())
}

fn time_out(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    let started = Instant::now();
    let shown = succeeds("poll", fd.poll(Events::IN, QUIET))?;
    equal("poll", Events::NONE, shown)?;
    took_its_time(started)?;
    exchange(&fd, GET_UUID)?;
    Ok(())
}

/// A descriptor that select(2) can express.
fn selectable(fd: &Fd) -> CheckResult {
    if fd.raw() < 1024 {
        return Ok(());
    }
    fail("a descriptor below 1024", fd.raw().to_string())
}

fn select(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    selectable(&fd)?;
    for _ in 0..3 {
        send(&fd, GET_UUID)?;
        equal("select", Ok(true), fd.select_readable(PATIENCE))?;
        receive(&fd)?;
        equal(
            "select when it is read",
            Ok(false),
            fd.select_readable(Duration::ZERO),
        )?;
    }
    Ok(())
}

fn select_time_out(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    selectable(&fd)?;
    let started = Instant::now();
    equal("select", Ok(false), fd.select_readable(QUIET))?;
    took_its_time(started)
}

fn epoll_level(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    let epoll = succeeds("epoll", Epoll::of(&fd, libc::EPOLLIN))?;
    equal("epoll_wait before", Ok(Events::NONE), epoll.wait(QUIET))?;
    for _ in 0..2 {
        send(&fd, GET_UUID)?;
        for _ in 0..3 {
            equal("epoll_wait", Ok(Events::IN), epoll.wait(PATIENCE))?;
        }
        receive(&fd)?;
        equal(
            "epoll_wait when it is read",
            Ok(Events::NONE),
            epoll.wait(QUIET),
        )?;
    }
    Ok(())
}

fn epoll_edge(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    let epoll = succeeds("epoll", Epoll::of(&fd, libc::EPOLLIN | libc::EPOLLET))?;
    for _ in 0..3 {
        send(&fd, GET_UUID)?;
        equal("epoll_wait", Ok(Events::IN), epoll.wait(PATIENCE))?;
        equal("epoll_wait once more", Ok(Events::NONE), epoll.wait(QUIET))?;
        receive(&fd)?;
    }
    Ok(())
}

fn several(node: &Node) -> CheckResult {
    let fd = Arc::new(node.amthi()?);
    let pollers: Vec<_> = (0..4)
        .map(|_| {
            let file = Arc::clone(&fd);
            std::thread::spawn(move || file.poll(Events::IN, PATIENCE))
        })
        .collect();
    std::thread::sleep(QUIET);
    send(&fd, GET_UUID)?;
    for poller in pollers {
        equal("poll", Ok(Events::IN), threads::result("a poll", poller)?)?;
    }
    receive(&fd)?;
    Ok(())
}
