//! napalm-amt, a WS-Management client with digest, from the Python package registry: it reads a device that is
//! provisioned already, as monitoring software does.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::expected::{Expected, Machine};
use super::run::{Output, limited};
use super::table::{Outcome, Table};
use super::{Bench, harness, tools};
use crate::workspace;

const PROGRAM: &str = "napalm-amt";

const PASSWORD: &str = "Interop-1-Sim";

/// Of this address on loopback the device gets its own ports.
const ADDRESS: &str = "127.0.0.9";
const PORT: &str = "16992";

const DEVICES: &[Machine] = &[
    Machine {
        profile: "tiger-lake-15",
        preset: "acm",
    },
    Machine {
        profile: "raptor-lake-16-wifi",
        preset: "acm",
    },
    Machine {
        profile: "comet-lake-14",
        preset: "ccm",
    },
];

pub(crate) fn checks(bench: &Bench, table: &mut Table) {
    if !table.wants(PROGRAM) {
        return;
    }
    let python = match tools::napalm() {
        Ok(python) => python,
        Err(error) => return tools::missing(table, PROGRAM, tools::NAPALM, &error),
    };
    for &machine in DEVICES {
        let Machine { profile, preset } = machine;
        let mut row = |name: &str, result| {
            let title = format!("{name}, {profile} {preset}");
            table.add(PROGRAM, tools::NAPALM, &title, Outcome::of(result));
        };
        let asked = Expected::of(machine).and_then(|expected| {
            let served = Served::start(&bench.programs.amt_sim, machine)?;
            let answers = read(&python, PASSWORD)?;
            Ok((expected, served, answers))
        });
        let (expected, served, answers) = match asked {
            Ok(asked) => asked,
            Err(error) => {
                row("open", Err(error));
                continue;
            }
        };
        for (name, check) in CHECKS {
            let result = value(&answers, name).and_then(|value| check(value, &expected));
            row(name, result);
        }
        row("wrong password", refused(&python));
        row("python -m napalm_amt.record", record(&python, &expected));
        drop(served);
    }
    let stories = &["--filter", "discovery.configured-*"];
    harness::checks(bench, PROGRAM, stories, &python, tools::NAPALM, table);
}

/// A device on the LAN side, until it is dropped.
#[derive(Debug)]
struct Served(Child);

impl Served {
    fn start(amt_sim: &Path, machine: Machine) -> Result<Self> {
        let mut child = Command::new(amt_sim)
            .args(["serve", "--json", "--address", ADDRESS])
            .args(["--profile", machine.profile, "--preset", machine.preset])
            .args(["--admin-password", PASSWORD])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("amt-sim could not be started")?;
        let stdout = child.stdout.take();
        let served = Self(child);
        let mut ready = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut ready)?;
        }
        ensure!(
            ready.contains(ADDRESS),
            "`amt-sim serve` did not get ready; it printed: {ready:?}"
        );
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All answers of the driver, by the name of the call.
fn read(python: &Path, password: &str) -> Result<Value> {
    let script = workspace::root().join("xtask/agents/napalm/read.py");
    let script = script.to_string_lossy();
    run(python, password, &[&script, ADDRESS, PORT, "admin"])?
        .succeeded()?
        .json()
}

/// The password goes by the environment: the command line is for everybody to see.
fn run(python: &Path, password: &str, arguments: &[&str]) -> Result<Output> {
    let password = format!("AMT_PASSWORD={password}");
    let python = python.to_string_lossy();
    let mut words = vec![password.as_str(), &python];
    words.extend(arguments);
    let words: Vec<_> = words.into_iter().map(AsRef::as_ref).collect();
    limited(60, "env".as_ref(), &words, &tools::folder("run")?)
}

fn value<'a>(answers: &'a Value, name: &str) -> Result<&'a Value> {
    match &answers[name]["error"] {
        Value::Null => {}
        error => bail!("{error}"),
    }
    let value = &answers[name]["value"];
    ensure!(!value.is_null(), "no answer; it printed: {answers}");
    Ok(value)
}

type Check = fn(&Value, &Expected) -> Result<()>;

const CHECKS: &[(&str, Check)] = &[
    ("open", |value, _| equal(value, &json!(true))),
    ("is_alive", |value, _| {
        equal(&value["is_alive"], &json!(true))
    }),
    ("get_facts", facts),
    ("get_interfaces", interfaces),
    ("get_interfaces_ip", addresses),
    // AMT has no sensors that the driver could read.
    ("get_environment", |value, _| {
        equal(&value["fans"], &json!({}))
    }),
    ("get_power_state", power),
    ("get_hardware_inventory", hardware),
    ("get_event_log", events),
    ("get_firmware_inventory", firmware),
    ("get_management_protocols", protocols),
    ("ForceOff", |value, _| equal(value, &json!("Off"))),
    ("On", |value, _| equal(value, &json!("On"))),
];

/// The version as the driver puts it together, and AMT's own `Server` header too.
fn version(expected: &Expected) -> String {
    let firmware = &expected.device.profile().firmware;
    format!("{}.{}", firmware.amt, firmware.build)
}

/// What the driver calls the interfaces, with the device's own view of them.
fn lans(expected: &Expected) -> Vec<(&'static str, String, String)> {
    let wired = expected.wired().map(|lan| ("wired", lan));
    let wireless = expected.wireless().map(|lan| ("wireless", lan));
    wired
        .into_iter()
        .chain(wireless)
        .map(|(name, (lan, mac))| (name, mac.to_string(), lan.address.to_string()))
        .collect()
}

