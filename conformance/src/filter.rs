//! Which scenarios to run: `discovery.* and not tag:fault`.
//!
//! ```text
//! filter = term { ("or" | "|" | ",") term }
//! term   = factor { ("and" | "&") factor }
//! factor = ("not" | "!") factor | "(" filter ")" | matcher
//! matcher = GLOB                 the scenario's ID
//!         | id:GLOB | tag:GLOB | role:GLOB | needs:GLOB
//!         | requirement:GLOB     ID or alias of a requirement that it proves
//! ```

use std::ops::Range;

use crate::glob::Glob;
use crate::requirement::Ledger;
use crate::scenario::Scenario;

/// A filter that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    Match(Key, Glob),
    Not(Box<Filter>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

/// What of a scenario is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Id,
    Tag,
    Role,
    Needs,
    Requirement,
}

impl Key {
    const ALL: [(&'static str, Self); 5] = [
        ("id", Self::Id),
        ("tag", Self::Tag),
        ("role", Self::Role),
        ("needs", Self::Needs),
        ("requirement", Self::Requirement),
    ];
}

/// A scenario, with the ledger that knows the aliases of its requirements.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub scenario: &'a Scenario,
    pub ledger: &'a Ledger,
}

/// The text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter: {why}\n  {text}\n  {}{}", " ".repeat(text[..place.start].chars().count()), "^".repeat(text[place.clone()].chars().count().max(1)))]
pub struct FilterError {
    pub text: String,
    pub why: String,
    /// Bytes of the text.
    pub place: Range<usize>,
}

impl Filter {
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parser = Parser {
            text,
            tokens: tokens(text),
            at: 0,
            depth: 0,
        };
        let filter = parser.filter()?;
        match parser.peek() {
            None => Ok(filter),
            Some(token) if token.text == ")" => {
                Err(parser.error(token.place, "a `)` without its `(`"))
            }
            Some(token) => Err(parser.error(
                token.place,
                "two scenarios need `and`, `or` or a comma between them",
            )),
        }
    }

    pub fn takes(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Match(key, glob) => key.values_match(glob, subject),
            Self::Not(inner) => !inner.takes(subject),
            Self::And(all) => all.iter().all(|inner| inner.takes(subject)),
            Self::Or(any) => any.iter().any(|inner| inner.takes(subject)),
        }
    }
}

impl Key {
    fn values_match(self, glob: &Glob, subject: &Subject<'_>) -> bool {
        let scenario = subject.scenario;
        match self {
            Self::Id => glob.matches(&scenario.id),
            Self::Tag => scenario.tags.iter().any(|tag| glob.matches(tag)),
            Self::Role => scenario.roles.iter().any(|role| glob.matches(role.word())),
            Self::Needs => scenario.needs.iter().any(|need| glob.matches(need.word())),
            Self::Requirement => scenario.requirements.iter().any(|id| {
                let alias = subject
                    .ledger
                    .get(id)
                    .and_then(|requirement| requirement.alias.as_deref());
                glob.matches(id) || alias.is_some_and(|alias| glob.matches(alias))
            }),
        }
    }
}

#[derive(Debug, Clone)]
struct Token<'a> {
    text: &'a str,
    place: Range<usize>,
}

