//! The profiles that come with the program, and what is refused in others.

use rstest::rstest;

use super::*;

#[test]
fn every_profile_that_comes_with_the_program_reads() {
    for file in fixtures::PROFILES {
        let profile = Profile::builtin(file.name).unwrap();
        assert_eq!(profile.name, file.name, "{}", file.path);
        let major = file.name.split('-').find_map(|word| word.parse().ok());
        assert_eq!(Some(profile.firmware.parts()[0]), major, "{}", file.path);
        let again = Profile::parse("again", &profile.to_toml()).unwrap();
        assert_eq!(again, profile);
    }
}

/// Generations differ where public sources say that they do.
#[test]
fn generations_have_what_their_version_has() {
    for file in fixtures::PROFILES {
        let profile = Profile::builtin(file.name).unwrap();
        let major = profile.firmware.parts()[0];
        let has = &profile.capabilities;
        assert_eq!(has.host_based_tls, major >= 14, "{}", file.name);
        assert_eq!(has.on_die_ca, major >= 15, "{}", file.name);
        assert_eq!(has.admin_setup, major < 19, "{}", file.name);
        assert_eq!(has.local_tls_enforced, major >= 19, "{}", file.name);
        assert_eq!(has.disable_and_clear, major >= 12, "{}", file.name);
        assert_eq!(has.keeps_dns_suffix, major >= 12, "{}", file.name);
        assert_eq!(has.operational_state, major >= 16, "{}", file.name);
        let hashes = profile.certificate_hashes().unwrap();
        assert!(
            hashes
                .iter()
                .all(|hash| hash.algorithm != HashAlgorithm::Sha1),
            "{}: SHA-1 roots are gone since 11.0",
            file.name
        );
        let image_type = profile.platform.platform_type >> 8 & 15;
        assert_eq!(
            image_type, 4,
            "{}: LMS wants the corporate image",
            file.name
        );
        assert_eq!(profile.firmware.sku & 0x4008, 0x4008, "{}", file.name);
    }
}

#[test]
fn hash_sets_are_of_the_size_that_firmware_announces() {
    for file in fixtures::HASH_SETS {
        let set = HashSet::builtin(file.name).unwrap();
        assert_eq!(set.hash.len(), 23, "{}", file.path);
        let mut names: Vec<_> = set.hash.iter().map(|hash| &hash.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 23, "{}: agents key hashes by name", file.path);
    }
}

#[rstest]
#[case(
    "firmware.bios",
    "\"0123456789012345678901234567890123456789012345678901234567890123456\"",
    "at most 64"
)]
#[case("firmware.build", "\"12345678901234567890\"", "19 ASCII characters")]
#[case("firmware.amt", "\"16\"", "numbers and dots")]
#[case("network.environment", "4", "0 (direct)")]
#[case("mei.tx_queue", "0", "at least 1")]
#[case("mei.clients.amthi.max_message", "512", "2797")]
#[case("firmware.partitions", "{ PMC = \"1.2.3.4\" }", "four letters")]
#[case("certificates.builtin", "builtin-2020", "did you mean")]
#[case("network.pki_dns_suffix", "\"a\\tb\"", "printable")]
#[case("assumptions.while_disabled", "silent", "unknown variant")]
#[case("tls.versions", "[]", "is empty")]
#[case("tls.versions", "[\"1.1\"]", "unknown variant")]
#[case("capabilties.ehbc", "true", "did you mean \"capabilities\"")]
fn what_cannot_be_is_refused(#[case] key: &str, #[case] value: &str, #[case] why: &str) {
    let profile = Profile::builtin("tiger-lake-15").unwrap();
    let error = profile.with(key, value).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn a_key_in_dots_changes_one_value() {
    let profile = Profile::builtin("tiger-lake-15").unwrap();
    let changed = profile.with("features.kvm", "false").unwrap();
    assert!(!changed.features.kvm);
    let changed = profile
        .with("network.pki_dns_suffix", "lab.example")
        .unwrap();
    assert_eq!(changed.network.pki_dns_suffix, "lab.example");
}
