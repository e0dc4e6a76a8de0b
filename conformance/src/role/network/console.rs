//! The management console: asks the agent what the machine is, makes a one-time password for it, tells the SCA what to
//! expect, and lets the agent begin.

use amt_sim::device::Seed;
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
    other_otp: Option<String>,
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
            other_otp: None,
        }
    }

    /// UUIDs of the machines that were ordered.
    pub fn machines(&self) -> &[String] {
        &self.machines
    }

    /// The one-time password of the machine at hand, as the SCA knows it.
    pub(super) fn otp(&self) -> Option<&str> {
        self.otp.as_deref()
    }

    /// The machine that stays in its box, and its one-time password.
    pub(super) fn other_machine_ordered(&self) -> Option<(&str, Option<&str>)> {
        let uuid = self.machines.get(1)?;
        Some((uuid, self.other_otp.as_deref()))
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
        for (uuid, otp) in [(&uuid, for_sca.clone()), (&other, other_otp.clone())] {
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
        self.other_otp = other_otp;
        Ok(())
    }

    /// Step 7: the agent may begin. Whether it did is what it says.
    pub fn start(&mut self, agent: &mut dyn Listener, facts: &mut Facts) -> Result<bool, String> {
        let otp = self.for_agent.clone();
        match ask(agent, &ToAgent::Start { otp })? {
            FromAgent::Started { otp_status, status } => {
                if let Some(status) = otp_status {
                    facts.insert(Fact::AGENT_OTP_STATUS, json!(status));
                }
                if let Some(status) = status {
                    facts.insert(Fact::AGENT_START_STATUS, json!(status));
                }
                let good = otp_status.unwrap_or(0) == 0 && status == Some(0);
                Ok(good)
            }
            FromAgent::Refused { why } => Err(format!("the agent: {why}")),
            _ => Err("the agent answered something else".to_owned()),
        }
    }

    /// Calls it off.
    pub fn stop(&mut self, agent: &mut dyn Listener, facts: &mut Facts) -> Result<bool, String> {
        match ask(agent, &ToAgent::Stop {})? {
            FromAgent::Stopped { status } => {
                facts.insert(Fact::AGENT_STOP_STATUS, json!(status));
                Ok(status == 0)
            }
            FromAgent::Refused { why } => Err(format!("the agent: {why}")),
            _ => Err("the agent answered something else".to_owned()),
        }
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
