//! The contract of `/dev/mei0` through every back end, as root and as nobody.
//!
//! Each row starts this test program once more as the user in question (`driver`), which runs `amt-sim contract` under
//! the back end and hands on what it prints. A back end that does not work here is skipped, with its reason.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a broken promise is a panic")]
#![expect(
    unsafe_code,
    reason = "asks who we are, and kills what a failed test leaves"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amt_sim::device::Profile;
use amt_sim::host::SharedDevice;
use amt_sim::host::backend::{self, Backend, Options};
use amt_sim::host::contract::ARMED;
use amt_sim::host::port::{MeiPort, NodePort, PortError};
use amt_sim::{ClientKind, Device, Errno, Event, Guid, Rules};
use rstest::rstest;
use serde::Deserialize;

/// Who the supervisor and the program are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Both root.
    Root,
    /// Both an unprivileged user.
    Nobody,
    /// A root supervisor whose program is an unprivileged user.
    RootForNobody,
    /// Both root without CAP_SYS_ADMIN, which is what root in a container is.
    Confined,
}

/// A promise that a back end cannot keep. One that passes all the same fails the test: the list must stay true.
struct Deviation {
    backend: Backend,
    check: &'static str,
    reason: &'static str,
}

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        backend: Backend::Cuse,
        check: "contract.io.no-seek",
        reason: "Linux fs/fuse/cuse.c says yes to every lseek and does nothing",
    },
    Deviation {
        backend: Backend::Fuse,
        check: "contract.open.fstat",
        reason: REGULAR,
    },
    Deviation {
        backend: Backend::Fuse,
        check: "contract.open.stat-type",
        reason: REGULAR,
    },
];

const REGULAR: &str =
    "FUSE can only be mounted on a file of its own kind: the open of a special file goes past it";

const DRIVER: &str = "AMT_SIM_CONTRACT_DRIVER";
/// What is wrong with the driver's device: `without RULE` or `fault FAULT`.
const SPOILT: &str = "AMT_SIM_CONTRACT_SPOILT";

const PORT: &str = "AMT_SIM_CONTRACT_PORT";

const NOBODY: u32 = 65534;

/// How long a supervisor's death may take to reach the program.
const PATIENCE: Duration = Duration::from_secs(10);

