//! Bytes as people read them: HTTP messages cut out of a stream, SOAP with its lines, everything else as hex.

use std::fmt::Write as _;

/// The HTTP messages of one direction of a connection, in order. What follows the last whole one is one more.
pub(super) fn messages(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !stream.is_empty() {
        let end = message_end(stream).unwrap_or(stream.len());
        let (message, rest) = stream.split_at(end);
        found.push(message);
        stream = rest;
    }
    found
}

/// Where the first message ends; `None` when it does not.
fn message_end(stream: &[u8]) -> Option<usize> {
    let head = find(stream, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(stream.get(..head)?).to_ascii_lowercase();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    };
    if field("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        return chunks(stream, head).map(|(_, end)| end);
    }
    let length: usize = field("content-length").and_then(|length| length.parse().ok())?;
    let end = head.checked_add(length)?;
    (end <= stream.len()).then_some(end)
}

/// What the chunks hold, and where the last one ends.
fn chunks(stream: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    loop {
        let line = find(stream.get(at..)?, b"\r\n")?;
        let size = std::str::from_utf8(stream.get(at..at + line)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        at += line + 2;
        let end = at.checked_add(size)?;
        body.extend_from_slice(stream.get(at..end)?);
        at = end.checked_add(2)?;
        if size == 0 {
            return (at <= stream.len()).then_some((body, at));
        }
    }
}

fn find(within: &[u8], wanted: &[u8]) -> Option<usize> {
    within
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// A message with its head as it is and its body, if it is XML, a line an element.
pub(super) fn http(message: &[u8]) -> String {
    let Some(head) = find(message, b"\r\n\r\n").map(|end| end + 4) else {
        return String::from_utf8_lossy(message).into_owned();
    };
    let (head, body) = message.split_at(head);
    let chunked = String::from_utf8_lossy(head)
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let unpacked = match chunked {
        true => chunks(message, head.len()).map(|(body, _)| body),
        false => None,
    };
    let body = String::from_utf8_lossy(unpacked.as_deref().unwrap_or(body));
    let mut out = String::from_utf8_lossy(head).replace("\r\n", "\n");
    match body.trim_start().starts_with('<') {
        true => out += &indented(&body),
        false => out += &body,
    }
    out
}

/// The action of a SOAP message: the last part of its URI.
pub(super) fn action(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let (_, after) = text.split_once("Action")?;
    let (_, after) = after.split_once('>')?;
    let uri = after.split('<').next()?.trim();
    let name = uri.rsplit('/').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// XML with a line for each element; texts stay where they are.
fn indented(xml: &str) -> String {
    let mut out = String::with_capacity(xml.len() * 2);
    let mut depth: usize = 0;
    let mut rest = xml.trim();
    // The element that was opened last has nothing in it yet but text.
    let mut open = false;
    while let Some(start) = rest.find('<') {
        let (text, tag) = rest.split_at(start);
        let text = text.trim();
        let Some(end) = tag.find('>') else {
            break;
        };
        let (tag, after) = tag.split_at(end + 1);
        rest = after;
        out.push_str(text);
        let closes = tag.starts_with("</");
        if closes {
            depth = depth.saturating_sub(1);
        }
        let ends_text = closes && open;
        if !ends_text && !out.is_empty() {
            newline(&mut out, depth);
        }
        out.push_str(tag);
        open = !closes && !tag.ends_with("/>") && !tag.starts_with("<?") && !tag.starts_with("<!");
        if open {
            depth += 1;
        }
    }
    out.push_str(rest.trim_end());
    out
}

fn newline(out: &mut String, depth: usize) {
    out.push('\n');
    // Whoever nests deeper than that does it to be annoying.
    out.extend(std::iter::repeat_n("  ", depth.min(20)));
}

/// Sixteen bytes a line, with the characters beside them.
pub(super) fn hex_dump(bytes: &[u8]) -> String {
    /// Lines of one message that a report shows.
    const MOST: usize = 64;
    let mut out = String::new();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        if line == MOST {
            let _ = writeln!(out, "... {} more bytes", bytes.len() - MOST * 16);
            break;
        }
        let _ = write!(out, "{:04x} ", line * 16);
        for index in 0..16 {
            match chunk.get(index) {
                Some(byte) => {
                    let _ = write!(out, " {byte:02x}");
                }
                None => out.push_str("   "),
            }
        }
        out.push_str("  ");
        out.extend(chunk.iter().map(|byte| match byte {
            b' '..=b'~' => *byte as char,
            _ => '.',
        }));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_cut_where_they_end() {
        let stream = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\ncontent-length: 0\r\n\r\nrest";
        let found = messages(stream);
        assert_eq!(found.len(), 3);
        assert!(found[0].ends_with(b"abc"));
        assert_eq!(found[2], b"rest");
    }

    #[test]
    fn chunks_are_put_together() {
        let stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<a>\r\n4\r\n</a>\r\n0\r\n\r\nHTTP/1.1";
        let found = messages(stream);
        assert_eq!(found.len(), 2);
        assert!(http(found[0]).ends_with("\n<a></a>"), "{}", http(found[0]));
    }

    #[test]
    fn soap_gets_its_lines() {
        let xml = "<?xml version=\"1.0\"?><a:Envelope><a:Header/><a:Body><g:X>1</g:X></a:Body></a:Envelope>";
        assert_eq!(
            indented(xml),
            "<?xml version=\"1.0\"?>\n<a:Envelope>\n  <a:Header/>\n  <a:Body>\n    <g:X>1</g:X>\n  </a:Body>\n</a:Envelope>"
        );
        let message =
            b"<w:Action mustUnderstand=\"1\">http://x/IPS_HostBasedSetupService/Setup</w:Action>";
        assert_eq!(action(message).as_deref(), Some("Setup"));
    }

    #[test]
    fn bytes_stand_beside_their_characters() {
        assert_eq!(
            hex_dump(b"AMT\0"),
            "0000  41 4d 54 00                                      AMT.\n"
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_panics(bytes: Vec<u8>, text in "[<>/a \r\n0-9?]*") {
            let joined: Vec<u8> = messages(&bytes).concat();
            prop_assert_eq!(joined, bytes.clone());
            http(&bytes);
            action(&bytes);
            let shown = indented(&text);
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
            prop_assert_eq!(letters(&shown), letters(&text));
        }
    }
}
