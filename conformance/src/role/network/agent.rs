//! The agent on the machine, as far as this flow needs one: it says what the machine is, hands the one-time password to
//! the device, and starts configuration.

use super::super::agent::ReferenceAgent;
use super::super::{Misbehaviour, Wanted};
use super::Host;
use super::talk::{FromAgent, Listener, ToAgent, reply};
use crate::fact::{Fact, Feature};
use crate::wire::Amthi;
use crate::wire::amthi::AmthiError;

/// The agent that comes with the harness.
#[derive(Debug, Clone, Copy)]
pub struct Agent {
    misbehaviour: Option<Misbehaviour>,
}

/// The agent on one machine.
#[derive(Debug)]
pub struct AgentOn<'a> {
    host: Host<'a>,
    misbehaviour: Option<Misbehaviour>,
}

impl Agent {
    pub fn new(misbehaviour: Option<Misbehaviour>) -> Self {
        Self { misbehaviour }
    }

    pub fn on<'a>(&self, host: Host<'a>) -> AgentOn<'a> {
        AgentOn {
            host,
            misbehaviour: self.misbehaviour,
        }
    }
}

impl Listener for AgentOn<'_> {
    fn answer(&mut self, line: &str) -> String {
        reply(
            line,
            |why| FromAgent::Refused { why },
            |question| match question {
                ToAgent::Identify {} => self.identify(),
                ToAgent::Start { otp } => self.start(otp.as_deref()),
                ToAgent::Stop {} => self.stop(),
            },
        )
    }
}

impl AgentOn<'_> {
    fn identify(&self) -> FromAgent {
        let agent = ReferenceAgent {
            misbehaviour: self.misbehaviour,
        };
        let wanted: Wanted = [Feature::Presence, Feature::Uuid, Feature::Version].into();
        let report = agent.discover(self.host.port, self.host.clock, &wanted);
        let text = |fact: Fact| {
            let value = report.facts.get(&fact)?;
            value.as_str().map(str::to_owned)
        };
        FromAgent::Identity {
            present: report
                .facts
                .get(&Fact::PRESENT)
                .and_then(|value| value.as_bool())
                == Some(true),
            uuid: text(Fact::UUID),
            version: text(Fact::VERSION),
        }
    }

    /// Step 7. A device that does not take the password is not started: nobody could tell later that it is the
    /// right one.
    fn start(&self, otp: Option<&str>) -> FromAgent {
        let is = |mistake| self.misbehaviour == Some(mistake);
        let mut otp_status = None;
        let mut status = None;
        let mut steps = || -> Result<(), AmthiError> {
            let mut amthi = Amthi::open(self.host.port, self.host.clock)?;
            let otp = match otp {
                Some(_) if is(Misbehaviour::AgentForgetsOtp) => None,
                None if is(Misbehaviour::AgentInventsOtp) => Some("made up by the agent"),
                otp => otp,
            };
            if is(Misbehaviour::AgentStartsFirst) {
                status = Some(amthi.start_configuration_ex(false)?);
            }
            // requirement `agent.setup.otp-to-device`
            if let Some(otp) = otp {
                let answered = amthi.set_otp(otp.as_bytes())?;
                otp_status = Some(answered);
                // requirement `agent.out-of-band.notices-refusal`
                if answered != 0 && !is(Misbehaviour::AgentStartsAnyway) {
                    return Ok(());
                }
            }
            if status.is_none() {
                status = Some(amthi.start_configuration_ex(false)?);
            }
            Ok(())
        };
        match steps() {
            Err(error) => FromAgent::Refused {
                why: error.to_string(),
            },
            Ok(()) if is(Misbehaviour::AgentHidesStatus) => FromAgent::Started {
                otp_status: otp_status.map(|_| 0),
                status: Some(0),
            },
            Ok(()) => FromAgent::Started { otp_status, status },
        }
    }

    fn stop(&self) -> FromAgent {
        let stopped = Amthi::open(self.host.port, self.host.clock)
            .and_then(|mut amthi| amthi.stop_configuration());
        match stopped {
            Ok(_) if self.misbehaviour == Some(Misbehaviour::AgentHidesStatus) => {
                FromAgent::Stopped { status: 0 }
            }
            Ok(status) => FromAgent::Stopped { status },
            Err(error) => FromAgent::Refused {
                why: error.to_string(),
            },
        }
    }
}
