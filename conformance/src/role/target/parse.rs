//! From the text of a target file to a [`Target`], or to everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amt_sim::diagnostic::Diagnostic;
use regex::Regex;

use super::extract::{Field, Output, Rule, Source};
use super::service::{parse_http, parse_service};
use super::{
    CommandLine, ExitCodes, KnownFailing, Side, Stream, Target, VersionCommand, plain_value,
};
use crate::document::{Findings, Located, Table, read};
use crate::fact::{Fact, Feature, Value};
use crate::glob::Glob;
use crate::requirement::word;
use crate::scenario::placeholder::Scope;
use crate::scenario::{Action, Role, Template};

/// Reads one target file; `file` is only named in messages.
pub fn parse(file: &str, text: &str) -> Result<Target, Vec<Diagnostic>> {
    read(file, text, |table, findings| {
        parse_target(file, text, table, findings)
    })
}

fn parse_target(
    file: &str,
    text: &str,
    table: &Table<'_, '_>,
    findings: &Findings,
) -> Option<Target> {
    let side = match table.has("side") {
        true => word(table, findings, "side", Side::named, Side::ALL).unwrap_or(Side::Host),
        false => Side::Host,
    };
    let role = match table.has("service") {
        true => Role::Sca,
        false => parse_role(table, findings),
    };
    // What a program is told may stand wherever its file has templates.
    let scope = match (role, side) {
        (Role::Sca, _) => Scope::Service,
        (Role::Console, _) => Scope::Console,
        (_, Side::Network) => Scope::Network,
        (_, Side::Host) => Scope::Target,
    };
    let name = table.require_string("name");
    let title = table.require_string("title");
    // What runs already is nobody's to start.
    let may_run_already = matches!(scope, Scope::Service | Scope::Console);
    let program = match may_run_already && !table.has("program") {
        true => Some(Located {
            value: "-".to_owned(),
            span: 0..0,
        }),
        false => table.require_string("program"),
    };
    let get_it = table.string("get_it").map(|text| text.value);
    let has = parse_has(table, findings);
    let time_limit = table
        .duration("time_limit")
        .map_or(Duration::from_secs(60), |limit| limit.value);
    let reply_delay = table
        .duration("reply_delay")
        .map_or(Duration::ZERO, |delay| delay.value);
    let flag = |key| table.flag(key).is_some_and(|flag| flag.value);
    let (as_root, look, serial) = (flag("as_root"), flag("look"), flag("serial"));
    let working_directory = match table.string("working_directory") {
        Some(text) => template(&text, findings, scope)?,
        None => template(
            &Located {
                value: "{scratch}".to_owned(),
                span: 0..0,
            },
            findings,
            scope,
        )?,
    };
    let environment = parse_environment(table, findings, scope);
    let exit = parse_exit(table);
    let version = table
        .table("version")
        .and_then(|version| parse_version(&version, findings));
    let service = match table.table("service") {
        Some(service) => Some(parse_service(&service, findings)?),
        None => None,
    };
    let commands = match service {
        // A service is judged by what the device sees of it.
        Some(_) => Vec::new(),
        None => parse_commands(table, findings, role, scope),
    };
    let known_failing = parse_known(file, text, table, "known_failing");
    let known_flaky = parse_known(file, text, table, "known_flaky");
    let program = program?;
    let target = Target {
        name: name?.value,
        title: title?.value,
        file: file.to_owned(),
        program_name: program.value.clone(),
        program: template(&program, findings, scope)?,
        get_it,
        version,
        has: has.iter().map(|feature| feature.value).collect(),
        role,
        side,
        time_limit,
        as_root,
        look,
        reply_delay,
        serial,
        working_directory,
        environment,
        exit,
        commands,
        service,
        known_failing,
        known_flaky,
    };
    // What a console does shows in what agent and SCA were told.
    if target.role == Role::Agent {
        check_features(&target, &has, table, findings);
    }
    Some(target)
}

pub(super) fn template(
    text: &Located<String>,
    findings: &Findings,
    scope: Scope,
) -> Option<Template> {
    match Template::parse(&text.value, scope) {
        Ok(template) => Some(template),
        Err(error) => {
            error.tell(&text.span, findings);
            None
        }
    }
}

