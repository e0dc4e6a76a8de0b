//! `conformance run`.

use std::collections::BTreeMap;
use std::io::Write;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amt_sim::Rules;

use super::subject::subject;
use super::{Console, RunArgs, Stop, library};
use crate::report::{Invocation, Report, Style, Terminal, Timing, github, rfc3339, write_bundle};
use crate::run::{Choice, Engine, Evidence, Plan, Run, Subject, repeat, run_all};

/// Runs with a real SCA at a time, for each processor.
const WAITING: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

pub(super) fn run(args: &RunArgs, console: &mut Console) -> Result<u8, Stop> {
    let (ledger, library, _) = library(&args.file)?;
    let target = (!args.target.is_empty()).then(|| args.target.join(","));
    let only = match args.rerun_failed {
        false => None,
        true => Some(failed_then(&args.report, target.as_deref())?),
    };
    if only.as_ref().is_some_and(BTreeMap::is_empty) {
        let folder = args.report.display();
        writeln!(
            console.out,
            "nothing in {folder}/report.json calls for attention"
        )?;
        return Ok(0);
    }
    let choice = Choice {
        filter: args.filter.clone(),
        profile: args.profile.clone(),
        seed: args.seed,
        shard: args.shard,
        only,
        all_combinations: args.all_combinations,
    };
    let plan = Plan::new(&library, &ledger, &choice).map_err(Stop::wrong)?;
    let mut rules = Rules::default();
    for rule in &args.without {
        rules.knock_out(rule).map_err(Stop::wrong)?;
    }
    let (subject, described, serial) = subject(args, &library)?;
    let engine = Engine {
        ledger: &ledger,
        subject,
        misbehaviour: args.misbehave,
        rules,
    };
    let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let usual = match &engine.subject {
        // It waits more than it works.
        Subject::Application(_) => processors.saturating_mul(WAITING),
        Subject::Reference | Subject::Agent(_) | Subject::Several(_) => processors,
    };
    let jobs = match serial {
        true => NonZeroUsize::MIN,
        false => args.jobs.unwrap_or(usual),
    };
    let seed = args.seed.unwrap_or(Plan::SEED);
    writeln!(
        console.out,
        "{}: {} runs{}{}, seed {seed}{}\n",
        described.title,
        plan.cases.len(),
        args.shard
            .map_or(String::new(), |shard| format!(" of shard {shard}")),
        match args.repeat.get() {
            1 => String::new(),
            times => format!(", {times} times each"),
        },
        described
            .backend
            .as_ref()
            .map_or(String::new(), |backend| format!("; {backend}"))
    )?;
    console.out.flush()?;

    let started = SystemTime::now();
    let clock = Instant::now();
    let evidence = Evidence {
        chances: false,
        all: args.evidence.all,
        show_secrets: args.show_secrets,
        capture: args.bundle.is_some(),
    };
    let pace = Pace::of(args, console);
    let runs = play(&plan, &engine, args.repeat, pace, jobs, evidence, console)?;
    let invocation = Invocation {
        filter: args.filter.clone(),
        profile: args.profile.clone(),
        target,
        seed,
        misbehave: args.misbehave.map(|mistake| mistake.to_string()),
        without: args.without.clone(),
    };
    let timing = Timing {
        started: rfc3339(
            started
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        ),
        duration_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    let mut report = Report::new(described, invocation, timing, runs, &ledger, args.strict);
    // A shard may well be empty where there are more machines than runs.
    if args.shard.is_some() && report.runs.is_empty() {
        report.exit_code = 0;
    }
    report.write(&args.report).map_err(|error| {
        Stop::wrong(format!(
            "cannot write to {}: {error}",
            args.report.display()
        ))
    })?;
    if let Some(path) = &args.bundle {
        write_bundle(&report, path)
            .map_err(|error| Stop::wrong(format!("cannot write {}: {error}", path.display())))?;
    }
    let folder = args.report.display().to_string();
    write!(
        console.out,
        "{}",
        terminal(console).summary(&report, &folder)
    )?;
    if args.github || std::env::var_os("GITHUB_ACTIONS").is_some_and(|set| set == "true") {
        write!(console.out, "{}", github(&report))?;
    }
    console.out.flush()?;
    Ok(report.exit_code)
}

fn terminal(console: &Console) -> Terminal {
    Terminal {
        style: Style {
            colour: console.colour,
        },
    }
}

/// Runs everything; prints each scenario as soon as all before it are printed.
fn play(
    plan: &Plan<'_>,
    engine: &Engine<'_>,
    times: NonZeroU32,
    mut pace: Pace,
    jobs: NonZeroUsize,
    evidence: Evidence,
    console: &mut Console,
) -> Result<Vec<Run>, Stop> {
    let drawing = terminal(console);
    let total = plan.cases.len();
    let live = pace == Pace::Live;
    let exact = matches!(engine.subject, Subject::Reference);
    let mut runs: Vec<Run> = Vec::with_capacity(total);
    // The scenario whose runs are not all there yet begins here.
    let mut shown = 0;
    let mut output = Ok(());
    let progress = |finished: usize| pace.tell(finished, total);
    run_all(
        &plan.cases,
        jobs,
        |case| {
            let mut run = repeat(times, exact, || engine.run_for(case, evidence));
            evidence.settle(&mut run);
            run
        },
        progress,
        |run| {
            runs.push(run);
            let next = plan.cases.get(runs.len());
            let current = plan.cases.get(runs.len() - 1);
            let ends = match (current, next) {
                (Some(current), Some(next)) => current.scenario.id != next.scenario.id,
                _ => true,
            };
            if ends && output.is_ok() {
                if live {
                    eprint!("\r\u{1b}[K");
                }
                output = write!(console.out, "{}", drawing.scenario(&runs[shown..]))
                    .and_then(|()| console.out.flush());
                shown = runs.len();
            }
        },
    );
    output?;
    Ok(runs)
}

/// How progress is told, on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// To people: one line that changes.
    Live,
    /// To a log: a line now and then.
    Plain {
        last: Instant,
    },
    None,
}

