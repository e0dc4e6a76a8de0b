//! Remote access: servers, policies, which policy uses which server, environment detection, proxies.
//!
//! ```text
//!   AMT_RemoteAccessPolicyRule ◀── AMT_RemoteAccessPolicyAppliesToMPS ──▶ AMT_ManagementPresenceRemoteSAP
//!     "User Initiated"                 MpsType, OrderOfAccess                       │
//!     "Alert", "Periodic"                          AMT_RemoteAccessCredentialContext ──▶ AMT_MPSUsernamePassword
//! ```

use std::net::{Ipv4Addr, Ipv6Addr};

use super::tls::credentials::named;
use crate::device::{Firmware, Realm, Rule, Tunnel, assumed};
use crate::wsman::call::status::cim;
use crate::wsman::call::{Access, Call, Method, Outcome, status};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Applied, Change, Live, Provider};
use crate::wsman::resolve::same;
use crate::wsman::store;
use crate::wsman::value::{Instance, Reference, Selectors, Value};

const SERVICE: &str = "AMT_RemoteAccessService";
const SERVER: &str = "AMT_ManagementPresenceRemoteSAP";
const RULE: &str = "AMT_RemoteAccessPolicyRule";
const APPLIES: &str = "AMT_RemoteAccessPolicyAppliesToMPS";
const PASSWORD: &str = "AMT_MPSUsernamePassword";
const CONTEXT: &str = "AMT_RemoteAccessCredentialContext";
const USER_INITIATED: &str = "AMT_UserInitiatedConnectionService";
const DETECTION: &str = "AMT_EnvironmentDetectionSettingData";
const PROXY: &str = "IPS_HTTPProxyAccessPoint";

/// AMT_RemoteAccessCapabilities says the same.
const MOST_SERVERS: usize = 6;
const MOST_PER_RULE: usize = 2;
const MOST_PROXIES: usize = 15;

const ADMIN: Access = Access::Realms(&[Realm::ADMINISTRATION]);

pub(crate) const METHODS: &[Method] = &[
    method(SERVICE, "AddMpServer", add_server),
    method(SERVICE, "AddRemoteAccessPolicyRule", add_rule),
    method(SERVICE, "CloseRemoteAccessConnection", close),
    method(USER_INITIATED, "RequestStateChange", request_state),
    method("IPS_HTTPProxyService", "AddProxyAccessPoint", add_proxy),
];

pub(crate) const PROVIDERS: &[Provider] = &[
    Provider {
        delete: Some(delete_server),
        ..Provider::of(SERVER)
    },
    Provider {
        delete: Some(delete_rule),
        ..Provider::of(RULE)
    },
    Provider {
        put: Some(put_applies),
        ..Provider::of(APPLIES)
    },
    Provider {
        put: Some(put_password),
        ..Provider::of(PASSWORD)
    },
    Provider {
        put: Some(put_detection),
        ..Provider::of(DETECTION)
    },
];

pub(crate) const LIVE: &[Live] = &[
    Live {
        name: "remote-tunnel-connected",
        value: |fw| Some((fw.profile.remote_access.tunnel == Tunnel::Connected).into()),
    },
    Live {
        name: "user-initiated-state",
        value: |fw| {
            let features = &fw.profile.features;
            let bios = u32::from(features.user_initiated_bios);
            let os = u32::from(features.user_initiated_os);
            Some((32_768 + bios + 2 * os).into())
        },
    },
    Live {
        name: "detection-strings",
        value: |fw| strings(fw.profile.network.intranet_domains.iter().map(String::as_str)),
    },
];

const fn method(
    class: &'static str,
    name: &'static str,
    call: fn(&mut Call<'_>) -> Outcome,
) -> Method {
    Method::new(class, name, ADMIN, call)
}

/// An array, or nothing: an empty one is not on the wire.
fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Value> {
    let list: Vec<Value> = texts.map(Value::from).collect();
    (!list.is_empty()).then_some(Value::List(list))
}

/// The four keys of a service, with the name of one instance.
fn keys(class: &str, property: &str, name: &str) -> Selectors {
    Selectors::new()
        .with("CreationClassName", class)
        .with(property, name)
        .with("SystemCreationClassName", "CIM_ComputerSystem")
        .with("SystemName", "Intel(r) AMT")
}

fn reference(class: &str, property: &str, name: &str) -> Reference {
    Reference {
        class: class.to_owned(),
        selectors: keys(class, property, name),
    }
}

fn server_reference(name: &str) -> Reference {
    reference(SERVER, "Name", name)
}

fn rule_reference(name: &str) -> Reference {
    reference(RULE, "PolicyRuleName", name)
}

/// InfoFormat: 3 IPv4, 4 IPv6, 201 host name. One public agent says IPv4 whatever the address is.
fn is_address(text: &str, format: i64) -> bool {
    match format {
        3 => text.parse::<Ipv4Addr>().is_ok() || is_host(text),
        4 => text.parse::<Ipv6Addr>().is_ok(),
        201 => is_host(text),
        _ => false,
    }
}

fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=256).contains(&text.len()) && text.bytes().all(fits)
}

