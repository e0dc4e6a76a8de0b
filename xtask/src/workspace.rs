//! Where things are, and building them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

/// The folder of the workspace's Cargo.toml.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The programs of this project.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) amt_sim: PathBuf,
    pub(crate) conformance: PathBuf,
}

/// How the programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// As users get them.
    Release,
    /// Sooner ready, slower at work.
    Development,
}

/// Builds the programs.
pub(crate) fn programs(build: Build) -> Result<Programs> {
    let (flags, folder): (&[&str], _) = match build {
        Build::Release => (&["--release"], "release"),
        Build::Development => (&[], "debug"),
    };
    let mut arguments = vec!["build", "--quiet"];
    arguments.extend(["--package", "amt-sim", "--package", "conformance"]);
    arguments.extend(flags);
    cargo(&arguments)?;
    let folder = target().join(folder);
    Ok(Programs {
        amt_sim: folder.join("amt-sim"),
        conformance: folder.join("conformance"),
    })
}

pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(root())
        .status()
        .context("cargo could not be started")?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}

/// The same as a clean clone goes through.
pub(crate) fn ci() -> Result<ExitCode> {
    let status = Command::new("bash")
        .arg(".ci/run")
        .current_dir(root())
        .status()
        .context("bash could not be started")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
