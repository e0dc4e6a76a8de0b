//! A device in your own Rust test: no process, no socket, no waiting, and verified when it goes out of scope.
//!
//! ```
//! use amt_sim::{ClientKind, Device};
//! use amt_sim::host::port::MeiPort;
//! use conformance::in_process::TestDevice;
//! use std::time::Duration;
//!
//! let device = TestDevice::new(Device::builder("tiger-lake-15").seed(7).build()?).fault("connect:amthi=EBUSY*1")?;
//! // The program under test has `&dyn MeiPort`: here it asks for the UUID, and tries again when the client is busy.
//! assert!(device.port().connect(ClientKind::Amthi.guid()).is_err());
//! let mut amthi = device.port().connect(ClientKind::Amthi.guid())?;
//! amthi.send(&[1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0])?;
//! assert_eq!(amthi.receive(Duration::from_secs(5))?.len(), 32);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Unless the test is failing already, dropping a [`TestDevice`] panics when
//!
//! - the program said something that breaks a protocol, or asked the device for what its mode does not allow;
//! - a fault that was asked for never struck: the test did not test what it meant to;
//! - an answer rests on an assumption about real firmware that the test does not allow;
//! - the device is not in the mode that the test expects.
//!
//! Time is the device's: it passes while the program waits for an answer, at once. A program that waits by itself takes
//! [`TestDevice::clock`].

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use amt_sim::device::FaultError;
use amt_sim::host::port::MeiPort;
use amt_sim::{Device, Entry, Event, Fault, Mode};

use crate::role::Clock;
use crate::run::{VirtualDevice, World};

/// One device, in virtual time.
#[derive(Debug)]
pub struct TestDevice {
    world: World,
    device: VirtualDevice,
    faults: Vec<Fault>,
    allowed: BTreeSet<String>,
    all_assumptions: bool,
    refusals: bool,
    mode: Option<Mode>,
    verified: bool,
}

impl TestDevice {
    pub fn new(device: Device) -> Self {
        let device = VirtualDevice::new(device);
        Self {
            world: World::Virtual(device.clone()),
            device,
            faults: Vec::new(),
            allowed: BTreeSet::new(),
            all_assumptions: false,
            refusals: false,
            mode: None,
            verified: false,
        }
    }

    /// The device misbehaves from here on, in the short form of `--fault`; that must take effect before the end.
    pub fn fault(mut self, fault: &str) -> Result<Self, FaultError> {
        let fault: Fault = fault.parse()?;
        self.world.arm(fault.clone());
        self.faults.push(fault);
        Ok(self)
    }

    /// Answers may rest on this assumption.
    #[must_use]
    pub fn allow_assumption(mut self, id: impl Into<String>) -> Self {
        self.allowed.insert(id.into());
        self
    }

    /// Answers may rest on any assumption.
    #[must_use]
    pub fn allow_assumptions(mut self) -> Self {
        self.all_assumptions = true;
        self
    }

    /// Being refused is part of the test: a wrong login, a trigger that the mode does not allow.
    #[must_use]
    pub fn allow_refusals(mut self) -> Self {
        self.refusals = true;
        self
    }

    /// The device must be in this mode at the end.
    #[must_use]
    pub fn expect_mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// What the program under test opens.
    pub fn port(&self) -> &dyn MeiPort {
        &self.device
    }

    /// What it waits with.
    pub fn clock(&self) -> &dyn Clock {
        &self.device
    }

    /// Time passes.
    pub fn advance(&self, time: Duration) {
        self.world.advance(time);
    }

    pub fn mode(&self) -> Mode {
        self.world.truth().mode()
    }

    /// Everything that happened so far.
    pub fn journal(&self) -> Vec<Entry> {
        self.world.journal()
    }