/// The lowest of `prefix 0`, `prefix 1`, ... that no instance of the class has.
fn free_name(fw: &Firmware, class: &str, property: &str, prefix: &str) -> String {
    let taken = store::instances(fw, class);
    let is_free = |name: &String| taken.iter().all(|it| it.text(property) != Some(name));
    let names = (0..=taken.len()).map(|number| format!("{prefix} {number}"));
    names.into_iter().find(is_free).unwrap_or_default()
}

/// AddMpServer.
fn add_server(call: &mut Call<'_>) -> Outcome {
    const PASSWORD_AUTHENTICATION: i64 = 2;
    const CERTIFICATE_AUTHENTICATION: i64 = 1;
    let input = call.input;
    let address = input.text("AccessInfo").unwrap_or_default().to_owned();
    let format = input.number("InfoFormat").unwrap_or_default();
    let Some(port @ 1..) = input.fits::<u16>("Port") else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    if !is_address(&address, format) {
        return Outcome::status(status::INVALID_PARAMETER);
    }
    let method = input.number("AuthMethod");
    let user = input.text("Username").unwrap_or_default().to_owned();
    let password = input.raw_text("Password").unwrap_or_default().to_owned();
    let certificate = input.reference("Certificate");
    let complete = match method {
        Some(PASSWORD_AUTHENTICATION) => {
            (1..=16).contains(&user.len()) && (1..=16).contains(&password.len())
        }
        Some(CERTIFICATE_AUTHENTICATION) => certificate.is_some(),
        _ => false,
    };
    if !complete {
        return Outcome::status(status::INVALID_PARAMETER);
    }
    let servers = store::instances(call.fw, SERVER);
    let same = |server: &Instance| {
        server.text("AccessInfo") == Some(&address) && server.int("Port") == Some(port.into())
    };
    if servers.iter().any(same) {
        return Outcome::status(status::DUPLICATE);
    }
    if servers.len() >= MOST_SERVERS && call.fw.enforced(Rule::REMOTE_ACCESS_LIMITS) {
        return Outcome::status(status::MAX_LIMIT_REACHED);
    }
    let name = free_name(call.fw, SERVER, "Name", "Intel(r) AMT:Management Presence Server");
    let server_keys = keys(SERVER, "Name", &name);
    let mut server = server_keys
        .clone()
        .with("AccessInfo", address)
        .with("ElementName", "Intel(r) AMT:Management Presence Server")
        .with("InfoFormat", format)
        .with("Port", port);
    if let Some(common_name) = input.text("CN").filter(|text| !text.is_empty()) {
        server.set("CN", common_name);
    }
    store::create(call.fw, SERVER, &server_keys, server);
    let credential = match certificate {
        Some(certificate) if method == Some(CERTIFICATE_AUTHENTICATION) => certificate,
        _ => keep_password(call.fw, &user, &password),
    };
    let context = Instance::new()
        .with("ElementInContext", credential)
        .with("ElementProvidingContext", server_reference(&name));
    store::create(call.fw, CONTEXT, &context.clone(), context);
    Outcome::OK.with("MpServer", server_reference(&name))
}

fn keep_password(fw: &mut Firmware, user: &str, password: &str) -> Reference {
    let id = free_name(fw, PASSWORD, "InstanceID", "Intel(r) AMT:MPS Username Password");
    let keys = Selectors::new().with("InstanceID", id.as_str());
    let instance = keys.clone().with("RemoteID", user).with("Secret", password);
    store::create(fw, PASSWORD, &keys, instance);
    named(PASSWORD, &id)
}

