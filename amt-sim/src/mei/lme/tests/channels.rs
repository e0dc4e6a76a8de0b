//! Channels: numbers, windows, and how they end.

use rstest::rstest;

use super::*;
use crate::device::LmeNumbers;

fn failure(recipient: u32, reason: OpenFailure) -> Message {
    Message::ChannelOpenFailure { recipient, reason }
}

#[rstest]
#[case::in_turn(LmeNumbers::InTurn, [1, 3, 4], 5)]
#[case::lowest(LmeNumbers::Lowest, [1, 3, 4], 5)]
fn numbers_are_given_out_again(
    #[case] numbers: LmeNumbers,
    #[case] again: [u32; 3],
    #[case] after: u32,
) {
    let mut profile = profile();
    profile.assumptions.lme_numbers = numbers;
    let mut rig = Rig::of(profile, Mode::PreProvisioning).shaken();
    for expected in 0..8 {
        assert_eq!(rig.open(20 + expected, 4096), expected);
    }
    assert_eq!(
        rig.ask(open(9, 4096, 16992)),
        [failure(9, OpenFailure::RESOURCE_SHORTAGE)]
    );
    for number in [3, 1, 5, 4] {
        assert_eq!(rig.ask(close(number)), [close(20 + number)]);
    }
    assert_eq!([30, 31, 32].map(|sender| rig.open(sender, 4096)), again);
    assert_eq!(rig.ask(close(7)), [close(27)]);
    assert_eq!(rig.open(33, 4096), after);
}

/// MicroLMS says CLOSE when its program hangs up, and again when AMT answers; by then its next channel is open.
#[rstest]
#[case::in_turn(LmeNumbers::InTurn, true)]
#[case::lowest(LmeNumbers::Lowest, false)]
fn a_second_close_may_hit_the_next_channel(#[case] numbers: LmeNumbers, #[case] lives: bool) {
    let mut profile = profile();
    profile.assumptions.lme_numbers = numbers;
    let mut rig = Rig::of(profile, Mode::PreProvisioning).shaken();
    let first = rig.open(1, 4096);
    assert_eq!(rig.ask(close(first)), [close(1)]);
    let second = rig.open(2, 4096);
    rig.send(close(first));
    assert_eq!(!rig.ask(data(second, b"hi")).is_empty(), lives);
}

#[rstest]
#[case::nobody_listens(open(2, 4096, 623), OpenFailure::CONNECT_FAILED)]
#[case::no_port(open(2, 4096, 70_000), OpenFailure::CONNECT_FAILED)]
#[case::from_amt_only(
    Message::ChannelOpen {
        sender: 2,
        window: 4096,
        route: Route::Direct(Endpoints {
            address: "::1".into(),
            port: 16992,
            origin_address: "::1".into(),
            origin_port: 123,
        }),
    },
    OpenFailure::UNKNOWN_TYPE
)]
#[case::unknown(
    Message::ChannelOpen {
        sender: 2,
        window: 4096,
        route: Route::Other { kind: "session".into(), rest: Vec::new() },
    },
    OpenFailure::UNKNOWN_TYPE
)]
fn some_are_refused(#[case] message: Message, #[case] reason: OpenFailure) {
    let mut rig = Rig::ready();
    assert_eq!(rig.ask(message), [failure(2, reason)]);
    assert!(rig.events().iter().any(
        |event| matches!(event, Event::ChannelRefused { reason: code, .. } if *code == reason.0)
    ));
}

#[test]
fn an_answer_and_its_end() {
    let mut rig = Rig::ready();
    let channel = rig.open(5, 4096);
    assert_eq!(rig.ask(data(channel, b"hello")), [data(5, b"hello")]);
    // The device closes, and the host's CLOSE answers that.
    assert_eq!(rig.ask(data(channel, b"bye")), [data(5, b"bye"), close(5)]);
    assert!(rig.session.ports.streams.is_empty());
    assert!(rig.ask(data(channel, b"too late")).is_empty());
    assert!(rig.ask(close(channel)).is_empty());
    // MicroLMS closes twice.
    assert!(rig.ask(close(channel)).is_empty());
    assert!(rig.ask(close(7000)).is_empty());
    assert!(!rig.session.over());
}

