//! The firmware: modes, memory, identity, records, faults and journal. No I/O of any kind.

mod account;
pub(crate) mod assumed;
mod consent;
mod credential;
mod fault;
mod firmware;
mod host_power;
mod identity;
mod journal;
mod key_store;
mod login;
mod mode;
mod profile;
mod recorder;
mod rule;
mod seed;
pub(crate) mod setup;
mod state;
mod tls_ports;

pub use account::{AccessPermission, Account, Caller, Interface, Principal, Realm};
pub use consent::{Consent, ConsentStage};
pub use credential::{WeakPassword, check_password, digest_a1};
pub use fault::{Fault, FaultEffect, FaultError, FaultPoint, Faults};
pub use firmware::Firmware;
pub use host_power::{HostPower, NextBoot};
pub use identity::{Identity, LocalAccount};
pub use journal::{Entry, Event, Journal, LoginRefusal, Operation, Party, TlsClient};
pub use key_store::{StoredKey, TlsPort, TlsSettings};
pub use mode::{ControlMode, Mode, ProvisioningState, Refusal, Traits, Trigger};
pub use profile::{
    Assumptions, Capabilities, CertificateHash, Certificates, ChainAlert, ChainAssumptions,
    ChallengeQuality, DynamicDns, Features, FirmwareUpdate, FirmwareVersions, HashAlgorithm,
    HashSet, HostBasedAgain, HostReset, Ipv6, Ipv6Entry, Ipv6Origin, Ipv6State, LanInterface,
    LmeDrop, LmeNumbers, Mac, MeReset, MeiClient, MeiLink, Network, Platform, Profile,
    ProfileError, RandomSeed, RemoteAccess, SetupServer, SlowKey, Timings, Tls, Tunnel,
    TunnelTrigger, Web, WhileDisabled,
};
pub use recorder::{Chance, Passage, Recording, Traffic};
pub use rule::{Rule, Rules, UnknownRule};
pub use seed::Seed;
pub use setup::peer::PeerRefusal;
pub use setup::{
    AdminRecord, Announced, ClientRecord, ProvisioningRecord, SetupMethod, SetupRefusal,
};
pub use setup::{Delivery, Dial, DialEnd, HelloFault, HelloStop, KeyStage, OutOfBand};
pub use state::{SetupRecord, State};

pub(crate) use fault::{Asked, Occasion};
pub(crate) use login::credential_of;
pub(crate) use profile::LONGEST_SUFFIX;
pub(crate) use tls_ports::{client_certificates, listening};

#[cfg(test)]
mod ledger_tests;
