//! `conformance sweep`.

use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;

use amt_sim::Mode;

use super::{Console, Stop, SweepArgs, library};
use crate::role::Ending;
use crate::run::{Case, Choice, Plan, newest};
use crate::scenario::Action;
use crate::sweep::{Fate, Scope, Sweep, scenario_text, sweep};

pub(super) fn run(args: &SweepArgs, console: &mut Console) -> Result<u8, Stop> {
    let (ledger, library, texts) = library(&args.file)?;
    let (scenario, profile) = match args.run.split_once('@') {
        Some((scenario, profile)) => (scenario, Some(profile.to_owned())),
        None => (args.run.as_str(), None),
    };
    let choice = Choice {
        filter: Some(scenario.to_owned()),
        profile,
        seed: args.seed,
        ..Choice::default()
    };
    let plan = Plan::new(&library, &ledger, &choice).map_err(Stop::wrong)?;
    let scope = Scope {
        layers: args.layer.clone(),
        limit: args.limit.unwrap_or(usize::MAX),
        several: args.several,
        misbehaviour: args.misbehave,
        jobs: args
            .jobs
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN),
    };
    let live = console.live;
    let mut found = false;
    for case in newest(&plan.cases) {
        let swept = sweep(&ledger, case, &scope, |done, total| {
            if live {
                eprint!("\r[{done}/{total}]\u{1b}[K");
            }
        })
        .map_err(Stop::wrong)?;
        if live {
            eprint!("\r\u{1b}[K");
        }
        tell(case, &swept, console)?;
        if args.each {
            tell_each(&swept, console)?;
        }
        for finding in &swept.findings {
            found = true;
            let faults: Vec<String> = finding.schedule.iter().map(ToString::to_string).collect();
            writeln!(console.out, "  WRONG  {}", finding.wrong)?;
            writeln!(
                console.out,
                "         with {}   (and {} more schedules)",
                faults.join(", "),
                finding.alike - 1
            )?;
            let text = texts
                .iter()
                .find(|(path, _)| *path == case.scenario.file)
                .map_or("", |(_, text)| text.as_str());
            let (id, text) = scenario_text(
                case.scenario,
                text,
                &case.profile.name,
                &finding.schedule,
                &finding.wrong,
                &ledger,
            )
            .map_err(Stop::wrong)?;
            let path = args.out.join(format!("{}.toml", id.replacen('.', "/", 1)));
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, text)?;
            let mistake = args
                .misbehave
                .map_or(String::new(), |mistake| format!(" --misbehave {mistake}"));
            writeln!(
                console.out,
                "         conformance run --file {} --seed {}{mistake}",
                path.display(),
                case.seed
            )?;
        }
        console.out.flush()?;
    }
    Ok(u8::from(found))
}

fn tell(case: &Case<'_>, swept: &Sweep, console: &mut Console) -> Result<(), Stop> {
    let layers: Vec<String> = swept
        .layers()
        .iter()
        .map(|(layer, count)| format!("{count} {layer}"))
        .collect();
    writeln!(
        console.out,
        "{}: seed {}, {} points ({})",
        case.id(),
        case.seed,
        swept.points.len(),
        layers.join(", ")
    )?;
    writeln!(
        console.out,
        "  {} single faults, {} schedules tried: {} ended as without, {} ended otherwise and said so, {} went wrong, {} never struck",
        swept.faults,
        swept.tried.len(),
        swept.count(Fate::Recovered),
        swept.count(Fate::SaidSo),
        swept.count(Fate::Wrong),
        swept.count(Fate::Missed),
    )?;
    Ok(())
}

/// One line a schedule: what became of it, the faults, how each action ended and where the device was then.
fn tell_each(swept: &Sweep, console: &mut Console) -> Result<(), Stop> {
    for tried in &swept.tried {
        let faults: Vec<String> = tried.schedule.iter().map(ToString::to_string).collect();
        let end = |(action, ending, mode): &(Action, Ending, Mode)| match ending {
            Ending::Outcome(outcome) => format!("{action} {outcome} ({mode:?})"),
            other => format!("{action} {other:?}"),
        };
        let ends: Vec<String> = tried.ends.iter().map(end).collect();
        let fate = match tried.fate {
            Fate::Missed => "missed",
            Fate::Recovered => "as without",
            Fate::SaidSo => "said so",
            Fate::Wrong => "WRONG",
        };
        write!(
            console.out,
            "  {fate:<10} {}: {}",
            faults.join(", "),
            ends.join(", ")
        )?;
        if let Some(remark) = tried.remarks.last() {
            write!(console.out, "; {remark}")?;
        }
        writeln!(console.out)?;
    }
    Ok(())
}
