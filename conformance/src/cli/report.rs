//! `conformance report`.

use std::fs;
use std::io::Write;

use super::{Console, ReportArgs, Stop};
use crate::report::{Format, Report, Style, Terminal};

/// Draws a report again. The exit code is that of the run.
pub(super) fn report(args: &ReportArgs, console: &mut Console) -> Result<u8, Stop> {
    let report = Report::read(&args.report).map_err(Stop::wrong)?;
    let folder = match args.report.is_dir() {
        true => args.report.clone(),
        false => args.report.parent().map(Into::into).unwrap_or_default(),
    };
    let shown = folder.display().to_string();
    let text = match args.format {
        None => {
            for format in Format::ALL {
                if let Some(name) = format.file() {
                    let path = folder.join(name);
                    write(&path, &report.draw(*format))?;
                    writeln!(console.out, "{}", path.display())?;
                }
            }
            return Ok(report.exit_code);
        }
        Some(Format::Terminal) => {
            let terminal = Terminal {
                style: Style {
                    colour: console.colour && args.output.is_none(),
                },
            };
            let runs = report.runs.chunk_by(|a, b| a.scenario == b.scenario);
            let mut text: String = runs.map(|runs| terminal.scenario(runs)).collect();
            text += &terminal.summary(&report, &shown);
            text
        }
        Some(format) => report.draw(format),
    };
    match &args.output {
        Some(path) => write(path, &text)?,
        None => write!(console.out, "{text}")?,
    }
    console.out.flush()?;
    Ok(report.exit_code)
}

fn write(path: &std::path::Path, text: &str) -> Result<(), Stop> {
    fs::write(path, text)
        .map_err(|error| Stop::wrong(format!("cannot write {}: {error}", path.display())))
}
