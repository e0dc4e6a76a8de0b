//! TLS settings, certificates and keys.
//!
//! What clients put into AMT_TLSSettingData waits in the store until [`commit`] makes it the settings of the ports.

pub(crate) mod credentials;
mod der;
pub(crate) mod shown;

use crate::device::{Firmware, Realm, Rule, TlsPort, TlsSettings, assumed};
use crate::wsman::call::{Access, Call, Method, Outcome, status};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Applied, Change, Live, Provider};
use crate::wsman::store;
use crate::wsman::value::{Instance, Reference, Selectors, Value};

use credentials::{CERTIFICATE, KEY, named};

pub(crate) const SETTINGS: &str = "AMT_TLSSettingData";
pub(crate) const CONTEXT: &str = "AMT_TLSCredentialContext";
const SERVICE: &str = "AMT_PublicKeyManagementService";

pub(crate) const NETWORK: &str = "Intel(r) AMT 802.3 TLS Settings";
pub(crate) const LOCAL: &str = "Intel(r) AMT LMS TLS Settings";

pub(crate) const METHODS: &[Method] = &[
    method("AddTrustedRootCertificate", credentials::add_root),
    method("AddCertificate", credentials::add_certificate),
    method("AddKey", credentials::add_key),
    method("GenerateKeyPair", credentials::generate),
    method("GeneratePKCS10RequestEx", credentials::sign_request),
    method("AddCRL", add_crl),
    method("ResetCRLList", reset_crls),
];

pub(crate) const PROVIDERS: &[Provider] = &[
    Provider {
        instances: Some(settings),
        put: Some(put_settings),
        ..Provider::of(SETTINGS)
    },
    Provider {
        put: Some(put_context),
        create: Some(create_context),
        delete: Some(delete_context),
        ..Provider::of(CONTEXT)
    },
    Provider {
        delete: Some(credentials::delete_either),
        ..Provider::of(SERVICE)
    },
    Provider {
        delete: Some(credentials::delete_certificate),
        ..Provider::of(CERTIFICATE)
    },
    Provider {
        instances: Some(credentials::key_pairs),
        delete: Some(credentials::delete_key),
        ..Provider::of(KEY)
    },
    Provider {
        instances: Some(dependencies),
        ..Provider::of("CIM_ConcreteDependency")
    },
];

pub(crate) const LIVE: &[Live] = &[];

const fn method(name: &'static str, call: fn(&mut Call<'_>) -> Outcome) -> Method {
    Method::new(SERVICE, name, Access::Realms(&[Realm::ADMINISTRATION]), call)
}

/// AMT_TLSSettingData: the network first, then the host; clients count on the order.
fn settings(fw: &Firmware) -> Vec<Instance> {
    let committed = TlsSettings::in_force(fw);
    let port = |id: &str, port: &TlsPort| {
        let mut instance = Instance::new()
            .with("AcceptNonSecureConnections", port.accept_plain)
            .with("ElementName", id)
            .with("Enabled", port.enabled)
            .with("InstanceID", id)
            .with("MutualAuthentication", port.mutual);
        let names = port.trusted_names.iter().map(|name| name.as_str().into());
        if !port.trusted_names.is_empty() {
            instance.set("TrustedCN", Value::List(names.collect()));
        }
        // AMT 16.1 and later tell whether TLS can be left at all.
        if fw.profile.firmware.parts() >= [16, 1, 0] {
            let plain = !fw.profile.capabilities.local_tls_enforced;
            instance.set("NonSecureConnectionsSupported", plain);
        }
        instance
    };
    vec![
        port(NETWORK, &committed.network),
        port(LOCAL, &committed.local),
    ]
}

