//! Values of properties and parameters, as the device keeps them. How they look on the wire is `envelope`'s.

use std::collections::{BTreeMap, btree_map};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::{Civil, UnixTime};

/// One property's or parameter's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Value {
    Bool(bool),
    /// Every integer type: the schema knows which widths a property takes.
    Int(i64),
    /// Strings, and values that the wire shows as hex digits.
    Text(String),
    /// Octets, base64 on the wire.
    Bytes(#[serde(with = "base64_text")] Vec<u8>),
    /// An array: one element per entry on the wire, none when empty.
    List(Vec<Value>),
    /// `<P><i:Datetime>2024-01-03T00:44:35Z</i:Datetime></P>`
    Datetime(UnixTime),
    /// `<P><i:Interval>P1DT0H0M</i:Interval></P>`
    Interval(Interval),
    /// An endpoint reference.
    Reference(Reference),
}

impl Value {
    /// The text of a string; numbers and booleans are not strings here.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    pub(crate) fn as_reference(&self) -> Option<&Reference> {
        match self {
            Self::Reference(reference) => Some(reference),
            _ => None,
        }
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Reference> for Value {
    fn from(reference: Reference) -> Self {
        Self::Reference(reference)
    }
}

impl From<UnixTime> for Value {
    fn from(time: UnixTime) -> Self {
        Self::Datetime(time)
    }
}

macro_rules! integers {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            fn from(number: $kind) -> Self {
                Self::Int(i64::from(number))
            }
        }
    )*};
}
integers!(u8, u16, u32, i16, i32, i64);

/// The properties of one instance by name. Iterates in the order of the wire: alphabetic by bytes.
///
/// ```ignore
/// let rule = Instance::new()
///     .with("PolicyRuleName", "Periodic")
///     .with("Trigger", 2u16)
///     .with("ExtendedData", vec![0u8, 0, 0, 0, 0, 0, 0, 25]);
/// assert_eq!(rule.text("PolicyRuleName"), Some("Periodic"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Instance(BTreeMap<String, Value>);

/// Which instance is meant: properties with their values, from a `SelectorSet`. May be partial or empty.
/// Values are [`Value::Text`], or [`Value::Reference`] for the keys of associations.
pub(crate) type Selectors = Instance;

impl Instance {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The same with one more property.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_text()
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_int()
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    pub(crate) fn reference(&self, name: &str) -> Option<&Reference> {
        self.get(name)?.as_reference()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> btree_map::Iter<'_, String, Value> {
        self.0.iter()
    }
}

impl IntoIterator for Instance {
    type Item = (String, Value);
    type IntoIter = btree_map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Instance {
    type Item = (&'a String, &'a Value);
    type IntoIter = btree_map::Iter<'a, String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<(String, Value)> for Instance {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// An endpoint reference: a class, and the keys of one of its instances.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Reference {
    /// Such as `AMT_PublicKeyCertificate`; empty in the answers of methods that made nothing.
    pub(crate) class: String,
    pub(crate) selectors: Selectors,
}

impl Reference {
    pub(crate) fn new(class: &str) -> Self {
        Self {
            class: class.to_owned(),
            selectors: Selectors::new(),
        }
    }

    /// The same with one more selector.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.selectors.set(name, value);
        self
    }

    /// A selector's text.
    pub(crate) fn key(&self, name: &str) -> Option<&str> {
        self.selectors.text(name)
    }
}

/// A length of time as AMT writes it: whole days, hours and minutes, and seconds only when there are any.
///
/// `P1DT0H0M` is one day. Source: DSP0004 intervals in their XML Schema form; alarm clock answers of real devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Interval {
    pub(crate) seconds: u64,
}

