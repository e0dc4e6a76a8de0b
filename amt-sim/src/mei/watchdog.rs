//! Manageability watchdog with the state-independence commands: whether AMT is on, and switching it on and off.
//!
//! ```text
//! request  u8 command 5, u8 bytes after it, u8 subcommand, u8 version 0x10, data
//! 0x51     IsChangeToAMTEnabled     -> u8 bits, and nothing else
//! 0x52     ChangeToAMT              -> u32 status
//! 0x53     SetAmtOperationalState   u8 0 or 1 -> the header, u32 status
//! ```
//! Source: Intel LMS `MEIClient/ManageabilityClient`, rpc-go `pkg/pthi/commands.go`, and the Guide's pages
//! "MHC_SetAmtOperationalState" and "Checking whether AMT is enabled".

use crate::device::{Event, Firmware, Mode, Trigger, assumed};
use crate::mei::ClientKind;

const COMMAND: u8 = 5;
const VERSION: u8 = 0x10;

const SUCCESS: u32 = 0;
const UNSUPPORTED: u32 = 0x89;
const FAILURE: u32 = 0x9e;
const NOT_ALLOWED: u32 = 0xa8;

/// Bits of the answer to IsChangeToAMTEnabled. All but the first mean something with the last one only.
mod bit {
    pub(super) const CHANGE_ALLOWED: u8 = 1 << 0;
    pub(super) const ENABLED: u8 = 1 << 1;
    pub(super) const CIRA_TIMER_FIX: u8 = 1 << 5;
    pub(super) const LOCAL_TLS_ENFORCED: u8 = 1 << 6;
    pub(super) const NEW_INTERFACE: u8 = 1 << 7;
}

/// One whole message from the host.
pub(crate) fn receive(fw: &mut Firmware, message: &[u8]) -> Vec<Vec<u8>> {
    let Some((header, data)) = message.split_first_chunk::<4>() else {
        fw.assume(assumed::WATCHDOG_UNKNOWN);
        malformed(fw, format!("{} bytes are no header", message.len()));
        return Vec::new();
    };
    let [command, count, subcommand, version] = *header;
    let whole = command == COMMAND && version == VERSION && usize::from(count) == data.len() + 2;
    if !whole {
        fw.assume(assumed::WATCHDOG_UNKNOWN);
        malformed(
            fw,
            format!("command {command:#x}, version {version:#x}, {count} bytes announced"),
        );
        return vec![with_header(subcommand, UNSUPPORTED)];
    }
    let (name, status, answer) = match subcommand {
        0x51 => ("IsChangeToAMTEnabled", SUCCESS, vec![state_bits(fw)]),
        0x52 => {
            let status = change_to_amt(fw);
            ("ChangeToAMT", status, status.to_le_bytes().to_vec())
        }
        0x53 => {
            let status = set_operational_state(fw, data);
            let answer = with_header(subcommand, status);
            ("SetAmtOperationalState", status, answer)
        }
        _ => {
            fw.assume(assumed::WATCHDOG_UNKNOWN);
            fw.record(Event::UnknownCommand {
                client: ClientKind::Watchdog,
                id: subcommand.into(),
                status: UNSUPPORTED,
            });
            return vec![with_header(subcommand, UNSUPPORTED)];
        }
    };
    fw.record(Event::Command {
        client: ClientKind::Watchdog,
        name: name.to_owned(),
        id: subcommand.into(),
        status,
    });
    vec![answer]
}

fn state_bits(fw: &mut Firmware) -> u8 {
    let mode = fw.mode();
    let capabilities = &fw.profile.capabilities;
    let flags = [
        // Documented: the operational state changes while nothing is provisioned.
        (
            matches!(mode, Mode::Disabled | Mode::PreProvisioning),
            bit::CHANGE_ALLOWED,
        ),
        (mode.enabled(), bit::ENABLED),
        (capabilities.cira_timer_fix, bit::CIRA_TIMER_FIX),
        (capabilities.local_tls_enforced, bit::LOCAL_TLS_ENFORCED),
        (capabilities.operational_state, bit::NEW_INTERFACE),
    ];
    let bits = flags
        .into_iter()
        .filter(|(on, _)| *on)
        .fold(0, |bits, (_, bit)| bits | bit);
    if capabilities.operational_state {
        bits
    } else {
        fw.assume(assumed::WATCHDOG_OLD_INTERFACE);
        bits & bit::CHANGE_ALLOWED
    }
}

/// Deprecated since 9.0: something to do only while AMT is off.
fn change_to_amt(fw: &mut Firmware) -> u32 {
    if fw.mode().enabled() {
        return FAILURE;
    }
    match fw.trigger(Trigger::OperationalStateOn) {
        Ok(_) => SUCCESS,
        Err(_) => FAILURE,
    }
}

fn set_operational_state(fw: &mut Firmware, data: &[u8]) -> u32 {
    if !fw.profile.capabilities.operational_state {
        return UNSUPPORTED;
    }
    let trigger = match data {
        [0] => Trigger::OperationalStateOff,
        [1] => Trigger::OperationalStateOn,
        _ => {
            fw.assume(assumed::WATCHDOG_UNKNOWN);
            malformed(fw, "the state to set is one byte, 0 or 1".to_owned());
            return FAILURE;
        }
    };
    match fw.trigger(trigger) {
        Ok(_) => SUCCESS,
        Err(_) => NOT_ALLOWED,
    }
}

fn with_header(subcommand: u8, status: u32) -> Vec<u8> {
    // Subcommand, version and four bytes of status follow the count.
    let header = [COMMAND, 6, subcommand, VERSION];
    [header, status.to_le_bytes()].concat()
}

fn malformed(fw: &mut Firmware, why: String) {
    fw.record(Event::Malformed {
        client: ClientKind::Watchdog,
        why,
    });
}

#[cfg(test)]
#[path = "watchdog_tests.rs"]
mod tests;
