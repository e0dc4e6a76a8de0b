//! The HECI bus as the Linux character device shows it: handles, connections, whole messages, errno values.
//!
//! ```text
//!            open                connect                    link reset
//!   (none) ───────▶ Fresh ───────────────▶ Connected ───────────────────▶ Disconnected
//!                     │  ENOTTY, EBUSY ...     │ write: one message          │ read, write: ENODEV
//!                     │  write, read: ENODEV   │ read: one message or part   │ poll: error
//!                     ▼  poll: error           ▼                             ▼ connect: allowed again
//!                   close                    close                         close
//! ```
//! Blocking is the front end's business: where the kernel would put the caller to sleep, the bus says
//! [`Errno::Eagain`], and [`Bus::readiness`] tells when to ask again.
//!
//! Source: Linux `drivers/misc/mei/main.c`, `client.c`, `hbm.c`.

use std::collections::{BTreeMap, VecDeque};

use super::client::{ClientKind, ClientProperties};
use super::errno::Errno;
use super::guid::Guid;
use super::session::{self, Session};
use crate::device::{Event, FaultEffect, FaultPoint, Firmware, Occasion, Operation, Rule};
use crate::time::Instant;

/// One open file of `/dev/mei0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandleId(pub(crate) u32);

impl HandleId {
    /// The number that the journal shows.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// What `poll(2)` shows on a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// POLLIN: a message can be read.
    pub readable: bool,
    /// POLLOUT: a write would not block.
    pub writable: bool,
    /// POLLERR: not connected, or the link was reset.
    pub error: bool,
}

impl Readiness {
    const ERROR: Self = Self {
        readable: false,
        writable: false,
        error: true,
    };
}

/// Why and when the link works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    Resetting { until: Instant },
}

#[derive(Debug)]
struct Handle {
    state: HandleState,
    /// From the host, accepted but not yet taken by the firmware.
    tx: VecDeque<Vec<u8>>,
    /// To the host, in order.
    rx: VecDeque<Inbound>,
}

#[derive(Debug)]
enum HandleState {
    Fresh,
    Connected(Connection),
    Disconnected,
}

#[derive(Debug)]
struct Connection {
    client: ClientKind,
    properties: ClientProperties,
    session: Session,
}

#[derive(Debug)]
struct Inbound {
    ready_at: Instant,
    bytes: Vec<u8>,
    /// A short read leaves the rest of its message for the next one.
    taken: usize,
}

impl Handle {
    /// The host lets one message in at a time: the next one sets out when it asks for it, so it is not there
    /// yet. Where one request has one answer nobody can tell. Where the firmware speaks up it matters: MeshCmd
    /// hangs when the read after a read succeeds at once.
    ///
    /// Source: Linux `drivers/misc/mei/client.c`, flow control credits.
    fn space_out(&mut self, fw: &Firmware) {
        if let HandleState::Connected(connection) = &self.state
            && connection.session.speaks_up()
            && let Some(next) = self.rx.front_mut()
        {
            next.ready_at = next.ready_at.max(fw.now + fw.profile.timings.mei_reply_ms);
        }
    }

    /// From now on every call but connect and close is ENODEV. What was written and not taken is lost.
    fn disconnect(&mut self, fw: &mut Firmware) {
        if let HandleState::Connected(connection) = &mut self.state {
            connection.session.end(fw);
        }
        self.state = HandleState::Disconnected;
        self.tx.clear();
    }
}

/// All handles of one device.
#[derive(Debug)]
pub(crate) struct Bus {
    link: Link,
    handles: BTreeMap<HandleId, Handle>,
    next_handle: u32,
    /// Clients that count as connected until the given moment although nobody holds them.
    releasing: Vec<(ClientKind, Instant)>,
    /// Counts what changed a handle behind the back of whoever owns it.
    disturbances: u64,
}

impl Bus {
    /// Linux: `MEI_MAX_OPEN_HANDLE_COUNT`.
    const MOST_HANDLES: usize = 255;

    pub(crate) fn new() -> Self {
        Self {
            link: Link::Up,
            handles: BTreeMap::new(),
            next_handle: 1,
            releasing: Vec::new(),
            disturbances: 0,
        }
    }

