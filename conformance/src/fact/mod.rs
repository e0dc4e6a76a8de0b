//! The vocabulary of discovery: what an agent can find out about a device, in one normal form.
//!
//! Programs print the same things in different words: `not activated`, `pre-provisioning state`, `0`. A target file
//! translates them into these facts; scenarios, verdicts and reports know nothing else. A fact also knows what the
//! device at hand would make a good agent say, so that a scenario need not write values down.

mod kind;
mod truth;

use std::collections::BTreeMap;
use std::fmt;

pub use kind::{Kind, project};
pub(crate) use truth::sku_words;
pub use truth::{Expected, Truth, major_version, usable_uuid};

use crate::words::words;

/// A value in the normal form of its fact.
pub type Value = serde_json::Value;

/// What one agent found out.
pub type Facts = BTreeMap<Fact, Value>;

words! {
    /// What an agent may be able to do. A target file says which of these its program `has`, a scenario says
    /// which it `needs`.
    Feature {
        /// Says whether there is AMT on this machine.
        Presence = "presence",
        /// Reads version, build and SKU.
        Version = "version",
        /// Reads the device's UUID.
        Uuid = "uuid",
        /// Reads control mode and provisioning state.
        Mode = "mode",
        /// Reads the DNS suffix.
        Dns = "dns",
        /// Reads the settings of the wired and wireless interface.
        Lan = "lan",
        /// Reads the remote access status.
        Ras = "ras",
        /// Lists the trusted root certificate hashes.
        Hashes = "hashes",
        /// Reads the log of remote connections.
        CiraLog = "cira-log",
        /// Says whether local ports demand TLS.
        LocalTls = "local-tls",
        /// Says whether AMT is switched on.
        OperationalState = "operational-state",
        /// Recommends a way to set the device up.
        Recommend = "recommend",
        /// Sets the device up from its host.
        HostSetup = "host-setup",
        /// Reads the provisioning record.
        Record = "record",
        /// Tells a genuine set-up from a rogue one.
        Check = "check",
        /// Takes part in set-up over the network.
        NetworkSetup = "network-setup",
        /// Sets the device up through its host, with the SCA's own TLS.
        SecureSetup = "secure-setup",
    }
}

impl Feature {
    /// Whether it is something that an application does, not something that an agent finds out.
    pub fn is_of_an_application(self) -> bool {
        matches!(
            self,
            Self::HostSetup | Self::Check | Self::NetworkSetup | Self::SecureSetup
        )
    }
}

/// One thing that can be known about a device.
#[derive(Clone, Copy)]
pub struct Fact(&'static Spec);

struct Spec {
    /// Position in [`Fact::ALL`], which is also the order of reports.
    index: usize,
    name: &'static str,
    feature: Feature,
    kind: Kind,
    doc: &'static str,
    expected: fn(&Truth) -> Expected,
}

/// Reasons for which an on-die chain is not believed.
const REFUSALS: &[&str] = &[
    "no-hash",
    "leaf-hash",
    "self-signed",
    "length",
    "unreadable",
    "leaf-name",
    "rom-name",
    "order",
    "authority",
    "curve",
    "signature",
    "root",
    "validity",
    "platform",
    "revoked",
    "list",
];

macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $constant:ident = $name:literal, $feature:ident, $kind:expr, $expected:expr;)*) => {
        #[expect(
            non_camel_case_types,
            clippy::upper_case_acronyms,
            reason = "only counts; the constants carry the names"
        )]
        #[derive(Clone, Copy)]
        enum Index { $($constant),* }

        impl Fact {
            $($(#[doc = $doc])+ pub const $constant: Self = Self(&Spec {
                index: Index::$constant as usize,
                name: $name,
                feature: Feature::$feature,
                kind: $kind,
                doc: concat!($($doc),+),
                expected: $expected,
            });)*

            /// The whole vocabulary.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];
        }
    };
}

