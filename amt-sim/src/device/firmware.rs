//! What every ME client works on: profile, memory, clock, journal, rules and faults of one device.

use std::sync::Arc;

use super::fault::{Asked, Fault, FaultPoint, Faults, Occasion};
use super::identity::{Identity, LocalAccount};
use super::journal::{Event, Journal};
use super::mode::{self, Mode, ProvisioningState, Refusal, Trigger};
use super::profile::Profile;
use super::recorder::{Chance, Passage, Recorder, Traffic};
use super::rule::{Rule, Rules};
use super::seed::Seed;
use super::state::State;
use crate::time::{Instant, UnixTime};

/// The inside of one device, without its transports.
#[derive(Debug)]
pub struct Firmware {
    pub(crate) profile: Arc<Profile>,
    pub(crate) seed: Seed,
    pub(crate) identity: Identity,
    pub(crate) local_account: LocalAccount,
    pub(crate) state: State,
    pub(crate) journal: Journal,
    pub(crate) rules: Rules,
    pub(crate) faults: Faults,
    /// What goes over the device's ports, for those who ask for it.
    pub(crate) recorder: Recorder,
    /// Connections to the device's own HTTP server.
    pub(crate) web: crate::http::Runtime,
    /// Messages counted and enumerations under way.
    pub(crate) wsman: crate::wsman::Runtime,
    /// Host-based set-up as far as it has come.
    pub(crate) setup: super::setup::Runtime,
    pub(crate) now: Instant,
    /// What the real-time clock showed at power-on.
    pub(crate) clock_at_power_on: UnixTime,
    /// Set when `state` changed, for a host that keeps it in a file.
    pub(crate) dirty: bool,
}

impl Firmware {
    pub(crate) fn power_on(
        profile: Arc<Profile>,
        mut state: State,
        rules: Rules,
        faults: Faults,
        clock: UnixTime,
    ) -> Self {
        let seed = Seed(state.seed);
        state.boots += 1;
        let identity = Identity::new(&profile, seed);
        let mut firmware = Self {
            local_account: LocalAccount::at_boot(seed, state.boots),
            seed,
            identity,
            state,
            journal: Journal::default(),
            rules,
            faults,
            recorder: Recorder::default(),
            web: crate::http::Runtime::default(),
            wsman: crate::wsman::Runtime::default(),
            setup: super::setup::Runtime::default(),
            now: Instant::POWER_ON,
            clock_at_power_on: clock,
            dirty: true,
            profile,
        };
        firmware.begin();
        firmware
    }

    /// The power was gone and is back: what is in memory alone is lost. The clock has a battery.
    pub(crate) fn restart(&mut self) {
        self.state.boots += 1;
        self.local_account = LocalAccount::at_boot(self.seed, self.state.boots);
        self.web = self.web.after_power_cut();
        self.wsman = crate::wsman::Runtime::default();
        self.setup = super::setup::Runtime::default();
        self.dirty = true;
        self.begin();
    }

    /// Goes on where the saved memory says.
    fn begin(&mut self) {
        let event = Event::PowerOn {
            profile: self.profile.name.clone(),
            uuid: self.identity.uuid,
            seed: self.seed.0,
            mode: self.state.mode,
            without: self
                .rules
                .knocked_out()
                .map(|rule| rule.id().to_owned())
                .collect(),
        };
        self.record(event);
        super::setup::out_of_band::resume(self);
        super::setup::host_based_tls::resume(self);
    }

    pub(crate) fn record(&mut self, event: Event) {
        self.journal.record(self.now, event);
    }

    /// Records what happened to a connection, if anybody wants to know.
    pub(crate) fn record_traffic(&mut self, stream: u32, what: impl FnOnce() -> Passage) {
        if self.recorder.is_on() {
            self.recorder.add(Traffic {
                at: self.now,
                before: self.journal.next(),
                stream,
                what: what(),
            });
        }
    }

    /// Journals that the answer now being made rests on an assumption.
    pub(crate) fn assume(&mut self, requirement: &'static str) {
        self.record(Event::Assumed {
            requirement: requirement.to_owned(),
        });
    }

