//! MeshAgent as the target of the harness. How it brings a device to its server is tried with MeshCentral itself.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::table::Table;
use super::{Bench, harness, tools};

const PROGRAM: &str = "meshagent";

/// What it is asked on one machine: answers of every kind, and one that it is known to misread.
const STORIES: &[&str] = &[
    "--filter",
    "discovery.configured-* or discovery.version or discovery.uuid or discovery.mode-* or discovery.hashes*",
    "--profile",
    "comet-lake-14",
];

pub(crate) fn checks(bench: &Bench, table: &mut Table) {
    if !table.wants(PROGRAM) {
        return;
    }
    match program() {
        Ok(program) => {
            harness::checks(bench, PROGRAM, STORIES, &program, tools::MESHCENTRAL, table);
        }
        Err(error) => tools::missing(table, PROGRAM, tools::MESHCENTRAL, &error),
    }
}

/// The agent of the package, which npm unpacks as a file that cannot be run, and beside it the modules that its server
/// would send it.
fn program() -> Result<PathBuf> {
    let agents = tools::meshcentral()?.join("agents");
    let folder = tools::clean_folder(PROGRAM)?;
    let program = folder.join(PROGRAM);
    let original = agents.join("meshagent_x86-64");
    fs::copy(&original, &program).with_context(|| original.display().to_string())?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    let modules = "modules_meshcore";
    symlink(agents.join(modules), folder.join(modules))?;
    Ok(program)
}
