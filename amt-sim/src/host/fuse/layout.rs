//! What the program's own `/dev` and `/sys` shall look like: worked out before the fork, where memory may be
//! allocated, and carried out by [`super::namespace`] after it.
//!
//! A name cannot be added to `/dev` for one program alone, so the whole directory is replaced by a mirror: a
//! tmpfs in which every entry is the old one, bound to its name. What lies in directories (`/dev/pts`, `/dev/shm`)
//! stays alive that way; a node that appears at the top of `/dev` later is found in `/dev/.amt-sim` only, where
//! the old directory is kept.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::sysfs;
use crate::machine::Device;

/// Everything that is to be put in place.
#[derive(Debug)]
pub(super) struct Layout {
    /// The program is to be user 0, in a user namespace if need be.
    pub(super) as_root: bool,
    pub(super) dev: Mirror,
    pub(super) sysfs: Option<Sysfs>,
}

/// A directory that is replaced by a tmpfs with the same entries.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) at: CString,
    /// Where the old directory is to be found.
    pub(super) old: CString,
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: CString,
    /// The same in the old directory.
    pub(super) old: CString,
    pub(super) kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    Link {
        target: CString,
    },
    /// `/dev/ptmx`. The kernel looks for `pts` beside it and finds nothing beside a node that is bound alone, so
    /// it needs a new node; who may not make one gets a link to the old one in its old place.
    TerminalMaster {
        target: CString,
    },
    /// Device, socket, pipe or file.
    Node,
}

/// The files beside the device node.
#[derive(Debug)]
pub(super) struct Sysfs {
    /// Where `mei` is to appear: an empty one over `/sys/class/mei`, or one of all of `/sys/class`.
    pub(super) mirror: Mirror,
    pub(super) directories: Vec<CString>,
    pub(super) files: Vec<File>,
    /// Over an existing file.
    pub(super) replaced: Option<File>,
}

#[derive(Debug)]
pub(super) struct File {
    pub(super) path: CString,
    pub(super) contents: Vec<u8>,
    pub(super) mode: libc::mode_t,
}

impl Layout {
    /// For trying whether it works at all.
    pub(super) fn bare() -> io::Result<Self> {
        Ok(Self {
            as_root: false,
            dev: Mirror::of(Path::new("/dev"), is_mei)?,
            sysfs: None,
        })
    }

    pub(super) fn of(device: &Device, as_root: bool, with_sysfs: bool) -> io::Result<Self> {
        let sysfs = match with_sysfs {
            true => Sysfs::of(Path::new("/sys"), device)?,
            false => None,
        };
        Ok(Self {
            as_root,
            sysfs,
            ..Self::bare()?
        })
    }
}

impl Mirror {
    /// Under the new directory.
    const OLD: &str = ".amt-sim";

    fn empty(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            at: c_string(directory.to_owned())?,
            old: c_string(directory.join(Self::OLD))?,
            entries: Vec::new(),
        })
    }

    fn of(directory: &Path, without: impl Fn(&[u8]) -> bool) -> io::Result<Self> {
        let mut mirror = Self::empty(directory)?;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            // The old directory of an outer program of ours stays below it.
            if without(name.as_bytes()) || name == Self::OLD {
                continue;
            }
            let kind = entry.file_type()?;
            let kind = if kind.is_dir() {
                Kind::Directory
            } else if kind.is_symlink() {
                // One that vanished meanwhile is no loss.
                let Ok(target) = fs::read_link(entry.path()) else {
                    continue;
                };
                let target = c_string(target)?;
                Kind::Link { target }
            } else if name == "ptmx" && kind.is_char_device() {
                let target = c_string(Path::new(Self::OLD).join(&name))?;
                Kind::TerminalMaster { target }
            } else {
                Kind::Node
            };
            mirror.entries.push(Entry {
                path: c_string(entry.path())?,
                old: c_string(directory.join(Self::OLD).join(name))?,
                kind,
            });
        }
        Ok(mirror)
    }
}

