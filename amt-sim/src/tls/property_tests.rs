//! Whatever arrives, nothing panics and a failed connection stays failed.

use proptest::prelude::*;

use super::testing::{BOTH, client, exchange, say, spoken, stream};
use super::{ClientCertificates, TlsStream, Version};

fn asked() -> impl Strategy<Value = ClientCertificates> {
    prop_oneof![
        Just(ClientCertificates::NotAsked),
        Just(ClientCertificates::Optional),
        Just(ClientCertificates::Required),
    ]
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::Tls12), Just(Version::Tls13)]
}

/// Records with a plausible head: random bytes alone fail at the first one.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..80);
    (20_u8..25, 0_u8..5, body).prop_map(|(kind, minor, body)| {
        let length = (body.len() as u16).to_be_bytes();
        [&[kind, 3, minor, length[0], length[1]], body.as_slice()].concat()
    })
}

fn survives(device: &mut TlsStream) {
    device.send(b"text");
    let failure = device.failure().cloned();
    device.receive(b"more");
    if failure.is_some() {
        assert_eq!(device.failure(), failure.as_ref());
        assert!(device.finished());
    }
    device.close_notify();
    device.end();
    while device.pending() > 0 {
        assert!(!device.take(3).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6), asked in asked()) {
        let mut device = stream(BOTH, asked);
        for piece in &pieces {
            device.receive(piece);
        }
        survives(&mut device);
    }

    #[test]
    fn random_records(records in prop::collection::vec(record(), 0..8), asked in asked()) {
        let mut device = stream(BOTH, asked);
        for record in &records {
            device.receive(record);
        }
        survives(&mut device);
    }

    #[test]
    fn a_hello_with_one_byte_changed(version in version(), at in any::<prop::sample::Index>(), change in 1_u8.., asked in asked()) {
        let mut hello = spoken(&mut client(version, false));
        let at = at.index(hello.len());
        hello[at] ^= change;
        let mut device = stream(BOTH, asked);
        device.receive(&hello);
        survives(&mut device);
    }

    #[test]
    fn a_sealed_record_with_one_byte_changed(version in version(), at in any::<prop::sample::Index>(), change in 1_u8..) {
        let mut device = stream(BOTH, ClientCertificates::NotAsked);
        let mut client = client(version, false);
        exchange(&mut client, &mut device, 10_000).unwrap();
        let text = b"POST /wsman HTTP/1.1\r\n\r\n";
        say(&mut client, text);
        let mut bytes = spoken(&mut client);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        device.receive(&bytes);
        // It is refused, or waits for the rest of a record that has become longer. The version in its head is not
        // sealed, so a change there may be overlooked.
        let got = device.plaintext();
        prop_assert!(got.is_empty() || got == text);
        survives(&mut device);
    }
}
