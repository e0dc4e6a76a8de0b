use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;

use super::*;
use crate::device::{DialEnd, Entry, Interface, Profile, Seed, State};
use crate::{ClientKind, Device};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

fn at(seconds: u64) -> Instant {
    Instant::POWER_ON + Duration::from_secs(seconds)
}

/// One AMTHI request and the status of its answer, with the device's time going on as it answers.
fn ask(device: &mut Device, operation: u8, data: &[u8]) -> u32 {
    let handle = device.mei_open().unwrap();
    device
        .mei_connect(handle, ClientKind::Amthi.guid())
        .unwrap();
    let length = u8::try_from(data.len()).unwrap();
    let mut message = vec![1, 1, 0, 0, operation, 0, 0, 4, length, 0, 0, 0];
    message.extend(data);
    device.mei_write(handle, &message).unwrap();
    while !device.mei_readiness(handle).readable {
        let wake = device.next_wake().unwrap();
        device.advance(wake);
    }
    let answer = device.mei_read(handle, 5120).unwrap();
    device.mei_close(handle);
    u32::from_le_bytes(answer[12..16].try_into().unwrap())
}

fn profile() -> Profile {
    let profile = Profile::builtin("tiger-lake-15").unwrap();
    let fixed = "00112233-4455-6677-8899-aabbccddeeff";
    profile.with("platform.uuid", fixed).unwrap()
}

fn device() -> Device {
    Device::of(Arc::new(profile())).build().unwrap()
}

fn started() -> Device {
    let mut device = device();
    assert_eq!(ask(&mut device, 0x2a, b"\x08\x0012345678"), 0);
    assert_eq!(ask(&mut device, 0x62, &[0; 4]), 0);
    device
}

fn open(device: &Device) -> bool {
    device.stream_listens(Interface::Network, 16993)
}

fn hellos(device: &mut Device) -> Vec<(u64, u32)> {
    let entries = device.drain_journal();
    let hello = |Entry { at, event, .. }: Entry| match event {
        Event::Hello { retry, .. } => Some(((at - Instant::POWER_ON).as_secs(), retry)),
        _ => None,
    };
    entries.into_iter().filter_map(hello).collect()
}

#[test]
fn the_key_comes_first_and_takes_seven_minutes() {
    let mut device = started();
    assert_eq!(device.mode(), Mode::SetupOutOfBand);
    assert!(!open(&device));
    device.advance(at(7 * MINUTE));
    assert!(!open(&device) && device.take_dials().is_empty());
    let ready = device.busy_until().unwrap();
    assert_eq!(device.next_wake(), Some(ready));
    device.advance(ready);
    assert!(open(&device));
    assert!(!device.stream_listens(Interface::Network, 16992));
    assert_eq!(device.busy_until(), None);
    let dials = device.take_dials();
    assert_eq!(dials.len(), 1);
    assert_eq!(dials[0].hosts, ["ProvisionServer.corp.example"]);
    assert_eq!(dials[0].port, 9971);
    assert!(device.take_dials().is_empty());
}

/// As long as the three captured messages: 23 hashes of SHA-256 are 807 bytes. The count of 24 that two of them
/// have is more than the guide allows.
#[test]
fn a_hello_byte_by_byte() {
    let mut device = started();
    device.advance(at(8 * MINUTE));
    let bytes = device.take_dials().remove(0).bytes;
    assert_eq!(
        crate::hex::encode(&bytes[..24]),
        "010003000000000033221100554477668899aabbccddeeff"
    );
    let hashes: Vec<_> = device
        .state()
        .hashes
        .iter()
        .filter(|hash| hash.active)
        .collect();
    assert_eq!(usize::from(bytes[24]), hashes.len().min(23));
    assert_eq!(bytes[25..27], [2, 32]);
    assert_eq!(bytes[27..59], hashes[0].digest());
    let size: usize = hashes
        .iter()
        .take(23)
        .map(|hash| 2 + hash.algorithm.size())
        .sum();
    assert_eq!(bytes.len(), 25 + size);
}

