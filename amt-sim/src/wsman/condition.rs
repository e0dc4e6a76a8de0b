//! When a class or an instance is there at all: the `when` words of class data.

use crate::device::{ControlMode, Firmware};

/// One word of a `when` list; all of them must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Admin control mode.
    Admin,
    /// Client control mode.
    Client,
    /// Either control mode.
    Provisioned,
    Wired,
    Wireless,
    /// `amt>=16`
    From(u16),
    /// `amt<19`
    Before(u16),
}

impl Condition {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "acm" => Self::Admin,
            "ccm" => Self::Client,
            "provisioned" => Self::Provisioned,
            "wired" => Self::Wired,
            "wireless" => Self::Wireless,
            _ => match (word.strip_prefix("amt>="), word.strip_prefix("amt<")) {
                (Some(major), _) => Self::From(major.trim().parse().ok()?),
                (_, Some(major)) => Self::Before(major.trim().parse().ok()?),
                _ => return None,
            },
        })
    }

    pub(crate) fn holds(self, fw: &Firmware) -> bool {
        let mode = fw.mode().control_mode();
        let [major, ..] = fw.profile.firmware.parts();
        match self {
            Self::Admin => mode == ControlMode::Admin,
            Self::Client => mode == ControlMode::Client,
            Self::Provisioned => mode != ControlMode::None,
            Self::Wired => fw.profile.network.wired.is_some(),
            Self::Wireless => fw.profile.network.wireless.is_some(),
            Self::From(first) => major >= first,
            Self::Before(first) => major < first,
        }
    }
}
