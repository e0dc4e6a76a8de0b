//! Asks, and looks at what is answered.

use std::mem;

use super::answer::{Answer, shown};
use super::draft::{Filling, PREFIXES};
use super::script::{Aside, Item, Judge, Line, Login, Place, Request, Target, Value, Who};
use super::xml::{Envelope, Node};
use crate::glob::Glob;
use crate::probe::bytes::Kept as Memory;
use crate::probe::chains;
use crate::probe::player::{Wrong, wrong};
use crate::run::VirtualDevice;
use crate::scenario::placeholder::Values;
use crate::wire::soap::{self, Draft};
use crate::wire::{Amthi, Client, Dialer, Kept, TlsDialer, TlsOptions, client};

/// Whoever asks, and what was answered last.
#[derive(Debug, Default)]
pub struct Session {
    who: Option<Who>,
    realm: Option<String>,
    /// Requests so far.
    messages: u32,
    header: String,
    message: Option<String>,
    body: Option<String>,
    last: Option<Answer>,
    /// The instance that was read last, for a Put.
    read: Option<Node>,
    context: String,
    /// The class of the last request.
    class: String,
}

impl Session {
    pub fn play(
        &mut self,
        line: &Line,
        device: &VirtualDevice,
        kept: &mut Memory,
        values: Values<'_>,
        mute: bool,
    ) -> Result<(), Wrong> {
        match line {
            Line::Who(who) => {
                self.who = Some(who.clone());
                Ok(())
            }
            Line::Aside(Aside::Header(xml)) => {
                self.header.push_str(xml);
                Ok(())
            }
            Line::Aside(Aside::MessageId(text)) => {
                self.message = Some(text.clone());
                Ok(())
            }
            Line::Aside(Aside::Body(xml)) => {
                self.body = Some(xml.clone());
                Ok(())
            }
            Line::Ask { .. } if mute => Err(wrong("an answer", "nothing was asked")),
            Line::Ask { request, judged } => {
                self.ask(request, device, kept, values)?;
                match judged {
                    true => Ok(()),
                    false => self.succeeded(),
                }
            }
            Line::Judge(judge) => self.judge(judge, kept, values),
        }
    }

    fn ask(
        &mut self,
        request: &Request,
        device: &VirtualDevice,
        kept: &Memory,
        values: Values<'_>,
    ) -> Result<(), Wrong> {
        if let Request::All(class) = request {
            self.ask(&Request::Enumerate(class.clone()), device, kept, values)?;
            self.succeeded()?;
            let (most, from, class) = (Some(999), None, Some(class.clone()));
            return self.ask(&Request::Pull { most, from, class }, device, kept, values);
        }
        let message = self
            .message
            .take()
            .unwrap_or_else(|| self.messages.to_string());
        self.messages += 1;
        let envelope = match request {
            Request::Post(envelope) => envelope.clone(),
            _ => {
                let realm = self.realm.clone();
                let filling = Filling {
                    values,
                    kept,
                    realm: realm.as_deref(),
                };
                let mut draft = self
                    .draft(request, filling)
                    .map_err(|why| ("a request".to_owned(), why))?;
                draft.message = message;
                draft.headers = mem::take(&mut self.header);
                if let Some(body) = self.body.take() {
                    draft.body = body;
                }
                draft.write()
            }
        };
        let response = self.send(&envelope, device, values)?;
        let answer = Answer::of(&response);
        if let Ok(Envelope {
            body: Some(body),
            fault: None,
            ..
        }) = &answer.envelope
        {
            if let Some(context) = body.child("EnumerationContext") {
                self.context.clone_from(&context.text);
            }
            if matches!(request, Request::Get(_)) {
                self.read = Some(body.clone());
            }
        }
        self.last = Some(answer);
        Ok(())
    }