#[rstest]
#[case(23, 23, 807)]
#[case(24, 23, 807)]
#[case(2, 2, 93)]
fn as_many_hashes_as_there_are(#[case] count: usize, #[case] listed: u8, #[case] size: usize) {
    let mut state = State::factory(&profile(), Seed(1)).unwrap();
    let mut entry = state
        .hashes
        .iter()
        .find(|hash| hash.algorithm == crate::device::HashAlgorithm::Sha256)
        .unwrap()
        .clone();
    entry.active = true;
    state.hashes = vec![entry.clone(); count];
    let own = state.hashes.last_mut().unwrap();
    own.default = false;
    own.hash = "ab".repeat(32);
    entry.active = false;
    state.hashes.push(entry);
    state.own_key_made = true;
    let mut device = Device::of(Arc::new(profile()))
        .state(state)
        .build()
        .unwrap();
    assert_eq!(ask(&mut device, 0x29, &[]), 0);
    device.advance(at(1));
    let bytes = device.take_dials().remove(0).bytes;
    assert_eq!((bytes[24], bytes.len()), (listed, size));
    assert!(bytes.ends_with(&[0xab; 32]));
}

#[rstest]
#[case(&[("setup_server.address", "192.0.2.77"), ("setup_server.fqdn", "sca.example")], &["192.0.2.77"])]
#[case(&[("setup_server.fqdn", "sca.example")], &["sca.example"])]
#[case(&[("network.pki_dns_suffix", "example")], &["ProvisionServer.example", "ProvisionServer.corp.example"])]
#[case(&[("network.pki_dns_suffix", "Corp.Example")], &["ProvisionServer.Corp.Example"])]
#[case(&[("network.pki_dns_suffix", "")], &["ProvisionServer", "ProvisionServer.corp.example"])]
#[case(&[("network.pki_dns_suffix", ""), ("network.dhcp_domain", "")], &["ProvisionServer"])]
fn where_hello_goes(#[case] settings: &[(&str, &str)], #[case] expected: &[&str]) {
    let change = |profile: Profile, (key, value): &(&str, &str)| profile.with(key, value).unwrap();
    let profile = settings.iter().fold(profile(), change);
    let mut device = Device::of(Arc::new(profile)).build().unwrap();
    ask(&mut device, 0x29, &[]);
    device.advance(at(8 * MINUTE));
    assert_eq!(device.take_dials()[0].hosts, expected);
}

#[test]
fn hello_is_said_again_until_the_period_is_over() {
    let mut device = started();
    device.advance(at(24 * HOUR));
    assert_eq!(device.mode(), Mode::SetupElapsed);
    assert!(!open(&device));
    assert_eq!(device.next_wake(), None);
    assert!(device.take_dials().is_empty());
    let said = hellos(&mut device);
    let first = said[0].0;
    let minutes: Vec<u64> = said.iter().map(|(at, _)| (at - first) / MINUTE).collect();
    assert_eq!(minutes, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303]);
    assert!(said.iter().map(|(_, retry)| *retry).eq(0..11));
    // The agent may start it again; the key is there already.
    assert_eq!(ask(&mut device, 0x2a, b"\x08\x0012345678"), 0);
    assert_eq!(ask(&mut device, 0x62, &[0; 4]), 0);
    assert!(open(&device));
}

#[test]
fn fifteen_messages_at_most() {
    let profile = profile()
        .with("timings.provisioning_period_ms", "900000000")
        .unwrap();
    let mut device = Device::of(Arc::new(profile)).build().unwrap();
    ask(&mut device, 0x29, &[]);
    device.advance(at(30 * HOUR));
    assert_eq!(hellos(&mut device).last().unwrap().1, 14);
    assert_eq!(device.mode(), Mode::SetupOutOfBand);
}

#[test]
fn stop_ends_it_at_any_moment() {
    for moment in [3 * MINUTE, 8 * MINUTE] {
        let mut device = started();
        device.advance(at(moment));
        assert_eq!(ask(&mut device, 0x5e, &[]), 0);
        assert_eq!(device.mode(), Mode::PreProvisioning);
        assert!(!open(&device) && device.busy_until().is_none());
        assert_eq!(device.state().otp, None);
        assert_eq!(device.state().out_of_band, None);
        assert!(device.take_dials().is_empty());
        device.drain_journal();
        device.advance(at(24 * HOUR));
        assert!(hellos(&mut device).is_empty());
        assert_eq!(ask(&mut device, 0x5e, &[]), 3);
    }
}

