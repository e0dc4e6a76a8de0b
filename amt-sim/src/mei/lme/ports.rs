//! What stands behind the forwarded ports: the device's own HTTP server, or a stand-in where that is tested
//! without it.

use crate::device::{Firmware, Interface};
use crate::http::{self, StreamId};

/// TCP ports of the device as a channel sees them. A stream is one connection.
pub(crate) trait Ports: std::fmt::Debug {
    type Stream: Copy + std::fmt::Debug;

    fn listens(&self, fw: &Firmware, port: u16) -> bool;

    /// A new connection; `None` when nothing listens there.
    fn open(&mut self, fw: &mut Firmware, port: u16) -> Option<Self::Stream>;

    fn receive(&mut self, fw: &mut Firmware, stream: Self::Stream, bytes: &[u8]);

    /// Up to `most` bytes for the host.
    fn take(&mut self, fw: &mut Firmware, stream: Self::Stream, most: usize) -> Vec<u8>;

    /// How many bytes `take` could give.
    fn pending(&self, fw: &Firmware, stream: Self::Stream) -> usize;

    /// Whether the device closes the connection once everything is taken.
    fn finished(&self, fw: &Firmware, stream: Self::Stream) -> bool;

    /// The connection is gone.
    fn close(&mut self, fw: &mut Firmware, stream: Self::Stream);
}

/// The device's own server.
#[derive(Debug, Default)]
pub(crate) struct Web;

impl Ports for Web {
    type Stream = StreamId;

    fn listens(&self, fw: &Firmware, port: u16) -> bool {
        http::listens(fw, Interface::Local, port)
    }

    fn open(&mut self, fw: &mut Firmware, port: u16) -> Option<StreamId> {
        http::open(fw, Interface::Local, port).ok()
    }

    fn receive(&mut self, fw: &mut Firmware, stream: StreamId, bytes: &[u8]) {
        http::receive(fw, stream, bytes);
    }

    fn take(&mut self, fw: &mut Firmware, stream: StreamId, most: usize) -> Vec<u8> {
        http::take(fw, stream, most)
    }

    fn pending(&self, fw: &Firmware, stream: StreamId) -> usize {
        http::pending(fw, stream)
    }

    fn finished(&self, fw: &Firmware, stream: StreamId) -> bool {
        http::finished(fw, stream)
    }

    fn close(&mut self, fw: &mut Firmware, stream: StreamId) {
        http::close(fw, stream);
    }
}
