//! The reference agent as a program: whatever can run a real agent can be tried with it first.

use std::io::Write;

use amt_sim::host::port::NodePort;

use super::{Console, DiscoverArgs, Stop};
use crate::fact::{Feature, show};
use crate::role::agent::ReferenceAgent;
use crate::role::{Ending, WallClock, Wanted};
use crate::scenario::Outcome;

pub(super) fn discover(args: &DiscoverArgs, console: &mut Console) -> Result<u8, Stop> {
    let port = NodePort::at(&args.node);
    let agent = ReferenceAgent {
        misbehaviour: args.misbehave,
    };
    let wanted: Wanted = Feature::ALL.iter().copied().collect();
    let report = agent.discover(&port, &WallClock::default(), &wanted);
    for remark in &report.remarks {
        eprintln!("{remark}");
    }
    let out = &mut console.out;
    if args.json {
        let facts = serde_json::to_string_pretty(&report.facts).map_err(std::io::Error::from)?;
        writeln!(out, "{facts}")?;
    } else {
        for (fact, value) in &report.facts {
            match value.as_array() {
                Some(list) if list.iter().all(serde_json::Value::is_object) => {
                    writeln!(out, "{:<20}", fact.name())?;
                    for entry in list {
                        let text = |key: &str| entry.get(key).map_or(String::new(), show);
                        writeln!(
                            out,
                            "  {:<32} {} {}",
                            text("name"),
                            text("algorithm"),
                            text("hash")
                        )?;
                    }
                }
                Some(list) => {
                    let words: Vec<String> = list.iter().map(show).collect();
                    writeln!(out, "{:<20} {}", fact.name(), words.join(", "))?;
                }
                None => writeln!(out, "{:<20} {}", fact.name(), show(value))?,
            }
        }
    }
    out.flush()?;
    Ok(u8::from(report.ending != Ending::Outcome(Outcome::Done)))
}
