//! Reading and writing messages.

use std::sync::Arc;
use std::time::Duration;

use super::os::{self, Events, Fd, NOWHERE};
use super::{
    Check, CheckResult, GET_PROVISIONING_STATE, GET_UUID, Node, PATIENCE, QUIET, ROOM,
    await_readable, equal, exchange, fail, fails_with, receive, request, send, skip, succeeds,
    threads,
};
use crate::mei::ClientKind;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "contract.io.boundaries",
        "two messages are read as two, in order, however large the buffer",
        boundaries,
    ),
    Check::new(
        "contract.io.short-read",
        "a read shorter than the message leaves its rest for the next read",
        short_read,
    ),
    Check::new(
        "contract.io.exact-read",
        "a read of exactly the message's length ends the message",
        exact_read,
    ),
    Check::new(
        "contract.io.would-block",
        "on a non-blocking descriptor a read without a message fails with EAGAIN",
        would_block,
    ),
    Check::new(
        "contract.io.blocking-read",
        "a blocking read waits for the answer",
        blocking_read,
    ),
    Check::new(
        "contract.io.empty",
        "write of 0 bytes and read of 0 bytes return 0 and do nothing",
        empty,
    ),
    Check::new(
        "contract.io.longest-write",
        "a write of exactly the longest message is taken and answered",
        longest_write,
    ),
    Check::new(
        "contract.io.too-long-write",
        "a write of one byte more fails with EFBIG and sends nothing",
        too_long_write,
    ),
    Check::new(
        "contract.io.large-read",
        "an answer of more than a page arrives whole",
        large_read,
    ),
    Check::new(
        "contract.io.bad-pointer",
        "a write from a bad address fails with EFAULT and sends nothing",
        bad_pointer,
    ),
    Check::new("contract.io.no-seek", "lseek fails with ESPIPE", no_seek),
    Check::new(
        "contract.io.queue-full",
        "a non-blocking writer that never reads gets EAGAIN in the end, and no message is lost",
        queue_full,
    ),
    Check::new(
        "contract.io.queue-full-blocks",
        "a blocking writer waits while the queue is full, and goes on when answers are read",
        queue_full_blocks,
    ),
    Check::new(
        "contract.io.close-discards",
        "answers that nobody read do not reach the next descriptor",
        close_discards,
    ),
];

fn boundaries(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    let uuid = exchange(&fd, GET_UUID)?;
    let state = exchange(&fd, GET_PROVISIONING_STATE)?;
    send(&fd, GET_UUID)?;
    send(&fd, GET_PROVISIONING_STATE)?;
    send(&fd, GET_UUID)?;
    // Time for all three to be there.
    std::thread::sleep(QUIET);
    equal("the first answer", &uuid, &receive(&fd)?)?;
    equal("the second answer", &state, &receive(&fd)?)?;
    equal("the third answer", &uuid, &receive(&fd)?)
}

fn short_read(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    let whole = exchange(&fd, GET_UUID)?;
    let state = exchange(&fd, GET_PROVISIONING_STATE)?;
    send(&fd, GET_UUID)?;
    send(&fd, GET_PROVISIONING_STATE)?;
    let mut parts = Vec::new();
    for length in [4, 1] {
        let part = succeeds("a short read", fd.read(length))?;
        equal("bytes of a short read", length, part.len())?;
        parts.extend(part);
        let shown = succeeds("poll", fd.poll(Events::IN, PATIENCE))?;
        equal("poll in the middle of a message", Events::IN, shown)?;
    }
    parts.extend(receive(&fd)?);
    equal("the parts together", whole, parts)?;
    equal("the message after it", state, receive(&fd)?)
}

fn exact_read(node: &Node) -> CheckResult {
    let fd = node.open_with(libc::O_NONBLOCK)?;
    node.connect(&fd, ClientKind::Amthi)?;
    send(&fd, GET_UUID)?;
    await_readable(&fd)?;
    let whole = receive(&fd)?;
    send(&fd, GET_UUID)?;
    await_readable(&fd)?;
    let again = succeeds("read", fd.read(whole.len()))?;
    equal("the answer", whole, again)?;
    fails_with(libc::EAGAIN, "read after it", fd.read(ROOM))
}

