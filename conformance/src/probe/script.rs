//! The script of a `probe` step: what is said to the device on its own wires, and what it must answer.
//!
//! One line, one thing. `#` begins a comment.
//!
//! | line                        | what happens                                                               |
//! |-----------------------------|----------------------------------------------------------------------------|
//! | `connect amthi`             | opens the node and connects to an ME client: a name, or a GUID              |
//! | `connect local:16992`       | connects to a port as LMS on the host does; `network:16993` from the network |
//! | `open`                      | opens the node and connects to nobody yet                                   |
//! | `... as NAME`               | gives the connection a name; else it is called by its place                 |
//! | `connect amthi on NAME`     | connects a node that is open                                                |
//! | `on NAME`                   | what follows goes over that connection                                      |
//! | `> BYTES`                   | sends; a whole message to an ME client; `> empty` is one of no bytes         |
//! | `< BYTES`                   | the next message, or the next bytes of a port, must look like that           |
//! | `> GET /path`               | sends a whole HTTP request; [`Request`] says what else it takes             |
//! | `< HTTP 401`                | a whole HTTP answer comes; [`WebAnswer`] says what can be looked at then    |
//! | `tls 1.2`                   | shakes hands over a port; [`Handshake`] says how, and what can be looked at |
//! | `<8 BYTES`                  | the same, read with room for eight bytes                                    |
//! | `<now BYTES`                | the same, without waiting for it                                            |
//! | `has BYTES`                 | the message before has these bytes somewhere                                |
//! | `< empty`                   | a message of no bytes comes                                                 |
//! | `< nothing`                 | no message comes within five seconds                                        |
//! | `< end`                     | the device ends the connection, and says nothing more                       |
//! | `< ENODEV`                  | reading fails with this error                                               |
//! | `= EBUSY`                   | the line before must fail with this error                                   |
//! | `= BYTES`                   | connecting to an ME client returned this in the first bytes of its argument |
//! | `poll in out`               | `poll` shows this: `in`, `out`, `error`, or `nothing`                       |
//! | `hello in 7min BYTES`       | a Hello message goes out within that time, and is like that                 |
//! | `hello in 7min to ADDRESS:PORT BYTES` | and goes there; several addresses stand in the order of trial, with commas |
//! | `hello none in 1h`          | no Hello message goes out within that time                                  |
//! | `60 times > BYTES`          | so often; `=` and the line below belong to the last; a name gets `-1`, `-2` |
//! | `end`                       | nothing more will be sent to a port                                         |
//! | `close`                     | closes the connection                                                       |
//! | `wait 10s`                  | time passes                                                                 |
//! | `wsman lme as admin PW`, `get CLASS`, ... | WS-Management: see [`wsman`]                                  |
//!
//! [`Bytes`](super::bytes) says how bytes are written.

use std::time::Duration;

use amt_sim::device::Interface;
use amt_sim::{ClientKind, Errno, Guid};

use super::bytes::Bytes;
use super::hello::Hello;
use super::poll::Polled;
use super::request::Request;
use super::secure::{Handshake, Refusal, SecureAnswer};
use super::web::WebAnswer;
use super::wsman;
use crate::document::{Findings, Located, parse_duration};

/// What is said, and what must be answered.
#[derive(Debug, Clone)]
pub struct Script {
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone)]
pub struct Line {
    /// Of the file, from one.
    pub number: usize,
    /// As it is written.
    pub text: String,
    pub verb: Verb,
}

#[derive(Debug, Clone)]
pub enum Verb {
    Open {
        name: String,
        refused: Option<Errno>,
    },
    Connect {
        to: Place,
        name: String,
        /// The node is open.
        again: bool,
        refused: Option<Refused>,
        /// What the call returns in its argument.
        returns: Option<Bytes>,
    },
    On(String),
    Send {
        bytes: Bytes,
        refused: Option<Errno>,
    },
    Request(Request),
    Tls(Handshake),
    Answer {
        /// Room for so many bytes.
        room: Option<usize>,
        /// Nobody waits for it.
        now: bool,
        answer: Answer,
    },
    Has(Bytes),
    Poll(Polled),
    Hello(Hello),
    End,
    Close,
    Wait(Duration),
    Wsman(wsman::Line),
}

