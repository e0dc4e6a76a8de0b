//! `conformance schema`: JSON schemas of scenario and target files, for editors.

use std::io::Write;

use super::{Console, SchemaArgs, Stop};
use crate::schema;

pub(super) fn print(args: &SchemaArgs, console: &mut Console) -> Result<u8, Stop> {
    let schema = match args.what.as_str() {
        "target" => schema::target(),
        _ => schema::scenario(),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(std::io::Error::from)?;
    writeln!(console.out, "{text}")?;
    Ok(0)
}