impl Sysfs {
    /// `None` where there is no sysfs to add to.
    fn of(sys: &Path, device: &Device) -> io::Result<Option<Self>> {
        let class = sys.join("class");
        let mei = class.join("mei");
        let mut directories = vec![c_string(mei.join("mei0"))?];
        let mirror = if mei.is_dir() {
            // The driver is in this kernel; whatever device it has is not for this program.
            Mirror::empty(&mei)?
        } else if class.is_dir() {
            directories.insert(0, c_string(mei.clone())?);
            Mirror::of(&class, |_| false)?
        } else {
            return Ok(None);
        };
        let files = sysfs::attributes(device)
            .into_iter()
            .map(|(name, contents)| {
                Ok(File {
                    path: c_string(mei.join("mei0").join(name))?,
                    contents: contents.into_bytes(),
                    mode: if name == "tx_queue_limit" {
                        0o644
                    } else {
                        0o444
                    },
                })
            })
            .collect::<io::Result<_>>()?;
        let uuid = class.join("dmi/id/product_uuid");
        let replaced = match uuid.exists() {
            true => Some(File {
                path: c_string(uuid)?,
                contents: sysfs::product_uuid(device).into_bytes(),
                mode: 0o400,
            }),
            false => None,
        };
        Ok(Some(Self {
            mirror,
            directories,
            files,
            replaced,
        }))
    }
}

/// `mei`, `mei0`, `mei1` ...: real ones would be found beside ours, or instead of it.
fn is_mei(name: &[u8]) -> bool {
    name.strip_prefix(b"mei")
        .is_some_and(|rest| rest.iter().all(u8::is_ascii_digit))
}

fn c_string(path: PathBuf) -> io::Result<CString> {
    Ok(CString::new(path.into_os_string().into_vec())?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"mei", true)]
    #[case(b"mei0", true)]
    #[case(b"mei12", true)]
    #[case(b"meizu", false)]
    #[case(b"null", false)]
    fn real_mei_nodes_are_left_out(#[case] name: &[u8], #[case] left_out: bool) {
        assert_eq!(is_mei(name), left_out);
    }

    #[test]
    fn a_mirror_knows_what_each_entry_is() {
        let mirror = Mirror::of(Path::new("/dev"), is_mei).unwrap();
        let kind = |name: &str| {
            let path = CString::new(format!("/dev/{name}")).unwrap();
            let entry = mirror.entries.iter().find(|entry| entry.path == path);
            entry.map(|entry| &entry.kind)
        };
        assert_eq!(kind("null"), Some(&Kind::Node));
        assert!(!matches!(kind("ptmx"), Some(Kind::Node)));
        assert_eq!(kind("mei0"), None);
        if Path::new("/dev/pts").is_dir() {
            assert_eq!(kind("pts"), Some(&Kind::Directory));
        }
        if Path::new("/dev/fd").is_symlink() {
            let target = c"/proc/self/fd".to_owned();
            assert_eq!(kind("fd"), Some(&Kind::Link { target }));
        }
    }

    #[test]
    fn without_a_class_directory_the_whole_of_sys_class_is_mirrored() {
        let sys = std::env::temp_dir().join(format!("amt-sim-sys-{}", std::process::id()));
        fs::create_dir_all(sys.join("class/net")).unwrap();
        fs::create_dir_all(sys.join("class/dmi/id")).unwrap();
        fs::write(sys.join("class/dmi/id/product_uuid"), "x").unwrap();
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let without = Sysfs::of(&sys, &device).unwrap().unwrap();
        fs::create_dir(sys.join("class/mei")).unwrap();
        let with = Sysfs::of(&sys, &device).unwrap().unwrap();
        fs::remove_dir_all(&sys).unwrap();
        let nowhere = Sysfs::of(&sys, &device).unwrap();

        assert_eq!(without.mirror.entries.len(), 2);
        assert_eq!(without.directories.len(), 2);
        assert!(without.replaced.is_some());
        assert!(with.mirror.at.as_bytes().ends_with(b"/class/mei"));
        assert_eq!((with.mirror.entries.len(), with.directories.len()), (0, 1));
        assert!(nowhere.is_none());
    }
}
