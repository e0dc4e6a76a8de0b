//! What MeshCentral itself gets wrong, shown by running it without one of its repairs, or with a device that does not
//! forgive. A row passes while the finding is there and looks as described here; when it is gone, or another, it fails,
//! and somebody has to look. Each stops at the first sign.

use amt_sim::Mode;
use amt_sim::device::{Event, digest_a1};
use anyhow::{Context, Result, bail, ensure};

use super::agent::{Machine, Ports};
use super::checks::Place;
use super::group::{self, PASSWORD};
use super::hello::{self, Visit};
use super::namespace::{Namespace, Program};
use super::server::{Repair, Server, Start, scripts};

#[derive(Debug)]
pub(super) struct Finding {
    pub(super) title: &'static str,
    /// The repair that is left out.
    without: Option<Repair>,
    /// What the server says first when it is there, after the words that tell that it is not.
    sign: &'static str,
    gone: &'static str,
    device: Device,
    /// What else shows it.
    holds: fn(&Machine<'_>) -> Result<()>,
}

/// The device that meets it.
#[derive(Debug)]
enum Device {
    Calls(Visit),
    ByAgent { profile: &'static str, seed: u64 },
}

/// How long a finding may take to show.
const WITHIN: u64 = 90;

pub(super) const FINDINGS: &[Finding] = &[
    Finding {
        title: "finding on the SCA: a Hello message ends the server",
        without: Some(Repair::ChainOrder),
        sign: "key values mismatch",
        gone: " Done.\n",
        device: Device::Calls(hello::UNREPAIRED),
        holds: nobody_came,
    },
    Finding {
        title: "finding on the SCA: activation over TLS ends the server",
        without: Some(Repair::DeclaredVersion),
        sign: "ReferenceError: version is not defined",
        gone: "Succesful TLS connection",
        device: Device::ByAgent {
            profile: "alder-lake-16",
            seed: 142,
        },
        holds: came_and_went,
    },
    Finding {
        title: "finding on the SCA: activation over TLS sets a password nobody knows",
        without: Some(Repair::PasswordName),
        sign: "Admin password set.",
        gone: "Failed to set",
        device: Device::ByAgent {
            profile: "alder-lake-16",
            seed: 143,
        },
        holds: password_is_undefined,
    },
    Finding {
        title: "finding on the SCA: AMT 19 refuses CommitChanges, unnoticed",
        without: None,
        sign: "Enabled TLS, holding",
        gone: "Failed perform commit",
        device: Device::ByAgent {
            profile: "arrow-lake-19",
            seed: 144,
        },
        holds: commit_was_refused,
    },
];

pub(super) fn run(place: &Place<'_>, server: &mut Server, finding: &Finding) -> Result<()> {
    let Some(without) = finding.without else {
        return meets(place, server, finding);
    };
    let folder = place.folder.join(format!("without-{}", without.name()));
    if folder.exists() {
        // Of a check that is tried again.
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let namespace = Namespace::new(&folder, &scripts().join("dmidecode"))?;
    let start = Start {
        package: place.package,
        amt_sim: place.amt_sim,
        folder: &folder,
        without: Some(without),
        like: Some(server),
    };
    let mut server = Server::start(start, namespace)?;
    meets(place, &mut server, finding)
}

fn meets(place: &Place<'_>, server: &mut Server, finding: &Finding) -> Result<()> {
    server.settle();
    let mark = server.mark();
    let (machine, mut program): (_, Program) = match &finding.device {
        Device::Calls(visit) => hello::call(place, server, visit)?,
        Device::ByAgent { profile, seed } => {
            let mut machine = place.machine(profile, *seed, &server.root)?;
            let (package, group) = (place.package, group::AGENTS_TLS);
            let agent = machine.start_meshagent(server, Ports::Local, package, &group)?;
            (machine, agent)
        }
    };
    let seen = server.says(mark, &[finding.sign, finding.gone], WITHIN, &mut program);
    let seen = seen.with_context(|| format!("the server's story:\n{}", server.story(mark)))?;
    ensure!(
        seen == 0,
        "the finding is gone: expected {:?}, actual {:?}",
        finding.sign,
        finding.gone
    );
    (finding.holds)(&machine)
}

/// The device said Hello, and no TLS connection came of it.
fn nobody_came(machine: &Machine<'_>) -> Result<()> {
    let events = machine.events()?;
    let said = |event: &Event| matches!(event, Event::Hello { .. });
    let came = |event: &Event| matches!(event, Event::TlsEstablished { .. });
    ensure!(events.iter().any(said), "no Hello");
    ensure!(!events.iter().any(came), "a TLS connection came");
    is_still_in(machine, Mode::SetupOutOfBand)
}

/// TLS was there, and nothing was set up.
fn came_and_went(machine: &Machine<'_>) -> Result<()> {
    let came = |event: &Event| matches!(event, Event::TlsEstablished { .. });
    ensure!(machine.events()?.iter().any(came), "no TLS connection");
    ensure!(
        machine.state()?.admin_ha1.is_none(),
        "a password was set all the same"
    );
    is_still_in(machine, Mode::SetupHostBased)
}

/// The administrator's password is a word that JavaScript writes for what is not there.
fn password_is_undefined(machine: &Machine<'_>) -> Result<()> {
    let realm = machine.realm()?;
    let actual = machine.state()?.admin_ha1;
    let undefined = digest_a1("admin", &realm, "undefined");
    let right = digest_a1("admin", &realm, PASSWORD);
    match actual {
        Some(digest) if digest == undefined => Ok(()),
        Some(digest) if digest == right => bail!("the finding is gone: the password is right"),
        other => bail!("the password is neither right nor \"undefined\": {other:?}"),
    }
}

/// Return value 2057, DATA_MISSING: MeshCentral never sets the MEBx password over an agent's tunnel, and does not look at
/// return values.
fn commit_was_refused(machine: &Machine<'_>) -> Result<()> {
    let refused = |event: &Event| matches!(event, Event::Wsman { action, return_value: Some(2057), .. } if action == "CommitChanges");
    ensure!(
        machine.events()?.iter().any(refused),
        "the finding is gone: nobody refused CommitChanges"
    );
    is_still_in(machine, Mode::SetupHostBased)
}

fn is_still_in(machine: &Machine<'_>, mode: Mode) -> Result<()> {
    let actual = machine.state()?.mode;
    ensure!(actual == mode, "expected {mode}, the device is in {actual}");
    Ok(())
}
