use rstest::rstest;

use super::{Bench, e};
use crate::device::Mode;

const SETTINGS: &str = "AMT_EthernetPortSettings";
const WIRED: (&str, &str) = ("InstanceID", "Intel(r) AMT Ethernet Port Settings 0");
const WIRELESS: (&str, &str) = ("InstanceID", "Intel(r) AMT Ethernet Port Settings 1");

#[rstest]
#[case::wired("tiger-lake-15", 1)]
#[case::both("raptor-lake-16-wifi", 2)]
#[case::wireless_only("lunar-lake-20", 2)]
fn one_instance_a_port_with_the_wired_one_first(#[case] profile: &str, #[case] ports: usize) {
    let mut bench = Bench::of(profile, Mode::Admin, &[]);
    let answer = bench.all(SETTINGS).ok();
    let ids = answer.texts("InstanceID");
    assert_eq!(ids.len(), ports);
    assert_eq!(ids[0], WIRED.1);
    let macs = answer.texts("MACAddress");
    let wired = bench.fw.identity.wired_mac.to_string().replace(':', "-");
    match bench.fw.profile.network.wired {
        Some(_) => assert_eq!(macs[0], wired),
        None => assert_eq!(macs[0], "00-00-00-00-00-00"),
    }
}

#[test]
fn a_static_address_stays_until_dhcp_or_unprovision() {
    let mut bench = Bench::admin();
    let body = e("DHCPEnabled", "false")
        + &e("IpSyncEnabled", "false")
        + &e("IPAddress", "198.51.100.7")
        + &e("SubnetMask", "255.255.255.0");
    bench.put(SETTINGS, &[WIRED], &body).ok();
    let mut bench = bench.power_cycle();
    let answer = bench.get_by(SETTINGS, WIRED).ok();
    assert_eq!(answer.text("IPAddress"), Some("198.51.100.7"));
    assert_eq!(answer.text("DHCPEnabled"), Some("false"));
    bench
        .put(SETTINGS, &[WIRED], &e("DHCPEnabled", "true"))
        .ok();
    let answer = bench.get_by(SETTINGS, WIRED);
    assert_eq!(answer.text("IPAddress"), Some("192.0.2.15"));
    bench.put(SETTINGS, &[WIRED], &body).ok();
    bench.unprovision();
    let answer = bench.get_by(SETTINGS, WIRED);
    assert_eq!(answer.text("IPAddress"), Some("192.0.2.15"));
}

#[test]
fn dhcp_takes_no_address() {
    let mut bench = Bench::admin();
    let body = e("DHCPEnabled", "true") + &e("IPAddress", "198.51.100.7");
    let answer = bench.put(SETTINGS, &[WIRED], &body);
    assert_eq!(answer.fault, "d:InvalidRepresentation");
    assert!(bench.found("DHCPEnabled"));
    let rule = "device.wsman.dhcp-without-addresses";
    let mut bench = Bench::of("tiger-lake-15", Mode::Admin, &[rule]);
    bench.put(SETTINGS, &[WIRED], &body).ok();
}

#[test]
fn the_link_belongs_to_the_wireless_port() {
    let mut bench = Bench::wireless();
    let me = e("LinkPreference", "1") + &e("Timeout", "300");
    let answer = bench.call_on(SETTINGS, &[WIRELESS], "SetLinkPreference", &me);
    assert_eq!(answer.value(), 0);
    let answer = bench.get_by(SETTINGS, WIRELESS);
    assert_eq!(answer.text("LinkControl"), Some("1"));
    let answer = bench.call_on(SETTINGS, &[WIRED], "SetLinkPreference", &me);
    assert_eq!(answer.value(), 2066);
    let other = e("LinkPreference", "3");
    let answer = bench.call_on(SETTINGS, &[WIRELESS], "SetLinkPreference", &other);
    assert_eq!(answer.value(), 36);
}

#[test]
fn hardware_is_the_profiles_and_the_seeds() {
    let mut bench = Bench::admin();
    let bios = bench.get("CIM_BIOSElement").ok();
    let version = bench.fw.profile.firmware.bios.clone();
    assert_eq!(bios.text("Version"), Some(version.as_str()));
    assert_eq!(bios.text("Datetime"), Some("2026-01-01T00:00:00Z"));
    let guid = bench.get("CIM_ComputerSystemPackage").ok();
    let uuid = crate::hex::encode(&bench.fw.identity.uuid.to_wire()).to_uppercase();
    assert_eq!(guid.text("PlatformGUID"), Some(uuid.as_str()));
    let memory = bench.all("CIM_PhysicalMemory").ok();
    let serials = memory.texts("SerialNumber");
    assert_eq!(serials.len(), 2);
    assert_ne!(serials[0], serials[1]);
    // Board, disk, chassis: one list, three element names.
    let packages = bench.all("CIM_PhysicalPackage").ok();
    assert_eq!(
        packages.texts("Tag"),
        ["CIM_Card", "Storage Media Package 0", "CIM_Chassis"]
    );
}

#[test]
fn the_power_package_in_force_is_current() {
    let mut bench = Bench::admin();
    let schemes = bench.all("AMT_SystemPowerScheme").ok();
    let guids: Vec<String> = schemes
        .texts("SchemeGUID")
        .iter()
        .map(|it| (*it).to_owned())
        .collect();
    assert_eq!(guids.len(), 2);
    let current = bench.all("CIM_ElementSettingData").ok();
    assert_eq!(current.texts("IsCurrent"), ["1", "2", "1"]);
    let second = [
        ("InstanceID", "SCHEME 1"),
        ("SchemeGUID", guids[1].as_str()),
    ];
    let answer = bench.call_on("AMT_SystemPowerScheme", &second, "SetPowerScheme", "");
    assert_eq!(answer.value(), 0);
    let mut bench = bench.power_cycle();
    let current = bench.all("CIM_ElementSettingData").ok();
    assert_eq!(current.texts("IsCurrent"), ["2", "1", "1"]);
    bench.unprovision();
    assert_eq!(bench.fw.state.power_scheme, None);
}
