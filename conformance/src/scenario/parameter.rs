//! `[parameters]`: what varies in a story beside the device.
//!
//! ```toml
//! [parameters]
//! tls = ["1.2", "1.3"]
//! root = { sha256 = "768d...", sha384 = "41ab..." }         # named where the value itself is no word
//! unless = [{ profile = "skylake-*", tls = "1.3" }]
//! ```
//! Inside of `[device]` and `[[step]]` the value stands where `{parameter.tls}` does. A text that is nothing but the
//! placeholder becomes the value itself, whatever it is. The story is then read once for each combination, so that a
//! value that fits nowhere is refused where it stands in the list.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use amt_sim::Profile;
use amt_sim::diagnostic::Diagnostic;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::pairwise::product;
use crate::document::{Findings, Located, Table, plain, read_changed};
use crate::glob::Glob;

/// What varies, by name, in the order of the alphabet: the name of a run must not depend on the order in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Name of each parameter, and the words of its values in the order of the file.
    pub names: Vec<(String, Vec<String>)>,
    /// Combinations that there are not.
    pub unless: Vec<Pattern>,
    /// Where there are any, every combination is like one of them.
    pub only: Vec<Pattern>,
}

/// Combinations of a kind: each parameter that is named has one of these words. `profile` is a parameter too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pattern(BTreeMap<String, Vec<Glob>>);

/// Word of each parameter in one combination.
pub type Values = BTreeMap<String, String>;

impl Pattern {
    /// Whether these values are of the kind. Without a profile, whether they are on any device.
    fn takes(&self, profile: Option<&str>, values: &Values) -> bool {
        self.0.iter().all(|(name, words)| {
            let word = match name.as_str() {
                PROFILE => profile,
                other => values.get(other).map(String::as_str),
            };
            word.is_some_and(|word| words.iter().any(|glob| glob.matches(word)))
        })
    }

    fn is_about_devices(&self) -> bool {
        self.0.contains_key(PROFILE)
    }
}

impl Parameters {
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many values each parameter has.
    pub fn sizes(&self) -> Vec<usize> {
        self.names.iter().map(|(_, words)| words.len()).collect()
    }

    /// The words at these indexes.
    pub fn values(&self, row: &[usize]) -> Values {
        let chosen = self.names.iter().zip(row);
        chosen
            .filter_map(|((name, words), at)| Some((name.clone(), words.get(*at)?.clone())))
            .collect()
    }

    /// Whether there is such a combination on this device.
    pub fn allow(&self, profile: &str, values: &Values) -> bool {
        let takes = |pattern: &Pattern| pattern.takes(Some(profile), values);
        !self.unless.iter().any(takes) && (self.only.is_empty() || self.only.iter().any(takes))
    }

    /// Whether there is one on some device, as far as that can be told without knowing it.
    fn allow_somewhere(&self, values: &Values) -> bool {
        let unless = |pattern: &Pattern| !pattern.is_about_devices() && pattern.takes(None, values);
        let only = |pattern: &Pattern| {
            let mut rest = pattern.clone();
            rest.0.remove(PROFILE);
            rest.takes(None, values)
        };
        !self.unless.iter().any(unless) && (self.only.is_empty() || self.only.iter().any(only))
    }
}

/// Where they stand.
const TABLE: &str = "parameters";

const PROFILE: &str = "profile";

/// Keys of the table that are no parameters.
const RESERVED: [&str; 3] = [PROFILE, "unless", "only"];

/// More would be no story any more.
const MOST_COMBINATIONS: usize = 64;

/// Keys of `[device]` that choose the devices. They come before the parameters.
const SELECTION: [&str; 6] = ["profile", "profiles", "from", "before", "with", "without"];

/// The parameters of one file with their values.
#[derive(Debug, Default)]
pub(super) struct Given<'t> {
    pub(super) parameters: Parameters,
    /// By name and word.
    values: BTreeMap<String, BTreeMap<String, Spanned<DeValue<'t>>>>,
    /// Where each name stands.
    places: BTreeMap<String, Range<usize>>,
    /// Where each word stands, for what is found out later about it.
    word_places: BTreeMap<(String, String), Range<usize>>,
}

