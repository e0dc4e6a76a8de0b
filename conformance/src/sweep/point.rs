//! Where a run can be spoiled, read from the journal of an honest one, and what can go wrong there.

use std::collections::{BTreeMap, BTreeSet};

use amt_sim::device::{FaultEffect, FaultPoint, HelloFault, Interface};
use amt_sim::pki::WrongChain;
use amt_sim::tls::Version;
use amt_sim::{ClientKind, Entry, Errno, Event, Fault};

use crate::words::words;

words! {
    /// What a fault is made of.
    Layer {
        /// A system call fails.
        Errno = "errno",
        /// A message of AMTHI or another small client.
        Message = "message",
        /// A message of the AMT port forwarding protocol.
        Apf = "apf",
        /// What TLS says, handshake or records.
        Tls = "tls",
        /// The chain that the device shows.
        Certificate = "certificate",
        /// An answer of the device's web server.
        Http = "http",
        /// What a method returns.
        ReturnValue = "return-value",
        /// A Hello message.
        Hello = "hello",
        /// What the device makes of what it was asked.
        State = "state",
        /// The power is gone for a moment.
        Power = "power",
    }
}

/// One occasion for a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub layer: Layer,
    /// The fault that strikes here and nowhere else, once; its effect is to be chosen.
    pub fault: Fault,
    /// Journal entry of the honest run.
    pub seq: u64,
}

/// Every occasion, in the order of the journal.
pub fn points(journal: &[Entry]) -> Vec<Point> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut points = Vec::new();
    let mut ports = Ports::default();
    for entry in journal {
        ports.see(&entry.event);
        for (layer, mut fault) in occasions(&entry.event, &ports) {
            let turn = counts.entry(fault.to_string()).or_default();
            fault.after = *turn;
            *turn += 1;
            points.push(Point {
                layer,
                fault,
                seq: entry.seq,
            });
        }
    }
    points
}

/// The connections to the device's ports, as far as they matter for what can go wrong.
#[derive(Debug, Default)]
struct Ports {
    over_tls: BTreeSet<u32>,
    /// Bytes come from the network, not in messages of MEI.
    from_outside: BTreeSet<u32>,
}

impl Ports {
    fn see(&mut self, event: &Event) {
        if let Event::StreamOpened { stream, side, port } = event {
            if *port == TLS_PORT {
                self.over_tls.insert(*stream);
            }
            if *side == Interface::Network {
                self.from_outside.insert(*stream);
            }
        }
    }

    /// So many times TLS had something to say, and so many times something came from outside.
    fn passages(&self, stream: u32, said: usize, heard: usize) -> Vec<(Layer, Fault)> {
        let mut points = Vec::new();
        if self.over_tls.contains(&stream) {
            let point = (Layer::Tls, fault(FaultPoint::Tls, None, None));
            points.extend(std::iter::repeat_n(point, said));
        }
        if self.from_outside.contains(&stream) {
            let point = (Layer::Power, fault(FaultPoint::Power, None, None));
            points.extend(std::iter::repeat_n(point, heard));
        }
        points
    }
}

const TLS_PORT: u16 = 16993;

