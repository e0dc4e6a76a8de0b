//! Plays scripts against one device.

use std::collections::BTreeMap;
use std::time::Duration;

use amt_sim::device::Interface;
use amt_sim::{Errno, HandleId};

use super::bytes::{self, Bytes, Kept};
use super::request::Request;
use super::script::{Answer, Place, Refused, Script, Verb};
use super::secure::{Handshake, SecureAnswer};
use super::web::{Visitor, WebAnswer};
use super::wsman::Session;
use crate::run::VirtualDevice;
use crate::scenario::placeholder::Values;
use crate::wire::tls::{Seen, TlsClient};
use crate::wire::{Pipe, PipeError};

/// Whoever tries the device itself. What he opened stays open from one script to the next.
#[derive(Debug)]
pub struct Prober {
    device: VirtualDevice,
    open: BTreeMap<String, Connection>,
    current: String,
    kept: Kept,
    /// What came last.
    last: Vec<u8>,
    web: Visitor,
    wsman: Session,
    /// Who resumes TLS sessions.
    resumed: Option<TlsClient>,
    /// He opens nothing and sends nothing: how the harness sees that his checks can fail.
    mute: bool,
}

#[derive(Debug)]
enum Connection {
    Node(HandleId),
    Port {
        pipe: Box<dyn Pipe>,
        /// What came and was not looked at yet.
        come: Vec<u8>,
        /// Of the handshake, where it speaks TLS.
        seen: Option<Seen>,
    },
}

/// The line that did not go as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Of the file, from one.
    pub line: usize,
    pub text: String,
    pub expected: String,
    pub actual: String,
}

/// What a line expected, and what was instead.
pub(super) type Wrong = (String, String);

/// How long an answer may take.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// No time at all.
    now: bool,
}

impl Wait {
    const fn at_most(self, patience: Duration) -> Duration {
        match self.now {
            true => Duration::ZERO,
            false => patience,
        }
    }
}

impl Prober {
    /// An answer that takes longer does not come. Firmware answers within a second unless a profile says otherwise.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// A message that must not come had this long to come.
    const SILENCE: Duration = Duration::from_secs(5);

    pub fn new(device: VirtualDevice) -> Self {
        Self {
            device,
            open: BTreeMap::new(),
            current: String::new(),
            kept: Kept::new(),
            last: Vec::new(),
            web: Visitor::default(),
            wsman: Session::default(),
            resumed: None,
            mute: false,
        }
    }

    /// The same, who opens nothing and sends nothing.
    pub fn mute(mut self) -> Self {
        self.mute = true;
        self
    }

    /// Plays a script up to its end, or to the first line that does not go as it is written. Says how many answers came.
    pub fn play(&mut self, script: &Script, values: Values<'_>) -> Result<usize, Mismatch> {
        let mut answers = 0;
        for line in &script.lines {
            self.play_line(&line.verb, values)
                .map_err(|(expected, actual)| Mismatch {
                    line: line.number,
                    text: line.text.clone(),
                    expected,
                    actual,
                })?;
            answers += usize::from(line.verb.judges());
        }
        Ok(answers)
    }

