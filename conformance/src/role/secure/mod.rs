//! The secure flow of the guide: an SCA sets the device up through its host, with nobody's network in between but the
//! agent's relay.
//!
//! ```text
//!   console ── asks for capability, UUID and version (1-4), recommends, and carries hashes (5-7)
//!     │  ▲
//!     │  └── hash of the SCA's leaf ─────────────────── SCA
//!     ▼                                                 ▲ │
//!   agent ── StartConfigurationHBased ──▶ device        │ │ TLS to 16993, both sides with certificates (9)
//!     │ ◀── hash of the on-die leaf ────────────────────┘ │
//!     └── relay: APF channels over LME ◀──────────────────┘
//! ```
//! Source: "Out of Band Remote PKI Configuration with a Local Agent", steps 1 to 9.

mod agent;
mod sca;

use amt_sim::host::local_ports::PortsError;
use serde_json::json;
use sha2::{Digest as _, Sha256, Sha384};

pub use agent::Conclusion;

use agent::{Agent, Armed};
use sca::{Commit, Sca};

use super::agent::ReferenceAgent;
use super::certificates::{CertificateError, Identity};
use super::console::ReferenceConsole;
use super::on_die::{self, Known, Lists, Publisher, Refusal, Verifier};
use super::setup::Host;
use super::{ActionReport, Ending, Misbehaviour, Wanted};
use crate::fact::{Fact, Facts, Feature};
use crate::scenario::{Announces, HalfWay, LooksFor, Order, Outcome};
use crate::wire::amthi::AmthiError;
use crate::wire::{ClientError, Steady};
use crate::words::words;

words! {
    /// How far the flow came.
    Stage {
        /// The agent found out what the console asked.
        Discovered = "discovered",
        /// The device waits for the SCA.
        Armed = "armed",
        /// The device was configured as far as CommitChanges.
        Configured = "configured",
        /// The agent has seen that the device is operational.
        Confirmed = "confirmed",
        /// The SCA came back and was let in by its password.
        Managed = "managed",
    }
}