fn is_root() -> bool {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Programs in a place that everybody may read, whatever the umask and wherever the checkout is.
struct Programs(PathBuf);

impl Programs {
    fn copy() -> Self {
        use std::os::unix::fs::PermissionsExt;
        use std::sync::atomic::AtomicU32;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("amt-sim-contract-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let open_to_all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&folder, open_to_all.clone()).unwrap();
        let driver = std::env::current_exe().unwrap();
        for (from, to) in [
            (driver.as_path(), "driver"),
            (Path::new(env!("CARGO_BIN_EXE_amt-sim")), "amt-sim"),
        ] {
            fs::copy(from, folder.join(to)).unwrap();
            fs::set_permissions(folder.join(to), open_to_all.clone()).unwrap();
        }
        Self(folder)
    }

    /// A driver process that supervises `amt-sim contract` with these arguments.
    fn drive(&self, who: Who, backend: Backend, arguments: &str) -> Command {
        let mut command = Command::new(self.0.join("driver"));
        command
            .args(["--exact", "driver", "--nocapture", "--test-threads=1"])
            .env(DRIVER, format!("{backend} {who:?} {arguments}"))
            .current_dir("/");
        match who {
            Who::Nobody if is_root() => {
                command.uid(NOBODY).gid(NOBODY);
            }
            Who::Confined => {
                const CAP_SYS_ADMIN: libc::c_ulong = 21;
                let confine = || {
                    // What is not in the bounding set is not given back at exec.
                    // SAFETY: no pointers.
                    match unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) } {
                        0 => Ok(()),
                        _ => Err(std::io::Error::last_os_error()),
                    }
                };
                // SAFETY: one system call and no allocation.
                unsafe { command.pre_exec(confine) };
            }
            Who::Nobody | Who::Root | Who::RootForNobody => {}
        }
        command
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Not a test of its own: what the others start.
#[test]
fn driver() {
    let Ok(order) = std::env::var(DRIVER) else {
        return;
    };
    let mut words = order.split(' ');
    let backend: Backend = words.next().unwrap().parse().unwrap();
    let for_nobody = words.next() == Some("RootForNobody");
    if let Err(why) = backend.probe() {
        println!("\nunavailable: {why}");
        return;
    }
    let profile = Profile::builtin("tiger-lake-15")
        .and_then(|profile| profile.with("mei.clients.amthi.connections", "16"))
        .and_then(|profile| profile.with("timings.mei_reset_ms", "30"))
        .and_then(|profile| profile.with("timings.mei_reply_ms", "1"))
        .unwrap();
    let mut device = Device::of(Arc::new(profile)).fault(ARMED.parse().unwrap());
    let mut rules = Rules::default();
    match std::env::var(SPOILT)
        .ok()
        .as_deref()
        .and_then(|text| text.split_once(' '))
    {
        Some(("without", rule)) => rules.knock_out(rule).unwrap(),
        Some((_, fault)) => device = device.fault(fault.parse().unwrap()),
        None => {}
    }
    let device = SharedDevice::new(device.rules(rules).build().unwrap());
    let open = Arc::new(AtomicI64::new(0));
    let count = Arc::clone(&open);
    device.add_sink(Box::new(move |entries| {
        for entry in entries {
            match entry.event {
                Event::Opened { .. } => count.fetch_add(1, Ordering::Relaxed),
                Event::Closed { .. } => count.fetch_sub(1, Ordering::Relaxed),
                _ => 0,
            };
        }
    }));
    let this = std::env::current_exe().unwrap();
    let arguments: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let mut command;
    if arguments == ["port"] {
        command = Command::new(this);
        command
            .args(["--exact", "port", "--nocapture"])
            .env(PORT, "node");
    } else {
        command = Command::new(this.with_file_name("amt-sim"));
        command.arg("contract").args(arguments);
    }
    if for_nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    let options = Options {
        look: true,
        ..Options::default()
    };
    println!();
    let mut running = match backend::run(&device, command, backend, &options) {
        Ok(running) => running,
        Err(why) if for_nobody => {
            println!("\nunavailable: {why}");
            return;
        }
        Err(why) => panic!("{why}"),
    };
    running.wait().unwrap();
    // Daemons live on; they are served until they are gone. A CUSE node serves whoever comes, until it is stopped.
    if backend != Backend::Cuse {
        let started = Instant::now();
        while !running.is_idle() && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(
            running.is_idle(),
            "the front end outlives everybody it serves"
        );
    }
    running.stop().unwrap();
    println!("\nleft open: {}", open.load(Ordering::Relaxed));
}

/// Not a test of its own: a program of ours that speaks MEI through the node.
#[test]
fn port() {
    if std::env::var_os(PORT).is_none() {
        return;
    }
    let node = NodePort::default();
    let nobody = node.connect(Guid::from_wire([7; 16])).unwrap_err();
    assert!(nobody.is(Errno::Enotty), "{nobody}");
    let mut amthi = node.connect(ClientKind::Amthi.guid()).unwrap();
    assert_eq!(amthi.properties().max_message, 5120);
    for _ in 0..3 {
        amthi
            .send(&[1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0])
            .unwrap();
    }
    for _ in 0..3 {
        assert_eq!(amthi.receive(PATIENCE).unwrap().len(), 32);
    }
    let none = amthi.receive(Duration::from_millis(5)).unwrap_err();
    assert!(matches!(none, PortError::Timeout(_)), "{none}");
    let long = amthi.send(&[0; 5121]).unwrap_err();
    assert!(long.is(Errno::Efbig), "{long}");
    let mut trigger = node.connect(ClientKind::Hotham.guid()).unwrap();
    let down = trigger.send(&[0, 0xee, 0, 0]).unwrap_err();
    assert!(down.is(Errno::Enodev), "{down}");
    let down = amthi.receive(PATIENCE).unwrap_err();
    assert!(down.is(Errno::Enodev), "{down}");
    println!("\nthe port works");
}

#[rstest]
fn programs_of_ours_speak_through_the_node(
    #[values(Backend::Cuse, Backend::Fuse, Backend::Seccomp)] backend: Backend,
) {
    let _alone = alone(backend);
    let programs = Programs::copy();
    let output = programs.drive(Who::Root, backend, "port").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    if let Some(why) = printed
        .lines()
        .find_map(|line| line.strip_prefix("unavailable: "))
    {
        return skipped(Who::Root, backend, why);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("the port works"), "{printed}{errors}");
}

/// One line of `amt-sim contract --json`.
#[derive(Debug, Deserialize)]
struct Line {
    id: String,
    text: String,
    outcome: String,
    expected: Option<String>,
    actual: Option<String>,
    reason: Option<String>,
}

fn skipped(who: Who, backend: Backend, why: &str) {
    println!("skipped: {backend} as {who:?}: {why}");
}

/// Why this row says nothing here.
fn cannot_run(who: Who, backend: Backend) -> Option<&'static str> {
    if who != Who::Nobody && !is_root() {
        return Some("needs root");
    }
    // As the real one, which is why agents run as root.
    (backend == Backend::Cuse && who == Who::RootForNobody).then_some("the node is root's alone")
}

/// CUSE shows its node to the whole machine, so there can be one at a time.
fn alone(backend: Backend) -> Option<MutexGuard<'static, ()>> {
    static CUSE: Mutex<()> = Mutex::new(());
    (backend == Backend::Cuse).then(|| CUSE.lock().unwrap_or_else(PoisonError::into_inner))
}

