use rstest::rstest;
use rustls::AlertDescription;

use super::testing::{
    BOTH, CLIENT, CREDENTIAL, client, exchange, heard, say, spoken, stream, text,
};
use super::{ClientCertificates, Credential, CredentialError, FailureKind, Version};
use crate::pki::SelfSigned;

use ClientCertificates::{NotAsked, Optional, Required};
use Version::{Tls12, Tls13};

#[rstest]
#[case(Tls12, NotAsked, true, 0)]
#[case(Tls12, Optional, false, 0)]
#[case(Tls12, Optional, true, 3)]
#[case(Tls12, Required, true, 3)]
#[case(Tls13, NotAsked, true, 0)]
#[case(Tls13, Optional, false, 0)]
#[case(Tls13, Optional, true, 3)]
#[case(Tls13, Required, true, 3)]
fn text_goes_both_ways(
    #[case] version: Version,
    #[case] asked: ClientCertificates,
    #[case] has_certificate: bool,
    #[case] shown: usize,
    #[values(1, 7, 100_000)] piece: usize,
) {
    let mut device = stream(BOTH, asked);
    let mut client = client(version, has_certificate);
    say(&mut client, b"POST /wsman HTTP/1.1\r\n\r\n");
    exchange(&mut client, &mut device, piece).unwrap();
    assert_eq!(device.plaintext(), b"POST /wsman HTTP/1.1\r\n\r\n");
    assert_eq!(device.plaintext(), b"");
    device.send(b"HTTP/1.1 200 OK\r\n\r\n");
    exchange(&mut client, &mut device, piece).unwrap();
    assert_eq!(text(&mut client), b"HTTP/1.1 200 OK\r\n\r\n");

    let established = device.established().unwrap();
    assert_eq!(established.version, version);
    assert!(
        established.cipher.starts_with("TLS_"),
        "{}",
        established.cipher
    );
    assert_eq!(device.peer_certificates(), &CLIENT.chain[..shown]);
    let chain: Vec<_> = client.peer_certificates().unwrap().to_vec();
    assert!(chain.iter().map(|der| der.as_ref()).eq(CREDENTIAL.chain()));
    assert!(!device.finished());
    assert_eq!(device.failure(), None);
}

/// Nothing is remembered from one connection to the next, so that there is nothing to resume.
#[rstest]
fn no_ticket_is_given_out(#[values(Tls12, Tls13)] version: Version) {
    let mut device = stream(BOTH, NotAsked);
    let mut client = client(version, false);
    exchange(&mut client, &mut device, 1000).unwrap();
    assert_eq!(client.tls13_tickets_received(), 0);
    assert_eq!(client.handshake_kind(), Some(rustls::HandshakeKind::Full));
}

/// The first flight of the client, cut in two at every place.
#[rstest]
fn a_handshake_may_be_cut_anywhere(#[values(Tls12, Tls13)] version: Version) {
    let flight = spoken(&mut client(version, true));
    for cut in 1..flight.len() {
        let mut device = stream(BOTH, Required);
        device.receive(&flight[..cut]);
        assert_eq!(device.pending(), 0, "cut at {cut}");
        device.receive(&flight[cut..]);
        assert!(device.pending() > 0, "cut at {cut}");
        assert_eq!(device.failure(), None, "cut at {cut}");
    }
}

#[rstest]
fn long_texts_go_through_whole(#[values(Tls12, Tls13)] version: Version) {
    let mut device = stream(BOTH, NotAsked);
    let mut client = client(version, false);
    exchange(&mut client, &mut device, 1000).unwrap();
    let long: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();

    device.send(&long);
    let mut got = Vec::new();
    while device.pending() > 0 {
        heard(&mut client, &device.take(1000)).unwrap();
        got.extend(text(&mut client));
    }
    assert_eq!(got, long);

    let mut got = Vec::new();
    for part in long.chunks(10_000) {
        say(&mut client, part);
        device.receive(&spoken(&mut client));
        got.extend(device.plaintext());
    }
    assert_eq!(got, long);
}

#[rstest]
fn the_device_says_goodbye_after_its_last_word(#[values(Tls12, Tls13)] version: Version) {
    let mut device = stream(BOTH, NotAsked);
    let mut client = client(version, false);
    exchange(&mut client, &mut device, 1000).unwrap();
    device.send(b"HTTP/1.1 401 Unauthorized\r\n\r\n");
    device.close_notify();
    assert!(device.finished());
    device.send(b"too late");
    let bytes = device.take(usize::MAX);
    heard(&mut client, &bytes).unwrap();
    assert_eq!(text(&mut client), b"HTTP/1.1 401 Unauthorized\r\n\r\n");
    assert!(client.process_new_packets().unwrap().peer_has_closed());
    assert_eq!(device.failure(), None);
}

#[rstest]
fn the_peer_says_goodbye(#[values(Tls12, Tls13)] version: Version) {
    let mut device = stream(BOTH, NotAsked);
    let mut client = client(version, false);
    exchange(&mut client, &mut device, 1000).unwrap();
    say(&mut client, b"last");
    client.send_close_notify();
    let mut bytes = spoken(&mut client);
    bytes.extend_from_slice(b"noise after the end");
    device.receive(&bytes);
    assert_eq!(device.plaintext(), b"last");
    assert!(device.peer_closed());
    assert!(
        !device.finished(),
        "what was asked for may still be answered"
    );
    assert_eq!(device.failure(), None);
    device.send(b"answer");
    device.close_notify();
    heard(&mut client, &device.take(usize::MAX)).unwrap();
    assert_eq!(text(&mut client), b"answer");
}

