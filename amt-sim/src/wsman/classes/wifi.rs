//! Wireless profiles and ports, and 802.1x on both kinds of port.

use super::tls::credentials::{CERTIFICATE, named};
use crate::device::{Firmware, Realm, Rule, assumed};
use crate::wsman::base64;
use crate::wsman::call::status::cim;
use crate::wsman::call::{Access, Call, Input, Method, Outcome};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Applied, Change, Live, Provider};
use crate::wsman::store;
use crate::wsman::value::{Instance, Reference, Selectors};

const PORT: &str = "CIM_WiFiPort";
const SERVICE: &str = "AMT_WiFiPortConfigurationService";
const PROFILE: &str = "CIM_WiFiEndpointSettings";
const ENDPOINT: &str = "CIM_WiFiEndpoint";
const ENTERPRISE: &str = "CIM_IEEE8021xSettings";
const WIRED_ENTERPRISE: &str = "IPS_IEEE8021xSettings";
const WIRELESS_CONTEXT: &str = "CIM_CredentialContext";
const WIRED_CONTEXT: &str = "IPS_8021xCredentialContext";

const IT_PROFILE: &str = "Intel(r) AMT:WiFi Endpoint Settings ";
const USER_PROFILE: &str = "Intel(r) AMT:WiFi Endpoint User Settings ";
const ENTERPRISE_ID: &str = "Intel(r) AMT:IEEE 802.1x Settings ";

/// Profiles of each kind. Source: "Intel AMT Implementation and Reference Guide", page "WiFi profiles".
const MOST_PROFILES: usize = 8;

/// Return values of AddWiFiSettings and its like.
const INVALID_PARAMETER: u32 = 3;
const INVALID_REFERENCE: u32 = 4;
/// PT_STATUS codes come behind this number.
const PT_STATUS: u32 = 32_768;
const MAX_LIMIT: u32 = PT_STATUS + 23;

/// LMS keeps the profiles of the operating system in step with those of the device.
const PROFILES: Access = Access::Realms(&[Realm::LOCAL_SYSTEM, Realm::ADMINISTRATION]);

pub(crate) const METHODS: &[Method] = &[
    Method::new(PORT, "RequestStateChange", Access::Administrator, request_state),
    Method::new(SERVICE, "AddWiFiSettings", PROFILES, add),
    Method::new(SERVICE, "UpdateWiFiSettings", PROFILES, update),
    Method::new(SERVICE, "DeleteAllITProfiles", Access::Administrator, delete_all_it),
    Method::new(SERVICE, "DeleteAllUserProfiles", Access::Administrator, delete_all_user),
    Method::new(WIRED_ENTERPRISE, "SetCertificates", Access::Administrator, set_certificates),
];

pub(crate) const PROVIDERS: &[Provider] = &[
    Provider {
        put: Some(put_service),
        ..Provider::of(SERVICE)
    },
    Provider {
        put: Some(put_profile),
        delete: Some(delete_profile),
        ..Provider::of(PROFILE)
    },
    Provider {
        put: Some(put_wired_enterprise),
        ..Provider::of(WIRED_ENTERPRISE)
    },
];

pub(crate) const LIVE: &[Live] = &[Live {
    name: "uefi-wifi-share",
    // Older firmware does not have the property.
    value: |fw| super::boot::has_recovery(fw).then_some(false.into()),
}];

/// RequestStateChange of the port: 3 off, 32768 on in S0, 32769 on in S0 and, on mains power, in sleep.
fn request_state(call: &mut Call<'_>) -> Outcome {
    let Some(state @ (3 | 32_768 | 32_769)) = call.input.number("RequestedState") else {
        return Outcome::status(cim::INVALID_PARAMETER);
    };
    let changes = Instance::new()
        .with("EnabledState", state)
        .with("RequestedState", state);
    let keys = call.instance.clone();
    store::put(call.fw, PORT, &keys, changes);
    Outcome::OK
}

