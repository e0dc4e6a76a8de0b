//! Requirement by scenario: who proves what, and what nobody proves.

use std::collections::BTreeMap;
use std::fmt;

use super::{Ledger, Requirement};
use crate::scenario::Scenario;
use crate::words::words;

words! {
    /// What stands behind a requirement.
    Standing {
        /// At least one scenario proves it.
        Proven = "proven",
        /// It can be tested, and no scenario does.
        Untested = "untested",
        /// No scenario can; the ledger says why.
        Untestable = "untestable",
    }
}

/// The ledger against a set of scenarios.
#[derive(Debug)]
pub struct Matrix<'a> {
    pub rows: Vec<Row<'a>>,
}

#[derive(Debug)]
pub struct Row<'a> {
    pub requirement: &'a Requirement,
    /// IDs of the scenarios that claim to prove it.
    pub scenarios: Vec<&'a str>,
}

impl Row<'_> {
    pub fn standing(&self) -> Standing {
        if !self.scenarios.is_empty() {
            Standing::Proven
        } else if self.requirement.untestable.is_some() {
            Standing::Untestable
        } else {
            Standing::Untested
        }
    }
}

impl<'a> Matrix<'a> {
    pub fn new(ledger: &'a Ledger, scenarios: &'a [Scenario]) -> Self {
        let mut proven: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for scenario in scenarios {
            for requirement in &scenario.requirements {
                proven.entry(requirement).or_default().push(&scenario.id);
            }
        }
        let rows = ledger
            .iter()
            .map(|requirement| Row {
                requirement,
                scenarios: proven.remove(requirement.id.as_str()).unwrap_or_default(),
            })
            .collect();
        Self { rows }
    }

    fn count(&self, standing: Standing) -> usize {
        self.rows
            .iter()
            .filter(|row| row.standing() == standing)
            .count()
    }
}

impl fmt::Display for Matrix<'_> {
    /// One line a requirement, its scenarios under it, grouped by file; the tally last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut file = "";
        for row in &self.rows {
            let requirement = row.requirement;
            if requirement.file != file {
                if !file.is_empty() {
                    writeln!(f)?;
                }
                file = &requirement.file;
                writeln!(f, "{file}")?;
            }
            let alias = requirement
                .alias
                .as_ref()
                .map_or(String::new(), |alias| format!(" ({alias})"));
            writeln!(
                f,
                "  {:<10} {:<6} {:<7} {:<10} {}{alias}",
                row.standing(),
                requirement.level,
                requirement.who,
                requirement.grade,
                requirement.id
            )?;
            for scenario in &row.scenarios {
                writeln!(f, "{:39}<- {scenario}", "")?;
            }
            if let (Standing::Untestable, Some(why)) = (row.standing(), &requirement.untestable) {
                writeln!(f, "{:39}{why}", "")?;
            }
        }
        write!(
            f,
            "\n{} requirements: {} proven, {} untested, {} untestable",
            self.rows.len(),
            self.count(Standing::Proven),
            self.count(Standing::Untested),
            self.count(Standing::Untestable)
        )
    }
}
