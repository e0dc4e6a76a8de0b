//! The rows: what the server does to a device by its policy, told by the server's log, its record of activations,
//! the device's journal, and an agent that looks at the device afterwards.

use std::path::Path;

use amt_sim::Mode;
use amt_sim::host::backend::Backend;
use anyhow::{Context, Result, bail, ensure};

use super::agent::{Machine, Ports};
use super::group::{self, Group, PASSWORD, Policy};
use super::namespace::Program;
use super::server::Server;

/// Everything a row needs.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) amt_sim: &'a Path,
    pub(super) backend: Backend,
    pub(super) package: &'a Path,
    pub(super) meshcmd: &'a Path,
    pub(super) folder: &'a Path,
}

impl<'a> Place<'a> {
    /// A machine that nobody has used.
    pub(super) fn machine(
        &self,
        profile: &'static str,
        seed: u64,
        root: &Path,
    ) -> Result<Machine<'a>> {
        let folder = self.folder.join(format!("machine-{seed}"));
        if folder.exists() {
            // Of a check that is tried again.
            std::fs::remove_dir_all(&folder)?;
        }
        let root = root.to_owned();
        Machine::new(self.amt_sim, self.backend, profile, seed, folder, root)
    }
}

/// An agent that brings the device to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agent {
    MeshCmd,
    MeshAgent,
}

/// One activation.
#[derive(Debug)]
pub(super) struct Activation {
    pub(super) title: &'static str,
    agent: Agent,
    ports: Ports,
    group: Group,
    profile: &'static str,
    seed: u64,
    /// What the server writes into its record.
    action: &'static str,
    /// Deactivate the device again, with a new agent in a group of that policy.
    and_back: bool,
}

pub(super) const ACTIVATIONS: &[Activation] = &[
    Activation {
        title: "CCM, MeshCmd amtconfig, ports over LME",
        agent: Agent::MeshCmd,
        ports: Ports::Agent,
        group: group::DEVICES_CLIENT,
        profile: "tiger-lake-15",
        seed: 101,
        action: "ccmactivate",
        and_back: false,
    },
    Activation {
        title: "ACM, MeshCmd amtconfig, local ports",
        agent: Agent::MeshCmd,
        ports: Ports::Local,
        group: group::DEVICES_ADMIN,
        profile: "comet-lake-14",
        seed: 102,
        action: "acmactivate",
        and_back: false,
    },
    Activation {
        title: "CCM and back, MeshAgent, ports over LME",
        agent: Agent::MeshAgent,
        ports: Ports::Agent,
        group: group::AGENTS_CLIENT,
        profile: "alder-lake-16",
        seed: 103,
        action: "ccmactivate",
        and_back: true,
    },
    Activation {
        title: "ACM, MeshAgent, local ports",
        agent: Agent::MeshAgent,
        ports: Ports::Local,
        group: group::AGENTS_ADMIN,
        profile: "tiger-lake-15",
        seed: 104,
        action: "acmactivate",
        and_back: false,
    },
    Activation {
        title: "ACM over TLS and CIRA, MeshAgent, AMT 16",
        agent: Agent::MeshAgent,
        ports: Ports::Local,
        group: group::AGENTS_TLS,
        profile: "alder-lake-16",
        seed: 105,
        action: "acmactivate-tls",
        and_back: false,
    },
    Activation {
        title: "ACM over TLS and CIRA, MeshAgent, AMT 19",
        agent: Agent::MeshAgent,
        ports: Ports::Local,
        group: group::AGENTS_TLS,
        profile: "arrow-lake-19",
        seed: 106,
        action: "acmactivate-tls",
        and_back: false,
    },
];

/// The server's last word about a device that it has dealt with.
const DONE: &str = " Done.\n";
/// And about one that it gives up.
const GIVEN_UP: &str = " Remove device ";
/// End of that line (connection and reason) when the agent came before its report of an AMT.
const NOT_REPORTED: &str = " 2 5";

/// A whole activation takes seconds; waits that are left over may be in it twice, and the machine may be busy.
const WITHIN: u64 = 120;

pub(super) fn run(place: &Place<'_>, server: &mut Server, activation: &Activation) -> Result<()> {
    let mut machine = place.machine(activation.profile, activation.seed, &server.root)?;
    let (mode, shown) = match activation.group.policy {
        Policy::Client => (Mode::Client, "activated in Client Control Mode (CCM)"),
        _ => (Mode::Admin, "activated in Admin Control Mode (ACM)"),
    };
    one_visit(place, server, &mut machine, activation, &activation.group)?;
    machine.went_to(mode)?;
    let logged = server.activation(&machine.uuid()?, activation.group.domain)?;
    ensure!(
        logged["action"] == activation.action && logged["password"] == PASSWORD,
        "amtactivation.log: expected action {:?}, actual {logged}",
        activation.action
    );
    let namespace = server.namespace.clone();
    machine.is_in(&namespace, place.meshcmd, shown)?;
    if activation.and_back {
        one_visit(place, server, &mut machine, activation, &group::AGENTS_OFF)
            .context("deactivation")?;
        machine.went_to(Mode::PreProvisioning)?;
        machine.is_in(&namespace, place.meshcmd, "pre-provisioning state")?;
    }
    Ok(())
}

/// Waits for the server's last word on the device.
fn until_done(server: &mut Server, mut mark: usize, agent: &mut Program) -> Result<()> {
    loop {
        match server.says(mark, &[DONE, GIVEN_UP], WITHIN, agent)? {
            0 => return Ok(()),
            _ => match server.whole_line(mark, GIVEN_UP)? {
                // It will ask again when the report is there.
                (line, end) if line.ends_with(NOT_REPORTED) => mark = end,
                _ => bail!("the server gave the device up"),
            },
        }
    }
}

/// The agent comes, and the server does what the group's policy says.
fn one_visit(
    place: &Place<'_>,
    server: &mut Server,
    machine: &mut Machine<'_>,
    activation: &Activation,
    group: &Group,
) -> Result<()> {
    server.settle();
    let mark = server.mark();
    let mut program = match activation.agent {
        Agent::MeshCmd => machine.start_meshcmd(server, activation.ports, place.meshcmd, group)?,
        Agent::MeshAgent => {
            machine.start_meshagent(server, activation.ports, place.package, group)?
        }
    };
    let done = until_done(server, mark, &mut program);
    done.with_context(|| {
        format!(
            "the server's story:\n{}\nthe agent's:\n{}",
            server.story(mark),
            program.tail()
        )
    })?;
    if activation.agent == Agent::MeshCmd {
        let code = program.finish(15)?;
        ensure!(
            code == Some(0),
            "meshcmd ended with {code:?}; it printed:\n{}",
            program.tail()
        );
    }
    Ok(())
}
