//! What a sweep found, as a scenario file that fails until somebody repairs the role.

use amt_sim::Fault;
use toml::{Table, Value};

use super::Wrong;
use crate::requirement::{Ledger, Level};
use crate::scenario::{Scenario, StepKind, told_for};

/// The text of a scenario that tells `scenario` once more, with these faults and with what must come of it.
///
/// `text` is that of the file of `scenario`. The result passes `conformance check`, and stands in
/// `scenarios/FOLDER/NAME.toml` as its ID says.
pub fn scenario_text(
    scenario: &Scenario,
    text: &str,
    profile: &str,
    schedule: &[Fault],
    wrong: &Wrong,
    ledger: &Ledger,
) -> Result<(String, String), String> {
    let mut file: Table = told_for(&scenario.file, text, &scenario.values).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        errors.join("\n")
    })?;
    let values: Vec<String> = scenario
        .values
        .iter()
        .map(|(name, word)| format!("{name}-{word}"))
        .collect();
    let words = [values, schedule.iter().map(ToString::to_string).collect()].concat();
    let id = format!("{}-{}", scenario.id, slug(&words));
    let faults: Vec<String> = schedule.iter().map(ToString::to_string).collect();
    let (requirement, severity) = about(scenario, wrong, ledger)?;
    file.insert("id".to_owned(), id.clone().into());
    file.insert(
        "title".to_owned(),
        format!(
            "{} Although: {}",
            sentence(&scenario.title),
            faults.join(", ")
        )
        .into(),
    );
    file.insert(
        "story".to_owned(),
        format!("Found by a sweep of {}: {wrong}.\n", scenario.id).into(),
    );
    file.insert("requirements".to_owned(), vec![requirement.clone()].into());
    let mut device = match file.remove("device") {
        Some(Value::Table(device)) => device,
        _ => Table::new(),
    };
    for key in ["profiles", "from", "before", "with", "without"] {
        device.remove(key);
    }
    device.insert("profile".to_owned(), profile.into());
    let mut all: Vec<String> = scenario
        .device
        .faults
        .iter()
        .map(ToString::to_string)
        .collect();
    all.extend(faults);
    device.insert("faults".to_owned(), all.into());
    file.insert("device".to_owned(), device.into());

    let steps = match file.remove("step") {
        Some(Value::Array(steps)) => steps,
        _ => Vec::new(),
    };
    let mut kept: Vec<Value> = Vec::new();
    let mut said = false;
    for step in steps {
        let action = step.get("do").and_then(Value::as_str).map(str::to_owned);
        if step.get("expect").is_none() {
            kept.push(step);
        }
        let Some(action) = action else {
            continue;
        };
        if wrong.action().is_none_or(|wrong| wrong.word() == action) && !said {
            said = true;
            for expect in expectations(wrong) {
                kept.push(expect_step(expect, &requirement, severity));
            }
        } else {
            // What comes before may fail by the same faults, and that is no matter here.
            let mut any = Table::new();
            any.insert("outcome".to_owned(), vec!["done", "failed"].into());
            kept.push(expect_step(any, &requirement, severity));
        }
    }
    file.insert("step".to_owned(), Value::Array(kept));
    if let Wrong::Lies { fact, .. } = wrong {
        let mut needs: Vec<&str> = scenario.needs.iter().map(|need| need.word()).collect();
        if !needs.contains(&fact.feature().word()) {
            needs.push(fact.feature().word());
        }
        file.insert("needs".to_owned(), needs.into());
    }
    let body = toml::to_string(&file).map_err(|error| error.to_string())?;
    Ok((id, body))
}

fn expect_step(expect: Table, requirement: &str, severity: Level) -> Value {
    let mut step = Table::new();
    step.insert("expect".to_owned(), expect.into());
    step.insert("requirement".to_owned(), requirement.into());
    step.insert("severity".to_owned(), severity.word().into());
    step.into()
}

/// What must be so, as far as one expectation can say it. A role that copes may well come to another end than the one
/// that only says so; whoever commits the file may allow both.
fn expectations(wrong: &Wrong) -> Vec<Table> {
    let one = |key: &str, value: Value| Table::from_iter([(key.to_owned(), value)]);
    match wrong {
        Wrong::Hangs { .. } | Wrong::Breaks { .. } => {
            vec![one("outcome", vec!["done", "failed"].into())]
        }
        Wrong::FalseSuccess { .. } | Wrong::LeavesOut { .. } | Wrong::Trusts { .. } => {
            vec![one("outcome", "failed".into())]
        }
        Wrong::GivesUp { .. } | Wrong::FalseFailure { .. } => vec![one("outcome", "done".into())],
        Wrong::Lies { fact, .. } => vec![
            one("outcome", vec!["done", "failed"].into()),
            one("matches_device", vec![fact.name()].into()),
        ],
    }
}

/// The requirement that the file is about: of the first expectation behind the action that goes wrong, or the first.
fn about(scenario: &Scenario, wrong: &Wrong, ledger: &Ledger) -> Result<(String, Level), String> {
    let mut reached = false;
    let mut first = None;
    for step in &scenario.steps {
        match &step.kind {
            StepKind::Do { action, .. } => {
                reached |= wrong.action().is_none_or(|wrong| wrong == *action);
            }
            StepKind::Expect {
                requirement,
                severity,
                ..
            } => {
                let found = (requirement.clone(), *severity);
                if reached {
                    return Ok(found);
                }
                first = first.or(Some(found));
            }
            _ => {}
        }
    }
    first
        .or_else(|| {
            let id = scenario.requirements.first()?;
            Some((id.clone(), ledger.get(id)?.level))
        })
        .ok_or_else(|| format!("{} expects nothing", scenario.id))
}

fn sentence(title: &str) -> String {
    format!("{}.", title.trim_end_matches('.'))
}

/// Words of an ID: `answer:amthi:0x1a+2=drop*1` becomes `answer-amthi-0x1a-2-drop-1`.
fn slug(texts: &[String]) -> String {
    let mut slug = String::new();
    for letter in texts.join("-").to_lowercase().chars() {
        match letter {
            'a'..='z' | '0'..='9' => slug.push(letter),
            _ if !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.trim_matches('-').to_owned()
}