#[rstest]
fn every_promise_is_kept(
    #[values(Backend::Cuse, Backend::Fuse, Backend::Seccomp)] backend: Backend,
    #[values(Who::Root, Who::Nobody, Who::RootForNobody, Who::Confined)] who: Who,
) {
    if let Some(why) = cannot_run(who, backend) {
        return skipped(who, backend, why);
    }
    let _alone = alone(backend);
    let programs = Programs::copy();
    let output = programs
        .drive(who, backend, "--json --armed")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    if let Some(why) = printed
        .lines()
        .find_map(|line| line.strip_prefix("unavailable: "))
    {
        return skipped(who, backend, why);
    }
    let mut wrong = Vec::new();
    let mut deviations: BTreeMap<&str, &str> = DEVIATIONS
        .iter()
        .filter(|deviation| deviation.backend == backend)
        .map(|deviation| (deviation.check, deviation.reason))
        .collect();
    let mut seen = 0;
    for line in printed.lines().filter(|line| line.starts_with('{')) {
        seen += 1;
        let line: Line = serde_json::from_str(line).unwrap();
        let known = deviations.remove(line.id.as_str());
        match (line.outcome.as_str(), known) {
            ("pass", None) | ("fail", Some(_)) => {}
            ("pass", Some(reason)) => wrong.push(format!(
                "{}: unexpected pass; take it off the list ({reason})",
                line.id
            )),
            ("fail", None) => wrong.push(format!(
                "{}: {}\n    expected {}\n    saw      {}",
                line.id,
                line.text,
                line.expected.unwrap_or_default(),
                line.actual.unwrap_or_default()
            )),
            (outcome, _) => wrong.push(format!(
                "{}: {outcome}: {}",
                line.id,
                line.reason.unwrap_or_default()
            )),
        }
    }
    wrong.extend(
        deviations
            .keys()
            .map(|check| format!("{check}: listed, but no such check ran")),
    );
    if seen == 0 || !printed.lines().any(|line| line == "left open: 0") {
        wrong.push(format!(
            "the driver: {seen} checks, {:?}\n{printed}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    assert!(
        wrong.is_empty(),
        "{backend} as {who:?}:\n{}",
        wrong.join("\n")
    );
}

/// A check that passes on a device that breaks its promise would check nothing.
#[rstest]
#[case("without device.mei.connection-limit", "contract.connect.limit")]
#[case("without device.mei.unknown-client", "contract.connect.unknown-client")]
#[case("without device.mei.message-too-long", "contract.io.too-long-write")]
#[case("without device.mei.not-connected", "contract.connect.write-before")]
#[case("without device.mei.not-connected", "contract.reset.read-write")]
#[case("fault answer:amthi=truncate-20", "contract.open.read-write")]
#[case("fault answer:amthi+2=truncate-20*1", "contract.io.boundaries")]
#[case("fault connect:amthi=EINVAL", "contract.connect.properties")]
#[case("fault open=EBUSY", "contract.open.again")]
#[case("fault read:amthi=EIO", "contract.io.blocking-read")]
#[case("fault write:amthi+1=reset", "contract.io.short-read")]
fn a_broken_promise_is_noticed(#[case] spoilt: &str, #[case] check: &str) {
    let backend = match backend::choose(None) {
        Ok(choice) => choice.backend,
        Err(why) => return println!("skipped: {why}"),
    };
    let _alone = alone(backend);
    let programs = Programs::copy();
    let output = programs
        .drive(Who::Root, backend, &format!("--json --armed {check}"))
        .env(SPOILT, spoilt)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let noticed = printed
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str::<Line>(line).unwrap())
        .any(|line| line.id == check && line.outcome == "fail");
    assert!(noticed, "{spoilt} passes {check}:\n{printed}");
}

/// Starts a supervisor, waits until its program holds the device, kills the supervisor.
fn kill_supervisor(
    programs: &Programs,
    who: Who,
    backend: Backend,
    arguments: &str,
) -> Option<Orphan> {
    let mut command = programs.drive(who, backend, arguments);
    let mut supervisor = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(supervisor.stdout.take().unwrap());
    let mut heard = String::new();
    let process = loop {
        let start = heard.len();
        let length = lines.read_line(&mut heard).unwrap();
        assert_ne!(length, 0, "the program does not get ready:\n{heard}");
        let line = heard[start..].trim();
        if let Some(why) = line.strip_prefix("unavailable: ") {
            skipped(who, backend, why);
            supervisor.wait().unwrap();
            return None;
        }
        if let Some(process) = line.strip_prefix("ready ") {
            break process.parse().unwrap();
        }
    };
    // Time to block in the read.
    std::thread::sleep(Duration::from_millis(50));
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    Some(Orphan {
        process,
        lines,
        _supervisor: supervisor,
    })
}

struct Orphan {
    process: u32,
    lines: BufReader<std::process::ChildStdout>,
    _supervisor: Child,
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if !self.is_gone() {
            // SAFETY: no pointers; the process is still there, so the number is its own.
            unsafe { libc::kill(self.process as libc::pid_t, libc::SIGKILL) };
        }
    }
}

