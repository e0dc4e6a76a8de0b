//! What the classes answer to requests, what they keep of them, and what an unprovision erases.

mod access;
mod authenticate;
mod logs;
mod network;
mod odd;
mod power;
mod redirection;
mod remote_access;
mod tls;
mod wifi;

use std::sync::Arc;

use crate::device::{
    Caller, Entry, Event, Faults, Firmware, Interface, Mode, Principal, Profile, Rules, Seed,
    State, Trigger,
};
use crate::time::UnixTime;
use crate::wsman::{Reply, respond, schema};

const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";

/// A device and its administrator.
struct Bench {
    fw: Firmware,
    caller: Caller,
}

/// What came back: the body of an answer, or a fault.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    body: String,
    /// Name of the fault with its prefix; empty without one.
    fault: String,
}

impl Bench {
    fn admin() -> Self {
        Self::of("tiger-lake-15", Mode::Admin, &[])
    }

    fn client() -> Self {
        Self::of("tiger-lake-15", Mode::Client, &[])
    }

    /// With a wireless port, and of a generation with one-click recovery.
    fn wireless() -> Self {
        Self::of("raptor-lake-16-wifi", Mode::Admin, &[])
    }

    fn of(profile: &str, mode: Mode, without: &[&str]) -> Self {
        let profile = Profile::builtin(profile).unwrap();
        let mut state = State::factory(&profile, Seed(1)).unwrap();
        state.mode = mode;
        state.admin_ha1 = Some("00".repeat(16));
        let mut rules = Rules::default();
        for rule in without {
            rules.knock_out(rule).unwrap();
        }
        Self {
            fw: power_on(profile, state, rules),
            caller: Caller {
                principal: Principal::Admin,
                user: "admin".to_owned(),
                interface: Interface::Network,
            },
        }
    }

    /// The same device after a power cycle, from what was saved.
    fn power_cycle(self) -> Self {
        let text = serde_json::to_string(&self.fw.state).unwrap();
        let state = serde_json::from_str(&text).unwrap();
        let profile = Profile::clone(&self.fw.profile);
        Self {
            fw: power_on(profile, state, Rules::default()),
            caller: self.caller,
        }
    }

    fn unprovision(&mut self) {
        self.fw.trigger(Trigger::WsmanUnprovision).unwrap();
    }

    fn send(&mut self, action: &str, class: &str, selectors: &str, body: &str) -> Answer {
        let uri = schema::namespace(class);
        let request = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
             <Envelope xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
             xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" \
             xmlns=\"http://www.w3.org/2003/05/soap-envelope\">\
             <Header><a:Action>{action}</a:Action><a:To>/wsman</a:To>\
             <w:ResourceURI>{uri}</w:ResourceURI><a:MessageID>1</a:MessageID>\
             {selectors}</Header><Body>{body}</Body></Envelope>"
        );
        match respond(&mut self.fw, &self.caller, request.as_bytes()) {
            Reply::Answer { body, .. } => Answer {
                body: between(&body, "<a:Body>", "</a:Body>").to_owned(),
                fault: String::new(),
            },
            Reply::Fault { body } => Answer {
                fault: between(&body, "<a:Subcode><a:Value>", "</a:Value>").to_owned(),
                body,
            },
            Reply::NotAuthorized | Reply::Failed(_) => Answer {
                body: String::new(),
                fault: "not authorized".to_owned(),
            },
        }
    }

    fn get(&mut self, class: &str) -> Answer {
        self.send(&format!("{TRANSFER}/Get"), class, "", "")
    }

    fn get_by(&mut self, class: &str, key: (&str, &str)) -> Answer {
        self.send(&format!("{TRANSFER}/Get"), class, &select(&[key]), "")
    }

    fn put(&mut self, class: &str, selectors: &[(&str, &str)], properties: &str) -> Answer {
        let body = instance(class, properties);
        let action = format!("{TRANSFER}/Put");
        self.send(&action, class, &select(selectors), &body)
    }

    fn create(&mut self, class: &str, properties: &str) -> Answer {
        let body = instance(class, properties);
        self.send(&format!("{TRANSFER}/Create"), class, "", &body)
    }

    fn delete(&mut self, class: &str, key: (&str, &str)) -> Answer {
        self.send(&format!("{TRANSFER}/Delete"), class, &select(&[key]), "")
    }

    /// Enumerate and one Pull of everything: the text of all items.
    fn all(&mut self, class: &str) -> Answer {
        let empty = format!("<Enumerate xmlns=\"{ENUMERATION}\"/>");
        let action = format!("{ENUMERATION}/Enumerate");
        let answer = self.send(&action, class, "", &empty);
        let context = match answer.text("EnumerationContext") {
            Some(context) => context.to_owned(),
            None => return answer,
        };
        let pull = format!(
            "<Pull xmlns=\"{ENUMERATION}\"><EnumerationContext>{context}</EnumerationContext>\
             <MaxElements>999</MaxElements></Pull>"
        );
        self.send(&format!("{ENUMERATION}/Pull"), class, "", &pull)
    }

    fn call(&mut self, class: &str, method: &str, input: &str) -> Answer {
        self.call_on(class, &[], method, input)
    }

    fn call_on(
        &mut self,
        class: &str,
        selectors: &[(&str, &str)],
        method: &str,
        input: &str,
    ) -> Answer {
        let uri = schema::namespace(class);
        let body = instance_of(&format!("{method}_INPUT"), &uri, input);
        self.send(&format!("{uri}/{method}"), class, &select(selectors), &body)
    }

    fn events(&self) -> Vec<&Event> {
        let entries = self.fw.journal.entries();
        entries.map(|Entry { event, .. }| event).collect()
    }

    /// Whether the journal tells of a mistake in these words.
    fn found(&self, what: &str) -> bool {
        let events = self.events();
        events.iter().any(|event| match event {
            Event::WsmanFinding { what: found } => found.contains(what),
            _ => false,
        })
    }
}

