//! `report.html`: one page that needs nothing beside it, neither a server nor a network.
//!
//! The summary and the findings are plain HTML. Everything else is drawn by the page's own script from JSON inside
//! of the page, when somebody looks at it: five hundred runs cost nothing until they are opened. All text of programs
//! under test is put in as text, never as HTML; the JSON has no `<` in it, so nothing can end its element.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Report;
use super::findings::{Finding, findings, unclear, unexpected_passes};
use crate::requirement::Level;
use crate::run::{Check, Lane, Run, Way};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The whole page.
pub fn html(report: &Report) -> String {
    let title = format!("Conformance of {}", report.subject.title);
    let mut out = String::new();
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
<meta name=\"color-scheme\" content=\"light dark\"/>\n\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\"/>\n\
<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escape(&title)
    );
    header(&mut out, report, &title);
    out.push_str("<main>\n");
    findings_section(&mut out, report);
    out.push_str("<noscript><p>The matrix and the runs are drawn by a script of this page.</p></noscript>\n</main>\n");
    let _ = write!(
        out,
        "<script type=\"application/json\" id=\"data\">{}</script>\n<script>\n//<![CDATA[\n{SCRIPT}//]]>\n</script>\n</body>\n</html>\n",
        embedded(&data(report))
    );
    out
}

fn header(out: &mut String, report: &Report, title: &str) {
    let subject = &report.subject;
    let _ = write!(out, "<header>\n<h1>{}</h1>\n", escape(title));
    let mut facts = vec![format!("{} {}", report.tool.name, report.tool.version)];
    facts.extend(
        subject
            .program_version
            .as_ref()
            .map(|version| format!("version {version}")),
    );
    facts.extend(subject.program.clone());
    facts.push(format!("seed {}", report.invocation.seed));
    facts.extend(
        report
            .invocation
            .filter
            .as_ref()
            .map(|filter| format!("filter {filter}")),
    );
    facts.extend(
        report
            .invocation
            .misbehave
            .as_ref()
            .map(|mistake| format!("misbehaving on purpose: {mistake}")),
    );
    if !report.invocation.without.is_empty() {
        facts.push(format!(
            "rules switched off: {}",
            report.invocation.without.join(", ")
        ));
    }
    facts.push(report.timing.started.clone());
    facts.push(format!(
        "{}.{:03} s",
        report.timing.duration_ms / 1000,
        report.timing.duration_ms % 1000
    ));
    facts.retain(|fact| !fact.is_empty());
    let _ = writeln!(out, "<p class=\"dim\">{}</p>", escape(&facts.join(" · ")));
    out.push_str("<ul class=\"tiles\">\n");
    let mut tile = |count: usize, name: &str, class: &str| {
        let _ = writeln!(
            out,
            "<li class=\"v-{class}\"><b>{count}</b>{}</li>",
            escape(name)
        );
    };
    tile(report.summary.runs, "runs", "none");
    for (verdict, count) in &report.summary.verdicts {
        tile(*count, &verdict.word().replace('-', " "), verdict.word());
    }
    if report.summary.known_failing > 0 {
        tile(report.summary.known_failing, "known to fail", "known");
    }
    if report.summary.unexpected_passes > 0 {
        tile(
            report.summary.unexpected_passes,
            "unexpected passes",
            "fail",
        );
    }
    let held = report
        .requirements
        .iter()
        .filter(|row| row.checks_failed == 0 && row.checks_passed > 0);
    tile(
        held.count(),
        &format!("of {} requirements held", report.requirements.len()),
        "none",
    );
    out.push_str("</ul>\n</header>\n");
}

fn findings_section(out: &mut String, report: &Report) {
    out.push_str("<section id=\"view-findings\" role=\"tabpanel\" aria-label=\"Findings\">\n");
    let found = findings(report);
    let mut blames: BTreeMap<&str, usize> = BTreeMap::new();
    for blame in found.iter().filter_map(|finding| finding.check.blame) {
        *blames.entry(blame.word()).or_default() += 1;
    }
    let blames: Vec<String> = blames
        .iter()
        .map(|(party, count)| format!("{party} {count}"))
        .collect();
    if !blames.is_empty() {
        let _ = writeln!(
            out,
            "<p>{}; to blame: {}</p>",
            counted(found.len(), "finding"),
            escape(&blames.join(", "))
        );
    }
    for finding in &found {
        article(out, finding);
    }
    for run in unexpected_passes(report) {
        let reason = run.known_failing.as_deref().unwrap_or_default();
        short(
            out,
            run,
            &format!("passes, although the target file says: {reason}"),
        );
    }
    for run in unclear(report) {
        short(out, run, run.reason.as_deref().unwrap_or_default());
    }
    if found.is_empty()
        && unexpected_passes(report).next().is_none()
        && unclear(report).next().is_none()
    {
        out.push_str("<h2>Nothing to complain about</h2>\n");
    }
    let assumptions = report.assumptions();
    if !assumptions.is_empty() {
        let _ = writeln!(
            out,
            "<h3>Assumptions that answers of the device rest on</h3>\n<p class=\"mono\">{}</p>",
            escape(&Vec::from_iter(assumptions).join(", "))
        );
    }
    out.push_str("</section>\n");
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn article(out: &mut String, finding: &Finding<'_>) {
    let check = finding.check;
    let run = finding.runs[0];
    let class = match (finding.known(), check.severity) {
        (Some(_), _) => " known",
        (None, Level::Must) => "",
        (None, _) => " warn",
    };
    let _ = write!(
        out,
        "<article class=\"finding{class}\">\n<b>{} <span class=\"mono\">{}</span></b> {}\n<dl>",
        check.severity,
        escape(&check.requirement),
        escape(&run.title)
    );
    let mut row = |name: &str, value: &str| {
        let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", escape(value));
    };
    row("about", &check.about);
    row("expected", check.expected.as_deref().unwrap_or("-"));
    row("actual", check.actual.as_deref().unwrap_or("-"));
    if let Some(blame) = check.blame {
        let note = check
            .note
            .as_deref()
            .map_or(String::new(), |note| format!(": {note}"));
        row("blame", &format!("{blame}{note}"));
    }
    if !check.rests_on.is_empty() {
        row("rests on assumption", &check.rests_on.join(", "));
    }
    if let Some(reason) = finding.known() {
        row("known", reason);
    }
    row("line", &format!("{}:{}", run.file, check.place.line));
    out.push_str("<dt>on</dt><dd>");
    for (index, run) in finding.runs.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(
            out,
            "{comma}<a href=\"#run={}\">{}</a>",
            escape(&run.id),
            escape(run.device())
        );
    }
    out.push_str("</dd></dl>\n</article>\n");
}