facts! {
    /// There is an AMT host interface (AMTHI) on this machine.
    PRESENT = "amt.present", Presence, Kind::Flag, truth::present;
    /// Firmware version, `major.minor.hotfix`.
    VERSION = "version", Version, Kind::Text, truth::version;
    /// Firmware build number.
    BUILD = "build", Version, Kind::Text, truth::build;
    /// SKU bits of GetCodeVersions.
    SKU = "sku", Version, Kind::Number, truth::sku;
    /// What the SKU bits mean to an agent.
    FEATURES = "features", Version, Kind::Words(kind::FEATURES), truth::features;
    /// UUID of the machine, printed in SMBIOS order.
    UUID = "uuid", Uuid, Kind::Uuid, truth::uuid;
    /// Whether that UUID can tell this machine from others: not one of the values of an unprogrammed board.
    UUID_USABLE = "uuid.usable", Uuid, Kind::Flag, truth::uuid_usable;
    /// Control mode: who is in charge of the device.
    CONTROL_MODE = "control-mode", Mode, Kind::Word(&["none", "ccm", "acm"]), truth::control_mode;
    /// Provisioning state.
    PROVISIONING_STATE = "provisioning-state", Mode, Kind::Word(&["pre", "in", "post"]), truth::provisioning_state;
    /// PKI DNS suffix as the firmware tells it.
    DNS_SUFFIX = "dns-suffix", Dns, Kind::Text, truth::dns_suffix;
    /// A wired interface is fitted.
    WIRED_PRESENT = "wired.present", Lan, Kind::Flag, |truth| truth.wired().present();
    /// MAC address of the wired interface.
    WIRED_MAC = "wired.mac", Lan, Kind::Mac, |truth| truth.wired().mac();
    /// IPv4 address of the wired interface.
    WIRED_ADDRESS = "wired.address", Lan, Kind::Address, |truth| truth.wired().address();
    /// Link of the wired interface.
    WIRED_LINK = "wired.link", Lan, Kind::Word(&["up", "down"]), |truth| truth.wired().link();
    /// The wired interface takes its address from DHCP.
    WIRED_DHCP = "wired.dhcp", Lan, Kind::Flag, |truth| truth.wired().dhcp();
    /// The firmware may use the wired interface.
    WIRED_ENABLED = "wired.enabled", Lan, Kind::Flag, |truth| truth.wired().enabled();
    /// A wireless interface is fitted.
    WIRELESS_PRESENT = "wireless.present", Lan, Kind::Flag, |truth| truth.wireless().present();
    /// MAC address of the wireless interface.
    WIRELESS_MAC = "wireless.mac", Lan, Kind::Mac, |truth| truth.wireless().mac();
    /// IPv4 address of the wireless interface.
    WIRELESS_ADDRESS = "wireless.address", Lan, Kind::Address, |truth| truth.wireless().address();
    /// Link of the wireless interface.
    WIRELESS_LINK = "wireless.link", Lan, Kind::Word(&["up", "down"]), |truth| truth.wireless().link();
    /// The wireless interface takes its address from DHCP.
    WIRELESS_DHCP = "wireless.dhcp", Lan, Kind::Flag, |truth| truth.wireless().dhcp();
    /// The firmware may use the wireless interface.
    WIRELESS_ENABLED = "wireless.enabled", Lan, Kind::Flag, |truth| truth.wireless().enabled();
    /// Where the firmware thinks it is.
    RAS_NETWORK = "ras.network", Ras, Kind::Word(&["direct", "vpn", "outside", "unknown"]), truth::ras_network;
    /// Tunnel to a remote access server.
    RAS_CONNECTION = "ras.connection", Ras, Kind::Word(&["not-connected", "connecting", "connected"]), truth::ras_connection;
    /// What opened the tunnel, or would.
    RAS_TRIGGER = "ras.trigger", Ras, Kind::Word(&["user", "alert", "provisioning", "periodic"]), truth::ras_trigger;
    /// Every trusted root certificate hash: `name`, `hash`, `algorithm`, `active`, `default`.
    HASHES = "hashes", Hashes, Kind::Hashes, truth::hashes;
    /// How many there are.
    HASHES_COUNT = "hashes.count", Hashes, Kind::Number, truth::hashes_count;
    /// The firmware keeps a log of remote connections.
    CIRA_LOG_SUPPORTED = "cira-log.supported", CiraLog, Kind::Flag, truth::cira_log_supported;
    /// Whether the log says that a tunnel is open.
    CIRA_LOG_TUNNEL = "cira-log.tunnel", CiraLog, Kind::Word(&["open", "closed"]), truth::cira_log_tunnel;
    /// Local ports speak TLS only.
    LOCAL_TLS_ENFORCED = "local-tls.enforced", LocalTls, Kind::Flag, truth::local_tls_enforced;
    /// AMT is switched on.
    OPERATIONAL_STATE = "operational-state", OperationalState, Kind::Word(&["enabled", "disabled"]), truth::operational_state;
    /// What the method returned: the first refusal of several calls, else 0.
    RETURN_VALUE = "return-value", HostSetup, Kind::Number, truth::nobody_knows;
    /// The method that refused.
    REFUSED_BY = "refused-by", HostSetup, Kind::Word(&["Setup", "AddNextCertInChain", "AdminSetup", "UpgradeClientToAdmin", "Unprovision"]), truth::nobody_knows;
    /// Status of the AMTHI command that takes the device out of service.
    AMTHI_STATUS = "amthi-status", HostSetup, Kind::Number, truth::nobody_knows;
    /// ConfigurationNonce is another one than when it was read before.
    NONCE_RENEWED = "configuration-nonce.renewed", HostSetup, Kind::Flag, truth::nobody_knows;
    /// What left the provisioning record.
    RECORD_KIND = "record.kind", Record, Kind::Word(&["none", "client", "admin", "tls", "manual"]), truth::record_kind;
    /// SHA-256 of the certificate in the provisioning record, as hex digits.
    RECORD_CERTIFICATE = "record.certificate-hash", Record, Kind::Text, truth::record_certificate;
    /// CreationTimeStamp of the provisioning record.
    RECORD_TIME = "record.time", Record, Kind::Text, truth::record_time;
    /// Common name of the provisioning certificate in the record.
    RECORD_NAME = "record.certificate-name", Record, Kind::Text, truth::record_name;
    /// The domain in the provisioning record was typed into the device, and not taken from DHCP.
    RECORD_SECURE_DNS = "record.secure-dns", Record, Kind::Flag, truth::record_secure_dns;
    /// The server's certificate was within its validity, by the device's clock.
    RECORD_TIME_VALID = "record.time-valid", Record, Kind::Flag, truth::record_time_valid;
    /// The certificate in the record is one that the server gave out, or not.
    CHECKER_CERTIFICATE = "checker.certificate", Check, Kind::Word(&["same", "other", "none"]), truth::nobody_knows;
    /// The record was written when the application set the device up, or not.
    CHECKER_TIME = "checker.time", Check, Kind::Word(&["same", "other"]), truth::nobody_knows;
    /// What the checker concludes.
    CHECKER_VERDICT = "checker.verdict", Check, Kind::Word(&["genuine", "rogue"]), truth::nobody_knows;
    /// No two machines that the console told the SCA about have the same one-time password.
    CONSOLE_PASSWORDS_DIFFER = "console.passwords-differ", NetworkSetup, Kind::Flag, truth::nobody_knows;
    /// Status of SetProvisioningServerOTP, as the agent says.
    AGENT_OTP_STATUS = "agent.otp-status", NetworkSetup, Kind::Number, truth::nobody_knows;
    /// Status of StartConfigurationEx, as the agent says.
    AGENT_START_STATUS = "agent.start-status", NetworkSetup, Kind::Number, truth::nobody_knows;
    /// Status of StopConfiguration, as the agent says.
    AGENT_STOP_STATUS = "agent.stop-status", NetworkSetup, Kind::Number, truth::nobody_knows;
    /// What the SCA makes of the last Hello.
    SCA_HEARD = "sca.heard", NetworkSetup, Kind::Word(&["accepted", "malformed", "unknown", "at-work", "done", "no-root"]), truth::nobody_knows;
    /// What the SCA says came of its work.
    SCA_RESULT = "sca.result", NetworkSetup, Kind::Word(&["configured", "stopped"]), truth::nobody_knows;
    /// Why the SCA says that it stopped.
    SCA_STOPPED_BY = "sca.stopped-by", NetworkSetup, Kind::Word(&["tls", "unreachable", "identity", "realm", "otp-missing", "otp-mismatch", "return-value", "data-missing", "http", "unauthorized", "fault", "closed", "silence", "answer", "certificate", "mode"]), truth::nobody_knows;
    /// The method or class at which the SCA says that it stopped.
    SCA_STOPPED_AT = "sca.stopped-at", NetworkSetup, Kind::Text, truth::nobody_knows;
    /// The return value or HTTP status at which the SCA says that it stopped.
    SCA_RETURN_VALUE = "sca.return-value", NetworkSetup, Kind::Number, truth::nobody_knows;
    /// When the one-time password was read over the network, by the device's journal.
    SCA_OTP_READ = "sca.otp-read", NetworkSetup, Kind::Word(&["never", "before-writes", "after-writes"]), truth::nobody_knows;
    /// Requests over the network that could change the device, by its journal.
    SCA_WRITES = "sca.writes", NetworkSetup, Kind::Number, truth::nobody_knows;
    /// Those of them that came after a method had refused, and before the next Hello.
    SCA_GOES_ON = "sca.writes-after-refusal", NetworkSetup, Kind::Number, truth::nobody_knows;
    /// When SetMEBxPassword succeeded over the network, by the device's journal.
    SCA_MEBX = "sca.mebx-password", NetworkSetup, Kind::Word(&["never", "before-commit", "after-commit"]), truth::nobody_knows;
    /// Connections over the network to the device's ports, by its journal.
    SCA_CONNECTIONS = "sca.connections", NetworkSetup, Kind::Number, truth::nobody_knows;
    /// Requests over the network, without TLS, with a login that holds.
    SCA_PLAIN_LOGINS = "sca.plain-logins", NetworkSetup, Kind::Number, truth::nobody_knows;
    /// Something other than TLS came over the network to a TLS port.
    SCA_IN_THE_CLEAR = "sca.in-the-clear", NetworkSetup, Kind::Flag, truth::nobody_knows;
    /// Requests that could change the machine that a stranger put in the device's place, by that machine's journal.
    STRANGER_WRITES = "stranger.writes", NetworkSetup, Kind::Number, truth::nobody_knows;
    /// Connections from the SCA to addresses that are not the device's.
    STRANGER_CALLS = "stranger.calls", NetworkSetup, Kind::Number, truth::nobody_knows;
    /// Why the application does not believe the chain of a device that speaks TLS only.
    SETUP_REFUSAL = "setup.refusal", HostSetup, Kind::Word(REFUSALS), truth::nobody_knows;
    /// How far the secure flow came.
    SECURE_STAGE = "secure.stage", SecureSetup, Kind::Word(&["discovered", "armed", "configured", "confirmed", "managed"]), truth::nobody_knows;
    /// The device took StartConfigurationHBased.
    SECURE_ARMED = "secure.armed", SecureSetup, Kind::Flag, truth::nobody_knows;
    /// Why the SCA does not believe the device's chain.
    SECURE_REFUSAL = "secure.refusal", SecureSetup, Kind::Word(REFUSALS), truth::nobody_knows;
    /// What the agent says of the end.
    SECURE_CONCLUSION = "secure.conclusion", SecureSetup, Kind::Word(&["activated", "not-activated", "unknown"]), truth::conclusion;
    /// Status of the StopConfiguration with which the agent gave up.
    SECURE_STOP_STATUS = "secure.stop-status", SecureSetup, Kind::Number, truth::nobody_knows;
    /// The method of set-up that the console recommends.
    RECOMMENDATION = "console.recommendation", Recommend, Kind::Word(&["secure-host-based", "legacy-out-of-band"]), truth::recommendation;
}