/// Why the flow did not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    #[error(transparent)]
    Amthi(#[from] AmthiError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("nobody publishes revocation lists: {0}")]
    Publisher(#[from] PortsError),
    #[error("the device's chain is not believed: {0}")]
    Refused(Refusal),
    #[error("{method} returned {value}")]
    Method { method: &'static str, value: u64 },
    #[error("StartConfigurationHBased was answered with status {0:#x}")]
    Status(u32),
    #[error("the firmware is older than 15: the secure method is not recommended for it")]
    NotRecommended,
    #[error("CommitChanges left the device where it was, or half way")]
    NotCommitted,
    #[error("{0}")]
    Other(String),
}

/// Everybody of one story, with what each remembers from one step to the next.
#[derive(Debug)]
pub struct Cast {
    sca: Sca,
    agent: Agent,
    misbehaviour: Option<Misbehaviour>,
}

impl Cast {
    pub fn new(misbehaviour: Option<Misbehaviour>) -> Self {
        Self {
            sca: Sca::new(misbehaviour),
            agent: Agent { misbehaviour },
            misbehaviour,
        }
    }

    /// The whole flow, once.
    pub fn set_up(&mut self, order: &Order, host: Host<'_>) -> ActionReport {
        let gives_up = self.misbehaviour == Some(Misbehaviour::AgentNeverRetries);
        let steady = Steady::new(host.port).that_gives_up(gives_up);
        let host = Host {
            port: &steady,
            ..host
        };
        let mut facts = Facts::new();
        let mut remarks = Vec::new();
        let result = self.steps(order, host, &mut facts);
        let outcome = match result {
            Ok(()) => Outcome::Done,
            Err(_) => Outcome::Failed,
        };
        let conclusion = match result {
            Ok(()) => Conclusion::Activated,
            Err(trouble) => {
                remarks.push(trouble.to_string());
                if let Trouble::Refused(refusal) = trouble {
                    facts.insert(Fact::SECURE_REFUSAL, json!(refusal.to_string()));
                }
                self.give_up(host, &mut facts, &mut remarks)
            }
        };
        facts.insert(Fact::SECURE_CONCLUSION, json!(conclusion.to_string()));
        if let Err(trouble) = self.look(host, &mut facts) {
            remarks.push(format!("looking at the device: {trouble}"));
        }
        ActionReport {
            ending: Ending::Outcome(outcome),
            remarks,
            ..ActionReport::done(facts)
        }
    }

    /// What the agent does about a flow that did not go on, and what it says then.
    ///
    /// requirement `agent.secure.true-end`: where the flow stopped says nothing of the device. It may have obeyed and its
    /// answer be lost, and who cannot come back to it has set it up all the same. So the device is asked.
    fn give_up(&self, host: Host<'_>, facts: &mut Facts, remarks: &mut Vec<String>) -> Conclusion {
        let mut leave = || {
            let left = self.agent.standing(host)?;
            let never_looks = self.misbehaviour == Some(Misbehaviour::AgentNeverLooks);
            if !left.is_in_set_up() && !never_looks {
                return Ok(left);
            }
            let status = self.agent.stop(host)?;
            facts.insert(Fact::SECURE_STOP_STATUS, json!(status));
            match never_looks {
                true => Ok(agent::Standing::default()),
                false => self.agent.standing(host),
            }
        };
        match leave() {
            Ok(left) => left.conclusion(),
            Err(trouble) => {
                remarks.push(format!("leaving the device as it was: {trouble}"));
                Conclusion::Unknown
            }
        }
    }

    fn steps(&mut self, order: &Order, host: Host<'_>, facts: &mut Facts) -> Result<(), Trouble> {
        let tls_only = self.discover(host, facts)?;
        stage(facts, Stage::Discovered);
        let identity = Identity::of(order.certificate)?;
        let algorithm = u8::try_from(order.algorithm).unwrap_or(0);
        let announced = self.own_hash(&identity, algorithm, order.announces);
        let hardware = match order.looks_for {
            LooksFor::Chain => None,
            _ => self.agent.hardware_id(host)?,
        };
        let told = match self.agent.arm(host, algorithm, &announced)? {
            Armed::Yes(data) => data,
            // requirement `agent.setup.stop-on-status`
            Armed::No(status) => {
                facts.insert(Fact::AMTHI_STATUS, json!(status));
                return Err(Trouble::Status(status));
            }
        };
        facts.insert(Fact::SECURE_ARMED, json!(true));
        stage(facts, Stage::Armed);
        let told = match self.misbehaviour {
            Some(Misbehaviour::AgentConnectsAnyway) if told.is_empty() => {
                [&[2][..], &[0xff; 32], &[0; 32]].concat()
            }
            _ => told,
        };
        let told = self.sca.hear(&told)?;
        let publisher = match order.looks_for {
            LooksFor::Lists => Some(Publisher::start(order.lists)?),
            _ => None,
        };
        let lists = publisher
            .as_ref()
            .map(|publisher| Lists::of(publisher.address()));
        let known = Known::of(order.anchors);
        let verifier = Verifier {
            told: Some(told),
            root: known.root,
            authorities: known.authorities,
            hardware,
            lists,
            now: on_die::now(host.clock),
            misbehaviour: self.misbehaviour,
        };
        let commit = self
            .sca
            .configure(host, &identity, verifier.clone(), order.mebx)?;
        stage(facts, Stage::Configured);
        if let Commit::Answered(value @ 1..) = commit {
            return Err(Trouble::Method {
                method: "CommitChanges",
                value,
            });
        }
        let mut confirmed = self.agent.confirm(host, commit == Commit::Answered(0))?;
        if !confirmed && order.half_way == HalfWay::Commits {
            let commit = self.sca.commit_again(host, &identity, verifier)?;
            confirmed = self.agent.confirm(host, commit == Commit::Answered(0))?;
        }
        if !confirmed {
            return Err(Trouble::NotCommitted);
        }
        stage(facts, Stage::Confirmed);
        if self.misbehaviour != Some(Misbehaviour::AgentTakesLossForSuccess) {
            self.sca.manage(host, tls_only)?;
            stage(facts, Stage::Managed);
        }
        Ok(())
    }

    /// Steps 1 to 4. Says whether local ports speak TLS only.
    fn discover(&self, host: Host<'_>, facts: &mut Facts) -> Result<bool, Trouble> {
        let features = [
            Feature::Presence,
            Feature::Uuid,
            Feature::Version,
            Feature::LocalTls,
        ];
        let wanted: Wanted = features.into_iter().collect();
        let found = ReferenceAgent::default().discover(host.port, host.clock, &wanted);
        let mut found = found.facts;
        ReferenceConsole::default().recommend(&mut found);
        let secure = found.get(&Fact::RECOMMENDATION) == Some(&json!("secure-host-based"));
        let tls_only = found.get(&Fact::LOCAL_TLS_ENFORCED) == Some(&json!(true));
        facts.extend(found);
        // requirement `agent.setup.secure-command`
        if !secure && self.misbehaviour != Some(Misbehaviour::AgentArmsOldFirmware) {
            return Err(Trouble::NotRecommended);
        }
        Ok(tls_only)
    }

    /// Step 5: what the SCA sends down for the device.
    fn own_hash(&self, identity: &Identity, algorithm: u8, announces: Announces) -> Vec<u8> {
        // requirement `agent.setup.leaf-hash`
        let of_root = self.misbehaviour == Some(Misbehaviour::AgentSendsRootHash);
        let der = match identity.chain.last() {
            Some(root) if of_root || announces == Announces::Other => root,
            _ => identity.leaf(),
        };
        match algorithm {
            3 => Sha384::digest(der).to_vec(),
            _ => Sha256::digest(der).to_vec(),
        }
    }

    /// Mode and state, as the device tells them now.
    fn look(&self, host: Host<'_>, facts: &mut Facts) -> Result<(), Trouble> {
        let standing = self.agent.standing(host)?;
        facts.insert(Fact::CONTROL_MODE, json!(standing.control_mode_word()));
        facts.insert(Fact::PROVISIONING_STATE, json!(standing.state_word()));
        Ok(())
    }
}

fn stage(facts: &mut Facts, stage: Stage) {
    facts.insert(Fact::SECURE_STAGE, json!(stage.to_string()));
}
