//! Every assumption about real firmware that an answer may rest on, by the ID of its ledger entry.
//!
//! Whoever builds an answer on one says so with `Firmware::assume`, so that a verdict can say it too.

macro_rules! assumptions {
    ($($(#[$doc:meta])* $name:ident = $id:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: &str = $id;)*

        /// Every assumption.
        #[cfg(test)]
        pub(crate) const ALL: &[&str] = &[$($name),*];
    };
}

assumptions! {
    /// A message shorter than an AMTHI header gets no answer.
    SHORT_MESSAGE = "device.assumed.short-message-unanswered";
    /// Wrong header version or reserved field: status 0x1D.
    HEADER_VERSION = "device.assumed.header-version-status";
    UNKNOWN_COMMAND = "device.assumed.unknown-command-status";
    ABSENT_INTERFACE = "device.assumed.absent-interface-status";
    NO_AUDIT_RECORD = "device.assumed.no-audit-record-status";
    /// What AMTHI does while AMT is switched off.
    AMTHI_WHILE_DISABLED = "device.assumed.amthi-while-disabled";
    /// GetProvisioningMode is 0 before set-up.
    PROVISIONING_MODE = "device.assumed.provisioning-mode";
    /// GetPID is eight zero bytes where PSK set-up does not exist.
    PID = "device.assumed.pid-without-psk";
    /// An empty PKI DNS suffix unsets it.
    EMPTY_SUFFIX = "device.assumed.empty-dns-suffix";
    /// SetZeroTouchEnabled is possible before provisioning only.
    ZERO_TOUCH_STATE = "device.assumed.zero-touch-state";
    /// EHBC cannot be enabled after manufacturing: which status says so.
    EHBC_STATUS = "device.assumed.ehbc-enable-status";
    /// GetMACAddresses gives the wired MAC for both the dedicated and the host address.
    MAC_ADDRESSES = "device.assumed.shared-mac-address";
    /// GetTcpipParameters carries its addresses as GetLanInterfaceSettings does.
    TCPIP_ADDRESS_ORDER = "device.assumed.tcpip-address-order";
    /// GetAMTSetupAuditRecord: no public layout, so there never is a record.
    SETUP_AUDIT_RECORD = "device.assumed.setup-audit-record";
    /// GetAuditLogSignature: no public layout, so it is unsupported.
    AUDIT_LOG_SIGNATURE = "device.assumed.audit-log-signature";
    /// The audit log is empty, and reading it from 0 or 1 succeeds.
    AUDIT_LOG_EMPTY = "device.assumed.audit-log-empty";
    /// OpenUserInitiatedConnection opens no tunnel.
    USER_INITIATED = "device.assumed.user-initiated-connection";
    /// An unknown feature ID in GetFeaturesState: status 0x24.
    FEATURE_ID = "device.assumed.unknown-feature-status";
    /// GetAMTState with an unknown identifier: status 0x24.
    STATE_ID = "device.assumed.unknown-state-identifier";
    /// GetCIRALog of another version than 0: status 0x812.
    CIRA_LOG_VERSION = "device.assumed.cira-log-version";
    /// Bit 0 alone is set by firmware without the new operational-state interface.
    WATCHDOG_OLD_INTERFACE = "device.assumed.watchdog-old-interface";
    /// How the watchdog client answers what it does not know or cannot parse.
    WATCHDOG_UNKNOWN = "device.assumed.watchdog-unknown-command";
    /// MKHI results of unknown commands, rules, partitions and wrong sizes.
    MKHI_RESULTS = "device.assumed.mkhi-results";
    /// MKHI 0xFF/2 has two version blocks.
    MKHI_VERSION_BLOCKS = "device.assumed.mkhi-version-blocks";
    /// UPID: what is not public, and how long the answer to GetPlatformId is while the feature is off.
    UPID_RESULTS = "device.assumed.upid-results";
    /// HOTHAM: header fields and result of what it does not know, and what the log contains.
    HOTHAM = "device.assumed.hotham-log";
    /// Requests longer than some limit, and those that are no HTTP, are answered with 400.
    HTTP_BAD_REQUEST = "device.assumed.http-bad-request";
    /// What paths other than `/wsman` and methods other than POST are answered with.
    HTTP_PAGES = "device.assumed.http-pages";
    /// The connection ends after a request without Host, unless it asks to be kept.
    HTTP_WITHOUT_HOST = "device.assumed.http-without-host";
    /// The challenge offers the integrity of the body too.
    CHALLENGE_QUALITY = "device.assumed.challenge-quality";
    /// The connection ends behind every answer.
    CLOSES_CONNECTIONS = "device.assumed.closes-connections";
    /// An account is locked for a while after wrong passwords.
    LOGIN_LOCK = "device.assumed.login-lock";
    /// How many channels LME has, and their window.
    LME_CHANNELS = "device.assumed.lme-channels";
    /// Which ports are forwarded over LME, and in which order.
    LME_FORWARD_LIST = "device.assumed.lme-forward-list";
    /// LME stays connected when the mode changes, or not.
    LME_AFTER_RESTART = "device.assumed.lme-after-restart";
    /// LME says nothing while AMT is switched off.
    LME_WHILE_DISABLED = "device.assumed.lme-while-disabled";
    /// After a protocol error the connection is dropped.
    LME_PROTOCOL_ERROR = "device.assumed.lme-protocol-error";
    /// An unknown APF opcode is ignored.
    LME_UNKNOWN_OPCODE = "device.assumed.lme-unknown-opcode";
    /// Bytes behind an APF message are ignored.
    LME_TRAILING_BYTES = "device.assumed.lme-trailing-bytes";
    /// Data beyond the window is taken.
    LME_OVERRUN = "device.assumed.lme-overrun";
    /// What a host may request of AMT on LME.
    LME_HOST_REQUESTS = "device.assumed.lme-host-requests";
    /// Identify: vendor and version strings.
    WSMAN_IDENTIFY = "device.assumed.wsman-identify";
    /// 32 enumerations at a time.
    WSMAN_ENUMERATIONS = "device.assumed.wsman-enumeration-limit";
    /// Selectors that more than one instance agrees with: InvalidSelectors.
    WSMAN_AMBIGUOUS = "device.assumed.wsman-ambiguous-selectors";
    /// A required parameter that is missing: InvalidParameter.
    WSMAN_MISSING_PARAMETER = "device.assumed.wsman-missing-parameter";
    /// A method that the class has and the device lacks: ActionNotSupported.
    WSMAN_METHOD_LACKING = "device.assumed.wsman-method-lacking";
    /// Subscribe and its like: ActionNotSupported.
    WSMAN_EVENTING = "device.assumed.wsman-eventing";
    /// GetUnprovisionBlockingComponents names none.
    WSMAN_BLOCKING_COMPONENTS = "device.assumed.wsman-blocking-components";
    /// A certificate of a chain is judged when it arrives; a refusal and a new leaf both drop what came before.
    CHAIN_STAGE = "device.assumed.chain-check-stage";
    /// The longest chain has five certificates.
    CHAIN_LENGTH = "device.assumed.chain-length";
    /// What counts as the same domain.
    SUFFIX_MATCH = "device.assumed.suffix-match";
    /// A leaf for any extended key usage is one for TLS servers.
    ANY_USAGE = "device.assumed.any-usage";
    /// A leaf for every name in a domain is one for the domain.
    WILDCARD_NAMES = "device.assumed.wildcard-names";
    /// Alternative names of a leaf do not count.
    ALTERNATIVE_NAMES = "device.assumed.alternative-names";
    /// A TLS client whose chain is refused is told certificate_unknown, whatever is wrong.
    CHAIN_ALERT = "device.assumed.chain-alert";
    /// Chains with other than RSA PKCS#1 v1.5 signatures are refused.
    CHAIN_RSA_ONLY = "device.assumed.chain-rsa-only";
    /// AdminSetup without a complete chain: return value 2.
    CHAIN_INCOMPLETE = "device.assumed.chain-incomplete-value";
    /// A record's hash of the signing certificate is its SHA-256.
    RECORD_HASH = "device.assumed.record-hash";
    /// What DisableClientControlMode returns, where, and how long it lasts.
    DISABLE_CLIENT_MODE = "device.assumed.disable-client-mode";
    /// With EHBC on, AdminSetup works without certificates.
    EHBC_ADMIN_SETUP = "device.assumed.ehbc-admin-setup";
    /// EnumerateUserAclEntries lists no system accounts.
    SYSTEM_ACCOUNTS = "device.assumed.no-system-accounts";
    /// Kerberos accounts are refused: return value 2066.
    KERBEROS_ACCOUNTS = "device.assumed.kerberos-accounts";
    /// SetLinkPreference takes effect at once and for good.
    LINK_PREFERENCE_TIMEOUT = "device.assumed.link-preference-timeout";
    /// Put of AMT_RedirectionService ignores an EnabledState that is not one of its four.
    REDIRECTION_STATE_PUT = "device.assumed.redirection-state-put";
    /// How missing consent is answered: fault AccessDenied, or return value 6.
    CONSENT_ANSWER = "device.assumed.consent-answer";
    /// Consent can be asked for also where the policy does not need it.
    CONSENT_NOT_NEEDED = "device.assumed.consent-not-needed";
    /// Key pairs come from a fixed pool of eight.
    KEY_POOL = "device.assumed.key-pool";
    /// TLS towards the LAN cannot be committed without a certificate: return value 2057.
    TLS_WITHOUT_CERTIFICATE = "device.assumed.tls-without-certificate";
    /// How many certificates and keys fit.
    CERTIFICATE_LIMITS = "device.assumed.certificate-limits";
    /// What the host does on a request for another power state, and that it does it at once.
    POWER_TRANSITIONS = "device.assumed.power-transitions";
    /// The event log holds two entries a boot, the audit log none.
    EVENT_LOG = "device.assumed.event-log-entries";
    /// Limits and return values of wireless profiles.
    WIFI_PROFILES = "device.assumed.wifi-profile-limits";
    /// Which policy a Put of AMT_RemoteAccessPolicyAppliesToMPS changes when its selectors name none.
    APPLIES_TO_MPS = "device.assumed.applies-to-mps-selectors";
    /// The device speaks TLS 1.2 and 1.3, and nothing older.
    TLS_VERSIONS = "device.assumed.tls-versions";
    /// What is in the certificate that the device makes for itself.
    SELF_SIGNED = "device.assumed.self-signed-certificate";
    /// A TrustedCN with a leading dot stands for every name of that domain.
    TRUSTED_DOMAIN = "device.assumed.trusted-domain";
    /// The record of a set-up over TLS has no address of the server.
    SERVER_ADDRESS = "device.assumed.server-address";
    /// SuffixListLen that is less than the bytes of the list counts its names.
    SUFFIX_COUNT = "device.assumed.suffix-count";
    /// StartConfigurationHBased answers with a hash by the algorithm that it was asked with.
    HOST_BASED_ANSWER = "device.assumed.host-based-answer";
    /// What the authorities of older on-die chains are called.
    ON_DIE_NAMES = "device.assumed.on-die-names";
    /// StartConfiguration succeeds at once; the key is made afterwards, kept, and made anew after a power cut.
    OOB_KEY = "device.assumed.out-of-band-key";
    /// The interface stays open for six hours.
    OOB_PERIOD = "device.assumed.out-of-band-period";
    /// When Hello messages are sent.
    OOB_HELLO_SCHEDULE = "device.assumed.hello-schedule";
    /// The first field of a Hello message is 1, and custom hashes are listed before room runs out.
    OOB_HELLO_FLAG = "device.assumed.hello-credentials-set";
    /// How the one-time password is shown and how long it lasts.
    OTP_LIFE = "device.assumed.otp-life";
    /// In set-up over TLS, DigestPassword may be 32 hex digits.
    HEX_DIGEST_PASSWORD = "device.assumed.hex-digest-password";
    /// Set-up without an agent: how long the interface stays open.
    OOB_BARE_METAL = "device.assumed.bare-metal-period";
    /// StartConfiguration is answered with CERTIFICATE_NOT_READY while the key is made before set-up mode.
    OOB_KEY_FIRST = "device.assumed.key-before-set-up";
    /// A seed for random numbers is there always.
    RNG_SEED = "device.assumed.rng-seed";
    /// The suffixes of StartConfigurationHBased count as domains of the device, learnt and not typed in.
    HOST_SUFFIXES = "device.assumed.host-suffixes";
    /// How long the device waits for the server that StartConfigurationHBased announced.
    HOST_BASED_WAIT = "device.assumed.host-based-wait";
    /// What is left of a set-up over TLS that a second CommitChanges finished.
    HALF_WAY_RECORD = "device.assumed.half-way-record";
    /// What a second StartConfigurationHBased does.
    HOST_BASED_AGAIN = "device.assumed.host-based-again";
    /// Which hash, which order of octets and which leaf AMTAuthenticate signs with.
    AUTHENTICATE = "device.assumed.authenticate-form";
}
