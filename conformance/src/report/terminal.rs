//! The report as people read it in a terminal or a log: a line a scenario, more only where something is wrong.

use std::fmt::Write as _;

use super::{Report, keeps_journal};
use crate::run::{Check, Run, Verdict};

/// Colours or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    pub colour: bool,
}

/// Draws blocks of text; whoever prints them decides when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    pub style: Style,
}

/// Column in which the details of a scenario begin.
const MARGIN: &str = "      ";

impl Terminal {
    /// One scenario with all its runs.
    pub fn scenario(&self, runs: &[Run]) -> String {
        let mut out = String::new();
        let Some(first) = runs.first() else {
            return out;
        };
        let worst = runs
            .iter()
            .map(headline)
            .max_by_key(|headline| headline.rank())
            .unwrap_or(Headline::Pass);
        let proves = first.requirements.join(" ");
        let _ = writeln!(
            out,
            "{}  {:<38} {:<14} {proves}",
            self.paint(worst),
            first.scenario,
            tally(runs)
        );
        self.findings(&mut out, runs);
        self.reasons(&mut out, runs);
        out
    }

    fn paint(&self, headline: Headline) -> String {
        let word = format!("{:<4}", headline.word());
        if !self.style.colour {
            return word;
        }
        let code = match headline {
            Headline::Pass => 32,
            Headline::Fail | Headline::UnexpectedPass | Headline::Setup => 31,
            Headline::Warn | Headline::Unclear => 33,
            Headline::Skip | Headline::Known => 36,
        };
        format!("\u{1b}[{code}m{word}\u{1b}[0m")
    }

    /// Checks that did not hold, the same one on several devices shown once.
    fn findings(&self, out: &mut String, runs: &[Run]) {
        let mut groups: Vec<(&Check, Vec<&Run>)> = Vec::new();
        for run in runs {
            for check in run.failed_checks() {
                let same = |(known, _): &&mut (&Check, Vec<&Run>)| {
                    known.about == check.about
                        && known.requirement == check.requirement
                        && known.place.line == check.place.line
                        && known.blame == check.blame
                };
                match groups.iter_mut().find(same) {
                    Some((_, list)) => list.push(run),
                    None => groups.push((check, vec![run])),
                }
            }
        }
        let mut explained: Option<&str> = None;
        for (check, affected) in groups {
            let Some(example) = affected.first() else {
                continue;
            };
            let _ = writeln!(
                out,
                "{MARGIN}{} {} (line {}): {}",
                check.severity, check.requirement, check.place.line, check.about
            );
            let expected = check.expected.as_deref().unwrap_or("-");
            let actual = check.actual.as_deref().unwrap_or("-");
            let _ = writeln!(out, "{MARGIN}  expected  {}", one_line(expected));
            let _ = writeln!(out, "{MARGIN}  actual    {}", one_line(actual));
            let _ = write!(out, "{MARGIN}  on        {}", example.device());
            if affected.len() > 1 {
                let _ = write!(out, " and {} more", affected.len() - 1);
            }
            out.push('\n');
            if let Some(blame) = check.blame {
                let note = check
                    .note
                    .as_deref()
                    .map_or(String::new(), |note| format!(": {}", one_line(note)));
                let line = check
                    .place
                    .journal
                    .map_or(String::new(), |seq| format!(" (journal line {seq})"));
                let _ = writeln!(out, "{MARGIN}  blame     {blame}{note}{line}");
            }
            // What is true of the whole run is said once.
            if explained == Some(&example.id) {
                continue;
            }
            explained = Some(&example.id);
            for remark in example.remarks.iter().take(3) {
                let _ = writeln!(out, "{MARGIN}  it says   {}", one_line(remark));
            }
            if !example.assumptions.is_empty() {
                let rests = example.assumptions.join(", ");
                let _ = writeln!(out, "{MARGIN}  rests on  assumption {rests}");
            }
        }
    }

    /// Why runs did not come to a verdict of their own, each reason once.
    fn reasons(&self, out: &mut String, runs: &[Run]) {
        let mut groups: Vec<(String, Vec<&Run>)> = Vec::new();
        for run in runs {
            let reason = match (headline(run), &run.known_failing, &run.reason) {
                (Headline::UnexpectedPass, Some(known), _) => {
                    format!("passes, although the target file says: {known}")
                }
                (Headline::Known, Some(known), _) => format!("known: {known}"),
                (_, _, Some(reason)) => reason.clone(),
                _ => continue,
            };
            match groups.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, list)) => list.push(run),
                None => groups.push((reason, vec![run])),
            }
        }
        for (reason, affected) in groups {
            let _ = write!(out, "{MARGIN}{}", one_line(&reason));
            if affected.len() < runs.len() {
                let names: Vec<&str> = affected.iter().map(|run| run.device()).collect();
                let _ = write!(out, " [{}]", names.join(", "));
            }
            out.push('\n');
        }
    }

    /// What it all came to, and what to try next.
    pub fn summary(&self, report: &Report, folder: &str) -> String {
        let mut out = String::new();
        let summary = &report.summary;
        let counts: Vec<String> = summary
            .verdicts
            .iter()
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        let _ = write!(out, "\n{} runs: {}", summary.runs, counts.join(", "));
        if summary.known_failing > 0 {
            let _ = write!(out, " ({} known to fail)", summary.known_failing);
        }
        let held = report
            .requirements
            .iter()
            .filter(|row| row.checks_failed == 0 && row.checks_passed > 0)
            .count();
        let _ = writeln!(
            out,
            "\n{held} of {} requirements held; seed {}; report in {folder}: report.html, report.json and more",
            report.requirements.len(),
            report.invocation.seed
        );
        /// More names than that are a wall that nobody reads.
        const NAMED: usize = 8;
        let assumptions = report.assumptions();
        if (1..=NAMED).contains(&assumptions.len()) {
            let _ = writeln!(
                out,
                "some answers of the device rest on assumptions: {}",
                Vec::from_iter(assumptions).join(", ")
            );
        } else if !assumptions.is_empty() {
            let _ = writeln!(
                out,
                "some answers of the device rest on {} assumptions; report.html names them",
                assumptions.len()
            );
        }
        out.push_str("\nwhat to try next\n");
        for line in next_steps(report, folder) {
            let _ = writeln!(out, "  {line}");
        }
        out
    }
}

