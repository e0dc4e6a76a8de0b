//! Reading a request: what a SOAP envelope says, whatever prefixes it uses.
//!
//! Clients are told apart by local names only, as firmware's own leniency lets them be: Go numbers its messages,
//! openwsman writes `uuid:`, everybody has other prefixes. What is outright wrong, but understandable, is a
//! *finding*: it is journaled and forgiven, or refused on a device that is strict.

use super::fault::Fault;
use super::value::{Reference, Selectors, Value};
use super::xml;

/// An element with the prefixes taken off. Attributes are kept by local name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    /// Local name.
    pub(crate) name: String,
    /// Namespace; empty for none.
    pub(crate) namespace: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// All text that stands directly in the element.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The first child of this local name.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// The element as an endpoint reference. `Address` means nothing: clients write all sorts of things there.
    pub(crate) fn reference(&self) -> Option<Reference> {
        let inner = match self.child("EndpointReference") {
            Some(inner) => inner,
            None => self,
        };
        let parameters = inner.child("ReferenceParameters")?;
        let uri = parameters.child("ResourceURI")?.text.trim();
        Some(Reference {
            class: class_of(uri).to_owned(),
            selectors: parameters
                .child("SelectorSet")
                .map(selectors)
                .unwrap_or_default(),
        })
    }
}

/// The class that a resource URI or a namespace ends with.
pub(crate) fn class_of(uri: &str) -> &str {
    uri.trim_end_matches('/').rsplit('/').next().unwrap_or("")
}

/// The selectors of a `SelectorSet`; those without a name are dropped.
pub(crate) fn selectors(set: &Element) -> Selectors {
    set.children
        .iter()
        .filter(|child| child.name == "Selector")
        .filter_map(|selector| {
            let name = selector.attribute("Name")?;
            let value = match selector.reference() {
                Some(reference) => Value::Reference(reference),
                None => Value::Text(selector.text.trim().to_owned()),
            };
            Some((name.to_owned(), value))
        })
        .collect()
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Identify,
    Get,
    Put,
    Create,
    Delete,
    Enumerate,
    Pull,
    Release,
    /// WS-Eventing, by its name.
    Eventing(String),
    /// A method of the class.
    Invoke(String),
    /// An action of a known specification that the device has not.
    Unknown,
}

impl Action {
    fn parse(uri: &str) -> Self {
        let (base, name) = uri.rsplit_once('/').unwrap_or(("", uri));
        match (base, name) {
            (xml::TRANSFER, "Get") => Self::Get,
            (xml::TRANSFER, "Put") => Self::Put,
            (xml::TRANSFER, "Create") => Self::Create,
            (xml::TRANSFER, "Delete") => Self::Delete,
            (xml::ENUMERATION, "Enumerate") => Self::Enumerate,
            (xml::ENUMERATION, "Pull") => Self::Pull,
            (xml::ENUMERATION, "Release") => Self::Release,
            (xml::EVENTING, name) => Self::Eventing(name.to_owned()),
            (xml::TRANSFER | xml::ENUMERATION, _) => Self::Unknown,
            _ if base.contains("/wscim/") => Self::Invoke(name.to_owned()),
            _ => Self::Unknown,
        }
    }

    /// How the journal names it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Identify => "Identify",
            Self::Get => "Get",
            Self::Put => "Put",
            Self::Create => "Create",
            Self::Delete => "Delete",
            Self::Enumerate => "Enumerate",
            Self::Pull => "Pull",
            Self::Release => "Release",
            Self::Eventing(name) | Self::Invoke(name) => name,
            Self::Unknown => "unknown",
        }
    }
}

/// One request, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) action: Action,
    /// The whole action, for the answer's.
    pub(crate) action_uri: String,
    pub(crate) resource_uri: String,
    /// The last part of the resource URI.
    pub(crate) class: String,
    pub(crate) selectors: Selectors,
    /// A header that must be understood and is not.
    pub(crate) not_understood: Option<String>,
    /// First element of the body.
    pub(crate) body: Option<Element>,
}

