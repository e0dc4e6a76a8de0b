//! Ending processes that this program started, by number.
#![expect(unsafe_code, reason = "kill(2) has no safe counterpart for groups")]

/// Kills one process at once. One that is gone already is no error.
pub fn kill_process(process: u32) {
    kill(process, 1);
}

/// Kills every process of the group that `leader` leads.
pub fn kill_group(leader: u32) {
    kill(leader, -1);
}

fn kill(process: u32, sign: i32) {
    // 0 and 1 would mean the caller's own group, and everything.
    let Ok(number @ 2..) = i32::try_from(process) else {
        return;
    };
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    unsafe { libc::kill(sign * number, libc::SIGKILL) };
}