/// Switched off and on again with what a state file keeps.
fn power_cut(device: Device) -> Device {
    let text = serde_json::to_string(device.state()).unwrap();
    let clock = device.clock();
    Device::of(Arc::new(profile()))
        .state(serde_json::from_str(&text).unwrap())
        .clock(clock)
        .build()
        .unwrap()
}

#[test]
fn a_power_cut_while_the_key_is_made() {
    let mut device = started();
    device.advance(at(5 * MINUTE));
    let mut device = power_cut(device);
    assert_eq!(device.mode(), Mode::SetupOutOfBand);
    assert_eq!(device.state().otp.as_deref(), Some("12345678"));
    device.advance(at(6 * MINUTE));
    assert!(!open(&device));
    device.advance(at(7 * MINUTE));
    assert!(open(&device));
}

#[test]
fn a_power_cut_while_the_interface_is_open() {
    let mut device = started();
    device.advance(at(HOUR));
    let count = u32::try_from(hellos(&mut device).len()).unwrap();
    let mut device = power_cut(device);
    assert!(open(&device));
    device.advance(at(1));
    assert_eq!(hellos(&mut device), [(0, count)]);
    // Seven minutes for the key, an hour in all before the cut: 5 h 7 min of six hours are left.
    device.advance(at(5 * HOUR + 6 * MINUTE));
    assert_eq!(device.mode(), Mode::SetupOutOfBand);
    device.advance(at(5 * HOUR + 8 * MINUTE));
    assert_eq!(device.mode(), Mode::SetupElapsed);
}

#[rstest]
#[case("network.dhcp_domain", "", 2)]
#[case("network.wired.link_up", "false", 2)]
#[case("network.wired.dhcp", "false", 2)]
#[case("network.hostname", "x", 0)]
fn the_extended_start_needs_a_lease_with_a_domain(
    #[case] key: &str,
    #[case] value: &str,
    #[case] expected: u32,
) {
    let profile = Arc::new(profile().with(key, value).unwrap());
    let mut device = Device::of(Arc::clone(&profile)).build().unwrap();
    assert_eq!(ask(&mut device, 0x62, &[0; 4]), expected);
    let mut lax = crate::Rules::default();
    lax.knock_out("device.out-of-band.start-network").unwrap();
    let mut device = Device::of(profile).rules(lax).build().unwrap();
    assert_eq!(ask(&mut device, 0x62, &[0; 4]), 0);
}

#[rstest]
#[case(Some(0), Err(ExtendRefusal::Hours))]
#[case(Some(1), Ok(1))]
#[case(Some(24), Ok(24))]
#[case(Some(25), Err(ExtendRefusal::Hours))]
#[case(None, Err(ExtendRefusal::Hours))]
fn the_period_is_what_the_sca_asks_for(
    #[case] hours: Option<u32>,
    #[case] expected: Result<u64, ExtendRefusal>,
) {
    let mut fw = crate::http::testing::firmware(Mode::PreProvisioning);
    assert_eq!(extend(&mut fw, Some(1)), Err(ExtendRefusal::Mode));
    fw.state.own_key_made = true;
    start(&mut fw, None).unwrap();
    fw.now = at(100);
    assert_eq!(extend(&mut fw, hours), expected.map(|_| ()));
    let left = expected.map_or(at(6 * HOUR), |hours| at(100 + hours * HOUR));
    assert_eq!(fw.setup.out_of_band.closes, Some(left));
}

#[test]
fn never_longer_than_255_hours() {
    let mut fw = crate::http::testing::firmware(Mode::PreProvisioning);
    fw.state.own_key_made = true;
    start(&mut fw, None).unwrap();
    fw.now = at(250 * HOUR);
    extend(&mut fw, Some(24)).unwrap();
    assert_eq!(fw.setup.out_of_band.closes, Some(at(255 * HOUR)));
}

