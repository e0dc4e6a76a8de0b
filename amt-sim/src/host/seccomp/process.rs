//! What `/proc` tells about the programs that are served.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Tells one open file description of a socket from all others: every descriptor of it, in any process, shows
/// the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// What descriptor `fd` of the thread is; `None` when it is closed or cannot be looked at.
pub(super) fn identity(tid: i32, fd: i32) -> Option<Identity> {
    status(&format!("/proc/{tid}/fd/{fd}"))
}

/// The same for a descriptor of our own.
pub(super) fn identity_of(fd: BorrowedFd<'_>) -> io::Result<Identity> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    status(&path).ok_or_else(|| io::Error::other(format!("{path} cannot be looked at")))
}

/// The file behind a path; also directories are told apart so.
pub(super) fn status(path: &str) -> Option<Identity> {
    let metadata = fs::metadata(path).ok()?;
    Some(Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

/// The process that the thread belongs to.
pub(super) fn process_of(tid: i32) -> Option<i32> {
    field(&status_text(tid)?, "Tgid:")?.parse().ok()
}

fn status_text(tid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{tid}/status")).ok()
}

/// What stands behind a name in such a text.
fn field<'t>(status: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = status.lines();
    lines
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// Whether there is such a thread, be it the same or another.
pub(super) fn exists(tid: i32) -> bool {
    Path::new(&format!("/proc/{tid}")).exists()
}

/// Whether a signal waits to be taken by the thread.
pub(super) fn has_signal(tid: i32) -> bool {
    let Some(status) = status_text(tid) else {
        return false;
    };
    let set = |name: &str| {
        let digits = field(&status, name).unwrap_or_default();
        u64::from_str_radix(digits, 16).unwrap_or(0)
    };
    (set("SigPnd:") | set("ShdPnd:")) & !set("SigBlk:") != 0
}

/// Who the process acts as: user and group.
pub(super) fn owner(tid: i32) -> Option<(u32, u32)> {
    let metadata = fs::metadata(format!("/proc/{tid}")).ok()?;
    Some((metadata.uid(), metadata.gid()))
}

/// Every other process in sight.
pub(super) fn others() -> Vec<i32> {
    let mut all = numbers_in("/proc");
    all.retain(|process| process.cast_unsigned() != std::process::id());
    all
}

/// Every descriptor of the thread.
pub(super) fn descriptors(tid: i32) -> Vec<i32> {
    numbers_in(&format!("/proc/{tid}/fd"))
}

fn numbers_in(directory: &str) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// A number that changes whenever a process or thread is made.
#[derive(Debug)]
pub(super) struct Births(Option<File>);

impl Births {
    pub(super) fn new() -> Self {
        Self(File::open("/proc/loadavg").ok())
    }

    /// `None` when it cannot be known.
    pub(super) fn count(&self) -> Option<u64> {
        let mut text = [0; 64];
        let length = self.0.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = str::from_utf8(text.get(..length)?).ok()?;
        // The last word is the number that was last given to a process.
        text.split_whitespace().last()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_descriptor_is_recognised_through_proc() {
        let file = File::open("/dev/null").unwrap();
        let me = std::process::id().cast_signed();
        let ours = identity_of(file.as_fd()).unwrap();
        assert_eq!(identity(me, file.as_raw_fd()), Some(ours));
        assert_eq!(identity(me, 1_000_000), None);
        assert_eq!(process_of(me), Some(me));
        assert!(!others().contains(&me));
    }

    #[test]
    fn a_new_thread_is_counted() {
        let births = Births::new();
        let before = births.count().unwrap();
        std::thread::spawn(|| ()).join().unwrap();
        assert_ne!(births.count().unwrap(), before);
    }
}
