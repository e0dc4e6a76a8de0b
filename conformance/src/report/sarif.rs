//! `report.sarif`: SARIF 2.1.0, as code scanning reads it. A requirement is a rule, a finding is a result, the
//! scenario file is its place.
//!
//! Source: OASIS Static Analysis Results Interchange Format 2.1.0.

use serde_json::{Value, json};

use super::findings::{Finding, findings, unclear, unexpected_passes};
use super::{Report, RequirementRow};
use crate::requirement::Level;
use crate::run::{Run, Verdict};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The rule of passes that the target file does not expect.
const UNEXPECTED_PASS: &str = "conformance.unexpected-pass";

/// The whole file.
pub fn sarif(report: &Report) -> Value {
    let mut rules: Vec<Value> = report.requirements.iter().map(rule).collect();
    let index = |id: &str| report.requirements.iter().position(|row| row.id == id);
    let mut results: Vec<Value> = findings(report)
        .iter()
        .map(|finding| result(finding, index(&finding.check.requirement)))
        .collect();
    let passes: Vec<Value> = unexpected_passes(report)
        .map(|run| unexpected_pass(run, rules.len()))
        .collect();
    if !passes.is_empty() {
        let says = "A run that the target file lists as a known failure passes.";
        rules.push(json!({
            "id": UNEXPECTED_PASS,
            "shortDescription": { "text": says },
            "help": { "text": "Take the entry off the target file's list of known failures." },
            "defaultConfiguration": { "level": "error" },
        }));
        results.extend(passes);
    }
    let notifications: Vec<Value> = unclear(report).map(notification).collect();
    let subject = &report.subject;
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": report.tool.name,
                "version": report.tool.version,
                "semanticVersion": report.tool.version,
                "rules": rules,
            }},
            "automationDetails": { "id": format!("conformance/{}", subject.name) },
            "invocations": [{
                // The harness did its work, whatever it found.
                "executionSuccessful": report.exit_code != 2,
                "exitCode": report.exit_code,
                "startTimeUtc": started(report),
                "toolConfigurationNotifications": notifications,
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": {
                "subject": subject.title,
                "seed": report.invocation.seed,
                "runs": report.summary.runs,
            },
        }],
    })
}

/// The start of the run; a report without one began with the epoch.
fn started(report: &Report) -> String {
    match report.timing.started.as_str() {
        "" => super::rfc3339(0),
        started => started.to_owned(),
    }
}

fn level(severity: Level) -> &'static str {
    match severity {
        Level::Must => "error",
        Level::Should => "warning",
        Level::May => "note",
    }
}

fn rule(row: &RequirementRow) -> Value {
    let RequirementRow {
        id,
        text,
        who,
        grade,
        source,
        level: severity,
        ..
    } = row;
    let help = format!(
        "{text}\n\nThe {who} {severity} do this; {grade}. Source: {source}\n\nMore: conformance explain {id}"
    );
    let markdown = format!(
        "{text}\n\n| level | who | grade | source |\n|---|---|---|---|\n| {severity} | {who} | {grade} | {} |\n\nMore: `conformance explain {id}`",
        source.replace('|', "\\|")
    );
    json!({
        "id": id,
        "name": id,
        "shortDescription": { "text": text },
        "fullDescription": { "text": text },
        "help": { "text": help, "markdown": markdown },
        "defaultConfiguration": { "level": level(*severity) },
        "properties": { "tags": [who.word(), grade.word(), severity.word()] },
    })
}

fn place(run: &Run, line: usize) -> Value {
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&run.file), "uriBaseId": "%SRCROOT%" },
            "region": { "startLine": line.max(1) },
        },
        "logicalLocations": [{ "fullyQualifiedName": run.id, "kind": "module" }],
    })
}

/// A path as a relative URI.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte as char);
            }
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}

fn result(finding: &Finding<'_>, rule: Option<usize>) -> Value {
    let check = finding.check;
    let run = finding.runs[0];
    let mut result = json!({
        "ruleId": check.requirement,
        "kind": "fail",
        "level": level(check.severity),
        "message": { "text": finding.describe() },
        "locations": [place(run, check.place.line)],
        "partialFingerprints": {
            // The same finding in the next run, whatever line it moved to.
            "conformance/v1": format!("{}:{}:{}", run.scenario, check.requirement, check.about),
        },
        "properties": {
            "blame": check.blame.map(|blame| blame.word()),
            "expected": check.expected,
            "actual": check.actual,
            "devices": finding.runs.iter().map(|run| run.device()).collect::<Vec<_>>(),
            "journal": check.place.journal,
            "assumptions": check.rests_on,
        },
    });
    if let Some(rule) = rule {
        result["ruleIndex"] = json!(rule);
    }
    if let Some(reason) = finding.known() {
        result["suppressions"] = json!([{ "kind": "external", "justification": reason }]);
    }
    result
}

fn unexpected_pass(run: &Run, rule: usize) -> Value {
    let reason = run.known_failing.as_deref().unwrap_or_default();
    json!({
        "ruleId": UNEXPECTED_PASS,
        "ruleIndex": rule,
        "kind": "fail",
        "level": "error",
        "message": { "text": format!("{} passes, although the target file says: {reason}", run.id) },
        "locations": [place(run, 1)],
        "partialFingerprints": { "conformance/v1": format!("unexpected-pass:{}", run.id) },
    })
}

fn notification(run: &Run) -> Value {
    let reason = run.reason.as_deref().unwrap_or_default();
    json!({
        "level": match run.verdict {
            Verdict::ConfigurationError => "error",
            _ => "warning",
        },
        "message": { "text": format!("{}: {}: {reason}", run.id, run.verdict) },
        "locations": [place(run, 1)],
    })
}