    /// `open(2)`.
    pub(crate) fn open(&mut self, fw: &mut Firmware) -> Result<HandleId, Errno> {
        self.strike_call(fw, FaultPoint::Open, None, None)?;
        if self.link != Link::Up {
            return Err(refuse(
                fw,
                None,
                Operation::Open,
                Errno::Enodev,
                "the link is down",
            ));
        }
        if self.handles.len() >= Self::MOST_HANDLES {
            return Err(refuse(
                fw,
                None,
                Operation::Open,
                Errno::Emfile,
                "255 handles are open",
            ));
        }
        let id = HandleId(self.next_handle);
        self.next_handle += 1;
        self.handles.insert(
            id,
            Handle {
                state: HandleState::Fresh,
                tx: VecDeque::new(),
                rx: VecDeque::new(),
            },
        );
        fw.record(Event::Opened { handle: id.0 });
        Ok(id)
    }

    /// `ioctl(IOCTL_MEI_CONNECT_CLIENT)`.
    pub(crate) fn connect(
        &mut self,
        fw: &mut Firmware,
        id: HandleId,
        guid: Guid,
    ) -> Result<ClientProperties, Errno> {
        let refuse = |fw: &mut Firmware, errno, why: &str| {
            refuse(
                fw,
                Some(id),
                Operation::Connect,
                errno,
                &format!("{guid}: {why}"),
            )
        };
        let client = ClientKind::by_guid(guid);
        self.strike_call(fw, FaultPoint::Connect, Some(id), client)?;
        let handle = self.handles.get(&id).ok_or(Errno::Enodev)?;
        if self.link != Link::Up {
            return Err(refuse(fw, Errno::Enodev, "the link is down"));
        }
        if matches!(handle.state, HandleState::Connected(_)) {
            return Err(refuse(
                fw,
                Errno::Ebusy,
                "this descriptor is connected already",
            ));
        }
        let found = client.and_then(|client| Some((client, *fw.profile.mei.clients.get(&client)?)));
        let (client, offer) = match found {
            Some(found) => found,
            // Knocked out: whatever was asked for is taken for AMTHI.
            None if !fw.enforced(Rule::MEI_UNKNOWN_CLIENT) => {
                match fw.profile.mei.clients.get(&ClientKind::Amthi) {
                    Some(offer) => (ClientKind::Amthi, *offer),
                    None => return Err(refuse(fw, Errno::Enotty, "no such client")),
                }
            }
            None => return Err(refuse(fw, Errno::Enotty, "no such client")),
        };
        let taken = self.connections(client, fw.now);
        if taken >= offer.connections && fw.enforced(Rule::MEI_CONNECTION_LIMIT) {
            let why = format!("{client} allows {} connection(s)", offer.connections);
            return Err(refuse(fw, Errno::Ebusy, &why));
        }
        let properties = offer.properties();
        fw.record(Event::Connected {
            handle: id.0,
            client,
            properties,
        });
        let (session, greetings) = Session::start(client, properties, fw);
        if let Some(handle) = self.handles.get_mut(&id) {
            handle.tx.clear();
            handle.rx.clear();
            handle.state = HandleState::Connected(Connection {
                client,
                properties,
                session,
            });
        }
        self.queue(fw, id, client, None, greetings);
        self.settle(fw, id);
        Ok(properties)
    }

    /// `write(2)`: one whole message, or nothing.
    pub(crate) fn write(
        &mut self,
        fw: &mut Firmware,
        id: HandleId,
        message: &[u8],
    ) -> Result<usize, Errno> {
        let client = self.client_of(id);
        let command = client.and_then(|client| session::command_number(client, message));
        self.strike(fw, FaultPoint::Write, Some(id), client, command)?;
        let refuse = |fw: &mut Firmware, errno, why: &str| {
            refuse(fw, Some(id), Operation::Write, errno, why)
        };
        let queue_limit = fw.profile.mei.tx_queue;
        let link_up = self.link == Link::Up;
        let handle = self.handles.get_mut(&id).ok_or(Errno::Enodev)?;
        let connection = match &handle.state {
            HandleState::Connected(connection) if link_up => connection,
            _ if !fw.enforced(Rule::MEI_NOT_CONNECTED) => return Ok(message.len()),
            _ => return Err(refuse(fw, Errno::Enodev, "the descriptor is not connected")),
        };
        let limit = connection.properties.max_message as usize;
        if message.len() > limit && fw.enforced(Rule::MEI_MESSAGE_TOO_LONG) {
            let why = format!("{} bytes where the client takes {limit}", message.len());
            return Err(refuse(fw, Errno::Efbig, &why));
        }
        if message.is_empty() {
            return Ok(0);
        }
        if handle.tx.len() >= queue_limit {
            // Not journaled: a blocking writer asks again and again.
            return Err(Errno::Eagain);
        }
        let client = connection.client;
        handle.tx.push_back(message.to_vec());
        fw.record(Event::Received {
            handle: id.0,
            client,
            bytes: message.to_vec(),
        });
        self.pump(fw, id);
        Ok(message.len())
    }

