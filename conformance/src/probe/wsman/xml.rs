//! An element with all that it has, so that what was read can be written back as it came.

use std::fmt::Write as _;

use super::script::Path;
use crate::wire::soap;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) namespace: String,
    /// Of these only those without a prefix.
    pub(super) attributes: Vec<(String, String)>,
    /// Without white space around it.
    pub(super) text: String,
    pub(super) children: Vec<Self>,
}

/// Header and Body of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Envelope {
    pub(super) header: Node,
    /// What stands in the Body.
    pub(super) body: Option<Node>,
    /// Namespace and name of the fault that it is.
    pub(super) fault: Option<(String, String)>,
}

impl Envelope {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document =
            roxmltree::Document::parse(text).map_err(|error| format!("no XML: {error}"))?;
        let root = document.root_element();
        if !root.has_tag_name((soap::SOAP, "Envelope")) {
            return Err("no SOAP envelope".to_owned());
        }
        let part = |name| {
            root.children()
                .find(|node| node.has_tag_name((soap::SOAP, name)))
        };
        let body = part("Body").ok_or("an envelope without a Body")?;
        let content = body.children().find(roxmltree::Node::is_element);
        Ok(Self {
            header: part("Header").map(Node::of).unwrap_or_default(),
            body: content.map(Node::of),
            fault: content
                .filter(|node| node.has_tag_name((soap::SOAP, "Fault")))
                .map(fault),
        })
    }
}

/// The subcode; without one the code itself, as MustUnderstand has it.
fn fault(node: roxmltree::Node<'_, '_>) -> (String, String) {
    let child = |of: roxmltree::Node<'_, '_>, name: &str| {
        of.children()
            .find(|node| node.has_tag_name((soap::SOAP, name)))
            .map(|node| node.id())
    };
    let within = |path: &[&str]| {
        let mut at = node;
        for name in path {
            at = node.document().get_node(child(at, name)?)?;
        }
        Some(at)
    };
    let code = within(&["Code", "Subcode", "Value"]).or_else(|| within(&["Code", "Value"]));
    let Some(code) = code else {
        return (String::new(), String::new());
    };
    let text = code.text().unwrap_or_default().trim();
    let (prefix, name) = text.split_once(':').unwrap_or(("", text));
    let namespace = code.lookup_namespace_uri((!prefix.is_empty()).then_some(prefix));
    (namespace.unwrap_or_default().to_owned(), name.to_owned())
}

impl Node {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            ..Self::default()
        }
    }

    fn of(node: roxmltree::Node<'_, '_>) -> Self {
        let attributes = node
            .attributes()
            .filter(|attribute| attribute.namespace().is_none());
        Self {
            name: node.tag_name().name().to_owned(),
            namespace: node.tag_name().namespace().unwrap_or_default().to_owned(),
            attributes: attributes
                .map(|one| (one.name().to_owned(), one.value().to_owned()))
                .collect(),
            text: node.text().unwrap_or_default().trim().to_owned(),
            children: node
                .children()
                .filter(roxmltree::Node::is_element)
                .map(Self::of)
                .collect(),
        }
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// What stands at the end of a path, one text for each element there.
    pub(super) fn values(&self, path: &Path) -> Vec<String> {
        let mut found = vec![self];
        for name in &path.names {
            let inside = found.iter().flat_map(|node| &node.children);
            found = inside.filter(|child| child.name == *name).collect();
        }
        match &path.selector {
            None => found.iter().map(|node| node.text.clone()).collect(),
            Some(wanted) => found
                .iter()
                .flat_map(|node| node.selectors(wanted))
                .collect(),
        }
    }

    /// The values of the selectors of this name, in a reference.
    fn selectors(&self, wanted: &str) -> Vec<String> {
        let is_it = |node: &Self| {
            node.name == "Selector"
                && node
                    .attributes
                    .iter()
                    .any(|(name, value)| name == "Name" && value == wanted)
        };
        let sets = self
            .child("ReferenceParameters")
            .and_then(|parameters| parameters.child("SelectorSet"));
        let selectors = sets.iter().flat_map(|set| &set.children);
        selectors
            .filter(|node| is_it(node))
            .map(|node| node.text.clone())
            .collect()
    }

    /// `outside` is the namespace that names have without a prefix there.
    pub(super) fn write(&self, outside: &str, out: &mut String) {
        let _ = write!(out, "<{}", self.name);
        if self.namespace != outside {
            let _ = write!(out, " xmlns=\"{}\"", self.namespace);
        }
        for (name, value) in &self.attributes {
            let _ = write!(
                out,
                " {name}=\"{}\"",
                soap::escape(value).replace('"', "&quot;")
            );
        }
        out.push('>');
        for child in &self.children {
            child.write(&self.namespace, out);
        }
        let _ = write!(out, "{}</{}>", soap::escape(&self.text), self.name);
    }
}
