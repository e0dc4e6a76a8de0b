//! Getting real programs: installed from registries by name and pinned version, or found on the machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::run::limited;
use super::table::{Outcome, Table};
use crate::workspace;

/// The npm package that MeshCmd, MeshAgent and MeshCentral come in.
pub(crate) const MESHCENTRAL: &str = "1.1.55";

/// napalm-amt, and the packages that its answers depend on.
pub(crate) const NAPALM: &str = "0.2.0";
const NAPALM_PACKAGES: [&str; 3] = [
    "napalm-amt==0.2.0",
    "napalm==5.2.0",
    "napalm-device-types==4.22.0",
];

/// In CI a program from a registry must be there; elsewhere its absence is only said.
pub(crate) fn missing(table: &mut Table, program: &str, version: &str, error: &anyhow::Error) {
    unavailable(table, program, version, "install", error);
}

/// The same for whatever else a check needs of the machine.
pub(crate) fn unavailable(
    table: &mut Table,
    program: &str,
    version: &str,
    what: &str,
    error: &anyhow::Error,
) {
    let why = format!("{error:#}");
    let in_ci = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    let outcome = if in_ci {
        Outcome::Failed(why)
    } else {
        Outcome::Skipped(why)
    };
    table.add(program, version, what, outcome);
}

/// A folder for what is installed and built; may be deleted at any time.
pub(crate) fn folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("interop").join(name);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// The program's path when it is on `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// The npm package, installed once: its folder.
pub(crate) fn meshcentral() -> Result<PathBuf> {
    let folder = folder(&format!("meshcentral-{MESHCENTRAL}"))?;
    let package = folder.join("node_modules/meshcentral");
    let mark = folder.join("installed");
    if mark.is_file() {
        return Ok(package);
    }
    on_path("npm").context("npm is not on PATH; install Node.js")?;
    let wanted = format!("meshcentral@{MESHCENTRAL}");
    println!("installing {wanted} from the npm registry ...");
    // No scripts: nothing of the package runs before we start it on purpose.
    let arguments = [
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-save",
        "--prefix",
        ".",
        &wanted,
    ];
    limited(600, "npm".as_ref(), &arguments.map(AsRef::as_ref), &folder)?.succeeded()?;
    fs::write(&mark, "")?;
    Ok(package)
}

/// MeshCmd, put together from the package as its server would serve it.
pub(crate) fn meshcmd() -> Result<PathBuf> {
    let package = meshcentral()?;
    let program = folder("meshcmd")?.join(format!("meshcmd-{MESHCENTRAL}"));
    if !program.is_file() {
        let script = workspace::root().join("xtask/agents/meshcmd/build.js");
        let arguments = [script.as_os_str(), package.as_os_str(), program.as_os_str()];
        limited(120, "node".as_ref(), &arguments, &workspace::root())?.succeeded()?;
    }
    Ok(program)
}

/// napalm-amt, installed once into an environment of its own: its Python.
pub(crate) fn napalm() -> Result<PathBuf> {
    let folder = folder(&format!("napalm-amt-{NAPALM}"))?;
    let environment = folder.join("venv");
    let python = environment.join("bin/python");
    let mark = folder.join("installed");
    if mark.is_file() {
        return Ok(python);
    }
    on_path("python3").context("python3 is not on PATH; install Python with its venv module")?;
    println!("installing napalm-amt {NAPALM} from the Python package registry ...");
    let words = ["-m", "venv", "--clear", "venv"];
    limited(120, "python3".as_ref(), &words.map(AsRef::as_ref), &folder)?.succeeded()?;
    let mut words = vec!["-m", "pip", "install", "--quiet"];
    words.extend(NAPALM_PACKAGES);
    let words: Vec<_> = words.into_iter().map(AsRef::as_ref).collect();
    limited(600, python.as_os_str(), &words, &folder)?.succeeded()?;
    fs::write(&mark, "")?;
    Ok(python)
}

/// Our own Go program, built static as rpc-go is.
pub(crate) fn contract_go() -> Result<(PathBuf, String)> {
    on_path("go").context("go is not on PATH; install Go")?;
    let source = workspace::root().join("xtask/agents/contract-go");
    let program = folder("contract-go")?.join("contract-go");
    let output = Command::new("go")
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg(".")
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=mod")
        .env("GOTOOLCHAIN", "local")
        .current_dir(&source)
        .output()?;
    ensure!(
        output.status.success(),
        "go build failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let version = limited(30, "go".as_ref(), &["version".as_ref()], &source)?.stdout;
    let version = version.split_whitespace().nth(2).unwrap_or("?").to_owned();
    Ok((program, version))
}

/// A clean folder to start a program in: some read a configuration file from where they stand.
pub(crate) fn clean_folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("interop/run").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A copy that an ordinary user can reach, whatever the permissions on the way to the original.
pub(crate) fn public_copy(program: &Path) -> Result<PathBuf> {
    let name = program.file_name().context("a program has a name")?;
    let folder = env::temp_dir().join(format!("amt-sim-interop-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let copy = folder.join(name);
    fs::copy(program, &copy)?;
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(copy)
}
