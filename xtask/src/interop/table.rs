//! The table that interop prints: program, version, check, result.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Serialize;

/// How one check ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Passed,
    /// Expected and actual, or what went wrong.
    Failed(String),
    /// Why it could not be run here.
    Skipped(String),
}

impl Outcome {
    pub(crate) fn of(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    program: String,
    version: String,
    check: String,
    result: Outcome,
}

/// Rows in the order in which they were made; each is shown as soon as it is there.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Row>,
    only: Option<String>,
    check: Option<String>,
}

impl Table {
    pub(crate) fn new(only: Option<String>, check: Option<String>) -> Self {
        Self {
            rows: Vec::new(),
            only,
            check,
        }
    }

    /// Whether rows of this program are wanted.
    pub(crate) fn wants(&self, program: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| program.contains(only.as_str()))
    }

    /// Whether this check of a wanted program is wanted.
    pub(crate) fn wants_check(&self, title: &str) -> bool {
        self.check
            .as_ref()
            .is_none_or(|check| title.contains(check.as_str()))
    }

    /// Makes a row of a check, if it is wanted.
    pub(crate) fn run(
        &mut self,
        program: &str,
        version: &str,
        check: &str,
        run: impl FnOnce() -> Result<()>,
    ) {
        if self.wants(program) && self.wants_check(check) {
            self.add(program, version, check, Outcome::of(run()));
        }
    }

    pub(crate) fn add(&mut self, program: &str, version: &str, check: &str, result: Outcome) {
        if !self.wants(program) {
            return;
        }
        let row = Row {
            program: program.to_owned(),
            version: version.to_owned(),
            check: check.to_owned(),
            result,
        };
        println!("{}", line(&row));
        self.rows.push(row);
    }

    /// Writes the rows as JSON and says how it went. The closing line is `N passed, N failed, N skipped`.
    pub(crate) fn finish(self, json: &Path) -> Result<ExitCode> {
        let text = serde_json::to_string_pretty(&self.rows)?;
        fs::write(json, text + "\n").with_context(|| json.display().to_string())?;
        let count = |wanted: fn(&Outcome) -> bool| {
            self.rows.iter().filter(|row| wanted(&row.result)).count()
        };
        let failed = count(|result| matches!(result, Outcome::Failed(_)));
        println!(
            "\n{} passed, {failed} failed, {} skipped",
            count(|result| matches!(result, Outcome::Passed)),
            count(|result| matches!(result, Outcome::Skipped(_))),
        );
        Ok(ExitCode::from(u8::from(failed > 0)))
    }
}

fn line(row: &Row) -> String {
    let (word, why) = match &row.result {
        Outcome::Passed => ("ok", ""),
        Outcome::Failed(why) => ("FAILED", why.as_str()),
        Outcome::Skipped(why) => ("skipped", why.as_str()),
    };
    let mut text = format!(
        "{:<12} {:<16} {:<58} {word}",
        row.program, row.version, row.check
    );
    for detail in why.lines() {
        text.push_str("\n    ");
        text.push_str(detail);
    }
    text
}