    pub(crate) fn enforced(&self, rule: Rule) -> bool {
        self.rules.enforced(rule)
    }

    /// The fault that strikes on this occasion, journaled.
    pub(crate) fn strike(&mut self, occasion: Occasion) -> Option<Fault> {
        self.recorder.add_chance(|| Chance {
            before: self.journal.next(),
            at: occasion.at,
            client: occasion.client,
            command: occasion.command,
            request: None,
        });
        let fault = self.faults.strike(occasion)?;
        Some(self.struck(fault))
    }

    /// The fault that strikes at this WS-Management request, journaled.
    pub(crate) fn strike_request(&mut self, asked: Asked<'_>) -> Option<Fault> {
        self.recorder.add_chance(|| Chance {
            before: self.journal.next(),
            at: FaultPoint::Wsman,
            client: None,
            command: None,
            request: Some(format!("{}.{}", asked.class, asked.action)),
        });
        let fault = self.faults.strike_request(asked)?;
        Some(self.struck(fault))
    }

    fn struck(&mut self, fault: Fault) -> Fault {
        self.record(Event::FaultInjected {
            fault: format!("{:?} at {:?}", fault.effect, fault.at),
        });
        fault
    }

    pub(crate) fn mode(&self) -> Mode {
        self.state.mode
    }

    /// What the real-time clock shows now.
    pub(crate) fn clock(&self) -> UnixTime {
        let unset = self.clock_at_power_on.after(self.now - Instant::POWER_ON);
        UnixTime(unset.0.saturating_add(self.state.clock_offset))
    }

    /// Changes non-volatile memory.
    pub(crate) fn remember(&mut self, change: impl FnOnce(&mut State)) {
        change(&mut self.state);
        self.dirty = true;
    }

    /// The only way to another mode: what the table says, journaled either way.
    pub(crate) fn trigger(&mut self, trigger: Trigger) -> Result<Mode, Refusal> {
        let from = self.state.mode;
        let to = self.permit(trigger)?;
        if trigger == Trigger::CommitChanges {
            self.record_setup_over_tls();
        }
        self.remember(|state| state.mode = to);
        let unprovisions = matches!(
            trigger,
            Trigger::MeiUnprovision
                | Trigger::WsmanUnprovision
                | Trigger::Mebx
                | Trigger::DisableAndClear
        );
        if unprovisions {
            let keep_dns_suffix = self.profile.capabilities.keeps_dns_suffix;
            self.remember(|state| state.forget_provisioning(keep_dns_suffix));
        }
        if trigger == Trigger::Mebx {
            self.remember(|state| state.client_mode_disabled = false);
        }
        let left_set_up = from.provisioning_state() != ProvisioningState::Pre;
        if left_set_up && to == Mode::PreProvisioning {
            self.remember(State::forget_set_up);
        }
        if unprovisions || from.control_mode() != to.control_mode() {
            self.setup.control_mode_changed();
            self.renew_configuration_nonce();
        }
        if from != to {
            self.setup.mode_changed();
        }
        // Half way, it is still the same server's set-up.
        if from != to && to != Mode::HalfAdmin {
            self.remember(|state| state.announced = None);
            self.setup.forget_server();
        }
        self.record(Event::ModeChanged { from, to, trigger });
        if from == Mode::SetupOutOfBand && to != from {
            super::setup::out_of_band::left(self, to);
        }
        if to.provisioning_state() == ProvisioningState::Post && self.state.otp.is_some() {
            self.remember(|state| state.otp = None);
        }
        Ok(to)
    }

    /// What [`Firmware::trigger`] would lead to. A refusal is journaled, nothing is changed.
    pub(crate) fn permit(&mut self, trigger: Trigger) -> Result<Mode, Refusal> {
        let mode = self.state.mode;
        mode::next(mode, trigger, &self.profile.traits(), &self.rules).inspect_err(|refusal| {
            self.journal.record(
                self.now,
                Event::ModeRefused {
                    mode,
                    trigger,
                    refusal: *refusal,
                },
            );
        })
    }
}
