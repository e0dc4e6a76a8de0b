//! The device itself on trial: scripts that speak to it on its public wires, byte by byte.
//!
//! The other roles show what comes of the device's behaviour for a program. A probe shows one behaviour alone, with the
//! smallest exchange that there is for it. Each is a line of the ledger; on a real machine the same bytes would settle
//! what is only assumed here.

mod bytes;
mod chains;
mod hello;
mod pattern;
mod player;
mod poll;
mod request;
mod script;
mod secure;
#[cfg(test)]
mod tests;
mod web;
mod wsman;

pub use player::{Mismatch, Prober};
pub use script::Script;
