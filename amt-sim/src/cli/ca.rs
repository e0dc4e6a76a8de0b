//! `amt-sim ca`: certificates that real programs need to set up a simulated device, the right ones and the wrong ones.

mod export;
mod list;

use std::path::PathBuf;
use std::process::ExitCode;

use amt_sim::pki::laboratory::Specimen;
use clap::{Args, Subcommand};

use super::CommandError;
use super::ca_odca::{self, OdcaArguments};
use super::revocation::{self, ServeListsArguments};

#[derive(Debug, Args)]
pub(crate) struct CaArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write root, provisioning certificate, key and PFX into a folder, and those of the laboratory into one each below.
    Export {
        folder: PathBuf,
        /// Common name of the provisioning certificate; its domain must be the device's DNS suffix.
        #[arg(long, default_value = DEFAULT_NAME)]
        name: String,
        /// Password of the PFX files.
        #[arg(long, default_value = "P@ssw0rd1")]
        pfx_password: String,
        /// Only this chain of the laboratory; `amt-sim ca list` names them.
        #[arg(long, value_name = "CHAIN", value_parser = specimen)]
        only: Option<&'static Specimen>,
    },
    /// Write the on-die root, the chain that a device shows, revocation lists, and wrong chains into a folder.
    Odca(OdcaArguments),
    /// Serve the revocation lists of on-die authorities over HTTP, until stopped.
    Serve(ServeListsArguments),
    /// List the chains of the laboratory and what a device says to each of them.
    List {
        /// The device: its generation decides.
        #[arg(long, value_name = "NAME|FILE", default_value = "tiger-lake-15")]
        profile: String,
        /// Common name of the provisioning certificates.
        #[arg(long, default_value = DEFAULT_NAME)]
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

const DEFAULT_NAME: &str = "provision.corp.example";

fn specimen(name: &str) -> Result<&'static Specimen, String> {
    Specimen::named(name).ok_or_else(|| {
        let names = Specimen::all().map(|specimen| specimen.name);
        match amt_sim::diagnostic::closest(name, names) {
            Some(near) => format!("no chain is called so; did you mean {near:?}?"),
            None => "no chain is called so; `amt-sim ca list` names them".to_owned(),
        }
    })
}

pub(crate) fn ca(arguments: CaArguments) -> Result<ExitCode, CommandError> {
    match arguments.action {
        Action::Export {
            folder,
            name,
            pfx_password,
            only,
        } => match only {
            Some(specimen) => export::one(&folder, specimen, &name, &pfx_password)?,
            None => export::all(&folder, &name, &pfx_password)?,
        },
        Action::List {
            profile,
            name,
            json,
        } => list::list(&profile, &name, json)?,
        Action::Odca(arguments) => ca_odca::export(&arguments)?,
        Action::Serve(arguments) => return revocation::serve(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}