#[test]
fn a_number_is_taken_until_both_closed_it() {
    let mut rig = Rig::ready();
    let first = rig.open(5, 4096);
    rig.send(data(first, b"bye"));
    // rpc-go's CLOSE may come after its next CHANNEL_OPEN.
    let second = rig.open(6, 4096);
    assert_ne!(first, second);
    assert!(rig.ask(close(first)).is_empty());
    assert_eq!(rig.ask(data(second, b"hi")), [data(6, b"hi")]);
    rig.fw.profile = std::sync::Arc::new({
        let mut profile = profile();
        profile.assumptions.lme_numbers = LmeNumbers::Lowest;
        profile
    });
    assert_eq!(rig.open(7, 4096), first);
}

#[test]
fn no_more_than_the_window_is_sent() {
    let mut rig = Rig::ready();
    let channel = rig.open(5, 10);
    assert_eq!(
        rig.ask(data(channel, b"0123456789abcdef bye")),
        [data(5, b"0123456789")]
    );
    rig.poll(ROOM);
    assert!(rig.inbox.is_empty());
    let credit = |bytes| Message::ChannelWindowAdjust {
        recipient: channel,
        bytes,
    };
    assert_eq!(rig.ask(credit(4)), [data(5, b"abcd")]);
    assert_eq!(rig.ask(credit(u32::MAX)), [data(5, b"ef bye"), close(5)]);
    assert!(rig.ask(credit(1)).is_empty());
}

#[test]
fn long_answers_go_out_in_pieces_as_the_host_reads() {
    let mut rig = Rig::ready();
    let channel = rig.open(5, u32::MAX);
    let request = vec![7; 5000];
    rig.send(data(channel, &request));
    rig.send(data(channel, b"bye"));
    rig.inbox.clear();
    // More than the first eight messages: those wait until there is room.
    let channel = rig.open(6, u32::MAX);
    let mut received = 0;
    for _ in 0..5 {
        rig.session
            .receive(&mut rig.fw, &data(channel, &request).encode());
    }
    for _ in 0..40 {
        rig.poll(1);
        let Some(message) = rig.inbox.pop() else {
            break;
        };
        let Message::ChannelData { data, .. } = message else {
            panic!("{message:?}")
        };
        assert!(rig.inbox.is_empty() && data.len() <= LONGEST_DATA);
        received += data.len();
    }
    assert_eq!(received, 25_000);
}

#[test]
fn what_the_host_sends_is_credited() {
    let mut rig = Rig::ready();
    let channel = rig.open(5, 0);
    assert!(rig.ask(data(channel, &[0; 2000])).is_empty());
    let credit = |bytes| Message::ChannelWindowAdjust {
        recipient: 5,
        bytes,
    };
    assert_eq!(rig.ask(data(channel, &[0; 96])), [credit(2096)]);
    // rpc-go never asks how much it may send.
    assert_eq!(rig.ask(data(channel, &[0; 5000])), [credit(5000)]);
}

#[rstest]
#[case(5120, 4096)]
#[case(4096, 4087)]
#[case(128, 119)]
fn a_window_fits_in_one_message(#[case] max_message: u32, #[case] window: u32) {
    let fw = firmware(profile(), Mode::PreProvisioning);
    let mut rig = Rig::new(fw, max_message).shaken();
    assert_eq!(
        rig.ask(open(2, 4096, 16992)),
        [Message::ChannelOpenConfirmation {
            recipient: 2,
            sender: 0,
            window
        }]
    );
}

