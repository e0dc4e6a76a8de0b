//! Every normative rule of the device, by the ID of the requirement that it enforces.
//!
//! A rule stands at one place in the code, asks [`Rules::enforced`] there, and can be switched off by its ID
//! (`--without device.mei.message-too-long`). A suite that stays green with a rule off is not testing it.

use std::collections::BTreeSet;

use crate::diagnostic::closest;

/// One rule: a requirement ID in dotted words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule(&'static str);

impl Rule {
    pub const fn id(self) -> &'static str {
        self.0
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $id:literal;)*) => {
        impl Rule {
            $($(#[$doc])* pub const $name: Self = Self($id);)*

            /// Every rule that can be switched off.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

rules! {
    /// A second connection to a client that allows one is EBUSY.
    MEI_CONNECTION_LIMIT = "device.mei.connection-limit";
    /// An unknown GUID is ENOTTY.
    MEI_UNKNOWN_CLIENT = "device.mei.unknown-client";
    /// A write longer than the client's longest message is EFBIG.
    MEI_MESSAGE_TOO_LONG = "device.mei.message-too-long";
    /// Reads and writes on a descriptor that is not connected are ENODEV.
    MEI_NOT_CONNECTED = "device.mei.not-connected";
    /// `Length` of an AMTHI request must equal the bytes that follow the header: status 4 otherwise.
    AMTHI_LENGTH = "device.amthi.length";
    /// An AMTHI header must carry version 1.1 and a zero reserved field.
    AMTHI_VERSION = "device.amthi.version";
    /// An unknown AMTHI command is answered with a status and nothing else.
    AMTHI_UNKNOWN_COMMAND = "device.amthi.unknown-command";
    /// The data of an AMTHI request must have the size that the command defines: status 4 otherwise.
    AMTHI_REQUEST_SIZE = "device.amthi.request-size";
    /// GetCertificateHashEntry with a handle that was not enumerated is status 0x805.
    AMTHI_HASH_HANDLE = "device.amthi.hash-handle";
    /// The PKI DNS suffix can be set before provisioning only: status 3 otherwise.
    AMTHI_SUFFIX_STATE = "device.amthi.dns-suffix-state";
    /// A PKI DNS suffix is a domain name of at most 223 characters: status 0x24 otherwise.
    AMTHI_SUFFIX_VALUE = "device.amthi.dns-suffix-value";
    /// The one-time password can be set before provisioning only: status 3 otherwise.
    AMTHI_OTP_STATE = "device.amthi.otp-state";
    /// A one-time password has 8 to 32 ASCII characters: status 0x24 otherwise.
    AMTHI_OTP_VALUE = "device.amthi.otp-value";
    /// StartConfigurationHBased takes SHA-256 and SHA-384 only: status 0x24 otherwise.
    AMTHI_HOST_BASED_ALGORITHM = "device.amthi.host-based-algorithm";
    /// EHBC cannot be switched on once manufacturing is over.
    AMTHI_EHBC_ENABLE = "device.amthi.ehbc-enable";
    /// Unprovision over MEI waits for the BIOS to end its power-on self-test: status 0x81C before.
    AMTHI_UNPROVISION_END_OF_POST = "device.amthi.unprovision-end-of-post";
    /// An MKHI command that the firmware does not know is answered with result 0x8D.
    MKHI_UNKNOWN_COMMAND = "device.mkhi.unknown-command";
    /// A UPID message whose byte count is not that of its data is refused with status 2.
    UPID_BYTE_COUNT = "device.upid.byte-count";
    /// AMT sends PROTOCOLVERSION on LME without being spoken to.
    LME_SPEAKS_FIRST = "device.lme.speaks-first";
    /// ... once in the life of a connection.
    LME_GREETS_ONCE = "device.lme.greets-once";
    /// Services need a version, forwards and channels need the service: DISCONNECT 2 otherwise.
    LME_ORDER = "device.lme.order";
    /// A host of a version below 1.0: DISCONNECT 8.
    LME_VERSION = "device.lme.version";
    /// A message that cannot be read: DISCONNECT 2.
    LME_MALFORMED = "device.lme.malformed";
    /// There are eight channels: failure 4 for the ninth.
    LME_CHANNELS = "device.lme.channels";
    /// Channels of the type forwarded-tcpip only: failure 3 otherwise.
    LME_CHANNEL_TYPE = "device.lme.channel-type";
    /// A channel to a port where nothing listens: failure 2.
    LME_NOBODY_LISTENS = "device.lme.nobody-listens";
    /// No more data than the host's window allows.
    LME_SEND_WINDOW = "device.lme.send-window";
    /// No message longer than the client's longest.
    LME_MESSAGE_LENGTH = "device.lme.message-length";
    /// Data taken is credited.
    LME_CREDIT = "device.lme.credit";
    /// A CLOSE is answered by a CLOSE, once.
    LME_CLOSE_ANSWERED = "device.lme.close-answered";
    /// A CLOSE for a channel that is closed is ignored.
    LME_LATE_CLOSE = "device.lme.late-close";
    /// StopConfiguration outside of setup mode is status 3.
    STOP_ONLY_IN_SETUP = "device.mode.stop-only-in-setup";
    /// Unprovision over MEI works in client control mode only: status 3 elsewhere.
    MEI_UNPROVISION_CLIENT_ONLY = "device.mode.mei-unprovision-client-only";
    /// The operational state may only change before provisioning.
    OPERATIONAL_STATE_ONLY_PRE = "device.mode.operational-state-only-pre";
    /// `$$OsAdmin` logs in from the host only.
    LOGIN_OS_ADMIN_LOCAL = "device.login.os-admin-local";
    /// An account of the access control list is good on the side that its entry names.
    LOGIN_ACCESS_PERMISSION = "device.login.access-permission";
    /// An account that is switched off cannot log in.
    LOGIN_ENABLED = "device.login.enabled";
    /// All 32 digits of a digest response are compared (CVE-2017-5689 is what happens without).
    HTTP_DIGEST_RESPONSE = "device.http.digest-response";
    /// The realm of a login is the device's own.
    HTTP_DIGEST_REALM = "device.http.digest-realm";
    /// The uri of a login is that of its request.
    HTTP_DIGEST_URI = "device.http.digest-uri";
    /// A login names qop=auth, a client nonce and a count.
    HTTP_DIGEST_QOP = "device.http.digest-qop";
    /// A nonce is one of the device's own, and not too old.
    HTTP_NONCE_LIFE = "device.http.nonce-life";
    /// The count of a nonce rises, over all connections.
    HTTP_NONCE_COUNT = "device.http.nonce-count";
    /// Small breaches in a request are forgiven and journaled; knocked out, they are faults.
    WSMAN_FORGIVING = "device.wsman.forgiving";
    /// A header with mustUnderstand that the device does not know is a fault.
    WSMAN_MUST_UNDERSTAND = "device.wsman.must-understand";
    /// Callers other than administrators have the classes and methods of their realms.
    WSMAN_REALMS = "device.wsman.realms";
    /// Partial and absent selectors mean the one instance that agrees with them.
    WSMAN_PARTIAL_SELECTORS = "device.wsman.partial-selectors";
    /// Values of properties and parameters must be of their type.
    WSMAN_VALUE_TYPES = "device.wsman.value-types";
    /// Put changes writable properties only.
    WSMAN_READ_ONLY = "device.wsman.read-only-properties";
    /// Create of an instance that exists is a fault.
    WSMAN_ALREADY_EXISTS = "device.wsman.already-exists";
    /// Pull without MaxElements gives one instance.
    WSMAN_PULL_ONE = "device.wsman.pull-one-by-default";
    /// A context is good for one Pull, and for five minutes.
    WSMAN_CONTEXT = "device.wsman.enumeration-context";
    /// ExtendProvisioningPeriod works in setup mode only.
    WSMAN_EXTEND_PERIOD = "device.wsman.extend-period-in-setup";
    /// SetMEBxPassword takes strong passwords only.
    WSMAN_MEBX_PASSWORD = "device.wsman.mebx-password";
    /// From AMT 19 on, CommitChanges in setup mode wants SetMEBxPassword first: 2057.
    WSMAN_COMMIT_MEBX = "device.wsman.commit-needs-mebx-password";
    /// Setup and AdminSetup take the password as an MD5 digest only: return value 3 otherwise.
    SETUP_PASSWORD_TYPE = "device.setup.password-type";
    /// Setup is return value 4 once client control mode was disabled.
    SETUP_CLIENT_MODE_DISABLED = "device.setup.client-mode-disabled";
    /// A signed request names signing algorithm 2: return value 3 otherwise.
    SETUP_SIGNING_ALGORITHM = "device.setup.signing-algorithm";
    /// McNonce has 20 bytes: return value 3 otherwise.
    SETUP_MC_NONCE = "device.setup.mc-nonce";
    /// The signature must be that of the certificate's key over both nonces: return value 5 otherwise.
    SETUP_SIGNATURE = "device.setup.signature";
    /// ConfigurationNonce is signed before McNonce, not after it.
    SETUP_NONCE_ORDER = "device.setup.nonce-order";
    /// Only the ConfigurationNonce of now counts, none that stood before.
    SETUP_NONCE_FRESH = "device.setup.nonce-fresh";
    /// ConfigurationNonce changes with every set-up and every unprovision.
    SETUP_NONCE_RENEWED = "device.setup.nonce-renewed";
    /// AddNextCertInChain before provisioning and in client control mode only: return value 3 elsewhere.
    SETUP_CHAIN_STATE = "device.setup.chain-state";
    /// AdminSetup and UpgradeClientToAdmin want a complete chain.
    SETUP_CHAIN_COMPLETE = "device.setup.chain-complete";
    /// A provisioning chain is no longer than the device takes.
    PKI_CHAIN_LENGTH = "device.pki.chain-length";
    /// Each certificate of a chain names the next one as its issuer.
    PKI_CHAIN_ORDER = "device.pki.chain-order";
    /// Each certificate of a chain is signed by the key of the next one.
    PKI_CHAIN_SIGNATURE = "device.pki.chain-signature";
    /// All but the leaf are authorities that allow what stands below them.
    PKI_AUTHORITY = "device.pki.authority";
    /// No certificate of a chain is signed over SHA-1 or MD5.
    PKI_DIGEST = "device.pki.digest";
    /// No certificate of a chain has an RSA key below 2048 bits.
    PKI_KEY_SIZE = "device.pki.key-size";
    /// Every certificate of a chain is valid by the device's clock.
    PKI_VALIDITY = "device.pki.validity";
    /// A provisioning certificate is one for TLS servers.
    PKI_SERVER_USAGE = "device.pki.server-usage";
    /// A provisioning certificate has the extended key usage or the organisational unit of AMT set-up.
    PKI_SETUP_MARK = "device.pki.setup-mark";
    /// A provisioning certificate's common name is in the device's domain.
    PKI_DNS_SUFFIX = "device.pki.dns-suffix";
    /// The device's domain is compared label by label, not letter by letter.
    PKI_WHOLE_LABELS = "device.pki.whole-labels";
    /// A chain ends at a root whose hash the device knows.
    PKI_ROOT_KNOWN = "device.pki.root-known";
    /// The hash of a chain's root is active.
    PKI_ROOT_ACTIVE = "device.pki.root-active";
    /// From AMT 16 on, a SHA-1 hash in the list makes no root known.
    PKI_ROOT_DIGEST = "device.pki.root-digest";
    /// Set-up over TLS by a chain that is out of its time: the record says so.
    PKI_TIME_NOTED = "device.pki.time-noted";
    /// Set-up in a domain that was learnt from the network: the record says so.
    PKI_SECURE_DNS = "device.pki.secure-dns";
    /// SHA-1 hashes of roots cannot be added from AMT 16 on.
    PKI_NO_NEW_SHA1 = "device.pki.no-new-sha1";
    /// Factory hashes of roots can be switched off, but neither changed nor deleted.
    PKI_FACTORY_HASHES = "device.pki.factory-hashes";
    /// DigestPassword is base64 of the sixteen octets of MD5(user:realm:password): return value 36 otherwise.
    DIGEST_PASSWORD_OCTETS = "device.wsman.digest-password-octets";
    /// A port that takes its address from DHCP is not given one: fault InvalidRepresentation.
    DHCP_WITHOUT_ADDRESSES = "device.wsman.dhcp-without-addresses";
    /// In client control mode the consent policy cannot be changed.
    CONSENT_POLICY_CLIENT_MODE = "device.wsman.consent-policy-client-mode";
    /// Boot options need the user's consent where the policy says so.
    CONSENT_FOR_BOOT = "device.wsman.consent-for-boot";
    /// A consent can be asked for only while none is pending: return value 2 otherwise.
    CONSENT_ONE_AT_A_TIME = "device.wsman.consent-one-at-a-time";
    /// Three wrong consent codes end the consent.
    CONSENT_ATTEMPTS = "device.wsman.consent-attempts";
    /// TLS settings take effect on CommitChanges.
    TLS_NEEDS_COMMIT = "device.wsman.tls-needs-commit";
    /// A certificate that is in use cannot be deleted.
    CERTIFICATE_IN_USE = "device.wsman.certificate-in-use";
    /// A certificate or key that is stored already is refused as a duplicate: return value 2058.
    CERTIFICATE_DUPLICATE = "device.wsman.certificate-duplicate";
    /// A second TLS credential context is refused: fault AlreadyExists.
    TLS_CONTEXT_ONCE = "device.wsman.tls-context-once";
    /// A certification request names the key of the pair that signs it: return value 2064 otherwise.
    REQUEST_KEY = "device.wsman.request-key";
    /// At most five alarms: fault QuotaLimit for the sixth.
    ALARM_LIMIT = "device.wsman.alarm-limit";
    /// A wireless profile is complete and its name and priority are its own: return value 3 otherwise.
    WIFI_PROFILE = "device.wsman.wifi-profile";
    /// At most six remote access servers and two a policy: return value 23.
    REMOTE_ACCESS_LIMITS = "device.wsman.remote-access-limits";
    /// A policy refers to servers that are there.
    REMOTE_ACCESS_REFERENCE = "device.wsman.remote-access-reference";
    /// Where the generation enforces TLS, no plain port is open.
    TLS_LOCAL_ENFORCED = "device.tls.local-enforced";
    /// With TLS on and AcceptNonSecureConnections off, the plain ports of that side are closed.
    TLS_PLAIN_CLOSED = "device.tls.plain-closed";
    /// Where TLS is mutual, a client without a certificate is refused.
    TLS_CLIENT_CERTIFICATE = "device.tls.client-certificate";
    /// Where TLS is mutual, a client's certificate ends at a trusted root of the store.
    TLS_TRUSTED_ROOT = "device.tls.trusted-root";
    /// Where TLS is mutual, a client's common name is one of TrustedCN, if there are any.
    TLS_TRUSTED_NAME = "device.tls.trusted-name";
    /// StartConfigurationEx needs a DHCP lease with a domain: status 2 otherwise.
    OOB_START_NETWORK = "device.out-of-band.start-network";
    /// A Hello message lists active root hashes only.
    OOB_HELLO_ACTIVE_HASHES = "device.out-of-band.hello-active-hashes";
    /// Hello messages go to what was typed in, else to the well-known name in the domains that the device knows.
    OOB_HELLO_TARGET = "device.out-of-band.hello-target";
    /// Hello messages end with the flow.
    HELLO_STOPS = "device.hello.stops";
    /// Power and network start set-up where the vendor's timer runs.
    HELLO_BARE_METAL = "device.hello.bare-metal";
    /// The provisioning period comes to an end.
    HELLO_PERIOD = "device.hello.period-elapsed";
    /// StartConfiguration needs a seed for random numbers: status 0x30 or 0x2F otherwise.
    HELLO_SEED = "device.hello.seed-first";
    /// ExtendProvisioningPeriod takes 1 to 24 hours.
    OOB_EXTEND_HOURS = "device.out-of-band.extend-hours";
    /// The one-time password can be read in set-up mode only.
    OOB_OTP_READ = "device.out-of-band.otp-read";
    /// Set-up through the host: the TLS client's leaf has the hash that was announced.
    SETUP_ANNOUNCED_LEAF = "device.setup.announced-leaf";
    /// The hardware part of the platform identifier is the hash of the on-die ROM authority's certificate.
    UPID_BOUND_TO_ROM = "device.odca.upid-bound";
    /// Set-up over TLS: the client's certificate chain must hold, else the connection ends.
    SETUP_PEER_JUDGED = "device.setup.peer-judged";
    /// Set-up over TLS: whoever was accepted is the administrator, without a password.
    SETUP_PEER_ADMINISTRATOR = "device.setup.peer-administrator";
}

/// Which rules this device enforces: all but those knocked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    without: BTreeSet<Rule>,
}

impl Default for Rules {
    #[cfg(not(test))]
    fn default() -> Self {
        Self {
            without: BTreeSet::new(),
        }
    }

    /// `cargo xtask knockout` runs the unit tests that a rule's ledger entry names once more without that rule, to see
    /// that they notice.
    #[cfg(test)]
    fn default() -> Self {
        let off = std::env::var("AMT_SIM_KNOCK_OUT").unwrap_or_default();
        let without = Rule::ALL.iter().filter(|rule| rule.id() == off).copied();
        Self {
            without: without.collect(),
        }
    }
}

/// A name that is no rule's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no device rule is called `{id}`{}", suggestion.map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
pub struct UnknownRule {
    pub id: String,
    pub suggestion: Option<&'static str>,
}

impl Rules {
    /// Switches one rule off by its ID.
    pub fn knock_out(&mut self, id: &str) -> Result<(), UnknownRule> {
        match Rule::ALL.iter().find(|rule| rule.id() == id) {
            Some(rule) => {
                self.without.insert(*rule);
                Ok(())
            }
            None => Err(UnknownRule {
                id: id.to_owned(),
                suggestion: closest(id, Rule::ALL.iter().map(|rule| rule.id())),
            }),
        }
    }

    pub fn enforced(&self, rule: Rule) -> bool {
        !self.without.contains(&rule)
    }

    /// The rules that are off.
    pub fn knocked_out(&self) -> impl Iterator<Item = Rule> + '_ {
        self.without.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_rule_is_refused_with_the_nearest() {
        let error = Rules::default()
            .knock_out("device.mei.message-to-long")
            .unwrap_err();
        assert_eq!(error.suggestion, Some("device.mei.message-too-long"));
    }

    #[test]
    fn ids_are_unique() {
        let ids: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
    }
}