fn power_on(profile: Profile, state: State, rules: Rules) -> Firmware {
    Firmware::power_on(
        Arc::new(profile),
        state,
        rules,
        Faults::default(),
        UnixTime(1_767_225_600),
    )
}

impl Answer {
    /// The text of every element of this local name.
    fn texts(&self, name: &str) -> Vec<&str> {
        let start = format!(":{name}>");
        let mut texts = Vec::new();
        for (at, _) in self.body.match_indices(&start) {
            let is_end = self.body[..at]
                .rfind('<')
                .is_some_and(|tag| self.body[tag..].starts_with("</"));
            let rest = &self.body[at + start.len()..];
            if !is_end {
                texts.push(&rest[..rest.find("</").unwrap_or(0)]);
            }
        }
        texts
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).first().copied()
    }

    /// The return value of a method that ran.
    #[track_caller]
    fn value(&self) -> u32 {
        let text = self.text("ReturnValue");
        text.unwrap_or_else(|| panic!("no return value: {self:?}"))
            .parse()
            .unwrap()
    }

    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.fault, "", "{}", self.body);
        self
    }

    /// The value of the selector of this name, the first of them.
    fn selector(&self, name: &str) -> Option<&str> {
        let start = format!("Selector Name=\"{name}\">");
        let rest = &self.body[self.body.find(&start)? + start.len()..];
        rest.split('<').next()
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let from = text.find(start).map_or(0, |at| at + start.len());
    let rest = &text[from..];
    &rest[..rest.find(end).unwrap_or(0)]
}

fn select(selectors: &[(&str, &str)]) -> String {
    let mut set = String::new();
    for (name, value) in selectors {
        set += &format!("<w:Selector Name=\"{name}\">{value}</w:Selector>");
    }
    format!("<w:SelectorSet>{set}</w:SelectorSet>")
}

fn instance(class: &str, properties: &str) -> String {
    instance_of(class, &schema::namespace(class), properties)
}

/// Children without a prefix get the namespace too: clients differ in it, the device does not look.
fn instance_of(element: &str, namespace: &str, inside: &str) -> String {
    format!("<h:{element} xmlns:h=\"{namespace}\">{inside}</h:{element}>")
}

/// One element with text.
fn e(name: &str, text: &str) -> String {
    format!("<h:{name}>{text}</h:{name}>")
}

/// An element with the reference to an instance.
fn r(name: &str, class: &str, selectors: &[(&str, &str)]) -> String {
    let uri = schema::namespace(class);
    let set = select(selectors);
    format!(
        "<h:{name}><a:Address>default</a:Address><a:ReferenceParameters>\
         <w:ResourceURI>{uri}</w:ResourceURI>{set}</a:ReferenceParameters></h:{name}>"
    )
}
