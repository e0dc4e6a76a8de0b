//! The tables of a profile, one struct a table. What firmware generations have in common has a default here, so
//! that a profile file says what is particular to it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mac::Mac;
use crate::mei::{ClientKind, ClientProperties, Guid};

/// What GetCodeVersions and MKHI say about the firmware.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirmwareVersions {
    /// `major.minor.hotfix`, as agents print it.
    pub amt: String,
    pub build: String,
    /// Decimal bitmap: bit 3 AMT, bit 4 standard manageability, bit 14 corporate.
    pub sku: u32,
    pub bios: String,
    pub flash: String,
    pub netstack: String,
    pub apps: String,
    pub vendor_id: String,
    pub recovery: String,
    pub recovery_build: String,
    pub legacy_mode: bool,
    /// AMT security version number.
    pub security_version: u16,
    /// Flash partitions that MKHI GetImageFirmwareVersion knows: four letters, `a.b.c.d`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partitions: BTreeMap<String, String>,
}

impl FirmwareVersions {
    /// `major.minor.hotfix` as numbers; missing parts are 0.
    pub fn parts(&self) -> [u16; 3] {
        let mut parts = [0; 3];
        for (part, text) in parts.iter_mut().zip(self.amt.split('.')) {
            *part = text.parse().unwrap_or(0);
        }
        parts
    }

    pub fn build_number(&self) -> u16 {
        self.build.parse().unwrap_or(0)
    }
}

/// What this generation can do at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Knows StartConfigurationHBased (CSME 14.0 and later).
    pub host_based_tls: bool,
    /// Shows an on-die certificate chain on its local TLS port (15.0 and later).
    pub on_die_ca: bool,
    /// Knows AdminSetup (up to CSME 18).
    pub admin_setup: bool,
    /// Local ports speak TLS only (AMT 19 and later).
    pub local_tls_enforced: bool,
    /// Answers DisableAndClearAMT (AMT 12 and later).
    pub disable_and_clear: bool,
    /// The watchdog client's operational-state commands of the new interface (ME 16.1 and later).
    pub operational_state: bool,
    /// Answers GetCIRALog.
    pub cira_log: bool,
    /// The vendor's configuration timer for machines without an agent is running.
    pub bare_metal: bool,
    /// Enterprise host-based configuration without certificates (GetEHBCState).
    pub ehbc: bool,
    pub zero_touch: bool,
    /// The watchdog client announces the repaired periodic CIRA timer (bit 5 of its answer).
    #[serde(default)]
    pub cira_timer_fix: bool,
    /// An unprovision leaves the PKI DNS suffix in place (AMT 12 and later).
    #[serde(default = "yes")]
    pub keeps_dns_suffix: bool,
}

/// The MEI link and the clients on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeiLink {
    /// Messages a handle may have queued towards the firmware before a write blocks.
    pub tx_queue: usize,
    /// HECI bus protocol version, `major.minor`.
    pub hbm_version: String,
    /// A client that is not listed is not there: connecting to it is ENOTTY.
    pub clients: BTreeMap<ClientKind, MeiClient>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeiClient {
    /// Longest message in bytes, either way.
    pub max_message: u32,
    pub protocol_version: u8,
    /// Connections at a time; one more is EBUSY.
    pub connections: usize,
}

impl MeiClient {
    pub fn properties(self) -> ClientProperties {
        ClientProperties {
            max_message: self.max_message,
            protocol_version: self.protocol_version,
        }
    }
}

/// The machine around the firmware.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Fixed SMBIOS UUID; drawn from the seed when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Guid>,
    /// MKHI platform type (FWCAPS rule 29): form factor, image type, brand.
    pub platform_type: u32,
    /// MKHI feature bits (FWCAPS rules 0 and 32): 2 AMT, 17 IPv6, 18 KVM, 21 TLS.
    pub features: u32,
    /// Chipset family as the on-die certificates abbreviate it (`TGL`, `LNL`).
    pub family: String,
    /// Name of the power package, as GetCurrentPowerPolicy tells it.
    #[serde(default = "default_power_policy")]
    pub power_policy: String,
    /// Whether the host may update the firmware (MKHI FWCAPS rule 7).
    #[serde(default)]
    pub firmware_update: FirmwareUpdate,
    /// The BIOS told the firmware that power-on self-test is over. Firmware refuses to unprovision before that.
    #[serde(default = "yes")]
    pub end_of_post: bool,
    #[serde(default)]
    pub measured_boot: bool,
    /// Cryptography is not fused off.
    #[serde(default = "yes")]
    pub hardware_crypto: bool,
    /// The flash is write-protected against the host.
    #[serde(default = "yes")]
    pub flash_protection: bool,
    #[serde(default)]
    pub last_me_reset: MeReset,
    #[serde(default)]
    pub last_host_reset: HostReset,
    /// The vendor's part of the unique platform identifier, printable; not set when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oem_platform_id: Option<String>,
}

