//! Methods of the core classes.

use std::time::Duration;

use super::*;

const SETUP: &str = "AMT_SetupAndConfigurationService";
const TIME: &str = "AMT_TimeSynchronizationService";

fn returned(answer: &str) -> &str {
    between(answer, "<g:ReturnValue>", "</g:ReturnValue>")
}

#[test]
fn the_clock_is_read_and_set() {
    let mut bench = Bench::admin();
    bench.fw.now = bench.fw.now + Duration::from_secs(10);
    let read = invoke(TIME, "GetLowAccuracyTimeSynch", "");
    insta::assert_snapshot!(bench.ask(&read), @"<g:GetLowAccuracyTimeSynch_OUTPUT><g:Ta0>1767225610</g:Ta0><g:ReturnValue>0</g:ReturnValue></g:GetLowAccuracyTimeSynch_OUTPUT>");
    let set = invoke(
        TIME,
        "SetHighAccuracyTimeSynch",
        "<h:Ta0>1767225610</h:Ta0><h:Tm1>1800000000</h:Tm1><h:Tm2>1800000000</h:Tm2>",
    );
    // Four seconds on the way there and back.
    bench.fw.now = bench.fw.now + Duration::from_secs(4);
    assert_eq!(returned(&bench.ask(&set)), "0");
    assert_eq!(bench.fw.clock(), UnixTime(1_800_000_002));
    bench.fw.now = bench.fw.now + Duration::from_secs(3600);
    assert!(bench.ask(&read).contains("<g:Ta0>1800003602<"));
    assert!(bench.ask(&get(TIME, &[])).contains("<g:TimeSource>1<"));
}

#[test]
fn a_time_that_is_none_is_refused() {
    let mut bench = Bench::admin();
    let set = |ta0: &str| {
        invoke(
            TIME,
            "SetHighAccuracyTimeSynch",
            &format!("<h:Ta0>{ta0}</h:Ta0><h:Tm1>5</h:Tm1><h:Tm2>4</h:Tm2>"),
        )
    };
    assert_eq!(returned(&bench.ask(&set("x"))), "36");
    assert_eq!(returned(&bench.ask(&set("1"))), "36");
    let without = invoke(TIME, "SetHighAccuracyTimeSynch", "<h:Ta0>1</h:Ta0>");
    assert_eq!(bench.ask(&without), "fault: e:InvalidParameter");
}

#[test]
fn local_time_sync_can_be_switched() {
    let mut bench = Bench::admin();
    for (enable, shown) in [("false", 2), ("true", 1)] {
        let request = invoke(
            TIME,
            "EnableLocalTimeSync",
            &format!("<h:Enable>{enable}</h:Enable>"),
        );
        assert_eq!(returned(&bench.ask(&request)), "0");
        let shown = format!("<g:LocalTimeSyncEnabled>{shown}<");
        assert!(bench.ask(&get(TIME, &[])).contains(&shown));
    }
}

#[test]
fn the_host_does_not_set_a_clock_that_is_closed_to_it() {
    let mut bench = Bench::admin();
    bench.ask(&invoke(
        TIME,
        "EnableLocalTimeSync",
        "<h:Enable>false</h:Enable>",
    ));
    let set = invoke(
        TIME,
        "SetHighAccuracyTimeSynch",
        "<h:Ta0>1</h:Ta0><h:Tm1>1</h:Tm1><h:Tm2>1</h:Tm2>",
    );
    let mut bench = bench.seen_by_os_admin();
    assert_eq!(returned(&bench.ask(&set)), "16");
    let mut bench = Bench::admin().seen_by_os_admin();
    assert_eq!(returned(&bench.ask(&set)), "0");
}

#[test]
fn the_uuid_is_sixteen_octets() {
    let mut bench = Bench::admin();
    let answer = bench.ask(&invoke(SETUP, "GetUuid", ""));
    let uuid = crate::wsman::base64::decode(between(&answer, "<g:UUID>", "</g:UUID>")).unwrap();
    assert_eq!(uuid, bench.fw.identity.uuid.to_wire());
}

