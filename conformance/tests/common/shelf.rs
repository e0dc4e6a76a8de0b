//! The bundled scenarios, and how the tests run some of them with roles that make mistakes or without a rule.

use std::num::NonZeroUsize;
use std::sync::OnceLock;

use amt_sim::Rules;
use conformance::requirement::Ledger;
use conformance::role::Misbehaviour;
use conformance::run::{Case, Choice, Engine, Plan, Run, Subject, Verdict, run_all};
use conformance::scenario::Library;

pub struct Shelf {
    pub ledger: Ledger,
    pub library: Library,
}

pub fn shelf() -> &'static Shelf {
    static SHELF: OnceLock<Shelf> = OnceLock::new();
    SHELF.get_or_init(|| {
        let ledger = Ledger::builtin().unwrap();
        let library = Library::builtin(&ledger).unwrap();
        Shelf { ledger, library }
    })
}

/// Every run of the scenarios that the filter lets through.
pub fn cases(filter: Option<&str>) -> Vec<Case<'static>> {
    let shelf = shelf();
    let choice = Choice {
        filter: filter.map(str::to_owned),
        ..Choice::default()
    };
    let plan = Plan::new(&shelf.library, &shelf.ledger, &choice).unwrap();
    plan.cases
}

/// One run of each scenario: on tiger-lake-15 where it takes that, the last by name, which has ports with and without
/// TLS and an on-die authority.
pub fn one_of_each(filter: Option<&str>) -> Vec<Case<'static>> {
    let cases = cases(filter);
    let by_scenario = cases.chunk_by(|a, b| a.scenario.id == b.scenario.id);
    by_scenario
        .filter_map(|runs| runs.last().cloned())
        .collect()
}

pub fn run_cases(cases: &[Case<'_>], misbehaviour: Option<Misbehaviour>, rules: Rules) -> Vec<Run> {
    let engine = Engine {
        ledger: &shelf().ledger,
        subject: Subject::Reference,
        misbehaviour,
        rules,
    };
    let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut runs = Vec::new();
    run_all(
        cases,
        jobs,
        |case| engine.run(case),
        |_| (),
        |run| runs.push(run),
    );
    runs
}

/// Whether the run shows that something is wrong.
pub fn is_noticed(run: &Run) -> bool {
    matches!(run.verdict, Verdict::Fail | Verdict::Warn)
}
