//! One simulated machine as a plain value: the firmware together with its transports.

use std::sync::Arc;

use crate::device::setup::{host_based_tls, out_of_band};
use crate::device::{
    Dial, DialEnd, Entry, Fault, FaultEffect, FaultPoint, Faults, Firmware, Identity, Interface,
    LocalAccount, Mode, Occasion, Profile, ProfileError, Recording, Rules, Seed, State,
    WeakPassword, check_password, digest_a1,
};
use crate::http::{self, NotListening, StreamId};
use crate::mei::{Bus, ClientProperties, Errno, Guid, HandleId, Readiness};
use crate::time::{Instant, UnixTime};

/// A software AMT device.
///
/// It does no I/O: it never opens a socket, reads a clock, sleeps, spawns, or draws entropy that was not
/// seeded. Tell it the time with [`Device::advance`], hand it what arrived, take what leaves, and wake it at
/// [`Device::next_wake`]. The same seed and the same inputs give the same bytes.
///
/// ```
/// use amt_sim::{ClientKind, Device};
///
/// let mut device = Device::builder("tiger-lake-15").seed(7).build()?;
/// let handle = device.mei_open()?;
/// device.mei_connect(handle, ClientKind::Amthi.guid())?;
/// device.mei_write(handle, &[1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0])?; // GetUUID
/// assert!(!device.mei_readiness(handle).readable);
/// let answered = device.next_wake().ok_or("no answer is on its way")?;
/// device.advance(answered);
/// assert!(device.mei_readiness(handle).readable);
/// let answer = device.mei_read(handle, 5120)?;
/// assert_eq!(answer[16..], device.identity().uuid.to_wire());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Device {
    firmware: Firmware,
    bus: Bus,
}

/// How a device starts out.
#[derive(Debug, Clone)]
pub struct DeviceBuilder {
    profile: ProfileChoice,
    seed: Seed,
    preset: Preset,
    admin_password: Option<String>,
    state: Option<State>,
    rules: Rules,
    faults: Faults,
    clock: UnixTime,
}

#[derive(Debug, Clone)]
enum ProfileChoice {
    Named(String),
    Given(Arc<Profile>),
}

/// The life that a device has behind it when it is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    #[default]
    Factory,
    /// Operational in client control mode.
    Client,
    /// Operational in admin control mode.
    Admin,
}

impl Preset {
    /// The administrator's password when none was given.
    pub const PASSWORD: &'static str = "P@ssw0rd1";
}

/// Why a device cannot be built: always something that the caller gave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("the administrator's password: {0}")]
    Password(#[from] WeakPassword),
    #[error(
        "a factory-fresh device has no administrator password; choose the preset `ccm` or `acm`"
    )]
    PasswordWithoutPreset,
    #[error(
        "the saved state is of version {found}; this program reads version {}",
        State::VERSION
    )]
    StateVersion { found: u32 },
    #[error(
        "the saved state belongs to profile {found:?}, not to {wanted:?}; give the same profile, or another state file"
    )]
    StateProfile { found: String, wanted: String },
}

impl DeviceBuilder {
    /// Everything that looks random in the device follows from this number.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Seed(seed);
        self
    }

    #[must_use]
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }

    /// The password of `admin` on a device that is provisioned already; without one it is
    /// [`Preset::PASSWORD`].
    #[must_use]
    pub fn admin_password(mut self, password: impl Into<String>) -> Self {
        self.admin_password = Some(password.into());
        self
    }

    /// Goes on from a saved memory; seed and preset are those of that memory.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// Which rules are enforced.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Arms a fault.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.arm(fault);
        self
    }

    /// What the real-time clock shows at power-on.
    #[must_use]
    pub fn clock(mut self, clock: UnixTime) -> Self {
        self.clock = clock;
        self
    }

    pub fn build(self) -> Result<Device, BuildError> {
        let profile = match self.profile {
            ProfileChoice::Named(name) => Arc::new(Profile::builtin(&name)?),
            ProfileChoice::Given(profile) => profile,
        };
        let state = match self.state {
            None => fresh_state(&profile, self.seed, self.preset, self.admin_password)?,
            Some(state) if state.version != State::VERSION => {
                return Err(BuildError::StateVersion {
                    found: state.version,
                });
            }
            Some(state) if state.profile != profile.name => {
                return Err(BuildError::StateProfile {
                    found: state.profile,
                    wanted: profile.name.clone(),
                });
            }
            Some(state) => state,
        };
        Ok(Device {
            firmware: Firmware::power_on(profile, state, self.rules, self.faults, self.clock),
            bus: Bus::new(),
        })
    }
}

