//! Reports: `report.json` first, everything else drawn from it.
//!
//! The shape of `report.json` is documented in `docs/report.md` and versioned by [`Report::VERSION`].

mod badge;
mod bundle;
mod findings;
mod github;
mod html;
mod junit;
mod layout;
mod sarif;
mod terminal;
mod zip;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

pub use badge::{badge_json, badge_svg};
pub use bundle::write_bundle;
pub use findings::{Finding, findings};
pub use github::github;
pub use html::html;
pub use junit::junit;
use layout::Layout;
pub use sarif::sarif;
pub use terminal::{Style, Terminal};

use crate::requirement::{Grade, Ledger, Level, Party};
use crate::run::{CheckVerdict, Evidence, Run, Verdict};
use crate::words::words;

/// The whole of one invocation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub format: String,
    pub version: u32,
    pub tool: Tool,
    pub subject: Subject,
    pub invocation: Invocation,
    pub timing: Timing,
    pub summary: Summary,
    /// In the order of the plan.
    pub runs: Vec<Run>,
    /// Every requirement that some run claims to prove.
    pub requirements: Vec<RequirementRow>,
    /// What the program exited with: 0 as expected, 1 findings, 2 set-up or file wrong, 3 not conclusive.
    pub exit_code: u8,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    pub version: String,
}

/// A word of the format that does not come from the file it is read from.
type Word = &'static str;

/// Who was tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Subject {
    /// `reference`, or the part that a real program plays: `agent`, `sca`, `console`.
    #[serde(deserialize_with = "subject_kind")]
    pub kind: Word,
    pub name: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// As the program tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program_version: Option<String>,
    /// How the program saw its `/dev/mei0`, and why so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
}

impl Subject {
    /// The roles that come with the program.
    pub fn reference() -> Self {
        Self {
            kind: "reference",
            name: "reference".to_owned(),
            title: "bundled reference roles".to_owned(),
            program: None,
            program_version: None,
            backend: None,
        }
    }
}

/// What was asked for: enough to run it again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Invocation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    pub seed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misbehave: Option<String>,
    /// Device rules that were switched off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

/// The only part that differs between two runs of the same with a reference role.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Timing {
    /// RFC 3339, UTC.
    pub started: String,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub runs: usize,
    /// Runs by verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// Runs that the target file knows to fail, and that did.
    pub known_failing: usize,
    /// Runs that the target file knows to fail, and that passed.
    pub unexpected_passes: usize,
    /// Runs that call for attention.
    pub findings: usize,
}