    fn play_line(&mut self, verb: &Verb, values: Values<'_>) -> Result<(), Wrong> {
        // A question of WS-Management knows by itself that it was not asked.
        if self.mute && !matches!(verb, Verb::Wsman(_)) {
            return without_a_word(verb);
        }
        match verb {
            Verb::Open { name, refused } => {
                let opened = self.device.open_node();
                if let Ok(node) = opened {
                    self.keep(name, Connection::Node(node));
                }
                as_expected("it is opened", opened.map(drop), *refused)
            }
            Verb::Connect {
                to,
                name,
                again,
                refused,
                returns: None,
            } => self.connect(*to, name, *again, *refused),
            Verb::Connect {
                to,
                name,
                again,
                returns: Some(bytes),
                ..
            } => {
                self.connect(*to, name, *again, None)?;
                self.properties_are(bytes, values)
            }
            Verb::On(name) => match self.open.contains_key(name) {
                true => {
                    self.current.clone_from(name);
                    Ok(())
                }
                false => Err(wrong("a connection of that name", "there is none")),
            },
            Verb::Send { bytes, refused } => self.send(bytes, *refused, values),
            Verb::Request(request) => self.ask(request, values),
            Verb::Tls(handshake) => self.shake_hands(handshake),
            Verb::Answer { room, now, answer } => {
                let wait = Wait { now: *now };
                match answer {
                    Answer::Bytes(bytes) => self.bytes_come(bytes, *room, wait, values),
                    Answer::Secure(answer) => self.tls_shows(answer, values),
                    Answer::Web(answer) => self.web_answers(answer, values),
                    Answer::Nothing => self.nothing_comes(wait),
                    Answer::End => self.end_comes(wait),
                    Answer::Errno(errno) => self.error_comes(*errno, *room, wait),
                }
            }
            Verb::Has(bytes) => {
                let pattern = bytes.pattern(values, &self.kept).map_err(unreadable)?;
                pattern
                    .find(&self.last, &mut self.kept)
                    .map_err(Wrong::from)
            }
            Verb::Poll(wanted) => {
                let device = self.device.clone();
                match self.here()? {
                    Connection::Node(node) => wanted.judge(device.poll_node(*node)),
                    Connection::Port { .. } => Err(wrong("a node", "a port cannot be polled")),
                }
            }
            Verb::Hello(hello) => {
                let device = self.device.clone();
                hello.judge(&device, values, &mut self.kept, &mut self.last)
            }
            Verb::End => match self.here()? {
                Connection::Port { pipe, .. } => pipe.end().map_err(|error| odd(&error)),
                Connection::Node(_) => Err(wrong("a port", "a node has no half that could end")),
            },
            Verb::Close => {
                let name = std::mem::take(&mut self.current);
                self.leave(&name);
                Ok(())
            }
            Verb::Wsman(line) => {
                self.wsman
                    .play(line, &self.device, &mut self.kept, values, self.mute)
            }
            Verb::Wait(time) => {
                crate::role::Clock::pause(&self.device, *time);
                Ok(())
            }
        }
    }

    fn keep(&mut self, name: &str, connection: Connection) {
        self.leave(name);
        name.clone_into(&mut self.current);
        self.open.insert(name.to_owned(), connection);
    }

    fn leave(&mut self, name: &str) {
        if let Some(Connection::Node(node)) = self.open.remove(name) {
            self.device.close_node(node);
        }
    }

    fn here(&mut self) -> Result<&mut Connection, Wrong> {
        let connection = self.open.get_mut(&self.current);
        connection.ok_or_else(|| wrong("an open connection", "there is none"))
    }

    fn connect(
        &mut self,
        to: Place,
        name: &str,
        again: bool,
        refused: Option<Refused>,
    ) -> Result<(), Wrong> {
        match to {
            Place::Client(guid) => {
                let node = match (again, self.open.get(name)) {
                    (true, Some(Connection::Node(node))) => *node,
                    (true, _) => return Err(wrong("a node of that name", "there is none")),
                    (false, _) => {
                        let node = self.device.open_node();
                        let node = node.map_err(|errno| wrong("it is opened", errno.name()))?;
                        self.keep(name, Connection::Node(node));
                        node
                    }
                };
                name.clone_into(&mut self.current);
                let wanted = match refused {
                    Some(Refused::Errno(errno)) => Some(errno),
                    Some(Refused::NotListening) | None => None,
                };
                let connected = self.device.connect_node(node, guid);
                as_expected("it is connected", connected.map(drop), wanted)
            }
            Place::Port { side, port } => match (self.device.dialer(side).pipe(port), refused) {
                (Ok(pipe), None) => {
                    let pipe = Box::new(pipe);
                    let come = Vec::new();
                    let seen = None;
                    self.keep(name, Connection::Port { pipe, come, seen });
                    Ok(())
                }
                (Err(_), Some(_)) => Ok(()),
                (Ok(_), Some(_)) => Err(wrong(&nobody(side, port), "somebody does")),
                (Err(error), None) => Err(wrong("it is connected", &error.to_string())),
            },
        }
    }

    /// What the last connect returned in the first bytes of its argument.
    fn properties_are(&mut self, bytes: &Bytes, values: Values<'_>) -> Result<(), Wrong> {
        let pattern = bytes.pattern(values, &self.kept).map_err(unreadable)?;
        let device = self.device.clone();
        let returned = match self.here()? {
            Connection::Node(node) => device.properties_of_node(*node),
            Connection::Port { .. } => None,
        };
        let returned = returned.ok_or_else(|| wrong("a client's properties", "none"))?;
        pattern
            .compare(&returned.to_wire(), &mut self.kept)
            .map_err(Wrong::from)
    }