/// AddRemoteAccessPolicyRule: 0 user, 1 alert, 2 periodic. One rule a trigger.
fn add_rule(call: &mut Call<'_>) -> Outcome {
    let (trigger, name) = match call.input.number("Trigger") {
        Some(0) => (0, "User Initiated"),
        Some(1) => (1, "Alert"),
        Some(2) => (2, "Periodic"),
        _ => return Outcome::status(status::INVALID_PARAMETER),
    };
    let Some(lifetime) = call.input.fits::<u32>("TunnelLifeTime") else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    let data = call.input.bytes("ExtendedData").unwrap_or_default();
    if trigger == 2 && !is_period(&data) {
        return Outcome::status(status::INVALID_PARAMETER);
    }
    let rule_keys = keys(RULE, "PolicyRuleName", name);
    if store::find(call.fw, RULE, &rule_keys).is_some() {
        return Outcome::status(status::DUPLICATE);
    }
    let servers = match servers(call) {
        Ok(servers) => servers,
        Err(refused) => return refused,
    };
    let mut rule = rule_keys
        .clone()
        .with("ElementName", "Inte(r) AMT:Remote Access Policy")
        .with("Trigger", trigger)
        .with("TunnelLifeTime", lifetime);
    if !data.is_empty() {
        rule.set("ExtendedData", data);
    }
    store::create(call.fw, RULE, &rule_keys, rule);
    for (order, server) in servers.iter().enumerate() {
        let applies_keys = Selectors::new()
            .with("ManagedElement", server_reference(server))
            .with("PolicySet", rule_reference(name));
        let applies = applies_keys
            .clone()
            .with("MpsType", 0)
            .with("OrderOfAccess", i64::from(order != 0));
        store::create(call.fw, APPLIES, &applies_keys, applies);
    }
    Outcome::OK.with("PolicyRule", rule_reference(name))
}

/// Big-endian: u32 0 and u32 seconds, or u32 1, u32 hour and u32 minute.
fn is_period(data: &[u8]) -> bool {
    let number = |at: usize| {
        let bytes = data.get(at..at + 4)?;
        Some(bytes.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)))
    };
    match (number(0), data.len()) {
        (Some(0), 8) => number(4) != Some(0),
        (Some(1), 12) => number(4) < Some(24) && number(8) < Some(60),
        _ => false,
    }
}

/// Names of the servers that a rule is to use; references may carry any part of the keys.
fn servers(call: &Call<'_>) -> Result<Vec<String>, Outcome> {
    let mut wanted = call.input.references("MpServer");
    wanted.extend(call.input.references("InternalMpServer"));
    let limited = call.fw.enforced(Rule::REMOTE_ACCESS_LIMITS);
    if wanted.is_empty() || (wanted.len() > MOST_PER_RULE && limited) {
        return Err(Outcome::status(status::INVALID_PARAMETER));
    }
    let mut names = Vec::new();
    for server in wanted {
        let found = store::find(call.fw, SERVER, &server.selectors);
        let known = found.filter(|_| server.class == SERVER);
        match (known, server.key("Name")) {
            (Some(known), _) => names.extend(known.text("Name").map(str::to_owned)),
            (None, Some(name)) if !call.fw.enforced(Rule::REMOTE_ACCESS_REFERENCE) => {
                names.push(name.to_owned());
            }
            (None, _) => return Err(Outcome::status(status::INVALID_PARAMETER)),
        }
    }
    Ok(names)
}

fn close(_: &mut Call<'_>) -> Outcome {
    // No tunnel is ever open.
    Outcome::status(status::NOT_READY)
}

/// Deletes a server with its credentials. A server that a policy uses stays.
fn delete_server(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let server = Value::from(Reference {
        class: SERVER.to_owned(),
        selectors: change.keys.clone(),
    });
    let applies = store::instances(change.fw, APPLIES);
    let used = applies.iter().any(|it| it.get("ManagedElement") == Some(&server));
    if used && change.fw.enforced(Rule::REMOTE_ACCESS_REFERENCE) {
        return Err(Fault::AccessDenied);
    }
    for context in store::instances(change.fw, CONTEXT) {
        if context.get("ElementProvidingContext") != Some(&server) {
            continue;
        }
        if let Some(credential) = context.reference("ElementInContext")
            && credential.class == PASSWORD
        {
            store::delete(change.fw, PASSWORD, &credential.selectors);
        }
        store::delete(change.fw, CONTEXT, &context);
    }
    store::delete(change.fw, SERVER, &change.keys);
    Ok(Applied::elsewhere())
}