fn with(settings: &[(&str, &str)]) -> Device {
    let change = |profile: Profile, (key, value): &(&str, &str)| profile.with(key, value).unwrap();
    let profile = settings.iter().fold(profile(), change);
    Device::of(Arc::new(profile)).build().unwrap()
}

fn events(device: &mut Device) -> Vec<Event> {
    let entries = device.drain_journal();
    entries.into_iter().map(|entry| entry.event).collect()
}

#[test]
fn the_schedule_is_the_profiles() {
    let mut device = with(&[
        ("timings.hello_retry_ms", "10000"),
        ("timings.hello_retry_longest_ms", "30000"),
        ("setup_server.most_hellos", "5"),
    ]);
    ask(&mut device, 0x29, &[]);
    device.advance(at(HOUR));
    let said = hellos(&mut device);
    let seconds: Vec<u64> = said.iter().map(|(at, _)| at - said[0].0).collect();
    assert_eq!(seconds, [0, 10, 30, 60, 90]);
    assert!(profile().with("setup_server.most_hellos", "16").is_err());
    assert!(profile().with("setup_server.most_hellos", "0").is_err());
}

#[rstest]
#[case(HelloStop::AllSent, 15)]
#[case(HelloStop::Stopped, 1)]
#[case(HelloStop::Elapsed, 11)]
fn why_no_more_come(#[case] why: HelloStop, #[case] sent: u32) {
    let mut device = match why {
        HelloStop::AllSent => with(&[("timings.provisioning_period_ms", "900000000")]),
        _ => with(&[]),
    };
    ask(&mut device, 0x29, &[]);
    device.advance(at(7 * MINUTE + 2));
    if why == HelloStop::Stopped {
        ask(&mut device, 0x5e, &[]);
    }
    device.advance(at(30 * HOUR));
    let stopped = |event: &Event| matches!(event, Event::HelloStopped { .. });
    let stops: Vec<Event> = events(&mut device).into_iter().filter(stopped).collect();
    assert_eq!(stops, [Event::HelloStopped { sent, why }]);
}

#[test]
fn one_that_is_late_leaves_late() {
    let profile = Arc::new(profile());
    let fault = "hello=delay-2500*1".parse().unwrap();
    let mut device = Device::of(profile).fault(fault).build().unwrap();
    ask(&mut device, 0x29, &[]);
    let ready = device.busy_until().unwrap();
    device.advance(ready);
    assert!(device.take_dials().is_empty());
    let leaves = device.next_wake().unwrap();
    assert_eq!(leaves - ready, Duration::from_millis(2500));
    device.advance(leaves);
    assert_eq!(device.take_dials().len(), 1);
    assert_eq!(device.next_wake().unwrap() - ready, Duration::from_secs(60));
}

#[test]
fn a_duplicate_is_two_connections() {
    let fault = "hello=duplicate*1".parse().unwrap();
    let mut device = Device::of(Arc::new(profile()))
        .fault(fault)
        .build()
        .unwrap();
    ask(&mut device, 0x29, &[]);
    device.advance(at(8 * MINUTE));
    let dials = device.take_dials();
    assert_eq!((dials[0].id, dials[1].id), (0, 1));
    assert_eq!(dials[0].bytes, dials[1].bytes);
    let end = DialEnd::Failed {
        why: "no".to_owned(),
    };
    device.dial_ended(1, end.clone());
    assert!(events(&mut device).contains(&Event::HelloEnded { dial: 1, end }));
}

#[test]
fn power_and_network_are_enough_where_the_timer_is_set() {
    let settings = [("capabilities.bare_metal", "true")];
    let mut device = with(&settings);
    assert_eq!(device.mode(), Mode::SetupOutOfBand);
    device.advance(at(7 * MINUTE));
    assert!(open(&device));
    assert_eq!(
        (device.take_dials().len(), device.state().otp.as_ref()),
        (1, None)
    );
    // A power cut: it goes on, and is still nobody's doing.
    let text = serde_json::to_string(device.state()).unwrap();
    let state: State = serde_json::from_str(&text).unwrap();
    assert!(state.out_of_band.as_ref().unwrap().bare_metal);
    device.advance(at(255 * HOUR));
    assert_eq!(device.mode(), Mode::SetupOutOfBand);
    device.advance(at(255 * HOUR + 8 * MINUTE));
    assert_eq!(device.mode(), Mode::SetupElapsed);
    // An agent may start it now.
    assert_eq!(ask(&mut device, 0x29, &[]), 0);
    assert!(!device.state().out_of_band.as_ref().unwrap().bare_metal);

    assert_eq!(with(&[]).mode(), Mode::PreProvisioning);
    let unplugged = [settings[0], ("network.wired.link_up", "false")];
    assert_eq!(with(&unplugged).mode(), Mode::PreProvisioning);
}

