//! Who may ask the device for what: digest accounts, their realms, and the side they came from.

use serde::{Deserialize, Serialize};

/// The side of the device that a request came in on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// From the host: over LME, or over the local ports that LMS offers.
    Local,
    /// From the LAN, or through a remote tunnel.
    Network,
}

/// A right, by the number that AMT_AuthorizationService uses.
///
/// Source: "Intel AMT Implementation and Reference Guide", page "Authorization realms"; public clients' tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Realm(pub u32);

impl Realm {
    pub const REDIRECTION: Self = Self(2);
    /// Everything: the only realm that `admin` needs.
    pub const ADMINISTRATION: Self = Self(3);
    pub const HARDWARE_ASSET: Self = Self(4);
    pub const REMOTE_CONTROL: Self = Self(5);
    pub const STORAGE: Self = Self(6);
    pub const EVENT_MANAGER: Self = Self(7);
    pub const STORAGE_ADMIN: Self = Self(8);
    pub const AGENT_PRESENCE_LOCAL: Self = Self(9);
    pub const AGENT_PRESENCE_REMOTE: Self = Self(10);
    pub const CIRCUIT_BREAKER: Self = Self(11);
    pub const NETWORK_TIME: Self = Self(12);
    pub const GENERAL_INFO: Self = Self(13);
    pub const FIRMWARE_UPDATE: Self = Self(14);
    pub const LOCAL_USER_NOTIFICATION: Self = Self(16);
    pub const ENDPOINT_ACCESS_CONTROL: Self = Self(17);
    pub const ENDPOINT_ACCESS_CONTROL_ADMIN: Self = Self(18);
    pub const EVENT_LOG_READER: Self = Self(19);
    pub const AUDIT_LOG: Self = Self(20);
    pub const USER_ACCESS_CONTROL: Self = Self(21);
    pub const LOCAL_SYSTEM: Self = Self(24);
}

/// From where an account may be used: AccessPermission of an access control entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessPermission {
    LocalOnly = 0,
    NetworkOnly = 1,
    Any = 2,
}

impl AccessPermission {
    pub const fn allows(self, interface: Interface) -> bool {
        matches!(
            (self, interface),
            (Self::Any, _)
                | (Self::LocalOnly, Interface::Local)
                | (Self::NetworkOnly, Interface::Network)
        )
    }
}

/// One entry of the access control list. `admin` and the system's own accounts are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Number that AMT_AuthorizationService gave out.
    pub handle: u32,
    pub user: String,
    /// HTTP digest A1, 32 lower-case hex digits.
    pub ha1: String,
    pub access: AccessPermission,
    pub realms: Vec<Realm>,
    pub enabled: bool,
}

/// Whom a request was proven to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The administrator, whatever the account is called.
    Admin,
    /// The operating system's own account, `$$OsAdmin`: local only.
    OsAdmin,
    /// An entry of the access control list.
    Account { handle: u32 },
}

/// A request's sender, proven by digest or by a TLS client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub principal: Principal,
    /// Name as it was logged in with.
    pub user: String,
    pub interface: Interface,
}
