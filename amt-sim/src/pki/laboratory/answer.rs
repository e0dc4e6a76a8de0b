//! What a device says to a specimen.

use std::fmt;

use crate::device::PeerRefusal;
use crate::pki::ChainRefusal;

/// A way of set-up in which a provisioning chain counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// IPS_HostBasedSetupService: AddNextCertInChain for every certificate, then AdminSetup or UpgradeClientToAdmin.
    Chain,
    /// StartConfigurationHBased, then TLS through the host.
    ThroughHost,
    /// StartConfiguration, then TLS over the network: PKI-CH.
    Network,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Chain, Self::ThroughHost, Self::Network];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chain => "chain",
            Self::ThroughHost => "through-host",
            Self::Network => "network",
        })
    }
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Whoever holds it sets the device up.
    Taken,
    /// So he does, and the record says that it was out of its time.
    Noted,
    Refused(PeerRefusal),
    /// The chain would do, but whoever shows it does not have its key.
    KeyNotHeld,
}

/// As the journal has it, where it is a refusal.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("taken"),
            Self::Noted => f.write_str("noted"),
            Self::Refused(why) => f.write_str(&why.word()),
            Self::KeyNotHeld => f.write_str("key-not-held"),
        }
    }
}

/// When something else than usual is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// By firmware older than this AMT version.
    Before(u16),
    Over(Way),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    usual: Verdict,
    except: &'static [(When, Verdict)],
}

impl Answer {
    pub(super) const fn always(usual: Verdict) -> Self {
        Self { usual, except: &[] }
    }

    pub(super) const fn except(self, except: &'static [(When, Verdict)]) -> Self {
        Self {
            usual: self.usual,
            except,
        }
    }

    pub(super) fn of(self, way: Way, amt: u16) -> Verdict {
        let fits = |when: When| match when {
            When::Before(version) => amt < version,
            When::Over(other) => way == other,
        };
        let exception = self.except.iter().find(|(when, _)| fits(*when));
        exception.map_or(self.usual, |(_, verdict)| *verdict)
    }
}

/// Refused for something in the chain.
pub(super) const fn refused(why: ChainRefusal) -> Verdict {
    Verdict::Refused(PeerRefusal::Chain(why))
}
