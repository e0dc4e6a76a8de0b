use proptest::prelude::*;
use rstest::rstest;

use super::super::pending;
use super::super::testing::{
    PASSWORD, answered, challenge, converse, events, firmware, header, login, post, with_profile,
};
use super::*;
use crate::device::{Mode, Profile, Rules};

const GET: &str = "GET /logon.htm HTTP/1.1\r\nHost: amt\r\n\r\n";

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("")
}

#[rstest]
#[case(Mode::PreProvisioning, Interface::Local, true)]
#[case(Mode::PreProvisioning, Interface::Network, false)]
#[case(Mode::Client, Interface::Network, true)]
#[case(Mode::Admin, Interface::Network, true)]
#[case(Mode::Admin, Interface::Local, true)]
#[case(Mode::Disabled, Interface::Local, false)]
#[case(Mode::SetupElapsed, Interface::Network, false)]
fn who_is_listened_to(#[case] mode: Mode, #[case] side: Interface, #[case] expected: bool) {
    let mut fw = firmware(mode);
    assert_eq!(listens(&fw, side, 16992), expected);
    assert_eq!(open(&mut fw, side, 16992).is_ok(), expected);
    assert!(!listens(&fw, side, 16991));
}

#[test]
fn a_generation_that_enforces_tls_has_no_plain_local_port() {
    let profile = Profile::builtin("arrow-lake-19").unwrap();
    let fw = with_profile(profile, Mode::PreProvisioning, Rules::default());
    assert!(!listens(&fw, Interface::Local, 16992));
}

#[rstest]
#[case::no_login(post("", ""), "401", true)]
#[case::landing(GET.to_owned(), "200", false)]
#[case::landing_and_close(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"), "200", true)]
#[case::old(GET.replace("1.1", "1.0"), "200", true)]
#[case::root(GET.replace("/logon.htm", "/"), "303", false)]
#[case::behind_login(GET.replace("logon", "index"), "401", true)]
#[case::elsewhere(GET.replace("logon", "other"), "404", true)]
#[case::no_post(GET.replace("/logon.htm", "/wsman"), "405", true)]
#[case::no_http("\u{16}\u{3}\u{1}\n\n".to_owned(), "400", true)]
fn answers(#[case] request: String, #[case] expected: &str, #[case] closes: bool) {
    let mut fw = firmware(Mode::Admin);
    let (answer, closed) = converse(&mut fw, Interface::Network, request.as_bytes());
    assert_eq!((status(&answer), closed), (expected, closes), "{answer}");
    assert!(answer.contains("\r\nServer: Intel(R) Active Management Technology 15.0."));
}

#[test]
fn the_journal_tells_of_a_request() {
    let mut fw = firmware(Mode::Admin);
    converse(&mut fw, Interface::Network, post("", "").as_bytes());
    assert_eq!(
        events(&mut fw),
        [
            Event::StreamOpened {
                stream: 0,
                side: Interface::Network,
                port: 16992
            },
            Event::HttpRequest {
                stream: 0,
                method: "POST".to_owned(),
                target: "/wsman".to_owned(),
                user: None,
                status: 401
            },
            Event::StreamClosed { stream: 0 },
        ]
    );
}

#[test]
fn a_login_reaches_wsman() {
    let mut fw = firmware(Mode::Admin);
    let challenge = challenge(&mut fw, Interface::Network);
    let login = login(&challenge, "admin", PASSWORD, 2);
    converse(
        &mut fw,
        Interface::Network,
        post(&header(&login), "").as_bytes(),
    );
    let user = events(&mut fw).into_iter().find_map(|event| match event {
        Event::HttpRequest { user, .. } => user,
        _ => None,
    });
    assert_eq!(user.as_deref(), Some("admin"));
}

#[test]
fn pipelined_requests_are_answered_in_order_until_one_closes() {
    let mut fw = firmware(Mode::Admin);
    let root = GET.replace("/logon.htm", "/");
    let both = format!("{root}{GET}{}{root}", post("", ""));
    let (answer, closes) = converse(&mut fw, Interface::Network, both.as_bytes());
    let lines = answer.split("HTTP/1.1 ").skip(1);
    let statuses: Vec<&str> = lines.map(|line| &line[..3]).collect();
    assert_eq!(statuses, ["303", "200", "401"]);
    assert!(closes);
}

