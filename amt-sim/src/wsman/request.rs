//! Reading a request: what a SOAP envelope says, whatever prefixes it uses.

use super::value::{Reference, Selectors, Value};

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
