//! What there is: scenarios, targets, facts.

use std::io::Write;

use super::{Console, ListArgs, Stop, shelf, shown};
use crate::fact::Fact;
use crate::role::target;

pub(super) fn list(args: &ListArgs, console: &mut Console) -> Result<u8, Stop> {
    let out = &mut console.out;
    if args.facts {
        for fact in Fact::ALL {
            writeln!(
                out,
                "{:<22} {:<18} {}",
                fact.name(),
                fact.feature(),
                fact.doc()
            )?;
            writeln!(out, "{:41} {}", "", fact.kind().describe())?;
        }
        return Ok(0);
    }
    if args.targets {
        for file in fixtures::TARGETS {
            match target::parse(file.path, file.text) {
                Ok(target) => writeln!(out, "{:<18} {}", target.name, target.title)?,
                Err(errors) => return Err(Stop::Wrong(shown(&errors))),
            }
        }
        return Ok(0);
    }
    let (ledger, library) = shelf()?;
    let chosen =
        crate::run::select(&library, &ledger, args.filter.as_deref()).map_err(Stop::wrong)?;
    for scenario in chosen {
        writeln!(out, "{:<38} {}", scenario.id, scenario.title)?;
    }
    Ok(0)
}
