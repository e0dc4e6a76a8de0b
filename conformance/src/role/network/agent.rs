//! The agent on the machine, as far as this flow needs one: it says what the machine is, hands the one-time password to
//! the device, and starts configuration.

use std::time::Duration;

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
    /// How often something is tried that the link did not let through.
    const TRIES: u32 = 3;
    const PAUSE: Duration = Duration::from_secs(1);

    fn is(&self, misbehaviour: Misbehaviour) -> bool {
        self.misbehaviour == Some(misbehaviour)
    }

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

    /// Step 7, over a link that may fail now and then.
    ///
    /// requirement `agent.out-of-band.lost-start`: who gets no answer does not know whether the device was started. It is
    /// called off and asked once more, so that what is said in the end is so.
    fn start(&self, otp: Option<&str>) -> FromAgent {
        let mut tries = Self::TRIES;
        loop {
            let begun = self.begin(otp);
            tries -= 1;
            match begun {
                Ok(started) => return started,
                Err(error) => {
                    let gives_up = self.is(Misbehaviour::AgentGivesUpOnLostAnswer);
                    let called_off = gives_up || self.call_off();
                    if tries == 0 || gives_up || !called_off {
                        return FromAgent::Refused {
                            why: error.to_string(),
                        };
                    }
                }
            }
        }
    }

    /// Stops what may have begun without anybody's hearing of it. Whether the device can be asked at all.
    fn call_off(&self) -> bool {
        const IN: u32 = 1;
        for _ in 0..Self::TRIES {
            self.host.clock.pause(Self::PAUSE);
            let looked = Amthi::open(self.host.port, self.host.clock).and_then(|mut amthi| {
                match amthi.provisioning_state()? {
                    IN => amthi.stop_configuration().map(|_| ()),
                    _ => Ok(()),
                }
            });
            if looked.is_ok() {
                return true;
            }
        }
        false
    }

    /// Both commands, once. A device that does not take the password is not started: nobody could tell later that it is
    /// the right one.
    fn begin(&self, otp: Option<&str>) -> Result<FromAgent, AmthiError> {
        let mut otp_status = None;
        let mut status = None;
        let mut amthi = Amthi::open(self.host.port, self.host.clock)?;
        let otp = match otp {
            Some(_) if self.is(Misbehaviour::AgentForgetsOtp) => None,
            None if self.is(Misbehaviour::AgentInventsOtp) => Some("made up by the agent"),
            otp => otp,
        };
        if self.is(Misbehaviour::AgentStartsFirst) {
            status = Some(amthi.start_configuration_ex(false)?);
        }
        // requirement `agent.setup.otp-to-device`
        if let Some(otp) = otp {
            otp_status = Some(amthi.set_otp(otp.as_bytes())?);
        }
        // requirement `agent.out-of-band.notices-refusal`
        let goes_on = otp_status.unwrap_or(0) == 0 || self.is(Misbehaviour::AgentStartsAnyway);
        if status.is_none() && goes_on {
            status = Some(amthi.start_configuration_ex(false)?);
        }
        Ok(match self.is(Misbehaviour::AgentHidesStatus) {
            true => FromAgent::Started {
                otp_status: otp_status.map(|_| 0),
                status: Some(0),
            },
            false => FromAgent::Started { otp_status, status },
        })
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