#[test]
fn a_request_without_host_is_a_finding_and_strictly_an_error() {
    let request = "GET /logon.htm HTTP/1.1\r\n\r\n";
    let malformed = |fw: &mut Firmware| {
        events(fw).into_iter().find_map(|event| match event {
            Event::HttpMalformed { tolerated, .. } => Some(tolerated),
            _ => None,
        })
    };
    let mut fw = firmware(Mode::Admin);
    let (answer, _) = converse(&mut fw, Interface::Local, request.as_bytes());
    assert_eq!((status(&answer), malformed(&mut fw)), ("200", Some(true)));

    let profile = Profile::builtin("tiger-lake-15").unwrap();
    let profile = profile.with("web.strict_requests", "true").unwrap();
    let mut fw = with_profile(profile, Mode::Admin, Rules::default());
    let (answer, closes) = converse(&mut fw, Interface::Local, request.as_bytes());
    assert_eq!((status(&answer), malformed(&mut fw)), ("400", Some(false)));
    assert!(closes);
}

#[rstest]
#[case::nothing_sent("", 0)]
#[case::between_requests(GET, 0)]
#[case::inside_a_request("GET /", 1)]
#[case::inside_a_body("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na", 1)]
fn a_peer_that_ends(#[case] request: &str, #[case] findings: usize) {
    let mut fw = firmware(Mode::Admin);
    let stream = open(&mut fw, Interface::Network, 16992).unwrap();
    receive(&mut fw, stream, request.as_bytes());
    assert!(!finished(&fw, stream));
    end(&mut fw, stream);
    assert!(finished(&fw, stream));
    let events = events(&mut fw);
    let malformed = |event: &&Event| matches!(event, Event::HttpMalformed { .. });
    assert_eq!(events.iter().filter(malformed).count(), findings);
}

#[test]
fn answers_leave_in_pieces() {
    let mut fw = firmware(Mode::Admin);
    let stream = open(&mut fw, Interface::Network, 16992).unwrap();
    receive(&mut fw, stream, GET.as_bytes());
    let length = pending(&fw, stream);
    let mut bytes = take(&mut fw, stream, 10);
    assert_eq!((bytes.len(), pending(&fw, stream)), (10, length - 10));
    bytes.extend(take(&mut fw, stream, usize::MAX));
    assert_eq!(bytes.len(), length);
    assert!(take(&mut fw, stream, 10).is_empty());
}

#[test]
fn requests_wait_while_their_answers_are_not_taken_and_come_to_an_end() {
    let mut fw = firmware(Mode::Admin);
    let stream = open(&mut fw, Interface::Network, 16992).unwrap();
    for _ in 0..500 {
        receive(&mut fw, stream, GET.as_bytes());
    }
    assert!(pending(&fw, stream) < 2 * HIGH_WATER);
    let mut text = String::new();
    while pending(&fw, stream) > 0 {
        text += &String::from_utf8(take(&mut fw, stream, 10_000)).unwrap();
    }
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 500);

    for _ in 0..MOST_AHEAD / GET.len() + 2000 {
        receive(&mut fw, stream, GET.as_bytes());
    }
    assert!(finished(&fw, stream));
}

#[test]
fn a_port_that_closes_ends_its_connections() {
    let mut fw = firmware(Mode::Admin);
    let lan = open(&mut fw, Interface::Network, 16992).unwrap();
    let host = open(&mut fw, Interface::Local, 16992).unwrap();
    fw.state.mode = Mode::PreProvisioning;
    assert!(finished(&fw, lan) && !finished(&fw, host));
    receive(&mut fw, lan, GET.as_bytes());
    assert_eq!(answered(&mut fw, lan), "");
}

