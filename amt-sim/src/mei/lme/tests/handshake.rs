//! From the connect to the forwarded ports, with each host that is in use.

use rstest::rstest;

use super::*;
use crate::apf::opcode;
use crate::mei::testing::dump;

/// A program on the host, as its source tells.
#[derive(Debug, Clone, Copy)]
enum Host {
    /// Speaks first, and answers AMT's version with a copy of it.
    RpcGo,
    /// Answers AMT's version with a copy of it.
    MicroLms,
    /// Says nothing before it knows AMT's version; answers each with its own.
    Lms,
}

impl Host {
    fn first_words(self) -> Vec<Message> {
        match self {
            Self::RpcGo => vec![ours(1, 0)],
            Self::MicroLms | Self::Lms => Vec::new(),
        }
    }

    fn answer(self, message: &Message) -> Option<Message> {
        match message {
            Message::ProtocolVersion(version) => Some(match self {
                Self::RpcGo | Self::MicroLms => Message::ProtocolVersion(*version),
                Self::Lms => ours(1, 0),
            }),
            Message::ServiceRequest { service } => Some(Message::ServiceAccept {
                service: service.clone(),
            }),
            Message::GlobalRequest {
                request: GlobalRequest::TcpipForward { port, .. },
                ..
            } => Some(Message::RequestSuccess { port: Some(*port) }),
            Message::GlobalRequest { .. } => Some(Message::RequestSuccess { port: None }),
            other => panic!("not part of a handshake: {other:?}"),
        }
    }
}

/// Lets both talk until nobody has anything to say; every message, in order.
fn shake(rig: &mut Rig, host: Host) -> Vec<(char, Message)> {
    let mut talk = Vec::new();
    let say = |rig: &mut Rig, talk: &mut Vec<(char, Message)>, message: Message| {
        talk.push(('>', message.clone()));
        rig.send(message);
    };
    for message in host.first_words() {
        say(rig, &mut talk, message);
    }
    while !rig.inbox.is_empty() {
        let message = rig.inbox.remove(0);
        talk.push(('<', message.clone()));
        if let Some(answer) = host.answer(&message) {
            say(rig, &mut talk, answer);
        }
        assert!(talk.len() < 100, "they never stop: {talk:?}");
    }
    talk
}

fn forwarded(talk: &[(char, Message)]) -> Vec<u32> {
    talk.iter()
        .filter_map(|(_, message)| match message {
            Message::GlobalRequest {
                want_reply: true,
                request: GlobalRequest::TcpipForward { port, .. },
            } => Some(*port),
            _ => None,
        })
        .collect()
}

#[rstest]
fn every_host_gets_its_ports(#[values(Host::RpcGo, Host::MicroLms, Host::Lms)] host: Host) {
    let mut rig = Rig::of(profile(), Mode::PreProvisioning);
    let talk = shake(&mut rig, host);
    assert_eq!(forwarded(&talk), [16992, 623]);
    let versions = talk
        .iter()
        .filter(|(from, message)| *from == '<' && message.opcode() == opcode::PROTOCOLVERSION);
    assert_eq!(versions.count(), 1);
    assert!(!rig.session.over());
    rig.open(2, 4096);
}

#[rstest]
fn the_wire(#[values(Host::RpcGo, Host::MicroLms, Host::Lms)] host: Host) {
    let mut rig = Rig::of(profile(), Mode::PreProvisioning);
    let lines: Vec<String> = shake(&mut rig, host)
        .iter()
        .map(|(from, message)| format!("{from} {}\n{}", message.name(), dump(&message.encode())))
        .collect();
    insta::assert_snapshot!(format!("the_wire_{host:?}"), lines.join("\n"));
}

