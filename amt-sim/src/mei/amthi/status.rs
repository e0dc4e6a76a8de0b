//! AMT_STATUS: the numbers that AMTHI and the network interface share.
//!
//! Source: Intel LMS `MEIClient/Include/StatusCodeDefinitions.h`; rpc-go `pkg/pthi/status.go` has a part of them.

use std::fmt;

use crate::device::Refusal;

/// One status. Numbers without a name are possible: a profile or a fault may ask for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($($name:ident = $number:literal,)*) => {
        impl Status {
            $(pub const $name: Self = Self($number);)*

            /// Every status that has a name.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name without its `AMT_STATUS_`.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    SUCCESS = 0x0,
    INTERNAL_ERROR = 0x1,
    NOT_READY = 0x2,
    INVALID_AMT_MODE = 0x3,
    INVALID_MESSAGE_LENGTH = 0x4,
    TABLE_FINGERPRINT_NOT_AVAILABLE = 0x5,
    INTEGRITY_CHECK_FAILED = 0x6,
    UNSUPPORTED_ISVS_VERSION = 0x7,
    APPLICATION_NOT_REGISTERED = 0x8,
    INVALID_REGISTRATION_DATA = 0x9,
    APPLICATION_DOES_NOT_EXIST = 0xA,
    NOT_ENOUGH_STORAGE = 0xB,
    INVALID_NAME = 0xC,
    BLOCK_DOES_NOT_EXIST = 0xD,
    INVALID_BYTE_OFFSET = 0xE,
    INVALID_BYTE_COUNT = 0xF,
    NOT_PERMITTED = 0x10,
    NOT_OWNER = 0x11,
    BLOCK_LOCKED_BY_OTHER = 0x12,
    BLOCK_NOT_LOCKED = 0x13,
    INVALID_GROUP_PERMISSIONS = 0x14,
    GROUP_DOES_NOT_EXIST = 0x15,
    INVALID_MEMBER_COUNT = 0x16,
    MAX_LIMIT_REACHED = 0x17,
    INVALID_AUTH_TYPE = 0x18,
    AUTHENTICATION_FAILED = 0x19,
    INVALID_DHCP_MODE = 0x1A,
    INVALID_IP_ADDRESS = 0x1B,
    INVALID_DOMAIN_NAME = 0x1C,
    UNSUPPORTED_VERSION = 0x1D,
    REQUEST_UNEXPECTED = 0x1E,
    INVALID_TABLE_TYPE = 0x1F,
    INVALID_PROVISIONING_STATE = 0x20,
    UNSUPPORTED_OBJECT = 0x21,
    INVALID_TIME = 0x22,
    INVALID_INDEX = 0x23,
    INVALID_PARAMETER = 0x24,
    INVALID_NETMASK = 0x25,
    FLASH_WRITE_LIMIT_EXCEEDED = 0x26,
    INVALID_IMAGE_LENGTH = 0x27,
    INVALID_IMAGE_SIGNATURE = 0x28,
    PROPOSE_ANOTHER_VERSION = 0x29,
    INVALID_PID_FORMAT = 0x2A,
    INVALID_PPS_FORMAT = 0x2B,
    BIST_COMMAND_BLOCKED = 0x2C,
    CONNECTION_FAILED = 0x2D,
    CONNECTION_TOO_MANY = 0x2E,
    RNG_GENERATION_IN_PROGRESS = 0x2F,
    RNG_NOT_READY = 0x30,
    CERTIFICATE_NOT_READY = 0x31,
    REMOTE_ACCESS_NOT_GRANTED = 0x200,
    REMOTE_ACCESS_HOST_VPN_IS_DISABLED = 0x201,
    REMOTE_ACCESS_GRANTED_WITHOUT_DDNS = 0x202,
    REMOTE_ACCESS_GRANTED_WITH_DDNS = 0x203,
    DISABLED_BY_POLICY = 0x400,
    NETWORK_IF_ERROR_BASE = 0x800,
    UNSUPPORTED_OEM_NUMBER = 0x801,
    UNSUPPORTED_BOOT_OPTION = 0x802,
    INVALID_COMMAND = 0x803,
    INVALID_SPECIAL_COMMAND = 0x804,
    INVALID_HANDLE = 0x805,
    INVALID_PASSWORD = 0x806,
    INVALID_REALM = 0x807,
    STORAGE_ACL_ENTRY_IN_USE = 0x808,
    DATA_MISSING = 0x809,
    DUPLICATE = 0x80A,
    EVENTLOG_FROZEN = 0x80B,
    PKI_MISSING_KEYS = 0x80C,
    PKI_GENERATING_KEYS = 0x80D,
    INVALID_KEY = 0x80E,
    INVALID_CERT = 0x80F,
    CERT_KEY_NOT_MATCH = 0x810,
    MAX_KERB_DOMAIN_REACHED = 0x811,
    UNSUPPORTED = 0x812,
    INVALID_PRIORITY = 0x813,
    NOT_FOUND = 0x814,
    INVALID_CREDENTIALS = 0x815,
    INVALID_PASSPHRASE = 0x816,
    NO_ASSOCIATION = 0x818,
    AUDIT_FAIL = 0x81B,
    BLOCKING_COMPONENT = 0x81C,
    IPV6_INTERFACE_DISABLED = 2500,
    INTERFACE_DOES_NOT_EXIST = 2501,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({:#x})", self.0),
            None => write!(f, "unnamed status ({:#x})", self.0),
        }
    }
}

/// What the mode table's refusal is called here.
impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidMode => Self::INVALID_AMT_MODE,
            Refusal::Unsupported => Self::UNSUPPORTED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_belong_together() {
        assert_eq!(Status(2053).name(), Some("INVALID_HANDLE"));
        assert_eq!(Status(36).to_string(), "INVALID_PARAMETER (0x24)");
        assert_eq!(Status(0x7777).to_string(), "unnamed status (0x7777)");
        let mut numbers: Vec<_> = Status::ALL.to_vec();
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), Status::ALL.len());
    }
}
