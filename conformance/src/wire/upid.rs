//! The ME client that knows the unique platform identifier, as far as whoever verifies a device needs it.
//!
//! ```text
//!   SetFeatureState  00 02 01 00, u8 on   ──▶ header, u32 status
//!   GetPlatformId    00 05 00 00          ──▶ header, u32 status, u32 type, u8[32] the vendor's, u8[32] the hardware's
//! ```
//! Source: Intel LMS `MEIClient/UPIDClient`; rpc-go `pkg/upid`, which switches the feature on to read, and off again.

use std::time::Duration;

use amt_sim::ClientKind;
use amt_sim::host::port::{MeiPort, PortError};

use crate::role::Clock;

/// The first twenty bytes of the hardware's part: those that mean something.
pub type HardwareId = [u8; 20];

const PATIENCE: Duration = Duration::from_secs(5);

/// The hardware's identifier; `None` where the firmware does not give it.
pub fn hardware_id(port: &dyn MeiPort, clock: &dyn Clock) -> Result<Option<HardwareId>, PortError> {
    const ON: [u8; 5] = [0, 2, 1, 0, 1];
    const OFF: [u8; 5] = [0, 2, 1, 0, 0];
    const READ: [u8; 4] = [0, 5, 0, 0];
    /// Header, status, type and the vendor's part.
    const HARDWARE: usize = 4 + 4 + 4 + 32;
    let mut channel = super::connect(port, clock, ClientKind::Upid)?;
    let mut ask = |request: &[u8]| {
        channel.send(request)?;
        channel.receive(PATIENCE)
    };
    ask(&ON)?;
    let answer = ask(&READ)?;
    ask(&OFF)?;
    let good = answer.get(4..8) == Some(&[0; 4]);
    let id = answer.get(HARDWARE..HARDWARE + 20).filter(|_| good);
    Ok(id.and_then(|id| id.try_into().ok()))
}