fn facts(value: &Value, expected: &Expected) -> Result<()> {
    let network = &expected.device.profile().network;
    equal(&value["hostname"], &json!(network.hostname))?;
    let fqdn = format!("{}.{}", network.hostname, network.dhcp_domain);
    equal(&value["fqdn"], &json!(fqdn))?;
    equal(&value["os_version"], &json!(version(expected)))?;
    for key in ["vendor", "model", "serial_number"] {
        says_something(value, key)?;
    }
    let names: Vec<_> = lans(expected).into_iter().map(|(name, ..)| name).collect();
    equal(&value["interface_list"], &json!(names))
}

fn interfaces(value: &Value, expected: &Expected) -> Result<()> {
    for (name, mac, _) in lans(expected) {
        equal(&value[name]["mac_address"], &json!(mac.to_lowercase()))?;
        equal(&value[name]["is_up"], &json!(true))?;
        equal(&value[name]["is_enabled"], &json!(true))?;
    }
    Ok(())
}

fn addresses(value: &Value, expected: &Expected) -> Result<()> {
    for (name, _, address) in lans(expected) {
        let prefix = &value[name]["ipv4"][address.as_str()]["prefix_length"];
        equal(prefix, &json!(24))?;
    }
    Ok(())
}

fn power(value: &Value, _: &Expected) -> Result<()> {
    equal(&value["state"], &json!("On"))?;
    let actions = value["actions"].to_string();
    for action in ["ForceOff", "ForceRestart", "PowerCycle"] {
        ensure!(actions.contains(action), "{action}: not in {actions}");
    }
    Ok(())
}

fn hardware(value: &Value, expected: &Expected) -> Result<()> {
    equal(&value["system_uuid"], &json!(expected.uuid()))?;
    for key in ["manufacturer", "model", "serial_number"] {
        says_something(value, key)?;
    }
    let first = |key: &str| value[key][0].clone();
    says_something(&first("cpus"), "model")?;
    for key in ["slot", "part_number", "serial_number", "type"] {
        says_something(&first("memory"), key)?;
    }
    for (part, key) in [("memory", "size_bytes"), ("drives", "size_bytes")] {
        let size = first(part)[key].as_u64().unwrap_or_default();
        ensure!(size > 0, "{part}: {}", value[part]);
    }
    let macs: Vec<_> = lans(expected)
        .into_iter()
        .map(|(_, mac, _)| json!(mac.to_lowercase()))
        .collect();
    let nics = value["nics"].as_array().map_or(&[][..], Vec::as_slice);
    let actual: Vec<_> = nics.iter().map(|nic| nic["mac_address"].clone()).collect();
    equal(&json!(actual), &json!(macs))
}

fn events(value: &Value, _: &Expected) -> Result<()> {
    let first = &value[0];
    says_something(first, "message")?;
    ensure!(first["timestamp"].is_number(), "no time: {first}");
    Ok(())
}

fn firmware(value: &Value, expected: &Expected) -> Result<()> {
    let entry = |name: &str| {
        let all = value.as_array().map_or(&[][..], Vec::as_slice);
        all.iter()
            .find(|entry| entry["name"] == name)
            .map_or(Value::Null, |entry| entry["version"].clone())
    };
    equal(&entry("Intel AMT"), &json!(version(expected)))?;
    let bios = &expected.device.profile().firmware.bios;
    equal(&entry("BIOS"), &json!(bios))
}

fn protocols(value: &Value, _: &Expected) -> Result<()> {
    equal(&value["http"], &json!({ "enabled": true, "port": 16992 }))?;
    equal(&value["https"], &json!({ "enabled": false, "port": 16993 }))?;
    equal(&value["kvm"]["port"], &json!(16994))
}

fn refused(python: &Path) -> Result<()> {
    let answers = read(python, "Wrong-1-Sim")?;
    let error = answers["open"]["error"].as_str().unwrap_or_default();
    ensure!(
        error.contains("AMT refused the credentials"),
        "expected a refusal, actual {answers}"
    );
    Ok(())
}

/// Everything that the package knows to read, as files; none of them a fault.
fn record(python: &Path, expected: &Expected) -> Result<()> {
    /// Classes and methods of the package's list, and its list itself.
    const FILES: &str = "22 files";
    let folder = tools::clean_folder("napalm-record")?;
    let out = folder.to_string_lossy();
    let arguments = ["-m", "napalm_amt.record", ADDRESS, "--out", &out];
    let output = run(python, PASSWORD, &arguments)?.succeeded()?;
    ensure!(
        output.stdout.contains(FILES),
        "expected {FILES}, actual: {}{}",
        output.stdout,
        output.stderr
    );
    for entry in std::fs::read_dir(&folder)? {
        let path: PathBuf = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        ensure!(!text.contains(":Fault>"), "{}: a fault", path.display());
    }
    let page = std::fs::read_to_string(folder.join("landing_page.txt"))?;
    let server = format!(
        "Server: Intel(R) Active Management Technology {}",
        version(expected)
    );
    ensure!(
        page.contains("-> 200") && page.contains(&server),
        "expected 200 and {server:?}, actual:\n{page}"
    );
    Ok(())
}

fn equal(actual: &Value, expected: &Value) -> Result<()> {
    ensure!(actual == expected, "expected {expected}, actual {actual}");
    Ok(())
}

fn says_something(value: &Value, key: &str) -> Result<()> {
    let text = value[key].as_str().unwrap_or_default();
    ensure!(!text.is_empty(), "{key} says nothing: {value}");
    Ok(())
}
