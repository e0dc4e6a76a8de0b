use std::time::Duration;

use rstest::rstest;

use super::super::testing::{
    PASSWORD, challenge, converse, events, firmware, header, login, post, quoted, with_profile,
    with_rules, without,
};
use super::*;
use crate::device::{Mode, Profile, Rules, digest_a1};

/// What the device thinks of a login over `/wsman`: the refusal, if any, and the answer.
fn try_login(fw: &mut Firmware, from: Interface, login: &Login) -> (Option<LoginRefusal>, String) {
    let (answer, _) = converse(fw, from, post(&header(login), "").as_bytes());
    let refusal = events(fw).into_iter().find_map(|event| match event {
        Event::LoginRefused { reason, .. } => Some(reason),
        _ => None,
    });
    // The empty body is no envelope: whoever is let in gets a fault, or a refusal of what he may do.
    (
        refusal.filter(|reason| *reason != LoginRefusal::NotAuthorized),
        answer,
    )
}

fn outcome(fw: &mut Firmware, from: Interface, login: &Login) -> Option<LoginRefusal> {
    try_login(fw, from, login).0
}

fn resigned(mut login: Login, password: &str) -> Login {
    let ha1 = digest_a1(&login.user, &login.realm, password);
    login.response = login.expected_response(&ha1, "POST", b"");
    login
}