#[rstest]
#[case::http(b"POST /wsman HTTP/1.1\r\nHost: 127.0.0.1:16993\r\n\r\n")]
#[case::redirection(b"\x10\x00\x00\x00SOL ")]
#[case::ssl_2(b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10")]
fn plain_text_is_refused_with_an_alert(#[case] bytes: &[u8]) {
    let mut device = stream(BOTH, NotAsked);
    device.receive(bytes);
    let failure = device.failure().unwrap();
    assert_eq!(failure.kind, FailureKind::NotTls, "{}", failure.why);
    assert!(device.finished());
    let alert = device.take(100);
    assert_eq!(alert[0], 21, "an alert record");
    assert_eq!(alert[5], 2, "a fatal one");
    device.receive(bytes);
    assert_eq!(device.pending(), 0);
    assert_eq!(device.plaintext(), b"");
}

#[rstest]
#[case(&[Tls12], Tls13)]
#[case(&[Tls13], Tls12)]
fn versions_that_do_not_meet(#[case] device: &[Version], #[case] peer: Version) {
    let mut device = stream(device, NotAsked);
    let mut client = client(peer, false);
    assert!(exchange(&mut client, &mut device, 1000).is_err());
    assert_eq!(device.failure().unwrap().kind, FailureKind::Incompatible);
    assert!(device.finished());
}

#[rstest]
fn a_peer_without_the_certificate_that_is_required(#[values(Tls12, Tls13)] version: Version) {
    let mut device = stream(BOTH, Required);
    let mut client = client(version, false);
    let outcome = exchange(&mut client, &mut device, 1000);
    let alert = match version {
        Tls12 => AlertDescription::HandshakeFailure,
        Tls13 => AlertDescription::CertificateRequired,
    };
    assert_eq!(outcome, Err(rustls::Error::AlertReceived(alert)));
    let failure = device.failure().unwrap();
    assert_eq!(failure.kind, FailureKind::NoClientCertificate);
    assert_eq!(device.established(), None);
    assert_eq!(device.plaintext(), b"");
}

/// ClientHello of TLS 1.1 with one cipher and no extensions.
#[test]
fn a_peer_of_old_is_told_that_it_is_one() {
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([0; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let mut device = stream(BOTH, NotAsked);
    device.receive(&hello);
    assert_eq!(device.failure().unwrap().kind, FailureKind::OldVersion);
    assert_eq!(device.take(100), [21, 3, 3, 0, 2, 2, 70]);
}

#[test]
fn a_peer_that_goes_away() {
    let mut probe = stream(BOTH, NotAsked);
    probe.end();
    assert_eq!(probe.failure(), None, "it only looked who is there");
    assert!(probe.finished());

    let mut device = stream(BOTH, NotAsked);
    device.receive(&spoken(&mut client(Tls13, false))[..20]);
    device.end();
    assert_eq!(device.failure().unwrap().kind, FailureKind::PeerLeft);
    assert!(device.finished());

    let mut device = stream(BOTH, NotAsked);
    let mut client = client(Tls13, false);
    exchange(&mut client, &mut device, 1000).unwrap();
    device.end();
    assert_eq!(device.failure(), None, "many leave without a goodbye");
    assert!(device.peer_closed());
}

#[test]
fn an_alert_of_the_peer_is_its_refusal() {
    let mut device = stream(BOTH, NotAsked);
    device.receive(&spoken(&mut client(Tls12, false)));
    device.receive(&[21, 3, 3, 0, 2, 2, 48]); // fatal, unknown_ca
    let failure = device.failure().unwrap();
    assert_eq!(failure.kind, FailureKind::RefusedByPeer);
    assert!(failure.why.contains("UnknownC"), "{}", failure.why);
}

#[test]
fn a_chain_and_a_key_must_fit() {
    let own = SelfSigned::for_device("vpro.corp.example", "1").unwrap();
    let wrong = |chain: &[Vec<u8>], key: &[u8]| Credential::new(chain, key).unwrap_err();
    let chain = [own.certificate];
    assert_eq!(wrong(&[], &own.key), CredentialError::Empty);
    assert_eq!(wrong(&chain, b"none"), CredentialError::KeyEncoding);
    assert_eq!(wrong(&chain, &CLIENT.key), CredentialError::Mismatch);
    // A certificate that nobody can read is shown as it is.
    assert!(Credential::new(&[b"not a certificate".to_vec()], &own.key).is_ok());
}

/// Without a version there is nothing to speak.
#[test]
fn a_device_without_versions_fails_by_its_own_fault() {
    let mut device = stream(&[], NotAsked);
    assert_eq!(device.failure().unwrap().kind, FailureKind::Device);
    assert!(device.finished());
    device.receive(b"anything");
    device.send(b"anything");
    device.close_notify();
    assert_eq!(device.pending(), 0);
}