    fn draft(&mut self, request: &Request, filling: Filling<'_>) -> Result<Draft, String> {
        let transfer = |operation: &str| format!("{}/{operation}", soap::TRANSFER);
        let enumeration = |operation: &str| format!("{}/{operation}", soap::ENUMERATION);
        let xml = |node: &Node| {
            let mut xml = String::new();
            node.write("", &mut xml);
            xml
        };
        let whole = |class: &str| Target {
            class: class.to_owned(),
            keys: Vec::new(),
        };
        let empty = |name: &str| format!("<{name} xmlns=\"{}\"/>", soap::ENUMERATION);
        let (action, target, body) = match request {
            Request::Get(target) => (transfer("Get"), target.clone(), String::new()),
            Request::Delete(target) => (transfer("Delete"), target.clone(), String::new()),
            Request::Put { target, changes } => {
                // Another class was read, or none: what is written are the changes alone.
                let read = self.read.clone().filter(|read| read.name == target.class);
                let read = read
                    .unwrap_or_else(|| Node::new(&soap::resource(&target.class), &target.class));
                (
                    transfer("Put"),
                    target.clone(),
                    xml(&filling.changed(read, changes)?),
                )
            }
            Request::Create { class, values } => (
                transfer("Create"),
                whole(class),
                xml(&filling.instance(class, class, values)?),
            ),
            Request::Enumerate(class) | Request::All(class) => {
                (enumeration("Enumerate"), whole(class), empty("Enumerate"))
            }
            Request::Pull { most, from, class } => {
                let context = match from {
                    Some(name) => filling.text(&Value::Kept(name.clone()))?,
                    None => self.context.clone(),
                };
                let class = class.clone().unwrap_or_else(|| self.class.clone());
                (
                    enumeration("Pull"),
                    whole(&class),
                    soap::pull(&context, *most),
                )
            }
            Request::Release => {
                let context = soap::escape(&self.context);
                let body = format!(
                    "<Release xmlns=\"{}\"><EnumerationContext>{context}</EnumerationContext></Release>",
                    soap::ENUMERATION
                );
                (enumeration("Release"), whole(&self.class), body)
            }
            Request::Invoke {
                target,
                method,
                values,
            } => {
                let class = &target.class;
                let action = format!("{}/{method}", soap::resource(class));
                (
                    action,
                    target.clone(),
                    xml(&filling.instance(class, &format!("{method}_INPUT"), values)?),
                )
            }
            Request::Act { action, class } => (action.clone(), whole(class), String::new()),
            Request::Post(_) => return Err("a whole envelope is no draft".to_owned()),
        };
        self.class.clone_from(&target.class);
        Ok(Draft {
            action,
            resource: soap::resource(&target.class),
            message: String::new(),
            selectors: filling.selectors(&target)?,
            headers: String::new(),
            body,
        })
    }

    /// Over a connection of its own.
    fn send(
        &mut self,
        envelope: &str,
        device: &VirtualDevice,
        values: Values<'_>,
    ) -> Result<crate::wire::http::Response, Wrong> {
        let odd = |why: String| ("an answer".to_owned(), why);
        let Some(who) = &self.who else {
            return Err(wrong("a `wsman` line above", "there is none"));
        };
        let mut identity = None;
        let login = match &who.login {
            Login::None => None,
            Login::Host => {
                let amthi = Amthi::open(device, device);
                let account = amthi.and_then(|mut amthi| amthi.local_account());
                let account = account.map_err(|error| odd(error.to_string()))?;
                Some(client::Login::new(account.user, account.password))
            }
            Login::Password(user, password) => {
                Some(client::Login::new(user.fill(values), password.fill(values)))
            }
            Login::Certificate(form) => {
                identity = Some(chains::shown(*form).map_err(odd)?);
                None
            }
        };
        let (side, port) = match who.place {
            Place::Lme => {
                let login =
                    login.ok_or_else(|| odd("LME wants a login: `wsman lme as ...`".to_owned()))?;
                let mut client = Client::new(device, device, login.user, login.password);
                return Self::exchange(&mut self.realm, &mut client, envelope);
            }
            Place::Port { side, port } => (side, port),
        };
        let plain = device.dialer(side);
        let tls = TlsDialer::new(
            &plain,
            TlsOptions {
                identity,
                ..TlsOptions::default()
            },
        );
        let dialer: &dyn Dialer = match port {
            16993 | 16995 => &tls,
            _ => &plain,
        };
        let mut client = Client::over(dialer, port, login, Kept::Once);
        Self::exchange(&mut self.realm, &mut client, envelope)
    }

    fn exchange(
        realm: &mut Option<String>,
        client: &mut Client<'_>,
        envelope: &str,
    ) -> Result<crate::wire::http::Response, Wrong> {
        let response = client.log_in_and_post(envelope);
        if let Some(told) = client.realm() {
            *realm = Some(told.to_owned());
        }
        response.map_err(|error| ("an answer".to_owned(), error.to_string()))
    }

    fn answer(&self) -> Result<&Answer, Wrong> {
        self.last
            .as_ref()
            .ok_or_else(|| wrong("an answer", "nothing was asked"))
    }

    fn succeeded(&self) -> Result<(), Wrong> {
        let answer = self.answer()?;
        let value = answer.return_value();
        match (answer.status, &answer.envelope, value.as_deref()) {
            (200, Ok(Envelope { fault: None, .. }), None | Some("0")) => Ok(()),
            _ => Err(("success".to_owned(), answer.outcome())),
        }
    }

