//! `amt-sim run`: a program that sees the device as `/dev/mei0`.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use amt_sim::device::Interface;
use amt_sim::host::LocalPorts;
use amt_sim::host::backend::{self, Backend, Options};
use amt_sim::host::inject::{Injector, Scope};
use amt_sim::host::local_ports::Reach;
use amt_sim::host::signals::{self, StopSignal};
use clap::{Args, ValueEnum};

use super::CommandError;
use super::device_args::DeviceArguments;
use super::revocation::{self, ListsArguments};

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    device: DeviceArguments,
    /// How the program comes to see the device: auto, fuse, seccomp or cuse.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    backend: BackendChoice,
    /// Let the program believe that it runs as root.
    #[arg(long)]
    as_root: bool,
    /// Offer the device's own ports at this loopback address while the program runs, as LMS does on a real host
    /// [default: 127.0.0.1]. They are bound in the network namespace of `amt-sim`, not in one that the program makes.
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1"
    )]
    local_ports: Option<IpAddr>,
    /// Show the device to the network at this loopback address while the program runs: its ports are open there
    /// whenever its own would be, and its Hello messages come from there.
    #[arg(long, value_name = "ADDRESS")]
    lan: Option<IpAddr>,
    /// Replace the one on-die root certificate that is compiled into the program by the device's, in the memory of
    /// its processes, so that it verifies the device's certificate chain for real: see docs/trust-injection.md.
    /// `descendants`: the program is a wrapper, and only what it starts has such a root [default: program].
    #[arg(
        long,
        value_name = "WHOSE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "program"
    )]
    inject_odca_root: Option<Whose>,
    #[command(flatten)]
    lists: ListsArguments,
    /// Do not say which back end was chosen, nor in which process a root was replaced.
    #[arg(long, short)]
    quiet: bool,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM ARGS")]
    program: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Whose {
    Program,
    Descendants,
}

#[derive(Debug, Clone, Copy)]
struct BackendChoice(Option<Backend>);

impl std::str::FromStr for BackendChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(None)),
            name => name
                .parse()
                .map(|backend| Self(Some(backend)))
                .map_err(|error| format!("{error}")),
        }
    }
}

/// Shells answer so when a program is not there, or cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

pub(crate) fn run(arguments: RunArguments) -> Result<ExitCode, CommandError> {
    let choice = backend::choose(arguments.backend.0)?;
    let device = arguments.device.power_on()?;
    if !arguments.quiet {
        eprintln!("amt-sim: /dev/mei0 by {}: {}", choice.backend, choice.why);
    }
    let ports = arguments
        .local_ports
        .map(|address| LocalPorts::open(&device, Interface::Local, address, Reach::Loopback))
        .transpose()?;
    let lan = arguments
        .lan
        .map(|address| LocalPorts::open(&device, Interface::Network, address, Reach::Loopback))
        .transpose()?;
    let lists = arguments.lists.serve([&device], Reach::Loopback)?;
    if let Some(lists) = lists.as_ref().filter(|_| !arguments.quiet) {
        eprintln!("amt-sim: revocation lists at {}", revocation::url(lists));
    }
    let hello = arguments.device.say_hello(&device, arguments.lan)?;
    let (name, rest) = arguments
        .program
        .split_first()
        .ok_or("no program was given")?;
    let mut command = Command::new(name);
    command.args(rest);
    let options = Options {
        as_root: arguments.as_root,
        ..Options::default()
    };
    let injector = match arguments.inject_odca_root {
        None => None,
        Some(whose) => {
            let scope = match whose {
                Whose::Program => Scope::Program,
                Whose::Descendants => Scope::Descendants,
            };
            let injector = Injector::new(&device, !arguments.quiet);
            if let Err(refused) = injector.check(Path::new(name), scope) {
                eprintln!("amt-sim: {refused}");
                return Ok(ExitCode::from(NOT_EXECUTABLE));
            }
            Some(Arc::new(injector))
        }
    };
    signals::adopt_orphans()?;
    let started = backend::run_with(&device, command, choice.backend, &options, injector.clone());
    let mut running = match started {
        Ok(running) => running,
        Err(error) => {
            eprintln!("amt-sim: {}: {error}", name.to_string_lossy());
            return Ok(ExitCode::from(match error.kind() {
                std::io::ErrorKind::NotFound => NOT_FOUND,
                _ => NOT_EXECUTABLE,
            }));
        }
    };
    signals::pass_signals_to(running.child().id())?;
    let status = running.wait()?;
    serve_daemons(&running)?;
    running.stop()?;
    hello.stop()?;
    for ports in [ports, lan].into_iter().flatten() {
        ports.stop()?;
    }
    if let Some(lists) = lists {
        lists.stop()?;
    }
    if let Some(injector) = injector {
        match injector.result() {
            (_, Some(refused)) => {
                eprintln!("amt-sim: {refused}; the process was ended");
                return Ok(ExitCode::from(NOT_EXECUTABLE));
            }
            (0, None) => {
                eprintln!(
                    "amt-sim: no on-die root was replaced: no program that began has one that can be seen"
                )
            }
            (_, None) => {}
        }
    }
    Ok(signals::end_like(status))
}

/// The program is gone; what it left in the background keeps its device until it is gone too.
fn serve_daemons(running: &amt_sim::host::Running) -> Result<(), CommandError> {
    /// Time for the front end to notice that nobody is left.
    const GRACE: Duration = Duration::from_millis(500);
    const LOOK_AGAIN: Duration = Duration::from_millis(20);

    let stop = StopSignal::listen()?;
    let mut waited = Duration::ZERO;
    while !running.is_idle() {
        signals::reap_orphans();
        if waited == GRACE && std::io::stderr().is_terminal() {
            eprintln!(
                "amt-sim: the program ended but left processes in the background; they keep the device \
                 until they end, or until Ctrl-C"
            );
        }
        if stop.wait(Some(LOOK_AGAIN)) {
            break;
        }
        waited += LOOK_AGAIN;
    }
    Ok(())
}