words! {
    /// What this report says about a requirement.
    RequirementVerdict {
        Held = "held",
        Broken = "broken",
        /// No check looked at it.
        NotChecked = "not-checked",
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequirementRow {
    pub id: String,
    pub level: Level,
    pub who: Party,
    pub grade: Grade,
    pub text: String,
    /// Where it is written, or where it was seen.
    #[serde(default)]
    pub source: String,
    pub verdict: RequirementVerdict,
    pub checks_passed: usize,
    pub checks_failed: usize,
}

impl Report {
    pub const FORMAT: &'static str = "amt-conformance-report";

    /// Counts up when a field changes its meaning or goes away; new fields do not count.
    pub const VERSION: u32 = 1;

    /// The assumptions about firmware that answers of the device rest on, each once, in order.
    pub fn assumptions(&self) -> BTreeSet<&str> {
        let all = self.runs.iter().flat_map(|run| &run.assumptions);
        all.map(String::as_str).collect()
    }

    pub fn new(
        subject: Subject,
        invocation: Invocation,
        timing: Timing,
        mut runs: Vec<Run>,
        ledger: &Ledger,
        strict: bool,
    ) -> Self {
        // Whoever wants more, or less taken out, has done it before.
        for run in &mut runs {
            Evidence::default().settle(run);
        }
        let summary = Summary::of(&runs);
        Self {
            format: Self::FORMAT.to_owned(),
            version: Self::VERSION,
            tool: Tool {
                name: "conformance".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            exit_code: exit_code(&runs, strict),
            requirements: requirement_rows(&runs, ledger),
            subject,
            invocation,
            timing,
            summary,
            runs,
        }
    }

    /// Reads a report again: the file, or the folder that it is in.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let path = match path.is_dir() {
            true => path.join("report.json"),
            false => path.to_owned(),
        };
        let text = fs::read_to_string(&path).map_err(|error| ReadError::File {
            path: path.clone(),
            error,
        })?;
        /// What must be right before the rest can be.
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let wrong = |error| ReadError::Json {
            path: path.clone(),
            error,
        };
        let head: Head = serde_json::from_str(&text).map_err(wrong)?;
        if head.format != Self::FORMAT || head.version != Self::VERSION {
            return Err(ReadError::Version {
                path,
                format: head.format,
                version: head.version,
            });
        }
        serde_json::from_str(&text).map_err(wrong)
    }

    /// The text of `report.json`.
    pub fn to_json(&self) -> io::Result<String> {
        let mut out = Vec::new();
        // Short lines for people to compare; the arrows of a sequence are for programs.
        self.serialize(&mut serde_json::Serializer::with_formatter(
            &mut out,
            Layout::default(),
        ))?;
        out.push(b'\n');
        String::from_utf8(out).map_err(io::Error::other)
    }

    /// Writes `report.json` and everything that is drawn from it, and the journal of every run that somebody may
    /// want to look into.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let journals = folder.join("journal");
        fs::create_dir_all(&journals)?;
        for old in fs::read_dir(&journals)? {
            let path = old?.path();
            if path.extension().is_some_and(|ending| ending == "jsonl") {
                fs::remove_file(path)?; // Of an earlier report.
            }
        }
        for run in self.runs.iter().filter(|run| keeps_journal(run)) {
            let file = fs::File::create(journals.join(journal_name(run)))?;
            write_journal(run, io::BufWriter::new(file))?;
        }
        fs::write(folder.join("report.json"), self.to_json()?)?;
        for format in Format::ALL {
            if let Some(name) = format.file() {
                fs::write(folder.join(name), self.draw(*format))?;
            }
        }
        Ok(())
    }

    /// The report in this format.
    pub fn draw(&self, format: Format) -> String {
        let pretty = |value: serde_json::Value| {
            // A tree of JSON values has nothing that JSON cannot write.
            serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
        };
        match format {
            Format::Terminal => {
                let terminal = Terminal::default();
                let runs = self.runs.chunk_by(|a, b| a.scenario == b.scenario);
                runs.map(|runs| terminal.scenario(runs)).collect()
            }
            Format::Junit => junit(self),
            Format::Sarif => pretty(sarif(self)),
            Format::Github => github(self),
            Format::Badge => badge_svg(self),
            Format::BadgeJson => pretty(badge_json(self)),
            Format::Html => html(self),
        }
    }
}

words! {
    /// What a report can be drawn as.
    Format {
        Terminal = "terminal",
        Junit = "junit",
        Sarif = "sarif",
        /// Annotations of GitHub Actions.
        Github = "github",
        Badge = "badge",
        /// For the endpoint badge of shields.io.
        BadgeJson = "badge-json",
        Html = "html",
    }
}

impl Format {
    /// The file beside `report.json`; none for what is only printed.
    pub const fn file(self) -> Option<&'static str> {
        match self {
            Self::Terminal | Self::Github => None,
            Self::Junit => Some("junit.xml"),
            Self::Sarif => Some("report.sarif"),
            Self::Badge => Some("badge.svg"),
            Self::BadgeJson => Some("badge.json"),
            Self::Html => Some("report.html"),
        }
    }
}

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    #[error("cannot read {}: {error}; `conformance run --report DIR` writes one", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{} is no report of this program: {error}", path.display())]
    Json {
        path: PathBuf,
        error: serde_json::Error,
    },
    #[error("{} is a {format} of version {version}; this program reads {} of version {}", path.display(), Report::FORMAT, Report::VERSION)]
    Version {
        path: PathBuf,
        format: String,
        version: u32,
    },
}

