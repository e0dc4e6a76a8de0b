//! The FUSE front end as programs meet it: this binary starts itself again, in another role, under it.
//!
//! Where the machine does not allow it the tests say why and pass.
#![expect(unsafe_code, reason = "system calls as a C program makes them")]
#![expect(clippy::unwrap_used, reason = "a broken promise is a panic")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use amt_sim::host::fuse::{self, Options};
use amt_sim::host::{Running, SharedDevice};
use amt_sim::{ClientKind, Event};
use rstest::rstest;

use contract::Mei;
use contract::program::{
    self, ROLE, Role, command, device, last_line, opened_and_closed, say, until, until_all_asleep,
    until_it_says,
};

mod contract;

/// What this binary does when it is started under the front end.
const ROLES: &[Role] = &[
    ("daemon", role_daemon),
    ("supervisor", role_supervisor),
    ("orphan", role_orphan),
    ("identity", role_identity),
    ("surroundings", role_surroundings),
    ("sysfs", role_sysfs),
];

/// Not a test: the way in for the program under test.
#[test]
fn role() {
    program::play(ROLES);
}

/// False, and a word about it, where the front end cannot be used.
fn usable() -> bool {
    program::usable(fuse::probe())
}

fn launch(command: Command, device: &SharedDevice, options: Options) -> Running {
    fuse::launch(command, device, options).unwrap()
}

fn succeeds(command: Command, options: Options) {
    program::succeeds(command, |command, device| launch(command, device, options));
}

#[test]
fn the_contract_is_kept() {
    if !usable() {
        return;
    }
    for (name, _) in contract::CHECKS {
        println!("{name}");
        succeeds(command(name), Options::default());
    }
}

/// What the contract looks like to somebody who may not mount: a user namespace of one's own.
#[test]
fn the_contract_is_kept_in_a_user_namespace() {
    if !usable() {
        return;
    }
    for (name, _) in contract::CHECKS {
        println!("{name}");
        let mut command = command(name);
        without_the_right_to_mount(&mut command);
        succeeds(command, Options::default());
    }
}

/// Takes CAP_SYS_ADMIN from the child; who has not got it in the first place is not changed.
fn without_the_right_to_mount(command: &mut Command) {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let act = || {
        let mut header = Header {
            version: 0x2008_0522,
            pid: 0,
        };
        // Effective, permitted, inheritable: for the lower and the upper 32 capabilities.
        let mut sets = [[0u32; 3]; 2];
        // SAFETY: the layouts are those of capget(2), version 3.
        unsafe {
            if libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            const CAP_SYS_ADMIN: u32 = 21;
            for set in &mut sets[0] {
                *set &= !(1 << CAP_SYS_ADMIN);
            }
            if libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) != 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: two system calls on local memory.
    unsafe { command.pre_exec(act) };
}

#[rstest]
#[case(false)]
#[case(true)]
fn the_program_is_who_it_was_unless_it_asks_to_be_root(#[case] as_root: bool) {
    if !usable() {
        return;
    }
    // SAFETY: no pointers.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    let want = if as_root { (0, 0) } else { (uid, gid) };
    for may_mount in [true, false] {
        let mut command = command("identity");
        if !may_mount {
            without_the_right_to_mount(&mut command);
        }
        command.env("WANT", format!("{} {}", want.0, want.1));
        let options = Options {
            as_root,
            ..Options::default()
        };
        succeeds(command, options);
    }
}

fn role_identity() {
    // SAFETY: no pointers.
    let found = unsafe { format!("{} {}", libc::geteuid(), libc::getegid()) };
    assert_eq!(found, std::env::var("WANT").unwrap());
    assert!(!Mei::connected().round_trip().is_empty());
}

#[test]
fn the_rest_of_dev_is_as_it_was() {
    if !usable() {
        return;
    }
    let names: Vec<String> = std::fs::read_dir("/dev")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("mei"))
        .collect();
    for may_mount in [true, false] {
        let mut command = command("surroundings");
        command.env("WANT", names.join("\n")).current_dir("/dev");
        if !may_mount {
            without_the_right_to_mount(&mut command);
        }
        succeeds(command, Options::default());
    }
}