/// Put: sharing profiles with UEFI needs firmware that can.
fn put_service(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let shares = change.after.bool("UEFIWiFiProfileShareEnabled") == Some(true);
    if shares && !super::boot::has_recovery(change.fw) {
        return Err(Fault::InvalidValues);
    }
    let synchronization = change.after.int("localProfileSynchronizationEnabled");
    if synchronization.is_some_and(|mode| !matches!(mode, 0 | 1 | 3)) {
        return Err(Fault::InvalidValues);
    }
    Ok(Applied::store(change.after.clone()))
}

/// A profile as AddWiFiSettings and UpdateWiFiSettings describe it.
struct Wanted {
    name: String,
    user: bool,
    profile: Instance,
}

impl Wanted {
    /// `None`: not a whole profile.
    fn read(input: &Input) -> Option<Self> {
        let settings = input.embedded("WiFiEndpointSettingsInput")?;
        let name = settings.text("ElementName").filter(|name| !name.is_empty())?;
        let ssid = settings.raw_text("SSID").filter(|ssid| !ssid.is_empty())?;
        if name.len() > 32 || ssid.len() > 32 {
            return None;
        }
        let authentication = settings.number("AuthenticationMethod")?;
        let encryption = settings.number("EncryptionMethod")?;
        let priority = settings.fits::<u8>("Priority").unwrap_or_default();
        let user = settings
            .text("InstanceID")
            .is_some_and(|id| id.starts_with(USER_PROFILE));
        let phrase = settings.raw_text("PSKPassPhrase");
        let value = settings.bytes("PSKValue").filter(|value| !value.is_empty());
        let secret = value.is_some() || phrase.is_some_and(|text| (8..=63).contains(&text.len()));
        let enterprise = input.embedded("IEEE8021xSettingsInput").is_some();
        let complete = match authentication {
            // WPA, WPA2 and WPA3 with a pass phrase.
            4 | 6 | 32_768 => secret,
            // WPA and WPA2 with 802.1x.
            5 | 7 => enterprise,
            // Opportunistic encryption has no secret.
            32_769 => true,
            _ => false,
        };
        if !complete || !matches!(encryption, 3 | 4) || (!user && priority == 0) {
            return None;
        }
        let kind = if user { USER_PROFILE } else { IT_PROFILE };
        let mut profile = Instance::new()
            .with("AuthenticationMethod", authentication)
            .with("BSSType", settings.number("BSSType").unwrap_or(3))
            .with("ElementName", name)
            .with("EncryptionMethod", encryption)
            .with("InstanceID", format!("{kind}{name}"))
            .with("Priority", priority)
            .with("SSID", ssid);
        if let Some(phrase) = phrase.filter(|phrase| !phrase.is_empty()) {
            profile.set("PSKPassPhrase", phrase);
        }
        if let Some(value) = value {
            profile.set("PSKValue", value);
        }
        Some(Self {
            name: name.to_owned(),
            user,
            profile,
        })
    }

    fn keys(&self) -> Selectors {
        let id = self.profile.text("InstanceID").unwrap_or_default();
        Selectors::new().with("InstanceID", id)
    }
}

fn is_user(profile: &Instance) -> bool {
    profile
        .text("InstanceID")
        .is_some_and(|id| id.starts_with(USER_PROFILE))
}

/// AddWiFiSettings.
fn add(call: &mut Call<'_>) -> Outcome {
    let endpoint = call.input.reference("WiFiEndpoint");
    let known = endpoint.is_some_and(|endpoint| {
        endpoint.class == ENDPOINT
            && endpoint.key("Name").is_none_or(|name| name == "WiFi Endpoint 0")
    });
    if !known {
        return Outcome::status(INVALID_REFERENCE);
    }
    let Some(wanted) = Wanted::read(call.input) else {
        return Outcome::status(INVALID_PARAMETER);
    };
    let keys = wanted.keys();
    let profiles = store::instances(call.fw, PROFILE);
    let mut kin = profiles.iter().filter(|other| is_user(other) == wanted.user);
    let clashes = kin.clone().any(|other| {
        other.text("ElementName") == Some(&wanted.name)
            || (!wanted.user && other.int("Priority") == wanted.profile.int("Priority"))
    });
    if clashes && call.fw.enforced(Rule::WIFI_PROFILE) {
        return Outcome::status(INVALID_PARAMETER);
    }
    if kin.by_ref().count() >= MOST_PROFILES {
        call.fw.assume(assumed::WIFI_PROFILES);
        return Outcome::status(MAX_LIMIT);
    }
    let enterprise = match keep_enterprise(call, &wanted.name) {
        Ok(enterprise) => enterprise,
        Err(refused) => return refused,
    };
    let id = keys.text("InstanceID").unwrap_or_default().to_owned();
    store::create(call.fw, PROFILE, &keys, wanted.profile);
    let outcome = Outcome::OK.with("WiFiEndpointSettings", named(PROFILE, &id));
    match enterprise {
        Some(settings) => outcome.with("IEEE8021xSettings", settings),
        None => outcome,
    }
}

