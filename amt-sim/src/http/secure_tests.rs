//! HTTP through TLS, with rustls' own client at the other end.

use rstest::rstest;
use rustls::client::ClientConnection;

use super::super::testing::{PASSWORD, events, header, login, post, quoted, with_profile, without};
use super::*;
use crate::device::{Mode, Profile, Rules, TlsPort, TlsSettings};
use crate::pki::{ProvisioningIdentity, SelfSigned, test_client};
use crate::tls::testing::{client, client_with, heard, say, spoken, text};
use crate::tls::{FailureKind, Version};
use crate::wsman::testing::{store_certificate, store_key};

use Interface::{Local, Network};
use Version::{Tls12, Tls13};

const GET: &[u8] = b"GET /logon.htm HTTP/1.1\r\nHost: amt\r\n\r\n";

/// A device with TLS on towards the LAN, changed as told.
fn firmware(rules: Rules, change: impl FnOnce(&mut TlsPort)) -> Firmware {
    let profile = Profile::builtin("tiger-lake-15").unwrap();
    let mut fw = with_profile(profile, Mode::Admin, rules);
    let mut settings = TlsSettings::in_force(&fw);
    settings.network.enabled = true;
    change(&mut settings.network);
    fw.state.tls = Some(settings);
    fw
}

fn plain() -> Firmware {
    firmware(Rules::default(), |_| {})
}

/// Carries bytes to and fro until both are silent.
fn talk(
    fw: &mut Firmware,
    id: StreamId,
    client: &mut ClientConnection,
) -> Result<(), rustls::Error> {
    loop {
        let up = spoken(client);
        receive(fw, id, &up);
        let down = take(fw, id, usize::MAX);
        heard(client, &down)?;
        if up.is_empty() && down.is_empty() {
            return Ok(());
        }
    }
}

/// What one new connection answers, and whether both sides then say goodbye.
fn ask(fw: &mut Firmware, version: Version, request: &[u8]) -> (String, bool) {
    let id = open(fw, Network, 16993).unwrap();
    let mut client = client(version, false);
    say(&mut client, request);
    talk(fw, id, &mut client).unwrap();
    let answer = String::from_utf8(text(&mut client)).unwrap();
    let goodbye = client.process_new_packets().unwrap().peer_has_closed();
    assert_eq!(goodbye, finished(fw, id));
    close(fw, id);
    (answer, goodbye)
}

fn failures(fw: &mut Firmware) -> Vec<FailureKind> {
    let of = |event| match event {
        Event::TlsFailed { reason, .. } => Some(reason),
        _ => None,
    };
    events(fw).into_iter().filter_map(of).collect()
}

#[rstest]
fn a_page_over_tls(#[values(Tls12, Tls13)] version: Version) {
    let mut fw = plain();
    let (answer, goodbye) = ask(&mut fw, version, GET);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(!goodbye);
    let events = events(&mut fw);
    let established = events.iter().find_map(|event| match event {
        Event::TlsEstablished {
            version,
            cipher,
            client,
            certificate,
            ..
        } => Some((*version, cipher.as_str(), client, certificate.len())),
        _ => None,
    });
    let (shown, cipher, client, fingerprint) = established.unwrap();
    assert_eq!((shown, client, fingerprint), (version, &None, 64));
    assert!(cipher.starts_with("TLS_"), "{cipher}");
    assert!(events.contains(&Event::Assumed {
        requirement: "device.assumed.self-signed-certificate".to_owned()
    }));
}

#[rstest]
#[case("[\"1.2\"]", Tls13)]
#[case("[\"1.3\"]", Tls12)]
fn the_profile_says_which_versions(#[case] versions: &str, #[case] spoken_by_peer: Version) {
    let profile = Profile::builtin("arrow-lake-19").unwrap();
    let profile = profile.with("tls.versions", versions).unwrap();
    let mut fw = with_profile(profile, Mode::Admin, Rules::default());
    let id = open(&mut fw, Network, 16993).unwrap();
    let mut client = client(spoken_by_peer, false);
    assert!(talk(&mut fw, id, &mut client).is_err());
    assert_eq!(failures(&mut fw), [FailureKind::Incompatible]);
}

