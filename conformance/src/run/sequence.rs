//! A run as a sequence diagram: what went where, when, and what it said.

use std::collections::BTreeMap;
use std::time::Duration;

use amt_sim::capture::describe;
use amt_sim::device::{Interface, Party, Passage, Recording};
use amt_sim::{ClientKind, Entry, Event};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wire_text::{action, hex_dump, http, messages};
use crate::words::words;

/// Everything of a run that can be drawn, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// What the clock showed at device time 0: milliseconds since 1970, UTC.
    pub power_on_ms: u64,
    /// That clock is the wall's. In virtual time it is the device's own, and the wall's stands still.
    pub real_time: bool,
    pub arrows: Vec<Arrow>,
    /// Arrows that were left out because there are too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// One message, or something that happened inside of the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrow {
    /// Number of the journal entry.
    pub seq: u64,
    /// Device time since power-on.
    pub at_us: u64,
    pub lane: Lane,
    pub way: Way,
    pub label: String,
    /// Something was refused, broken or false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bad: bool,
    /// The message, decoded. Runs that passed keep none unless it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<String>,
}

words! {
    /// What an arrow belongs to.
    Lane {
        /// ME clients, between the host and the device.
        Mei = "mei",
        Tls = "tls",
        Wsman = "wsman",
        /// Hello and other datagrams, between the device and the network.
        Lan = "lan",
        Device = "device",
    }
}

words! {
    /// From where to where.
    Way {
        /// A program on the host to the device.
        FromHost = "from-host",
        ToHost = "to-host",
        /// Somebody in the network to the device.
        FromLan = "from-lan",
        ToLan = "to-lan",
        /// No message: it happened there.
        Note = "note",
    }
}

// The signature is serde's.
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// When device time began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Epoch {
    /// Since 1970.
    pub power_on: Duration,
    pub real_time: bool,
}

/// How much of a run is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Names only; the same thing many times in a row is one arrow.
    Names,
    /// Every message, and what it said.
    Wire,
}

/// Arrows of one run.
const MOST_NAMES: usize = 400;
const MOST_WIRE: usize = 4000;

impl Sequence {
    pub fn of(journal: &[Entry], recording: &Recording, epoch: Epoch, detail: Detail) -> Self {
        let mut drawing = Drawing {
            detail,
            talks: match detail {
                Detail::Names => BTreeMap::new(),
                Detail::Wire => talks(recording),
            },
            sides: BTreeMap::new(),
            pending: None,
            arrows: Vec::new(),
        };
        for entry in journal {
            drawing.entry(entry);
        }
        let mut arrows = drawing.arrows;
        let most = match detail {
            Detail::Names => {
                arrows = folded(arrows);
                MOST_NAMES
            }
            Detail::Wire => MOST_WIRE,
        };
        let left_out = arrows.len().saturating_sub(most);
        arrows.truncate(most);
        Self {
            power_on_ms: u64::try_from(epoch.power_on.as_millis()).unwrap_or(u64::MAX),
            real_time: epoch.real_time,
            arrows,
            left_out,
        }
    }
}

/// The same arrow, or the same question and answer, several times in a row become one.
fn folded(arrows: Vec<Arrow>) -> Vec<Arrow> {
    let same = |a: &Arrow, b: &Arrow| {
        (a.lane, a.way, a.bad) == (b.lane, b.way, b.bad) && a.label == b.label
    };
    let mut out: Vec<(Arrow, usize)> = Vec::new();
    let mut rest = arrows.into_iter().peekable();
    while let Some(arrow) = rest.next() {
        if let Some((last, count)) = out.last_mut()
            && same(last, &arrow)
        {
            *count += 1;
            continue;
        }
        if let [.., (first, asked), (second, answered)] = out.as_mut_slice()
            && asked == answered
            && same(first, &arrow)
            && rest.peek().is_some_and(|next| same(second, next))
        {
            *asked += 1;
            *answered += 1;
            rest.next();
            continue;
        }
        out.push((arrow, 1));
    }
    out.into_iter()
        .map(|(mut arrow, count)| {
            if count > 1 {
                arrow.label += &format!(" ({count} times)");
            }
            arrow
        })
        .collect()
}

/// Both directions of one connection, without TLS.
#[derive(Default)]
struct Talk {
    said: [Vec<u8>; 2],
    /// There is TLS around it, so what is on the wire is not what is said.
    sealed: bool,
    /// Exchanges that were shown.
    shown: usize,
}

