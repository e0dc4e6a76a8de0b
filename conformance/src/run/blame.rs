//! Who is wrong when a fact is not what it should be.
//!
//! The journal holds what went over the wire. Read by an honest codec, it tells a device that said something false
//! from an agent that misread something true, and both from an agent that never asked.

use amt_sim::device::DialEnd;
use amt_sim::{Entry, Event};

use super::verdict::Blame;
use crate::fact::{Expected, Fact, Value, show};
use crate::requirement::Party;
use crate::role::agent::facts_in;

/// A party, the journal line where things went apart, and why it is that party.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) blame: Blame,
    pub(super) journal: Option<u64>,
    pub(super) note: Option<String>,
}

impl Cause {
    pub(super) fn of(party: Party) -> Self {
        Self {
            blame: match party {
                Party::Agent | Party::App => Blame::Agent,
                Party::Sca => Blame::Sca,
                Party::Console => Blame::Console,
                Party::Device => Blame::Device,
                Party::Network => Blame::Network,
            },
            journal: None,
            note: None,
        }
    }
}

/// The cause of a wrong or missing fact, from the journal of the action that should have found it.
pub(super) fn of_fact(fact: Fact, expected: &Expected, party: Party, journal: &[Entry]) -> Cause {
    let carried = facts_in(journal)
        .into_iter()
        .find(|(carried, ..)| *carried == fact);
    if let Some((_, value, seq)) = carried {
        let true_on_the_wire = expected
            .any_of
            .iter()
            .flatten()
            .any(|allowed| is_part_of(&value, allowed));
        let shown = match &value {
            Value::Array(list) => format!("a list of {}", list.len()),
            plain => show(plain),
        };
        return if true_on_the_wire {
            Cause {
                blame: Cause::of(party).blame,
                journal: Some(seq),
                note: Some(format!("the device's answer means {shown}")),
            }
        } else {
            Cause {
                blame: Blame::Device,
                journal: Some(seq),
                note: Some(format!("the device's own answer means {shown}")),
            }
        };
    }
    let trouble = journal
        .iter()
        .rev()
        .find_map(|entry| Some((entry.seq, mei_trouble(&entry.event)?)));
    let asked = journal
        .iter()
        .any(|entry| matches!(entry.event, Event::Received { .. }));
    let (journal, note) = match trouble {
        Some((seq, note)) => (Some(seq), note),
        None if asked => (None, "the device was not asked for it".to_owned()),
        None if asked_over_network(journal) => {
            let note = "it was asked over the network; its answers are in the run's sequence";
            (None, note.to_owned())
        }
        None => (None, "the device was not asked for anything".to_owned()),
    };
    Cause {
        journal,
        note: Some(note),
        ..Cause::of(party)
    }
}

fn asked_over_network(journal: &[Entry]) -> bool {
    let is_request = |entry: &Entry| matches!(entry.event, Event::HttpRequest { .. });
    journal.iter().any(is_request)
}

/// The cause of an action that ended in another way than it should, from its journal.
pub(super) fn of_outcome(ended_well: bool, party: Party, journal: &[Entry]) -> Cause {
    let found = match ended_well {
        true => taken(journal),
        false => not_got_over(journal),
    };
    let (journal, note) = found.unzip();
    Cause {
        journal,
        note,
        ..Cause::of(party)
    }
}

/// The earliest sign of the trouble that the action ended with: what it tried again in vain counts from the first
/// time, what it got over does not count.
fn not_got_over(journal: &[Entry]) -> Option<(u64, String)> {
    let mut found: Option<(u64, String)> = None;
    for entry in journal.iter().rev() {
        match (trouble(&entry.event), &found) {
            (Some(note), None) => found = Some((entry.seq, note)),
            (Some(note), Some((_, known))) if note == *known => found = Some((entry.seq, note)),
            (Some(_), Some(_)) => break,
            (None, _) => {}
        }
    }
    found
}

/// Where the device took what it should not have: the last thing that it agreed to.
fn taken(journal: &[Entry]) -> Option<(u64, String)> {
    journal.iter().rev().find_map(|entry| {
        let note = match &entry.event {
            Event::ModeChanged { from, to, .. } => {
                format!("the device went from {from:?} to {to:?}")
            }
            Event::Wsman {
                action,
                class,
                return_value: Some(0),
                ..
            } => format!("the device answered {action} of {class} with success"),
            _ => return None,
        };
        Some((entry.seq, note))
    })
}

/// What went wrong on the ME clients that a discovery asks.
fn mei_trouble(event: &Event) -> Option<String> {
    Some(match event {
        Event::FaultInjected { fault } => format!("the device was told to misbehave: {fault}"),
        Event::Malformed { why, .. } => {
            format!("the device took a message for malformed: {why}")
        }
        Event::UnknownCommand { id, status, .. } => {
            format!("the firmware does not know command {id:#x} and answered status {status:#x}")
        }
        Event::Command { name, status, .. } if *status != 0 => {
            format!("{name} was answered with status {status:#x}")
        }
        _ => return None,
    })
}

