//! The front end that serves a program through the kernel's FUSE protocol.
//!
//! ```text
//!   program ── open, ioctl, read, write, poll, close ──▶ kernel ──▶ /dev/fuse ──▶ server ──▶ node ──▶ device
//!      │                                                    ▲
//!      └ namespace: /dev of its own, FUSE mounted on the file /dev/mei0
//! ```
//!
//! No library and no helper program takes part. Root needs nothing but `/dev/fuse`; everybody else needs user
//! namespaces too. Nothing outside the program's own mount namespace changes, and nothing is left when the
//! last process in it has ended. When the supervisor goes first, calls under way end with `ECONNABORTED` and
//! later ones with `ENOTCONN`.
//!
//! What differs from the real device:
//! - `stat(2)` says regular file of 1 MiB, not character device: the kernel would send the `open(2)` of a
//!   special file to a driver of its own. [`cuse`] has no such difference.
//! - `write(2)` of 0 bytes gives 0 on a descriptor that is not connected, too, instead of `ENODEV`, and
//!   `read(2)` into a null pointer gives `EFAULT` instead of `EMSGSIZE`: neither reaches us.
//! - Nodes that appear at the top of `/dev` later on are seen in `/dev/.amt-sim` only (those in directories
//!   are seen in their place).
//! - In a user namespace: one user and one group are known, set-user-id programs gain nothing, and the program has
//!   no privilege over the host's network.
//!
//! | file | what |
//! |---|---|
//! | `protocol` | requests and replies as bytes |
//! | `node` | what each request means: pure, without system calls |
//! | `server` | the loop that reads, waits and answers |
//! | `layout`, `namespace` | what the program's `/dev` looks like, and how it comes about |
//! | `sysfs` | `/sys/class/mei/mei0` |
//! | [`cuse`] | the same server behind a real character device |
//! | [`probe`] | whether it works here, and if not, why |

pub mod cuse;
#[cfg(test)]
mod kernel;
mod layout;
mod namespace;
mod node;
mod probe;
mod protocol;
mod server;
mod sysfs;
mod system;

use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use layout::Layout;
use node::Node;

use super::chardev::CharDevice;
use super::inject::Injector;
use super::launch::{self, FrontEnd, Running};
use super::shared::SharedDevice;
use super::sys;
use crate::machine::Device;

pub use probe::probe;

/// What the program finds beside the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The program is user 0, in a user namespace unless it is anyway.
    pub as_root: bool,
    /// `/sys/class/mei/mei0` shows the device, and `/sys/class/dmi/id/product_uuid` its UUID. Where they cannot
    /// be put in place the program starts without.
    pub sysfs: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            as_root: false,
            sysfs: true,
        }
    }
}

/// Starts a program whose `/dev/mei0` is the device.
///
/// The program dies when the calling thread ends, so keep that thread.
pub fn launch(command: Command, device: &SharedDevice, options: Options) -> io::Result<Running> {
    launch_with(command, device, options, None)
}

/// The same, with an injector that looks at every program that begins.
pub(crate) fn launch_with(
    command: Command,
    device: &SharedDevice,
    options: Options,
    injector: Option<Arc<Injector>>,
) -> io::Result<Running> {
    let front_end = Fuse::new(device, options)?;
    launch::launch(command, || Ok(front_end.clone()), device, injector).map_err(
        |error| match probe() {
            // The child can only hand over an errno.
            Err(unavailable) => io::Error::new(error.kind(), unavailable),
            Ok(()) => error,
        },
    )
}

/// FUSE on `/dev/mei0`, in a mount namespace of the program's own.
#[derive(Debug, Clone)]
pub(crate) struct Fuse {
    layout: Arc<Layout>,
}

impl Fuse {
    pub(crate) fn new(device: &SharedDevice, options: Options) -> io::Result<Self> {
        let plan = |device: &mut Device| Layout::of(device, options.as_root, options.sysfs);
        let layout = Arc::new(device.with(None, plan)?);
        Ok(Self { layout })
    }
}

impl FrontEnd for Fuse {
    fn name(&self) -> &'static str {
        "fuse"
    }

    fn enter(&mut self) -> io::Result<OwnedFd> {
        namespace::enter(&self.layout)
            .map_err(|failure| io::Error::from_raw_os_error(failure.errno))
    }

    fn settle(&mut self) -> io::Result<()> {
        // A change of credentials undoes it.
        sys::die_with_parent()?;
        // Until the kernel has asked for the attributes, the file is root's, who may be unknown in here: then
        // nobody could open it.
        system::file_mode(namespace::NODE).map(drop)
    }

    fn serve(
        &mut self,
        descriptor: OwnedFd,
        device: &SharedDevice,
        stop: &OwnedFd,
        go: &mut dyn FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        serve(descriptor, device, stop, go)
    }
}

fn serve(
    descriptor: OwnedFd,
    device: &SharedDevice,
    stop: &OwnedFd,
    go: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    let node = Node::new(CharDevice::new(device.clone())?, now);
    server::serve(descriptor, node, stop, go)
}