/// Memory of a device with this life behind it.
fn fresh_state(
    profile: &Profile,
    seed: Seed,
    preset: Preset,
    password: Option<String>,
) -> Result<State, BuildError> {
    let mut state = State::factory(profile, seed)?;
    state.mode = match preset {
        Preset::Factory => Mode::PreProvisioning,
        Preset::Client => Mode::Client,
        Preset::Admin => Mode::Admin,
    };
    if preset == Preset::Factory {
        return match password {
            None => Ok(state),
            Some(_) => Err(BuildError::PasswordWithoutPreset),
        };
    }
    let password = password.unwrap_or_else(|| Preset::PASSWORD.to_owned());
    check_password(&password)?;
    let realm = Identity::new(profile, seed).digest_realm;
    state.admin_ha1 = Some(digest_a1("admin", &realm, &password));
    Ok(state)
}

impl Device {
    /// A device of a profile that comes with the program.
    pub fn builder(profile: impl Into<String>) -> DeviceBuilder {
        Self::choose(ProfileChoice::Named(profile.into()))
    }

    /// A device of the caller's own profile.
    pub fn of(profile: Arc<Profile>) -> DeviceBuilder {
        Self::choose(ProfileChoice::Given(profile))
    }

    fn choose(profile: ProfileChoice) -> DeviceBuilder {
        DeviceBuilder {
            profile,
            seed: Seed(1),
            preset: Preset::Factory,
            admin_password: None,
            state: None,
            rules: Rules::default(),
            faults: Faults::default(),
            clock: UnixTime(1_767_225_600), // 2026-01-01T00:00:00Z
        }
    }

    /// Tells the device what time it is. Time that runs backwards is ignored.
    pub fn advance(&mut self, now: Instant) {
        let now = self.firmware.now.max(now);
        // What happens by itself happens at its own time, however late the device is told.
        while let Some(due) = self.next_of_setup().filter(|due| *due <= now) {
            self.firmware.now = self.firmware.now.max(due);
            out_of_band::advance(&mut self.firmware);
            host_based_tls::advance(&mut self.firmware);
        }
        self.firmware.now = now;
        self.bus.advance(&mut self.firmware);
    }

    /// When the device next does something by itself; call [`Device::advance`] then.
    pub fn next_wake(&self) -> Option<Instant> {
        let now = self.firmware.now;
        let wakes = [
            self.bus.next_wake(now),
            self.firmware.web.next_wake(now),
            self.next_of_setup(),
        ];
        wakes.into_iter().flatten().min()
    }

    fn next_of_setup(&self) -> Option<Instant> {
        let wakes = [
            out_of_band::next_wake(&self.firmware),
            host_based_tls::next_wake(&self.firmware),
        ];
        wakes.into_iter().flatten().min()
    }

    /// `open("/dev/mei0")`.
    pub fn mei_open(&mut self) -> Result<HandleId, Errno> {
        self.bus.open(&mut self.firmware)
    }

    /// `ioctl(IOCTL_MEI_CONNECT_CLIENT)`.
    pub fn mei_connect(&mut self, handle: HandleId, guid: Guid) -> Result<ClientProperties, Errno> {
        self.bus.connect(&mut self.firmware, handle, guid)
    }

    /// `write(2)`. [`Errno::Eagain`] means that a blocking writer waits.
    pub fn mei_write(&mut self, handle: HandleId, message: &[u8]) -> Result<usize, Errno> {
        let fault = self.power_fault();
        if fault == Some(FaultEffect::Cut) {
            self.lose_power();
            return Err(Errno::Enodev);
        }
        let written = self.bus.write(&mut self.firmware, handle, message);
        if fault.is_some() {
            self.lose_power();
        }
        written
    }

