//! The bundled SCA as a program of its own: hears Hello messages on a real port and sets up whom it was told to expect.
//!
//! A vendor sees what a target file needs before an SCA of his own is tried, and the harness tries itself.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amt_sim::Guid;
use amt_sim::device::Seed;
use amt_sim::host::port::{MeiChannel, MeiPort, PortError};
use clap::Args;

use super::{Console, Stop, parse_misbehaviour};
use crate::role::network::talk::Listener;
use crate::role::network::{Delivery, Field, Lan, Machine, Sca, Verdict};
use crate::role::setup::Host;
use crate::role::{Misbehaviour, WallClock};
use crate::run::Plan;
use crate::scenario::Order;
use crate::wire::Dialer;
use crate::wire::pipe::TcpDialer;

#[derive(Debug, Args)]
pub(super) struct ScaArgs {
    /// Where it hears Hello messages; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9971")]
    listen: SocketAddr,
    /// Machines to expect, read again for every Hello: lines such as {"expect": {"uuid": "...", "otp": "..."}}
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// End after the first machine
    #[arg(long)]
    once: bool,
    /// Make this mistake on purpose
    #[arg(long, value_name = "MISTAKE", value_parser = parse_misbehaviour)]
    misbehave: Option<Misbehaviour>,
}

/// A whole Hello is below 2 KB.
const LONGEST: usize = 16 * 1024;

/// How long a caller may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn sca(args: &ScaArgs, console: &mut Console) -> Result<u8, Stop> {
    let heard = TcpListener::bind(args.listen)
        .map_err(|error| Stop::wrong(format!("cannot listen at {}: {error}", args.listen)))?;
    let address = heard.local_addr()?;
    let mut sca = Sca::new(Seed(Plan::SEED), args.misbehave);
    let mut known = String::new();
    say(console, &format!("ready: hears Hello at {address}"))?;
    loop {
        let (caller, from) = heard.accept()?;
        let call = Delivery {
            from: from.ip(),
            pieces: pieces(caller),
        };
        let orders = fs::read_to_string(&args.orders).map_err(|error| {
            Stop::wrong(format!("cannot read {}: {error}", args.orders.display()))
        })?;
        // Telling it the same again would make it forget how far it is.
        if orders != known {
            tell(&mut sca, &orders)?;
            known = orders;
        }
        let uuid = match sca.hear(&call) {
            Ok(job) => job.uuid,
            Err(why) => {
                say(console, &format!("not heard: {}: {why}", call.from))?;
                continue;
            }
        };
        say(console, &format!("heard: {uuid} at {}", call.from))?;
        let clock = WallClock::default();
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let field = Field {
            host: Host {
                port: &Nowhere,
                clock: &clock,
            },
            lan: &Network,
            epoch: since.unwrap_or_default().as_secs(),
        };
        let order = Order::default();
        let worked = sca.work(field, &order);
        let mut good = show(console, "configured", &worked)?;
        if good {
            let seen = sca.come_back(field);
            good = show(console, "managed", &seen)?;
        }
        if args.once {
            return Ok(u8::from(!good));
        }
    }
}

/// What a caller sends, as it comes, until it has said all.
fn pieces(mut caller: TcpStream) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let mut total = 0;
    // Without a limit a silent caller would keep all others waiting.
    if caller.set_read_timeout(Some(PATIENCE)).is_err() {
        return pieces;
    }
    let mut buffer = vec![0; LONGEST];
    while total < LONGEST {
        match caller.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                total += count;
                pieces.extend(buffer.get(..count).map(<[u8]>::to_vec));
            }
        }
    }
    pieces
}

fn tell(sca: &mut Sca, orders: &str) -> Result<(), Stop> {
    for (number, line) in orders.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let answer = sca.answer(line);
        if answer.contains("refused") {
            return Err(Stop::wrong(format!("order {}: {answer}", number + 1)));
        }
    }
    Ok(())
}

/// One line for each machine; whether all went well.
fn show(console: &mut Console, word: &str, verdicts: &[Verdict]) -> io::Result<bool> {
    let mut good = true;
    for verdict in verdicts {
        let uuid = &verdict.job.uuid;
        match &verdict.result {
            Ok(()) => say(console, &format!("{word}: {uuid}"))?,
            Err(stop) => {
                good = false;
                say(console, &format!("stopped: {uuid}: {stop}"))?;
            }
        }
    }
    Ok(good)
}

fn say(console: &mut Console, line: &str) -> io::Result<()> {
    writeln!(console.out, "{line}")?;
    console.out.flush()
}

/// Devices have addresses of their own.
#[derive(Debug)]
struct Network;

impl Lan for Network {
    fn next_call(&self, _: Duration) -> Option<Delivery> {
        None // They come to the port.
    }

    fn dialer(&self, to: IpAddr) -> Box<dyn Dialer + '_> {
        Box::new(TcpDialer::new(to))
    }

    fn device_address(&self) -> IpAddr {
        IpAddr::from([0, 0, 0, 0]) // It is told by each Hello.
    }

    fn place_stand_in(&self) -> Option<Box<dyn Machine>> {
        None
    }
}

/// An SCA is not on the machine that it sets up.
#[derive(Debug)]
struct Nowhere;

impl MeiPort for Nowhere {
    fn connect(&self, _: Guid) -> Result<Box<dyn MeiChannel>, PortError> {
        Err(PortError::Open {
            path: PathBuf::from("/dev/mei0"),
            source: io::Error::from(io::ErrorKind::NotFound),
        })
    }
}
