//! MeshCmd without a server: it plays LMS over LME itself and drives a device through a whole life.

use std::ffi::OsStr;
use std::path::Path;

use amt_sim::Mode;
use anyhow::{Result, ensure};

use super::agent::{Machine, Ports};
use super::checks::Place;
use super::group::PASSWORD;
use super::namespace::Namespace;

pub(super) const TITLES: [&str; 2] = [
    "amtccm, amtuuid, amteventlog, amtdeactivate over LME",
    "amtacmdeactivate over LME",
];

/// Ends with 1 however it went; what it says is what counts.
fn says(
    machine: &mut Machine<'_>,
    namespace: &Namespace,
    meshcmd: &Path,
    arguments: &[&str],
    wanted: &str,
) -> Result<()> {
    let mut words = vec![meshcmd.as_os_str()];
    words.extend(arguments.iter().map(OsStr::new));
    let mut program = machine.start(namespace, Ports::Agent, &words)?;
    program.finish(30)?;
    let printed = program.printed();
    ensure!(
        printed.contains(wanted),
        "meshcmd {}: expected {wanted:?}, actual:\n{printed}",
        arguments.join(" ")
    );
    Ok(())
}

/// Into client control mode and back.
pub(super) fn client(place: &Place<'_>, namespace: &Namespace, root: &Path) -> Result<()> {
    let mut machine = place.machine("tiger-lake-15", 111, root)?;
    let meshcmd = place.meshcmd;
    let uuid = machine.uuid()?;
    let login = ["--user", "admin", "--pass", PASSWORD];
    let with_login = |command: &'static str| {
        let mut words = vec![command];
        words.extend(login);
        words
    };
    let mut step = |arguments: &[&str], wanted: &str| {
        says(&mut machine, namespace, meshcmd, arguments, wanted)
    };
    step(&["amtccm", "--password", PASSWORD], "Success")?;
    step(&with_login("amtuuid"), &format!("GUID: {uuid}"))?;
    step(&with_login("amteventlog"), "BIOS, ")?;
    step(&["amtdeactivate"], "Success")?;
    machine.went_to(Mode::PreProvisioning)?;
    machine.is_in(namespace, meshcmd, "pre-provisioning state")
}

/// Out of admin control mode, which only WS-Management can.
pub(super) fn admin(place: &Place<'_>, namespace: &Namespace, root: &Path) -> Result<()> {
    let mut machine = place.machine("alder-lake-16", 112, root)?;
    machine.was_provisioned("acm", PASSWORD);
    let arguments = ["amtacmdeactivate", "--pass", PASSWORD, "--type", "full"];
    let wanted = "AMT fully unprovisioned.";
    says(&mut machine, namespace, place.meshcmd, &arguments, wanted)?;
    machine.went_to(Mode::PreProvisioning)?;
    machine.is_in(namespace, place.meshcmd, "pre-provisioning state")
}
