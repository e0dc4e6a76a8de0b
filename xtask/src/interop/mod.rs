//! `cargo xtask interop`: real programs, unmodified, against the device.
//!
//! Programs from package registries are installed here, by name and pinned version; without the registry they are
//! skipped on a user's machine and fail the run in CI. rpc-go is in no registry: it is used where it is given.

mod contract_go;
mod expected;
mod harness;
mod in_setup;
mod meshagent;
mod meshcentral;
mod meshcmd;
mod napalm;
mod rpc;
mod rpc_checked;
mod rpc_setup;
mod run;
mod table;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use amt_sim::host::backend::Backend;
use anyhow::Result;
use clap::Args;

pub(crate) use tools::on_path;

use table::{Outcome, Table};

use crate::workspace::{self, Build, Programs};

#[derive(Debug, Args)]
pub(crate) struct InteropArguments {
    /// An rpc-go to run, any line of it; may be given again. Without it, `rpc` on PATH.
    #[arg(long, value_name = "PATH")]
    rpc: Vec<PathBuf>,
    /// A MeshCmd to run instead of the one from the npm registry.
    #[arg(long, value_name = "PATH")]
    meshcmd: Option<PathBuf>,
    /// Only programs whose name contains this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Only checks whose title contains this, where a program's checks can be run one by one.
    #[arg(long, value_name = "TEXT")]
    check: Option<String>,
    /// Use the development build of our programs: sooner ready, slower at work.
    #[arg(long)]
    dev: bool,
}

/// What every check needs.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) programs: Programs,
    /// The back ends that work here; never empty.
    pub(crate) backends: Vec<Backend>,
}

pub(crate) fn interop(arguments: &InteropArguments) -> Result<ExitCode> {
    let programs = workspace::programs(if arguments.dev {
        Build::Development
    } else {
        Build::Release
    })?;
    let mut table = Table::new(arguments.only.clone(), arguments.check.clone());
    let mut backends = Vec::new();
    for backend in Backend::ALL {
        match amt_sim::host::backend::choose(Some(backend)) {
            Ok(_) => backends.push(backend),
            Err(error) => table.add(
                "amt-sim",
                env!("CARGO_PKG_VERSION"),
                &format!("back end {backend}"),
                Outcome::Skipped(error.to_string()),
            ),
        }
    }
    let bench = Bench { programs, backends };
    anyhow::ensure!(
        !bench.backends.is_empty(),
        "no back end works on this machine; `amt-sim run -- true` says why"
    );
    contract_go::checks(&bench, &mut table);
    meshcmd::checks(&bench, arguments.meshcmd.as_deref(), &mut table);
    meshagent::checks(&bench, &mut table);
    meshcentral::checks(&bench, &mut table);
    napalm::checks(&bench, &mut table);
    rpc::checks(&bench, &arguments.rpc, &mut table);
    table.finish(&workspace::target().join("interop.json"))
}