fn parse_has(table: &Table<'_, '_>, findings: &Findings) -> Vec<Located<Feature>> {
    if !table.has("has") {
        table.missing("has");
    }
    let mut has = Vec::new();
    for text in table.strings("has").unwrap_or_default() {
        match Feature::named(&text.value) {
            Some(feature) => has.push(text.map(|_| feature)),
            None => findings.unknown(
                &text,
                "feature",
                Feature::ALL.iter().map(|feature| feature.word()),
            ),
        }
    }
    has
}

fn parse_environment(
    table: &Table<'_, '_>,
    findings: &Findings,
    scope: Scope,
) -> Vec<(String, Template)> {
    let Some(environment) = table.table("environment") else {
        return Vec::new();
    };
    environment
        .keys()
        .filter_map(|key| {
            let text = environment.free_string(&key)?;
            Some((key.value, template(&text, findings, scope)?))
        })
        .collect()
}

fn parse_exit(table: &Table<'_, '_>) -> ExitCodes {
    let mut exit = ExitCodes::default();
    let Some(codes) = table.table("exit") else {
        return exit;
    };
    for (key, slot) in [
        ("done", &mut exit.done),
        ("not_implemented", &mut exit.not_implemented),
        ("configuration", &mut exit.configuration),
    ] {
        if let Some(numbers) = codes.numbers(key) {
            *slot = numbers
                .into_iter()
                .filter_map(|number| i32::try_from(number.value).ok())
                .collect();
        }
    }
    codes.finish();
    exit
}

fn parse_version(table: &Table<'_, '_>, findings: &Findings) -> Option<VersionCommand> {
    let args = parse_args(table, findings, Scope::Target);
    let output = parse_output(table, findings);
    let source = parse_source(table, findings, output);
    table.finish();
    Some(VersionCommand {
        args,
        output,
        source: source?,
    })
}

pub(super) fn parse_args(
    table: &Table<'_, '_>,
    findings: &Findings,
    scope: Scope,
) -> Vec<Template> {
    if !table.has("args") {
        table.missing("args");
    }
    table
        .strings("args")
        .unwrap_or_default()
        .iter()
        .filter_map(|text| template(text, findings, scope))
        .collect()
}

fn parse_output(table: &Table<'_, '_>, findings: &Findings) -> Output {
    if !table.has("output") {
        return Output::Text;
    }
    word(table, findings, "output", Output::named, Output::ALL).unwrap_or(Output::Text)
}

/// The part of an agent or a console; an SCA has its table instead.
fn parse_role(table: &Table<'_, '_>, findings: &Findings) -> Role {
    const PARTS: &[Role] = &[Role::Agent, Role::Console];
    if !table.has("role") {
        return Role::Agent;
    }
    let named = |text: &str| Role::named(text).filter(|role| PARTS.contains(role));
    word(table, findings, "role", named, PARTS).unwrap_or(Role::Agent)
}

/// What a program with that part can be run for.
fn steps(role: Role) -> &'static [Action] {
    match role {
        Role::Console => &[Action::ConsoleOrder, Action::AgentStart, Action::AgentStop],
        _ => &[Action::AgentDiscover, Action::AgentStart, Action::AgentStop],
    }
}

