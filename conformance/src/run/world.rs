//! The device of one run, in virtual time or in real time.
//!
//! A reference role lives in the harness's own process, so its device needs no real clock: time jumps to whatever
//! happens next, a wait of a minute costs nothing, and the same seed gives the same journal to the last nanosecond.
//! A real program lives in real time, and so does its device.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amt_sim::device::{Dial, DialEnd, Interface};
use amt_sim::host::SharedDevice;
use amt_sim::host::port::{DevicePort, MeiChannel, MeiPort, PortError};
use amt_sim::{
    ClientProperties, Device, Entry, Errno, Fault, Guid, HandleId, Instant, Readiness, StreamId,
};

use crate::fact::Truth;
use crate::role::Clock;
use crate::wire::{Dialer, Pipe, PipeError};

/// The device of one run.
#[derive(Debug)]
pub enum World {
    Virtual(VirtualDevice),
    Real(RealDevice),
}

impl World {
    pub fn in_virtual_time(device: Device) -> Self {
        Self::Virtual(VirtualDevice::new(device))
    }

    pub fn in_real_time(device: Device) -> Self {
        Self::Real(RealDevice::new(device))
    }

    pub(super) fn with<R>(&self, act: impl FnOnce(&mut Device) -> R) -> R {
        match self {
            Self::Virtual(world) => act(&mut world.lock().device),
            Self::Real(world) => world.device.with(None, act),
        }
    }

    pub fn truth(&self) -> Truth {
        self.with(|device| Truth::of(device))
    }

    pub fn arm(&self, fault: Fault) {
        self.with(|device| device.arm(fault));
    }

    /// Device time since power-on.
    pub fn now(&self) -> Duration {
        match self {
            Self::Virtual(world) => Clock::now(world),
            Self::Real(world) => world.device.now() - Instant::POWER_ON,
        }
    }

    pub fn advance(&self, time: Duration) {
        match self {
            Self::Virtual(world) => world.pause(time),
            // Nobody but the device is at work between two steps.
            Self::Real(world) => world.device.skip(time),
        }
    }

    /// Everything that happened so far.
    pub fn journal(&self) -> Vec<Entry> {
        match self {
            Self::Virtual(world) => world.journal(),
            Self::Real(world) => world.journal(),
        }
    }
}

/// A device that real programs reach. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RealDevice {
    pub device: SharedDevice,
    journal: Arc<Mutex<Vec<Entry>>>,
}

impl RealDevice {
    pub fn new(device: Device) -> Self {
        let journal = Arc::new(Mutex::new(Vec::new()));
        let device = SharedDevice::new(device);
        let sink = Arc::clone(&journal);
        device.add_sink(Box::new(move |entries: &[Entry]| {
            lock(&sink).extend_from_slice(entries);
        }));
        Self { device, journal }
    }

    /// Everything that happened so far.
    pub fn journal(&self) -> Vec<Entry> {
        self.device.with(None, |_| ()); // Lets the sink have what is new.
        lock(&self.journal).clone()
    }
}

impl Clock for RealDevice {
    fn now(&self) -> Duration {
        self.device.now() - Instant::POWER_ON
    }

    fn pause(&self, time: Duration) {
        self.device.skip(time);
    }
}

impl MeiPort for RealDevice {
    fn connect(&self, client: Guid) -> Result<Box<dyn MeiChannel>, PortError> {
        DevicePort::new(self.device.clone()).connect(client)
    }
}

/// A device whose time is told by those who wait for it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct VirtualDevice {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    device: Device,
    now: Instant,
    /// Connections that it wanted to make, and nobody has made yet.
    dials: VecDeque<Dial>,
}

impl Inner {
    fn pass(&mut self, until: Instant) {
        self.now = self.now.max(until);
        self.device.advance(self.now);
    }
}

impl VirtualDevice {
    pub fn new(device: Device) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                device,
                now: Instant::POWER_ON,
                dials: VecDeque::new(),
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// The device's ports as they are reached from that side.
    pub fn dialer(&self, side: Interface) -> VirtualDialer {
        VirtualDialer {
            world: self.clone(),
            side,
        }
    }

    /// Everything that happened so far.
    pub fn journal(&self) -> Vec<Entry> {
        self.lock().device.journal().cloned().collect()
    }

    /// The next connection that the device wants to make, which the network around it makes for it.
    pub fn take_dial(&self) -> Option<Dial> {
        let mut inner = self.lock();
        let new = inner.device.take_dials();
        inner.dials.extend(new);
        inner.dials.pop_front()
    }

    /// What came of one of them.
    pub fn dial_ended(&self, dial: u32, end: DialEnd) {
        self.lock().device.dial_ended(dial, end);
    }

