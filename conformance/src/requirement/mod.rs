//! The ledger: every requirement with its text, level, source and grade, and who proves it.
//!
//! A requirement is one testable sentence. Its ID is dotted words that never change and are never used again; the
//! short numbers that reviews used before (`P08`) live on as aliases.

mod matrix;

use std::fmt;

use amt_sim::diagnostic::{Diagnostic, closest};

pub use matrix::{ByScenario, Matrix, Proof, Row, Standing};

use crate::document::{Findings, Located, Table, read};
use crate::words::words;

/// One testable sentence about one party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Dotted words, such as `sca.otp.read-before-write`.
    pub id: String,
    pub text: String,
    pub level: Level,
    /// Who must do it.
    pub who: Party,
    pub grade: Grade,
    /// Where it is written, or where it was seen.
    pub source: String,
    /// Another name under which people know it.
    pub alias: Option<String>,
    /// What a reader should know beside the sentence.
    pub note: Option<String>,
    /// Why no scenario can prove it, for those that none can.
    pub untestable: Option<String>,
    /// Why it is there: what goes wrong without it.
    pub why: Option<String>,
    /// What firmware does about it, where that is not the requirement itself.
    pub firmware: Option<String>,
    /// What real programs got wrong, and where that is written; a sentence each.
    pub seen: Vec<String>,
    /// Unit tests of the device that fail when it is switched off, by their full names without the number of a case.
    /// `cargo xtask knockout` runs them. For rules that no reference role ever comes near.
    pub proved_by: Vec<String>,
    /// File that it stands in.
    pub file: String,
}

impl Requirement {
    /// What firmware does about it, and how sure that is. A requirement for the device says that itself.
    pub fn firmware(&self) -> Option<&str> {
        let itself = match (self.who, self.grade) {
            (Party::Device, Grade::Documented) => "does so: the source above says it",
            (Party::Device, Grade::Observed) => "does so: it was seen, see the source above",
            (Party::Device, Grade::Inferred) => {
                "does so as far as programs tell that work with it; nobody has written it down"
            }
            (Party::Device, Grade::Assumed) => {
                "not known; what the device does here is the assumption that stands in"
            }
            _ => return self.firmware.as_deref(),
        };
        Some(self.firmware.as_deref().unwrap_or(itself))
    }
}

words! {
    /// How binding a requirement is, in the sense of RFC 2119.
    Level {
        Must = "MUST",
        Should = "SHOULD",
        May = "MAY",
    }
}

words! {
    /// Whose behaviour a requirement is about.
    Party {
        /// The host program that speaks to the device over MEI.
        Agent = "agent",
        /// The set-up and configuration application.
        Sca = "sca",
        /// The management console that tells both what to do.
        Console = "console",
        /// The firmware.
        Device = "device",
        /// An application that uses a provisioned device.
        App = "app",
        Network = "network",
    }
}

words! {
    /// How sure it is that real firmware or the real world is like that.
    Grade {
        /// Written by the vendor.
        Documented = "documented",
        /// Seen on real firmware, or in a public log of it.
        Observed = "observed",
        /// Follows from what programs do that work with real firmware.
        Inferred = "inferred",
        /// Nobody outside knows; we chose.
        Assumed = "assumed",
    }
}

/// All requirements, in the order of their files.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    requirements: Vec<Requirement>,
}

impl Ledger {
    /// The ledger that comes with the program.
    pub fn builtin() -> Result<Self, Vec<Diagnostic>> {
        let files = fixtures::REQUIREMENTS
            .iter()
            .map(|file| (file.path, file.text));
        Self::parse(files)
    }

    /// Reads several files, given as path and text.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut ledger = Self::default();
        let mut wrong = Vec::new();
        for (path, text) in files {
            match read(path, text, |table, findings| {
                Some(ledger.parse_file(path, table, findings))
            }) {
                Ok(requirements) => ledger.requirements.extend(requirements),
                Err(errors) => wrong.extend(errors),
            }
        }
        if wrong.is_empty() {
            Ok(ledger)
        } else {
            Err(wrong)
        }
    }

    fn parse_file(
        &self,
        path: &str,
        table: &Table<'_, '_>,
        findings: &Findings,
    ) -> Vec<Requirement> {
        let mut found: Vec<Requirement> = Vec::new();
        for entry in table.tables("requirement") {
            let Some((requirement, name_span)) = parse_requirement(path, &entry, findings) else {
                continue;
            };
            let name = &requirement.id;
            let twin = self
                .get(name)
                .or_else(|| found.iter().find(|other| other.is_called(name)));
            if let Some(twin) = twin {
                findings.add(
                    name_span,
                    format!("`{name}` stands in {} already", twin.file),
                );
            }
            found.push(requirement);
        }
        found
    }

    /// By ID or alias; the first one where an alias stands for several.
    pub fn get(&self, name: &str) -> Option<&Requirement> {
        let mut all = self.requirements.iter();
        all.find(|requirement| requirement.is_called(name))
    }

    /// The one with this ID, or all with this alias.
    pub fn called<'l>(&'l self, name: &str) -> impl Iterator<Item = &'l Requirement> {
        self.requirements
            .iter()
            .filter(move |requirement| requirement.is_called(name))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.requirements.iter()
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.requirements
            .iter()
            .map(|requirement| requirement.id.as_str())
    }

    /// The ID that somebody who wrote `name` probably meant.
    pub fn closest(&self, name: &str) -> Option<&str> {
        closest(name, self.ids())
    }
}

