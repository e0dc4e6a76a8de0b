//! A real SCA as a target: the bundled one as a program of its own, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "common/folder.rs"]
mod folder;

use std::path::Path;
use std::process::{Command, Output};

use folder::Folder;

fn run(target: &str, scenario: &str, folder: &Path) -> (Output, serde_json::Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_conformance"))
        .args(["run", "--target", target, "--filter", scenario])
        .args(["--profile", "tiger-lake-15", "--report"])
        .arg(folder)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let report = std::fs::read_to_string(folder.join("report.json")).unwrap();
    (output, serde_json::from_str(&report).unwrap())
}

#[test]
fn the_bundled_sca_sets_a_device_up_over_real_sockets() {
    let folder = Folder::new("good");
    let (output, report) = run("reference-sca", "flow.legacy", &folder.0);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let process = &report["runs"][0]["processes"][0];
    let said = process["stdout"].as_str().unwrap();
    assert!(said.contains("configured: "), "{process}");
}

#[test]
fn an_sca_that_never_looks_at_the_password_is_found_out() {
    let folder = Folder::new("wrong");
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fixtures/targets/reference-sca.toml"
    );
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.replace(
        "args = [\"sca\", ",
        "args = [\"sca\", \"--misbehave\", \"sca-skips-otp\", ",
    );
    let target = folder.0.join("careless.toml");
    std::fs::write(&target, text).unwrap();
    let (output, report) = run(target.to_str().unwrap(), "flow.legacy", &folder.0);
    assert_eq!(output.status.code(), Some(1));
    let checks = report["runs"][0]["checks"].as_array().unwrap();
    let failed = checks
        .iter()
        .find(|check| check["verdict"] == "fail")
        .unwrap();
    assert_eq!(
        failed["requirement"], "sca.otp.read-before-write",
        "{failed}"
    );
    assert_eq!(failed["blame"], "sca", "{failed}");
}
