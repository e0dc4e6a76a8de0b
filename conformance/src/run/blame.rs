//! Who is wrong when a fact is not what it should be.
//!
//! The journal holds what went over the wire. Read by an honest codec, it tells a device that said something false
//! from an agent that misread something true, and both from an agent that never asked.

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
    let trouble = journal.iter().rev().find_map(|entry| {
        let note = match &entry.event {
            Event::FaultInjected { fault } => format!("the device was told to misbehave: {fault}"),
            Event::Malformed { why, .. } => {
                format!("the device took a message for malformed: {why}")
            }
            Event::UnknownCommand { id, status, .. } => {
                format!(
                    "the firmware does not know command {id:#x} and answered status {status:#x}"
                )
            }
            Event::Command { name, status, .. } if *status != 0 => {
                format!("{name} was answered with status {status:#x}")
            }
            _ => return None,
        };
        Some((entry.seq, note))
    });
    let asked = journal
        .iter()
        .any(|entry| matches!(entry.event, Event::Received { .. }));
    let (journal, note) = match trouble {
        Some((seq, note)) => (Some(seq), note),
        None if asked => (None, "the device was not asked for it".to_owned()),
        None => (None, "the device was not asked for anything".to_owned()),
    };
    Cause {
        journal,
        note: Some(note),
        ..Cause::of(party)
    }
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

    #[test]
    fn a_list_that_was_read_in_part_is_no_lie() {
        let said = json!([{"name": "A"}]);
        assert!(is_part_of(&said, &json!([{"name": "A"}, {"name": "B"}])));
        assert!(!is_part_of(&said, &json!([{"name": "B"}])));
    }
}
