//! The mode table against the documents, row by row, and against a second, simpler model.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use rstest::rstest;

use super::*;

const BEFORE_19: Traits = Traits {
    host_based_tls: true,
    admin_setup: true,
    local_tls_enforced: false,
    bare_metal: false,
};
const FROM_19: Traits = Traits {
    admin_setup: false,
    local_tls_enforced: true,
    ..BEFORE_19
};
const BEFORE_14: Traits = Traits {
    host_based_tls: false,
    ..BEFORE_19
};

#[rstest]
#[case::legacy_flow(PreProvisioning, On::StartConfiguration, Ok(SetupOutOfBand))]
#[case::legacy_flow_twice(SetupOutOfBand, On::StartConfiguration, Err(Refusal::InvalidMode))]
#[case::again_after_the_period(SetupElapsed, On::StartConfiguration, Ok(SetupOutOfBand))]
#[case::never_when_operational(Client, On::StartConfiguration, Err(Refusal::InvalidMode))]
#[case::never_when_operational(Admin, On::StartConfiguration, Err(Refusal::InvalidMode))]
#[case::not_while_host_based(SetupHostBased, On::StartConfiguration, Err(Refusal::InvalidMode))]
#[case::host_based(PreProvisioning, On::StartConfigurationHostBased, Ok(SetupHostBased))]
#[case::host_based_twice(
    SetupHostBased,
    On::StartConfigurationHostBased,
    Err(Refusal::InvalidMode)
)]
#[case::stop(SetupOutOfBand, On::StopConfiguration, Ok(PreProvisioning))]
#[case::stop(SetupHostBased, On::StopConfiguration, Ok(PreProvisioning))]
#[case::stop(SetupElapsed, On::StopConfiguration, Ok(PreProvisioning))]
#[case::stop_when_half_way(HalfAdmin, On::StopConfiguration, Ok(PreProvisioning))]
#[case::stop_on_a_factory_device(PreProvisioning, On::StopConfiguration, Err(Refusal::InvalidMode))]
#[case::stop_when_operational(Client, On::StopConfiguration, Err(Refusal::InvalidMode))]
#[case::no_agent_no_timer(PreProvisioning, On::BareMetal, Err(Refusal::Unsupported))]
#[case::period(SetupOutOfBand, On::PeriodElapsed, Ok(SetupElapsed))]
#[case::wait(SetupHostBased, On::WaitElapsed, Ok(PreProvisioning))]
#[case::setup(PreProvisioning, On::Setup, Ok(Client))]
#[case::setup_twice(Client, On::Setup, Err(Refusal::InvalidMode))]
#[case::setup_in_setup_mode(SetupOutOfBand, On::Setup, Err(Refusal::InvalidMode))]
#[case::admin_setup(PreProvisioning, On::AdminSetup, Ok(Admin))]
#[case::admin_setup_in_setup_mode(SetupHostBased, On::AdminSetup, Err(Refusal::InvalidMode))]
#[case::upgrade(Client, On::UpgradeClientToAdmin, Ok(Admin))]
#[case::upgrade_from_nothing(PreProvisioning, On::UpgradeClientToAdmin, Err(Refusal::InvalidMode))]
#[case::commit(SetupOutOfBand, On::CommitChanges, Ok(Admin))]
#[case::commit(SetupHostBased, On::CommitChanges, Ok(Admin))]
#[case::commit_too_late(SetupElapsed, On::CommitChanges, Err(Refusal::InvalidMode))]
#[case::commit_without_setup(PreProvisioning, On::CommitChanges, Err(Refusal::InvalidMode))]
#[case::commit_half_way(SetupHostBased, On::CommitHalted, Ok(HalfAdmin))]
#[case::mei_unprovision(Client, On::MeiUnprovision, Ok(PreProvisioning))]
#[case::mei_unprovision_of_admin(Admin, On::MeiUnprovision, Err(Refusal::InvalidMode))]
#[case::mei_unprovision_of_factory(PreProvisioning, On::MeiUnprovision, Err(Refusal::InvalidMode))]
#[case::mei_unprovision_in_setup(SetupHostBased, On::MeiUnprovision, Err(Refusal::InvalidMode))]
#[case::wsman_unprovision(Admin, On::WsmanUnprovision, Ok(PreProvisioning))]
#[case::wsman_unprovision(Client, On::WsmanUnprovision, Ok(PreProvisioning))]
#[case::disable(PreProvisioning, On::DisableAndClear, Ok(Disabled))]
#[case::disable_when_operational(Client, On::DisableAndClear, Err(Refusal::InvalidMode))]
#[case::off(PreProvisioning, On::OperationalStateOff, Ok(Disabled))]
#[case::off_when_operational(Admin, On::OperationalStateOff, Err(Refusal::InvalidMode))]
#[case::on(Disabled, On::OperationalStateOn, Ok(PreProvisioning))]
#[case::nothing_while_disabled(Disabled, On::StartConfiguration, Err(Refusal::InvalidMode))]
#[case::nothing_while_disabled(Disabled, On::Setup, Err(Refusal::InvalidMode))]
#[case::mebx(Admin, On::Mebx, Ok(PreProvisioning))]
fn before_19(#[case] mode: Mode, #[case] on: Trigger, #[case] expected: Result<Mode, Refusal>) {
    assert_eq!(next(mode, on, &BEFORE_19, &Rules::default()), expected);
}

