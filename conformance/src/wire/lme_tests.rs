//! The host's side against an AMT side that is a list of messages.

use super::*;
use amt_sim::ClientProperties;
use amt_sim::apf::DisconnectReason;
use rstest::rstest;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Says what stands in its list, one entry at each receive, and keeps what it hears.
#[derive(Debug, Clone, Default)]
struct Script {
    says: Arc<Mutex<VecDeque<Message>>>,
    heard: Arc<Mutex<Vec<Message>>>,
}

impl MeiPort for Script {
    fn connect(&self, client: amt_sim::Guid) -> Result<Box<dyn MeiChannel>, PortError> {
        assert_eq!(client, ClientKind::Lme.guid());
        Ok(Box::new(self.clone()))
    }
}

impl MeiChannel for Script {
    fn properties(&self) -> ClientProperties {
        ClientProperties {
            max_message: 109,
            protocol_version: 1,
        }
    }

    fn send(&mut self, message: &[u8]) -> Result<(), PortError> {
        assert!(message.len() <= 109);
        let (message, used) = parse(message, SuccessForm::ByLength).unwrap();
        assert!(used <= 109);
        self.heard.lock().unwrap().push(message);
        Ok(())
    }

    fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, PortError> {
        match self.says.lock().unwrap().pop_front() {
            Some(message) => Ok(message.encode()),
            None => Err(PortError::Timeout(timeout)),
        }
    }
}

fn script(says: impl IntoIterator<Item = Message>) -> Script {
    let script = Script::default();
    script.says.lock().unwrap().extend(says);
    script
}

fn forward(port: u32) -> Message {
    Message::GlobalRequest {
        want_reply: true,
        request: GlobalRequest::TcpipForward {
            address: String::new(),
            port,
        },
    }
}

fn handshake() -> Vec<Message> {
    vec![
        Message::ProtocolVersion(ProtocolVersion {
            major: 1,
            minor: 0,
            trigger: Trigger::LME,
            uuid: [7; 16],
        }),
        Message::ServiceRequest {
            service: PORT_FORWARDING.to_owned(),
        },
        forward(16992),
    ]
}

fn run(says: Vec<Message>, request: &[u8]) -> (Result<Vec<u8>, LmeError>, Vec<Message>) {
    let script = script(says);
    let result =
        Lme::connect(&script, &crate::role::WallClock::default(), 16992).and_then(|mut lme| {
            lme.exchange(16992, request, |bytes, ended| {
                Ok((ended || bytes.ends_with(b".")).then(|| bytes.to_vec()))
            })
        });
    let heard = script.heard.lock().unwrap().clone();
    (result, heard)
}

fn confirmation(window: u32) -> Message {
    Message::ChannelOpenConfirmation {
        recipient: 0,
        sender: 5,
        window,
    }
}

fn data(text: &[u8]) -> Message {
    Message::ChannelData {
        recipient: 0,
        data: text.to_vec(),
    }
}

#[test]
fn a_handshake_and_an_answer_that_ends_with_the_connection() {
    let mut says = handshake();
    says.extend([
        confirmation(1000),
        data(b"hel"),
        forward(623),
        data(b"lo"),
        Message::ChannelClose { recipient: 0 },
    ]);
    let (result, heard) = run(says, b"hello?");
    assert_eq!(result.unwrap(), b"hello");
    let names: Vec<&str> = heard.iter().map(Message::name).collect();
    assert_eq!(
        names,
        [
            "PROTOCOLVERSION",
            "SERVICE_ACCEPT",
            "REQUEST_SUCCESS",
            "CHANNEL_OPEN",
            "CHANNEL_DATA",
            "CHANNEL_WINDOW_ADJUST",
            "REQUEST_SUCCESS",
            "CHANNEL_WINDOW_ADJUST",
            "CHANNEL_CLOSE",
        ]
    );
}

#[test]
fn an_answer_that_is_whole_is_not_waited_for() {
    let mut says = handshake();
    says.extend([
        confirmation(1000),
        data(b"hello."),
        Message::ChannelClose { recipient: 0 },
    ]);
    let (result, heard) = run(says, b"?");
    assert_eq!(result.unwrap(), b"hello.");
    let closes = |message: &&Message| matches!(message, Message::ChannelClose { recipient: 5 });
    assert_eq!(heard.iter().filter(closes).count(), 1);
}

/// The window counts, and so does the longest message.
#[test]
fn a_long_request_goes_in_the_pieces_that_are_allowed() {
    let mut says = handshake();
    says.extend([
        confirmation(150),
        Message::ChannelWindowAdjust {
            recipient: 0,
            bytes: 500,
        },
        data(b"."),
        Message::ChannelClose { recipient: 0 },
    ]);
    let (result, heard) = run(says, &[b'x'; 300]);
    result.unwrap();
    let pieces: Vec<usize> = heard
        .iter()
        .filter_map(|message| match message {
            Message::ChannelData { data, .. } => Some(data.len()),
            _ => None,
        })
        .collect();
    assert_eq!(pieces, [100, 50, 100, 50]);
}

#[rstest]
#[case::refused(
    vec![Message::ChannelOpenFailure { recipient: 0, reason: OpenFailure::CONNECT_FAILED }],
    "AMT refused the connection with reason 2"
)]
#[case::disconnected(
    vec![Message::Disconnect { reason: DisconnectReason::PROTOCOL_ERROR }],
    "AMT disconnected with reason 2"
)]
#[case::silent(vec![confirmation(100)], "no message came within 5s")]
#[case::too_much(
    vec![confirmation(100), data(&[0; 50]), data(&[0; 5000])],
    "AMT broke the rules of a channel: 5000 bytes came where 4096 were allowed"
)]
fn what_goes_wrong_is_said(#[case] more: Vec<Message>, #[case] want: &str) {
    let mut says = handshake();
    says.extend(more);
    let (result, _) = run(says, b"?");
    assert_eq!(result.unwrap_err().to_string(), want);
}

#[test]
fn a_port_that_is_not_forwarded_is_not_there() {
    let mut says = handshake();
    says[2] = forward(16993);
    let (result, _) = run(says, b"?");
    assert!(matches!(result, Err(LmeError::NotForwarded(16992))));
}
