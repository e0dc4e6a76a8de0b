//! The seed for random numbers, on a device that comes without one: an agent has it made before set-up.
//!
//! A seed that a power cut interrupts is lost, and the agent has to ask again.

use super::out_of_band::KeyStage;
use crate::device::firmware::Firmware;
use crate::device::journal::Event;
use crate::device::profile::RandomSeed;
use crate::time::Instant;

/// As GetRngSeedStatus numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeedStatus {
    Exists = 0,
    InProgress = 1,
    Missing = 2,
}

pub(crate) fn status(fw: &Firmware) -> SeedStatus {
    let absent = fw.profile.assumptions.random_seed == RandomSeed::Absent;
    if !absent || fw.state.random_seed_made {
        SeedStatus::Exists
    } else if fw.setup.seed_ready.is_some() {
        SeedStatus::InProgress
    } else {
        SeedStatus::Missing
    }
}

/// Starts the making where there is no seed, and tells what was there before.
pub(crate) fn generate(fw: &mut Firmware) -> SeedStatus {
    let before = status(fw);
    if before == SeedStatus::Missing {
        let takes = fw.profile.timings.random_seed_ms;
        fw.setup.seed_ready = Some(fw.now + takes);
        fw.record(Event::SeedGeneration {
            stage: KeyStage::Started,
            takes_ms: u64::try_from(takes.as_millis()).unwrap_or(u64::MAX),
        });
    }
    before
}

pub(super) fn next_wake(fw: &Firmware) -> Option<Instant> {
    fw.setup.seed_ready
}

/// Does what is due now.
pub(super) fn advance(fw: &mut Firmware) {
    if fw.setup.seed_ready.is_some_and(|moment| moment <= fw.now) {
        fw.setup.seed_ready = None;
        fw.remember(|state| state.random_seed_made = true);
        fw.record(Event::SeedGeneration {
            stage: KeyStage::Finished,
            takes_ms: 0,
        });
    }
}
