//! `junit.xml`: one suite a scenario, one case a device.
//!
//! Findings are failures; what could not be concluded and a wrong set-up are errors; what does not apply, is not
//! implemented or is known to fail is skipped with its reason. `time` is device time, so that the file is the same
//! for the same seed.

use std::fmt::Write as _;

use super::Report;
use crate::run::{Check, Run, Verdict};

/// The whole file.
pub fn junit(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&Run> = report.runs.iter().collect();
    let _ = writeln!(
        out,
        "<testsuites name=\"conformance of {}\" {}>",
        attribute(&report.subject.name),
        counts(&all)
    );
    for suite in report.runs.chunk_by(|a, b| a.scenario == b.scenario) {
        let runs: Vec<&Run> = suite.iter().collect();
        let Some(first) = runs.first() else {
            continue;
        };
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" {}>",
            attribute(&first.scenario),
            counts(&runs)
        );
        let _ = writeln!(out, "    <properties>");
        let _ = writeln!(
            out,
            "      <property name=\"title\" value=\"{}\"/>",
            attribute(&first.title)
        );
        for requirement in &first.requirements {
            let _ = writeln!(
                out,
                "      <property name=\"requirement\" value=\"{}\"/>",
                attribute(requirement)
            );
        }
        let _ = writeln!(out, "    </properties>");
        for run in runs {
            case(&mut out, run);
        }
        let _ = writeln!(out, "  </testsuite>");
    }
    out.push_str("</testsuites>\n");
    out
}

/// How JUnit sees a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Passed,
    Failed,
    Error,
    Skipped,
}

fn kind(run: &Run) -> Kind {
    match (run.verdict, run.known_failing.is_some()) {
        (Verdict::Pass, true) => Kind::Failed, // The entry is out of date.
        (Verdict::Pass | Verdict::Warn, false) => Kind::Passed,
        (Verdict::Fail, false) => Kind::Failed,
        (Verdict::ConfigurationError, _) | (Verdict::Inconclusive, false) => Kind::Error,
        (Verdict::NotApplicable | Verdict::NotImplemented, _)
        | (Verdict::Fail | Verdict::Warn | Verdict::Inconclusive, true) => Kind::Skipped,
    }
}

fn counts(runs: &[&Run]) -> String {
    let count = |wanted| runs.iter().filter(|run| kind(run) == wanted).count();
    let time: u64 = runs.iter().map(|run| run.device_time_ms).sum();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\"",
        runs.len(),
        count(Kind::Failed),
        count(Kind::Error),
        count(Kind::Skipped),
        seconds(time)
    )
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

fn case(out: &mut String, run: &Run) {
    let _ = write!(
        out,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
        attribute(&run.scenario),
        attribute(run.device()),
        seconds(run.device_time_ms)
    );
    let reason = || {
        run.known_failing
            .as_deref()
            .or(run.reason.as_deref())
            .unwrap_or_default()
    };
    let inner = match kind(run) {
        Kind::Passed => None,
        Kind::Skipped => Some(format!("<skipped message=\"{}\"/>", attribute(reason()))),
        Kind::Error => Some(format!(
            "<error type=\"{}\" message=\"{}\"/>",
            run.verdict,
            attribute(run.reason.as_deref().unwrap_or_default())
        )),
        Kind::Failed => Some(failure(run)),
    };
    let remarks = run.remarks.join("\n");
    if inner.is_none() && remarks.is_empty() {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    if let Some(inner) = inner {
        let _ = writeln!(out, "      {inner}");
    }
    if !remarks.is_empty() {
        let _ = writeln!(out, "      <system-out>{}</system-out>", text(&remarks));
    }
    out.push_str("    </testcase>\n");
}

fn failure(run: &Run) -> String {
    if run.verdict == Verdict::Pass {
        let reason = run.known_failing.as_deref().unwrap_or_default();
        return format!(
            "<failure type=\"unexpected-pass\" message=\"{}\"/>",
            attribute(&format!("passes although the target file says: {reason}"))
        );
    }
    let first = run.failed_checks().next();
    let message = first.map_or(String::new(), |check| {
        format!("{}: {}", check.requirement, check.about)
    });
    let blame = run.blame().map_or("", |blame| blame.word());
    let lines: Vec<String> = run.failed_checks().map(describe).collect();
    format!(
        "<failure type=\"{blame}\" message=\"{}\">{}</failure>",
        attribute(&message),
        text(&lines.join("\n"))
    )
}

fn describe(check: &Check) -> String {
    let mut line = format!(
        "{} {}: {}\n  expected: {}\n  actual:   {}",
        check.severity,
        check.requirement,
        check.about,
        check.expected.as_deref().unwrap_or("-"),
        check.actual.as_deref().unwrap_or("-")
    );
    if let Some(blame) = check.blame {
        let note = check.note.as_deref().unwrap_or_default();
        let _ = write!(line, "\n  blame:    {blame} {note}");
    }
    line
}

/// Characters that XML 1.0 has no way to write become U+FFFD.
fn allowed(letter: char) -> char {
    match letter {
        '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => letter,
        _ => '\u{fffd}',
    }
}

fn escape(raw: &str, keep_lines: bool) -> String {
    let mut out = String::with_capacity(raw.len());
    for letter in raw.chars().map(allowed) {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A reader would turn these into blanks or line ends of its own.
            '\r' => out.push_str("&#13;"),
            '\n' if !keep_lines => out.push_str("&#10;"),
            '\t' if !keep_lines => out.push_str("&#9;"),
            other => out.push(other),
        }
    }
    out
}

fn attribute(raw: &str) -> String {
    escape(raw, false)
}

fn text(raw: &str) -> String {
    escape(raw, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_well_formed_and_reads_back(raw: String) {
            let xml = format!("<a b=\"{}\">{}</a>", attribute(&raw), text(&raw));
            let document = roxmltree::Document::parse(&xml).unwrap();
            let root = document.root_element();
            let want: String = raw.chars().map(allowed).collect();
            prop_assert_eq!(root.attribute("b"), Some(want.as_str()));
            prop_assert_eq!(root.text().unwrap_or_default(), want);
        }
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(
            text("a\u{0}b\u{1b}[31m<c>"),
            "a\u{fffd}b\u{fffd}[31m&lt;c&gt;"
        );
        assert_eq!(attribute("a\"b\nc"), "a&quot;b&#10;c");
    }
}