impl<'t> Given<'t> {
    /// Reads the table of a file, if it has one.
    pub(super) fn read(file: &str, text: &'t str) -> Result<Self, Vec<Diagnostic>> {
        let mut given = Self::default();
        let keep = |root: &mut DeTable<'t>, _: &Findings| {
            // The rest is read later, once for each combination.
            let all = std::mem::take(root).into_iter();
            *root = all.filter(|(key, _)| key.get_ref() == TABLE).collect();
        };
        read_changed(file, text, keep, |table, findings| {
            if let Some(table) = table.table("parameters") {
                given.take(&table, findings);
            }
            Some(())
        })?;
        Ok(given)
    }

    fn take(&mut self, table: &Table<'_, 't>, findings: &Findings) {
        for key in table.keys() {
            if RESERVED.contains(&key.value.as_str()) {
                continue;
            }
            if !is_word(&key.value) {
                let help = "write lower-case words, digits and hyphens";
                let message = format!("`{}` is no name for a parameter", key.value);
                findings.add_with_help(key.span, message, help);
                continue;
            }
            self.take_values(&key, table.free_values(&key), findings);
        }
        if table.has(PROFILE) {
            let key = table.keys().find(|key| key.value == PROFILE);
            findings.add_with_help(
                key.map_or(table.span(), |key| key.span),
                "`profile` varies by itself",
                "write `profiles` under [device]",
            );
        }
        self.parameters.unless = self.patterns(&table.tables("unless"), findings);
        self.parameters.only = self.patterns(&table.tables("only"), findings);
        let count: usize = self.parameters.sizes().iter().product();
        if count > MOST_COMBINATIONS {
            findings.add(
                table.span(),
                format!("these are {count} combinations; {MOST_COMBINATIONS} are the most"),
            );
        } else if findings.is_empty() && self.rows().is_empty() {
            findings.add(table.span(), "no combination is left");
        }
    }

    fn take_values(
        &mut self,
        key: &Located<String>,
        values: Vec<(Option<Located<String>>, Spanned<DeValue<'t>>)>,
        findings: &Findings,
    ) {
        let mut words = Vec::new();
        let mut known = BTreeMap::new();
        let count = values.len();
        // A table comes in the order of the alphabet; the file's own order is kept, as in a list.
        let mut values = values;
        values.sort_by_key(|(_, value)| value.span().start);
        for (name, value) in values {
            let span = name.as_ref().map_or(value.span(), |name| name.span.clone());
            let word = name.map(|name| name.value).or_else(|| scalar(&value));
            let Some(word) = word.filter(|word| is_word(word)) else {
                let message = "this cannot be part of the name of a run";
                let help = "name it: { short-name = value }, in lower-case words, digits, dots and hyphens";
                findings.add_with_help(span, message, help);
                continue;
            };
            self.word_places
                .insert((key.value.clone(), word.clone()), span.clone());
            if known.insert(word.clone(), value).is_some() {
                findings.add(span, format!("`{word}` is there already"));
            } else {
                words.push(word);
            }
        }
        if count == 1 {
            findings.add(key.span.clone(), "a parameter with one value does not vary");
        }
        self.places.insert(key.value.clone(), key.span.clone());
        self.values.insert(key.value.clone(), known);
        self.parameters.names.push((key.value.clone(), words));
    }

    fn patterns(&self, tables: &[Table<'_, 't>], findings: &Findings) -> Vec<Pattern> {
        let one = |table: &Table<'_, 't>| {
            let mut pattern = Pattern::default();
            for key in table.keys() {
                let known: Vec<String> = match self.values.get(&key.value) {
                    Some(values) => values.keys().cloned().collect(),
                    None if key.value == PROFILE => super::parse::builtin_profiles()
                        .iter()
                        .map(|profile| profile.name.clone())
                        .collect(),
                    None => {
                        let names = self.values.keys().map(String::as_str);
                        findings.unknown(&key, "parameter", names.chain([PROFILE]));
                        continue;
                    }
                };
                let mut globs = Vec::new();
                for word in table.free_strings(&key).unwrap_or_default() {
                    let glob = Glob::new(word.value.clone());
                    if !known.iter().any(|known| glob.matches(known)) {
                        let what = format!("value of `{}`", key.value);
                        findings.unknown(&word, &what, known.iter().map(String::as_str));
                    }
                    globs.push(glob);
                }
                pattern.0.insert(key.value, globs);
            }
            pattern
        };
        tables.iter().map(one).collect()
    }

    /// Every combination that may be on some device; one without values where nothing varies.
    pub(super) fn rows(&self) -> Vec<Values> {
        let rows = product(&self.parameters.sizes(), |row| {
            let values = self.parameters.values(row);
            self.parameters.allow_somewhere(&values)
        });
        rows.iter().map(|row| self.parameters.values(row)).collect()
    }

    /// Puts the values of one combination where their placeholders stand. Says which parameters it met.
    pub(super) fn fill(
        &self,
        root: &mut DeTable<'t>,
        values: &Values,
        findings: &Findings,
    ) -> BTreeSet<String> {
        let mut filling = Filling {
            given: self,
            values,
            findings,
            met: BTreeSet::new(),
        };
        for (key, value) in root.iter_mut() {
            match key.get_ref().as_ref() {
                "device" => {
                    if let DeValue::Table(device) = value.get_mut() {
                        filling.fill_device(device);
                    }
                }
                "step" => filling.fill(value),
                TABLE => {}
                _ => filling.refuse(value, "`[device]` and `[[step]]` alone have parameters"),
            }
        }
        filling.met
    }

    /// What only shows when the whole story is known: parameters that change nothing, values that no device takes.
    pub(super) fn check_use(
        &self,
        met: &BTreeSet<String>,
        profiles: &[&Profile],
        findings: &Findings,
    ) {
        for (name, words) in &self.parameters.names {
            let place = self.places.get(name).cloned().unwrap_or_default();
            if !met.contains(name) {
                findings.add_with_help(
                    place,
                    format!("nothing depends on `{name}`"),
                    format!("write {{parameter.{name}}} where its value belongs"),
                );
                continue;
            }
            let rows = self.rows();
            for word in words {
                let occurs = rows.iter().any(|row| {
                    row.get(name) == Some(word)
                        && profiles
                            .iter()
                            .any(|profile| self.parameters.allow(&profile.name, row))
                });
                if !occurs {
                    let at = (name.clone(), word.clone());
                    let span = self.word_places.get(&at).cloned().unwrap_or_default();
                    findings.add(span, format!("no combination has `{word}`"));
                }
            }
        }
    }
}

