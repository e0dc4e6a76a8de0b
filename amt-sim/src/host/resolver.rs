//! From the name of an SCA to its addresses: by a table that was given, or as this machine does it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::sys;

/// For how long an answer of the system counts for others who ask for the same name.
const FRESH: Duration = Duration::from_secs(5);

/// Who knows which name. Without a table and without the system, nobody knows any: no question leaves this machine
/// unless somebody wanted it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// By name in lower case.
    table: BTreeMap<String, Vec<IpAddr>>,
    system: bool,
}

/// One argument of `--resolve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameRule {
    /// `NAME=ADDRESS`; a name may have several.
    Entry(String, IpAddr),
    /// `system`: what the table does not know, this machine is asked for.
    System,
}

/// Why a [`NameRule`] cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: write NAME=ADDRESS, as in ProvisionServer.corp.example=127.0.0.1, or system")]
pub struct NotANameRule(pub String);

impl FromStr for NameRule {
    type Err = NotANameRule;

    fn from_str(text: &str) -> Result<Self, NotANameRule> {
        let wrong = || NotANameRule(text.to_owned());
        match text.split_once('=') {
            None if text == "system" => Ok(Self::System),
            Some((name, address)) if !name.is_empty() => {
                let address = address.parse().map_err(|_| wrong())?;
                Ok(Self::Entry(name.to_owned(), address))
            }
            _ => Err(wrong()),
        }
    }
}

impl FromIterator<NameRule> for Names {
    fn from_iter<I: IntoIterator<Item = NameRule>>(rules: I) -> Self {
        let mut names = Self::default();
        for rule in rules {
            match rule {
                NameRule::System => names.system = true,
                NameRule::Entry(name, address) => {
                    let addresses = names.table.entry(name.to_ascii_lowercase());
                    addresses.or_default().push(address);
                }
            }
        }
        names
    }
}

/// What is known of a name at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    Addresses(Vec<IpAddr>),
    /// The system has to be asked.
    Ask,
    Unknown(&'static str),
}

impl Names {
    /// An address is its own answer.
    pub(super) fn look_up(&self, host: &str) -> Known {
        if let Ok(address) = host.parse() {
            return Known::Addresses(vec![address]);
        }
        let bare = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        match self.table.get(&bare) {
            Some(addresses) => Known::Addresses(addresses.clone()),
            None if self.system => Known::Ask,
            None if self.table.is_empty() => {
                Known::Unknown("no names are looked up; give --sca ADDRESS, or --resolve")
            }
            None => Known::Unknown("no such name in what --resolve gave"),
        }
    }
}

/// The system's answer to one question.
pub(super) struct Answer {
    /// Whose question it was.
    pub(super) asker: u64,
    pub(super) addresses: Result<Vec<IpAddr>, String>,
}

/// Asks the system on a thread of its own, which it has from the first question on: name servers may be slow.
#[derive(Debug)]
pub(super) struct Resolver {
    event: Arc<OwnedFd>,
    answers: Receiver<Answer>,
    answer: Sender<Answer>,
    questions: Option<Sender<(u64, String)>>,
}

impl Resolver {
    pub(super) fn new() -> io::Result<Self> {
        let (answer, answers) = channel();
        Ok(Self {
            event: Arc::new(sys::eventfd()?),
            answers,
            answer,
            questions: None,
        })
    }

    /// Readable when there are answers.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    pub(super) fn ask(&mut self, asker: u64, host: String) {
        if self.questions.is_none() {
            self.questions = self.start().ok();
        }
        let asked = self.questions.as_ref().is_some_and(|questions| {
            // It fails when the thread is gone.
            questions.send((asker, host)).is_ok()
        });
        if !asked {
            let addresses = Err("there is no thread to look it up".to_owned());
            let _ = self.answer.send(Answer { asker, addresses });
            sys::eventfd_raise(self.event.as_fd());
        }
    }

    pub(super) fn answers(&self) -> Vec<Answer> {
        sys::eventfd_clear(self.event.as_fd());
        self.answers.try_iter().collect()
    }

    /// The thread ends with the last question after this is dropped. Nobody waits for it: a lookup cannot be cut short.
    fn start(&self) -> io::Result<Sender<(u64, String)>> {
        let (questions, asked) = channel::<(u64, String)>();
        let (answer, event) = (self.answer.clone(), Arc::clone(&self.event));
        let mut known = BTreeMap::<String, (Instant, Result<Vec<IpAddr>, String>)>::new();
        std::thread::Builder::new()
            .name("names".to_owned())
            .spawn(move || {
                for (asker, host) in asked {
                    known.retain(|_, (since, _)| since.elapsed() < FRESH);
                    let (_, addresses) = known
                        .entry(host)
                        .or_insert_with_key(|host| (Instant::now(), ask_system(host)));
                    let addresses = addresses.clone();
                    if answer.send(Answer { asker, addresses }).is_err() {
                        return;
                    }
                    sys::eventfd_raise(event.as_fd());
                }
            })?;
        Ok(questions)
    }
}

fn ask_system(host: &str) -> Result<Vec<IpAddr>, String> {
    // The port is no part of the question.
    let found = (host, 0)
        .to_socket_addrs()
        .map_err(|error| error.to_string())?;
    Ok(found.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::host::poll::poll;

    fn names(rules: &[&str]) -> Names {
        rules
            .iter()
            .map(|rule| rule.parse::<NameRule>().unwrap())
            .collect()
    }

    fn addresses(texts: &[&str]) -> Known {
        Known::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn a_table_knows_what_it_was_given() {
        let names = names(&[
            "ProvisionServer.corp.example=127.0.0.1",
            "provisionserver.CORP.example=::1",
        ]);
        let both = addresses(&["127.0.0.1", "::1"]);
        assert_eq!(names.look_up("PROVISIONSERVER.corp.example"), both);
        assert_eq!(names.look_up("provisionserver.corp.example."), both);
        assert_eq!(names.look_up("192.0.2.1"), addresses(&["192.0.2.1"]));
        assert!(matches!(
            names.look_up("ProvisionServer"),
            Known::Unknown(_)
        ));
    }

    #[test]
    fn nobody_is_asked_unless_somebody_wants_it() {
        assert!(matches!(
            Names::default().look_up("localhost"),
            Known::Unknown(_)
        ));
        assert_eq!(names(&["system"]).look_up("localhost"), Known::Ask);
        assert_eq!(
            names(&["a=::1", "system"]).look_up("a"),
            addresses(&["::1"])
        );
    }

    #[test]
    fn the_system_answers_on_its_own_time() {
        let mut resolver = Resolver::new().unwrap();
        resolver.ask(7, "localhost".to_owned());
        poll(
            &[(resolver.as_fd(), libc::POLLIN)],
            Some(Duration::from_secs(10)),
        )
        .unwrap();
        let answer = resolver.answers().remove(0);
        assert_eq!(answer.asker, 7);
        assert!(answer.addresses.unwrap().iter().all(IpAddr::is_loopback));
    }

    #[rstest]
    #[case("system=")]
    #[case("=127.0.0.1")]
    #[case("name")]
    #[case("name=other")]
    fn other_rules(#[case] text: &str) {
        assert!(text.parse::<NameRule>().is_err());
    }
}