#[rstest]
#[case::setup_needs_a_commit(PreProvisioning, On::Setup, Ok(HalfClient))]
#[case::commit_completes_client(HalfClient, On::CommitChanges, Ok(Client))]
#[case::admin_setup_is_gone(PreProvisioning, On::AdminSetup, Err(Refusal::Unsupported))]
#[case::upgrade_stays(Client, On::UpgradeClientToAdmin, Ok(Admin))]
fn from_19(#[case] mode: Mode, #[case] on: Trigger, #[case] expected: Result<Mode, Refusal>) {
    assert_eq!(next(mode, on, &FROM_19, &Rules::default()), expected);
}

#[test]
fn before_14_there_is_no_host_based_tls() {
    let got = next(
        PreProvisioning,
        On::StartConfigurationHostBased,
        &BEFORE_14,
        &Rules::default(),
    );
    assert_eq!(got, Err(Refusal::Unsupported));
}

#[test]
fn bare_metal_needs_the_vendors_timer() {
    let traits = Traits {
        bare_metal: true,
        ..BEFORE_19
    };
    let got = next(PreProvisioning, On::BareMetal, &traits, &Rules::default());
    assert_eq!(got, Ok(SetupOutOfBand));
}

#[rstest]
#[case(Rule::STOP_ONLY_IN_SETUP, PreProvisioning, On::StopConfiguration)]
#[case(Rule::MEI_UNPROVISION_CLIENT_ONLY, Admin, On::MeiUnprovision)]
#[case(Rule::OPERATIONAL_STATE_ONLY_PRE, Client, On::OperationalStateOff)]
fn a_knocked_out_rule_no_longer_refuses(
    #[case] rule: Rule,
    #[case] mode: Mode,
    #[case] on: Trigger,
) {
    let mut rules = Rules::default();
    assert_eq!(
        next(mode, on, &BEFORE_19, &rules),
        Err(Refusal::InvalidMode)
    );
    rules.knock_out(rule.id()).unwrap();
    assert!(next(mode, on, &BEFORE_19, &rules).is_ok());
}

#[test]
fn no_pair_of_rows_competes() {
    for traits in [BEFORE_14, BEFORE_19, FROM_19] {
        for mode in Mode::ALL {
            for trigger in Trigger::ALL {
                let rows = TABLE
                    .iter()
                    .filter(|row| row.1 == trigger && row.0.contains(&mode))
                    .filter(|row| row.2.holds(&traits, &Rules::default()))
                    .count();
                assert!(rows <= 1, "{mode:?} on {trigger:?} has {rows} rows");
            }
        }
    }
}

/// The second model: three plain facts instead of one enumeration, and `if`s instead of a table.
#[derive(Debug, Clone, PartialEq)]
struct Plain {
    on: bool,
    state: u8,
    control: u8,
    network_open: bool,
    host_based: bool,
    traits: Traits,
}