#[test]
fn a_restart_ends_all_connections_and_lets_their_answers_out() {
    let mut fw = firmware(Mode::Admin);
    let streams = [(); 2].map(|()| open(&mut fw, Interface::Network, 16992).unwrap());
    for stream in streams {
        receive(&mut fw, stream, GET.as_bytes());
    }
    let before = fw.web.disturbances();
    fw.web.restart(streams[0]);
    assert_ne!(fw.web.disturbances(), before);
    for stream in streams {
        assert!(finished(&fw, stream));
        receive(&mut fw, stream, GET.as_bytes());
        assert_eq!(answered(&mut fw, stream).matches("HTTP/1.1 200").count(), 1);
    }
    let next = open(&mut fw, Interface::Network, 16992).unwrap();
    assert!(!finished(&fw, next) && !streams.contains(&next));
}

#[test]
fn connections_are_limited() {
    let mut fw = firmware(Mode::Admin);
    let streams: Vec<StreamId> = (0..MOST_STREAMS)
        .map(|_| open(&mut fw, Interface::Network, 16992).unwrap())
        .collect();
    assert_eq!(
        open(&mut fw, Interface::Network, 16992),
        Err(NotListening(16992))
    );
    close(&mut fw, streams[0]);
    assert!(finished(&fw, streams[0]));
    assert!(open(&mut fw, Interface::Network, 16992).is_ok());
}

#[rstest]
#[case("http=status-503", "503", true, true)]
#[case("http=drop", "", true, true)]
#[case("http=truncate-12", "200", true, true)]
#[case("http+1=drop", "200", false, false)]
fn faults(
    #[case] fault: &str,
    #[case] expected: &str,
    #[case] closes: bool,
    #[case] injected: bool,
) {
    let mut fw = firmware(Mode::Admin);
    fw.faults.arm(fault.parse().unwrap());
    let (answer, closed) = converse(&mut fw, Interface::Network, GET.as_bytes());
    assert_eq!((status(&answer), closed), (expected, closes), "{answer}");
    let events = events(&mut fw);
    let is_fault = |event: &Event| matches!(event, Event::FaultInjected { .. });
    assert_eq!(events.iter().any(is_fault), injected);
}

#[test]
fn a_delayed_answer_leaves_when_it_is_due() {
    let mut fw = firmware(Mode::Admin);
    fw.faults.arm("http=delay-250*1".parse().unwrap());
    let stream = open(&mut fw, Interface::Network, 16992).unwrap();
    let close = GET.replace("Host: amt", "Connection: close");
    receive(&mut fw, stream, close.as_bytes());
    assert_eq!((pending(&fw, stream), finished(&fw, stream)), (0, false));
    assert_eq!(answered(&mut fw, stream), "");
    fw.now = fw.web.next_wake(fw.now).unwrap();
    assert!(pending(&fw, stream) > 0 && finished(&fw, stream));
    assert_eq!(fw.web.next_wake(fw.now), None);
    assert!(answered(&mut fw, stream).starts_with("HTTP/1.1 200"));
}

proptest! {
    #[test]
    fn it_does_not_matter_where_requests_are_cut(cut in 0usize..400, chunked: bool) {
        let body = "<?xml version=\"1.0\"?><Envelope/>";
        let first = match chunked {
            false => post("Content-Type: application/soap+xml\r\n", body),
            true => format!(
                "POST /wsman HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x};e\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ),
        };
        let text = format!("{}{first}", GET.replace("/logon.htm", "/"));
        let whole = converse(&mut firmware(Mode::Admin), Interface::Local, text.as_bytes());
        let mut fw = firmware(Mode::Admin);
        let stream = open(&mut fw, Interface::Local, 16992).unwrap();
        let (head, tail) = text.split_at(cut.min(text.len()));
        receive(&mut fw, stream, head.as_bytes());
        let mut answer = answered(&mut fw, stream);
        for byte in tail.bytes() {
            receive(&mut fw, stream, &[byte]);
        }
        answer += &answered(&mut fw, stream);
        prop_assert_eq!((answer, finished(&fw, stream)), whole);
    }

    #[test]
    fn no_bytes_are_a_panic(pieces: Vec<Vec<u8>>) {
        let mut fw = firmware(Mode::Admin);
        let stream = open(&mut fw, Interface::Local, 16992).unwrap();
        for piece in pieces {
            receive(&mut fw, stream, &piece);
            take(&mut fw, stream, piece.len());
        }
        end(&mut fw, stream);
        close(&mut fw, stream);
    }
}