fn talks(recording: &Recording) -> BTreeMap<u32, Talk> {
    let mut found: BTreeMap<u32, Talk> = BTreeMap::new();
    for traffic in &recording.traffic {
        let talk = found.entry(traffic.stream).or_default();
        let (by, bytes, sealed) = match &traffic.what {
            Passage::Wire { by, bytes } => (*by, bytes, false),
            Passage::Text { by, bytes } => (*by, bytes, true),
            Passage::Opened { .. } | Passage::Ended | Passage::Closed => continue,
        };
        if sealed && !talk.sealed {
            talk.sealed = true;
            talk.said = Default::default();
        }
        if sealed == talk.sealed {
            talk.said[usize::from(by == Party::Device)].extend_from_slice(bytes);
        }
    }
    found
}

struct Drawing {
    detail: Detail,
    talks: BTreeMap<u32, Talk>,
    sides: BTreeMap<u32, Interface>,
    /// What WS-Management said of the request that HTTP is about to tell of.
    pending: Option<Wsman>,
    arrows: Vec<Arrow>,
}

struct Wsman {
    asked: String,
    answered: String,
    bad: bool,
}

impl Drawing {
    fn add(&mut self, entry: &Entry, lane: Lane, way: Way, label: impl Into<String>) -> &mut Arrow {
        self.arrows.push(Arrow {
            seq: entry.seq,
            at_us: entry.at.as_nanos() / 1000,
            lane,
            way,
            label: label.into(),
            bad: false,
            wire: None,
        });
        let last = self.arrows.len() - 1;
        &mut self.arrows[last]
    }

