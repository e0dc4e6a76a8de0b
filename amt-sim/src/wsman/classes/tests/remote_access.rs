use rstest::rstest;

use super::{Bench, e, r};

const SERVICE: &str = "AMT_RemoteAccessService";
const SERVER: &str = "AMT_ManagementPresenceRemoteSAP";
const RULE: &str = "AMT_RemoteAccessPolicyRule";
const APPLIES: &str = "AMT_RemoteAccessPolicyAppliesToMPS";
const FIRST: &str = "Intel(r) AMT:Management Presence Server 0";
const PERIOD: &str = "AAAAAAAAABk=";

fn server(address: &str) -> String {
    e("AccessInfo", address)
        + &e("InfoFormat", "3")
        + &e("Port", "4433")
        + &e("AuthMethod", "2")
        + &e("Username", "admin")
        + &e("Password", "P@ssw0rd1")
        + &e("CN", address)
}

fn rule(trigger: &str, data: &str) -> String {
    e("Trigger", trigger)
        + &e("TunnelLifeTime", "0")
        + &e("ExtendedData", data)
        + &r("MpServer", SERVER, &[("Name", FIRST)])
}

/// The order of a public agent, without its deletes.
fn configure(bench: &mut Bench) {
    let answer = bench.call(SERVICE, "AddMpServer", &server("198.51.100.4"));
    assert_eq!(answer.value(), 0);
    assert_eq!(answer.selector("Name"), Some(FIRST));
    let periodic = bench.call(SERVICE, "AddRemoteAccessPolicyRule", &rule("2", PERIOD));
    assert_eq!(periodic.value(), 0);
    let user = bench.call(SERVICE, "AddRemoteAccessPolicyRule", &rule("0", ""));
    assert_eq!(user.value(), 0);
}

#[test]
fn two_policies_use_one_server() {
    let mut bench = Bench::admin();
    configure(&mut bench);
    let mut bench = bench.power_cycle();
    let servers = bench.all(SERVER).ok();
    assert_eq!(servers.texts("AccessInfo"), ["198.51.100.4"]);
    let rules = bench.all(RULE).ok();
    assert_eq!(
        rules.texts("PolicyRuleName"),
        ["Periodic", "User Initiated"]
    );
    let applies = bench.all(APPLIES).ok();
    assert_eq!(applies.texts("MpsType"), ["0", "0"]);
    let users = bench.all("AMT_MPSUsernamePassword").ok();
    assert_eq!(users.texts("RemoteID"), ["admin"]);
    assert!(users.texts("Secret").is_empty(), "passwords stay inside");
    assert_eq!(bench.fw.state.mode, crate::device::Mode::Admin);
    bench.unprovision();
    assert!(bench.all(SERVER).texts("Name").is_empty());
    assert!(bench.all(APPLIES).texts("MpsType").is_empty());
}

/// Puts MpsType of the rule that the body names, with the selectors that one agent always sends.
fn put_kind(bench: &mut Bench, rule: &str) -> super::Answer {
    let full = |class, key, name| {
        [
            ("CreationClassName", class),
            (key, name),
            ("SystemCreationClassName", "CIM_ComputerSystem"),
            ("SystemName", "Intel(r) AMT"),
        ]
    };
    let body = r("PolicySet", RULE, &full(RULE, "PolicyRuleName", rule))
        + &r("ManagedElement", SERVER, &full(SERVER, "Name", FIRST))
        + &e("OrderOfAccess", "0")
        + &e("MpsType", "2");
    bench.put(APPLIES, &[("PolicyRuleName", "Periodic")], &body)
}

#[test]
fn the_kind_of_server_is_put_a_policy() {
    let mut bench = Bench::admin();
    configure(&mut bench);
    let answer = put_kind(&mut bench, "User Initiated").ok();
    assert_eq!(answer.body, "", "this Put has an empty answer");
    assert_eq!(bench.all(APPLIES).texts("MpsType"), ["0", "2"]);
    put_kind(&mut bench, "Periodic").ok();
    assert_eq!(bench.all(APPLIES).texts("MpsType"), ["2", "2"]);
}