impl Requirement {
    fn is_called(&self, name: &str) -> bool {
        self.id == name
            || self
                .alias
                .as_deref()
                .is_some_and(|alias| alias.eq_ignore_ascii_case(name))
    }
}

fn parse_requirement(
    path: &str,
    entry: &Table<'_, '_>,
    findings: &Findings,
) -> Option<(Requirement, std::ops::Range<usize>)> {
    let id = entry.require_string("id");
    let text = entry.require_string("text");
    let level = word(entry, findings, "level", Level::named, Level::ALL);
    let who = word(entry, findings, "who", Party::named, Party::ALL);
    let grade = word(entry, findings, "grade", Grade::named, Grade::ALL);
    let source = entry.require_string("source");
    let value = |text: Option<Located<String>>| text.map(|text| text.value);
    let alias = value(entry.string("alias"));
    let note = value(entry.string("note"));
    let untestable = value(entry.string("untestable"));
    let why = value(entry.string("why"));
    let firmware = value(entry.string("firmware"));
    let values = |texts: Option<Vec<Located<String>>>| {
        let texts = texts.unwrap_or_default().into_iter();
        texts.map(|text| text.value).collect()
    };
    let seen = values(entry.strings("seen"));
    let proved_by = values(entry.strings("proved_by"));
    entry.finish();
    let id = id?;
    if !is_dotted_words(&id.value) {
        findings.add_with_help(
            id.span.clone(),
            format!("`{}` is not an ID", id.value),
            "write lower-case words, digits and hyphens, joined by at least one dot",
        );
    }
    let requirement = Requirement {
        id: id.value,
        text: text?.value,
        level: level?,
        who: who?,
        grade: grade?,
        source: source?.value,
        alias,
        note,
        untestable,
        why,
        firmware,
        seen,
        proved_by,
        file: path.to_owned(),
    };
    Some((requirement, id.span))
}

/// A word of one of our enumerations.
pub(crate) fn word<T: fmt::Display + Copy>(
    table: &Table<'_, '_>,
    findings: &Findings,
    key: &'static str,
    named: impl Fn(&str) -> Option<T>,
    all: &[T],
) -> Option<T> {
    let text = table.require_string(key)?;
    let value = named(&text.value);
    if value.is_none() {
        let known: Vec<String> = all.iter().map(ToString::to_string).collect();
        findings.unknown(&text, noun(key), known.iter().map(String::as_str));
    }
    value
}

/// What a word under this key is called in a sentence.
pub(crate) fn noun(key: &str) -> &str {
    match key {
        "who" => "party",
        "do" | "for" => "action",
        "roles" => "role",
        "needs" | "has" => "feature",
        "with" | "without" => "trait of a device",
        "output" => "form of output",
        other => other,
    }
}

/// Lower-case words, digits and hyphens, joined by dots: the form of every ID of ours.
pub(crate) fn is_dotted_words(id: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    id.contains('.') && id.split('.').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[[requirement]]\nid = \"a.b\"\ntext = \"t\"\nlevel = \"MUST\"\nwho = \"agent\"\ngrade = \"assumed\"\nsource = \"s\"\nalias = \"P01\"\n";

    #[test]
    fn found_by_id_and_by_alias_in_any_case() {
        let ledger = Ledger::parse([("a.toml", GOOD)]).unwrap();
        assert_eq!(ledger.get("p01"), ledger.get("a.b"));
        assert!(ledger.get("a.c").is_none());
    }

    #[test]
    fn an_alias_may_stand_for_several() {
        let other = GOOD.replace("a.b", "a.c");
        let files = [("a.toml", GOOD), ("b.toml", other.as_str())];
        let ledger = Ledger::parse(files).unwrap();
        let ids: Vec<&str> = ledger.called("P01").map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["a.b", "a.c"]);
        assert_eq!(ledger.called("a.c").count(), 1);
    }

    #[test]
    fn an_id_that_stands_twice_is_refused_across_files() {
        let errors = Ledger::parse([("a.toml", GOOD), ("b.toml", GOOD)]).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].message.contains("a.toml already"));
    }

    #[test]
    fn mistakes_are_shown_with_place_and_suggestion() {
        let bad = GOOD
            .replace("a.b", "A b")
            .replace("agent", "agnet")
            .replace("alias", "allias");
        let errors = Ledger::parse([("a.toml", bad.as_str())]).unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    /// Somebody who meets a requirement for the first time learns why it is there, and what real firmware does.
    #[test]
    fn every_requirement_is_explained() {
        for requirement in &Ledger::builtin().unwrap().requirements {
            let id = &requirement.id;
            for text in [requirement.why.as_deref(), requirement.firmware()] {
                let text = text.unwrap_or_else(|| panic!("{id} is not explained"));
                assert!(text.len() > 15, "{id}: {text}");
            }
            assert_ne!(requirement.why.as_ref(), Some(&requirement.text), "{id}");
            assert!(requirement.seen.iter().all(|seen| seen.len() > 10), "{id}");
            // Nobody knows, and so nobody may claim to.
            if requirement.grade == Grade::Assumed {
                assert!(
                    requirement.firmware().unwrap().contains("not known"),
                    "{id}"
                );
            }
        }
    }

    #[test]
    fn the_ledger_that_ships_is_sound() {
        if let Err(errors) = Ledger::builtin() {
            let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!("{}", shown.join("\n\n"));
        }
    }
}