fn occasions(event: &Event, ports: &Ports) -> Vec<(Layer, Fault)> {
    match event {
        Event::Opened { .. } => vec![(Layer::Errno, fault(FaultPoint::Open, None, None))],
        Event::Connected { client, .. } => {
            vec![(
                Layer::Errno,
                fault(FaultPoint::Connect, Some(*client), None),
            )]
        }
        Event::Received { client, bytes, .. } => {
            let command = number(*client, bytes);
            vec![
                (
                    Layer::Errno,
                    fault(FaultPoint::Write, Some(*client), command),
                ),
                (Layer::Power, fault(FaultPoint::Power, None, None)),
            ]
        }
        Event::Sent { client, bytes, .. } => {
            let command = number(*client, bytes);
            let layer = match client {
                ClientKind::Lme => Layer::Apf,
                _ => Layer::Message,
            };
            vec![
                (layer, fault(FaultPoint::Answer, Some(*client), command)),
                (Layer::Errno, fault(FaultPoint::Read, Some(*client), None)),
            ]
        }
        Event::HttpRequest { stream, .. } => {
            let mut points = ports.passages(*stream, 1, 1);
            points.push((Layer::Http, fault(FaultPoint::Http, None, None)));
            points
        }
        // TLS 1.2 has two flights each way, 1.3 one and the end of the other.
        Event::TlsEstablished {
            stream, version, ..
        } => match version {
            Version::Tls12 => ports.passages(*stream, 2, 2),
            Version::Tls13 => ports.passages(*stream, 1, 2),
        },
        Event::HostBasedTlsStarted { .. } => {
            vec![(Layer::Certificate, fault(FaultPoint::Odca, None, None))]
        }
        Event::Hello { .. } => vec![(Layer::Hello, fault(FaultPoint::Hello, None, None))],
        Event::ChannelOpened { .. } => {
            vec![(Layer::Apf, fault(FaultPoint::Channel, None, None))]
        }
        Event::Wsman {
            class,
            action,
            return_value: Some(_),
            ..
        } => {
            let mut fault = fault(FaultPoint::Wsman, None, None);
            fault.request = Some(format!("{class}.{action}"));
            let mut points = vec![(Layer::ReturnValue, fault)];
            if action == "CommitChanges" {
                points.push((Layer::State, self::fault(FaultPoint::Commit, None, None)));
            }
            points
        }
        _ => Vec::new(),
    }
}

/// Whether it is refused whatever an SCA knows beforehand, and whether or not it looks at revocation lists.
fn is_wrong_for_everybody(chain: WrongChain) -> bool {
    !matches!(
        chain,
        WrongChain::LeafOfEachStart
            | WrongChain::Four
            | WrongChain::RevokedLeaf
            | WrongChain::RevokedKernel
            | WrongChain::RevokedRom
            | WrongChain::RevokedIntermediate
    )
}

/// APF_CHANNEL_WINDOW_ADJUST.
const WINDOW_ADJUST: u32 = 93;

fn fault(at: FaultPoint, client: Option<ClientKind>, command: Option<u32>) -> Fault {
    Fault {
        at,
        client,
        command,
        request: None,
        after: 0,
        times: Some(1),
        effect: FaultEffect::Drop,
    }
}

/// The number by which a fault knows a message of this client, where it has one.
///
/// AMTHI: the operation in bits 0 to 22 of the third header word, for request and response alike. LME: the first byte.
fn number(client: ClientKind, bytes: &[u8]) -> Option<u32> {
    match client {
        ClientKind::Amthi => {
            let word: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(u32::from_le_bytes(word) & 0x007f_ffff)
        }
        ClientKind::Lme => bytes.first().copied().map(u32::from),
        _ => None,
    }
}