#[test]
fn a_policy_goes_with_its_bindings_and_then_its_server() {
    let mut bench = Bench::admin();
    configure(&mut bench);
    let in_use = bench.delete(SERVER, ("Name", FIRST));
    assert_eq!(in_use.fault, "e:AccessDenied");
    for name in ["User Initiated", "Periodic"] {
        bench.delete(RULE, ("PolicyRuleName", name)).ok();
    }
    let gone = bench.delete(RULE, ("PolicyRuleName", "Alert"));
    assert_eq!(gone.fault, "b:DestinationUnreachable");
    assert!(bench.all(APPLIES).texts("MpsType").is_empty());
    bench.delete(SERVER, ("Name", FIRST)).ok();
    assert!(
        bench
            .all("AMT_MPSUsernamePassword")
            .texts("RemoteID")
            .is_empty()
    );
    assert!(
        bench
            .all("AMT_RemoteAccessCredentialContext")
            .texts("Address")
            .is_empty()
    );
    configure(&mut bench);
}

#[rstest]
#[case::same(server("198.51.100.4"), 2058)]
#[case::no_port(server("198.51.100.5").replace(">4433<", ">0<"), 36)]
#[case::no_user(server("198.51.100.5").replace(">admin<", "><"), 36)]
#[case::odd_format(server("198.51.100.5").replace(">3<", ">7<"), 36)]
#[case::host_name_as_address(server("mps.corp.example"), 0)]
fn refused_servers(#[case] input: String, #[case] expected: u32) {
    let mut bench = Bench::admin();
    configure(&mut bench);
    let answer = bench.call(SERVICE, "AddMpServer", &input);
    assert_eq!(answer.value(), expected);
}

#[rstest]
#[case::twice(rule("2", PERIOD), 2058)]
#[case::unknown_trigger(rule("7", ""), 36)]
#[case::unknown_server(rule("1", "").replace("Server 0", "Server 4"), 36)]
fn refused_rules(#[case] input: String, #[case] expected: u32) {
    let mut bench = Bench::admin();
    configure(&mut bench);
    let answer = bench.call(SERVICE, "AddRemoteAccessPolicyRule", &input);
    assert_eq!(answer.value(), expected);
}

#[test]
fn a_period_has_a_length() {
    let mut bench = Bench::admin();
    bench.call(SERVICE, "AddMpServer", &server("198.51.100.4"));
    let answer = bench.call(SERVICE, "AddRemoteAccessPolicyRule", &rule("2", ""));
    assert_eq!(answer.value(), 36);
}

#[test]
fn six_servers_are_all() {
    let mut bench = Bench::admin();
    for number in 1..=6 {
        let input = server(&format!("198.51.100.{number}"));
        assert_eq!(bench.call(SERVICE, "AddMpServer", &input).value(), 0);
    }
    let input = server("198.51.100.7");
    assert_eq!(bench.call(SERVICE, "AddMpServer", &input).value(), 23);
}

#[test]
fn environment_strings_are_replaced_as_a_whole() {
    let class = "AMT_EnvironmentDetectionSettingData";
    let key = ("InstanceID", "Intel(r) AMT Environment Detection Settings");
    let mut bench = Bench::admin();
    let body = e("DetectionStrings", "one.example") + &e("DetectionStrings", "two.example");
    bench.put(class, &[key], &body).ok();
    let mut bench = bench.power_cycle();
    let answer = bench.get(class).ok();
    assert_eq!(
        answer.texts("DetectionStrings"),
        ["one.example", "two.example"]
    );
    bench.put(class, &[key], &e("DetectionAlgorithm", "0")).ok();
    assert!(bench.get(class).texts("DetectionStrings").is_empty());
}

#[test]
fn the_user_may_ask_for_help() {
    let class = "AMT_UserInitiatedConnectionService";
    let mut bench = Bench::admin();
    for (state, expected) in [("32768", 0), ("32771", 0), ("2", 5)] {
        let input = e("RequestedState", state);
        let answer = bench.call(class, "RequestStateChange", &input);
        assert_eq!(answer.value(), expected);
    }
    assert_eq!(bench.get(class).text("EnabledState"), Some("32771"));
}

#[test]
fn a_proxy_is_known_once() {
    let class = "IPS_HTTPProxyService";
    let points = "IPS_HTTPProxyAccessPoint";
    let proxy = e("AccessInfo", "proxy.corp.example")
        + &e("InfoFormat", "201")
        + &e("Port", "8080")
        + &e("NetworkDnsSuffix", "corp.example");
    let mut bench = Bench::admin();
    assert_eq!(bench.call(class, "AddProxyAccessPoint", &proxy).value(), 0);
    assert_eq!(
        bench.call(class, "AddProxyAccessPoint", &proxy).value(),
        2058
    );
    let name = "Intel(r) ME:HTTP Proxy Access Point 0";
    assert_eq!(bench.all(points).ok().texts("Name"), [name]);
    bench.delete(points, ("Name", name)).ok();
    assert!(bench.all(points).texts("Name").is_empty());
}