/// A request that cannot be done, with what the fault needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) fault: Fault,
    /// Why, for the journal.
    pub(crate) why: String,
}

/// What was read of a message, whether or not it is a whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Exactly as sent; Go wants its number back, openwsman its `uuid:`.
    pub(crate) message_id: Option<String>,
    pub(crate) request: Result<Request, Unreadable>,
    /// What was wrong and forgiven.
    pub(crate) findings: Vec<String>,
}

/// Headers that the device understands; anything else with `mustUnderstand` is a fault.
const UNDERSTOOD: &[&str] = &[
    "Action",
    "To",
    "From",
    "ResourceURI",
    "MessageID",
    "RelatesTo",
    "ReplyTo",
    "FaultTo",
    "OperationTimeout",
    "MaxEnvelopeSize",
    "SelectorSet",
    "Locale",
    "RequestEPR",
    "RequestTotalItemsCountEstimate",
];

/// Reads a message.
pub(crate) fn read(bytes: &[u8]) -> Message {
    let mut findings = Vec::new();
    let mut message_id = None;
    let request = xml::parse(bytes, &mut findings)
        .map_err(|why| Unreadable {
            fault: Fault::SchemaValidation,
            why,
        })
        .and_then(|envelope| request(&envelope, &mut message_id, &mut findings));
    Message {
        message_id,
        request,
        findings,
    }
}

fn request(
    envelope: &Element,
    message_id: &mut Option<String>,
    findings: &mut Vec<String>,
) -> Result<Request, Unreadable> {
    let unreadable = |fault: Fault, why: &str| Unreadable {
        fault,
        why: why.to_owned(),
    };
    if envelope.name != "Envelope" {
        return Err(unreadable(
            Fault::SchemaValidation,
            "the root is no Envelope",
        ));
    }
    if envelope.namespace != xml::SOAP {
        findings.push(format!(
            "the Envelope is in namespace {:?}, not SOAP 1.2",
            envelope.namespace
        ));
    }
    let body = envelope
        .child("Body")
        .ok_or_else(|| unreadable(Fault::SchemaValidation, "there is no Body"))?
        .children
        .first();
    let header = envelope.child("Header");
    let text = |name: &str| {
        let found = header?.child(name)?.text.trim();
        (!found.is_empty()).then(|| found.to_owned())
    };
    *message_id = text("MessageID");
    if let Some(body) = body
        && body.name == "Identify"
        && body.namespace == xml::IDENTITY
    {
        return Ok(Request {
            action: Action::Identify,
            action_uri: String::new(),
            resource_uri: String::new(),
            class: String::new(),
            selectors: Selectors::new(),
            not_understood: None,
            body: None,
        });
    }
    for name in ["MessageID", "To", "ReplyTo"] {
        if header.and_then(|header| header.child(name)).is_none() {
            findings.push(format!("there is no {name} header"));
        }
    }
    let action_uri = text("Action")
        .ok_or_else(|| unreadable(Fault::HeaderRequired, "there is no Action header"))?;
    let resource_uri = text("ResourceURI")
        .ok_or_else(|| unreadable(Fault::HeaderRequired, "there is no ResourceURI header"))?;
    let not_understood = header
        .into_iter()
        .flat_map(|header| &header.children)
        .filter(|element| matches!(element.attribute("mustUnderstand"), Some("true" | "1")))
        .find(|element| !UNDERSTOOD.contains(&element.name.as_str()))
        .map(|element| element.name.clone());
    let action = Action::parse(&action_uri);
    let class = class_of(&resource_uri).to_owned();
    if let Action::Invoke(_) = action {
        let of = action_uri.rsplit('/').nth(1).unwrap_or_default();
        if of != class {
            findings.push(format!("the Action is of {of}, the ResourceURI of {class}"));
        }
    }
    Ok(Request {
        action,
        action_uri,
        class,
        resource_uri,
        selectors: header
            .and_then(|header| header.child("SelectorSet"))
            .map(selectors)
            .unwrap_or_default(),
        not_understood,
        body: body.cloned(),
    })
}
