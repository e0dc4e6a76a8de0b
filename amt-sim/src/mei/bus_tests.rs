//! The bus against the errno tables of Linux, case by case, and against a small model of it, at random.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::mei::Guid;
use crate::{Device, Profile};

/// A client that nobody offers.
const NOBODY: Guid = Guid::from_fields(0x1234_5678, 0, 0, [0; 8]);
const TX_QUEUE: usize = 3;
const UNREAD: usize = 2;
const REPLY: Duration = Duration::from_millis(1);
const RESET: Duration = Duration::from_millis(100);

fn device(release_ms: u64) -> Device {
    let mut profile = Profile::builtin("alder-lake-16").unwrap();
    profile.mei.tx_queue = TX_QUEUE;
    profile.assumptions.unread_answers = UNREAD;
    profile.timings.mei_reply_ms = REPLY;
    profile.timings.mei_release_ms = Duration::from_millis(release_ms);
    for client in profile.mei.clients.values_mut() {
        client.connections = 2;
    }
    Device::of(Arc::new(profile)).build().unwrap()
}

/// An AMTHI request that nobody knows, and its answer: the number tells one from the other.
fn request(number: u8) -> Vec<u8> {
    vec![1, 1, 0, 0, number, 0x0f, 0, 4, 0, 0, 0, 0]
}

fn answer(number: u8) -> Vec<u8> {
    vec![1, 1, 0, 0, number, 0x0f, 0x80, 4, 4, 0, 0, 0, 0x12, 8, 0, 0]
}

fn connected(device: &mut Device) -> HandleId {
    let handle = device.mei_open().unwrap();
    let amthi = ClientKind::Amthi.guid();
    device.mei_connect(handle, amthi).unwrap();
    handle
}

fn wait(device: &mut Device) {
    let wake = device.next_wake().unwrap();
    device.advance(wake);
}

#[test]
fn before_a_connect_nothing_goes() {
    let mut device = device(0);
    let handle = device.mei_open().unwrap();
    assert_eq!(device.mei_write(handle, &request(1)), Err(Errno::Enodev));
    assert_eq!(device.mei_read(handle, 5120), Err(Errno::Enodev));
    assert_eq!(device.mei_readiness(handle), Readiness::ERROR);
    assert_eq!(device.mei_connect(handle, NOBODY), Err(Errno::Enotty));
    // A refused connect leaves the descriptor as it was.
    assert!(device.mei_connect(handle, ClientKind::Amthi.guid()).is_ok());
}

#[test]
fn a_descriptor_connects_once() {
    let mut device = device(0);
    let handle = connected(&mut device);
    for guid in [ClientKind::Amthi.guid(), ClientKind::Mkhi.guid(), NOBODY] {
        assert_eq!(device.mei_connect(handle, guid), Err(Errno::Ebusy));
    }
    assert!(device.mei_readiness(handle).writable);
}

#[test]
fn a_client_counts_its_connections() {
    let mut device = device(0);
    let first = connected(&mut device);
    let _second = connected(&mut device);
    let third = device.mei_open().unwrap();
    let amthi = ClientKind::Amthi.guid();
    assert_eq!(device.mei_connect(third, amthi), Err(Errno::Ebusy));
    assert!(device.mei_connect(third, ClientKind::Mkhi.guid()).is_ok());
    device.mei_close(first);
    let fourth = device.mei_open().unwrap();
    assert!(device.mei_connect(fourth, amthi).is_ok());
}

#[test]
fn a_client_may_stay_busy_after_a_close() {
    let mut device = device(50);
    let handles = [connected(&mut device), connected(&mut device)];
    for handle in handles {
        device.mei_close(handle);
    }
    let handle = device.mei_open().unwrap();
    let amthi = ClientKind::Amthi.guid();
    assert_eq!(device.mei_connect(handle, amthi), Err(Errno::Ebusy));
    wait(&mut device);
    assert!(device.mei_connect(handle, amthi).is_ok());
}

#[test]
fn messages_have_a_longest_size() {
    let mut device = device(0);
    let handle = connected(&mut device);
    let limit = device.mei_properties(handle).unwrap().max_message as usize;
    assert_eq!(device.mei_write(handle, &vec![0; limit]), Ok(limit));
    assert_eq!(
        device.mei_write(handle, &vec![0; limit + 1]),
        Err(Errno::Efbig)
    );
    assert_eq!(device.mei_write(handle, &[]), Ok(0));
}

