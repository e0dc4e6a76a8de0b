//! Bytes as a script writes them: what is sent, and what an answer must look like.
//!
//! | written            | bytes                                                                              |
//! |--------------------|------------------------------------------------------------------------------------|
//! | `0101 1a008004`    | these; spaces between pairs of digits do not count                                 |
//! | `00*20`            | twenty zeros                                                                       |
//! | `..`, `..*4`       | any one, any four; answers only                                                    |
//! | `...`              | whatever follows, or nothing; at the end of an answer only                         |
//! | `"GET /\r\n"`      | a text; `\r`, `\n`, `\0`, `\"`, `\\`, and placeholders such as `{device.uuid}`       |
//! | `u16:5`, `u32:0x1a`| a number, lowest byte first; also `u8`, `u64`                                      |
//! | `be16:`, `be32:`   | a number, highest byte first                                                       |
//! | `uuid:TEXT`        | a UUID in the order of the wire: first three fields lowest byte first              |
//! | `hex:TEXT`         | digits that a placeholder stands for                                               |
//! | `sha256:good.0`    | the hash of a certificate of the laboratory; also `sha384`                          |
//! | `@name*4`          | any four, which are kept; answers only                                             |
//! | `@name`            | what was kept under that name                                                      |
//! | `!@name`           | as many bytes as were kept under that name, and not the same; answers only         |

use std::collections::BTreeMap;

use amt_sim::Guid;
use sha2::{Digest as _, Sha256, Sha384};

use super::chains::Certificate;
use crate::scenario::placeholder::{Scope, Template, Values};

/// What was kept of earlier answers.
pub type Kept = BTreeMap<String, Vec<u8>>;

/// A message, or the pattern of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bytes(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Byte {
        value: u8,
        count: usize,
    },
    Any {
        count: usize,
    },
    Rest,
    Text(Template),
    Number {
        form: Number,
        value: Template,
    },
    Uuid(Template),
    Hex(Template),
    Sha256(Certificate),
    Sha384(Certificate),
    Keep {
        name: String,
        count: usize,
    },
    Kept(String),
    /// As many bytes, and not the same.
    Other(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number {
    size: usize,
    highest_first: bool,
}

impl Number {
    fn named(word: &str) -> Option<Self> {
        let (bits, highest_first) = match word.strip_prefix("be") {
            Some(bits) => (bits, true),
            None => (word.strip_prefix('u')?, false),
        };
        let size = match bits {
            "8" => 1,
            "16" => 2,
            "32" => 4,
            "64" => 8,
            _ => return None,
        };
        Some(Self {
            size,
            highest_first,
        })
    }

    fn bytes(self, text: &str) -> Result<Vec<u8>, String> {
        let value = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        let value = value.map_err(|_| format!("`{text}` is not a number"))?;
        let mut bytes = value.to_le_bytes().to_vec();
        if bytes.split_off(self.size).iter().any(|byte| *byte != 0) {
            return Err(format!("`{text}` does not fit into {} bytes", self.size));
        }
        if self.highest_first {
            bytes.reverse();
        }
        Ok(bytes)
    }
}

/// One place of a pattern whose placeholders are filled.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    Is(u8),
    Any,
    /// Any, and the last one of bytes that must not all be the same as these.
    Other {
        bytes: Vec<u8>,
        from: usize,
    },
    /// Any, and the last one of what is kept under this name.
    Kept {
        name: String,
        from: usize,
    },
}

/// A pattern that is ready to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    slots: Vec<Slot>,
    /// Whatever follows is fine.
    open: bool,
}

/// An answer that is not like its pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub expected: String,
    pub actual: String,
}

/// What was expected, and what was instead.
impl From<Difference> for (String, String) {
    fn from(differ: Difference) -> Self {
        (differ.expected, differ.actual)
    }
}

