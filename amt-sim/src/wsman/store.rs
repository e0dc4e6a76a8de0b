//! The instances of every class: data or provider, with what clients wrote laid over them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::value::{Instance, Selectors, Value};
use super::{classes, schema};
use crate::device::Firmware;

/// What clients wrote, by class: part of non-volatile memory, erased with the rest of provisioning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overlay(BTreeMap<String, Vec<Written>>);

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// What was written to one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    keys: Selectors,
    what: Change,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Change {
    /// These properties have other values than the data or the provider say.
    Put(Instance),
    /// An instance that neither of them knows.
    Created(Instance),
    /// An instance of theirs that is gone.
    Deleted,
}

/// All instances of exactly this class, in the order of the data. Unknown classes have none.
pub(crate) fn instances(fw: &Firmware, class: &str) -> Vec<Instance> {
    let mut instances = match classes::provider(class).and_then(|provider| provider.instances) {
        Some(compute) => compute(fw),
        None => schema::known(fw, class)
            .map(|class| class.instances(fw))
            .unwrap_or_default(),
    };
    for written in fw.state.wsman.0.get(class).into_iter().flatten() {
        let place = instances
            .iter()
            .position(|instance| is_meant(instance, &written.keys));
        match (&written.what, place) {
            (Change::Created(instance), None) => instances.push(instance.clone()),
            (Change::Put(changes) | Change::Created(changes), Some(place)) => {
                if let Some(instance) = instances.get_mut(place) {
                    for (name, value) in changes {
                        instance.set(name, value.clone());
                    }
                }
            }
            (Change::Deleted, Some(place)) => {
                instances.remove(place);
            }
            (Change::Put(_) | Change::Deleted, None) => {}
        }
    }
    instances
}

/// The instance that partial or absent selectors mean: the first that agrees with all of those that name one of
/// its properties.
pub(crate) fn find(fw: &Firmware, class: &str, selectors: &Selectors) -> Option<Instance> {
    instances(fw, class)
        .into_iter()
        .find(|instance| is_meant(instance, selectors))
}

/// Changes some properties of one instance; `keys` as in [`find`].
pub(crate) fn put(fw: &mut Firmware, class: &str, keys: &Selectors, changes: Instance) {
    let keys = whole(fw, class, keys);
    let class = class.to_owned();
    fw.remember(|state| {
        let written = state.wsman.0.entry(class).or_default();
        match written.iter_mut().find(|written| written.keys == keys) {
            Some(Written {
                what: Change::Put(kept) | Change::Created(kept),
                ..
            }) => {
                for (name, value) in changes {
                    kept.set(&name, value);
                }
            }
            Some(gone) => gone.what = Change::Put(changes),
            None => written.push(Written {
                keys,
                what: Change::Put(changes),
            }),
        }
    });
}

/// Changes one property of one instance.
pub(crate) fn set(
    fw: &mut Firmware,
    class: &str,
    keys: &Selectors,
    name: &str,
    value: impl Into<Value>,
) {
    put(fw, class, keys, Instance::new().with(name, value));
}

/// Keeps a new instance under these keys.
pub(crate) fn create(fw: &mut Firmware, class: &str, keys: &Selectors, instance: Instance) {
    write(fw, class, keys, Change::Created(instance));
}

/// Forgets one instance, wherever it came from.
pub(crate) fn delete(fw: &mut Firmware, class: &str, keys: &Selectors) {
    let keys = whole(fw, class, keys);
    write(fw, class, &keys, Change::Deleted);
}

/// All keys of the instance that these mean.
fn whole(fw: &Firmware, class: &str, keys: &Selectors) -> Selectors {
    match (schema::class(class), find(fw, class, keys)) {
        (Some(schema), Some(instance)) => schema.keys_of(&instance),
        _ => keys.clone(),
    }
}

fn write(fw: &mut Firmware, class: &str, keys: &Selectors, what: Change) {
    let class = class.to_owned();
    let keys = keys.clone();
    fw.remember(|state| {
        let all = state.wsman.0.entry(class).or_default();
        all.retain(|written| written.keys != keys);
        all.push(Written { keys, what });
    });
}

fn is_meant(instance: &Instance, selectors: &Selectors) -> bool {
    selectors
        .iter()
        .all(|(name, wanted)| instance.get(name).is_none_or(|value| value == wanted))
}
