use proptest::prelude::*;
use rstest::rstest;

use super::*;

const CHUNKED: &str = "POST /wsman HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Everything that comes out of these pieces.
fn requests(pieces: &[&[u8]]) -> (Vec<Request>, Option<Broken>) {
    let mut parser = Parser::default();
    let mut out = Vec::new();
    for piece in pieces {
        parser.push(piece);
        loop {
            match parser.step(false) {
                Step::More => break,
                Step::Request(request) => out.push(*request),
                Step::Broken(broken) => return (out, Some(broken)),
            }
        }
    }
    (out, None)
}

fn bodies(text: &str) -> Vec<String> {
    let (requests, broken) = requests(&[text.as_bytes()]);
    assert_eq!(broken, None);
    let bodies = requests.into_iter();
    bodies
        .map(|request| String::from_utf8(request.body).unwrap())
        .collect()
}

#[rstest]
#[case::length("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", &["abc"])]
#[case::pipelined(
    "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /x HTTP/1.1\r\n\r\nGET /y HTTP/1.1\r\n\r\n",
    &["abc", "", ""]
)]
#[case::an_empty_line_after_the_body(
    "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\na\r\nGET /x HTTP/1.1\r\n\r\n",
    &["a", ""]
)]
#[case::bare_line_feeds("POST / HTTP/1.1\nContent-Length: 1\n\na", &["a"])]
#[case::not_all_there("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabc", &[])]
fn with_a_length(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(bodies(text), expected);
}

#[rstest]
#[case::upper("0A\r\n0123456789\r\n0\r\n\r\n", &["0123456789"])]
#[case::lower("a\r\n0123456789\r\n0\r\n\r\n", &["0123456789"])]
#[case::two("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", &["abc"])]
#[case::extension("1;x=y\r\na\r\n0;z\r\n\r\n", &["a"])]
#[case::trailer("1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n", &["a"])]
#[case::empty("0\r\n\r\n", &[""])]
#[case::line_break_inside("2\r\n\r\n\r\n0\r\n\r\n", &["\r\n"])]
#[case::no_end_yet("1\r\na\r\n0\r\n", &[])]
fn chunked(#[case] body: &str, #[case] expected: &[&str]) {
    assert_eq!(bodies(&format!("{CHUNKED}{body}")), expected);
}

#[rstest]
#[case::no_size(format!("{CHUNKED}xyz\r\n"))]
#[case::no_digits(format!("{CHUNKED}\r\n"))]
#[case::longer_than_said(format!("{CHUNKED}1\r\nabc\r\n0\r\n\r\n"))]
#[case::endless_size(format!("{CHUNKED}{}", "1".repeat(2000)))]
#[case::huge_chunk(format!("{CHUNKED}ffffffffffffffff\r\n"))]
#[case::many_trailers(format!("{CHUNKED}0\r\n{}", "X: y\r\n".repeat(5000)))]
#[case::long_body(format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", LONGEST_BODY + 1))]
#[case::long_head(format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(LONGEST_HEAD)))]
#[case::endless_head(format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(LONGEST_HEAD)))]
#[case::many_headers(format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65)))]
#[case::another_protocol("\x16\x03\x01\x02\x00\x01\n\n".to_owned())]
#[case::another_version("GET / HTTP/3.0\r\n\r\n".to_owned())]
fn no_request_ever(#[case] text: String) {
    let (requests, broken) = requests(&[text.as_bytes()]);
    assert_eq!(requests, []);
    assert!(broken.is_some());
}

#[test]
fn a_sum_of_chunks_is_limited_too() {
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let text = format!("{CHUNKED}{}", chunk.repeat(LONGEST_BODY / 0x1000 + 1));
    assert_eq!(
        requests(&[text.as_bytes()]).1,
        Some(Broken::too_long("body", LONGEST_BODY))
    );
}

#[test]
fn once_broken_always_broken() {
    let mut parser = Parser::default();
    parser.push(b"nonsense\n\n");
    assert!(matches!(parser.step(false), Step::Broken(_)));
    parser.push(b"GET / HTTP/1.1\r\n\r\n");
    assert!(matches!(parser.step(false), Step::Broken(_)));
    assert_eq!(parser.held(), 0);
}

#[rstest]
#[case(b"", true)]
#[case(b"\r\n", true)]
#[case(b"GET", false)]
#[case(b"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", false)]
fn between_requests(#[case] bytes: &[u8], #[case] expected: bool) {
    let mut parser = Parser::default();
    parser.push(bytes);
    parser.step(false);
    assert_eq!(parser.is_between_requests(), expected);
}

/// Requests as clients write them.
fn stream() -> impl Strategy<Value = String> {
    let request = prop_oneof![
        "[a-z]{0,20}".prop_map(|body| format!(
            "POST /wsman HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )),
        proptest::collection::vec("[a-z\r\n]{1,20}", 0..4).prop_map(|chunks| {
            let chunks = chunks
                .iter()
                .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
            format!("{CHUNKED}{}0\r\n\r\n", chunks.collect::<String>())
        }),
        Just("GET / HTTP/1.0\n\n".to_owned()),
        "[ -~\r\n]{0,20}",
    ];
    proptest::collection::vec(request, 0..4).prop_map(|requests| requests.concat())
}

proptest! {
    #[test]
    fn it_does_not_matter_where_a_stream_is_cut(text in stream(), cuts in proptest::collection::vec(0usize..400, 0..6)) {
        let bytes = text.as_bytes();
        let whole = requests(&[bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&requests(&single), &whole);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(&requests(&pieces), &whole);
    }

    #[test]
    fn no_bytes_are_a_panic(bytes: Vec<u8>) {
        requests(&[&bytes]);
    }
}