/// UpdateWiFiSettings: the whole profile anew, under the name that it has.
fn update(call: &mut Call<'_>) -> Outcome {
    let meant = call.input.reference("WiFiEndpointSettings");
    let old = meant
        .filter(|meant| meant.class == PROFILE && meant.key("InstanceID").is_some())
        .and_then(|meant| store::find(call.fw, PROFILE, &meant.selectors));
    let Some(old) = old else {
        return Outcome::status(INVALID_REFERENCE);
    };
    let Some(mut wanted) = Wanted::read(call.input) else {
        return Outcome::status(INVALID_PARAMETER);
    };
    let id = old.text("InstanceID").unwrap_or_default().to_owned();
    let profiles = store::instances(call.fw, PROFILE);
    let clashes = profiles.iter().any(|other| {
        other.text("InstanceID") != Some(&id)
            && !is_user(other)
            && !is_user(&old)
            && other.int("Priority") == wanted.profile.int("Priority")
    });
    if clashes && call.fw.enforced(Rule::WIFI_PROFILE) {
        return Outcome::status(INVALID_PARAMETER);
    }
    let name = old.text("ElementName").unwrap_or_default().to_owned();
    forget_enterprise(call.fw, &name);
    let enterprise = match keep_enterprise(call, &wanted.name) {
        Ok(enterprise) => enterprise,
        Err(refused) => return refused,
    };
    wanted.profile.set("InstanceID", id.as_str());
    let keys = Selectors::new().with("InstanceID", id);
    store::create(call.fw, PROFILE, &keys, wanted.profile);
    match enterprise {
        Some(settings) => Outcome::OK.with("IEEE8021xSettings", settings),
        None => Outcome::OK,
    }
}

/// Keeps the 802.1x part of a profile with its certificates, when there is one.
fn keep_enterprise(call: &mut Call<'_>, name: &str) -> Result<Option<Reference>, Outcome> {
    let Some(settings) = call.input.embedded("IEEE8021xSettingsInput") else {
        return Ok(None);
    };
    let Some(protocol @ 0..=6) = settings.number("AuthenticationProtocol") else {
        return Err(Outcome::status(INVALID_PARAMETER));
    };
    let id = format!("{ENTERPRISE_ID}{name}");
    let mut instance = Instance::new()
        .with("AuthenticationProtocol", protocol)
        .with("ElementName", name)
        .with("InstanceID", id.as_str());
    const TEXTS: [&str; 6] = [
        "Username",
        "Password",
        "Domain",
        "RoamingIdentity",
        "PACPassword",
        "ServerCertificateName",
    ];
    for property in TEXTS {
        if let Some(text) = settings.raw_text(property).filter(|text| !text.is_empty()) {
            instance.set(property, text);
        }
    }
    if let Some(comparison) = settings.fits::<u16>("ServerCertificateNameComparison") {
        instance.set("ServerCertificateNameComparison", comparison);
    }
    for property in ["ProtectedAccessCredential", "PSK"] {
        let octets = settings.text(property).and_then(base64::decode);
        if let Some(octets) = octets.filter(|octets| !octets.is_empty()) {
            instance.set(property, octets);
        }
    }
    let certificates = certificates(call, &["ClientCredential", "CACredential"])
        .ok_or(Outcome::status(INVALID_REFERENCE))?;
    let keys = Selectors::new().with("InstanceID", id.as_str());
    store::create(call.fw, ENTERPRISE, &keys, instance);
    let settings = named(ENTERPRISE, &id);
    for certificate in certificates {
        bind(call.fw, WIRELESS_CONTEXT, certificate, settings.clone());
    }
    Ok(Some(settings))
}