impl Plain {
    fn shown(&self) -> (bool, u8, u8) {
        (self.on, self.state, self.control)
    }

    fn reset(&mut self) {
        (self.state, self.control) = (0, 0);
        (self.network_open, self.host_based) = (false, false);
    }

    fn apply(&mut self, trigger: Trigger) {
        let fresh = self.on && self.state == 0;
        match trigger {
            On::StartConfiguration | On::BareMetal => {
                let elapsed =
                    self.state == 1 && self.control == 0 && !self.network_open && !self.host_based;
                let allowed = match trigger {
                    On::BareMetal => fresh && self.traits.bare_metal,
                    _ => fresh || elapsed,
                };
                if allowed {
                    (self.state, self.network_open) = (1, true);
                }
            }
            On::StartConfigurationHostBased if fresh && self.traits.host_based_tls => {
                (self.state, self.host_based) = (1, true);
            }
            On::StopConfiguration if self.state == 1 => self.reset(),
            On::WaitElapsed if self.state == 1 && self.control == 0 && self.host_based => {
                self.reset()
            }
            On::PeriodElapsed if self.state == 1 && self.control == 0 => self.network_open = false,
            On::Setup if fresh => {
                self.control = 1;
                self.state = if self.traits.local_tls_enforced { 1 } else { 2 };
            }
            On::AdminSetup if fresh && self.traits.admin_setup => {
                (self.state, self.control) = (2, 2)
            }
            On::UpgradeClientToAdmin if self.state == 2 && self.control == 1 => self.control = 2,
            On::CommitChanges if self.state == 1 => {
                if self.control == 0 && (self.network_open || self.host_based) {
                    self.control = 2;
                }
                if self.control != 0 {
                    self.state = 2;
                    (self.network_open, self.host_based) = (false, false);
                }
            }
            On::CommitHalted
                if self.state == 1
                    && self.control == 0
                    && (self.network_open || self.host_based) =>
            {
                self.control = 2;
                (self.network_open, self.host_based) = (false, false);
            }
            On::MeiUnprovision if self.state == 2 && self.control == 1 => self.reset(),
            On::WsmanUnprovision if self.control != 0 => self.reset(),
            On::DisableAndClear if fresh => self.on = false,
            On::OperationalStateOff if self.state == 0 => self.on = false,
            On::OperationalStateOn if self.state == 0 => self.on = true,
            On::Mebx if self.on => self.reset(),
            _ => {}
        }
    }
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Plain;
    type Transition = Trigger;

    fn init_state() -> BoxedStrategy<Plain> {
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(
                |(host_based_tls, admin_setup, local_tls_enforced, bare_metal)| Plain {
                    on: true,
                    state: 0,
                    control: 0,
                    network_open: false,
                    host_based: false,
                    traits: Traits {
                        host_based_tls,
                        admin_setup,
                        local_tls_enforced,
                        bare_metal,
                    },
                },
            )
            .boxed()
    }

    fn transitions(_: &Plain) -> BoxedStrategy<Trigger> {
        prop::sample::select(Trigger::ALL.to_vec()).boxed()
    }

    fn apply(mut state: Plain, trigger: &Trigger) -> Plain {
        state.apply(*trigger);
        state
    }
}

struct TableUnderTest {
    mode: Mode,
    traits: Traits,
}

impl StateMachineTest for TableUnderTest {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(plain: &Plain) -> Self {
        Self {
            mode: PreProvisioning,
            traits: plain.traits,
        }
    }

    fn apply(mut table: Self, plain: &Plain, trigger: Trigger) -> Self {
        if let Ok(mode) = next(table.mode, trigger, &table.traits, &Rules::default()) {
            table.mode = mode;
        }
        let shown = (
            table.mode.enabled(),
            table.mode.provisioning_state() as u8,
            table.mode.control_mode() as u8,
        );
        assert_eq!(shown, plain.shown(), "after {trigger:?}: {:?}", table.mode);
        table
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_table_agrees_with_the_plain_model(sequential 1..40 => TableUnderTest);
}