impl Bytes {
    /// Reads one line of bytes, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            if items.last() == Some(&Item::Rest) {
                return Err("nothing can stand behind `...`".to_owned());
            }
            let end = token_end(rest)?;
            let (token, tail) = rest.split_at(end);
            item(token, &mut items)?;
            rest = tail.trim_start();
        }
        if items.is_empty() {
            return Err("no bytes; write `...` for whatever comes".to_owned());
        }
        Ok(Self(items))
    }

    /// Whether every byte of it is said, so that it can be sent.
    pub fn can_be_sent(&self) -> bool {
        let open = |item: &Item| {
            let some = matches!(item, Item::Any { .. } | Item::Rest);
            some || matches!(item, Item::Keep { .. } | Item::Other(_))
        };
        !self.0.iter().any(open)
    }

    /// The pattern for this device.
    pub fn pattern(&self, values: Values<'_>, kept: &Kept) -> Result<Pattern, String> {
        let mut pattern = Pattern {
            slots: Vec::new(),
            open: false,
        };
        for item in &self.0 {
            let bytes = match item {
                Item::Byte { value, count } => vec![*value; *count],
                Item::Any { count } => {
                    pattern.slots.resize(pattern.slots.len() + count, Slot::Any);
                    continue;
                }
                Item::Rest => {
                    pattern.open = true;
                    continue;
                }
                Item::Keep { name, count } => {
                    let from = pattern.slots.len();
                    let name = name.clone();
                    let slot = Slot::Kept { name, from };
                    pattern.slots.resize(from + count, slot);
                    continue;
                }
                Item::Text(text) => text.fill(values).into_bytes(),
                Item::Number { form, value } => form.bytes(&value.fill(values))?,
                Item::Uuid(text) => uuid(&text.fill(values))?,
                Item::Hex(text) => hex(&text.fill(values))?,
                Item::Sha256(certificate) => Sha256::digest(certificate.der()?).to_vec(),
                Item::Sha384(certificate) => Sha384::digest(certificate.der()?).to_vec(),
                Item::Kept(name) => kept_as(name, kept)?,
                Item::Other(name) => {
                    let from = pattern.slots.len();
                    let bytes = kept_as(name, kept)?;
                    let end = from + bytes.len();
                    pattern.slots.resize(end.saturating_sub(1), Slot::Any);
                    pattern.slots.push(Slot::Other { bytes, from });
                    continue;
                }
            };
            pattern.slots.extend(bytes.into_iter().map(Slot::Is));
        }
        Ok(pattern)
    }

    /// The bytes themselves, where all of them are said.
    pub fn message(&self, values: Values<'_>, kept: &Kept) -> Result<Vec<u8>, String> {
        let pattern = self.pattern(values, kept)?;
        let byte = |slot: Slot| match slot {
            Slot::Is(byte) => Some(byte),
            Slot::Any | Slot::Other { .. } | Slot::Kept { .. } => None,
        };
        let bytes: Option<Vec<u8>> = pattern.slots.into_iter().map(byte).collect();
        bytes.ok_or_else(|| "not every byte of it is said".to_owned())
    }
}

impl Pattern {
    /// How many bytes it speaks of.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether whatever follows is fine.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Compares a whole answer, and keeps what is to be kept.
    pub fn compare(&self, answer: &[u8], kept: &mut Kept) -> Result<(), Difference> {
        let differs = |(at, (slot, byte)): (usize, (&Slot, &u8))| match slot {
            Slot::Is(want) => want != byte,
            Slot::Other { bytes, from } => answer.get(*from..=at) == Some(bytes.as_slice()),
            Slot::Any | Slot::Kept { .. } => false,
        };
        let length_fits = match self.open {
            true => answer.len() >= self.len(),
            false => answer.len() == self.len(),
        };
        let wrong = self.slots.iter().zip(answer).enumerate();
        let wrong = wrong.map(differs).position(|differs| differs);
        if let Some(at) = wrong.or((!length_fits).then(|| self.len().min(answer.len()))) {
            return Err(self.difference(at, answer));
        }
        for (at, slot) in self.slots.iter().enumerate() {
            if let (Slot::Kept { name, from }, Some(bytes)) = (slot, answer.get(..=at)) {
                let bytes = bytes.get(*from..).unwrap_or_default().to_vec();
                kept.insert(name.clone(), bytes);
            }
        }
        Ok(())
    }

    /// Looks for it anywhere in an answer, and keeps what is to be kept.
    pub fn find(&self, answer: &[u8], kept: &mut Kept) -> Result<(), Difference> {
        let anywhere = Self {
            open: true,
            ..self.clone()
        };
        let mut starts = 0..=answer.len();
        let found = starts.any(|start| {
            let rest = answer.get(start..).unwrap_or_default();
            anywhere.compare(rest, kept).is_ok()
        });
        match found {
            true => Ok(()),
            false => Err(Difference {
                expected: format!("somewhere in it: {}", self.describe()),
                actual: describe(answer),
            }),
        }
    }

    fn difference(&self, at: usize, answer: &[u8]) -> Difference {
        let total = match self.open {
            true => format!("at least {}", self.len()),
            false => self.len().to_string(),
        };
        // A few bytes before the first difference tell where one is.
        let from = at.saturating_sub(4);
        let expected = self.slots.iter().skip(from).take(SHOWN);
        let expected: Vec<Option<u8>> = expected
            .map(|slot| match slot {
                Slot::Is(byte) => Some(*byte),
                Slot::Any | Slot::Other { .. } | Slot::Kept { .. } => None,
            })
            .collect();
        let actual = answer.iter().skip(from).take(SHOWN);
        let actual: Vec<Option<u8>> = actual.map(|byte| Some(*byte)).collect();
        let place = match from {
            0 => String::new(),
            from => format!("from byte {from} on "),
        };
        Difference {
            expected: format!("{place}{} ({total} bytes)", show(&expected)),
            actual: format!("{place}{} ({} bytes)", show(&actual), answer.len()),
        }
    }

    /// As people read it.
    pub fn describe(&self) -> String {
        self.difference(0, &[]).expected
    }
}

/// As people read an answer.
pub fn describe(answer: &[u8]) -> String {
    let shown: Vec<Option<u8>> = answer.iter().take(SHOWN).map(|byte| Some(*byte)).collect();
    format!("{} ({} bytes)", show(&shown), answer.len())
}

/// Bytes that a report shows of one message.
const SHOWN: usize = 48;