/// What can go wrong at a point: once and then well, three times and then well, for ever.
pub fn faults_at(point: &Point) -> Vec<Fault> {
    const ONCE: Option<u32> = Some(1);
    const THRICE: Option<u32> = Some(3);
    let minute = FaultEffect::DelayMs(60_000);
    // Longer than anybody should wait.
    let hour = FaultEffect::DelayMs(3_600_000);
    let effects: Vec<(FaultEffect, Option<u32>)> = match (point.layer, point.fault.at) {
        (Layer::Errno, FaultPoint::Open) => vec![
            (FaultEffect::Errno(Errno::Ebusy), ONCE),
            (FaultEffect::Errno(Errno::Ebusy), None),
            (FaultEffect::Errno(Errno::Enodev), ONCE),
            (FaultEffect::Errno(Errno::Enodev), None),
        ],
        // No ENOTTY: whoever believes that there is no such client is told so by the device.
        (Layer::Errno, FaultPoint::Connect) => vec![
            (FaultEffect::Errno(Errno::Ebusy), ONCE),
            (FaultEffect::Errno(Errno::Ebusy), THRICE),
            (FaultEffect::Errno(Errno::Ebusy), None),
            (FaultEffect::Errno(Errno::Enodev), ONCE),
            (FaultEffect::Errno(Errno::Enodev), None),
            (FaultEffect::Errno(Errno::Etime), ONCE),
        ],
        (Layer::Errno, _) => vec![
            (FaultEffect::Errno(Errno::Ebusy), ONCE),
            (FaultEffect::Errno(Errno::Ebusy), None),
            (FaultEffect::Errno(Errno::Enodev), ONCE),
            (FaultEffect::Errno(Errno::Enodev), None),
            (FaultEffect::Errno(Errno::Eintr), ONCE),
            (FaultEffect::Reset, ONCE),
        ],
        // Lengths: nothing, inside of the header, the header alone, inside of the first field.
        (Layer::Message, _) => vec![
            (FaultEffect::Drop, ONCE),
            (FaultEffect::Drop, None),
            (FaultEffect::Reset, ONCE),
            (FaultEffect::Truncate(0), ONCE),
            (FaultEffect::Truncate(7), ONCE),
            (FaultEffect::Truncate(12), ONCE),
            (FaultEffect::Truncate(17), ONCE),
            (FaultEffect::Status(1), ONCE),
            (FaultEffect::Status(1), None),
            (minute, ONCE),
        ],
        (Layer::Apf, FaultPoint::Channel) => vec![
            (FaultEffect::Status(2), ONCE),
            (FaultEffect::Status(4), ONCE),
            (FaultEffect::Status(4), None),
        ],
        // No credit, ever: the host's window stays as it is.
        (Layer::Apf, FaultPoint::Answer) if point.fault.command == Some(WINDOW_ADJUST) => vec![
            (FaultEffect::Drop, ONCE),
            (FaultEffect::Drop, None),
            (minute, ONCE),
        ],
        // Nothing, inside of a record's head, inside of a record; internal_error, and an alert that means nothing.
        (Layer::Tls, _) => vec![
            (FaultEffect::Drop, ONCE),
            (FaultEffect::Truncate(3), ONCE),
            (FaultEffect::Truncate(40), ONCE),
            (FaultEffect::Truncate(40), None),
            (FaultEffect::Status(80), ONCE),
            (FaultEffect::Status(255), ONCE),
            (minute, ONCE),
            (hour, ONCE),
        ],
        // For ever: who comes to an end has believed it.
        (Layer::Certificate, _) => WrongChain::ALL
            .iter()
            .filter(|chain| is_wrong_for_everybody(**chain))
            .map(|chain| (FaultEffect::Chain(*chain), None))
            .collect(),
        (Layer::Hello, _) => [
            HelloFault::Split(1),
            HelloFault::Duplicate,
            HelloFault::Replay,
            HelloFault::Counter(15),
            HelloFault::Version(2),
            HelloFault::Flag(2),
            HelloFault::Uuid,
            HelloFault::Count(255),
            HelloFault::HashLength(7),
            HelloFault::Trailing(8),
        ]
        .into_iter()
        .map(|wrong| (FaultEffect::Hello(wrong), ONCE))
        .chain([(FaultEffect::Drop, ONCE), (FaultEffect::Truncate(20), ONCE)])
        .collect(),
        (Layer::Power, _) => vec![(FaultEffect::Cut, ONCE), (FaultEffect::Drop, ONCE)],
        (Layer::State, _) => vec![
            (FaultEffect::Cut, ONCE),
            (FaultEffect::Half, ONCE),
            (FaultEffect::Drop, ONCE),
            (FaultEffect::Status(1), ONCE),
        ],
        (Layer::Apf, _) => vec![
            (FaultEffect::Drop, ONCE),
            (FaultEffect::Reset, ONCE),
            (FaultEffect::Truncate(1), ONCE),
            (FaultEffect::Truncate(8), ONCE),
            (minute, ONCE),
        ],
        // Lengths: nothing, inside of the status line, inside of the headers, inside of the body.
        (Layer::Http, _) => vec![
            (FaultEffect::Status(500), ONCE),
            (FaultEffect::Status(503), THRICE),
            (FaultEffect::Status(400), None),
            (FaultEffect::Drop, ONCE),
            (FaultEffect::Truncate(9), ONCE),
            (FaultEffect::Truncate(60), ONCE),
            (FaultEffect::Truncate(600), ONCE),
            (minute, ONCE),
            (hour, ONCE),
        ],
        (Layer::ReturnValue, _) => vec![
            (FaultEffect::ReturnValue(1), ONCE),
            (FaultEffect::ReturnValue(1), None),
            (FaultEffect::ReturnValue(2), ONCE),
            (FaultEffect::ReturnValue(16), ONCE),
        ],
    };
    effects
        .into_iter()
        .map(|(effect, times)| Fault {
            effect,
            times,
            ..point.fault.clone()
        })
        .collect()
}
