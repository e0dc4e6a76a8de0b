//! Where a run can be spoiled, read from the journal of an honest one, and what can go wrong there.

use std::collections::BTreeMap;

use amt_sim::device::{FaultEffect, FaultPoint};
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
        /// An answer of the device's web server.
        Http = "http",
        /// What a method returns.
        ReturnValue = "return-value",
        /// What the device makes of what it was asked.
        State = "state",
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
    for entry in journal {
        for (layer, mut fault) in occasions(&entry.event) {
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

fn occasions(event: &Event) -> Vec<(Layer, Fault)> {
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
            vec![(
                Layer::Errno,
                fault(FaultPoint::Write, Some(*client), command),
            )]
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
        Event::HttpRequest { .. } => vec![(Layer::Http, fault(FaultPoint::Http, None, None))],
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
