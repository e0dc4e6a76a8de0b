//! Reading the class files: what is wrong is said with the file, the class and the property.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::condition::Condition;
use super::{Class, InstanceTemplate, Operations, Parameter, Parameters, Property, Template, Type};
use crate::device::Realm;
use crate::diagnostic::parse_toml;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    class: Vec<RawClass>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass {
    name: String,
    keys: Vec<String>,
    #[serde(default)]
    operations: Vec<String>,
    #[serde(default)]
    when: Vec<String>,
    #[serde(default)]
    realms: Vec<String>,
    #[serde(default)]
    local: bool,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    instances: Vec<toml::Table>,
    #[serde(default)]
    methods: BTreeMap<String, RawMethod>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMethod {
    #[serde(default)]
    input: BTreeMap<String, String>,
    #[serde(default)]
    output: BTreeMap<String, String>,
}

/// All classes of all files, and everything that is wrong with them.
pub(super) fn all() -> (BTreeMap<String, Class>, Vec<String>) {
    let mut classes = BTreeMap::new();
    let mut problems = Vec::new();
    for file in fixtures::WSMAN {
        read(file.path, file.text, &mut classes, &mut problems);
    }
    #[cfg(test)]
    read(
        "probe.toml",
        include_str!("probe.toml"),
        &mut classes,
        &mut problems,
    );
    (classes, problems)
}

/// Adds one file's classes.
pub(super) fn read(
    path: &str,
    text: &str,
    classes: &mut BTreeMap<String, Class>,
    problems: &mut Vec<String>,
) {
    let raw: RawFile = match parse_toml(path, text) {
        Ok(raw) => raw,
        Err(error) => return problems.push(error.to_string()),
    };
    for raw in raw.class {
        let mut complain = |what: String| problems.push(format!("{path}: {}: {what}", raw.name));
        let class = class(&raw, &mut complain);
        if classes.contains_key(&raw.name) {
            complain("stands twice".to_owned());
        }
        classes.insert(raw.name.clone(), class);
    }
}

fn class(raw: &RawClass, complain: &mut impl FnMut(String)) -> Class {
    if !["AMT_", "IPS_", "CIM_"]
        .iter()
        .any(|prefix| raw.name.starts_with(prefix))
    {
        complain("a class is called AMT_, IPS_ or CIM_ something".to_owned());
    }
    let mut properties = BTreeMap::new();
    for (name, words) in &raw.properties {
        match property(words) {
            Some(property) => {
                properties.insert(name.clone(), property);
            }
            None => complain(format!("{name}: cannot read {words:?}")),
        }
    }
    for key in &raw.keys {
        if !properties.contains_key(key) {
            complain(format!("the key {key} is no property"));
        }
    }
    let instances = raw
        .instances
        .iter()
        .map(|table| instance(raw, &properties, table, complain))
        .collect();
    let methods = raw
        .methods
        .iter()
        .map(|(name, method)| (name.clone(), parameters(name, method, complain)))
        .collect();
    Class {
        name: raw.name.clone(),
        keys: raw.keys.clone(),
        operations: operations(&raw.operations, complain),
        when: conditions(&raw.when, complain),
        realms: realms(&raw.realms, complain),
        local: raw.local,
        properties,
        instances,
        methods,
    }
}

/// `u32[] rw key optional`
fn property(words: &str) -> Option<Property> {
    let mut words = words.split_whitespace();
    let kind = Type::parse(words.next()?)?;
    let mut property = Property {
        kind,
        readable: true,
        writable: false,
    };
    for flag in words {
        match flag {
            "r" | "key" | "optional" => {}
            "rw" => property.writable = true,
            "w" => {
                property.writable = true;
                property.readable = false;
            }
            _ => return None,
        }
    }
    Some(property)
}

fn instance(
    raw: &RawClass,
    properties: &BTreeMap<String, Property>,
    table: &toml::Table,
    complain: &mut impl FnMut(String),
) -> InstanceTemplate {
    let mut template = InstanceTemplate {
        when: Vec::new(),
        properties: BTreeMap::new(),
    };
    for (name, value) in table {
        if name == "@when" {
            let words: Vec<String> = value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect();
            template.when = conditions(&words, complain);
            continue;
        }
        let Some(property) = properties.get(name) else {
            complain(format!("an instance has {name}, which is no property"));
            continue;
        };
        match Template::read(property.kind, value) {
            Ok(value) => {
                template.properties.insert(name.clone(), value);
            }
            Err(why) => complain(format!("{name}: {why}")),
        }
    }
    for key in &raw.keys {
        if !template.properties.contains_key(key) {
            complain(format!("an instance lacks its key {key}"));
        }
    }
    template
}

fn parameters(method: &str, raw: &RawMethod, complain: &mut impl FnMut(String)) -> Parameters {
    let mut parameters = Parameters::default();
    for (name, words) in &raw.input {
        let mut words_left = words.split_whitespace();
        let kind = words_left.next().and_then(Type::parse);
        let required = match words_left.next() {
            None => Some(false),
            Some("required") => Some(true),
            Some(_) => None,
        };
        match (kind, required) {
            (Some(kind), Some(required)) => {
                parameters
                    .input
                    .insert(name.clone(), Parameter { kind, required });
            }
            _ => complain(format!("{method}({name}): cannot read {words:?}")),
        }
    }
    for (name, word) in &raw.output {
        if Type::parse(word).is_none() {
            complain(format!("{method} -> {name}: cannot read {word:?}"));
        }
    }
    parameters
}

fn operations(words: &[String], complain: &mut impl FnMut(String)) -> Operations {
    let mut operations = Operations::default();
    for word in words {
        match word.as_str() {
            "get" => operations.get = true,
            "put" => operations.put = true,
            "create" => operations.create = true,
            "delete" => operations.delete = true,
            "enumerate" => operations.enumerate = true,
            _ => complain(format!("no operation is called {word:?}")),
        }
    }
    operations
}

fn conditions(words: &[String], complain: &mut impl FnMut(String)) -> Vec<Condition> {
    words
        .iter()
        .filter_map(|word| {
            let condition = Condition::parse(word);
            if condition.is_none() {
                complain(format!("no condition is called {word:?}"));
            }
            condition
        })
        .collect()
}

fn realms(words: &[String], complain: &mut impl FnMut(String)) -> Vec<Realm> {
    words
        .iter()
        .filter_map(|word| {
            let realm = realm(word);
            if realm.is_none() {
                complain(format!("no realm is called {word:?}"));
            }
            realm
        })
        .collect()
}

/// A realm by the name of its constant, in kebab-case.
fn realm(word: &str) -> Option<Realm> {
    Some(match word {
        "redirection" => Realm::REDIRECTION,
        "administration" => Realm::ADMINISTRATION,
        "hardware-asset" => Realm::HARDWARE_ASSET,
        "remote-control" => Realm::REMOTE_CONTROL,
        "storage" => Realm::STORAGE,
        "event-manager" => Realm::EVENT_MANAGER,
        "storage-admin" => Realm::STORAGE_ADMIN,
        "agent-presence-local" => Realm::AGENT_PRESENCE_LOCAL,
        "agent-presence-remote" => Realm::AGENT_PRESENCE_REMOTE,
        "circuit-breaker" => Realm::CIRCUIT_BREAKER,
        "network-time" => Realm::NETWORK_TIME,
        "general-info" => Realm::GENERAL_INFO,
        "firmware-update" => Realm::FIRMWARE_UPDATE,
        "local-user-notification" => Realm::LOCAL_USER_NOTIFICATION,
        "endpoint-access-control" => Realm::ENDPOINT_ACCESS_CONTROL,
        "endpoint-access-control-admin" => Realm::ENDPOINT_ACCESS_CONTROL_ADMIN,
        "event-log-reader" => Realm::EVENT_LOG_READER,
        "audit-log" => Realm::AUDIT_LOG,
        "user-access-control" => Realm::USER_ACCESS_CONTROL,
        "local-system" => Realm::LOCAL_SYSTEM,
        _ => return None,
    })
}
