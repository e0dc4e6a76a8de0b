//! The agent: the host program that finds the device and speaks to it over MEI.

mod commands;
mod reference;
mod translate;
mod wire;

pub use commands::AmtCommand;
pub use reference::ReferenceAgent;
pub use translate::facts_in;
pub use wire::{Answer, WireError, request};
