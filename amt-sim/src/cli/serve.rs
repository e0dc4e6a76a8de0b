//! `amt-sim serve`: a device that stays on until it is told to stop.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use amt_sim::device::Interface;
use amt_sim::host::local_ports::Reach;
use amt_sim::host::signals::StopSignal;
use amt_sim::host::socket::MeiSocket;
use amt_sim::host::{HelloSender, LocalPorts};
use clap::{ArgGroup, Args};

use super::CommandError;
use super::device_args::DeviceArguments;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("offer").required(true).multiple(true).args(["address", "mei_socket"])))]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    device: DeviceArguments,
    /// Show the device to the network at this address: its ports are open there whenever its own would be.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// Let the address be another than a loopback one. Whoever reaches it reaches the device.
    #[arg(long, requires = "address")]
    beyond_loopback: bool,
    /// Offer the MEI clients on a UNIX socket of type SEQPACKET; docs/mei-socket.md has the protocol.
    #[arg(long, value_name = "PATH")]
    mei_socket: Option<PathBuf>,
    /// Say in JSON when the device is ready.
    #[arg(long)]
    json: bool,
}

pub(crate) fn serve(arguments: ServeArguments) -> Result<ExitCode, CommandError> {
    let stop = StopSignal::listen()?;
    let device = arguments.device.power_on()?;
    let reach = match arguments.beyond_loopback {
        true => Reach::Anywhere,
        false => Reach::Loopback,
    };
    let ports = arguments
        .address
        .map(|address| LocalPorts::open(&device, Interface::Network, address, reach))
        .transpose()?;
    let socket = arguments
        .mei_socket
        .as_ref()
        .map(|path| MeiSocket::open(path, &device))
        .transpose()?;
    let hello = arguments.device.say_hello(&device, arguments.address)?;
    let (uuid, profile) = device.with(None, |device| {
        (device.identity().uuid, device.profile().name.clone())
    });
    if arguments.json {
        let mut ready = serde_json::json!({ "profile": profile, "uuid": uuid });
        if let Some(ports) = &ports {
            ready["addresses"] = serde_json::json!([ports.address()]);
            ready["ports"] = serde_json::json!(ports.ports());
        }
        if let Some(path) = &arguments.mei_socket {
            ready["mei_socket"] = serde_json::json!(path);
        }
        if let Some(path) = arguments.device.journal() {
            ready["journal"] = serde_json::json!(path);
        }
        println!("{ready}");
    } else {
        let lan = ports.as_ref().map(describe);
        let mei = arguments.mei_socket.as_ref();
        let mei = mei.map(|path| format!("MEI on {}", path.display()));
        let offers: Vec<String> = lan.into_iter().chain(mei).collect();
        println!("ready: {profile} {uuid}, {}", offers.join(", "));
    }
    stop.wait(None);
    hello.map_or(Ok(()), HelloSender::stop)?;
    ports.map_or(Ok(()), LocalPorts::stop)?;
    socket.map_or(Ok(()), MeiSocket::stop)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(ports: &LocalPorts) -> String {
    let address = ports.address();
    match ports.ports().as_slice() {
        [] => format!("no port open at {address} before it is set up"),
        open => {
            let open: Vec<String> = open.iter().map(u16::to_string).collect();
            format!("{address} port {}", open.join(" "))
        }
    }
}