/// To whom one can connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Client(Guid),
    Port { side: Interface, port: u16 },
}

/// How a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Errno(Errno),
    /// Nobody listens at the port.
    NotListening,
}

/// What must come.
#[derive(Debug, Clone)]
pub enum Answer {
    Bytes(Bytes),
    Web(WebAnswer),
    Secure(SecureAnswer),
    Nothing,
    End,
    Errno(Errno),
}

impl Verb {
    /// Whether something must be so.
    pub(super) const fn judges(&self) -> bool {
        let judges = match self {
            Self::Answer { .. } | Self::Has(_) | Self::Poll(_) | Self::Hello(_) => true,
            Self::Connect { returns, .. } => returns.is_some(),
            Self::Wsman(line) => line.judges(),
            _ => false,
        };
        judges || self.is_refused()
    }

    /// Whether it must fail.
    pub(super) const fn is_refused(&self) -> bool {
        match self {
            Self::Open { refused, .. } | Self::Send { refused, .. } => refused.is_some(),
            Self::Connect { refused, .. } => refused.is_some(),
            Self::Tls(handshake) => handshake.refused.is_some(),
            _ => false,
        }
    }
}

impl Script {
    /// Reads the text of a step; `file` is the text of the whole file.
    pub fn parse(file: &str, text: &Located<String>, findings: &Findings) -> Option<Self> {
        let raw = file.get(text.span.clone()).unwrap_or_default();
        let Some(body) = raw.strip_prefix("'''\n") else {
            findings.add_with_help(
                text.span.clone(),
                "a script stands between ''' and ''', each on a line of its own",
                "so that a backslash in it is a backslash",
            );
            return None;
        };
        let start = text.span.start + raw.len() - body.len();
        let first = file.get(..start).unwrap_or_default().matches('\n').count() + 1;
        let mut reader = Reader { lines: Vec::new() };
        let mut at = start;
        let mut sound = true;
        // Placeholders of parameters may have made the text longer than the file's, but never gave it other lines.
        for (index, (written, line)) in body.lines().zip(text.value.lines()).enumerate() {
            let indent = written.len() - written.trim_start().len();
            let span = at + indent..at + written.trim_end().len().max(indent);
            at += written.len() + 1;
            let line = without_comment(line);
            if line.is_empty() {
                continue;
            }
            if let Err(Wrong { message, help }) = reader.read(first + index, line) {
                sound = false;
                findings.tell(span, message, help);
            }
        }
        let lines = reader.lines;
        if sound && !lines.iter().any(|line| line.verb.judges()) {
            findings.add(text.span.clone(), "a probe that expects nothing");
            return None;
        }
        sound.then_some(Self { lines })
    }
}

/// What is wrong with a line.
pub struct Wrong {
    pub message: String,
    pub help: Option<String>,
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        let help = None;
        Self { message, help }
    }
}

struct Reader {
    lines: Vec<Line>,
}

/// The words that a line begins with.
const VERBS: [&str; 14] = [
    "connect", "tls", "open", "on", ">", "<", "has", "=", "poll", "hello", "end", "close", "wait",
    "#",
];

/// How often a line can be said.
const MOST_TIMES: usize = 1000;