/// Deletes a policy with what binds it to servers.
fn delete_rule(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let rule = Value::from(Reference {
        class: RULE.to_owned(),
        selectors: change.keys.clone(),
    });
    for applies in store::instances(change.fw, APPLIES) {
        if applies.get("PolicySet") == Some(&rule) {
            let keys = pick(&applies, &["ManagedElement", "PolicySet"]);
            store::delete(change.fw, APPLIES, &keys);
        }
    }
    store::delete(change.fw, RULE, &change.keys);
    Ok(Applied::elsewhere())
}

fn pick(instance: &Instance, names: &[&str]) -> Selectors {
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), instance.get(name)?.clone())))
        .collect()
}

/// Put of MpsType. The answer has an empty body. What the body names goes before the selectors: one public agent
/// always selects the periodic rule.
fn put_applies(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let meant = pick(&change.given, &["ManagedElement", "PolicySet"]);
    let by_body = store::instances(change.fw, APPLIES)
        .into_iter()
        .find(|applies| {
            !meant.is_empty() && meant.iter().all(|(name, value)| {
                    applies.get(name).is_some_and(|have| same(have, value))
                })
        })
        .map(|applies| pick(&applies, &["ManagedElement", "PolicySet"]));
    let keys = by_body.unwrap_or_else(|| {
        change.fw.assume(assumed::APPLIES_TO_MPS);
        change.keys.clone()
    });
    let kind = change.given.int("MpsType");
    if kind.is_some_and(|kind| !(0..=2).contains(&kind)) {
        return Err(Fault::InvalidValues);
    }
    for name in ["MpsType", "OrderOfAccess"] {
        if let Some(value) = change.given.get(name) {
            store::set(change.fw, APPLIES, &keys, name, value.clone());
        }
    }
    Ok(Applied::elsewhere().silently())
}

fn put_password(change: &mut Change<'_>) -> Result<Applied, Fault> {
    Ok(Applied::store(change.after.clone()).silently())
}

/// RequestStateChange: 32768 none, 32769 BIOS, 32770 operating system, 32771 both.
fn request_state(call: &mut Call<'_>) -> Outcome {
    let Some(state @ 32_768..=32_771) = call.input.number("RequestedState") else {
        return Outcome::status(cim::INVALID_PARAMETER);
    };
    let keys = call.instance.clone();
    store::set(call.fw, USER_INITIATED, &keys, "EnabledState", state);
    Outcome::OK
}

/// Put: the strings that are sent are all there are; none sent means none.
fn put_detection(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let mut after = change.after.clone();
    if change.given.get("DetectionStrings").is_none() {
        after.set("DetectionStrings", Value::List(Vec::new()));
    }
    Ok(Applied::store(after))
}

/// AddProxyAccessPoint.
fn add_proxy(call: &mut Call<'_>) -> Outcome {
    let address = call.input.text("AccessInfo").unwrap_or_default();
    let format = call.input.number("InfoFormat").unwrap_or_default();
    let suffix = call.input.text("NetworkDnsSuffix").unwrap_or_default();
    let Some(port @ 1..) = call.input.fits::<u16>("Port") else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    if !is_address(address, format) || !is_host(suffix) || suffix.len() > 192 {
        return Outcome::status(status::INVALID_PARAMETER);
    }
    let proxies = store::instances(call.fw, PROXY);
    let same = |proxy: &Instance| {
        proxy.text("AccessInfo") == Some(address)
            && proxy.int("Port") == Some(port.into())
            && proxy.text("NetworkDnsSuffix") == Some(suffix)
    };
    if proxies.iter().any(same) {
        return Outcome::status(status::DUPLICATE).with("ProxyAccessPoint", Reference::new(""));
    }
    if proxies.len() >= MOST_PROXIES {
        return Outcome::status(status::MAX_LIMIT_REACHED);
    }
    let name = free_name(call.fw, PROXY, "Name", "Intel(r) ME:HTTP Proxy Access Point");
    let proxy_keys = keys(PROXY, "Name", &name);
    let next = proxies.iter().filter_map(|proxy| proxy.int("Priority")).max();
    let proxy = proxy_keys
        .clone()
        .with("AccessInfo", address)
        .with("ElementName", "Intel(r) ME:HTTP Proxy Access Point")
        .with("InfoFormat", format)
        .with("NetworkDnsSuffix", suffix)
        .with("Port", port)
        .with("Priority", next.map_or(0, |highest| highest.saturating_add(1)))
        .with("Type", 0);
    store::create(call.fw, PROXY, &proxy_keys, proxy);
    Outcome::OK.with("ProxyAccessPoint", reference(PROXY, "Name", &name))
}
