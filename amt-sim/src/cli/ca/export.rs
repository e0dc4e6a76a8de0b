//! `amt-sim ca export`: the good identity into a folder, and every chain of the laboratory into one below.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use amt_sim::host::keystore;
use amt_sim::pki::laboratory::{Specimen, Way};
use amt_sim::pki::{ProvisioningIdentity, pem};

use crate::cli::CommandError;

const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

pub(super) fn all(folder: &Path, name: &str, pfx_password: &str) -> Result<(), CommandError> {
    let identity = ProvisioningIdentity::for_name(name)?;
    let files = keystore::files(&identity, pfx_password)?;
    create(folder)?;
    for file in &files {
        let mode = if file.is_secret { SECRET } else { PUBLIC };
        write(&folder.join(file.name), &file.bytes, mode)?;
    }
    let laboratory = folder.join("laboratory");
    for specimen in Specimen::all() {
        specimen_into(&laboratory, specimen, name, pfx_password)?;
    }
    println!("provisioning certificate for {name}: {}", folder.display());
    let names: Vec<&str> = files.iter().map(|file| file.name).collect();
    println!("  {}", names.join(" "));
    println!(
        "a device trusts it with:  --trust {}",
        folder.join("root.pem").display()
    );
    println!(
        "{} chains, right and wrong, each in a folder of its own: {}",
        Specimen::all().count(),
        laboratory.display()
    );
    Ok(())
}

pub(super) fn one(
    folder: &Path,
    specimen: &Specimen,
    name: &str,
    pfx_password: &str,
) -> Result<(), CommandError> {
    specimen_into(folder, specimen, name, pfx_password)?;
    let folder = folder.join(specimen.name);
    println!("{}: {}", specimen.what, folder.display());
    Ok(())
}

/// Leaf, chain, root, key and PFX, and a note on what they are.
fn specimen_into(
    folder: &Path,
    specimen: &Specimen,
    name: &str,
    pfx_password: &str,
) -> Result<(), CommandError> {
    let made = specimen.make(name)?;
    let folder = folder.join(specimen.name);
    create(&folder)?;
    let identity = ProvisioningIdentity {
        chain: made.chain,
        key: made.key,
    };
    let leaf = identity.chain.first().map(Vec::as_slice);
    certificate(&folder.join("leaf.pem"), leaf.unwrap_or_default())?;
    certificate(&folder.join("root.pem"), &made.root)?;
    let chain = identity.chain_pem();
    write(&folder.join("chain.pem"), chain.as_bytes(), PUBLIC)?;
    let key = identity.key_pem();
    write(&folder.join("key.pem"), key.as_bytes(), SECRET)?;
    // What is no certificate fits into no store.
    let pfx = keystore::pfx(&identity, pfx_password).ok();
    if let Some(pfx) = &pfx {
        write(&folder.join("provisioning.pfx"), pfx, SECRET)?;
    }
    let mut about = format!(
        "{}: {}\n\n{} decides.\n\nA device for it:\n",
        specimen.name, specimen.what, specimen.requirement
    );
    about += &format!("  --set network.pki_dns_suffix={}\n", made.domain);
    about += &match &made.entry {
        Some(entry) => format!(
            "  --set 'certificates.custom=[{{name=\"{}\",algorithm=\"{}\",hash=\"{}\",active={}}}]'\n",
            entry.name,
            serde_json::to_value(entry.algorithm)?
                .as_str()
                .unwrap_or_default(),
            entry.hash,
            entry.active
        ),
        None => "  one that does not know its root\n".to_owned(),
    };
    about += "\nWhat the device says:\n";
    for way in Way::ALL {
        let of = |amt| specimen.verdict(way, amt);
        about += &format!("  {way}: AMT 15 {}, AMT 16 {}\n", of(15), of(16));
    }
    if pfx.is_none() {
        about += "\nThere is no PFX, which holds certificates that can be read.\n";
    }
    write(&folder.join("about.txt"), about.as_bytes(), PUBLIC)
}

fn create(folder: &Path) -> Result<(), CommandError> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()).into())
}

fn certificate(path: &Path, der: &[u8]) -> Result<(), CommandError> {
    write(path, pem("CERTIFICATE", der).as_bytes(), PUBLIC)
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
