//! What there is: scenarios, targets, facts, requirements.

use std::io::Write;

use super::{Console, ListArgs, Stop, shelf, shown};
use crate::fact::Fact;
use crate::requirement::Matrix;
use crate::role::target;
use crate::run::Plan;
use crate::scenario::Scenario;

pub(super) fn list(args: &ListArgs, console: &mut Console) -> Result<u8, Stop> {
    let out = &mut console.out;
    if args.facts {
        for fact in Fact::ALL {
            writeln!(
                out,
                "{:<22} {:<18} {}",
                fact.name(),
                fact.feature(),
                fact.doc()
            )?;
            writeln!(out, "{:41} {}", "", fact.kind().describe())?;
        }
        return Ok(0);
    }
    if args.targets {
        for file in fixtures::TARGETS {
            match target::parse(file.path, file.text) {
                Ok(target) => writeln!(out, "{:<18} {}", target.name, target.title)?,
                Err(errors) => return Err(Stop::Wrong(shown(&errors))),
            }
        }
        return Ok(0);
    }
    let (ledger, library) = shelf()?;
    let chosen =
        crate::run::select(&library, &ledger, args.filter.as_deref()).map_err(Stop::wrong)?;
    for scenario in chosen {
        writeln!(out, "{:<38} {}", scenario.id, scenario.title)?;
    }
    Ok(0)
}

pub(super) fn ledger(console: &mut Console) -> Result<u8, Stop> {
    let (ledger, library) = shelf()?;
    writeln!(console.out, "{}", Matrix::new(&ledger, &library.scenarios))?;
    Ok(0)
}

pub(super) fn explain(id: &str, console: &mut Console) -> Result<u8, Stop> {
    let (ledger, library) = shelf()?;
    let out = &mut console.out;
    if let Some(scenario) = library.get(id) {
        explain_scenario(scenario, out)?;
        return Ok(0);
    }
    let Some(requirement) = ledger.get(id) else {
        let near = ledger
            .closest(id)
            .or_else(|| library.closest(id))
            .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        return Err(Stop::wrong(format!(
            "no requirement and no scenario is called `{id}`{near}"
        )));
    };
    let alias = requirement
        .alias
        .as_ref()
        .map_or(String::new(), |alias| format!("  (also {alias})"));
    writeln!(out, "{}{alias}", requirement.id)?;
    writeln!(
        out,
        "\n  The {} {}: {}",
        requirement.who, requirement.level, requirement.text
    )?;
    writeln!(out, "\n  grade   {}", requirement.grade)?;
    writeln!(out, "  source  {}", requirement.source)?;
    if let Some(note) = &requirement.note {
        writeln!(out, "  note    {note}")?;
    }
    if let Some(why) = &requirement.untestable {
        writeln!(out, "  cannot be tested: {why}")?;
    }
    let proving: Vec<&Scenario> = library
        .scenarios
        .iter()
        .filter(|scenario| scenario.requirements.contains(&requirement.id))
        .collect();
    if proving.is_empty() {
        writeln!(out, "\n  No scenario proves it yet.")?;
        return Ok(0);
    }
    writeln!(out, "\n  proven by")?;
    for scenario in proving {
        writeln!(out, "    {:<36} {}", scenario.id, scenario.title)?;
    }
    writeln!(
        out,
        "\n  try it\n    conformance run --filter requirement:{}",
        requirement.id
    )?;
    Ok(0)
}

fn explain_scenario(scenario: &Scenario, out: &mut Box<dyn Write>) -> Result<(), Stop> {
    writeln!(out, "{}\n\n  {}\n", scenario.id, scenario.title)?;
    for line in scenario.story.lines() {
        writeln!(out, "  {}", line.trim())?;
    }
    writeln!(out, "\n  proves")?;
    for requirement in &scenario.requirements {
        writeln!(out, "    {requirement}")?;
    }
    writeln!(out, "\n  stands in {}", scenario.file)?;
    writeln!(
        out,
        "\n  try it\n    conformance run --filter {} --seed {}",
        scenario.id,
        scenario.device.seed.unwrap_or(Plan::SEED)
    )?;
    Ok(())
}
