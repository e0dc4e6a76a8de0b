//! What a device saw, as a capture file that Wireshark and tshark open.
//!
//! ```text
//!   interface  link type   what
//!   0 lan      Ethernet    connections to the device's ports from the network, and its Hello messages
//!   1 host     Ethernet    connections to its ports from the host: over LME, or as LMS offers them
//!   2 mei      USER0       whole MEI messages, each with a comment that says what it is
//! ```
//! Ethernet, IP and TCP are made up around the bytes: the device knows connections, no packets. TLS secrets, when
//! they were recorded, stand in Decryption Secrets Blocks before the packets that they open, so that the file
//! needs nothing beside it. It holds passwords and whatever else went by: nothing is taken out.
//!
//! Nothing here does I/O: bytes come out.

mod describe;
mod packet;
mod pcapng;

use std::collections::BTreeMap;
use std::time::Duration;

pub use describe::{Description, describe};

use crate::device::{DialEnd, Entry, Event, Interface, Party, Passage, Recording, Traffic};
use crate::time::Instant;
use packet::{Flow, Sender};
use pcapng::Writer;

const LAN: u32 = 0;
const HOST: u32 = 1;
const MEI: u32 = 2;

/// A capture in the making.
#[derive(Debug)]
pub struct Capture {
    out: Writer,
    /// What the clock shows at the device's time 0, since 1970.
    power_on: Duration,
    streams: BTreeMap<u32, (u32, Flow)>,
    dials: BTreeMap<u32, (Flow, Vec<u8>)>,
}

impl Capture {
    /// `power_on` is what the clock showed, since 1970, when the device was switched on.
    pub fn new(power_on: Duration) -> Self {
        let mut out = Writer::new(concat!("amt-sim ", env!("CARGO_PKG_VERSION")));
        out.interface(
            pcapng::ETHERNET,
            "lan",
            "the device's ports from the network",
        );
        out.interface(pcapng::ETHERNET, "host", "the device's ports from the host");
        out.interface(pcapng::USER0, "mei", "MEI messages");
        Self {
            out,
            power_on,
            streams: BTreeMap::new(),
            dials: BTreeMap::new(),
        }
    }

    /// Adds what happened since this was last called.
    pub fn add(&mut self, entries: &[Entry], recording: &Recording) {
        if !recording.secrets.is_empty() {
            self.out.secrets(&recording.secrets);
        }
        let mut entries = entries.iter().peekable();
        for traffic in &recording.traffic {
            while let Some(entry) = entries.next_if(|entry| entry.seq < traffic.before) {
                self.entry(entry);
            }
            self.traffic(traffic);
        }
        for entry in entries {
            self.entry(entry);
        }
    }

    /// The bytes of the file since this was last called.
    pub fn take(&mut self) -> Vec<u8> {
        self.out.take()
    }

    fn time(&self, at: Instant) -> u64 {
        let since = self.power_on + (at - Instant::POWER_ON);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn entry(&mut self, entry: &Entry) {
        let time = self.time(entry.at);
        match &entry.event {
            Event::Received {
                client,
                bytes,
                handle,
            } => {
                let what = describe(*client, Party::Host, bytes);
                let comment = format!("host to {client:?}, handle {handle}: {}", what.text());
                self.out
                    .packet(MEI, time, bytes, Some(&comment), Some(Party::Host));
            }
            Event::Sent {
                client,
                bytes,
                handle,
            } => {
                let what = describe(*client, Party::Device, bytes);
                let comment = format!("{client:?} to host, handle {handle}: {}", what.text());
                self.out
                    .packet(MEI, time, bytes, Some(&comment), Some(Party::Device));
            }
            Event::Hello {
                dial,
                hosts,
                port,
                bytes,
                ..
            } => {
                let to = hosts.iter().find_map(|host| host.parse().ok());
                let mut flow = Flow::outward(*dial, to, *port);
                self.out.packet(LAN, time, &flow.syn(), None, None);
                self.dials.insert(*dial, (flow, bytes.clone()));
            }
            Event::HelloEnded { dial, end } => {
                let Some((mut flow, bytes)) = self.dials.remove(dial) else {
                    return;
                };
                let packets = match end {
                    DialEnd::Sent { .. } => {
                        let mut packets = flow.accept();
                        packets.extend(flow.data(Sender::Client, &bytes));
                        packets.extend(flow.close());
                        packets
                    }
                    DialEnd::Failed { .. } => vec![flow.refuse()],
                };
                for packet in packets {
                    self.out.packet(LAN, time, &packet, None, None);
                }
            }
            _ => {}
        }
    }

    fn traffic(&mut self, traffic: &Traffic) {
        let time = self.time(traffic.at);
        if let Passage::Opened { side, port } = traffic.what {
            let interface = match side {
                Interface::Network => LAN,
                Interface::Local => HOST,
            };
            let mut flow = Flow::inward(side, traffic.stream, port);
            self.out.packet(interface, time, &flow.syn(), None, None);
            for packet in flow.accept() {
                self.out.packet(interface, time, &packet, None, None);
            }
            self.streams.insert(traffic.stream, (interface, flow));
            return;
        }
        let Some((interface, flow)) = self.streams.get_mut(&traffic.stream) else {
            return; // It was opened before anybody looked.
        };
        let interface = *interface;
        let packets = match &traffic.what {
            Passage::Wire { by, bytes } => {
                let from = match by {
                    Party::Host => Sender::Client,
                    Party::Device => Sender::Server,
                };
                flow.data(from, bytes)
            }
            Passage::Ended => flow.end(Sender::Client),
            Passage::Closed => flow.close(),
            Passage::Opened { .. } | Passage::Text { .. } => Vec::new(),
        };
        if matches!(traffic.what, Passage::Closed) {
            self.streams.remove(&traffic.stream);
        }
        for packet in packets {
            self.out.packet(interface, time, &packet, None, None);
        }
    }
}

#[cfg(test)]
mod tests;