#[test]
fn the_challenge_is_firmwares() {
    let mut fw = firmware(Mode::Admin);
    let text = super::challenge(&mut fw, false);
    let realm = fw.identity.digest_realm.clone();
    let nonce = quoted(&text, "nonce");
    assert_eq!(
        text,
        format!(r#"Digest realm="{realm}", nonce="{nonce}",stale="false",qop="auth""#)
    );
    assert!(realm.starts_with("Digest:") && realm.len() == 39);
}

/// Firmware that offers the integrity of the body believes who vouches for it, and who does not.
#[rstest]
#[case("auth-int", b"", None)]
#[case("auth-int", b"another", Some(LoginRefusal::WrongResponse))]
#[case("auth", b"", None)]
#[case("auth-conf", b"", Some(LoginRefusal::WrongQuality))]
fn integrity_where_it_is_offered(
    #[case] quality: &str,
    #[case] body: &[u8],
    #[case] refusal: Option<LoginRefusal>,
) {
    let profile = Profile::builtin("tiger-lake-15").unwrap();
    let profile = profile.with("web.challenge", "\"auth-int-first\"").unwrap();
    let mut fw = with_profile(profile, Mode::Admin, Rules::default());
    let challenge = challenge(&mut fw, Interface::Network);
    assert_eq!(quoted(&challenge, "qop"), "auth-int, auth");
    let mut login = login(&challenge, "admin", PASSWORD, 1);
    login.qop = Some(quality.to_owned());
    let ha1 = digest_a1("admin", &login.realm, PASSWORD);
    login.response = login.expected_response(&ha1, "POST", body);
    assert_eq!(outcome(&mut fw, Interface::Network, &login), refusal);
}

#[rstest]
#[case::first_count_is_two(|login: Login| login, None)]
#[case::empty_response(|login: Login| Login { response: String::new(), ..login }, Some(LoginRefusal::WrongResponse))]
#[case::one_digit(|mut login: Login| { login.response.truncate(1); login }, Some(LoginRefusal::WrongResponse))]
#[case::upper_case(|mut login: Login| { login.response.make_ascii_uppercase(); login }, Some(LoginRefusal::WrongResponse))]
#[case::foreign_realm(|mut login: Login| { login.realm = format!("Digest:{}", "0".repeat(32)); resigned(login, PASSWORD) }, Some(LoginRefusal::ForeignRealm))]
#[case::wrong_uri(|mut login: Login| { login.uri = "/other".to_owned(); resigned(login, PASSWORD) }, Some(LoginRefusal::WrongUri))]
#[case::whole_uri(|mut login: Login| { login.uri = "http://amt:16992/wsman".to_owned(); resigned(login, PASSWORD) }, None)]
#[case::auth_int(|mut login: Login| { login.qop = Some("auth-int".to_owned()); resigned(login, PASSWORD) }, Some(LoginRefusal::WrongQuality))]
#[case::short_count(|mut login: Login| { login.count = Some("2".to_owned()); resigned(login, PASSWORD) }, Some(LoginRefusal::WrongQuality))]
#[case::count_zero(|mut login: Login| { login.count = Some("00000000".to_owned()); resigned(login, PASSWORD) }, Some(LoginRefusal::CountBehind))]
#[case::unknown_user(|mut login: Login| { login.user = "nobody".to_owned(); resigned(login, PASSWORD) }, Some(LoginRefusal::UnknownUser))]
#[case::unknown_nonce(|mut login: Login| { login.nonce = "A".repeat(32); resigned(login, PASSWORD) }, Some(LoginRefusal::UnknownNonce))]
#[case::wrong_password(|login: Login| resigned(login, "P@ssw0rd2"), Some(LoginRefusal::WrongResponse))]
fn logins(#[case] change: fn(Login) -> Login, #[case] expected: Option<LoginRefusal>) {
    let mut fw = firmware(Mode::Admin);
    let challenge = challenge(&mut fw, Interface::Network);
    let login = change(login(&challenge, "admin", PASSWORD, 2));
    assert_eq!(outcome(&mut fw, Interface::Network, &login), expected);
}

#[rstest]
#[case("device.http.digest-response", |login: Login| Login { response: String::new(), ..login })]
#[case("device.http.digest-realm", |mut login: Login| { login.realm = "x".to_owned(); login })]
#[case("device.http.digest-uri", |mut login: Login| { login.uri = "/other".to_owned(); resigned(login, PASSWORD) })]
#[case("device.http.digest-qop", |mut login: Login| { login.qop = Some("auth-int".to_owned()); resigned(login, PASSWORD) })]
#[case("device.http.nonce-life", |mut login: Login| { login.nonce = "A".repeat(32); resigned(login, PASSWORD) })]
#[case("device.http.nonce-count", |mut login: Login| { login.count = Some("00000000".to_owned()); resigned(login, PASSWORD) })]
fn each_rule_can_be_knocked_out(#[case] rule: &str, #[case] change: fn(Login) -> Login) {
    let mut fw = with_rules(Mode::Admin, without(rule));
    let challenge = challenge(&mut fw, Interface::Network);
    let mut login = change(login(&challenge, "admin", PASSWORD, 1));
    if login.realm == "x" {
        // The client cannot know which A1 the device keeps: it kept the one of its own realm.
        let ha1 = digest_a1("admin", &fw.identity.digest_realm, PASSWORD);
        login.response = login.expected_response(&ha1, "POST", b"");
    }
    assert_eq!(outcome(&mut fw, Interface::Network, &login), None);
}

#[test]
fn counts_rise_over_all_connections() {
    let mut fw = firmware(Mode::Admin);
    let challenge = challenge(&mut fw, Interface::Network);
    let mut with = |count| {
        let login = login(&challenge, "admin", PASSWORD, count);
        try_login(&mut fw, Interface::Network, &login)
    };
    assert_eq!(with(2).0, None);
    assert_eq!(with(3).0, None);
    let (refusal, answer) = with(3);
    assert_eq!(refusal, Some(LoginRefusal::CountBehind));
    assert_eq!(quoted(&answer, "stale"), "true");
    assert_eq!(with(1).0, Some(LoginRefusal::CountBehind));
    assert_eq!(with(0x10).0, None);
}

#[test]
fn an_old_nonce_is_stale_and_a_wrong_password_is_not() {
    let mut fw = firmware(Mode::Admin);
    let challenge = challenge(&mut fw, Interface::Network);
    fw.now = fw.now + Duration::from_secs(30 * 60);
    let right = login(&challenge, "admin", PASSWORD, 1);
    let (refusal, answer) = try_login(&mut fw, Interface::Network, &right);
    assert_eq!(refusal, Some(LoginRefusal::StaleNonce));
    assert_eq!(quoted(&answer, "stale"), "true");
    let wrong = login(&challenge, "admin", "P@ssw0rd2", 1);
    let (refusal, answer) = try_login(&mut fw, Interface::Network, &wrong);
    assert_eq!(refusal, Some(LoginRefusal::WrongResponse));
    assert_eq!(quoted(&answer, "stale"), "false");
    // The refusal's own nonce is good.
    let again = login(&answer, "admin", PASSWORD, 1);
    assert_eq!(outcome(&mut fw, Interface::Network, &again), None);
}

#[test]
fn the_operating_systems_account_is_local_and_new_at_each_boot() {
    let mut fw = firmware(Mode::PreProvisioning);
    let password = fw.local_account.password.clone();
    let challenge = challenge(&mut fw, Interface::Local);
    let login = login(&challenge, "$$OsAdmin", &password, 1);
    assert_eq!(outcome(&mut fw, Interface::Local, &login), None);

    let state = fw.state.clone();
    let profile = fw.profile.clone();
    let mut next = Firmware::power_on(
        profile,
        state,
        Rules::default(),
        crate::device::Faults::default(),
        fw.clock_at_power_on,
    );
    let challenge = super::super::testing::challenge(&mut next, Interface::Local);
    let login = super::super::testing::login(&challenge, "$$OsAdmin", &password, 1);
    assert_eq!(
        outcome(&mut next, Interface::Local, &login),
        Some(LoginRefusal::WrongResponse)
    );
}

#[test]
fn the_operating_systems_account_is_unknown_on_the_lan() {
    let mut fw = firmware(Mode::Admin);
    let password = fw.local_account.password.clone();
    let challenge = challenge(&mut fw, Interface::Network);
    let login = login(&challenge, "$$OsAdmin", &password, 1);
    assert_eq!(
        outcome(&mut fw, Interface::Network, &login),
        Some(LoginRefusal::UnknownUser)
    );
}

#[test]
fn ten_wrong_passwords_lock_the_right_one_out_too() {
    let mut fw = firmware(Mode::Admin);
    let challenge = challenge(&mut fw, Interface::Network);
    for count in 1..=10 {
        let wrong = login(&challenge, "admin", "P@ssw0rd2", count);
        assert_eq!(
            outcome(&mut fw, Interface::Network, &wrong),
            Some(LoginRefusal::WrongResponse)
        );
    }
    let right = login(&challenge, "admin", PASSWORD, 11);
    assert_eq!(
        outcome(&mut fw, Interface::Network, &right),
        Some(LoginRefusal::Locked)
    );
    fw.now = fw.now + Duration::from_secs(5);
    assert_eq!(outcome(&mut fw, Interface::Network, &right), None);
}

#[test]
fn the_lock_is_a_switch_of_the_profile() {
    let profile = Profile::builtin("tiger-lake-15").unwrap();
    let profile = profile.with("web.failures_before_lock", "0").unwrap();
    let mut fw = with_profile(profile, Mode::Admin, Rules::default());
    let challenge = challenge(&mut fw, Interface::Network);
    for count in 1..=20 {
        let wrong = login(&challenge, "admin", "P@ssw0rd2", count);
        assert_eq!(
            outcome(&mut fw, Interface::Network, &wrong),
            Some(LoginRefusal::WrongResponse)
        );
    }
}

#[rstest]
#[case("Authorization: Basic YWRtaW46YWRtaW4=\r\n")]
#[case("Authorization: Digest username=\"admin\"\r\n")]
#[case("Authorization: \r\n")]
fn what_is_no_digest_is_refused(#[case] header: &str) {
    let mut fw = firmware(Mode::Admin);
    let (answer, closes) = converse(&mut fw, Interface::Network, post(header, "").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(closes);
    assert!(events(&mut fw).contains(&Event::LoginRefused {
        stream: 0,
        user: String::new(),
        reason: LoginRefusal::Unreadable,
    }));
}
