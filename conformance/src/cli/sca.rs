//! The bundled SCA as a program of its own: hears Hello messages on a real port and sets up whom it was told to expect.
//!
//! A vendor sees what a target file needs before an SCA of his own is tried, and the harness tries itself.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amt_sim::Guid;
use amt_sim::device::Seed;
use amt_sim::host::port::{MeiChannel, MeiPort, PortError};
use clap::Args;

use super::{Console, Stop, parse_misbehaviour};
use crate::role::network::talk::Listener;
use crate::role::network::{self, Delivery, Field, Lan, Machine, Sca, Verdict, Work};
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
    /// How long a machine may be silent before it is given up
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    patience: u64,
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

/// What one of the threads has to tell.
enum Happening {
    Called(Delivery),
    Worked(Work, Result<(), network::Stop>),
    Returned(Work, Result<(), network::Stop>),
    /// There will be no more calls.
    Deaf(io::Error),
}

pub(super) fn sca(args: &ScaArgs, console: &mut Console) -> Result<u8, Stop> {
    let heard = TcpListener::bind(args.listen)
        .map_err(|error| Stop::wrong(format!("cannot listen at {}: {error}", args.listen)))?;
    let address = heard.local_addr()?;
    let patience = Duration::from_secs(args.patience);
    let mut sca = Sca::new(Seed(Plan::SEED), args.misbehave).patient_for(patience);
    let mut known = String::new();
    say(console, &format!("ready: hears Hello at {address}"))?;
    let (sender, happenings) = mpsc::channel();
    let calls = sender.clone();
    thread::spawn(move || listen(&heard, &calls));
    // This thread holds a sender: the channel never closes.
    while let Ok(happening) = happenings.recv() {
        let verdict = match happening {
            Happening::Deaf(error) => return Err(error.into()),
            Happening::Called(call) => {
                hear(&mut sca, &call, &args.orders, &mut known, console)?;
                while let Some(work) = sca.begin() {
                    spawn(work, &sender, |mut work| {
                        let result = in_field(|field| work.configure(field, &Order::default()));
                        Happening::Worked(work, result)
                    });
                }
                continue;
            }
            Happening::Worked(work, result) => {
                let verdict = sca.configured(work, result);
                show(console, "configured", &verdict)?;
                while let Some(work) = sca.begin_return() {
                    spawn(work, &sender, |mut work| {
                        let result = in_field(|field| work.come_back(field));
                        Happening::Returned(work, result)
                    });
                }
                if verdict.result.is_ok() {
                    continue;
                }
                verdict
            }
            Happening::Returned(work, result) => {
                let verdict = sca.managed(work, result);
                show(console, "managed", &verdict)?;
                verdict
            }
        };
        if args.once {
            return Ok(u8::from(verdict.result.is_err()));
        }
    }
    Ok(0)
}

/// Takes calls, one after the other.
fn listen(heard: &TcpListener, calls: &Sender<Happening>) {
    loop {
        let happening = match heard.accept() {
            Ok((caller, from)) => Happening::Called(Delivery {
                from: from.ip(),
                pieces: pieces(caller),
            }),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => Happening::Deaf(error),
        };
        if calls.send(happening).is_err() {
            return;
        }
    }
}

/// A machine that takes its time keeps nobody else waiting.
fn spawn(work: Work, sender: &Sender<Happening>, act: fn(Work) -> Happening) {
    let sender = sender.clone();
    thread::spawn(move || {
        // Nobody waits for it any more once the program ends.
        let _ = sender.send(act(work));
    });
}

fn in_field<R>(act: impl FnOnce(Field<'_>) -> R) -> R {
    let clock = WallClock::default();
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    act(Field {
        host: Host {
            port: &Nowhere,
            clock: &clock,
        },
        lan: &Network,
        epoch: since.unwrap_or_default().as_secs(),
    })
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

fn hear(
    sca: &mut Sca,
    call: &Delivery,
    orders: &Path,
    known: &mut String,
    console: &mut Console,
) -> Result<(), Stop> {
    let text = fs::read_to_string(orders)
        .map_err(|error| Stop::wrong(format!("cannot read {}: {error}", orders.display())))?;
    // Telling it the same again would make it forget how far it is.
    if text != *known {
        tell(sca, &text)?;
        *known = text;
    }
    match sca.hear(call) {
        Ok(job) => say(console, &format!("heard: {} at {}", job.uuid, call.from))?,
        Err(why) => say(
            console,
            &format!("not heard: {}: {}: {why}", why.word(), call.from),
        )?,
    }
    Ok(())
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

/// One line for what was done, or why not: `stopped: UUID: REASON at METHOD: VALUE: in words`.
fn show(console: &mut Console, word: &str, verdict: &Verdict) -> io::Result<()> {
    let uuid = &verdict.job.uuid;
    match &verdict.result {
        Ok(()) => say(console, &format!("{word}: {uuid}")),
        Err(stop) => {
            let value = stop.value.map_or("-".to_owned(), |value| value.to_string());
            let (why, at, detail) = (stop.why, &stop.at, &stop.detail);
            say(
                console,
                &format!("stopped: {uuid}: {why} at {at}: {value}: {detail}"),
            )
        }
    }
}

fn say(console: &mut Console, line: &str) -> io::Result<()> {
    // In one piece: others read along.
    console.out.write_all(format!("{line}\n").as_bytes())?;
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
