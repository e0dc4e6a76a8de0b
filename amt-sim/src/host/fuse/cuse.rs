//! The same server behind `/dev/cuse`: the kernel makes a real character device, for the whole machine.
//!
//! It is the most faithful front end (`stat(2)` says character device, and an unknown ioctl with a bad pointer
//! fails as in the driver), and the least discreet: every process sees `/dev/mei0`, so it takes root, and a
//! machine without a MEI device of its own. There is no namespace whose end would end it: it serves until it
//! is told to stop, and only `/dev/mei0` exists, without the alias `/dev/mei`.
//!
//! The messages are tested against the layouts of the kernel's header; the kernels at hand while this was
//! written have no CUSE (`CONFIG_CUSE`), so it has not met a real one yet.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::namespace;
use super::system;
use crate::host::backend::Unavailable;
use crate::host::inject::Injector;
use crate::host::launch::{self, FrontEnd, Running};
use crate::host::shared::SharedDevice;
use crate::host::sys;

const CONTROL: &str = "/dev/cuse";

/// Starts a program on a machine whose `/dev/mei0` is the device, until [`Running::stop`].
///
/// The program dies when the calling thread ends, so keep that thread.
pub fn launch(
    command: Command,
    device: &SharedDevice,
    injector: Option<Arc<Injector>>,
) -> io::Result<Running> {
    launch::launch(command, || Ok(Cuse), device, injector)
}

/// Tries whether this process may make the device, without making it.
pub fn probe() -> Result<(), Unavailable> {
    // Opening is all that can be tried: the kernel makes the device as soon as it has an answer.
    judge(open_control().map(drop), Path::new("/dev/mei0").exists())
}

/// A character device in user space.
#[derive(Debug)]
pub(crate) struct Cuse;

fn open_control() -> io::Result<fs::File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(CONTROL)
}

fn judge(opened: io::Result<()>, node_exists: bool) -> Result<(), Unavailable> {
    let (reason, remedy) = match opened.as_ref().map_err(io::Error::raw_os_error) {
        Ok(()) if !node_exists => return Ok(()),
        Ok(()) => (
            "this machine has a /dev/mei0 already, which a program would find instead".to_owned(),
            "take the fuse back end, which hides it, or unload the mei_me driver",
        ),
        Err(Some(libc::ENOENT | libc::ENODEV | libc::ENXIO)) => (
            format!("the kernel offers no {CONTROL}"),
            "load the module (`modprobe cuse`); it is missing where the kernel was built without CONFIG_CUSE",
        ),
        Err(Some(libc::EACCES | libc::EPERM)) => (
            format!("{CONTROL} may not be opened by this user"),
            "run as root; inside a container, pass the device in",
        ),
        Err(_) => {
            let why = opened.map_or_else(|error| error.to_string(), |()| String::new());
            (
                format!("opening {CONTROL} failed: {why}"),
                "take the fuse back end",
            )
        }
    };
    Err(Unavailable {
        reason,
        remedy: remedy.to_owned(),
    })
}

impl FrontEnd for Cuse {
    fn name(&self) -> &'static str {
        "cuse"
    }

    fn enter(&mut self) -> io::Result<OwnedFd> {
        system::open(c"/dev/cuse", libc::O_RDWR | libc::O_NONBLOCK)
    }

    fn settle(&mut self) -> io::Result<()> {
        sys::die_with_parent()?;
        // The kernel made the node while it took our answer, unless it refused, which it tells nobody.
        let mode = system::file_mode(namespace::NODE)?;
        match mode & libc::S_IFMT == libc::S_IFCHR {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(libc::EEXIST)),
        }
    }

    fn serve(
        &mut self,
        descriptor: OwnedFd,
        device: &SharedDevice,
        stop: &OwnedFd,
        go: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        super::serve(descriptor, device, stop, go)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::works(None, false, None)]
    #[case::real_device(None, true, Some("has a /dev/mei0 already"))]
    #[case::no_module(Some(libc::ENOENT), false, Some("offers no /dev/cuse"))]
    #[case::not_root(Some(libc::EACCES), false, Some("may not be opened"))]
    #[case::odd(Some(libc::EMFILE), false, Some("open files"))]
    fn a_refusal_says_why(
        #[case] errno: Option<i32>,
        #[case] node_exists: bool,
        #[case] want: Option<&str>,
    ) {
        let opened = errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)));
        match (judge(opened, node_exists), want) {
            (Ok(()), None) => {}
            (Err(found), Some(want)) => assert!(found.reason.contains(want), "{found}"),
            (found, want) => panic!("{found:?} where {want:?} was wanted"),
        }
    }
}
