//! From the text of a scenario file to a [`Scenario`], or to everything that is wrong with it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::OnceLock;

use amt_sim::diagnostic::Diagnostic;
use amt_sim::{Fault, Mode, Profile};

use super::expectation::{Expectation, Outcome, parse_expectation};
use super::parameter::{Given, Parameters, Values};
use super::select::{Selection, Trait, parse_version};
use super::{Action, DeviceSetup, Order, Role, Scenario, Step, StepKind};
use crate::document::{Findings, Located, Table, read_changed};
use crate::fact::Feature;
use crate::glob::Glob;
use crate::probe::Script;
use crate::requirement::{Ledger, Level, is_dotted_words, noun, word};

/// Reads one scenario; `file` is only named in messages. A story with parameters is read once for each combination.
pub fn parse(file: &str, text: &str, ledger: &Ledger) -> Result<Scenario, Vec<Diagnostic>> {
    let given = Given::read(file, text)?;
    let mut told: Vec<Scenario> = Vec::new();
    let mut met = BTreeSet::new();
    let mut wrong: Vec<Diagnostic> = Vec::new();
    for values in given.rows() {
        let result = read_changed(
            file,
            text,
            |root, findings| met.extend(given.fill(root, &values, findings)),
            |table, findings| parse_scenario(file, text, table, findings, ledger),
        );
        match result {
            Ok(scenario) => told.push(Scenario { values, ..scenario }),
            // What is wrong whatever the values are is said once.
            Err(errors) => {
                for error in errors {
                    // That a placeholder is no value was said where its name is unknown.
                    let follows = error.message.contains("{parameter.");
                    if !follows && !wrong.contains(&error) {
                        wrong.push(error);
                    }
                }
            }
        }
    }
    let findings = Findings::new(file, text);
    if let (true, Some(story)) = (wrong.is_empty(), told.first()) {
        let takes = |profile: &&Profile| story.device.profiles.takes(profile);
        let profiles: Vec<&Profile> = builtin_profiles().iter().filter(takes).collect();
        given.check_use(&met, &profiles, &findings);
    }
    wrong.extend(findings.take());
    wrong.sort_by_key(|found| (found.line, found.column));
    match told.first() {
        Some(story) if wrong.is_empty() => {
            let mut story = story.clone();
            if !given.parameters.is_empty() {
                story.parameters = given.parameters;
                story.values = Values::new();
                story.variants = told;
            }
            Ok(story)
        }
        _ => Err(wrong),
    }
}

fn parse_scenario(
    file: &str,
    text: &str,
    table: &Table<'_, '_>,
    findings: &Findings,
    ledger: &Ledger,
) -> Option<Scenario> {
    // Read already.
    table.any("parameters");
    let id = table.require_string("id");
    if let Some(id) = &id
        && !is_dotted_words(&id.value)
    {
        findings.add_with_help(
            id.span.clone(),
            format!("`{}` is not an ID", id.value),
            "write lower-case words, digits and hyphens, joined by at least one dot",
        );
    }
    let title = table.require_string("title");
    let story = table.require_string("story");
    let requirements = table.strings("requirements");
    if requirements.is_none() && !table.has("requirements") {
        table.missing("requirements");
    }
    let requirements = requirements.unwrap_or_default();
    for requirement in &requirements {
        check_requirement(requirement, findings, ledger);
    }
    let tags = table.strings("tags").unwrap_or_default();
    let roles: BTreeSet<Role> = named_list(table, findings, "roles", Role::named, Role::ALL)
        .into_iter()
        .map(|role| role.value)
        .collect();
    if !table.has("roles") {
        table.missing("roles");
    }
    let needs = named_list(table, findings, "needs", Feature::named, Feature::ALL);
    let device = match table.table("device") {
        Some(device) => parse_device(&device, findings),
        None => {
            table.missing("device");
            None
        }
    };
    let steps = parse_steps(text, table, findings, ledger);
    let needs = needs.into_iter().map(|need| need.value).collect();
    let scenario = Scenario {
        id: id?.value,
        title: title?.value,
        story: story?.value.trim().to_owned(),
        requirements: requirements.iter().map(|id| id.value.clone()).collect(),
        tags: tags.into_iter().map(|tag| tag.value).collect(),
        roles,
        needs,
        device: device?,
        steps: steps?,
        file: file.to_owned(),
        parameters: Parameters::default(),
        values: Values::new(),
        variants: Vec::new(),
    };
    // Half a story would only repeat what was said about the other half.
    if findings.is_empty() {
        check_whole(&scenario, &requirements, table, findings);
    }
    Some(scenario)
}