impl Pace {
    /// Between two lines of a log.
    const PAUSE: Duration = Duration::from_secs(10);

    fn of(args: &RunArgs, console: &Console) -> Self {
        match (args.progress.as_str(), console.live) {
            ("live", _) | ("auto", true) => Self::Live,
            ("none", _) => Self::None,
            _ => Self::Plain {
                last: Instant::now(),
            },
        }
    }

    fn tell(&mut self, finished: usize, total: usize) {
        match self {
            Self::Live => eprint!("\r[{finished}/{total}]\u{1b}[K"),
            Self::Plain { last } if last.elapsed() >= Self::PAUSE => {
                *last = Instant::now();
                eprintln!("conformance: {finished} of {total} runs done");
            }
            Self::Plain { .. } | Self::None => {}
        }
    }
}

/// The runs of an earlier report that called for attention, with their seeds.
fn failed_then(folder: &Path, target: Option<&str>) -> Result<BTreeMap<String, u64>, Stop> {
    let path = folder.join("report.json");
    let shown = path.display();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Stop::wrong(format!(
            "--rerun-failed: cannot read {shown}: {error}; --report names the folder of the report"
        ))
    })?;
    let report: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Stop::wrong(format!("--rerun-failed: {shown}: {error}")))?;
    let Some(runs) = report["runs"].as_array() else {
        return Err(Stop::wrong(format!("--rerun-failed: {shown} is no report")));
    };
    let then = report["invocation"]["target"].as_str();
    if then != target {
        let of = then.map_or("the bundled roles".to_owned(), |then| format!("`{then}`"));
        return Err(Stop::wrong(format!(
            "--rerun-failed: {shown} is about {of}; give the same --target"
        )));
    }
    let failed = runs.iter().filter(|run| {
        let known = run["known_failing"].is_string();
        match run["verdict"].as_str() {
            Some("fail" | "warn" | "inconclusive") => !known,
            Some("pass") => known,
            Some("configuration-error") => true,
            _ => false,
        }
    });
    Ok(failed
        .filter_map(|run| Some((run["id"].as_str()?.to_owned(), run["seed"].as_u64()?)))
        .collect())
}
