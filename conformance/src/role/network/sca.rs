//! The SCA: knows from the console which machines to expect, hears Hello messages, and sets up what it was told to.
//!
//! A Hello is proof of nothing, so that it decides nothing but when to look: which machine is set up, and by which
//! one-time password, is the console's word. The work itself is in [`sca_session`](super::sca_session).

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use amt_sim::device::Seed;

use super::hello::{Hello, HelloError, HelloReader, Leniency};
use super::sca_session::{Session, Stop};
use super::talk::{FromSca, JobState, Listener, ToSca, reply};
use super::{Delivery, Field};
use crate::role::Misbehaviour;
use crate::role::certificates::{CertificateForm, Identity};
use crate::scenario::Order;

/// The SCA that comes with the harness.
#[derive(Debug)]
pub struct Sca {
    pub(super) seed: Seed,
    misbehaviour: Option<Misbehaviour>,
    patience: Duration,
    /// By UUID as text.
    machines: BTreeMap<String, Machine>,
    /// Hello messages that were accepted and not acted on yet.
    queue: VecDeque<Job>,
    /// Set up, but not seen again yet.
    committed: VecDeque<Job>,
}

/// What the SCA knows of one machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) otp: Option<String>,
    pub(super) state: JobState,
    pub(super) why: Option<String>,
    /// The certificate that the machine was given, DER.
    pub(super) certificate: Option<Vec<u8>>,
}

/// One machine to set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub uuid: String,
    pub address: IpAddr,
}

/// What came of one job.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub job: Job,
    pub result: Result<(), Stop>,
}

/// Why a Hello leads to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotHeard {
    #[error("this is no Hello: {0}")]
    Malformed(#[from] HelloError),
    #[error("nobody ordered {0}")]
    Unknown(String),
    #[error("{0} is being set up already")]
    AtWork(String),
    #[error("{0} is set up already")]
    Done(String),
    #[error("{0} knows no root of ours, so that it would not believe us")]
    NoRoot(String),
}

impl NotHeard {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unknown(_) => "unknown",
            Self::AtWork(_) => "at-work",
            Self::Done(_) => "done",
            Self::NoRoot(_) => "no-root",
        }
    }
}

impl Sca {
    pub fn new(seed: Seed, misbehaviour: Option<Misbehaviour>) -> Self {
        Self {
            seed,
            misbehaviour,
            patience: Session::PATIENCE,
            machines: BTreeMap::new(),
            queue: VecDeque::new(),
            committed: VecDeque::new(),
        }
    }

    /// How long a machine may be silent.
    pub fn patient_for(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn is(&self, mistake: Misbehaviour) -> bool {
        self.misbehaviour == Some(mistake)
    }

    /// How far it is with one machine, and why it stopped.
    pub fn state(&self, uuid: &str) -> (JobState, Option<String>) {
        match self.machines.get(uuid) {
            None => (JobState::Unknown, None),
            Some(machine) => (machine.state, machine.why.clone()),
        }
    }

    /// One connection to its port, from beginning to end. What is accepted waits for [`Sca::work`].
    pub fn hear(&mut self, call: &Delivery) -> Result<Job, NotHeard> {
        let mut reader = HelloReader::default();
        for piece in &call.pieces {
            // requirement `sca.hello.any-pieces`
            reader.push(piece)?;
            if self.is(Misbehaviour::ScaFirstSegmentOnly) {
                break;
            }
        }
        let lenient = Leniency {
            any_version: self.is(Misbehaviour::ScaAnyVersion),
            lax: self.is(Misbehaviour::ScaLaxHello),
        };
        let hello = reader.finish(lenient)?;
        let uuid = hello.uuid.to_string();
        // requirement `sca.hello.unknown-device`
        if !self.machines.contains_key(&uuid) && self.is(Misbehaviour::ScaTakesAnybody) {
            self.expect(uuid.clone(), None);
        }
        // requirement `sca.hello.root-match`
        if !self.has_root_for(&hello) && !self.is(Misbehaviour::ScaIgnoresRootList) {
            return Err(NotHeard::NoRoot(uuid));
        }
        let twice = self.is(Misbehaviour::ScaTakesDuplicates);
        let again = self.is(Misbehaviour::ScaStartsAgain);
        let Some(machine) = self.machines.get_mut(&uuid) else {
            return Err(NotHeard::Unknown(uuid));
        };
        match machine.state {
            // requirement `sca.hello.duplicate`
            JobState::AtWork if !twice => return Err(NotHeard::AtWork(uuid)),
            // requirement `sca.hello.replay`
            JobState::Configured if !again => return Err(NotHeard::Done(uuid)),
            _ => {}
        }
        machine.state = JobState::AtWork;
        let job = Job {
            uuid,
            address: call.from,
        };
        self.queue.push_back(job.clone());
        Ok(job)
    }

    fn has_root_for(&self, hello: &Hello) -> bool {
        let identity = Identity::of(CertificateForm::Good);
        identity.is_ok_and(|identity| {
            let root = identity.chain.last();
            root.is_some_and(|root| hello.knows(root))
        })
    }

    fn expect(&mut self, uuid: String, otp: Option<String>) {
        let machine = Machine {
            otp,
            state: JobState::Waiting,
            why: None,
            certificate: None,
        };
        self.machines.insert(uuid, machine);
    }

    /// Sets up everything that waits, up to CommitChanges.
    pub fn work(&mut self, field: Field<'_>, order: &Order) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        while let Some(mut work) = self.begin() {
            let result = work.configure(field, order);
            verdicts.push(self.configured(work, result));
        }
        verdicts
    }

