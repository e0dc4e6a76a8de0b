//! WS-Management: one SOAP request in, one answer out.
//!
//! `request` reads what clients send, `operation` does it on the classes of `schema` (data) and `classes` (code),
//! `store` keeps what was written, `envelope` and `fault` say how answers look.

mod access;
pub(crate) mod base64;
pub(crate) mod call;
pub(crate) mod classes;
mod condition;
mod enumerate;
mod envelope;
pub(crate) mod fault;
mod operation;
pub(crate) mod provider;
pub(crate) mod request;
mod resolve;
mod schema;
pub(crate) mod store;
pub(crate) mod value;
mod xml;

#[cfg(test)]
pub(crate) use classes::shown::testing;
pub(crate) use classes::shown::{
    Shown, certificate as shown_certificate, subject_of, trusted_roots,
};
pub use store::Overlay;

use crate::device::{Asked, Caller, Event, FaultEffect, Firmware, Rule, assumed};
use envelope::Headers;
use fault::Fault;
use operation::{Done, Refused};
use request::{Action, Message, Request};

/// What HTTP sends back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A SOAP envelope: status 200.
    Answer { body: String, after: After },
    /// A SOAP fault: status 400.
    Fault { body: String },
    /// The caller's realms do not allow it: HTTP shows its 401 page.
    NotAuthorized,
    /// A fault that was asked for: this HTTP status, and nothing was done.
    Failed(u16),
}

/// What happens once the answer is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// The mode or the TLS settings changed: every connection is closed and the ports come up anew.
    PortsRestart,
}

/// What the device keeps of its WS-Management sessions: nothing that outlives its power.
#[derive(Debug, Default)]
pub(crate) struct Runtime {
    /// Answers so far; their MessageIDs count them.
    messages: u64,
    /// Contexts given out so far.
    enumerations: u32,
    contexts: Vec<enumerate::Context>,
    /// What faults do to the answer that is on its way.
    spoils: Vec<FaultEffect>,
}

/// Answers one request to `/wsman`.
pub(crate) fn respond(fw: &mut Firmware, caller: &Caller, request: &[u8]) -> Reply {
    let Message {
        message_id,
        request,
        findings,
    } = request::read(request);
    let forgiving = fw.enforced(Rule::WSMAN_FORGIVING);
    let unforgiven = !forgiving && !findings.is_empty();
    for what in findings {
        fw.record(Event::WsmanFinding { what });
    }
    let relates_to = message_id.as_deref();
    let request = match request {
        Ok(request) if !unforgiven => request,
        Ok(_) => return refuse(fw, caller, relates_to, None, &Fault::SchemaValidation),
        Err(unreadable) => {
            fw.record(Event::WsmanFinding {
                what: unreadable.why,
            });
            return refuse(fw, caller, relates_to, None, &unreadable.fault);
        }
    };
    if request.action == Action::Identify {
        journal(fw, caller, Some(&request), None, None);
        return identify(fw);
    }
    if let Some(header) = &request.not_understood
        && fw.enforced(Rule::WSMAN_MUST_UNDERSTAND)
    {
        fw.record(Event::WsmanFinding {
            what: format!("the header {header} must be understood"),
        });
        return refuse(
            fw,
            caller,
            relates_to,
            Some(&request),
            &Fault::MustUnderstand,
        );
    }
    let asked = Asked {
        class: &request.class,
        action: request.action.name(),
    };
    let fault = fw.strike_request(asked).map(|fault| fault.effect);
    let performed = match (&fault, &request.action) {
        (Some(FaultEffect::Status(status)), _) => {
            return Reply::Failed(u16::try_from(*status).unwrap_or(500));
        }
        (Some(FaultEffect::ReturnValue(value)), Action::Invoke(method)) => {
            Ok(operation::returned(&request.class, method, *value))
        }
        _ => operation::perform(fw, caller, &request),
    };
    fw.wsman.spoils.extend(fault);
    match performed {
        Ok(Done {
            body,
            after,
            return_value,
        }) => {
            journal(fw, caller, Some(&request), return_value, None);
            let number = fw.wsman.next_message();
            let action = format!("{}Response", request.action_uri);
            let headers = Headers {
                relates_to,
                action: &action,
                number,
                resource_uri: Some(&request.resource_uri),
            };
            Reply::Answer {
                body: envelope::answer(headers, &body),
                after,
            }
        }
        Err(Refused::Fault(fault)) => refuse(fw, caller, relates_to, Some(&request), &fault),
        Err(Refused::NotAuthorized) => {
            journal(fw, caller, Some(&request), None, Some("NotAuthorized"));
            Reply::NotAuthorized
        }
    }
}

fn refuse(
    fw: &mut Firmware,
    caller: &Caller,
    relates_to: Option<&str>,
    request: Option<&Request>,
    fault: &Fault,
) -> Reply {
    journal(fw, caller, request, None, Some(fault.name()));
    let headers = Headers {
        relates_to,
        action: fault.action(),
        number: fw.wsman.next_message(),
        resource_uri: None,
    };
    Reply::Fault {
        body: envelope::fault(headers, fault),
    }
}

fn identify(fw: &mut Firmware) -> Reply {
    fw.assume(assumed::WSMAN_IDENTIFY);
    let version = format!("AMT {}", fw.profile.firmware.amt);
    Reply::Answer {
        body: envelope::identify("Intel(r)", &version),
        after: After::Nothing,
    }
}

fn journal(
    fw: &mut Firmware,
    caller: &Caller,
    request: Option<&Request>,
    return_value: Option<u32>,
    fault: Option<&str>,
) {
    let (action, class) = match request {
        Some(request) => (request.action.name(), request.class.as_str()),
        None => ("unreadable", ""),
    };
    fw.record(Event::Wsman {
        user: caller.user.clone(),
        action: action.to_owned(),
        class: class.to_owned(),
        return_value,
        status: return_value.and_then(call::status::name).map(str::to_owned),
        fault: fault.map(str::to_owned),
    });
}

impl Runtime {
    /// A fault struck at what is being answered: its effect on the answer follows.
    pub(crate) fn spoil(&mut self, effect: FaultEffect) {
        self.spoils.push(effect);
    }

    /// What faults do to the answer that was just given, now that it is bytes.
    pub(crate) fn take_spoils(&mut self) -> Vec<FaultEffect> {
        std::mem::take(&mut self.spoils)
    }

    fn next_message(&mut self) -> u64 {
        self.messages += 1;
        self.messages
    }
}

#[cfg(test)]
mod tests;