    /// `read(2)`: at most one message; a shorter buffer takes part of it and leaves the rest.
    pub(crate) fn read(
        &mut self,
        fw: &mut Firmware,
        id: HandleId,
        capacity: usize,
    ) -> Result<Vec<u8>, Errno> {
        if capacity == 0 {
            return Ok(Vec::new());
        }
        let link_up = self.link == Link::Up;
        let handle = self.handles.get_mut(&id).ok_or(Errno::Enodev)?;
        let limit = match &handle.state {
            HandleState::Connected(connection) if link_up => connection.properties.max_message,
            _ if !fw.enforced(Rule::MEI_NOT_CONNECTED) => return Err(Errno::Eagain),
            _ => {
                let why = "the descriptor is not connected";
                return Err(refuse(fw, Some(id), Operation::Read, Errno::Enodev, why));
            }
        };
        let client = self.client_of(id);
        let Some(handle) = self.handles.get_mut(&id) else {
            return Err(Errno::Enodev);
        };
        let ready = handle
            .rx
            .front()
            .is_some_and(|first| first.ready_at <= fw.now);
        if !ready {
            return Err(Errno::Eagain);
        }
        self.strike(fw, FaultPoint::Read, Some(id), client, None)?;
        let Some(handle) = self.handles.get_mut(&id) else {
            return Err(Errno::Enodev);
        };
        let Some(first) = handle.rx.front_mut() else {
            return Err(Errno::Eagain);
        };
        if first.bytes.len() > limit as usize {
            handle.rx.pop_front();
            let why = "the firmware sent more than the client's longest message";
            return Err(refuse(fw, Some(id), Operation::Read, Errno::Emsgsize, why));
        }
        let end = first.taken.saturating_add(capacity).min(first.bytes.len());
        let part = first.bytes[first.taken..end].to_vec();
        first.taken = end;
        if end == first.bytes.len() {
            handle.rx.pop_front();
            handle.space_out(fw);
            self.pump(fw, id);
        }
        Ok(part)
    }

    /// `poll(2)`.
    pub(crate) fn readiness(&self, fw: &Firmware, id: HandleId) -> Readiness {
        let Some(handle) = self.handles.get(&id) else {
            return Readiness::ERROR;
        };
        match handle.state {
            HandleState::Connected(_) if self.link == Link::Up => Readiness {
                readable: handle
                    .rx
                    .front()
                    .is_some_and(|first| first.ready_at <= fw.now),
                writable: handle.tx.len() < fw.profile.mei.tx_queue,
                error: false,
            },
            _ => Readiness::ERROR,
        }
    }

    /// Whether a message for the host is here or on its way.
    pub(crate) fn is_expecting(&self, id: HandleId) -> bool {
        self.handles
            .get(&id)
            .is_some_and(|handle| !handle.rx.is_empty())
    }

    /// What the handle's client told at connect, while it is connected.
    pub(crate) fn properties(&self, id: HandleId) -> Option<ClientProperties> {
        match &self.handles.get(&id)?.state {
            HandleState::Connected(connection) => Some(connection.properties),
            _ => None,
        }
    }

    /// The last `close(2)`.
    pub(crate) fn close(&mut self, fw: &mut Firmware, id: HandleId) {
        let Some(handle) = self.handles.remove(&id) else {
            return;
        };
        fw.record(Event::Closed { handle: id.0 });
        if let HandleState::Connected(mut connection) = handle.state {
            connection.session.end(fw);
            let release = fw.profile.timings.mei_release_ms;
            if !release.is_zero() {
                self.releasing.push((connection.client, fw.now + release));
            }
        }
    }