impl Fact {
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fact| fact.name() == name)
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|fact| fact.name())
    }

    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// The feature of an agent that finds it out.
    pub const fn feature(self) -> Feature {
        self.0.feature
    }

    pub const fn kind(self) -> Kind {
        self.0.kind
    }

    /// One sentence.
    pub fn doc(self) -> &'static str {
        self.0.doc.trim()
    }

    /// Whether the device alone decides what a good program says of it. What a method returned, or what somebody
    /// concluded, only a scenario can say; but for how a set-up ended, which the device shows.
    pub fn is_of_the_device(self) -> bool {
        self == Self::SECURE_CONCLUSION
            || !matches!(
                self.feature(),
                Feature::HostSetup | Feature::Check | Feature::NetworkSetup | Feature::SecureSetup
            )
    }

    /// What a good agent says of this device.
    pub fn expected(self, truth: &Truth) -> Expected {
        (self.0.expected)(truth)
    }

    /// Brings a value into the normal form; says why it is none of this fact's.
    pub fn normalise(self, value: Value) -> Result<Value, String> {
        self.kind()
            .normalise(value)
            .map_err(|why| format!("`{}`: {why}", self.name()))
    }
}

impl PartialEq for Fact {
    fn eq(&self, other: &Self) -> bool {
        self.0.index == other.0.index
    }
}

impl Eq for Fact {}

impl PartialOrd for Fact {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Fact {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.index.cmp(&other.0.index)
    }
}

impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fact({})", self.name())
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl serde::Serialize for Fact {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Fact {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("there is no fact `{name}`")))
    }
}

/// A value as people read it: texts without quotes.
pub fn show(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for fact in Fact::ALL {
            assert_eq!(Fact::named(fact.name()), Some(*fact));
            assert!(fact.doc().ends_with('.'), "{fact}");
        }
    }

    #[test]
    fn every_feature_has_a_fact() {
        for feature in Feature::ALL {
            assert!(
                Fact::ALL.iter().any(|fact| fact.feature() == *feature),
                "{feature}"
            );
        }
    }
}
