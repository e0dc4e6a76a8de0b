//! The seccomp front end as programs meet it: this binary starts itself again, in another role, under it.
//!
//! Where the machine does not allow it the tests say why and pass.
#![expect(unsafe_code, reason = "system calls as a C program makes them")]
#![expect(clippy::unwrap_used, reason = "a broken promise is a panic")]

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amt_sim::ClientKind;
use amt_sim::host::backend::{self, Backend, Options};
use amt_sim::host::{Running, SharedDevice};
use rstest::rstest;

use contract::Mei;
use contract::program::{
    self, ROLE, Role, command, device, last_line, opened_and_closed, say, until, until_all_asleep,
    until_it_says,
};

#[path = "contract/mod.rs"]
mod contract;

/// What this binary does when it is started under the front end.
const ROLES: &[Role] = &[
    ("looks", looks),
    ("does_not_look", does_not_look),
    ("numbers", numbers),
    ("close_range", close_range),
    ("strays", strays),
    ("exec", exec),
    ("inherits", inherits),
    ("vectors", vectors),
    ("not_a_socket", not_a_socket),
    ("other_files", other_files),
    ("alarms", alarms),
    ("who", who),
    ("nested", nested),
    ("many", many),
    ("shared", shared),
    ("daemon", daemon),
    ("left", left),
    ("supervisor", supervisor),
    ("low_limit", low_limit),
    ("connects_again", connects_again),
];

/// Not a test: the way in for the program under test.
#[test]
fn role() {
    program::play(ROLES);
}

/// False, and a word about it, where the front end cannot be used.
fn usable() -> bool {
    program::usable(Backend::Seccomp.probe())
}

const LOOK: Options = Options {
    as_root: false,
    look: true,
};

fn launch(command: Command, device: &SharedDevice, options: Options) -> Running {
    backend::run(device, command, Backend::Seccomp, &options).unwrap()
}

/// Runs to the end, and looks that nothing is left behind.
fn succeeds(command: Command, options: Options) {
    let (running, device) =
        program::succeeds(command, |command, device| launch(command, device, options));
    ends_without_handles(running, &device);
}

fn ends_without_handles(running: Running, device: &SharedDevice) {
    until(|| running.is_idle());
    running.stop().unwrap();
    assert_eq!(handles(device), 0, "handles are left open");
}

/// Opened and not closed, as the journal has it.
fn handles(device: &SharedDevice) -> usize {
    let (opened, closed) = opened_and_closed(device);
    opened - closed
}

#[test]
fn the_contract_is_kept() {
    if !usable() {
        return;
    }
    for (name, _) in contract::CHECKS {
        println!("{name}");
        succeeds(command(name), LOOK);
    }
}

#[rstest]
#[case::looks("looks", true)]
#[case::does_not_look("does_not_look", false)]
#[case::numbers("numbers", true)]
#[case::close_range("close_range", true)]
#[case::strays("strays", true)]
#[case::exec("exec", true)]
#[case::vectors("vectors", true)]
#[case::not_a_socket("not_a_socket", true)]
#[case::other_files("other_files", true)]
#[case::alarms("alarms", true)]
#[case::many("many", true)]
#[case::shared("shared", true)]
#[case::nested("nested", true)]
#[case::low_limit("low_limit", true)]
#[case::connects_again("connects_again", true)]
fn programs_find(#[case] role: &str, #[case] look: bool) {
    if usable() {
        let options = Options {
            look,
            ..Options::default()
        };
        succeeds(command(role), options);
    }
}

