//! `amt-sim ca odca`: what a program needs to verify a device's on-die chain, and chains that it must refuse.
//!
//! ```text
//!   FOLDER/on-die-root.pem .der   what to trust
//!   FOLDER/chain.pem              what the device shows in set-up, leaf first
//!   FOLDER/crls/*.crl             revocation lists (DER), by the names in the certificates
//!   FOLDER/wrong/NAME.pem         each wrong chain of the laboratory, as `--fault odca=NAME` shows it
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use amt_sim::Profile;
use amt_sim::device::Seed;
use amt_sim::hex;
use amt_sim::pki::{
    ChainForm, ListForm, OnDieChain, Platform, Turn, WrongChain, pem, revocation_lists,
};
use clap::Args;

use super::CommandError;

#[derive(Debug, Args)]
pub(crate) struct OdcaArguments {
    folder: PathBuf,
    /// Firmware generation of the device.
    #[arg(long, default_value = "lunar-lake-20")]
    profile: String,
    /// Number that the device is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn export(arguments: &OdcaArguments) -> Result<(), CommandError> {
    let profile = Profile::builtin(&arguments.profile)?;
    let Some(platform) = Platform::of(&profile) else {
        let name = &profile.name;
        return Err(format!(
            "firmware of {name} has no on-die authority; take a profile of AMT 15 or later"
        )
        .into());
    };
    let Platform { family, amt } = &platform;
    let amt = *amt;
    let seed = Seed(arguments.seed);
    let chain = OnDieChain::for_device(seed, family, amt)?;
    let folder = &arguments.folder;
    write(folder, "on-die-root.der", chain.root())?;
    write(
        folder,
        "on-die-root.pem",
        pem("CERTIFICATE", chain.root()).as_bytes(),
    )?;
    let shown = chain.shown(ChainForm::Six);
    write(folder, "chain.pem", bundle(shown).as_bytes())?;
    for list in revocation_lists([&platform], ListForm::Right)? {
        write(&folder.join("crls"), list.file(), &list.der)?;
    }
    for wrong in WrongChain::ALL {
        let exhibit = wrong.exhibit(seed, family, amt, Turn::default())?;
        let file = format!("{wrong}.pem");
        write(
            &folder.join("wrong"),
            &file,
            bundle(&exhibit.shown).as_bytes(),
        )?;
    }
    println!(
        "on-die chain of seed {} on {}: {}",
        arguments.seed,
        profile.name,
        folder.display()
    );
    println!("  on-die-root.pem on-die-root.der chain.pem crls/ wrong/");
    println!(
        "  hardware identifier {}",
        hex::encode(&chain.hardware_id()[..20])
    );
    for wrong in WrongChain::ALL {
        println!(
            "  --fault {:<27} {}",
            format!("odca={wrong}"),
            wrong.about()
        );
    }
    Ok(())
}

fn bundle(chain: &[Vec<u8>]) -> String {
    chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), CommandError> {
    let path = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, bytes))
        .map_err(|error| format!("{}: {error}", path.display()).into())
}
