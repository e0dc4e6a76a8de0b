//! The shapes that facts come in, and how a program's own spelling is brought into one.

use std::net::Ipv4Addr;

use amt_sim::Guid;
use serde_json::json;

use super::Value;

/// What the SKU bits mean.
pub(super) const FEATURES: &[&str] = &[
    "amt-pro",
    "standard-manageability",
    "anti-theft",
    "corporate",
];

/// The form of a fact's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number; decimal, or hexadecimal with `0x`.
    Number,
    Text,
    /// 32 lower-case hex digits in groups of 8-4-4-4-12.
    Uuid,
    /// Six lower-case hex pairs joined by `:`.
    Mac,
    /// An IPv4 address.
    Address,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words; order does not count.
    Words(&'static [&'static str]),
    /// A list of certificate hashes; order does not count.
    Hashes,
}

impl Kind {
    /// A value that is as good as any, for a role that makes things up.
    pub fn invented(self) -> Value {
        match self {
            Self::Flag => Value::Bool(true),
            Self::Number => Value::from(4711),
            Self::Text => Value::from("0.8.15"),
            Self::Uuid => Value::from("4c4c4544-0033-4a10-8051-cac04f4a4c32"),
            Self::Mac => Value::from("02:00:5e:10:00:01"),
            Self::Address => Value::from("192.0.2.7"),
            Self::Word(words) => words.last().copied().map_or(Value::Null, Value::from),
            Self::Words(words) => words.iter().copied().collect(),
            Self::Hashes => Value::Array(Vec::new()),
        }
    }

    /// The value in normal form. Texts are read, so that a target file may take anything from a program's output.
    pub(super) fn normalise(self, value: Value) -> Result<Value, String> {
        let text = match &value {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        };
        let refuse = |wanted: &str| Err(format!("{value} is not {wanted}"));
        match (self, text) {
            (Self::Flag, Some(text)) => match text.as_str() {
                "true" => Ok(json!(true)),
                "false" => Ok(json!(false)),
                _ => refuse("true or false"),
            },
            (Self::Number, Some(text)) => {
                let number = match text.strip_prefix("0x") {
                    Some(hex) => u64::from_str_radix(hex, 16).ok(),
                    None => text.parse().ok(),
                };
                number.map_or_else(|| refuse("a whole number"), |number| Ok(json!(number)))
            }
            (Self::Text, Some(text)) => Ok(json!(text)),
            (Self::Uuid, Some(text)) => match text.parse::<Guid>() {
                Ok(uuid) => Ok(json!(uuid.to_string())),
                Err(_) => refuse("a UUID"),
            },
            (Self::Mac, Some(text)) => {
                let digits: String = text
                    .chars()
                    .filter(|letter| !matches!(letter, ':' | '-'))
                    .collect();
                if digits.len() != 12 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return refuse("a MAC address");
                }
                let pairs: Vec<String> = (0..6)
                    .map(|pair| digits[pair * 2..pair * 2 + 2].to_lowercase())
                    .collect();
                Ok(json!(pairs.join(":")))
            }
            (Self::Address, Some(text)) => match text.parse::<Ipv4Addr>() {
                Ok(address) => Ok(json!(address.to_string())),
                Err(_) => refuse("an IPv4 address"),
            },
            (Self::Word(known), Some(text)) if known.contains(&text.as_str()) => Ok(json!(text)),
            (Self::Word(known), _) => refuse(&format!("one of {}", known.join(", "))),
            (Self::Words(known), _) => words(&value, known),
            (Self::Hashes, _) => hashes(&value),
            (_, None) => refuse("a plain value"),
        }
    }

    /// How to write such a value, for documents and messages.
    pub fn describe(self) -> String {
        match self {
            Self::Flag => "true or false".into(),
            Self::Number => "number".into(),
            Self::Text => "text".into(),
            Self::Uuid => "UUID".into(),
            Self::Mac => "MAC address".into(),
            Self::Address => "IPv4 address".into(),
            Self::Word(known) => known.join(", "),
            Self::Words(known) => format!("list of {}", known.join(", ")),
            Self::Hashes => "list of hashes".into(),
        }
    }
}

fn words(value: &Value, known: &[&str]) -> Result<Value, String> {
    let list = value
        .as_array()
        .ok_or_else(|| format!("{value} is not a list"))?;
    let mut words = Vec::new();
    for item in list {
        match item.as_str() {
            Some(word) if known.contains(&word) => words.push(word.to_owned()),
            _ => return Err(format!("{item} is not one of {}", known.join(", "))),
        }
    }
    words.sort();
    words.dedup();
    Ok(json!(words))
}

