use rstest::rstest;

use super::{Bench, e, r};
use crate::device::Event;

const POWER: &str = "CIM_PowerManagementService";
const BOOT: &str = "CIM_BootConfigSetting";
const SETTINGS: &str = "AMT_BootSettingData";
const MACHINE: &[(&str, &str)] = &[
    ("CreationClassName", "CIM_ComputerSystem"),
    ("Name", "ManagedSystem"),
];

fn request(bench: &mut Bench, state: &str) -> u32 {
    let input = e("PowerState", state) + &r("ManagedElement", "CIM_ComputerSystem", MACHINE);
    bench.call(POWER, "RequestPowerStateChange", &input).value()
}

fn state(bench: &mut Bench) -> String {
    let answer = bench.all("CIM_ServiceAvailableToElement").ok();
    answer.text("PowerState").unwrap_or_default().to_owned()
}

fn last_boot(bench: &Bench) -> Vec<String> {
    let power = bench
        .events()
        .into_iter()
        .rev()
        .find_map(|event| match event {
            Event::HostPower { boot, .. } => Some(boot.clone()),
            _ => None,
        });
    power.unwrap_or_default()
}

#[test]
fn the_host_goes_off_and_on() {
    let mut bench = Bench::admin();
    assert_eq!(state(&mut bench), "2");
    assert_eq!(request(&mut bench, "8"), 0);
    assert_eq!(state(&mut bench), "8");
    assert_eq!(request(&mut bench, "10"), 2);
    assert_eq!(request(&mut bench, "2"), 0);
    assert_eq!(state(&mut bench), "2");
    assert_eq!(request(&mut bench, "99"), 5);
    let answer = bench.call(POWER, "RequestPowerStateChange", &e("PowerState", "2"));
    assert_ne!(answer.text("ReturnValue"), Some("0"));
}

#[test]
fn the_association_goes_by_its_own_name() {
    let mut bench = Bench::admin();
    let answer = bench.all("CIM_ServiceAvailableToElement").ok();
    assert!(
        answer
            .body
            .contains(":CIM_AssociatedPowerManagementService>")
    );
    assert!(answer.texts("AvailableRequestedPowerStates").len() > 1);
}

fn boot_from_disk(bench: &mut Bench) -> [u32; 2] {
    let source = r(
        "Source",
        "CIM_BootSourceSetting",
        &[("InstanceID", "Intel(r) AMT: Force Hard-drive Boot")],
    );
    let order = bench.call(BOOT, "ChangeBootOrder", &source).value();
    let role = r(
        "BootConfigSetting",
        BOOT,
        &[("InstanceID", "Intel(r) AMT: Boot Configuration 0")],
    ) + &e("Role", "1");
    let role = bench.call("CIM_BootService", "SetBootConfigRole", &role);
    [order, role.value()]
}

#[test]
fn boot_options_are_used_once() {
    let mut bench = Bench::admin();
    bench.put(SETTINGS, &[], &e("BIOSSetup", "true")).ok();
    let answer = bench.get(SETTINGS);
    assert_eq!(answer.text("BIOSSetup"), Some("true"));
    assert_eq!(answer.text("OptionsCleared"), Some("false"));
    assert_eq!(boot_from_disk(&mut bench), [0, 0]);
    let mut bench = bench.power_cycle();
    assert_eq!(request(&mut bench, "10"), 0);
    assert_eq!(
        last_boot(&bench),
        ["Intel(r) AMT: Force Hard-drive Boot", "BIOSSetup"]
    );
    let answer = bench.get(SETTINGS);
    assert_eq!(answer.text("BIOSSetup"), Some("false"));
    assert_eq!(answer.text("OptionsCleared"), Some("true"));
    assert_eq!(request(&mut bench, "10"), 0);
    assert!(last_boot(&bench).is_empty());
}

#[test]
fn client_mode_asks_the_user_about_boot_options() {
    let mut bench = Bench::client();
    let answer = bench.put(SETTINGS, &[], &e("BIOSSetup", "true"));
    assert_eq!(answer.fault, "e:AccessDenied");
    assert_eq!(boot_from_disk(&mut bench), [6, 6]);
    assert_eq!(request(&mut bench, "10"), 0);
    bench.call("IPS_OptInService", "StartOptIn", "");
    let code = bench
        .fw
        .state
        .consent
        .as_ref()
        .map(|it| it.code.to_string());
    let code = e("OptInCode", &code.unwrap());
    bench.call("IPS_OptInService", "SendOptInCode", &code);
    assert_eq!(boot_from_disk(&mut bench), [0, 0]);
    bench.put(SETTINGS, &[], &e("BIOSSetup", "true")).ok();
    // Taking it back takes the options back.
    bench.call("IPS_OptInService", "CancelOptIn", "");
    assert_eq!(bench.get(SETTINGS).text("BIOSSetup"), Some("false"));
    assert_eq!(bench.fw.state.next_boot.source, None);
}

#[test]
fn a_knocked_out_consent_rule_asks_nobody() {
    let rule = "device.wsman.consent-for-boot";
    let mut bench = Bench::of("tiger-lake-15", crate::device::Mode::Client, &[rule]);
    assert_eq!(boot_from_disk(&mut bench), [0, 0]);
}

#[rstest]
#[case::unknown_source("Intel(r) AMT: Force Floppy Boot", 4)]
#[case::pxe("Intel(r) AMT: Force PXE Boot", 0)]
fn boot_sources(#[case] source: &str, #[case] expected: u32) {
    let mut bench = Bench::admin();
    let source = r("Source", "CIM_BootSourceSetting", &[("InstanceID", source)]);
    let answer = bench.call(BOOT, "ChangeBootOrder", &source);
    assert_eq!(answer.value(), expected);
    // No source: back to the usual one.
    assert_eq!(bench.call(BOOT, "ChangeBootOrder", "").value(), 0);
    assert_eq!(bench.fw.state.next_boot.source, None);
}

#[test]
fn one_click_recovery_came_with_sixteen() {
    let mut bench = Bench::admin();
    let answer = bench.get("CIM_BootService").ok();
    assert_eq!(answer.text("EnabledState"), Some("2"));
    let answer = bench.get("AMT_BootCapabilities").ok();
    assert_eq!(answer.text("ForceWinREBoot"), None);
    let state = e("RequestedState", "32771");
    let answer = bench.call("CIM_BootService", "RequestStateChange", &state);
    assert_eq!(answer.value(), 1);
    let mut bench = Bench::wireless();
    let answer = bench.get("AMT_BootCapabilities").ok();
    assert_eq!(answer.text("ForceWinREBoot"), Some("true"));
    let answer = bench.call("CIM_BootService", "RequestStateChange", &state);
    assert_eq!(answer.value(), 0);
    let sources = bench.all("CIM_BootSourceSetting").ok();
    assert_eq!(sources.texts("InstanceID").len(), 5);
}

#[test]
fn power_saving_of_the_operating_system() {
    let mut bench = Bench::admin();
    let class = "IPS_PowerManagementService";
    let input = e("OSPowerSavingState", "3") + &r("ManagedElement", "CIM_ComputerSystem", MACHINE);
    let answer = bench.call(class, "RequestOSPowerSavingStateChange", &input);
    assert_eq!(answer.value(), 0);
    assert_eq!(bench.get(class).text("OSPowerSavingState"), Some("3"));
}
