//! The firmware: modes, memory, identity, records, faults and journal. No I/O of any kind.

mod account;
pub(crate) mod assumed;
mod credential;
mod fault;
mod firmware;
mod identity;
mod journal;
mod login;
mod mode;
mod profile;
mod rule;
mod seed;
mod state;

pub use account::{AccessPermission, Account, Caller, Interface, Principal, Realm};
pub use credential::{WeakPassword, check_password, digest_a1};
pub use fault::{Fault, FaultEffect, FaultError, FaultPoint, Faults};
pub use firmware::Firmware;
pub use identity::{Identity, LocalAccount};
pub use journal::{Entry, Event, Journal, LoginRefusal, Operation, Party};
pub use mode::{ControlMode, Mode, ProvisioningState, Refusal, Traits, Trigger};
pub use profile::{
    Assumptions, Capabilities, CertificateHash, Certificates, DynamicDns, Features, FirmwareUpdate,
    FirmwareVersions, HashAlgorithm, HashSet, HostReset, Ipv6, Ipv6Entry, Ipv6Origin, Ipv6State,
    LanInterface, LmeDrop, Mac, MeReset, MeiClient, MeiLink, Network, Platform, Profile,
    ProfileError, RemoteAccess, SetupServer, Timings, Tunnel, TunnelTrigger, Web, WhileDisabled,
};
pub use rule::{Rule, Rules, UnknownRule};
pub use seed::Seed;
pub use state::{SetupRecord, State};

pub(crate) use fault::Occasion;
pub(crate) use login::credential_of;
pub(crate) use profile::LONGEST_SUFFIX;

#[cfg(test)]
mod ledger_tests;