#[rstest::rstest]
#[case(Mode::Client, "Unprovision", "0", Mode::PreProvisioning)]
#[case(Mode::Admin, "Unprovision", "0", Mode::PreProvisioning)]
#[case(Mode::Admin, "PartialUnprovision", "0", Mode::PreProvisioning)]
#[case(Mode::HalfAdmin, "Unprovision", "0", Mode::PreProvisioning)]
#[case(Mode::PreProvisioning, "Unprovision", "32", Mode::PreProvisioning)]
#[case(Mode::Admin, "CommitChanges", "0", Mode::Admin)]
#[case(Mode::Client, "CommitChanges", "0", Mode::Client)]
#[case(Mode::HalfClient, "CommitChanges", "0", Mode::Client)]
#[case(Mode::PreProvisioning, "CommitChanges", "32", Mode::PreProvisioning)]
#[case(Mode::SetupHostBased, "CommitChanges", "2057", Mode::SetupHostBased)]
#[case(
    Mode::SetupHostBased,
    "ExtendProvisioningPeriod",
    "0",
    Mode::SetupHostBased
)]
#[case(Mode::Admin, "ExtendProvisioningPeriod", "32", Mode::Admin)]
#[case(Mode::Admin, "GetUnprovisionBlockingComponents", "0", Mode::Admin)]
fn what_the_mode_allows(
    #[case] mode: Mode,
    #[case] method: &str,
    #[case] value: &str,
    #[case] after: Mode,
) {
    let mut bench = Bench::of("tiger-lake-15", mode, &[]);
    let answer = bench.ask(&invoke(SETUP, method, "<h:Duration>3</h:Duration>"));
    assert_eq!(returned(&answer), value, "{answer}");
    assert_eq!(bench.fw.mode(), after);
}

#[test]
fn commit_ends_setup_mode_once_there_is_a_password() {
    let mut bench = Bench::of("tiger-lake-15", Mode::SetupHostBased, &[]);
    bench.fw.state.admin_ha1 = Some("0".repeat(32));
    let answer = bench.ask(&invoke(SETUP, "CommitChanges", ""));
    assert_eq!(returned(&answer), "0");
    assert_eq!(bench.fw.mode(), Mode::Admin);
}

#[test]
fn from_amt_19_on_commit_wants_the_mebx_password_first() {
    let commit = invoke(SETUP, "CommitChanges", "");
    let mut bench = Bench::of("arrow-lake-19", Mode::SetupHostBased, &[]);
    bench.fw.state.admin_ha1 = Some("0".repeat(32));
    assert_eq!(returned(&bench.ask(&commit)), "2057");
    let set = invoke(
        SETUP,
        "SetMEBxPassword",
        "<h:Password>P@ssw0rd1</h:Password>",
    );
    assert_eq!(returned(&bench.ask(&set)), "0");
    assert_eq!(returned(&bench.ask(&commit)), "0");
    let mut bench = Bench::of(
        "arrow-lake-19",
        Mode::SetupHostBased,
        &["device.wsman.commit-needs-mebx-password"],
    );
    bench.fw.state.admin_ha1 = Some("0".repeat(32));
    assert_eq!(returned(&bench.ask(&commit)), "0");
}

#[rstest::rstest]
#[case(Mode::Admin, "P@ssw0rd1", "0")]
#[case(Mode::Admin, "weak", "2054")]
#[case(Mode::Client, "P@ssw0rd1", "16")]
fn the_mebx_password_must_be_strong(
    #[case] mode: Mode,
    #[case] password: &str,
    #[case] value: &str,
) {
    let mut bench = Bench::of("tiger-lake-15", mode, &[]);
    let input = format!("<h:Password>{password}</h:Password>");
    let answer = bench.ask(&invoke(SETUP, "SetMEBxPassword", &input));
    assert_eq!(returned(&answer), value);
}

#[test]
fn zero_touch_is_memory_and_seen_everywhere() {
    let mut bench = Bench::admin();
    assert!(bench.fw.state.zero_touch);
    let off = "<h:ZeroTouchConfigurationEnabled>false</h:ZeroTouchConfigurationEnabled>";
    let answer = bench.ask(&put(SETUP, &[], off));
    assert!(answer.contains("<g:ZeroTouchConfigurationEnabled>false<"));
    assert!(!bench.fw.state.zero_touch);
}

#[test]
fn methods_are_journaled_with_what_they_returned() {
    let mut bench = Bench::admin();
    bench.ask(&invoke(SETUP, "ExtendProvisioningPeriod", ""));
    bench.ask(&invoke(SETUP, "GetUuid", ""));
    insta::assert_snapshot!(bench.journal().join("\n"), @r"
    admin: ExtendProvisioningPeriod AMT_SetupAndConfigurationService: 32 INVALID_PROVISIONING_STATE
    admin: GetUuid AMT_SetupAndConfigurationService: 0 SUCCESS
    ");
}

/// Empty input, none at all, and the child that one client library adds.
#[rstest::rstest]
#[case("<h:GetUuid_INPUT xmlns:h=\"x\"/>")]
#[case("<h:GetUuid_INPUT xmlns:h=\"x\"><h:_method_dummy/></h:GetUuid_INPUT>")]
#[case("")]
fn input_may_be_written_in_many_ways(#[case] body: &str) {
    let mut bench = Bench::admin();
    let action = format!("{}/GetUuid", uri(SETUP));
    let answer = bench.ask(&go(&action, SETUP, &[], body));
    assert_eq!(returned(&answer), "0");
}
