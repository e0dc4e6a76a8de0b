//! The management console: asks the agent what the machine is, makes a one-time password for it, tells the SCA what to
//! expect, and lets the agent begin.

use amt_sim::device::Seed;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::Misbehaviour;
use super::talk::{FromAgent, FromSca, Listener, ToAgent, ToSca, ask};
use crate::fact::{Fact, Facts};
use crate::scenario::OtpForm;

/// The console that comes with the harness.
#[derive(Debug)]
pub struct Console {
    seed: Seed,
    misbehaviour: Option<Misbehaviour>,
    draws: u64,
    /// Machines that were ordered: the one at hand first, then another one of the same delivery.
    machines: Vec<String>,
    /// What the agent is to be told.
    for_agent: Option<String>,
    otp: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    draws: u64,
    machines: Vec<String>,
    for_agent: Option<String>,
    otp: Option<String>,
}

/// Whoever has the console's part in a story.
pub trait Orders {
    /// Steps 1 to 6: finds out what the machine is, and tells the SCA.
    fn order(
        &mut self,
        agent: &mut dyn Listener,
        sca: &mut dyn Listener,
        form: OtpForm,
    ) -> Result<(), String>;

    /// Lets the agent begin. Whether it did is what it says.
    fn start(&mut self, agent: &mut dyn Listener, facts: &mut Facts) -> Result<bool, String>;

    /// Calls it off.
    fn stop(&mut self, agent: &mut dyn Listener, facts: &mut Facts) -> Result<bool, String>;
}

impl Orders for Console {
    fn order(
        &mut self,
        agent: &mut dyn Listener,
        sca: &mut dyn Listener,
        form: OtpForm,
    ) -> Result<(), String> {
        self.order(agent, sca, form)
    }

    fn start(&mut self, agent: &mut dyn Listener, facts: &mut Facts) -> Result<bool, String> {
        self.start(agent, facts)
    }

    fn stop(&mut self, agent: &mut dyn Listener, facts: &mut Facts) -> Result<bool, String> {
        self.stop(agent, facts)
    }
}

impl Console {
    pub fn new(seed: Seed, misbehaviour: Option<Misbehaviour>) -> Self {
        Self {
            seed,
            misbehaviour,
            draws: 0,
            machines: Vec::new(),
            for_agent: None,
            otp: None,
        }
    }

    /// What it knows, for a later run of the same console.
    pub fn memory(&self) -> String {
        let memory = Memory {
            draws: self.draws,
            machines: self.machines.clone(),
            for_agent: self.for_agent.clone(),
            otp: self.otp.clone(),
        };
        // Texts and numbers only: writing them cannot fail.
        serde_json::to_string(&memory).unwrap_or_default()
    }

    /// Takes up what it knew.
    pub fn recall(&mut self, memory: &str) -> Result<(), serde_json::Error> {
        let memory: Memory = serde_json::from_str(memory)?;
        self.draws = memory.draws;
        self.machines = memory.machines;
        self.for_agent = memory.for_agent;
        self.otp = memory.otp;
        Ok(())
    }

    /// UUIDs of the machines that were ordered.
    pub fn machines(&self) -> &[String] {
        &self.machines
    }

    /// The one-time password of the machine at hand, as the SCA knows it.
    pub(super) fn otp(&self) -> Option<&str> {
        self.otp.as_deref()
    }

