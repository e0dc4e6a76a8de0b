//! The one table of every legal change of the device's mode. Nothing else changes the mode.
//!
//! ```text
//!                  StartConfiguration(Ex)           CommitChanges
//!   pre ──────────────────────────────▶ setup-out-of-band ─────────▶ admin
//!    │ ▲◀──────── StopConfiguration ──────┘  │ period elapses          ▲ ▲
//!    │ │                                     ▼                        │ │
//!    │ │                               setup-elapsed                  │ │
//!    │ └──────── StopConfiguration ─────┐                             │ │
//!    ├── StartConfigurationHBased ──▶ setup-host-based ── Commit ─────┘ │
//!    ├── Setup ──▶ client (TLS enforced: half-client ── Commit ──▶ client)
//!    │                └──────────────── UpgradeClientToAdmin ───────────┤
//!    └── AddNextCertInChain, AdminSetup (before 19) ────────────────────┘
//! ```
//! Source: provisioning part of the "Intel AMT Implementation and Reference Guide", pages "Intel AMT Device
//! Modes", "CFG_StartConfiguration", "CFG_StartConfigurationHBased", "CFG_Unprovision"; public agents where noted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{Rule, Rules};

/// Provisioning state as AMTHI 0x11 reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProvisioningState {
    /// Factory mode.
    Pre = 0,
    /// Setup mode.
    In = 1,
    /// Operational mode.
    Post = 2,
}

/// Control mode as AMTHI 0x6B reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlMode {
    None = 0,
    Client = 1,
    Admin = 2,
}

/// Everything the device can be in. A pair of states that firmware cannot show has no value here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Not provisioned, and AMT is switched off.
    Disabled,
    /// Not provisioned.
    PreProvisioning,
    /// Setup mode, legacy flow: the network interface is open or opening.
    SetupOutOfBand,
    /// Setup mode, legacy flow: the provisioning period ran out and the interface closed again.
    SetupElapsed,
    /// Setup mode, secure host-based flow: waits for one TLS client on the local port.
    SetupHostBased,
    /// Control mode is client already, but CommitChanges is still missing (TLS-enforced generations).
    HalfClient,
    /// Control mode is admin already, but CommitChanges never completed.
    HalfAdmin,
    /// Operational, client control mode.
    Client,
    /// Operational, admin control mode.
    Admin,
}

impl Mode {
    pub const ALL: [Self; 9] = [
        Self::Disabled,
        Self::PreProvisioning,
        Self::SetupOutOfBand,
        Self::SetupElapsed,
        Self::SetupHostBased,
        Self::HalfClient,
        Self::HalfAdmin,
        Self::Client,
        Self::Admin,
    ];

    pub const fn provisioning_state(self) -> ProvisioningState {
        match self {
            Self::Disabled | Self::PreProvisioning => ProvisioningState::Pre,
            Self::SetupOutOfBand
            | Self::SetupElapsed
            | Self::SetupHostBased
            | Self::HalfClient
            | Self::HalfAdmin => ProvisioningState::In,
            Self::Client | Self::Admin => ProvisioningState::Post,
        }
    }

    pub const fn control_mode(self) -> ControlMode {
        match self {
            Self::HalfClient | Self::Client => ControlMode::Client,
            Self::HalfAdmin | Self::Admin => ControlMode::Admin,
            _ => ControlMode::None,
        }
    }

    /// Whether AMT is switched on at all (bit 1 of the watchdog client's answer).
    pub const fn enabled(self) -> bool {
        !matches!(self, Self::Disabled)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::PreProvisioning => "pre-provisioning",
            Self::SetupOutOfBand => "setup (out of band)",
            Self::SetupElapsed => "setup (period elapsed)",
            Self::SetupHostBased => "setup (host-based)",
            Self::HalfClient => "client control mode, not committed",
            Self::HalfAdmin => "admin control mode, not committed",
            Self::Client => "client control mode",
            Self::Admin => "admin control mode",
        })
    }
}