fn parse_commands(
    table: &Table<'_, '_>,
    findings: &Findings,
    role: Role,
    scope: Scope,
) -> Vec<CommandLine> {
    let mut commands = Vec::new();
    for entry in table.tables("command") {
        let place = entry.span();
        let action = word(&entry, findings, "for", Action::named, steps(role));
        if let Some(action) = action.filter(|action| !steps(role).contains(action)) {
            match action {
                Action::ConsoleAsk => findings.add(place, "the console is the harness's own"),
                _ => findings.add(
                    place,
                    format!("this program, {role}, has no part in `{action}`"),
                ),
            }
        }
        let asks = role == Role::Console && entry.has("http");
        let http = asks.then(|| parse_http(&entry, findings, scope)).flatten();
        let args = match asks {
            true => Vec::new(),
            false => parse_args(&entry, findings, scope),
        };
        let output = parse_output(&entry, findings);
        let stream = if entry.has("stream") {
            word(&entry, findings, "stream", Stream::named, Stream::ALL)
        } else {
            Some(Stream::Stdout)
        };
        let file = entry
            .string("file")
            .and_then(|text| template(&text, findings, scope));
        let facts = match (role, output) {
            (Role::Console, _) => BTreeMap::new(),
            (_, Output::Facts) => reported_facts(&entry, findings),
            _ => parse_facts(&entry, findings, output),
        };
        let files = parse_files(&entry, findings, scope);
        let needs_otp = entry.flag("needs_otp").is_some_and(|flag| flag.value);
        let otp = entry.table("otp").and_then(|table| {
            let source = parse_source(&table, findings, output);
            table.finish();
            source
        });
        entry.finish();
        if let (Some(action), Some(stream)) = (action, stream) {
            commands.push(CommandLine {
                action,
                http,
                args,
                output,
                stream,
                file,
                facts,
                files,
                needs_otp,
                otp,
            });
        }
    }
    if commands.is_empty() && !table.has("command") {
        findings.add(0..0, "a target without a [[command]] can do nothing");
    }
    commands
}

/// `[[command.write]]`: files that the program reads.
fn parse_files(
    entry: &Table<'_, '_>,
    findings: &Findings,
    scope: Scope,
) -> Vec<(Template, Template)> {
    let mut files = Vec::new();
    for table in entry.tables("write") {
        let path = table.require_string("file");
        let text = table.require_string("text");
        table.finish();
        if let Some((path, text)) = path.zip(text) {
            let path = template(&path, findings, scope);
            files.extend(path.zip(template(&text, findings, scope)));
        }
    }
    files
}

/// `reports = ["version", ...]` of a program that prints our own names.
fn reported_facts(table: &Table<'_, '_>, findings: &Findings) -> BTreeMap<Fact, Rule> {
    if !table.has("reports") {
        table.missing("reports");
    }
    let mut facts = BTreeMap::new();
    for name in table.strings("reports").unwrap_or_default() {
        match Fact::named(&name.value) {
            Some(fact) => {
                facts.insert(fact, plain_rule(Source::Json(vec![fact.name().to_owned()])));
            }
            None => findings.unknown(&name, "fact", Fact::names()),
        }
    }
    facts
}

fn plain_rule(source: Source) -> Rule {
    Rule {
        source,
        map: BTreeMap::new(),
        otherwise: None,
        missing: None,
        contains: BTreeMap::new(),
    }
}

pub(super) fn parse_facts(
    table: &Table<'_, '_>,
    findings: &Findings,
    output: Output,
) -> BTreeMap<Fact, Rule> {
    let mut facts = BTreeMap::new();
    let Some(rules) = table.table("facts") else {
        table.missing("facts");
        return facts;
    };
    for key in rules.keys() {
        let Some(fact) = Fact::named(&key.value) else {
            let prefix = format!("{}.", key.value);
            if Fact::names().any(|name| name.starts_with(&prefix)) {
                findings.add_with_help(
                    key.span.clone(),
                    format!("no fact is called `{}`", key.value),
                    "a name with dots stands in quotes, as in \"wired.mac\" = { ... }",
                );
            } else {
                findings.unknown(&key, "fact", Fact::names());
            }
            continue;
        };
        if let Some(rule) = rules
            .free_table(&key)
            .and_then(|rule| parse_rule(&rule, findings, fact, output))
        {
            facts.insert(fact, rule);
        }
    }
    facts
}

fn parse_rule(
    table: &Table<'_, '_>,
    findings: &Findings,
    fact: Fact,
    output: Output,
) -> Option<Rule> {
    let source = parse_source(table, findings, output);
    let value = |key: &'static str| {
        let given = table.any(key)?;
        checked(fact, &given, findings)
    };
    let otherwise = value("otherwise");
    let missing = value("missing");
    let map = parse_map(table, findings, "map", |given| {
        checked(fact, given, findings)
    });
    // A part stands for one word of the list; the list itself is checked when it is made.
    let contains = parse_map(table, findings, "contains", |given| {
        Some(plain_value(&given.value))
    });
    table.finish();
    Some(Rule {
        source: source?,
        map,
        otherwise,
        missing,
        contains,
    })
}

