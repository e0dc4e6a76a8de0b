//! What a program may count on at `/dev/mei0`, whichever front end shows it: one function a promise.
//!
//! A check runs inside the program under the front end, with plain system calls, and panics when the promise is
//! broken. The device behind it is [`program::device`]. Source: Linux `drivers/misc/mei/main.c`.
#![expect(unsafe_code, reason = "system calls as a C program makes them")]
#![expect(clippy::unwrap_used, reason = "a broken promise is a panic")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amt_sim::ClientKind;

use mei::{CONNECT, Epoll, LONGEST};
use mei::{errno, in_a_child, until_asleep, until_thread_asleep};

pub use mei::{Mei, REQUEST};

mod mei;
pub mod program;

const IN: i16 = libc::POLLIN | libc::POLLRDNORM;
const OUT: i16 = libc::POLLOUT | libc::POLLWRNORM;

/// Every check, by name.
pub const CHECKS: &[(&str, fn())] = &[
    ("open_keeps_cloexec", open_keeps_cloexec),
    ("open_by_any_path", open_by_any_path),
    ("open_as_a_shell_does", open_as_a_shell_does),
    ("access_is_granted", access_is_granted),
    ("nothing_to_seek_or_map", nothing_to_seek_or_map),
    ("before_connect_nothing_works", before_connect_nothing_works),
    ("connect_tells_the_properties", connect_tells_the_properties),
    (
        "connect_refuses_with_the_right_errno",
        connect_refuses_with_the_right_errno,
    ),
    ("unknown_ioctls_are_enotty", unknown_ioctls_are_enotty),
    ("poll_shows_what_can_be_done", poll_shows_what_can_be_done),
    (
        "messages_keep_their_boundaries",
        messages_keep_their_boundaries,
    ),
    ("a_short_read_keeps_the_rest", a_short_read_keeps_the_rest),
    (
        "a_nonblocking_read_does_not_wait",
        a_nonblocking_read_does_not_wait,
    ),
    ("a_blocking_read_waits", a_blocking_read_waits),
    ("messages_up_to_the_longest", messages_up_to_the_longest),
    ("a_full_queue_takes_no_more", a_full_queue_takes_no_more),
    (
        "a_waiting_writer_is_alone_in_waiting",
        a_waiting_writer_is_alone_in_waiting,
    ),
    ("select_waits_for_an_answer", select_waits_for_an_answer),
    ("epoll_reports_levels", epoll_reports_levels),
    ("epoll_reports_edges", epoll_reports_edges),
    ("poll_wakes_several_sleepers", poll_wakes_several_sleepers),
    ("a_duplicate_is_the_same_file", a_duplicate_is_the_same_file),
    ("handles_are_independent", handles_are_independent),
    (
        "a_closed_client_is_free_at_once",
        a_closed_client_is_free_at_once,
    ),
    ("a_child_inherits_the_file", a_child_inherits_the_file),
    ("a_child_opens_its_own", a_child_opens_its_own),
    (
        "threads_do_not_disturb_one_another",
        threads_do_not_disturb_one_another,
    ),
    ("a_signal_interrupts_a_read", a_signal_interrupts_a_read),
    (
        "one_thread_writes_while_another_reads",
        one_thread_writes_while_another_reads,
    ),
    (
        "a_reset_ends_everything_but_reopening",
        a_reset_ends_everything_but_reopening,
    ),
    ("a_reset_wakes_the_reader", a_reset_wakes_the_reader),
    (
        "a_killed_child_leaves_its_client_free",
        a_killed_child_leaves_its_client_free,
    ),
];

fn open_keeps_cloexec() {
    let mei = Mei::open_with("/dev/mei0", libc::O_RDWR | libc::O_CLOEXEC).unwrap();
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(mei.raw(), libc::F_GETFD) };
    assert_eq!(flags, libc::FD_CLOEXEC);
}

fn open_by_any_path() {
    std::env::set_current_dir("/dev").unwrap();
    for path in [
        "mei0",
        "./mei0",
        "/dev/../dev//mei0",
        "/dev/mei",
        "/proc/self/root/dev/mei0",
    ] {
        let mei = Mei::open_with(path, libc::O_RDWR).unwrap();
        assert_eq!(mei.connect(ClientKind::Amthi), Ok(()), "{path}");
    }
    let directory = std::fs::File::open("/dev").unwrap();
    // SAFETY: a string that outlives the call.
    let raw = unsafe { libc::openat(directory.as_raw_fd(), c"mei0".as_ptr(), libc::O_RDWR) };
    assert!(raw >= 0);
    // SAFETY: just opened.
    let mei = Mei(unsafe { OwnedFd::from_raw_fd(raw) });
    assert_eq!(mei.connect(ClientKind::Amthi), Ok(()));
}