fn role_surroundings() {
    for name in std::env::var("WANT").unwrap().lines() {
        let path = Path::new("/dev").join(name);
        assert!(path.symlink_metadata().is_ok(), "{name} is missing");
    }
    // The working directory was in the old /dev.
    assert!(Path::new("mei0").exists());
    std::fs::write("/dev/null", "gone").unwrap();
    let mut noise = [0; 16];
    let mut random = std::fs::File::open("/dev/urandom").unwrap();
    random.read_exact(&mut noise).unwrap();
    // A terminal that did not exist when the program started.
    let (mut master, mut slave) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: two ints that outlive the call; null is allowed for the rest.
    let opened = unsafe {
        libc::openpty(
            &raw mut master,
            &raw mut slave,
            none,
            none.cast(),
            none.cast(),
        )
    };
    if Path::new("/dev/ptmx").exists() {
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the descriptor is open.
        assert_eq!(unsafe { libc::isatty(slave) }, 1);
    }
    let shared = format!("/dev/shm/amt-sim-test-{}", std::process::id());
    if std::fs::write(&shared, "x").is_ok() {
        std::fs::remove_file(shared).unwrap();
    }
}

#[test]
fn sysfs_shows_the_device() {
    if !usable() || !Path::new("/sys/class").is_dir() {
        return;
    }
    succeeds(command("sysfs"), Options::default());
}

fn role_sysfs() {
    let read = |name: &str| std::fs::read_to_string(format!("/sys/class/mei/mei0/{name}")).unwrap();
    assert_eq!(read("kind"), "mei\n");
    assert_eq!(read("dev_state"), "ENABLED");
    assert_eq!(read("fw_ver").lines().count(), 3);
    assert!(read("fw_ver").starts_with("0:15.0.35.2039\n"));
    assert_eq!(read("fw_status").len(), 54);
    assert_eq!(read("hbm_ver"), "2.2\n");
    assert_eq!(read("tx_queue_limit"), "50\n");
    // What else is there is still there.
    assert!(Path::new("/sys/class/mem").exists() || Path::new("/sys/class/net").exists());
}

#[test]
fn nothing_is_left_and_nothing_leaks() {
    if !usable() {
        return;
    }
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let there_before = Path::new("/dev/mei0").exists();
    let device = device();
    let mut command = command("read");
    command.stdout(Stdio::piped());
    let mut running = launch(command, &device, Options::default());
    until_it_says(&mut running, "reading");
    assert_eq!(mounts(), before, "while it runs");
    assert_eq!(Path::new("/dev/mei0").exists(), there_before);
    running.child().kill().unwrap();
    running.wait().unwrap();
    until(|| running.is_idle());
    assert_eq!(mounts(), before, "after it has ended");
}

#[rstest]
#[case("read")]
#[case("fill")]
fn a_killed_program_gives_its_handles_back(#[case] role: &str) {
    if !usable() {
        return;
    }
    let device = device();
    let mut command = command(role);
    command.stdout(Stdio::piped());
    let mut running = launch(command, &device, Options::default());
    until_it_says(&mut running, "reading");
    until_all_asleep(running.child().id());
    running.child().kill().unwrap();
    let status = running.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    until(|| running.is_idle());
    running.stop().unwrap();
    assert_eq!(opened_and_closed(&device), (1, 1));
}

#[test]
fn stopping_takes_the_device_away() {
    if !usable() {
        return;
    }
    let device = device();
    let mut command = command("orphan");
    command.stdout(Stdio::piped());
    let mut running = launch(command, &device, Options::default());
    until_it_says(&mut running, "reading");
    until_all_asleep(running.child().id());
    let mut child = running.child().stdout.take().unwrap();
    running.stop().unwrap();
    let mut text = String::new();
    child.read_to_string(&mut text).unwrap();
    assert_eq!(last_line(&text), ORPHANED);
}

