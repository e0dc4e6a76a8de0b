//! MeshCentral, a real setup and configuration application, with MeshAgent and MeshCmd, its real agents.
//!
//! One server, in a network namespace of its own, takes all devices one after the other. Each device belongs to
//! the group whose policy is tried.

mod agent;
mod checks;
mod group;
mod namespace;
mod server;

use anyhow::Result;

use self::checks::{ACTIVATIONS, Place};
use self::server::Server;
use super::table::{Outcome, Table};
use super::{Bench, tools};

const PROGRAM: &str = "meshcentral";

/// Where the server answers, inside its namespace.
const PORT: u16 = 8443;

pub(crate) fn checks(bench: &Bench, table: &mut Table) {
    if !table.wants(PROGRAM) {
        return;
    }
    let (package, meshcmd) = match installed() {
        Ok(paths) => paths,
        Err(error) => return tools::missing(table, PROGRAM, tools::MESHCENTRAL, &error),
    };
    let started = server::folder().and_then(|folder| {
        Server::start(&package, &bench.programs.amt_sim, &folder).map(|server| (folder, server))
    });
    let (folder, mut server) = match started {
        Ok(started) => started,
        Err(error) => {
            let outcome = Outcome::Failed(format!("{error:#}"));
            return table.add(PROGRAM, tools::MESHCENTRAL, "server", outcome);
        }
    };
    table.add(PROGRAM, tools::MESHCENTRAL, "server", Outcome::Passed);
    let Some(&backend) = bench.backends.first() else {
        return;
    };
    let place = Place {
        amt_sim: &bench.programs.amt_sim,
        backend,
        package: &package,
        meshcmd: &meshcmd,
        folder: &folder,
    };
    for activation in ACTIVATIONS {
        let result = checks::run(&place, &mut server, activation);
        table.add(
            PROGRAM,
            tools::MESHCENTRAL,
            activation.title,
            Outcome::of(result),
        );
    }
}

fn installed() -> Result<(std::path::PathBuf, std::path::PathBuf)> {
    Ok((tools::meshcentral()?, tools::meshcmd()?))
}
