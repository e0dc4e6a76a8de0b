//! Workflow commands of GitHub Actions: an annotation on the line of the scenario file for each finding.
//!
//! Source: GitHub Docs, "Workflow commands for GitHub Actions".

use std::fmt::Write as _;

use super::Report;
use super::findings::{findings, unclear, unexpected_passes};
use crate::requirement::Level;
use crate::run::Verdict;

/// All annotations, a line each.
pub fn github(report: &Report) -> String {
    let mut out = String::new();
    for finding in findings(report) {
        let check = finding.check;
        let command = match (finding.known(), check.severity) {
            (Some(_), _) | (None, Level::May) => "notice",
            (None, Level::Should) => "warning",
            (None, Level::Must) => "error",
        };
        let _ = writeln!(
            out,
            "::{command} file={},line={},title={}::{}",
            property(&finding.runs[0].file),
            check.place.line.max(1),
            property(&check.requirement),
            data(&finding.describe())
        );
    }
    for run in unexpected_passes(report) {
        let reason = run.known_failing.as_deref().unwrap_or_default();
        let _ = writeln!(
            out,
            "::error file={},line=1,title={}::{}",
            property(&run.file),
            property("unexpected pass"),
            data(&format!(
                "{} passes, although the target file says: {reason}",
                run.id
            ))
        );
    }
    for run in unclear(report) {
        let command = match run.verdict {
            Verdict::ConfigurationError => "error",
            _ => "warning",
        };
        let reason = run.reason.as_deref().unwrap_or_default();
        let _ = writeln!(
            out,
            "::{command} file={},line=1,title={}::{}",
            property(&run.file),
            property(run.verdict.word()),
            data(&format!("{}: {reason}", run.id))
        );
    }
    out
}

/// What follows the second pair of colons.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_begin_a_command_of_its_own() {
        assert_eq!(data("50%\r\n::error::x"), "50%25%0D%0A::error::x");
        assert_eq!(property("a:b,c"), "a%3Ab%2Cc");
    }
}
