//! From the text of a line to what it asks.

use amt_sim::device::Interface;

use crate::glob::Glob;
use crate::probe::script::Wrong;
use crate::role::certificates::CertificateForm;
use crate::scenario::placeholder::{Scope, Template};

/// The words that a line begins with.
pub const VERBS: [&str; 26] = [
    "wsman",
    "header",
    "message-id",
    "body",
    "get",
    "put",
    "create",
    "delete",
    "enumerate",
    "pull",
    "release",
    "all",
    "invoke",
    "act",
    "post",
    "returns",
    "fault",
    "status",
    "absent",
    "keep",
    "instances",
    "item",
    "complete",
    "incomplete",
    "properties",
    "sorted",
];

/// One line.
#[derive(Debug, Clone)]
pub enum Line {
    /// Who asks from here on.
    Who(Who),
    /// What the next request has beside its own.
    Aside(Aside),
    Ask {
        request: Request,
        /// A line below says what must come of it.
        judged: bool,
    },
    Judge(Judge),
}

#[derive(Debug, Clone)]
pub struct Who {
    pub place: Place,
    pub login: Login,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Lme,
    Port { side: Interface, port: u16 },
}

#[derive(Debug, Clone)]
pub enum Login {
    None,
    /// Whose password AMTHI gives.
    Host,
    Password(Template, Template),
    Certificate(CertificateForm),
}

#[derive(Debug, Clone)]
pub enum Aside {
    Header(String),
    MessageId(String),
    Body(String),
}

#[derive(Debug, Clone)]
pub enum Request {
    Get(Target),
    Put {
        target: Target,
        changes: Vec<Change>,
    },
    Create {
        class: String,
        values: Vec<Argument>,
    },
    Delete(Target),
    Enumerate(String),
    Pull {
        most: Option<u32>,
        from: Option<String>,
        class: Option<String>,
    },
    Release,
    All(String),
    Invoke {
        target: Target,
        method: String,
        values: Vec<Argument>,
    },
    Act {
        action: String,
        class: String,
    },
    Post(String),
}

/// A class, or the instance that these keys name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub class: String,
    pub keys: Vec<(String, Value)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Set(Argument),
    Drop(String),
}

/// A name, which may be a path, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    pub path: Vec<String>,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(Template),
    Kept(String),
    Octets(Vec<u8>),
    Password {
        user: String,
        password: String,
        hex: bool,
    },
    Certificate {
        form: CertificateForm,
        index: usize,
        /// Its SHA-256 instead.
        hashed: bool,
    },
    Key(CertificateForm),
    /// A certificate request for the key that was kept, signed by nobody.
    UnsignedRequest(String),
    Reference(Target),
}

#[derive(Debug, Clone)]
pub enum Judge {
    Returns(u64),
    /// Prefix and name; any when there is none.
    Fault {
        prefix: Option<String>,
        name: Option<String>,
    },
    Status(u16),
    Property {
        path: Path,
        equal: bool,
        values: Vec<Value>,
    },
    Absent(Path),
    Keep {
        path: Path,
        name: String,
    },
    Instances(usize),
    Item(Item),
    Complete(bool),
    Properties(Vec<String>),
    Sorted,
    Answer {
        like: Glob,
        equal: bool,
    },
}

#[derive(Debug, Clone)]
pub enum Item {
    /// From one.
    Number(usize),
    With(Path, Value),
}

/// Names from the outside in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub names: Vec<String>,
    /// The selector of a reference.
    pub selector: Option<String>,
}

impl Line {
    /// Whether something must be so.
    pub const fn judges(&self) -> bool {
        matches!(self, Self::Ask { .. } | Self::Judge(_))
    }

    /// Whether it says what must come of the request above.
    pub const fn is_outcome(&self) -> bool {
        matches!(
            self,
            Self::Judge(Judge::Returns(_) | Judge::Fault { .. } | Judge::Status(_))
        )
    }
}