    fn send(
        &mut self,
        bytes: &Bytes,
        refused: Option<Errno>,
        values: Values<'_>,
    ) -> Result<(), Wrong> {
        let message = bytes.message(values, &self.kept).map_err(unreadable)?;
        let device = self.device.clone();
        match self.here()? {
            Connection::Node(node) => {
                as_expected("it is sent", device.write_node(*node, &message), refused)
            }
            Connection::Port { pipe, .. } => pipe.send(&message).map_err(|error| odd(&error)),
        }
    }

    fn ask(&mut self, request: &Request, values: Values<'_>) -> Result<(), Wrong> {
        let asked = self.web.asked.as_mut();
        let bytes = request
            .bytes(asked, values, &self.kept)
            .map_err(|why| ("a request".to_owned(), why))?;
        match self.here()? {
            Connection::Port { pipe, .. } => pipe.send(&bytes).map_err(|error| odd(&error)),
            Connection::Node(_) => Err(wrong("a port", "a node speaks no HTTP")),
        }
    }

    fn shake_hands(&mut self, handshake: &Handshake) -> Result<(), Wrong> {
        let name = self.current.clone();
        let Some(Connection::Port {
            pipe, seen: None, ..
        }) = self.open.remove(&name)
        else {
            return Err(wrong("a port without TLS", "there is none"));
        };
        if let Some((pipe, seen)) = handshake.play(pipe, &mut self.resumed)? {
            let come = Vec::new();
            let seen = Some(seen);
            self.open
                .insert(name, Connection::Port { pipe, come, seen });
        }
        Ok(())
    }

    fn tls_shows(&mut self, wanted: &SecureAnswer, values: Values<'_>) -> Result<(), Wrong> {
        let Connection::Port {
            pipe,
            come,
            seen: Some(seen),
        } = self.here()?
        else {
            return Err(wrong("a port with TLS", "there is none"));
        };
        if *wanted != SecureAnswer::CloseNotify {
            return wanted.look(seen, values);
        }
        while come.is_empty() && !pipe.said_goodbye() {
            match pipe.receive(Self::PATIENCE) {
                Ok(more) if more.is_empty() => break,
                Ok(more) => come.extend(more),
                Err(error) => return Err(wrong("close_notify", &error.to_string())),
            }
        }
        match (come.is_empty(), pipe.said_goodbye()) {
            (true, true) => Ok(()),
            (true, false) => Err(wrong("close_notify", "the end without it")),
            (false, _) => Err(wrong("close_notify", &bytes::describe(come))),
        }
    }

    fn web_answers(&mut self, wanted: &WebAnswer, values: Values<'_>) -> Result<(), Wrong> {
        if let WebAnswer::Status(status) = wanted {
            let expected = format!("HTTP {status}");
            let mut visitor = std::mem::take(&mut self.web);
            let come = self.read_web(&mut visitor);
            self.web = visitor;
            come.map_err(|actual| (expected, actual))?;
        }
        self.web.look(wanted, values)
    }

    /// Reads one answer; says what came instead.
    fn read_web(&mut self, visitor: &mut Visitor) -> Result<(), String> {
        let Ok(Connection::Port { pipe, come, .. }) = self.here() else {
            return Err("there is no open port".to_owned());
        };
        let mut ended = false;
        while !visitor.take(come, ended)? {
            match pipe.receive(Self::PATIENCE) {
                Ok(more) if more.is_empty() && come.is_empty() => return Err("the end".to_owned()),
                Ok(more) if more.is_empty() => ended = true,
                Ok(more) => come.extend(more),
                Err(PipeError::Timeout(_)) if come.is_empty() => return Err("nothing".to_owned()),
                Err(error) => return Err(format!("{}; {error}", bytes::describe(come))),
            }
        }
        Ok(())
    }

    fn bytes_come(
        &mut self,
        bytes: &Bytes,
        room: Option<usize>,
        wait: Wait,
        values: Values<'_>,
    ) -> Result<(), Wrong> {
        let pattern = bytes.pattern(values, &self.kept).map_err(unreadable)?;
        let device = self.device.clone();
        let come = match self.here()? {
            Connection::Node(node) => {
                match device.read_node(*node, room, wait.at_most(Self::PATIENCE)) {
                    Ok(Some(message)) => message,
                    Ok(None) => return Err(wrong(&pattern.describe(), "nothing")),
                    Err(errno) => return Err(wrong(&pattern.describe(), errno.name())),
                }
            }
            Connection::Port { pipe, come, .. } => {
                while come.len() < pattern.len() || pattern.is_open() {
                    match pipe.receive(wait.at_most(Self::SILENCE)) {
                        Ok(more) if !more.is_empty() => come.extend(more),
                        // What is missing then is seen below.
                        Ok(_) | Err(_) => break,
                    }
                }
                // What follows is the next line's.
                let rest = match pattern.is_open() {
                    true => Vec::new(),
                    false => come.split_off(pattern.len().min(come.len())),
                };
                std::mem::replace(come, rest)
            }
        };
        let compared = pattern.compare(&come, &mut self.kept);
        self.last = come;
        compared.map_err(Wrong::from)
    }