    /// The link goes down and comes back by itself after the profile's reset time.
    pub(crate) fn reset(&mut self, fw: &mut Firmware, cause: &str) {
        self.link = Link::Resetting {
            until: fw.now + fw.profile.timings.mei_reset_ms,
        };
        self.releasing.clear();
        self.disturbances += 1;
        fw.record(Event::LinkReset {
            cause: cause.to_owned(),
        });
        for handle in self.handles.values_mut() {
            handle.disconnect(fw);
            handle.rx.clear();
        }
    }

    /// Does what has fallen due.
    pub(crate) fn advance(&mut self, fw: &mut Firmware) {
        if let Link::Resetting { until } = self.link
            && until <= fw.now
        {
            self.link = Link::Up;
            self.disturbances += 1;
            fw.record(Event::LinkUp);
        }
        let now = fw.now;
        self.releasing.retain(|(_, until)| *until > now);
        self.poll(fw);
    }

    /// Asks the firmware what it has to say on its own account.
    fn poll(&mut self, fw: &mut Firmware) {
        let speakers: Vec<HandleId> = self
            .handles
            .iter()
            .filter(|(_, handle)| {
                matches!(&handle.state, HandleState::Connected(connection) if connection.session.speaks_up())
            })
            .map(|(id, _)| *id)
            .collect();
        for id in speakers {
            if self.flush(fw, id) {
                self.disturbances += 1;
            }
            self.settle(fw, id);
        }
    }

