//! Enumerate, Pull and Release.
//!
//! A Pull with MaxElements gets up to that many; Go and TypeScript clients send 999 and never ask again. A Pull
//! without gets one, as the standard has it: LMS reads only the first child of Items. Every Pull that leaves
//! something gives a new context.

use std::collections::VecDeque;
use std::time::Duration;

use super::call::Input;
use super::envelope::Body;
use super::fault::Fault;
use super::request::Element;
use super::schema::{self, Class};
use super::value::{Instance, Reference};
use super::{Runtime, store, xml};
use crate::device::{Firmware, Rule, assumed};
use crate::time::Instant;

/// Enumerations at a time.
const LIMIT: usize = 32;

/// How long a context is good for. Source: the expiry that real clients reckon with; not promised by firmware.
const LIFE: Duration = Duration::from_secs(300);

/// An enumeration under way.
#[derive(Debug)]
pub(crate) struct Context {
    id: String,
    /// The class that was asked for: Release and Pull must name the same.
    class: String,
    mode: Mode,
    items: VecDeque<Item>,
    expires: Instant,
}

#[derive(Debug)]
struct Item {
    /// The element's name: a subclass of the class that was asked for, maybe.
    class: String,
    instance: Instance,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Object,
    Reference,
    Both,
}

/// Classes whose enumeration shows instances of others: DSP0227 section 8, seen at real devices.
const INCLUDES: &[(&str, &[&str])] = &[
    (
        "CIM_PhysicalPackage",
        &["CIM_Card", "CIM_PhysicalPackage", "CIM_Chassis"],
    ),
    (
        "CIM_CredentialContext",
        &[
            "AMT_TLSCredentialContext",
            "AMT_RemoteAccessCredentialContext",
            "IPS_8021xCredentialContext",
            "CIM_CredentialContext",
        ],
    ),
];

/// Classes whose own instances go by the name of a subclass.
const SHOWN_AS: &[(&str, &str)] = &[
    (
        "CIM_ServiceAvailableToElement",
        "CIM_AssociatedPowerManagementService",
    ),
    ("CIM_SystemPackaging", "CIM_ComputerSystemPackage"),
    (
        "CIM_ListenerDestination",
        "CIM_ListenerDestinationWSManagement",
    ),
];

pub(crate) fn enumerate(
    fw: &mut Firmware,
    class: &Class,
    request: Option<&Element>,
) -> Result<Body, Fault> {
    let mut mode = Mode::Object;
    if let Some(request) = request {
        if request.child("Filter").is_some() {
            return Err(Fault::FilteringNotSupported);
        }
        let asked = request
            .child("EnumerationMode")
            .map(|mode| mode.text.trim());
        mode = match asked {
            None => Mode::Object,
            Some("EnumerateEPR") => Mode::Reference,
            Some("EnumerateObjectAndEPR") => Mode::Both,
            Some(_) => return Err(Fault::UnsupportedFeature),
        };
    }
    let now = fw.now;
    fw.wsman.contexts.retain(|context| context.expires > now);
    if fw.wsman.contexts.len() >= LIMIT {
        fw.assume(assumed::WSMAN_ENUMERATIONS);
        return Err(Fault::QuotaLimit);
    }
    let items = items(fw, class);
    let id = fw.wsman.next_context();
    let mut body = Body::new();
    let prefix = body.prefix(xml::ENUMERATION);
    body.open(prefix, "EnumerateResponse");
    body.leaf(prefix, "EnumerationContext", &id);
    body.close(prefix, "EnumerateResponse");
    fw.wsman.contexts.push(Context {
        id,
        class: class.name.clone(),
        mode,
        items,
        expires: now + LIFE,
    });
    Ok(body)
}

fn items(fw: &Firmware, class: &Class) -> VecDeque<Item> {
    let own = [class.name.as_str()];
    let includes = INCLUDES
        .iter()
        .find_map(|(name, includes)| (*name == class.name).then_some(*includes))
        .unwrap_or(&own);
    let mut items = VecDeque::new();
    for name in includes {
        let shown = SHOWN_AS
            .iter()
            .find_map(|(base, shown)| (base == name).then_some(*shown))
            .unwrap_or(name);
        for instance in store::instances(fw, name) {
            items.push_back(Item {
                class: shown.to_owned(),
                instance: super::operation::readable(name, instance),
            });
        }
    }
    items
}

pub(crate) fn pull(fw: &mut Firmware, class: &str, request: &Element) -> Result<Body, Fault> {
    let asked = Input(request.children.clone());
    let mut context = take(fw, class, &asked)?;
    let most = match asked.has("MaxElements") {
        true => asked
            .fits::<u32>("MaxElements")
            .filter(|most| *most > 0)
            .ok_or(Fault::InvalidParameter)?,
        false if fw.enforced(Rule::WSMAN_PULL_ONE) => 1,
        false => u32::MAX,
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let given: Vec<Item> = context
        .items
        .drain(..context.items.len().min(most))
        .collect();
    let mut body = Body::new();
    let prefix = body.prefix(xml::ENUMERATION);
    body.open(prefix, "PullResponse");
    let more = !context.items.is_empty();
    if more {
        context.id = fw.wsman.next_context();
        body.leaf(prefix, "EnumerationContext", &context.id);
    }
    body.open(prefix, "Items");
    for item in &given {
        write(&mut body, context.mode, item);
    }
    body.close(prefix, "Items");
    if more {
        fw.wsman.contexts.push(context);
    } else {
        body.leaf(prefix, "EndOfSequence", "");
    }
    body.close(prefix, "PullResponse");
    Ok(body)
}

fn write(body: &mut Body, mode: Mode, item: &Item) {
    if mode == Mode::Both {
        body.open('c', "Item");
    }
    if mode != Mode::Reference {
        body.instance(&item.class, &item.instance);
    }
    if mode != Mode::Object {
        let keys = schema::class(&item.class).map(|class| class.keys_of(&item.instance));
        body.open('b', "EndpointReference");
        body.reference(&Reference {
            class: item.class.clone(),
            selectors: keys.unwrap_or_default(),
        });
        body.close('b', "EndpointReference");
    }
    if mode == Mode::Both {
        body.close('c', "Item");
    }
}

pub(crate) fn release(fw: &mut Firmware, class: &str, request: &Element) -> Result<Body, Fault> {
    take(fw, class, &Input(request.children.clone())).map(|_| Body::new())
}

/// Takes the context out: it is good for one request.
fn take(fw: &mut Firmware, class: &str, asked: &Input) -> Result<Context, Fault> {
    let now = fw.now;
    fw.wsman.contexts.retain(|context| context.expires > now);
    let id = asked.text("EnumerationContext").unwrap_or_default();
    let lenient = !fw.enforced(Rule::WSMAN_CONTEXT);
    let of_class = |context: &Context| context.class == class;
    let place = fw
        .wsman
        .contexts
        .iter()
        .position(|context| of_class(context) && context.id == id)
        .or_else(|| match lenient {
            true => fw.wsman.contexts.iter().position(of_class),
            false => None,
        })
        .ok_or(Fault::InvalidEnumerationContext)?;
    Ok(fw.wsman.contexts.remove(place))
}

impl Runtime {
    /// `AC070000-0000-0000-0000-000000000000`: a little-endian counter in the shape of a GUID.
    fn next_context(&mut self) -> String {
        self.enumerations = self.enumerations.wrapping_add(1);
        let [a, b, c, d] = self.enumerations.to_le_bytes();
        format!("{a:02X}{b:02X}{c:02X}{d:02X}-0000-0000-0000-000000000000")
    }
}
