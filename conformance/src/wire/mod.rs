//! The public wire, as a program of ours on the host speaks it to the device. Nothing here looks inside of the device.
//!
//! ```text
//!   Client    WS-Management: get, enumerate, invoke, put    client, soap
//!     │       HTTP/1.1 with digest                          http, digest
//!     ├── Pipe      TLS or plain; TCP, virtual time, or LME  pipe, tls
//!     │ one APF channel a request                           lme
//!   Steady    makes interrupted calls again             steady
//!     │
//!   MeiPort   in virtual time, or through /dev/mei0
//!     │
//!   Amthi     commands and their status                     amthi
//! ```
//! Written from the public descriptions, apart from the device's own server side. What is shared with the device is
//! the codec of APF messages, which is public.

pub mod amthi;
pub mod base64;
pub mod client;
pub mod digest;
pub mod http;
pub mod lme;
pub mod pipe;
pub mod soap;
pub mod steady;
pub mod tls;
pub mod upid;

use std::time::Duration;

use amt_sim::host::port::{MeiChannel, MeiPort, PortError};
use amt_sim::{ClientKind, Errno};

pub use amthi::Amthi;
pub use client::{Client, ClientError, Kept, Login, MethodAnswer};
pub use pipe::{Dialer, LmeDialer, Pipe, PipeError, TcpDialer};
pub use steady::Steady;
pub use tls::{TlsDialer, TlsIdentity, TlsOptions};

use crate::role::Clock;

/// Connects to an ME client, waiting out a link that is being reset and a connection that others hold.
fn connect(
    port: &dyn MeiPort,
    clock: &dyn Clock,
    client: ClientKind,
) -> Result<Box<dyn MeiChannel>, PortError> {
    const LIMIT: Duration = Duration::from_secs(10);
    const PAUSE: Duration = Duration::from_millis(100);
    let started = clock.now();
    loop {
        let error = match port.connect(client.guid()) {
            Ok(channel) => return Ok(channel),
            Err(error) => error,
        };
        let passes = error.is(Errno::Ebusy) || error.is(Errno::Enodev);
        if !passes || clock.now().saturating_sub(started) >= LIMIT {
            return Err(error);
        }
        clock.pause(PAUSE);
    }
}
