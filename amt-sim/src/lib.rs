//! A software Intel AMT device, and the ways real programs reach it.
//!
//! [`Device`] is the machine: a plain value without I/O. [`host`] is everything around it that touches the
//! operating system: the virtual `/dev/mei0`, sockets, files and clocks.

pub mod apf;
pub mod capture;
pub mod device;
pub mod diagnostic;
pub mod hex;
#[cfg(target_os = "linux")]
pub mod host;
pub mod http;
mod machine;
pub mod mei;
pub mod pki;
mod time;
pub mod tls;
mod wsman;

pub use device::{Entry, Event, Fault, Mode, Profile, Rules, State};
pub use http::{NotListening, StreamId};
pub use machine::{BuildError, Device, DeviceBuilder, Preset};
pub use mei::{ClientKind, ClientProperties, Errno, Guid, HandleId, Readiness};
pub use time::{Civil, Instant, UnixTime};