fn would_block(node: &Node) -> CheckResult {
    let by_open = node.open_with(libc::O_NONBLOCK)?;
    node.connect(&by_open, ClientKind::Amthi)?;
    fails_with(libc::EAGAIN, "read, O_NONBLOCK at open", by_open.read(64))?;
    drop(by_open);
    let by_fcntl = node.amthi()?;
    succeeds("fcntl(F_SETFL)", by_fcntl.set_nonblocking())?;
    fails_with(libc::EAGAIN, "read, O_NONBLOCK by fcntl", by_fcntl.read(64))?;
    drop(by_fcntl);
    let by_ioctl = node.amthi()?;
    succeeds("ioctl(FIONBIO)", by_ioctl.set_nonblocking_by_ioctl())?;
    fails_with(
        libc::EAGAIN,
        "read, non-blocking by FIONBIO",
        by_ioctl.read(64),
    )
}

fn blocking_read(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    // The answer takes the firmware's time, so the read is there first.
    for _ in 0..5 {
        exchange(&fd, GET_UUID)?;
    }
    Ok(())
}

fn empty(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    equal("write of 0 bytes", Ok(0), fd.write(&[]))?;
    equal("read of 0 bytes", Ok(Vec::new()), fd.read(0))?;
    let shown = succeeds("poll", fd.poll(Events::IN_OUT, QUIET))?;
    equal("poll after it", Events::OUT, shown)?;
    let whole = exchange(&fd, GET_UUID)?;
    send(&fd, GET_UUID)?;
    await_readable(&fd)?;
    equal(
        "read of 0 bytes with a message there",
        Ok(Vec::new()),
        fd.read(0),
    )?;
    equal("the message after it", whole, receive(&fd)?)
}

/// A connection to AMTHI and the longest message it takes.
fn with_limit(node: &Node) -> CheckResult<(Fd, usize)> {
    let fd = node.open()?;
    let answer = node.connect(&fd, ClientKind::Amthi)?;
    Ok((fd, longest(answer)))
}

/// The longest message, as the connect tells it.
fn longest([a, b, c, d, ..]: [u8; 16]) -> usize {
    u32::from_le_bytes([a, b, c, d]) as usize
}

/// A GetUUID whose header tells of as many bytes as follow, which is too many.
fn padded_request(length: usize) -> Vec<u8> {
    let mut message = request(GET_UUID).to_vec();
    let data = u32::try_from(length - message.len()).unwrap_or(u32::MAX);
    message[8..12].copy_from_slice(&data.to_le_bytes());
    message.resize(length, 0);
    message
}

fn longest_write(node: &Node) -> CheckResult {
    let (fd, longest) = with_limit(node)?;
    for length in [longest - 1, longest] {
        let message = padded_request(length);
        equal("write", Ok(length), fd.write(&message))?;
        receive(&fd)?;
    }
    Ok(())
}

fn too_long_write(node: &Node) -> CheckResult {
    let (fd, longest) = with_limit(node)?;
    for length in [longest + 1, longest + 4096, 1 << 20] {
        let what = format!("write of {length} bytes");
        fails_with(libc::EFBIG, &what, fd.write(&padded_request(length)))?;
    }
    let shown = succeeds("poll", fd.poll(Events::IN_OUT, QUIET))?;
    equal("poll after it", Events::OUT, shown)?;
    exchange(&fd, GET_UUID)?;
    Ok(())
}

fn large_read(node: &Node) -> CheckResult {
    const PAGE: usize = 4096;
    let fd = node.open()?;
    let limit = longest(node.connect(&fd, ClientKind::Hotham)?);
    let ask = || equal("write", Ok(READ_LOG.len()), fd.write(&READ_LOG));
    ask()?;
    let shown = succeeds("poll", fd.poll(Events::IN, PATIENCE))?;
    if shown == Events::NONE {
        return skip("the firmware does not answer a request for its log");
    }
    let length = receive(&fd)?.len();
    if length <= PAGE {
        return skip(format!("the firmware's log has {length} bytes only"));
    }
    // Once more with a buffer that fits exactly, and with one of the longest message's size.
    for room in [length, limit] {
        ask()?;
        let again = succeeds("read", fd.read(room))?;
        equal(&format!("bytes read into {room}"), length, again.len())?;
    }
    // In parts that cross pages at odd places.
    ask()?;
    let mut left = length;
    while left > 0 {
        let part = succeeds("read", fd.read(1021))?;
        equal("bytes of a part", left.min(1021), part.len())?;
        left -= part.len();
    }
    let shown = succeeds("poll", fd.poll(Events::IN, Duration::ZERO))?;
    equal("poll when all is read", Events::NONE, shown)
}

