//! `amt-sim profiles`: what firmware generations there are.

use std::process::ExitCode;

use amt_sim::Profile;
use clap::{Args, Subcommand};

use super::CommandError;
use super::device_args::load_profile;

#[derive(Debug, Args)]
pub(crate) struct ProfilesArguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print one profile as the file it is: a start for one of your own.
    Show {
        /// A name from the list, or a file.
        #[arg(value_name = "NAME|FILE")]
        profile: String,
    },
}

pub(crate) fn profiles(arguments: ProfilesArguments) -> Result<ExitCode, CommandError> {
    match arguments.action {
        None => list()?,
        Some(Action::Show { profile }) => print!("{}", load_profile(&profile)?.to_toml()),
    }
    Ok(ExitCode::SUCCESS)
}

fn list() -> Result<(), CommandError> {
    let mut profiles = fixtures::PROFILES
        .iter()
        .map(|file| Profile::builtin(file.name))
        .collect::<Result<Vec<_>, _>>()?;
    profiles.sort_by_key(|profile| (profile.firmware.parts(), profile.name.clone()));
    let width = |cell: fn(&Profile) -> &str| {
        profiles
            .iter()
            .map(|profile| cell(profile).len())
            .max()
            .unwrap_or_default()
    };
    let names = width(|profile| &profile.name);
    let versions = width(|profile| &profile.firmware.amt);
    for profile in &profiles {
        println!(
            "{:names$}  {:versions$}  {}",
            profile.name, profile.firmware.amt, profile.title
        );
    }
    Ok(())
}
