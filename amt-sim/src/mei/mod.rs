//! The HECI bus and the ME clients on it, one file a client.

mod bus;
mod client;
mod errno;
mod guid;
mod session;
#[cfg(test)]
pub(crate) mod testing;

pub mod amthi;
mod hotham;
mod lme;
mod mkhi;
mod upid;
mod watchdog;

pub(crate) use bus::Bus;
pub use bus::{HandleId, Readiness};
pub use client::{ClientKind, ClientProperties};
pub use errno::Errno;
pub use guid::{Guid, GuidError};
