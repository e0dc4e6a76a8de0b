//! `conformance ledger`: who proves what, both ways.

use std::io::Write;

use super::{Console, LedgerArgs, Stop, shelf};
use crate::requirement::Matrix;

pub(super) fn ledger(args: &LedgerArgs, console: &mut Console) -> Result<u8, Stop> {
    let (ledger, library) = shelf()?;
    let matrix = Matrix::new(&ledger, &library.scenarios);
    let out = &mut console.out;
    match (args.by.as_str(), args.json) {
        ("scenario", false) => writeln!(out, "{}", matrix.by_scenario())?,
        (_, false) => writeln!(out, "{matrix}")?,
        (by, true) => {
            let value = match by {
                "scenario" => serde_json::to_string_pretty(&matrix.by_scenario()),
                _ => serde_json::to_string_pretty(&matrix),
            };
            writeln!(out, "{}", value.map_err(std::io::Error::from)?)?;
        }
    }
    Ok(0)
}