#[rstest]
#[case::plain(&[16992], false, &[16992, 623])]
#[case::both(&[16992, 16993], false, &[16992, 16993, 623, 664])]
#[case::tls_only(&[16993], true, &[16993, 664])]
#[case::redirection(&[16992, 16994, 5900], false, &[16992, 623, 16994, 5900])]
#[case::nothing_open(&[], false, &[16992, 623])]
#[case::nothing_open_tls(&[], true, &[16993, 664])]
fn what_is_forwarded(#[case] listening: &[u16], #[case] enforced: bool, #[case] ports: &[u32]) {
    let mut profile = profile();
    profile.capabilities.local_tls_enforced = enforced;
    let mut rig = Rig::of(profile, Mode::PreProvisioning);
    rig.session.ports.listening = listening.to_vec();
    assert_eq!(forwarded(&shake(&mut rig, Host::RpcGo)), ports);
}

#[test]
fn ports_that_open_later_are_forwarded_later() {
    let mut rig = Rig::ready();
    rig.session.ports.listening.push(16993);
    rig.poll(ROOM);
    assert_eq!(forwarded(&shake(&mut rig, Host::Lms)), [16993, 664]);
    rig.session.ports.listening = vec![16993];
    rig.poll(ROOM);
    let talk = shake(&mut rig, Host::Lms);
    let cancelled = |port| Message::GlobalRequest {
        want_reply: true,
        request: GlobalRequest::CancelTcpipForward {
            address: "127.0.0.1".into(),
            port,
        },
    };
    assert_eq!(talk[0].1, cancelled(16992));
    assert_eq!(talk[2].1, cancelled(623));
}

#[test]
fn each_forward_waits_for_the_one_before() {
    let mut rig = Rig::of(profile(), Mode::PreProvisioning);
    rig.send(ours(1, 0));
    let asked = rig.ask(accept());
    assert_eq!(asked.len(), 1);
    rig.poll(ROOM);
    assert!(rig.inbox.is_empty());
    assert_eq!(rig.ask(Message::RequestFailure).len(), 1);
    assert!(
        rig.ask(Message::RequestSuccess { port: Some(623) })
            .is_empty()
    );
    // An answer to nothing.
    assert!(rig.ask(Message::RequestFailure).is_empty());
    let forwards: Vec<(u16, bool)> = rig
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::PortForwarded { port, accepted } => Some((port, accepted)),
            _ => None,
        })
        .collect();
    assert_eq!(forwards, [(16992, false), (623, true)]);
}

#[rstest]
#[case::service_before_version(vec![accept()])]
#[case::channel_before_service(vec![ours(1, 0), open(2, 4096, 16992)])]
#[case::request_before_service(vec![
    ours(1, 0),
    Message::GlobalRequest {
        want_reply: true,
        request: GlobalRequest::CancelTcpipForward { address: String::new(), port: 1 },
    },
])]
#[case::another_service(vec![
    ours(1, 0),
    Message::ServiceAccept { service: "ssh-connection".into() },
])]
#[case::login(vec![ours(1, 0), accept(), Message::UserauthSuccess])]
#[case::no_such_question(vec![
    ours(1, 0),
    accept(),
    Message::ChannelOpenConfirmation { recipient: 0, sender: 0, window: 0 },
])]
fn out_of_order_is_the_end(#[case] messages: Vec<Message>) {
    let mut rig = Rig::of(profile(), Mode::PreProvisioning);
    for message in messages {
        rig.inbox.clear();
        rig.send(message);
    }
    assert_eq!(rig.inbox(), [disconnect(2)]);
    assert!(rig.session.over());
    assert!(
        rig.events()
            .iter()
            .any(|event| matches!(event, Event::Malformed { .. }))
    );
    // Nothing is said any more.
    assert!(rig.ask(ours(1, 0)).is_empty());
}

#[test]
fn an_old_version_is_refused() {
    let mut rig = Rig::of(profile(), Mode::PreProvisioning);
    assert_eq!(rig.ask(ours(0, 9)), [disconnect(8)]);
    let mut rig = Rig::of(profile(), Mode::PreProvisioning);
    assert!(rig.ask(ours(2, 0)).is_empty());
}

