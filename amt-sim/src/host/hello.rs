//! Makes the connections that a device wants: Hello messages to its SCA.
//!
//! One TCP connection from the device's own address for each, the message in one write, then FIN. Nobody answers;
//! whether it arrived shows in the SCA's coming.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::poll::poll;
use super::shared::{SharedDevice, Watch};
use super::sys;
use super::worker::Worker;
use crate::device::{Dial, DialEnd};

/// How long one address may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the SCA may take to close too.
const PARTING: Duration = Duration::from_secs(2);

/// Sends a device's Hello messages until it is stopped or dropped.
#[derive(Debug)]
pub struct HelloSender {
    worker: Worker,
}

impl HelloSender {
    /// `from` is the device's own address on the LAN; any of this machine when it has none.
    pub fn start(device: &SharedDevice, from: Option<IpAddr>) -> io::Result<Self> {
        let watch = device.watch()?;
        let device = device.clone();
        let worker = Worker::start("hello", "the thread of the Hello messages", move |stop| {
            run(&device, &watch, from, stop)
        })?;
        Ok(Self { worker })
    }

    pub fn stop(self) -> io::Result<()> {
        self.worker.stop()
    }
}

fn run(
    device: &SharedDevice,
    watch: &Watch,
    from: Option<IpAddr>,
    stop: BorrowedFd<'_>,
) -> io::Result<()> {
    loop {
        for dial in device.with(Some(watch), |device| device.take_dials()) {
            let device = device.clone();
            // A name server or an SCA may be slow; neither may hold up the device.
            std::thread::Builder::new()
                .name("hello".to_owned())
                .spawn(move || make(&device, from, &dial))?;
        }
        let watched = [(stop, libc::POLLIN), (watch.as_fd(), libc::POLLIN)];
        let shown = poll(&watched, device.next_wake())?;
        if shown.first().is_some_and(|stopped| *stopped != 0) {
            return Ok(());
        }
        watch.clear();
    }
}

/// One message; the first address that takes it gets it.
fn make(device: &SharedDevice, from: Option<IpAddr>, dial: &Dial) {
    let mut why = String::new();
    for host in &dial.hosts {
        match (host.as_str(), dial.port).to_socket_addrs() {
            Err(error) => note(&mut why, &format!("{host}: {error}")),
            Ok(addresses) => {
                for address in addresses {
                    match send(from, address, &dial.bytes) {
                        Ok(()) => {
                            let to = address.to_string();
                            let end = DialEnd::Sent { to };
                            device.with(None, |device| device.dial_ended(dial.id, end));
                            return;
                        }
                        Err(error) => note(&mut why, &format!("{address}: {error}")),
                    }
                }
            }
        }
    }
    let end = DialEnd::Failed { why };
    device.with(None, |device| device.dial_ended(dial.id, end));
}

fn note(why: &mut String, more: &str) {
    if !why.is_empty() {
        why.push_str("; ");
    }
    why.push_str(more);
}

fn send(from: Option<IpAddr>, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let from = from.filter(|from| from.is_ipv4() == to.is_ipv4());
    let mut socket: TcpStream = match from {
        Some(from) => sys::connect_from(from, to, PATIENCE)?,
        None => TcpStream::connect_timeout(&to, PATIENCE)?,
    };
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.write_all(bytes)?;
    socket.shutdown(Shutdown::Write)?;
    // Closing before the other side has read everything could turn our FIN into a RST.
    socket.set_read_timeout(Some(PARTING))?;
    while socket.read(&mut [0; 256]).is_ok_and(|count| count > 0) {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::mei::ClientKind;
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
            let handle = device.mei_open().unwrap();
            device
                .mei_connect(handle, ClientKind::Amthi.guid())
                .unwrap();
            device
                .mei_write(handle, &[1, 1, 0, 0, 0x29, 0, 0, 4, 0, 0, 0, 0])
                .unwrap();
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
}