    /// What dropping it would complain about, for tests that want to see it.
    pub fn verify(mut self) -> Result<(), Vec<String>> {
        self.verified = true;
        let wrong = self.complaints();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn complaints(&self) -> Vec<String> {
        let journal = self.journal();
        let mut wrong: Vec<String> = journal
            .iter()
            .filter_map(|entry| {
                let why = self.finding(&entry.event)?;
                Some(format!("journal entry {}: {why}", entry.seq))
            })
            .collect();
        for fault in &self.faults {
            let shown = format!("{:?} at {:?}", fault.effect, fault.at);
            let struck = journal.iter().any(
                |entry| matches!(&entry.event, Event::FaultInjected { fault } if *fault == shown),
            );
            if !struck {
                wrong.push(format!("the fault {fault} never struck"));
            }
        }
        match self.mode {
            Some(mode) if mode != self.mode() => {
                wrong.push(format!("the device is {:?}, not {mode:?}", self.mode()));
            }
            _ => {}
        }
        wrong
    }

    fn finding(&self, event: &Event) -> Option<String> {
        match event {
            Event::Malformed { client, why } => Some(format!("malformed for {client:?}: {why}")),
            Event::HttpMalformed {
                why,
                tolerated: false,
                ..
            } => Some(format!("malformed HTTP: {why}")),
            Event::WsmanFinding { what } => Some(format!("WS-Management: {what}")),
            Event::Assumed { requirement } => {
                let allowed = self.all_assumptions || self.allowed.contains(requirement);
                (!allowed).then(|| format!("the answer rests on {requirement}"))
            }
            Event::ModeRefused { mode, trigger, .. } if !self.refusals => {
                Some(format!("{trigger:?} is not allowed while {mode:?}"))
            }
            Event::LoginRefused { user, reason, .. } if !self.refusals => {
                Some(format!("the login of {user} does not hold: {reason:?}"))
            }
            _ => None,
        }
    }
}

impl Drop for TestDevice {
    #[allow(clippy::panic, reason = "this is how a test fails")]
    fn drop(&mut self) {
        if self.verified || thread::panicking() {
            return;
        }
        let wrong = self.complaints();
        assert!(
            wrong.is_empty(),
            "the device has something to say about this test:\n  {}",
            wrong.join("\n  ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amt_sim::ClientKind;

    fn device() -> TestDevice {
        TestDevice::new(Device::builder("tiger-lake-15").build().unwrap())
    }

    fn say(device: &TestDevice, message: &[u8]) {
        let mut amthi = device.port().connect(ClientKind::Amthi.guid()).unwrap();
        amthi.send(message).unwrap();
        let _ = amthi.receive(Duration::from_secs(5));
    }

    #[test]
    fn a_good_program_has_nothing_to_fear() {
        let device = device().expect_mode(Mode::PreProvisioning);
        say(&device, &[1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0]);
    }

    #[test]
    #[should_panic(expected = "malformed")]
    fn a_wrong_length_is_noticed() {
        say(&device(), &[1, 1, 0, 0, 0x5c, 0, 0, 4, 9, 0, 0, 0]);
    }

    #[test]
    fn a_fault_that_nobody_met_is_noticed() {
        let device = device().fault("answer:lme=drop*1").unwrap();
        let wrong = device.verify().unwrap_err();
        assert_eq!(wrong, ["the fault answer:lme=drop*1 never struck"]);
    }

    #[test]
    fn an_assumption_has_to_be_allowed() {
        let unknown = [1, 1, 0, 0, 0xf0, 0, 0, 4, 0, 0, 0, 0];
        let strict = device();
        say(&strict, &unknown);
        let wrong = strict.verify().unwrap_err();
        assert!(
            wrong[0].contains("device.assumed.unknown-command-status"),
            "{wrong:?}"
        );
        let lenient = device().allow_assumption("device.assumed.unknown-command-status");
        say(&lenient, &unknown);
    }

    #[test]
    #[should_panic(expected = "PreProvisioning, not Client")]
    fn another_mode_than_expected_is_noticed() {
        let _device = device().expect_mode(Mode::Client);
    }
}