/// Reads a line that begins with this word; nothing when none of these lines does.
pub fn parse(word: &str, rest: &str) -> Option<Result<Line, Wrong>> {
    if let Some((equal, values)) = comparison(word, rest) {
        return Some(property(word, equal, values));
    }
    let line = match word {
        "wsman" => who(rest).map(Line::Who),
        "header" => some_text(rest).map(|xml| Line::Aside(Aside::Header(xml))),
        "message-id" => some_text(rest).map(|text| Line::Aside(Aside::MessageId(text))),
        "body" => some_text(rest).map(|xml| Line::Aside(Aside::Body(xml))),
        "get" | "put" | "create" | "delete" | "enumerate" | "pull" | "release" | "all"
        | "invoke" | "act" | "post" => request(word, rest).map(|request| Line::Ask {
            request,
            judged: false,
        }),
        _ if VERBS.contains(&word) || word == "answer" => judge(word, rest).map(Line::Judge),
        _ => return None,
    };
    Some(line)
}

/// `Name = value`, `Name != value`.
fn comparison<'a>(word: &str, rest: &'a str) -> Option<(bool, &'a str)> {
    if !word.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        return None;
    }
    let (sign, values) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match sign {
        "=" => Some((true, values)),
        "!=" => Some((false, values)),
        _ => None,
    }
}

fn property(word: &str, equal: bool, values: &str) -> Result<Line, Wrong> {
    let path = Path::parse(word)?;
    let mut reader = Reader(values);
    let mut wanted = Vec::new();
    while !reader.is_done() {
        wanted.push(reader.value()?);
    }
    match wanted.is_empty() {
        true => Err(format!("`{word}` of what value? Write \"\" for an empty one").into()),
        false => Ok(Line::Judge(Judge::Property {
            path,
            equal,
            values: wanted,
        })),
    }
}

fn who(rest: &str) -> Result<Who, Wrong> {
    let mut reader = Reader(rest);
    let place = reader.bare()?;
    let place = match place.split_once(':') {
        None if place == "lme" => Place::Lme,
        Some((side, port)) => Place::Port {
            side: match side {
                "local" => Interface::Local,
                "network" => Interface::Network,
                _ => {
                    return Err(super::super::script::unknown(
                        side,
                        "side is called",
                        &["local", "network"],
                    ));
                }
            },
            port: port
                .parse()
                .map_err(|_| format!("`{port}` is not a port"))?,
        },
        None => {
            return Err(super::super::script::unknown(
                place,
                "way to the service is called",
                &["lme", "local:16992", "network:16992", "network:16993"],
            ));
        }
    };
    let how = "write `wsman WHERE as USER PASSWORD`, `wsman WHERE as $$OsAdmin` or `wsman WHERE with certificate NAME`";
    let login = match reader.next_bare() {
        None => Login::None,
        Some("as") => {
            let user = reader.text()?;
            match reader.is_done() {
                true if user == "$$OsAdmin" => Login::Host,
                true => return Err(how.to_owned().into()),
                false => Login::Password(template(&user)?, template(&reader.text()?)?),
            }
        }
        Some("with") if reader.next_bare() == Some("certificate") => {
            Login::Certificate(form(reader.bare()?)?)
        }
        Some(_) => return Err(how.to_owned().into()),
    };
    reader.end()?;
    Ok(Who { place, login })
}