/// A run in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Headline {
    Pass,
    Skip,
    Known,
    Warn,
    Unclear,
    UnexpectedPass,
    Fail,
    Setup,
}

impl Headline {
    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Skip => "skip",
            Self::Known => "know",
            Self::Warn => "warn",
            Self::Unclear => "????",
            Self::UnexpectedPass => "PASS",
            Self::Fail => "FAIL",
            Self::Setup => "STOP",
        }
    }

    /// Which of several counts. A scenario that was skipped on some devices and passed on others has passed.
    const fn rank(self) -> u8 {
        match self {
            Self::Skip => 0,
            Self::Pass => 1,
            Self::Known => 2,
            Self::Warn => 3,
            Self::Unclear => 4,
            Self::UnexpectedPass => 5,
            Self::Fail => 6,
            Self::Setup => 7,
        }
    }
}

fn headline(run: &Run) -> Headline {
    match (run.verdict, run.known_failing.is_some()) {
        (Verdict::Pass, false) => Headline::Pass,
        (Verdict::Pass, true) => Headline::UnexpectedPass,
        (Verdict::Fail | Verdict::Warn | Verdict::Inconclusive, true) => Headline::Known,
        (Verdict::Fail, false) => Headline::Fail,
        (Verdict::Warn, false) => Headline::Warn,
        (Verdict::Inconclusive, false) => Headline::Unclear,
        (Verdict::NotApplicable | Verdict::NotImplemented, _) => Headline::Skip,
        (Verdict::ConfigurationError, _) => Headline::Setup,
    }
}

fn tally(runs: &[Run]) -> String {
    let good = runs
        .iter()
        .filter(|run| headline(run) == Headline::Pass)
        .count();
    // Where something varies beside the device, several runs are on one.
    let varied = runs.iter().any(|run| !run.parameters.is_empty());
    let runs_or_devices = |count: usize| match (varied, count) {
        (false, 1) => "device",
        (false, _) => "devices",
        (true, 1) => "run",
        (true, _) => "runs",
    };
    if good == runs.len() {
        format!("{good} {}", runs_or_devices(good))
    } else {
        format!("{good}/{} {}", runs.len(), runs_or_devices(runs.len()))
    }
}

/// A text that cannot spoil the layout or the terminal.
fn one_line(text: &str) -> String {
    const MOST: usize = 200;
    let clean: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(MOST)
        .collect();
    if text.chars().count() > MOST {
        format!("{clean} ...")
    } else {
        clean
    }
}

fn next_steps(report: &Report, folder: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let target = report
        .invocation
        .target
        .as_ref()
        .map_or(String::new(), |target| format!(" --target {target}"));
    if report
        .summary
        .verdicts
        .contains_key(&Verdict::ConfigurationError)
    {
        steps.push(format!(
            "conformance doctor{target}   (the set-up is wrong, not the program)"
        ));
    }
    let worth = |wanted: Verdict| {
        let mut runs = report.runs.iter();
        runs.find(|run| run.verdict == wanted && run.known_failing.is_none())
    };
    let finding = worth(Verdict::Fail).or_else(|| worth(Verdict::Warn));
    if let Some(run) = finding {
        if let Some(check) = run.failed_checks().next() {
            steps.push(format!("conformance explain {}", check.requirement));
        }
        steps.push(format!(
            "conformance run --filter {} --profile {} --seed {}{target}   (this one again)",
            run.scenario,
            run.device(),
            run.seed
        ));
        if keeps_journal(run) {
            steps.push(format!(
                "{folder}/journal/{}   (everything the device saw)",
                super::journal_name(run)
            ));
        }
    }
    if report.summary.unexpected_passes > 0 {
        steps.push("what passes now comes off the target file's list of known failures".to_owned());
    }
    if steps.is_empty() {
        if report.subject.kind == "reference" {
            steps.push(
                "conformance run --target meshcmd --program meshcmd=PATH   (a real agent)"
                    .to_owned(),
            );
            steps.push("conformance run --target rpc-go --program rpc=PATH".to_owned());
        }
        steps.push("conformance ledger   (what is proven, and what is not yet)".to_owned());
    }
    steps
}