    fn entry(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Received { client, bytes, .. } => {
                self.message(entry, *client, Party::Host, bytes);
            }
            Event::Sent { client, bytes, .. } => {
                self.message(entry, *client, Party::Device, bytes);
            }
            // Their messages say it.
            Event::Command { .. } | Event::Opened { .. } | Event::Closed { .. } => {}
            Event::StreamOpened { stream, side, .. } => {
                self.sides.insert(*stream, *side);
            }
            Event::StreamClosed { .. }
            | Event::ChannelOpened { .. }
            | Event::ChannelClosed { .. } => {}
            Event::Connected { client, handle, .. } => {
                self.add(
                    entry,
                    Lane::Mei,
                    Way::Note,
                    format!("handle {handle} is connected to {client:?}"),
                );
            }
            Event::Refused {
                operation,
                errno,
                why,
                ..
            } => {
                let label = format!("{operation:?}: {errno:?} ({why})");
                self.add(entry, Lane::Mei, Way::Note, label).bad = true;
            }
            Event::Wsman {
                action,
                class,
                return_value,
                status,
                fault,
                ..
            } => {
                let answered = match (fault, return_value, status) {
                    (Some(fault), ..) => format!("fault {fault}"),
                    (None, Some(value), Some(name)) => format!("{name} ({value})"),
                    (None, Some(value), None) => format!("returns {value}"),
                    (None, None, _) => "answered".to_owned(),
                };
                self.pending = Some(Wsman {
                    asked: format!("{action} {class}").trim_end().to_owned(),
                    answered,
                    bad: fault.is_some() || return_value.is_some_and(|value| value != 0),
                });
            }
            Event::HttpRequest {
                stream,
                method,
                target,
                user,
                status,
            } => self.exchange(
                entry,
                *stream,
                &format!("{method} {target}"),
                user.as_deref(),
                *status,
            ),
            Event::TlsEstablished {
                stream,
                version,
                cipher,
                client,
                ..
            } => {
                let way = self.way_in(*stream);
                let who = client.as_ref().map_or(String::new(), |client| {
                    format!(", client {:?}", client.subject)
                });
                let label = format!("TLS {version} {cipher}{who}");
                let wire = self.fields(entry);
                self.add(entry, Lane::Tls, way, label).wire = wire;
            }
            Event::TlsFailed { stream, why, .. } => {
                let way = self.way_in(*stream);
                let wire = self.fields(entry);
                let arrow = self.add(entry, Lane::Tls, way, format!("TLS failed: {why}"));
                arrow.bad = true;
                arrow.wire = wire;
            }
            Event::Hello {
                hosts,
                port,
                retry,
                bytes,
                ..
            } => {
                let label = format!("Hello {} to {} port {port}", retry + 1, hosts.join(", "));
                let wire = (self.detail == Detail::Wire).then(|| hello(bytes));
                self.add(entry, Lane::Lan, Way::ToLan, label).wire = wire;
            }
            Event::Datagram {
                from, port, size, ..
            } => {
                let label = format!("datagram of {size} bytes from {from} to port {port}");
                self.add(entry, Lane::Lan, Way::FromHost, label);
            }
            other => {
                let (lane, bad) = match other {
                    Event::Malformed { .. }
                    | Event::UnknownCommand { .. }
                    | Event::HungUp { .. } => (Lane::Mei, true),
                    Event::ChannelRefused { .. } => (Lane::Mei, true),
                    Event::LinkReset { .. } => (Lane::Mei, true),
                    Event::LinkUp | Event::PortForwarded { .. } => (Lane::Mei, false),
                    Event::WsmanFinding { .. } => (Lane::Wsman, false),
                    Event::HttpMalformed { .. } | Event::LoginRefused { .. } => (Lane::Wsman, true),
                    Event::HelloEnded { end, .. } => (
                        Lane::Lan,
                        matches!(end, amt_sim::device::DialEnd::Failed { .. }),
                    ),
                    Event::ModeRefused { .. }
                    | Event::FaultInjected { .. }
                    | Event::Overflow { .. } => (Lane::Device, true),
                    Event::HostBasedSetup { refusal, .. } => (Lane::Device, refusal.is_some()),
                    _ => (Lane::Device, false),
                };
                let label = in_words(other);
                self.add(entry, lane, Way::Note, label).bad = bad;
            }
        }
    }

    fn message(&mut self, entry: &Entry, client: ClientKind, by: Party, bytes: &[u8]) {
        let what = describe(client, by, bytes);
        let way = match by {
            Party::Host => Way::FromHost,
            Party::Device => Way::ToHost,
        };
        let wire = (self.detail == Detail::Wire).then(|| {
            let mut text = format!("{} of {} bytes, {client:?}\n", what.label, bytes.len());
            for (name, value) in &what.fields {
                text += &format!("  {name:<10} {value}\n");
            }
            text + "\n" + &hex_dump(bytes)
        });
        let arrow = self.add(entry, Lane::Mei, way, what.label);
        arrow.bad = what.bad;
        arrow.wire = wire;
    }

    /// A request to the web server and its answer.
    fn exchange(
        &mut self,
        entry: &Entry,
        stream: u32,
        asked: &str,
        user: Option<&str>,
        status: u16,
    ) {
        let spoken = self.pending.take();
        let (request, response) = self.next_exchange(stream);
        let action = request.as_deref().and_then(action);
        let asked = match (&spoken, action) {
            (Some(spoken), _) => spoken.asked.clone(),
            (None, Some(action)) => format!("{asked} {action}"),
            (None, None) => asked.to_owned(),
        };
        let asked = match user {
            Some(user) => format!("{asked} as {user}"),
            None => asked,
        };
        let answered = match &spoken {
            Some(spoken) => format!("{status}, {}", spoken.answered),
            None => format!("HTTP {status}"),
        };
        let way = self.way_in(stream);
        let wire = request.as_deref().map(http);
        self.add(entry, Lane::Wsman, way, asked).wire = wire;
        let wire = response.as_deref().map(http);
        let back = match way {
            Way::FromLan => Way::ToLan,
            _ => Way::ToHost,
        };
        let arrow = self.add(entry, Lane::Wsman, back, answered);
        // 401 is how a login begins.
        arrow.bad = spoken.is_some_and(|spoken| spoken.bad) || (status >= 400 && status != 401);
        arrow.wire = wire;
    }

    /// The n-th request of a connection belongs to its n-th entry.
    fn next_exchange(&mut self, stream: u32) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let Some(talk) = self.talks.get_mut(&stream) else {
            return (None, None);
        };
        let nth = |bytes: &Vec<u8>| messages(bytes).get(talk.shown).map(|found| found.to_vec());
        let found = (nth(&talk.said[0]), nth(&talk.said[1]));
        talk.shown += 1;
        found
    }

    fn way_in(&self, stream: u32) -> Way {
        match self.sides.get(&stream) {
            Some(Interface::Network) => Way::FromLan,
            _ => Way::FromHost,
        }
    }

    fn fields(&self, entry: &Entry) -> Option<String> {
        (self.detail == Detail::Wire).then(|| {
            let value = serde_json::to_value(&entry.event).unwrap_or_default();
            serde_json::to_string_pretty(&value).unwrap_or_default()
        })
    }
}

