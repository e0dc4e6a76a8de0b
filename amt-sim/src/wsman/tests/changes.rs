//! Put, Create and Delete.

use super::*;

const PROBE: &str = "AMT_Probe";
const FIRST: &[(&str, &str)] = &[("InstanceID", "Probe 0")];

#[test]
fn every_kind_of_value_is_written() {
    let mut bench = Bench::admin();
    insta::assert_snapshot!(match bench.send(&get(PROBE, FIRST)) {
        Reply::Answer { body, .. } => body,
        other => format!("{other:?}"),
    });
}

#[test]
fn a_put_changes_what_it_names_and_keeps_the_rest() {
    let mut bench = Bench::admin();
    let before = bench.ask(&get(PROBE, FIRST));
    let changed = bench.ask(&put(
        PROBE,
        FIRST,
        "<h:Flag>true</h:Flag><h:Small>7</h:Small>",
    ));
    let expected = before
        .replace("<g:Flag>false", "<g:Flag>true")
        .replace("<g:Small>200", "<g:Small>7");
    assert_eq!(changed, expected);
    assert_eq!(bench.ask(&get(PROBE, FIRST)), expected);
}

#[test]
fn what_was_got_can_be_put_back() {
    let mut bench = Bench::admin();
    let before = bench.ask(&get(PROBE, FIRST));
    // The prefixes of the answer, declared where clients declare them.
    let body = format!(
        "<x xmlns:b=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" xmlns:c=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" \
         xmlns:g=\"{}\" xmlns:h=\"http://schemas.dmtf.org/wbem/wscim/1/common\">{before}</x>",
        uri(PROBE)
    );
    let body = body
        .replace("<x ", "<g:AMT_Probe ")
        .replace("><g:AMT_Probe>", ">")
        .replace("</x>", "");
    let request = go(&format!("{TRANSFER}/Put"), PROBE, FIRST, &body);
    assert_eq!(bench.ask(&request), before);
    assert!(bench.fw.state.wsman.is_empty(), "nothing differs");
}

#[test]
fn read_only_properties_stay() {
    let put_fixed = put(PROBE, FIRST, "<h:Fixed>changed</h:Fixed>");
    let mut bench = Bench::admin();
    assert!(bench.ask(&put_fixed).contains("<g:Fixed>fixed<"));
    let mut bench = Bench::without(&["device.wsman.read-only-properties"]);
    assert!(bench.ask(&put_fixed).contains("<g:Fixed>changed<"));
}

#[test]
fn a_secret_is_written_and_never_read() {
    let mut bench = Bench::admin();
    let answer = bench.ask(&put(PROBE, FIRST, "<h:Secret>hidden</h:Secret>"));
    assert!(!answer.contains("Secret") && !answer.contains("hidden"));
    let journal = bench.journal().join("\n");
    assert!(!journal.contains("hidden"));
}

#[rstest::rstest]
#[case("<h:Small>256</h:Small>")]
#[case("<h:Small>-1</h:Small>")]
#[case("<h:Small>seven</h:Small>")]
#[case("<h:Flag>maybe</h:Flag>")]
#[case("<h:Digits>xyz</h:Digits>")]
#[case("<h:Blob>***</h:Blob>")]
#[case("<h:Alarm>soon</h:Alarm>")]
#[case("<h:Other>somewhere</h:Other>")]
#[case("<h:Numbers>1</h:Numbers><h:Numbers>x</h:Numbers>")]
fn a_value_of_another_type_is_a_fault(#[case] properties: &str) {
    let mut bench = Bench::admin();
    let request = put(PROBE, FIRST, properties);
    assert_eq!(bench.ask(&request), "fault: d:InvalidRepresentation");
    let mut bench = Bench::without(&["device.wsman.value-types"]);
    assert!(bench.ask(&request).starts_with("<g:AMT_Probe>"));
}

#[test]
fn arrays_are_replaced_and_may_become_empty() {
    let mut bench = Bench::admin();
    let answer = bench.ask(&put(
        PROBE,
        FIRST,
        "<h:Numbers>3</h:Numbers><h:Names></h:Names>",
    ));
    assert_eq!(answer.matches("<g:Numbers>").count(), 1);
    assert!(!answer.contains("<g:Names>"));
}

