//! What the device at hand would make a good agent say: the expected value of every fact.

use amt_sim::device::{
    CertificateHash, ControlMode, HashAlgorithm, Identity, LanInterface, Mac, ProvisioningRecord,
    ProvisioningState, Tunnel, TunnelTrigger,
};
use amt_sim::{Device, Guid, Mode, Profile, State, UnixTime};
use serde_json::json;

use super::Value;

/// One device as it is at one moment.
#[derive(Debug, Clone)]
pub struct Truth {
    profile: Profile,
    identity: Identity,
    state: State,
    mode: Mode,
}

/// The values that a good agent may report; `None` stands for not reporting the fact at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The first one is what it would best say.
    pub any_of: Vec<Option<Value>>,
}

impl Expected {
    fn exactly(value: impl Into<Value>) -> Self {
        Self {
            any_of: vec![Some(value.into())],
        }
    }

    /// A fact that is not there; an agent that fills it with a neutral value says no falsehood either.
    fn nothing(neutral: impl IntoIterator<Item = Value>) -> Self {
        let mut any_of = vec![None];
        any_of.extend(neutral.into_iter().map(Some));
        Self { any_of }
    }

    /// The best value, for placeholders.
    pub fn best(&self) -> Option<&Value> {
        self.any_of.first()?.as_ref()
    }
}

impl Truth {
    pub fn of(device: &Device) -> Self {
        Self {
            profile: device.profile().clone(),
            identity: device.identity().clone(),
            state: device.state().clone(),
            mode: device.mode(),
        }
    }

    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub fn hostname(&self) -> &str {
        &self.profile.network.hostname
    }

    pub(super) fn wired(&self) -> Lan<'_> {
        Lan {
            settings: self.profile.network.wired.as_ref(),
            mac: self.identity.wired_mac,
        }
    }

    pub(super) fn wireless(&self) -> Lan<'_> {
        Lan {
            settings: self.profile.network.wireless.as_ref(),
            mac: self.identity.wireless_mac,
        }
    }
}

/// The leading number of a version text.
pub fn major_version(version: &str) -> Option<u32> {
    version.split('.').next()?.trim().parse().ok()
}

/// False for the UUIDs of boards that nobody programmed: all zeros, all ones, and the reference firmware's
/// `03000200-0400-0500-0006-000700080009`.
///
/// Source: rpc-go `pkg/utils`, which refuses the same three.
pub fn usable_uuid(uuid: Guid) -> bool {
    let placeholder = Guid::from_fields(
        0x0300_0200,
        0x0400,
        0x0500,
        [0x00, 0x06, 0x00, 0x07, 0x00, 0x08, 0x00, 0x09],
    );
    uuid != placeholder && uuid.to_wire() != [0; 16] && uuid.to_wire() != [0xff; 16]
}

pub(super) fn present(_: &Truth) -> Expected {
    Expected::exactly(true)
}

pub(super) fn version(truth: &Truth) -> Expected {
    Expected::exactly(truth.profile.firmware.amt.as_str())
}

pub(super) fn build(truth: &Truth) -> Expected {
    Expected::exactly(truth.profile.firmware.build.as_str())
}

pub(super) fn sku(truth: &Truth) -> Expected {
    Expected::exactly(truth.profile.firmware.sku)
}

/// SKU bits of AMT 5 and later as public agents name them.
pub(super) fn features(truth: &Truth) -> Expected {
    Expected::exactly(sku_words(truth.profile.firmware.sku))
}

/// Source: rpc-go `pkg/utils`, which prints `AMT Pro`, `Intel Standard Manageability`, `AT-p` and `Corporate`.
pub(crate) fn sku_words(sku: u32) -> Value {
    let named = [
        (0x08, "amt-pro"),
        (0x10, "standard-manageability"),
        (0x2000, "anti-theft"),
        (0x4000, "corporate"),
    ];
    let mut words: Vec<&str> = named
        .iter()
        .filter(|(bit, _)| sku & bit != 0)
        .map(|(_, word)| *word)
        .collect();
    words.sort_unstable();
    json!(words)
}

pub(super) fn uuid(truth: &Truth) -> Expected {
    Expected::exactly(truth.identity.uuid.to_string())
}

pub(super) fn uuid_usable(truth: &Truth) -> Expected {
    Expected::exactly(usable_uuid(truth.identity.uuid))
}

