//! What classes there are: keys, properties, instances and methods, read from `fixtures/wsman/*.toml`.
//!
//! One file is one family. Its shape:
//!
//! ```toml
//! [[class]]
//! name = "AMT_GeneralSettings"        # AMT_, IPS_ or CIM_ decides the namespace
//! keys = ["InstanceID"]
//! operations = ["get", "put", "enumerate"]   # also "create", "delete"
//! when = ["provisioned"]              # optional: else the class is unknown; see `condition`
//! realms = ["general-info"]           # optional: who may read besides administrators
//! local = true                        # optional: `$$OsAdmin` may read
//! [class.properties]
//! AMTNetworkEnabled = "u32 rw"        # type, then flags: r (default), rw, w, key, optional
//! [[class.instances]]
//! AMTNetworkEnabled = 1
//! DigestRealm = { live = "digest-realm" }
//! [class.methods]
//! SetMEBxPassword = { input = { Password = "str required" }, output = { } }
//! ```

mod load;
mod template;
mod types;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::condition::Condition;
use super::value::Instance;
use crate::device::{Firmware, Realm};

pub(crate) use template::Template;
pub(crate) use types::Type;

/// One class.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) keys: Vec<String>,
    pub(crate) operations: Operations,
    pub(crate) when: Vec<Condition>,
    pub(crate) realms: Vec<Realm>,
    pub(crate) local: bool,
    pub(crate) properties: BTreeMap<String, Property>,
    pub(crate) instances: Vec<InstanceTemplate>,
    pub(crate) methods: BTreeMap<String, Parameters>,
}

/// What may be done with a class besides calling its methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Operations {
    pub(crate) get: bool,
    pub(crate) put: bool,
    pub(crate) create: bool,
    pub(crate) delete: bool,
    pub(crate) enumerate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) kind: Type,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// An instance as the data say it.
#[derive(Debug)]
pub(crate) struct InstanceTemplate {
    pub(crate) when: Vec<Condition>,
    pub(crate) properties: BTreeMap<String, Template>,
}

/// A method's input. Its output stands in the data for the reader; the code writes it.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    pub(crate) input: BTreeMap<String, Parameter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) kind: Type,
    pub(crate) required: bool,
}

/// All classes. Files that cannot be read are left out; a test sees to it that there are none.
static CLASSES: LazyLock<BTreeMap<String, Class>> = LazyLock::new(|| load::all().0);

/// The class of this name, on any device.
pub(crate) fn class(name: &str) -> Option<&'static Class> {
    CLASSES.get(name)
}

/// The class of this name, if this device has it now.
pub(crate) fn known(fw: &Firmware, name: &str) -> Option<&'static Class> {
    class(name).filter(|class| class.when.iter().all(|condition| condition.holds(fw)))
}

impl Class {
    /// The instances that the data give this device now.
    pub(crate) fn instances(&self, fw: &Firmware) -> Vec<Instance> {
        self.instances
            .iter()
            .filter(|template| template.when.iter().all(|condition| condition.holds(fw)))
            .map(|template| {
                template
                    .properties
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), value.value(fw)?)))
                    .collect()
            })
            .collect()
    }

    /// The keys of one of its instances.
    pub(crate) fn keys_of(&self, instance: &Instance) -> Instance {
        self.keys
            .iter()
            .filter_map(|key| Some((key.clone(), instance.get(key)?.clone())))
            .collect()
    }
}

/// The namespace of a class, which is its resource URI too.
pub(crate) fn namespace(class: &str) -> String {
    let base = if class.starts_with("AMT_") {
        "http://intel.com/wbem/wscim/1/amt-schema/1/"
    } else if class.starts_with("IPS_") {
        "http://intel.com/wbem/wscim/1/ips-schema/1/"
    } else {
        "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
    };
    format!("{base}{class}")
}

#[cfg(test)]
mod tests;