    /// `read(2)`. [`Errno::Eagain`] means that a blocking reader waits.
    pub fn mei_read(&mut self, handle: HandleId, capacity: usize) -> Result<Vec<u8>, Errno> {
        self.bus.read(&mut self.firmware, handle, capacity)
    }

    /// `poll(2)`.
    pub fn mei_readiness(&self, handle: HandleId) -> Readiness {
        self.bus.readiness(&self.firmware, handle)
    }

    /// Whether a message for the host is here or on its way.
    pub(crate) fn mei_is_expecting(&self, handle: HandleId) -> bool {
        self.bus.is_expecting(handle)
    }

    /// What the connect told about the client, while the handle is connected.
    pub fn mei_properties(&self, handle: HandleId) -> Option<ClientProperties> {
        self.bus.properties(handle)
    }

    /// Whether the MEI link works; while it does not, every system call fails with [`Errno::Enodev`].
    pub fn mei_link_is_up(&self) -> bool {
        self.bus.is_up()
    }

    /// Journals an ioctl that the driver itself refuses, and gives the errno back.
    pub fn mei_refuse_ioctl(&mut self, handle: HandleId, errno: Errno, why: &str) -> Errno {
        self.bus
            .refuse_ioctl(&mut self.firmware, handle, errno, why)
    }

    /// The last `close(2)`. A handle that is not open is ignored.
    pub fn mei_close(&mut self, handle: HandleId) {
        self.bus.close(&mut self.firmware, handle);
    }

    /// A fault that strikes at what comes from outside now.
    fn power_fault(&mut self) -> Option<FaultEffect> {
        const OCCASION: Occasion = Occasion {
            at: FaultPoint::Power,
            client: None,
            command: None,
        };
        Some(self.firmware.strike(OCCASION)?.effect)
    }

    /// The power is gone and comes back at once: every connection and descriptor is dead, and the device goes on with
    /// what it has saved.
    pub fn lose_power(&mut self) {
        self.bus.reset(&mut self.firmware, "the power was gone");
        self.firmware.restart();
    }

    /// Resets the MEI link, as a firmware reset does.
    pub fn mei_reset(&mut self, cause: &str) {
        self.bus.reset(&mut self.firmware, cause);
    }

    /// Whether one of the device's own ports takes a connection from this side now: what LMS would find at
    /// `127.0.0.1:16992` ([`Interface::Local`]), or a console at the device's address ([`Interface::Network`]).
    pub fn stream_listens(&self, side: Interface, port: u16) -> bool {
        http::listens(&self.firmware, side, port)
    }

