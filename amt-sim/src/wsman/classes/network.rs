//! Wired and wireless ports as IP sees them: addresses come from the profile until somebody puts others.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::device::{Event, Firmware, Ipv6, LanInterface, Mac, Realm, Rule, assumed};
use crate::wsman::call::{Access, Call, Method, Outcome, status};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Applied, Change, Live, Provider};
use crate::wsman::store;
use crate::wsman::value::{Instance, Reference, Value};

const SETTINGS: &str = "AMT_EthernetPortSettings";
const WIRED: &str = "Intel(r) AMT Ethernet Port Settings 0";
const WIRELESS: &str = "Intel(r) AMT Ethernet Port Settings 1";

/// The five properties that a static address is made of.
const STATIC: [&str; 5] = [
    "IPAddress",
    "SubnetMask",
    "DefaultGateway",
    "PrimaryDNS",
    "SecondaryDNS",
];

/// Who may manage the link: LMS does it with the system's own account.
const LINK: Access = Access::Realms(&[Realm::LOCAL_SYSTEM, Realm::GENERAL_INFO]);

pub(crate) const METHODS: &[Method] = &[
    method("SetLinkPreference", LINK, set_link_preference),
    method("CancelLinkProtection", Access::Administrator, link_protection),
    method("RestoreLinkProtection", Access::Administrator, link_protection),
];

pub(crate) const PROVIDERS: &[Provider] = &[
    Provider {
        instances: Some(ports),
        put: Some(put_port),
        ..Provider::of(SETTINGS)
    },
    Provider {
        instances: Some(ipv6_ports),
        ..Provider::of("IPS_IPv6PortSettings")
    },
    Provider {
        instances: Some(element_settings),
        ..Provider::of("CIM_ElementSettingData")
    },
];

pub(crate) const LIVE: &[Live] = &[
    Live::new("wired-mac-plain", |fw| {
        Some(Value::List(vec![plain(fw.identity.wired_mac).into()]))
    }),
    Live::new("wired-mac-plain-text", |fw| {
        Some(plain(fw.identity.wired_mac).into())
    }),
    Live::new("wireless-mac-plain-text", |fw| {
        Some(plain(fw.identity.wireless_mac).into())
    }),
    Live::new("host-dhcp", |fw| {
        let network = &fw.profile.network;
        let lan = network.wired.as_ref().or(network.wireless.as_ref());
        lan.map(|lan| lan.dhcp.into())
    }),
];