/// One management server hangs for good when the connection stays up after 401.
#[rstest]
fn a_refused_login_ends_the_connection(#[values(Tls12, Tls13)] version: Version) {
    let mut fw = plain();
    let (challenge, goodbye) = ask(&mut fw, version, post("", "").as_bytes());
    assert!(challenge.starts_with("HTTP/1.1 401 "), "{challenge}");
    assert!(goodbye);
    assert_eq!(quoted(&challenge, "realm"), fw.identity.digest_realm);

    let login = login(&challenge, "admin", PASSWORD, 1);
    events(&mut fw);
    ask(&mut fw, version, post(&header(&login), "").as_bytes());
    let user = events(&mut fw).into_iter().find_map(|event| match event {
        Event::HttpRequest { user, .. } => user,
        _ => None,
    });
    assert_eq!(user.as_deref(), Some("admin"));
}

#[test]
fn requests_and_answers_of_any_length_on_one_connection() {
    let mut fw = plain();
    let id = open(&mut fw, Network, 16993).unwrap();
    let mut client = client(Tls13, false);
    for _ in 0..300 {
        say(&mut client, GET);
    }
    let up = spoken(&mut client);
    for piece in up.chunks(777) {
        receive(&mut fw, id, piece);
    }
    let mut answers = Vec::new();
    loop {
        let bytes = take(&mut fw, id, 1000);
        let up = {
            heard(&mut client, &bytes).unwrap();
            spoken(&mut client)
        };
        receive(&mut fw, id, &up);
        answers.extend(text(&mut client));
        if bytes.is_empty() && up.is_empty() && pending(&fw, id) == 0 {
            break;
        }
    }
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 300);
}

fn pending(fw: &Firmware, id: StreamId) -> usize {
    fw.web.pending(id, fw.now)
}

#[test]
fn plain_http_on_the_tls_port() {
    let mut fw = plain();
    let id = open(&mut fw, Network, 16993).unwrap();
    receive(&mut fw, id, GET);
    assert!(finished(&fw, id));
    assert_eq!(take(&mut fw, id, 1), [21], "an alert record");
    assert_eq!(failures(&mut fw), [FailureKind::NotTls]);
}

#[test]
fn who_only_looks_is_no_failure() {
    let mut fw = plain();
    let id = open(&mut fw, Network, 16993).unwrap();
    end(&mut fw, id);
    assert!(finished(&fw, id));
    close(&mut fw, id);
    assert_eq!(failures(&mut fw), []);
}

#[rstest]
fn a_peer_may_close_its_side_and_wait_for_the_answer(#[values(Tls12, Tls13)] version: Version) {
    let mut fw = plain();
    let id = open(&mut fw, Network, 16993).unwrap();
    let mut client = client(version, false);
    talk(&mut fw, id, &mut client).unwrap();
    say(&mut client, GET);
    client.send_close_notify();
    talk(&mut fw, id, &mut client).unwrap();
    assert!(text(&mut client).starts_with(b"HTTP/1.1 200"));
    assert!(finished(&fw, id));
}

/// A device whose context names a certificate that somebody gave it.
fn with_certificate(fw: &mut Firmware) -> Vec<u8> {
    let identity = ProvisioningIdentity::for_name("vpro.corp.example").unwrap();
    let certificate = identity.chain[0].clone();
    store_key(fw, &identity.key);
    store_certificate(fw, 3, &certificate, false);
    if let Some(settings) = &mut fw.state.tls {
        settings.certificate = Some(3);
    }
    certificate
}

#[test]
fn the_certificate_of_the_credential_context_is_shown() {
    let mut fw = plain();
    let certificate = with_certificate(&mut fw);
    for _ in 0..2 {
        let id = open(&mut fw, Network, 16993).unwrap();
        let mut client = client(Tls12, false);
        talk(&mut fw, id, &mut client).unwrap();
        assert_eq!(
            client.peer_certificates().unwrap(),
            [certificate.clone().into()]
        );
    }
    let assumed = Event::Assumed {
        requirement: "device.assumed.self-signed-certificate".to_owned(),
    };
    assert!(!events(&mut fw).contains(&assumed));
}

#[test]
fn a_certificate_without_its_key_is_not_shown() {
    let mut fw = plain();
    let certificate = with_certificate(&mut fw);
    fw.state.keys.clear();
    let id = open(&mut fw, Network, 16993).unwrap();
    let mut client = client(Tls12, false);
    talk(&mut fw, id, &mut client).unwrap();
    let shown = client.peer_certificates().unwrap();
    assert_ne!(shown, [certificate.into()]);
    assert_eq!(shown.len(), 1);
}

fn own() -> SelfSigned {
    SelfSigned::for_device("elsewhere.corp.example", "2").unwrap()
}

enum Shows {
    Nothing,
    /// Signed by the root that the device trusts.
    Trusted,
    /// Signed by nobody that the device knows.
    Own,
    /// Signed by the root, but not a client's.
    Server,
}

