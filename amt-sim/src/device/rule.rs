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
}

/// Which rules this device enforces: all but those knocked out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    without: BTreeSet<Rule>,
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
