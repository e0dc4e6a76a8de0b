//! What classes do beyond their data, one file a family; the data are in `fixtures/wsman`.
//!
//! Every family gives three tables: `METHODS`, `PROVIDERS` and `LIVE`. They are put together here and nowhere else.

use super::call::Method;
use super::provider::{Live, Provider};

macro_rules! families {
    ($($(#[$doc:meta])* $family:ident;)*) => {
        $($(#[$doc])* mod $family;)*

        const METHODS: &[&[Method]] = &[$($family::METHODS),*];
        const PROVIDERS: &[&[Provider]] = &[$($family::PROVIDERS),*];
        const LIVE: &[&[Live]] = &[$($family::LIVE),*];
    };
}

families! {
    /// Host-based set-up and provisioning records.
    setup;
    /// General settings, versions, time, leaving provisioning.
    general;
    /// What a device proves itself with after set-up.
    authenticate;
    /// TLS settings, certificates and keys.
    tls;
    /// CIRA: servers, policies, environment detection, proxies.
    remote_access;
    /// Wired ports, IP and 802.1x.
    network;
    /// Wireless ports and profiles.
    wifi;
    /// SOL, IDER, KVM and consent.
    redirection;
    /// Power states and alarms.
    power;
    /// Boot configuration.
    boot;
    /// Event log and audit log.
    logs;
    /// What the machine is made of.
    hardware;
    /// Access control list.
    access;
    /// Subscriptions and filters.
    events;
}

pub(crate) use tls::shown;

/// The method of this class and name.
pub(crate) fn method(class: &str, name: &str) -> Option<&'static Method> {
    METHODS
        .iter()
        .copied()
        .flatten()
        .find(|method| method.class == class && method.name == name)
}

/// The class's own code.
pub(crate) fn provider(class: &str) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .copied()
        .flatten()
        .find(|provider| provider.class == class)
}

/// The live value of this name.
pub(crate) fn live(name: &str) -> Option<&'static Live> {
    LIVE.iter()
        .copied()
        .flatten()
        .find(|live| live.name == name)
}

#[cfg(test)]
pub(crate) fn methods() -> impl Iterator<Item = &'static Method> {
    METHODS.iter().copied().flatten()
}

#[cfg(test)]
pub(crate) fn lives() -> impl Iterator<Item = &'static Live> {
    LIVE.iter().copied().flatten()
}

#[cfg(test)]
pub(crate) fn providers() -> impl Iterator<Item = &'static Provider> {
    PROVIDERS.iter().copied().flatten()
}

#[cfg(test)]
mod tests;