#[test]
fn channels_take_turns() {
    let mut rig = Rig::ready();
    let (first, second) = (rig.open(5, u32::MAX), rig.open(6, u32::MAX));
    for channel in [first, second] {
        let message = data(channel, &[0; 4500]).encode();
        rig.session.receive(&mut rig.fw, &message);
    }
    let mut order = Vec::new();
    for _ in 0..6 {
        rig.poll(1);
        match rig.inbox.pop().unwrap() {
            Message::ChannelData { recipient, .. } => order.push(recipient),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(order, [5, 6, 5, 6, 5, 6]);
}

#[test]
fn the_end_of_the_connection_closes_everything() {
    let mut rig = Rig::ready();
    rig.open(5, 4096);
    rig.open(6, 4096);
    rig.session.end(&mut rig.fw);
    assert!(rig.session.ports.streams.is_empty());

    let mut rig = Rig::ready();
    rig.open(5, 4096);
    assert!(rig.ask(disconnect(11)).is_empty());
    assert!(rig.session.ports.streams.is_empty() && rig.session.over());
}

#[rstest]
#[case::never(LmeDrop::Never, false, false)]
#[case::restart(LmeDrop::AfterRestart, false, true)]
#[case::close(LmeDrop::AfterClose, true, true)]
fn firmware_may_drop_the_connection(
    #[case] policy: LmeDrop,
    #[case] after_close: bool,
    #[case] after_restart: bool,
) {
    let mut profile = profile();
    profile.assumptions.lme_drop = policy;
    let mut rig = Rig::of(profile.clone(), Mode::PreProvisioning).shaken();
    let channel = rig.open(5, 4096);
    assert_eq!(rig.ask(data(channel, b"bye")).len(), 2);
    assert_eq!(rig.session.over(), after_close);

    let mut rig = Rig::of(profile, Mode::PreProvisioning).shaken();
    let channel = rig.open(5, 4096);
    rig.fw.state.mode = Mode::Client;
    assert_eq!(rig.ask(data(channel, b"not yet")).len(), 1);
    assert!(!rig.session.over());
    assert_eq!(rig.ask(data(channel, b"bye")).len(), 2);
    assert_eq!(rig.session.over(), after_restart);
}

#[test]
fn knocked_out_rules_about_channels() {
    let mut rig = Rig::lenient("device.lme.channels").shaken();
    for number in 0..20 {
        assert_eq!(rig.open(number, 4096), number);
    }

    let mut rig = Rig::lenient("device.lme.channel-type").shaken();
    let route = Route::Other {
        kind: "x".into(),
        rest: Vec::new(),
    };
    let message = Message::ChannelOpen {
        sender: 2,
        window: 0,
        route,
    };
    assert_eq!(rig.ask(message), [failure(2, OpenFailure::PROHIBITED)]);

    let mut rig = Rig::lenient("device.lme.nobody-listens").shaken();
    assert_eq!(
        rig.ask(open(2, 0, 623)),
        [failure(2, OpenFailure::PROHIBITED)]
    );

    let mut rig = Rig::lenient("device.lme.send-window").shaken();
    let channel = rig.open(5, 1);
    assert_eq!(rig.ask(data(channel, b"abc")), [data(5, b"abc")]);

    let mut rig = Rig::lenient("device.lme.message-length").shaken();
    let channel = rig.open(5, u32::MAX);
    rig.session
        .receive(&mut rig.fw, &data(channel, &[0; 9000]).encode());
    let longest = rig
        .session
        .poll(&mut rig.fw, ROOM)
        .iter()
        .map(Vec::len)
        .max();
    assert_eq!(longest, Some(5129));

    let mut rig = Rig::lenient("device.lme.credit").shaken();
    let channel = rig.open(5, 0);
    assert!(rig.ask(data(channel, &[0; 5000])).is_empty());

    let mut rig = Rig::lenient("device.lme.close-answered").shaken();
    let channel = rig.open(5, 0);
    assert!(rig.ask(close(channel)).is_empty());

    let mut rig = Rig::lenient("device.lme.late-close").shaken();
    assert_eq!(rig.ask(close(0)), [disconnect(2)]);
}
