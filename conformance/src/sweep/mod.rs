//! One fault at every point of a run: whatever goes wrong between a role and its device, the role must come to the
//! right end, or say that it did not.
//!
//! ```text
//!   honest run ─▶ points ─▶ one fault at each, then a few at once ─▶ judge ─▶ reduce ─▶ scenario file
//! ```
//! What is right does not come from the scenario's expectations, which were written for another day:
//!
//! - no action hangs;
//! - an action that says *done* has done it: where the honest action changed the device's mode, the device is in that
//!   mode, and where it found something out, that is found out;
//! - nothing that is told of the device is false.
//!
//! Everything follows from the seed: the same sweep tries the same faults in the same order.

mod judge;
mod point;
mod reduce;
mod write;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use amt_sim::device::Seed;
use amt_sim::{Fault, Mode, Rules};

pub use judge::Wrong;
pub use point::{Layer, Point, faults_at, points};
pub use write::scenario_text;

use crate::requirement::Ledger;
use crate::role::{Ending, Misbehaviour};
use crate::run::{Case, Engine, Evidence, Performed, Run, Subject, Verdict, run_all, struck};
use crate::scenario::{Action, Scenario};

/// How far a sweep goes.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Only points of these layers; of all when empty.
    pub layers: Vec<Layer>,
    /// Single faults that are tried at most; spread over the run when there are more.
    pub limit: usize,
    /// Schedules of two to four faults, drawn at random.
    pub several: usize,
    /// One mistake that the roles make on purpose: the sweep must find it.
    pub misbehaviour: Option<Misbehaviour>,
    pub jobs: NonZeroUsize,
}

/// A schedule of faults under which a role goes wrong, as small as it gets.
#[derive(Debug, Clone)]
pub struct Finding {
    pub schedule: Vec<Fault>,
    pub wrong: Wrong,
    /// Schedules that came to the same.
    pub alike: usize,
}

/// One schedule, and what became of the run.
#[derive(Debug, Clone)]
pub struct Tried {
    pub schedule: Vec<Fault>,
    pub fate: Fate,
    /// How each action ended, and in which mode the device was then.
    pub ends: Vec<(Action, Ending, Mode)>,
    /// What the last role said went wrong.
    pub remarks: Vec<String>,
}

/// How a run with faults compares with the honest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// No fault of the schedule took effect.
    Missed,
    /// Every action ended as in the honest run.
    Recovered,
    /// It ended otherwise, and nothing that was said of it is wrong.
    SaidSo,
    Wrong,
}

/// What a sweep came to.
#[derive(Debug, Clone)]
pub struct Sweep {
    pub points: Vec<Point>,
    /// Single faults that there are; fewer are tried when `limit` says so.
    pub faults: usize,
    pub tried: Vec<Tried>,
    pub findings: Vec<Finding>,
}

/// Why a sweep cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    #[error("without any fault {run} ends as `{verdict}`: make it pass first")]
    NotHonest { run: String, verdict: Verdict },
    #[error("nothing happens in {0}: there is nothing to spoil")]
    NoPoints(String),
}

/// Tries faults at every point of a case's run. `tick` hears how many runs are done of how many.
pub fn sweep(
    ledger: &Ledger,
    case: &Case<'_>,
    scope: &Scope,
    mut tick: impl FnMut(usize, usize),
) -> Result<Sweep, SweepError> {
    let bench = Bench {
        ledger,
        case,
        misbehaviour: scope.misbehaviour,
    };
    let honest = Bench {
        misbehaviour: None,
        ..bench
    }
    .run_for(
        &[],
        Evidence {
            chances: true,
            ..Evidence::default()
        },
    );
    if honest.verdict != Verdict::Pass {
        return Err(SweepError::NotHonest {
            run: honest.id,
            verdict: honest.verdict,
        });
    }
    let mut points = points(&honest.captured.recording.chances);
    if !scope.layers.is_empty() {
        points.retain(|point| scope.layers.contains(&point.layer));
    }
    let single: Vec<Fault> = points.iter().flat_map(faults_at).collect();
    if single.is_empty() {
        return Err(SweepError::NoPoints(case.id()));
    }
    let mut schedules: Vec<Vec<Fault>> = spread(&single, scope.limit)
        .map(|fault| vec![fault.clone()])
        .collect();
    schedules.extend(several(&single, scope.several, Seed(case.seed)));

    let mut found = Sweep {
        points,
        faults: single.len(),
        tried: Vec::new(),
        findings: Vec::new(),
    };
    let total = schedules.len();
    run_all(
        &schedules,
        scope.jobs,
        |schedule| {
            let run = bench.run(schedule);
            let wrong = judge::judge(&honest, &run, schedule);
            let fate = match &wrong {
                Some(_) => Fate::Wrong,
                None if !schedule.iter().any(|fault| struck(fault, &run.journal)) => Fate::Missed,
                None if judge::same_end(&honest, &run) => Fate::Recovered,
                None => Fate::SaidSo,
            };
            let reduced = wrong.map(|wrong| {
                reduce::reduce(schedule.clone(), wrong, |fewer| {
                    judge::judge(&honest, &bench.run(fewer), fewer)
                })
            });
            let end = |performed: &Performed| {
                let Performed {
                    action,
                    ending,
                    mode,
                    ..
                } = performed;
                (*action, ending.clone(), *mode)
            };
            let tried = Tried {
                schedule: schedule.clone(),
                fate,
                ends: run.actions.iter().map(end).collect(),
                remarks: run.remarks,
            };
            (tried, reduced)
        },
        |done| tick(done, total),
        |(tried, reduced)| {
            found.tried.push(tried);
            if let Some((schedule, wrong)) = reduced {
                found.keep(schedule, wrong);
            }
        },
    );
    Ok(found)
}