pub(super) fn control_mode(truth: &Truth) -> Expected {
    Expected::exactly(match truth.mode.control_mode() {
        ControlMode::None => "none",
        ControlMode::Client => "ccm",
        ControlMode::Admin => "acm",
    })
}

pub(super) fn provisioning_state(truth: &Truth) -> Expected {
    Expected::exactly(match truth.mode.provisioning_state() {
        ProvisioningState::Pre => "pre",
        ProvisioningState::In => "in",
        ProvisioningState::Post => "post",
    })
}

pub(super) fn dns_suffix(truth: &Truth) -> Expected {
    match truth.state.pki_dns_suffix.as_str() {
        "" => Expected::nothing([json!("")]),
        suffix => Expected::exactly(suffix),
    }
}

/// One interface of the device.
pub(super) struct Lan<'a> {
    settings: Option<&'a LanInterface>,
    mac: Mac,
}

impl Lan<'_> {
    /// A port whose MAC address is all zeros is one that is not there.
    fn fitted(&self) -> Option<&LanInterface> {
        self.settings.filter(|_| self.mac.0 != [0; 6])
    }

    fn flag(&self, read: impl Fn(&LanInterface) -> bool) -> Expected {
        match self.fitted() {
            Some(settings) => Expected::exactly(read(settings)),
            // What an absent port is said to be does not matter: its settings may be anything.
            None => Expected::nothing([json!(false), json!(true)]),
        }
    }

    pub(super) fn present(&self) -> Expected {
        Expected::exactly(self.fitted().is_some())
    }

    pub(super) fn mac(&self) -> Expected {
        match self.fitted() {
            Some(_) => Expected::exactly(self.mac.to_string()),
            None => Expected::nothing([json!("00:00:00:00:00:00")]),
        }
    }

    pub(super) fn address(&self) -> Expected {
        match self.fitted() {
            Some(settings) if !settings.address.is_unspecified() => {
                Expected::exactly(settings.address.to_string())
            }
            _ => Expected::nothing([json!("0.0.0.0")]),
        }
    }

    pub(super) fn link(&self) -> Expected {
        match self.fitted() {
            Some(settings) => Expected::exactly(if settings.link_up { "up" } else { "down" }),
            None => Expected::nothing([json!("down")]),
        }
    }

    pub(super) fn dhcp(&self) -> Expected {
        self.flag(|settings| settings.dhcp)
    }

    pub(super) fn enabled(&self) -> Expected {
        self.flag(|settings| settings.enabled)
    }
}

pub(super) fn ras_network(truth: &Truth) -> Expected {
    Expected::exactly(match truth.profile.network.environment {
        0 => "direct",
        1 => "vpn",
        2 => "outside",
        _ => "unknown",
    })
}

pub(super) fn ras_connection(truth: &Truth) -> Expected {
    Expected::exactly(match truth.profile.remote_access.tunnel {
        Tunnel::NotConnected => "not-connected",
        Tunnel::Connecting => "connecting",
        Tunnel::Connected => "connected",
    })
}

pub(super) fn ras_trigger(truth: &Truth) -> Expected {
    Expected::exactly(match truth.profile.remote_access.trigger {
        TunnelTrigger::User => "user",
        TunnelTrigger::Alert => "alert",
        TunnelTrigger::Provisioning => "provisioning",
        TunnelTrigger::Periodic => "periodic",
    })
}

pub(super) fn hashes(truth: &Truth) -> Expected {
    let mut entries: Vec<&CertificateHash> = truth.state.hashes.iter().collect();
    entries.sort_by_key(|entry| (entry.hash.to_lowercase(), entry.name.clone()));
    let list: Vec<Value> = entries
        .into_iter()
        .map(|entry| {
            json!({
                "name": entry.name,
                "hash": entry.hash.to_lowercase(),
                "algorithm": algorithm_word(entry.algorithm),
                "active": entry.active,
                "default": entry.default,
            })
        })
        .collect();
    Expected::exactly(list)
}

const fn algorithm_word(algorithm: HashAlgorithm) -> &'static str {
    match algorithm {
        HashAlgorithm::Sha1 => "sha1",
        HashAlgorithm::Sha256 => "sha256",
        HashAlgorithm::Sha384 => "sha384",
    }
}

pub(super) fn hashes_count(truth: &Truth) -> Expected {
    Expected::exactly(truth.state.hashes.len())
}

pub(super) fn cira_log_supported(truth: &Truth) -> Expected {
    Expected::exactly(truth.profile.capabilities.cira_log)
}