/// Words, and the signs `( ) , | & !` each on its own.
fn tokens(text: &str) -> Vec<Token<'_>> {
    const SIGNS: [char; 6] = ['(', ')', ',', '|', '&', '!'];
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut push = |range: Range<usize>| {
        if !range.is_empty() {
            tokens.push(Token {
                text: &text[range.clone()],
                place: range,
            });
        }
    };
    for (at, letter) in text.char_indices() {
        if letter.is_whitespace() || SIGNS.contains(&letter) {
            push(start..at);
            start = at + letter.len_utf8();
            if SIGNS.contains(&letter) {
                push(at..start);
            }
        }
    }
    push(start..text.len());
    tokens
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// Deeper nesting is a mistake, and would cost stack.
    const DEEPEST: usize = 64;

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).cloned()
    }

    fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.peek().is_some_and(|token| words.contains(&token.text));
        self.at += usize::from(found);
        found
    }

    fn error(&self, place: Range<usize>, why: impl Into<String>) -> FilterError {
        FilterError {
            text: self.text.to_owned(),
            why: why.into(),
            place,
        }
    }

    fn filter(&mut self) -> Result<Filter, FilterError> {
        let mut any = vec![self.term()?];
        while self.accept(&["or", "|", ","]) {
            any.push(self.term()?);
        }
        Ok(one_or(any, Filter::Or))
    }

    fn term(&mut self) -> Result<Filter, FilterError> {
        let mut all = vec![self.factor()?];
        while self.accept(&["and", "&"]) {
            all.push(self.factor()?);
        }
        Ok(one_or(all, Filter::And))
    }

    fn factor(&mut self) -> Result<Filter, FilterError> {
        let end = self.text.len();
        let Some(token) = self.peek() else {
            return Err(self.error(end..end, "a scenario is missing here"));
        };
        self.depth += 1;
        if self.depth > Self::DEEPEST {
            return Err(self.error(token.place, "this is nested too deep"));
        }
        self.at += 1;
        let factor = match token.text {
            "not" | "!" => Filter::Not(Box::new(self.factor()?)),
            "(" => {
                let inner = self.filter()?;
                if !self.accept(&[")"]) {
                    return Err(self.error(token.place, "a `(` without its `)`"));
                }
                inner
            }
            "and" | "or" | ")" | "," | "|" | "&" => {
                return Err(self.error(token.place, "a scenario is missing before this"));
            }
            _ => self.matcher(&token)?,
        };
        self.depth -= 1;
        Ok(factor)
    }

    fn matcher(&self, token: &Token<'_>) -> Result<Filter, FilterError> {
        let Some((name, pattern)) = token.text.split_once(':') else {
            return Ok(Filter::Match(Key::Id, Glob::new(token.text)));
        };
        let key = Key::ALL.iter().find(|(known, _)| *known == name);
        let Some((_, key)) = key else {
            let known = Key::ALL.map(|(known, _)| known);
            let near = amt_sim::diagnostic::closest(name, known);
            let why = match near {
                Some(near) => format!("`{name}:` is unknown; did you mean `{near}:`?"),
                None => format!("`{name}:` is unknown; known: {}", known.join(", ")),
            };
            let place = token.place.start..token.place.start + name.len();
            return Err(self.error(place, why));
        };
        if pattern.is_empty() {
            return Err(self.error(
                token.place.clone(),
                format!("`{name}:` needs a pattern behind it"),
            ));
        }
        Ok(Filter::Match(*key, Glob::new(pattern)))
    }
}

fn one_or(mut list: Vec<Filter>, make: impl Fn(Vec<Filter>) -> Filter) -> Filter {
    match list.pop() {
        Some(only) if list.is_empty() => only,
        Some(last) => {
            list.push(last);
            make(list)
        }
        None => make(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn scenario() -> (Scenario, Ledger) {
        let ledger = Ledger::parse([(
            "a.toml",
            "[[requirement]]\nid = \"a.b\"\ntext = \"t\"\nlevel = \"MUST\"\nwho = \"agent\"\ngrade = \"assumed\"\nsource = \"s\"\nalias = \"P01\"\n",
        )])
        .unwrap();
        let text = "id = \"discovery.version\"\ntitle = \"t\"\nstory = \"s\"\nrequirements = [\"a.b\"]\ntags = [\"guide\"]\nroles = [\"agent\"]\nneeds = [\"version\"]\ndevice = {}\n[[step]]\ndo = \"agent.discover\"\n[[step]]\nexpect = { matches_device = \"version\" }\nrequirement = \"a.b\"\nseverity = \"MUST\"\n";
        let scenario = crate::scenario::parse("s.toml", text, &ledger).unwrap();
        (scenario, ledger)
    }

    #[rstest]
    #[case("discovery.version", true)]
    #[case("discovery.*", true)]
    #[case("id:*version", true)]
    #[case("other, discovery.*", true)]
    #[case("other or another", false)]
    #[case("discovery.* and tag:guide", true)]
    #[case("discovery.* & !tag:guide", false)]
    #[case("not (tag:fault or tag:x)", true)]
    #[case("requirement:P01", true)]
    #[case("requirement:a.*", true)]
    #[case("role:agent and needs:version", true)]
    #[case("role:console", false)]
    #[case("tag:x or tag:guide and role:console", false)]
    #[case("(tag:x or tag:guide) and role:agent", true)]
    fn what_is_taken(#[case] text: &str, #[case] want: bool) {
        let (scenario, ledger) = scenario();
        let subject = Subject {
            scenario: &scenario,
            ledger: &ledger,
        };
        assert_eq!(Filter::parse(text).unwrap().takes(&subject), want);
    }

    #[rstest]
    #[case("")]
    #[case("a b")]
    #[case("a and")]
    #[case("or a")]
    #[case("(a")]
    #[case("a)")]
    #[case("requirment:x")]
    #[case("tag:")]
    #[case("zzz:x")]
    fn mistakes_are_shown_where_they_are(#[case] text: &str) {
        let shown = Filter::parse(text).unwrap_err().to_string();
        let name = text.replace([' ', ':', '(', ')'], "_");
        insta::assert_snapshot!(format!("mistake_{name}"), shown);
    }

    #[test]
    fn a_tower_of_brackets_is_refused() {
        assert!(Filter::parse(&"(".repeat(100_000)).is_err());
        assert!(Filter::parse(&"!".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[a-z.:*()!,&| é]{0,40}") {
            if let Err(error) = Filter::parse(&text) {
                let _ = error.to_string();
            }
        }
    }
}