impl Reader {
    fn read(&mut self, number: usize, line: &str) -> Result<(), Wrong> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        if let (Ok(times), Some(line)) = (word.parse(), rest.strip_prefix("times ")) {
            return self.repeat(number, times, line.trim());
        }
        let verb =
            match word {
                "connect" => connect(rest)?,
                "open" => {
                    let name = match rest.strip_prefix("as ") {
                        Some(name) => named(name)?,
                        None if rest.is_empty() => "node".to_owned(),
                        None => {
                            let message = format!("`open {rest}`: write `open` or `open as NAME`");
                            return Err(message.into());
                        }
                    };
                    Verb::Open {
                        name,
                        refused: None,
                    }
                }
                "tls" => Verb::Tls(Handshake::parse(rest)?),
                "on" => Verb::On(named(rest)?),
                ">" => match Request::parse(rest) {
                    Some(request) => Verb::Request(request?),
                    None => send(rest)?,
                },
                "=" => return self.refuse(rest),
                "has" => Verb::Has(Bytes::parse(rest)?),
                "poll" => Verb::Poll(Polled::parse(rest)?),
                "hello" => Verb::Hello(Hello::parse(rest)?),
                "end" if rest.is_empty() => Verb::End,
                "close" if rest.is_empty() => Verb::Close,
                "wait" => {
                    let time = parse_duration(rest);
                    Verb::Wait(time.ok_or_else(|| {
                        format!("`{rest}` is not a time: write 10s, 200ms or 7min")
                    })?)
                }
                _ => match word.strip_prefix('<') {
                    Some(room) => answer(room, rest)?,
                    None => self.wsman(word, rest)?,
                },
            };
        self.lines.push(Line {
            number,
            text: line.to_owned(),
            verb,
        });
        Ok(())
    }

    /// What follows a request may say what must come of it, with properties and the like between them.
    fn wsman(&mut self, word: &str, rest: &str) -> Result<Verb, Wrong> {
        let Some(line) = wsman::parse(word, rest) else {
            let known: Vec<&str> = VERBS.into_iter().chain(wsman::VERBS).collect();
            return Err(unknown(word, "line begins with", &known));
        };
        let line = line?;
        if line.is_outcome() {
            let asked = self
                .lines
                .iter_mut()
                .rev()
                .find_map(|line| match &mut line.verb {
                    Verb::Wsman(wsman::Line::Ask { judged, .. }) => Some(judged),
                    _ => None,
                });
            let nobody = || format!("`{word}` stands below a request, in the same step");
            *asked.ok_or_else(nobody)? = true;
        }
        Ok(Verb::Wsman(line))
    }

    /// `60 times > 00`. What it opens is told apart by a number.
    fn repeat(&mut self, number: usize, times: usize, line: &str) -> Result<(), Wrong> {
        if !(1..=MOST_TIMES).contains(&times) {
            return Err(format!("a line can be said 1 to {MOST_TIMES} times").into());
        }
        if line.starts_with(|letter: char| letter.is_ascii_digit() || letter == '=') {
            let once = "`times` stands in front of a line that can stand alone";
            return Err(once.to_owned().into());
        }
        for time in 1..=times {
            self.read(number, line)?;
            let opened = match self.lines.last_mut().map(|line| &mut line.verb) {
                Some(Verb::Open { name, .. }) => Some(name),
                Some(Verb::Connect { name, again, .. }) => Some(name).filter(|_| !*again),
                _ => None,
            };
            if let Some(name) = opened {
                name.push_str(&format!("-{time}"));
            }
        }
        Ok(())
    }

    /// `= EBUSY` belongs to the line before it.
    fn refuse(&mut self, rest: &str) -> Result<(), Wrong> {
        let nobody = "`=` stands below a line that is refused: `connect`, `open`, `tls` or `>`";
        let line = self.lines.last_mut().ok_or_else(|| nobody.to_owned())?;
        let known = || unknown(rest, "error is called", &ERRNOS.map(|(word, _)| word));
        match &mut line.verb {
            Verb::Connect {
                to: Place::Port { .. },
                refused,
                ..
            } => match rest {
                "not-listening" => *refused = Some(Refused::NotListening),
                _ => {
                    return Err(unknown(
                        rest,
                        "refusal of a port is called",
                        &["not-listening"],
                    ));
                }
            },
            Verb::Connect {
                refused, returns, ..
            } => match errno(rest) {
                Some(errno) => *refused = Some(Refused::Errno(errno)),
                None if rest.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
                    return Err(known());
                }
                None => *returns = Some(Bytes::parse(rest)?),
            },
            Verb::Open { refused, .. } | Verb::Send { refused, .. } => {
                *refused = Some(errno(rest).ok_or_else(known)?);
            }
            Verb::Tls(handshake) => handshake.refused = Some(Refusal::parse(rest)?),
            _ => return Err(nobody.to_owned().into()),
        }
        line.text.push_str(&format!(" = {rest}"));
        Ok(())
    }
}