pub(super) fn cira_log_tunnel(truth: &Truth) -> Expected {
    if truth.profile.capabilities.cira_log {
        let open = truth.profile.remote_access.tunnel == Tunnel::Connected;
        Expected::exactly(if open { "open" } else { "closed" })
    } else {
        Expected::nothing([])
    }
}

pub(super) fn local_tls_enforced(truth: &Truth) -> Expected {
    Expected::exactly(truth.profile.capabilities.local_tls_enforced)
}

/// The bit counts only on firmware with the new state-independence interface.
pub(super) fn operational_state(truth: &Truth) -> Expected {
    let word = if truth.mode.enabled() {
        "enabled"
    } else {
        "disabled"
    };
    if truth.profile.capabilities.operational_state {
        Expected::exactly(word)
    } else {
        Expected::nothing([json!(word)])
    }
}

/// Step 4 of the guide: secure host-based set-up from Tiger Lake, 15.x, on.
pub(super) fn recommendation(truth: &Truth) -> Expected {
    let [major, ..] = truth.profile.firmware.parts();
    Expected::exactly(if major >= 15 {
        "secure-host-based"
    } else {
        "legacy-out-of-band"
    })
}

/// Only a scenario knows.
pub(super) fn nobody_knows(_: &Truth) -> Expected {
    Expected { any_of: Vec::new() }
}

/// Whoever says that he does not know says nothing false.
pub(super) fn conclusion(truth: &Truth) -> Expected {
    let known = match truth.mode {
        Mode::Admin => Some("activated"),
        // Not set up, and not as it was either.
        Mode::SetupHostBased | Mode::HalfClient | Mode::HalfAdmin => None,
        _ => Some("not-activated"),
    };
    let words = known.into_iter().chain(["unknown"]);
    Expected {
        any_of: words.map(|word| Some(word.into())).collect(),
    }
}

pub(super) fn record_kind(truth: &Truth) -> Expected {
    Expected::exactly(match &truth.state.provisioning_record {
        Some(ProvisioningRecord::Client(_)) => "client",
        Some(ProvisioningRecord::Admin(_)) => "admin",
        None if truth.state.setup_record.is_some() => "tls",
        None => "none",
    })
}

pub(super) fn record_certificate(truth: &Truth) -> Expected {
    match &truth.state.provisioning_record {
        Some(ProvisioningRecord::Client(record)) => match &record.hash {
            Some(hash) => Expected::exactly(hash.as_str()),
            None => Expected::nothing([]),
        },
        _ => Expected::nothing([]),
    }
}

pub(super) fn record_time(truth: &Truth) -> Expected {
    let at = match &truth.state.provisioning_record {
        Some(ProvisioningRecord::Client(record)) => Some(record.at),
        Some(ProvisioningRecord::Admin(record)) => Some(record.at),
        None => truth.state.setup_record.as_ref().map(|record| record.at),
    };
    match at {
        Some(at) => Expected::exactly(datetime(at)),
        None => Expected::nothing([]),
    }
}

/// As the wire writes it.
fn datetime(at: UnixTime) -> String {
    let at = at.civil();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year, at.month, at.day, at.hour, at.minute, at.second
    )
}

pub(super) fn record_name(truth: &Truth) -> Expected {
    let name = match &truth.state.provisioning_record {
        Some(ProvisioningRecord::Admin(record)) => Some(&record.certificate_cn),
        Some(ProvisioningRecord::Client(_)) => None,
        None => truth
            .state
            .setup_record
            .as_ref()
            .map(|record| &record.server_fqdn),
    };
    match name.filter(|name| !name.is_empty()) {
        Some(name) => Expected::exactly(name.as_str()),
        None => Expected::nothing([]),
    }
}

pub(super) fn record_secure_dns(truth: &Truth) -> Expected {
    match &truth.state.provisioning_record {
        Some(ProvisioningRecord::Admin(record)) if record.hash.is_some() => {
            Expected::exactly(record.secure_dns)
        }
        Some(_) => Expected::nothing([]),
        None => match &truth.state.setup_record {
            Some(record) => Expected::exactly(record.secure_dns),
            None => Expected::nothing([]),
        },
    }
}

pub(super) fn record_time_valid(truth: &Truth) -> Expected {
    match (&truth.state.provisioning_record, &truth.state.setup_record) {
        (None, Some(record)) => Expected::exactly(record.time_valid),
        _ => Expected::nothing([]),
    }
}