    /// The next moment at which something changes by itself.
    pub(crate) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let answers = self
            .handles
            .values()
            .filter_map(|handle| handle.rx.front().map(|first| first.ready_at));
        let link = match self.link {
            Link::Resetting { until } => Some(until),
            Link::Up => None,
        };
        let releases = self.releasing.iter().map(|(_, until)| *until);
        answers
            .chain(link)
            .chain(releases)
            .filter(|moment| *moment > now)
            .min()
    }

    pub(crate) fn disturbances(&self) -> u64 {
        self.disturbances
    }

    /// Whether the driver calls the device enabled.
    pub(crate) fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    /// Journals an ioctl that never got as far as the bus.
    pub(crate) fn refuse_ioctl(
        &self,
        fw: &mut Firmware,
        id: HandleId,
        errno: Errno,
        why: &str,
    ) -> Errno {
        refuse(fw, Some(id), Operation::Ioctl, errno, why)
    }

    fn client_of(&self, id: HandleId) -> Option<ClientKind> {
        match &self.handles.get(&id)?.state {
            HandleState::Connected(connection) => Some(connection.client),
            _ => None,
        }
    }

    fn connections(&self, client: ClientKind, now: Instant) -> usize {
        let held = self
            .handles
            .values()
            .filter(|handle| {
                matches!(&handle.state, HandleState::Connected(connection) if connection.client == client)
            })
            .count();
        let releasing = self
            .releasing
            .iter()
            .filter(|(name, until)| *name == client && *until > now)
            .count();
        held + releasing
    }

    /// Lets the firmware take queued messages and speak up, as far as the host has read earlier answers.
    fn pump(&mut self, fw: &mut Firmware, id: HandleId) {
        self.flush(fw, id);
        self.take_queued(fw, id);
        self.settle(fw, id);
    }

    fn take_queued(&mut self, fw: &mut Firmware, id: HandleId) {
        let unread_limit = fw.profile.assumptions.unread_answers;
        loop {
            let Some(handle) = self.handles.get_mut(&id) else {
                return;
            };
            let HandleState::Connected(connection) = &mut handle.state else {
                return;
            };
            if handle.rx.len() >= unread_limit {
                return;
            }
            let Some(message) = handle.tx.pop_front() else {
                return;
            };
            let client = connection.client;
            let command = session::command_number(client, &message);
            let answers = connection.session.receive(fw, &message);
            self.queue(fw, id, client, command, answers);
            self.flush(fw, id);
        }
    }

    /// Queues what the firmware says unasked; whether it said anything.
    fn flush(&mut self, fw: &mut Firmware, id: HandleId) -> bool {
        let Some(handle) = self.handles.get_mut(&id) else {
            return false;
        };
        let room = fw
            .profile
            .assumptions
            .unread_answers
            .saturating_sub(handle.rx.len());
        let HandleState::Connected(connection) = &mut handle.state else {
            return false;
        };
        let client = connection.client;
        let messages = connection.session.poll(fw, room);
        let spoke = !messages.is_empty();
        self.queue(fw, id, client, None, messages);
        spoke
    }

    /// Ends a connection that the firmware is done with, once the host has read everything.
    fn settle(&mut self, fw: &mut Firmware, id: HandleId) {
        let Some(handle) = self.handles.get_mut(&id) else {
            return;
        };
        let client = match &handle.state {
            HandleState::Connected(connection)
                if connection.session.over() && handle.rx.is_empty() =>
            {
                connection.client
            }
            _ => return,
        };
        handle.disconnect(fw);
        self.disturbances += 1;
        fw.record(Event::HungUp {
            handle: id.0,
            client,
        });
    }

    /// Puts the firmware's messages in the handle's queue, as the armed faults leave them.
    fn queue(
        &mut self,
        fw: &mut Firmware,
        id: HandleId,
        client: ClientKind,
        command: Option<u32>,
        messages: Vec<Vec<u8>>,
    ) {
        for mut bytes in messages {
            let mut delay = fw.profile.timings.mei_reply_ms;
            let occasion = Occasion {
                at: FaultPoint::Answer,
                client: Some(client),
                command: session::answer_number(client, command, &bytes),
            };
            if let Some(fault) = fw.strike(occasion) {
                match &fault.effect {
                    FaultEffect::Drop => continue,
                    FaultEffect::Reset => return self.reset(fw, "fault"),
                    FaultEffect::Truncate(length) => bytes.truncate(*length),
                    FaultEffect::Status(status) => session::set_status(client, &mut bytes, *status),
                    FaultEffect::DelayMs(_) => delay += fault.effect.delay().unwrap_or_default(),
                    // An errno belongs to a system call; the answer's own call is the read.
                    FaultEffect::Errno(_)
                    | FaultEffect::ReturnValue(_)
                    | FaultEffect::Cut
                    | FaultEffect::Half
                    | FaultEffect::Hello(_)
                    | FaultEffect::Chain(_) => {}
                }
            }
            fw.record(Event::Sent {
                handle: id.0,
                client,
                bytes: bytes.clone(),
            });
            let Some(handle) = self.handles.get_mut(&id) else {
                return;
            };
            let after = handle.rx.back().map_or(fw.now, |last| last.ready_at);
            handle.rx.push_back(Inbound {
                ready_at: after.max(fw.now + delay),
                bytes,
                taken: 0,
            });
        }
    }

    fn strike_call(
        &mut self,
        fw: &mut Firmware,
        at: FaultPoint,
        id: Option<HandleId>,
        client: Option<ClientKind>,
    ) -> Result<(), Errno> {
        self.strike(fw, at, id, client, None)
    }

    /// A fault that makes this system call fail, or resets the link under it.
    fn strike(
        &mut self,
        fw: &mut Firmware,
        at: FaultPoint,
        id: Option<HandleId>,
        client: Option<ClientKind>,
        command: Option<u32>,
    ) -> Result<(), Errno> {
        let occasion = Occasion {
            at,
            client,
            command,
        };
        match fw.strike(occasion).map(|fault| fault.effect) {
            Some(FaultEffect::Errno(errno)) => {
                Err(refuse(fw, id, at.into(), errno, "a fault was asked for"))
            }
            Some(FaultEffect::Reset) => {
                self.reset(fw, "fault");
                Err(Errno::Enodev)
            }
            _ => Ok(()),
        }
    }
}

/// Journals what the program is about to see.
fn refuse(
    fw: &mut Firmware,
    id: Option<HandleId>,
    operation: Operation,
    errno: Errno,
    why: &str,
) -> Errno {
    fw.record(Event::Refused {
        handle: id.map(HandleId::number),
        operation,
        errno,
        why: why.to_owned(),
    });
    errno
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