/// `exec 3<>/dev/mei0` creates, `: > /dev/mei0` truncates.
fn open_as_a_shell_does() {
    for flags in [libc::O_CREAT, libc::O_CREAT | libc::O_TRUNC] {
        let mei = Mei::open_with("/dev/mei0", libc::O_RDWR | flags).unwrap();
        assert_eq!(mei.connect(ClientKind::Amthi), Ok(()));
    }
}

fn access_is_granted() {
    for path in [c"/dev/mei0", c"/dev/mei"] {
        // SAFETY: a string that outlives the call.
        let granted = unsafe { libc::access(path.as_ptr(), libc::R_OK | libc::W_OK) };
        assert_eq!(granted, 0);
        assert!(Path::new(path.to_str().unwrap()).symlink_metadata().is_ok());
    }
}

fn nothing_to_seek_or_map() {
    let mei = Mei::connected();
    // SAFETY: no pointers.
    let moved = unsafe { libc::lseek(mei.raw(), 0, libc::SEEK_SET) };
    assert_eq!((moved, errno()), (-1, libc::ESPIPE));
    let mut buffer = [0u8; 16];
    // SAFETY: a writable buffer of that size.
    let read = unsafe { libc::pread(mei.raw(), buffer.as_mut_ptr().cast(), 16, 0) };
    assert_eq!((read, errno()), (-1, libc::ESPIPE));
    // SAFETY: asks for a new mapping anywhere.
    let mapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ,
            libc::MAP_SHARED,
            mei.raw(),
            0,
        )
    };
    assert_eq!((mapped, errno()), (libc::MAP_FAILED, libc::ENODEV));
}

fn before_connect_nothing_works() {
    let mei = Mei::open();
    assert_eq!(mei.poll(libc::POLLIN | libc::POLLOUT, 0), libc::POLLERR);
    assert_eq!(mei.poll(libc::POLLIN, -1), libc::POLLERR);
    assert_eq!(mei.write(&REQUEST), Err(libc::ENODEV));
    assert_eq!(mei.read(64).unwrap_err(), libc::ENODEV);
    // SAFETY: no pointers.
    let synced = unsafe { libc::fsync(mei.raw()) };
    assert_eq!((synced, errno()), (-1, libc::ENODEV));
}

fn connect_tells_the_properties() {
    let mei = Mei::open();
    let guid = ClientKind::Amthi.guid().to_wire();
    let mut argument = guid;
    assert_eq!(mei.ioctl(CONNECT, &mut argument), Ok(()));
    assert_eq!(argument[..4], (LONGEST as u32).to_le_bytes());
    assert_eq!(argument[4..8], [1, 0, 0, 0]);
    assert_eq!(argument[8..], guid[8..]);
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::fsync(mei.raw()) }, 0);
}

fn connect_refuses_with_the_right_errno() {
    let mei = Mei::open();
    assert_eq!(mei.ioctl(CONNECT, &mut [0xAA; 16]), Err(libc::ENOTTY));
    // SAFETY: the kernel checks the pointer, which is the point.
    let done = unsafe { libc::ioctl(mei.raw(), CONNECT, 1usize) };
    assert_eq!((done, errno()), (-1, libc::EFAULT));
    assert_eq!(mei.connect(ClientKind::Lme), Ok(()));
    assert_eq!(mei.connect(ClientKind::Lme), Err(libc::EBUSY));
    assert_eq!(Mei::open().connect(ClientKind::Lme), Err(libc::EBUSY));
}

fn unknown_ioctls_are_enotty() {
    let mei = Mei::connected();
    // "HECI version" of Windows, as MeshAgent asks on every system.
    assert_eq!(mei.ioctl(0xC005_4800, &mut [0; 5]), Err(libc::ENOTTY));
    assert_eq!(mei.ioctl(libc::TCGETS, &mut [0; 64]), Err(libc::ENOTTY));
    assert_eq!(
        mei.ioctl(0x4004_4802, &mut [1, 0, 0, 0]),
        Err(libc::EOPNOTSUPP)
    );
    assert_eq!(mei.ioctl(0x4004_4802, &mut [2, 0, 0, 0]), Err(libc::EINVAL));
    assert_eq!(mei.ioctl(0x8004_4803, &mut [0; 4]), Err(libc::EOPNOTSUPP));
    assert_eq!(mei.ioctl(0xC014_4804, &mut [0; 20]), Err(libc::EOPNOTSUPP));
    assert_eq!(mei.round_trip().len(), Mei::connected().round_trip().len());
}

