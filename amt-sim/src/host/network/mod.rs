//! Devices on the network: their ports, and the messages that they send, all on one thread.
//!
//! ```text
//!                 ┌─ 127.1.0.1:16992 ─┐                ┌─ device 1
//!   peers ── TCP ─┼─ 127.1.0.2:16993 ─┼─ one reactor ──┼─ device 2
//!   SCA   ◀─ TCP ─┴─ Hello messages  ─┘                └─ ...
//! ```

mod call;
mod connection;
mod reactor;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use self::reactor::Reactor;
use super::local_ports::{PORTS, PortsError, Reach, check_address};
use super::resolver::Names;
use super::shared::SharedDevice;
use super::worker::Worker;
use crate::device::Interface;

/// One device, and what of it is served.
#[derive(Debug, Clone)]
pub struct Member {
    pub device: SharedDevice,
    /// As whom its peers are taken: programs of the host, or of the network.
    pub side: Interface,
    /// The device's own address: its ports are there, and its messages come from there. Without one there are no
    /// ports, and messages come from any address of this machine.
    pub address: Option<IpAddr>,
    pub listens: bool,
    /// Its Hello messages are sent.
    pub dials: bool,
}

/// Any number of devices, served until this is stopped or dropped.
#[derive(Debug)]
pub struct Fleet {
    worker: Worker,
}

impl Member {
    /// The ports on which the device listens now.
    pub fn ports(&self) -> Vec<u16> {
        self.device.with(None, |device| {
            let listens = |port: &u16| device.stream_listens(self.side, *port);
            PORTS.into_iter().filter(listens).collect()
        })
    }
}

impl Fleet {
    /// What the devices listen on now is bound when this returns; more follows as they open it.
    pub fn open(members: Vec<Member>, names: Names, reach: Reach) -> Result<Self, PortsError> {
        Self::named(
            members,
            names,
            reach,
            "network",
            "the thread of the network",
        )
    }

    pub(super) fn named(
        members: Vec<Member>,
        names: Names,
        reach: Reach,
        name: &str,
        what: &'static str,
    ) -> Result<Self, PortsError> {
        let listening = members.iter().filter(|member| member.listens);
        for address in listening.filter_map(|member| member.address) {
            check_address(address, reach)?;
        }
        let reactor = Reactor::new(members, Arc::new(names))
            .map_err(|(address, source)| PortsError::of_listening(address, source))?;
        let worker = Worker::start(name, what, move |stop| reactor.run(stop))
            .map_err(|source| PortsError::Thread { source })?;
        Ok(Self { worker })
    }

    /// Ends every connection and gives the ports back.
    pub fn stop(self) -> io::Result<()> {
        self.worker.stop()
    }
}

#[cfg(test)]
mod tests;
