//! Reading a TOML file that a person wrote, so that everything wrong with it is said at once.
//!
//! serde stops at the first misspelt key. Here a file is walked table by table: each [`Table`] knows which keys
//! were asked for, reports wrong types and missing keys where they stand, and at [`Table::finish`] every key that
//! nobody asked for, with the one that was probably meant.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use amt_sim::diagnostic::{Diagnostic, closest, parse_toml};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    /// Byte range.
    pub span: Range<usize>,
}

impl<T> Located<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: change(self.value),
            span: self.span,
        }
    }
}

/// Collects what is wrong with one file.
#[derive(Debug, Clone)]
pub struct Findings {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: String,
    text: String,
    list: RefCell<Vec<Diagnostic>>,
}

impl Findings {
    pub fn new(file: &str, text: &str) -> Self {
        Self {
            inner: Rc::new(Inner {
                file: file.to_owned(),
                text: text.to_owned(),
                list: RefCell::default(),
            }),
        }
    }

    /// Something is wrong at this place.
    pub fn add(&self, span: Range<usize>, message: impl Into<String>) {
        self.push(span, message.into(), None);
    }

    /// The same, with what to do about it.
    pub fn add_with_help(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(span, message.into(), Some(help.into()));
    }

    /// The same where there may be nothing to do about it.
    pub fn tell(&self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.push(span, message.into(), help);
    }