fn request(word: &str, rest: &str) -> Result<Request, Wrong> {
    if word == "post" {
        return some_text(rest).map(Request::Post);
    }
    let mut reader = Reader(rest);
    let request = match word {
        "get" => Request::Get(reader.target()?),
        "delete" => Request::Delete(reader.target()?),
        "enumerate" => Request::Enumerate(reader.name()?),
        "all" => Request::All(reader.name()?),
        "put" => {
            let target = reader.target()?;
            let mut changes = Vec::new();
            while !reader.is_done() {
                changes.push(match reader.0.strip_prefix('-') {
                    Some(rest) => {
                        reader.0 = rest;
                        Change::Drop(reader.name()?)
                    }
                    None => Change::Set(reader.argument()?),
                });
            }
            Request::Put { target, changes }
        }
        "create" => Request::Create {
            class: reader.name()?,
            values: reader.arguments()?,
        },
        "pull" => {
            let (mut most, mut from, mut class) = (None, None, None);
            while let Some(word) = reader.next_bare() {
                match word {
                    "from" => {
                        let name = reader.bare()?;
                        let kept = name
                            .strip_prefix('@')
                            .ok_or("a context that was kept is called @NAME".to_owned())?;
                        from = Some(kept.to_owned());
                    }
                    "of" => class = Some(reader.bare()?.to_owned()),
                    number => {
                        let number = number.parse().map_err(|_| {
                            format!("`{number}`: write `pull`, `pull 999`, `pull 999 from @NAME` or `pull 999 of CLASS`")
                        })?;
                        most = Some(number);
                    }
                }
            }
            Request::Pull { most, from, class }
        }
        "release" => Request::Release,
        "invoke" => {
            let target = reader.target()?;
            if !reader.take('.') {
                let class = target.class;
                return Err(
                    format!("`{class}`: write `invoke CLASS.METHOD Name=value ...`").into(),
                );
            }
            Request::Invoke {
                target,
                method: reader.name()?,
                values: reader.arguments()?,
            }
        }
        _ => Request::Act {
            action: reader.bare()?.to_owned(),
            class: reader.name()?,
        },
    };
    reader.end()?;
    Ok(request)
}

fn judge(word: &str, rest: &str) -> Result<Judge, Wrong> {
    let number = |what: &str| rest.parse().map_err(|_| format!("`{rest}` is no {what}"));
    let judge = match word {
        "returns" => Judge::Returns(number("return value")?),
        "status" => Judge::Status(
            rest.parse()
                .map_err(|_| format!("`{rest}` is no HTTP status"))?,
        ),
        "instances" => Judge::Instances(
            rest.parse()
                .map_err(|_| format!("`{rest}` is no number of instances"))?,
        ),
        "fault" if rest.is_empty() => Judge::Fault {
            prefix: None,
            name: None,
        },
        "fault" => {
            let (prefix, name) = match rest.split_once(':') {
                Some((prefix, name)) => {
                    let known = super::draft::PREFIXES.map(|(known, _)| known);
                    if !known.contains(&prefix) {
                        return Err(super::super::script::unknown(
                            prefix,
                            "prefix of a fault is called",
                            &known,
                        ));
                    }
                    (Some(prefix.to_owned()), name)
                }
                None => (None, rest),
            };
            if !is_name(name) {
                return Err(format!("`{name}` is no name of a fault").into());
            }
            Judge::Fault {
                prefix,
                name: Some(name.to_owned()),
            }
        }
        "absent" => Judge::Absent(Path::parse(rest)?),
        "keep" => match rest.split_once(" as ") {
            Some((path, name)) if is_name(name.trim()) => Judge::Keep {
                path: Path::parse(path.trim())?,
                name: name.trim().to_owned(),
            },
            _ => return Err(format!("`keep {rest}`: write `keep Name as NAME`").into()),
        },
        "item" => match rest.parse() {
            Ok(0) => return Err("items count from one".to_owned().into()),
            Ok(number) => Judge::Item(Item::Number(number)),
            Err(_) => {
                let (path, value) = rest
                    .split_once('=')
                    .ok_or_else(|| format!("`item {rest}`: write `item 2` or `item Name=value`"))?;
                let mut reader = Reader(value.trim());
                let value = reader.value()?;
                reader.end()?;
                Judge::Item(Item::With(Path::parse(path.trim())?, value))
            }
        },
        "properties" => {
            let names: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
            if names.is_empty() {
                return Err("which properties?".to_owned().into());
            }
            Judge::Properties(names)
        }
        "answer" => {
            let (equal, text) = match rest.strip_prefix("not ") {
                Some(text) => (false, text),
                None => (true, rest),
            };
            Judge::Answer {
                like: Glob::new(some_text(text)?),
                equal,
            }
        }
        _ if !rest.is_empty() => return Err(format!("`{word}` stands alone").into()),
        "complete" => Judge::Complete(true),
        "incomplete" => Judge::Complete(false),
        _ => Judge::Sorted,
    };
    Ok(judge)
}