fn connect(rest: &str) -> Result<Verb, Wrong> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (place, name, again) = match words.as_slice() {
        [place] => (*place, (*place).to_owned(), false),
        [place, "as", name] => (*place, named(name)?, false),
        [place, "on", name] => (*place, named(name)?, true),
        _ => {
            let how = "write `connect PLACE`, `connect PLACE as NAME` or `connect PLACE on NAME`";
            return Err(how.to_owned().into());
        }
    };
    let to = Place::parse(place)?;
    Ok(Verb::Connect {
        to,
        name,
        again,
        refused: None,
        returns: None,
    })
}

fn send(rest: &str) -> Result<Verb, Wrong> {
    let bytes = match rest {
        "empty" => Bytes::default(),
        _ => Bytes::parse(rest)?,
    };
    let refused = None;
    match bytes.can_be_sent() {
        true => Ok(Verb::Send { bytes, refused }),
        false => {
            let message = "what is sent must be said to the last byte";
            Err(message.to_owned().into())
        }
    }
}

fn answer(room: &str, rest: &str) -> Result<Verb, Wrong> {
    let now = room == "now";
    let room = match room {
        "" | "now" => None,
        room => Some(room.parse().map_err(|_| {
            format!("`<{room}`: write `<` or, for a read with room for eight bytes, `<8`")
        })?),
    };
    let answer = match rest {
        "empty" => Answer::Bytes(Bytes::default()),
        "nothing" => Answer::Nothing,
        "end" => Answer::End,
        _ => match errno(rest) {
            Some(errno) => Answer::Errno(errno),
            None => match (SecureAnswer::parse(rest), WebAnswer::parse(rest)) {
                (Some(answer), _) if room.is_none() => Answer::Secure(answer?),
                (_, Some(answer)) if room.is_none() => Answer::Web(answer?),
                _ => Answer::Bytes(Bytes::parse(rest)?),
            },
        },
    };
    Ok(Verb::Answer { room, now, answer })
}

impl Place {
    fn parse(word: &str) -> Result<Self, Wrong> {
        if let Some((side, port)) = word.split_once(':') {
            let side = match side {
                "local" => Interface::Local,
                "network" => Interface::Network,
                _ => return Err(unknown(side, "side is called", &["local", "network"])),
            };
            let port = port
                .parse()
                .map_err(|_| format!("`{port}` is not a port"))?;
            return Ok(Self::Port { side, port });
        }
        let client = ClientKind::ALL
            .into_iter()
            .find(|client| client.name() == word);
        if let Some(client) = client {
            return Ok(Self::Client(client.guid()));
        }
        match word.parse() {
            Ok(guid) => Ok(Self::Client(guid)),
            Err(_) => Err(unknown(
                word,
                "ME client is called",
                &ClientKind::ALL.map(ClientKind::name),
            )),
        }
    }
}

pub(super) fn unknown(word: &str, what: &str, known: &[&str]) -> Wrong {
    let near = amt_sim::diagnostic::closest(word, known.iter().copied());
    Wrong {
        message: format!("no {what} `{word}`"),
        help: Some(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.join(", ")),
        }),
    }
}

/// The name of a connection. An earlier step may have made it; the player says so if none did.
fn named(text: &str) -> Result<String, Wrong> {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || ":-".contains(letter);
    match !text.is_empty() && text.chars().all(letter) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no name of a connection").into()),
    }
}

/// The errors that a script can expect.
const ERRNOS: [(&str, Errno); 11] = [
    ("EAGAIN", Errno::Eagain),
    ("EBUSY", Errno::Ebusy),
    ("EFAULT", Errno::Efault),
    ("EFBIG", Errno::Efbig),
    ("EINVAL", Errno::Einval),
    ("EMFILE", Errno::Emfile),
    ("EMSGSIZE", Errno::Emsgsize),
    ("ENODEV", Errno::Enodev),
    ("ENOTTY", Errno::Enotty),
    ("EOPNOTSUPP", Errno::Eopnotsupp),
    ("ETIME", Errno::Etime),
];

fn errno(word: &str) -> Option<Errno> {
    let known = ERRNOS.iter().find(|(known, _)| *known == word);
    known.map(|(_, errno)| *errno)
}

/// The line up to a `#` that stands in no text.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in line.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted => return line[..at].trim(),
            _ => {}
        }
    }
    line.trim()
}