/// A list of words of one of our enumerations.
fn named_list<T: Copy + std::fmt::Display>(
    table: &Table<'_, '_>,
    findings: &Findings,
    key: &'static str,
    named: impl Fn(&str) -> Option<T>,
    all: &[T],
) -> Vec<Located<T>> {
    let mut values = Vec::new();
    for text in table.strings(key).unwrap_or_default() {
        match named(&text.value) {
            Some(value) => values.push(text.map(|_| value)),
            None => {
                let known: Vec<String> = all.iter().map(ToString::to_string).collect();
                findings.unknown(&text, noun(key), known.iter().map(String::as_str));
            }
        }
    }
    values
}

fn check_requirement(id: &Located<String>, findings: &Findings, ledger: &Ledger) {
    match ledger.get(&id.value) {
        None => findings.unknown(id, "requirement", ledger.ids()),
        Some(requirement) if requirement.id != id.value => findings.add_with_help(
            id.span.clone(),
            format!("`{}` is an alias", id.value),
            format!("write `{}`", requirement.id),
        ),
        Some(_) => {}
    }
}

fn parse_device(table: &Table<'_, '_>, findings: &Findings) -> Option<DeviceSetup> {
    let mut selection = Selection::default();
    let mut literal_names = Vec::new();
    for key in ["profile", "profiles"] {
        for name in table.strings(key).unwrap_or_default() {
            let glob = Glob::new(name.value.clone());
            if glob.is_literal() {
                literal_names.push(name);
            }
            selection.names.push(glob);
        }
    }
    let version = |key: &'static str| {
        let text = table.string(key)?;
        let version = parse_version(&text.value);
        if version.is_none() {
            findings.add_with_help(
                text.span,
                format!("`{}` is not an AMT version", text.value),
                "write `15`, `16.1` or `11.8.55`",
            );
        }
        version
    };
    selection.from = version("from");
    selection.before = version("before");
    let traits = |key| {
        named_list(table, findings, key, Trait::named, Trait::ALL)
            .into_iter()
            .map(|given| given.value)
            .collect()
    };
    selection.with = traits("with");
    selection.without = traits("without");
    let mode = parse_mode(table, findings);
    let seed = table.number("seed").map(|seed| seed.value);
    let set = table.any("set");
    let faults = parse_faults(table, findings);
    table.finish();

    let profiles = builtin_profiles();
    for name in &literal_names {
        if !profiles.iter().any(|profile| profile.name == name.value) {
            let known = profiles.iter().map(|profile| profile.name.as_str());
            findings.unknown(name, "profile", known);
        }
    }
    let chosen: Vec<&Profile> = profiles
        .iter()
        .filter(|profile| selection.takes(profile))
        .collect();
    if chosen.is_empty() && findings.is_empty() {
        findings.add(table.span(), "no profile is like that");
    }
    let set = match set {
        Some(set) => parse_set(&set, &chosen, findings),
        None => Vec::new(),
    };
    Some(DeviceSetup {
        profiles: selection,
        mode: mode?,
        seed,
        set,
        faults,
    })
}

/// The profiles that come with the program. One that cannot be read is somebody else's finding.
pub(super) fn builtin_profiles() -> &'static [Profile] {
    static PROFILES: OnceLock<Vec<Profile>> = OnceLock::new();
    PROFILES.get_or_init(|| {
        fixtures::PROFILES
            .iter()
            .filter_map(|file| Profile::parse(file.path, file.text).ok())
            .collect()
    })
}

