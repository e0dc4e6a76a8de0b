//! Values as class data write them: fixed, or looked up in the firmware when somebody asks.

use std::collections::BTreeMap;

use super::super::base64;
use super::super::classes;
use super::super::value::{Interval, Reference, Value, parse_datetime};
use super::types::{Kind, Type};
use crate::device::Firmware;

/// A property's value in the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Template {
    Fixed(Value),
    /// By the name of a [`super::super::provider::Live`].
    Live(String),
    List(Vec<Template>),
    Reference {
        class: String,
        selectors: BTreeMap<String, Template>,
    },
}

impl Template {
    /// Reads what TOML says for a property of this type; the message says what it should have been.
    pub(super) fn read(kind: Type, toml: &toml::Value) -> Result<Self, String> {
        if let Some(name) = live(toml) {
            return Ok(Self::Live(name.to_owned()));
        }
        if kind.array {
            let entries = toml.as_array().ok_or("expected an array")?;
            let one = Type {
                kind: kind.kind,
                array: false,
            };
            return entries
                .iter()
                .map(|entry| Self::read(one, entry))
                .collect::<Result<_, _>>()
                .map(Self::List);
        }
        let value = match (kind.kind, toml) {
            (Kind::Reference, toml::Value::Table(table)) => return reference(table),
            (Kind::Datetime, toml::Value::Table(table)) => datetime(table)?,
            (Kind::Base64, toml::Value::String(text)) => {
                Value::Bytes(base64::decode(text).ok_or("not base64")?)
            }
            (_, toml::Value::String(text)) => Value::Text(text.clone()),
            (_, toml::Value::Integer(number)) => Value::Int(*number),
            (_, toml::Value::Boolean(truth)) => Value::Bool(*truth),
            _ => return Err("a value of another type".to_owned()),
        };
        match kind.fits(&value) {
            true => Ok(Self::Fixed(value)),
            false => Err(format!("{toml} does not fit the type {:?}", kind.kind)),
        }
    }

    /// The value now; `None` when the property is not there.
    pub(crate) fn value(&self, fw: &Firmware) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Live(name) => (classes::live(name)?.value)(fw),
            Self::List(entries) => Some(Value::List(
                entries.iter().filter_map(|entry| entry.value(fw)).collect(),
            )),
            Self::Reference { class, selectors } => Some(Value::Reference(Reference {
                class: class.clone(),
                selectors: selectors
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), value.value(fw)?)))
                    .collect(),
            })),
        }
    }

    /// Names of all live values in it.
    #[cfg(test)]
    pub(crate) fn live_names(&self) -> Vec<&str> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Live(name) => vec![name],
            Self::List(entries) => entries.iter().flat_map(Self::live_names).collect(),
            Self::Reference { selectors, .. } => {
                selectors.values().flat_map(Self::live_names).collect()
            }
        }
    }
}

fn live(toml: &toml::Value) -> Option<&str> {
    let table = toml.as_table().filter(|table| table.len() == 1)?;
    table.get("live")?.as_str()
}

fn reference(table: &toml::Table) -> Result<Template, String> {
    if let Some(unknown) = table
        .keys()
        .find(|key| *key != "class" && *key != "selectors")
    {
        return Err(format!("a reference has no `{unknown}`"));
    }
    let class = table
        .get("class")
        .and_then(toml::Value::as_str)
        .ok_or("a reference needs a class")?;
    let selectors = table
        .get("selectors")
        .and_then(toml::Value::as_table)
        .ok_or("a reference needs selectors")?;
    let text = Type {
        kind: Kind::Text,
        array: false,
    };
    let nested = Type {
        kind: Kind::Reference,
        array: false,
    };
    Ok(Template::Reference {
        class: class.to_owned(),
        selectors: selectors
            .iter()
            .map(|(name, value)| {
                let kind = if value.is_table() { nested } else { text };
                Ok((name.clone(), Template::read(kind, value)?))
            })
            .collect::<Result<_, String>>()?,
    })
}

fn datetime(table: &toml::Table) -> Result<Value, String> {
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
    match (text("datetime"), text("interval")) {
        (Some(time), None) => parse_datetime(time).map(Value::Datetime),
        (None, Some(interval)) => Interval::parse(interval).map(Value::Interval),
        _ => None,
    }
    .ok_or_else(|| "expected { datetime = ... } or { interval = ... }".to_owned())
}
