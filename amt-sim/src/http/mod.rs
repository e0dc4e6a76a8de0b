//! The device's own HTTP server, as bytes in and bytes out: one stream is one connection, whatever carries it.
//!
//! ```text
//!   bytes ──▶ parser ──▶ server ──▶ digest: who is it? ──▶ wsman::respond ──▶ response ──▶ bytes
//!                          └──▶ pages
//! ```
//! On a TLS port `secure` stands between the bytes and the parser, and between the response and the bytes.
//!
//! LME channels, the host's local ports and the LAN side all speak to it through the functions here.

mod authorization;
mod digest;
mod head;
mod lock;
mod nonce;
mod pages;
pub(crate) mod parser;
mod response;
mod runtime;
mod secure;
mod server;
#[cfg(test)]
pub(crate) mod testing;
mod trusted;

use crate::device::{Firmware, Interface};

pub(crate) use runtime::Runtime;

/// One connection to one of the device's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(crate) u32);

/// Nothing listens on that port now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing listens on port {0}")]
pub struct NotListening(pub u16);

/// Whether a connection from this side to this port would be taken.
pub(crate) fn listens(fw: &Firmware, side: Interface, port: u16) -> bool {
    runtime::listens(fw, side, port)
}

/// A new connection.
pub(crate) fn open(
    fw: &mut Firmware,
    side: Interface,
    port: u16,
) -> Result<StreamId, NotListening> {
    runtime::open(fw, side, port)
}

/// The certificate that TLS towards this side would show now, DER; empty when there is none to show.
pub(crate) fn leaf(fw: &mut Firmware, side: Interface) -> Vec<u8> {
    secure::leaf(fw, side)
}

/// Bytes from the peer. Whatever they complete is answered at once, into what [`take`] gives.
pub(crate) fn receive(fw: &mut Firmware, stream: StreamId, bytes: &[u8]) {
    runtime::receive(fw, stream, bytes);
}

/// Up to `most` bytes for the peer.
pub(crate) fn take(fw: &mut Firmware, stream: StreamId, most: usize) -> Vec<u8> {
    runtime::take(fw, stream, most)
}

/// How many bytes [`take`] could give now. A fault may hold an answer back until [`Runtime::next_wake`].
pub(crate) fn pending(fw: &Firmware, stream: StreamId) -> usize {
    fw.web.pending(stream, fw.now)
}

/// Whether the device closes the connection once everything is taken. An unknown stream is finished.
pub(crate) fn finished(fw: &Firmware, stream: StreamId) -> bool {
    runtime::finished(fw, stream)
}

/// The peer will send no more.
pub(crate) fn end(fw: &mut Firmware, stream: StreamId) {
    runtime::end(fw, stream);
}

/// The connection is gone; the stream's number means nothing any more.
pub(crate) fn close(fw: &mut Firmware, stream: StreamId) {
    runtime::close(fw, stream);
}