fn looks() {
    let is_device = |metadata: std::fs::Metadata| {
        assert!(metadata.file_type().is_char_device());
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert_ne!(metadata.rdev(), 0);
    };
    std::env::set_current_dir("/dev").unwrap();
    for path in ["/dev/mei0", "/dev/mei", "mei0", "/dev/../dev//mei0"] {
        is_device(std::fs::metadata(path).unwrap());
        is_device(std::fs::symlink_metadata(path).unwrap());
        let error = std::fs::read_link(path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
    for path in ["/dev/mei1", "/tmp/mei0", "/mei0", "/dev/mei0/x"] {
        assert!(std::fs::metadata(path).is_err(), "{path}");
    }
    let mei = Mei::open();
    // SAFETY: the descriptor stays open while it is borrowed.
    let borrowed = unsafe { BorrowedFd::borrow_raw(mei.raw()) };
    is_device(
        std::fs::File::from(borrowed.try_clone_to_owned().unwrap())
            .metadata()
            .unwrap(),
    );
    // SAFETY: the structure is plain old data and outlives the calls.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        assert_eq!(libc::fstat(mei.raw(), &raw mut status), 0);
        assert_eq!(status.st_mode & libc::S_IFMT, libc::S_IFCHR);
        let path = c"/dev/mei0".as_ptr();
        assert_eq!(libc::access(path, libc::X_OK), -1);
        assert_eq!(libc::faccessat(libc::AT_FDCWD, path, libc::R_OK, 0), 0);
    }
}

fn does_not_look() {
    if !std::path::Path::new("/dev/mei0").exists() {
        assert!(std::fs::symlink_metadata("/dev/mei").is_err());
    }
    assert!(!Mei::connected().round_trip().is_empty());
}

/// Duplicates get numbers at which they are still recognised.
fn numbers() {
    let mei = Mei::connected();
    assert!((960..1024).contains(&mei.raw()));
    let answer = mei.round_trip();
    // SAFETY: no pointers.
    unsafe {
        let first = libc::dup(mei.raw());
        let second = libc::fcntl(mei.raw(), libc::F_DUPFD_CLOEXEC, 1000);
        assert!(second >= 1000);
        assert_eq!(libc::fcntl(second, libc::F_GETFD), libc::FD_CLOEXEC);
        let third = libc::dup2(mei.raw(), 1020);
        assert_eq!(third, 1020);
        assert_eq!(libc::dup2(mei.raw(), mei.raw()), mei.raw());
        let fourth = libc::dup3(mei.raw(), 1021, libc::O_CLOEXEC);
        assert_eq!(fourth, 1021);
        for fd in [first, second, third, fourth] {
            assert_eq!(exchange(fd), answer);
            assert_eq!(libc::close(fd), 0);
            assert_eq!(libc::fcntl(fd, libc::F_GETFD), -1);
        }
        // Over another open file, which is closed by it.
        let lme = Mei::open();
        lme.connect(ClientKind::Lme).unwrap();
        assert_eq!(libc::dup2(mei.raw(), lme.raw()), lme.raw());
        assert_eq!(lme.round_trip(), answer);
        assert_eq!(Mei::open().connect(ClientKind::Lme), Ok(()));
        // Over it with something else.
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(libc::dup2(null.as_raw_fd(), lme.raw()), lme.raw());
        assert_eq!(lme.read(10), Ok(Vec::new()));
        assert_eq!(libc::dup2(-1, mei.raw()), -1);
    }
    assert_eq!(mei.round_trip(), answer);
}

fn close_range() {
    let lme = Mei::open();
    lme.connect(ClientKind::Lme).unwrap();
    // SAFETY: no pointers.
    unsafe {
        let mark = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
        assert_eq!(libc::close_range(900, u32::MAX, mark), 0);
        assert_eq!(libc::fcntl(lme.raw(), libc::F_GETFD), libc::FD_CLOEXEC);
        assert_eq!(libc::close_range(900, u32::MAX, 0), 0);
        assert_eq!(libc::fcntl(lme.raw(), libc::F_GETFD), -1);
    }
    assert_eq!(Mei::open().connect(ClientKind::Lme), Ok(()));
    std::mem::forget(lme);
}

/// Moved to a number outside the window, as a shell does it.
fn strays() {
    let mei = Mei::connected();
    let answer = mei.round_trip();
    let lme = Mei::open();
    lme.connect(ClientKind::Lme).unwrap();
    // SAFETY: no pointers.
    unsafe {
        assert_eq!(libc::dup2(mei.raw(), 30), 30);
        assert_eq!(libc::dup2(lme.raw(), 31), 31);
    }
    for _ in 0..3 {
        assert_eq!(exchange(30), answer);
        assert_eq!(mei.round_trip(), answer);
    }
    // Written on one, read on the other, in parts where that is exact.
    mei.write(&contract::REQUEST).unwrap();
    mei.write(&contract::REQUEST).unwrap();
    assert_eq!(receive(30), answer);
    assert_eq!(mei.read(3).unwrap(), answer[..3]);
    assert_eq!(receive(30), answer[3..]);
    let mut poll = libc::pollfd {
        fd: 30,
        events: libc::POLLIN | libc::POLLOUT,
        revents: 0,
    };
    let mut seen = || {
        // SAFETY: the pointer is to one entry.
        unsafe { libc::poll(&raw mut poll, 1, 0) };
        poll.revents
    };
    assert_eq!(seen(), libc::POLLOUT);
    // It lives on at its new number.
    drop(mei);
    assert_eq!(exchange(30), answer);
    assert_eq!(seen(), libc::POLLOUT);
    let mut guid = ClientKind::Amthi.guid().to_wire();
    // SAFETY: IOCTL_MEI_CONNECT_CLIENT reads and writes sixteen bytes.
    let connected = unsafe { libc::ioctl(30, 0xC010_4801, guid.as_mut_ptr()) };
    assert_eq!((connected, errno()), (-1, libc::EBUSY));
    drop(lme);
    assert_eq!(Mei::open().connect(ClientKind::Lme), Err(libc::EBUSY));
    // Nobody sees this close at once.
    // SAFETY: no pointers.
    unsafe { libc::close(31) };
    while Mei::open().connect(ClientKind::Lme).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A signal can make the kernel drop the answer to a connect and restart the call. All that tells such a call from
/// a second connect is its argument: the first one's answer lies there, where a GUID should be.
fn connects_again() {
    let mei = Mei::open();
    let mut argument = ClientKind::Lme.guid().to_wire();
    assert_eq!(mei.ioctl(0xC010_4801, &mut argument), Ok(()));
    let answer = argument;
    assert_eq!(mei.ioctl(0xC010_4801, &mut argument), Ok(()));
    assert_eq!(argument, answer);
    argument = ClientKind::Lme.guid().to_wire();
    assert_eq!(mei.ioctl(0xC010_4801, &mut argument), Err(libc::EBUSY));
    argument = answer;
    assert_eq!(mei.ioctl(0xC010_4801, &mut argument), Err(libc::EBUSY));
}

/// What exec closes is closed when the new program begins; what it keeps is kept.
fn exec() {
    let keep = Mei::connected();
    let close = Mei::open_with("/dev/mei0", libc::O_RDWR | libc::O_CLOEXEC).unwrap();
    close.connect(ClientKind::Lme).unwrap();
    let mut command = command("inherits");
    command.env("KEPT", keep.raw().to_string());
    // Comes back only when it fails.
    assert_eq!(command.exec().raw_os_error(), None);
}

fn inherits() {
    let kept: i32 = std::env::var("KEPT").unwrap().parse().unwrap();
    assert!(!exchange(kept).is_empty());
    assert_eq!(Mei::open().connect(ClientKind::Lme), Ok(()));
}

/// Each segment written is a message; segments read share one.
fn vectors() {
    let mei = Mei::connected();
    let one = mei.round_trip();
    let part = |bytes: &[u8]| libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let request = contract::REQUEST;
    let parts = [part(&request), part(&request)];
    // SAFETY: the arrays describe buffers that outlive the calls.
    unsafe {
        let written = libc::writev(mei.raw(), parts.as_ptr(), 2);
        assert_eq!(written, 24);
        let (mut head, mut tail) = ([0u8; 5], vec![0u8; 5120]);
        let mut parts = [part(&head), part(&tail)];
        parts[0].iov_base = head.as_mut_ptr().cast();
        parts[1].iov_base = tail.as_mut_ptr().cast();
        for _ in 0..2 {
            let read = libc::readv(mei.raw(), parts.as_ptr(), 2);
            assert_eq!(usize::try_from(read), Ok(one.len()));
            assert_eq!(head, one[..5]);
            assert_eq!(tail[..one.len() - 5], one[5..]);
        }
        assert_eq!(libc::readv(mei.raw(), parts.as_ptr(), 2000), -1);
        assert_eq!(errno(), libc::EINVAL);
    }
}

fn not_a_socket() {
    let mei = Mei::connected();
    let mut byte = 0u8;
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: the pointer is to one writable byte.
    let got = unsafe { libc::recv(mei.raw(), (&raw mut byte).cast(), 1, flags) };
    assert_eq!((got, errno()), (-1, libc::ENOTSOCK));
    // Sockets are still sockets, also in the window.
    let (mut one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    // SAFETY: no pointers.
    let moved = unsafe { libc::dup2(other.as_raw_fd(), 1010) };
    std::io::Write::write_all(&mut one, b"x").unwrap();
    // SAFETY: the pointer is to one writable byte.
    let got = unsafe { libc::recv(moved, (&raw mut byte).cast(), 1, 0) };
    assert_eq!((got, byte), (1, b'x'));
}

/// Everything that is not the device is as it was.
fn other_files() {
    let path = std::env::temp_dir().join(format!("amt-sim-{}", std::process::id()));
    let path = path.join("mei0");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "an ordinary file").unwrap();
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "an ordinary file");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 16);
    // SAFETY: no pointers.
    let moved = unsafe { libc::dup2(file.as_raw_fd(), 970) };
    assert_eq!(moved, 970);
    let mut status = [0u8; 4];
    // SAFETY: a writable buffer of that size.
    let read = unsafe { libc::pread(970, status.as_mut_ptr().cast(), 4, 3) };
    assert_eq!((read, &status), (4, b"ordi"));
    // SAFETY: a readable buffer of that size.
    let written = unsafe { libc::write(970, b"!".as_ptr().cast(), 1) };
    assert_eq!(written, 1);
    let mei = Mei::connected();
    assert_ne!(mei.raw(), 970);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "an ordinary file!");
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    assert!(Mei::open_with("/dev/null", libc::O_RDWR).is_ok());
    assert_eq!(
        Mei::open_with("/dev/nothing", libc::O_RDWR).err(),
        Some(libc::ENOENT)
    );
    let exclusive = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    assert_eq!(
        Mei::open_with("/dev/mei0", exclusive).err(),
        Some(libc::EEXIST)
    );
}

