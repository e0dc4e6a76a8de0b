//! rpc-go, Intel's agent: in no registry, so it is run where one is given.

use std::path::{Path, PathBuf};

use amt_sim::Mode;
use amt_sim::device::LanInterface;
use amt_sim::pki::OnDieChain;
use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::expected::{Expected, MACHINES, Machine};
use super::in_setup::{self, Stage};
use super::run::{Output, Setting, limited, under_device};
use super::table::{Outcome, Table};
use super::{Bench, harness, rpc_checked, rpc_setup, tools};

pub(super) const PROGRAM: &str = "rpc-go";

/// The two command lines in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// 2.x: long flags only.
    Two,
    /// 3.x: more facts.
    Three,
}

impl Line {
    /// How `activate --acm` is told the new administrator's password.
    pub(super) const fn admin_password_flag(self) -> &'static str {
        match self {
            Self::Two => "--amtPassword",
            Self::Three => "--password",
        }
    }

    /// How it is told not to verify the device's certificate.
    pub(super) const fn skip_flag(self) -> &'static str {
        match self {
            Self::Two => "--skipamtcertcheck",
            Self::Three => "--skip-amt-cert-check",
        }
    }

    /// What `amtinfo` calls a mode.
    pub(super) fn control_mode(self, mode: Mode) -> &'static str {
        match (mode, self) {
            (Mode::Client, Self::Three) => "client control mode",
            (Mode::Admin, Self::Three) => "admin control mode",
            (_, Self::Three) => "not activated",
            (Mode::Client, Self::Two) => "activated in client control mode",
            (Mode::Admin, Self::Two) => "activated in admin control mode",
            (_, Self::Two) => "pre-provisioning state",
        }
    }
}

pub(crate) fn checks(bench: &Bench, given: &[PathBuf], table: &mut Table) {
    let mut programs = given.to_vec();
    if programs.is_empty() {
        programs.extend(tools::on_path("rpc"));
    }
    if programs.is_empty() {
        let why = "it is in no registry; build one and give it: cargo xtask interop --rpc PATH";
        table.add(PROGRAM, "-", "amtinfo", Outcome::Skipped(why.to_owned()));
    }
    for program in programs {
        if table.wants(PROGRAM) || table.wants(rpc_checked::PROGRAM) {
            check_one(bench, &program, table);
        }
    }
}

fn check_one(bench: &Bench, program: &Path, table: &mut Table) {
    let version = match version(bench, program) {
        Ok(version) => version,
        Err(error) => {
            return table.add(
                PROGRAM,
                "?",
                "version",
                Outcome::Failed(format!("{error:#}")),
            );
        }
    };
    let line = if version.starts_with('2') {
        Line::Two
    } else {
        Line::Three
    };
    if !table.wants(PROGRAM) {
        return rpc_checked::checks(bench, program, line, &version, table);
    }
    for &backend in &bench.backends {
        let all = bench.backends.first() == Some(&backend);
        for &machine in MACHINES
            .iter()
            .filter(|machine| all || machine.profile == "tiger-lake-15")
        {
            let result = amtinfo_json(bench, program, line, backend, machine);
            let title = format!(
                "amtinfo --json, {} {}, {backend}",
                machine.profile, machine.preset
            );
            table.add(PROGRAM, &version, &title, Outcome::of(result));
        }
        for flag in flags(line) {
            let result = one_flag(bench, program, backend, flag);
            let title = format!("amtinfo {}, tiger-lake-15, {backend}", flag.name);
            table.add(PROGRAM, &version, &title, Outcome::of(result));
        }
    }
    let result = as_ordinary_user(bench, program);
    table.add(
        PROGRAM,
        &version,
        "amtinfo --json as an ordinary user, --as-root",
        Outcome::of(result),
    );
    for stage in Stage::ALL {
        table.run(PROGRAM, &version, stage.title(), || {
            in_the_middle(bench, program, line, stage)
        });
    }
    rpc_setup::checks(bench, program, line, &version, table);
    rpc_checked::checks(bench, program, line, &version, table);
    let target = match line {
        Line::Two => "rpc-go-2",
        Line::Three => "rpc-go",
    };
    harness::checks(bench, target, &[], program, &version, table);
}

