//! The only code with I/O: front ends through which real programs reach a device, clocks and files.

pub mod backend;
mod chardev;
pub mod contract;
mod epoll;
pub mod fuse;
mod hello;
pub mod inject;
pub mod keystore;
mod launch;
pub mod limits;
pub mod local_ports;
mod network;
mod poll;
pub mod port;
pub mod process;
mod resolver;
pub mod revocation;
mod seccomp;
mod shared;
pub mod signals;
pub mod socket;
mod state_file;
mod sys;
#[cfg(test)]
mod testing;
mod trial;
mod worker;

pub use hello::{HelloSender, call_from};
pub use launch::Running;
pub use local_ports::LocalPorts;
pub use network::{Fleet, Member};
pub use resolver::{NameRule, Names, NotANameRule};
pub use revocation::RevocationServer;
pub use shared::{Pace, SharedDevice, Sink, Watch};
pub use state_file::{StateFile, StateFileError, StateFolder};
