//! Finding and opening the node.

use std::path::Path;

use super::os::{self, Fd};
use super::{Check, CheckResult, GET_UUID, Node, equal, exchange, fail, succeeds};
use crate::mei::ClientKind;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "contract.open.read-write",
        "the node opens for reading and writing, and a request is answered",
        read_write,
    ),
    Check::new(
        "contract.open.cloexec",
        "O_CLOEXEC is kept, and is not set when it was not asked for",
        cloexec,
    ),
    Check::new(
        "contract.open.flags",
        "F_GETFL shows the access mode and O_NONBLOCK as they were asked for",
        flags,
    ),
    Check::new("contract.open.fstat", "fstat says character device", fstat),
    Check::new(
        "contract.open.stat-finds",
        "stat and lstat find the node before it is opened",
        stat_finds,
    ),
    Check::new(
        "contract.open.stat-type",
        "stat and lstat say character device",
        stat_type,
    ),
    Check::new(
        "contract.open.access",
        "access says that the node can be read and written",
        access,
    ),
    Check::new(
        "contract.open.relative",
        "a relative path from /dev leads to the device",
        relative,
    ),
    Check::new(
        "contract.open.unnormalised",
        "a path with dots and doubled slashes leads to the device",
        unnormalised,
    ),
    Check::new(
        "contract.open.folder",
        "openat below a descriptor of /dev leads to the device",
        folder,
    ),
    Check::new(
        "contract.open.openat2",
        "openat2 leads to the device",
        openat2,
    ),
    Check::new(
        "contract.open.create",
        "O_CREAT and O_TRUNC, as shells use them, open the device and make no file",
        create,
    ),
    Check::new(
        "contract.open.again",
        "after a close the node opens and answers again",
        again,
    ),
];

fn answers(node: &Node, fd: &Fd) -> CheckResult {
    node.connect(fd, ClientKind::Amthi)?;
    exchange(fd, GET_UUID)?;
    Ok(())
}

/// The folder and the name of the node.
fn parts(node: &Node) -> (&Path, &Path) {
    let path = node.path();
    (
        path.parent().unwrap_or(Path::new("/")),
        path.file_name().map_or(path, Path::new),
    )
}

fn read_write(node: &Node) -> CheckResult {
    let fd = node.open()?;
    node.connect(&fd, ClientKind::Amthi)?;
    let answer = exchange(&fd, GET_UUID)?;
    let head = [1, 1, 0, 0, 0x5c, 0, 0x80, 4, 20, 0, 0, 0, 0, 0, 0, 0];
    equal(
        "GetUUID's header and status",
        &head[..],
        answer.get(..16).unwrap_or(&answer),
    )?;
    equal("GetUUID's answer in bytes", 32, answer.len())
}

fn cloexec(node: &Node) -> CheckResult {
    for (flags, expected) in [(libc::O_CLOEXEC, libc::FD_CLOEXEC), (0, 0)] {
        let fd = node.open_with(flags)?;
        let seen = succeeds("F_GETFD", fd.fcntl(libc::F_GETFD, 0))?;
        equal("F_GETFD", expected, seen & libc::FD_CLOEXEC)?;
    }
    Ok(())
}

fn flags(node: &Node) -> CheckResult {
    for flags in [0, libc::O_NONBLOCK] {
        let fd = node.open_with(flags)?;
        let seen = succeeds("F_GETFL", fd.fcntl(libc::F_GETFL, 0))?;
        let mask = libc::O_ACCMODE | libc::O_NONBLOCK;
        equal("F_GETFL", libc::O_RDWR | flags, seen & mask)?;
    }
    Ok(())
}

fn is_character_device(what: &str, file_type: u32) -> CheckResult {
    if file_type == libc::S_IFCHR {
        return Ok(());
    }
    let kind = match file_type {
        libc::S_IFREG => "regular file".to_owned(),
        libc::S_IFSOCK => "socket".to_owned(),
        libc::S_IFLNK => "symbolic link".to_owned(),
        other => format!("file type {other:o}"),
    };
    fail(format!("{what}: character device"), kind)
}

fn fstat(node: &Node) -> CheckResult {
    let fd = node.open()?;
    is_character_device("fstat", succeeds("fstat", fd.file_type())?)?;
    node.connect(&fd, ClientKind::Amthi)?;
    is_character_device("fstat once connected", succeeds("fstat", fd.file_type())?)
}

fn stat_finds(node: &Node) -> CheckResult {
    succeeds("stat", os::file_type(node.path(), true))?;
    succeeds("lstat", os::file_type(node.path(), false))?;
    Ok(())
}

fn stat_type(node: &Node) -> CheckResult {
    let found = succeeds("stat", os::file_type(node.path(), true))?;
    is_character_device("stat", found)?;
    let found = succeeds("lstat", os::file_type(node.path(), false))?;
    is_character_device("lstat", found)
}

fn access(node: &Node) -> CheckResult {
    for (mode, what) in [
        (libc::F_OK, "access(F_OK)"),
        (libc::R_OK | libc::W_OK, "access(R_OK|W_OK)"),
    ] {
        succeeds(what, os::access(node.path(), mode))?;
    }
    Ok(())
}

fn relative(node: &Node) -> CheckResult {
    let (folder, name) = parts(node);
    succeeds("chdir", os::change_folder(folder))?;
    let fd = succeeds("open by name alone", Fd::open(name, libc::O_RDWR))?;
    answers(node, &fd)
}

fn unnormalised(node: &Node) -> CheckResult {
    let (folder, name) = parts(node);
    let inside = folder.file_name().map_or(Path::new("."), Path::new);
    // /dev/../dev//./mei0
    let mut path = folder.join("..").join(inside).into_os_string();
    path.push("//./");
    path.push(name);
    let fd = succeeds("open", Fd::open(Path::new(&path), libc::O_RDWR))?;
    answers(node, &fd)
}

fn folder(node: &Node) -> CheckResult {
    let (folder, name) = parts(node);
    let folder = succeeds(
        "open of the folder",
        Fd::open(folder, libc::O_RDONLY | libc::O_DIRECTORY),
    )?;
    let fd = succeeds("openat", folder.open_in(name, libc::O_RDWR))?;
    answers(node, &fd)
}

fn openat2(node: &Node) -> CheckResult {
    let fd = succeeds("openat2", Fd::open2(node.path(), libc::O_RDWR))?;
    answers(node, &fd)
}

fn create(node: &Node) -> CheckResult {
    // Without a device at the path this would litter, so there must be one.
    drop(node.open()?);
    let before = os::file_type(node.path(), false);
    let result = [libc::O_CREAT, libc::O_CREAT | libc::O_TRUNC]
        .into_iter()
        .try_for_each(|flags| answers(node, &node.open_with(flags)?));
    let after = os::file_type(node.path(), false);
    if before.is_err() && after == Ok(libc::S_IFREG) {
        os::remove(node.path());
    }
    result?;
    equal("lstat before and after", before, after)
}

fn again(node: &Node) -> CheckResult {
    for _ in 0..3 {
        let fd = node.open()?;
        answers(node, &fd)?;
    }
    Ok(())
}
