//! `amt-sim demo`: the same as `conformance demo`, since the roles that play it are the harness's.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Args;

use super::CommandError;

/// The program that plays it.
const PLAYER: &str = "conformance";

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// What `conformance demo` takes, such as --pace 0 or --profile tiger-lake-15
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    args: Vec<OsString>,
}

/// Runs the harness that stands beside this program, or the one on PATH.
pub(super) fn demo(arguments: DemoArguments) -> Result<ExitCode, CommandError> {
    let beside = beside_this_program().filter(|path| path.is_file());
    let program = beside.unwrap_or_else(|| PathBuf::from(PLAYER));
    let status = Command::new(&program)
        .arg("demo")
        .args(arguments.args)
        .status()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => CommandError::from(format!(
                "the demo is played by the program `{PLAYER}`, which stands neither beside amt-sim nor on PATH; \
                 build it with `cargo build -p {PLAYER}`, or play it with `cargo run -p {PLAYER} -- demo`"
            )),
            _ => format!("{}: {error}", program.display()).into(),
        })?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn beside_this_program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    Some(own.with_file_name(PLAYER))
}