#[test]
fn an_answer_takes_its_time_and_comes_in_parts() {
    let mut device = device(0);
    let handle = connected(&mut device);
    device.mei_write(handle, &request(1)).unwrap();
    device.mei_write(handle, &request(2)).unwrap();
    assert_eq!(device.mei_read(handle, 5120), Err(Errno::Eagain));
    assert!(!device.mei_readiness(handle).readable);
    wait(&mut device);
    assert!(device.mei_readiness(handle).readable);
    assert!(device.mei_read(handle, 0).unwrap().is_empty());
    assert_eq!(device.mei_read(handle, 10).unwrap(), answer(1)[..10]);
    // The rest of the first message, never a byte of the second.
    assert_eq!(device.mei_read(handle, 5120).unwrap(), answer(1)[10..]);
    assert_eq!(device.mei_read(handle, 5120).unwrap(), answer(2));
}

#[test]
fn a_flood_is_stopped() {
    let mut device = device(0);
    let handle = connected(&mut device);
    for number in 0..(TX_QUEUE + UNREAD) as u8 {
        assert!(device.mei_readiness(handle).writable);
        assert_eq!(device.mei_write(handle, &request(number)), Ok(12));
    }
    assert_eq!(device.mei_write(handle, &request(99)), Err(Errno::Eagain));
    assert!(!device.mei_readiness(handle).writable);
    // Another handle is not held up.
    let other = connected(&mut device);
    assert_eq!(device.mei_write(other, &request(1)), Ok(12));
    wait(&mut device);
    for number in 0..(TX_QUEUE + UNREAD) as u8 {
        if device.mei_read(handle, 5120) == Ok(answer(number)) {
            continue;
        }
        wait(&mut device);
        assert_eq!(device.mei_read(handle, 5120), Ok(answer(number)));
    }
    assert_eq!(device.mei_read(handle, 5120), Err(Errno::Eagain));
}

#[test]
fn there_are_255_handles() {
    let mut device = device(0);
    let handles: Vec<_> = (0..255).map(|_| device.mei_open().unwrap()).collect();
    assert_eq!(device.mei_open(), Err(Errno::Emfile));
    device.mei_close(handles[100]);
    assert!(device.mei_open().is_ok());
}

#[test]
fn a_reset_disconnects_everybody_until_they_connect_again() {
    let mut device = device(0);
    let handle = connected(&mut device);
    device.mei_write(handle, &request(1)).unwrap();
    device.mei_reset("test");
    assert_eq!(device.mei_open(), Err(Errno::Enodev));
    assert_eq!(device.mei_read(handle, 5120), Err(Errno::Enodev));
    let amthi = ClientKind::Amthi.guid();
    assert_eq!(device.mei_connect(handle, amthi), Err(Errno::Enodev));
    wait(&mut device);
    assert_eq!(device.mei_write(handle, &request(1)), Err(Errno::Enodev));
    assert_eq!(device.mei_readiness(handle), Readiness::ERROR);
    assert!(device.mei_connect(handle, amthi).is_ok());
    assert_eq!(
        device.mei_read(handle, 5120),
        Err(Errno::Eagain),
        "nothing is left over"
    );
}

/// A device without one of the bus's rules.
fn lenient(rule: &str) -> Device {
    let mut rules = crate::Rules::default();
    rules.knock_out(rule).unwrap();
    Device::builder("alder-lake-16")
        .rules(rules)
        .build()
        .unwrap()
}

#[test]
fn a_knocked_out_rule_no_longer_refuses() {
    let mut device = lenient("device.mei.unknown-client");
    let handle = device.mei_open().unwrap();
    assert!(device.mei_connect(handle, NOBODY).is_ok());

    let mut device = lenient("device.mei.connection-limit");
    for _ in 0..3 {
        let handle = device.mei_open().unwrap();
        assert!(device.mei_connect(handle, ClientKind::Lme.guid()).is_ok());
    }

    let mut device = lenient("device.mei.message-too-long");
    let handle = connected(&mut device);
    assert_eq!(device.mei_write(handle, &[0; 9000]), Ok(9000));

    let mut device = lenient("device.mei.not-connected");
    let handle = device.mei_open().unwrap();
    assert_eq!(device.mei_write(handle, &request(1)), Ok(12));
    assert_eq!(device.mei_read(handle, 5120), Err(Errno::Eagain));
}

