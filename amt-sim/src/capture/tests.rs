use super::packet::checksum;
use super::*;
use crate::mei::ClientKind;
use crate::{Device, Preset};
use rstest::rstest;

/// Type and body of every block, after its two lengths were held against each other.
fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
    let mut found = Vec::new();
    while !file.is_empty() {
        let length = word(&file[4..]) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(word(&file[length - 4..]) as usize, length);
        found.push((word(file), file[8..length - 4].to_vec()));
        file = &file[length..];
    }
    found
}

fn capture(device: &mut Device) -> Vec<(u32, Vec<u8>)> {
    let mut capture = Capture::new(Duration::from_secs(1_767_225_600));
    let recording = device.take_recording();
    capture.add(&device.drain_journal(), &recording);
    blocks(&capture.take())
}

#[test]
fn a_file_begins_with_its_section_and_its_interfaces() {
    let mut capture = Capture::new(Duration::ZERO);
    let found = blocks(&capture.take());
    let kinds: Vec<u32> = found.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [0x0a0d_0d0a, 1, 1, 1]);
    assert_eq!(found[0].1[..4], [0x4d, 0x3c, 0x2b, 0x1a]);
    assert_eq!(found[1].1[..2], [1, 0], "Ethernet");
    assert_eq!(found[3].1[..2], [147, 0], "USER0");
}

#[test]
fn what_went_over_a_port_is_one_tcp_connection() {
    let mut device = Device::builder("tiger-lake-15")
        .preset(Preset::Admin)
        .build()
        .unwrap();
    device.record_streams(true);
    let stream = device.stream_open(Interface::Network, 16992).unwrap();
    let request = b"GET /index.htm HTTP/1.1\r\nHost: amt\r\n\r\n";
    device.stream_receive(stream, request);
    let answer = device.stream_take(stream, usize::MAX);
    device.stream_close(stream);
    let packets: Vec<Vec<u8>> = capture(&mut device)
        .into_iter()
        .filter(|(kind, _)| *kind == 6)
        .map(|(_, body)| {
            let length = u32::from_le_bytes(body[12..16].try_into().unwrap()) as usize;
            body[20..20 + length].to_vec()
        })
        .collect();
    let mut said = (Vec::new(), Vec::new());
    for packet in &packets {
        assert_eq!(packet[12..14], [8, 0], "IPv4");
        assert_eq!(
            checksum(&packet[14..34]),
            0,
            "the sum over a right header is zero"
        );
        let tcp = &packet[34..];
        let mut pseudo = packet[26..34].to_vec();
        pseudo.extend([0, 6]);
        pseudo.extend((tcp.len() as u16).to_be_bytes());
        pseudo.extend(tcp);
        assert_eq!(checksum(&pseudo), 0);
        let to_device = tcp[2..4] == 16992_u16.to_be_bytes();
        let side = if to_device { &mut said.0 } else { &mut said.1 };
        side.extend_from_slice(&tcp[20..]);
    }
    assert_eq!(said.0, request);
    assert_eq!(said.1, answer);
    let flags: Vec<u8> = packets.iter().map(|packet| packet[47]).collect();
    assert_eq!(flags[..3], [2, 18, 16], "handshake");
    assert_eq!(flags[flags.len() - 3..], [17, 17, 16], "goodbye");
}

#[test]
fn mei_messages_carry_a_comment() {
    let mut device = Device::builder("tiger-lake-15").build().unwrap();
    let handle = device.mei_open().unwrap();
    device
        .mei_connect(handle, ClientKind::Amthi.guid())
        .unwrap();
    let request = [1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0];
    device.mei_write(handle, &request).unwrap();
    let found = capture(&mut device);
    let (_, packet) = found.iter().find(|(kind, _)| *kind == 6).unwrap();
    assert_eq!(packet[..4], [2, 0, 0, 0], "interface");
    assert_eq!(packet[20..32], request);
    let text = String::from_utf8_lossy(packet);
    assert!(text.contains("host to Amthi, handle 1: GetUUID"), "{text}");
}

#[test]
fn nothing_is_recorded_unless_it_is_asked_for() {
    let mut device = Device::builder("tiger-lake-15")
        .preset(Preset::Admin)
        .build()
        .unwrap();
    let stream = device.stream_open(Interface::Network, 16992).unwrap();
    device.stream_receive(stream, b"GET / HTTP/1.1\r\n\r\n");
    device.stream_close(stream);
    assert_eq!(device.take_recording(), Recording::default());
}

#[test]
fn secrets_come_before_what_they_open() {
    let mut capture = Capture::new(Duration::ZERO);
    capture.take();
    let recording = Recording {
        secrets: "CLIENT_RANDOM 00 11\n".to_owned(),
        ..Recording::default()
    };
    capture.add(&[], &recording);
    let found = blocks(&capture.take());
    assert_eq!(found[0].0, 10);
    assert_eq!(found[0].1[..8], [0x4b, 0x53, 0x4c, 0x54, 20, 0, 0, 0]);
    assert_eq!(found[0].1[8..28], *b"CLIENT_RANDOM 00 11\n");
}

#[rstest]
#[case(ClientKind::Amthi, &[1, 1, 0, 0, 0x6b, 0, 0, 4, 0, 0, 0, 0], "GetControlMode", false)]
#[case(ClientKind::Amthi, &[1, 1, 0, 0, 0x6b, 0, 0x80, 4, 4, 0, 0, 0, 0, 0, 0, 0], "GetControlMode answered", false)]
#[case(ClientKind::Amthi, &[1, 1, 0, 0, 0x6b, 0, 0x80, 4, 4, 0, 0, 0, 1, 0, 0, 0], "GetControlMode: INTERNAL_ERROR (0x1)", true)]
#[case(ClientKind::Amthi, &[1, 1, 0, 0, 0xff, 0xff, 0, 4, 0, 0, 0, 0], "command 0xffff", false)]
#[case(ClientKind::Amthi, &[1], "shorter than a header", true)]
#[case(ClientKind::Lme, &[97, 0, 0, 0, 1], "CHANNEL_CLOSE", false)]
#[case(ClientKind::Lme, &[82], "REQUEST_FAILURE", true)]
#[case(ClientKind::Lme, &[7], "no APF message", true)]
fn messages_in_words(
    #[case] client: ClientKind,
    #[case] bytes: &[u8],
    #[case] label: &str,
    #[case] bad: bool,
) {
    let found = describe(client, Party::Host, bytes);
    assert_eq!((found.label.as_str(), found.bad), (label, bad));
}
