//! The harness against the same program: `conformance run --target`.

use std::path::Path;

use anyhow::Result;

use super::run::limited;
use super::table::Table;
use super::{Bench, tools};

pub(crate) fn checks(
    bench: &Bench,
    target: &str,
    more: &[&str],
    program: &Path,
    version: &str,
    table: &mut Table,
) {
    let title = format!("conformance run --target {target}");
    table.run(target, version, &title, || {
        run(bench, target, more, program)
    });
}

fn run(bench: &Bench, target: &str, more: &[&str], program: &Path) -> Result<()> {
    let folder = tools::clean_folder("conformance")?;
    let program = format!("{target}={}", program.display());
    let arguments = [
        "run",
        "--target",
        target,
        "--program",
        &program,
        "--report",
        "report",
    ];
    let mut arguments = arguments.to_vec();
    arguments.extend(more);
    limited(
        600,
        bench.programs.conformance.as_os_str(),
        &arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        &folder,
    )?
    .succeeded()?;
    Ok(())
}