/// Puts values into one reading of a file.
struct Filling<'a, 't> {
    given: &'a Given<'t>,
    values: &'a Values,
    findings: &'a Findings,
    met: BTreeSet<String>,
}

/// A placeholder inside of a text.
struct Placeholder<'a> {
    /// Bytes of the text, braces included.
    range: Range<usize>,
    name: &'a str,
}

impl<'t> Filling<'_, 't> {
    fn fill_device(&mut self, device: &mut DeTable<'t>) {
        for (key, value) in device.iter_mut() {
            if SELECTION.contains(&key.get_ref().as_ref()) {
                let why = "which devices there are does not vary: see `unless` and `only` of [parameters]";
                self.refuse(value, why);
            } else {
                self.fill(value);
            }
        }
    }

    fn fill(&mut self, value: &mut Spanned<DeValue<'t>>) {
        let span = value.span();
        match value.get_mut() {
            DeValue::Array(list) => list.iter_mut().for_each(|value| self.fill(value)),
            DeValue::Table(table) => table.iter_mut().for_each(|(_, value)| self.fill(value)),
            DeValue::String(text) => {
                let Some(first) = placeholder(text, 0) else {
                    return;
                };
                if first.range == (0..text.len()) {
                    if let Some(found) = self.value(&first, &span) {
                        *value = found;
                    }
                    return;
                }
                let mut filled = String::new();
                let mut at = 0;
                while let Some(next) = placeholder(text, at) {
                    filled.push_str(text.get(at..next.range.start).unwrap_or_default());
                    if let Some(found) = self.value(&next, &span) {
                        match scalar(&found) {
                            Some(word) => filled.push_str(&word),
                            None => self.findings.add(
                                inside(&span, &next.range),
                                "a list or a table cannot stand inside of a text",
                            ),
                        }
                    }
                    at = next.range.end;
                }
                filled.push_str(text.get(at..).unwrap_or_default());
                *text = filled.into();
            }
            _ => {}
        }
    }

    fn refuse(&self, value: &Spanned<DeValue<'t>>, why: &str) {
        match value.get_ref() {
            DeValue::Array(list) => list.iter().for_each(|value| self.refuse(value, why)),
            DeValue::Table(table) => table.values().for_each(|value| self.refuse(value, why)),
            DeValue::String(text) => {
                if let Some(found) = placeholder(text, 0) {
                    self.findings.add(inside(&value.span(), &found.range), why);
                }
            }
            _ => {}
        }
    }

    /// `NAME`, or `NAME.KEY` of a value that is a table.
    fn value(
        &mut self,
        place: &Placeholder<'_>,
        span: &Range<usize>,
    ) -> Option<Spanned<DeValue<'t>>> {
        let mut keys = place.name.split('.');
        let name = keys.next().unwrap_or_default();
        let located = |word: &str| Located {
            value: word.to_owned(),
            span: inside(span, &place.range),
        };
        let Some(values) = self.given.values.get(name) else {
            let known = self.given.values.keys().map(String::as_str);
            self.findings.unknown(&located(name), "parameter", known);
            return None;
        };
        self.met.insert(name.to_owned());
        let mut value = values.get(self.values.get(name)?)?;
        for key in keys {
            let table = value.get_ref().as_table();
            match table.and_then(|table| table.get(key)) {
                Some(inner) => value = inner,
                None => {
                    let known = table.map(|table| table.keys().map(|key| key.get_ref().as_ref()));
                    let known: Vec<&str> = known.map_or_else(Vec::new, Iterator::collect);
                    let what = format!("part of `{name}`");
                    self.findings.unknown(&located(key), &what, known);
                    return None;
                }
            }
        }
        Some(value.clone())
    }
}

