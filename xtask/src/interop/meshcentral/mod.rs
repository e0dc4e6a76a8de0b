//! MeshCentral, a real setup and configuration application, with MeshAgent and MeshCmd, its real agents.
//!
//! One server, in a network namespace of its own, takes all devices one after the other. Each device belongs to
//! the group whose policy is tried.

mod agent;
mod checks;
mod findings;
mod group;
mod hello;
mod life;
mod namespace;
mod server;
mod stories;

use anyhow::{Context, Result};

use self::checks::{ACTIVATIONS, Place};
use self::namespace::Namespace;
use self::server::{Server, Start};
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
    let apart = server::folder().and_then(|folder| {
        let dmidecode = server::scripts().join("dmidecode");
        Ok((Namespace::new(&folder, &dmidecode)?, folder))
    });
    let (namespace, folder) = match apart {
        Ok(apart) => apart,
        Err(error) => {
            return tools::unavailable(table, PROGRAM, tools::MESHCENTRAL, "namespaces", &error);
        }
    };
    let title = "conformance run --target meshcentral";
    table.run(PROGRAM, tools::MESHCENTRAL, title, || {
        stories::run(&bench.programs.conformance, &package)
    });
    let start = Start {
        package: &package,
        amt_sim: &bench.programs.amt_sim,
        folder: &folder,
        without: None,
        like: None,
    };
    let started = Server::start(start, namespace);
    let mut server = match started {
        Ok(server) => server,
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
    let namespace = server.namespace.clone();
    let version = tools::MESHCENTRAL;
    let lives = [life::client, life::admin];
    for (title, life) in life::TITLES.into_iter().zip(lives) {
        table.run(PROGRAM, version, title, || {
            at_most_twice(|| life(&place, &namespace, &server.root))
        });
    }
    // Before the others: what they leave to be polled is none of its business.
    for visit in hello::VISITS {
        table.run(PROGRAM, version, visit.title, || {
            at_most_twice(|| hello::run(&place, &mut server, visit))
        });
    }
    for activation in ACTIVATIONS {
        table.run(PROGRAM, version, activation.title, || {
            at_most_twice(|| checks::run(&place, &mut server, activation))
        });
    }
    for finding in findings::FINDINGS {
        table.run(PROGRAM, version, finding.title, || {
            at_most_twice(|| findings::run(&place, &mut server, finding))
        });
    }
}

/// MeshAgent's stream loses an answer that is there before the agent listens for it, and hangs: on a busy machine
/// that strikes now and then, whoever answers.
fn at_most_twice(mut check: impl FnMut() -> Result<()>) -> Result<()> {
    check().or_else(|first| check().with_context(|| format!("again, after: {first:#}")))
}

fn installed() -> Result<(std::path::PathBuf, std::path::PathBuf)> {
    Ok((tools::meshcentral()?, tools::meshcmd()?))
}