    /// A connection to one of the device's own ports, whatever carries its bytes.
    ///
    /// ```
    /// use amt_sim::{Device, Preset, device::Interface};
    ///
    /// let mut device = Device::builder("tiger-lake-15").preset(Preset::Admin).build()?;
    /// let stream = device.stream_open(Interface::Network, 16992)?;
    /// device.stream_receive(stream, b"POST /wsman HTTP/1.1\r\nHost: amt\r\nContent-Le");
    /// assert_eq!(device.stream_pending(stream), 0);
    /// device.stream_receive(stream, b"ngth: 0\r\n\r\n");
    /// let answer = device.stream_take(stream, usize::MAX);
    /// assert!(answer.starts_with(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest "));
    /// assert!(device.stream_finished(stream));
    /// device.stream_close(stream);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stream_open(&mut self, side: Interface, port: u16) -> Result<StreamId, NotListening> {
        http::open(&mut self.firmware, side, port)
    }

    /// Bytes from the peer.
    pub fn stream_receive(&mut self, stream: StreamId, bytes: &[u8]) {
        let fault = self.power_fault();
        if fault != Some(FaultEffect::Cut) {
            http::receive(&mut self.firmware, stream, bytes);
        }
        if fault.is_some() {
            self.lose_power();
        }
    }

    /// Up to `most` bytes for the peer; none when there are none now.
    pub fn stream_take(&mut self, stream: StreamId, most: usize) -> Vec<u8> {
        http::take(&mut self.firmware, stream, most)
    }

    /// How many bytes [`Device::stream_take`] could give now.
    pub fn stream_pending(&self, stream: StreamId) -> usize {
        http::pending(&self.firmware, stream)
    }

    /// Whether the device closes the connection once everything is taken. A stream that is closed is finished.
    pub fn stream_finished(&self, stream: StreamId) -> bool {
        http::finished(&self.firmware, stream)
    }

    /// The peer will send no more; answers may still be taken.
    pub fn stream_end(&mut self, stream: StreamId) {
        http::end(&mut self.firmware, stream);
    }

    /// The connection is gone.
    pub fn stream_close(&mut self, stream: StreamId) {
        http::close(&mut self.firmware, stream);
    }

    /// Connections that the device wants to make on the network; each is given out once.
    pub fn take_dials(&mut self) -> Vec<Dial> {
        out_of_band::take_dials(&mut self.firmware)
    }

    /// What came of a connection that [`Device::take_dials`] asked for.
    pub fn dial_ended(&mut self, dial: u32, end: DialEnd) {
        out_of_band::dial_ended(&mut self.firmware, dial, end);
    }

    /// Until when the device makes a key, with nobody able to reach it from the network: time that a host may
    /// leap over.
    pub fn busy_until(&self) -> Option<Instant> {
        out_of_band::busy_until(&self.firmware)
    }

    /// Arms a fault on the running device.
    pub fn arm(&mut self, fault: Fault) {
        self.firmware.faults.arm(fault);
    }

    pub fn profile(&self) -> &Profile {
        &self.firmware.profile
    }

    pub fn identity(&self) -> &Identity {
        &self.firmware.identity
    }

    pub fn local_account(&self) -> &LocalAccount {
        &self.firmware.local_account
    }

    /// What everything that looks random in the device follows from.
    pub fn seed(&self) -> Seed {
        self.firmware.seed
    }

    /// What the real-time clock shows.
    pub fn clock(&self) -> UnixTime {
        self.firmware.clock()
    }

    pub fn mode(&self) -> Mode {
        self.firmware.mode()
    }

    /// Non-volatile memory, for a host that keeps it.
    pub fn state(&self) -> &State {
        &self.firmware.state
    }

    /// Whether memory changed since this was last asked.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.firmware.dirty)
    }

    /// The journal as far as it is held.
    pub fn journal(&self) -> impl Iterator<Item = &Entry> {
        self.firmware.journal.entries()
    }

    /// Takes the journal's entries out.
    pub fn drain_journal(&mut self) -> Vec<Entry> {
        self.firmware.journal.drain()
    }

    /// Whether what goes over the device's own ports is recorded. It is not unless it is asked for.
    pub fn record_streams(&mut self, wanted: bool) {
        self.firmware.recorder.record_streams(wanted);
    }

    /// Whether the secrets of TLS connections that are opened from now on are recorded: whoever has them can read
    /// the connections. They are not unless they are asked for.
    pub fn record_secrets(&mut self, wanted: bool) {
        self.firmware.recorder.record_secrets(wanted);
    }

    /// Whether every occasion on which a fault could strike is recorded from now on. They are not unless they are
    /// asked for.
    pub fn record_chances(&mut self, wanted: bool) {
        self.firmware.recorder.record_chances(wanted);
    }

    /// Takes out what was recorded.
    pub fn take_recording(&mut self) -> Recording {
        self.firmware.recorder.take()
    }

    /// Changes when a handle's readiness or a stream changed by something other than its own input, or a port
    /// came or went.
    pub(crate) fn disturbances(&self) -> impl PartialEq + use<> {
        let mode = self.firmware.mode();
        (
            self.bus.disturbances(),
            self.firmware.web.disturbances(),
            out_of_band::disturbances(&self.firmware),
            mode,
        )
    }

    /// Writes down what the host did to a program of its own that bears on what this device proved to it.
    pub(crate) fn record(&mut self, event: crate::device::Event) {
        self.firmware.record(event);
    }

    pub(crate) fn has_journal(&self) -> bool {
        !self.firmware.journal.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Event;
    use crate::mei::ClientKind;
    use rstest::rstest;

    const GET_UUID: [u8; 12] = [1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0];
    const STOP: [u8; 12] = [1, 1, 0, 0, 0x5e, 0, 0, 4, 0, 0, 0, 0];

    fn connected(fault: &str) -> (Device, HandleId) {
        let mut device = Device::builder("tiger-lake-15")
            .fault(fault.parse().unwrap())
            .build()
            .unwrap();
        let handle = device.mei_open().unwrap();
        device
            .mei_connect(handle, ClientKind::Amthi.guid())
            .unwrap();
        (device, handle)
    }

    fn wait(device: &mut Device) {
        while let Some(wake) = device.next_wake() {
            device.advance(wake);
        }
    }

    /// The message is lost with the power, or obeyed before; its answer never comes. The device is there again after that,
    /// with the journal of both lives.
    #[rstest]
    #[case("power+1=cut*1", false)]
    #[case("power+1=drop*1", true)]
    fn the_power_goes_and_comes_back(#[case] fault: &str, #[case] obeyed: bool) {
        let (mut device, handle) = connected(fault);
        device.mei_write(handle, &GET_UUID).unwrap();
        wait(&mut device);
        device.mei_read(handle, 5120).unwrap();
        let written = device.mei_write(handle, &STOP);
        assert_eq!(written.is_ok(), obeyed);
        wait(&mut device);
        assert_eq!(device.mei_read(handle, 5120), Err(Errno::Enodev));
        device.mei_close(handle);
        let handle = device.mei_open().unwrap();
        device
            .mei_connect(handle, ClientKind::Amthi.guid())
            .unwrap();
        device.mei_write(handle, &GET_UUID).unwrap();
        let entries: Vec<&Entry> = device.journal().collect();
        let boots = |entry: &&&Entry| matches!(entry.event, Event::PowerOn { .. });
        assert_eq!(entries.iter().filter(boots).count(), 2);
        let commands = |entry: &&&Entry| matches!(&entry.event, Event::Command { name, .. } if *name == "StopConfiguration");
        assert_eq!(entries.iter().filter(commands).count(), usize::from(obeyed));
        assert!(
            entries
                .windows(2)
                .all(|pair| pair[0].seq + 1 == pair[1].seq)
        );
        assert!(entries.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }

    /// Each occasion by the name under which a fault would strike there; none unless they are asked for.
    #[test]
    fn every_chance_of_a_fault_is_recorded() {
        let (mut device, handle) = connected("answer:amthi:0x5e=drop");
        device.mei_write(handle, &GET_UUID).unwrap();
        assert_eq!(device.take_recording().chances, []);
        device.record_chances(true);
        device.mei_write(handle, &STOP).unwrap();
        wait(&mut device);
        device.mei_read(handle, 5120).unwrap();
        let told = |chance: crate::device::Chance| (chance.at, chance.command);
        let chances: Vec<_> = device
            .take_recording()
            .chances
            .into_iter()
            .map(told)
            .collect();
        let expected = [
            (FaultPoint::Power, None),
            (FaultPoint::Write, Some(0x5e)),
            (FaultPoint::Answer, Some(0x5e)),
            (FaultPoint::Read, None),
        ];
        assert_eq!(chances, expected);
        assert_eq!(device.take_recording().chances, []);
    }

    /// What is saved is there afterwards, what is only in memory is not: a connection, the local account's password.
    #[test]
    fn memory_is_what_was_saved() {
        let mut device = Device::builder("tiger-lake-15")
            .preset(Preset::Admin)
            .build()
            .unwrap();
        let stream = device.stream_open(Interface::Network, 16992).unwrap();
        let (state, password) = (device.state().clone(), device.local_account().clone());
        device.lose_power();
        assert!(device.stream_finished(stream));
        assert_eq!(device.mode(), Mode::Admin);
        assert_eq!(device.state().boots, state.boots + 1);
        assert_eq!(device.state().admin_ha1, state.admin_ha1);
        assert_ne!(device.local_account().password, password.password);
        let next = device.stream_open(Interface::Network, 16992).unwrap();
        assert_ne!(next, stream);
    }
}
