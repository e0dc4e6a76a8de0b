//! `amt-sim ca`: certificates that real programs need to set up a simulated device.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use amt_sim::hex;
use amt_sim::host::keystore;
use amt_sim::pki::{ProvisioningIdentity, pem};
use clap::{Args, Subcommand};

use super::CommandError;
use super::ca_odca::{self, OdcaArguments};

#[derive(Debug, Args)]
pub(crate) struct CaArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write root, provisioning certificate, key and PFX into a folder.
    Export {
        folder: PathBuf,
        /// Common name of the provisioning certificate; its domain must be the device's DNS suffix.
        #[arg(long, default_value = "provision.corp.example")]
        name: String,
        /// Password of the PFX file.
        #[arg(long, default_value = "P@ssw0rd1")]
        pfx_password: String,
    },
    /// Write the on-die root, the chain that a device shows, revocation lists, and wrong chains into a folder.
    Odca(OdcaArguments),
    /// Print what the certificates are.
    List {
        #[arg(long, default_value = "provision.corp.example")]
        name: String,
    },
}

pub(crate) fn ca(arguments: CaArguments) -> Result<ExitCode, CommandError> {
    match arguments.action {
        Action::Export {
            folder,
            name,
            pfx_password,
        } => export(&folder, &name, &pfx_password)?,
        Action::Odca(arguments) => ca_odca::export(&arguments)?,
        Action::List { name } => list(&name)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn export(folder: &Path, name: &str, pfx_password: &str) -> Result<(), CommandError> {
    let identity = ProvisioningIdentity::for_name(name)?;
    let pfx = keystore::pfx(&identity, pfx_password)?;
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let public = 0o644;
    let secret = 0o600;
    let certificates = ["leaf.pem", "intermediate.pem", "root.pem"];
    for (file, der) in certificates.iter().zip(&identity.chain) {
        write(
            &folder.join(file),
            pem("CERTIFICATE", der).as_bytes(),
            public,
        )?;
    }
    write(
        &folder.join("chain.pem"),
        identity.chain_pem().as_bytes(),
        public,
    )?;
    write(
        &folder.join("key.pem"),
        identity.key_pem().as_bytes(),
        secret,
    )?;
    write(&folder.join("provisioning.pfx"), &pfx, secret)?;
    println!("provisioning certificate for {name}: {}", folder.display());
    println!("  leaf.pem intermediate.pem root.pem chain.pem key.pem provisioning.pfx");
    println!(
        "a device trusts it with:  --trust {}",
        folder.join("root.pem").display()
    );
    Ok(())
}

fn list(name: &str) -> Result<(), CommandError> {
    let identity = ProvisioningIdentity::for_name(name)?;
    for (part, der) in ["leaf", "intermediate", "root"].iter().zip(&identity.chain) {
        println!("{part:<13} SHA-256 {}", hex::encode(&keystore::sha256(der)));
    }
    Ok(())
}

/// Written whole; an existing file is replaced and keeps no wider permissions than asked for.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CommandError> {
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.exists() {
        fs::remove_file(path).map_err(at)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(at)?;
    file.write_all(bytes).map_err(at)?;
    Ok(())
}
