//! How long scenario runs take with the bundled roles, from the device's power-on to the drawn sequence.
//!
//! ```text
//! harness_runs [RUNS]...
//! ```
//! For each number it runs as many cases: the same hundred, spread over the whole plan, again and again, so that ten
//! and a thousand are of the same kind (ten are every tenth of them). It prints one JSON object, in milliseconds: by the
//! clock, and of processors, which other work on the machine does not touch. A short plan is run several times.

use std::error::Error;
use std::num::NonZeroUsize;
use std::time::Instant;

use amt_sim::Rules;
use conformance::requirement::Ledger;
use conformance::run::{Case, Choice, Engine, Evidence, Plan, Subject, run_all};
use conformance::scenario::Library;

/// Cases that stand for all.
const SAMPLE: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let counts: Vec<usize> = std::env::args()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let ledger = Ledger::builtin().map_err(|errors| format!("{errors:?}"))?;
    let library = Library::builtin(&ledger).map_err(|errors| format!("{errors:?}"))?;
    let plan = Plan::new(&library, &ledger, &Choice::default())?;
    let sample: Vec<&Case<'_>> = (0..SAMPLE)
        .filter_map(|index| plan.cases.get(index * plan.cases.len() / SAMPLE))
        .collect();
    let engine = Engine {
        ledger: &ledger,
        subject: Subject::Reference,
        misbehaviour: None,
        rules: Rules::default(),
    };
    let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // Not measured: tables are parsed when they are first asked for.
    measure(&engine, &chosen(&sample, 10, 0), jobs);
    let points: Vec<serde_json::Value> = counts
        .iter()
        .map(|count| {
            let times = (SAMPLE / count.max(&1)).max(1);
            let before = processor_ms();
            // Each time with others of the hundred, so that all lengths run the same stories.
            let ms: f64 = (0..times)
                .map(|turn| measure(&engine, &chosen(&sample, *count, turn), jobs))
                .sum();
            let processor = processor_ms() - before;
            let times = times as f64;
            serde_json::json!({ "runs": count, "ms": ms / times, "processor_ms": processor / times })
        })
        .collect();
    println!("{}", serde_json::json!({ "jobs": jobs, "points": points }));
    Ok(())
}

fn chosen<'c, 'l>(sample: &[&'c Case<'l>], count: usize, turn: usize) -> Vec<&'c Case<'l>> {
    let step = (sample.len() / count.max(1)).max(1);
    let rest = sample.iter().skip(turn % step);
    let some: Vec<&Case<'_>> = rest.step_by(step).copied().collect();
    some.iter().cycle().take(count).copied().collect()
}

/// What this process has used of all cores, in steps of ten milliseconds; 0 where the system does not say.
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything, user and system time are the 12th and 13th field, in hundredths.
    let fields = stat.rsplit(')').next().unwrap_or_default().split(' ');
    let ticks = fields.skip(12).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        * 10.0
}

fn measure(engine: &Engine<'_>, cases: &[&Case<'_>], jobs: NonZeroUsize) -> f64 {
    let started = Instant::now();
    let mut kept = Vec::with_capacity(cases.len());
    run_all(
        cases,
        jobs,
        |case| {
            let evidence = Evidence::default();
            let mut run = engine.run_for(case, evidence);
            evidence.settle(&mut run);
            run
        },
        |_| (),
        |run| kept.push(run), // As a report keeps them.
    );
    started.elapsed().as_secs_f64() * 1000.0
}
