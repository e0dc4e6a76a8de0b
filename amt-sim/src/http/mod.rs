//! The device's own HTTP server, as bytes in and bytes out: one stream is one connection, whatever carries it.
//!
//! LME channels, the host's local ports and the LAN side all speak to it through the functions here.

use crate::device::{Firmware, Interface};

/// One connection to one of the device's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(crate) u32);

/// Nothing listens on that port now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing listens on port {0}")]
pub struct NotListening(pub u16);

/// All connections of one device.
#[derive(Debug, Default)]
pub(crate) struct Runtime {}

/// Whether a connection from this side to this port would be taken.
pub(crate) fn listens(_fw: &Firmware, _side: Interface, _port: u16) -> bool {
    false
}

/// A new connection.
pub(crate) fn open(
    _fw: &mut Firmware,
    _side: Interface,
    port: u16,
) -> Result<StreamId, NotListening> {
    Err(NotListening(port))
}

/// Bytes from the peer. Whatever they complete is answered at once, into what [`take`] gives.
pub(crate) fn receive(_fw: &mut Firmware, _stream: StreamId, _bytes: &[u8]) {}

/// Up to `most` bytes for the peer.
pub(crate) fn take(_fw: &mut Firmware, _stream: StreamId, _most: usize) -> Vec<u8> {
    Vec::new()
}

/// How many bytes [`take`] could give now.
pub(crate) fn pending(_fw: &Firmware, _stream: StreamId) -> usize {
    0
}

/// Whether the device closes the connection once everything is taken. An unknown stream is finished.
pub(crate) fn finished(_fw: &Firmware, _stream: StreamId) -> bool {
    true
}

/// The peer will send no more.
pub(crate) fn end(_fw: &mut Firmware, _stream: StreamId) {}

/// The connection is gone; the stream's number means nothing any more.
pub(crate) fn close(_fw: &mut Firmware, _stream: StreamId) {}