/// Put: nothing changes on the ports yet.
fn put_settings(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let enforced = change.fw.profile.capabilities.local_tls_enforced;
    if enforced && change.after.bool("Enabled") == Some(false) {
        return Err(Fault::InvalidValues);
    }
    let mut after = change.after.clone();
    if enforced {
        after.set("AcceptNonSecureConnections", false);
    }
    let keys = change.keys.clone();
    store::put(change.fw, SETTINGS, &keys, after);
    if !change.fw.enforced(Rule::TLS_NEEDS_COMMIT) {
        // A device without the rule takes what it gets; what it cannot take it leaves.
        let _ = commit(change.fw);
    }
    Ok(Applied::elsewhere())
}

/// What CommitChanges does about TLS: the settings of the store become those of the ports. `Ok(true)` when they
/// changed; an error is the return value of CommitChanges.
pub(crate) fn commit(fw: &mut Firmware) -> Result<bool, u32> {
    let before = TlsSettings::in_force(fw);
    let port = |id: &str| {
        let keys = Selectors::new().with("InstanceID", id);
        store::find(fw, SETTINGS, &keys).map(|settings| TlsPort {
            enabled: settings.bool("Enabled").unwrap_or_default(),
            mutual: settings.bool("MutualAuthentication").unwrap_or_default(),
            accept_plain: settings
                .bool("AcceptNonSecureConnections")
                .unwrap_or_default(),
            trusted_names: match settings.get("TrustedCN") {
                Some(Value::List(names)) => names
                    .iter()
                    .filter_map(|name| name.as_text().map(str::to_owned))
                    .collect(),
                _ => Vec::new(),
            },
        })
    };
    let (Some(network), Some(local)) = (port(NETWORK), port(LOCAL)) else {
        return Ok(false);
    };
    let after = TlsSettings {
        network,
        local,
        certificate: context_certificate(fw),
    };
    let needs = after.network.enabled && !before.network.enabled;
    if needs && after.certificate.is_none() && !fw.profile.capabilities.local_tls_enforced {
        fw.assume(assumed::TLS_WITHOUT_CERTIFICATE);
        return Err(status::DATA_MISSING);
    }
    if after == before {
        return Ok(false);
    }
    fw.remember(|state| state.tls = Some(after));
    Ok(true)
}

/// The number of the certificate that the TLS credential context names.
fn context_certificate(fw: &Firmware) -> Option<u32> {
    let context = store::find(fw, CONTEXT, &Selectors::new())?;
    let certificate = context.reference("ElementInContext")?;
    credentials::certificate_number(certificate.key("InstanceID")?)
}

/// The one context's keys in the store: it has no name of its own, and its references come in many spellings.
fn the_context(fw: &Firmware) -> Option<Selectors> {
    let context = store::find(fw, CONTEXT, &Selectors::new())?;
    Some(context_keys(&context))
}

fn context_keys(context: &Instance) -> Selectors {
    ["ElementInContext", "ElementProvidingContext"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), context.get(name)?.clone())))
        .collect()
}

/// Create: one certificate for all of TLS. A second one is put, not created.
fn create_context(change: &mut Change<'_>) -> Result<Applied, Fault> {
    if the_context(change.fw).is_some() && change.fw.enforced(Rule::TLS_CONTEXT_ONCE) {
        return Err(Fault::AlreadyExists);
    }
    let context = new_context(change)?;
    Ok(Applied::created(context_keys(&context)))
}

fn put_context(change: &mut Change<'_>) -> Result<Applied, Fault> {
    new_context(change)?;
    Ok(Applied::elsewhere())
}

