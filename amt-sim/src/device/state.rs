//! What the device remembers over a power cycle: its non-volatile memory.

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::consent::Consent;
use super::host_power::{HostPower, NextBoot};
use super::key_store::{StoredKey, TlsSettings};
use super::mode::Mode;
use super::profile::{CertificateHash, HashAlgorithm, Profile, ProfileError};
use super::seed::Seed;
use super::setup::{Announced, OutOfBand, ProvisioningRecord};
use crate::time::UnixTime;
use crate::wsman::Overlay;

/// Non-volatile memory. A host may keep it in a file and hand it back at the next power-on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of this layout; another one is refused, never guessed at.
    pub version: u32,
    /// The profile that this memory belongs to.
    pub profile: String,
    pub seed: u64,
    pub mode: Mode,
    /// Power-ons so far; what is new at each boot (passwords, nonces) is drawn with it.
    pub boots: u64,
    /// HTTP digest A1 of `admin`, as 32 hex digits; absent while the factory password stands.
    pub admin_ha1: Option<String>,
    /// What the administrator's account is called.
    #[serde(default = "admin")]
    pub admin_name: String,
    /// The access control list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    /// PKI DNS suffix: typed into the set-up screen, or set over AMTHI.
    pub pki_dns_suffix: String,
    /// Root certificate hashes, handle = position.
    pub hashes: Vec<CertificateHash>,
    pub zero_touch: bool,
    pub ehbc: bool,
    /// Host name as the host last announced it.
    pub host_fqdn: String,
    /// UPID feature switched on.
    pub upid_enabled: bool,
    /// What the last set-up over TLS left behind; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_record: Option<SetupRecord>,
    /// The server that may set the device up through the host; present in that mode only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<Announced>,
    /// What clients wrote over WS-Management.
    #[serde(default, skip_serializing_if = "Overlay::is_empty")]
    pub wsman: Overlay,
    /// Seconds that the clock was set forward over WS-Management; negative when set back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_offset: i64,
    /// The password of the firmware's set-up screen is no longer the factory's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mebx_password_set: bool,
    /// What the last host-based set-up left behind. The log holds one record: this one or the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning_record: Option<ProvisioningRecord>,
    /// Configuration nonces drawn so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nonce_turn: u64,
    /// DisableClientControlMode was called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_mode_disabled: bool,
    /// The user's consent, while it is asked for or given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// Key pairs that were generated or given over WS-Management.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<StoredKey>,
    /// TLS as it was last committed; absent when it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// The power state that an operator put the host into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_power: Option<HostPower>,
    /// How the host boots next.
    #[serde(default, skip_serializing_if = "NextBoot::is_usual")]
    pub next_boot: NextBoot,
    /// The power package that was chosen: InstanceID of AMT_SystemPowerScheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_scheme: Option<String>,
    /// `boots` when the event log was cleared last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_cleared_at: Option<u64>,
    /// Set-up over the network, as far as it has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_band: Option<OutOfBand>,
    /// The one-time password for the SCA; 8 to 32 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    /// The device has made the key of its own certificate, which takes minutes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_key_made: bool,
    /// A seed for random numbers was made on a device that came without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub random_seed_made: bool,
}

/// Who set the device up over TLS and why it was believed: AMTHI GetMESetupAuditRecord, IPS_TLSProvisioningRecord.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupRecord {
    /// The DNS suffix was typed into the set-up screen, not learnt from DHCP.
    pub secure_dns: bool,
    /// An agent on the host started it.
    pub host_initiated: bool,
    pub hash_algorithm: HashAlgorithm,
    /// The root that the SCA's chain ended at, as hex digits.
    pub hash: String,
    /// The hash came from the factory.
    pub hash_is_default: bool,
    /// Serial numbers of the CAs, 16 bytes each as hex digits; three at most.
    pub ca_serials: Vec<String>,
    /// The chain had more CAs than that.
    pub more_serials: bool,
    /// The SCA's certificate was within its validity by the host's clock.
    pub time_valid: bool,
    /// Address and name of the SCA.
    pub server_address: String,
    pub server_fqdn: String,
    pub at: UnixTime,
}

fn admin() -> String {
    "admin".to_owned()
}

// The signature is serde's.
fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

impl State {
    pub const VERSION: u32 = 1;

    /// Memory as the factory leaves it.
    pub fn factory(profile: &Profile, seed: Seed) -> Result<Self, ProfileError> {
        Ok(Self {
            version: Self::VERSION,
            profile: profile.name.clone(),
            seed: seed.0,
            mode: Mode::PreProvisioning,
            boots: 0,
            admin_ha1: None,
            admin_name: admin(),
            accounts: Vec::new(),
            pki_dns_suffix: profile.network.pki_dns_suffix.clone(),
            hashes: profile.certificate_hashes()?,
            zero_touch: profile.capabilities.zero_touch,
            ehbc: profile.capabilities.ehbc,
            host_fqdn: String::new(),
            upid_enabled: false,
            setup_record: None,
            announced: None,
            wsman: Overlay::default(),
            clock_offset: 0,
            mebx_password_set: false,
            provisioning_record: None,
            nonce_turn: 0,
            client_mode_disabled: false,
            consent: None,
            keys: Vec::new(),
            tls: None,
            host_power: None,
            next_boot: NextBoot::default(),
            power_scheme: None,
            events_cleared_at: None,
            out_of_band: None,
            otp: None,
            own_key_made: false,
            random_seed_made: false,
        })
    }

    /// What a full unprovision leaves: default hashes go back to active, custom ones are erased, the suffix
    /// stays from AMT 12 on.
    pub(crate) fn forget_provisioning(&mut self, keep_dns_suffix: bool) {
        self.forget_set_up();
        if !keep_dns_suffix {
            self.pki_dns_suffix.clear();
        }
        self.hashes.retain(|hash| hash.default);
        for hash in &mut self.hashes {
            hash.active = true;
        }
    }

    /// What is left of a set-up that was stopped before it was committed: nobody administers the device,
    /// and nothing is configured. Root hashes and the suffix are no part of it.
    pub(crate) fn forget_set_up(&mut self) {
        self.admin_ha1 = None;
        self.admin_name = admin();
        self.accounts.clear();
        self.setup_record = None;
        self.announced = None;
        self.provisioning_record = None;
        self.wsman.clear();
        self.consent = None;
        self.keys.clear();
        self.tls = None;
        self.next_boot = NextBoot::default();
        self.power_scheme = None;
        self.out_of_band = None;
        self.otp = None;
    }
}