/// The program says its version itself; the 2.x line needs a device for that.
fn version(bench: &Bench, program: &Path) -> Result<String> {
    let bare = limited(
        30,
        program.as_os_str(),
        &["version".as_ref()],
        &tools::clean_folder(PROGRAM)?,
    )?;
    let output = match bare.code {
        Some(0) => bare,
        _ => under_device(
            &bench.programs.amt_sim,
            &setting(bench.backends[0], TIGER_LAKE, &[]),
            program,
            &["version"],
            &tools::clean_folder(PROGRAM)?,
        )?,
    };
    let text = format!("{}{}", output.stdout, output.stderr);
    let found = text
        .split(|letter: char| letter.is_whitespace() || letter == '"')
        .find(|word| {
            word.starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.')
        });
    match found {
        Some(version) => Ok(version.to_owned()),
        None => bail!("no version in:\n{text}"),
    }
}

const TIGER_LAKE: Machine = Machine {
    profile: "tiger-lake-15",
    preset: "factory",
};

fn setting<'a>(
    backend: amt_sim::host::backend::Backend,
    machine: Machine,
    device: &'a [&'a str],
) -> Setting<'a> {
    Setting {
        backend,
        profile: machine.profile,
        device,
        unprivileged: false,
        seconds: Setting::SECONDS,
    }
}

fn amtinfo_json(
    bench: &Bench,
    program: &Path,
    line: Line,
    backend: amt_sim::host::backend::Backend,
    machine: Machine,
) -> Result<()> {
    let arguments = Expected::arguments(machine);
    let output = under_device(
        &bench.programs.amt_sim,
        &setting(backend, machine, &arguments),
        program,
        &["amtinfo", "--json"],
        &tools::clean_folder(PROGRAM)?,
    )?;
    judge(&output.succeeded()?, line, &Expected::of(machine)?)
}

/// Set-up over the network has begun: neither before nor after. The 2.x line does not show it.
fn in_the_middle(bench: &Bench, program: &Path, line: Line, stage: Stage) -> Result<()> {
    let seen = in_setup::look(bench, stage, program, &["amtinfo", "--json"])?.json()?;
    equal(
        &seen["controlMode"],
        line.control_mode(Mode::SetupOutOfBand),
    )?;
    match line {
        Line::Two => Ok(()),
        Line::Three => equal(&seen["provisioningState"], "in provisioning"),
    }
}

fn as_ordinary_user(bench: &Bench, program: &Path) -> Result<()> {
    let setting = Setting {
        backend: amt_sim::host::backend::Backend::Seccomp,
        profile: TIGER_LAKE.profile,
        device: &["--as-root"],
        unprivileged: true,
        seconds: Setting::SECONDS,
    };
    let amt_sim = tools::public_copy(&bench.programs.amt_sim)?;
    let copy = tools::public_copy(program)?;
    let output = under_device(
        &amt_sim,
        &setting,
        &copy,
        &["amtinfo", "--json"],
        Path::new("/"),
    )?;
    let json = output.succeeded()?.json()?;
    equal(&json["uuid"], &Expected::of(TIGER_LAKE)?.uuid())
}

fn judge(output: &Output, line: Line, expected: &Expected) -> Result<()> {
    let json = output.json()?;
    let device = &expected.device;
    let profile = device.profile();
    equal(&json["amt"], &profile.firmware.amt)?;
    equal(&json["buildNumber"], &profile.firmware.build)?;
    equal(&json["sku"], &profile.firmware.sku.to_string())?;
    equal(&json["features"], "AMT Pro Corporate")?;
    equal(&json["uuid"], &expected.uuid())?;
    equal(&json["controlMode"], line.control_mode(device.mode()))?;
    if !profile.network.pki_dns_suffix.is_empty() {
        equal(&json["dnsSuffix"], &profile.network.pki_dns_suffix)?;
    }
    let direct = match line {
        Line::Two => "direct",
        Line::Three => "direct (LAN)",
    };
    equal(&json["ras"]["networkStatus"], direct)?;
    equal(&json["ras"]["remoteStatus"], "not connected")?;
    if let Some((lan, mac)) = expected.wired() {
        adapter(&json["wiredAdapter"], lan, &mac.to_string())?;
    }
    if let Some((lan, mac)) = expected.wireless() {
        adapter(&json["wirelessAdapter"], lan, &mac.to_string())?;
    }
    Ok(())
}

