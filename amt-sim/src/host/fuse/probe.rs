//! Whether FUSE works here: tried by a child process that does everything but run a program.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::layout::Layout;
use super::namespace::{self, Failure, Step};
use super::system;
use crate::host::backend::Unavailable;

/// Tries it, and says precisely what stands in the way.
#[expect(unsafe_code, reason = "code between fork and exec")]
pub fn probe() -> Result<(), Unavailable> {
    let broken = |what: &str, error: &io::Error| Unavailable {
        reason: format!("{what}: {error}"),
        remedy: "check the limits of this user and of this container".to_owned(),
    };
    let layout = Layout::bare().map_err(|error| broken("/dev cannot be listed", &error))?;
    let (mut ours, mut theirs) =
        UnixStream::pair().map_err(|error| broken("a socket pair cannot be made", &error))?;
    let attempt = move || {
        let verdict = match namespace::enter(&layout) {
            Ok(_kernel) => [0; 5],
            Err(failure) => encode(failure),
        };
        theirs.write_all(&verdict)?;
        // Nothing is to be run.
        Err(io::Error::from_raw_os_error(libc::ECANCELED))
    };
    let mut command = Command::new("/nonexistent");
    // SAFETY: `enter` and `write_all` make raw system calls only.
    unsafe { command.pre_exec(attempt) };
    let spawned = command.spawn();
    drop(command); // The child's end with it: a child that never reported is an end of file.
    let mut verdict = [0; 5];
    let answer = ours.read_exact(&mut verdict);
    match (answer, decode(verdict)) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(failure)) => Err(explain(failure, &Surroundings::look())),
        (Err(_), _) => Err(broken(
            "a child process cannot be started",
            &spawned.map_or_else(|error| error, |_| io::ErrorKind::Other.into()),
        )),
    }
}

/// Byte 0 is 1 plus the step's place, bytes 1 to 4 the errno; all zero is success.
fn encode(failure: Failure) -> [u8; 5] {
    let [a, b, c, d] = failure.errno.to_ne_bytes();
    [failure.step as u8 + 1, a, b, c, d]
}

fn decode([step, errno @ ..]: [u8; 5]) -> Option<Failure> {
    let step = *Step::ALL.get(usize::from(step.checked_sub(1)?))?;
    Some(Failure {
        step,
        errno: i32::from_ne_bytes(errno),
    })
}

/// The settings that forbid namespaces, where they exist.
#[derive(Debug, Default)]
struct Surroundings {
    root: bool,
    /// `kernel.unprivileged_userns_clone` (Debian, Arch).
    userns_clone: Option<u64>,
    /// `user.max_user_namespaces`.
    max_user_namespaces: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu 23.10 and later).
    apparmor_restricts: Option<u64>,
}

impl Surroundings {
    fn look() -> Self {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        Self {
            root: system::user() == 0,
            userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            apparmor_restricts: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        }
    }

    /// The setting that is to blame when namespaces are refused.
    fn culprit(&self) -> Option<(&'static str, &'static str)> {
        if self.max_user_namespaces == Some(0) {
            let remedy = "as root: sysctl -w user.max_user_namespaces=10000";
            return Some(("user.max_user_namespaces is 0", remedy));
        }
        if self.root {
            return None;
        }
        if self.userns_clone == Some(0) {
            let remedy = "as root: sysctl -w kernel.unprivileged_userns_clone=1";
            return Some(("kernel.unprivileged_userns_clone is 0", remedy));
        }
        if self.apparmor_restricts == Some(1) {
            let remedy =
                "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run as root";
            return Some(("kernel.apparmor_restrict_unprivileged_userns is 1", remedy));
        }
        None
    }
}

const CONTAINER: &str = "inside a container, start it with --device /dev/fuse --cap-add SYS_ADMIN \
     --security-opt apparmor=unconfined, or take the seccomp back end";

