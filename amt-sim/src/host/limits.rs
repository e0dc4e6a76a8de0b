//! How many descriptors this process may have: each open port of each device is one.

use std::io;

use super::sys;

/// What a process has besides its devices: its own files, threads' wake-ups, Hello messages under way, some peers.
const OTHERS: u64 = 512;

/// There are too few descriptors for so many devices.
#[derive(Debug, thiserror::Error)]
#[error(
    "{devices} devices need {needed} descriptors and this process may have {allowed}; raise the hard limit with \
     `ulimit -Hn {needed}` as root, or start fewer devices"
)]
pub struct TooFew {
    pub devices: u64,
    pub needed: u64,
    pub allowed: u64,
}

/// How far the descriptors go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Every device may open all its ports.
    Enough,
    /// Every device may have one port open; not all of them two.
    OnePortEach { needed: u64, allowed: u64 },
}

/// Raises the soft limit as far as it is of use to so many devices with so many descriptors each besides their ports.
pub fn make_room(devices: u64, besides: u64) -> io::Result<Result<Room, TooFew>> {
    let with_ports = |ports: u64| OTHERS + devices.saturating_mul(ports + besides);
    // Plain and TLS.
    let wanted = with_ports(2);
    sys::raise_descriptor_limit(wanted)?;
    let allowed = sys::descriptors_allowed()?;
    Ok(if allowed >= wanted {
        Ok(Room::Enough)
    } else if allowed >= with_ports(1) {
        Ok(Room::OnePortEach {
            needed: wanted,
            allowed,
        })
    } else {
        Err(TooFew {
            devices,
            needed: wanted,
            allowed,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_may_have_decides() {
        assert_eq!(make_room(1, 0).unwrap().unwrap(), Room::Enough);
        let error = make_room(1 << 40, 0).unwrap().unwrap_err().to_string();
        assert!(error.contains("ulimit -Hn"), "{error}");
    }
}