    /// Lets the time pass until the device next does something by itself; not further than `limit`. Says whether
    /// there was something.
    pub fn pass_to_next_wake(&self, limit: Duration) -> bool {
        let mut inner = self.lock();
        let end = inner.now + limit;
        match inner.device.next_wake().filter(|wake| *wake <= end) {
            Some(wake) => {
                inner.pass(wake);
                true
            }
            None => {
                inner.pass(end);
                false
            }
        }
    }
}

/// Ports of a device in virtual time.
#[derive(Debug, Clone)]
pub struct VirtualDialer {
    world: VirtualDevice,
    side: Interface,
}

impl VirtualDialer {
    pub fn pipe(&self, port: u16) -> Result<VirtualPipe, PipeError> {
        let mut inner = self.world.lock();
        let now = inner.now;
        inner.pass(now);
        let stream = inner
            .device
            .stream_open(self.side, port)
            .map_err(|_| PipeError::NotListening(port))?;
        Ok(VirtualPipe {
            world: self.world.clone(),
            stream,
        })
    }
}

impl Dialer for VirtualDialer {
    fn open(&self, port: u16) -> Result<Box<dyn Pipe + '_>, PipeError> {
        Ok(Box::new(self.pipe(port)?))
    }

    fn host(&self) -> String {
        match self.side {
            Interface::Local => "localhost".to_owned(),
            Interface::Network => "amt.invalid".to_owned(),
        }
    }
}

/// A connection to a port of a device in virtual time.
#[derive(Debug)]
pub struct VirtualPipe {
    world: VirtualDevice,
    stream: StreamId,
}

impl Pipe for VirtualPipe {
    fn send(&mut self, bytes: &[u8]) -> Result<(), PipeError> {
        let mut inner = self.world.lock();
        if inner.device.stream_finished(self.stream) {
            return Err(PipeError::Ended);
        }
        inner.device.stream_receive(self.stream, bytes);
        Ok(())
    }

    fn receive(&mut self, patience: Duration) -> Result<Vec<u8>, PipeError> {
        let mut inner = self.world.lock();
        let deadline = inner.now + patience;
        loop {
            let bytes = inner.device.stream_take(self.stream, usize::MAX);
            if !bytes.is_empty() || inner.device.stream_finished(self.stream) {
                return Ok(bytes);
            }
            match inner.device.next_wake().filter(|wake| *wake <= deadline) {
                Some(wake) => inner.pass(wake),
                None => {
                    inner.pass(deadline);
                    return Err(PipeError::Timeout(patience));
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), PipeError> {
        self.world.lock().device.stream_end(self.stream);
        Ok(())
    }

    fn is_over(&mut self) -> bool {
        let inner = self.world.lock();
        inner.device.stream_finished(self.stream) && inner.device.stream_pending(self.stream) == 0
    }
}

impl Drop for VirtualPipe {
    fn drop(&mut self) {
        self.world.lock().device.stream_close(self.stream);
    }
}

impl Clock for VirtualDevice {
    fn now(&self) -> Duration {
        self.lock().now - Instant::POWER_ON
    }

    /// What falls due on the way happens at its own time.
    fn pause(&self, time: Duration) {
        let mut inner = self.lock();
        let end = inner.now + time;
        while let Some(wake) = inner.device.next_wake().filter(|wake| *wake <= end) {
            inner.pass(wake);
        }
        inner.pass(end);
    }
}

/// The system calls on `/dev/mei0`, as a driver makes them.
impl VirtualDevice {
    pub fn open_node(&self) -> Result<HandleId, Errno> {
        let mut inner = self.lock();
        let now = inner.now;
        inner.pass(now);
        inner.device.mei_open()
    }

    pub fn connect_node(&self, node: HandleId, client: Guid) -> Result<ClientProperties, Errno> {
        self.lock().device.mei_connect(node, client)
    }

    pub fn write_node(&self, node: HandleId, message: &[u8]) -> Result<(), Errno> {
        let written = self.lock().device.mei_write(node, message);
        written.map(drop)
    }

    /// What a blocking `read(2)` with room for so many bytes gives, for the longest message where nothing is said;
    /// nothing when none comes in time.
    pub fn read_node(
        &self,
        node: HandleId,
        room: Option<usize>,
        patience: Duration,
    ) -> Result<Option<Vec<u8>>, Errno> {
        let mut inner = self.lock();
        let deadline = inner.now + patience;
        let longest = inner.device.mei_properties(node);
        // Room for something, since a read with room for nothing is never refused.
        let longest = longest.map_or(1, |client| client.max_message as usize);
        let room = room.unwrap_or(longest);
        loop {
            match inner.device.mei_read(node, room) {
                Ok(message) => return Ok(Some(message)),
                Err(Errno::Eagain) => {}
                Err(errno) => return Err(errno),
            }
            match inner.device.next_wake().filter(|wake| *wake <= deadline) {
                Some(wake) => inner.pass(wake),
                None => {
                    inner.pass(deadline);
                    return Ok(None);
                }
            }
        }
    }

    /// What `poll(2)` shows at this moment.
    pub fn poll_node(&self, node: HandleId) -> Readiness {
        self.lock().device.mei_readiness(node)
    }

    /// What the client told when it was connected to; nothing where nobody is.
    pub fn properties_of_node(&self, node: HandleId) -> Option<ClientProperties> {
        self.lock().device.mei_properties(node)
    }

    pub fn close_node(&self, node: HandleId) {
        self.lock().device.mei_close(node);
    }
}

impl MeiPort for VirtualDevice {
    fn connect(&self, client: Guid) -> Result<Box<dyn MeiChannel>, PortError> {
        let handle = self.open_node().map_err(|errno| PortError::Open {
            path: PathBuf::from("the simulated device"),
            source: os_error(errno),
        })?;
        match self.connect_node(handle, client) {
            Ok(properties) => Ok(Box::new(VirtualChannel {
                world: self.clone(),
                handle,
                properties,
            })),
            Err(errno) => {
                self.close_node(handle);
                Err(PortError::Connect {
                    client,
                    source: os_error(errno),
                })
            }
        }
    }
}

#[derive(Debug)]
struct VirtualChannel {
    world: VirtualDevice,
    handle: HandleId,
    properties: ClientProperties,
}

impl MeiChannel for VirtualChannel {
    fn properties(&self) -> ClientProperties {
        self.properties
    }

    fn send(&mut self, message: &[u8]) -> Result<(), PortError> {
        let sent = self.world.write_node(self.handle, message);
        sent.map_err(|errno| PortError::Send(os_error(errno)))
    }

    fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, PortError> {
        let room = Some(self.properties.max_message as usize);
        match self.world.read_node(self.handle, room, timeout) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(PortError::Timeout(timeout)),
            Err(errno) => Err(PortError::Receive(os_error(errno))),
        }
    }
}

impl Drop for VirtualChannel {
    fn drop(&mut self) {
        self.world.close_node(self.handle);
    }
}

fn os_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw())
}