/// What asks for another mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// CFG_StartConfiguration (0x29) and CFG_StartConfigurationEx (0x62).
    StartConfiguration,
    /// CFG_StartConfigurationHBased (0x8B).
    StartConfigurationHostBased,
    /// StopConfiguration (0x5E).
    StopConfiguration,
    /// Power and network, on machines whose vendor set the remote configuration timer.
    BareMetal,
    /// The provisioning period ran out.
    PeriodElapsed,
    /// The server that StartConfigurationHBased announced did not come in time.
    WaitElapsed,
    /// IPS_HostBasedSetupService.Setup.
    Setup,
    /// IPS_HostBasedSetupService.AdminSetup after a whole certificate chain.
    AdminSetup,
    /// IPS_HostBasedSetupService.UpgradeClientToAdmin after a whole certificate chain.
    UpgradeClientToAdmin,
    /// AMT_SetupAndConfigurationService.CommitChanges that completed.
    CommitChanges,
    /// CommitChanges that stopped half way: the control mode is set, the state is not.
    CommitHalted,
    /// CFG_Unprovision (0x10) over MEI.
    MeiUnprovision,
    /// AMT_SetupAndConfigurationService.Unprovision or PartialUnprovision.
    WsmanUnprovision,
    /// CFG_DisableAndClearAMT (0x88).
    DisableAndClear,
    /// MHC_SetAmtOperationalState to disabled.
    OperationalStateOff,
    /// MHC_SetAmtOperationalState to enabled.
    OperationalStateOn,
    /// Unprovision from the firmware's set-up screen, or a cleared CMOS.
    Mebx,
}

impl Trigger {
    pub const ALL: [Self; 17] = [
        Self::StartConfiguration,
        Self::StartConfigurationHostBased,
        Self::StopConfiguration,
        Self::BareMetal,
        Self::PeriodElapsed,
        Self::WaitElapsed,
        Self::Setup,
        Self::AdminSetup,
        Self::UpgradeClientToAdmin,
        Self::CommitChanges,
        Self::CommitHalted,
        Self::MeiUnprovision,
        Self::WsmanUnprovision,
        Self::DisableAndClear,
        Self::OperationalStateOff,
        Self::OperationalStateOn,
        Self::Mebx,
    ];
}

/// What about the firmware generation decides a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// CSME 14.0 and later know StartConfigurationHBased.
    pub host_based_tls: bool,
    /// AdminSetup exists up to CSME 18.
    pub admin_setup: bool,
    /// Local ports speak TLS only, so that Setup needs a CommitChanges of its own (AMT 19 and later).
    pub local_tls_enforced: bool,
    /// The vendor set the timer for configuration without an agent.
    pub bare_metal: bool,
}

/// Why a trigger does nothing. Whoever answered it turns this into the status of its own protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Not from this mode: INVALID_AMT_MODE on AMTHI.
    #[error("not possible in this mode")]
    InvalidMode,
    /// This generation has no such thing.
    #[error("not supported by this firmware generation")]
    Unsupported,
}

/// The part of [`Traits`] that a row depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    HostBasedTls,
    AdminSetup,
    LocalTlsEnforced,
    LocalTlsOptional,
    BareMetal,
    /// Legal only while the rule that forbids it is knocked out.
    Without(Rule),
}

impl When {
    fn holds(self, traits: &Traits, rules: &Rules) -> bool {
        match self {
            Self::Always => true,
            Self::HostBasedTls => traits.host_based_tls,
            Self::AdminSetup => traits.admin_setup,
            Self::LocalTlsEnforced => traits.local_tls_enforced,
            Self::LocalTlsOptional => !traits.local_tls_enforced,
            Self::BareMetal => traits.bare_metal,
            Self::Without(rule) => !rules.enforced(rule),
        }
    }
}