static ALARMS: AtomicU32 = AtomicU32::new(0);

/// A signal every 200 microseconds, wherever it hits: each message arrives once and each answer comes once.
fn alarms() {
    extern "C" fn handler(_: libc::c_int) {
        ALARMS.fetch_add(1, Ordering::Relaxed);
    }
    for flags in [libc::SA_RESTART, 0] {
        // SAFETY: all zeros is a valid sigaction; the handler adds to a counter.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = flags;
            let none = std::ptr::null_mut();
            assert_eq!(libc::sigaction(libc::SIGALRM, &raw const action, none), 0);
        }
        let mei = retry(|| Mei::open_with("/dev/mei0", libc::O_RDWR));
        retry(|| mei.connect(ClientKind::Amthi));
        let one = mei.round_trip();
        alarm_every(200);
        for _ in 0..500 {
            retry(|| mei.write(&contract::REQUEST));
            assert_eq!(retry(|| mei.read(3)), one[..3]);
            assert_eq!(retry(|| mei.read(5120)), one[3..]);
        }
        alarm_every(0);
        mei.set_flags(libc::O_RDWR | libc::O_NONBLOCK);
        assert_eq!(mei.read(5120), Err(libc::EAGAIN), "an answer too many");
    }
    assert_ne!(ALARMS.load(Ordering::Relaxed), 0);
}