impl Sweep {
    /// The same mistake of the same action is told once, by the smallest schedule.
    fn keep(&mut self, schedule: Vec<Fault>, wrong: Wrong) {
        let twin = self
            .findings
            .iter_mut()
            .find(|finding| finding.wrong.is_like(&wrong));
        match twin {
            Some(twin) => {
                twin.alike += 1;
                if schedule.len() < twin.schedule.len() {
                    twin.schedule = schedule;
                    twin.wrong = wrong;
                }
            }
            None => self.findings.push(Finding {
                schedule,
                wrong,
                alike: 1,
            }),
        }
    }

    /// How many schedules came to that.
    pub fn count(&self, fate: Fate) -> usize {
        let tried = self.tried.iter();
        tried.filter(|tried| tried.fate == fate).count()
    }

    /// How many points there are of each layer.
    pub fn layers(&self) -> Vec<(Layer, usize)> {
        let count = |layer: Layer| {
            let points = self.points.iter();
            points.filter(|point| point.layer == layer).count()
        };
        Layer::ALL
            .iter()
            .map(|layer| (*layer, count(*layer)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

/// Runs a case with more faults than it has of its own.
#[derive(Clone, Copy)]
struct Bench<'a> {
    ledger: &'a Ledger,
    case: &'a Case<'a>,
    misbehaviour: Option<Misbehaviour>,
}

impl Bench<'_> {
    fn run(&self, schedule: &[Fault]) -> Run {
        self.run_for(schedule, Evidence::default())
    }

    fn run_for(&self, schedule: &[Fault], evidence: Evidence) -> Run {
        let mut scenario: Scenario = self.case.scenario.clone();
        scenario.device.faults.extend_from_slice(schedule);
        let engine = Engine {
            ledger: self.ledger,
            subject: Subject::Reference,
            misbehaviour: self.misbehaviour,
            rules: Rules::default(),
        };
        let case = Case {
            scenario: &scenario,
            profile: self.case.profile.clone(),
            seed: self.case.seed,
        };
        engine.run_for(&case, evidence)
    }
}

/// At most `limit` of them, evenly from first to last.
fn spread(all: &[Fault], limit: usize) -> impl Iterator<Item = &Fault> {
    let count = limit.clamp(1, all.len().max(1));
    (0..count).filter_map(move |index| all.get(index * all.len() / count))
}

/// Schedules of two to four faults, drawn by the seed.
fn several(all: &[Fault], count: usize, seed: Seed) -> Vec<Vec<Fault>> {
    let draw = |purpose: &str, turn: usize, below: usize| {
        let bytes = seed.bytes::<8>(purpose, turn as u64);
        (u64::from_le_bytes(bytes) % below.max(1) as u64) as usize
    };
    let schedule = |turn: usize| {
        let size = 2 + draw("sweep size", turn, 3);
        let picks: BTreeSet<usize> = (0..size)
            .map(|pick| draw("sweep fault", turn * 8 + pick, all.len()))
            .collect();
        picks
            .into_iter()
            .filter_map(|pick| all.get(pick).cloned())
            .collect()
    };
    (0..count).map(schedule).collect()
}

#[cfg(test)]
mod tests;
