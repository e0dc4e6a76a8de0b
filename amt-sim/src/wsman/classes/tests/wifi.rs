use rstest::rstest;

use super::{Answer, Bench, e, r};
use crate::pki::ProvisioningIdentity;
use crate::wsman::base64;

const PORT: &str = "CIM_WiFiPort";
const SERVICE: &str = "AMT_WiFiPortConfigurationService";
const PROFILE: &str = "CIM_WiFiEndpointSettings";
const ENTERPRISE: &str = "CIM_IEEE8021xSettings";
const CERTIFICATE: &str = "AMT_PublicKeyCertificate";

/// A profile as public agents send it: embedded children in the namespace of their own class.
fn profile(name: &str, priority: &str, authentication: &str) -> String {
    let own = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_WiFiEndpointSettings";
    let child = |name: &str, text: &str| format!("<q:{name}>{text}</q:{name}>");
    let children = child("ElementName", name)
        + &child(
            "InstanceID",
            &format!("Intel(r) AMT:WiFi Endpoint Settings {name}"),
        )
        + &child("AuthenticationMethod", authentication)
        + &child("EncryptionMethod", "4")
        + &child("SSID", "guest net")
        + &child("Priority", priority)
        + &child("PSKPassPhrase", "correct horse");
    format!(
        "<h:WiFiEndpointSettingsInput xmlns:q=\"{own}\">{children}</h:WiFiEndpointSettingsInput>"
    )
}

fn endpoint() -> String {
    r(
        "WiFiEndpoint",
        "CIM_WiFiEndpoint",
        &[("Name", "WiFi Endpoint 0")],
    )
}

fn add(bench: &mut Bench, settings: &str) -> Answer {
    bench.call(SERVICE, "AddWiFiSettings", &(endpoint() + settings))
}

#[test]
fn a_machine_without_wireless_has_none_of_it() {
    let mut bench = Bench::admin();
    for class in [PORT, SERVICE, PROFILE] {
        assert_eq!(bench.all(class).fault, "b:DestinationUnreachable");
    }
}

#[test]
fn the_port_goes_on_and_off() {
    let mut bench = Bench::wireless();
    for (state, expected) in [("32769", 0), ("3", 0), ("2", 5)] {
        let input = e("RequestedState", state);
        assert_eq!(
            bench.call(PORT, "RequestStateChange", &input).value(),
            expected
        );
    }
    let mut bench = bench.power_cycle();
    let answer = bench.all(PORT).ok();
    assert_eq!(answer.text("EnabledState"), Some("3"));
    let mac = crate::hex::encode(&bench.fw.identity.wireless_mac.0);
    assert_eq!(answer.text("PermanentAddress"), Some(mac.as_str()));
}

#[test]
fn profiles_are_kept_without_showing_their_secret() {
    let mut bench = Bench::wireless();
    let answer = add(&mut bench, &profile("home", "1", "6"));
    assert_eq!(answer.value(), 0);
    let id = "Intel(r) AMT:WiFi Endpoint Settings home";
    assert_eq!(answer.selector("InstanceID"), Some(id));
    assert_eq!(add(&mut bench, &profile("work", "2", "6")).value(), 0);
    let mut bench = bench.power_cycle();
    let answer = bench.all(PROFILE).ok();
    assert_eq!(answer.texts("ElementName"), ["home", "work"]);
    assert_eq!(answer.text("SSID"), Some("guest net"));
    assert!(!answer.body.contains("correct horse"));
    let text = serde_json::to_string(&bench.fw.state).unwrap();
    assert!(text.contains("correct horse"));
    bench.delete(PROFILE, ("InstanceID", id)).ok();
    assert_eq!(bench.all(PROFILE).texts("ElementName"), ["work"]);
    bench.unprovision();
    assert!(bench.all(PROFILE).texts("ElementName").is_empty());
}

#[rstest]
#[case::same_name(profile("home", "2", "6"), 3)]
#[case::same_priority(profile("work", "1", "6"), 3)]
#[case::no_priority(profile("work", "0", "6"), 3)]
#[case::short_phrase(profile("work", "2", "6").replace("correct horse", "short"), 3)]
#[case::no_network(profile("work", "2", "6").replace("guest net", ""), 3)]
#[case::wep(profile("work", "2", "3"), 3)]
#[case::enterprise_without_settings(profile("work", "2", "7"), 3)]
#[case::open_enhanced(profile("work", "2", "32769"), 0)]
fn profiles_are_whole_and_apart(#[case] settings: String, #[case] expected: u32) {
    let mut bench = Bench::wireless();
    add(&mut bench, &profile("home", "1", "6"));
    assert_eq!(add(&mut bench, &settings).value(), expected);
}

#[test]
fn a_profile_belongs_to_the_endpoint() {
    let mut bench = Bench::wireless();
    let other = r(
        "WiFiEndpoint",
        "CIM_WiFiEndpoint",
        &[("Name", "WiFi Endpoint 7")],
    );
    let input = other + &profile("home", "1", "6");
    let answer = bench.call(SERVICE, "AddWiFiSettings", &input);
    assert_eq!(answer.value(), 4);
}

