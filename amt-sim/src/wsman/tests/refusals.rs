//! Who may not, and what there is not.

use super::*;

const SETUP: &str = "AMT_SetupAndConfigurationService";
const TIME: &str = "AMT_TimeSynchronizationService";
const REFUSED: &str = "not authorized";

#[test]
fn os_admin_reads_what_is_local_and_calls_no_administrators_method() {
    let mut bench = Bench::admin().seen_by_os_admin();
    for class in ["AMT_GeneralSettings", SETUP, TIME] {
        assert!(
            bench
                .ask(&get(class, &[]))
                .starts_with(&format!("<g:{class}>"))
        );
    }
    let clock = invoke(TIME, "GetLowAccuracyTimeSynch", "");
    assert!(bench.ask(&clock).contains("<g:ReturnValue>0<"));
    for method in ["Unprovision", "CommitChanges", "SetMEBxPassword"] {
        let call = invoke(SETUP, method, "<h:Password>P@ssw0rd1</h:Password>");
        assert_eq!(bench.ask(&call), REFUSED, "{method}");
    }
    let put = put("AMT_GeneralSettings", &[], "<h:HostName>x</h:HostName>");
    assert_eq!(bench.ask(&put), REFUSED);
    assert_eq!(bench.ask(&get("AMT_Probe", &[])), REFUSED);
    assert_eq!(bench.fw.mode(), Mode::Admin);
}

#[test]
fn an_account_has_its_realms() {
    let first = [("InstanceID", "Probe 0")];
    let change = put("AMT_Probe", &first, "<h:Small>1</h:Small>");

    let mut bench = Bench::admin().seen_by(&[Realm::REMOTE_CONTROL]);
    assert!(bench.ask(&get("AMT_Probe", &first)).contains("Probe 0"));
    assert!(bench.ask(&change).contains("<g:Small>1<"));
    assert_eq!(bench.ask(&get("AMT_GeneralSettings", &[])), REFUSED);

    let mut bench = Bench::admin().seen_by(&[Realm::GENERAL_INFO]);
    assert!(
        bench
            .ask(&get("AMT_GeneralSettings", &[]))
            .contains("HostName")
    );
    let put = put("AMT_GeneralSettings", &[], "<h:HostName>x</h:HostName>");
    assert_eq!(bench.ask(&put), REFUSED, "this realm only looks");
    assert_eq!(bench.ask(&change), REFUSED);

    let mut bench = Bench::admin().seen_by(&[Realm::ADMINISTRATION]);
    assert!(bench.ask(&put).contains("<g:HostName>x<"));

    let mut bench = Bench::admin().seen_by(&[]);
    bench.fw.state.accounts.clear();
    assert_eq!(bench.ask(&get("AMT_GeneralSettings", &[])), REFUSED);
}

#[test]
fn without_the_rule_everybody_may() {
    let mut bench = Bench::without(&["device.wsman.realms"]).seen_by_os_admin();
    assert!(
        bench
            .ask(&invoke(SETUP, "Unprovision", ""))
            .contains("<g:ReturnValue>0<")
    );
}

#[test]
fn a_refusal_is_journaled() {
    let mut bench = Bench::admin().seen_by_os_admin();
    bench.ask(&invoke(SETUP, "Unprovision", ""));
    assert_eq!(
        bench.journal(),
        ["$$OsAdmin: Unprovision AMT_SetupAndConfigurationService: NotAuthorized"]
    );
}

#[test]
fn operations_and_methods_that_a_class_lacks() {
    let mut bench = Bench::admin();
    let lacking = "fault: b:ActionNotSupported";
    let create = go(
        &format!("{TRANSFER}/Create"),
        "AMT_GeneralSettings",
        &[],
        "<x/>",
    );
    assert_eq!(bench.ask(&create), lacking);
    assert_eq!(bench.ask(&invoke(SETUP, "Nonsense", "")), lacking);
    let lacking_code = invoke("AMT_Probe", "Lacking", "<h:Needed>1</h:Needed>");
    assert_eq!(bench.ask(&lacking_code), lacking);
    let subscribe = go(
        "http://schemas.xmlsoap.org/ws/2004/08/eventing/Subscribe",
        "CIM_FilterCollection",
        &[],
        "",
    );
    assert_eq!(bench.ask(&subscribe), lacking);
    let odd = go("http://example.com/Fly", SETUP, &[], "");
    assert_eq!(bench.ask(&odd), lacking);
}

#[rstest::rstest]
#[case("tiger-lake-15", Mode::Admin, true)]
#[case("tiger-lake-15", Mode::Client, false)]
#[case("skylake-11", Mode::Admin, false)]
#[case("alder-lake-16", Mode::Admin, false)]
fn a_class_may_depend_on_mode_and_generation(
    #[case] profile: &str,
    #[case] mode: Mode,
    #[case] there: bool,
) {
    let mut bench = Bench::of(profile, mode, &[]);
    let answer = bench.ask(&get("AMT_ProbeInAdmin", &[]));
    assert_eq!(answer.contains("<g:Flag>true<"), there, "{answer}");
    assert_eq!(answer == "fault: b:DestinationUnreachable", !there);
}

#[test]
fn an_instance_may_depend_on_the_mode() {
    let third = get("AMT_Probe", &[("InstanceID", "Probe 2")]);
    let mut bench = Bench::of("tiger-lake-15", Mode::Client, &[]);
    assert!(bench.ask(&third).contains("Probe 2"));
    let mut bench = Bench::admin();
    assert_eq!(bench.ask(&third), "fault: b:DestinationUnreachable");
}

#[rstest::rstest]
#[case("<nothing/>", "e:SchemaValidationError")]
#[case("not XML at all", "e:SchemaValidationError")]
#[case("", "e:SchemaValidationError")]
#[case("<Envelope><Header/></Envelope>", "e:SchemaValidationError")]
#[case("<Envelope><Body/></Envelope>", "b:MessageInformationHeaderRequired")]
fn what_is_no_request(#[case] text: &str, #[case] code: &str) {
    let mut bench = Bench::admin();
    assert_eq!(bench.ask(text), format!("fault: {code}"));
}

#[test]
fn a_header_that_must_be_understood() {
    let request = get("AMT_GeneralSettings", &[]).replace(
        "<w:OperationTimeout>",
        "<w:OptionSet xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" s:mustUnderstand=\"true\"/><w:OperationTimeout>",
    );
    let mut bench = Bench::admin();
    let Reply::Fault { body } = bench.send(&request) else {
        panic!("an OptionSet was understood");
    };
    assert!(body.contains("<a:Value>a:MustUnderstand</a:Value></a:Code>"));
    let mut bench = Bench::without(&["device.wsman.must-understand"]);
    assert!(bench.ask(&request).contains("HostName"));
}

#[test]
fn the_status_behind_an_internal_error_is_in_its_detail() {
    use crate::wsman::envelope::{Headers, fault};
    let headers = Headers {
        relates_to: None,
        action: "x",
        number: 1,
        resource_uri: None,
    };
    let text = fault(headers, &crate::wsman::fault::Fault::Internal(2081));
    assert!(text.contains("<a:Value>a:Receiver</a:Value>"));
    assert!(text.contains("<a:Detail><a:Text>AMT-STATUS 2081</a:Text></a:Detail>"));
}
