//! Interfaces, addresses and names.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::table::Outcome;
use super::{Reader, Status, Writer};
use crate::device::{Firmware, Ipv6Entry, LanInterface, Mac, assumed};

/// Interface numbers of GetLanInterfaceSettings and GetIPv6LanInterfaceStatus.
const WIRED: u32 = 0;
const WIRELESS: u32 = 1;

/// GetLanInterfaceSettings: u32 interface. Twenty bytes exactly; one reader takes the MAC to the end.
///
/// ```text
/// 0   AMT_BOOLEAN  enabled
/// 4   u32          IPv4 address
/// 8   AMT_BOOLEAN  DHCP
/// 12  u8           1 active: AMT asks the DHCP server, 2 passive: the host does
/// 13  u8           link up
/// 14  u8[6]        MAC
/// ```
pub(super) fn lan_interface(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    const ACTIVE: u8 = 1;
    const PASSIVE: u8 = 2;
    let index = request.u32();
    let Some((lan, mac)) = interface(fw, index) else {
        fw.assume(assumed::ABSENT_INTERFACE);
        return match (index, fw.profile.assumptions.absent_interface_status) {
            (WIRED | WIRELESS, 0) => Ok(Writer::new().zeros(20)),
            (WIRED | WIRELESS, status) => Err(Status(status)),
            _ => Err(Status::INVALID_PARAMETER),
        };
    };
    // Whoever asks here runs on the host, so the host is up and does the asking.
    let dhcp_mode = if lan.dhcp { PASSIVE } else { ACTIVE };
    Ok(Writer::new()
        .bool(lan.enabled)
        .ipv4(lan.address)
        .bool(lan.dhcp)
        .u8(dhcp_mode)
        .u8(lan.link_up.into())
        .bytes(&mac.0))
}

/// GetIPv6LanInterfaceStatus: u32 interface.
///
/// ```text
/// 0    char[46]  router
/// 46   char[46]  primary DNS
/// 92   char[46]  secondary DNS
/// 138  u32       n, at most 6
/// 142  n x { char[46] address, u32 origin, u32 state }
/// ```
pub(super) fn ipv6_interface(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    let (lan, _) = interface(fw, request.u32()).ok_or(Status::INTERFACE_DOES_NOT_EXIST)?;
    let ipv6 = lan.ipv6.as_ref().ok_or(Status::IPV6_INTERFACE_DISABLED)?;
    let [primary, secondary] = ipv6.dns;
    let data = [ipv6.router, primary, secondary]
        .into_iter()
        .fold(Writer::new(), ipv6_text)
        .u32(ipv6.addresses.len() as u32);
    Ok(ipv6.addresses.iter().fold(data, |data, entry| {
        let Ipv6Entry {
            address,
            origin,
            state,
        } = *entry;
        ipv6_text(data, address)
            .u32(origin as u32)
            .u32(state as u32)
    }))
}

/// GetTcpipParameters, of the wired interface.
///
/// ```text
/// 0   u32  DHCP: 0 none, 1 disabled, 2 enabled
/// 4   u32  address
/// 8   u32  netmask
/// 12  u32  gateway
/// 16  u32  primary DNS
/// 20  u32  secondary DNS
/// 24  ANSI domain
/// ```
pub(super) fn tcpip_parameters(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    fw.assume(assumed::TCPIP_ADDRESS_ORDER);
    let network = &fw.profile.network;
    let (mode, addresses) = match &network.wired {
        None => (0, [Ipv4Addr::UNSPECIFIED; 5]),
        Some(lan) => {
            let [primary, secondary] = lan.dns;
            let addresses = [lan.address, lan.netmask, lan.gateway, primary, secondary];
            (if lan.dhcp { 2 } else { 1 }, addresses)
        }
    };
    let data = addresses
        .into_iter()
        .fold(Writer::new().u32(mode), Writer::ipv4);
    Ok(data.ansi(&network.dhcp_domain))
}

