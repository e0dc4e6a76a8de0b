//! Words, names and values of a line, from its beginning to its end.

use super::script::{Argument, Target, Value, is_name};
use crate::probe::bytes::template;
use crate::probe::chains::{self, Certificate};
use crate::probe::script::Wrong;

/// Reads a line from its beginning.
pub(super) struct Reader<'a>(pub(super) &'a str);

impl<'a> Reader<'a> {
    pub(super) fn is_done(&mut self) -> bool {
        self.0 = self.0.trim_start();
        self.0.is_empty()
    }

    pub(super) fn end(&mut self) -> Result<(), Wrong> {
        match self.is_done() {
            true => Ok(()),
            false => Err(format!("nothing can stand here: `{}`", self.0).into()),
        }
    }

    /// Up to the next white space.
    pub(super) fn next_bare(&mut self) -> Option<&'a str> {
        if self.is_done() {
            return None;
        }
        let end = self.0.find(char::is_whitespace).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(word)
    }

    pub(super) fn bare(&mut self) -> Result<&'a str, Wrong> {
        self.next_bare()
            .ok_or_else(|| "the line ends too early".to_owned().into())
    }

    /// A word, or a text between quotes.
    pub(super) fn text(&mut self) -> Result<String, Wrong> {
        match self.quoted()? {
            Some(text) => Ok(text),
            None => self.bare().map(str::to_owned),
        }
    }

    pub(super) fn quoted(&mut self) -> Result<Option<String>, Wrong> {
        self.0 = self.0.trim_start();
        let Some(rest) = self.0.strip_prefix('"') else {
            return Ok(None);
        };
        let mut text = String::new();
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.0 = &rest[at + 1..];
                    return Ok(Some(text));
                }
                '\\' => match letters.next() {
                    Some((_, letter @ ('"' | '\\'))) => text.push(letter),
                    _ => {
                        return Err("only \\\" and \\\\ stand for letters here"
                            .to_owned()
                            .into());
                    }
                },
                letter => text.push(letter),
            }
        }
        Err("a quote without its partner".to_owned().into())
    }

    /// A name of a class, property or key.
    pub(super) fn name(&mut self) -> Result<String, Wrong> {
        self.0 = self.0.trim_start();
        let end = self
            .0
            .find(|letter: char| !is_name(&letter.to_string()))
            .unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        if name.is_empty() {
            return Err(format!("a name is missing before `{}`", self.0).into());
        }
        self.0 = rest;
        Ok(name.to_owned())
    }

    pub(super) fn take(&mut self, letter: char) -> bool {
        self.0 = self.0.trim_start();
        match self.0.strip_prefix(letter) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// `CLASS`, `CLASS[Key=value, Key=value]`.
    pub(super) fn target(&mut self) -> Result<Target, Wrong> {
        let class = self.name()?;
        let mut keys = Vec::new();
        if self.0.starts_with('[') {
            self.take('[');
            loop {
                let key = self.name()?;
                if !self.take('=') {
                    return Err(format!("`{key}` lacks its value: write `{key}=value`").into());
                }
                keys.push((key, self.value()?));
                if self.take(']') {
                    break;
                }
                if !self.take(',') {
                    return Err("a bracket without its partner".to_owned().into());
                }
            }
        }
        Ok(Target { class, keys })
    }

    pub(super) fn arguments(&mut self) -> Result<Vec<Argument>, Wrong> {
        let mut arguments = Vec::new();
        while !self.is_done() {
            arguments.push(self.argument()?);
        }
        Ok(arguments)
    }

    pub(super) fn argument(&mut self) -> Result<Argument, Wrong> {
        let mut path = vec![self.name()?];
        while self.0.starts_with('.') {
            self.take('.');
            path.push(self.name()?);
        }
        if !self.0.starts_with('=') {
            let name = path.join(".");
            return Err(format!("`{name}` lacks its value: write `{name}=value`").into());
        }
        self.0 = &self.0[1..];
        if self.0.is_empty() || self.0.starts_with(char::is_whitespace) {
            return Err(format!(
                "`{}` of what value? Write \"\" for an empty one",
                path.join(".")
            )
            .into());
        }
        let value = self.value()?;
        Ok(Argument { path, value })
    }

    pub(super) fn value(&mut self) -> Result<Value, Wrong> {
        if let Some(text) = self.quoted()? {
            return Ok(Value::Text(template(&text)?));
        }
        let class = ["AMT_", "CIM_", "IPS_"]
            .iter()
            .any(|prefix| self.0.starts_with(prefix));
        let bracket = self.0.find(['[', ' ', ',', ']']);
        if class && bracket.is_some_and(|at| self.0[at..].starts_with('[')) {
            return self.target().map(Value::Reference);
        }
        let end = self
            .0
            .find(|letter: char| letter.is_whitespace() || ",]".contains(letter))
            .unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        if word.is_empty() {
            return Err("a value is missing".to_owned().into());
        }
        let value = match word.split_once(':') {
            _ if word.starts_with('@') => Value::Kept(word[1..].to_owned()),
            Some(("octets", digits)) => Value::Octets(
                amt_sim::hex::decode(digits)
                    .ok_or_else(|| format!("`{digits}` are no octets in hex"))?,
            ),
            Some((kind @ ("password" | "password-hex"), rest)) => {
                let (user, password) = rest
                    .split_once(':')
                    .ok_or_else(|| format!("`{word}`: write `{kind}:USER:PASSWORD`"))?;
                Value::Password {
                    user: user.to_owned(),
                    password: password.to_owned(),
                    hex: kind == "password-hex",
                }
            }
            Some(("certificate", name)) => Value::Certificate(Certificate::parse(name)?),
            Some(("sha256", name)) => Value::Fingerprint(Certificate::parse(name)?),
            Some(("unsigned-request", kept)) => match kept.strip_prefix('@') {
                Some(kept) => Value::UnsignedRequest(kept.to_owned()),
                None => return Err("write `unsigned-request:@NAME`".to_owned().into()),
            },
            Some(("key", name)) => Value::Key(chains::chain(name)?),
            _ => Value::Text(template(word)?),
        };
        Ok(value)
    }
}