#[test]
fn an_update_replaces_and_a_purge_removes() {
    let mut bench = Bench::wireless();
    add(&mut bench, &profile("home", "1", "6"));
    let id = ("InstanceID", "Intel(r) AMT:WiFi Endpoint Settings home");
    let input = r("WiFiEndpointSettings", PROFILE, &[id])
        + &profile("home", "5", "6").replace("guest net", "other net");
    let answer = bench.call(SERVICE, "UpdateWiFiSettings", &input);
    assert_eq!(answer.value(), 0);
    let answer = bench.get_by(PROFILE, id).ok();
    assert_eq!(answer.text("SSID"), Some("other net"));
    assert_eq!(answer.text("Priority"), Some("5"));
    let unknown = input.replace("Settings home</w:", "Settings else</w:");
    let answer = bench.call(SERVICE, "UpdateWiFiSettings", &unknown);
    assert_eq!(answer.value(), 4);
    assert_eq!(bench.call(SERVICE, "DeleteAllUserProfiles", "").value(), 0);
    assert_eq!(bench.all(PROFILE).texts("ElementName"), ["home"]);
    assert_eq!(bench.call(SERVICE, "DeleteAllITProfiles", "").value(), 0);
    assert!(bench.all(PROFILE).texts("ElementName").is_empty());
}

/// Stores a root certificate and gives its handle.
fn root(bench: &mut Bench) -> String {
    let chain = ProvisioningIdentity::for_name("host.corp.example")
        .unwrap()
        .chain;
    let input = e("CertificateBlob", &base64::encode(&chain[2]));
    let service = "AMT_PublicKeyManagementService";
    let answer = bench.call(service, "AddTrustedRootCertificate", &input);
    answer.selector("InstanceID").unwrap().to_owned()
}

#[test]
fn an_enterprise_profile_uses_certificates() {
    let mut bench = Bench::wireless();
    let handle = root(&mut bench);
    let enterprise = "<h:IEEE8021xSettingsInput><q:AuthenticationProtocol xmlns:q=\"u\">2\
                      </q:AuthenticationProtocol><q:Username xmlns:q=\"u\">me</q:Username>\
                      <q:Password xmlns:q=\"u\">secret word</q:Password></h:IEEE8021xSettingsInput>";
    let settings = profile("corp", "1", "7")
        + enterprise
        + &r("CACredential", CERTIFICATE, &[("InstanceID", &handle)]);
    let answer = add(&mut bench, &settings);
    assert_eq!(answer.value(), 0);
    assert!(answer.body.contains("IEEE 802.1x Settings corp"));
    let answer = bench.all(ENTERPRISE).ok();
    assert_eq!(answer.text("Username"), Some("me"));
    assert!(!answer.body.contains("secret word"));
    let contexts = bench.all("CIM_CredentialContext").ok();
    assert_eq!(contexts.selector("InstanceID"), Some(handle.as_str()));
    let in_use = bench.delete(CERTIFICATE, ("InstanceID", &handle));
    assert_eq!(in_use.fault, "e:AccessDenied");
    let id = ("InstanceID", "Intel(r) AMT:WiFi Endpoint Settings corp");
    bench.delete(PROFILE, id).ok();
    assert!(bench.all(ENTERPRISE).texts("Username").is_empty());
    bench.delete(CERTIFICATE, ("InstanceID", &handle)).ok();
}

#[test]
fn a_missing_certificate_keeps_nothing() {
    let mut bench = Bench::wireless();
    let enterprise = "<h:IEEE8021xSettingsInput><h:AuthenticationProtocol>0\
                      </h:AuthenticationProtocol></h:IEEE8021xSettingsInput>";
    let missing = r(
        "ClientCredential",
        CERTIFICATE,
        &[("InstanceID", "Intel(r) AMT Certificate: Handle: 4")],
    );
    let settings = profile("corp", "1", "7") + enterprise + &missing;
    assert_eq!(add(&mut bench, &settings).value(), 4);
    assert!(bench.all(PROFILE).texts("ElementName").is_empty());
    assert!(bench.all(ENTERPRISE).texts("Username").is_empty());
}

#[test]
fn synchronization_and_sharing_are_put() {
    let mut bench = Bench::wireless();
    let body =
        e("localProfileSynchronizationEnabled", "3") + &e("UEFIWiFiProfileShareEnabled", "1");
    bench.put(SERVICE, &[], &body).ok();
    let mut bench = bench.power_cycle();
    let answer = bench.get(SERVICE).ok();
    assert_eq!(answer.text("localProfileSynchronizationEnabled"), Some("3"));
    assert_eq!(answer.text("UEFIWiFiProfileShareEnabled"), Some("true"));
    let odd = e("localProfileSynchronizationEnabled", "2");
    assert_eq!(
        bench.put(SERVICE, &[], &odd).fault,
        "d:InvalidRepresentation"
    );
}

#[test]
fn wired_enterprise_settings() {
    let class = "IPS_IEEE8021xSettings";
    let mut bench = Bench::admin();
    assert_eq!(bench.get(class).ok().text("Enabled"), Some("3"));
    let handle = root(&mut bench);
    bench
        .put(class, &[], &(e("Enabled", "2") + &e("Username", "me")))
        .ok();
    let input = r(
        "ServerCertificateIssuer",
        CERTIFICATE,
        &[("InstanceID", &handle)],
    );
    assert_eq!(bench.call(class, "SetCertificates", &input).value(), 0);
    let contexts = bench.all("IPS_8021xCredentialContext").ok();
    assert_eq!(contexts.selector("InstanceID"), Some(handle.as_str()));
    bench.put(class, &[], &e("Enabled", "3")).ok();
    let contexts = bench.all("IPS_8021xCredentialContext");
    assert_eq!(contexts.selector("InstanceID"), None);
    let odd = bench.put(class, &[], &e("Enabled", "1"));
    assert_eq!(odd.fault, "d:InvalidRepresentation");
}