fn alarm_every(microseconds: libc::suseconds_t) {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: microseconds,
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: the structure outlives the call; the old value is not asked for.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

fn retry<T>(mut call: impl FnMut() -> Result<T, i32>) -> T {
    loop {
        match call() {
            Err(libc::EINTR) => {}
            other => return other.unwrap(),
        }
    }
}

#[rstest]
#[case(false)]
#[case(true)]
fn the_program_is_who_it_was_unless_it_asks_to_be_root(#[case] as_root: bool) {
    if !usable() {
        return;
    }
    // SAFETY: no pointers.
    let uid = unsafe { libc::getuid() };
    let mut command = command("who");
    // Whoever may shall not be root for this.
    let uid = if uid == 0 { 65534 } else { uid };
    command.uid(uid).gid(uid);
    command.env("WANT", if as_root { 0 } else { uid }.to_string());
    succeeds(
        command,
        Options {
            as_root,
            look: true,
        },
    );
}

fn who() {
    let want: u32 = std::env::var("WANT").unwrap().parse().unwrap();
    // SAFETY: no pointers.
    let found = unsafe {
        [
            libc::getuid(),
            libc::geteuid(),
            libc::getgid(),
            libc::getegid(),
        ]
    };
    assert_eq!(found, [want; 4]);
    assert_eq!(std::fs::metadata("/dev/mei0").unwrap().uid(), want);
    assert!(!Mei::connected().round_trip().is_empty());
}

/// One supervisor is the limit, and it is said in words.
fn nested() {
    let unavailable = Backend::Seccomp.probe().unwrap_err();
    assert!(unavailable.reason.contains("already"), "{unavailable}");
    let error = backend::run(&device(), Command::new("true"), Backend::Seccomp, &LOOK).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBUSY), "{error}");
    assert!(!Mei::connected().round_trip().is_empty());
}

