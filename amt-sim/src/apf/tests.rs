//! Layouts byte by byte against the programs of the field, and the codec against itself at random.

use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::mei::testing::bytes;

fn whole(bytes: &[u8]) -> Result<(Message, usize), ParseError> {
    parse(bytes, SuccessForm::ByLength)
}

/// rpc-go opens its first channel with these 54 bytes.
#[test]
fn a_channel_open_as_rpc_go_writes_it() {
    let wire = bytes(
        "5a 0000000f 666f727761726465642d7463706970 00000002 00001000 ffffffff
         00000003 3a3a31 00004260 00000003 3a3a31 0000007b",
    );
    assert_eq!(wire.len(), 54);
    let message = Message::ChannelOpen {
        sender: 2,
        window: 4096,
        route: Route::Forwarded(Endpoints {
            address: "::1".into(),
            port: 16992,
            origin_address: "::1".into(),
            origin_port: 123,
        }),
    };
    assert_eq!(message.encode(), wire);
    assert_eq!(whole(&wire), Ok((message, 54)));
}

#[rstest]
#[case::disconnect("01 00000002 0000", Message::Disconnect { reason: DisconnectReason::PROTOCOL_ERROR })]
#[case::service(
    "05 00000012 7066776440616d742e696e74656c2e636f6d",
    Message::ServiceRequest { service: PORT_FORWARDING.into() }
)]
#[case::accept(
    "06 00000012 6175746840616d742e696e74656c2e636f6d",
    Message::ServiceAccept { service: AUTHENTICATION.into() }
)]
#[case::login(
    "32 00000005 61646d696e 00000012 7066776440616d742e696e74656c2e636f6d 00000008 70617373776f7264 00 00000002 7077",
    Message::UserauthRequest {
        user: "admin".into(),
        service: PORT_FORWARDING.into(),
        method: AuthMethod::Password("pw".into()),
    }
)]
#[case::login_failure(
    "33 00000008 70617373776f7264 00",
    Message::UserauthFailure { methods: "password".into(), partial: false }
)]
#[case::login_success("34", Message::UserauthSuccess)]
#[case::forward(
    "50 0000000d 74637069702d666f7277617264 01 00000000 00004260",
    Message::GlobalRequest {
        want_reply: true,
        request: GlobalRequest::TcpipForward { address: String::new(), port: 16992 },
    }
)]
#[case::udp(
    "50 00000019 7564702d73656e642d746f40616d742e696e74656c2e636f6d 00
     00000001 61 00000202 00000001 62 00000010 00000002 beef",
    Message::GlobalRequest {
        want_reply: false,
        request: GlobalRequest::UdpSendTo {
            address: "a".into(),
            port: 514,
            origin_address: "b".into(),
            origin_port: 16,
            data: vec![0xbe, 0xef],
        },
    }
)]
#[case::success("51 00004260", Message::RequestSuccess { port: Some(16992) })]
#[case::bare_success("51", Message::RequestSuccess { port: None })]
#[case::failure("52", Message::RequestFailure)]
#[case::confirmation(
    "5b 00000002 00000000 00001000 ffffffff",
    Message::ChannelOpenConfirmation { recipient: 2, sender: 0, window: 4096 }
)]
#[case::open_failure(
    "5c 00000002 00000004 00000000 00000000",
    Message::ChannelOpenFailure { recipient: 2, reason: OpenFailure::RESOURCE_SHORTAGE }
)]
#[case::adjust("5d 00000007 00000400", Message::ChannelWindowAdjust { recipient: 7, bytes: 1024 })]
#[case::data("5e 00000007 00000003 616263", Message::ChannelData { recipient: 7, data: b"abc".to_vec() })]
#[case::close("61 00000007", Message::ChannelClose { recipient: 7 })]
#[case::keepalive("d0 0000002a", Message::KeepaliveRequest { cookie: 42 })]
#[case::alive("d1 0000002a", Message::KeepaliveReply { cookie: 42 })]
#[case::options(
    "d2 0000001e 00000000",
    Message::KeepaliveOptionsRequest(KeepaliveOptions { interval: 30, timeout: 0 })
)]
fn layouts(#[case] wire: &str, #[case] message: Message) {
    let wire = bytes(wire);
    assert_eq!(message.encode(), wire);
    assert_eq!(whole(&wire), Ok((message, wire.len())));
}

