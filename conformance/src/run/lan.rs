//! The network around a device in virtual time: carries its Hello messages to the SCA, and the SCA's connections to
//! whoever has the device's address.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amt_sim::device::{DialEnd, Interface, LanInterface};
use amt_sim::{Device, Profile};

use serde_json::json;

use super::observe::Observed;
use super::world::VirtualDevice;
use crate::fact::{Fact, Facts};
use crate::role::Clock;
use crate::role::network::{Delivery, Lan, Machine};
use crate::wire::{Dialer, Pipe, PipeError};

/// One network segment with one device, and perhaps another machine in its place.
#[derive(Debug)]
pub struct VirtualLan {
    device: VirtualDevice,
    profile: Arc<Profile>,
    seed: u64,
    address: IpAddr,
    stand_in: Mutex<Option<VirtualDevice>>,
    /// Connections to addresses where nobody is.
    elsewhere: AtomicU64,
    /// Writes to the stand-in before the SCA came.
    writes_of_stranger: AtomicU64,
}

impl VirtualLan {
    pub fn new(device: VirtualDevice, profile: Profile, seed: u64) -> Self {
        let network = &profile.network;
        let address = |lan: &LanInterface| lan.address;
        let address = network.wired.as_ref().map(address);
        let address = address.filter(|address| !address.is_unspecified());
        let address = address.unwrap_or(Ipv4Addr::new(192, 0, 2, 1));
        Self {
            device,
            profile: Arc::new(profile),
            seed,
            address: address.into(),
            stand_in: Mutex::default(),
            elsewhere: AtomicU64::new(0),
            writes_of_stranger: AtomicU64::new(0),
        }
    }

    fn stand_in(&self) -> MutexGuard<'_, Option<VirtualDevice>> {
        self.stand_in.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the network saw: whom the SCA called, and what it did to the machine in the device's place.
    pub fn tell(&self, facts: &mut Facts) {
        let held = self.stand_in();
        let journal = held.as_ref().map_or(Vec::new(), VirtualDevice::journal);
        let before = self.writes_of_stranger.load(Ordering::Relaxed);
        let writes = Observed::of(&journal).writes() - before;
        facts.insert(Fact::STRANGER_WRITES, json!(writes));
        let calls = self.elsewhere.load(Ordering::Relaxed);
        facts.insert(Fact::STRANGER_CALLS, json!(calls));
    }

    /// What the stranger himself did to that machine counts no more.
    pub fn forgive_stranger(&self) {
        let held = self.stand_in();
        let journal = held.as_ref().map_or(Vec::new(), VirtualDevice::journal);
        let writes = Observed::of(&journal).writes();
        self.writes_of_stranger.store(writes, Ordering::Relaxed);
    }
}

impl Lan for VirtualLan {
    fn next_call(&self, limit: Duration) -> Option<Delivery> {
        let device = &self.device;
        let end = Clock::now(device) + limit;
        loop {
            // Later ones stay with the device until somebody waits for them.
            if let Some(dial) = device.take_dial() {
                let to = dial.hosts.first().cloned().unwrap_or_default();
                let to = format!("{to}:{}", dial.port);
                device.dial_ended(dial.id, DialEnd::Sent { to });
                return Some(Delivery {
                    from: self.address,
                    pieces: vec![dial.bytes],
                });
            }
            let left = end.saturating_sub(Clock::now(device));
            if !device.pass_to_next_wake(left) {
                return None;
            }
        }
    }

    fn dialer(&self, to: IpAddr) -> Box<dyn Dialer + '_> {
        if to != self.address {
            return Box::new(Nobody(&self.elsewhere));
        }
        let held = self.stand_in();
        let there = held.as_ref().unwrap_or(&self.device);
        Box::new(there.dialer(Interface::Network))
    }

    fn device_address(&self) -> IpAddr {
        self.address
    }

    fn place_stand_in(&self) -> Option<Box<dyn Machine>> {
        let builder = Device::of(Arc::clone(&self.profile)).seed(self.seed.wrapping_add(1));
        let machine = VirtualDevice::new(builder.build().ok()?);
        *self.stand_in() = Some(machine.clone());
        Some(Box::new(machine))
    }
}

/// An address where nobody is.
#[derive(Debug)]
struct Nobody<'a>(&'a AtomicU64);

impl Dialer for Nobody<'_> {
    fn open(&self, port: u16) -> Result<Box<dyn Pipe + '_>, PipeError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(PipeError::NotListening(port))
    }
}
