//! The node `/dev/mei0`, and `/dev/mei` beside it: which paths mean it, and what it looks like.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::call::Layout;
use super::process;

/// Directory and names under which programs look for the device.
const DIRECTORY: &str = "/dev";
const NAMES: [&str; 2] = ["mei0", "mei"];

/// Linux gives MEI any free major number; 241 is common.
const MAJOR: u32 = 241;
const MINOR: u32 = 0;
/// Bytes 0 to 3 of "mei0".
const INODE: u64 = 0x3069_656d;

#[derive(Debug)]
pub(super) struct Node {
    /// Seconds since 1970.
    since: i64,
    /// Of the file system that it is in.
    device: u64,
}

/// Who a program sees as the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Node {
    pub(super) fn new() -> Self {
        use std::os::unix::fs::MetadataExt;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            since: now.map_or(0, |now| now.as_secs().cast_signed()),
            device: std::fs::metadata(DIRECTORY).map_or(0, |directory| directory.dev()),
        }
    }

    /// Whether the thread means the device by this path, relative to `directory`.
    ///
    /// Nearly every path is dismissed by its last component. A symbolic link of another name is not followed.
    pub(super) fn is_meant(&self, tid: i32, directory: i32, path: &[u8]) -> bool {
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if !NAMES.iter().any(|name| name.as_bytes() == last) {
            return false;
        }
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        if path.is_absolute() && is_literal(path) {
            return true;
        }
        // The directory may be reached by any way: links, bind mounts, its own descriptor.
        let start = match directory {
            _ if path.is_absolute() => format!("/proc/{tid}/root"),
            libc::AT_FDCWD => format!("/proc/{tid}/cwd"),
            fd => format!("/proc/{tid}/fd/{fd}"),
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let relative = parent.strip_prefix("/").unwrap_or(parent);
        // The dot lets a link to a directory count as that directory.
        let found = PathBuf::from(start).join(relative).join(".");
        let wanted = format!("/proc/{tid}/root{DIRECTORY}");
        match (
            found.to_str().and_then(process::status),
            process::status(&wanted),
        ) {
            (Some(found), Some(wanted)) => found == wanted,
            _ => false,
        }
    }

    /// What the `stat` family says, in the layout of the call.
    ///
    /// ```text
    /// struct stat, x86-64   struct stat, arm64   struct stat64, i386   struct statx
    ///   0 u64 device          0 u64 device         0 u64 device          0 u32 mask
    ///   8 u64 inode           8 u64 inode         12 u32 inode           4 u32 block size
    ///  16 u64 links          16 u32 mode          16 u32 mode           16 u32 links
    ///  24 u32 mode           20 u32 links         20 u32 links          20 u32 user
    ///  28 u32 user           24 u32 user          24 u32 user           24 u32 group
    ///  32 u32 group          28 u32 group         28 u32 group          28 u16 mode
    ///  40 u64 number         32 u64 number        32 u64 number         32 u64 inode
    ///  56 u64 block size     56 u32 block size    52 u32 block size     64, 80, 96, 112 times
    ///  72, 88, 104 times     72, 88, 104 times    64, 72, 80 times     128 u32 major, u32 minor
    ///                                             88 u64 inode         136 u32 u32 device
    /// ```
    pub(super) fn status(&self, layout: Layout, owner: Owner) -> Vec<u8> {
        const BLOCK: u32 = 4096;
        let mode = libc::S_IFCHR | 0o600;
        let number = u64::from(MAJOR << 8 | MINOR);
        let (user, group) = (owner.user, owner.group);
        let short = |at: usize| (at, u64::from(mode), 2);
        let word = |at: usize, value: u32| (at, u64::from(value), 4);
        let long = |at: usize, value: u64| (at, value, 8);
        let time = |at: usize| long(at, self.since.cast_unsigned());
        let inode_half = (INODE & 0xffff_ffff) as u32;
        let (size, fields) = match layout {
            Layout::Native if cfg!(target_arch = "x86_64") => (
                144,
                vec![
                    long(0, self.device),
                    long(8, INODE),
                    long(16, 1),
                    word(24, mode),
                    word(28, user),
                    word(32, group),
                    long(40, number),
                    long(56, BLOCK.into()),
                    time(72),
                    time(88),
                    time(104),
                ],
            ),
            Layout::Native => (
                128,
                vec![
                    long(0, self.device),
                    long(8, INODE),
                    word(16, mode),
                    word(20, 1),
                    word(24, user),
                    word(28, group),
                    long(32, number),
                    word(56, BLOCK),
                    time(72),
                    time(88),
                    time(104),
                ],
            ),
            Layout::I386 => {
                let time = |at| word(at, (self.since & 0xffff_ffff) as u32);
                (
                    96,
                    vec![
                        long(0, self.device),
                        word(12, inode_half),
                        word(16, mode),
                        word(20, 1),
                        word(24, user),
                        word(28, group),
                        long(32, number),
                        word(52, BLOCK),
                        time(64),
                        time(72),
                        time(80),
                        long(88, INODE),
                    ],
                )
            }
            Layout::Extended => (
                256,
                vec![
                    word(0, libc::STATX_BASIC_STATS),
                    word(4, BLOCK),
                    word(16, 1),
                    word(20, user),
                    word(24, group),
                    short(28),
                    long(32, INODE),
                    time(64),
                    time(96),
                    time(112),
                    word(128, MAJOR),
                    word(132, MINOR),
                    word(136, libc::major(self.device)),
                    word(140, libc::minor(self.device)),
                ],
            ),
        };
        let mut bytes = vec![0; size];
        for (at, value, width) in fields {
            bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        bytes
    }
}

/// Whether an absolute path says `/dev/mei0` in so many words. Any `..` in it is for the file system to follow.
fn is_literal(path: &Path) -> bool {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.as_bytes()),
            Component::ParentDir => return false,
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    names.len() == 2 && DIRECTORY.as_bytes()[1..] == *names[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn me() -> i32 {
        std::process::id().cast_signed()
    }

    #[rstest]
    #[case("/dev/mei0", true)]
    #[case("/dev/mei", true)]
    #[case("/dev/../dev//mei0", true)]
    #[case("//dev/./mei0", true)]
    #[case("/proc/self/root/dev/mei0", true)]
    #[case("/dev/mei1", false)]
    #[case("/dev/mei0/", false)]
    #[case("/dev/null", false)]
    #[case("/tmp/mei0", false)]
    #[case("/mei0", false)]
    #[case("/dev/nowhere/mei0", false)]
    #[case("", false)]
    fn absolute_paths(#[case] path: &str, #[case] meant: bool) {
        assert_eq!(
            Node::new().is_meant(me(), libc::AT_FDCWD, path.as_bytes()),
            meant
        );
    }

    #[test]
    fn relative_paths_go_by_the_directory() {
        use std::os::fd::AsRawFd;
        let node = Node::new();
        let dev = std::fs::File::open("/dev").unwrap();
        let tmp = std::fs::File::open("/tmp").unwrap();
        assert!(node.is_meant(me(), dev.as_raw_fd(), b"mei0"));
        assert!(node.is_meant(me(), dev.as_raw_fd(), b"./mei"));
        assert!(node.is_meant(me(), tmp.as_raw_fd(), b"../dev/mei0"));
        assert!(!node.is_meant(me(), tmp.as_raw_fd(), b"mei0"));
        assert!(!node.is_meant(me(), libc::AT_FDCWD, b"mei0"));
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn the_layout_is_that_of_the_headers() {
        use std::mem::{offset_of, size_of};
        let node = Node {
            since: 0x0102_0304,
            device: 5,
        };
        let owner = Owner { user: 7, group: 8 };
        let bytes = node.status(Layout::Native, owner);
        assert_eq!(bytes.len(), size_of::<libc::stat>());
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(offset_of!(libc::stat, st_dev)), 5);
        assert_eq!(word(offset_of!(libc::stat, st_mode)), 0o020_600);
        assert_eq!(word(offset_of!(libc::stat, st_nlink)), 1);
        assert_eq!(word(offset_of!(libc::stat, st_uid)), 7);
        assert_eq!(word(offset_of!(libc::stat, st_gid)), 8);
        let number = u64::from(word(offset_of!(libc::stat, st_rdev)));
        assert_eq!((libc::major(number), libc::minor(number)), (MAJOR, MINOR));
        assert_eq!(word(offset_of!(libc::stat, st_blksize)), 4096);
        for time in [
            offset_of!(libc::stat, st_atime),
            offset_of!(libc::stat, st_mtime),
            offset_of!(libc::stat, st_ctime),
        ] {
            assert_eq!(word(time), 0x0102_0304);
        }

        let bytes = node.status(Layout::Extended, owner);
        assert_eq!(bytes.len(), size_of::<libc::statx>());
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(offset_of!(libc::statx, stx_mode)), 0o020_600);
        assert_eq!(word(offset_of!(libc::statx, stx_uid)), 7);
        assert_eq!(word(offset_of!(libc::statx, stx_rdev_major)), MAJOR);
        assert_eq!(word(offset_of!(libc::statx, stx_dev_minor)), 5);
        assert_eq!(word(offset_of!(libc::statx, stx_mtime)), 0x0102_0304);
    }
}
