//! WS-Management envelopes as a client writes them, and what it takes out of an answer.
//!
//! Source: DMTF DSP0226 (WS-Management), DSP0227 (its CIM binding); "Intel AMT Implementation and Reference Guide".

use std::fmt::Write as _;

pub const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
pub const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
pub const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
pub const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
pub const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";

/// What is asked of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    Get,
    Enumerate,
    /// With the context of the answer before.
    Pull(&'a str),
    /// Method and its parameters, in the order of the class.
    Invoke(&'a str, &'a [(&'a str, String)]),
    /// The instance as it shall be.
    Put(&'a Element),
    /// The same as XML.
    PutXml(&'a str),
    /// The instance as XML.
    Create(&'a str),
    Delete,
}

/// Names and values of the keys that tell an instance from others.
pub type Selectors<'a> = &'a [(&'a str, &'a str)];

/// Why an answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SoapError {
    #[error("the answer is no XML: {0}")]
    Xml(String),
    #[error("the answer is no SOAP envelope")]
    Envelope,
    #[error("the answer relates to message {found:?}, not to {wanted:?}")]
    RelatesTo { found: String, wanted: String },
    #[error("the answer lacks `{0}`")]
    Missing(String),
    #[error("`{name}` is no {wanted}: {value:?}")]
    Value {
        name: String,
        wanted: &'static str,
        value: String,
    },
}

/// A SOAP fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault {subcode}: {reason}")]
pub struct Fault {
    /// Without its prefix.
    pub subcode: String,
    pub reason: String,
}

/// The URI of a class, by the prefix of its name.
pub fn resource(class: &str) -> String {
    let base = match class.split('_').next() {
        Some("AMT") => "http://intel.com/wbem/wscim/1/amt-schema/1/",
        Some("IPS") => "http://intel.com/wbem/wscim/1/ips-schema/1/",
        _ => "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/",
    };
    format!("{base}{class}")
}

/// One request for the only instance of a class, or for the class.
pub fn envelope(class: &str, operation: Operation<'_>, message: &str) -> String {
    envelope_for(class, &[], operation, message)
}

/// One request for the instance that these keys name.
pub fn envelope_for(
    class: &str,
    keys: Selectors<'_>,
    operation: Operation<'_>,
    message: &str,
) -> String {
    let uri = resource(class);
    let action = match operation {
        Operation::Get => format!("{TRANSFER}/Get"),
        Operation::Enumerate => format!("{ENUMERATION}/Enumerate"),
        Operation::Pull(_) => format!("{ENUMERATION}/Pull"),
        Operation::Invoke(method, _) => format!("{uri}/{method}"),
        Operation::Put(_) | Operation::PutXml(_) => format!("{TRANSFER}/Put"),
        Operation::Create(_) => format!("{TRANSFER}/Create"),
        Operation::Delete => format!("{TRANSFER}/Delete"),
    };
    let body = match operation {
        Operation::Get | Operation::Delete => String::new(),
        Operation::Create(xml) | Operation::PutXml(xml) => xml.to_owned(),
        Operation::Put(instance) => {
            let mut body = format!("<h:{class} xmlns:h=\"{uri}\">");
            for child in &instance.children {
                child.write(&mut body);
            }
            body + &format!("</h:{class}>")
        }
        Operation::Enumerate => format!("<Enumerate xmlns=\"{ENUMERATION}\"/>"),
        Operation::Pull(context) => pull(context, Some(999)),
        Operation::Invoke(method, parameters) => {
            let mut body = format!("<h:{method}_INPUT xmlns:h=\"{uri}\">");
            for (name, value) in parameters {
                let _ = write!(body, "<h:{name}>{}</h:{name}>", escape(value));
            }
            body + &format!("</h:{method}_INPUT>")
        }
    };
    let draft = Draft {
        action,
        resource: uri,
        message: message.to_owned(),
        selectors: selector_set(keys),
        headers: String::new(),
        body,
    };
    draft.write()
}

/// The body of a Pull. Without a limit the service gives one item.
pub fn pull(context: &str, most: Option<u32>) -> String {
    let limit = most.map_or(String::new(), |most| {
        format!("<MaxElements>{most}</MaxElements><MaxCharacters>99999</MaxCharacters>")
    });
    let context = escape(context);
    format!(
        "<Pull xmlns=\"{ENUMERATION}\"><EnumerationContext>{context}</EnumerationContext>{limit}</Pull>"
    )
}

/// A request before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub action: String,
    pub resource: String,
    pub message: String,
    /// As XML: a SelectorSet, or nothing.
    pub selectors: String,
    /// As XML: what else stands in the Header. `a` is WS-Addressing, `w` WS-Management, and SOAP needs no prefix.
    pub headers: String,
    /// As XML.
    pub body: String,
}

impl Draft {
    pub fn write(&self) -> String {
        let Self {
            action,
            resource,
            message,
            selectors,
            headers,
            body,
        } = self;
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><Envelope xmlns=\"{SOAP}\" xmlns:a=\"{ADDRESSING}\" xmlns:w=\"{WSMAN}\"><Header><a:Action>{action}</a:Action><a:To>/wsman</a:To><w:ResourceURI>{resource}</w:ResourceURI><a:MessageID>{message}</a:MessageID><a:ReplyTo><a:Address>{ADDRESSING}/role/anonymous</a:Address></a:ReplyTo><w:OperationTimeout>PT60S</w:OperationTimeout>{selectors}{headers}</Header><Body>{body}</Body></Envelope>"
        )
    }
}

fn selector_set(keys: Selectors<'_>) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let mut set = String::from("<w:SelectorSet>");
    for (name, value) in keys {
        let _ = write!(
            set,
            "<w:Selector Name=\"{name}\">{}</w:Selector>",
            escape(value)
        );
    }
    set + "</w:SelectorSet>"
}

/// A reference to an instance, as the content of an element that takes one.
pub fn reference(class: &str, keys: Selectors<'_>) -> String {
    let uri = resource(class);
    let mut set = String::new();
    for (name, value) in keys {
        let _ = write!(
            set,
            "<w:Selector Name=\"{name}\">{}</w:Selector>",
            escape(value)
        );
    }
    format!(
        "<a:Address>{ADDRESSING}/role/anonymous</a:Address><a:ReferenceParameters><w:ResourceURI>{uri}</w:ResourceURI><w:SelectorSet>{set}</w:SelectorSet></a:ReferenceParameters>"
    )
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// An element by its local name; prefixes are the device's own affair.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    pub name: String,
    /// Without white space around it.
    pub text: String,
    pub children: Vec<Element>,
}

/// What stands in the body of an answer to the message `wanted`, where something must stand there.
pub fn body(answer: &[u8], wanted: &str) -> Result<Element, SoapError> {
    content(answer, wanted)?.ok_or_else(|| SoapError::Missing("anything in its Body".to_owned()))
}

/// What stands in the body of an answer to the message `wanted`; that to a Delete is empty.
pub fn content(answer: &[u8], wanted: &str) -> Result<Option<Element>, SoapError> {
    let text = std::str::from_utf8(answer).map_err(|error| SoapError::Xml(error.to_string()))?;
    let document =
        roxmltree::Document::parse(text).map_err(|error| SoapError::Xml(error.to_string()))?;
    let root = document.root_element();
    if !root.has_tag_name((SOAP, "Envelope")) {
        return Err(SoapError::Envelope);
    }
    let part = |name| root.children().find(|node| node.has_tag_name((SOAP, name)));
    let relates = part("Header")
        .and_then(|header| {
            header
                .children()
                .find(|node| node.has_tag_name((ADDRESSING, "RelatesTo")))
        })
        .and_then(|node| node.text())
        .ok_or_else(|| SoapError::Missing("RelatesTo".to_owned()))?;
    if relates != wanted {
        return Err(SoapError::RelatesTo {
            found: relates.to_owned(),
            wanted: wanted.to_owned(),
        });
    }
    let body = part("Body").ok_or_else(|| SoapError::Missing("Body".to_owned()))?;
    let element = body.children().find(roxmltree::Node::is_element);
    Ok(element.map(Element::of))
}

impl Element {
    fn of(node: roxmltree::Node<'_, '_>) -> Self {
        Self {
            name: node.tag_name().name().to_owned(),
            text: node.text().unwrap_or_default().trim().to_owned(),
            children: node
                .children()
                .filter(roxmltree::Node::is_element)
                .map(Self::of)
                .collect(),
        }
    }

    /// As a property of an instance, in the namespace of prefix `h`.
    fn write(&self, out: &mut String) {
        let name = &self.name;
        let _ = write!(out, "<h:{name}>");
        for child in &self.children {
            child.write(out);
        }
        let _ = write!(out, "{}</h:{name}>", escape(&self.text));
    }

    /// Gives a child another text; one that is not there yet comes last.
    pub fn set(&mut self, name: &str, text: impl Into<String>) {
        let text = text.into();
        match self.children.iter_mut().find(|child| child.name == name) {
            Some(child) => child.text = text,
            None => self.children.push(Self {
                name: name.to_owned(),
                text,
                children: Vec::new(),
            }),
        }
    }

    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child that must be there.
    pub fn text_of(&self, name: &str) -> Result<&str, SoapError> {
        match self.child(name) {
            Some(child) => Ok(&child.text),
            None => Err(SoapError::Missing(name.to_owned())),
        }
    }

    pub fn number(&self, name: &str) -> Result<u64, SoapError> {
        let text = self.text_of(name)?;
        text.parse().map_err(|_| SoapError::Value {
            name: name.to_owned(),
            wanted: "number",
            value: text.to_owned(),
        })
    }

    /// The bytes of a child in Base64; none when it is missing or empty.
    pub fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, SoapError> {
        let text = match self.child(name) {
            None => return Ok(None),
            Some(child) => &child.text,
        };
        match super::base64::decode(text) {
            Some(bytes) if bytes.is_empty() => Ok(None),
            Some(bytes) => Ok(Some(bytes)),
            None => Err(SoapError::Value {
                name: name.to_owned(),
                wanted: "Base64",
                value: text.clone(),
            }),
        }
    }

    /// A datetime: the text of the one element within.
    pub fn datetime(&self, name: &str) -> Result<&str, SoapError> {
        match self.child(name) {
            None => Err(SoapError::Missing(name.to_owned())),
            Some(child) => child.text_of("Datetime"),
        }
    }

    /// The fault that this is, if it is one.
    pub fn fault(&self) -> Option<Fault> {
        if self.name != "Fault" {
            return None;
        }
        let within = |path: &[&str]| {
            path.iter()
                .try_fold(self, |element, name| element.child(name))
                .map_or("", |element| element.text.as_str())
        };
        let subcode = within(&["Code", "Subcode", "Value"]);
        Some(Fault {
            subcode: subcode.rsplit(':').next().unwrap_or_default().to_owned(),
            reason: within(&["Reason", "Text"]).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(body: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a:Envelope xmlns:a=\"{SOAP}\" xmlns:b=\"{ADDRESSING}\" xmlns:g=\"urn:x\" xmlns:i=\"urn:common\"><a:Header><b:RelatesTo>7</b:RelatesTo></a:Header><a:Body>{body}</a:Body></a:Envelope>"
        )
    }

    #[test]
    fn parameters_are_written_in_their_order_and_escaped() {
        let parameters = [("A", "1<2".to_owned()), ("B", "x".to_owned())];
        let text = envelope(
            "IPS_HostBasedSetupService",
            Operation::Invoke("Setup", &parameters),
            "3",
        );
        let body = body(text.replace("a:MessageID", "a:RelatesTo").as_bytes(), "3").unwrap();
        assert_eq!(body.name, "Setup_INPUT");
        assert_eq!(body.children[0].text, "1<2");
        assert!(text.contains("ips-schema/1/IPS_HostBasedSetupService/Setup</a:Action>"));
    }

    #[test]
    fn an_instance_is_read_by_local_names() {
        let text = answer(
            "<g:X><g:CreationTimeStamp><i:Datetime>2026-01-01T00:00:05Z</i:Datetime></g:CreationTimeStamp><g:Hash>AQI=</g:Hash><g:N>7</g:N></g:X>",
        );
        let x = body(text.as_bytes(), "7").unwrap();
        assert_eq!(x.datetime("CreationTimeStamp"), Ok("2026-01-01T00:00:05Z"));
        assert_eq!(x.bytes("Hash"), Ok(Some(vec![1, 2])));
        assert_eq!(x.bytes("None"), Ok(None));
        assert_eq!(x.number("N"), Ok(7));
        assert!(x.number("Hash").is_err());
    }

    #[test]
    fn an_answer_to_another_message_is_none() {
        let error = body(answer("<g:X/>").as_bytes(), "8").unwrap_err();
        assert!(matches!(error, SoapError::RelatesTo { .. }), "{error}");
    }

    #[test]
    fn a_fault_is_known_by_its_subcode() {
        let text = answer(
            "<a:Fault><a:Code><a:Value>a:Sender</a:Value><a:Subcode><a:Value>b:DestinationUnreachable</a:Value></a:Subcode></a:Code><a:Reason><a:Text>No route.</a:Text></a:Reason></a:Fault>",
        );
        let fault = body(text.as_bytes(), "7").unwrap().fault().unwrap();
        assert_eq!(fault.subcode, "DestinationUnreachable");
        assert_eq!(fault.reason, "No route.");
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(text in "\\PC{0,80}") {
            let _ = body(text.as_bytes(), "1");
            let _ = body(answer(&text).as_bytes(), "7").map(|element| element.fault());
        }
    }
}
