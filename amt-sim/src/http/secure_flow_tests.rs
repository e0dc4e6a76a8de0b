//! What management servers do after set-up: give the device a certificate, turn TLS on, and come back through it.

use rstest::rstest;

use super::super::testing::{
    PASSWORD, converse, events, firmware, header, login, post, with_profile,
};
use super::*;
use crate::device::{Mode, Profile, Rules, TlsClient, digest_a1};
use crate::pki::test_client;
use crate::tls::Version;
use crate::tls::testing::{client, heard, say, spoken, text};
use crate::wsman::base64;

use Interface::{Local, Network};

const SCHEMA: &str = "http://intel.com/wbem/wscim/1/amt-schema/1";
const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
const CERTIFICATE: &str = "AMT_PublicKeyCertificate";
const SETTINGS: &str = "AMT_TLSSettingData";
const NETWORK_SETTINGS: &str = "Intel(r) AMT 802.3 TLS Settings";
const HOST_SETTINGS: &str = "Intel(r) AMT LMS TLS Settings";

pub(super) fn envelope(action: &str, class: &str, instance: &str, body: &str) -> String {
    let selectors = match instance {
        "" => String::new(),
        id => format!(
            "<w:SelectorSet><w:Selector Name=\"InstanceID\">{id}</w:Selector></w:SelectorSet>"
        ),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Envelope xmlns=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\"><Header><a:Action>{action}</a:Action>\
         <a:To>/wsman</a:To><w:ResourceURI>{SCHEMA}/{class}</w:ResourceURI><a:MessageID>1</a:MessageID>\
         <a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address>\
         </a:ReplyTo>{selectors}</Header><Body>{body}</Body></Envelope>"
    )
}

fn put(settings: &str, enabled: bool, accept_plain: bool) -> String {
    let body = format!(
        "<r:{SETTINGS} xmlns:r=\"{SCHEMA}/{SETTINGS}\"><r:AcceptNonSecureConnections>{accept_plain}\
         </r:AcceptNonSecureConnections><r:ElementName>{settings}</r:ElementName><r:Enabled>{enabled}</r:Enabled>\
         <r:InstanceID>{settings}</r:InstanceID><r:MutualAuthentication>false</r:MutualAuthentication></r:{SETTINGS}>"
    );
    envelope(&format!("{TRANSFER}/Put"), SETTINGS, settings, &body)
}

pub(super) fn call(class: &str, method: &str, input: &str) -> String {
    let body = format!("<r:{method}_INPUT xmlns:r=\"{SCHEMA}/{class}\">{input}</r:{method}_INPUT>");
    envelope(&format!("{SCHEMA}/{class}/{method}"), class, "", &body)
}

fn reference(class: &str, selector: &str, value: &str) -> String {
    format!(
        "<a:Address>/wsman</a:Address><a:ReferenceParameters><w:ResourceURI>{SCHEMA}/{class}</w:ResourceURI>\
         <w:SelectorSet><w:Selector Name=\"{selector}\">{value}</w:Selector></w:SelectorSet></a:ReferenceParameters>"
    )
}