fn explain(failure: Failure, around: &Surroundings) -> Unavailable {
    let Failure { step, errno } = failure;
    let error = io::Error::from_raw_os_error(errno);
    let refused = matches!(errno, libc::EPERM | libc::EACCES | libc::ENOSPC);
    let (reason, remedy) = match (step, errno) {
        (Step::OpenFuse, libc::ENOENT | libc::ENODEV | libc::ENXIO) => (
            "the kernel offers no /dev/fuse".to_owned(),
            "load the module as root (`modprobe fuse`); inside a container, pass the device in with \
             --device /dev/fuse",
        ),
        (Step::OpenFuse, libc::EACCES) => (
            "/dev/fuse may not be opened by this user".to_owned(),
            "as root: chmod 0666 /dev/fuse, as udev does on most distributions; or run as root",
        ),
        (Step::OpenFuse, libc::EPERM) => (
            "the container's device rules forbid /dev/fuse".to_owned(),
            CONTAINER,
        ),
        (Step::MountFuse, libc::ENODEV) => (
            "the kernel has no FUSE file system".to_owned(),
            "load the module as root (`modprobe fuse`)",
        ),
        (Step::Mirror, libc::ENOSYS) => (
            "the kernel is older than Linux 5.2, or a sandbox hides open_tree(2)".to_owned(),
            "take the seccomp back end",
        ),
        (Step::Namespaces, libc::ENOSYS | libc::EINVAL) => (
            "the kernel has no user namespaces".to_owned(),
            "run as root, or take the seccomp back end",
        ),
        _ if refused && let Some((setting, remedy)) = around.culprit() => {
            (format!("{}: {setting}", what_failed(step)), remedy)
        }
        _ if refused => (format!("{}: {error}", what_failed(step)), CONTAINER),
        _ => (
            format!("{}: {error}", what_failed(step)),
            "take the seccomp back end",
        ),
    };
    Unavailable {
        reason,
        remedy: remedy.to_owned(),
    }
}

fn what_failed(step: Step) -> &'static str {
    match step {
        Step::Namespaces => "namespaces cannot be made",
        Step::Identity => "the user namespace may not have this user in it",
        Step::Privacy => "the mounts cannot be made private",
        Step::OpenFuse => "/dev/fuse cannot be opened",
        Step::Mirror => "/dev cannot be replaced",
        Step::MountFuse => "FUSE cannot be mounted",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_failure_survives_the_way_to_the_parent() {
        for step in Step::ALL {
            let failure = Failure { step, errno: 13 };
            assert_eq!(decode(encode(failure)), Some(failure));
        }
        assert_eq!(decode([0; 5]), None);
        assert_eq!(decode([200, 1, 0, 0, 0]), None);
    }

    #[test]
    fn an_attempt_leaves_no_trace() {
        let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
        let before = mounts();
        if let Err(why) = probe() {
            println!("does not work here: {why}");
        }
        assert_eq!(mounts(), before);
    }

    #[rstest]
    #[case::no_module(
        Step::OpenFuse,
        libc::ENOENT,
        Surroundings::default(),
        "no /dev/fuse",
        "modprobe"
    )]
    #[case::not_readable(
        Step::OpenFuse,
        libc::EACCES,
        Surroundings::default(),
        "this user",
        "0666"
    )]
    #[case::device_rules(
        Step::OpenFuse,
        libc::EPERM,
        Surroundings::default(),
        "container",
        "--device"
    )]
    #[case::debian(
        Step::Namespaces, libc::EPERM,
        Surroundings { userns_clone: Some(0), ..Default::default() },
        "kernel.unprivileged_userns_clone is 0", "sysctl"
    )]
    #[case::limit(
        Step::Namespaces, libc::ENOSPC,
        Surroundings { max_user_namespaces: Some(0), ..Default::default() },
        "user.max_user_namespaces is 0", "sysctl"
    )]
    #[case::ubuntu(
        Step::Identity, libc::EACCES,
        Surroundings { apparmor_restricts: Some(1), max_user_namespaces: Some(9), ..Default::default() },
        "kernel.apparmor_restrict_unprivileged_userns is 1", "sysctl"
    )]
    #[case::root_is_not_restricted_by_apparmors_setting(
        Step::Namespaces, libc::EPERM,
        Surroundings { apparmor_restricts: Some(1), root: true, ..Default::default() },
        "namespaces cannot be made", "SYS_ADMIN"
    )]
    #[case::docker(
        Step::Namespaces,
        libc::EPERM,
        Surroundings::default(),
        "not permitted",
        "SYS_ADMIN"
    )]
    #[case::old_kernel(Step::Mirror, libc::ENOSYS, Surroundings::default(), "5.2", "seccomp")]
    fn the_reason_names_the_setting_and_the_remedy_changes_it(
        #[case] step: Step,
        #[case] errno: i32,
        #[case] around: Surroundings,
        #[case] reason: &str,
        #[case] remedy: &str,
    ) {
        let found = explain(Failure { step, errno }, &around);
        assert!(found.reason.contains(reason), "{found}");
        assert!(found.remedy.contains(remedy), "{found}");
    }
}