fn some_text(rest: &str) -> Result<String, Wrong> {
    match rest.trim() {
        "" => Err("the line lacks its text".to_owned().into()),
        text => Ok(text.to_owned()),
    }
}

fn template(text: &str) -> Result<Template, Wrong> {
    Template::parse(text, Scope::Scenario).map_err(|unknown| Wrong {
        message: unknown.message,
        help: unknown.help,
    })
}

fn form(name: &str) -> Result<CertificateForm, Wrong> {
    let found = CertificateForm::ALL
        .iter()
        .find(|form| form.to_string() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<String> = CertificateForm::ALL
            .iter()
            .map(ToString::to_string)
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        super::super::script::unknown(name, "chain of the laboratory is called", &names)
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter))
}

impl Path {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let (names, selector) = match text.split_once('[') {
            Some((names, selector)) => {
                let selector = selector
                    .strip_suffix(']')
                    .filter(|selector| is_name(selector));
                let selector =
                    selector.ok_or_else(|| format!("`{text}`: write `Reference[Selector]`"))?;
                (names, Some(selector.to_owned()))
            }
            None => (text, None),
        };
        let names: Vec<String> = names.split('.').map(str::to_owned).collect();
        match names.iter().all(|name| is_name(name)) {
            true => Ok(Self { names, selector }),
            false => Err(format!("`{text}` is no name of a property").into()),
        }
    }
}

/// Reads a line from its beginning.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn is_done(&mut self) -> bool {
        self.0 = self.0.trim_start();
        self.0.is_empty()
    }

    fn end(&mut self) -> Result<(), Wrong> {
        match self.is_done() {
            true => Ok(()),
            false => Err(format!("nothing can stand here: `{}`", self.0).into()),
        }
    }

    /// Up to the next white space.
    fn next_bare(&mut self) -> Option<&'a str> {
        if self.is_done() {
            return None;
        }
        let end = self.0.find(char::is_whitespace).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(word)
    }

    fn bare(&mut self) -> Result<&'a str, Wrong> {
        self.next_bare()
            .ok_or_else(|| "the line ends too early".to_owned().into())
    }

    /// A word, or a text between quotes.
    fn text(&mut self) -> Result<String, Wrong> {
        match self.quoted()? {
            Some(text) => Ok(text),
            None => self.bare().map(str::to_owned),
        }
    }

    fn quoted(&mut self) -> Result<Option<String>, Wrong> {
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
    fn name(&mut self) -> Result<String, Wrong> {
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

    fn take(&mut self, letter: char) -> bool {
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
    fn target(&mut self) -> Result<Target, Wrong> {
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

    fn arguments(&mut self) -> Result<Vec<Argument>, Wrong> {
        let mut arguments = Vec::new();
        while !self.is_done() {
            arguments.push(self.argument()?);
        }
        Ok(arguments)
    }

    fn argument(&mut self) -> Result<Argument, Wrong> {
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

    fn value(&mut self) -> Result<Value, Wrong> {
        if let Some(text) = self.quoted()? {
            return template(&text).map(Value::Text);
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
            Some((kind @ ("certificate" | "sha256"), rest)) => {
                let (name, index) = rest.split_once('.').unwrap_or((rest, "0"));
                let index = index
                    .parse()
                    .map_err(|_| format!("`{index}` is no place in a chain"))?;
                Value::Certificate {
                    form: form(name)?,
                    index,
                    hashed: kind == "sha256",
                }
            }
            Some(("unsigned-request", kept)) => match kept.strip_prefix('@') {
                Some(kept) => Value::UnsignedRequest(kept.to_owned()),
                None => return Err("write `unsigned-request:@NAME`".to_owned().into()),
            },
            Some(("key", name)) => Value::Key(form(name)?),
            _ => Value::Text(template(word)?),
        };
        Ok(value)
    }
}