/// The place of a part of a text that stands in quotes.
fn inside(text: &Range<usize>, part: &Range<usize>) -> Range<usize> {
    let start = text.start + 1;
    start + part.start..start + part.end
}

/// The next `{parameter.NAME}` from a byte on; doubled braces are braces.
fn placeholder(text: &str, from: usize) -> Option<Placeholder<'_>> {
    const HEAD: &str = "{parameter.";
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find(HEAD)?;
        let braces = text
            .get(..start)?
            .bytes()
            .rev()
            .take_while(|byte| *byte == b'{')
            .count();
        let inner = start + HEAD.len();
        let end = inner + text.get(inner..)?.find('}')?;
        if braces % 2 == 0 {
            return Some(Placeholder {
                range: start..end + 1,
                name: text.get(inner..end)?,
            });
        }
        at = inner;
    }
}

/// A text, number or truth value as it is written.
fn scalar(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match plain(value.get_ref()) {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// What may stand in the name of a run.
fn is_word(word: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    word.starts_with(letter)
        && word.ends_with(letter)
        && word
            .chars()
            .all(|each| letter(each) || each == '-' || each == '.')
}

/// The file as it would be written for one combination, without `[parameters]`.
pub fn told_for(file: &str, text: &str, values: &Values) -> Result<toml::Table, Vec<Diagnostic>> {
    let given = Given::read(file, text)?;
    let mut told = toml::Table::new();
    read_changed(
        file,
        text,
        |root, findings| {
            given.fill(root, values, findings);
            for (key, value) in root.iter() {
                if key.get_ref() != TABLE {
                    told.insert(key.get_ref().to_string(), plain(value.get_ref()));
                }
            }
            *root = DeTable::new();
        },
        |_, _| Some(()),
    )?;
    Ok(told)
}
