//! A real agent in set-up over the network: what a console asks it becomes command lines.

use amt_sim::host::SharedDevice;

use super::ExternalAgent;
use crate::fact::{Fact, Facts, Feature, Value};
use crate::role::network::talk::{FromAgent, Listener, ToAgent, reply};
use crate::role::{ActionReport, Ending, Process, Wanted};
use crate::scenario::{Action, Outcome};

/// A real agent on one machine, while a console asks it.
#[derive(Debug)]
pub struct Beginning<'a> {
    agent: &'a ExternalAgent,
    device: &'a SharedDevice,
    seed: u64,
    /// Everything that it ran.
    pub processes: Vec<Process>,
    /// What it said went wrong.
    pub remarks: Vec<String>,
    /// How it ended, where it gave the console no answer for that reason.
    pub trouble: Option<Ending>,
    /// The machine that it is on, as it says.
    pub uuid: Option<String>,
}

impl<'a> Beginning<'a> {
    pub fn new(agent: &'a ExternalAgent, device: &'a SharedDevice, seed: u64) -> Self {
        Self {
            agent,
            device,
            seed,
            processes: Vec::new(),
            remarks: Vec::new(),
            trouble: None,
            uuid: None,
        }
    }

    fn answer(&mut self, question: &ToAgent) -> FromAgent {
        let report = match question {
            ToAgent::Identify {} => {
                let wanted: Wanted = [Feature::Presence, Feature::Uuid, Feature::Version].into();
                self.agent.discover(self.device, self.seed, &wanted)
            }
            ToAgent::Start { otp } => {
                let otp = otp.as_deref();
                let agent = self.agent;
                agent.set_up(Action::AgentStart, self.device, self.seed, otp)
            }
            ToAgent::Stop {} => {
                let agent = self.agent;
                agent.set_up(Action::AgentStop, self.device, self.seed, None)
            }
        };
        let ActionReport {
            ending,
            facts,
            remarks,
            processes,
            ..
        } = report;
        self.processes.extend(processes);
        let said = said(question, &facts, ending == Ending::Outcome(Outcome::Done));
        if let Some(FromAgent::Identity { uuid, .. }) = &said {
            self.uuid.clone_from(uuid);
        }
        match said {
            // It ran into the device's refusal, and told it.
            Some(said) if matches!(ending, Ending::Outcome(Outcome::Done | Outcome::Failed)) => {
                said
            }
            _ => {
                let why = remarks.first().cloned();
                let why = why.unwrap_or_else(|| "it does not say what came of it".to_owned());
                self.remarks.extend(remarks);
                self.trouble = Some(match ending {
                    // To end well and say nothing of what was asked is no answer either.
                    Ending::Outcome(Outcome::Done) => Ending::Outcome(Outcome::Failed),
                    other => other,
                });
                FromAgent::Refused { why }
            }
        }
    }
}

impl Listener for Beginning<'_> {
    fn answer(&mut self, line: &str) -> String {
        reply(
            line,
            |why| FromAgent::Refused { why },
            |question: ToAgent| self.answer(&question),
        )
    }
}

/// What these facts say to the question, if anything.
fn said(question: &ToAgent, facts: &Facts, done: bool) -> Option<FromAgent> {
    let text = |fact: Fact| Some(facts.get(&fact)?.as_str()?.to_owned());
    let number = |fact: Fact| u32::try_from(facts.get(&fact)?.as_u64()?).ok();
    match question {
        ToAgent::Identify {} => {
            let uuid = text(Fact::UUID);
            let present = facts.get(&Fact::PRESENT).and_then(Value::as_bool);
            // One that has no word for presence, but a UUID, has found a device.
            let present = present.unwrap_or(uuid.is_some());
            (done || uuid.is_some()).then(|| FromAgent::Identity {
                present,
                uuid,
                version: text(Fact::VERSION),
            })
        }
        ToAgent::Start { .. } => {
            let otp_status = number(Fact::AGENT_OTP_STATUS);
            let status = number(Fact::AGENT_START_STATUS);
            (otp_status.is_some() || status.is_some())
                .then_some(FromAgent::Started { otp_status, status })
        }
        ToAgent::Stop {} => {
            number(Fact::AGENT_STOP_STATUS).map(|status| FromAgent::Stopped { status })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(ToAgent::Start { otp: None }, "agent.start-status", Some(FromAgent::Started { otp_status: None, status: Some(3) }))]
    #[case(ToAgent::Start { otp: None }, "agent.stop-status", None)]
    #[case(ToAgent::Stop {}, "agent.stop-status", Some(FromAgent::Stopped { status: 3 }))]
    #[case(ToAgent::Identify {}, "agent.stop-status", None)]
    fn facts_become_answers(
        #[case] question: ToAgent,
        #[case] fact: &str,
        #[case] answer: Option<FromAgent>,
    ) {
        let facts = [(Fact::named(fact).unwrap(), json!(3))].into();
        assert_eq!(said(&question, &facts, false), answer);
    }

    #[test]
    fn an_agent_without_a_word_for_presence_has_found_what_it_names() {
        let uuid = "939b524b-13d4-1d18-e487-1c697a6b7a2b";
        let facts = [(Fact::UUID, json!(uuid))].into();
        let Some(FromAgent::Identity { present, .. }) = said(&ToAgent::Identify {}, &facts, true)
        else {
            panic!("no identity")
        };
        assert!(present);
    }
}