/// State of firmware updates as MKHI numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirmwareUpdate {
    Disabled = 0,
    #[default]
    Enabled = 1,
    PasswordProtected = 2,
}

/// The kind of the ME's last reset as GetAMTState numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeReset {
    #[default]
    None = 0,
    Me = 1,
    Global = 2,
    Exception = 3,
}

/// What GetLastHostResetReason tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostReset {
    /// An operator reset the host through AMT.
    pub remote_control: bool,
    /// When, in seconds since 1970; 0 when AMT had no part in it.
    pub at: u32,
}

/// The network as the firmware sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub hostname: String,
    /// Domain from DHCP option 15; empty when the network gives none.
    pub dhcp_domain: String,
    /// Suffix typed into the set-up screen (PKI DNS suffix); empty when unset.
    pub pki_dns_suffix: String,
    /// Where the device thinks it is: 0 direct, 1 VPN, 2 outside, 3 unknown.
    pub environment: u32,
    /// Domains that the device takes for its own network (environment detection).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intranet_domains: Vec<String>,
    /// The device shares its name with the host.
    #[serde(default = "yes")]
    pub shared_fqdn: bool,
    /// Access from outside through the host's VPN is allowed.
    #[serde(default)]
    pub host_vpn: bool,
    #[serde(default)]
    pub dynamic_dns: DynamicDns,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wired: Option<LanInterface>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wireless: Option<LanInterface>,
}

impl Network {
    /// Whether any interface has a link.
    pub fn link_up(&self) -> bool {
        let lans = [&self.wired, &self.wireless];
        lans.into_iter().flatten().any(|lan| lan.link_up)
    }
}

/// How the device keeps its name in the DNS up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DynamicDns {
    pub enabled: bool,
    /// Minutes between updates.
    pub interval: u32,
    /// Seconds for which others may keep the entry.
    pub ttl: u32,
}

impl Default for DynamicDns {
    fn default() -> Self {
        Self {
            enabled: false,
            interval: 1440,
            ttl: 900,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanInterface {
    pub enabled: bool,
    pub link_up: bool,
    pub dhcp: bool,
    /// `0.0.0.0` while the interface has none.
    pub address: Ipv4Addr,
    pub netmask: Ipv4Addr,
    pub gateway: Ipv4Addr,
    pub dns: [Ipv4Addr; 2],
    /// Drawn from the seed when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// IPv6 is off when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6>,
}

/// IPv6 on one interface. An address that is `::` is one that the interface has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ipv6 {
    pub router: Ipv6Addr,
    pub dns: [Ipv6Addr; 2],
    #[serde(default)]
    pub addresses: Vec<Ipv6Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ipv6Entry {
    pub address: Ipv6Addr,
    pub origin: Ipv6Origin,
    pub state: Ipv6State,
}

/// CFG_IPv6_ADDR_TYPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ipv6Origin {
    LinkLocal = 0,
    Router = 1,
    Dhcp = 2,
    Manual = 3,
}

/// CFG_IPv6_ADDR_STATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ipv6State {
    Tentative = 0,
    Preferred = 1,
    Deprecated = 2,
    Valid = 3,
    Invalid = 4,
    Collision = 5,
}

/// Features that are switched on, as the device leaves the factory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Features {
    /// Serial over LAN.
    pub sol: bool,
    /// IDE redirection (USB redirection on later generations).
    pub ider: bool,
    pub kvm: bool,
    pub web_ui: bool,
    /// A system defense policy is in force.
    pub system_defense: bool,
    /// Endpoint access control.
    pub endpoint_access: bool,
    /// The user may ask for remote help from the BIOS screen.
    pub user_initiated_bios: bool,
    /// The user may ask for remote help from the operating system.
    pub user_initiated_os: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            sol: true,
            ider: true,
            kvm: true,
            web_ui: true,
            system_defense: false,
            endpoint_access: false,
            user_initiated_bios: true,
            user_initiated_os: true,
        }
    }
}

/// Where the device looks for its SCA, as typed into the set-up screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SetupServer {
    /// At most 45 characters; empty when the device is to ask the DNS.
    pub address: String,
    pub port: u16,
    /// Empty when unset.
    pub fqdn: String,
}

impl Default for SetupServer {
    fn default() -> Self {
        Self {
            address: String::new(),
            port: 9971,
            fqdn: String::new(),
        }
    }
}

