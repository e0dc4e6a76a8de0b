//! Ethernet, IPv4 and TCP around the bytes of one connection.
//!
//! No packet is ever lost, late or sent twice, every segment is acknowledged by the next one from the other side,
//! and all checksums are right.

use std::net::Ipv4Addr;

use crate::device::Interface;

/// Bytes of one segment.
const MOST: usize = 1460;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// The network of the documentation (RFC 5737): the device and whoever it talks to.
const DEVICE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Who sends a packet: the client opened the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

#[derive(Debug, Clone, Copy)]
struct End {
    address: Ipv4Addr,
    port: u16,
    mac: [u8; 6],
    /// Number of the next byte that it sends.
    next: u32,
    ended: bool,
}

/// One TCP connection.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    client: End,
    server: End,
    /// Counts the packets, for the identification of IP.
    count: u16,
}

const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const DEVICE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A port that no service has, different for connections that follow each other.
fn ephemeral(number: u32) -> u16 {
    // Fourteen bits, so it stays below 65536.
    49152 + (number & 0x3fff) as u16
}

impl End {
    fn new(address: Ipv4Addr, port: u16, mac: [u8; 6]) -> Self {
        Self {
            address,
            port,
            mac,
            next: 1000,
            ended: false,
        }
    }
}

impl Flow {
    /// Somebody connects to a port of the device.
    pub(super) fn inward(side: Interface, stream: u32, port: u16) -> Self {
        let (client, server) = match side {
            Interface::Network => (PEER, DEVICE),
            Interface::Local => (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST),
        };
        Self {
            client: End::new(client, ephemeral(stream), OUR_MAC),
            server: End::new(server, port, DEVICE_MAC),
            count: 0,
        }
    }

    /// The device connects to somebody.
    pub(super) fn outward(dial: u32, to: Option<Ipv4Addr>, port: u16) -> Self {
        Self {
            client: End::new(DEVICE, ephemeral(dial), DEVICE_MAC),
            server: End::new(to.unwrap_or(PEER), port, OUR_MAC),
            count: 0,
        }
    }

    pub(super) fn syn(&mut self) -> Vec<u8> {
        self.packet(Sender::Client, SYN, &[])
    }

    /// The rest of the handshake.
    pub(super) fn accept(&mut self) -> Vec<Vec<u8>> {
        vec![
            self.packet(Sender::Server, SYN | ACK, &[]),
            self.packet(Sender::Client, ACK, &[]),
        ]
    }

    /// Nobody listens.
    pub(super) fn refuse(&mut self) -> Vec<u8> {
        self.packet(Sender::Server, RST | ACK, &[])
    }

    pub(super) fn data(&mut self, from: Sender, bytes: &[u8]) -> Vec<Vec<u8>> {
        bytes
            .chunks(MOST)
            .map(|chunk| self.packet(from, PSH | ACK, chunk))
            .collect()
    }

    /// One side sends no more.
    pub(super) fn end(&mut self, who: Sender) -> Vec<Vec<u8>> {
        let end = match who {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        };
        if std::mem::replace(&mut end.ended, true) {
            return Vec::new();
        }
        vec![self.packet(who, FIN | ACK, &[])]
    }

    /// Whoever has not ended yet does, and the last one is acknowledged.
    pub(super) fn close(&mut self) -> Vec<Vec<u8>> {
        let mut packets = self.end(Sender::Server);
        packets.extend(self.end(Sender::Client));
        packets.push(self.packet(Sender::Server, ACK, &[]));
        packets
    }

    fn packet(&mut self, from: Sender, flags: u8, data: &[u8]) -> Vec<u8> {
        let (source, target) = match from {
            Sender::Client => (&mut self.client, &mut self.server),
            Sender::Server => (&mut self.server, &mut self.client),
        };
        let acknowledged = if flags & ACK == 0 { 0 } else { target.next };
        let mut tcp = Vec::with_capacity(20 + data.len());
        tcp.extend(source.port.to_be_bytes());
        tcp.extend(target.port.to_be_bytes());
        tcp.extend(source.next.to_be_bytes());
        tcp.extend(acknowledged.to_be_bytes());
        tcp.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(data);
        let mut pseudo = Vec::with_capacity(12 + tcp.len());
        pseudo.extend(source.address.octets());
        pseudo.extend(target.address.octets());
        // Never above MOST and a header.
        let length = tcp.len() as u16;
        pseudo.extend([0, 6]);
        pseudo.extend(length.to_be_bytes());
        pseudo.extend(&tcp);
        let sum = checksum(&pseudo);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        // SYN and FIN count as a byte.
        let counted = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        source.next = source.next.wrapping_add(counted);

        let mut ip = vec![0x45, 0];
        ip.extend((20 + length).to_be_bytes());
        ip.extend(self.count.to_be_bytes());
        // Not to be cut up; 64 hops; TCP; room for the checksum.
        ip.extend([0x40, 0, 64, 6, 0, 0]);
        ip.extend(source.address.octets());
        ip.extend(target.address.octets());
        let sum = checksum(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        self.count = self.count.wrapping_add(1);

        let mut frame = Vec::with_capacity(14 + ip.len() + tcp.len());
        frame.extend(target.mac);
        frame.extend(source.mac);
        frame.extend([8, 0]);
        frame.extend(ip);
        frame.extend(tcp);
        frame
    }
}

/// The Internet checksum, RFC 1071.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
