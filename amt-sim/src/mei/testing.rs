//! What the tests of the clients share: a firmware in any mode, and bytes written as people write them.

use std::sync::{Arc, LazyLock};

use crate::device::{Event, Faults, Firmware, Mode, Profile, Rules, Seed, State};
use crate::time::UnixTime;

/// A machine whose every value stands in the tests: fixed UUID and MACs, both interfaces, IPv6.
pub(crate) fn profile() -> Profile {
    static PROFILE: LazyLock<Profile> = LazyLock::new(|| {
        let ipv6 = r#"{ router = "fe80::1", dns = ["2001:db8::53", "::"], addresses = [
            { address = "fe80::22", origin = "link-local", state = "preferred" }] }"#;
        let changes = [
            ("platform.uuid", "00112233-4455-6677-8899-aabbccddeeff"),
            ("network.wired.mac", "02:00:5e:10:00:11"),
            ("network.wireless.mac", "02:00:5e:10:00:22"),
            ("network.wireless.ipv6", ipv6),
        ];
        let profile = Profile::builtin("raptor-lake-16-wifi").unwrap();
        let change = |profile: Profile, (key, value)| profile.with(key, value).unwrap();
        changes.into_iter().fold(profile, change)
    });
    PROFILE.clone()
}

pub(crate) fn firmware(profile: Profile, mode: Mode) -> Firmware {
    with_rules(profile, mode, Rules::default())
}

pub(crate) fn with_rules(profile: Profile, mode: Mode, rules: Rules) -> Firmware {
    let mut state = State::factory(&profile, Seed(7)).unwrap();
    state.mode = mode;
    let mut fw = Firmware::power_on(
        Arc::new(profile),
        state,
        rules,
        Faults::default(),
        UnixTime(1_767_225_600),
    );
    fw.dirty = false;
    fw.journal.drain();
    fw
}

pub(crate) fn without(rule: &str) -> Rules {
    let mut rules = Rules::default();
    rules.knock_out(rule).unwrap();
    rules
}

/// Bytes from hex digits with blanks between them.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    crate::hex::decode(&digits).unwrap()
}

/// Bytes as hex digits, sixteen a line.
pub(crate) fn dump(bytes: &[u8]) -> String {
    let lines: Vec<String> = bytes
        .chunks(16)
        .map(|line| {
            let pairs: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            pairs.join(" ")
        })
        .collect();
    lines.join("\n")
}

/// The assumptions that were journaled since this was last asked.
pub(crate) fn assumed(fw: &mut Firmware) -> Vec<String> {
    let entries = fw.journal.drain().into_iter();
    entries
        .filter_map(|entry| match entry.event {
            Event::Assumed { requirement } => Some(requirement),
            _ => None,
        })
        .collect()
}
