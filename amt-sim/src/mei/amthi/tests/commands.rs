//! One case a command: the request as programs send it, the answer as the layout tables have it. Every byte is
//! written by hand.

use rstest::rstest;

use super::*;
use crate::device::{HashAlgorithm, Mode, SetupRecord};
use crate::mei::testing::{assumed, firmware, profile};
use crate::time::UnixTime;

/// "corp.example" as AMT_ANSI_STRING.
const CORP: &str = "0c00 636f72702e6578616d706c65";

#[rstest]
#[case::amt_state(
    "01010000 01000001 10000000 00000000000000000000000000000001",
    "01010000 01008001 1d000000 00000000 00000000000000000000000000000001 05000000 01 00 01 01 00"
)]
#[case::provisioning_mode(
    "01010000 08000004 00000000",
    "01010000 08008004 0c000000 00000000 01000000 00000000"
)]
#[case::provisioning_state(
    "01010000 11000004 00000000",
    "01010000 11008004 08000000 00000000 02000000"
)]
#[case::security_parameters(
    "01010000 1b000004 00000000",
    "01010000 1b008004 48000000 00000000
     01000000 00000000 01000000 02000000 01000000 01000000 01000000 01000000 01000000 01000000
     00000000 00000000 00000000 00000000 00000000 00000000 00000000"
)]
#[case::admin_acl_entry(
    "01010000 1e000004 00000000",
    "01010000 1e008004 08000000 00000000 01000000"
)]
#[case::mac_addresses(
    "01010000 25000004 00000000",
    "01010000 25008004 10000000 00000000 02005e100011 02005e100011"
)]
#[case::tls_mode(
    "01010000 2b000004 00000000",
    "01010000 2b008004 08000000 00000000 02000000"
)]
#[case::rng_seed_status(
    "01010000 2e000004 00000000",
    "01010000 2e008004 08000000 00000000 00000000"
)]
#[case::zero_touch(
    "01010000 30000004 00000000",
    "01010000 30008004 08000000 00000000 01000000"
)]
#[case::pid(
    "01010000 3b000004 00000000",
    "01010000 3b008004 0c000000 00000000 0000000000000000"
)]
#[case::dns_suffix_list(
    "01010000 3e000004 00000000",
    "01010000 3e008004 13000000 00000000 0d00 636f72702e6578616d706c6500"
)]
#[case::enterprise_access(
    "01010000 3f000004 12000000 00 c0000211000000000000000000000000 01",
    "01010000 3f008004 04000000 00020000"
)]
#[case::open_tunnel("01010000 44000004 00000000", "01010000 44008004 04000000 09080000")]
#[case::close_tunnel("01010000 45000004 00000000", "01010000 45008004 04000000 00000000")]
#[case::remote_access(
    "01010000 46000004 00000000",
    "01010000 46008004 12000000 00000000 00000000 00000000 00000000 0000"
)]
#[case::wired(
    "01010000 48000004 04000000 00000000",
    "01010000 48008004 18000000 00000000 01000000 110200c0 01000000 02 01 02005e100011"
)]
#[case::wireless(
    "01010000 48000004 04000000 01000000",
    "01010000 48008004 18000000 00000000 01000000 750200c0 01000000 02 01 02005e100022"
)]
#[case::no_such_interface(
    "01010000 48000004 04000000 02000000",
    "01010000 48008004 04000000 24000000"
)]
#[case::sessions(
    "01010000 49000004 04000000 00000000",
    "01010000 49008004 14000000 00000000 00000000 00000000 00000000 00000000"
)]
#[case::system_defense(
    "01010000 49000004 04000000 01000000",
    "01010000 49008004 0c000000 00000000 01000000 00000000"
)]
#[case::web_page(
    "01010000 49000004 04000000 02000000",
    "01010000 49008004 0c000000 00000000 02000000 01000000"
)]
#[case::endpoint_access(
    "01010000 49000004 04000000 03000000",
    "01010000 49008004 0c000000 00000000 03000000 00000000"
)]
#[case::kvm_session(
    "01010000 49000004 04000000 04000000",
    "01010000 49008004 0c000000 00000000 04000000 00000000"
)]
#[case::no_such_feature(
    "01010000 49000004 04000000 05000000",
    "01010000 49008004 04000000 24000000"
)]
#[case::last_reset(
    "01010000 4a000004 00000000",
    "01010000 4a008004 0c000000 00000000 01000000 00000000"
)]
#[case::enabled_interfaces(
    "01010000 4d000004 00000000",
    "01010000 4d008004 08000000 00000000 03000000"
)]
#[case::config_server(
    "01010000 4e000004 00000000",
    "01010000 4e008004 36000000 00000000 f326
     0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 0000
     0000"
)]
#[case::no_record("01010000 50000004 00000000", "01010000 50008004 04000000 14080000")]
#[case::no_amt_record("01010000 27000004 00000000", "01010000 27008004 04000000 14080000")]
#[case::ipv6_is_off(
    "01010000 52000004 04000000 00000000",
    "01010000 52008004 04000000 c4090000"
)]
#[case::ipv6_nowhere(
    "01010000 52000004 04000000 07000000",
    "01010000 52008004 04000000 c5090000"
)]
#[case::redirection(
    "01010000 58000004 00000000",
    "01010000 58008004 08000000 00000000 07000000"
)]
#[case::uuid(
    "01010000 5c000004 00000000",
    "01010000 5c008004 14000000 00000000 33221100 5544 7766 8899aabbccddeeff"
)]
#[case::control_mode(
    "01010000 6b000004 00000000",
    "01010000 6b008004 08000000 00000000 02000000"
)]
#[case::ehbc(
    "01010000 84000004 00000000",
    "01010000 84008004 08000000 00000000 00000000"
)]
#[case::audit_log(
    "01010000 87000004 04000000 01000000",
    "01010000 87008004 0c000000 00000000 00000000 00000000"
)]
#[case::audit_log_beyond(
    "01010000 87000004 04000000 02000000",
    "01010000 87008004 04000000 23000000"
)]
#[case::audit_log_signature(
    "01010000 8c000004 14000000 0000000000000000000000000000000000000000",
    "01010000 8c008004 04000000 12080000"
)]
#[case::no_such_hash(
    "01010000 2d000004 04000000 17000000",
    "01010000 2d008004 04000000 05080000"
)]
#[case::cira_log_version("01010000 8e000004 01000000 01", "01010000 8e008004 04000000 12080000")]
fn answers(#[case] request: &str, #[case] expected: &str) {
    let mut fw = firmware(profile(), Mode::Admin);
    assert_eq!(ask(&mut fw, request), expected.replace([' ', '\n'], ""));
}