/// One line of the table: in any of these modes, this trigger, under this condition, leads there.
struct Row(&'static [Mode], Trigger, When, Mode);

use Mode::{
    Admin, Client, Disabled, HalfAdmin, HalfClient, PreProvisioning, SetupElapsed, SetupHostBased,
    SetupOutOfBand,
};
use Trigger as On;

const IN_SETUP: &[Mode] = &[
    SetupOutOfBand,
    SetupElapsed,
    SetupHostBased,
    HalfClient,
    HalfAdmin,
];
const ENABLED: &[Mode] = &[
    PreProvisioning,
    SetupOutOfBand,
    SetupElapsed,
    SetupHostBased,
    HalfClient,
    HalfAdmin,
    Client,
    Admin,
];

/// Rows that only a knock-out makes legal come last, so that the first match is always the documented one.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    // Documented: refused in operational mode, and in setup mode until the period has elapsed.
    Row(&[PreProvisioning, SetupElapsed], On::StartConfiguration,          When::Always,           SetupOutOfBand),
    Row(&[PreProvisioning],               On::BareMetal,                   When::BareMetal,        SetupOutOfBand),
    Row(&[SetupOutOfBand],                On::PeriodElapsed,               When::Always,           SetupElapsed),
    // Documented from CSME 14.0; the on-die certificate behind it from 15.0.
    Row(&[PreProvisioning],               On::StartConfigurationHostBased, When::HostBasedTls,     SetupHostBased),
    // Assumed, where a profile says how long: nobody has seen how long real firmware waits.
    Row(&[SetupHostBased],                On::WaitElapsed,                 When::Always,           PreProvisioning),
    // Observed in public agents: 0 when it left setup mode, 3 when it was not in it.
    Row(IN_SETUP,                         On::StopConfiguration,           When::Always,           PreProvisioning),
    Row(&[PreProvisioning],               On::Setup,                       When::LocalTlsOptional, Client),
    Row(&[PreProvisioning],               On::Setup,                       When::LocalTlsEnforced, HalfClient),
    Row(&[PreProvisioning],               On::AdminSetup,                  When::AdminSetup,       Admin),
    Row(&[Client],                        On::UpgradeClientToAdmin,        When::Always,           Admin),
    Row(&[SetupOutOfBand, SetupHostBased, HalfAdmin], On::CommitChanges,   When::Always,           Admin),
    Row(&[HalfClient],                    On::CommitChanges,               When::Always,           Client),
    // Observed: CommitChanges on an operational device answers 0 and changes nothing here.
    Row(&[Client],                        On::CommitChanges,               When::Always,           Client),
    Row(&[Admin],                         On::CommitChanges,               When::Always,           Admin),
    Row(&[SetupHostBased, SetupOutOfBand], On::CommitHalted,               When::Always,           HalfAdmin),
    // Documented: over MEI in client control mode only.
    Row(&[Client],                        On::MeiUnprovision,              When::Always,           PreProvisioning),
    Row(&[Client, Admin, HalfClient, HalfAdmin], On::WsmanUnprovision,     When::Always,           PreProvisioning),
    Row(&[PreProvisioning],               On::DisableAndClear,             When::Always,           Disabled),
    Row(&[PreProvisioning, Disabled],     On::OperationalStateOff,         When::Always,           Disabled),
    Row(&[PreProvisioning, Disabled],     On::OperationalStateOn,          When::Always,           PreProvisioning),
    Row(ENABLED,                          On::Mebx,                        When::Always,           PreProvisioning),
    // Knock-outs.
    Row(&[PreProvisioning],               On::StopConfiguration,   When::Without(Rule::STOP_ONLY_IN_SETUP),          PreProvisioning),
    Row(&[Admin],                         On::MeiUnprovision,      When::Without(Rule::MEI_UNPROVISION_CLIENT_ONLY), PreProvisioning),
    Row(&[Client, Admin],                 On::OperationalStateOff, When::Without(Rule::OPERATIONAL_STATE_ONLY_PRE),  Disabled),
];

/// The mode that follows, or why there is none.
pub fn next(mode: Mode, trigger: Trigger, traits: &Traits, rules: &Rules) -> Result<Mode, Refusal> {
    let legal_elsewhere = |row: &&Row| row.1 == trigger && row.0.contains(&mode);
    let mut matching = TABLE.iter().filter(legal_elsewhere).peekable();
    let generation_lacks_it = matching
        .peek()
        .is_some_and(|row| !matches!(row.2, When::Without(_)));
    match matching.find(|row| row.2.holds(traits, rules)) {
        Some(row) => Ok(row.3),
        None if generation_lacks_it => Err(Refusal::Unsupported),
        None => Err(Refusal::InvalidMode),
    }
}

#[cfg(test)]
#[path = "mode_tests.rs"]
mod tests;