#[test]
fn a_version_has_93_bytes() {
    let message = Message::ProtocolVersion(ProtocolVersion {
        major: 1,
        minor: 0,
        trigger: Trigger::LME,
        uuid: *b"0123456789abcdef",
    });
    let wire = message.encode();
    assert_eq!(wire.len(), 93);
    assert_eq!(wire[..13], bytes("c0 00000001 00000000 000000fe"));
    assert_eq!(&wire[13..29], b"0123456789abcdef");
    assert_eq!(whole(&wire), Ok((message, 93)));
}

#[rstest]
#[case::nothing("", "a message ends after 0 bytes; its opcode needs 1")]
#[case::no_such_opcode("65 0000", "unknown opcode 101")]
#[case::half_a_number(
    "5e 00000001 0000",
    "CHANNEL_DATA ends after 7 bytes; its data needs 9"
)]
#[case::too_little_data(
    "5e 00000001 00000009 61",
    "CHANNEL_DATA ends after 10 bytes; its data needs 18"
)]
#[case::too_much_text(
    "05 00010000",
    "SERVICE_REQUEST: its service has 65536 bytes where 2048 are the most"
)]
#[case::no_text("06 00000001 ff", "SERVICE_ACCEPT: its service is no text")]
fn errors_say_what_is_wrong(#[case] wire: &str, #[case] text: &str) {
    assert_eq!(whole(&bytes(wire)).unwrap_err().to_string(), text);
}

#[test]
fn a_stream_goes_on_behind_each_message() {
    let messages = [
        Message::RequestSuccess { port: Some(16992) },
        Message::RequestSuccess { port: None },
        Message::ChannelClose { recipient: 1 },
    ];
    let stream: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
    let mut at = 0;
    for (message, form) in messages.iter().zip([
        SuccessForm::Port,
        SuccessForm::Bare,
        // It says nothing about other messages.
        SuccessForm::Port,
    ]) {
        let (read, size) = parse(&stream[at..], form).unwrap();
        assert_eq!(&read, message);
        at += size;
    }
    assert_eq!(at, stream.len());
}