/// What a host may do. Handles are named by the order in which they were opened, closed ones included.
#[derive(Debug, Clone)]
enum Step {
    Open,
    Connect(usize, Option<ClientKind>),
    Write(usize, Size, u8),
    Read(usize, usize),
    Close(usize),
    Reset,
    Advance(Duration),
}

#[derive(Debug, Clone, Copy)]
enum Size {
    Empty,
    Usual,
    TooLong,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use ClientKind::{Amthi, Hotham, Mkhi, Upid};
    let handle = 0usize..5;
    let client = select(vec![
        Some(Amthi),
        Some(Amthi),
        Some(Hotham),
        Some(Mkhi),
        Some(Upid),
        None,
    ]);
    let size =
        prop_oneof![1 => Just(Size::Empty), 8 => Just(Size::Usual), 1 => Just(Size::TooLong)];
    let capacity = prop_oneof![1 => Just(0usize), 3 => 1usize..16, 6 => Just(5120usize)];
    let step = prop_oneof![
        3 => Just(Step::Open),
        6 => (handle.clone(), client).prop_map(|(handle, client)| Step::Connect(handle, client)),
        12 => (handle.clone(), size, any::<u8>()).prop_map(|(h, size, n)| Step::Write(h, size, n)),
        10 => (handle.clone(), capacity).prop_map(|(handle, size)| Step::Read(handle, size)),
        2 => handle.prop_map(Step::Close),
        1 => Just(Step::Reset),
        6 => (0u64..120).prop_map(|ms| Step::Advance(Duration::from_millis(ms))),
    ];
    vec(step, 1..80)
}

/// The bus as one would explain it: no sessions, no faults, answers known beforehand.
#[derive(Debug, Default)]
struct Model {
    now: Instant,
    down_until: Option<Instant>,
    open: BTreeMap<usize, Peer>,
    opened: usize,
    release: Duration,
    releasing: Vec<(ClientKind, Instant)>,
}

#[derive(Debug, Default)]
struct Peer {
    client: Option<ClientKind>,
    tx: VecDeque<Vec<u8>>,
    rx: VecDeque<(Instant, Vec<u8>)>,
}

impl Peer {
    fn pump(&mut self, now: Instant) {
        while self.rx.len() < UNREAD {
            let Some(answer) = self.tx.pop_front() else {
                return;
            };
            if answer.is_empty() {
                continue; // This client keeps silent.
            }
            let after = self.rx.back().map_or(now, |last| last.0);
            self.rx.push_back((after.max(now + REPLY), answer));
        }
    }
}

impl Model {
    fn up(&self) -> bool {
        self.down_until.is_none()
    }

    fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        let now = self.now;
        self.down_until = self.down_until.filter(|until| *until > now);
        self.releasing.retain(|(_, until)| *until > now);
    }

    fn open(&mut self) -> Result<(), Errno> {
        if !self.up() {
            return Err(Errno::Enodev);
        }
        self.open.insert(self.opened, Peer::default());
        self.opened += 1;
        Ok(())
    }

    fn connect(&mut self, handle: usize, client: Option<ClientKind>) -> Result<(), Errno> {
        let up = self.up();
        let held = |client| {
            let held = self
                .open
                .values()
                .filter(|peer| peer.client == Some(client))
                .count();
            held + self
                .releasing
                .iter()
                .filter(|(name, _)| *name == client)
                .count()
        };
        let peer = self.open.get(&handle).filter(|_| up).ok_or(Errno::Enodev)?;
        if peer.client.is_some() {
            return Err(Errno::Ebusy);
        }
        let client = client.ok_or(Errno::Enotty)?;
        if held(client) >= 2 {
            return Err(Errno::Ebusy);
        }
        let fresh = Peer {
            client: Some(client),
            ..Peer::default()
        };
        self.open.insert(handle, fresh);
        Ok(())
    }

    fn write(&mut self, handle: usize, size: Size, answer: Vec<u8>) -> Result<(), Errno> {
        let now = self.now;
        let peer = self.open.get_mut(&handle).ok_or(Errno::Enodev)?;
        if peer.client.is_none() {
            return Err(Errno::Enodev);
        }
        match size {
            Size::TooLong => return Err(Errno::Efbig),
            Size::Empty => return Ok(()),
            Size::Usual if peer.tx.len() >= TX_QUEUE => return Err(Errno::Eagain),
            Size::Usual => {}
        }
        peer.tx.push_back(answer);
        peer.pump(now);
        Ok(())
    }

    fn read(&mut self, handle: usize, capacity: usize) -> Result<Vec<u8>, Errno> {
        if capacity == 0 {
            return Ok(Vec::new());
        }
        let now = self.now;
        let peer = self
            .open
            .get_mut(&handle)
            .filter(|peer| peer.client.is_some());
        let peer = peer.ok_or(Errno::Enodev)?;
        let (_, rest) = peer
            .rx
            .front_mut()
            .filter(|first| first.0 <= now)
            .ok_or(Errno::Eagain)?;
        let part: Vec<u8> = rest.drain(..capacity.min(rest.len())).collect();
        if rest.is_empty() {
            peer.rx.pop_front();
            peer.pump(now);
        }
        Ok(part)
    }

    fn close(&mut self, handle: usize) {
        let client = self.open.remove(&handle).and_then(|peer| peer.client);
        if let Some(client) = client.filter(|_| !self.release.is_zero()) {
            self.releasing.push((client, self.now + self.release));
        }
    }

    fn reset(&mut self) {
        self.down_until = Some(self.now + RESET);
        self.releasing.clear();
        for peer in self.open.values_mut() {
            *peer = Peer::default();
        }
    }

    fn readiness(&self, handle: usize) -> Readiness {
        match self.open.get(&handle) {
            Some(peer) if peer.client.is_some() => Readiness {
                readable: peer.rx.front().is_some_and(|first| first.0 <= self.now),
                writable: peer.tx.len() < TX_QUEUE,
                error: false,
            },
            _ => Readiness::ERROR,
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let answers = self
            .open
            .values()
            .filter_map(|peer| peer.rx.front().map(|first| first.0));
        let releases = self.releasing.iter().map(|(_, until)| *until);
        let all = answers.chain(releases).chain(self.down_until);
        all.filter(|moment| *moment > self.now).min()
    }
}

