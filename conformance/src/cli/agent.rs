//! The reference roles as programs: whatever can run a real agent can be tried with them first.

use std::io::Write;

use amt_sim::host::port::NodePort;

use super::{AgentArgs, Console, Stop};
use crate::fact::{Facts, Feature, show};
use crate::role::agent::ReferenceAgent;
use crate::role::network::talk::{FromAgent, ToAgent, ask};
use crate::role::network::{Agent, begun, called_off};
use crate::role::setup::{Cast, Host};
use crate::role::{Ending, WallClock, Wanted};
use crate::run::Plan;
use crate::scenario::{Action, Order, Outcome};

pub(super) fn discover(args: &AgentArgs, console: &mut Console) -> Result<u8, Stop> {
    let port = NodePort::at(&args.node);
    let agent = ReferenceAgent {
        misbehaviour: args.misbehave,
    };
    let wanted: Wanted = Feature::ALL.iter().copied().collect();
    let report = agent.discover(&port, &WallClock::default(), &wanted);
    for remark in &report.remarks {
        eprintln!("{remark}");
    }
    tell(&report.facts, args.json, console)?;
    Ok(u8::from(report.ending != Ending::Outcome(Outcome::Done)))
}

/// Application, server and checker in one process, one after the other.
pub(super) fn set_up(args: &AgentArgs, console: &mut Console) -> Result<u8, Stop> {
    let host = Host {
        port: &NodePort::at(&args.node),
        clock: &WallClock::default(),
    };
    let mut cast = Cast::new(Plan::SEED, args.misbehave);
    let mut facts = Facts::new();
    let mut good = true;
    for action in [
        Action::ApplicationPrepare,
        Action::ServerIssue,
        Action::ApplicationSetupSigned,
        Action::CheckerCheck,
    ] {
        let report = cast.act(action, &Order::default(), host);
        for remark in &report.remarks {
            eprintln!("{remark}");
        }
        facts.extend(report.facts);
        good = report.ending == Ending::Outcome(Outcome::Done);
        if !good {
            break;
        }
    }
    tell(&facts, args.json, console)?;
    Ok(u8::from(!good))
}

/// The agent's part of set-up over the network, as a console would ask for it.
pub(super) fn start(otp: &str, args: &AgentArgs, console: &mut Console) -> Result<u8, Stop> {
    let otp = (!otp.is_empty()).then(|| otp.to_owned());
    answer(&ToAgent::Start { otp }, begun, args, console)
}

pub(super) fn stop(args: &AgentArgs, console: &mut Console) -> Result<u8, Stop> {
    answer(&ToAgent::Stop {}, called_off, args, console)
}

fn answer(
    question: &ToAgent,
    understand: impl Fn(&FromAgent, &mut Facts) -> Result<bool, String>,
    args: &AgentArgs,
    console: &mut Console,
) -> Result<u8, Stop> {
    let host = Host {
        port: &NodePort::at(&args.node),
        clock: &WallClock::default(),
    };
    let mut agent = Agent::new(args.misbehave).on(host);
    let mut facts = Facts::new();
    let done = ask(&mut agent, question).and_then(|answer| understand(&answer, &mut facts));
    tell(&facts, args.json, console)?;
    Ok(match done {
        Ok(good) => u8::from(!good),
        Err(why) => {
            eprintln!("{why}");
            1
        }
    })
}

pub(super) fn tell(facts: &Facts, json: bool, console: &mut Console) -> Result<(), Stop> {
    let out = &mut console.out;
    if json {
        let facts = serde_json::to_string_pretty(facts).map_err(std::io::Error::from)?;
        writeln!(out, "{facts}")?;
    } else {
        for (fact, value) in facts {
            match value.as_array() {
                Some(list) if list.iter().all(serde_json::Value::is_object) => {
                    writeln!(out, "{:<27}", fact.name())?;
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
                    writeln!(out, "{:<27} {}", fact.name(), words.join(", "))?;
                }
                None => writeln!(out, "{:<27} {}", fact.name(), show(value))?,
            }
        }
    }
    out.flush()?;
    Ok(())
}
