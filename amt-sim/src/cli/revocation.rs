//! Offering revocation lists over HTTP: `amt-sim ca serve`, and `--crls` beside a device.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;

use amt_sim::host::local_ports::Reach;
use amt_sim::host::signals::StopSignal;
use amt_sim::host::{RevocationServer, SharedDevice};
use amt_sim::pki::{ListForm, Platform, revocation_lists};
use clap::Args;
use serde_json::json;

use super::CommandError;

/// Where it is when nobody says: any free port of this machine.
const ANYWHERE: &str = "127.0.0.1:0";

/// Lists beside a device.
#[derive(Debug, Args)]
pub(super) struct ListsArguments {
    /// Serve the revocation lists that the device's on-die chain names over HTTP at this loopback address and port: see
    /// docs/secure-flow.md [default: a free port].
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ANYWHERE
    )]
    crls: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeListsArguments {
    /// Loopback address and port; port 0 is any that is free.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = ANYWHERE)]
    address: SocketAddr,
    /// Let the address be another than a loopback one.
    #[arg(long)]
    beyond_loopback: bool,
    /// Say in JSON when the lists can be fetched.
    #[arg(long)]
    json: bool,
}

/// Until it is told to stop.
pub(crate) fn serve(arguments: &ServeListsArguments) -> Result<ExitCode, CommandError> {
    let stop = StopSignal::listen()?;
    let reach = Reach::beyond_loopback(arguments.beyond_loopback);
    let lists = revocation_lists(&Platform::known(), ListForm::Right)?;
    let paths: Vec<String> = lists.iter().map(|list| list.path().to_owned()).collect();
    let server = RevocationServer::open(arguments.address, reach, lists)?;
    let url = url(&server);
    match arguments.json {
        true => println!("{}", json!({ "revocation_lists": url, "paths": paths })),
        false => {
            println!("ready: revocation lists at {url}");
            for path in paths {
                println!("  {url}{path}");
            }
        }
    }
    stop.wait(None);
    server.stop()?;
    Ok(ExitCode::SUCCESS)
}

impl ListsArguments {
    /// Serves the lists that the chains of these devices refer to, and those of every profile that there is; nothing
    /// where nobody asked for it.
    pub(super) fn serve<'a>(
        &self,
        devices: impl IntoIterator<Item = &'a SharedDevice>,
        reach: Reach,
    ) -> Result<Option<RevocationServer>, CommandError> {
        let Some(address) = self.crls else {
            return Ok(None);
        };
        let mut platforms: BTreeSet<Platform> = Platform::known();
        for device in devices {
            platforms.extend(device.with(None, |device| Platform::of(device.profile())));
        }
        let lists = revocation_lists(&platforms, ListForm::Right)?;
        Ok(Some(RevocationServer::open(address, reach, lists)?))
    }
}

pub(super) fn url(server: &RevocationServer) -> String {
    format!("http://{}", server.address())
}