    /// Sees every machine again that was set up, by the login that it was given.
    pub fn come_back(&mut self, field: Field<'_>) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        while let Some(mut work) = self.begin_return() {
            let result = work.come_back(field);
            verdicts.push(self.managed(work, result));
        }
        verdicts
    }

    /// The next machine to set up. What is done about it is apart from everything else, so that it can be done
    /// elsewhere while more Hello messages come.
    pub fn begin(&mut self) -> Option<Work> {
        let job = self.queue.pop_front()?;
        self.take_up(job)
    }

    /// What came of it.
    pub fn configured(&mut self, work: Work, result: Result<(), Stop>) -> Verdict {
        if result.is_ok() {
            self.committed.push_back(work.job.clone());
        }
        self.note(work, result, JobState::AtWork)
    }

    /// The next machine to come back to.
    pub fn begin_return(&mut self) -> Option<Work> {
        let job = self.committed.pop_front()?;
        self.take_up(job)
    }

    /// What came of it.
    pub fn managed(&mut self, work: Work, result: Result<(), Stop>) -> Verdict {
        self.note(work, result, JobState::Configured)
    }

    fn take_up(&self, job: Job) -> Option<Work> {
        Some(Work {
            machine: self.machines.get(&job.uuid)?.clone(),
            job,
            seed: self.seed,
            patience: self.patience,
            misbehaviour: self.misbehaviour,
        })
    }

    fn note(&mut self, work: Work, result: Result<(), Stop>, good: JobState) -> Verdict {
        if let Some(machine) = self.machines.get_mut(&work.job.uuid) {
            machine.state = match result {
                Ok(()) => good,
                Err(_) => JobState::Failed,
            };
            machine.why = result.as_ref().err().map(ToString::to_string);
            machine.certificate = work.machine.certificate;
        }
        Verdict {
            job: work.job,
            result,
        }
    }
}

/// One machine, and what to do about it.
#[derive(Debug)]
pub struct Work {
    job: Job,
    machine: Machine,
    seed: Seed,
    patience: Duration,
    misbehaviour: Option<Misbehaviour>,
}

impl Work {
    /// From the first connection to CommitChanges.
    pub fn configure(&mut self, field: Field<'_>, order: &Order) -> Result<(), Stop> {
        self.session(field).configure(order)
    }

    /// After CommitChanges, by the login that the machine was given.
    pub fn come_back(&mut self, field: Field<'_>) -> Result<(), Stop> {
        self.session(field).come_back()
    }

    fn session<'a>(&'a mut self, field: Field<'a>) -> Session<'a> {
        Session {
            job: &self.job,
            machine: &mut self.machine,
            field,
            seed: self.seed,
            patience: self.patience,
            misbehaviour: self.misbehaviour,
        }
    }
}

impl Listener for Sca {
    fn answer(&mut self, line: &str) -> String {
        reply(
            line,
            |why| FromSca::Refused { why },
            |question| match question {
                ToSca::Expect { uuid, otp } => match uuid.parse::<amt_sim::Guid>() {
                    Err(_) => FromSca::Refused {
                        why: format!("{uuid:?} is no UUID"),
                    },
                    Ok(uuid) => {
                        // Whoever fills in a form has no other way to say that there is none.
                        let otp = otp.filter(|otp| !otp.is_empty());
                        self.expect(uuid.to_string(), otp);
                        FromSca::Expected {}
                    }
                },
                ToSca::Result { uuid } => {
                    let (state, why) = self.state(&uuid);
                    FromSca::State { state, why }
                }
            },
        )
    }
}
