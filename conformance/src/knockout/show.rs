//! The survey for people: what is wrong first, then the tallies.

use std::fmt;

use super::{Fate, Row, Survey};

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for broken in &self.broken {
            writeln!(f, "BROKEN  {broken} with honest roles")?;
        }
        table(f, "rules of the device", &self.rules)?;
        table(f, "mistakes of the reference roles", &self.mistakes)?;
        self.checks(f)?;
        write!(f, "{} runs", self.runs)
    }
}

fn table(f: &mut fmt::Formatter<'_>, what: &str, rows: &[Row]) -> fmt::Result {
    let count = |fate: Fate| rows.iter().filter(|row| row.fate == fate).count();
    let fates = Fate::ALL.iter().filter(|fate| count(**fate) > 0);
    let tally: Vec<String> = fates
        .map(|fate| format!("{} {fate}", count(*fate)))
        .collect();
    writeln!(f, "{what}: {} of them, {}", rows.len(), tally.join(", "))?;
    for row in rows {
        match row.fate {
            Fate::Silent => writeln!(f, "  SILENT  {}", row.name)?,
            Fate::Dead => writeln!(f, "  dead    {}", row.name)?,
            _ => {}
        }
        if let Some(trouble) = &row.trouble {
            writeln!(f, "          {trouble}")?;
        }
        let what = match row.fate {
            Fate::Silent => "claims it and does not notice",
            _ => "shows what it allows",
        };
        for scenario in &row.silent {
            writeln!(f, "          {:<44} {scenario} {what}", row.name)?;
        }
    }
    writeln!(f)
}

impl Survey {
    fn checks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<26}{:>8}{:>10}{:>16}",
            "checks of the harness", "there", "can fail", "alone noticed"
        )?;
        for (question, (all, good)) in self.questions() {
            let alone = self.alone.get(question).copied().unwrap_or(0);
            writeln!(f, "  {question:<24}{all:>8}{good:>10}{alone:>16}")?;
            if alone == 0 {
                writeln!(
                    f,
                    "  SILENT  without such checks everything is still noticed"
                )?;
            }
        }
        for check in self.checks.iter().filter(|check| !check.can_fail()) {
            writeln!(
                f,
                "  SILENT  {}, line {}: {} ({}): nothing turns it red",
                check.key.scenario, check.key.line, check.key.about, check.question
            )?;
        }
        writeln!(f)
    }
}
