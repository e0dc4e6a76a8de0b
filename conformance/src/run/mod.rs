//! From scenarios to verdicts: what to run, running it, and saying who is wrong.

mod beside;
mod blame;
mod check;
mod engine;
mod evidence;
mod lan;
mod observe;
mod plan;
mod pool;
mod repeat;
mod secrets;
mod sequence;
mod subject;
mod verdict;
mod wire_text;
mod world;

pub use engine::{Engine, Tampering};
pub(crate) use engine::{VIRTUAL_EPOCH, struck};
pub use evidence::{Captured, Evidence};
pub use lan::VirtualLan;
pub use observe::{Observed, Request};
pub use plan::{Case, Choice, Plan, PlanError, Shard, newest, select};
pub use pool::run_all;
pub use repeat::repeat;
pub use secrets::{SecretKind, Secrets};
pub use sequence::{Arrow, Detail, Epoch, Lane, Sequence, Way};
pub use subject::{Several, Subject};
pub use verdict::{
    Blame, Check, CheckVerdict, JournalLine, Performed, Place, Repeats, Run, Verdict,
};
pub use world::{RealDevice, VirtualDevice, World};
