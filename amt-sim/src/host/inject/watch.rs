//! Hearing of every program that begins, for front ends that filter no system calls themselves.
//!
//! A filter of its own hands over one call, `arch_prctl`: the first of a static Go program and one of the first of
//! everything that a C library starts, made before any code of the program that could look at its certificates. What
//! else the program does is not slowed down: the filter is in the kernel's bitmap of allowed calls.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use libc::sock_filter;

use super::Injector;
use crate::host::seccomp::notify::{Answer, Listener};

/// `AUDIT_ARCH_X86_64`.
const ARCHITECTURE: u32 = 0xC000_003E;
/// `arch_prctl` there.
const BEGIN: u32 = 158;

/// ```text
///   load architecture; other than x86-64: allow
///   load number;       arch_prctl: notify, else allow
/// ```
pub(in crate::host) fn program() -> Vec<sock_filter> {
    let line = |code: u32, operand: u32, jumps: (u8, u8)| sock_filter {
        code: (code & 0xffff) as u16,
        jt: jumps.0,
        jf: jumps.1,
        k: operand,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let verdict = libc::BPF_RET | libc::BPF_K;
    vec![
        line(load, 4, (0, 0)),
        line(equal, ARCHITECTURE, (0, 2)),
        line(load, 0, (0, 0)),
        line(equal, BEGIN, (1, 0)),
        line(verdict, libc::SECCOMP_RET_ALLOW, (0, 0)),
        line(verdict, libc::SECCOMP_RET_USER_NOTIF, (0, 0)),
    ]
}

/// Serves the listener of such a filter on a thread of its own, as long as there are programs under it.
pub(in crate::host) fn start(listener: OwnedFd, injector: Arc<Injector>) -> io::Result<()> {
    let listener = Listener::new(listener);
    let work = move || {
        while let Ok(Some(notification)) = listener.receive() {
            injector.began(notification.tid, || listener.is_waiting(notification.id));
            // A program that went away meanwhile needs no answer.
            let _ = listener.answer(notification.id, Answer::Continue);
        }
    };
    std::thread::Builder::new()
        .name("mei-begin".to_owned())
        .spawn(work)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// What the kernel's interpreter would do.
    #[rstest]
    #[case(ARCHITECTURE, BEGIN, libc::SECCOMP_RET_USER_NOTIF)]
    #[case(ARCHITECTURE, 0, libc::SECCOMP_RET_ALLOW)]
    #[case(0x4000_0003, BEGIN, libc::SECCOMP_RET_ALLOW)]
    fn only_the_beginning_is_handed_over(
        #[case] architecture: u32,
        #[case] number: u32,
        #[case] verdict: u32,
    ) {
        let program = program();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let line = program[at];
            at += 1;
            match u32::from(line.code) & 7 {
                libc::BPF_LD => loaded = if line.k == 0 { number } else { architecture },
                libc::BPF_RET => return assert_eq!(line.k, verdict),
                _ => at += usize::from(if loaded == line.k { line.jt } else { line.jf }),
            }
        }
    }
}
