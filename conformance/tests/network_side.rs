//! A target that comes over the network, with a login: as small a program as can read something there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// AMT names itself in the head of each answer.
const READER: &str = r#"
name = "reader"
title = "reads the head of one answer"
program = "/bin/bash"
side = "network"
has = ["version"]
[environment]
HOST = "{address}"
[[command]]
for = "agent.discover"
args = ["-c", 'exec 3<>/dev/tcp/$HOST/16992; printf "GET / HTTP/1.1\r\nHost: amt\r\nConnection: close\r\n\r\n" >&3; FILTER <&3']
[command.facts]
version = { regex = 'Technology (\d+\.\d+\.\d+)\.' }
build = { regex = 'Technology \d+\.\d+\.\d+\.(\d+)' }
"#;

/// The only run of a story, by a target of this text.
fn run(name: &str, target: &str, story: &str) -> Value {
    let folder = std::env::temp_dir().join(format!("network-side-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file: PathBuf = folder.join("reader.toml");
    std::fs::write(&file, target).unwrap();
    Command::new(env!("CARGO_BIN_EXE_conformance"))
        .args(["run", "--profile", "tiger-lake-15", "--filter", story])
        .arg("--target")
        .arg(&file)
        .arg("--report")
        .arg(&folder)
        .output()
        .unwrap();
    let report = std::fs::read_to_string(folder.join("report.json")).unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    let report: Value = serde_json::from_str(&report).unwrap();
    report["runs"][0].clone()
}

#[test]
fn it_reads_what_the_device_says_over_the_network() {
    let run = run(
        "good",
        &READER.replace("FILTER", "cat"),
        "discovery.configured-version",
    );
    assert_eq!(run["verdict"], "pass", "{run:#}");
}

#[test]
fn what_it_makes_up_is_its_own_fault() {
    let target = READER.replace("FILTER", "sed s/15.0.35/15.0.53/");
    let run = run("wrong", &target, "discovery.configured-version");
    let failed = run["checks"].as_array().unwrap().iter();
    let failed: Vec<&Value> = failed.filter(|check| check["verdict"] == "fail").collect();
    let [check] = failed.as_slice() else {
        panic!("{run:#}")
    };
    assert_eq!(check["requirement"], "agent.discovery.version");
    assert_eq!(check["blame"], "agent");
    let note = check["note"].as_str().unwrap();
    assert!(note.contains("asked over the network"), "{note}");
}

#[test]
fn nobody_has_a_login_on_a_new_device() {
    let run = run("new", READER, "discovery.version");
    assert_eq!(run["verdict"], "not-applicable", "{run:#}");
}