    fn judge(&mut self, judge: &Judge, kept: &mut Memory, values: Values<'_>) -> Result<(), Wrong> {
        let realm = self.realm.clone();
        let fill = |value: &Value, kept: &Memory| {
            let filling = Filling {
                values,
                kept,
                realm: realm.as_deref(),
            };
            filling
                .text(value)
                .map_err(|why| ("a value".to_owned(), why))
        };
        let answer = self.answer()?;
        match judge {
            Judge::Status(status) => as_wanted(
                answer.status == *status,
                || format!("HTTP status {status}"),
                || answer.outcome(),
            ),
            Judge::Returns(wanted) => {
                let returned = answer.return_value().filter(|_| answer.status == 200);
                let right = returned.is_some_and(|value| value == wanted.to_string());
                as_wanted(
                    right,
                    || format!("return value {wanted}"),
                    || answer.outcome(),
                )
            }
            Judge::Fault { prefix, name } => {
                let namespace = prefix
                    .as_ref()
                    .and_then(|prefix| PREFIXES.iter().find(|(known, _)| known == prefix));
                let right = answer.status == 400
                    && answer.fault().is_some_and(|(found, local)| {
                        name.as_ref().is_none_or(|name| local == name)
                            && namespace.is_none_or(|(_, namespace)| found == *namespace)
                    });
                let prefix = prefix
                    .as_ref()
                    .map_or(String::new(), |prefix| format!("{prefix}:"));
                as_wanted(
                    right,
                    || format!("fault {prefix}{}", name.as_deref().unwrap_or_default()),
                    || answer.outcome(),
                )
            }
            Judge::Property {
                path,
                equal,
                values,
            } => {
                let wanted = values.iter().map(|value| {
                    // What stands for something else is no pattern.
                    let text = fill(value, kept)?;
                    Ok((matches!(value, Value::Text(_)), text))
                });
                let wanted: Vec<(bool, String)> = wanted.collect::<Result<_, Wrong>>()?;
                let found = answer.values(path)?;
                let alike = found.len() == wanted.len()
                    && found
                        .iter()
                        .zip(&wanted)
                        .all(|(found, (pattern, text))| match pattern {
                            true => Glob::new(text).matches(found),
                            false => text == found,
                        });
                let texts: Vec<String> = wanted.into_iter().map(|(_, text)| text).collect();
                let not = if *equal { "" } else { "other than " };
                as_wanted(
                    alike == *equal,
                    || format!("{not}{}", shown(&texts)),
                    || shown(&found),
                )
            }
            Judge::Absent(path) => {
                let found = answer.values(path)?;
                as_wanted(
                    found.is_empty(),
                    || "no such element".to_owned(),
                    || shown(&found),
                )
            }
            Judge::Keep { path, name } => {
                let found = answer.values(path)?;
                match found.as_slice() {
                    [value] => {
                        kept.insert(name.clone(), value.clone().into_bytes());
                        Ok(())
                    }
                    _ => Err(("one value".to_owned(), shown(&found))),
                }
            }
            Judge::Instances(wanted) => {
                let found = answer.items()?.len();
                as_wanted(
                    found == *wanted,
                    || format!("{wanted} instances"),
                    || format!("{found} instances"),
                )
            }
            Judge::Item(item) => {
                let at = match item {
                    Item::Number(number) => {
                        Some(number - 1).filter(|at| *at < answer.items().map_or(0, <[_]>::len))
                    }
                    Item::With(path, value) => {
                        let wanted = Glob::new(fill(value, kept)?);
                        let is_it = |node: &Node| {
                            node.values(path).iter().any(|found| wanted.matches(found))
                        };
                        answer.items()?.iter().position(is_it)
                    }
                };
                let Some(at) = at else {
                    return Err((
                        "such an item".to_owned(),
                        format!("{} items without it", answer.items()?.len()),
                    ));
                };
                self.read = answer.items()?.get(at).cloned();
                if let Some(last) = &mut self.last {
                    last.item = at;
                }
                Ok(())
            }
            Judge::Complete(wanted) => {
                let body = answer.body()?;
                let (end, context) = (
                    body.child("EndOfSequence").is_some(),
                    body.child("EnumerationContext").is_some(),
                );
                let word = |end: bool, context: bool| match (end, context) {
                    (true, false) => "the end of the sequence",
                    (false, true) => "a new context",
                    (true, true) => "both the end and a new context",
                    (false, false) => "neither the end nor a new context",
                };
                let right = end == *wanted && context != *wanted;
                as_wanted(
                    right,
                    || word(*wanted, !*wanted).to_owned(),
                    || word(end, context).to_owned(),
                )
            }
            Judge::Properties(wanted) => {
                let found = answer.names()?;
                as_wanted(found == *wanted, || wanted.join(" "), || found.join(" "))
            }
            Judge::Sorted => {
                let found = answer.names()?;
                let right = found.len() > 1 && found.is_sorted();
                as_wanted(
                    right,
                    || "names in alphabetic order".to_owned(),
                    || found.join(" "),
                )
            }
            Judge::Answer { like, equal } => {
                let not = if *equal { "" } else { "other than " };
                as_wanted(
                    like.matches(&answer.text) == *equal,
                    || format!("{not}{like}"),
                    || answer.text.clone(),
                )
            }
        }
    }
}

fn as_wanted(
    right: bool,
    expected: impl FnOnce() -> String,
    actual: impl FnOnce() -> String,
) -> Result<(), Wrong> {
    match right {
        true => Ok(()),
        false => Err((expected(), actual())),
    }
}
