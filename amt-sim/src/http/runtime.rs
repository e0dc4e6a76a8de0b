//! The connections of one device: what came in and is not understood yet, what goes out and is not taken yet.

use std::collections::{BTreeMap, VecDeque};

use super::lock::Locks;
use super::nonce::Nonces;
use super::parser::{LONGEST_BODY, LONGEST_HEAD, Parser, Step};
use super::response::Response;
use super::secure::{self, Credentials, Secure};
use super::{NotListening, StreamId, server};
use crate::device::{
    Caller, Event, Fault, FaultEffect, FaultPoint, Firmware, Interface, Occasion, Party, Passage,
    listening,
};
use crate::time::Instant;
use crate::wsman::After;

/// More connections than that are refused.
const MOST_STREAMS: usize = 256;

/// While this many bytes wait for the peer, its further requests wait too.
const HIGH_WATER: usize = 64 * 1024;

/// A peer that sends more than that ahead without taking its answers is cut off.
const MOST_AHEAD: usize = 4 * (LONGEST_HEAD + LONGEST_BODY);

/// All connections of one device, and what they have in common.
#[derive(Debug, Default)]
pub(crate) struct Runtime {
    streams: BTreeMap<StreamId, Stream>,
    next: u32,
    /// Counts what happened to a stream by something other than its own bytes.
    disturbances: u64,
    pub(super) nonces: Nonces,
    pub(super) locks: Locks,
    pub(super) credentials: Credentials,
}

#[derive(Debug)]
struct Stream {
    side: Interface,
    port: u16,
    /// Between the wire and HTTP, on a port that speaks TLS.
    secure: Option<Secure>,
    parser: Parser,
    /// Answers that nobody has taken, or that are not sealed yet.
    output: VecDeque<u8>,
    /// Nothing leaves before that: a delay that was asked for.
    not_before: Instant,
    /// The peer sends no more.
    ended: bool,
    /// The device takes no more, and closes when everything is taken.
    finished: bool,
}

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Http,
    /// HTTP in TLS.
    Https,
}

/// WS-Management and pages, without TLS.
const HTTP_PORT: u16 = 16992;

/// The same with TLS.
const HTTPS_PORT: u16 = 16993;

/// What listens on this port for this side now.
fn speech(fw: &Firmware, side: Interface, port: u16) -> Option<Speech> {
    let listening = listening(fw, side);
    match port {
        HTTP_PORT if listening.plain => Some(Speech::Http),
        HTTPS_PORT if listening.tls => Some(Speech::Https),
        _ => None,
    }
}

impl Runtime {
    pub(crate) fn disturbances(&self) -> u64 {
        self.disturbances
    }