fn adapter(json: &Value, lan: &LanInterface, mac: &str) -> Result<()> {
    equal(&json["macAddress"], mac)?;
    equal(&json["ipAddress"], &lan.address.to_string())?;
    equal(&json["linkStatus"], if lan.link_up { "up" } else { "down" })?;
    ensure!(
        json["dhcpEnabled"] == lan.dhcp,
        "dhcpEnabled: actual {}",
        json["dhcpEnabled"]
    );
    Ok(())
}

/// One selection flag, and a text that its output must hold for the given device.
struct Flag {
    name: &'static str,
    shows: fn(&Expected) -> String,
    /// Not in the 2.x line.
    new: bool,
}

/// The twenty bytes of the platform's identifier: those of its on-die authority, where it has one.
fn hardware_id(expected: &Expected) -> String {
    let profile = expected.device.profile();
    let (family, amt) = (&profile.platform.family, profile.firmware.parts()[0]);
    let chain = profile
        .capabilities
        .on_die_ca
        .then(|| OnDieChain::for_device(expected.device.seed(), family, amt));
    let id = match chain {
        Some(Ok(chain)) => chain.hardware_id(),
        _ => expected.device.identity().upid_hardware,
    };
    amt_sim::hex::encode(&id[..20])
}

#[rustfmt::skip]
const FLAGS: &[Flag] = &[
    Flag { name: "--ver",  new: false, shows: |expected| expected.device.profile().firmware.amt.clone() },
    Flag { name: "--bld",  new: false, shows: |expected| expected.device.profile().firmware.build.clone() },
    Flag { name: "--sku",  new: false, shows: |expected| expected.device.profile().firmware.sku.to_string() },
    Flag { name: "--uuid", new: false, shows: Expected::uuid },
    Flag { name: "--mode", new: false, shows: |_| "Control Mode".to_owned() },
    Flag { name: "--dns",  new: false, shows: |expected| expected.device.profile().network.pki_dns_suffix.clone() },
    Flag { name: "--ras",  new: false, shows: |_| "not connected".to_owned() },
    Flag { name: "--lan",  new: false, shows: |expected| expected.device.identity().wired_mac.to_string() },
    Flag { name: "--cert", new: false, shows: |expected| expected.device.state().hashes.last().map_or(String::new(), |hash| hash.hash.clone()) },
    Flag { name: "--provisioningState", new: true, shows: |_| "pre-provisioning".to_owned() },
    Flag { name: "--upid", new: true,  shows: hardware_id },
    Flag { name: "--all",  new: false, shows: Expected::uuid },
];

fn flags(line: Line) -> impl Iterator<Item = &'static Flag> {
    FLAGS
        .iter()
        .filter(move |flag| line == Line::Three || !flag.new)
}

fn one_flag(
    bench: &Bench,
    program: &Path,
    backend: amt_sim::host::backend::Backend,
    flag: &Flag,
) -> Result<()> {
    let output = under_device(
        &bench.programs.amt_sim,
        &setting(backend, TIGER_LAKE, &[]),
        program,
        &["amtinfo", flag.name],
        &tools::clean_folder(PROGRAM)?,
    )?
    .succeeded()?;
    let wanted = (flag.shows)(&Expected::of(TIGER_LAKE)?);
    let text = format!("{}{}", output.stdout, output.stderr).to_lowercase();
    ensure!(
        text.contains(&wanted.to_lowercase()),
        "expected {wanted:?} in the output, actual:\n{text}"
    );
    Ok(())
}

fn equal(actual: &Value, expected: &str) -> Result<()> {
    ensure!(actual == expected, "expected {expected:?}, actual {actual}");
    Ok(())
}
