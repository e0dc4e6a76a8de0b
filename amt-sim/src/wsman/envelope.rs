//! Writing answers exactly as firmware does: every namespace on the Envelope, no white space between elements, no
//! attributes below it but those that the standard needs.
//!
//! MeshCommander looks for the prefix `a` and takes the first child of the Body; others go by local names.
//! Source: answers of real devices as public clients' tests keep them.

use std::fmt::Write as _;

use super::base64;
use super::fault::Fault;
use super::schema;
use super::value::{Instance, Reference, Value, datetime_text};
use super::xml::{self, escape};

/// A body in the making, with the namespaces that it uses beyond the fixed ones, in the order of their prefixes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Body {
    namespaces: Vec<String>,
    xml: String,
}

/// The prefix of the first namespace of the body's own: `g`.
const FIRST: u8 = b'g';

/// Prefixes of an answer, in order.
const ANSWER: &[(char, &str)] = &[
    ('a', xml::SOAP),
    ('b', xml::ADDRESSING),
    ('c', xml::WSMAN),
    ('d', xml::TRUST),
    ('e', xml::SECURITY),
    ('f', xml::CIM_BINDING),
];

/// Prefixes of a fault: not those of an answer.
const FAULT: &[(char, &str)] = &[
    ('a', xml::SOAP),
    ('b', xml::ADDRESSING),
    ('c', xml::ENUMERATION),
    ('d', xml::TRANSFER),
    ('e', xml::WSMAN),
    ('f', xml::EVENTING),
    ('g', xml::CIM_BINDING),
    ('h', xml::TRUST),
    ('i', xml::SECURITY),
];

impl Body {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The prefix of a namespace, declared at its first use.
    pub(crate) fn prefix(&mut self, namespace: &str) -> char {
        let place = match self.namespaces.iter().position(|known| known == namespace) {
            Some(place) => place,
            None => {
                self.namespaces.push(namespace.to_owned());
                self.namespaces.len() - 1
            }
        };
        // No body has more than a handful; what comes after `z` would only be an odd letter, never a panic.
        char::from(FIRST.saturating_add(u8::try_from(place).unwrap_or(u8::MAX)))
    }

    pub(crate) fn open(&mut self, prefix: char, name: &str) {
        let _ = write!(self.xml, "<{prefix}:{name}>");
    }

    pub(crate) fn close(&mut self, prefix: char, name: &str) {
        let _ = write!(self.xml, "</{prefix}:{name}>");
    }

    /// `<p:name>text</p:name>`
    pub(crate) fn leaf(&mut self, prefix: char, name: &str, text: &str) {
        self.open(prefix, name);
        escape(text, &mut self.xml);
        self.close(prefix, name);
    }

    /// An instance as an element of its class.
    pub(crate) fn instance(&mut self, class: &str, instance: &Instance) {
        let prefix = self.prefix(&schema::namespace(class));
        self.open(prefix, class);
        for (name, value) in instance {
            self.property(prefix, name, value);
        }
        self.close(prefix, class);
    }

    /// One property or parameter; an array is one element per entry.
    pub(crate) fn property(&mut self, prefix: char, name: &str, value: &Value) {
        if let Value::List(entries) = value {
            for entry in entries {
                self.property(prefix, name, entry);
            }
            return;
        }
        self.open(prefix, name);
        match value {
            Value::Bool(truth) => self.xml.push_str(if *truth { "true" } else { "false" }),
            Value::Int(number) => {
                let _ = write!(self.xml, "{number}");
            }
            Value::Text(text) => escape(text, &mut self.xml),
            Value::Bytes(bytes) => self.xml.push_str(&base64::encode(bytes)),
            Value::Datetime(time) => {
                let common = self.prefix(xml::CIM_COMMON);
                self.leaf(common, "Datetime", &datetime_text(*time));
            }
            Value::Interval(interval) => {
                let common = self.prefix(xml::CIM_COMMON);
                self.leaf(common, "Interval", &interval.to_string());
            }
            Value::Reference(reference) => self.reference(reference),
            Value::List(_) => {} // Written above.
        }
        self.close(prefix, name);
    }

    /// What stands inside an endpoint reference.
    pub(crate) fn reference(&mut self, reference: &Reference) {
        let nothing = reference.class.is_empty();
        self.leaf(
            'b',
            "Address",
            if nothing { "default" } else { xml::ANONYMOUS },
        );
        self.open('b', "ReferenceParameters");
        let uri = match nothing {
            true => String::new(),
            false => schema::namespace(&reference.class),
        };
        self.leaf('c', "ResourceURI", &uri);
        self.open('c', "SelectorSet");
        for (name, value) in &reference.selectors {
            self.xml.push_str("<c:Selector Name=\"");
            escape(name, &mut self.xml);
            self.xml.push_str("\">");
            match value {
                Value::Reference(nested) => {
                    self.open('b', "EndpointReference");
                    self.reference(nested);
                    self.close('b', "EndpointReference");
                }
                other => escape(&selector_text(other), &mut self.xml),
            }
            self.close('c', "Selector");
        }
        self.close('c', "SelectorSet");
        self.close('b', "ReferenceParameters");
    }
}

