//! Where a run can be spoiled, as the device itself recorded it in an honest one, and what can go wrong there.

use std::collections::BTreeMap;

use amt_sim::device::{Chance, FaultEffect, FaultPoint, HelloFault};
use amt_sim::pki::WrongChain;
use amt_sim::{ClientKind, Errno, Fault};

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
    /// Journal entry of the honest run that was made next.
    pub before: u64,
}

/// Every occasion that the device met, in order.
pub fn points(chances: &[Chance]) -> Vec<Point> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut points = Vec::new();
    for chance in chances {
        let Some(layer) = layer_of(chance) else {
            continue;
        };
        let mut fault = Fault {
            at: chance.at,
            client: chance.client,
            command: chance.command,
            request: chance.request.clone(),
            after: 0,
            times: Some(1),
            effect: FaultEffect::Drop,
        };
        let turn = counts.entry(fault.to_string()).or_default();
        fault.after = *turn;
        *turn += 1;
        points.push(Point {
            layer,
            fault,
            before: chance.before,
        });
    }
    points
}

/// Requests that are no methods.
const TRANSFERS: [&str; 11] = [
    "Identify",
    "Get",
    "Put",
    "Create",
    "Delete",
    "Enumerate",
    "Pull",
    "Release",
    "Subscribe",
    "Unsubscribe",
    "unknown",
];

fn layer_of(chance: &Chance) -> Option<Layer> {
    Some(match chance.at {
        FaultPoint::Open | FaultPoint::Connect | FaultPoint::Write | FaultPoint::Read => {
            Layer::Errno
        }
        FaultPoint::Answer if chance.client == Some(ClientKind::Lme) => Layer::Apf,
        FaultPoint::Answer => Layer::Message,
        FaultPoint::Channel => Layer::Apf,
        FaultPoint::Tls => Layer::Tls,
        FaultPoint::Odca => Layer::Certificate,
        FaultPoint::Http => Layer::Http,
        // What can befall any answer befalls it at `http`; only a method has a value to return.
        FaultPoint::Wsman => {
            let (_, action) = chance.request.as_deref()?.split_once('.')?;
            let is_method = !TRANSFERS.contains(&action);
            return is_method.then_some(Layer::ReturnValue);
        }
        FaultPoint::Hello => Layer::Hello,
        FaultPoint::Commit => Layer::State,
        FaultPoint::Power => Layer::Power,
    })
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
            (FaultEffect::Errno(Errno::Eintr), ONCE),
        ],
        // No ENOTTY: whoever believes that there is no such client is told so by the device.
        (Layer::Errno, FaultPoint::Connect) => vec![
            (FaultEffect::Errno(Errno::Ebusy), ONCE),
            (FaultEffect::Errno(Errno::Ebusy), THRICE),
            (FaultEffect::Errno(Errno::Ebusy), None),
            (FaultEffect::Errno(Errno::Enodev), ONCE),
            (FaultEffect::Errno(Errno::Enodev), None),
            (FaultEffect::Errno(Errno::Etime), ONCE),
            (FaultEffect::Errno(Errno::Eintr), ONCE),
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