#[test]
fn what_the_class_does_not_have_is_forgiven_and_journaled() {
    let mut bench = Bench::admin();
    let request = put(
        PROBE,
        FIRST,
        "<h:Colour>red</h:Colour><h:Small>undefined</h:Small>",
    );
    assert!(bench.ask(&request).contains("<g:Small>200<"));
    insta::assert_snapshot!(bench.journal().join("\n"), @r"
    finding: Small has no value
    finding: AMT_Probe has no property Colour
    admin: Put AMT_Probe: ok
    ");
}

#[test]
fn keys_in_the_body_stand_in_for_selectors() {
    let mut bench = Bench::admin();
    let second = "<h:InstanceID>Probe 1</h:InstanceID><h:Text>x</h:Text>";
    let answer = bench.ask(&put(PROBE, &[], second));
    assert!(answer.contains("<g:InstanceID>Probe 1<") && answer.contains("<g:Text>x<"));
    assert_eq!(
        bench.ask(&put(PROBE, &[], "<h:Text>x</h:Text>")),
        "fault: e:InvalidSelectors"
    );
    let mut strict = Bench::without(&["device.wsman.partial-selectors"]);
    assert_eq!(
        strict.ask(&put(PROBE, &[], second)),
        "fault: e:InvalidSelectors"
    );
}

#[test]
fn a_body_of_another_class_is_a_fault() {
    let mut bench = Bench::admin();
    let request = go(&format!("{TRANSFER}/Put"), PROBE, FIRST, "<x/>");
    assert_eq!(bench.ask(&request), "fault: d:InvalidRepresentation");
    let request = go(&format!("{TRANSFER}/Put"), PROBE, FIRST, "");
    assert_eq!(bench.ask(&request), "fault: d:InvalidRepresentation");
}

fn create(class: &str, properties: &str) -> String {
    let body = format!(
        "<h:{class} xmlns:h=\"{}\">{properties}</h:{class}>",
        uri(class)
    );
    go(&format!("{TRANSFER}/Create"), class, &[], &body)
}

fn delete(class: &str, selectors: &[(&str, &str)]) -> String {
    go(&format!("{TRANSFER}/Delete"), class, selectors, "")
}

#[test]
fn create_delete_and_create_again() {
    let mut bench = Bench::admin();
    let new = create(
        PROBE,
        "<h:InstanceID>Probe 9</h:InstanceID><h:Small>9</h:Small>",
    );
    let made = bench.ask(&new);
    insta::assert_snapshot!(made, @r#"<g:ResourceCreated><b:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</b:Address><b:ReferenceParameters><c:ResourceURI>http://intel.com/wbem/wscim/1/amt-schema/1/AMT_Probe</c:ResourceURI><c:SelectorSet><c:Selector Name="InstanceID">Probe 9</c:Selector></c:SelectorSet></b:ReferenceParameters></g:ResourceCreated>"#);
    assert_eq!(bench.ask(&new), "fault: e:AlreadyExists");
    let ninth = [("InstanceID", "Probe 9")];
    assert!(bench.ask(&get(PROBE, &ninth)).contains("<g:Small>9<"));
    assert_eq!(bench.ask(&delete(PROBE, &ninth)), "");
    assert_eq!(
        bench.ask(&delete(PROBE, &ninth)),
        "fault: b:DestinationUnreachable"
    );
    assert_eq!(bench.ask(&new), made);
}

#[test]
fn an_instance_of_the_data_can_be_deleted() {
    let mut bench = Bench::admin();
    assert_eq!(bench.ask(&delete(PROBE, FIRST)), "");
    assert_eq!(
        bench.ask(&get(PROBE, FIRST)),
        "fault: b:DestinationUnreachable"
    );
}

#[test]
fn a_key_is_needed_to_create() {
    let mut bench = Bench::admin();
    assert_eq!(
        bench.ask(&create(PROBE, "<h:Small>9</h:Small>")),
        "fault: d:InvalidRepresentation"
    );
}

/// An EPR as Go writes it, with its own default namespaces, and as MeshCommander does, with prefixes.
fn reference(class: &str, name: &str, value: &str, prefixed: bool) -> String {
    let uri = uri(class);
    if prefixed {
        return format!(
            "<b:Address>/wsman</b:Address><b:ReferenceParameters><c:ResourceURI>{uri}</c:ResourceURI>\
             <c:SelectorSet><c:Selector Name=\"{name}\">{value}</c:Selector></c:SelectorSet></b:ReferenceParameters>"
        )
        .replace(
            "<b:Address>",
            "<b:Address xmlns:b=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\">",
        )
        .replace(
            "<b:ReferenceParameters>",
            "<b:ReferenceParameters xmlns:b=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
             xmlns:c=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\">",
        );
    }
    format!(
        "<a:Address>default</a:Address><a:ReferenceParameters><w:ResourceURI>{uri}</w:ResourceURI>\
         <w:SelectorSet><w:Selector Name=\"{name}\">{value}</w:Selector></w:SelectorSet></a:ReferenceParameters>"
    )
}

#[rstest::rstest]
#[case(false)]
#[case(true)]
fn associations_have_references_for_keys(#[case] prefixed: bool) {
    let class = "AMT_ProbeContext";
    let certificate = reference(
        "AMT_PublicKeyCertificate",
        "InstanceID",
        "Handle: 1",
        prefixed,
    );
    let other = reference(
        "AMT_PublicKeyCertificate",
        "InstanceID",
        "Handle: 2",
        prefixed,
    );
    let end = reference("AMT_Collection", "ElementName", "The Collection", prefixed);
    let mut bench = Bench::admin();
    let both = |inside: &str| {
        format!(
            "<h:ElementInContext>{inside}</h:ElementInContext>\
             <h:ElementProvidingContext>{end}</h:ElementProvidingContext>"
        )
    };
    let made = bench.ask(&create(class, &both(&certificate)));
    insta::assert_snapshot!("created_association", made);
    assert_eq!(
        bench.ask(&create(class, &both(&certificate))),
        "fault: e:AlreadyExists"
    );
    assert!(
        bench
            .ask(&create(class, &both(&other)))
            .contains("Handle: 2")
    );
    // A nested EPR in the selector, with a key spelt in another way.
    let selector = format!("<a:EndpointReference>{certificate}</a:EndpointReference>");
    let end = reference("AMT_Collection", "ElementName", "TheCollection", prefixed);
    let end = format!("<a:EndpointReference>{end}</a:EndpointReference>");
    let selectors = [
        ("ElementInContext", selector.as_str()),
        ("ElementProvidingContext", end.as_str()),
    ];
    assert!(bench.ask(&get(class, &selectors)).contains("Handle: 1"));
    assert_eq!(bench.ask(&delete(class, &selectors)), "");
    // Only one is left: nothing need be said.
    assert!(bench.ask(&get(class, &[])).contains("Handle: 2"));
    assert_eq!(bench.ask(&delete(class, &[("Name", "Handle: 2")])), "");
}

#[test]
fn unprovisioning_erases_what_was_written() {
    let mut bench = Bench::admin();
    bench.ask(&put(PROBE, FIRST, "<h:Small>7</h:Small>"));
    let reply = bench.send(&invoke(
        "AMT_SetupAndConfigurationService",
        "Unprovision",
        "<h:ProvisioningMode>1</h:ProvisioningMode>",
    ));
    assert!(matches!(
        reply,
        Reply::Answer {
            after: crate::wsman::After::PortsRestart,
            ..
        }
    ));
    assert_eq!(bench.fw.mode(), Mode::PreProvisioning);
    assert!(bench.ask(&get(PROBE, FIRST)).contains("<g:Small>200<"));
}

#[test]
fn what_was_written_is_in_the_saved_state() {
    let mut bench = Bench::admin();
    bench.ask(&put(
        PROBE,
        FIRST,
        "<h:Small>7</h:Small><h:Blob>/wA=</h:Blob>",
    ));
    bench.ask(&create(PROBE, "<h:InstanceID>Probe 9</h:InstanceID>"));
    bench.ask(&delete(PROBE, &[("InstanceID", "Probe 1")]));
    let text = serde_json::to_string_pretty(&bench.fw.state.wsman).unwrap();
    insta::assert_snapshot!(text);
    let back: crate::wsman::Overlay = serde_json::from_str(&text).unwrap();
    assert_eq!(back, bench.fw.state.wsman);
}
