//! What the device made of its host: the state it put it into, and how it is to boot next.

use serde::{Deserialize, Serialize};

/// The state that the host was last put into; it holds until the device itself boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPower {
    /// As CIM_AssociatedPowerManagementService.PowerState numbers it.
    pub state: u16,
    /// `State::boots` then.
    pub boot: u64,
}

/// What SetBootConfigRole and ChangeBootOrder asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NextBoot {
    /// The boot configuration is used at the next boot.
    pub armed: bool,
    /// InstanceID of the boot source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl NextBoot {
    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}
