//! `conformance`: the command line of the harness. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(conformance::cli::main(std::env::args_os()))
}