/// The tunnel to a management presence server (CIRA).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteAccess {
    pub tunnel: Tunnel,
    /// What opened the tunnel last.
    pub trigger: TunnelTrigger,
    /// Host name of the server; empty when none is configured.
    pub server: String,
}

/// State of the tunnel as GetRemoteAccessConnectionStatus numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tunnel {
    #[default]
    NotConnected = 0,
    Connecting = 1,
    Connected = 2,
}

/// What opened the tunnel. Two public readers disagree on 2 and 3; these are the numbers of Intel's LMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunnelTrigger {
    #[default]
    User = 0,
    Alert = 1,
    Provisioning = 2,
    Periodic = 3,
}

/// How long things take, in device time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// No answer is readable sooner than this after the request. MeshAgent loses an answer that is there before it
    /// waits for one: on two cores with 13 programs at work, MeshCmd got through in 8 of 12 runs with 2 ms, in 11
    /// with 5, in all with 10 and 20.
    #[serde(with = "milliseconds")]
    pub mei_reply_ms: Duration,
    /// The MEI link stays down this long after a reset.
    #[serde(with = "milliseconds")]
    pub mei_reset_ms: Duration,
    /// A client stays busy this long after its last handle closed.
    #[serde(with = "milliseconds")]
    pub mei_release_ms: Duration,
    /// Making the self-signed key of the legacy flow.
    #[serde(with = "milliseconds")]
    pub key_generation_ms: Duration,
    /// How long the interface stays open for an SCA.
    #[serde(with = "milliseconds")]
    pub provisioning_period_ms: Duration,
    /// From the first Hello message to the second; each further wait is twice as long, up to an hour.
    #[serde(with = "milliseconds", default = "one_minute")]
    pub hello_retry_ms: Duration,
}

/// What nobody outside knows of real firmware, each behind a switch.
///
/// The ledger lists every one as `device.assumed.*`; an answer that rests on one is journaled as such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumptions {
    /// AMTHI status for a command that the firmware does not know.
    pub unknown_command_status: u32,
    /// AMTHI status of GetLanInterfaceSettings for an interface that is not fitted; 0 answers with zeros.
    pub absent_interface_status: u32,
    /// AMTHI status when there is no set-up audit record.
    pub no_audit_record_status: u32,
    /// Answers that the firmware holds for a host that does not read them, before writes queue up.
    pub unread_answers: usize,
    /// What AMTHI does while AMT is switched off.
    #[serde(default)]
    pub while_disabled: WhileDisabled,
    /// When the firmware drops an LME connection by itself.
    #[serde(default)]
    pub lme_drop: LmeDrop,
    /// Which number a new LME channel gets.
    #[serde(default)]
    pub lme_numbers: LmeNumbers,
    /// How long a device waits for the server that StartConfigurationHBased announced, in milliseconds; 0 is for ever.
    #[serde(default)]
    pub host_based_wait_ms: u64,
    /// What a second StartConfigurationHBased does while the device waits.
    #[serde(default)]
    pub host_based_again: HostBasedAgain,
    /// In set-up over TLS, DigestPassword may be 32 hex digits instead of base64 of 16 octets. One management server
    /// writes it so, and logs in afterwards.
    #[serde(default = "yes")]
    pub hex_digest_password: bool,
}

/// A second StartConfigurationHBased while the device waits for the server of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostBasedAgain {
    /// Status 3, as StartConfiguration in set-up mode.
    #[default]
    Refused,
    /// The new server takes the place of the old one.
    Taken,
}

/// Which number a new LME channel gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LmeNumbers {
    /// The one after the last that was given out, so that a late CLOSE finds nobody.
    #[default]
    InTurn,
    /// The lowest free one, as seen in remote access. The second CLOSE of MicroLMS may hit a new channel then.
    Lowest,
}

/// When the firmware drops an LME connection by itself: the host's next call fails with ENODEV, and it has to
/// connect again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LmeDrop {
    /// Only after a protocol error.
    #[default]
    Never,
    /// After a change of mode, when the last channel is closed.
    AfterRestart,
    /// Whenever it closed the last channel, as rpc-go's authors saw it on machines.
    AfterClose,
}

/// AMTHI while AMT is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhileDisabled {
    /// Reads go on, changes are refused for the mode.
    #[default]
    Answer,
    /// Every message is answered by an empty one, as LMS expects of old firmware.
    Empty,
}

const fn one_minute() -> Duration {
    Duration::from_secs(60)
}

const fn yes() -> bool {
    true
}

fn default_power_policy() -> String {
    "ON in S0, ME Wake in S3, S4-5".to_owned()
}

/// Durations as whole milliseconds.
pub(super) mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        time: &Duration,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
