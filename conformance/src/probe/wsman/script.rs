//! From the text of a line to what it asks.

use amt_sim::device::Interface;

use super::reader::Reader;
use crate::glob::Glob;
use crate::probe::bytes::template;
use crate::probe::chains::{self, Certificate};
use crate::probe::script::{Wrong, unknown};
use crate::role::certificates::CertificateForm;
use crate::scenario::placeholder::Template;

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
    Certificate(Certificate),
    /// The SHA-256 of one.
    Fingerprint(Certificate),
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
                    return Err(unknown(side, "side is called", &["local", "network"]));
                }
            },
            port: port
                .parse()
                .map_err(|_| format!("`{port}` is not a port"))?,
        },
        None => {
            return Err(unknown(
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
            Login::Certificate(chains::chain(reader.bare()?)?)
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
                        return Err(unknown(prefix, "prefix of a fault is called", &known));
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

pub(super) fn is_name(text: &str) -> bool {
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
