//! Checking files before anybody runs them.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use amt_sim::diagnostic::Diagnostic;

use super::{Console, Stop, WRONG, shown};
use crate::requirement::Ledger;
use crate::role::target;
use crate::scenario::{self, Library};

pub(super) fn check(files: &[PathBuf], console: &mut Console) -> Result<u8, Stop> {
    let ledger = Ledger::builtin().map_err(|errors| Stop::files(&errors))?;
    let mut wrong = Vec::new();
    let mut checked = Vec::new();
    if files.is_empty() {
        checked.push(format!("{} requirements", ledger.iter().count()));
        match Library::builtin(&ledger) {
            Ok(library) => checked.push(format!("{} scenarios", library.scenarios.len())),
            Err(errors) => wrong.extend(errors),
        }
        for file in fixtures::TARGETS {
            wrong.extend(
                target::parse(file.path, file.text)
                    .err()
                    .into_iter()
                    .flatten(),
            );
        }
        checked.push(format!("{} targets", fixtures::TARGETS.len()));
    }
    for path in files {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| Stop::wrong(format!("cannot read {name}: {error}")))?;
        match check_text(&name, &text, &ledger) {
            Ok(what) => checked.push(format!("{name}: {what}")),
            Err(errors) => wrong.extend(errors),
        }
    }
    if wrong.is_empty() {
        for line in checked {
            writeln!(console.out, "ok  {line}")?;
        }
        return Ok(0);
    }
    writeln!(console.out, "{}", shown(&wrong))?;
    writeln!(console.out, "\n{} mistakes", wrong.len())?;
    Ok(WRONG)
}

/// Tells a target file from a scenario by what only the one or the other has.
fn check_text(name: &str, text: &str, ledger: &Ledger) -> Result<&'static str, Vec<Diagnostic>> {
    let table =
        amt_sim::diagnostic::parse_toml::<toml::Table>(name, text).map_err(|error| vec![error])?;
    if ["program", "command", "has"]
        .iter()
        .any(|key| table.contains_key(*key))
    {
        target::parse(name, text).map(|_| "a target")
    } else {
        scenario::parse(name, text, ledger).map(|_| "a scenario")
    }
}
