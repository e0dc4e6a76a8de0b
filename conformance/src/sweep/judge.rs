//! Whether a role came to the right end in spite of everything, or said that it did not.

use std::fmt;

use amt_sim::device::{FaultEffect, FaultPoint};
use amt_sim::{Errno, Event, Fault, Mode};

use crate::fact::{Fact, Feature};
use crate::role::Ending;
use crate::run::{Performed, Run, Verdict};
use crate::scenario::{Action, Outcome};

/// What a role did that is never right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// It was still busy when its time was up.
    Hangs { action: Action },
    /// It says that it is done, and the device is not in the mode that it should be brought to.
    FalseSuccess {
        action: Action,
        wanted: Mode,
        is: Mode,
    },
    /// It says that it failed, and could have seen that the device is what it should be brought to.
    FalseFailure { action: Action, is: Mode },
    /// It says that it is done, and leaves out what it was asked for.
    LeavesOut { action: Action, fact: Fact },
    /// It says something of the device that is not so.
    Lies { action: Action, fact: Fact },
    /// It says that it is done, with a device that showed a wrong chain each time.
    Trusts { action: Action },
    /// It fails for something that passes by itself and has changed nothing.
    GivesUp { action: Action },
    /// The harness itself did not survive it.
    Breaks { what: String },
}

impl Wrong {
    /// The same mistake, whatever its occasion.
    pub fn is_like(&self, other: &Self) -> bool {
        self == other
    }

    /// Which of the two words of an outcome is the right one now.
    pub fn action(&self) -> Option<Action> {
        match self {
            Self::Hangs { action }
            | Self::FalseSuccess { action, .. }
            | Self::FalseFailure { action, .. }
            | Self::LeavesOut { action, .. }
            | Self::Trusts { action }
            | Self::GivesUp { action }
            | Self::Lies { action, .. } => Some(*action),
            Self::Breaks { .. } => None,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hangs { action } => write!(f, "{action} hangs"),
            Self::FalseSuccess { action, wanted, is } => write!(
                f,
                "{action} says that it is done, but the device is {is:?}, not {wanted:?}"
            ),
            Self::FalseFailure { action, is } => write!(
                f,
                "{action} says that it failed, but the device is {is:?}, as it should be"
            ),
            Self::LeavesOut { action, fact } => {
                write!(
                    f,
                    "{action} says that it is done, and leaves out `{}`",
                    fact.name()
                )
            }
            Self::Lies { action, fact } => {
                write!(f, "{action} tells a `{}` that is not so", fact.name())
            }
            Self::Trusts { action } => write!(
                f,
                "{action} says that it is done, with a device that showed a wrong chain"
            ),
            Self::GivesUp { action } => write!(
                f,
                "{action} gives up, where nothing happened that waiting or asking again would not mend"
            ),
            Self::Breaks { what } => write!(f, "the harness breaks: {what}"),
        }
    }
}

/// The first thing that is wrong in a run with these faults, measured by the honest one.
pub(super) fn judge(honest: &Run, run: &Run, schedule: &[Fault]) -> Option<Wrong> {
    if run.verdict == Verdict::Inconclusive
        && let Some(what) = run
            .reason
            .as_ref()
            .filter(|why| why.contains("a mistake of the harness"))
    {
        return Some(Wrong::Breaks { what: what.clone() });
    }
    let mut before = honest.journal.iter().find_map(|entry| match &entry.event {
        Event::PowerOn { mode, .. } => Some(*mode),
        _ => None,
    });
    for (index, performed) in run.actions.iter().enumerate() {
        let action = performed.action;
        if performed.ending == Ending::Outcome(Outcome::Hung) {
            return Some(Wrong::Hangs { action });
        }
        if let Some(fact) = performed.lies.first() {
            return Some(Wrong::Lies {
                action,
                fact: *fact,
            });
        }
        let twin = honest
            .actions
            .get(index)
            .filter(|twin| twin.action == action);
        if let Some(twin) = twin
            && is_done(performed)
            && is_done(twin)
        {
            if before != Some(twin.mode)
                && performed.mode != twin.mode
                && !looks_again(&run.actions, index)
            {
                return Some(Wrong::FalseSuccess {
                    action,
                    wanted: twin.mode,
                    is: performed.mode,
                });
            }
            if action == Action::ConsoleSetUpSecure && shows_wrong_chains(schedule) {
                return Some(Wrong::Trusts { action });
            }
            if let Some(fact) = left_out(performed, twin) {
                return Some(Wrong::LeavesOut { action, fact });
            }
        }
        if let Some(twin) = twin
            && !is_done(performed)
            && is_done(twin)
            && is_one_command(action)
            && before != Some(twin.mode)
            && performed.mode == twin.mode
            && schedule.iter().all(passes_unsaid)
        {
            let is = performed.mode;
            return Some(Wrong::FalseFailure { action, is });
        }
        before = honest.actions.get(index).map(|twin| twin.mode);
    }
    gives_up(honest, run, schedule)
}

