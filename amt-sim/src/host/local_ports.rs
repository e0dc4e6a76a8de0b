//! The device's own ports as real TCP ports: one TCP connection is one stream of the device.
//!
//! With [`Interface::Local`] they stand in for LMS, which offers the ports at `127.0.0.1` to programs of the host;
//! with [`Interface::Network`] they are the device as the LAN sees it. A port is bound only while the device listens
//! on it, so that a connection is refused when the device would refuse it.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use super::network::{Fleet, Member};
use super::resolver::Names;
use super::shared::SharedDevice;
use crate::device::Interface;

/// Every port that a device may listen on: WS-Management, redirection and ASF, each without and with TLS.
pub const PORTS: [u16; 6] = [16992, 16993, 16994, 16995, 623, 664];

/// A device's ports at one address. They are served until this is stopped or dropped.
#[derive(Debug)]
pub struct LocalPorts {
    member: Member,
    address: IpAddr,
    served: Fleet,
}

/// From where the ports may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Only a loopback address is taken.
    #[default]
    Loopback,
    /// Any address of this machine: whoever reaches it reaches the device.
    Anywhere,
}

/// Why there are no ports: always a matter of the address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortsError {
    #[error("{0} is no loopback address; others than this machine would reach the device there")]
    NotLoopback(IpAddr),
    #[error("{0} is taken by another program; stop that one, or take another address such as {1}")]
    InUse(SocketAddr, IpAddr),
    #[error("cannot listen at {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("there is no thread to serve the ports: {source}")]
    Thread { source: io::Error },
}

impl LocalPorts {
    /// Offers the ports of a device at an address. Those on which the device listens now are bound when this
    /// returns; the others follow as the device opens them.
    pub fn open(
        device: &SharedDevice,
        side: Interface,
        address: IpAddr,
        reach: Reach,
    ) -> Result<Self, PortsError> {
        let member = Member {
            device: device.clone(),
            side,
            address: Some(address),
            listens: true,
            dials: false,
        };
        let what = "the thread of the ports";
        let served = Fleet::named(vec![member.clone()], Names::default(), reach, "ports", what)?;
        Ok(Self {
            member,
            address,
            served,
        })
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The ports on which the device listens now.
    pub fn ports(&self) -> Vec<u16> {
        self.member.ports()
    }

    /// Ends every connection and gives the ports back.
    pub fn stop(self) -> io::Result<()> {
        self.served.stop()
    }
}

impl Reach {
    /// Loopback only, unless somebody asked for more.
    pub const fn beyond_loopback(asked: bool) -> Self {
        match asked {
            true => Self::Anywhere,
            false => Self::Loopback,
        }
    }

    /// Whether an address lies within it.
    pub fn allow(self, address: IpAddr) -> Result<(), PortsError> {
        match self == Self::Loopback && !address.is_loopback() {
            true => Err(PortsError::NotLoopback(address)),
            false => Ok(()),
        }
    }
}

impl PortsError {
    /// Why nobody can listen there.
    pub(super) fn of_listening(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address, neighbour(address.ip())),
            _ => Self::Listen { address, source },
        }
    }
}

/// Whether the address is one of this machine shows now, not when the device first opens a port.
pub(super) fn check_address(address: IpAddr, reach: Reach) -> Result<(), PortsError> {
    reach.allow(address)?;
    let failed = |source| PortsError::of_listening(SocketAddr::new(address, 0), source);
    TcpListener::bind((address, 0)).map(drop).map_err(failed)
}

/// Another loopback address to recommend.
fn neighbour(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            IpAddr::from([a, b, c, if d >= 254 { 1 } else { d + 1 }])
        }
        IpAddr::V6(_) => IpAddr::from([127, 0, 0, 9]),
    }
}
