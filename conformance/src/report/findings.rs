//! What is wrong, each thing once, however many devices it is wrong on.

use super::Report;
use crate::run::{Check, Run, Verdict};

/// A check that did not hold, and every run in which it did not.
#[derive(Debug)]
pub struct Finding<'r> {
    pub check: &'r Check,
    /// Never empty; the check is the first one's.
    pub runs: Vec<&'r Run>,
}

impl Finding<'_> {
    /// The devices, as many as fit.
    pub fn devices(&self) -> String {
        let names: Vec<&str> = self.runs.iter().map(|run| run.device()).collect();
        match names.as_slice() {
            [a, b, c, _, rest @ ..] if !rest.is_empty() => {
                format!("{a}, {b}, {c} and {} more", rest.len() + 1)
            }
            _ => names.join(", "),
        }
    }

    /// Expected, actual, where and whose fault, in a few lines.
    pub fn describe(&self) -> String {
        let check = self.check;
        let mut text = format!(
            "{}: expected {}, actual {}, on {}.",
            check.about,
            check.expected.as_deref().unwrap_or("-"),
            check.actual.as_deref().unwrap_or("-"),
            self.devices()
        );
        if let Some(blame) = check.blame {
            text += &format!(" Blame: {blame}");
            if let Some(note) = &check.note {
                text += &format!(" ({note})");
            }
            text.push('.');
        }
        if !check.rests_on.is_empty() {
            text += &format!(
                " This rests on assumptions about real firmware: {}.",
                check.rests_on.join(", ")
            );
        }
        text
    }

    /// Every run of it is known to fail.
    pub fn known(&self) -> Option<&str> {
        self.runs
            .iter()
            .map(|run| run.known_failing.as_deref())
            .reduce(|all, this| all.and(this))
            .flatten()
    }
}

/// In the order of the plan.
pub fn findings(report: &Report) -> Vec<Finding<'_>> {
    let mut found: Vec<Finding<'_>> = Vec::new();
    for run in &report.runs {
        for check in run.failed_checks() {
            let same = |finding: &&mut Finding<'_>| {
                let known = finding.check;
                finding.runs[0].scenario == run.scenario
                    && known.requirement == check.requirement
                    && known.about == check.about
                    && known.place.line == check.place.line
                    && known.blame == check.blame
                    && finding.runs[0].known_failing == run.known_failing
            };
            // Runs of one scenario follow each other.
            match found.iter_mut().rev().take(64).find(same) {
                Some(finding) if finding.runs.last().is_some_and(|last| last.id == run.id) => {}
                Some(finding) => finding.runs.push(run),
                None => found.push(Finding {
                    check,
                    runs: vec![run],
                }),
            }
        }
    }
    found
}

/// Runs that passed although the target file says that they do not.
pub fn unexpected_passes(report: &Report) -> impl Iterator<Item = &Run> {
    report
        .runs
        .iter()
        .filter(|run| run.verdict == Verdict::Pass && run.known_failing.is_some())
}

/// Runs that ended without a finding and without proving anything.
pub fn unclear(report: &Report) -> impl Iterator<Item = &Run> {
    report.runs.iter().filter(|run| {
        run.known_failing.is_none()
            && matches!(
                run.verdict,
                Verdict::Inconclusive | Verdict::ConfigurationError
            )
    })
}