/// Takes the place of the context that there is.
fn new_context(change: &mut Change<'_>) -> Result<Instance, Fault> {
    let wanted = change.given.reference("ElementInContext");
    let id = wanted
        .filter(|certificate| certificate.class == CERTIFICATE)
        .and_then(|certificate| certificate.key("InstanceID"))
        .ok_or(Fault::MissingValues)?;
    let keys = Selectors::new().with("InstanceID", id);
    let certificate = store::find(change.fw, CERTIFICATE, &keys).ok_or(Fault::InvalidValues)?;
    if credentials::key_of(change.fw, &certificate).is_none() {
        return Err(Fault::Internal(status::CERTIFICATE_KEY_MISMATCH));
    }
    let collection = Reference::new("AMT_TLSProtocolEndpointCollection")
        .with("ElementName", "TLSProtocolEndpoint Instances Collection");
    let context = Instance::new()
        .with("ElementInContext", named(CERTIFICATE, id))
        .with("ElementProvidingContext", collection);
    if let Some(old) = the_context(change.fw) {
        store::delete(change.fw, CONTEXT, &old);
    }
    let keys = context_keys(&context);
    store::create(change.fw, CONTEXT, &keys, context.clone());
    Ok(context)
}

/// Delete, however it is addressed: there is only one. Not while TLS rests on it.
fn delete_context(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let keys = the_context(change.fw).ok_or(Fault::DestinationUnreachable)?;
    store::delete(change.fw, CONTEXT, &keys);
    Ok(Applied::elsewhere())
}

/// Every credential context of the device: which certificates are in use.
pub(super) fn uses(fw: &Firmware) -> Vec<Instance> {
    const CONTEXTS: [&str; 5] = [
        CONTEXT,
        "AMT_RemoteAccessCredentialContext",
        "IPS_8021xCredentialContext",
        "AMT_8021xCredentialContext",
        "CIM_CredentialContext",
    ];
    CONTEXTS
        .into_iter()
        .flat_map(|class| store::instances(fw, class))
        .collect()
}

/// CIM_ConcreteDependency: certificates and their keys, and the system account with its role. Clients take the
/// first selector of both sides without looking.
fn dependencies(fw: &Firmware) -> Vec<Instance> {
    const ACCOUNT: &str = "Intel(r) AMT:$$OsAdmin";
    let dependency = |antecedent: Reference, dependent: Reference| {
        Instance::new()
            .with("Antecedent", antecedent)
            .with("Dependent", dependent)
    };
    let mut out: Vec<Instance> = credentials::pairs(fw)
        .iter()
        .map(|(certificate, key)| dependency(named(CERTIFICATE, certificate), named(KEY, key)))
        .collect();
    let role = Reference::new("CIM_Role")
        .with("CreationClassName", "CIM_Role")
        .with("Name", ACCOUNT);
    out.push(dependency(named("CIM_Identity", ACCOUNT), role));
    out
}

/// AddCRL: kept, and looked at by nothing yet.
fn add_crl(call: &mut Call<'_>) -> Outcome {
    const CRL: &str = "AMT_CRL";
    let Some(url) = call.input.text("Url").filter(|url| !url.is_empty()) else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    let lists = store::instances(call.fw, CRL);
    if lists.iter().any(|list| list.text("Url") == Some(url)) {
        return Outcome::status(status::DUPLICATE);
    }
    if lists.len() >= 4 {
        call.fw.assume(assumed::CERTIFICATE_LIMITS);
        return Outcome::status(status::MAX_LIMIT_REACHED);
    }
    let id = format!("Intel(r) AMT CRL: Handle: {}", lists.len());
    let serials = call.input.all("SerialNumbers");
    let list = Instance::new()
        .with("ElementName", "Intel(r) AMT CRL")
        .with("InstanceID", id.as_str())
        .with(
            "SerialNumbers",
            Value::List(serials.into_iter().map(Value::from).collect()),
        )
        .with("Url", url);
    let keys = Selectors::new().with("InstanceID", id.as_str());
    store::create(call.fw, CRL, &keys, list);
    Outcome::OK.with("CRL", named(CRL, &id))
}

fn reset_crls(call: &mut Call<'_>) -> Outcome {
    for list in store::instances(call.fw, "AMT_CRL") {
        if let Some(id) = list.text("InstanceID") {
            let keys = Selectors::new().with("InstanceID", id);
            store::delete(call.fw, "AMT_CRL", &keys);
        }
    }
    Outcome::OK
}
