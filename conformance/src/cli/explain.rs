//! `conformance explain`: what a requirement is about, shown by a run of its own.

use std::io::Write;

use amt_sim::{Entry, Rules};

use super::{Console, Stop, shelf};
use crate::requirement::{Ledger, Matrix, Party, Requirement};
use crate::run::{Choice, Engine, Plan, Run, Subject, Verdict, newest};
use crate::scenario::{Library, Scenario};

/// Journal lines that are shown unless the whole is asked for.
const FIRST: usize = 24;

pub(super) fn explain(id: &str, whole: bool, console: &mut Console) -> Result<u8, Stop> {
    let (ledger, library) = shelf()?;
    let out = &mut console.out;
    if let Some(scenario) = library.get(id) {
        explain_scenario(scenario, &ledger, out)?;
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
    if ledger.called(id).count() > 1 {
        parts(id, &ledger, &library, out)?;
        return Ok(0);
    }
    say(requirement, out)?;
    let proving: Vec<&Scenario> = library
        .scenarios
        .iter()
        .filter(|scenario| scenario.requirements.contains(&requirement.id))
        .collect();
    if proving.is_empty() {
        unproven(requirement, out)?;
        return Ok(0);
    }
    writeln!(out, "\n  proven by")?;
    for scenario in &proving {
        writeln!(out, "    {:<36} {}", scenario.id, scenario.title)?;
    }
    if let Some(run) = smallest(requirement, &ledger, &library) {
        exchange(&run, whole, out)?;
    }
    writeln!(
        out,
        "\n  try it\n    conformance run --filter requirement:{}",
        requirement.id
    )?;
    if requirement.who == Party::Device {
        let known = amt_sim::device::Rule::ALL
            .iter()
            .any(|rule| rule.id() == requirement.id);
        if known {
            writeln!(
                out,
                "    conformance run --filter requirement:{0} --without {0}   (must fail)",
                requirement.id
            )?;
        }
    } else {
        writeln!(
            out,
            "    conformance run --filter requirement:{} --target FILE   (your program)",
            requirement.id
        )?;
    }
    Ok(0)
}

/// What an alias stands for when it is more than one thing.
fn parts(alias: &str, ledger: &Ledger, library: &Library, out: &mut dyn Write) -> Result<(), Stop> {
    writeln!(out, "{alias} stands for several requirements\n")?;
    let matrix = Matrix::new(ledger, &library.scenarios);
    let rows = matrix.rows.iter();
    for row in rows.filter(|row| ledger.called(alias).any(|part| part == row.requirement)) {
        let part = row.requirement;
        writeln!(
            out,
            "  {:<10} {}\n             The {} {}: {}",
            row.standing(),
            part.id,
            part.who,
            part.level,
            part.text
        )?;
        if let Some(reason) = &part.untestable {
            writeln!(out, "             Not tested: {reason}")?;
        }
    }
    writeln!(
        out,
        "\n  try it\n    conformance run --filter requirement:{alias}\n    conformance explain ID   (each of them)"
    )?;
    Ok(())
}

fn say(requirement: &Requirement, out: &mut dyn Write) -> Result<(), Stop> {
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
    writeln!(out)?;
    let mut line = |name: &str, text: &str| writeln!(out, "  {name:<11} {text}");
    line("grade", requirement.grade.word())?;
    line("source", &requirement.source)?;
    for (name, text) in [
        ("why", requirement.why.as_deref()),
        ("firmware", requirement.firmware()),
        ("note", requirement.note.as_deref()),
        ("untestable", requirement.untestable.as_deref()),
    ] {
        if let Some(text) = text {
            line(name, text)?;
        }
    }
    for seen in &requirement.seen {
        line("seen", seen)?;
    }
    Ok(())
}

fn unproven(requirement: &Requirement, out: &mut dyn Write) -> Result<(), Stop> {
    writeln!(out, "\n  No scenario proves it.")?;
    if !requirement.proved_by.is_empty() {
        writeln!(out, "\n  unit tests of the device that fail without it")?;
        for test in &requirement.proved_by {
            writeln!(out, "    {test}")?;
        }
        writeln!(
            out,
            "\n  try it\n    cargo test -p amt-sim --lib -- {}\n    AMT_SIM_KNOCK_OUT={} cargo test -p amt-sim --lib -- {}   (must fail)",
            requirement.proved_by.join(" "),
            requirement.id,
            requirement.proved_by.join(" ")
        )?;
    }
    Ok(())
}

/// The passing run of a proving scenario with the shortest record, made on the spot with the bundled roles.
fn smallest(requirement: &Requirement, ledger: &Ledger, library: &Library) -> Option<Run> {
    let choice = Choice {
        filter: Some(format!("requirement:{}", requirement.id)),
        ..Choice::default()
    };
    let plan = Plan::new(library, ledger, &choice).ok()?;
    let engine = Engine {
        ledger,
        subject: Subject::Reference,
        misbehaviour: None,
        rules: Rules::default(),
    };
    newest(&plan.cases)
        .map(|case| engine.run(case))
        .filter(|run| run.verdict == Verdict::Pass)
        .min_by_key(|run| run.journal.len())
}

fn exchange(run: &Run, whole: bool, out: &mut dyn Write) -> Result<(), Stop> {
    writeln!(
        out,
        "\n  the shortest run that holds: {}, seed {}, {} journal lines",
        run.id,
        run.seed,
        run.journal.len()
    )?;
    let shown = if whole { run.journal.len() } else { FIRST };
    for entry in run.journal.iter().take(shown) {
        writeln!(out, "    {}", line(entry))?;
    }
    if let Some(more) = run
        .journal
        .len()
        .checked_sub(shown)
        .filter(|more| *more > 0)
    {
        writeln!(out, "    ... {more} more; --whole shows them")?;
    }
    for check in &run.checks {
        if let (Some(expected), Some(actual)) = (&check.expected, &check.actual) {
            writeln!(
                out,
                "    holds: {} is {actual}, expected {expected}   ({})",
                check.about, check.requirement
            )?;
        }
    }
    Ok(())
}

/// One journal entry: number, device time in milliseconds, kind, and its fields.
pub(super) fn line(entry: &Entry) -> String {
    /// Letters of one value that are shown: a header and the first fields of a message.
    const MOST: usize = 64;
    let millis = (entry.at - amt_sim::Instant::POWER_ON).as_secs_f64() * 1000.0;
    // An event is strings, numbers and nested tagged values: serialising it cannot fail.
    let event = serde_json::to_value(&entry.event).unwrap_or_default();
    let mut text = format!("{:>4} {millis:>9.1} ms  ", entry.seq);
    text += event["kind"].as_str().unwrap_or_default();
    for (key, value) in event.as_object().into_iter().flatten() {
        if key == "kind" {
            continue;
        }
        let value = crate::fact::show(value);
        let short: String = value.chars().take(MOST).collect();
        let more = if short.len() < value.len() { "..." } else { "" };
        text += &format!(" {key}={short}{more}");
    }
    text
}

fn explain_scenario(scenario: &Scenario, ledger: &Ledger, out: &mut dyn Write) -> Result<(), Stop> {
    writeln!(out, "{}\n\n  {}\n", scenario.id, scenario.title)?;
    for line in scenario.story.lines() {
        writeln!(out, "  {}", line.trim())?;
    }
    writeln!(out, "\n  proves")?;
    for id in &scenario.requirements {
        let text = ledger.get(id).map_or("", |entry| entry.text.as_str());
        writeln!(out, "    {id}\n      {text}")?;
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