fn many() {
    let all: Vec<Mei> = (0..64).map(|_| Mei::open()).collect();
    assert_eq!(
        Mei::open_with("/dev/mei0", libc::O_RDWR).err(),
        Some(libc::EMFILE)
    );
    drop(all);
    assert!(!Mei::connected().round_trip().is_empty());
}

/// Several threads on one file: each message goes to one of them.
fn shared() {
    let mei = Mei::connected();
    let one = mei.round_trip();
    let seen = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    mei.write(&contract::REQUEST).unwrap();
                    assert_eq!(mei.read(5120).unwrap(), one);
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(seen.into_inner(), 200);
}

/// A program whose limit is below the window is told so.
fn low_limit() {
    let limit = libc::rlimit {
        rlim_cur: 256,
        rlim_max: 4096,
    };
    // SAFETY: the structure outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(
        Mei::open_with("/dev/mei0", libc::O_RDWR).err(),
        Some(libc::EMFILE)
    );
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
    let mut running = launch(command, &device, LOOK);
    until_it_says(&mut running, "reading");
    until_all_asleep(running.child().id());
    assert_eq!(handles(&device), 1);
    running.child().kill().unwrap();
    let status = running.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    ends_without_handles(running, &device);
}

/// Programs that die in the middle of opening, again and again.
#[test]
fn programs_that_die_at_any_moment_leave_nothing_behind() {
    if !usable() {
        return;
    }
    let device = device();
    let mut shell = Command::new("/bin/sh");
    let script = "for pause in 00 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15; do \
                  \"$0\" --exact role --nocapture >/dev/null & child=$!; sleep 0.0$pause; kill -9 $child; wait; done";
    shell
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, "many")
        .stderr(Stdio::null());
    let mut running = launch(shell, &device, LOOK);
    running.wait().unwrap();
    ends_without_handles(running, &device);
}

#[test]
fn stopping_takes_the_device_away_and_nothing_else() {
    if !usable() {
        return;
    }
    let device = device();
    let mut command = command("left");
    command.stdout(Stdio::piped());
    let mut running = launch(command, &device, LOOK);
    until_it_says(&mut running, "reading");
    until_all_asleep(running.child().id());
    let mut output = running.child().stdout.take().unwrap();
    running.stop().unwrap();
    assert_eq!(handles(&device), 0);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(last_line(&text), "all is well", "{text}");
}

