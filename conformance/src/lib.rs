//! Drives any real AMT agent against a simulated device, and says who is wrong.
//!
//! ```text
//!  scenario ──┐                         ┌── role: reference agent, or a real one that a target file describes
//!  profile  ──┼─▶ plan ─▶ engine ─▶ run ┤
//!  target   ──┘             │           └── device (amt-sim), whose journal is the ground truth
//!                           ▼
//!                     checks with blame ─▶ report.json ─▶ terminal, JUnit
//! ```

pub mod cli;
pub mod demo;
pub mod document;
pub mod fact;
pub mod filter;
pub mod glob;
pub mod in_process;
pub mod knockout;
pub mod probe;
pub mod report;
pub mod requirement;
pub mod role;
pub mod run;
pub mod scenario;
pub mod schema;
pub mod sweep;
pub mod wire;
mod words;
