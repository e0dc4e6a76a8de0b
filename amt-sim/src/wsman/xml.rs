//! XML itself: namespaces, reading bytes into [`Element`]s, and escaping.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::request::Element;

pub(crate) const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
pub(crate) const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
pub(crate) const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
pub(crate) const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
pub(crate) const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
pub(crate) const EVENTING: &str = "http://schemas.xmlsoap.org/ws/2004/08/eventing";
pub(crate) const TRUST: &str = "http://schemas.xmlsoap.org/ws/2005/02/trust";
pub(crate) const SECURITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
pub(crate) const CIM_BINDING: &str = "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd";
pub(crate) const CIM_COMMON: &str = "http://schemas.dmtf.org/wbem/wscim/1/common";
pub(crate) const IDENTITY: &str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd";
pub(crate) const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
pub(crate) const ANONYMOUS: &str =
    "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";

/// Elements deeper than this are an error: no request of any client has half as many levels.
const DEPTH: usize = 48;

/// Elements, attributes and texts in one message.
const NODES: u32 = 50_000;

/// Reads a document. Small breaches that its sender meant no harm by are repaired and listed.
pub(crate) fn parse(bytes: &[u8], findings: &mut Vec<String>) -> Result<Element, String> {
    let text = String::from_utf8_lossy(bytes);
    if matches!(text, Cow::Owned(_)) {
        findings.push("the message is not UTF-8".to_owned());
    }
    let text = text.trim_start_matches('\u{feff}');
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    if text.len() != trimmed.len() && text.trim_end().len() != trimmed.len() {
        findings.push("there is something around the document".to_owned());
    }
    match read(trimmed) {
        Ok(element) => Ok(element),
        Err(why) => {
            // Go writes selector values and passwords as they are.
            let repaired = repair(trimmed);
            let element = read(&repaired).map_err(|_| why.clone())?;
            findings.push(format!("not well-formed: {why}"));
            Ok(element)
        }
    }
}

fn read(text: &str) -> Result<Element, String> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: false,
        nodes_limit: NODES,
        ..roxmltree::ParsingOptions::default()
    };
    let document = roxmltree::Document::parse_with_options(text, options)
        .map_err(|error| error.to_string())?;
    element(document.root_element(), DEPTH)
}

/// The reader above has no recursion; this has, so far and no further.
fn element(node: roxmltree::Node<'_, '_>, levels: usize) -> Result<Element, String> {
    let deeper = levels
        .checked_sub(1)
        .ok_or_else(|| format!("elements are nested more than {DEPTH} deep"))?;
    let mut out = Element {
        name: node.tag_name().name().to_owned(),
        namespace: node.tag_name().namespace().unwrap_or_default().to_owned(),
        attributes: node
            .attributes()
            .map(|attribute| (attribute.name().to_owned(), attribute.value().to_owned()))
            .collect(),
        text: String::new(),
        children: Vec::new(),
    };
    for child in node.children() {
        if child.is_element() {
            out.children.push(element(child, deeper)?);
        } else if child.is_text() {
            out.text.push_str(child.text().unwrap_or_default());
        }
    }
    Ok(out)
}

/// Escapes ampersands that begin no entity, and drops characters that XML cannot have.
fn repair(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (at, letter) in text.char_indices() {
        match letter {
            '&' if !begins_entity(text.get(at + 1..).unwrap_or_default()) => out.push_str("&amp;"),
            _ if is_xml(letter) => out.push(letter),
            _ => {}
        }
    }
    out
}

fn begins_entity(rest: &str) -> bool {
    let Some((name, _)) = rest.split_once(';') else {
        return false;
    };
    matches!(name, "amp" | "lt" | "gt" | "quot" | "apos")
        || name
            .strip_prefix('#')
            .map(|digits| match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => digits.parse().ok(),
            })
            .is_some_and(|code| code.and_then(char::from_u32).is_some_and(is_xml))
}

fn is_xml(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Writes text so that it is ASCII and stands in elements and attributes alike. Two clients count characters
/// where they should count bytes, so nothing else may go out.
pub(crate) fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            ' '..='~' => out.push(letter),
            _ if is_xml(letter) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "&#{};", u32::from(letter));
            }
            _ => out.push('?'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn forgiving(text: &str) -> (Result<Element, String>, usize) {
        let mut findings = Vec::new();
        let element = parse(text.as_bytes(), &mut findings);
        (element, findings.len())
    }

    #[rstest]
    #[case("<a>x</a>", Some("x"), 0)]
    #[case("\u{feff}<?xml version=\"1.0\"?>\n<a>x</a>\r\n", Some("x"), 0)]
    #[case("<a>x</a>\0\0", Some("x"), 1)]
    #[case("<a>Tom & Jerry &amp; co</a>", Some("Tom & Jerry & co"), 1)]
    #[case("<a>&quot;&#65;&#x42;</a>", Some("\"AB"), 0)]
    #[case("<a>x\u{1}y</a>", Some("xy"), 1)]
    #[case("<a>x</b>", None, 0)]
    #[case("<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", None, 0)]
    #[case("", None, 0)]
    fn what_is_forgiven(
        #[case] text: &str,
        #[case] expected: Option<&str>,
        #[case] findings: usize,
    ) {
        let (element, found) = forgiving(text);
        assert_eq!(element.ok().map(|a| a.text).as_deref(), expected);
        assert_eq!(found, findings);
    }

    #[test]
    fn a_deep_document_is_refused_not_followed() {
        let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
        assert!(forgiving(&deep).0.is_err());
        let unclosed = "<a>".repeat(100_000);
        assert!(forgiving(&unclosed).0.is_err());
        let sly = "<a b='/>'>".repeat(100_000);
        assert!(forgiving(&sly).0.is_err());
    }

    proptest! {
        #[test]
        fn what_is_escaped_reads_back(text in "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\r\u{fffe}\u{ffff}]{0,40}") {
            let mut out = String::from("<a b=\"");
            escape(&text, &mut out);
            out.push_str("\">");
            escape(&text, &mut out);
            out.push_str("</a>");
            prop_assert!(out.is_ascii());
            let (element, findings) = forgiving(&out);
            let element = element.unwrap();
            prop_assert_eq!(&element.text, &text);
            prop_assert_eq!(element.attribute("b"), Some(text.as_str()));
            prop_assert_eq!(findings, 0);
        }

        #[test]
        fn no_bytes_are_a_panic(bytes: Vec<u8>, text in "[<>/a!?'\"& ;#x0-9\\[\\]-]{0,80}") {
            let _ = parse(&bytes, &mut Vec::new());
            let _ = forgiving(&text);
        }
    }
}