fn left() {
    let there_anyway = std::path::Path::new("/sys/class/mei").exists();
    let mei = Mei::connected();
    say("reading");
    assert_eq!(mei.read(64), Err(libc::ENODEV));
    assert_eq!(mei.write(&contract::REQUEST), Err(libc::ENODEV));
    assert_eq!(mei.connect(ClientKind::Amthi), Err(libc::ENODEV));
    assert_eq!(mei.poll(libc::POLLIN | libc::POLLOUT, -1), libc::POLLERR);
    if !there_anyway {
        let open = Mei::open_with("/dev/mei0", libc::O_RDWR);
        assert_eq!(open.err(), Some(libc::ENOENT));
    }
    drop(mei);
    assert!(Mei::open_with("/dev/null", libc::O_RDWR).is_ok());
    say("all is well");
    std::process::exit(0);
}

#[test]
fn a_daemon_is_served_after_the_program_has_ended() {
    if !usable() {
        return;
    }
    let device = device();
    let mut command = command("daemon");
    command.stdout(Stdio::piped());
    let mut running = launch(command, &device, LOOK);
    let mut output = running.child().stdout.take().unwrap();
    let status = running.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(!running.is_idle());
    let mut text = String::new();
    // Ends when the daemon ends.
    output.read_to_string(&mut text).unwrap();
    assert_eq!(last_line(&text), "served", "{text}");
    ends_without_handles(running, &device);
}

/// Opens, ends at once, and leaves a grandchild in a session of its own that uses what was opened.
fn daemon() {
    let mei = Mei::connected();
    program::daemon(|| {
        for _ in 0..10 {
            assert!(!mei.round_trip().is_empty());
            assert!(!Mei::connected().round_trip().is_empty());
        }
    });
}

/// The supervisor is killed: the program goes with it, and what it left in the background does not hang.
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
    let mut number = |word: &str| -> u32 {
        lines
            .find_map(|line| line.unwrap().strip_prefix(word)?.trim().parse().ok())
            .unwrap()
    };
    let program = number("program");
    let orphan = number("orphan");
    assert!(lines.any(|line| line.unwrap() == "reading"));
    until_all_asleep(orphan);
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    // The pipe ends when both are gone.
    for line in lines {
        line.unwrap();
    }
    assert!(!std::path::Path::new(&format!("/proc/{program}/exe")).exists());
}

/// Supervises a shell whose child waits in the device.
fn supervisor() {
    let device = device();
    let mut shell = Command::new("/bin/sh");
    let program = "printf '\\nprogram %s\\n' $$; \"$0\" --exact role --nocapture & printf '\\norphan %s\\n' $!; wait";
    shell
        .args(["-c", program])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, "read");
    let mut running = launch(shell, &device, LOOK);
    running.wait().unwrap();
}

#[test]
fn a_program_that_is_not_there_is_reported_at_once() {
    if !usable() {
        return;
    }
    let missing = Command::new("/nonexistent/program");
    let error = backend::run(&device(), missing, Backend::Seccomp, &LOOK).unwrap_err();
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
        let mut running = launch(command, device, LOOK);
        until_it_says(&mut running, "reading");
        running
    };
    let mut programs = [start(&first), start(&first), start(&second)];
    assert_eq!((handles(&first), handles(&second)), (2, 1));
    // A reset reaches the readers of its own device only.
    first.with(None, |device| device.mei_reset("test"));
    for program in &mut programs[..2] {
        assert_eq!(program.wait().unwrap().code(), Some(libc::ENODEV));
    }
    assert!(!programs[2].is_idle());
}

/// A request and its answer on a descriptor that is known by its number only.
fn exchange(fd: i32) -> Vec<u8> {
    let request = contract::REQUEST;
    // SAFETY: the buffer has the size that is given.
    let written = unsafe { libc::write(fd, request.as_ptr().cast(), request.len()) };
    assert_eq!(usize::try_from(written), Ok(request.len()));
    receive(fd)
}

fn receive(fd: i32) -> Vec<u8> {
    let mut answer = vec![0; 5120];
    // SAFETY: the buffer has the size that is given.
    let got = unsafe { libc::read(fd, answer.as_mut_ptr().cast(), answer.len()) };
    answer.truncate(usize::try_from(got).unwrap());
    answer
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}