fn poll_shows_what_can_be_done() {
    let mei = Mei::connected();
    assert_eq!(mei.poll(IN | OUT, 0), OUT);
    assert_eq!(mei.poll(libc::POLLIN, 20), 0);
    mei.write(&REQUEST).unwrap();
    assert_eq!(mei.poll(IN, -1), IN);
    assert_eq!(mei.poll(IN | OUT | libc::POLLPRI, 0), IN | OUT);
    mei.read(LONGEST).unwrap();
    assert_eq!(mei.poll(IN | OUT, 0), OUT);
}

fn messages_keep_their_boundaries() {
    let mei = Mei::connected();
    let one = mei.round_trip();
    for _ in 0..3 {
        assert_eq!(mei.write(&REQUEST), Ok(REQUEST.len()));
    }
    for _ in 0..3 {
        assert_eq!(mei.read(LONGEST).unwrap(), one);
    }
}

fn a_short_read_keeps_the_rest() {
    let mei = Mei::connected();
    let whole = mei.round_trip();
    mei.write(&REQUEST).unwrap();
    mei.write(&REQUEST).unwrap();
    let mut parts = mei.read(5).unwrap();
    assert_eq!(parts.len(), 5);
    assert_eq!(mei.poll(IN, 0), IN);
    parts.extend(mei.read(1).unwrap());
    parts.extend(mei.read(LONGEST).unwrap());
    assert_eq!(parts, whole);
    assert_eq!(mei.read(LONGEST).unwrap(), whole);
}

fn a_nonblocking_read_does_not_wait() {
    let mei = Mei::open_with("/dev/mei0", libc::O_RDWR | libc::O_NONBLOCK).unwrap();
    mei.connect(ClientKind::Amthi).unwrap();
    assert_eq!(mei.read(64).unwrap_err(), libc::EAGAIN);
    mei.write(&REQUEST).unwrap();
    assert_eq!(mei.poll(IN, -1), IN);
    assert!(!mei.read(LONGEST).unwrap().is_empty());
    assert_eq!(mei.read(64).unwrap_err(), libc::EAGAIN);

    // The flag belongs to the file and may change at any time.
    mei.set_flags(libc::O_RDWR);
    mei.write(&REQUEST).unwrap();
    assert!(!mei.read(LONGEST).unwrap().is_empty());
    mei.set_flags(libc::O_RDWR | libc::O_NONBLOCK);
    assert_eq!(mei.read(64).unwrap_err(), libc::EAGAIN);
}

fn a_blocking_read_waits() {
    let mei = Mei::connected();
    for _ in 0..3 {
        mei.write(&REQUEST).unwrap();
        assert!(!mei.read(LONGEST).unwrap().is_empty());
    }
}

fn messages_up_to_the_longest() {
    let mei = Mei::connected();
    let mut message = vec![0; LONGEST + 1];
    message[..12].copy_from_slice(&REQUEST);
    assert_eq!(mei.write(&message), Err(libc::EFBIG));
    assert_eq!(mei.write(&vec![0; 3 << 20]), Err(libc::EFBIG));
    assert_eq!(mei.write(&[]), Ok(0));
    assert_eq!(
        mei.poll(IN, 20),
        0,
        "a refused message reached the firmware"
    );
    assert_eq!(mei.write(&message[..LONGEST]), Ok(LONGEST));
}

fn a_full_queue_takes_no_more() {
    let mei = Mei::connected();
    mei.set_flags(libc::O_RDWR | libc::O_NONBLOCK);
    let mut taken = 0;
    let refused = loop {
        match mei.write(&REQUEST) {
            Ok(_) => taken += 1,
            Err(errno) => break errno,
        }
        assert!(taken < 10_000);
    };
    assert_eq!(refused, libc::EAGAIN);
    assert_eq!(mei.poll(OUT, 0), 0);
    assert_eq!(mei.poll(IN, -1), IN);
    mei.read(LONGEST).unwrap();
    assert_eq!(mei.poll(OUT, -1), OUT);
    assert_eq!(mei.write(&REQUEST), Ok(REQUEST.len()));
    for _ in 0..taken {
        assert_eq!(mei.poll(IN, -1), IN);
        mei.read(LONGEST).unwrap();
    }
    assert_eq!(mei.read(LONGEST).unwrap_err(), libc::EAGAIN);
}

