//! What tests of the host side share.

use crate::Device;
use crate::mei::{ClientKind, HandleId};

/// Sends a command without parameters to AMTHI, over a handle of its own.
pub(crate) fn amthi(device: &mut Device, command: u8) -> HandleId {
    let handle = device.mei_open().unwrap();
    device
        .mei_connect(handle, ClientKind::Amthi.guid())
        .unwrap();
    device
        .mei_write(handle, &[1, 1, 0, 0, command, 0, 0, 4, 0, 0, 0, 0])
        .unwrap();
    handle
}
