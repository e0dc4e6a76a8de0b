//! Get, Put, Create, Delete and methods.

use super::call::{Access, Call, Input, Outcome};
use super::envelope::Body;
use super::fault::Fault;
use super::provider::{Applied, Change, Hook};
use super::request::{Action, Element, Request};
use super::resolve::resolve;
use super::schema::{self, Class};
use super::value::{Instance, Reference, Value};
use super::{After, access, classes, enumerate, store, xml};
use crate::device::{Caller, Event, Firmware, Rule, assumed};

/// What came of a request that could be read.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) body: Body,
    pub(crate) after: After,
    pub(crate) return_value: Option<u32>,
}

impl Done {
    fn with(body: Body) -> Self {
        Self {
            body,
            after: After::Nothing,
            return_value: None,
        }
    }
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    Fault(Fault),
    NotAuthorized,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Classes whose Put is answered with nothing. Source: answers of real devices.
const SILENT: &[&str] = &[
    "AMT_MPSUsernamePassword",
    "AMT_RemoteAccessPolicyAppliesToMPS",
];

/// Does what the request asks for.
pub(crate) fn perform(
    fw: &mut Firmware,
    caller: &Caller,
    request: &Request,
) -> Result<Done, Refused> {
    if let Action::Eventing(_) = request.action {
        fw.assume(assumed::WSMAN_EVENTING);
        return Err(Fault::ActionNotSupported.into());
    }
    let class = schema::known(fw, &request.class).ok_or(Fault::DestinationUnreachable)?;
    let body = request.body.as_ref();
    let offered = |offered: bool| match offered {
        true => Ok(()),
        false => Err(Refused::Fault(Fault::ActionNotSupported)),
    };
    let allowed = |allowed: bool| match allowed {
        true => Ok(()),
        false => Err(Refused::NotAuthorized),
    };
    let given = || body.ok_or(Refused::Fault(Fault::MissingValues));
    match &request.action {
        Action::Get => {
            allowed(access::may_read(fw, caller, class))?;
            offered(class.operations.get)?;
            get(fw, class, request)
        }
        Action::Enumerate => {
            allowed(access::may_read(fw, caller, class))?;
            offered(class.operations.enumerate)?;
            Ok(Done::with(enumerate::enumerate(fw, class, body)?))
        }
        Action::Pull => {
            allowed(access::may_read(fw, caller, class))?;
            Ok(Done::with(enumerate::pull(fw, &class.name, given()?)?))
        }
        Action::Release => {
            allowed(access::may_read(fw, caller, class))?;
            Ok(Done::with(enumerate::release(fw, &class.name, given()?)?))
        }
        Action::Put => {
            allowed(access::may_write(fw, caller, class))?;
            offered(class.operations.put)?;
            put(fw, class, request, given()?)
        }
        Action::Create => {
            allowed(access::may_write(fw, caller, class))?;
            offered(class.operations.create)?;
            create(fw, class, request, given()?)
        }
        Action::Delete => {
            allowed(access::may_write(fw, caller, class))?;
            offered(class.operations.delete)?;
            delete(fw, class, request)
        }
        Action::Invoke(name) => invoke(fw, caller, class, request, name),
        Action::Identify | Action::Eventing(_) | Action::Unknown => {
            Err(Fault::ActionNotSupported.into())
        }
    }
}

/// The instance without what may only be written.
pub(crate) fn readable(class: &str, instance: Instance) -> Instance {
    let Some(class) = schema::class(class) else {
        return instance;
    };
    instance
        .into_iter()
        .filter(|(name, _)| {
            class
                .properties
                .get(name)
                .is_none_or(|property| property.readable)
        })
        .collect()
}

/// [`resolve`], saying so when the answer rests on an assumption.
fn find(
    fw: &mut Firmware,
    class: &Class,
    request: &Request,
    body: &Instance,
) -> Result<Instance, Fault> {
    let found = resolve(fw, class, &request.selectors, body);
    if found == Err(Fault::InvalidSelectors) {
        fw.assume(assumed::WSMAN_AMBIGUOUS);
    }
    found
}

fn get(fw: &mut Firmware, class: &Class, request: &Request) -> Result<Done, Refused> {
    let instance = find(fw, class, request, &Instance::new())?;
    let mut body = Body::new();
    body.instance(&class.name, &readable(&class.name, instance));
    Ok(Done::with(body))
}

/// The properties that a body carries. What the class does not have is a finding; what does not fit, a fault.
fn properties(fw: &mut Firmware, class: &Class, body: &Element) -> Result<Instance, Fault> {
    if body.name != class.name {
        return Err(Fault::MissingValues);
    }
    let mut given = Instance::new();
    let mut findings = Vec::new();
    for (name, property) in &class.properties {
        let elements: Vec<_> = body
            .children
            .iter()
            .filter(|child| child.name == *name)
            .collect();
        let kind = property.kind.kind;
        let mut values = Vec::new();
        for element in &elements {
            let nothing = element.children.is_empty()
                && matches!(element.text.trim(), "" | "undefined" | "null");
            match kind.read(element) {
                Some(value) => values.push(value),
                // An empty array, or a sender that has no value.
                None if nothing => findings.push(format!("{name} has no value")),
                None if fw.enforced(Rule::WSMAN_VALUE_TYPES) => {
                    fw.record(Event::WsmanFinding {
                        what: format!("{}.{name} is not of its type", class.name),
                    });
                    return Err(Fault::InvalidValues);
                }
                None => {}
            }
        }
        if property.kind.array {
            let empty_text = |value: &Value| value.as_text() == Some("");
            if elements.len() == 1 && values.first().is_some_and(empty_text) {
                values.clear();
            }
            if !elements.is_empty() {
                given.set(name, Value::List(values));
            }
        } else if let Some(value) = values.pop() {
            given.set(name, value);
        }
    }
    let strangers = body
        .children
        .iter()
        .filter(|child| !class.properties.contains_key(&child.name))
        .map(|child| format!("{} has no property {}", class.name, child.name));
    findings.extend(strangers);
    for what in findings {
        fw.record(Event::WsmanFinding { what });
    }
    Ok(given)
}

fn put(
    fw: &mut Firmware,
    class: &Class,
    request: &Request,
    body: &Element,
) -> Result<Done, Refused> {
    let given = properties(fw, class, body)?;
    let before = find(fw, class, request, &given)?;
    let keys = class.keys_of(&before);
    let all = !fw.enforced(Rule::WSMAN_READ_ONLY);
    let mut changes = Instance::new();
    for (name, value) in &given {
        let writable = class
            .properties
            .get(name)
            .is_some_and(|property| property.writable);
        if (writable || all) && !class.keys.contains(name) {
            changes.set(name, value.clone());
        }
    }
    let mut after = before.clone();
    for (name, value) in &changes {
        after.set(name, value.clone());
    }
    let hook = classes::provider(&class.name).and_then(|provider| provider.put);
    let applied = match hook {
        Some(hook) => {
            let change = Change {
                fw,
                keys: keys.clone(),
                selectors: request.selectors.clone(),
                before: before.clone(),
                given,
                after,
            };
            run(hook, change)?
        }
        None => Applied::store(after),
    };
    if let Some(instance) = applied.store {
        // Only what differs is kept, so that live values stay live.
        let differing = instance
            .into_iter()
            .filter(|(name, value)| before.get(name) != Some(value))
            .collect::<Instance>();
        if !differing.is_empty() {
            store::put(fw, &class.name, &keys, differing);
        }
    }
    let mut body = Body::new();
    if !applied.silent && !SILENT.contains(&class.name.as_str()) {
        let now = store::find(fw, &class.name, &keys).unwrap_or(before);
        body.instance(&class.name, &readable(&class.name, now));
    }
    Ok(Done {
        body,
        after: applied.then,
        return_value: None,
    })
}

fn create(
    fw: &mut Firmware,
    class: &Class,
    request: &Request,
    body: &Element,
) -> Result<Done, Refused> {
    let mut given = properties(fw, class, body)?;
    for (name, value) in [
        ("SystemCreationClassName", "CIM_ComputerSystem"),
        ("SystemName", "Intel(r) AMT"),
        ("CreationClassName", class.name.as_str()),
    ] {
        if class.keys.iter().any(|key| key == name) && given.get(name).is_none() {
            given.set(name, value);
        }
    }
    let keys = class.keys_of(&given);
    let whole = keys.len() == class.keys.len();
    if whole
        && fw.enforced(Rule::WSMAN_ALREADY_EXISTS)
        && resolve(fw, class, &keys, &Instance::new()).is_ok()
    {
        return Err(Fault::AlreadyExists.into());
    }
    let hook = classes::provider(&class.name).and_then(|provider| provider.create);
    let applied = match hook {
        Some(hook) => {
            let change = Change {
                fw,
                keys: keys.clone(),
                selectors: request.selectors.clone(),
                before: Instance::new(),
                after: given.clone(),
                given,
            };
            run(hook, change)?
        }
        None if whole => Applied::store(given),
        None => return Err(Fault::MissingValues.into()),
    };
    let made = match applied.store {
        Some(instance) => {
            let keys = class.keys_of(&instance);
            store::create(fw, &class.name, &keys, instance);
            keys
        }
        None if applied.created.is_empty() => keys,
        None => applied.created,
    };
    let mut body = Body::new();
    let prefix = body.prefix(xml::TRANSFER);
    body.open(prefix, "ResourceCreated");
    body.reference(&Reference {
        class: class.name.clone(),
        selectors: made,
    });
    body.close(prefix, "ResourceCreated");
    Ok(Done {
        body,
        after: applied.then,
        return_value: None,
    })
}

fn delete(fw: &mut Firmware, class: &Class, request: &Request) -> Result<Done, Refused> {
    let before = find(fw, class, request, &Instance::new())?;
    let keys = class.keys_of(&before);
    let hook = classes::provider(&class.name).and_then(|provider| provider.delete);
    let applied = match hook {
        Some(hook) => {
            let change = Change {
                fw,
                keys: keys.clone(),
                selectors: request.selectors.clone(),
                after: before.clone(),
                before,
                given: Instance::new(),
            };
            run(hook, change)?
        }
        None => Applied::store(Instance::new()),
    };
    if applied.store.is_some() {
        store::delete(fw, &class.name, &keys);
    }
    Ok(Done {
        body: Body::new(),
        after: applied.then,
        return_value: None,
    })
}

fn run(hook: Hook, mut change: Change<'_>) -> Result<Applied, Fault> {
    hook(&mut change)
}

fn invoke(
    fw: &mut Firmware,
    caller: &Caller,
    class: &Class,
    request: &Request,
    name: &str,
) -> Result<Done, Refused> {
    let method = classes::method(&class.name, name);
    let needed = method.map_or(Access::Administrator, |method| method.access);
    if !access::may_call(fw, caller, needed) {
        return Err(Refused::NotAuthorized);
    }
    let parameters = class.methods.get(name).ok_or(Fault::ActionNotSupported)?;
    let Some(method) = method else {
        fw.assume(assumed::WSMAN_METHOD_LACKING);
        return Err(Fault::ActionNotSupported.into());
    };
    let instance = class.keys_of(&find(fw, class, request, &Instance::new())?);
    let input = Input(
        request
            .body
            .as_ref()
            .map(|body| body.children.clone())
            .unwrap_or_default(),
    );
    for (parameter, described) in &parameters.input {
        // Arrays may be empty, which nobody can tell from absent.
        let missing = described.required && !described.kind.array && !input.has(parameter);
        if missing && fw.enforced(Rule::WSMAN_VALUE_TYPES) {
            fw.record(Event::WsmanFinding {
                what: format!("{}.{name} lacks {parameter}", class.name),
            });
            fw.assume(assumed::WSMAN_MISSING_PARAMETER);
            return Err(Fault::InvalidParameter.into());
        }
    }
    let Outcome {
        return_value,
        output,
        after,
        fault,
    } = (method.call)(&mut Call {
        fw,
        caller,
        instance,
        input: &input,
    });
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    Ok(Done {
        after,
        ..output_of(&class.name, name, &output, return_value)
    })
}

/// A method that did nothing but return this.
pub(crate) fn returned(class: &str, method: &str, value: u32) -> Done {
    output_of(class, method, &[], value)
}

fn output_of(
    class: &str,
    method: &str,
    output: &[(&'static str, Value)],
    return_value: u32,
) -> Done {
    let mut body = Body::new();
    let prefix = body.prefix(&schema::namespace(class));
    let element = format!("{method}_OUTPUT");
    body.open(prefix, &element);
    for (parameter, value) in output {
        body.property(prefix, parameter, value);
    }
    body.property(prefix, "ReturnValue", &Value::from(return_value));
    body.close(prefix, &element);
    Done {
        return_value: Some(return_value),
        ..Done::with(body)
    }
}
