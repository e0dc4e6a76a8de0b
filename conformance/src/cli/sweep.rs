//! `conformance sweep`.

use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;

use super::{Console, Stop, SweepArgs, library};
use crate::run::{Case, Choice, Plan};
use crate::sweep::{Scope, Sweep, scenario_text, sweep};

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
    // The newest device of each scenario, unless one is named.
    let cases = plan
        .cases
        .chunk_by(|a, b| a.scenario.id == b.scenario.id)
        .filter_map(|cases| cases.last());
    let scope = Scope {
        layers: args.layer.clone(),
        limit: args.limit,
        several: args.several,
        misbehaviour: args.misbehave,
        jobs: args
            .jobs
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN),
    };
    let live = console.live;
    let mut found = false;
    for case in cases {
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
    let said_so = swept.struck - swept.recovered;
    writeln!(
        console.out,
        "  {} single faults, {} schedules tried, {} struck: {} ended as without, {} ended otherwise and said so or went wrong",
        swept.faults, swept.tried, swept.struck, swept.recovered, said_so
    )?;
    Ok(())
}
