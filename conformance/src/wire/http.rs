//! HTTP/1.1 as a client of AMT needs it: one POST, one answer.
//!
//! An answer's body is measured by chunks, by `Content-Length`, or by the end of the connection.

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub reason: String,
    /// In the order of the wire.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The sizes of its chunks as they are written, that of the empty one at the end left out.
    pub chunks: Vec<String>,
}

/// Why bytes are no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    #[error("the first line is no status line: {0:?}")]
    StatusLine(String),
    #[error("a header has no colon: {0:?}")]
    Header(String),
    #[error("Content-Length is no number: {0:?}")]
    Length(String),
    #[error("a chunk begins with {0:?}, which is no size")]
    ChunkSize(String),
    #[error("a chunk does not end where its size says")]
    ChunkEnd,
    #[error("{0} bytes follow the answer")]
    Trailing(usize),
    #[error("the connection ended within the answer, after {0} bytes")]
    Cut(usize),
}

/// A request for WS-Management. `host` is name and port of the server; a connection that is not `kept` serves one
/// request, so that its end ends the answer too.
pub fn request(host: &str, authorization: Option<&str>, body: &str, kept: bool) -> Vec<u8> {
    let mut head = format!("POST /wsman HTTP/1.1\r\nHost: {host}\r\n");
    if let Some(value) = authorization {
        head += &format!("Authorization: {value}\r\n");
    }
    head += "Content-Type: application/soap+xml;charset=UTF-8\r\n";
    head += &format!("Content-Length: {}\r\n", body.len());
    if !kept {
        head += "Connection: close\r\n";
    }
    head += "\r\n";
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A request for whatever lies at `path`.
pub fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").into_bytes()
}

/// The answer in these bytes, and nothing else; none while there is more to come. `ended` says that there is not.
pub fn response(bytes: &[u8], ended: bool) -> Result<Option<Response>, HttpError> {
    match first_response(bytes, ended)? {
        Some((_, taken)) if taken < bytes.len() => Err(HttpError::Trailing(bytes.len() - taken)),
        found => Ok(found.map(|(response, _)| response)),
    }
}

/// The first answer in these bytes, and how many of them it takes; none while there is more of it to come.
pub fn first_response(bytes: &[u8], ended: bool) -> Result<Option<(Response, usize)>, HttpError> {
    let short = || match ended {
        true => Err(HttpError::Cut(bytes.len())),
        false => Ok(None),
    };
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return short();
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let rest = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let (status, reason) = status_line(lines.next().unwrap_or_default())?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| HttpError::Header(line.to_owned()))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut response = Response {
        status,
        reason,
        headers,
        body: Vec::new(),
        chunks: Vec::new(),
    };
    let chunked = response
        .header("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let (body, used) = if chunked {
        match chunks(rest)? {
            Some((body, sizes, used)) => {
                response.chunks = sizes;
                (body, used)
            }
            None => return short(),
        }
    } else if let Some(length) = response.header("content-length") {
        let length: usize = length
            .parse()
            .map_err(|_| HttpError::Length(length.to_owned()))?;
        match rest.get(..length) {
            Some(body) => (body.to_vec(), length),
            None => return short(),
        }
    } else if ended {
        (rest.to_vec(), rest.len())
    } else {
        return Ok(None);
    };
    response.body = body;
    Ok(Some((response, end + 4 + used)))
}

impl Response {
    /// Whether its body says that it is a SOAP envelope.
    pub fn is_soap(&self) -> bool {
        self.header("content-type")
            .is_some_and(|value| value.to_ascii_lowercase().contains("soap+xml"))
    }