#[rstest]
#[case::nothing(&[])]
#[case::short(&[0xc0, 0, 0])]
#[case::lies(&[0x5e, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])]
fn what_cannot_be_read_is_the_end(#[case] bytes: &[u8]) {
    let mut rig = Rig::ready();
    rig.send_bytes(bytes);
    assert_eq!(rig.inbox(), [disconnect(2)]);
}

#[test]
fn unknown_opcodes_and_crumbs_are_passed_over() {
    let mut rig = Rig::ready();
    rig.send_bytes(&[0; 23]);
    rig.send_bytes(&[250, 1, 2]);
    rig.send_bytes(&[0xd0, 0, 0, 0, 7, 99]);
    assert_eq!(rig.inbox(), [Message::KeepaliveReply { cookie: 7 }]);
}

#[test]
fn requests_of_the_host() {
    let mut rig = Rig::ready();
    let options = crate::apf::KeepaliveOptions {
        interval: 30,
        timeout: 0,
    };
    assert_eq!(
        rig.ask(Message::KeepaliveOptionsRequest(options)),
        [Message::KeepaliveOptionsReply(options)]
    );
    assert!(rig.ask(Message::KeepaliveReply { cookie: 1 }).is_empty());
    let request = |name: &str, want_reply| Message::GlobalRequest {
        want_reply,
        request: GlobalRequest::Other {
            name: name.into(),
            body: vec![1],
        },
    };
    assert_eq!(rig.ask(request("x", true)), [Message::RequestFailure]);
    assert!(rig.ask(request("x", false)).is_empty());
    let service = |service: &str| Message::ServiceRequest {
        service: service.into(),
    };
    assert_eq!(rig.ask(service(PORT_FORWARDING)), [accept()]);
    assert_eq!(rig.ask(service("x")), [disconnect(7)]);
}

#[test]
fn a_datagram_is_taken() {
    let mut rig = Rig::ready();
    let datagram = |want_reply| Message::GlobalRequest {
        want_reply,
        request: GlobalRequest::UdpSendTo {
            address: "127.0.0.1".into(),
            port: 623,
            origin_address: "192.0.2.9".into(),
            origin_port: 4000,
            data: vec![6, 0, 255],
        },
    };
    assert!(rig.ask(datagram(false)).is_empty());
    assert!(rig.events().contains(&Event::Datagram {
        client: ClientKind::Lme,
        from: "192.0.2.9".into(),
        from_port: 4000,
        port: 623,
        size: 3,
    }));
    assert_eq!(
        rig.ask(datagram(true)),
        [Message::RequestSuccess { port: None }]
    );
}

#[test]
fn amt_that_is_switched_off_is_silent() {
    let mut rig = Rig::of(profile(), Mode::Disabled);
    assert!(rig.inbox.is_empty());
    assert!(rig.ask(ours(1, 0)).is_empty());
    rig.fw.state.mode = Mode::PreProvisioning;
    rig.poll(ROOM);
    assert_eq!(rig.inbox.len(), 2);
    assert!(matches!(rig.inbox[0], Message::ProtocolVersion(_)));
}

#[test]
fn knocked_out_rules_about_the_greeting() {
    let mut rig = Rig::lenient("device.lme.speaks-first");
    assert!(rig.inbox.is_empty());
    assert_eq!(rig.ask(ours(1, 0)).len(), 2);

    let mut rig = Rig::lenient("device.lme.greets-once");
    assert_eq!(rig.inbox.len(), 2);
    assert!(matches!(
        rig.ask(ours(1, 0)).as_slice(),
        [Message::ProtocolVersion(_)]
    ));

    let mut rig = Rig::lenient("device.lme.order");
    assert_eq!(rig.ask(accept()).len(), 1);

    let mut rig = Rig::lenient("device.lme.version");
    assert!(rig.ask(ours(0, 0)).is_empty());

    let mut rig = Rig::lenient("device.lme.malformed").shaken();
    rig.send_bytes(&[0x5e]);
    assert!(rig.inbox.is_empty());
}