/// A request with a login, over the port without TLS.
fn ask(fw: &mut Firmware, body: &str) -> String {
    let (challenge, _) = converse(fw, Local, post("", "").as_bytes());
    let login = login(&challenge, "admin", PASSWORD, 1);
    let (answer, _) = converse(fw, Local, post(&header(&login), body).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{body}\n{answer}");
    answer
}

/// The same over TLS. The answer and the device's certificate.
fn ask_over_tls(fw: &mut Firmware, side: Interface, body: &str) -> (String, Vec<u8>) {
    let mut converse = |request: &str| {
        let id = open(fw, side, 16993).unwrap();
        let mut client = client(Version::Tls13, true);
        say(&mut client, request.as_bytes());
        loop {
            let up = spoken(&mut client);
            receive(fw, id, &up);
            let down = take(fw, id, usize::MAX);
            heard(&mut client, &down).unwrap();
            if up.is_empty() && down.is_empty() {
                break;
            }
        }
        close(fw, id);
        let shown = client.peer_certificates().unwrap()[0].to_vec();
        (String::from_utf8(text(&mut client)).unwrap(), shown)
    };
    let (challenge, _) = converse(&post("", ""));
    assert!(challenge.starts_with("HTTP/1.1 401 "), "{challenge}");
    let login = login(&challenge, "admin", PASSWORD, 1);
    converse(&post(&header(&login), body))
}

/// Key pair, certificate, credential context, settings, commit.
fn turn_tls_on(fw: &mut Firmware, accept_plain: bool) -> Vec<u8> {
    const SERVICE: &str = "AMT_PublicKeyManagementService";
    let input = "<r:KeyAlgorithm>0</r:KeyAlgorithm><r:KeyLength>2048</r:KeyLength>";
    ask(fw, &call(SERVICE, "GenerateKeyPair", input));
    let public = crate::hex::decode(&fw.state.keys[0].public).unwrap();
    let certificate = test_client::certify("IntelAMT-0123456789ab", &public);
    let blob = base64::encode(&certificate);
    let input = format!("<r:CertificateBlob>{blob}</r:CertificateBlob>");
    let answer = ask(fw, &call(SERVICE, "AddCertificate", &input));
    let id = "Intel(r) AMT Certificate: Handle: 0";
    assert!(answer.contains(id), "{answer}");

    let class = "AMT_TLSCredentialContext";
    let collection = "TLSProtocolEndpointInstances Collection";
    let body = format!(
        "<r:{class} xmlns:r=\"{SCHEMA}/{class}\"><r:ElementInContext>{}</r:ElementInContext>\
         <r:ElementProvidingContext>{}</r:ElementProvidingContext></r:{class}>",
        reference(CERTIFICATE, "InstanceID", id),
        reference(
            "AMT_TLSProtocolEndpointCollection",
            "ElementName",
            collection
        ),
    );
    ask(
        fw,
        &envelope(&format!("{TRANSFER}/Create"), class, "", &body),
    );
    ask(fw, &put(NETWORK_SETTINGS, true, accept_plain));
    ask(fw, &put(HOST_SETTINGS, true, accept_plain));
    assert!(!listens(fw, Network, 16993), "nothing changes before");
    let commit = call("AMT_SetupAndConfigurationService", "CommitChanges", "");
    let answer = ask(fw, &commit);
    assert!(answer.contains("ReturnValue>0<"), "{answer}");
    assert!(answer.contains("Connection: close"), "the ports restart");
    certificate
}

#[rstest]
fn a_server_turns_tls_on_and_comes_back_through_it(
    #[values(Local, Network)] side: Interface,
    #[values(true, false)] accept_plain: bool,
) {
    let mut fw = firmware(Mode::Client);
    let certificate = turn_tls_on(&mut fw, accept_plain);
    assert!(listens(&fw, side, 16993));
    assert_eq!(listens(&fw, side, 16992), accept_plain);
    let get = envelope(&format!("{TRANSFER}/Get"), "AMT_GeneralSettings", "", "");
    events(&mut fw);
    let (answer, shown) = ask_over_tls(&mut fw, side, &get);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("DigestRealm"), "{answer}");
    assert_eq!(shown, certificate);
    let clients: Vec<Option<TlsClient>> = events(&mut fw)
        .into_iter()
        .filter_map(|event| match event {
            Event::TlsEstablished { client, .. } => Some(client),
            _ => None,
        })
        .collect();
    assert_eq!(clients, [None, None], "nobody was asked for a certificate");
}

/// CommitChanges over the port that it closes: the answer still gets out.
#[test]
fn a_generation_that_enforces_tls_has_it_from_the_start() {
    let profile = Profile::builtin("arrow-lake-19").unwrap();
    let mut fw = with_profile(profile, Mode::HalfClient, Rules::default());
    let realm = &fw.identity.digest_realm;
    fw.state.admin_ha1 = Some(digest_a1("admin", realm, PASSWORD));
    let commit = call("AMT_SetupAndConfigurationService", "CommitChanges", "");
    let (answer, _) = ask_over_tls(&mut fw, Local, &commit);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("ReturnValue>0<"), "{answer}");
    assert_eq!(fw.mode(), Mode::Client);
    assert!(listens(&fw, Network, 16993));
}
