//! From what a line asks to the elements of a request.

use sha2::{Digest as _, Sha256};

use super::script::{Argument, Change, Target, Value};
use super::xml::Node;
use crate::probe::bytes::Kept;
use crate::probe::chains;
use crate::scenario::placeholder::Values;
use crate::wire::{base64, digest, soap};

/// The prefixes that DSP0226 uses for the namespaces of faults.
pub(super) const PREFIXES: [(&str, &str); 5] = [
    ("s", soap::SOAP),
    ("wsa", soap::ADDRESSING),
    ("wsen", soap::ENUMERATION),
    ("wsman", soap::WSMAN),
    ("wxf", soap::TRANSFER),
];

/// Where datetimes and intervals are defined: DSP0230.
const COMMON: &str = "http://schemas.dmtf.org/wbem/wscim/1/common";

/// Parameters that are whole instances, and their class. Their properties stand in its namespace.
const INSTANCES: [(&str, &str); 3] = [
    ("AlarmTemplate", "IPS_AlarmClockOccurrence"),
    ("IEEE8021xSettingsInput", "CIM_IEEE8021xSettings"),
    ("WiFiEndpointSettingsInput", "CIM_WiFiEndpointSettings"),
];

/// What fills the values of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling<'a> {
    pub(super) values: Values<'a>,
    pub(super) kept: &'a Kept,
    /// Of the device's last challenge.
    pub(super) realm: Option<&'a str>,
}

/// A value as it stands on the wire.
enum Filled {
    Text(String),
    Reference(Vec<Node>),
}

