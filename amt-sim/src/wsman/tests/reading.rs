//! Get, and how answers look.

use super::*;

fn whole(reply: Reply) -> String {
    match reply {
        Reply::Answer { body, .. } | Reply::Fault { body } => body,
        Reply::NotAuthorized | Reply::Failed(_) => "not authorized".to_owned(),
    }
}

#[test]
fn general_settings_as_go_asks_for_them() {
    let mut bench = Bench::admin();
    let answer = whole(bench.send(&get("AMT_GeneralSettings", &[])));
    insta::assert_snapshot!(answer);
    let realm = between(&answer, "<g:DigestRealm>", "</g:DigestRealm>");
    assert_eq!(realm, bench.fw.identity.digest_realm);
}

#[test]
fn one_version_by_its_selector() {
    let mut bench = Bench::admin();
    let answer = bench.ask(&get("CIM_SoftwareIdentity", &[("InstanceID", "AMT")]));
    insta::assert_snapshot!(answer, @"<g:CIM_SoftwareIdentity><g:InstanceID>AMT</g:InstanceID><g:IsEntity>true</g:IsEntity><g:VersionString>15.0.35</g:VersionString></g:CIM_SoftwareIdentity>");
}

#[rstest::rstest]
#[case(Mode::PreProvisioning, 0, 0)]
#[case(Mode::SetupHostBased, 1, 0)]
#[case(Mode::Client, 2, 4)]
#[case(Mode::Admin, 2, 1)]
fn the_setup_service_shows_the_mode(#[case] mode: Mode, #[case] state: u8, #[case] shown: u8) {
    let mut bench = Bench::of("tiger-lake-15", mode, &[]);
    let answer = bench.ask(&get("AMT_SetupAndConfigurationService", &[]));
    assert!(answer.contains(&format!("<g:ProvisioningState>{state}<")));
    assert!(answer.contains(&format!("<g:ProvisioningMode>{shown}<")));
}

#[test]
fn an_unknown_class_is_unreachable() {
    let mut bench = Bench::admin();
    let answer = whole(bench.send(&get("AMT_Nonsense", &[])));
    insta::assert_snapshot!(answer);
    assert_eq!(
        bench.ask(&enumerate("AMT_Nonsense")),
        "fault: b:DestinationUnreachable"
    );
}

#[test]
fn an_instance_that_is_not_there_is_unreachable() {
    let mut bench = Bench::admin();
    assert_eq!(
        bench.ask(&get("CIM_SoftwareIdentity", &[("InstanceID", "Nothing")])),
        "fault: b:DestinationUnreachable"
    );
}

#[test]
fn many_instances_and_no_selector_are_ambiguous() {
    let mut bench = Bench::admin();
    assert_eq!(
        bench.ask(&get("CIM_SoftwareIdentity", &[])),
        "fault: e:InvalidSelectors"
    );
    assert_eq!(
        bench.journal(),
        [
            "assumed: device.assumed.wsman-ambiguous-selectors",
            "admin: Get CIM_SoftwareIdentity: InvalidSelectors"
        ]
    );
}

/// MeshCommander sends every property as a selector, or what it remembers of them.
#[test]
fn selectors_that_are_no_keys_do_not_count() {
    let mut bench = Bench::admin();
    let selectors = [
        ("InstanceID", "Intel(r) AMT: General Settings"),
        ("HostName", "an old name"),
        ("Nonsense", "1"),
    ];
    assert!(
        bench
            .ask(&get("AMT_GeneralSettings", &selectors))
            .contains("DigestRealm")
    );
}

#[test]
fn messages_count_up() {
    let mut bench = Bench::admin();
    for number in ["000000000001", "000000000002"] {
        let answer = whole(bench.send(&get("AMT_GeneralSettings", &[])));
        assert!(answer.contains(&format!(
            "<b:MessageID>uuid:00000000-8086-8086-8086-{number}</b:MessageID>"
        )));
    }
}