/// Any event in one line: its kind and its fields.
pub(crate) fn in_words(event: &Event) -> String {
    match event {
        Event::Received { client, bytes, .. } => {
            return format!(
                "host to {client:?}: {}",
                describe(*client, Party::Host, bytes).text()
            );
        }
        Event::Sent { client, bytes, .. } => {
            return format!(
                "{client:?} to host: {}",
                describe(*client, Party::Device, bytes).text()
            );
        }
        _ => {}
    }
    // An event is strings, numbers and nested tagged values: serialising it cannot fail.
    let value = serde_json::to_value(event).unwrap_or_default();
    let Value::Object(fields) = value else {
        return String::new();
    };
    let kind = fields
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut words = vec![kind.replace('-', " ")];
    for (name, value) in &fields {
        let shown = match value {
            Value::Null => continue,
            Value::String(text) if name == "bytes" => format!("{} bytes", text.len() / 2),
            Value::String(text) => text.clone(),
            Value::Array(list) if list.is_empty() => continue,
            other => other.to_string(),
        };
        if name != "kind" {
            words.push(format!("{}={shown}", name.replace('_', "-")));
        }
    }
    words.join(" ")
}

/// A Hello message by its fields; little-endian, its layout is in `amt_sim`'s `setup/hello.rs`.
fn hello(bytes: &[u8]) -> String {
    let number = |at: usize, size: usize| {
        let field = bytes.get(at..at + size).unwrap_or_default();
        field
            .iter()
            .rev()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let mut text = format!(
        "Hello of {} bytes\n  credentials {}\n  version     {}\n  count       {}\n  hashes      {}\n",
        bytes.len(),
        number(0, 2),
        number(2, 2),
        number(4, 4),
        number(24, 1),
    );
    if let Some(uuid) = bytes.get(8..24).and_then(|uuid| uuid.try_into().ok()) {
        text += &format!("  uuid        {}\n", amt_sim::Guid::from_wire(uuid));
    }
    let mut at = 25;
    while let (Some(kind), Some(length)) = (bytes.get(at), bytes.get(at + 1)) {
        let end = at + 2 + usize::from(*length);
        let hash = bytes.get(at + 2..end).unwrap_or_default();
        text += &format!("  algorithm {kind}  {}\n", amt_sim::hex::encode(hash));
        at = end;
    }
    text + "\n" + &hex_dump(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amt_sim::{Device, Preset};

    fn journal_of_a_request() -> (Vec<Entry>, Recording) {
        let builder = Device::builder("tiger-lake-15").preset(Preset::Admin);
        let mut device = builder.build().unwrap();
        device.record_streams(true);
        let stream = device.stream_open(Interface::Network, 16992).unwrap();
        device.stream_receive(stream, b"GET /index.htm HTTP/1.1\r\nHost: amt\r\n\r\n");
        device.stream_take(stream, usize::MAX);
        device.stream_close(stream);
        (device.drain_journal(), device.take_recording())
    }

    #[test]
    fn an_exchange_is_two_arrows_with_what_they_said() {
        let (journal, recording) = journal_of_a_request();
        let sequence = Sequence::of(&journal, &recording, Epoch::default(), Detail::Wire);
        let [.., asked, answered] = sequence.arrows.as_slice() else {
            panic!("{sequence:?}")
        };
        assert_eq!((asked.lane, asked.way), (Lane::Wsman, Way::FromLan));
        assert_eq!(asked.label, "GET /index.htm");
        assert!(
            asked
                .wire
                .as_deref()
                .unwrap()
                .starts_with("GET /index.htm HTTP/1.1\n")
        );
        assert_eq!(answered.way, Way::ToLan);
        assert!(answered.wire.as_deref().unwrap().starts_with("HTTP/1.1 "));
    }

    #[test]
    fn names_alone_carry_no_wire() {
        let (journal, recording) = journal_of_a_request();
        let sequence = Sequence::of(&journal, &recording, Epoch::default(), Detail::Names);
        assert!(sequence.arrows.iter().all(|arrow| arrow.wire.is_none()));
    }

    #[test]
    fn the_same_again_is_one_arrow() {
        let arrow = Arrow {
            seq: 1,
            at_us: 0,
            lane: Lane::Mei,
            way: Way::ToHost,
            label: "CHANNEL_DATA".to_owned(),
            bad: false,
            wire: None,
        };
        let folded = folded(vec![arrow.clone(), arrow.clone(), arrow]);
        assert_eq!(folded.len(), 1);
        assert_eq!(folded[0].label, "CHANNEL_DATA (3 times)");
    }

    #[test]
    fn the_same_questions_and_answers_are_one_of_each() {
        let arrow = |label: &str| Arrow {
            seq: 1,
            at_us: 0,
            lane: Lane::Mei,
            way: Way::ToHost,
            label: label.to_owned(),
            bad: false,
            wire: None,
        };
        let arrows: Vec<Arrow> = "x a b a b a b a c b".split(' ').map(arrow).collect();
        let labels: Vec<String> = folded(arrows)
            .into_iter()
            .map(|arrow| arrow.label)
            .collect();
        assert_eq!(labels, ["x", "a (3 times)", "b (3 times)", "a", "c", "b"]);
    }
}
