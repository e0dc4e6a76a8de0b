//! Texts as a script expects them: a header's value, a page, the sizes of chunks.
//!
//! | written            | stands for                                     |
//! |--------------------|------------------------------------------------|
//! | `*`                | any text, also none, also more than one line   |
//! | `<32 hex>`         | 32 hex digits, letters in upper case           |
//! | `<32>`             | any 32 letters                                 |
//! | `{device.version}` | what a placeholder stands for                  |
//! | all else           | itself                                         |

use crate::scenario::placeholder::{Scope, Template, Values};

/// A text with places where it may be otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPattern {
    parts: Vec<Part>,
    written: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Is(Template),
    Anything,
    Letters { count: usize, hex: bool },
}

/// The same for one device.
enum Piece {
    Is(Vec<char>),
    Anything,
    Letters { count: usize, hex: bool },
}

impl TextPattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let (part, length) = match letter {
                '*' => (Some(Part::Anything), 1),
                '<' => match letters(rest) {
                    Some((part, length)) => (Some(part), length),
                    None => (None, 1),
                },
                _ => (None, letter.len_utf8()),
            };
            let (taken, tail) = rest.split_at(length);
            rest = tail;
            match part {
                None => plain.push_str(taken),
                Some(part) => {
                    finish(&mut plain, &mut parts)?;
                    parts.push(part);
                }
            }
        }
        finish(&mut plain, &mut parts)?;
        Ok(Self {
            parts,
            written: text.to_owned(),
        })
    }

    /// As it is written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether the whole text is like that.
    pub fn matches(&self, text: &str, values: Values<'_>) -> bool {
        let pieces: Vec<Piece> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Is(template) => Piece::Is(template.fill(values).chars().collect()),
                Part::Anything => Piece::Anything,
                Part::Letters { count, hex } => Piece::Letters {
                    count: *count,
                    hex: *hex,
                },
            })
            .collect();
        let text: Vec<char> = text.chars().collect();
        fits(&pieces, &text)
    }
}

fn finish(plain: &mut String, parts: &mut Vec<Part>) -> Result<(), String> {
    if plain.is_empty() {
        return Ok(());
    }
    let template = Template::parse(plain, Scope::Scenario).map_err(|error| error.to_string())?;
    plain.clear();
    parts.push(Part::Is(template));
    Ok(())
}

/// `<32 hex>` or `<32>`, and how long it is; anything else stands for itself.
fn letters(text: &str) -> Option<(Part, usize)> {
    let end = text.find('>')?;
    let inside = text.get(1..end)?;
    let (count, hex) = match inside.strip_suffix(" hex") {
        Some(count) => (count, true),
        None => (inside, false),
    };
    let count = usize::from(count.parse::<u16>().ok()?);
    Some((Part::Letters { count, hex }, end + 1))
}

/// The text behind each `*` is looked for from left to right. Where one place is the first that fits, no later one can
/// fit better, but for the last part, which must end where the text ends.
fn fits(pieces: &[Piece], text: &[char]) -> bool {
    let sections: Vec<&[Piece]> = pieces
        .split(|piece| matches!(piece, Piece::Anything))
        .collect();
    let Some((first, further)) = sections.split_first() else {
        return text.is_empty();
    };
    let Some(mut rest) = after(first, text) else {
        return false;
    };
    let Some((last, between)) = further.split_last() else {
        return rest.is_empty();
    };
    for section in between {
        let found = (0..=rest.len()).find_map(|at| after(section, rest.get(at..)?));
        match found {
            Some(tail) => rest = tail,
            None => return false,
        }
    }
    let length: usize = last.iter().map(Piece::len).sum();
    let start = rest.len().checked_sub(length);
    start
        .and_then(|start| after(last, rest.get(start..)?))
        .is_some()
}

/// What is left of the text behind these pieces, if it begins with them.
fn after<'t>(pieces: &[Piece], text: &'t [char]) -> Option<&'t [char]> {
    pieces.iter().try_fold(text, |rest, piece| {
        let (taken, rest) = rest.split_at_checked(piece.len())?;
        let fits = match piece {
            Piece::Is(letters) => taken == letters,
            Piece::Letters { hex: true, .. } => taken
                .iter()
                .all(|letter| matches!(letter, '0'..='9' | 'A'..='F')),
            Piece::Letters { hex: false, .. } | Piece::Anything => true,
        };
        fits.then_some(rest)
    })
}

impl Piece {
    const fn len(&self) -> usize {
        match self {
            Self::Is(letters) => letters.len(),
            Self::Letters { count, .. } => *count,
            Self::Anything => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use amt_sim::Device;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::fact::Truth;

    fn matches(pattern: &str, text: &str) -> bool {
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let truth = Truth::of(&device);
        let pattern = TextPattern::parse(pattern).unwrap();
        pattern.matches(text, Values::of_device(&truth, 1))
    }

    #[rstest]
    #[case("close", "close", true)]
    #[case("close", "closed", false)]
    #[case("*", "", true)]
    #[case("a*", "b", false)]
    #[case("*a*", "bab", true)]
    #[case("*ab", "aab", true)]
    #[case("ab*ab", "ab", false)]
    #[case("*a*b*", "a\nb", true)]
    #[case("*b*a*", "ab", false)]
    #[case("<4 hex>", "02FA", true)]
    #[case("<4 hex>", "02fa", false)]
    #[case("<4 hex>", "2FA", false)]
    #[case("x=\"<2>\"*", "x=\"ab\", y", true)]
    #[case("x=\"<2>\"", "x=\"abc\"", false)]
    #[case("</html>", "</html>", true)]
    #[case("AMT {device.version}.*", "AMT 15.0.35.2039", true)]
    fn texts(#[case] pattern: &str, #[case] text: &str, #[case] expected: bool) {
        assert_eq!(matches(pattern, text), expected);
    }

    #[test]
    fn a_place_that_nobody_fills_is_told() {
        let wrong = TextPattern::parse("{device.versio}").unwrap_err();
        assert!(
            wrong.ends_with("did you mean `{device.version}`?"),
            "{wrong}"
        );
    }

    proptest! {
        #[test]
        fn no_pattern_and_no_text_is_a_panic(pattern in "[a<>0-9*{} hex]{0,12}", text in ".{0,12}") {
            if let Ok(pattern) = TextPattern::parse(&pattern) {
                let device = Device::builder("tiger-lake-15").build().unwrap();
                let truth = Truth::of(&device);
                let _ = pattern.matches(&text, Values::of_device(&truth, 1));
            }
        }
    }
}