/// A preset of the command line, or any other mode of the mode table.
fn parse_mode(table: &Table<'_, '_>, findings: &Findings) -> Option<Mode> {
    let Some(text) = table.string("preset") else {
        return (!table.has("preset")).then_some(Mode::PreProvisioning);
    };
    match text.value.as_str() {
        "factory" => return Some(Mode::PreProvisioning),
        "ccm" => return Some(Mode::Client),
        "acm" => return Some(Mode::Admin),
        _ => {}
    }
    let mode = serde_json::from_value(text.value.clone().into()).ok();
    if mode.is_none() {
        let modes = Mode::ALL.map(|mode| {
            let word = serde_json::to_value(mode).unwrap_or_default();
            word.as_str().unwrap_or_default().to_owned()
        });
        let known = ["factory", "ccm", "acm"]
            .into_iter()
            .chain(modes.iter().map(String::as_str));
        findings.unknown(&text, "preset", known);
    }
    mode
}

fn parse_faults(table: &Table<'_, '_>, findings: &Findings) -> Vec<Fault> {
    let texts = table.strings("faults").unwrap_or_default();
    texts
        .into_iter()
        .filter_map(|text| parse_fault(text, findings))
        .collect()
}

fn parse_fault(text: Located<String>, findings: &Findings) -> Option<Fault> {
    match text.value.parse() {
        Ok(fault) => Some(fault),
        Err(error) => {
            findings.add(text.span, error.to_string());
            None
        }
    }
}

/// `network.pki_dns_suffix = ""` under `[device.set]`, tried on every profile that the scenario takes.
fn parse_set(
    set: &Located<toml::Value>,
    profiles: &[&Profile],
    findings: &Findings,
) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    flatten("", &set.value, &mut pairs);
    for profile in profiles {
        if let Err(error) = changed_profile(profile, &pairs) {
            let (message, help) = shorter(&error.to_string());
            let message = format!("profile {}: {message}", profile.name);
            findings.tell(set.span.clone(), message, help);
            break; // What is wrong with one profile is wrong with all.
        }
    }
    pairs
}

/// A complaint about an unknown name without the list of all known ones, but with the nearest.
fn shorter(message: &str) -> (String, Option<String>) {
    let Some((head, list)) = message.split_once(", expected one of ") else {
        return (message.to_owned(), None);
    };
    let unknown = head.rsplit('`').nth(1).unwrap_or_default();
    let known = list.split('`').skip(1).step_by(2);
    let help = amt_sim::diagnostic::closest(unknown, known);
    (
        head.to_owned(),
        help.map(|near| format!("did you mean `{near}`?")),
    )
}

/// The profile with other values under some keys.
pub(crate) fn changed_profile(
    profile: &Profile,
    set: &[(String, String)],
) -> Result<Profile, amt_sim::device::ProfileError> {
    let mut profile = profile.clone();
    for (key, value) in set {
        profile = profile.with(key, value)?;
    }
    Ok(profile)
}

fn flatten(prefix: &str, value: &toml::Value, pairs: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(&path, value, pairs);
            }
        }
        other => pairs.push((prefix.to_owned(), other.to_string())),
    }
}

fn parse_steps(
    text: &str,
    table: &Table<'_, '_>,
    findings: &Findings,
    ledger: &Ledger,
) -> Option<Vec<Step>> {
    let tables = table.tables("step");
    if tables.is_empty() && !table.has("step") {
        findings.add(0..0, "a scenario without steps proves nothing");
        return None;
    }
    let mut steps = Vec::new();
    for step in &tables {
        let kinds: Vec<&str> = ["do", "expect", "probe", "fault", "advance"]
            .into_iter()
            .filter(|key| step.has(key))
            .collect();
        let kind = match kinds.as_slice() {
            ["do"] => parse_do(step, findings),
            ["expect"] => parse_expect(step, findings, ledger),
            ["probe"] => parse_probe(text, step, findings, ledger),
            ["fault"] => step
                .string("fault")
                .and_then(|text| parse_fault(text, findings))
                .map(StepKind::Fault),
            ["advance"] => step
                .duration("advance")
                .map(|time| StepKind::Advance(time.value)),
            _ => {
                findings.add(
                    step.span(),
                    "a step has exactly one of `do`, `expect`, `probe`, `fault` and `advance`",
                );
                continue;
            }
        };
        step.finish();
        steps.extend(kind.map(|kind| Step {
            line: line_of(text, step.span()),
            span: step.span(),
            kind,
        }));
    }
    Some(steps)
}