/// The HOTHAM message by which agents read the firmware's log: class 2, code 0x81.
const READ_LOG: [u8; 4] = [2, 0x81, 0, 0];

fn bad_pointer(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    fails_with(libc::EFAULT, "write", fd.write_at(NOWHERE, 12))?;
    let shown = succeeds("poll", fd.poll(Events::IN_OUT, QUIET))?;
    equal("poll after it", Events::OUT, shown)?;
    exchange(&fd, GET_UUID)?;
    Ok(())
}

fn no_seek(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    fails_with(libc::ESPIPE, "lseek", fd.seek())?;
    send(&fd, GET_UUID)?;
    fails_with(libc::ESPIPE, "pread", fd.read_from(0, 64))?;
    receive(&fd)?;
    Ok(())
}

fn queue_full(node: &Node) -> CheckResult {
    const TOO_MANY: usize = 5000;
    let fd = node.open_with(libc::O_NONBLOCK)?;
    node.connect(&fd, ClientKind::Amthi)?;
    send(&fd, GET_UUID)?;
    await_readable(&fd)?;
    let answer = receive(&fd)?;
    let mut sent = 0;
    loop {
        match fd.write(&request(GET_UUID)) {
            Ok(12) => sent += 1,
            Ok(other) => return fail("write: 12", other.to_string()),
            Err(os::Number(libc::EAGAIN)) => break,
            Err(other) => return fail("write: 12 or EAGAIN", other.to_string()),
        }
        if sent == TOO_MANY {
            return fail(
                "EAGAIN in the end",
                format!("{sent} messages taken, none of them read"),
            );
        }
    }
    let shown = succeeds("poll", fd.poll(Events::IN_OUT, PATIENCE))?;
    equal("poll when the queue is full", Events::IN, shown)?;
    for number in 1..=sent {
        let shown = succeeds("poll", fd.poll(Events::IN, PATIENCE))?;
        equal(
            &format!("poll for answer {number} of {sent}"),
            Events::IN,
            shown,
        )?;
        equal(
            &format!("answer {number} of {sent}"),
            &answer,
            &receive(&fd)?,
        )?;
    }
    let shown = succeeds("poll", fd.poll(Events::IN_OUT, QUIET))?;
    equal("poll when all is read", Events::OUT, shown)
}

fn queue_full_blocks(node: &Node) -> CheckResult {
    // More than every queue between here and the firmware holds, as the check above found out.
    const MESSAGES: usize = 400;
    let fd = Arc::new(node.amthi()?);
    let file = Arc::clone(&fd);
    let writer = std::thread::spawn(move || (0..MESSAGES).try_for_each(|_| send(&file, GET_UUID)));
    std::thread::sleep(QUIET * 2);
    if writer.is_finished() {
        return fail(
            "a writer that waits",
            format!("{MESSAGES} messages taken, none read"),
        );
    }
    for number in 1..=MESSAGES {
        let shown = succeeds("poll", fd.poll(Events::IN, PATIENCE))?;
        equal(&format!("poll for answer {number}"), Events::IN, shown)?;
        receive(&fd)?;
    }
    threads::result("the writer", writer)?
}

fn close_discards(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    let state = exchange(&fd, GET_PROVISIONING_STATE)?;
    send(&fd, GET_UUID)?;
    await_readable(&fd)?;
    drop(fd);
    let fd = node.amthi()?;
    let shown = succeeds("poll", fd.poll(Events::IN, Duration::from_millis(5)))?;
    equal("poll on a new connection", Events::NONE, shown)?;
    equal(
        "the first answer",
        state,
        exchange(&fd, GET_PROVISIONING_STATE)?,
    )
}
