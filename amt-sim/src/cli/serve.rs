//! `amt-sim serve`: a device that stays on until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use amt_sim::host::signals::StopSignal;
use amt_sim::host::socket::MeiSocket;
use clap::Args;

use super::CommandError;
use super::device_args::DeviceArguments;

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    device: DeviceArguments,
    /// Offer the MEI clients on a UNIX socket of type SEQPACKET; docs/mei-socket.md has the protocol.
    #[arg(long, value_name = "PATH")]
    mei_socket: PathBuf,
    /// Say in JSON when the device is ready.
    #[arg(long)]
    json: bool,
}

pub(crate) fn serve(arguments: ServeArguments) -> Result<ExitCode, CommandError> {
    let stop = StopSignal::listen()?;
    let device = arguments.device.power_on()?;
    let socket = MeiSocket::open(&arguments.mei_socket, &device)?;
    let (uuid, profile) = device.with(None, |device| {
        (device.identity().uuid, device.profile().name.clone())
    });
    if arguments.json {
        let ready = serde_json::json!({
            "profile": profile,
            "uuid": uuid,
            "mei_socket": arguments.mei_socket,
        });
        println!("{ready}");
    } else {
        println!(
            "ready: {profile} {uuid}, MEI on {}",
            arguments.mei_socket.display()
        );
    }
    stop.wait(None);
    socket.stop()?;
    Ok(ExitCode::SUCCESS)
}
