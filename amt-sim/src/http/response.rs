//! Responses as firmware writes them: which headers in which order, and how a body is cut into chunks.
//!
//! ```text
//! 200, 400  Date, Server, X-Frame-Options, Content-Type, Transfer-Encoding: chunked [, Connection: close]
//! 401, 404  [WWW-Authenticate,] Content-Type, Server, Content-Length, Connection: close
//! 303       Location, Content-Length, Server
//! ```
//! Source: AMT 11, 15 and 16 in public recordings. No head ends in `0`: one management server takes `0`, empty
//! line for the end of a response.

use super::pages;
use crate::device::Firmware;
use crate::time::UnixTime;

/// Before AMT 16 the head and the first chunk share a buffer of this size, and each further chunk fills one.
const BUFFER: usize = 768;

/// Four hex digits and a line break.
const CHUNK_HEAD: usize = 6;

/// Bytes for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) bytes: Vec<u8>,
    /// The device closes the connection after it.
    pub(super) closes: bool,
}

/// A SOAP envelope.
pub(super) fn answer(fw: &Firmware, body: &str, closes: bool) -> Response {
    let content_type = soap_type(fw);
    let buffered = !writes_one_chunk(fw);
    chunked(fw, 200, content_type, body, buffered, closes)
}

/// A SOAP fault; firmware closes the connection after it.
pub(super) fn fault(fw: &Firmware, body: &str) -> Response {
    chunked(fw, 400, soap_type(fw), body, false, true)
}

/// A page for people, behind a login or not.
pub(super) fn page(fw: &Firmware, html: &str, closes: bool) -> Response {
    chunked(fw, 200, "text/html; charset=utf-8", html, false, closes)
}

/// The refusal with a challenge.
pub(super) fn unauthorized(fw: &Firmware, challenge: &str) -> Response {
    let first = format!("WWW-Authenticate: {challenge}\r\n");
    refusal(fw, 401, &first, pages::LOG_ON_FAILED)
}

/// Any other refusal that is no SOAP fault.
pub(super) fn error(fw: &Firmware, status: u16) -> Response {
    refusal(fw, status, "", reason(status))
}

/// The way to another page.
pub(super) fn redirect(fw: &Firmware, location: &str, closes: bool) -> Response {
    let head = format!(
        "HTTP/1.1 303 {}\r\nLocation: {location}\r\nContent-Length: 0\r\nServer: {}\r\n{}\r\n",
        reason(303),
        server(fw),
        connection(closes),
    );
    Response {
        status: 303,
        bytes: head.into_bytes(),
        closes,
    }
}

fn refusal(fw: &Firmware, status: u16, first: &str, message: &str) -> Response {
    let html = pages::message(message);
    let head = format!(
        "HTTP/1.1 {status} {}\r\n{first}Content-Type: text/html\r\nServer: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{html}",
        reason(status),
        server(fw),
        html.len(),
    );
    Response {
        status,
        bytes: head.into_bytes(),
        closes: true,
    }
}