    fn nothing_comes(&mut self, wait: Wait) -> Result<(), Wrong> {
        let device = self.device.clone();
        let come = match self.here()? {
            Connection::Node(node) => {
                match device.read_node(*node, None, wait.at_most(Self::SILENCE)) {
                    Ok(None) => return Ok(()),
                    Ok(Some(message)) => message,
                    Err(errno) => return Err(wrong("nothing", errno.name())),
                }
            }
            Connection::Port { pipe, come, .. } => {
                if come.is_empty() {
                    match pipe.receive(wait.at_most(Self::SILENCE)) {
                        Ok(more) if more.is_empty() => return Err(wrong("nothing", "the end")),
                        Ok(more) => come.extend(more),
                        Err(PipeError::Timeout(_)) => return Ok(()),
                        Err(error) => return Err(wrong("nothing", &error.to_string())),
                    }
                }
                std::mem::take(come)
            }
        };
        Err(wrong("nothing", &bytes::describe(&come)))
    }

    fn end_comes(&mut self, wait: Wait) -> Result<(), Wrong> {
        let Connection::Port { pipe, come, .. } = self.here()? else {
            return Err(wrong("the end", "a node does not end; expect ENODEV"));
        };
        if come.is_empty() {
            match pipe.receive(wait.at_most(Self::PATIENCE)) {
                Ok(more) if more.is_empty() => return Ok(()),
                Ok(more) => come.extend(more),
                Err(PipeError::Ended) => return Ok(()),
                Err(error) => return Err(wrong("the end", &error.to_string())),
            }
        }
        Err(wrong("the end", &bytes::describe(come)))
    }

    fn error_comes(&mut self, wanted: Errno, room: Option<usize>, wait: Wait) -> Result<(), Wrong> {
        let device = self.device.clone();
        let Connection::Node(node) = self.here()? else {
            return Err(wrong(wanted.name(), "a port has no such errors"));
        };
        match device.read_node(*node, room, wait.at_most(Self::SILENCE)) {
            Ok(None) if wanted == Errno::Eagain => Ok(()),
            Ok(None) => Err(wrong(wanted.name(), "nothing")),
            Ok(Some(message)) => Err(wrong(wanted.name(), &bytes::describe(&message))),
            Err(errno) => as_expected("an answer", Err(errno), Some(wanted)),
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        for connection in self.open.values() {
            if let Connection::Node(node) = connection {
                self.device.close_node(*node);
            }
        }
    }
}

/// What a line is for somebody who opens nothing and sends nothing: where nothing must come, nothing comes.
fn without_a_word(verb: &Verb) -> Result<(), Wrong> {
    let silence = match verb {
        Verb::Answer { answer, .. } => {
            matches!(answer, Answer::Nothing | Answer::Errno(Errno::Eagain))
        }
        Verb::Tls(_) => false,
        verb => !verb.judges(),
    };
    match silence {
        true => Ok(()),
        false => Err(wrong("an answer", "nothing")),
    }
}

pub(super) fn wrong(expected: &str, actual: &str) -> Wrong {
    (expected.to_owned(), actual.to_owned())
}

pub(super) fn unreadable(why: String) -> Wrong {
    ("bytes".to_owned(), why)
}

fn odd(error: &PipeError) -> Wrong {
    wrong("it is sent", &error.to_string())
}

fn nobody(side: Interface, port: u16) -> String {
    let side = match side {
        Interface::Local => "host",
        Interface::Network => "network",
    };
    format!("nobody listens at port {port} towards the {side}")
}

/// Whether a call failed as it should, or did not.
fn as_expected(done: &str, result: Result<(), Errno>, refused: Option<Errno>) -> Result<(), Wrong> {
    match (result.err(), refused) {
        (None, None) => Ok(()),
        (Some(errno), Some(wanted)) if errno == wanted => Ok(()),
        (errno, wanted) => {
            let word = |errno: Option<Errno>| errno.map_or(done, |errno| errno.name());
            Err(wrong(word(wanted), word(errno)))
        }
    }
}