/// The certificates that these parameters refer to; `None` when one is not stored.
fn certificates(call: &Call<'_>, parameters: &[&str]) -> Option<Vec<Reference>> {
    let mut found = Vec::new();
    for parameter in parameters {
        let Some(reference) = call.input.reference(parameter) else {
            continue;
        };
        let id = reference.key("InstanceID").unwrap_or_default();
        let keys = Selectors::new().with("InstanceID", id);
        let stored = store::find(call.fw, CERTIFICATE, &keys);
        if reference.class != CERTIFICATE || id.is_empty() || stored.is_none() {
            return None;
        }
        found.push(named(CERTIFICATE, id));
    }
    Some(found)
}

fn bind(fw: &mut Firmware, class: &str, certificate: Reference, settings: Reference) {
    let context = Instance::new()
        .with("ElementInContext", certificate)
        .with("ElementProvidingContext", settings);
    store::create(fw, class, &context.clone(), context);
}

fn unbind(fw: &mut Firmware, class: &str, settings: &Reference) {
    for context in store::instances(fw, class) {
        if context.reference("ElementProvidingContext") == Some(settings) {
            store::delete(fw, class, &context);
        }
    }
}

fn forget_enterprise(fw: &mut Firmware, name: &str) {
    let id = format!("{ENTERPRISE_ID}{name}");
    let keys = Selectors::new().with("InstanceID", id.as_str());
    if store::find(fw, ENTERPRISE, &keys).is_some() {
        unbind(fw, WIRELESS_CONTEXT, &named(ENTERPRISE, &id));
        store::delete(fw, ENTERPRISE, &keys);
    }
}

fn forget(fw: &mut Firmware, profile: &Instance) {
    forget_enterprise(fw, profile.text("ElementName").unwrap_or_default());
    let id = profile.text("InstanceID").unwrap_or_default();
    let keys = Selectors::new().with("InstanceID", id);
    store::delete(fw, PROFILE, &keys);
}

fn put_profile(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let user = is_user(&change.before);
    if !user && change.after.int("Priority").unwrap_or_default() == 0 {
        return Err(Fault::InvalidValues);
    }
    Ok(Applied::store(change.after.clone()))
}

fn delete_profile(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let profile = change.before.clone();
    forget(change.fw, &profile);
    Ok(Applied::elsewhere())
}

fn delete_all_it(call: &mut Call<'_>) -> Outcome {
    delete_all(call, false)
}

fn delete_all_user(call: &mut Call<'_>) -> Outcome {
    delete_all(call, true)
}

fn delete_all(call: &mut Call<'_>, user: bool) -> Outcome {
    for profile in store::instances(call.fw, PROFILE) {
        if is_user(&profile) == user {
            forget(call.fw, &profile);
        }
    }
    Outcome::OK
}

/// Put of the wired settings: 2 on with certificates, 3 off, 6 on without. Off frees the certificates.
fn put_wired_enterprise(change: &mut Change<'_>) -> Result<Applied, Fault> {
    match change.after.int("Enabled") {
        Some(2 | 6) => {}
        Some(3) => unbind(change.fw, WIRED_CONTEXT, &wired_settings()),
        _ => return Err(Fault::InvalidValues),
    }
    Ok(Applied::store(change.after.clone()))
}

fn wired_settings() -> Reference {
    named(WIRED_ENTERPRISE, "Intel(r) AMT: 8021X Settings")
}

/// SetCertificates: either may be absent; what was bound before is not any more.
fn set_certificates(call: &mut Call<'_>) -> Outcome {
    const FAILED: u32 = 1;
    let Some(wanted) = certificates(call, &["ServerCertificateIssuer", "ClientCertificate"]) else {
        return Outcome::status(FAILED);
    };
    unbind(call.fw, WIRED_CONTEXT, &wired_settings());
    for certificate in wanted {
        bind(call.fw, WIRED_CONTEXT, certificate, wired_settings());
    }
    Outcome::OK
}
