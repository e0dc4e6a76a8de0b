//! Requests out of a stream of bytes, however they are cut.
//!
//! ```text
//!   head ──▶ Content-Length: body ─────────────────▶ request ──▶ head of the next
//!     └────▶ chunked: size ⇄ data ── 0 ──▶ trailers ───┘
//! ```
//! What clients in the field get wrong is understood and told as a finding; a strict parser refuses it instead.

use super::head::{self, Body, Head};

/// A request line with its headers, or the trailers of a chunked body, is no longer than this.
pub(crate) const LONGEST_HEAD: usize = 16 * 1024;

/// A body is no longer than this.
pub(crate) const LONGEST_BODY: usize = 64 * 1024;

/// A chunk's size with its extensions.
const LONGEST_CHUNK_LINE: usize = 1024;

/// One whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// What the bytes so far amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Not a whole request yet.
    More,
    Request(Box<Request>),
    /// No request can come out of this stream any more.
    Broken(Broken),
}

/// Why a stream cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("{0}")]
    Syntax(String),
    #[error("the {what} is longer than {limit} bytes")]
    TooLong { what: &'static str, limit: usize },
}

impl Broken {
    pub(super) fn syntax(why: impl Into<String>) -> Self {
        Self::Syntax(why.into())
    }

    fn too_long(what: &'static str, limit: usize) -> Self {
        Self::TooLong { what, limit }
    }
}

/// The receiving half of one connection.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are used up.
    used: usize,
    /// Bytes after `used` in which no end of a line or head was found.
    scanned: usize,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Body {
        head: Head,
        length: usize,
    },
    ChunkSize {
        head: Head,
        body: Vec<u8>,
    },
    ChunkData {
        head: Head,
        body: Vec<u8>,
        left: usize,
    },
    /// The line break after a chunk's data.
    ChunkEnd {
        head: Head,
        body: Vec<u8>,
    },
    Trailers {
        head: Head,
        body: Vec<u8>,
        length: usize,
    },
    Broken(Broken),
}

/// A state to go on in, or why not.
enum Next {
    Go(State),
    Wait(State),
    Done(Request),
}

