//! The program under test, which is this test program once more in another role, and whoever starts it.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use amt_sim::device::Fault;
use amt_sim::host::backend::Unavailable;
use amt_sim::host::{Running, SharedDevice};
use amt_sim::{Device, Event, Profile};

use super::{CHECKS, Mei, REQUEST};

/// Tells the program under test its role.
pub const ROLE: &str = "AMT_SIM_TEST_ROLE";

/// What the program under test does when it is told so: a name and what it stands for.
pub type Role = (&'static str, fn());

/// Roles for every front end, beside [`CHECKS`].
const COMMON: &[Role] = &[("read", read), ("fill", fill)];

/// Acts, if this program was told to: as a check of the contract, a role of every front end, or one of `roles`.
pub fn play(roles: &[Role]) {
    let Ok(name) = std::env::var(ROLE) else {
        return;
    };
    let (_, act) = CHECKS
        .iter()
        .chain(COMMON)
        .chain(roles)
        .find(|(known, _)| *known == name)
        .unwrap();
    act();
}

/// This program in a role. The test that plays it is called `role`.
pub fn command(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "role", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::null());
    command
}

/// As the contract wants it: connections for every thread, and a way to reset the link from inside.
pub fn device() -> SharedDevice {
    let profile = Profile::builtin("tiger-lake-15")
        .and_then(|profile| profile.with("mei.clients.amthi.connections", "16"))
        .unwrap();
    let fault: Fault = "write:watchdog=reset*1".parse().unwrap();
    SharedDevice::new(Device::of(Arc::new(profile)).fault(fault).build().unwrap())
}

/// False, and a word about it, where the front end cannot be used.
pub fn usable(probed: Result<(), Unavailable>) -> bool {
    match probed {
        Ok(()) => true,
        Err(unavailable) => {
            println!("skipped: {unavailable}");
            false
        }
    }
}

/// Runs to the end, and says what it printed if that was not success.
pub fn succeeds(
    mut command: Command,
    launch: impl FnOnce(Command, &SharedDevice) -> Running,
) -> (Running, SharedDevice) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let device = device();
    let mut running = launch(command, &device);
    let mut text = String::new();
    let child = running.child();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    out.read_to_string(&mut text).unwrap();
    err.read_to_string(&mut text).unwrap();
    let status = running.wait().unwrap();
    assert!(status.success(), "{status}\n{text}");
    assert!(text.contains("1 passed"), "nothing was checked:\n{text}");
    (running, device)
}

/// How many handles were opened, and how many closed, as the journal has it.
pub fn opened_and_closed(device: &SharedDevice) -> (usize, usize) {
    device.with(None, |device| {
        let count = |wanted: fn(&Event) -> bool| {
            let entries = device.journal().filter(|entry| wanted(&entry.event));
            entries.count()
        };
        (
            count(|event| matches!(event, Event::Opened { .. })),
            count(|event| matches!(event, Event::Closed { .. })),
        )
    })
}

/// Says so, then waits for an answer that never comes; the exit status says how that ended.
fn read() {
    let mei = Mei::connected();
    say("reading");
    let errno = mei.read(64).unwrap_err();
    std::process::exit(errno);
}

fn fill() {
    let mei = Mei::connected();
    say("reading");
    while mei.write(&REQUEST).is_ok() {}
}

/// Ends at once and leaves a grandchild in a session of its own, which acts when the program is gone and then says so.
pub fn daemon(act: impl FnOnce()) -> ! {
    let (reads, writes) = std::io::pipe().unwrap();
    // SAFETY: the processes make system calls, and print.
    unsafe {
        if libc::fork() == 0 {
            libc::setsid();
            if libc::fork() != 0 {
                libc::_exit(0);
            }
            drop(writes);
            // Until the program is gone.
            let _ = (&reads).read(&mut [0]);
            act();
            say("served");
            libc::_exit(0);
        }
    }
    std::process::exit(0);
}

/// A line of its own, whatever the test harness has printed before.
pub fn say(text: &str) {
    println!("\n{text}");
}

pub fn until_it_says(running: &mut Running, word: &str) {
    let stdout = running.child().stdout.as_mut().unwrap();
    // Byte by byte: what follows stays in the pipe.
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended early");
        match byte {
            [b'\n'] if line == word.as_bytes() => return,
            [b'\n'] => line.clear(),
            [byte] => line.push(byte),
        }
    }
}

/// Until every thread of the process sleeps: after the word that it reads, in the device.
pub fn until_all_asleep(process: u32) {
    until(|| {
        std::fs::read_dir(format!("/proc/{process}/task"))
            .unwrap()
            .filter_map(Result::ok)
            .all(|task| {
                let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                stat.rsplit_once(") ")
                    .is_some_and(|(_, rest)| rest.starts_with('S'))
            })
    });
}

pub fn until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}