/// A message that the handle's client does not know, and what it says to that.
fn unknown(client: Option<ClientKind>, number: u8) -> (Vec<u8>, Vec<u8>) {
    match client {
        Some(ClientKind::Mkhi) => (vec![0x55, 0x55, 0, 0], vec![0x55, 0xd5, 0, 0x8d]),
        Some(ClientKind::Upid) => (vec![7, number, 0, 0], vec![7, number, 4, 0, 1, 0, 0, 0]),
        Some(ClientKind::Hotham) => (vec![2, 0x55, 0, 0], vec![0, 0x89, 0, 0x89]),
        _ => (request(number), answer(number)),
    }
}

proptest! {
    #[test]
    fn the_bus_does_what_its_model_does(steps in steps(), release_ms in select(vec![0u64, 50])) {
        let mut device = device(release_ms);
        let mut model = Model { release: Duration::from_millis(release_ms), ..Model::default() };
        let mut handles: Vec<HandleId> = Vec::new();
        for step in steps {
            let nobody = HandleId(9999);
            let name = |index: usize| handles.get(index).copied().unwrap_or(nobody);
            match step {
                Step::Open => {
                    let opened = device.mei_open();
                    prop_assert_eq!(opened.map(|_| ()), model.open());
                    handles.extend(opened.ok());
                }
                Step::Connect(handle, client) => {
                    let guid = client.map_or(NOBODY, ClientKind::guid);
                    let got = device.mei_connect(name(handle), guid).map(|_| ());
                    prop_assert_eq!(got, model.connect(handle, client));
                }
                Step::Write(handle, size, number) => {
                    let client = model.open.get(&handle).and_then(|peer| peer.client);
                    let (message, answer) = unknown(client, number);
                    let message = match size {
                        Size::Usual => message,
                        Size::Empty => Vec::new(),
                        Size::TooLong => vec![0; 9000],
                    };
                    let got = device.mei_write(name(handle), &message);
                    let expected = model.write(handle, size, answer).map(|()| message.len());
                    prop_assert_eq!(got, expected);
                }
                Step::Read(handle, capacity) => {
                    let got = device.mei_read(name(handle), capacity);
                    prop_assert_eq!(got, model.read(handle, capacity));
                }
                Step::Close(handle) => {
                    device.mei_close(name(handle));
                    model.close(handle);
                }
                Step::Reset => {
                    device.mei_reset("test");
                    model.reset();
                }
                Step::Advance(by) => {
                    model.advance(by);
                    device.advance(model.now);
                }
            }
            for (index, handle) in handles.iter().enumerate() {
                prop_assert_eq!(device.mei_readiness(*handle), model.readiness(index));
            }
            prop_assert_eq!(device.next_wake(), model.next_wake());
        }
    }
}
