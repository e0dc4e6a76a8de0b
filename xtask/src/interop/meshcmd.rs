//! MeshCmd, MeshCentral's agent for one command a run, from the npm registry.

use std::path::Path;

use amt_sim::Mode;
use amt_sim::device::LanInterface;
use anyhow::{Result, ensure};

use super::expected::{Expected, MACHINES, Machine};
use super::in_setup::{self, Stage};
use super::run::{Output, Setting, under_device};
use super::table::Table;
use super::{Bench, harness, tools};

const PROGRAM: &str = "meshcmd";

pub(crate) fn checks(bench: &Bench, given: Option<&Path>, table: &mut Table) {
    if !table.wants(PROGRAM) {
        return;
    }
    let version = match given {
        Some(_) => "given",
        None => tools::MESHCENTRAL,
    };
    let program = match given.map_or_else(tools::meshcmd, |path| Ok(path.to_owned())) {
        Ok(program) => program,
        Err(error) => return tools::missing(table, PROGRAM, version, &error),
    };
    for &backend in &bench.backends {
        // Every generation through the best back end, one through the others.
        let all = bench.backends.first() == Some(&backend);
        for &machine in MACHINES
            .iter()
            .filter(|machine| all || machine.profile == "tiger-lake-15")
        {
            for (name, check) in COMMANDS {
                let setting = Setting {
                    backend,
                    profile: machine.profile,
                    device: &Expected::arguments(machine),
                    unprivileged: false,
                    seconds: Setting::SECONDS,
                };
                let title = format!("{name}, {} {}, {backend}", machine.profile, machine.preset);
                table.run(PROGRAM, version, &title, || {
                    run(bench, &setting, &program, check, machine)
                });
            }
        }
    }
    as_ordinary_user(bench, &program, version, table);
    for stage in Stage::ALL {
        table.run(PROGRAM, version, stage.title(), || {
            in_the_middle(bench, &program, stage)
        });
    }
    // MeshCmd hangs now and then on a busy machine, so only what it does reliably is asked of it here.
    let reliable = &[
        "--filter",
        "discovery.version or discovery.uuid or discovery.recommend-*",
        "--profile",
        "tiger-lake-15",
    ];
    harness::checks(bench, "meshcmd", reliable, &program, version, table);
}

/// The arguments, and what the output must show.
type Check = (
    &'static [&'static str],
    fn(&Output, &Expected) -> Result<()>,
);

/// `amtuuid` is not here: MeshCmd asks for the UUID by WS-Management over LME, which the device does not speak yet.
const COMMANDS: &[(&str, Check)] = &[
    ("amtversions", (&["amtversions"], versions)),
    ("amtinfo", (&["amtinfo"], info)),
    ("amtinfo --json", (&["amtinfo", "--json"], info_json)),
    ("amtinfojson", (&["amtinfojson"], state_json)),
    ("amthashes", (&["amthashes"], hashes)),
];

const LOST_ANSWER: &str = "fs.read.bufferFD.callback()";
const ATTEMPTS: u32 = 3;

fn is_lost_answer(error: &str) -> bool {
    error.contains(LOST_ANSWER) || error.contains("did not end within")
}

fn run(
    bench: &Bench,
    setting: &Setting<'_>,
    program: &Path,
    check: &Check,
    machine: Machine,
) -> Result<()> {
    let folder = tools::clean_folder(PROGRAM)?;
    let (arguments, judge) = check;
    let mut attempt = 1;
    let output = loop {
        let amt_sim = &bench.programs.amt_sim;
        match under_device(amt_sim, setting, program, arguments, &folder) {
            // MeshAgent's own fault, which strikes on a busy machine: an answer that is there before the read
            // is armed makes its stream throw, or is lost, and the program hangs.
            Err(error) if attempt < ATTEMPTS && is_lost_answer(&format!("{error:#}")) => {
                attempt += 1;
            }
            result => break result?,
        }
    };
    judge(&output.succeeded()?, &Expected::of(machine)?)
}

/// Set-up over the network has begun: neither before nor after.
fn in_the_middle(bench: &Bench, program: &Path, stage: Stage) -> Result<()> {
    let mut attempt = 1;
    let output = loop {
        match in_setup::look(bench, stage, program, &["amtinfo"]) {
            Err(error) if attempt < ATTEMPTS && is_lost_answer(&format!("{error:#}")) => {
                attempt += 1;
            }
            result => break result?,
        }
    };
    output.shows(&[
        "Intel AMT v15.0.35, in-provisioning state.".to_owned(),
        "Connection Status: Direct, CIRA: Disconnected.".to_owned(),
    ])
}

