//! What the program's process does to itself between fork and exec: a mount namespace of its own, a mirror of
//! `/dev`, and the FUSE file in it.
//!
//! Between fork and exec of a process with threads only system calls are safe, so nothing here allocates. Nothing
//! of it reaches the caller's namespaces, and all of it is gone with the last process inside.

use std::ffi::CStr;
use std::fmt::{self, Write};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::layout::{Entry, File, Kind, Layout, Mirror, Sysfs};
use super::system;

/// The node, and the name that programs of the first years use.
pub(super) const NODE: &CStr = c"/dev/mei0";
const ALIAS: &CStr = c"/dev/mei";

/// What went wrong on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    /// `unshare(2)` of user and mount namespace.
    Namespaces,
    /// Writing `/proc/self/uid_map` and its like.
    Identity,
    /// Making the mounts private.
    Privacy,
    /// Opening `/dev/fuse`.
    OpenFuse,
    /// The tmpfs over `/dev` and what it holds.
    Mirror,
    /// Mounting FUSE on the node.
    MountFuse,
}

impl Step {
    pub(super) const ALL: [Self; 6] = [
        Self::Namespaces,
        Self::Identity,
        Self::Privacy,
        Self::OpenFuse,
        Self::Mirror,
        Self::MountFuse,
    ];

    fn failed(self, error: &io::Error) -> Failure {
        Failure {
            step: self,
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        }
    }
}

/// Goes into the namespaces and puts everything in place. The result is the kernel's end of the mount.
pub(super) fn enter(layout: &Layout) -> Result<OwnedFd, Failure> {
    let mut buffer = [0; 4096];
    let working = system::working_directory(&mut buffer).ok();
    let (uid, gid) = separate(layout.as_root)?;

    // A slave gets the mounts that are made outside later on, and gives none.
    let flags = libc::MS_REC | libc::MS_SLAVE;
    system::mount(c"none", c"/", c"", flags, c"").map_err(|error| Step::Privacy.failed(&error))?;

    // The kernel wants the mount's user namespace to be the one in which /dev/fuse was opened.
    let kernel = system::open(c"/dev/fuse", libc::O_RDWR | libc::O_NONBLOCK)
        .map_err(|error| Step::OpenFuse.failed(&error))?;

    let mask = system::umask(0);
    let placed = place(layout, &kernel, uid, gid);
    system::umask(mask);
    placed?;

    // A working directory in the old /dev would show the old nodes.
    if let Some(working) = working
        && is_in_dev(working)
    {
        let _ = system::change_directory(working);
    }
    Ok(kernel)
}

fn place(layout: &Layout, kernel: &OwnedFd, uid: u32, gid: u32) -> Result<(), Failure> {
    mirror(&layout.dev).map_err(|error| Step::Mirror.failed(&error))?;
    mount_fuse(kernel, uid, gid).map_err(|error| Step::MountFuse.failed(&error))?;
    if let Some(sysfs) = &layout.sysfs {
        // A program that misses these files behaves as under an old kernel; that is no reason to refuse it.
        let _ = place_sysfs(sysfs);
    }
    Ok(())
}

/// New namespaces: of mounts alone where that is allowed, else of users too. Gives the ids that the process has
/// now.
fn separate(as_root: bool) -> Result<(u32, u32), Failure> {
    let (uid, gid) = (system::user(), system::group());
    if !as_root || uid == 0 {
        match system::unshare(libc::CLONE_NEWNS) {
            Ok(()) => return Ok((uid, gid)),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
            Err(error) => return Err(Step::Namespaces.failed(&error)),
        }
    }
    system::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)
        .map_err(|error| Step::Namespaces.failed(&error))?;
    let inside = if as_root { (0, 0) } else { (uid, gid) };
    let map = || -> io::Result<()> {
        // `Command::uid` made it root's; exec decides anew.
        system::own_proc_files()?;
        // An unprivileged process may map its group only once it cannot drop groups any more.
        system::write_file(c"/proc/self/setgroups", 0, b"deny")?;
        let mut line = Text::<64>::new();
        line.write(format_args!("{} {gid} 1\n", inside.1))?;
        system::write_file(c"/proc/self/gid_map", 0, line.bytes())?;
        let mut line = Text::<64>::new();
        line.write(format_args!("{} {uid} 1\n", inside.0))?;
        system::write_file(c"/proc/self/uid_map", 0, line.bytes())
    };
    map().map_err(|error| Step::Identity.failed(&error))?;
    Ok(inside)
}