fn subject_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    let word = String::deserialize(deserializer)?;
    ["reference", "agent", "sca", "console", "several"]
        .into_iter()
        .find(|known| *known == word)
        .ok_or_else(|| serde::de::Error::custom(format!("there is no subject of kind `{word}`")))
}

/// The journal of a run, an entry a line.
pub(crate) fn write_journal(run: &Run, mut out: impl Write) -> io::Result<()> {
    for entry in &run.journal {
        serde_json::to_writer(&mut out, entry)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Runs whose journal is written out.
pub fn keeps_journal(run: &Run) -> bool {
    !run.journal.is_empty() && run.verdict != Verdict::Pass
}

/// Name of the journal's file below `journal/`.
pub fn journal_name(run: &Run) -> String {
    format!("{}.jsonl", run.id)
}

impl Summary {
    fn of(runs: &[Run]) -> Self {
        let mut summary = Self {
            runs: runs.len(),
            ..Self::default()
        };
        for run in runs {
            *summary.verdicts.entry(run.verdict).or_default() += 1;
            summary.findings += usize::from(run.is_finding());
            if run.known_failing.is_some() {
                match run.verdict {
                    Verdict::Pass => summary.unexpected_passes += 1,
                    Verdict::Fail | Verdict::Warn | Verdict::Inconclusive => {
                        summary.known_failing += 1;
                    }
                    _ => {}
                }
            }
        }
        summary
    }
}

fn exit_code(runs: &[Run], strict: bool) -> u8 {
    let any = |verdict: Verdict| {
        runs.iter()
            .any(|run| run.verdict == verdict && run.known_failing.is_none())
    };
    let concluded = runs
        .iter()
        .any(|run| matches!(run.verdict, Verdict::Pass | Verdict::Warn | Verdict::Fail));
    if any(Verdict::ConfigurationError) {
        2
    } else if runs.iter().any(Run::is_finding) || (strict && any(Verdict::Warn)) {
        1
    } else if any(Verdict::Inconclusive) || !concluded {
        3
    } else {
        0
    }
}

fn requirement_rows(runs: &[Run], ledger: &Ledger) -> Vec<RequirementRow> {
    let mut rows: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for run in runs {
        for id in &run.requirements {
            rows.entry(id).or_default();
        }
        for check in &run.checks {
            let (passed, failed) = rows.entry(&check.requirement).or_default();
            match check.verdict {
                CheckVerdict::Pass => *passed += 1,
                CheckVerdict::Fail => *failed += 1,
                CheckVerdict::NotApplicable => {}
            }
        }
    }
    ledger
        .iter()
        .filter_map(|requirement| {
            let (passed, failed) = *rows.get(requirement.id.as_str())?;
            let verdict = match (passed, failed) {
                (_, 1..) => RequirementVerdict::Broken,
                (1.., 0) => RequirementVerdict::Held,
                (0, 0) => RequirementVerdict::NotChecked,
            };
            Some(RequirementRow {
                id: requirement.id.clone(),
                level: requirement.level,
                who: requirement.who,
                grade: requirement.grade,
                text: requirement.text.clone(),
                source: requirement.source.clone(),
                verdict,
                checks_passed: passed,
                checks_failed: failed,
            })
        })
        .collect()
}

/// Seconds since 1970 as RFC 3339, UTC.
pub fn rfc3339(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, so that a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        time / 3_600,
        time / 60 % 60,
        time % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "1970-01-01T00:00:00Z")]
    #[case(951_782_400, "2000-02-29T00:00:00Z")]
    #[case(1_709_251_199, "2024-02-29T23:59:59Z")]
    #[case(1_767_225_600, "2026-01-01T00:00:00Z")]
    #[case(4_107_542_400, "2100-03-01T00:00:00Z")]
    fn dates(#[case] seconds: u64, #[case] want: &str) {
        assert_eq!(rfc3339(seconds), want);
    }
}
