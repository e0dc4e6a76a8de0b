//! `[service]` of a target file: a setup and configuration application, which stays, hears the device's Hello and calls
//! it back, and is told who the device is in a way of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

use super::extract::{Output, Rule};
use super::parse::{parse_args, parse_facts, pattern, template};
use crate::document::{Findings, Located, Table};
use crate::fact::Fact;
use crate::scenario::Template;
use crate::scenario::placeholder::{Place, Scope};

/// How a real SCA is run, and told about a device.
#[derive(Debug, Clone)]
pub struct Service {
    /// How it is started; one without runs already.
    pub args: Option<Vec<Template>>,
    /// Ready once it has printed this; without, once its Hello port takes a connection.
    pub ready: Option<Regex>,
    pub ready_within: Duration,
    /// Where it hears Hello messages: `127.0.0.1:{hello.port}`.
    pub hello: Template,
    /// The address at which it finds the device; the harness picks a loopback one of its own without.
    pub address: Option<std::net::IpAddr>,
    /// PKI DNS suffix that the device is given.
    pub suffix: Option<String>,
    /// Root of its provisioning certificate; the one of `amt-sim ca export` without.
    pub trust: Option<PathBuf>,
    /// Done one after the other before the device is told to start.
    pub told: Vec<Telling>,
    /// It takes no notice of a Hello once it has printed this.
    pub refused: Option<Regex>,
    /// It has done what leads up to CommitChanges once it has printed this, or once the device is operational.
    pub committed: Option<Regex>,
    /// It is done with the device once it has printed this; without, once it has logged in at the device that it set
    /// up.
    pub done: Option<Regex>,
    /// It has given up once it has printed this.
    pub failed: Option<Regex>,
    /// What it says of itself, read from what it printed since the last Hello.
    pub facts: BTreeMap<Fact, Rule>,
    /// It has given up once nothing has gone to or from the device for so long, and it waits for no answer.
    pub quiet: Duration,
    /// How long it may take from each Hello.
    pub within: Duration,
}

impl Service {
    /// Whether it hears of every machine that was ordered, not only of the one that is switched on.
    pub fn is_told_of_others(&self) -> bool {
        let says = |template: &Template| template.has(Place::OtherUuid);
        self.told.iter().any(|telling| match telling {
            Telling::Command(args) => args.iter().any(says),
            Telling::Http(request) => says(&request.url) || says(&request.body),
            Telling::File { path, text } => says(path) || says(text),
        })
    }
}

/// One way in which a program hears about a device and its one-time password.
#[derive(Debug, Clone)]
pub enum Telling {
    /// The target's own program with these arguments, to its end.
    Command(Vec<Template>),
    /// A request over HTTP or HTTPS; anything but 2xx is a mistake of the set-up.
    Http(Request),
    /// A file that it reads, written before it is started.
    File { path: Template, text: Template },
}

/// One request over HTTP or HTTPS.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub url: Template,
    pub headers: Vec<(String, Template)>,
    pub body: Template,
}

pub(super) fn parse_service(table: &Table<'_, '_>, findings: &Findings) -> Option<Service> {
    let args = table
        .has("args")
        .then(|| parse_args(table, findings, Scope::Service));
    let regex = |key| {
        table
            .string(key)
            .and_then(|text: Located<String>| pattern(&text, findings))
    };
    let (ready, refused, committed) = (regex("ready"), regex("refused"), regex("committed"));
    let (done, failed) = (regex("done"), regex("failed"));
    let time = |key, otherwise| {
        table
            .duration(key)
            .map_or(Duration::from_secs(otherwise), |time| time.value)
    };
    let (ready_within, within) = (time("ready_within", 60), time("within", 120));
    let quiet = time("quiet", 10);
    let hello = table.require_string("hello");
    let address = table
        .string("address")
        .and_then(|text| match text.value.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                findings.add(text.span, format!("`{}` is not an IP address", text.value));
                None
            }
        });
    let suffix = table.string("suffix").map(|text| text.value);
    let trust = table.string("trust").map(|text| text.value.into());
    let told = parse_told(table, findings);
    let facts = match table.has("facts") {
        true => parse_facts(table, findings, Output::Text),
        false => BTreeMap::new(),
    };
    if args.is_none() {
        for key in ["ready", "refused", "committed", "done", "failed", "facts"] {
            if table.has(key) {
                findings.add_with_help(
                    table.span(),
                    format!(
                        "`{key}` reads what the program prints, but nothing says how it is started"
                    ),
                    "give `args`, or leave it out: the device shows when it is set up",
                );
            }
        }
    }
    table.finish();
    Some(Service {
        args,
        ready,
        ready_within,
        hello: template(&hello?, findings, Scope::Service)?,
        address,
        suffix,
        trust,
        told,
        refused,
        committed,
        done,
        failed,
        facts,
        quiet,
        within,
    })
}

fn parse_told(table: &Table<'_, '_>, findings: &Findings) -> Vec<Telling> {
    const WAYS: [&str; 3] = ["args", "http", "file"];
    let mut told = Vec::new();
    for entry in table.tables("told") {
        let given: Vec<&str> = WAYS.into_iter().filter(|way| entry.has(way)).collect();
        let telling = match given.as_slice() {
            ["args"] => Some(Telling::Command(parse_args(
                &entry,
                findings,
                Scope::Service,
            ))),
            ["http"] => parse_http(&entry, findings, Scope::Service).map(Telling::Http),
            ["file"] => {
                let path = entry.string("file");
                let text = entry.require_string("text");
                path.zip(text).and_then(|(path, text)| {
                    Some(Telling::File {
                        path: template(&path, findings, Scope::Service)?,
                        text: template(&text, findings, Scope::Service)?,
                    })
                })
            }
            _ => {
                for way in WAYS {
                    entry.any(way);
                }
                findings.add(
                    entry.span(),
                    format!("give exactly one of {}", WAYS.join(", ")),
                );
                None
            }
        };
        entry.finish();
        told.extend(telling);
    }
    told
}

/// `http = "POST http://127.0.0.1:8080/devices"`, `body`, `headers`.
pub(super) fn parse_http(
    entry: &Table<'_, '_>,
    findings: &Findings,
    scope: Scope,
) -> Option<Request> {
    let request = entry.string("http")?;
    let body = entry.string("body").unwrap_or(Located {
        value: String::new(),
        span: 0..0,
    });
    let mut headers = Vec::new();
    if let Some(table) = entry.table("headers") {
        for key in table.keys() {
            let Some(text) = table.free_string(&key) else {
                continue;
            };
            let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
            if !key.value.chars().all(fits) {
                findings.add(key.span, "not the name of a header");
                continue;
            }
            headers.extend(template(&text, findings, scope).map(|text| (key.value, text)));
        }
    }
    let Some((method, url)) = request.value.split_once(' ') else {
        findings.add_with_help(
            request.span,
            "no method before the address",
            "write it as \"POST http://127.0.0.1:8080/devices\"",
        );
        return None;
    };
    if !["http://", "https://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        findings.add(request.span, "the address begins with http:// or https://");
        return None;
    }
    let method = method.to_owned();
    let url = Located {
        span: request.span.start + method.len() + 1..request.span.end,
        value: url.to_owned(),
    };
    Some(Request {
        method,
        url: template(&url, findings, scope)?,
        headers,
        body: template(&body, findings, scope)?,
    })
}
