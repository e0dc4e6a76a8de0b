//! `amt-sim serve`: a device, or many, that stay on until they are told to stop.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use amt_sim::device::Interface;
use amt_sim::host::limits::{self, Room};
use amt_sim::host::local_ports::Reach;
use amt_sim::host::signals::StopSignal;
use amt_sim::host::socket::MeiSocket;
use amt_sim::host::{Fleet, Member, Names, RevocationServer, SharedDevice};
use clap::{ArgGroup, Args};
use serde_json::json;

use super::CommandError;
use super::addresses::Addresses;
use super::device_args::DeviceArguments;
use super::revocation::{self, ListsArguments};

/// Each MEI socket is served by a thread of its own.
const MOST_MEI_SOCKETS: u32 = 256;

/// The listening socket, the wake-up lines of its thread, and a client.
const DESCRIPTORS_OF_A_MEI_SOCKET: u64 = 5;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("offer").required(true).multiple(true).args(["address", "mei_socket"])))]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    device: DeviceArguments,
    /// Show the device to the network at this address: its ports are open there whenever its own would be. Many
    /// devices have the addresses that follow, or those of a range such as 127.1.0.0/16.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Addresses>,
    /// So many devices, each with its own address, UUID and life; seeds are counted up.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    devices: u32,
    /// Let the address be another than a loopback one. Whoever reaches it reaches the device.
    #[arg(long, requires = "address")]
    beyond_loopback: bool,
    /// Offer the MEI clients on a UNIX socket of type SEQPACKET; docs/mei-socket.md has the protocol. Of many devices: a
    /// folder, with a socket for each, which is called by its seed.
    #[arg(long, value_name = "PATH")]
    mei_socket: Option<PathBuf>,
    #[command(flatten)]
    lists: ListsArguments,
    /// Say in JSON when the device is ready.
    #[arg(long)]
    json: bool,
}

/// One device as it is offered.
struct Offer {
    member: Member,
    seed: u64,
    mei_socket: Option<PathBuf>,
}

pub(crate) fn serve(arguments: ServeArguments) -> Result<ExitCode, CommandError> {
    let stop = StopSignal::listen()?;
    let offers = arguments.offers()?;
    let reach = Reach::beyond_loopback(arguments.beyond_loopback);
    let first = offers.first().map(|offer| &offer.member.device);
    let names = first.map_or_else(Names::default, |device| arguments.device.names(device));
    let members = offers.iter().map(|offer| offer.member.clone()).collect();
    let fleet = Fleet::open(members, names, reach)?;
    let mut sockets = Vec::new();
    for offer in &offers {
        if let Some(path) = &offer.mei_socket {
            sockets.push(MeiSocket::open(path, &offer.member.device)?);
        }
    }
    let devices = offers.iter().map(|offer| &offer.member.device);
    let lists = arguments.lists.serve(devices, reach)?;
    match arguments.json {
        true => println!("{}", arguments.as_json(&offers, lists.as_ref())),
        false => println!("{}", as_line(&offers, lists.as_ref())),
    }
    stop.wait(None);
    fleet.stop()?;
    if let Some(lists) = lists {
        lists.stop()?;
    }
    for socket in sockets {
        socket.stop()?;
    }
    Ok(ExitCode::SUCCESS)
}

impl ServeArguments {
    /// Every device, switched on, with where it is to be found.
    fn offers(&self) -> Result<Vec<Offer>, CommandError> {
        let count = self.devices;
        let addresses = match self.address {
            Some(addresses) => addresses.take(count)?.into_iter().map(Some).collect(),
            None => vec![None; count as usize],
        };
        self.make_room()?;
        let devices = match count {
            1 => vec![self.device.power_on()?],
            many => self.device.power_on_many(many)?,
        };
        let seeds = self.device.seed()..;
        let places = devices.into_iter().zip(addresses).zip(seeds);
        let offer = |((device, address), seed): ((SharedDevice, Option<IpAddr>), u64)| Offer {
            member: Member {
                device,
                side: Interface::Network,
                address,
                listens: address.is_some(),
                dials: true,
            },
            seed,
            mei_socket: self.mei_socket.as_ref().map(|path| match count {
                1 => path.clone(),
                _ => path.join(format!("seed-{seed}.sock")),
            }),
        };
        Ok(places.map(offer).collect())
    }