/// The first action that fails, if everything that happened to it is harmless and happened to it alone.
fn gives_up(honest: &Run, run: &Run, schedule: &[Fault]) -> Option<Wrong> {
    let has_faults_of_its_own = honest
        .journal
        .iter()
        .any(|entry| matches!(entry.event, Event::FaultInjected { .. }));
    if has_faults_of_its_own || !schedule.iter().all(is_harmless) {
        return None;
    }
    let mut pairs = honest.actions.iter().zip(&run.actions);
    let failed = pairs.find(|(twin, performed)| is_done(twin) && !is_done(performed));
    failed.map(|(_, performed)| Wrong::GivesUp {
        action: performed.action,
    })
}

/// A call that a signal interrupts is made again. A device that cannot be opened or connected to for a moment is held by
/// somebody else, or its link comes back.
fn is_harmless(fault: &Fault) -> bool {
    const MOST: u32 = 3;
    let passes = fault.times.is_some_and(|times| times <= MOST);
    let at_first = matches!(fault.at, FaultPoint::Open | FaultPoint::Connect);
    passes
        && match fault.effect {
            FaultEffect::Errno(Errno::Eintr) => true,
            FaultEffect::Errno(Errno::Ebusy | Errno::Enodev) => at_first,
            _ => false,
        }
}

/// What a discovery was asked for and did not tell. A set-up owes nothing but the set-up.
fn left_out(performed: &Performed, honest: &Performed) -> Option<Fact> {
    if !matches!(performed.action, Action::AgentDiscover | Action::ConsoleAsk) {
        return None;
    }
    // A machine that says it has no AMT has nothing more to say.
    let absent = performed.facts.get(&Fact::PRESENT) == Some(&serde_json::Value::Bool(false));
    let owed = honest.facts.keys().copied().filter(|fact| {
        !absent && fact.feature() != Feature::Recommend && fact.feature() != Feature::Presence
    });
    owed.into_iter()
        .find(|fact| !performed.facts.contains_key(fact))
}

/// Whether all that it has to do is to ask the device for another mode, and to see that it got it.
fn is_one_command(action: Action) -> bool {
    matches!(
        action,
        Action::AgentStart
            | Action::ApplicationSetup
            | Action::ApplicationSetupSigned
            | Action::ApplicationSetupAdmin
            | Action::ApplicationUpgrade
    )
}

/// Whether it leaves a role able to look, and has the device say nothing wrong.
fn passes_unsaid(fault: &Fault) -> bool {
    let refuses = matches!(
        fault.effect,
        FaultEffect::Status(_) | FaultEffect::ReturnValue(_)
    );
    fault.times.is_some() && !refuses
}

/// Whether it comes back later to see, and says then that it was not done: an SCA whose answer to CommitChanges is lost
/// cannot know before.
fn looks_again(actions: &[Performed], index: usize) -> bool {
    let configures = |performed: &&Performed| performed.action == Action::ScaConfigure;
    actions.get(index).filter(configures).is_some()
        && actions
            .iter()
            .skip(index + 1)
            .any(|later| later.action == Action::ScaReturn && !is_done(later))
}

/// Whether no connection is shown the genuine chain before the device is set up.
fn shows_wrong_chains(schedule: &[Fault]) -> bool {
    schedule.iter().any(|fault| {
        fault.times.is_none() && fault.after == 0 && matches!(fault.effect, FaultEffect::Chain(_))
    })
}

fn is_done(performed: &Performed) -> bool {
    performed.ending == Ending::Outcome(Outcome::Done)
}

/// Whether every action ended as in the honest run.
pub(super) fn same_end(honest: &Run, run: &Run) -> bool {
    honest.actions.len() == run.actions.len()
        && honest
            .actions
            .iter()
            .zip(&run.actions)
            .all(|(one, other)| one.ending == other.ending && one.mode == other.mode)
}