#[test]
fn strings_stand_last_and_end_with_the_message() {
    let mut fw = firmware(profile(), Mode::Admin);
    let cases = [
        (
            "01010000 36000004 00000000",
            "01010000 36008004 12000000 00000000".to_owned() + CORP,
        ),
        (
            "01010000 06000004 00000000",
            "01010000 06008004 2a000000 00000000
             02000000 110200c0 00ffffff 010200c0 350200c0 00000000"
                .to_owned()
                + CORP,
        ),
        // vpro-rpl.corp.example, of which 8 letters are the host's name
        (
            "01010000 56000004 00000000",
            "01010000 56008004 2f000000 00000000 01000000 00000000 a0050000 84030000 08000000
             1500 7670726f2d72706c2e636f72702e6578616d706c65"
                .to_owned(),
        ),
        // Mobile: ON in S0, ME Wake in S3, S4-5 (AC)
        (
            "01010000 47000004 00000000",
            "01010000 47008004 30000000 00000000 2a00
             4d6f62696c653a204f4e20696e2053302c204d452057616b6520696e2053332c2053342d3520284143 29"
                .to_owned(),
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(ask(&mut fw, request), expected.replace([' ', '\n'], ""));
    }
}

#[test]
fn code_versions() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    let answer = crate::mei::amthi::receive(&mut fw, &bytes("01010000 1a000004 00000000"));
    assert_eq!(answer[0].len(), 12 + 4 + 65 + 4 + 10 * 44);
    insta::assert_snapshot!(dump(&answer[0]));
}

#[test]
fn a_hash_entry() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    // Go Daddy Class 2 CA, from the factory, active, SHA-256 with 32 zeros behind it
    let expected = "01010000 2d008004 62000000 00000000 01000000 01000000
        c3846bf24b9e93ca64274c0ec67c1ecc5e024ffcacd2d74019350e81fe546ae4
        0000000000000000000000000000000000000000000000000000000000000000 02
        1300 476f20446164647920436c6173732032204341";
    let request = "01010000 2d000004 04000000 00000000";
    assert_eq!(ask(&mut fw, request), expected.replace([' ', '\n'], ""));
}

#[test]
fn handles_count_from_zero() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    let mut expected = "010100002c008004 64000000 00000000 17000000".replace(' ', "");
    for handle in 0..23 {
        expected += &format!("{handle:02x}000000");
    }
    assert_eq!(ask(&mut fw, "01010000 2c000004 00000000"), expected);
}

#[test]
fn the_local_account_takes_68_bytes() {
    let mut fw = firmware(profile(), Mode::PreProvisioning);
    let zeros = "00".repeat(40);
    let answer = ask(&mut fw, &format!("01010000 67000004 28000000 {zeros}"));
    let password = crate::hex::encode(fw.local_account.password.as_bytes());
    assert_eq!(password.len(), 64);
    let expected = format!(
        "01010000 67008004 48000000 00000000 24244f7341646d696e {} {password} 00 0000",
        "00".repeat(24)
    );
    assert_eq!(answer, expected.replace(' ', ""));
}

#[test]
fn a_cira_log_takes_2797_bytes() {
    let mut fw = firmware(profile(), Mode::Admin);
    let answer = ask(&mut fw, "01010000 8e000004 01000000 00");
    assert_eq!(answer.len(), 2 * 2797);
    assert_eq!(&answer[..40], "010100008e008004e10a00000000000000000000");
}