    /// Sees to it that there are descriptors, and a folder for sockets.
    fn make_room(&self) -> Result<(), CommandError> {
        let mut besides = 0;
        if let Some(folder) = self.mei_socket.as_ref().filter(|_| self.devices > 1) {
            if self.devices > MOST_MEI_SOCKETS {
                return Err(format!(
                    "--mei-socket: each takes a thread, so there may be {MOST_MEI_SOCKETS}, not {}; leave it out, or \
                     start fewer devices",
                    self.devices
                )
                .into());
            }
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
            besides = DESCRIPTORS_OF_A_MEI_SOCKET;
        }
        if let Room::OnePortEach { needed, allowed } =
            limits::make_room(u64::from(self.devices), besides)??
        {
            eprintln!(
                "amt-sim: this process may have {allowed} descriptors; should every device open two ports, it would \
                 need {needed}"
            );
        }
        Ok(())
    }

    fn as_json(&self, offers: &[Offer], lists: Option<&RevocationServer>) -> serde_json::Value {
        let devices: Vec<serde_json::Value> = offers.iter().map(Offer::as_json).collect();
        let mut ready = match devices.as_slice() {
            [one] => one.clone(),
            many => {
                let addresses = offers.iter().filter_map(|offer| offer.member.address);
                json!({
                    "profile": many.first().map(|device| &device["profile"]),
                    "addresses": addresses.collect::<Vec<_>>(),
                    "devices": many,
                })
            }
        };
        if let Some(path) = self.device.journal() {
            ready["journal"] = json!(path);
        }
        if let Some(lists) = lists {
            ready["revocation_lists"] = json!(revocation::url(lists));
        }
        ready
    }
}

impl Offer {
    fn as_json(&self) -> serde_json::Value {
        let (uuid, profile) = identity(&self.member.device);
        let mut ready = json!({ "profile": profile, "uuid": uuid, "seed": self.seed });
        if let Some(address) = self.member.address {
            ready["addresses"] = json!([address]);
            ready["ports"] = json!(self.member.ports());
        }
        if let Some(path) = &self.mei_socket {
            ready["mei_socket"] = json!(path);
        }
        ready
    }
}

fn identity(device: &SharedDevice) -> (String, String) {
    device.with(None, |device| {
        let uuid = device.identity().uuid.to_string();
        (uuid, device.profile().name.clone())
    })
}

fn as_line(offers: &[Offer], lists: Option<&RevocationServer>) -> String {
    let lists = lists.map(|lists| format!(", revocation lists at {}", revocation::url(lists)));
    as_devices(offers) + &lists.unwrap_or_default()
}

fn as_devices(offers: &[Offer]) -> String {
    let [first, .., last] = offers else {
        return offers.first().map_or_else(String::new, |offer| {
            let (uuid, profile) = identity(&offer.member.device);
            let lan = offer
                .member
                .address
                .map(|address| describe(&offer.member, address));
            let mei = offer.mei_socket.as_ref();
            let mei = mei.map(|path| format!("MEI on {}", path.display()));
            let found: Vec<String> = lan.into_iter().chain(mei).collect();
            format!("ready: {profile} {uuid}, {}", found.join(", "))
        });
    };
    let (_, profile) = identity(&first.member.device);
    let mut text = format!("ready: {} devices, {profile}", offers.len());
    if let (Some(from), Some(to)) = (first.member.address, last.member.address) {
        text += &format!(", {}, to {to}", describe(&first.member, from));
    }
    if let Some(folder) = first.mei_socket.as_ref().and_then(|path| path.parent()) {
        text += &format!(", MEI in {}", folder.display());
    }
    text
}

fn describe(member: &Member, address: IpAddr) -> String {
    match member.ports().as_slice() {
        [] => format!("no port open at {address} before it is set up"),
        open => {
            let open: Vec<String> = open.iter().map(u16::to_string).collect();
            format!("{address} port {}", open.join(" "))
        }
    }
}