impl Interval {
    /// Reads `P[nD][T[nH][nM][nS]]`; fractions of seconds are dropped. Years and months have no fixed length: `None`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('P')?;
        let mut seconds = 0_u64;
        let mut in_time = false;
        let mut parts = 0;
        while !rest.is_empty() {
            if let Some(time) = rest.strip_prefix('T') {
                if in_time {
                    return None;
                }
                in_time = true;
                rest = time;
                continue;
            }
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, unit) = rest.split_at(digits);
            let whole = number.split('.').next().unwrap_or_default();
            let count: u64 = whole.parse().ok()?;
            let mut letters = unit.chars();
            let length = match (letters.next()?, in_time) {
                ('D', false) => 86_400,
                ('H', true) => 3_600,
                ('M', true) => 60,
                ('S', true) => 1,
                _ => return None,
            };
            seconds = seconds.checked_add(count.checked_mul(length)?)?;
            parts += 1;
            rest = letters.as_str();
        }
        (parts > 0).then_some(Self { seconds })
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.seconds / 86_400, self.seconds % 86_400);
        write!(f, "P{days}DT{}H{}M", rest / 3600, rest / 60 % 60)?;
        match rest % 60 {
            0 => Ok(()),
            seconds => write!(f, "{seconds}S"),
        }
    }
}

/// `2024-01-03T00:44:35Z`
pub(crate) fn datetime_text(time: UnixTime) -> String {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
        ..
    } = time.civil();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads `YYYY-MM-DDThh:mm:ss[.fff][Z|±hh:mm]`; without a zone it is UTC.
pub(crate) fn parse_datetime(text: &str) -> Option<UnixTime> {
    let text = text.trim();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        digits.parse().ok()
    };
    let sign = |at: usize| text.as_bytes().get(at).copied();
    if (sign(4)?, sign(7)?, sign(13)?, sign(16)?) != (b'-', b'-', b':', b':')
        || !matches!(sign(10)?, b'T' | b't' | b' ')
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut zone = text.get(19..)?;
    if let Some(fraction) = zone.strip_prefix('.') {
        zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let offset = match zone {
        "" | "Z" | "z" => 0,
        _ => {
            let (direction, time) = match zone.split_at_checked(1)? {
                ("+", time) => (1, time),
                ("-", time) => (-1, time),
                _ => return None,
            };
            let (hours, minutes) = time.split_once(':')?;
            direction * (hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60)
        }
    };
    // Days since 1970-01-01 by the Gregorian calendar, counting years from March.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(UnixTime(
        days * 86_400 + hour * 3600 + minute * 60 + second - i64::from(offset),
    ))
}

/// Octets as base64 in a saved state.
mod base64_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::super::base64;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        base64::decode(&text).ok_or_else(|| de::Error::custom("expected base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("P1DT0H0M", Some(86_400))]
    #[case("P0DT1H30M", Some(5_400))]
    #[case("PT60S", Some(60))]
    #[case("PT60.000S", Some(60))]
    #[case("P1Y", None)]
    #[case("P", None)]
    #[case("PT", None)]
    #[case("1D", None)]
    fn intervals(#[case] text: &str, #[case] seconds: Option<u64>) {
        assert_eq!(Interval::parse(text).map(|i| i.seconds), seconds);
    }

    #[rstest]
    #[case("2024-01-03T00:44:35Z", Some(1_704_242_675))]
    #[case("2024-01-03T00:44:35.250Z", Some(1_704_242_675))]
    #[case("2024-01-03T02:44:35+02:00", Some(1_704_242_675))]
    #[case("2024-01-03T00:44:35", Some(1_704_242_675))]
    #[case("2024-13-03T00:44:35Z", None)]
    #[case("2024-01-03", None)]
    #[case("tomorrow at nine, please", None)]
    fn datetimes(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(parse_datetime(text).map(|time| time.0), expected);
    }

    proptest! {
        #[test]
        fn a_datetime_reads_back(seconds in 0_i64..200_000_000_000) {
            let text = datetime_text(UnixTime(seconds));
            prop_assert_eq!(parse_datetime(&text), Some(UnixTime(seconds)));
        }

        #[test]
        fn an_interval_reads_back(seconds in 0_u64..200_000_000_000) {
            let interval = Interval { seconds };
            prop_assert_eq!(Interval::parse(&interval.to_string()), Some(interval));
        }

        #[test]
        fn no_text_is_a_panic(text in ".{0,40}", near in "[0-9TZP:+.DHMS -]{0,30}") {
            for text in [text, near] {
                let _ = parse_datetime(&text);
                let _ = Interval::parse(&text);
            }
        }
    }
}