#[test]
fn a_cira_log_says_where_the_device_is() {
    let mut profile = profile();
    profile.network.environment = 2;
    profile.remote_access.tunnel = crate::device::Tunnel::Connected;
    let mut fw = firmware(profile, Mode::Admin);
    let answer = ask(&mut fw, "01010000 8e000004 01000000 00");
    assert_eq!(&answer[32..40], "00010200");
}

#[test]
fn ipv6_of_the_wireless_interface() {
    let mut fw = firmware(profile(), Mode::Admin);
    let text = |text: &str| {
        let mut field = text.as_bytes().to_vec();
        field.resize(46, 0);
        crate::hex::encode(&field)
    };
    // 142 bytes, and 54 for the one address: link-local 0, preferred 1
    let expected = format!(
        "01010000 52008004 c8000000 00000000 {} {} {} 01000000 {} 00000000 01000000",
        text("fe80::1"),
        text("2001:db8::53"),
        text(""),
        text("fe80::22"),
    );
    let request = "01010000 52000004 04000000 01000000";
    assert_eq!(ask(&mut fw, request), expected.replace(' ', ""));
}

#[test]
fn a_setup_record() {
    let mut fw = firmware(profile(), Mode::Admin);
    fw.state.setup_record = Some(SetupRecord {
        secure_dns: true,
        host_initiated: false,
        hash_algorithm: HashAlgorithm::Sha256,
        hash: "ab".repeat(32),
        hash_is_default: true,
        ca_serials: vec!["07".into(), "0102030405060708090a0b0c0d0e0f10".into()],
        more_serials: false,
        time_valid: true,
        server_address: "192.0.2.9".into(),
        server_fqdn: "sca.corp.example".into(),
        at: UnixTime(951_782_461), // Tuesday 2000-02-29 00:01:01
    });
    let expected = [
        "01010000 50008004 db000000 00000000",
        "02 01000000 00000000 02000000",
        &"ab".repeat(32),
        &"00".repeat(32),
        "07",
        &"00".repeat(15),
        "0102030405060708090a0b0c0d0e0f10",
        &"00".repeat(16),
        "00000000 01000000 01000000",
        "3139322e302e322e39",
        &"00".repeat(37),
        "d007 0200 0200 1d00 0000 0100 0100",
        "1000 7363612e636f72702e6578616d706c65",
    ]
    .concat();
    let answer = ask(&mut fw, "01010000 50000004 00000000");
    assert_eq!(answer, expected.replace(' ', ""));
}

#[test]
fn an_interface_that_is_not_fitted_is_zeros_or_what_the_profile_says() {
    let request = "01010000 48000004 04000000 00000000";
    let wireless_only = crate::device::Profile::builtin("lunar-lake-20").unwrap();
    let mut fw = firmware(wireless_only.clone(), Mode::Admin);
    let zeros = format!("01010000480080041800000000000000{}", "00".repeat(20));
    assert_eq!(ask(&mut fw, request), zeros);
    assert_eq!(assumed(&mut fw), ["device.assumed.absent-interface-status"]);
    let changed = wireless_only.with("assumptions.absent_interface_status", "0x814");
    let mut fw = firmware(changed.unwrap(), Mode::Admin);
    assert_eq!(ask(&mut fw, request), "01010000480080040400000014080000");
}

#[rstest]
#[case(1, false, false, 0x201)]
#[case(2, true, false, 0x202)]
#[case(2, true, true, 0x203)]
#[case(0, true, true, 0x200)]
fn access_through_the_host(
    #[case] environment: u32,
    #[case] vpn: bool,
    #[case] ddns: bool,
    #[case] expected: u32,
) {
    let mut profile = profile();
    profile.network.environment = environment;
    profile.network.host_vpn = vpn;
    profile.network.dynamic_dns.enabled = ddns;
    let mut fw = firmware(profile, Mode::Admin);
    assert_eq!(status(&mut fw, &request(0x3f, &[0; 18])), expected);
}

#[rstest]
#[case("", true, 0x809)]
#[case("mps.corp.example", true, 2)]
#[case("mps.corp.example", false, 0x10)]
fn a_user_who_asks_for_help(#[case] server: &str, #[case] may: bool, #[case] expected: u32) {
    let mut profile = profile();
    profile.remote_access.server = server.to_owned();
    profile.features.user_initiated_os = may;
    let mut fw = firmware(profile, Mode::Client);
    assert_eq!(status(&mut fw, &request(0x44, &[])), expected);
}

#[test]
fn the_servers_name_shows_while_a_link_is_up() {
    let mut profile = profile();
    profile.remote_access.server = "mps".to_owned();
    let mut fw = firmware(profile.clone(), Mode::Admin);
    let answer = ask(&mut fw, "01010000 46000004 00000000");
    assert!(
        answer.ends_with("0300 6d7073".replace(' ', "").as_str()),
        "{answer}"
    );
    for lan in [&mut profile.network.wired, &mut profile.network.wireless] {
        lan.as_mut().unwrap().link_up = false;
    }
    let mut fw = firmware(profile, Mode::Admin);
    assert!(ask(&mut fw, "01010000 46000004 00000000").ends_with("0000"));
}
