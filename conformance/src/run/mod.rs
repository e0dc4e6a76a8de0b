//! From scenarios to verdicts: what to run, running it, and saying who is wrong.

mod blame;
mod check;
mod engine;
mod lan;
mod observe;
mod plan;
mod pool;
mod verdict;
mod world;

pub use engine::{Engine, Subject};
pub use lan::VirtualLan;
pub use observe::{Observed, Request};
pub use plan::{Case, Choice, Plan, PlanError, select};
pub use pool::run_all;
pub use verdict::{Blame, Check, CheckVerdict, JournalLine, Place, Run, Verdict};
pub use world::{RealDevice, VirtualDevice, World};