fn text() -> impl Strategy<Value = String> {
    "[ -~]{0,20}"
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn globals() -> impl Strategy<Value = GlobalRequest> {
    let port = any::<u32>();
    prop_oneof![
        (text(), port).prop_map(|(address, port)| GlobalRequest::TcpipForward { address, port }),
        (text(), port)
            .prop_map(|(address, port)| GlobalRequest::CancelTcpipForward { address, port }),
        (text(), port, text(), port, data()).prop_map(
            |(address, port, origin_address, origin_port, data)| GlobalRequest::UdpSendTo {
                address,
                port,
                origin_address,
                origin_port,
                data
            }
        ),
        ("other-[a-z]{0,9}", data()).prop_map(|(name, body)| GlobalRequest::Other { name, body }),
    ]
}

fn routes() -> impl Strategy<Value = Route> {
    let ends = || {
        (text(), any::<u32>(), text(), any::<u32>()).prop_map(
            |(address, port, origin_address, origin_port)| Endpoints {
                address,
                port,
                origin_address,
                origin_port,
            },
        )
    };
    prop_oneof![
        ends().prop_map(Route::Forwarded),
        ends().prop_map(Route::Direct),
        ("other-[a-z]{0,9}", data()).prop_map(|(kind, rest)| Route::Other { kind, rest }),
    ]
}

/// Every message there is.
pub(crate) fn messages() -> impl Strategy<Value = Message> {
    let number = any::<u32>;
    let options = || {
        (number(), number()).prop_map(|(interval, timeout)| KeepaliveOptions { interval, timeout })
    };
    let method = prop_oneof![
        text().prop_map(AuthMethod::Password),
        "other-[a-z]{0,9}".prop_map(AuthMethod::Other),
    ];
    let early = prop_oneof![
        number().prop_map(|reason| Message::Disconnect {
            reason: DisconnectReason(reason)
        }),
        text().prop_map(|service| Message::ServiceRequest { service }),
        text().prop_map(|service| Message::ServiceAccept { service }),
        (text(), text(), method).prop_map(|(user, service, method)| Message::UserauthRequest {
            user,
            service,
            method
        }),
        (text(), any::<bool>())
            .prop_map(|(methods, partial)| Message::UserauthFailure { methods, partial }),
        Just(Message::UserauthSuccess),
        (any::<bool>(), globals()).prop_map(|(want_reply, request)| Message::GlobalRequest {
            want_reply,
            request
        }),
        proptest::option::of(number()).prop_map(|port| Message::RequestSuccess { port }),
        Just(Message::RequestFailure),
    ];
    let version = (number(), number(), number(), any::<[u8; 16]>());
    let late = prop_oneof![
        (number(), number(), routes()).prop_map(|(sender, window, route)| Message::ChannelOpen {
            sender,
            window,
            route
        }),
        (number(), number(), number()).prop_map(|(recipient, sender, window)| {
            Message::ChannelOpenConfirmation {
                recipient,
                sender,
                window,
            }
        }),
        (number(), number()).prop_map(|(recipient, reason)| Message::ChannelOpenFailure {
            recipient,
            reason: OpenFailure(reason)
        }),
        (number(), number())
            .prop_map(|(recipient, bytes)| Message::ChannelWindowAdjust { recipient, bytes }),
        (number(), data()).prop_map(|(recipient, data)| Message::ChannelData { recipient, data }),
        number().prop_map(|recipient| Message::ChannelClose { recipient }),
        version.prop_map(|(major, minor, trigger, uuid)| {
            Message::ProtocolVersion(ProtocolVersion {
                major,
                minor,
                trigger: Trigger(trigger),
                uuid,
            })
        }),
        number().prop_map(|cookie| Message::KeepaliveRequest { cookie }),
        number().prop_map(|cookie| Message::KeepaliveReply { cookie }),
        options().prop_map(Message::KeepaliveOptionsRequest),
        options().prop_map(Message::KeepaliveOptionsReply),
    ];
    prop_oneof![early, late]
}

/// How a stream must be told about this message, and how short its front may be cut without ambiguity.
fn framing(message: &Message) -> (SuccessForm, bool) {
    let form = match message {
        Message::RequestSuccess { port: None } => SuccessForm::Bare,
        _ => SuccessForm::Port,
    };
    let open_ended = matches!(
        message,
        Message::GlobalRequest {
            request: GlobalRequest::Other { .. },
            ..
        } | Message::ChannelOpen {
            route: Route::Other { .. },
            ..
        }
    );
    (form, open_ended)
}

proptest! {
    #[test]
    fn what_is_written_reads_back(message in messages()) {
        let wire = message.encode();
        prop_assert_eq!(whole(&wire), Ok((message.clone(), wire.len())));
        let (form, open_ended) = framing(&message);
        if !open_ended {
            let longer: Vec<u8> = wire.iter().copied().chain([1, 2, 3]).collect();
            prop_assert_eq!(parse(&longer, form), Ok((message, wire.len())));
        }
    }

    #[test]
    fn a_cut_message_is_short_and_says_how_much_is_missing(message in messages()) {
        let wire = message.encode();
        let (form, open_ended) = framing(&message);
        for end in (0..wire.len()).filter(|_| !open_ended) {
            match parse(&wire[..end], form) {
                Err(ParseError::Short { have, need, .. }) => {
                    prop_assert_eq!(have, end);
                    prop_assert!(need > end && need <= wire.len());
                }
                other => prop_assert!(false, "cut to {end}: {other:?}"),
            }
        }
    }

    #[test]
    fn no_bytes_are_a_panic(wire in vec(any::<u8>(), 0..200)) {
        for form in [SuccessForm::Bare, SuccessForm::Port, SuccessForm::ByLength] {
            if let Ok((message, size)) = parse(&wire, form) {
                prop_assert!(size <= wire.len());
                prop_assert_eq!(message.encode()[0], wire[0]);
            }
        }
    }
}
