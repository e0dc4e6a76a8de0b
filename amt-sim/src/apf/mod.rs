//! AMT port forwarding protocol: the messages, as bytes in and bytes out.
//!
//! It carries TCP connections between AMT and whoever forwards ports for it: a program on the host, over the ME
//! client LME, or a server in the network, over TLS (client initiated remote access). It is SSH's connection
//! protocol, RFC 4254, without encryption, with four messages of its own.
//!
//! Every number is big-endian. `str` is a u32 length and as many bytes, without a terminator. The first byte is
//! the opcode; what follows begins at byte 1:
//!
//! ```text
//!   1  DISCONNECT                  1 u32 reason, 5 u16 reserved                                  7 bytes
//!   5  SERVICE_REQUEST             1 str service
//!   6  SERVICE_ACCEPT              1 str service
//!  50  USERAUTH_REQUEST            1 str user, str service, str method
//!                                  method "password": u8 0, str password
//!  51  USERAUTH_FAILURE            1 str methods, u8 partial success
//!  52  USERAUTH_SUCCESS                                                                          1 byte
//!  80  GLOBAL_REQUEST              1 str name, u8 want reply, then by name:
//!        tcpip-forward             str address, u32 port
//!        cancel-tcpip-forward      str address, u32 port
//!        udp-send-to@amt.intel.com str address, u32 port, str origin address, u32 origin port, str data
//!  81  REQUEST_SUCCESS             answer to tcpip-forward: 1 u32 port                           5 bytes
//!                                  answer to anything else: nothing                              1 byte
//!  82  REQUEST_FAILURE                                                                           1 byte
//!  90  CHANNEL_OPEN                1 str type, u32 sender, u32 window, u32 0xFFFFFFFF,
//!                                  str address, u32 port, str origin address, u32 origin port
//!  91  CHANNEL_OPEN_CONFIRMATION   1 u32 recipient, 5 u32 sender, 9 u32 window, 13 u32 0xFFFFFFFF  17 bytes
//!  92  CHANNEL_OPEN_FAILURE        1 u32 recipient, 5 u32 reason, 9 u32 0, 13 u32 0              17 bytes
//!  93  CHANNEL_WINDOW_ADJUST       1 u32 recipient, 5 u32 bytes                                  9 bytes
//!  94  CHANNEL_DATA                1 u32 recipient, 5 str data
//!  97  CHANNEL_CLOSE               1 u32 recipient                                               5 bytes
//! 192  PROTOCOLVERSION             1 u32 major, 5 u32 minor, 9 u32 trigger, 13 u8[16] system UUID,
//!                                  29 u8[64] reserved                                            93 bytes
//! 208  KEEPALIVE_REQUEST           1 u32 cookie                                                  5 bytes
//! 209  KEEPALIVE_REPLY             1 u32 cookie                                                  5 bytes
//! 210  KEEPALIVE_OPTIONS_REQUEST   1 u32 interval in seconds, 5 u32 timeout in seconds           9 bytes
//! 211  KEEPALIVE_OPTIONS_REPLY     the same                                                      9 bytes
//! ```
//! `recipient` is always the number that the receiver of the message chose for the channel, `sender` the number
//! that its sender chose. There is no half-close and no end-of-file message.
//!
//! Source: RFC 4254; Intel LMS `PortForwardingService/LMS_if.h`; MeshAgent `amt-lme.js`; go-wsman-messages
//! `pkg/apf`; Open AMT `mps`.

mod message;
mod parse;

pub use message::{
    AuthMethod, DisconnectReason, Endpoints, GlobalRequest, KeepaliveOptions, Message, OpenFailure,
    ProtocolVersion, Route, Trigger, opcode,
};
pub use parse::{LONGEST_DATA, LONGEST_TEXT, ParseError, SuccessForm, parse};

/// The service that AMT asks for before it forwards ports.
pub const PORT_FORWARDING: &str = "pfwd@amt.intel.com";

/// The service that AMT logs in to on servers in the network.
pub const AUTHENTICATION: &str = "auth@amt.intel.com";

/// Bytes of a CHANNEL_DATA message before its data.
pub const DATA_HEADER: usize = 9;

#[cfg(test)]
pub(crate) mod tests;
