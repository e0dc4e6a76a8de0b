//! The types of properties and parameters, and reading their values.

use super::super::base64;
use super::super::call::parse_bool;
use super::super::request::Element;
use super::super::value::{Interval, Value, parse_datetime};
use crate::time::UnixTime;

/// A type: one kind, or an array of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Type {
    pub(crate) kind: Kind,
    pub(crate) array: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unsigned(u32),
    Signed(u32),
    Bool,
    Text,
    Datetime,
    Base64,
    Hex,
    Reference,
    /// An embedded instance; only methods take one.
    Instance,
}

impl Type {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let (word, array) = match word.strip_suffix("[]") {
            Some(word) => (word, true),
            None => (word, false),
        };
        let kind = match word {
            "u8" => Kind::Unsigned(8),
            "u16" => Kind::Unsigned(16),
            "u32" => Kind::Unsigned(32),
            "u64" => Kind::Unsigned(64),
            "s8" => Kind::Signed(8),
            "s16" => Kind::Signed(16),
            "s32" => Kind::Signed(32),
            "s64" => Kind::Signed(64),
            "bool" => Kind::Bool,
            "str" => Kind::Text,
            "dt" => Kind::Datetime,
            "b64" => Kind::Base64,
            "hex" => Kind::Hex,
            "ref" => Kind::Reference,
            "instance" => Kind::Instance,
            _ => return None,
        };
        Some(Self { kind, array })
    }

    /// Whether a value may stand in a property of this type.
    pub(crate) fn fits(self, value: &Value) -> bool {
        match (self.array, value) {
            (true, Value::List(entries)) => entries.iter().all(|entry| self.kind.fits(entry)),
            (false, Value::List(_)) | (true, _) => false,
            (false, value) => self.kind.fits(value),
        }
    }
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Unsigned(64), Value::Int(number)) => *number >= 0,
            (Self::Unsigned(bits), Value::Int(number)) => (0..1_i64 << bits).contains(number),
            (Self::Signed(64), Value::Int(_)) => true,
            (Self::Signed(bits), Value::Int(number)) => {
                (-(1_i64 << (bits - 1))..1_i64 << (bits - 1)).contains(number)
            }
            (Self::Hex, Value::Text(text)) => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
            (Self::Bool, Value::Bool(_))
            | (Self::Text, Value::Text(_))
            | (Self::Datetime, Value::Datetime(_) | Value::Interval(_))
            | (Self::Base64, Value::Bytes(_))
            | (Self::Reference, Value::Reference(_)) => true,
            _ => false,
        }
    }

    /// Reads one element of a request. `None`: it is not of this kind.
    pub(crate) fn read(self, element: &Element) -> Option<Value> {
        let text = element.text.trim();
        let value = match self {
            Self::Unsigned(_) | Self::Signed(_) => Value::Int(text.parse().ok()?),
            Self::Bool => Value::Bool(parse_bool(text)?),
            Self::Text => Value::Text(element.text.clone()),
            Self::Hex => Value::Text(text.to_owned()),
            Self::Base64 => Value::Bytes(base64::decode(text)?),
            Self::Reference => Value::Reference(element.reference()?),
            Self::Datetime => datetime(element)?,
            Self::Instance => return None,
        };
        self.fits(&value).then_some(value)
    }
}

/// `Datetime` or `Interval` inside the element, or either directly.
fn datetime(element: &Element) -> Option<Value> {
    let inner = element
        .child("Datetime")
        .or_else(|| element.child("Interval"))
        .unwrap_or(element);
    let text = inner.text.trim();
    match Interval::parse(text) {
        Some(interval) => Some(Value::Interval(interval)),
        None => parse_datetime(text)
            .filter(|time| *time >= UnixTime(0))
            .map(Value::Datetime),
    }
}
