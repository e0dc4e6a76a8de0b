//! What a reset of the MEI link looks like to those who have the device open.

use std::sync::Arc;
use std::time::Duration;

use super::os::{Epoll, Events, Fd, Number};
use super::{
    Check, CheckResult, GET_UUID, Node, PATIENCE, QUIET, ROOM, await_readable, equal, exchange,
    fail, fails_with, request, retry, send, succeeds,
};
use crate::mei::ClientKind;

pub(super) const CHECKS: &[Check] = &[
    Check::armed(
        "contract.reset.poll",
        "after a reset poll shows POLLERR only",
        poll,
    ),
    Check::armed(
        "contract.reset.read-write",
        "after a reset write and read fail with ENODEV, time after time",
        read_write,
    ),
    Check::armed(
        "contract.reset.discards",
        "an answer that was there before the reset is not read any more",
        discards,
    ),
    Check::armed(
        "contract.reset.open",
        "open fails with ENODEV while the link resets, and works again soon",
        open,
    ),
    Check::armed(
        "contract.reset.reopen",
        "after a reset close, open and connect lead back to the device",
        reopen,
    ),
    Check::armed(
        "contract.reset.reconnect",
        "when the link is back, the old descriptor can connect again",
        reconnect,
    ),
    Check::armed(
        "contract.reset.blocked-read",
        "a reset ends a blocking read with ENODEV",
        blocked_read,
    ),
    Check::armed(
        "contract.reset.blocked-poll",
        "a reset ends a waiting poll with POLLERR",
        blocked_poll,
    ),
    Check::armed(
        "contract.reset.epoll-edge",
        "edge-triggered epoll says that the link was reset",
        epoll_edge,
    ),
    Check::armed(
        "contract.reset.unconnected",
        "a descriptor that was never connected survives a reset",
        unconnected,
    ),
    Check::armed(
        "contract.reset.close",
        "descriptors of before the reset close without a word",
        close,
    ),
];

/// A connection to AMTHI under which the link was reset.
fn after_reset(node: &Node) -> CheckResult<Fd> {
    let fd = node.amthi()?;
    exchange(&fd, GET_UUID)?;
    node.reset()?;
    Ok(fd)
}

/// The link is up again, so that the next check finds a whole device.
fn recover(node: &Node) -> CheckResult {
    let fd = node.reopen()?;
    node.connect(&fd, ClientKind::Amthi)?;
    exchange(&fd, GET_UUID)?;
    Ok(())
}

fn poll(node: &Node) -> CheckResult {
    let fd = after_reset(node)?;
    for timeout in [Duration::ZERO, PATIENCE] {
        let shown = succeeds("poll", fd.poll(Events::IN_OUT, timeout))?;
        equal("poll", Events::ERR, shown)?;
    }
    recover(node)?;
    // Coming back does not bring the old connection back.
    let shown = succeeds("poll", fd.poll(Events::IN_OUT, PATIENCE))?;
    equal("poll when the link is back", Events::ERR, shown)
}

fn read_write(node: &Node) -> CheckResult {
    let fd = after_reset(node)?;
    for _ in 0..2 {
        fails_with(libc::ENODEV, "write", fd.write(&request(GET_UUID)))?;
        fails_with(libc::ENODEV, "read", fd.read(ROOM))?;
    }
    recover(node)?;
    fails_with(
        libc::ENODEV,
        "write when the link is back",
        fd.write(&request(GET_UUID)),
    )?;
    fails_with(libc::ENODEV, "read when the link is back", fd.read(ROOM))
}

fn discards(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    send(&fd, GET_UUID)?;
    await_readable(&fd)?;
    node.reset()?;
    fails_with(libc::ENODEV, "read", fd.read(ROOM))?;
    recover(node)
}

fn open(node: &Node) -> CheckResult {
    node.reset()?;
    // A real link may be back before one can look, so success is not wrong here.
    match Fd::open(node.path(), libc::O_RDWR) {
        Ok(_) | Err(Number(libc::ENODEV)) => {}
        Err(number) => return fail("open: ENODEV or success", number.to_string()),
    }
    recover(node)
}

fn reopen(node: &Node) -> CheckResult {
    for _ in 0..2 {
        drop(after_reset(node)?);
        recover(node)?;
    }
    Ok(())
}

fn reconnect(node: &Node) -> CheckResult {
    let fd = after_reset(node)?;
    let connected = retry(libc::ENODEV, || fd.connect(ClientKind::Amthi.guid()));
    succeeds("connect on the old descriptor", connected)?;
    let shown = succeeds("poll", fd.poll(Events::IN_OUT, PATIENCE))?;
    equal("poll", Events::OUT, shown)?;
    exchange(&fd, GET_UUID)?;
    recover(node)
}

fn blocked_read(node: &Node) -> CheckResult {
    let fd = Arc::new(node.amthi()?);
    let file = Arc::clone(&fd);
    let reading = std::thread::spawn(move || file.read(ROOM));
    std::thread::sleep(QUIET);
    if reading.is_finished() {
        return fail("a read that waits", "it ended before the reset");
    }
    node.reset()?;
    let answer = super::threads::result("the read", reading)?;
    fails_with(libc::ENODEV, "the read", answer)?;
    recover(node)
}

fn blocked_poll(node: &Node) -> CheckResult {
    let fd = Arc::new(node.amthi()?);
    let file = Arc::clone(&fd);
    let polling = std::thread::spawn(move || file.poll(Events::IN, PATIENCE));
    std::thread::sleep(QUIET);
    if polling.is_finished() {
        return fail("a poll that waits", "it ended before the reset");
    }
    node.reset()?;
    let shown = super::threads::result("the poll", polling)?;
    equal("the poll", Ok(Events::ERR), shown)?;
    recover(node)
}

fn epoll_edge(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    let epoll = succeeds("epoll", Epoll::of(&fd, libc::EPOLLIN | libc::EPOLLET))?;
    equal("epoll_wait before", Ok(Events::NONE), epoll.wait(QUIET))?;
    node.reset()?;
    let shown = succeeds("epoll_wait", epoll.wait(PATIENCE))?;
    equal("epoll_wait", Events::ERR, shown)?;
    recover(node)
}

fn unconnected(node: &Node) -> CheckResult {
    let fd = node.open()?;
    node.reset()?;
    let shown = succeeds("poll", fd.poll(Events::IN_OUT, Duration::ZERO))?;
    equal("poll", Events::ERR, shown)?;
    let connected = retry(libc::ENODEV, || fd.connect(ClientKind::Amthi.guid()));
    succeeds("connect", connected)?;
    exchange(&fd, GET_UUID)?;
    recover(node)
}

fn close(node: &Node) -> CheckResult {
    let connected = node.amthi()?;
    let fresh = node.open()?;
    let exclusive = node.open()?;
    node.connect(&exclusive, ClientKind::Lme)?;
    node.reset()?;
    drop((connected, fresh));
    recover(node)?;
    // The reset took the connection away, so another may have it although the descriptor is still open.
    let other = node.open()?;
    succeeds("connect to LME", other.connect(ClientKind::Lme.guid()))?;
    drop(exclusive);
    let again = node.open()?;
    fails_with(
        libc::EBUSY,
        "connect to LME after the old descriptor's close",
        again.connect(ClientKind::Lme.guid()),
    )
}