impl Parser {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Broken(_)) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Bytes that are held and not understood yet.
    pub(crate) fn held(&self) -> usize {
        self.buffer.len().saturating_sub(self.used)
    }

    /// Whether the stream stands between two requests.
    pub(crate) fn is_between_requests(&self) -> bool {
        matches!(self.state, State::Head) && self.rest().iter().all(u8::is_ascii_whitespace)
    }

    /// The next request, when all of it is here.
    pub(crate) fn step(&mut self, strict: bool) -> Step {
        loop {
            let state = std::mem::take(&mut self.state);
            match self.advance(state, strict) {
                Ok(Next::Go(state)) => self.state = state,
                Ok(Next::Wait(state)) => {
                    self.state = state;
                    self.compact();
                    return Step::More;
                }
                Ok(Next::Done(request)) => {
                    self.compact();
                    return Step::Request(Box::new(request));
                }
                Err(broken) => {
                    self.buffer.clear();
                    self.used = 0;
                    self.state = State::Broken(broken.clone());
                    return Step::Broken(broken);
                }
            }
        }
    }

    fn advance(&mut self, state: State, strict: bool) -> Result<Next, Broken> {
        match state {
            State::Head => self.head(strict),
            State::Body { head, length } => Ok(match self.take(length) {
                Some(body) => Next::Done(Request { head, body }),
                None => Next::Wait(State::Body { head, length }),
            }),
            State::ChunkSize { head, body } => self.chunk_size(head, body),
            State::ChunkData {
                head,
                mut body,
                left,
            } => Ok(match self.take(left) {
                Some(data) => {
                    body.extend_from_slice(&data);
                    Next::Go(State::ChunkEnd { head, body })
                }
                None => Next::Wait(State::ChunkData { head, body, left }),
            }),
            State::ChunkEnd { head, body } => match self.rest() {
                [b'\n', ..] => Ok(self.skip(1, State::ChunkSize { head, body })),
                [b'\r', b'\n', ..] => Ok(self.skip(2, State::ChunkSize { head, body })),
                [] | [b'\r'] => Ok(Next::Wait(State::ChunkEnd { head, body })),
                _ => Err(Broken::syntax("a chunk is longer than its size says")),
            },
            State::Trailers { head, body, length } => self.trailer(head, body, length),
            State::Broken(broken) => Err(broken),
        }
    }

    fn head(&mut self, strict: bool) -> Result<Next, Broken> {
        // Empty lines before a request line are nothing: some clients end a body with one.
        let blank = self
            .rest()
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let blank = blank.count();
        if blank > 0 {
            self.used += blank;
            self.scanned = 0;
        }
        let Some(end) = self.end_of_head() else {
            return if self.held() > LONGEST_HEAD {
                Err(Broken::too_long("head", LONGEST_HEAD))
            } else {
                Ok(Next::Wait(State::Head))
            };
        };
        if end > LONGEST_HEAD {
            return Err(Broken::too_long("head", LONGEST_HEAD));
        }
        let bytes = self.rest().get(..end).unwrap_or_default();
        let head = head::parse(bytes, strict)?;
        self.used += end;
        self.scanned = 0;
        Ok(Next::Go(match head.body {
            Body::Length(length) if length > LONGEST_BODY => {
                return Err(Broken::too_long("body", LONGEST_BODY));
            }
            Body::Length(length) => State::Body { head, length },
            Body::Chunked => State::ChunkSize {
                head,
                body: Vec::new(),
            },
        }))
    }

    /// Length of the head with the empty line that ends it.
    fn end_of_head(&mut self) -> Option<usize> {
        // Two line breaks are at most four bytes, so three of those seen before may belong to them.
        let from = self.scanned.saturating_sub(3);
        let rest = self.buffer.get(self.used..).unwrap_or_default();
        let found = (from..rest.len()).find_map(|at| match rest.get(at..)? {
            [b'\n', b'\n', ..] => Some(at + 2),
            [b'\n', b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        });
        self.scanned = rest.len();
        found
    }

    /// A line without its break.
    fn line(&mut self, longest: usize, what: &'static str) -> Result<Option<Vec<u8>>, Broken> {
        let rest = self.buffer.get(self.used..).unwrap_or_default();
        let from = self.scanned.min(rest.len());
        let found = rest
            .get(from..)
            .and_then(|fresh| fresh.iter().position(|byte| *byte == b'\n'))
            .map(|at| from + at);
        let Some(end) = found else {
            self.scanned = rest.len();
            return if rest.len() > longest {
                Err(Broken::too_long(what, longest))
            } else {
                Ok(None)
            };
        };
        if end > longest {
            return Err(Broken::too_long(what, longest));
        }
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        self.used += end + 1;
        self.scanned = 0;
        Ok(Some(line))
    }

    fn chunk_size(&mut self, head: Head, body: Vec<u8>) -> Result<Next, Broken> {
        let Some(line) = self.line(LONGEST_CHUNK_LINE, "size of a chunk")? else {
            return Ok(Next::Wait(State::ChunkSize { head, body }));
        };
        let size = head::chunk_size(&line)
            .ok_or_else(|| Broken::syntax(format!("{:?} is no chunk size", shown(&line))))?;
        if size == 0 {
            return Ok(Next::Go(State::Trailers {
                head,
                body,
                length: 0,
            }));
        }
        match usize::try_from(size) {
            Ok(left) if left <= LONGEST_BODY.saturating_sub(body.len()) => {
                Ok(Next::Go(State::ChunkData { head, body, left }))
            }
            _ => Err(Broken::too_long("body", LONGEST_BODY)),
        }
    }

    fn trailer(&mut self, head: Head, body: Vec<u8>, length: usize) -> Result<Next, Broken> {
        let left = LONGEST_HEAD.saturating_sub(length);
        Ok(match self.line(left, "trailer")? {
            None => Next::Wait(State::Trailers { head, body, length }),
            Some(line) if line.is_empty() => Next::Done(Request { head, body }),
            Some(line) => Next::Go(State::Trailers {
                head,
                body,
                length: length + line.len() + 1,
            }),
        })
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let bytes = self.rest().get(..length)?.to_vec();
        self.used += length;
        self.scanned = 0;
        Some(bytes)
    }

    fn skip(&mut self, length: usize, state: State) -> Next {
        self.used += length;
        self.scanned = 0;
        Next::Go(state)
    }

    /// Forgets what is used up; not at every line, so that many small chunks stay cheap.
    fn compact(&mut self) {
        self.buffer.drain(..self.used.min(self.buffer.len()));
        self.used = 0;
    }
}

/// A few bytes of a client's for people.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(40).collect()
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