/// A thread that panicked while it held the lock leaves a device that is still a device.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amt_sim::{ClientKind, Profile};

    fn world(fault: &str) -> VirtualDevice {
        let builder = Device::builder("tiger-lake-15").fault(fault.parse().unwrap());
        VirtualDevice::new(builder.build().unwrap())
    }

    const GET_UUID: [u8; 12] = [1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0];

    #[test]
    fn a_slow_answer_costs_device_time_only() {
        let world = world("answer:amthi=delay-60000");
        let mut channel = world.connect(ClientKind::Amthi.guid()).unwrap();
        channel.send(&GET_UUID).unwrap();
        assert!(matches!(
            channel.receive(Duration::from_secs(5)),
            Err(PortError::Timeout(_))
        ));
        assert_eq!(Clock::now(&world), Duration::from_secs(5));
        channel.receive(Duration::from_secs(60)).unwrap();
        let usual = Profile::builtin("tiger-lake-15")
            .unwrap()
            .timings
            .mei_reply_ms;
        assert_eq!(Clock::now(&world), Duration::from_secs(60) + usual);
    }

    #[test]
    fn a_reset_link_comes_back_while_the_host_waits() {
        let world = world("write:amthi=reset*1");
        let mut channel = world.connect(ClientKind::Amthi.guid()).unwrap();
        assert!(channel.send(&GET_UUID).unwrap_err().is(Errno::Enodev));
        assert!(
            world
                .connect(ClientKind::Amthi.guid())
                .unwrap_err()
                .is(Errno::Enodev)
        );
        world.pause(Duration::from_millis(100));
        world.connect(ClientKind::Amthi.guid()).unwrap();
    }

    #[test]
    fn the_same_inputs_give_the_same_journal() {
        let journal = || {
            let world = World::in_virtual_time(Device::builder("tiger-lake-15").build().unwrap());
            let World::Virtual(device) = &world else {
                unreachable!("made in virtual time")
            };
            let mut channel = device.connect(ClientKind::Amthi.guid()).unwrap();
            channel.send(&GET_UUID).unwrap();
            channel.receive(Duration::from_secs(1)).unwrap();
            drop(channel);
            world.journal()
        };
        assert_eq!(journal(), journal());
    }
}
