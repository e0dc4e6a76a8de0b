//! The agent of the secure flow: it arms the device, lets the SCA through to it, and finds out what came of it.
//!
//! ```text
//!   hash of the SCA's leaf ──▶ StartConfigurationHBased ──▶ hash of the device's leaf, for the SCA
//!   … the SCA is at work …
//!   control mode and provisioning state: both must say that the device is operational
//!   else StopConfiguration, so that nothing is left half done
//! ```
//! Whatever happens on the way, it ends with one of three sentences: the device is set up, it is not, or nobody can
//! say. The link to the firmware may fail at every step; what changed nothing is tried again.

use std::time::Duration;

use amt_sim::host::port::PortError;

use super::Trouble;
use crate::role::Misbehaviour;
use crate::role::setup::Host;
use crate::wire::Amthi;
use crate::wire::amthi::AmthiError;
use crate::wire::upid::{self, HardwareId};
use crate::words::words;

words! {
    /// How the agent says that it ended.
    Conclusion {
        Activated = "activated",
        NotActivated = "not-activated",
        /// The firmware does not answer any more, or stays half way.
        Unknown = "unknown",
    }
}

/// What StartConfigurationHBased came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Armed {
    /// The data of the answer: algorithm and hash.
    Yes(Vec<u8>),
    /// The status.
    No(u32),
}

/// What the firmware says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    control_mode: u32,
    state: u32,
}

impl Standing {
    const IN: u32 = 1;
    const POST: u32 = 2;
    const ADMIN: u32 = 2;

    pub(super) fn is_in_set_up(self) -> bool {
        self.state == Self::IN
    }

    pub(super) fn conclusion(self) -> Conclusion {
        match (self.state, self.control_mode) {
            (Self::POST, Self::ADMIN) => Conclusion::Activated,
            (Self::IN, _) => Conclusion::Unknown,
            _ => Conclusion::NotActivated,
        }
    }

    pub(super) fn control_mode_word(self) -> &'static str {
        ["none", "ccm", "acm"]
            .get(self.control_mode as usize)
            .copied()
            .unwrap_or("none")
    }

    pub(super) fn state_word(self) -> &'static str {
        ["pre", "in", "post"]
            .get(self.state as usize)
            .copied()
            .unwrap_or("pre")
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Agent {
    pub(super) misbehaviour: Option<Misbehaviour>,
}

impl Agent {
    /// How often something is tried that the link did not let through.
    const TRIES: u32 = 3;
    const PAUSE: Duration = Duration::from_secs(1);

    fn is(self, misbehaviour: Misbehaviour) -> bool {
        self.misbehaviour == Some(misbehaviour)
    }

    /// Does something that changes nothing when it is done twice, over connections of its own.
    fn try_again<T>(
        self,
        host: Host<'_>,
        act: impl Fn(&mut Amthi) -> Result<T, AmthiError>,
    ) -> Result<T, Trouble> {
        let mut tries = Self::TRIES;
        loop {
            let result = Amthi::open(host.port, host.clock).and_then(|mut amthi| act(&mut amthi));
            tries -= 1;
            match result {
                Ok(done) => return Ok(done),
                Err(error @ AmthiError::Status { .. }) => return Err(error.into()),
                Err(error) if tries == 0 || self.is(Misbehaviour::AgentNeverRetries) => {
                    return Err(error.into());
                }
                Err(_) => host.clock.pause(Self::PAUSE),
            }
        }
    }

    pub(super) fn standing(self, host: Host<'_>) -> Result<Standing, Trouble> {
        self.try_again(host, |amthi| {
            Ok(Standing {
                control_mode: amthi.control_mode()?,
                state: amthi.provisioning_state()?,
            })
        })
    }

    /// What ties the chain to this machine; `None` where the firmware does not tell.
    pub(super) fn hardware_id(self, host: Host<'_>) -> Result<Option<HardwareId>, Trouble> {
        let mut tries = Self::TRIES;
        loop {
            tries -= 1;
            match upid::hardware_id(host.port, host.clock) {
                Ok(id) => return Ok(id),
                // There is no such client: nothing can be told.
                Err(error) if error.is(amt_sim::Errno::Enotty) => return Ok(None),
                Err(error) if tries == 0 || self.is(Misbehaviour::AgentNeverRetries) => {
                    return Err(AmthiError::Port(error).into());
                }
                Err(_) => host.clock.pause(Self::PAUSE),
            }
        }
    }

    /// Steps 5 and 7 of the page: `hash` is that of the SCA's leaf.
    pub(super) fn arm(self, host: Host<'_>, algorithm: u8, hash: &[u8]) -> Result<Armed, Trouble> {
        // What an earlier attempt left behind would be refused.
        if self.standing(host)?.is_in_set_up() {
            self.stop(host)?;
        }
        let legacy = self.is(Misbehaviour::AgentUsesLegacyStart);
        let mut tries = Self::TRIES;
        loop {
            let asked = Amthi::open(host.port, host.clock).and_then(|mut amthi| match legacy {
                true => amthi
                    .start_configuration_ex(false)
                    .map(|status| (status, Vec::new())),
                false => amthi.start_configuration_host_based(algorithm, hash),
            });
            tries -= 1;
            match asked {
                Ok((0, data)) => return Ok(Armed::Yes(data)),
                Ok((_, data)) if self.is(Misbehaviour::AgentConnectsAnyway) => {
                    return Ok(Armed::Yes(data));
                }
                Ok((status, _)) => return Ok(Armed::No(status)),
                Err(error) if tries == 0 || self.is(Misbehaviour::AgentNeverRetries) => {
                    return Err(error.into());
                }
                // The command may have got through before the link failed, and its answer is lost then: the hash is
                // not to be had any more.
                Err(_) => {
                    host.clock.pause(Self::PAUSE);
                    if self.standing(host)?.is_in_set_up() {
                        self.stop(host)?;
                    }
                }
            }
        }
    }

    /// requirement `agent.setup.verify-after-lost-reply`: what counts is what the firmware says, whatever became of the
    /// answer to CommitChanges.
    pub(super) fn confirm(self, host: Host<'_>, answered: bool) -> Result<bool, Trouble> {
        if !answered && self.is(Misbehaviour::AgentTakesLossForSuccess) {
            return Ok(true);
        }
        if !answered && self.is(Misbehaviour::AgentTakesLossForFailure) {
            return Ok(false);
        }
        for _ in 0..Self::TRIES {
            let Standing {
                control_mode,
                state,
            } = self.standing(host)?;
            let by_mode = self.is(Misbehaviour::AgentChecksModeOnly);
            if control_mode == Standing::ADMIN && (state == Standing::POST || by_mode) {
                return Ok(true);
            }
            host.clock.pause(Self::PAUSE);
        }
        Ok(false)
    }

    /// requirement `agent.setup.stop-configuration`: the status; 3 means that there was nothing to stop.
    pub(super) fn stop(self, host: Host<'_>) -> Result<u32, Trouble> {
        if self.is(Misbehaviour::AgentNeverStops) {
            return Ok(0);
        }
        self.try_again(host, Amthi::stop_configuration)
    }
}

impl From<PortError> for Trouble {
    fn from(error: PortError) -> Self {
        Self::Amthi(error.into())
    }
}
