//! The user's consent: a code on the screen that the operator has to know.

use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// A consent that was asked for and not ended since. It does not outlive the boot that it was asked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Six digits.
    pub code: u32,
    pub stage: ConsentStage,
    /// The stage ends by itself then.
    pub until: Instant,
    /// Codes that were not the right one.
    pub wrong: u8,
    /// `State::boots` when it was asked for.
    pub boot: u64,
}

/// How far it got: OptInState without its zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentStage {
    Requested = 1,
    /// The code is on the screen.
    Displayed = 2,
    /// The operator sent the right code.
    Received = 3,
    InSession = 4,
}