/// A value that must be one of the fact's.
fn checked(fact: Fact, given: &Located<toml::Value>, findings: &Findings) -> Option<Value> {
    match fact.normalise(plain_value(&given.value)) {
        Ok(value) => Some(value),
        Err(why) => {
            findings.add_with_help(
                given.span.clone(),
                why,
                format!("it takes: {}", fact.kind().describe()),
            );
            None
        }
    }
}

fn parse_map(
    table: &Table<'_, '_>,
    findings: &Findings,
    key: &'static str,
    check: impl Fn(&Located<toml::Value>) -> Option<Value>,
) -> BTreeMap<String, Value> {
    let Some(given) = table.any(key) else {
        return BTreeMap::new();
    };
    let toml::Value::Table(entries) = &given.value else {
        findings.add(given.span, format!("`{key}` takes a table of words"));
        return BTreeMap::new();
    };
    entries
        .iter()
        .filter_map(|(word, value)| {
            let value = Located {
                value: value.clone(),
                span: given.span.clone(),
            };
            Some((word.clone(), check(&value)?))
        })
        .collect()
}

const SOURCES: [&str; 6] = ["json", "regex", "line", "records", "each_match", "constant"];

fn parse_source(table: &Table<'_, '_>, findings: &Findings, output: Output) -> Option<Source> {
    let given: Vec<&str> = SOURCES
        .iter()
        .copied()
        .filter(|key| table.has(key))
        .collect();
    // A dot alone is the whole document.
    let path = |text: &str| -> Vec<String> {
        let keys = text.split('.').filter(|key| !key.is_empty());
        keys.map(str::to_owned).collect()
    };
    match given.as_slice() {
        ["json" | "records"] if output != Output::Json => {
            findings.add_with_help(
                table.span(),
                format!("`{}` reads JSON, and the output is text", given[0]),
                "give the command output = \"json\"",
            );
            for key in SOURCES.iter().chain(&["fields"]) {
                table.any(key);
            }
            None
        }
        ["json"] => Some(Source::Json(path(&table.string("json")?.value))),
        ["regex"] => Some(Source::Regex(pattern(&table.string("regex")?, findings)?)),
        ["each_match"] => {
            let regex = pattern(&table.string("each_match")?, findings)?;
            Some(Source::RegexRecords(regex))
        }
        ["line"] => Some(Source::Line(table.string("line")?.value)),
        ["constant"] => Some(Source::Constant(plain_value(&table.any("constant")?.value))),
        ["records"] => {
            let path = path(&table.string("records")?.value);
            let fields = parse_fields(table, findings);
            Some(Source::JsonRecords { path, fields })
        }
        _ => {
            for key in SOURCES {
                table.any(key);
            }
            findings.add(
                table.span(),
                format!("give exactly one of {}", SOURCES.join(", ")),
            );
            None
        }
    }
}

fn parse_fields(table: &Table<'_, '_>, findings: &Findings) -> BTreeMap<String, Field> {
    let mut fields = BTreeMap::new();
    let Some(entries) = table.table("fields") else {
        table.missing("fields");
        return fields;
    };
    for name in entries.keys() {
        const KNOWN: [&str; 5] = ["name", "hash", "algorithm", "active", "default"];
        if !KNOWN.contains(&name.value.as_str()) {
            findings.unknown(&name, "field of a hash", KNOWN);
        }
        let field = if entries.is_table(&name.value) {
            entries.free_table(&name).and_then(|field| {
                let key = field.require_string("json");
                let map = parse_map(&field, findings, "map", |given| {
                    Some(plain_value(&given.value))
                });
                field.finish();
                let key = key?.value;
                Some(Field { key, map })
            })
        } else {
            entries.free_string(&name).map(|key| Field {
                key: key.value,
                map: BTreeMap::new(),
            })
        };
        fields.extend(field.map(|field| (name.value, field)));
    }
    fields
}

pub(super) fn pattern(text: &Located<String>, findings: &Findings) -> Option<Regex> {
    match Regex::new(&text.value) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default();
            findings.add(text.span.clone(), format!("not a pattern: {why}"));
            None
        }
    }
}

