//! What the device answers to requests as real clients write them.

mod changes;
mod enumerations;
mod methods;
mod properties;
mod reading;
mod refusals;
mod spelling;

use std::sync::Arc;

use super::{Reply, respond};
use crate::device::{
    AccessPermission, Account, Caller, Entry, Event, Faults, Firmware, Interface, Mode, Principal,
    Profile, Realm, Rules, Seed, State,
};
use crate::time::UnixTime;

/// A device and somebody who talks to it.
pub(super) struct Bench {
    pub(super) fw: Firmware,
    pub(super) caller: Caller,
}

impl Bench {
    /// An operational device in admin control mode, and its administrator on the network.
    pub(super) fn admin() -> Self {
        Self::without(&[])
    }

    pub(super) fn without(rules: &[&str]) -> Self {
        Self::of("tiger-lake-15", Mode::Admin, rules)
    }

    pub(super) fn of(profile: &str, mode: Mode, without: &[&str]) -> Self {
        let profile = Profile::builtin(profile).unwrap();
        let mut state = State::factory(&profile, Seed(1)).unwrap();
        state.mode = mode;
        let mut rules = Rules::default();
        for rule in without {
            rules.knock_out(rule).unwrap();
        }
        Self {
            fw: Firmware::power_on(
                Arc::new(profile),
                state,
                rules,
                Faults::default(),
                UnixTime(1_767_225_600),
            ),
            caller: Caller {
                principal: Principal::Admin,
                user: "admin".to_owned(),
                interface: Interface::Network,
            },
        }
    }

    /// The same device, seen by `$$OsAdmin`.
    pub(super) fn seen_by_os_admin(mut self) -> Self {
        self.caller = Caller {
            principal: Principal::OsAdmin,
            user: "$$OsAdmin".to_owned(),
            interface: Interface::Local,
        };
        self
    }

    /// The same device, seen by somebody with these realms.
    pub(super) fn seen_by(mut self, realms: &[Realm]) -> Self {
        self.fw.state.accounts.push(Account {
            handle: 1,
            user: "somebody".to_owned(),
            ha1: String::new(),
            access: AccessPermission::Any,
            realms: realms.to_vec(),
            enabled: true,
        });
        self.caller.principal = Principal::Account { handle: 1 };
        self.caller.user = "somebody".to_owned();
        self
    }

    pub(super) fn send(&mut self, request: &str) -> Reply {
        respond(&mut self.fw, &self.caller, request.as_bytes())
    }

    /// The answer's body element, as text; a fault is `fault:` and its subcode.
    pub(super) fn ask(&mut self, request: &str) -> String {
        brief(&self.send(request))
    }

    /// What the journal says of requests, one line each.
    pub(super) fn journal(&self) -> Vec<String> {
        self.fw
            .journal
            .entries()
            .filter_map(|Entry { event, .. }| match event {
                Event::Wsman {
                    user,
                    action,
                    class,
                    return_value,
                    status,
                    fault,
                } => {
                    let result = match (return_value, fault) {
                        (_, Some(fault)) => fault.clone(),
                        (Some(value), None) => {
                            let name = status.as_deref().unwrap_or("unnamed");
                            format!("{value} {name}")
                        }
                        (None, None) => "ok".to_owned(),
                    };
                    Some(format!("{user}: {action} {class}: {result}"))
                }
                Event::WsmanFinding { what } => Some(format!("finding: {what}")),
                Event::Assumed { requirement } => Some(format!("assumed: {requirement}")),
                _ => None,
            })
            .collect()
    }
}

pub(super) fn brief(reply: &Reply) -> String {
    match reply {
        Reply::NotAuthorized | Reply::Failed(_) => "not authorized".to_owned(),
        Reply::Answer { body, .. } => between(body, "<a:Body>", "</a:Body>").to_owned(),
        Reply::Fault { body } => {
            let code = between(body, "<a:Subcode><a:Value>", "</a:Value>");
            format!("fault: {code}")
        }
    }
}

pub(super) fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let from = text.find(start).map_or(0, |at| at + start.len());
    let rest = &text[from..];
    &rest[..rest.find(end).unwrap_or(0)]
}

pub(super) const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
pub(super) const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";

pub(super) fn uri(class: &str) -> String {
    super::schema::namespace(class)
}

/// A request as Go and TypeScript clients write it: default namespace SOAP, numbered messages.
pub(super) fn go(action: &str, class: &str, selectors: &[(&str, &str)], body: &str) -> String {
    let mut set = String::new();
    for (name, value) in selectors {
        set += &format!("<w:Selector Name=\"{name}\">{value}</w:Selector>");
    }
    if !set.is_empty() {
        set = format!("<w:SelectorSet>{set}</w:SelectorSet>");
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Envelope xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" xmlns=\"http://www.w3.org/2003/05/soap-envelope\">\
         <Header><a:Action>{action}</a:Action><a:To>/wsman</a:To><w:ResourceURI>{}</w:ResourceURI>\
         <a:MessageID>7</a:MessageID><a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous\
         </a:Address></a:ReplyTo><w:OperationTimeout>PT60S</w:OperationTimeout>{set}</Header><Body>{body}</Body></Envelope>",
        uri(class)
    )
}

pub(super) fn get(class: &str, selectors: &[(&str, &str)]) -> String {
    go(&format!("{TRANSFER}/Get"), class, selectors, "")
}

pub(super) fn put(class: &str, selectors: &[(&str, &str)], properties: &str) -> String {
    let body = format!(
        "<h:{class} xmlns:h=\"{}\">{properties}</h:{class}>",
        uri(class)
    );
    go(&format!("{TRANSFER}/Put"), class, selectors, &body)
}

pub(super) fn enumerate(class: &str) -> String {
    let body = format!("<Enumerate xmlns=\"{ENUMERATION}\" />");
    go(&format!("{ENUMERATION}/Enumerate"), class, &[], &body)
}

/// A Pull; with MaxElements as Go sends it, or without as LMS does.
pub(super) fn pull(class: &str, context: &str, most: Option<u32>) -> String {
    let most = most.map_or(String::new(), |most| {
        format!("<MaxElements>{most}</MaxElements><MaxCharacters>99999</MaxCharacters>")
    });
    let body = format!(
        "<Pull xmlns=\"{ENUMERATION}\"><EnumerationContext>{context}</EnumerationContext>{most}</Pull>"
    );
    go(&format!("{ENUMERATION}/Pull"), class, &[], &body)
}

pub(super) fn invoke(class: &str, method: &str, input: &str) -> String {
    let uri = uri(class);
    let body = format!("<h:{method}_INPUT xmlns:h=\"{uri}\">{input}</h:{method}_INPUT>");
    go(&format!("{uri}/{method}"), class, &[], &body)
}