fn chunked(
    fw: &Firmware,
    status: u16,
    content_type: &str,
    body: &str,
    buffered: bool,
    closes: bool,
) -> Response {
    let head = format!(
        "HTTP/1.1 {status} {}\r\nDate: {}\r\nServer: {}\r\nX-Frame-Options: DENY\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n{}\r\n",
        reason(status),
        date(fw.clock()),
        server(fw),
        connection(closes),
    );
    let (first, further) = if buffered {
        let room = BUFFER - CHUNK_HEAD;
        (room.saturating_sub(head.len()).max(1), room)
    } else {
        (0xffff, 0xffff)
    };
    let mut bytes = head.into_bytes();
    let (start, rest) = body.as_bytes().split_at(first.min(body.len()));
    for chunk in std::iter::once(start).chain(rest.chunks(further)) {
        if !chunk.is_empty() {
            bytes.extend_from_slice(format!("{:04X}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    Response {
        status,
        bytes,
        closes,
    }
}

/// The whole version with build, as four numbers.
pub(super) fn server(fw: &Firmware) -> String {
    let firmware = &fw.profile.firmware;
    format!(
        "Intel(R) Active Management Technology {}.{}",
        firmware.amt, firmware.build
    )
}

/// AMT 16 leaves the blank out.
fn soap_type(fw: &Firmware) -> &'static str {
    if writes_one_chunk(fw) {
        "application/soap+xml;charset=UTF-8"
    } else {
        "application/soap+xml; charset=UTF-8"
    }
}

/// The web server of AMT 16 and later.
fn writes_one_chunk(fw: &Firmware) -> bool {
    let [major, ..] = fw.profile.firmware.parts();
    major >= 16
}

const fn connection(closes: bool) -> &'static str {
    if closes { "Connection: close\r\n" } else { "" }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// As RFC 9110 section 5.6.7 writes it: `Mon, 31 Jan 2022 10:23:04 GMT`.
fn date(clock: UnixTime) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let time = clock.civil();
    let day = DAYS
        .get(usize::from(time.weekday))
        .copied()
        .unwrap_or("Sun");
    let month = usize::from(time.month).checked_sub(1);
    let month = month
        .and_then(|at| MONTHS.get(at))
        .copied()
        .unwrap_or("Jan");
    format!(
        "{day}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
        time.day, time.year, time.hour, time.minute, time.second
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{firmware, with_profile};
    use super::*;
    use crate::device::{Mode, Profile, Rules};
    use rstest::rstest;

    fn text(response: Response) -> String {
        String::from_utf8(response.bytes).unwrap()
    }

    /// Sizes of the chunks, and the body put together again.
    fn chunks(text: &str) -> (Vec<&str>, String) {
        let (_, mut rest) = text.split_once("\r\n\r\n").unwrap();
        let (mut sizes, mut body) = (Vec::new(), String::new());
        loop {
            let (size, after) = rest.split_once("\r\n").unwrap();
            let length = usize::from_str_radix(size, 16).unwrap();
            if length == 0 {
                assert_eq!(after, "\r\n");
                return (sizes, body);
            }
            sizes.push(size);
            body += &after[..length];
            rest = after[length..].strip_prefix("\r\n").unwrap();
        }
    }

    #[test]
    fn an_answer_of_amt_15_byte_by_byte() {
        let fw = firmware(Mode::Admin);
        insta::assert_snapshot!(text(answer(&fw, "<a/>", false)).escape_debug());
        insta::assert_snapshot!(text(fault(&fw, "<a/>")).escape_debug());
    }

    #[test]
    fn a_long_answer_is_cut_as_the_recorded_one_was() {
        // Server: ... 15.0.23.1706 made the head 218 bytes long, and the chunks 0220, 02FA, 02FA, 003C.
        let profile = Profile::builtin("tiger-lake-15").unwrap();
        let profile = profile.with("firmware.amt", "\"15.0.23\"").unwrap();
        let profile = profile.with("firmware.build", "\"1706\"").unwrap();
        let fw = with_profile(profile, Mode::Admin, Rules::default());
        let body = "x".repeat(544 + 762 + 762 + 60);
        let text = text(answer(&fw, &body, false));
        assert_eq!(chunks(&text), (vec!["0220", "02FA", "02FA", "003C"], body));
    }

    #[rstest]
    #[case(0, &[])]
    #[case(1, &["0001"])]
    #[case(0x448, &["0448"])]
    #[case(0x1ffff, &["FFFF", "FFFF", "0001"])]
    fn amt_16_writes_one_chunk(#[case] length: usize, #[case] expected: &[&str]) {
        let profile = Profile::builtin("alder-lake-16").unwrap();
        let fw = with_profile(profile, Mode::Admin, Rules::default());
        let body = "x".repeat(length);
        let text = text(answer(&fw, &body, false));
        assert_eq!(chunks(&text), (expected.to_vec(), body));
        assert!(text.contains("Content-Type: application/soap+xml;charset=UTF-8\r\n"));
    }

    #[test]
    fn the_refusal_page() {
        let fw = firmware(Mode::Admin);
        let text = text(unauthorized(&fw, r#"Digest realm="r""#));
        let (head, html) = text.split_once("\r\n\r\n").unwrap();
        let server = server(&fw);
        let length = html.len();
        assert_eq!(
            head,
            format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\"\r\nContent-Type: text/html\r\nServer: {server}\r\nContent-Length: {length}\r\nConnection: close"
            )
        );
        assert!(html.trim_end().ends_with("</html>"));
        assert!(html.contains("Incorrect user name or password"));
    }

    #[rstest]
    #[case(0, "Thu, 01 Jan 1970 00:00:00 GMT")]
    #[case(1_643_624_584, "Mon, 31 Jan 2022 10:23:04 GMT")]
    fn dates(#[case] clock: i64, #[case] expected: &str) {
        assert_eq!(date(UnixTime(clock)), expected);
    }

    #[test]
    fn no_head_ends_in_a_zero() {
        let fw = firmware(Mode::Admin);
        let responses = [
            answer(&fw, "", false),
            fault(&fw, ""),
            page(&fw, "", false),
            redirect(&fw, "/logon.htm", true),
            error(&fw, 404),
            unauthorized(&fw, "Digest"),
        ];
        for response in responses {
            let text = text(response);
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            assert!(!head.ends_with('0'), "{head}");
        }
    }
}
