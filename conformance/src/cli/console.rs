//! The bundled management console as a program of its own: one command for each of its parts in the guide's flow.
//!
//! It speaks lines of JSON with agent and SCA, and keeps what it knows in a file from one command to the next.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use amt_sim::device::Seed;
use clap::{Args, Subcommand};

use super::agent::tell;
use super::{Console as Terminal, Stop, parse_misbehaviour};
use crate::fact::Facts;
use crate::role::Misbehaviour;
use crate::role::network::Console;
use crate::role::network::talk::Remote;
use crate::scenario::OtpForm;

#[derive(Debug, Subcommand)]
pub(super) enum ConsoleCommand {
    /// Ask the agent what the machine is, make a one-time password for it, and tell the SCA
    Order(OrderArgs),
    /// Let the agent begin
    Start(MemoryArgs),
    /// Let the agent call it off
    Stop(MemoryArgs),
}

#[derive(Debug, Args)]
pub(super) struct OrderArgs {
    /// Where the SCA answers lines of JSON
    #[arg(long, value_name = "ADDRESS")]
    sca: SocketAddr,
    /// The one-time passwords follow from this number, which everybody knows: for simulated devices only
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    #[command(flatten)]
    with: MemoryArgs,
}

#[derive(Debug, Args)]
pub(super) struct MemoryArgs {
    /// Where the agent answers lines of JSON
    #[arg(long, value_name = "ADDRESS")]
    agent: SocketAddr,
    /// What it knows is kept here
    #[arg(long, value_name = "FILE")]
    memory: PathBuf,
    /// Make this mistake on purpose
    #[arg(long, value_name = "MISTAKE", value_parser = parse_misbehaviour)]
    misbehave: Option<Misbehaviour>,
}

pub(super) fn console(command: &ConsoleCommand, out: &mut Terminal) -> Result<u8, Stop> {
    match command {
        ConsoleCommand::Order(args) => order(args),
        ConsoleCommand::Start(args) => with_agent(args, out, |console, agent, facts| {
            console.start(agent, facts)
        }),
        ConsoleCommand::Stop(args) => with_agent(args, out, |console, agent, facts| {
            console.stop(agent, facts)
        }),
    }
}

fn order(args: &OrderArgs) -> Result<u8, Stop> {
    let with = &args.with;
    let mut console = Console::new(Seed(args.seed), with.misbehave);
    if with.memory.exists() {
        recall(&mut console, with)?;
    }
    let mut agent = Remote::new(with.agent);
    let mut sca = Remote::new(args.sca);
    let done = console.order(&mut agent, &mut sca, OtpForm::Both);
    fs::write(&with.memory, console.memory())
        .map_err(|error| Stop::wrong(format!("{}: {error}", with.memory.display())))?;
    Ok(exit(done.map(|()| true)))
}

fn with_agent(
    args: &MemoryArgs,
    out: &mut Terminal,
    act: impl FnOnce(&mut Console, &mut Remote, &mut Facts) -> Result<bool, String>,
) -> Result<u8, Stop> {
    let mut console = Console::new(Seed(0), args.misbehave);
    recall(&mut console, args)?;
    let mut facts = Facts::new();
    let done = act(&mut console, &mut Remote::new(args.agent), &mut facts);
    tell(&facts, true, out)?;
    Ok(exit(done))
}

fn recall(console: &mut Console, args: &MemoryArgs) -> Result<(), Stop> {
    let path = args.memory.display();
    let text = fs::read_to_string(&args.memory)
        .map_err(|error| Stop::wrong(format!("{path}: {error}; nothing was ordered yet")))?;
    console
        .recall(&text)
        .map_err(|error| Stop::wrong(format!("{path}: {error}")))
}

fn exit(done: Result<bool, String>) -> u8 {
    match done {
        Ok(good) => u8::from(!good),
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}