/// `name` and `hash` must be there; `algorithm`, `active` and `default` may be missing where a program does not
/// print them.
fn hashes(value: &Value) -> Result<Value, String> {
    let list = value
        .as_array()
        .ok_or_else(|| format!("{value} is not a list"))?;
    let mut entries = Vec::new();
    for item in list {
        let text = |key: &str| {
            item.get(key)
                .and_then(Value::as_str)
                .map(str::trim)
                .ok_or_else(|| format!("{item} has no text `{key}`"))
        };
        let mut entry = serde_json::Map::new();
        entry.insert("name".into(), json!(text("name")?));
        let hash: String = text("hash")?
            .chars()
            .filter(|letter| !matches!(letter, ':' | ' '))
            .collect();
        entry.insert("hash".into(), json!(hash.to_lowercase()));
        if item.get("algorithm").is_some() {
            let algorithm = text("algorithm")?.to_lowercase().replace('-', "");
            entry.insert("algorithm".into(), json!(algorithm));
        }
        for key in ["active", "default"] {
            match item.get(key) {
                None => {}
                Some(Value::Bool(flag)) => {
                    entry.insert(key.into(), json!(flag));
                }
                Some(other) => return Err(format!("`{key}` is {other}, not true or false")),
            }
        }
        entries.push(entry);
    }
    entries.sort_by_key(|entry| (entry["hash"].to_string(), entry["name"].to_string()));
    Ok(json!(entries))
}

/// The expected list of hashes with only those keys that the program reports at all.
pub fn project(expected: &Value, actual: &Value) -> Value {
    let (Some(expected), Some(actual)) = (expected.as_array(), actual.as_array()) else {
        return expected.clone();
    };
    let reported = |key: &str| actual.iter().any(|entry| entry.get(key).is_some());
    let kept = expected.iter().map(|entry| match entry.as_object() {
        Some(entry) if !actual.is_empty() => entry
            .iter()
            .filter(|(key, _)| reported(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        _ => entry.clone(),
    });
    Value::Array(kept.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Kind::Flag, json!("true"), Some(json!(true)))]
    #[case(Kind::Flag, json!("yes"), None)]
    #[case(Kind::Number, json!("16392"), Some(json!(16392)))]
    #[case(Kind::Number, json!("0x4008"), Some(json!(16392)))]
    #[case(Kind::Number, json!(7), Some(json!(7)))]
    #[case(Kind::Text, json!(" 15.0.35\r\n"), Some(json!("15.0.35")))]
    #[case(Kind::Uuid, json!("939B524B-13D4-1D18-E487-1C697A6B7A2B"), Some(json!("939b524b-13d4-1d18-e487-1c697a6b7a2b")))]
    #[case(Kind::Uuid, json!("939B524B13D41D18E4871C697A6B7A2B"), None)]
    #[case(Kind::Mac, json!("02-00-5E-10-00-01"), Some(json!("02:00:5e:10:00:01")))]
    #[case(Kind::Mac, json!("02:00:5e"), None)]
    #[case(Kind::Mac, json!("éééééé"), None)]
    #[case(Kind::Address, json!("192.0.2.15"), Some(json!("192.0.2.15")))]
    #[case(Kind::Address, json!("192.0.2.256"), None)]
    #[case(Kind::Word(&["none", "ccm"]), json!("ccm"), Some(json!("ccm")))]
    #[case(Kind::Word(&["none", "ccm"]), json!("CCM"), None)]
    #[case(Kind::Words(&["a", "b"]), json!(["b", "a", "b"]), Some(json!(["a", "b"])))]
    #[case(Kind::Hashes, json!([{"name": "N", "hash": "AB:CD", "algorithm": "SHA-256"}]), Some(json!([{"algorithm": "sha256", "hash": "abcd", "name": "N"}])))]
    #[case(Kind::Hashes, json!([{"name": "N"}]), None)]
    fn spellings_become_one(#[case] kind: Kind, #[case] given: Value, #[case] want: Option<Value>) {
        assert_eq!(kind.normalise(given).ok(), want);
    }

    #[test]
    fn a_program_that_prints_no_algorithm_is_not_blamed_for_it() {
        let expected = json!([{"name": "N", "hash": "ab", "algorithm": "sha256", "active": true}]);
        let actual = json!([{"name": "N", "hash": "ab"}]);
        assert_eq!(project(&expected, &actual), actual);
    }

    #[test]
    fn an_empty_list_is_compared_with_all_of_it() {
        let expected = json!([{"name": "N", "hash": "ab"}]);
        assert_eq!(project(&expected, &json!([])), expected);
    }
}