/// A value as a selector shows it, and as selectors are compared.
pub(crate) fn selector_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Bytes(bytes) => base64::encode(bytes),
        Value::Datetime(time) => datetime_text(*time),
        Value::Interval(interval) => interval.to_string(),
        Value::List(_) | Value::Reference(_) => String::new(),
    }
}

/// What the headers of an answer say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Headers<'a> {
    /// The request's message ID, unchanged.
    pub(crate) relates_to: Option<&'a str>,
    pub(crate) action: &'a str,
    /// Counts the device's messages.
    pub(crate) number: u64,
    pub(crate) resource_uri: Option<&'a str>,
}

/// A whole answer.
pub(crate) fn answer(headers: Headers<'_>, body: &Body) -> String {
    let mut out = start(ANSWER);
    for (place, namespace) in body.namespaces.iter().enumerate() {
        let letter = FIRST.saturating_add(u8::try_from(place).unwrap_or(u8::MAX));
        declare(&mut out, char::from(letter), namespace);
    }
    finish(out, headers, &body.xml)
}

/// A whole fault.
pub(crate) fn fault(headers: Headers<'_>, fault: &Fault) -> String {
    let shape = fault.shape();
    let mut body = Body::new();
    body.open('a', "Fault");
    body.open('a', "Code");
    body.leaf('a', "Value", &format!("a:{}", shape.code));
    if !shape.subcode.is_empty() {
        body.open('a', "Subcode");
        body.leaf('a', "Value", shape.subcode);
        body.close('a', "Subcode");
    }
    body.close('a', "Code");
    body.open('a', "Reason");
    body.xml.push_str("<a:Text xml:lang=\"en-US\">");
    escape(shape.reason, &mut body.xml);
    body.close('a', "Text");
    body.close('a', "Reason");
    body.open('a', "Detail");
    if let Some(detail) = shape.detail {
        let uri = format!("http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/{detail}");
        body.leaf('e', "FaultDetail", &uri);
    }
    if let Fault::Internal(status) = fault {
        body.leaf('a', "Text", &format!("AMT-STATUS {status}"));
    }
    body.close('a', "Detail");
    body.close('a', "Fault");
    finish(start(FAULT), headers, &body.xml)
}

/// The answer to Identify, which has no headers at all.
pub(crate) fn identify(vendor: &str, version: &str) -> String {
    let mut body = Body::new();
    let prefix = body.prefix(xml::IDENTITY);
    body.open(prefix, "IdentifyResponse");
    body.leaf(
        prefix,
        "ProtocolVersion",
        "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    );
    body.leaf(prefix, "ProductVendor", vendor);
    body.leaf(prefix, "ProductVersion", version);
    body.close(prefix, "IdentifyResponse");
    let mut out = start(ANSWER);
    declare(&mut out, prefix, xml::IDENTITY);
    out.push('>');
    let _ = write!(
        out,
        "<a:Header></a:Header><a:Body>{}</a:Body></a:Envelope>",
        body.xml
    );
    out
}

fn start(prefixes: &[(char, &str)]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><a:Envelope");
    for (prefix, namespace) in prefixes {
        declare(&mut out, *prefix, namespace);
    }
    out
}

fn declare(out: &mut String, prefix: char, namespace: &str) {
    let _ = write!(out, " xmlns:{prefix}=\"");
    escape(namespace, out);
    out.push('"');
}

fn finish(mut out: String, headers: Headers<'_>, body: &str) -> String {
    let _ = write!(out, " xmlns:xsi=\"{}\"><a:Header>", xml::SCHEMA_INSTANCE);
    let mut leaf = |start: &str, text: &str, end: &str| {
        out.push_str(start);
        escape(text, &mut out);
        out.push_str(end);
    };
    leaf("<b:To>", xml::ANONYMOUS, "</b:To>");
    if let Some(message) = headers.relates_to {
        leaf("<b:RelatesTo>", message, "</b:RelatesTo>");
    }
    leaf(
        "<b:Action a:mustUnderstand=\"true\">",
        headers.action,
        "</b:Action>",
    );
    leaf(
        "<b:MessageID>",
        &format!("uuid:00000000-8086-8086-8086-{:012X}", headers.number),
        "</b:MessageID>",
    );
    if let Some(uri) = headers.resource_uri {
        leaf("<c:ResourceURI>", uri, "</c:ResourceURI>");
    }
    let _ = write!(out, "</a:Header><a:Body>{body}</a:Body></a:Envelope>");
    out
}