/// A writer that waits for room must not hold up others, on other files or on its own.
fn a_waiting_writer_is_alone_in_waiting() {
    let full = Mei::connected();
    full.set_flags(libc::O_RDWR | libc::O_NONBLOCK);
    while full.write(&REQUEST).is_ok() {}
    full.set_flags(libc::O_RDWR);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| full.write(&REQUEST));
        until_asleep(2);
        let other = Mei::connected();
        assert!(!other.round_trip().is_empty());
        assert!(!writer.is_finished());
        while !writer.is_finished() {
            full.read(LONGEST).unwrap();
        }
        assert_eq!(writer.join().unwrap(), Ok(REQUEST.len()));
    });
}

fn select_waits_for_an_answer() {
    let mei = Mei::connected();
    assert_eq!(mei.select_read(Duration::from_millis(20)), 0);
    mei.write(&REQUEST).unwrap();
    assert_eq!(mei.select_read(Duration::from_secs(20)), 1);
    assert!(!mei.read(LONGEST).unwrap().is_empty());
}

fn epoll_reports_levels() {
    let mei = Mei::connected();
    let epoll = Epoll::new(&mei, libc::EPOLLIN);
    assert_eq!(epoll.wait(20), None);
    mei.write(&REQUEST).unwrap();
    for _ in 0..2 {
        assert_eq!(epoll.wait(-1), Some(libc::EPOLLIN as u32));
    }
    mei.read(LONGEST).unwrap();
    assert_eq!(epoll.wait(20), None);
}

/// One edge a message at least, also when the next one has arrived before the last one was read.
fn epoll_reports_edges() {
    let mei = Mei::connected();
    let epoll = Epoll::new(&mei, libc::EPOLLIN | libc::EPOLLET);
    assert_eq!(epoll.wait(20), None);
    mei.write(&REQUEST).unwrap();
    assert_eq!(epoll.wait(-1), Some(libc::EPOLLIN as u32));
    assert_eq!(epoll.wait(20), None);
    mei.read(LONGEST).unwrap();
    for _ in 0..3 {
        mei.write(&REQUEST).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(epoll.wait(20_000), Some(libc::EPOLLIN as u32));
        mei.read(LONGEST).unwrap();
    }
    assert_eq!(epoll.wait(20), None);
}

fn poll_wakes_several_sleepers() {
    let mei = Mei::connected();
    std::thread::scope(|scope| {
        let sleepers: Vec<_> = (0..4).map(|_| scope.spawn(|| mei.poll(IN, -1))).collect();
        until_asleep(5);
        mei.write(&REQUEST).unwrap();
        for sleeper in sleepers {
            assert_eq!(sleeper.join().unwrap(), IN);
        }
    });
}

fn a_duplicate_is_the_same_file() {
    let mei = Mei::open();
    let other = Mei(mei.0.try_clone().unwrap());
    assert_eq!(other.connect(ClientKind::Amthi), Ok(()));
    assert_eq!(mei.connect(ClientKind::Amthi), Err(libc::EBUSY));
    mei.write(&REQUEST).unwrap();
    let answer = other.read(LONGEST).unwrap();
    drop(mei);
    assert_eq!(other.round_trip(), answer);
}

fn handles_are_independent() {
    let amthi = Mei::connected();
    let mkhi = Mei::open();
    assert_eq!(mkhi.connect(ClientKind::Mkhi), Ok(()));
    amthi.write(&REQUEST).unwrap();
    assert_eq!(amthi.poll(IN, -1), IN);
    assert_eq!(mkhi.poll(IN | OUT, 0), OUT);
    drop(mkhi);
    assert!(!amthi.read(LONGEST).unwrap().is_empty());
}

fn a_closed_client_is_free_at_once() {
    for _ in 0..50 {
        let mei = Mei::open();
        assert_eq!(mei.connect(ClientKind::Lme), Ok(()));
    }
}

fn a_child_inherits_the_file() {
    let mei = Mei::connected();
    let answer = mei.round_trip();
    mei.write(&REQUEST).unwrap();
    let status = in_a_child(|| mei.read(LONGEST).is_ok_and(|got| got == answer));
    assert_eq!(status, 0);
    assert_eq!(mei.round_trip(), answer);
}

