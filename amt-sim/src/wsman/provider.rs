//! Classes that are more than data: instances computed from the firmware's state, and what Put, Create and Delete
//! do besides remembering.

use super::After;
use super::fault::Fault;
use super::value::{Instance, Selectors, Value};
use crate::device::Firmware;

/// A class's own code. Whatever is `None` is done by the data and the store.
///
/// ```ignore
/// pub(crate) const PROVIDERS: &[Provider] = &[Provider {
///     instances: Some(certificates),
///     delete: Some(delete_certificate),
///     ..Provider::of("AMT_PublicKeyCertificate")
/// }];
///
/// fn certificates(fw: &Firmware) -> Vec<Instance> { /* one for each in fw.state */ }
///
/// fn delete_certificate(change: &mut Change<'_>) -> Result<Applied, Fault> {
///     // change.keys names it; change.before is what it was.
///     change.fw.remember(|state| /* ... */);
///     Ok(Applied::elsewhere())
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub(crate) struct Provider {
    pub(crate) class: &'static str,
    /// Instead of those in the data. What clients put or created through the store is laid over them.
    pub(crate) instances: Option<fn(&Firmware) -> Vec<Instance>>,
    pub(crate) put: Option<Hook>,
    pub(crate) create: Option<Hook>,
    pub(crate) delete: Option<Hook>,
}

/// Judges a change and makes it, or leaves it to the store.
pub(crate) type Hook = fn(&mut Change<'_>) -> Result<Applied, Fault>;

impl Provider {
    /// Nothing of its own yet.
    pub(crate) const fn of(class: &'static str) -> Self {
        Self {
            class,
            instances: None,
            put: None,
            create: None,
            delete: None,
        }
    }
}

/// A Put, Create or Delete that was found well-formed: known properties, right types, an instance that exists.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) fw: &'a mut Firmware,
    /// All keys of the instance; at a Create those that the client gave.
    pub(crate) keys: Selectors,
    /// Selectors as the client sent them, for classes that are addressed in odd ways.
    pub(crate) selectors: Selectors,
    /// What the instance was; empty at a Create.
    pub(crate) before: Instance,
    /// Exactly the properties that the client sent; empty at a Delete.
    pub(crate) given: Instance,
    /// `before`, with the writable properties of `given` over it: what the store would keep.
    pub(crate) after: Instance,
}

/// What a [`Hook`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The store keeps this instance (or, at a Delete, forgets it). `None`: the hook kept it somewhere itself.
    pub(crate) store: Option<Instance>,
    /// Keys of a created instance that the hook kept itself; else empty.
    pub(crate) created: Selectors,
    pub(crate) then: After,
    /// Put answers with an empty body.
    pub(crate) silent: bool,
}

impl Applied {
    /// The store is to keep this: usually `change.after`.
    pub(crate) fn store(instance: Instance) -> Self {
        Self {
            store: Some(instance),
            created: Selectors::new(),
            then: After::Nothing,
            silent: false,
        }
    }

    /// The hook did everything itself.
    pub(crate) fn elsewhere() -> Self {
        Self {
            store: None,
            ..Self::store(Instance::new())
        }
    }

    /// A Create that the hook kept itself, under these keys.
    pub(crate) fn created(keys: Selectors) -> Self {
        Self {
            created: keys,
            ..Self::elsewhere()
        }
    }

    /// No instance in the answer to Put.
    #[must_use]
    pub(crate) fn silently(mut self) -> Self {
        self.silent = true;
        self
    }
}

/// A value that class data refer to by name: `{ live = "digest-realm" }`. `None` leaves the property out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live {
    pub(crate) name: &'static str,
    pub(crate) value: fn(&Firmware) -> Option<Value>,
}

impl Live {
    pub(crate) const fn new(name: &'static str, value: fn(&Firmware) -> Option<Value>) -> Self {
        Self { name, value }
    }
}