/// Status 0x31 until the key is made; then set-up mode begins by itself.
#[test]
fn a_key_that_comes_before_set_up() {
    let mut device = with(&[("assumptions.slow_key", "before-set-up")]);
    assert_eq!(ask(&mut device, 0x2a, b"\x08\x0012345678"), 0);
    assert_eq!(ask(&mut device, 0x62, &[0; 4]), 0x31);
    let ready = device.busy_until().unwrap();
    assert_eq!(ask(&mut device, 0x62, &[0; 4]), 0x31);
    assert_eq!(device.busy_until(), Some(ready));
    assert_eq!(device.mode(), Mode::PreProvisioning);
    device.advance(ready);
    assert_eq!(device.mode(), Mode::SetupOutOfBand);
    assert!(open(&device) && device.state().otp.is_some());
    assert_eq!(ask(&mut device, 0x62, &[0; 4]), 3);
    assert_eq!(ask(&mut device, 0x5e, &[]), 0);
    // The key is kept.
    assert_eq!(ask(&mut device, 0x62, &[0; 4]), 0);
}

#[test]
fn a_key_that_comes_before_set_up_is_cancelled_and_survives_a_power_cut() {
    let settings = [("assumptions.slow_key", "before-set-up")];
    let mut device = with(&settings);
    ask(&mut device, 0x29, &[]);
    device.advance(at(MINUTE));
    let text = serde_json::to_string(device.state()).unwrap();
    let profile = Arc::new(profile().with(settings[0].0, settings[0].1).unwrap());
    let mut again = Device::of(profile)
        .state(serde_json::from_str(&text).unwrap())
        .build()
        .unwrap();
    again.advance(at(7 * MINUTE));
    assert_eq!(again.mode(), Mode::SetupOutOfBand);

    assert_eq!(ask(&mut device, 0x5e, &[]), 0);
    assert_eq!(ask(&mut device, 0x5e, &[]), 3);
    device.advance(at(HOUR));
    assert_eq!(device.mode(), Mode::PreProvisioning);
    assert!(!device.state().own_key_made);
}

/// Whoever disables AMT meanwhile does not find it in set-up mode afterwards.
#[test]
fn a_key_that_nobody_wants_any_more() {
    let mut device = with(&[("assumptions.slow_key", "before-set-up")]);
    ask(&mut device, 0x29, &[]);
    assert_eq!(ask(&mut device, 0x88, &[]), 0);
    device.advance(at(HOUR));
    assert_eq!(device.mode(), Mode::Disabled);
    assert!(device.state().own_key_made && !open(&device));
}

#[test]
fn a_seed_comes_first_where_there_is_none() {
    let mut device = with(&[
        ("assumptions.random_seed", "absent"),
        ("timings.random_seed_ms", "60000"),
    ]);
    let started = device.next_wake();
    assert_eq!(started, None);
    assert_eq!(ask(&mut device, 0x29, &[]), 0x30);
    assert_eq!(ask(&mut device, 0x28, &[]), 0);
    assert_eq!(ask(&mut device, 0x28, &[]), 0x2f);
    assert_eq!(ask(&mut device, 0x29, &[]), 0x2f);
    assert_eq!(device.mode(), Mode::PreProvisioning);
    device.advance(at(2 * MINUTE));
    assert!(device.state().random_seed_made);
    assert_eq!(ask(&mut device, 0x28, &[]), 0);
    assert_eq!(ask(&mut device, 0x29, &[]), 0);
}