impl Filling<'_> {
    pub(super) fn text(&self, value: &Value) -> Result<String, String> {
        match self.fill(value)? {
            Filled::Text(text) => Ok(text),
            Filled::Reference(_) => Err("a reference is no text".to_owned()),
        }
    }

    fn fill(&self, value: &Value) -> Result<Filled, String> {
        let text = match value {
            Value::Text(template) => template.fill(self.values),
            Value::Kept(name) => match self.kept.get(name) {
                Some(kept) => String::from_utf8_lossy(kept).into_owned(),
                None => return Err(format!("nothing was kept as @{name}")),
            },
            Value::Octets(octets) => base64::encode(octets),
            Value::Password {
                user,
                password,
                hex,
            } => {
                let realm = self
                    .realm
                    .ok_or("no challenge has told the realm yet: ask for something first")?;
                let digits = digest::a1(user, realm, password);
                match (*hex, amt_sim::hex::decode(&digits)) {
                    (false, Some(octets)) => base64::encode(&octets),
                    _ => digits,
                }
            }
            Value::Certificate(certificate) => base64::encode(&certificate.der()?),
            Value::Fingerprint(certificate) => base64::encode(&Sha256::digest(certificate.der()?)),
            Value::Key(chain) => {
                let identity = chains::identity(*chain)?;
                let der = rsa::pkcs1::EncodeRsaPrivateKey::to_pkcs1_der(&identity.key);
                base64::encode(der.map_err(|error| error.to_string())?.as_bytes())
            }
            Value::UnsignedRequest(name) => {
                let kept = self.fill(&Value::Kept(name.clone()))?;
                let public = match kept {
                    Filled::Text(text) => base64::decode(&text),
                    Filled::Reference(_) => None,
                };
                let public = public.ok_or_else(|| format!("@{name} is no key in Base64"))?;
                base64::encode(&unsigned_request(&public)?)
            }
            Value::Reference(target) => return self.reference(target).map(Filled::Reference),
        };
        Ok(Filled::Text(text))
    }

    /// An element with this value.
    fn element(&self, namespace: &str, name: &str, value: &Value) -> Result<Node, String> {
        let mut node = Node::new(namespace, name);
        match self.fill(value)? {
            Filled::Text(text) => node.text = text,
            Filled::Reference(parts) => node.children = parts,
        }
        Ok(node)
    }

    /// The content of an endpoint reference.
    fn reference(&self, target: &Target) -> Result<Vec<Node>, String> {
        let mut address = Node::new(soap::ADDRESSING, "Address");
        address.text = format!("{}/role/anonymous", soap::ADDRESSING);
        let mut resource = Node::new(soap::WSMAN, "ResourceURI");
        resource.text = soap::resource(&target.class);
        let mut parameters = Node::new(soap::ADDRESSING, "ReferenceParameters");
        parameters.children = vec![resource, self.selector_set(target)?];
        Ok(vec![address, parameters])
    }

    fn selector_set(&self, target: &Target) -> Result<Node, String> {
        let mut set = Node::new(soap::WSMAN, "SelectorSet");
        for (key, value) in &target.keys {
            let mut selector = Node::new(soap::WSMAN, "Selector");
            selector.attributes.push(("Name".to_owned(), key.clone()));
            match self.fill(value)? {
                Filled::Text(text) => selector.text = text,
                Filled::Reference(parts) => {
                    let mut reference = Node::new(soap::ADDRESSING, "EndpointReference");
                    reference.children = parts;
                    selector.children.push(reference);
                }
            }
            set.children.push(selector);
        }
        Ok(set)
    }

    /// The header that names the instance; none when no key does.
    pub(super) fn selectors(&self, target: &Target) -> Result<String, String> {
        if target.keys.is_empty() {
            return Ok(String::new());
        }
        let mut xml = String::new();
        self.selector_set(target)?.write("", &mut xml);
        Ok(xml)
    }

    /// An element of this name in the namespace of the class, with these values inside.
    pub(super) fn instance(
        &self,
        class: &str,
        name: &str,
        values: &[Argument],
    ) -> Result<Node, String> {
        let mut node = Node::new(&soap::resource(class), name);
        for argument in values {
            self.add(&mut node, argument)?;
        }
        Ok(node)
    }

    fn add(&self, to: &mut Node, argument: &Argument) -> Result<(), String> {
        let Some((last, outer)) = argument.path.split_last() else {
            return Ok(());
        };
        let mut at = to;
        for name in outer {
            let namespace = at.namespace_inside();
            if at.children.last().is_none_or(|last| last.name != *name) {
                at.children.push(Node::new(&namespace, name));
            }
            let Some(inner) = at.children.last_mut() else {
                return Ok(());
            };
            at = inner;
        }
        let namespace = match last.as_str() {
            "Datetime" | "Interval" if !outer.is_empty() => COMMON.to_owned(),
            _ => at.namespace_inside(),
        };
        at.children
            .push(self.element(&namespace, last, &argument.value)?);
        Ok(())
    }

    /// What was read, with these changes.
    pub(super) fn changed(&self, mut instance: Node, changes: &[Change]) -> Result<Node, String> {
        let mut set: Vec<&str> = Vec::new();
        for change in changes {
            let name = match change {
                Change::Drop(name) => name,
                Change::Set(argument) => {
                    argument.path.first().ok_or("a property without a name")?
                }
            };
            // A name that comes twice is an array: only the first one takes the old values away.
            if !set.contains(&name.as_str()) {
                instance.children.retain(|child| child.name != *name);
                set.push(name);
            }
            if let Change::Set(argument) = change {
                self.add(&mut instance, argument)?;
            }
        }
        Ok(instance)
    }
}

/// A PKCS#10 request (RFC 2986) for a public RSA key in PKCS#1 DER, for a subject without a name and with a signature
/// of no bits: the device puts its own in.
fn unsigned_request(public: &[u8]) -> Result<Vec<u8>, String> {
    /// rsaEncryption, with the NULL that goes with it.
    const RSA: [u8; 13] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    const SEQUENCE: u8 = 0x30;
    const BITS: u8 = 3;
    let der = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).map_err(|_| "a key that is too long")?;
        Ok::<_, String>([&[tag, 0x82], &length.to_be_bytes()[..], content].concat())
    };
    let algorithm = der(SEQUENCE, &RSA)?;
    let key = der(BITS, &[&[0], public].concat())?;
    let key = der(SEQUENCE, &[algorithm.as_slice(), &key].concat())?;
    let version = [2, 1, 0];
    let attributes = [0xa0, 0];
    let subject = der(SEQUENCE, &[])?;
    let info = [&version[..], &subject, &key, &attributes].concat();
    let info = der(SEQUENCE, &info)?;
    der(SEQUENCE, &[&info[..], &algorithm, &[BITS, 1, 0]].concat())
}

impl Node {
    /// Where the elements within are defined.
    fn namespace_inside(&self) -> String {
        let instance = INSTANCES.iter().find(|(name, _)| *name == self.name);
        instance.map_or_else(
            || self.namespace.clone(),
            |(_, class)| soap::resource(class),
        )
    }
}
