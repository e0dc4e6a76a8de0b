//! The same requests as different clients write them.

use super::*;

const GENERAL: &str = "AMT_GeneralSettings";

/// MeshCommander: no XML declaration's encoding in capitals, prefixes a and w, selectors after the timeout.
fn mesh_commander(action: &str, class: &str, selectors: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Envelope xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" xmlns=\"http://www.w3.org/2003/05/soap-envelope\">\
         <Header><a:Action>{action}</a:Action><a:To>/wsman</a:To><w:ResourceURI>{}</w:ResourceURI>\
         <a:MessageID>1</a:MessageID><a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous\
         </a:Address></a:ReplyTo><w:OperationTimeout>PT60.000S</w:OperationTimeout>{selectors}</Header>{body}</Envelope>",
        uri(class)
    )
}

/// openwsman: prefixes of its own, mustUnderstand on its headers, the whole URL in To.
fn openwsman(action: &str, class: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:wsa=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" xmlns:wsman=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" \
         xmlns:wsen=\"http://schemas.xmlsoap.org/ws/2004/09/enumeration\">\n  <s:Header>\n    \
         <wsa:Action s:mustUnderstand=\"true\">{action}</wsa:Action>\n    \
         <wsa:To s:mustUnderstand=\"true\">http://127.0.0.9:16992/wsman</wsa:To>\n    \
         <wsman:ResourceURI s:mustUnderstand=\"true\">{}</wsman:ResourceURI>\n    \
         <wsa:MessageID s:mustUnderstand=\"true\">uuid:5a4b3c2d-0000-1000-8002-000000000001</wsa:MessageID>\n    \
         <wsa:ReplyTo>\n      <wsa:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:Address>\n    \
         </wsa:ReplyTo>\n  </s:Header>\n  <s:Body>{body}</s:Body>\n</s:Envelope>\n",
        uri(class)
    )
}

#[test]
fn openwsman_gets_its_message_id_back() {
    let mut bench = Bench::admin();
    let Reply::Answer { body, .. } =
        bench.send(&openwsman(&format!("{TRANSFER}/Get"), GENERAL, ""))
    else {
        panic!("no answer");
    };
    assert!(body.contains("<b:RelatesTo>uuid:5a4b3c2d-0000-1000-8002-000000000001</b:RelatesTo>"));
    assert_eq!(bench.journal(), ["admin: Get AMT_GeneralSettings: ok"]);
}

#[test]
fn openwsman_enumerates_with_an_optimisation_that_nobody_has_to_do() {
    let mut bench = Bench::admin();
    let body = "\n    <wsen:Enumerate>\n      <wsman:OptimizeEnumeration/>\n      <wsman:MaxElements>20</wsman:MaxElements>\n    </wsen:Enumerate>";
    let answer = bench.ask(&openwsman(
        &format!("{ENUMERATION}/Enumerate"),
        GENERAL,
        body,
    ));
    let context = between(&answer, "<g:EnumerationContext>", "</g:EnumerationContext>");
    let body = format!(
        "<wsen:Pull><wsen:EnumerationContext>{context}</wsen:EnumerationContext></wsen:Pull>"
    );
    let answer = bench.ask(&openwsman(&format!("{ENUMERATION}/Pull"), GENERAL, &body));
    assert!(answer.contains("<h:AMT_GeneralSettings>"));
    assert!(answer.contains("<g:EndOfSequence>"));
}

#[test]
fn openwsman_calls_a_method() {
    let class = "AMT_TimeSynchronizationService";
    let uri = uri(class);
    let body = format!("<n1:GetLowAccuracyTimeSynch_INPUT xmlns:n1=\"{uri}\"/>");
    let mut bench = Bench::admin();
    let answer = bench.ask(&openwsman(
        &format!("{uri}/GetLowAccuracyTimeSynch"),
        class,
        &body,
    ));
    assert!(answer.contains("<g:Ta0>"));
}

#[test]
fn mesh_commander_identifies_an_instance_by_all_it_knows() {
    let mut bench = Bench::admin();
    let selectors = "<w:SelectorSet><w:Selector Name=\"CreationClassName\">AMT_SetupAndConfigurationService</w:Selector>\
        <w:Selector Name=\"EnabledState\">2</w:Selector><w:Selector Name=\"SystemName\">Intel(r) AMT</w:Selector></w:SelectorSet>";
    let answer = bench.ask(&mesh_commander(
        &format!("{TRANSFER}/Get"),
        "AMT_SetupAndConfigurationService",
        selectors,
        "<Body />",
    ));
    assert!(answer.contains("<g:ProvisioningState>2<"));
}

#[test]
fn mesh_commander_puts_with_its_own_prefix() {
    let mut bench = Bench::admin();
    let body = format!(
        "<Body><r:{GENERAL} xmlns:r=\"{}\"><r:HostName>renamed</r:HostName><r:AMTNetworkEnabled>1</r:AMTNetworkEnabled>\
         <r:RmcpPingResponseEnabled>false</r:RmcpPingResponseEnabled></r:{GENERAL}></Body>",
        uri(GENERAL)
    );
    let answer = bench.ask(&mesh_commander(
        &format!("{TRANSFER}/Put"),
        GENERAL,
        "",
        &body,
    ));
    assert!(answer.contains("<g:HostName>renamed<"));
    assert!(answer.contains("<g:RmcpPingResponseEnabled>false<"));
}

#[test]
fn a_bare_ampersand_is_forgiven_or_not() {
    let request = invoke(
        "AMT_SetupAndConfigurationService",
        "SetMEBxPassword",
        "<h:Password>P&ssw0rd1</h:Password>",
    );
    let mut bench = Bench::admin();
    assert!(bench.ask(&request).contains("<g:ReturnValue>0<"));
    assert!(bench.journal()[0].starts_with("finding: not well-formed"));
    let mut strict = Bench::without(&["device.wsman.forgiving"]);
    assert_eq!(strict.ask(&request), "fault: e:SchemaValidationError");
}

#[test]
fn missing_headers_are_forgiven_or_not() {
    let request = format!(
        "<Envelope><Header><Action>{TRANSFER}/Get</Action><ResourceURI>{}</ResourceURI></Header><Body/></Envelope>",
        uri(GENERAL)
    );
    let mut bench = Bench::admin();
    let Reply::Answer { body, .. } = bench.send(&request) else {
        panic!("no answer");
    };
    assert!(!body.contains("RelatesTo"));
    insta::assert_snapshot!(bench.journal().join("\n"), @r#"
    finding: the Envelope is in namespace "", not SOAP 1.2
    finding: there is no MessageID header
    finding: there is no To header
    finding: there is no ReplyTo header
    admin: Get AMT_GeneralSettings: ok
    "#);
    let mut strict = Bench::without(&["device.wsman.forgiving"]);
    assert_eq!(strict.ask(&request), "fault: e:SchemaValidationError");
}

#[test]
fn identify() {
    let mut bench = Bench::admin().seen_by(&[]);
    let request = "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
        xmlns:wsmid=\"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd\"><s:Header/><s:Body><wsmid:Identify/></s:Body></s:Envelope>";
    let Reply::Answer { body, .. } = bench.send(request) else {
        panic!("no answer");
    };
    insta::assert_snapshot!(body);
}