/// GetMACAddresses: u8[6] dedicated, u8[6] host.
pub(super) fn mac_addresses(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    fw.assume(assumed::MAC_ADDRESSES);
    let mac = match interface(fw, WIRED) {
        Some((_, mac)) => mac.0,
        None => [0; 6],
    };
    Ok(Writer::new().bytes(&mac).bytes(&mac))
}

/// GetFQDN.
///
/// ```text
/// 0   AMT_BOOLEAN  shared with the host
/// 4   AMT_BOOLEAN  dynamic DNS
/// 8   u32          minutes between updates
/// 12  u32          seconds that an entry lives
/// 16  u32          length of the host name within the name
/// 20  ANSI         name
/// ```
pub(super) fn fqdn(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let network = &fw.profile.network;
    let announced = &fw.state.host_fqdn;
    let name = if network.shared_fqdn && !announced.is_empty() {
        announced.clone()
    } else if network.dhcp_domain.is_empty() {
        network.hostname.clone()
    } else {
        format!("{}.{}", network.hostname, network.dhcp_domain)
    };
    let host_length = name.find('.').unwrap_or(name.len());
    Ok(Writer::new()
        .bool(network.shared_fqdn)
        .bool(network.dynamic_dns.enabled)
        .u32(network.dynamic_dns.interval)
        .u32(network.dynamic_dns.ttl)
        .u32(host_length as u32)
        .ansi(&name))
}

/// SetHostFQDN: AMT_ANSI_STRING; hosts count its NUL.
pub(super) fn set_host_fqdn(fw: &mut Firmware, mut request: Reader<'_>) -> Outcome {
    let name = request.ansi();
    if name.len() > 255 || !name.iter().all(u8::is_ascii_graphic) {
        return Err(Status::INVALID_PARAMETER);
    }
    let name = String::from_utf8_lossy(name).into_owned();
    fw.remember(|state| state.host_fqdn = name);
    Ok(Writer::new())
}

/// GetDNSSuffixList: u16 bytes, then that many: names, each ended by NUL. A name without its NUL is lost on LMS.
pub(super) fn dns_suffix_list(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    let mut names = Vec::new();
    for domain in &fw.profile.network.intranet_domains {
        names.extend_from_slice(domain.as_bytes());
        names.push(0);
    }
    // Five names of 191 characters at most: the profile's check.
    Ok(Writer::new().u16(names.len() as u16).bytes(&names))
}

/// SetEnterpriseAccess: u8 flags (1 IPv6), u8[16] host address, u8 access. The status is the whole answer:
/// whether the host's VPN leads to AMT.
pub(super) fn set_enterprise_access(fw: &mut Firmware, _: Reader<'_>) -> Outcome {
    const DIRECT: u32 = 0;
    let network = &fw.profile.network;
    Err(if network.environment == DIRECT {
        Status::REMOTE_ACCESS_NOT_GRANTED
    } else if !network.host_vpn {
        Status::REMOTE_ACCESS_HOST_VPN_IS_DISABLED
    } else if network.dynamic_dns.enabled {
        Status::REMOTE_ACCESS_GRANTED_WITH_DDNS
    } else {
        Status::REMOTE_ACCESS_GRANTED_WITHOUT_DDNS
    })
}

fn interface(fw: &Firmware, index: u32) -> Option<(&LanInterface, Mac)> {
    let network = &fw.profile.network;
    match index {
        WIRED => Some((network.wired.as_ref()?, fw.identity.wired_mac)),
        WIRELESS => Some((network.wireless.as_ref()?, fw.identity.wireless_mac)),
        _ => None,
    }
}

/// An address as text; one that is not there is empty.
fn ipv6_text(data: Writer, address: Ipv6Addr) -> Writer {
    let text = if address.is_unspecified() {
        String::new()
    } else {
        address.to_string()
    };
    data.padded(text.as_bytes(), 46)
}