    /// Whether the server closes the connection after it.
    pub fn closes(&self) -> bool {
        let says = |word: &str| word.trim().eq_ignore_ascii_case("close");
        self.header("connection")
            .is_some_and(|value| value.split(',').any(says))
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

fn status_line(line: &str) -> Result<(u16, String), HttpError> {
    let wrong = || HttpError::StatusLine(line.to_owned());
    let rest = line.strip_prefix("HTTP/1.1 ").ok_or_else(wrong)?;
    let (number, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    match number.parse() {
        Ok(status) if (100..600).contains(&status) => Ok((status, reason.to_owned())),
        _ => Err(wrong()),
    }
}

/// A chunked body, the sizes of its chunks, and how many bytes it took.
type Chunked = (Vec<u8>, Vec<String>, usize);

/// None while there is more to come.
fn chunks(bytes: &[u8]) -> Result<Option<Chunked>, HttpError> {
    let mut body = Vec::new();
    let mut sizes = Vec::new();
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(line) = find(rest, b"\r\n") else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&rest[..line]).into_owned();
        let digits = text.split(';').next().unwrap_or_default().trim();
        let size = match usize::from_str_radix(digits, 16) {
            Ok(size) if digits.len() <= 8 => size,
            _ => return Err(HttpError::ChunkSize(text)),
        };
        at += line + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err(HttpError::ChunkEnd);
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, sizes, at)));
        }
        sizes.push(text);
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nServer: Intel(R) Active Management Technology 16.1.25\r\nContent-Type: application/soap+xml; charset=UTF-8\r\nTransfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n0002\r\nde\r\n0\r\n\r\n";

    #[test]
    fn a_request_counts_its_body() {
        let text =
            String::from_utf8(request("localhost:16992", Some("Digest x"), "<a/>", false)).unwrap();
        assert!(text.starts_with("POST /wsman HTTP/1.1\r\n"));
        assert!(text.contains("\r\nAuthorization: Digest x\r\n"));
        assert!(text.ends_with("Content-Length: 4\r\nConnection: close\r\n\r\n<a/>"));
    }

    #[test]
    fn chunks_are_joined() {
        let answer = response(CHUNKED.as_bytes(), false).unwrap().unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, &b"abcde"[..])
        );
        assert_eq!(
            answer.header("SERVER"),
            Some("Intel(R) Active Management Technology 16.1.25")
        );
    }

    #[test]
    fn an_answer_ends_where_it_says_and_the_next_one_begins() {
        let two = format!("{CHUNKED}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy");
        let (first, taken) = first_response(two.as_bytes(), false).unwrap().unwrap();
        assert_eq!(
            (first.chunks, taken),
            (vec!["0003".into(), "0002".into()], CHUNKED.len())
        );
        let rest = &two.as_bytes()[taken..];
        let (second, taken) = first_response(rest, false).unwrap().unwrap();
        assert_eq!((second.body.as_slice(), taken), (&b"x"[..], rest.len() - 1));
    }

    #[test]
    fn an_answer_is_waited_for_to_its_last_byte() {
        for length in 0..CHUNKED.len() {
            let bytes = &CHUNKED.as_bytes()[..length];
            assert_eq!(response(bytes, false), Ok(None), "{length}");
            assert_eq!(response(bytes, true), Err(HttpError::Cut(length)));
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let bytes = b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\nno";
        assert_eq!(response(bytes, false), Ok(None));
        assert_eq!(response(bytes, true).unwrap().unwrap().body, b"no");
    }

    #[rstest]
    #[case("HTTP/1.0 200 OK\r\n\r\n", HttpError::StatusLine("HTTP/1.0 200 OK".into()))]
    #[case("HTTP/1.1 20 OK\r\n\r\n", HttpError::StatusLine("HTTP/1.1 20 OK".into()))]
    #[case("HTTP/1.1 200 OK\r\nx\r\n\r\n", HttpError::Header("x".into()))]
    #[case("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", HttpError::Length("x".into()))]
    #[case(
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        HttpError::Trailing(1)
    )]
    #[case("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nq\r\n", HttpError::ChunkSize("q".into()))]
    #[case(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        HttpError::ChunkEnd
    )]
    fn what_is_no_answer(#[case] text: &str, #[case] want: HttpError) {
        assert_eq!(response(text.as_bytes(), false), Err(want));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes: Vec<u8>, ended: bool) {
            let _ = response(&bytes, ended);
            let _ = response(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat(), ended);
        }
    }
}