    /// Steps 1 to 6, but for telling the agent to begin.
    pub fn order(
        &mut self,
        agent: &mut dyn Listener,
        sca: &mut dyn Listener,
        form: OtpForm,
    ) -> Result<(), String> {
        let uuid = match ask(agent, &ToAgent::Identify {})? {
            FromAgent::Identity {
                present: true,
                uuid: Some(uuid),
                version: Some(_),
            } => uuid,
            FromAgent::Identity { .. } => {
                return Err("the agent says that there is no AMT to set up".to_owned());
            }
            FromAgent::Refused { why } => return Err(format!("the agent: {why}")),
            _ => return Err("the agent answered something else".to_owned()),
        };
        let otp = self.draw();
        let (for_agent, for_sca) = match form {
            OtpForm::Both => (Some(otp.clone()), Some(otp)),
            OtpForm::None => (None, None),
            OtpForm::OnlySca => (None, Some(otp)),
            OtpForm::OnlyAgent => (Some(otp), None),
            OtpForm::Different => (Some(self.draw()), Some(otp)),
            OtpForm::LastLetterDiffers => {
                let mut other = otp.clone();
                let last = other.pop();
                other.push(if last == Some('x') { 'y' } else { 'x' });
                (Some(other), Some(otp))
            }
            OtpForm::Longer => (Some(format!("{otp}.")), Some(otp)),
            OtpForm::Short => (Some(otp[..7].to_owned()), Some(otp[..7].to_owned())),
            OtpForm::Long => {
                let long: String = otp.chars().cycle().take(33).collect();
                (Some(long.clone()), Some(long))
            }
        };
        // The delivery has two machines; the other one stays in its box.
        let other = self.other_machine();
        let other_otp = match self.misbehaviour {
            Some(Misbehaviour::ConsoleOneOtp) => for_sca.clone(),
            _ => for_sca.as_ref().map(|_| self.draw()),
        };
        for (uuid, otp) in [(&uuid, for_sca.clone()), (&other, other_otp)] {
            if self.misbehaviour == Some(Misbehaviour::ConsoleForgetsSca) {
                break;
            }
            let question = ToSca::Expect {
                uuid: uuid.clone(),
                otp,
            };
            match ask(sca, &question)? {
                FromSca::Expected {} => {}
                FromSca::Refused { why } => return Err(format!("the SCA: {why}")),
                FromSca::State { .. } => {
                    return Err("the SCA answered something else".to_owned());
                }
            }
        }
        self.machines = vec![uuid, other];
        self.for_agent = for_agent;
        self.otp = for_sca;
        Ok(())
    }

    /// Step 7: the agent may begin. Whether it did is what it says.
    pub fn start(&mut self, agent: &mut dyn Listener, facts: &mut Facts) -> Result<bool, String> {
        let otp = self.for_agent.clone();
        let answer = ask(agent, &ToAgent::Start { otp })?;
        begun(&answer, facts)
    }

    /// Calls it off.
    pub fn stop(&mut self, agent: &mut dyn Listener, facts: &mut Facts) -> Result<bool, String> {
        let answer = ask(agent, &ToAgent::Stop {})?;
        called_off(&answer, facts)
    }

    /// Twelve letters and digits of a kind that nobody mixes up.
    fn draw(&mut self) -> String {
        const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        self.draws += 1;
        let drawn = self.seed.bytes::<12>("one-time password", self.draws);
        let letter = |byte: u8| {
            let at = usize::from(byte) % LETTERS.len();
            LETTERS.get(at).copied().map_or('a', char::from)
        };
        drawn.into_iter().map(letter).collect()
    }

    fn other_machine(&self) -> String {
        let drawn = self.seed.bytes::<16>("another machine", 0);
        amt_sim::Guid::from_wire(drawn).to_string()
    }
}

/// What an agent says of its beginning, as facts; whether all went well.
pub fn begun(answer: &FromAgent, facts: &mut Facts) -> Result<bool, String> {
    match answer {
        FromAgent::Started { otp_status, status } => {
            if let Some(status) = otp_status {
                facts.insert(Fact::AGENT_OTP_STATUS, json!(status));
            }
            if let Some(status) = status {
                facts.insert(Fact::AGENT_START_STATUS, json!(status));
            }
            Ok(otp_status.unwrap_or(0) == 0 && *status == Some(0))
        }
        other => Err(not_understood(other)),
    }
}

/// The same of calling it off.
pub fn called_off(answer: &FromAgent, facts: &mut Facts) -> Result<bool, String> {
    match answer {
        FromAgent::Stopped { status } => {
            facts.insert(Fact::AGENT_STOP_STATUS, json!(status));
            Ok(*status == 0)
        }
        other => Err(not_understood(other)),
    }
}

fn not_understood(answer: &FromAgent) -> String {
    match answer {
        FromAgent::Refused { why } => format!("the agent: {why}"),
        _ => "the agent answered something else".to_owned(),
    }
}