const fn method(
    name: &'static str,
    access: Access,
    call: fn(&mut Call<'_>) -> Outcome,
) -> Method {
    Method::new(SETTINGS, name, access, call)
}

/// As the CIM classes write it: `48210b50d8c9`.
fn plain(mac: Mac) -> String {
    crate::hex::encode(&mac.0)
}

/// As AMT_EthernetPortSettings writes it: `48-21-0b-50-d8-c9`.
fn dashed(mac: Mac) -> String {
    mac.to_string().replace(':', "-")
}

/// Instance 0 is the wired port, also where none is fitted: clients take the first for the wired one. Instance 1
/// is there only with a wireless port.
fn ports(fw: &Firmware) -> Vec<Instance> {
    let network = &fw.profile.network;
    let mut ports = vec![match &network.wired {
        Some(lan) => wired_port(fw, lan),
        None => common(WIRED)
            .with("DHCPEnabled", true)
            .with("LinkIsUp", false)
            .with("MACAddress", "00-00-00-00-00-00"),
    }];
    if let Some(lan) = &network.wireless {
        ports.push(wireless_port(fw, lan));
    }
    ports
}

fn common(id: &str) -> Instance {
    Instance::new()
        .with("InstanceID", id)
        .with("ElementName", "Intel(r) AMT Ethernet Port Settings")
}

fn wired_port(fw: &Firmware, lan: &LanInterface) -> Instance {
    addresses(common(WIRED), lan)
        .with("ConsoleTcpMaxRetransmissions", 5)
        .with("IpSyncEnabled", true)
        .with("LinkIsUp", lan.link_up)
        .with("LinkPolicy", policy())
        .with("MACAddress", dashed(fw.identity.wired_mac))
        .with("PhysicalConnectionType", 0)
        .with("SharedDynamicIP", true)
        .with("SharedMAC", true)
        .with("SharedStaticIp", false)
}

fn wireless_port(fw: &Firmware, lan: &LanInterface) -> Instance {
    addresses(common(WIRELESS), lan)
        .with("ConsoleTcpMaxRetransmissions", 5)
        .with("LinkControl", 2)
        .with("LinkIsUp", lan.link_up)
        .with("LinkPolicy", policy())
        .with("LinkPreference", 2)
        .with("MACAddress", dashed(fw.identity.wireless_mac))
        .with("PhysicalConnectionType", 3)
        .with("SharedMAC", true)
        .with("WLANLinkProtectionLevel", 1)
}

/// In S0, and in sleep states, on mains power.
fn policy() -> Value {
    Value::List(vec![1.into(), 14.into()])
}

fn addresses(port: Instance, lan: &LanInterface) -> Instance {
    let [primary, secondary] = lan.dns;
    port.with("DHCPEnabled", lan.dhcp)
        .with("IPAddress", lan.address.to_string())
        .with("SubnetMask", lan.netmask.to_string())
        .with("DefaultGateway", lan.gateway.to_string())
        .with("PrimaryDNS", primary.to_string())
        .with("SecondaryDNS", secondary.to_string())
}

/// Put: either DHCP and no addresses, or static addresses.
fn put_port(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let dhcp = change.after.bool("DHCPEnabled").unwrap_or(true);
    let given = |name: &str| {
        let text = change.given.text(name);
        text.is_some_and(|text| !text.is_empty() && text != "0.0.0.0")
    };
    let contradicts = dhcp && STATIC.into_iter().any(given);
    if contradicts && change.fw.enforced(Rule::DHCP_WITHOUT_ADDRESSES) {
        change.fw.record(Event::WsmanFinding {
            what: "Put of DHCPEnabled true with an address".to_owned(),
        });
        return Err(Fault::InvalidValues);
    }
    let mut after = change.after.clone();
    if dhcp {
        // Back to what the network gives.
        let fresh = ports(change.fw);
        let port = fresh
            .iter()
            .find(|port| port.text("InstanceID") == after.text("InstanceID"));
        for name in STATIC {
            if let Some(value) = port.and_then(|port| port.get(name)) {
                after.set(name, value.clone());
            }
        }
    } else {
        for name in STATIC {
            let Some(text) = after.text(name) else {
                continue;
            };
            if !text.is_empty() && text.parse::<Ipv4Addr>().is_err() {
                return Err(Fault::InvalidValues);
            }
        }
    }
    Ok(Applied::store(after))
}

/// SetLinkPreference: whether ME or the host drives the radio. `Timeout` is not waited for.
fn set_link_preference(call: &mut Call<'_>) -> Outcome {
    let preference = call.input.number("LinkPreference");
    let Some(preference @ 1..=2) = preference else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    if call.instance.text("InstanceID") != Some(WIRELESS) {
        return Outcome::status(status::UNSUPPORTED);
    }
    call.fw.assume(assumed::LINK_PREFERENCE_TIMEOUT);
    let changes = Instance::new()
        .with("LinkControl", preference)
        .with("LinkPreference", preference);
    let keys = call.instance.clone();
    store::put(call.fw, SETTINGS, &keys, changes);
    Outcome::OK
}

fn link_protection(call: &mut Call<'_>) -> Outcome {
    match call.instance.text("InstanceID") == Some(WIRELESS) {
        true => Outcome::OK,
        false => Outcome::status(status::UNSUPPORTED),
    }
}

/// One instance a port that is fitted; `::` stands for an address that is not there.
fn ipv6_ports(fw: &Firmware) -> Vec<Instance> {
    let network = &fw.profile.network;
    let mut ports = Vec::new();
    for (number, lan) in [(0, &network.wired), (1, &network.wireless)] {
        if let Some(lan) = lan {
            ports.push(ipv6_port(number, lan.ipv6.as_ref()));
        }
    }
    ports
}

fn ipv6_port(number: u8, ipv6: Option<&Ipv6>) -> Instance {
    let name = format!("Intel(r) IPS IPv6 Settings {number}");
    let mut port = Instance::new()
        .with("InstanceID", name.as_str())
        .with("ElementName", name)
        .with("InterfaceIDType", 0)
        .with("ManualInterfaceID", "0000000000000000");
    for own in ["IPv6Address", "DefaultRouter", "PrimaryDNS", "SecondaryDNS"] {
        port.set(own, "::");
    }
    let (router, [primary, secondary]) = match ipv6 {
        Some(ipv6) => (ipv6.router, ipv6.dns),
        None => (Ipv6Addr::UNSPECIFIED, [Ipv6Addr::UNSPECIFIED; 2]),
    };
    port.set("CurrentDefaultRouter", router.to_string());
    port.set("CurrentPrimaryDNS", primary.to_string());
    port.set("CurrentSecondaryDNS", secondary.to_string());
    let entries = ipv6.map(|ipv6| ipv6.addresses.as_slice()).unwrap_or_default();
    if !entries.is_empty() {
        let texts = entries.iter().map(|entry| {
            let (kind, state) = (entry.origin as u32, entry.state as u32);
            format!("{},{kind},{state}", entry.address).into()
        });
        port.set("CurrentAddressInfo", Value::List(texts.collect()));
    }
    port
}

/// Which power package and which IPv6 settings are in force: 1 is current, 2 is not.
fn element_settings(fw: &Firmware) -> Vec<Instance> {
    let machine = || {
        Reference::new("CIM_ComputerSystem")
            .with("CreationClassName", "CIM_ComputerSystem")
            .with("Name", "ManagedSystem")
    };
    let element = |setting: Reference, current: bool| {
        Instance::new()
            .with("ManagedElement", machine())
            .with("SettingData", setting)
            .with("IsCurrent", if current { 1 } else { 2 })
    };
    let chosen = super::power::current_scheme(fw);
    let schemes = store::instances(fw, super::power::SCHEME);
    let mut out: Vec<Instance> = schemes
        .iter()
        .filter_map(|scheme| {
            let id = scheme.text("InstanceID")?;
            let setting = Reference::new(super::power::SCHEME)
                .with("InstanceID", id)
                .with("SchemeGUID", scheme.text("SchemeGUID")?);
            Some(element(setting, id == chosen))
        })
        .collect();
    for port in ipv6_ports(fw) {
        let setting = Reference::new("IPS_IPv6PortSettings")
            .with("InstanceID", port.text("InstanceID").unwrap_or_default());
        out.push(element(setting, true));
    }
    out
}
