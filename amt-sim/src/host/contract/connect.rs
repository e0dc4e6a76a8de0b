//! Before, at and beside the connection to an ME client.

use std::time::Duration;

use super::os::{Events, NOWHERE};
use super::{
    Check, CheckResult, GET_PROVISIONING_STATE, GET_UUID, Node, equal, exchange, fail, fails_with,
    receive, request, send, succeeds,
};
use crate::mei::{ClientKind, Guid};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "contract.connect.poll-before",
        "poll before the connect shows POLLERR only",
        poll_before,
    ),
    Check::new(
        "contract.connect.write-before",
        "write before the connect fails with ENODEV",
        write_before,
    ),
    Check::new(
        "contract.connect.read-before",
        "read before the connect fails with ENODEV, blocking or not",
        read_before,
    ),
    Check::new(
        "contract.connect.unknown-client",
        "a GUID that is no client's fails with ENOTTY, and the descriptor can still connect",
        unknown_client,
    ),
    Check::new(
        "contract.connect.bad-pointer",
        "a bad pointer fails with EFAULT, and the descriptor can still connect",
        bad_pointer,
    ),
    Check::new(
        "contract.connect.unknown-ioctl",
        "a request number that the driver does not know fails with ENOTTY",
        unknown_ioctl,
    ),
    Check::new(
        "contract.connect.properties",
        "connect returns the longest message and the version, and keeps the tail of the GUID",
        properties,
    ),
    Check::new(
        "contract.connect.twice",
        "a second connect on the same descriptor fails with EBUSY and changes nothing",
        twice,
    ),
    Check::new(
        "contract.connect.limit",
        "one connection more than the client takes fails with EBUSY",
        limit,
    ),
    Check::new(
        "contract.connect.released",
        "once close has returned, the connection is free for the next",
        released,
    ),
    Check::new(
        "contract.connect.independent",
        "two descriptors with different clients do not disturb each other",
        independent,
    ),
    Check::new(
        "contract.connect.same-client",
        "two descriptors with the same client each get their own answers",
        same_client,
    ),
];

fn poll_before(node: &Node) -> CheckResult {
    let fd = node.open()?;
    for timeout in [Duration::ZERO, super::QUIET] {
        let shown = succeeds("poll", fd.poll(Events::IN_OUT, timeout))?;
        equal("poll", Events::ERR, shown)?;
    }
    Ok(())
}

fn write_before(node: &Node) -> CheckResult {
    let fd = node.open()?;
    fails_with(libc::ENODEV, "write", fd.write(&request(GET_UUID)))
}

fn read_before(node: &Node) -> CheckResult {
    for flags in [0, libc::O_NONBLOCK] {
        let fd = node.open_with(flags)?;
        fails_with(libc::ENODEV, "read", fd.read(64))?;
    }
    Ok(())
}

fn unknown_client(node: &Node) -> CheckResult {
    let fd = node.open()?;
    let nobody = Guid::from_wire([0x5a; 16]);
    fails_with(libc::ENOTTY, "connect", fd.connect(nobody))?;
    let shown = succeeds("poll", fd.poll(Events::IN_OUT, Duration::ZERO))?;
    equal("poll after it", Events::ERR, shown)?;
    node.connect(&fd, ClientKind::Amthi)?;
    exchange(&fd, GET_UUID)?;
    Ok(())
}

fn bad_pointer(node: &Node) -> CheckResult {
    let fd = node.open()?;
    fails_with(libc::EFAULT, "connect", fd.connect_at(NOWHERE))?;
    fails_with(libc::EFAULT, "connect from null", fd.connect_at(0))?;
    node.connect(&fd, ClientKind::Amthi)?;
    exchange(&fd, GET_UUID)?;
    Ok(())
}

fn unknown_ioctl(node: &Node) -> CheckResult {
    let fd = node.open()?;
    let mut buffer = [0u8; 64];
    let address = buffer.as_mut_ptr() as usize;
    // The "HECI version" request of one agent, which exists on Windows only, and isatty(3).
    for (request, name) in [(0xC005_4800, "0xC0054800"), (0x5401, "TCGETS")] {
        fails_with(libc::ENOTTY, name, fd.ioctl(request, address))?;
    }
    equal("the buffer", [0; 64], buffer)
}

fn properties(node: &Node) -> CheckResult {
    let fd = node.open()?;
    let answer = node.connect(&fd, ClientKind::Amthi)?;
    let longest = u32::from_le_bytes([answer[0], answer[1], answer[2], answer[3]]);
    // GetCodeVersions alone may need 2285 bytes.
    if !(2285..=1 << 20).contains(&longest) {
        return fail(
            "longest message: 2285 to 1048576 bytes",
            longest.to_string(),
        );
    }
    equal("protocol version", 1, answer[4])?;
    equal("reserved bytes", [0; 3], [answer[5], answer[6], answer[7]])?;
    let guid = ClientKind::Amthi.guid().to_wire();
    equal("bytes 8 to 16", &guid[8..], &answer[8..])
}

fn twice(node: &Node) -> CheckResult {
    let fd = node.amthi()?;
    for client in [ClientKind::Amthi, ClientKind::Mkhi] {
        fails_with(libc::EBUSY, "connect again", fd.connect(client.guid()))?;
    }
    exchange(&fd, GET_UUID)?;
    Ok(())
}

fn limit(node: &Node) -> CheckResult {
    let first = node.open()?;
    node.connect(&first, ClientKind::Lme)?;
    let second = node.open()?;
    let refused = second.connect(ClientKind::Lme.guid());
    fails_with(libc::EBUSY, "a second connection to LME", refused)?;
    // The one that was refused may still have another client.
    node.connect(&second, ClientKind::Amthi)?;
    exchange(&second, GET_UUID)?;
    Ok(())
}

fn released(node: &Node) -> CheckResult {
    let fd = node.open()?;
    node.connect(&fd, ClientKind::Lme)?;
    drop(fd);
    for round in 1..=20 {
        let fd = node.open()?;
        let connected = fd.connect(ClientKind::Lme.guid());
        succeeds(
            &format!("connect right after close, round {round}"),
            connected,
        )?;
    }
    Ok(())
}

fn independent(node: &Node) -> CheckResult {
    let amthi = node.amthi()?;
    let other = node.open()?;
    node.connect(&other, ClientKind::Lme)?;
    send(&amthi, GET_UUID)?;
    drop(other);
    receive(&amthi)?;
    Ok(())
}

fn same_client(node: &Node) -> CheckResult {
    let (first, second) = (node.amthi()?, node.amthi()?);
    let uuid = exchange(&first, GET_UUID)?;
    let state = exchange(&second, GET_PROVISIONING_STATE)?;
    send(&second, GET_PROVISIONING_STATE)?;
    send(&first, GET_UUID)?;
    equal("the first one's answer", uuid, receive(&first)?)?;
    equal("the second one's answer", state, receive(&second)?)
}