fn parse_do(step: &Table<'_, '_>, findings: &Findings) -> Option<StepKind> {
    let action = word(step, findings, "do", Action::named, Action::ALL);
    let with = step.table("with");
    let action = action?;
    let order = match with {
        Some(table) => Order::parse(action, &table, findings),
        None => Order::default(),
    };
    Some(StepKind::Do { action, order })
}

fn parse_expect(step: &Table<'_, '_>, findings: &Findings, ledger: &Ledger) -> Option<StepKind> {
    let expectation = step
        .table("expect")
        .and_then(|table| parse_expectation(&table, findings));
    let (requirement, severity) = parse_proof(step, findings, ledger)?;
    Some(StepKind::Expect {
        expectation: expectation?,
        requirement,
        severity,
    })
}

fn parse_probe(
    text: &str,
    step: &Table<'_, '_>,
    findings: &Findings,
    ledger: &Ledger,
) -> Option<StepKind> {
    let script = step
        .require_string("probe")
        .and_then(|script| Script::parse(text, &script, findings));
    let (requirement, severity) = parse_proof(step, findings, ledger)?;
    Some(StepKind::Probe {
        script: script?,
        requirement,
        severity,
    })
}

/// What a step proves, and how much it matters.
fn parse_proof(
    step: &Table<'_, '_>,
    findings: &Findings,
    ledger: &Ledger,
) -> Option<(String, Level)> {
    let requirement = step.require_string("requirement");
    let severity = word(step, findings, "severity", Level::named, Level::ALL);
    let requirement = requirement?;
    check_requirement(&requirement, findings, ledger);
    if let (Some(known), Some(severity)) = (ledger.get(&requirement.value), severity)
        && severity < known.level
    {
        // Level counts down: MUST is the smallest.
        findings.add(
            requirement.span,
            format!(
                "`{}` is a {}; an expectation cannot make it a {severity}",
                known.id, known.level
            ),
        );
    }
    Some((requirement.value, severity?))
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    let before = text.get(..span.start).unwrap_or_default();
    before.matches('\n').count() + 1
}

/// What only shows when the whole story is known: claims without proof, proofs without claim, missing roles.
fn check_whole(
    scenario: &Scenario,
    requirements: &[Located<String>],
    table: &Table<'_, '_>,
    findings: &Findings,
) {
    let proven: BTreeSet<&str> = scenario
        .steps
        .iter()
        .filter_map(|step| step.kind.requirement())
        .collect();
    for claimed in requirements {
        if !proven.contains(claimed.value.as_str()) {
            findings.add(
                claimed.span.clone(),
                format!("no expectation is about `{}`", claimed.value),
            );
        }
    }
    for proven in proven {
        if !scenario.requirements.iter().any(|id| id == proven) {
            findings.add(
                table.span(),
                format!("`{proven}` is expected but not listed in `requirements`"),
            );
        }
    }
    let mut acted = false;
    for step in &scenario.steps {
        let complain = |message: String| findings.add(step.span.clone(), message);
        let (needs, what) = match &step.kind {
            StepKind::Do { action, .. } => {
                acted = true;
                for role in action.roles() {
                    if !scenario.roles.contains(role) {
                        complain(format!(
                            "`{action}` takes the role `{role}`, which `roles` does not list"
                        ));
                    }
                }
                (action.needs().to_vec(), format!("`{action}`"))
            }
            StepKind::Expect { expectation, .. } => {
                if !acted {
                    complain("nothing was done yet".to_owned());
                }
                if matches!(expectation, Expectation::Outcome(list) if list.contains(&Outcome::Hung))
                {
                    complain("a program that hangs is never as expected".to_owned());
                }
                (expectation.needs(), "this expectation".to_owned())
            }
            StepKind::Probe { .. } => {
                acted = true;
                if !scenario.roles.contains(&Role::Prober) {
                    complain(
                        "a probe takes the role `prober`, which `roles` does not list".to_owned(),
                    );
                }
                continue;
            }
            StepKind::Fault(_) | StepKind::Advance(_) => continue,
        };
        let missing: BTreeSet<Feature> = needs
            .into_iter()
            .filter(|need| !scenario.needs.contains(need))
            .collect();
        for need in missing {
            complain(format!(
                "{what} takes the feature `{need}`, which `needs` does not list"
            ));
        }
    }
}