/// What went wrong anywhere, in words.
fn trouble(event: &Event) -> Option<String> {
    if let Some(found) = mei_trouble(event) {
        return Some(found);
    }
    Some(match event {
        Event::Refused {
            operation,
            errno,
            why,
            ..
        } => {
            format!("{operation:?} was refused with {errno:?}: {why}")
        }
        Event::LinkReset { cause } => format!("the MEI link was reset: {cause}"),
        Event::HungUp { client, .. } => format!("the firmware ended the connection to {client:?}"),
        Event::ChannelRefused { port, reason, .. } => {
            format!("the connection to port {port} was refused with reason {reason}")
        }
        Event::TlsFailed { why, .. } => format!("TLS failed: {why}"),
        Event::HttpMalformed {
            why,
            tolerated: false,
            ..
        } => format!("the device could not read the request: {why}"),
        Event::LoginRefused { user, reason, .. } => {
            format!("the login of {user:?} was refused: {reason:?}")
        }
        Event::Wsman {
            action,
            class,
            fault: Some(fault),
            ..
        } => format!("{action} of {class} was answered with the fault {fault}"),
        Event::Wsman {
            action,
            class,
            return_value: Some(value @ 1..),
            status,
            ..
        } => {
            let name = status.as_deref().unwrap_or("no name");
            format!("{action} of {class} returned {value} ({name})")
        }
        Event::ModeRefused { mode, trigger, .. } => {
            format!("{trigger:?} is not allowed in {mode:?}")
        }
        Event::HelloEnded {
            end: DialEnd::Failed { why },
            ..
        } => format!("nobody took the Hello message: {why}"),
        _ => return None,
    })
}

/// Whether what was said is true, as far as it was asked for: an entry that nobody read is not a lie.
fn is_part_of(said: &Value, allowed: &Value) -> bool {
    match (said, allowed) {
        (Value::Array(said), Value::Array(allowed)) => {
            said.iter().all(|entry| allowed.contains(entry))
        }
        _ => said == allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amt_sim::{ClientKind, Instant};
    use rstest::rstest;
    use serde_json::json;

    /// GetControlMode and its answer.
    fn exchange(mode: u8, status: u8) -> Vec<Entry> {
        let request = vec![1, 1, 0, 0, 0x6b, 0, 0, 4, 0, 0, 0, 0];
        let mut answer = vec![1, 1, 0, 0, 0x6b, 0, 0x80, 4, 8, 0, 0, 0, status, 0, 0, 0];
        answer.extend([mode, 0, 0, 0]);
        let (handle, client) = (1, ClientKind::Amthi);
        let events = [
            Event::Received {
                handle,
                client,
                bytes: request,
            },
            Event::Command {
                client,
                name: "GetControlMode".into(),
                id: 0x0400_006b,
                status: status.into(),
            },
            Event::Sent {
                handle,
                client,
                bytes: answer,
            },
        ];
        let entry = |(seq, event)| Entry {
            seq,
            at: Instant::POWER_ON,
            event,
        };
        (10..).zip(events).map(entry).collect()
    }

    #[rstest]
    #[case::the_device_lies(
        exchange(2, 0),
        Blame::Device,
        Some(12),
        "the device's own answer means acm"
    )]
    #[case::the_agent_misreads(
        exchange(1, 0),
        Blame::Agent,
        Some(12),
        "the device's answer means ccm"
    )]
    #[case::it_was_refused(
        exchange(0, 1),
        Blame::Agent,
        Some(11),
        "GetControlMode was answered with status 0x1"
    )]
    #[case::nobody_asked(
        Vec::new(),
        Blame::Agent,
        None,
        "the device was not asked for anything"
    )]
    fn who_is_wrong(
        #[case] journal: Vec<Entry>,
        #[case] blame: Blame,
        #[case] seq: Option<u64>,
        #[case] note: &str,
    ) {
        let expected = Expected {
            any_of: vec![Some(json!("ccm"))],
        };
        let cause = of_fact(Fact::CONTROL_MODE, &expected, Party::Agent, &journal);
        assert_eq!((cause.blame, cause.journal), (blame, seq));
        assert_eq!(cause.note.as_deref(), Some(note));
    }

    fn entries(events: Vec<Event>) -> Vec<Entry> {
        let entry = |(seq, event)| Entry {
            seq,
            at: Instant::POWER_ON,
            event,
        };
        (1..).zip(events).map(entry).collect()
    }

    fn busy() -> Event {
        Event::FaultInjected {
            fault: "EBUSY".into(),
        }
    }

    fn answered(return_value: u32) -> Event {
        Event::Wsman {
            user: "admin".into(),
            action: "Setup".into(),
            class: "IPS_HostBasedSetupService".into(),
            return_value: Some(return_value),
            status: None,
            fault: None,
        }
    }

    #[rstest]
    #[case::from_the_first_try(vec![answered(0), busy(), busy(), busy()], false, Some(2))]
    #[case::what_it_got_over(vec![busy(), answered(0), answered(5)], false, Some(3))]
    #[case::nothing_went_wrong(vec![answered(0)], false, None)]
    #[case::it_was_taken(vec![answered(5), answered(0)], true, Some(2))]
    #[case::nothing_was_taken(vec![answered(5)], true, None)]
    fn where_an_action_went_apart(
        #[case] events: Vec<Event>,
        #[case] ended_well: bool,
        #[case] seq: Option<u64>,
    ) {
        let cause = of_outcome(ended_well, Party::Sca, &entries(events));
        assert_eq!((cause.blame, cause.journal), (Blame::Sca, seq));
        assert_eq!(cause.note.is_some(), seq.is_some());
    }

    #[test]
    fn a_list_that_was_read_in_part_is_no_lie() {
        let said = json!([{"name": "A"}]);
        assert!(is_part_of(&said, &json!([{"name": "A"}, {"name": "B"}])));
        assert!(!is_part_of(&said, &json!([{"name": "B"}])));
    }
}
