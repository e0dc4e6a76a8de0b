//! The command line: one file a command. Everything it does is in the library.

mod addresses;
mod ca;
mod ca_odca;
mod contract;
mod demo;
mod device_args;
mod profiles;
mod revocation;
mod run;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A software Intel AMT device that unmodified programs cannot tell from firmware.
#[derive(Debug, Parser)]
#[command(name = "amt-sim", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a program that sees the device as /dev/mei0.
    Run(run::RunArguments),
    /// Keep a device running until SIGINT or SIGTERM.
    Serve(serve::ServeArguments),
    /// Check what a program may rely on at /dev/mei0.
    #[command(hide = true)]
    Contract(contract::Contract),
    /// Certificates for programs that set up a simulated device.
    Ca(ca::CaArguments),
    /// Play set-up over the network for a newcomer, live in the terminal.
    Demo(demo::DemoArguments),
    /// List the firmware generations that come with the program, or print one.
    Profiles(profiles::ProfilesArguments),
}

/// What a command ends with when it cannot do its work: the set-up or a file is wrong.
pub(crate) type CommandError = Box<dyn std::error::Error + Send + Sync>;

/// Exit code for a set-up or a file that is wrong.
const SETUP_FAILED: u8 = 2;

pub(crate) fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(arguments) => run::run(arguments),
        Command::Serve(arguments) => serve::serve(arguments),
        Command::Contract(contract) => Ok(contract.run()),
        Command::Ca(arguments) => ca::ca(arguments),
        Command::Demo(arguments) => demo::demo(arguments),
        Command::Profiles(arguments) => profiles::profiles(arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("amt-sim: {error}");
            ExitCode::from(SETUP_FAILED)
        }
    }
}