    /// A word that is none of the known ones.
    pub fn unknown<'a>(
        &self,
        word: &Located<String>,
        what: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let help = match closest(&word.value, known.iter().copied()) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if (1..=12).contains(&known.len()) => Some(format!("known: {}", known.join(", "))),
            None => None,
        };
        self.push(
            word.span.clone(),
            format!("no {what} is called `{}`", word.value),
            help,
        );
    }

    fn push(&self, span: Range<usize>, message: String, help: Option<String>) {
        let found = Diagnostic::at(&self.inner.file, &self.inner.text, span, message);
        self.inner.list.borrow_mut().push(match help {
            Some(help) => found.with_help(help),
            None => found,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.inner.list.borrow().is_empty()
    }

    /// Everything found, in the order of the file.
    pub fn take(&self) -> Vec<Diagnostic> {
        let mut list = std::mem::take(&mut *self.inner.list.borrow_mut());
        list.sort_by_key(|found| (found.line, found.column));
        list
    }
}

/// Parses a file and hands its top table to `read`. Gives the result only when nothing at all was found.
pub fn read<T>(
    file: &str,
    text: &str,
    read: impl FnOnce(&Table<'_, '_>, &Findings) -> Option<T>,
) -> Result<T, Vec<Diagnostic>> {
    read_changed(file, text, |_, _| (), read)
}

/// The same for a file in which something is to be filled in first.
pub fn read_changed<'t, T>(
    file: &str,
    text: &'t str,
    change: impl FnOnce(&mut DeTable<'t>, &Findings),
    read: impl FnOnce(&Table<'_, 't>, &Findings) -> Option<T>,
) -> Result<T, Vec<Diagnostic>> {
    // A syntax error is said in the words that the rest of the project uses.
    parse_toml::<toml::Table>(file, text).map_err(|error| vec![error])?;
    let findings = Findings::new(file, text);
    let (mut root, _) = DeTable::parse_recoverable(text);
    change(root.get_mut(), &findings);
    let table = Table::new(findings.clone(), root.get_ref(), 0..0, "the file");
    let value = read(&table, &findings);
    table.finish();
    match value {
        Some(value) if findings.is_empty() => Ok(value),
        _ => Err(findings.take()),
    }
}

/// One table of the file.
#[derive(Debug)]
pub struct Table<'d, 't> {
    findings: Findings,
    table: &'d DeTable<'t>,
    span: Range<usize>,
    what: String,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'d, 't> Table<'d, 't> {
    fn new(
        findings: Findings,
        table: &'d DeTable<'t>,
        span: Range<usize>,
        what: impl Into<String>,
    ) -> Self {
        Self {
            findings,
            table,
            span,
            what: what.into(),
            asked: RefCell::default(),
        }
    }

    /// Where the table stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.keys().any(|name| name.get_ref() == key)
    }

    pub fn is_table(&self, key: &str) -> bool {
        self.table
            .get(key)
            .is_some_and(|value| value.get_ref().is_table())
    }

    /// The keys that are there, in the order of the alphabet.
    pub fn keys(&self) -> impl Iterator<Item = Located<String>> + '_ {
        self.table.keys().map(|key| Located {
            value: key.get_ref().to_string(),
            span: key.span(),
        })
    }

    /// Any value, as plain TOML.
    pub fn any(&self, key: &'static str) -> Option<Located<toml::Value>> {
        let value = self.look(key)?;
        Some(Located {
            value: plain(value.get_ref()),
            span: value.span(),
        })
    }

    pub fn string(&self, key: &'static str) -> Option<Located<String>> {
        let value = self.look(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Located {
                value: text.to_owned(),
                span: value.span(),
            }),
            None => self.wrong_type(key, value, "a text in quotes"),
        }
    }

    pub fn require_string(&self, key: &'static str) -> Option<Located<String>> {
        let value = self.string(key);
        if value.is_none() && !self.has(key) {
            self.missing(key);
        }
        value.filter(|text| {
            let blank = text.value.trim().is_empty();
            if blank {
                self.findings
                    .add(text.span.clone(), format!("`{key}` is empty"));
            }
            !blank
        })
    }

    /// A list of texts; a single text stands for a list of one.
    pub fn strings(&self, key: &'static str) -> Option<Vec<Located<String>>> {
        let value = self.look(key)?;
        self.texts(key, value)
    }

    fn texts(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<Located<String>>> {
        let one = |value: &Spanned<DeValue<'_>>| match value.get_ref().as_str() {
            Some(text) => Some(Located {
                value: text.to_owned(),
                span: value.span(),
            }),
            None => self.wrong_type(key, value, "a text in quotes"),
        };
        match value.get_ref() {
            DeValue::Array(list) => Some(list.iter().filter_map(one).collect()),
            DeValue::String(_) => Some(one(value).into_iter().collect()),
            _ => self.wrong_type(key, value, "a list of texts"),
        }
    }

    pub fn number(&self, key: &'static str) -> Option<Located<u64>> {
        let value = self.look(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        match number {
            Some(number) => Some(Located {
                value: number,
                span: value.span(),
            }),
            None => self.wrong_type(key, value, "a whole number that is not negative"),
        }
    }

    pub fn numbers(&self, key: &'static str) -> Option<Vec<Located<i64>>> {
        let value = self.look(key)?;
        let Some(list) = value.get_ref().as_array() else {
            return self.wrong_type(key, value, "a list of numbers");
        };
        let one = |value: &Spanned<DeValue<'_>>| {
            let number = value
                .get_ref()
                .as_integer()
                .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
            match number {
                Some(number) => Some(Located {
                    value: number,
                    span: value.span(),
                }),
                None => self.wrong_type(key, value, "a whole number"),
            }
        };
        Some(list.iter().filter_map(one).collect())
    }

    pub fn flag(&self, key: &'static str) -> Option<Located<bool>> {
        let value = self.look(key)?;
        match value.get_ref().as_bool() {
            Some(flag) => Some(Located {
                value: flag,
                span: value.span(),
            }),
            None => self.wrong_type(key, value, "true or false"),
        }
    }

    /// A time such as `"250ms"`, `"15s"`, `"7min"` or `"6h"`.
    pub fn duration(&self, key: &'static str) -> Option<Located<std::time::Duration>> {
        let text = self.string(key)?;
        match parse_duration(&text.value) {
            Some(value) => Some(Located {
                value,
                span: text.span,
            }),
            None => {
                self.findings.add_with_help(
                    text.span,
                    format!("`{}` is not a time", text.value),
                    "write a whole number and a unit: ms, s, min or h",
                );
                None
            }
        }
    }

    pub fn table(&self, key: &'static str) -> Option<Table<'d, 't>> {
        let value = self.look(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(self.child(table, value.span(), format!("`{key}`"))),
            None => self.wrong_type(key, value, "a table"),
        }
    }

    /// The values of a list, or those of a table with their names, where nothing but their number is fixed.
    pub fn free_values(
        &self,
        key: &Located<String>,
    ) -> Vec<(Option<Located<String>>, Spanned<DeValue<'t>>)> {
        let Some(value) = self.table.get(key.value.as_str()) else {
            return Vec::new();
        };
        match value.get_ref() {
            DeValue::Array(list) => list.iter().map(|value| (None, value.clone())).collect(),
            DeValue::Table(table) => {
                let named = table.iter().map(|(name, value)| {
                    let name = Located {
                        value: name.get_ref().to_string(),
                        span: name.span(),
                    };
                    (Some(name), value.clone())
                });
                named.collect()
            }
            _ => {
                self.wrong_type::<()>(
                    &key.value,
                    value,
                    "a list of values, or a table of named ones",
                );
                Vec::new()
            }
        }
    }

    /// A list of texts under a name that is not one of a fixed set; a single text stands for a list of one.
    pub fn free_strings(&self, key: &Located<String>) -> Option<Vec<Located<String>>> {
        let value = self.table.get(key.value.as_str())?;
        self.texts(&key.value, value)
    }

    /// Any value under a name that is not one of a fixed set.
    pub fn free_any(&self, key: &Located<String>) -> Option<Located<toml::Value>> {
        let value = self.table.get(key.value.as_str())?;
        Some(Located {
            value: plain(value.get_ref()),
            span: value.span(),
        })
    }

    /// A table under a name that is not one of a fixed set.
    pub fn free_table(&self, key: &Located<String>) -> Option<Table<'d, 't>> {
        let value = self.table.get(key.value.as_str())?;
        match value.get_ref().as_table() {
            Some(table) => Some(self.child(table, value.span(), format!("`{}`", key.value))),
            None => self.wrong_type(&key.value, value, "a table"),
        }
    }

    /// A text under a name that is not one of a fixed set.
    pub fn free_string(&self, key: &Located<String>) -> Option<Located<String>> {
        let value = self.table.get(key.value.as_str())?;
        match value.get_ref().as_str() {
            Some(text) => Some(Located {
                value: text.to_owned(),
                span: value.span(),
            }),
            None => self.wrong_type(&key.value, value, "a text in quotes"),
        }
    }

    /// An array of tables: `[[key]]`.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'d, 't>> {
        let Some(value) = self.look(key) else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_type::<()>(key, value, "a list of tables, each under [[...]]");
            return Vec::new();
        };
        let mut tables = Vec::new();
        for value in list {
            match value.get_ref().as_table() {
                Some(table) => tables.push(self.child(table, value.span(), format!("`{key}`"))),
                None => {
                    self.wrong_type::<()>(key, value, "a table");
                }
            }
        }
        tables
    }

    /// Reports every key that nobody asked for.
    pub fn finish(&self) {
        let asked = self.asked.borrow();
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if asked.contains(name) {
                continue;
            }
            let message = format!("unknown key `{name}` in {}", self.what);
            match closest(name, asked.iter().copied()) {
                Some(near) => self.findings.add_with_help(
                    key.span(),
                    message,
                    format!("did you mean `{near}`?"),
                ),
                None => {
                    let known: Vec<&str> = asked.iter().copied().collect();
                    self.findings.add_with_help(
                        key.span(),
                        message,
                        format!("known: {}", known.join(", ")),
                    );
                }
            }
        }
    }

    /// Reports that a key must be there.
    pub fn missing(&self, key: &str) {
        self.findings
            .add(self.span.clone(), format!("{} lacks `{key}`", self.what));
    }

    fn child(
        &self,
        table: &'d DeTable<'t>,
        span: Range<usize>,
        what: impl Into<String>,
    ) -> Table<'d, 't> {
        Table::new(self.findings.clone(), table, span, what)
    }

    fn look(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key)
    }

    fn wrong_type<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) -> Option<T> {
        self.findings.add(
            value.span(),
            format!(
                "`{key}` takes {wanted}, not {}",
                article(value.get_ref().type_str())
            ),
        );
        None
    }
}

fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

/// A value without its place.
pub fn plain(value: &DeValue<'_>) -> toml::Value {
    match value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Boolean(flag) => toml::Value::Boolean(*flag),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(
                |_| toml::Value::String(number.to_string()),
                toml::Value::Integer,
            ),
        DeValue::Float(number) => number.as_str().parse().map_or_else(
            |_| toml::Value::String(number.to_string()),
            toml::Value::Float,
        ),
        DeValue::Datetime(moment) => toml::Value::Datetime(*moment),
        DeValue::Array(list) => {
            toml::Value::Array(list.iter().map(|item| plain(item.get_ref())).collect())
        }
        DeValue::Table(table) => toml::Value::Table(
            table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), plain(value.get_ref())))
                .collect(),
        ),
    }
}

/// `"250ms"`, `"15s"`, `"7min"`, `"6h"`.
pub fn parse_duration(text: &str) -> Option<std::time::Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.trim_end().parse().ok()?;
    let milliseconds = match &text[digits.len()..] {
        "ms" => number,
        "s" => number.checked_mul(1_000)?,
        "min" => number.checked_mul(60_000)?,
        "h" => number.checked_mul(3_600_000)?,
        _ => return None,
    };
    Some(std::time::Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use std::time::Duration;

    #[rstest]
    #[case("250ms", Some(250))]
    #[case("15s", Some(15_000))]
    #[case("7min", Some(420_000))]
    #[case("6h", Some(21_600_000))]
    #[case("7", None)]
    #[case("s", None)]
    #[case("-1s", None)]
    #[case("99999999999999999999h", None)]
    #[case("18446744073709551615h", None)]
    fn times_have_units(#[case] text: &str, #[case] milliseconds: Option<u64>) {
        assert_eq!(
            parse_duration(text),
            milliseconds.map(Duration::from_millis)
        );
    }

    #[test]
    fn everything_wrong_is_said_in_one_go() {
        let text = "name = 7\ncolour = \"red\"\nnmae = \"x\"\n[size]\nwidht = 1\n";
        let errors = read::<()>("a.toml", text, |table, _| {
            table.require_string("name");
            table.require_string("title");
            let size = table.table("size")?;
            size.number("width");
            size.finish();
            Some(())
        })
        .unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in ".{0,80}") {
            let _ = read("a.toml", &text, |table, _| {
                table.require_string("a");
                table.number("b");
                table.strings("c");
                Some(())
            });
        }
    }
}