fn a_child_opens_its_own() {
    let mei = Mei::connected();
    let status = in_a_child(|| !Mei::connected().round_trip().is_empty());
    assert_eq!(status, 0);
    assert!(!mei.round_trip().is_empty());
}

fn threads_do_not_disturb_one_another() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mei = Mei::connected();
                let answer = mei.round_trip();
                for _ in 0..200 {
                    assert_eq!(mei.round_trip(), answer);
                }
            });
        }
    });
}

/// The driver gives EINTR even where the handler asks for a restart.
fn a_signal_interrupts_a_read() {
    extern "C" fn handler(_: libc::c_int) {}
    let mei = Mei::connected();
    for flags in [0, libc::SA_RESTART] {
        // SAFETY: all zeros is a valid sigaction; the handler does nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
            action.sa_flags = flags;
            assert_eq!(
                libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()),
                0
            );
        }
        // SAFETY: no pointers.
        let reader = unsafe { libc::pthread_self() };
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // One signal might come before the read has begun.
                while !over.load(Ordering::Relaxed) {
                    // SAFETY: the reader waits for this thread, so it exists.
                    unsafe { libc::pthread_kill(reader, libc::SIGUSR1) };
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let result = mei.read(64);
            over.store(true, Ordering::Relaxed);
            assert_eq!(result.unwrap_err(), libc::EINTR);
        });
    }
    assert!(!mei.round_trip().is_empty());
}

fn one_thread_writes_while_another_reads() {
    let mei = Mei::connected();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| mei.read(LONGEST));
        until_asleep(2);
        mei.write(&REQUEST).unwrap();
        assert!(!reader.join().unwrap().unwrap().is_empty());
    });
}

fn a_reset_ends_everything_but_reopening() {
    let mei = Mei::connected();
    mei.write(&REQUEST).unwrap();
    reset_the_link();
    assert_eq!(mei.poll(IN | OUT, -1), libc::POLLERR);
    assert_eq!(mei.write(&REQUEST), Err(libc::ENODEV));
    assert_eq!(mei.read(64).unwrap_err(), libc::ENODEV);
    let again = reopen();
    assert!(!again.round_trip().is_empty());
    // The old descriptor is of use again once it is connected again.
    assert_eq!(mei.write(&REQUEST), Err(libc::ENODEV));
    assert_eq!(mei.connect(ClientKind::Amthi), Ok(()));
    assert!(!mei.round_trip().is_empty());
}

fn a_reset_wakes_the_reader() {
    let (mei, other) = (Mei::connected(), Mei::connected());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| mei.read(64));
        let poller = scope.spawn(|| other.poll(IN, -1));
        until_asleep(3);
        reset_the_link();
        assert_eq!(reader.join().unwrap().unwrap_err(), libc::ENODEV);
        assert_eq!(poller.join().unwrap(), libc::POLLERR);
    });
}

fn a_killed_child_leaves_its_client_free() {
    let (reads, writes) = io::pipe().unwrap();
    // SAFETY: the child makes system calls only.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let mei = Mei::open();
        let connected = mei.connect(ClientKind::Lme).is_ok();
        let _ = io::Write::write(&mut &writes, &[u8::from(connected)]);
        // The firmware greets on this client: take that, then wait for what never comes.
        loop {
            let _ = mei.read(LONGEST);
        }
    }
    let mut connected = [0];
    io::Read::read_exact(&mut &reads, &mut connected).unwrap();
    assert_eq!(connected, [1]);
    assert_eq!(Mei::open().connect(ClientKind::Lme), Err(libc::EBUSY));
    until_thread_asleep(child);
    // SAFETY: our own child, not waited for yet.
    unsafe {
        assert_eq!(libc::kill(child, libc::SIGKILL), 0);
        assert_eq!(libc::waitpid(child, std::ptr::null_mut(), 0), child);
    }
    assert_eq!(Mei::open().connect(ClientKind::Lme), Ok(()));
}

/// The test's device resets its link when the watchdog client is written to.
fn reset_the_link() {
    let watchdog = Mei::open();
    watchdog.connect(ClientKind::Watchdog).unwrap();
    assert_eq!(watchdog.write(&[5, 2, 0x51, 0x10]), Err(libc::ENODEV));
}

/// As a patient program does it.
fn reopen() -> Mei {
    loop {
        match Mei::open_with("/dev/mei0", libc::O_RDWR) {
            Ok(mei) => {
                mei.connect(ClientKind::Amthi).unwrap();
                return mei;
            }
            Err(errno) => assert_eq!(errno, libc::ENODEV),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
