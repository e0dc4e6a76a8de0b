//! WS-Management: one SOAP request in, one answer out.
//!
//! `request` reads what clients send, `operation` does it on the classes of `schema` (data) and `classes` (code),
//! `store` keeps what was written, `envelope` and `fault` say how answers look.

pub(crate) mod base64;
pub(crate) mod call;
pub(crate) mod classes;
pub(crate) mod fault;
pub(crate) mod provider;
pub(crate) mod request;
pub(crate) mod store;
pub(crate) mod value;

#[cfg(test)]
pub(crate) use classes::shown::testing;
pub(crate) use classes::shown::{
    Shown, certificate as shown_certificate, subject_of, trusted_roots,
};
pub use store::Overlay;

use crate::device::{Caller, Firmware};

/// What HTTP sends back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A SOAP envelope: status 200.
    Answer { body: String, after: After },
    /// A SOAP fault: status 400.
    Fault { body: String },
    /// The caller's realms do not allow it: HTTP shows its 401 page.
    NotAuthorized,
}

/// What happens once the answer is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// The mode or the TLS settings changed: every connection is closed and the ports come up anew.
    PortsRestart,
}

/// Answers one request to `/wsman`.
pub(crate) fn respond(_fw: &mut Firmware, _caller: &Caller, _request: &[u8]) -> Reply {
    Reply::NotAuthorized
}
