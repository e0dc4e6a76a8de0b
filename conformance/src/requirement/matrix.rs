//! Requirement by scenario: who proves what, and what nobody proves.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::{Ledger, Requirement};
use crate::scenario::Scenario;
use crate::words::words;

words! {
    /// What stands behind a requirement.
    Standing {
        /// At least one scenario proves it.
        Proven = "proven",
        /// Unit tests of the device prove it, and no scenario does.
        Unit = "unit",
        /// It can be tested, and no scenario does.
        Untested = "untested",
        /// No scenario can; the ledger says why.
        Untestable = "untestable",
    }
}

/// The ledger against a set of scenarios.
#[derive(Debug, Serialize)]
pub struct Matrix<'a> {
    pub rows: Vec<Row<'a>>,
    #[serde(skip)]
    scenarios: &'a [Scenario],
}

#[derive(Debug)]
pub struct Row<'a> {
    pub requirement: &'a Requirement,
    /// IDs of the scenarios that claim to prove it.
    pub scenarios: Vec<&'a str>,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let requirement = self.requirement;
        let mut row = serializer.serialize_struct("Row", 12)?;
        row.serialize_field("id", &requirement.id)?;
        row.serialize_field("alias", &requirement.alias)?;
        row.serialize_field("standing", &self.standing())?;
        row.serialize_field("level", &requirement.level)?;
        row.serialize_field("who", &requirement.who)?;
        row.serialize_field("grade", &requirement.grade)?;
        row.serialize_field("text", &requirement.text)?;
        row.serialize_field("source", &requirement.source)?;
        row.serialize_field("file", &requirement.file)?;
        row.serialize_field("untestable", &requirement.untestable)?;
        row.serialize_field("scenarios", &self.scenarios)?;
        row.serialize_field("unit_tests", &requirement.proved_by)?;
        row.end()
    }
}

/// The same the other way round: what each scenario proves.
#[derive(Debug, Serialize)]
pub struct ByScenario<'a> {
    pub scenarios: Vec<Proof<'a>>,
    /// Requirements that no scenario proves, with what else stands behind them.
    pub unproven: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
pub struct Proof<'a> {
    pub scenario: &'a str,
    pub title: &'a str,
    pub tags: &'a [String],
    pub requirements: &'a [String],
}

impl Row<'_> {
    pub fn standing(&self) -> Standing {
        if !self.scenarios.is_empty() {
            Standing::Proven
        } else if !self.requirement.proved_by.is_empty() {
            Standing::Unit
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
        Self { rows, scenarios }
    }

    /// What each scenario proves, and then what none does.
    pub fn by_scenario(&self) -> ByScenario<'a> {
        let proof = |scenario: &'a Scenario| Proof {
            scenario: &scenario.id,
            title: &scenario.title,
            tags: &scenario.tags,
            requirements: &scenario.requirements,
        };
        let unproven = self.rows.iter().filter(|row| row.scenarios.is_empty());
        ByScenario {
            scenarios: self.scenarios.iter().map(proof).collect(),
            unproven: unproven
                .map(|row| Row {
                    requirement: row.requirement,
                    scenarios: Vec::new(),
                })
                .collect(),
        }
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
            "\n{} requirements: {} proven, {} by unit tests only, {} untested, {} untestable",
            self.rows.len(),
            self.count(Standing::Proven),
            self.count(Standing::Unit),
            self.count(Standing::Untested),
            self.count(Standing::Untestable)
        )
    }
}

impl fmt::Display for ByScenario<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for proof in &self.scenarios {
            writeln!(f, "{:<38} {}", proof.scenario, proof.title)?;
            for requirement in proof.requirements {
                writeln!(f, "{:>4}-> {requirement}", "")?;
            }
        }
        writeln!(f, "\nproven by no scenario")?;
        for row in &self.unproven {
            writeln!(f, "  {:<10} {}", row.standing(), row.requirement.id)?;
        }
        let count = self.scenarios.len();
        write!(
            f,
            "\n{count} scenarios; {} requirements that none of them proves",
            self.unproven.len()
        )
    }
}
