//! Our own static Go program: what a Go agent does to the node, and what the Go runtime does beside it.

use super::run::{Setting, under_device};
use super::table::{Outcome, Table};
use super::{Bench, tools};

const PROGRAM: &str = "contract-go";

pub(crate) fn checks(bench: &Bench, table: &mut Table) {
    if !table.wants(PROGRAM) {
        return;
    }
    let (program, version) = match tools::contract_go() {
        Ok(built) => built,
        Err(error) => return tools::missing(table, PROGRAM, "-", &error),
    };
    for &backend in &bench.backends {
        let setting = Setting {
            backend,
            profile: "tiger-lake-15",
            // A connection for every goroutine: what is tried here is the runtime, not the client's limit.
            device: &["--set", "mei.clients.amthi.connections=40"],
            unprivileged: false,
            seconds: Setting::SECONDS,
        };
        let result = tools::clean_folder(PROGRAM)
            .and_then(|folder| {
                under_device(&bench.programs.amt_sim, &setting, &program, &[], &folder)
            })
            .and_then(|output| output.succeeded().map(drop));
        table.add(
            PROGRAM,
            &version,
            &format!("static Go, {backend}"),
            Outcome::of(result),
        );
    }
}
