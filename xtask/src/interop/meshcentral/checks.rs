//! The rows: what the server does to a device by its policy, told by the server's log, its record of activations,
//! the device's journal, and an agent that looks at the device afterwards.

use std::path::Path;

use amt_sim::Mode;
use amt_sim::device::{Event, KeyStage, Trigger};
use amt_sim::host::backend::Backend;
use anyhow::{Context, Result, bail, ensure};

use super::agent::{Machine, Ports};
use super::group::{self, Group, PASSWORD, Policy};
use super::namespace::Program;
use super::server::Server;
use crate::interop::in_setup;

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
    past: Past,
    /// Deactivate the device again, with a new agent in a group of that policy.
    and_back: bool,
}

/// What has become of the machine before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    New,
    /// From AMT 19 on, set-up is not committed without; MeshCentral never sets one over an agent's tunnel.
    MebxPasswordSet,
    /// Somebody started set-up over the network, and the device makes its key.
    SetupBegun,
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
        past: Past::New,
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
        past: Past::New,
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
        past: Past::New,
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
        past: Past::New,
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
        past: Past::New,
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
        past: Past::MebxPasswordSet,
        and_back: false,
    },
    Activation {
        title: "ACM over TLS and CIRA, MeshAgent, AMT 20",
        agent: Agent::MeshAgent,
        ports: Ports::Local,
        group: group::AGENTS_TLS,
        profile: "lunar-lake-20",
        seed: 107,
        action: "acmactivate-tls",
        past: Past::MebxPasswordSet,
        and_back: false,
    },
    Activation {
        title: "StopConfiguration while the key is made, then ACM, MeshAgent",
        agent: Agent::MeshAgent,
        ports: Ports::Local,
        group: group::AGENTS_ADMIN,
        profile: in_setup::PROFILE,
        seed: 108,
        action: "acmactivate",
        past: Past::SetupBegun,
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
    match activation.past {
        Past::New => {}
        Past::MebxPasswordSet => machine.mebx_password_was_set(&server.namespace)?,
        Past::SetupBegun => machine.setup_was_begun()?,
    }
    one_visit(place, server, &mut machine, activation, &activation.group)?;
    machine.went_to(mode)?;
    if activation.past == Past::SetupBegun {
        setup_was_stopped(&machine)?;
    }
    if activation.group.domain == group::TLS_DOMAIN {
        went_over_tls(&machine)?;
    }
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

/// Set-up over the network ended because the agent said so, in the middle of the key.
fn setup_was_stopped(machine: &Machine<'_>) -> Result<()> {
    let events = machine.events()?;
    let first = events.iter().find_map(|event| match event {
        Event::ModeChanged { from, to, trigger } => Some((*from, *to, *trigger)),
        _ => None,
    });
    let expected = (
        Mode::SetupOutOfBand,
        Mode::PreProvisioning,
        Trigger::StopConfiguration,
    );
    ensure!(
        first == Some(expected),
        "the first change of the mode: expected {expected:?}, actual {first:?}"
    );
    let cancelled = events.iter().any(|event| {
        let Event::KeyGeneration { stage, .. } = event else {
            return false;
        };
        *stage == KeyStage::Cancelled
    });
    ensure!(cancelled, "the key was not given up");
    Ok(())
}

/// The server came with the certificate that it had announced, saw the one that the device had announced, committed, came
/// back with a login, and told the device to call it.
fn went_over_tls(machine: &Machine<'_>) -> Result<()> {
    let events = machine.events()?;
    let announced = events.iter().find_map(|event| match event {
        Event::HostBasedTlsStarted { server, leaf } => Some((server.hash.clone(), leaf.clone())),
        _ => None,
    });
    let shown = events.iter().find_map(|event| match event {
        Event::TlsEstablished {
            certificate,
            client: Some(client),
            ..
        } => Some((client.sha256.clone(), certificate.clone())),
        _ => None,
    });
    ensure!(
        announced.is_some() && announced == shown,
        "certificates of server and device: announced {announced:?}, shown {shown:?}"
    );
    let is_done = |method: &str, events: &[Event]| {
        events.iter().any(|event| {
            matches!(event, Event::Wsman { action, return_value: Some(0), .. } if action == method)
        })
    };
    let committed = events
        .iter()
        .position(|event| {
            matches!(
                event,
                Event::ModeChanged {
                    to: Mode::Admin,
                    ..
                }
            )
        })
        .context("no CommitChanges")?;
    let (before, after) = events.split_at(committed);
    ensure!(
        is_done("SetAdminAclEntryEx", before),
        "no password was set before CommitChanges"
    );
    for method in ["AddMpServer", "AddRemoteAccessPolicyRule"] {
        ensure!(
            is_done(method, after),
            "{method} did not succeed after CommitChanges"
        );
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