/// A blocked read is aborted, the open file is of no use any more, and a new one cannot be had.
fn role_orphan() {
    let mei = Mei::connected();
    say("reading");
    let read = mei.read(64).unwrap_err();
    let write = mei.write(&[0; 12]).unwrap_err();
    let open = match Mei::open_with("/dev/mei0", libc::O_RDWR) {
        Ok(_) => 0,
        Err(errno) => errno,
    };
    say(&format!("{read} {write} {open}"));
    // Not the summary of a test: the pipe may have nobody at its other end.
    std::process::exit(0);
}

/// ECONNABORTED, then ENOTCONN twice.
const ORPHANED: &str = "103 107 107";

#[test]
fn a_daemon_is_served_after_the_program_has_ended() {
    if !usable() {
        return;
    }
    let device = device();
    let mut command = command("daemon");
    command.stdout(Stdio::piped());
    let mut running = launch(command, &device, Options::default());
    let mut output = running.child().stdout.take().unwrap();
    let status = running.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(!running.is_idle());
    let mut text = String::new();
    // Ends when the daemon ends.
    output.read_to_string(&mut text).unwrap();
    assert_eq!(last_line(&text), "served", "{text}");
    until(|| running.is_idle());
    running.stop().unwrap();
}

fn role_daemon() {
    program::daemon(|| {
        let mei = Mei::connected();
        for _ in 0..10 {
            assert!(!mei.round_trip().is_empty());
        }
    });
}

/// The supervisor is killed: nobody may hang, on whatever they wait.
#[test]
fn a_killed_supervisor_leaves_nobody_waiting() {
    if !usable() {
        return;
    }
    let mut supervisor = command("supervisor")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
    let (mut orphan, mut reading) = (None, false);
    while orphan.is_none() || !reading {
        let line = lines.next().unwrap().unwrap();
        orphan = orphan.or_else(|| line.strip_prefix("orphan ")?.parse().ok());
        reading |= line == "reading";
    }
    until_all_asleep(orphan.unwrap());
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(rest.last().map(String::as_str), Some(ORPHANED), "{rest:?}");
}

/// Supervises a shell whose child outlives it.
fn role_supervisor() {
    let device = device();
    let mut shell = Command::new("/bin/sh");
    let program = "\"$0\" --exact role --nocapture & printf '\\norphan %s\\n' $!; wait";
    shell
        .args(["-c", program])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, "orphan");
    let mut running = launch(shell, &device, Options::default());
    running.wait().unwrap();
}

#[test]
fn a_program_that_is_not_there_is_reported_at_once() {
    if !usable() {
        return;
    }
    let device = device();
    let missing = Command::new("/nonexistent/program");
    let error = fuse::launch(missing, &device, Options::default()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn two_programs_share_one_device_or_have_one_each() {
    if !usable() {
        return;
    }
    let (first, second) = (device(), device());
    let start = |device: &SharedDevice| {
        let mut command = command("read");
        command.stdout(Stdio::piped());
        let mut running = launch(command, device, Options::default());
        until_it_says(&mut running, "reading");
        running
    };
    let mut programs = [start(&first), start(&first), start(&second)];
    let opened = |device: &SharedDevice| {
        device.with(None, |device| {
            let opened = |entry: &&amt_sim::Entry| matches!(entry.event, Event::Opened { .. });
            device.journal().filter(opened).count()
        })
    };
    assert_eq!((opened(&first), opened(&second)), (2, 1));
    // A reset reaches the readers of its own device only.
    first.with(None, |device| device.mei_reset("test"));
    let ended: Vec<ExitStatus> = programs[..2]
        .iter_mut()
        .map(|program| program.wait().unwrap())
        .collect();
    assert!(
        ended
            .iter()
            .all(|status| status.code() == Some(libc::ENODEV))
    );
    assert!(!programs[2].is_idle());
    let lme = second.with(None, |device| {
        let handle = device.mei_open().unwrap();
        device.mei_connect(handle, ClientKind::Lme.guid()).is_ok()
    });
    assert!(lme);
}
