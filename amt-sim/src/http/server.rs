//! One request in, one response out.

use super::digest::{self, Unproven};
use super::parser::Request;
use super::response::{self, Response};
use super::{StreamId, pages};
use crate::device::{Caller, Event, Firmware, Interface, LoginRefusal, assumed};
use crate::wsman::{self, After, Reply};

/// A response and what it does to the device.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) response: Response,
    pub(super) after: After,
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Self {
            response,
            after: After::Nothing,
        }
    }
}

/// Answers a request that came in on this stream from this side, and journals it. Who is `proven` by TLS already need
/// not log in.
pub(super) fn answer(
    fw: &mut Firmware,
    StreamId(stream): StreamId,
    from: Interface,
    proven: Option<Caller>,
    request: &Request,
) -> Outcome {
    let head = &request.head;
    for why in &head.findings {
        fw.record(Event::HttpMalformed {
            stream,
            why: why.clone(),
            tolerated: true,
        });
    }
    let ends = fw.profile.web.closes_connections;
    if ends {
        fw.assume(assumed::CLOSES_CONNECTIONS);
    }
    let closes = ends || !head.keeps_alive();
    if head.is_current && !head.names_host() {
        fw.assume(assumed::HTTP_WITHOUT_HOST);
    }
    let (outcome, caller) = match (head.path(), head.method.as_str()) {
        ("/wsman", "POST") => behind_login(fw, stream, from, proven, request, |fw, caller| {
            ask_wsman(fw, stream, caller, &request.body, closes)
        }),
        ("/wsman", _) => (assumed_error(fw, 405), None),
        ("/" | "/logon.htm" | "/index.htm", "GET") if fw.profile.features.web_ui => {
            fw.assume(assumed::HTTP_PAGES);
            match head.path() {
                "/" => (response::redirect(fw, "/logon.htm", closes).into(), None),
                "/logon.htm" => (response::page(fw, &pages::log_on(fw), closes).into(), None),
                _ => behind_login(fw, stream, from, proven, request, |fw, _| {
                    response::page(fw, &pages::status(fw), closes).into()
                }),
            }
        }
        _ => (assumed_error(fw, 404), None),
    };
    fw.record(Event::HttpRequest {
        stream,
        method: head.method.clone(),
        target: head.target.clone(),
        user: caller.map(|caller| caller.user),
        status: outcome.response.status,
    });
    outcome
}

/// Answers with an error that was asked for, whatever the request is.
pub(super) fn fail(
    fw: &mut Firmware,
    StreamId(stream): StreamId,
    request: &Request,
    status: u32,
) -> Response {
    let status = u16::try_from(status).unwrap_or(500);
    fw.record(Event::HttpRequest {
        stream,
        method: request.head.method.clone(),
        target: request.head.target.clone(),
        user: None,
        status,
    });
    response::error(fw, status)
}

/// A stream that no request can come out of any more.
pub(super) fn refuse(fw: &mut Firmware, StreamId(stream): StreamId, why: String) -> Response {
    fw.record(Event::HttpMalformed {
        stream,
        why,
        tolerated: false,
    });
    fw.assume(assumed::HTTP_BAD_REQUEST);
    response::error(fw, 400)
}

fn behind_login(
    fw: &mut Firmware,
    stream: u32,
    from: Interface,
    proven: Option<Caller>,
    request: &Request,
    act: impl FnOnce(&mut Firmware, &Caller) -> Outcome,
) -> (Outcome, Option<Caller>) {
    let who = match proven {
        Some(caller) => Ok(caller),
        None => digest::authenticate(fw, stream, from, request),
    };
    match who {
        Ok(caller) => (act(fw, &caller), Some(caller)),
        Err(Unproven { stale }) => (unauthorized(fw, stale), None),
    }
}

fn ask_wsman(
    fw: &mut Firmware,
    stream: u32,
    caller: &Caller,
    body: &[u8],
    closes: bool,
) -> Outcome {
    match wsman::respond(fw, caller, body) {
        Reply::Answer { body, after } => {
            let closes = closes || after == After::PortsRestart;
            Outcome {
                response: response::answer(fw, &body, closes),
                after,
            }
        }
        Reply::Fault { body } => response::fault(fw, &body).into(),
        Reply::Failed(status) => response::error(fw, status).into(),
        Reply::NotAuthorized => {
            fw.record(Event::LoginRefused {
                stream,
                user: caller.user.clone(),
                reason: LoginRefusal::NotAuthorized,
            });
            unauthorized(fw, false)
        }
    }
}

fn unauthorized(fw: &mut Firmware, stale: bool) -> Outcome {
    let challenge = digest::challenge(fw, stale);
    response::unauthorized(fw, &challenge).into()
}

fn assumed_error(fw: &mut Firmware, status: u16) -> Outcome {
    fw.assume(assumed::HTTP_PAGES);
    response::error(fw, status).into()
}
