//! Name patterns: `*` stands for any run of characters, `?` for one.

use std::fmt;

/// A pattern over names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Whether it can match one name only.
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes time in proportion to pattern times name, whatever the pattern.
    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut seen) = (0, 0);
        // Where to go back to: behind the last `*`, and how much of the name it has taken.
        let mut star: Option<(usize, usize)> = None;
        while seen < name.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at + 1, seen));
                    at += 1;
                }
                Some(&letter) if letter == '?' || letter == name[seen] => {
                    at += 1;
                    seen += 1;
                }
                _ => match star {
                    None => return false,
                    Some((behind, taken)) => {
                        star = Some((behind, taken + 1));
                        at = behind;
                        seen = taken + 1;
                    }
                },
            }
        }
        pattern[at..].iter().all(|&letter| letter == '*')
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("*", "", true)]
    #[case("discovery.*", "discovery.version", true)]
    #[case("discovery.*", "device.version", false)]
    #[case("*version", "discovery.version", true)]
    #[case("a*b*c", "aXbXbc", true)]
    #[case("a*b*c", "aXcXb", false)]
    #[case("a?c", "abc", true)]
    #[case("a?c", "ac", false)]
    #[case("abc", "abcd", false)]
    #[case("", "", true)]
    #[case("", "a", false)]
    fn patterns(#[case] pattern: &str, #[case] name: &str, #[case] want: bool) {
        assert_eq!(Glob::new(pattern).matches(name), want);
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_everything(name in "[a-z.-]{0,12}") {
            prop_assert!(Glob::new(name.clone()).matches(&name));
            prop_assert!(Glob::new("*").matches(&name));
        }
    }
}