/// As a text where it is one, else in hex; what may be anything is `..`.
fn show(bytes: &[Option<u8>]) -> String {
    let readable = |byte: &Option<u8>| matches!(byte, Some(b' '..=b'~' | b'\r' | b'\n') | None);
    let letters = bytes.iter().filter(|byte| byte.is_some()).count();
    if letters > 3 && bytes.iter().all(readable) {
        let text: Vec<u8> = bytes.iter().map(|byte| byte.unwrap_or(b'.')).collect();
        return format!("\"{}\"", text.escape_ascii());
    }
    let words = bytes.chunks(4).map(|word| {
        let pairs = word.iter().map(|byte| match byte {
            Some(byte) => format!("{byte:02x}"),
            None => "..".to_owned(),
        });
        pairs.collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Where the first word of bytes ends.
pub(super) fn token_end(text: &str) -> Result<usize, String> {
    if !text.starts_with('"') {
        return Ok(text.find(char::is_whitespace).unwrap_or(text.len()));
    }
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Ok(at + 1),
            _ => {}
        }
    }
    Err("a quote without its partner".to_owned())
}

fn item(token: &str, items: &mut Vec<Item>) -> Result<(), String> {
    if let Some(text) = token.strip_prefix('"') {
        let text = text.strip_suffix('"').unwrap_or(text);
        items.push(Item::Text(template(&unescape(text)?)?));
        return Ok(());
    }
    if token == "..." {
        items.push(Item::Rest);
        return Ok(());
    }
    let (what, count) = match token.split_once('*') {
        Some((what, count)) => {
            let count = count.parse().ok().filter(|count| *count > 0);
            (what, Some(count.ok_or_else(|| not_bytes(token))?))
        }
        None => (token, None),
    };
    if what == ".." {
        let count = count.unwrap_or(1);
        items.push(Item::Any { count });
        return Ok(());
    }
    if let (Some(name), None) = (what.strip_prefix("!@"), count) {
        items.push(Item::Other(name.to_owned()));
        return Ok(());
    }
    if let Some(name) = what.strip_prefix('@') {
        let name = name.to_owned();
        items.push(match count {
            Some(count) => Item::Keep { name, count },
            None => Item::Kept(name),
        });
        return Ok(());
    }
    if let (Some((form @ ("sha256" | "sha384"), value)), None) = (what.split_once(':'), count) {
        let certificate = Certificate::parse(value)?;
        items.push(match form {
            "sha256" => Item::Sha256(certificate),
            _ => Item::Sha384(certificate),
        });
        return Ok(());
    }
    if let (Some((form, value)), None) = (what.split_once(':'), count) {
        let value = template(value)?;
        let plain = value.is_plain().then(|| value.text());
        let (item, sound) = match (form, Number::named(form)) {
            (_, Some(form)) => {
                let sound = plain.map(|text| form.bytes(&text));
                (Item::Number { form, value }, sound)
            }
            ("uuid", _) => (Item::Uuid(value), plain.map(|text| uuid(&text))),
            ("hex", _) => (Item::Hex(value), plain.map(|text| hex(&text))),
            _ => return Err(not_bytes(token)),
        };
        // What is plain is either right or wrong already.
        sound.transpose()?;
        items.push(item);
        return Ok(());
    }
    let bytes = hex(what).map_err(|_| not_bytes(token))?;
    match (bytes.as_slice(), count) {
        (_, None) => items.extend(
            bytes
                .into_iter()
                .map(|value| Item::Byte { value, count: 1 }),
        ),
        ([value], Some(count)) => items.push(Item::Byte {
            value: *value,
            count,
        }),
        _ => return Err(format!("`{token}`: one byte can be repeated, as in 00*20")),
    }
    Ok(())
}

fn kept_as(name: &str, kept: &Kept) -> Result<Vec<u8>, String> {
    let bytes = kept.get(name).cloned();
    bytes.ok_or_else(|| format!("nothing was kept as `@{name}`"))
}

fn not_bytes(token: &str) -> String {
    format!(
        "`{token}` stands for no bytes: write pairs of hex digits, \"a text\", u32:5, be32:5, uuid:..., `..` or `...`"
    )
}

pub(super) fn template(text: &str) -> Result<Template, String> {
    Template::parse(text, Scope::Scenario).map_err(|error| error.to_string())
}

pub(super) fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let known = match letter {
            '\\' => match letters.next() {
                Some('r') => '\r',
                Some('n') => '\n',
                Some('0') => '\0',
                Some(quoted @ ('"' | '\\')) => quoted,
                _ => return Err("a backslash takes r, n, 0, \" or \\ behind it".to_owned()),
            },
            other => other,
        };
        plain.push(known);
    }
    Ok(plain)
}

fn uuid(text: &str) -> Result<Vec<u8>, String> {
    let uuid: Guid = text
        .parse()
        .map_err(|_| format!("`{text}` is not a UUID"))?;
    Ok(uuid.to_wire().to_vec())
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let bytes = amt_sim::hex::decode(text).filter(|bytes| !bytes.is_empty());
    bytes.ok_or_else(|| format!("`{text}` is not pairs of hex digits"))
}
