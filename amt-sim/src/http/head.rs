//! A request's first lines: method, target, headers, and how long the body is.

use super::parser::Broken;

/// More than any client sends.
const MOST_HEADERS: usize = 64;

/// Request line and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// HTTP/1.1, not 1.0.
    pub(crate) is_current: bool,
    /// In the order in which they came; a value that is not UTF-8 has replacement characters.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    /// What is wrong with it and was understood all the same.
    pub(crate) findings: Vec<String>,
}

/// How the body's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Length(usize),
    Chunked,
}

impl Head {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &'static str) -> Option<&str> {
        self.values(name).next()
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the client wants the connection kept for another request.
    pub(crate) fn keeps_alive(&self) -> bool {
        let says = |token: &str| {
            self.values("connection")
                .flat_map(|value| value.split(','))
                .any(|word| word.trim().eq_ignore_ascii_case(token))
        };
        // rpc-go 2.52 over LME names no host, does not ask for the end, and waits for it all the same.
        !says("close") && ((self.is_current && self.names_host()) || says("keep-alive"))
    }

    pub(crate) fn names_host(&self) -> bool {
        self.values("host").next().is_some()
    }

    /// The target without query, and without scheme and authority when it has those.
    pub(crate) fn path(&self) -> &str {
        path_of(&self.target)
    }
}

/// Path of a request target or of a digest's `uri`.
pub(crate) fn path_of(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => target,
    };
    path.split(['?', '#']).next().unwrap_or(path)
}

/// Reads a head that ends with its empty line.
pub(super) fn parse(bytes: &[u8], strict: bool) -> Result<Head, Broken> {
    let mut findings = Vec::new();
    let mut head = match read(bytes, &httparse::ParserConfig::default()) {
        Ok(head) => head,
        Err(error) => {
            // Firmware is not known to look this closely: skip what cannot be a header, forgive blanks.
            let mut lenient = httparse::ParserConfig::default();
            lenient
                .ignore_invalid_headers_in_requests(true)
                .allow_multiple_spaces_in_request_line_delimiters(true);
            let head = read(bytes, &lenient).map_err(|error| Broken::syntax(error.to_string()))?;
            findings.push(error.to_string());
            head
        }
    };
    if head.is_current && head.header("host").is_none() {
        findings.push("an HTTP/1.1 request without Host".to_owned());
    }
    head.body = body(&head, &mut findings)?;
    match findings.first() {
        Some(finding) if strict => Err(Broken::syntax(finding.clone())),
        _ => {
            head.findings = findings;
            Ok(head)
        }
    }
}

fn read(bytes: &[u8], config: &httparse::ParserConfig) -> Result<Head, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    if config.parse_request(&mut request, bytes)?.is_partial() {
        // The empty line was taken for something else, such as a header's value.
        return Err(httparse::Error::HeaderName);
    }
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Ok(Head {
        method: text(request.method),
        target: text(request.path),
        is_current: request.version == Some(1),
        headers: request
            .headers
            .iter()
            .map(|header| {
                let value = String::from_utf8_lossy(header.value);
                (header.name.to_owned(), value.into_owned())
            })
            .collect(),
        body: Body::Length(0),
        findings: Vec::new(),
    })
}

/// Source: RFC 9112 section 6.3. `Transfer-Encoding` counts for more than `Content-Length`.
fn body(head: &Head, findings: &mut Vec<String>) -> Result<Body, Broken> {
    let mut lengths = head
        .values("content-length")
        .flat_map(|value| value.split(','))
        .map(str::trim);
    let first = lengths.next();
    if let Some(other) = lengths.find(|other| Some(*other) != first) {
        return Err(Broken::syntax(format!(
            "two lengths, {} and {other}",
            first.unwrap_or_default()
        )));
    }
    let codings: Vec<&str> = head
        .values("transfer-encoding")
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    match (codings.as_slice(), first) {
        ([], None) => Ok(Body::Length(0)),
        ([], Some(length)) if length.bytes().all(|byte| byte.is_ascii_digit()) => length
            .parse()
            .map(Body::Length)
            .map_err(|_| Broken::syntax(format!("Content-Length {length}"))),
        ([], Some(length)) => Err(Broken::syntax(format!("Content-Length {length:?}"))),
        ([coding], length) if coding.eq_ignore_ascii_case("chunked") => {
            if length.is_some() {
                findings.push("Content-Length beside Transfer-Encoding".to_owned());
            }
            Ok(Body::Chunked)
        }
        (codings, _) => Err(Broken::syntax(format!(
            "Transfer-Encoding {:?}",
            codings.join(", ")
        ))),
    }
}

/// The size that starts a chunk: hex digits in either case, then perhaps blanks and extensions.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let digits = text.split(';').next().unwrap_or(text).trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    // More digits than fit are a size beyond every limit.
    Some(u64::from_str_radix(digits, 16).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/wsman", "/wsman")]
    #[case("http://127.0.0.1:16992/wsman", "/wsman")]
    #[case("http://host", "/")]
    #[case("/wsman?x=1", "/wsman")]
    #[case("/a?b=http://c/d", "/a")]
    #[case("*", "*")]
    fn paths(#[case] target: &str, #[case] expected: &str) {
        assert_eq!(path_of(target), expected);
    }

    #[rstest]
    #[case(b"0220", Some(0x220))]
    #[case(b"2fa;name=value", Some(0x2fa))]
    #[case(b" 10 ", Some(16))]
    #[case(b"0", Some(0))]
    #[case(b"ffffffffffffffffffff", Some(u64::MAX))]
    #[case(b"", None)]
    #[case(b"-1", None)]
    #[case(b"+1", None)]
    #[case(b"0x10", None)]
    fn chunk_sizes(#[case] line: &[u8], #[case] expected: Option<u64>) {
        assert_eq!(chunk_size(line), expected);
    }

    #[rstest]
    #[case("POST /wsman HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Body::Length(0)))]
    #[case(
        "POST /wsman HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n",
        Ok(Body::Length(12))
    )]
    #[case(
        "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 3, 3\r\n\r\n",
        Ok(Body::Length(3))
    )]
    #[case("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", Err(()))]
    #[case("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", Err(()))]
    #[case("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", Err(()))]
    #[case(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
        Ok(Body::Chunked)
    )]
    #[case("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Err(()))]
    fn lengths(#[case] text: &str, #[case] expected: Result<Body, ()>) {
        let head = parse(text.as_bytes(), true).map(|head| head.body);
        assert_eq!(head.map_err(|_| ()), expected);
    }

    #[rstest]
    #[case::no_host("POST /wsman HTTP/1.1\r\nA: b\r\n\r\n")]
    #[case::no_header("POST /wsman HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n")]
    #[case::blanks("POST   /wsman   HTTP/1.1\r\nHost: a\r\n\r\n")]
    #[case::both_lengths(
        "POST /wsman HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    )]
    fn forgiven_with_a_finding_and_refused_on_request(#[case] text: &str) {
        let head = parse(text.as_bytes(), false).unwrap();
        assert_eq!((head.method.as_str(), head.path()), ("POST", "/wsman"));
        assert_eq!(head.findings.len(), 1, "{:?}", head.findings);
        assert!(parse(text.as_bytes(), true).is_err());
    }

    #[rstest]
    #[case("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true)]
    #[case("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false)]
    #[case("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, close\r\n\r\n", false)]
    #[case("GET / HTTP/1.0\r\n\r\n", false)]
    #[case("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true)]
    fn connection_tokens(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(
            parse(text.as_bytes(), true).unwrap().keeps_alive(),
            expected
        );
    }
}