fn as_ordinary_user(bench: &Bench, program: &Path, version: &str, table: &mut Table) {
    let title = "amtversions as an ordinary user, seccomp";
    table.run(PROGRAM, version, title, || {
        let machine = Machine {
            profile: "tiger-lake-15",
            preset: "factory",
        };
        let setting = Setting {
            backend: amt_sim::host::backend::Backend::Seccomp,
            profile: machine.profile,
            device: &[],
            unprivileged: true,
            seconds: Setting::SECONDS,
        };
        let amt_sim = tools::public_copy(&bench.programs.amt_sim)?;
        let copy = tools::public_copy(program)?;
        let output = under_device(&amt_sim, &setting, &copy, &["amtversions"], Path::new("/"))?;
        versions(&output.succeeded()?, &Expected::of(machine)?)
    });
}

fn versions(output: &Output, expected: &Expected) -> Result<()> {
    let profile = expected.device.profile();
    let mut lines = vec![format!("BIOS Version = {}", profile.firmware.bios)];
    for (name, value) in profile.code_versions() {
        // MeshCmd explains the bits behind the number.
        let extras = match (name, profile.firmware.sku) {
            ("Sku", 16392) => " (AMT, Corporate)",
            ("Sku", sku) => anyhow::bail!("teach this check how MeshCmd explains SKU {sku}"),
            _ => "",
        };
        lines.push(format!("{name} = {value}{extras}"));
    }
    output.shows(&lines)
}

fn info(output: &Output, expected: &Expected) -> Result<()> {
    let device = &expected.device;
    let profile = device.profile();
    let state = match device.mode() {
        Mode::Client => "activated in Client Control Mode (CCM)",
        Mode::Admin => "activated in Admin Control Mode (ACM)",
        _ => "pre-provisioning state",
    };
    let ehbc = if profile.capabilities.ehbc {
        ", EHBC enabled"
    } else {
        ""
    };
    let mut lines = vec![format!(
        "Intel AMT v{}, {state}{ehbc}.",
        profile.firmware.amt
    )];
    if let Some((lan, mac)) = expected.wired() {
        lines.push(adapter("Wired", lan, &mac.to_string()));
    }
    if let Some((lan, mac)) = expected.wireless() {
        lines.push(adapter("Wireless", lan, &mac.to_string()));
    }
    // It shows the suffix beside an enabled wired interface only.
    let wired = expected.wired().is_some_and(|(lan, _)| lan.enabled);
    if wired && !profile.network.pki_dns_suffix.is_empty() {
        lines.push(format!(
            "Trusted DNS suffix: {}",
            profile.network.pki_dns_suffix
        ));
    }
    lines.push("Connection Status: Direct, CIRA: Disconnected.".to_owned());
    output.shows(&lines)
}

fn adapter(name: &str, lan: &LanInterface, mac: &str) -> String {
    let enabled = if lan.enabled { "Enabled" } else { "Disabled" };
    let dhcp = if lan.dhcp { "DHCP" } else { "Static" };
    let address = match lan.address {
        address if address.is_unspecified() => String::new(),
        address => format!(", {address}"),
    };
    format!("{name} {enabled}, {dhcp}, {}{address}", mac.to_uppercase())
}

fn info_json(output: &Output, expected: &Expected) -> Result<()> {
    let json = output.json()?;
    equal(&json["ver"], &expected.device.profile().firmware.amt)?;
    equal(&json["uuid"], &expected.uuid())?;
    let sku = &json["sku"];
    ensure!(
        *sku == expected.device.profile().firmware.sku,
        "sku: actual {sku}"
    );
    Ok(())
}

fn state_json(output: &Output, expected: &Expected) -> Result<()> {
    let json = output.json()?;
    let hashes = json["Hashes"].as_array().map_or(0, Vec::len);
    let held = expected.device.state().hashes.len();
    ensure!(hashes == held, "hashes: expected {held}, actual {hashes}");
    equal(&json["OsAdmin"]["user"], "$$OsAdmin")?;
    equal(&json["UUID"], &expected.uuid())
}

fn hashes(output: &Output, expected: &Expected) -> Result<()> {
    let lines: Vec<String> = expected
        .device
        .state()
        .hashes
        .iter()
        .flat_map(|hash| {
            let default = if hash.default { "Default, " } else { "" };
            let active = if hash.active { "Active" } else { "Disabled" };
            let algorithm = format!("{:?}", hash.algorithm).to_uppercase();
            [
                format!("{}, ({default}{active})", hash.name),
                format!("  {algorithm}: {}", hash.hash.to_uppercase()),
            ]
        })
        .collect();
    output.shows(&lines)
}

fn equal(actual: &serde_json::Value, expected: &str) -> Result<()> {
    let same = actual
        .as_str()
        .is_some_and(|text| text.eq_ignore_ascii_case(expected));
    ensure!(same, "expected {expected:?}, actual {actual}");
    Ok(())
}
