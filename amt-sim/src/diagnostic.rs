//! What is wrong with a file that a person wrote: where, why, and what was probably meant.

use std::fmt;

use serde::de::DeserializeOwned;

/// One finding in a text file, printed with its line and a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the reader would name it.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line of the file itself.
    source: String,
    /// How many characters the caret underlines.
    width: usize,
}

impl Diagnostic {
    /// A finding at a byte range of `text`.
    pub fn at(
        file: &str,
        text: &str,
        range: std::ops::Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let start = floor_boundary(text, range.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..]
            .find('\n')
            .map_or(text.len(), |newline| start + newline);
        let end = floor_boundary(text, range.end).clamp(start, line_end);
        Self {
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            message: message.into(),
            help: None,
            source: text[line_start..line_end].to_owned(),
            width: text[start..end].chars().count().max(1),
        }
    }

    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )?;
        writeln!(f, " {margin} |")?;
        writeln!(f, " {number} | {}", self.source)?;
        write!(
            f,
            " {margin} | {}{}",
            " ".repeat(self.column - 1),
            "^".repeat(self.width)
        )?;
        if let Some(help) = &self.help {
            write!(f, "\n {margin} = help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// Reads a TOML text into `T`; `T` must deny unknown fields for misspelt keys to be found.
pub fn parse_toml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Diagnostic> {
    toml::from_str(text).map_err(|error| from_toml(file, text, &error))
}

fn from_toml(file: &str, text: &str, error: &toml::de::Error) -> Diagnostic {
    let message = error.message().to_owned();
    let range = error.span().unwrap_or(0..0);
    let found = Diagnostic::at(file, text, range, first_line(&message));
    match suggestion(&message) {
        Some(help) => found.with_help(help),
        None => found,
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// serde names the unknown word first and the known ones after it, each in backticks.
fn suggestion(message: &str) -> Option<String> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = words.next()?;
    closest(unknown, words).map(|best| format!("did you mean `{best}`?"))
}

/// The candidate that a person who typed `word` most likely meant, if any is near enough to say so.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code)]
        version: String,
    }

    #[test]
    fn a_misspelt_key_is_shown_with_its_place_and_what_was_meant() {
        let error = parse_toml::<Sample>("a.toml", "# first\nverison = \"1\"\n").unwrap_err();
        assert_eq!((error.line, error.column), (2, 1));
        assert_eq!(error.help.as_deref(), Some("did you mean `version`?"));
        insta::assert_snapshot!(error.to_string());
    }

    #[test]
    fn a_word_like_none_gets_no_suggestion() {
        let error = parse_toml::<Sample>("a.toml", "zzz = 1").unwrap_err();
        assert_eq!(error.help, None);
    }

    proptest! {
        #[test]
        fn no_range_is_a_panic(text in ".{0,60}", start in 0usize..80, end in 0usize..80) {
            let _ = Diagnostic::at("x", &text, start..end, "m").to_string();
        }
    }
}