#[rstest]
#[case(Shows::Nothing, &[], None, &[FailureKind::NoClientCertificate])]
#[case(Shows::Nothing, &[], Some("device.tls.client-certificate"), &[])]
#[case(Shows::Trusted, &[], None, &[])]
#[case(Shows::Trusted, &["Console.corp.example"], None, &[])]
#[case(Shows::Trusted, &[".corp.example"], None, &[])]
#[case(Shows::Trusted, &["other.example", "console.corp"], None, &[FailureKind::UntrustedClient])]
#[case(Shows::Trusted, &["other.example"], Some("device.tls.trusted-name"), &[])]
#[case(Shows::Own, &[], None, &[FailureKind::UntrustedClient])]
#[case(Shows::Own, &[], Some("device.tls.trusted-root"), &[])]
#[case(Shows::Server, &[], None, &[FailureKind::UntrustedClient])]
fn mutual_authentication(
    #[case] shows: Shows,
    #[case] names: &[&str],
    #[case] rule: Option<&str>,
    #[case] expected: &[FailureKind],
    #[values(Tls12, Tls13)] version: Version,
) {
    let rules = rule.map(without).unwrap_or_default();
    let mut fw = firmware(rules, |port| {
        port.mutual = true;
        port.trusted_names = names.iter().map(|name| (*name).to_owned()).collect();
    });
    let trusted = test_client::client("console.corp.example");
    store_certificate(&mut fw, 1, &trusted.chain[1], true);
    let mut client = match shows {
        Shows::Nothing => client(version, false),
        Shows::Trusted => client_with(version, Some((&trusted.chain[..1], &trusted.key))),
        Shows::Own => client_with(version, Some((&[own().certificate], &own().key))),
        Shows::Server => client(version, true),
    };
    let id = open(&mut fw, Network, 16993).unwrap();
    say(&mut client, GET);
    let outcome = talk(&mut fw, id, &mut client);
    assert_eq!(outcome.is_ok(), expected.is_empty(), "{outcome:?}");
    assert_eq!(finished(&fw, id), !expected.is_empty());
    let answered = !text(&mut client).is_empty();
    assert_eq!(answered, expected.is_empty());
    assert_eq!(failures(&mut fw), expected);
}

#[test]
fn the_journal_names_the_client() {
    let mut fw = firmware(Rules::default(), |port| port.mutual = true);
    let trusted = test_client::client("console.corp.example");
    store_certificate(&mut fw, 1, &trusted.chain[1], true);
    let mut client = client_with(Tls13, Some((&trusted.chain, &trusted.key)));
    let id = open(&mut fw, Network, 16993).unwrap();
    talk(&mut fw, id, &mut client).unwrap();
    let shown = events(&mut fw).into_iter().find_map(|event| match event {
        Event::TlsEstablished { client, .. } => client,
        _ => None,
    });
    let shown = shown.unwrap();
    assert_eq!(shown.subject, "C=US,O=amt-sim,CN=console.corp.example");
    assert_eq!((shown.sha256.len(), shown.certificates), (64, 2));
}

/// CommitChanges: everybody is told goodbye, and whoever asked for it has the answer first.
#[test]
fn a_restart_of_the_ports_says_goodbye() {
    let mut fw = plain();
    let mut clients: Vec<_> = (0..2)
        .map(|_| {
            let id = open(&mut fw, Network, 16993).unwrap();
            let mut client = client(Tls13, false);
            talk(&mut fw, id, &mut client).unwrap();
            (id, client)
        })
        .collect();
    let asker = clients[0].0;
    fw.web.restart(asker);
    if let Some(stream) = fw.web.streams.get_mut(&asker) {
        stream.output.extend(b"answer");
        stream.seal();
    }
    for (id, client) in &mut clients {
        assert!(finished(&fw, *id));
        heard(client, &take(&mut fw, *id, usize::MAX)).unwrap();
        assert!(client.process_new_packets().unwrap().peer_has_closed());
    }
    assert_eq!(text(&mut clients[0].1), b"answer");
}

#[test]
fn a_generation_that_enforces_tls_speaks_it_to_its_host() {
    let profile = Profile::builtin("arrow-lake-19").unwrap();
    let mut fw = with_profile(profile, Mode::PreProvisioning, Rules::default());
    assert!(open(&mut fw, Local, 16992).is_err());
    let id = open(&mut fw, Local, 16993).unwrap();
    let mut client = client(Tls12, true);
    say(&mut client, post("", "").as_bytes());
    talk(&mut fw, id, &mut client).unwrap();
    assert!(text(&mut client).starts_with(b"HTTP/1.1 401 "));
}
