//! What a device shows, taken from the device itself: the programs' output is held against this.

use amt_sim::device::{LanInterface, Mac};
use amt_sim::{Device, Preset};
use anyhow::Result;

/// One device as the programs should report it.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) device: Device,
}

/// Profile and preset of a run, as `amt-sim run` names them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) profile: &'static str,
    pub(crate) preset: &'static str,
}

/// Every generation, and every life that a device can have behind it.
pub(crate) const MACHINES: &[Machine] = &[
    Machine {
        profile: "skylake-11",
        preset: "factory",
    },
    Machine {
        profile: "cannon-lake-12",
        preset: "factory",
    },
    Machine {
        profile: "comet-lake-14",
        preset: "ccm",
    },
    Machine {
        profile: "tiger-lake-15",
        preset: "factory",
    },
    Machine {
        profile: "alder-lake-16",
        preset: "acm",
    },
    Machine {
        profile: "raptor-lake-16-wifi",
        preset: "factory",
    },
    Machine {
        profile: "meteor-lake-18",
        preset: "factory",
    },
    Machine {
        profile: "lunar-lake-20",
        preset: "factory",
    },
];

impl Expected {
    pub(crate) fn of(machine: Machine) -> Result<Self> {
        let preset = match machine.preset {
            "ccm" => Preset::Client,
            "acm" => Preset::Admin,
            _ => Preset::Factory,
        };
        // The same defaults as `amt-sim run`: seed 1.
        let device = Device::builder(machine.profile).preset(preset).build()?;
        Ok(Self { device })
    }

    pub(crate) fn wired(&self) -> Option<(&LanInterface, Mac)> {
        let lan = self.device.profile().network.wired.as_ref()?;
        Some((lan, self.device.identity().wired_mac))
    }

    pub(crate) fn wireless(&self) -> Option<(&LanInterface, Mac)> {
        let lan = self.device.profile().network.wireless.as_ref()?;
        Some((lan, self.device.identity().wireless_mac))
    }

    pub(crate) fn uuid(&self) -> String {
        self.device.identity().uuid.to_string()
    }

    /// Arguments of `amt-sim run` that make this device.
    pub(crate) fn arguments(machine: Machine) -> [&'static str; 2] {
        ["--preset", machine.preset]
    }
}
