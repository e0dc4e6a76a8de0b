//! Makes the connections that a device wants: Hello messages to its SCA.
//!
//! One TCP connection from the device's own address for each, the message in one write, then FIN; or as a fault wants
//! it. Nobody answers; whether it arrived shows in the SCA's coming.

use std::io::{self, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use super::local_ports::{PortsError, Reach};
use super::network::{Fleet, Member};
use super::poll::poll;
use super::resolver::{NameRule, Names};
use super::shared::SharedDevice;
use super::sys;
use crate::device::Interface;

/// Sends a device's Hello messages until it is stopped or dropped.
#[derive(Debug)]
pub struct HelloSender {
    served: Fleet,
}

impl HelloSender {
    /// `from` is the device's own address on the LAN; any of this machine when it has none. Names are looked up as
    /// this machine does it.
    pub fn start(device: &SharedDevice, from: Option<IpAddr>) -> io::Result<Self> {
        Self::with_names(device, from, [NameRule::System].into_iter().collect())
    }

    /// The same with names of one's own.
    pub fn with_names(
        device: &SharedDevice,
        from: Option<IpAddr>,
        names: Names,
    ) -> io::Result<Self> {
        let member = Member {
            device: device.clone(),
            side: Interface::Network,
            address: from,
            listens: false,
            dials: true,
        };
        let what = "the thread of the Hello messages";
        let served = Fleet::named(vec![member], names, Reach::Anywhere, "hello", what);
        let served = served.map_err(|error| match error {
            PortsError::Thread { source } | PortsError::Listen { source, .. } => source,
            other => io::Error::other(other),
        })?;
        Ok(Self { served })
    }

    pub fn stop(self) -> io::Result<()> {
        self.served.stop()
    }
}

/// Sends what no device would: these pieces over one TCP connection from that address of the machine, a moment between
/// them so that they do not travel together, then FIN.
pub fn call_from(from: IpAddr, to: SocketAddr, pieces: &[Vec<u8>]) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(5);
    const BREATH: Duration = Duration::from_millis(250);
    // A listener that is busy should see them apart too. Many pieces get less of it each.
    let breath =
        BREATH.min(Duration::from_secs(1) / u32::try_from(pieces.len().max(1)).unwrap_or(u32::MAX));
    let mut socket: TcpStream = sys::connect_start(Some(from), to)?;
    if poll(&[(socket.as_fd(), libc::POLLOUT)], Some(PATIENCE))? == [0] {
        return Err(io::ErrorKind::TimedOut.into());
    }
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    for piece in pieces {
        socket.write_all(piece)?;
        std::thread::sleep(breath);
    }
    socket.shutdown(Shutdown::Write)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;
    use crate::host::testing::amthi;
    use crate::{Device, Profile};

    #[test]
    fn the_message_arrives_whole_from_the_devices_address() {
        let sca = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = sca.local_addr().unwrap().port().to_string();
        let profile = Profile::builtin("tiger-lake-15")
            .and_then(|profile| profile.with("timings.key_generation_ms", "50"))
            .and_then(|profile| profile.with("setup_server.address", "127.0.0.1"))
            .and_then(|profile| profile.with("setup_server.port", &port))
            .unwrap();
        let device = SharedDevice::new(Device::of(profile.into()).build().unwrap());
        let own = IpAddr::from([127, 0, 0, 79]);
        let sender = HelloSender::start(&device, Some(own)).unwrap();
        device.with(None, |device| {
            amthi(device, 0x29);
        });
        let (mut peer, from) = sca.accept().unwrap();
        assert_eq!(from.ip(), own);
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        drop(peer);
        assert_eq!(bytes[..8], [1, 0, 3, 0, 0, 0, 0, 0]);
        assert_eq!(bytes.len(), 25 + usize::from(bytes[24]) * 34);
        let told = || {
            device.with(None, |device| {
                device
                    .journal()
                    .any(|entry| matches!(entry.event, crate::device::Event::HelloEnded { .. }))
            })
        };
        for _ in 0..500 {
            if told() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(told());
        sender.stop().unwrap();
    }

    #[test]
    fn a_stranger_calls_from_another_address_in_pieces() {
        let sca = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = sca.local_addr().unwrap();
        let own = IpAddr::from([127, 0, 0, 78]);
        call_from(own, to, &[vec![1, 2], vec![3]]).unwrap();
        let (mut peer, from) = sca.accept().unwrap();
        assert_eq!(from.ip(), own);
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 3]);
        drop(sca);
        assert!(call_from(own, to, &[vec![1]]).is_err());
    }
}