    /// When the next answer that is held back may leave.
    pub(crate) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let streams = self.streams.values().filter(|stream| stream.waiting() > 0);
        streams
            .map(|stream| stream.not_before)
            .filter(|moment| *moment > now)
            .min()
    }

    pub(super) fn pending(&self, stream: StreamId, now: Instant) -> usize {
        self.streams
            .get(&stream)
            .map_or(0, |stream| stream.available(now))
    }

    /// Every connection ends once its answers are taken: the ports come up anew. `asker` is still to be answered.
    fn restart(&mut self, asker: StreamId) {
        for (id, stream) in &mut self.streams {
            stream.finished = true;
            if *id != asker {
                stream.seal();
            }
        }
        self.disturbances += 1;
    }

    /// What is left when the power comes back: nothing but the numbers that were given out.
    pub(crate) fn after_power_cut(&self) -> Self {
        Self {
            next: self.next,
            disturbances: self.disturbances + 1,
            ..Self::default()
        }
    }

    fn free_id(&mut self) -> StreamId {
        loop {
            let id = StreamId(self.next);
            self.next = self.next.wrapping_add(1);
            if !self.streams.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Stream {
    /// What came from the wire, handed to the parser. Gives what TLS made of it.
    fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &mut self.secure {
            None => {
                self.parser.push(bytes);
                Vec::new()
            }
            Some(Secure { tls, .. }) => {
                tls.receive(bytes);
                let text = tls.plaintext();
                self.parser.push(&text);
                self.ended |= tls.peer_closed();
                self.finished |= tls.finished();
                text
            }
        }
    }

    /// On a TLS port: seals what is to leave, and says goodbye when nothing follows.
    fn seal(&mut self) {
        if let Some(Secure { tls, .. }) = &mut self.secure {
            tls.send(self.output.make_contiguous());
            self.output.clear();
            if self.finished {
                tls.close_notify();
            }
        }
    }

    /// Bytes for the wire that nobody has taken.
    fn waiting(&self) -> usize {
        let sealed = self.secure.as_ref().map(|secure| secure.tls.pending());
        sealed.unwrap_or(self.output.len())
    }

    /// Bytes that may leave now.
    fn available(&self, now: Instant) -> usize {
        if now < self.not_before {
            0
        } else {
            self.waiting()
        }
    }

    fn take(&mut self, most: usize) -> Vec<u8> {
        match &mut self.secure {
            Some(secure) => secure.tls.take(most),
            None => {
                let count = most.min(self.output.len());
                let rest = self.output.split_off(count);
                std::mem::replace(&mut self.output, rest).into()
            }
        }
    }
}

pub(super) fn listens(fw: &Firmware, side: Interface, port: u16) -> bool {
    speech(fw, side, port).is_some()
}

pub(super) fn open(
    fw: &mut Firmware,
    side: Interface,
    port: u16,
) -> Result<StreamId, NotListening> {
    let speech = speech(fw, side, port).ok_or(NotListening(port))?;
    if fw.web.streams.len() >= MOST_STREAMS {
        return Err(NotListening(port));
    }
    let id = fw.web.free_id();
    fw.record(Event::StreamOpened {
        stream: id.0,
        side,
        port,
    });
    let secure = match speech {
        Speech::Http => None,
        Speech::Https => Some(secure::accept(fw, id, side)),
    };
    let stream = Stream {
        side,
        port,
        secure,
        parser: Parser::default(),
        output: VecDeque::new(),
        not_before: fw.now,
        ended: false,
        finished: false,
    };
    fw.web.streams.insert(id, stream);
    fw.record_traffic(id.0, || Passage::Opened { side, port });
    Ok(id)
}

pub(super) fn receive(fw: &mut Firmware, id: StreamId, bytes: &[u8]) {
    fw.record_traffic(id.0, || Passage::Wire {
        by: Party::Host,
        bytes: bytes.to_vec(),
    });
    if is_deaf(fw, id) {
        return;
    }
    let before = sealed(fw, id);
    if let Some(stream) = fw.web.streams.get_mut(&id) {
        let text = stream.hear(bytes);
        if !text.is_empty() {
            fw.record_traffic(id.0, || Passage::Text {
                by: Party::Host,
                bytes: text,
            });
        }
    }
    report(fw, id);
    serve(fw, id);
    spoil_tls(fw, id, before);
}

/// Bytes of TLS that wait for the peer.
fn sealed(fw: &Firmware, id: StreamId) -> Option<usize> {
    let stream = fw.web.streams.get(&id)?;
    Some(stream.secure.as_ref()?.tls.pending())
}

/// A fault takes effect on what TLS says to what it just heard. `before` bytes were ready before that.
fn spoil_tls(fw: &mut Firmware, id: StreamId, before: Option<usize>) {
    const OCCASION: Occasion = Occasion {
        at: FaultPoint::Tls,
        client: None,
        command: None,
    };
    let (Some(before), Some(now)) = (before, sealed(fw, id)) else {
        return;
    };
    if now <= before {
        return;
    }
    let Some(Fault { effect, .. }) = fw.strike(OCCASION) else {
        return;
    };
    let until = fw.now + effect.delay().unwrap_or_default();
    let Some(stream) = fw.web.streams.get_mut(&id) else {
        return;
    };
    let Some(Secure { tls, .. }) = &mut stream.secure else {
        return;
    };
    match effect {
        FaultEffect::DelayMs(_) => {
            stream.not_before = stream.not_before.max(until);
            return;
        }
        FaultEffect::Truncate(length) => tls.cut(before.saturating_add(length), None),
        // 80 is internal_error.
        FaultEffect::Status(alert) => tls.cut(before, Some(u8::try_from(alert).unwrap_or(80))),
        _ => tls.cut(before, None),
    }
    stream.finished = true;
}

pub(super) fn take(fw: &mut Firmware, id: StreamId, most: usize) -> Vec<u8> {
    let Some(stream) = fw.web.streams.get_mut(&id) else {
        return Vec::new();
    };
    let bytes = stream.take(most.min(stream.available(fw.now)));
    if !bytes.is_empty() {
        fw.record_traffic(id.0, || Passage::Wire {
            by: Party::Device,
            bytes: bytes.clone(),
        });
    }
    // Requests may have waited for this.
    serve(fw, id);
    bytes
}

/// Nothing is held back any more, and the device takes no more.
pub(super) fn finished(fw: &Firmware, id: StreamId) -> bool {
    is_deaf(fw, id)
        && fw
            .web
            .streams
            .get(&id)
            .is_none_or(|stream| stream.waiting() == 0 || stream.not_before <= fw.now)
}

/// Whether the device takes no more on this connection.
fn is_deaf(fw: &Firmware, id: StreamId) -> bool {
    fw.web
        .streams
        .get(&id)
        .is_none_or(|stream| stream.finished || !listens(fw, stream.side, stream.port))
}

pub(super) fn end(fw: &mut Firmware, id: StreamId) {
    if fw.web.streams.contains_key(&id) {
        fw.record_traffic(id.0, || Passage::Ended);
    }
    if let Some(stream) = fw.web.streams.get_mut(&id) {
        stream.ended = true;
        if let Some(Secure { tls, .. }) = &mut stream.secure {
            tls.end();
            stream.finished |= tls.finished();
        }
        report(fw, id);
        serve(fw, id);
    }
}

pub(super) fn close(fw: &mut Firmware, id: StreamId) {
    if fw.web.streams.remove(&id).is_some() {
        fw.record(Event::StreamClosed { stream: id.0 });
        fw.record_traffic(id.0, || Passage::Closed);
    }
}

/// Whom TLS has proven this stream's peer to be.
fn administrator(fw: &Firmware, id: StreamId) -> Option<Caller> {
    let stream = fw.web.streams.get(&id)?;
    secure::administrator(fw, stream.side, stream.secure.as_ref()?)
}

/// Journals what became of the stream's TLS.
fn report(fw: &mut Firmware, id: StreamId) {
    let stream = fw.web.streams.get_mut(&id);
    if let Some(mut secure) = stream.and_then(|stream| stream.secure.take()) {
        secure::report(fw, id, &mut secure);
        if let Some(stream) = fw.web.streams.get_mut(&id) {
            stream.secure = Some(secure);
        }
    }
}

/// Answers every request that is here, as far as the peer takes the answers.
fn serve(fw: &mut Firmware, id: StreamId) {
    answer_all(fw, id);
    if let Some(stream) = fw.web.streams.get_mut(&id) {
        stream.seal();
    }
}

fn answer_all(fw: &mut Firmware, id: StreamId) {
    let strict = fw.profile.web.strict_requests;
    while !is_deaf(fw, id) {
        let Some(stream) = fw.web.streams.get_mut(&id) else {
            return;
        };
        let side = stream.side;
        if stream.output.len().max(stream.waiting()) >= HIGH_WATER {
            if stream.parser.held() > MOST_AHEAD {
                stream.finished = true;
                malformed(fw, id, "the peer sends requests and takes no answers");
            }
            return;
        }
        let response = match stream.parser.step(strict) {
            Step::More if !stream.ended => return,
            Step::More => {
                let cut_off = !stream.parser.is_between_requests();
                stream.finished = true;
                if cut_off {
                    malformed(fw, id, "the connection ended inside a request");
                }
                return;
            }
            Step::Request(request) => {
                let fault = fw.strike(OCCASION);
                if let Some(Fault {
                    effect: FaultEffect::Status(status),
                    ..
                }) = fault
                {
                    server::fail(fw, id, &request, status)
                } else {
                    let proven = administrator(fw, id);
                    let outcome = server::answer(fw, id, side, proven, &request);
                    if outcome.after == After::PortsRestart {
                        fw.web.restart(id);
                    }
                    let mut spoils = fw.wsman.take_spoils();
                    spoils.extend(fault.map(|fault| fault.effect));
                    let mut response = outcome.response;
                    for effect in &spoils {
                        response = spoil(fw, id, response, effect);
                    }
                    response
                }
            }
            Step::Broken(broken) => server::refuse(fw, id, broken.to_string()),
        };
        if let Some(stream) = fw.web.streams.get_mut(&id) {
            stream.output.extend(&response.bytes);
            stream.finished |= response.closes;
            if stream.secure.is_some() {
                fw.record_traffic(id.0, || Passage::Text {
                    by: Party::Device,
                    bytes: response.bytes,
                });
            }
        }
    }
}

const OCCASION: Occasion = Occasion {
    at: FaultPoint::Http,
    client: None,
    command: None,
};

/// What a fault leaves of a response.
fn spoil(
    fw: &mut Firmware,
    id: StreamId,
    mut response: Response,
    effect: &FaultEffect,
) -> Response {
    let left = match effect {
        FaultEffect::Status(_)
        | FaultEffect::Chain(_)
        | FaultEffect::ReturnValue(_)
        | FaultEffect::Hello(_) => {
            return response;
        }
        FaultEffect::DelayMs(_) => {
            let delay = effect.delay().unwrap_or_default();
            let until = fw.now + delay;
            if let Some(stream) = fw.web.streams.get_mut(&id) {
                stream.not_before = stream.not_before.max(until);
            }
            return response;
        }
        FaultEffect::Truncate(length) => *length,
        FaultEffect::Drop
        | FaultEffect::Reset
        | FaultEffect::Errno(_)
        | FaultEffect::Cut
        | FaultEffect::Half => 0,
    };
    response.bytes.truncate(left);
    response.closes = true;
    response
}

fn malformed(fw: &mut Firmware, id: StreamId, why: &str) {
    fw.record(Event::HttpMalformed {
        stream: id.0,
        why: why.to_owned(),
        tolerated: false,
    });
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "secure_tests.rs"]
mod secure_tests;

#[cfg(test)]
#[path = "secure_peer_tests.rs"]
mod secure_peer_tests;

#[cfg(test)]
#[path = "secure_flow_tests.rs"]
mod secure_flow_tests;

#[cfg(test)]
#[path = "out_of_band_tests.rs"]
mod out_of_band_tests;

#[cfg(test)]
#[path = "laboratory_tests.rs"]
mod laboratory_tests;