impl Orphan {
    fn is_gone(&self) -> bool {
        // A zombie is gone, too: whoever inherited it may be in no hurry to reap.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process));
        stat.map_or(true, |stat| stat.contains(") Z ") || stat.contains(") X "))
    }

    fn must_go(&self) {
        let started = Instant::now();
        while !self.is_gone() {
            assert!(
                started.elapsed() < PATIENCE,
                "process {} lives on",
                self.process
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[rstest]
fn the_program_dies_with_its_supervisor(
    #[values(Backend::Cuse, Backend::Fuse, Backend::Seccomp)] backend: Backend,
    #[values(Who::Root, Who::Nobody, Who::RootForNobody, Who::Confined)] who: Who,
) {
    if let Some(why) = cannot_run(who, backend) {
        return skipped(who, backend, why);
    }
    let _alone = alone(backend);
    let programs = Programs::copy();
    if let Some(orphan) = kill_supervisor(&programs, who, backend, "--hold") {
        orphan.must_go();
    }
}

#[rstest]
fn a_daemon_that_outlives_the_supervisor_is_not_left_hanging(
    #[values(Backend::Cuse, Backend::Fuse, Backend::Seccomp)] backend: Backend,
    #[values(Who::Root, Who::Nobody, Who::Confined)] who: Who,
) {
    if let Some(why) = cannot_run(who, backend) {
        return skipped(who, backend, why);
    }
    let _alone = alone(backend);
    let programs = Programs::copy();
    if let Some(mut orphan) = kill_supervisor(&programs, who, backend, "--hold --detached") {
        orphan.must_go();
        let mut rest = String::new();
        orphan.lines.read_to_string(&mut rest).unwrap();
        println!("{backend} as {who:?}: {}", rest.trim());
        assert!(rest.contains("ended Ok(\"E"), "{rest}");
    }
}