fn short(out: &mut String, run: &Run, reason: &str) {
    let _ = writeln!(
        out,
        "<article class=\"finding warn\"><b>{}</b> <a href=\"#run={}\">{}</a><p>{}</p></article>",
        run.verdict,
        escape(&run.id),
        escape(&run.id),
        escape(reason)
    );
}

/// What the script draws from.
fn data(report: &Report) -> Value {
    let mut labels = Labels::default();
    let runs: Vec<Value> = report
        .runs
        .iter()
        .map(|run| run_data(run, &mut labels))
        .collect();
    let words =
        |all: &[&'static str]| -> Vec<Value> { all.iter().map(|word| json!(word)).collect() };
    let lanes: Vec<&str> = Lane::ALL.iter().map(|lane| lane.word()).collect();
    let ways: Vec<&str> = Way::ALL.iter().map(|way| way.word()).collect();
    let invocation = &report.invocation;
    let mut again = String::new();
    if let Some(target) = &invocation.target {
        again += &format!(" --target {target}");
    }
    if let Some(mistake) = &invocation.misbehave {
        again += &format!(" --misbehave {mistake}");
    }
    for rule in &invocation.without {
        again += &format!(" --without {rule}");
    }
    json!({
        "requirements": report.requirements,
        "runs": runs,
        "labels": labels.all,
        "lanes": words(&lanes),
        "ways": words(&ways),
        "again": again,
    })
}

/// Most arrows have one of a few hundred labels.
#[derive(Default)]
struct Labels {
    known: BTreeMap<String, usize>,
    all: Vec<String>,
}

impl Labels {
    fn number(&mut self, label: &str) -> usize {
        if let Some(number) = self.known.get(label) {
            return *number;
        }
        let number = self.all.len();
        self.known.insert(label.to_owned(), number);
        self.all.push(label.to_owned());
        number
    }
}

fn run_data(run: &Run, labels: &mut Labels) -> Value {
    let mut value = json!({
        "id": run.id,
        "scenario": run.scenario,
        "title": run.title,
        "profile": run.profile,
        "file": run.file,
        "mode": run.mode,
        "seed": run.seed,
        "verdict": run.verdict,
        "reason": run.reason,
        "known": run.known_failing,
        "requirements": run.requirements,
        "checks": run.checks.iter().map(check_data).collect::<Vec<_>>(),
        "assumptions": run.assumptions,
        "remarks": run.remarks,
        "processes": run.processes,
        "ms": run.device_time_ms,
    });
    if let Some(sequence) = &run.sequence {
        let lane = |lane: Lane| Lane::ALL.iter().position(|known| *known == lane);
        let way = |way: Way| Way::ALL.iter().position(|known| *known == way);
        let arrows: Vec<Value> = sequence
            .arrows
            .iter()
            .map(|arrow| {
                let mut row = json!([
                    arrow.seq,
                    arrow.at_us,
                    lane(arrow.lane),
                    way(arrow.way),
                    labels.number(&arrow.label),
                    u8::from(arrow.bad),
                ]);
                if let (Some(wire), Some(row)) = (&arrow.wire, row.as_array_mut()) {
                    row.push(json!(wire));
                }
                row
            })
            .collect();
        value["seq"] = json!({
            "start": sequence.power_on_ms,
            "real": sequence.real_time,
            "left_out": sequence.left_out,
            "arrows": arrows,
        });
    }
    value
}

fn check_data(check: &Check) -> Value {
    let mut value = json!({
        "requirement": check.requirement,
        "severity": check.severity,
        "verdict": check.verdict,
        "about": check.about,
        "expected": check.expected,
        "actual": check.actual,
        "line": check.place.line,
    });
    if let Some(blame) = check.blame {
        value["blame"] = json!(blame);
        value["note"] = json!(check.note);
        value["rests_on"] = json!(check.rests_on);
    }
    if let Some(seq) = check.place.journal {
        value["journal"] = json!(seq);
        let around = check.place.around.iter();
        let lines: Vec<String> = around.map(|line| line.in_words()).collect();
        value["around"] = json!(lines);
    }
    value
}

/// JSON that no HTML parser finds anything in.
fn embedded(value: &Value) -> String {
    value
        .to_string()
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// Text as HTML; what XML has no way to write becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(letter),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
