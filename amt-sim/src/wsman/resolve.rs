//! Which instance a client means. Selectors come whole, in part, with properties that are no keys, or not at all.

use super::envelope::selector_text;
use super::fault::Fault;
use super::schema::Class;
use super::store;
use super::value::{Instance, Reference, Selectors, Value};
use crate::device::{Firmware, Rule};

/// The one instance that the selectors mean; where they do not say, `body` may, and where nothing does there must
/// be only one.
///
/// Selectors that are no keys are ignored: MeshCommander sends every property it has.
pub(crate) fn resolve(
    fw: &Firmware,
    class: &Class,
    selectors: &Selectors,
    body: &Instance,
) -> Result<Instance, Fault> {
    let instances = store::instances(fw, &class.name);
    if instances.is_empty() {
        return Err(Fault::DestinationUnreachable);
    }
    let whole = class.keys.iter().all(|key| selectors.get(key).is_some());
    if !whole && instances.len() > 1 && !fw.enforced(Rule::WSMAN_PARTIAL_SELECTORS) {
        return Err(Fault::InvalidSelectors);
    }
    let mut matching = instances;
    matching.retain(|instance| agrees(instance, class, selectors));
    if matching.len() > 1 {
        matching.retain(|instance| agrees(instance, class, body));
    }
    match matching.len() {
        0 => Err(Fault::DestinationUnreachable),
        1 => matching.pop().ok_or(Fault::DestinationUnreachable),
        _ => Err(Fault::InvalidSelectors),
    }
}

/// Whether the instance has all the keys that are given.
fn agrees(instance: &Instance, class: &Class, given: &Instance) -> bool {
    class
        .keys
        .iter()
        .filter_map(|key| Some((instance.get(key), given.get(key)?)))
        .all(|(have, wanted)| have.is_some_and(|have| same(have, wanted)))
}

/// White space does not count: every client writes `TLSProtocolEndpointInstances Collection`, every device has
/// `TLSProtocolEndpoint Instances Collection`.
pub(crate) fn same(have: &Value, wanted: &Value) -> bool {
    match (have, wanted) {
        (Value::Reference(have), Value::Reference(wanted)) => same_reference(have, wanted),
        (Value::Reference(have), Value::Text(wanted)) => have
            .selectors
            .iter()
            .any(|(_, value)| same(value, &Value::Text(wanted.clone()))),
        (have, wanted) => {
            let (have, wanted) = (selector_text(have), selector_text(wanted));
            have.chars()
                .filter(|c| !c.is_whitespace())
                .eq(wanted.chars().filter(|c| !c.is_whitespace()))
        }
    }
}

/// References agree when nothing that both of them say differs.
fn same_reference(have: &Reference, wanted: &Reference) -> bool {
    have.class == wanted.class
        && wanted.selectors.iter().all(|(name, wanted)| {
            have.selectors
                .get(name)
                .is_none_or(|have| same(have, wanted))
        })
}