/// Replaces a directory by a tmpfs with the same entries, and leaves the old one below it.
fn mirror(mirror: &Mirror) -> io::Result<()> {
    let old = system::copy_mounts(&mirror.at)?;
    system::mount(
        c"amt-sim",
        &mirror.at,
        c"tmpfs",
        libc::MS_NOSUID,
        c"mode=755",
    )?;
    system::make_directory(&mirror.old, 0o755)?;
    system::attach_mounts(old.as_fd(), &mirror.old)?;
    for Entry { path, old, kind } in &mirror.entries {
        match kind {
            Kind::Link { target } => {
                system::make_link(target, path)?;
                continue;
            }
            Kind::TerminalMaster { target } => {
                if system::make_terminal_master(path).is_err() {
                    system::make_link(target, path)?;
                }
                continue;
            }
            Kind::Directory => system::make_directory(path, 0o755)?,
            Kind::Node => system::make_file(path, 0)?,
        }
        let bind = libc::MS_BIND | libc::MS_REC;
        if system::mount(old, path, c"", bind, c"").is_err() {
            // It has gone since the plan was made, or is not ours to show.
            let _ = match kind {
                Kind::Directory => system::remove_directory(path),
                _ => system::remove_file(path),
            };
        }
    }
    Ok(())
}

fn mount_fuse(kernel: &OwnedFd, uid: u32, gid: u32) -> io::Result<()> {
    let mut options = Text::<160>::new();
    // A file as the root of a file system: nothing to look up, nothing to list. Everybody may ask, and the
    // file's mode decides, as it does for a device node.
    options.write(format_args!(
        "fd={},rootmode=100600,user_id={uid},group_id={gid},allow_other,default_permissions",
        kernel.as_raw_fd()
    ))?;
    system::make_file(NODE, 0o600)?;
    system::make_file(ALIAS, 0o600)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    system::mount(c"amt-sim", NODE, c"fuse", flags, options.c_str()?)?;
    system::mount(NODE, ALIAS, c"", libc::MS_BIND, c"")
}

fn place_sysfs(sysfs: &Sysfs) -> io::Result<()> {
    mirror(&sysfs.mirror)?;
    // Whoever lists the directory shall find nothing strange.
    system::unmount(&sysfs.mirror.old)?;
    system::remove_directory(&sysfs.mirror.old)?;
    for directory in &sysfs.directories {
        system::make_directory(directory, 0o755)?;
    }
    for file in &sysfs.files {
        write_new(&file.path, file)?;
    }
    if let Some(file) = &sysfs.replaced {
        // It needs a place to be made before it can be bound over the other; the name is gone at once.
        const PLACE: &CStr = c"/dev/.product_uuid";
        write_new(PLACE, file)?;
        let bound = system::mount(PLACE, &file.path, c"", libc::MS_BIND, c"");
        system::remove_file(PLACE)?;
        bound?;
    }
    Ok(())
}

fn write_new(path: &CStr, file: &File) -> io::Result<()> {
    system::make_file(path, file.mode)?;
    system::write_file(path, 0, &file.contents)
}

fn is_in_dev(path: &CStr) -> bool {
    let rest = path.to_bytes().strip_prefix(b"/dev");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// A short text on the stack.
struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Text<N> {
    fn new() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }

    fn write(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.write_fmt(text)
            .map_err(|_| io::ErrorKind::InvalidInput.into())
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn c_str(&self) -> io::Result<&CStr> {
        CStr::from_bytes_until_nul(&self.bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(c"/dev", true)]
    #[case(c"/dev/pts", true)]
    #[case(c"/device", false)]
    #[case(c"/", false)]
    #[case(c"/home/dev", false)]
    fn a_working_directory_in_dev_is_entered_again(#[case] path: &CStr, #[case] inside: bool) {
        assert_eq!(is_in_dev(path), inside);
    }

    #[test]
    fn a_text_that_does_not_fit_is_refused() {
        let mut text = Text::<8>::new();
        text.write(format_args!("{} {}", 12, 34)).unwrap();
        assert_eq!(text.bytes(), b"12 34");
        assert_eq!(text.c_str().unwrap(), c"12 34");
        assert!(text.write(format_args!("5678")).is_err());
        text.write(format_args!("567")).unwrap();
        assert!(text.c_str().is_err());
    }
}
