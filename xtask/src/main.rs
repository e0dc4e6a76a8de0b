//! Developers' commands: `cargo xtask ci | interop | bench | knockout`.

mod bench;
mod interop;
mod knockout;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Developers' commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything a change must pass: formatting, lints, tests, real programs.
    Ci,
    /// Run real programs against the device and print a table; also in target/interop.json.
    Interop(interop::InteropArguments),
    /// Measure ours against an anchor in one run and print a table; also in target/bench.json.
    Bench(bench::BenchArguments),
    /// Switch off every rule of the device, make every mistake, and see who notices; also in target/knockout.json.
    Knockout(knockout::KnockoutArguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Ci => workspace::ci(),
        Command::Interop(arguments) => interop::interop(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Knockout(arguments) => knockout::knockout(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}