fn parse_known(
    file: &str,
    text: &str,
    table: &Table<'_, '_>,
    key: &'static str,
) -> Vec<KnownFailing> {
    let mut list = Vec::new();
    for entry in table.tables(key) {
        let scenario = entry.require_string("scenario");
        let profile = entry.string("profile");
        let reason = entry.require_string("reason");
        entry.finish();
        if let (Some(scenario), Some(reason)) = (scenario, reason) {
            list.push(KnownFailing {
                place: Diagnostic::at(file, text, scenario.span.clone(), ""),
                scenario: Glob::new(scenario.value),
                profile: Glob::new(profile.map_or("*".to_owned(), |profile| profile.value)),
                reason: reason.value,
            });
        }
    }
    list
}

/// What a target has and what its commands report must be the same.
fn check_features(
    target: &Target,
    has: &[Located<Feature>],
    table: &Table<'_, '_>,
    findings: &Findings,
) {
    let reported: BTreeSet<Feature> = target.mapped().iter().map(|fact| fact.feature()).collect();
    for feature in has {
        if feature.value == Feature::Recommend {
            findings.add(
                feature.span.clone(),
                "recommending is the console's, which is the harness's own",
            );
        } else if !reported.contains(&feature.value) {
            findings.add(
                feature.span.clone(),
                format!("no command reports a fact of `{}`", feature.value),
            );
        }
    }
    for feature in reported.difference(&target.has) {
        findings.add(
            table.span(),
            format!("a command reports facts of `{feature}`, which `has` does not list"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "mine"
title = "An agent of mine"
program = "mine"
has = ["version", "mode"]

[[command]]
for = "agent.discover"
args = ["info", "--json"]
output = "json"
[command.facts]
version = { json = "amt.version" }
control-mode = { json = "mode", map = { "not activated" = "none" }, otherwise = "acm" }
"#;

    fn shown(text: &str) -> String {
        let errors = parse("mine.toml", text).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        texts.join("\n\n")
    }

    #[test]
    fn a_good_file_is_read() {
        let target = parse("mine.toml", GOOD).unwrap();
        assert_eq!(target.commands[0].facts.len(), 2);
        assert_eq!(target.exit, ExitCodes::default());
        assert_eq!(target.time_limit, Duration::from_secs(60));
    }

    #[test]
    fn every_mistake_has_its_place() {
        let bad = GOOD
            .replace("\"mode\"]", "\"mood\", \"uuid\"]")
            .replace("title", "titel")
            .replace("--json\"", "{devise.uuid}\"")
            .replace("\"none\"", "\"nonne\"")
            .replace("version = {", "verzion = {");
        insta::assert_snapshot!(shown(&bad));
    }

    #[test]
    fn a_dotted_name_wants_quotes() {
        let bad = GOOD.replace("version = {", "wired.mac = {");
        insta::assert_snapshot!(shown(&bad));
    }

    const CONSOLE: &str = r#"
name = "mine"
title = "A console of mine"
program = "mine"
role = "console"
has = ["network-setup"]

[[command]]
for = "console.order"
args = ["order", "{machine.uuid}", "--agent", "{agent}"]
[command.otp]
regex = 'password (.*)'
[[command.write]]
file = "{scratch}/where"
text = "{sca}"
"#;

    #[test]
    fn a_console_is_read() {
        let target = parse("mine.toml", CONSOLE).unwrap();
        assert_eq!(target.role, Role::Console);
        assert!(target.commands[0].otp.is_some());
        assert_eq!(target.commands[0].files.len(), 1);
    }

    #[test]
    fn a_console_and_an_agent_have_parts_of_their_own() {
        let console = CONSOLE.replace("console.order", "agent.discover");
        let agent = GOOD.replace("--json\"]", "{agent}\", \"{otp}\"]");
        insta::assert_snapshot!(format!("{}\n\n{}", shown(&console), shown(&agent)));
    }

    #[test]
    fn the_targets_that_ship_are_sound() {
        for file in fixtures::TARGETS {
            match parse(file.path, file.text) {
                Ok(target) => assert_eq!(target.name, file.name),
                Err(_) => panic!("{}", shown(file.text)),
            }
        }
    }
}
