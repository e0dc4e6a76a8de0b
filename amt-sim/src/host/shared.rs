//! One device that several front ends share: a lock, a clock, and a way to wake whoever waits.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as WallInstant, SystemTime, UNIX_EPOCH};

use super::state_file::StateFile;
use super::sys;
use crate::capture::Capture;
use crate::device::Entry;
use crate::machine::Device;
use crate::time::Instant;

/// A device in real time, shared by threads. Cheap to clone.
#[derive(Clone)]
pub struct SharedDevice {
    inner: Arc<Inner>,
}

struct Inner {
    device: Mutex<Device>,
    clock: Mutex<Clock>,
    watches: Mutex<Vec<Arc<Wake>>>,
    sinks: Mutex<Vec<Sink>>,
    memory: Mutex<Option<StateFile>>,
    capture: Mutex<Option<(Capture, File)>>,
}

/// How device time goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As on the wall.
    #[default]
    Real,
    /// So many times as fast. Everything is, also what an SCA has to be in time for.
    Scaled(u32),
    /// As on the wall, but the time in which the device makes a key, and nobody can reach it, takes none.
    Jump,
}

/// Device time as wall time. It stands still while this machine works out what the device does: slowness is the
/// device's own, never the processor's. Otherwise an answer that took long to compute would be due before the call that
/// asked for it is over, which no driver ever shows.
struct Clock {
    started: WallInstant,
    pace: Pace,
    /// What was leapt over.
    leapt: Duration,
    /// Since when it has stood still, while it does.
    stopped: Option<WallInstant>,
    /// For how long it has stood still before.
    stood: Duration,
}

impl Clock {
    fn now(&self) -> Instant {
        let until = self.stopped.unwrap_or_else(WallInstant::now);
        let elapsed = (until - self.started).saturating_sub(self.stood);
        Instant::POWER_ON + self.leapt + elapsed.saturating_mul(self.factor())
    }

    fn stop(&mut self) {
        self.stopped.get_or_insert_with(WallInstant::now);
    }

    fn go_on(&mut self) {
        if let Some(stopped) = self.stopped.take() {
            self.stood += stopped.elapsed();
        }
    }

    fn factor(&self) -> u32 {
        match self.pace {
            Pace::Scaled(factor) => factor.max(1),
            Pace::Real | Pace::Jump => 1,
        }
    }
}

/// Takes journal entries, in order.
pub type Sink = Box<dyn FnMut(&[Entry]) + Send>;

/// Tells one front end that another one (or time) touched the device: readable when it did.
#[derive(Debug)]
pub struct Watch {
    wake: Arc<Wake>,
}

#[derive(Debug)]
enum Wake {
    Event(OwnedFd),
    /// One of many devices at a front end.
    Bell {
        bell: Arc<Bell>,
        member: u32,
    },
}

/// One descriptor for all devices of a front end, and which of them were touched.
#[derive(Debug)]
pub(crate) struct Bell {
    event: OwnedFd,
    rung: Mutex<Vec<u32>>,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            event: sys::eventfd()?,
            rung: Mutex::default(),
        }))
    }

    /// Who was touched since this was last asked; some may be named twice.
    pub(crate) fn rung(&self) -> Vec<u32> {
        sys::eventfd_clear(self.event.as_fd());
        std::mem::take(&mut lock(&self.rung))
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Wake {
    fn raise(&self) {
        if let Self::Bell { bell, member } = self {
            lock(&bell.rung).push(*member);
        }
        sys::eventfd_raise(self.event());
    }

    fn event(&self) -> BorrowedFd<'_> {
        match self {
            Self::Event(event) => event.as_fd(),
            Self::Bell { bell, .. } => bell.event.as_fd(),
        }
    }
}

impl Watch {
    /// Makes the descriptor quiet again; call it after `poll(2)` said readable.
    pub fn clear(&self) {
        sys::eventfd_clear(self.wake.event());
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.event()
    }
}

impl std::fmt::Debug for SharedDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedDevice").finish_non_exhaustive()
    }
}

impl SharedDevice {
    /// Device time 0 is now.
    pub fn new(device: Device) -> Self {
        Self::paced(device, Pace::Real)
    }

    /// The same with a time of its own.
    pub fn paced(device: Device, pace: Pace) -> Self {
        Self {
            inner: Arc::new(Inner {
                device: Mutex::new(device),
                clock: Mutex::new(Clock {
                    started: WallInstant::now(),
                    pace,
                    leapt: Duration::ZERO,
                    stopped: None,
                    stood: Duration::ZERO,
                }),
                watches: Mutex::default(),
                sinks: Mutex::default(),
                memory: Mutex::default(),
                capture: Mutex::default(),
            }),
        }
    }

    /// Every entry from now on, and those still held, goes to the sink as soon as it is made.
    pub fn add_sink(&self, sink: Sink) {
        lock(&self.inner.sinks).push(sink);
        self.with(None, |_| ());
    }

    /// Writes the journal to a file, one JSON object a line.
    pub fn journal_to(&self, mut file: File) {
        self.add_sink(Box::new(move |entries| {
            // A full disk must not stop the device; the loss shows as a gap in the numbers.
            let _ = file.write_all(as_lines(entries).as_bytes());
        }));
    }

    /// The same without holding the file open: for more devices than a process may have files.
    pub fn journal_at(&self, path: PathBuf) -> io::Result<()> {
        File::create(&path)?;
        self.add_sink(Box::new(move |entries| {
            let file = File::options().append(true).open(&path);
            let _ = file.and_then(|mut file| file.write_all(as_lines(entries).as_bytes()));
        }));
        Ok(())
    }

    /// Writes what goes over the wire to a pcapng file, with the secrets of TLS: whoever has the file can read it all.
    pub fn capture_to(&self, file: File) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let power_on = since
            .unwrap_or_default()
            .saturating_sub(self.now() - Instant::POWER_ON);
        *lock(&self.inner.capture) = Some((Capture::new(power_on), file));
        self.with(None, |device| {
            device.record_streams(true);
            device.record_secrets(true);
        });
    }

    /// Keeps the device's memory in a file from now on, written whenever it changed.
    pub fn remember_in(&self, file: StateFile) {
        *lock(&self.inner.memory) = Some(file);
        self.with(None, |_| ());
    }

    /// A wake-up line for one front end.
    pub fn watch(&self) -> io::Result<Watch> {
        Ok(self.watch_by(Wake::Event(sys::eventfd()?)))
    }

    /// A wake-up line for a front end that serves many devices, of which this is one.
    pub(crate) fn watch_at(&self, bell: &Arc<Bell>, member: u32) -> Watch {
        self.watch_by(Wake::Bell {
            bell: Arc::clone(bell),
            member,
        })
    }

    fn watch_by(&self, wake: Wake) -> Watch {
        let wake = Arc::new(wake);
        lock(&self.inner.watches).push(Arc::clone(&wake));
        Watch { wake }
    }

    /// Tells the device the time and does something with it. When that disturbed handles beside those that
    /// the caller worked on, every other front end is woken; `own` is the caller's own watch, which stays quiet.
    ///
    /// Something that fell due since the last call wakes everybody, the caller too: [`SharedDevice::next_wake`]
    /// does not name it any more, and whoever looked before that call would wait for it in vain.
    pub fn with<R>(&self, own: Option<&Watch>, act: impl FnOnce(&mut Device) -> R) -> R {
        let mut device = lock(&self.inner.device);
        lock(&self.inner.clock).stop();
        let now = self.now();
        let mut fell_due = device.next_wake().is_some_and(|wake| wake <= now);
        let at_first = device.disturbances();
        device.advance(now);
        let before = device.disturbances();
        let result = act(&mut device);
        let after = device.disturbances();
        // What was done may give a connection something to say that nobody asked it for.
        device.advance(now);
        self.leap(&mut device);
        let disturbed = after != before;
        fell_due |= before != at_first || device.disturbances() != after;
        let mut capture = lock(&self.inner.capture);
        let mut entries = Vec::new();
        if device.has_journal() {
            let mut sinks = lock(&self.inner.sinks);
            if !sinks.is_empty() || capture.is_some() {
                entries = device.drain_journal();
                for sink in sinks.iter_mut() {
                    sink(&entries);
                }
            }
        }
        if let Some((capture, file)) = &mut *capture {
            capture.add(&entries, &device.take_recording());
            // As with the journal: a full disk must not stop the device.
            let _ = file.write_all(&capture.take());
        }
        drop(capture);
        if let Some(file) = &*lock(&self.inner.memory)
            && device.take_dirty()
            && let Err(error) = file.save(device.state())
        {
            // The program under test must not be failed for our full disk, but the user must know.
            eprintln!("amt-sim: the device's memory was not saved: {error}");
        }
        lock(&self.inner.clock).go_on();
        drop(device);
        if !disturbed && !fell_due {
            return result;
        }
        let mut watches = lock(&self.inner.watches);
        watches.retain(|wake| Arc::strong_count(wake) > 1);
        for wake in watches.iter() {
            if fell_due || !own.is_some_and(|own| Arc::ptr_eq(&own.wake, wake)) {
                wake.raise();
            }
        }
        result
    }

    /// How long until the device does something by itself; `None` when it waits for input only.
    pub fn next_wake(&self) -> Option<Duration> {
        let wake = lock(&self.inner.device).next_wake()?;
        let clock = lock(&self.inner.clock);
        Some((wake - clock.now()) / clock.factor())
    }

    /// Under [`Pace::Jump`]: past the making of a key.
    fn leap(&self, device: &mut Device) {
        let Some(until) = device.busy_until() else {
            return;
        };
        let mut clock = lock(&self.inner.clock);
        if clock.pace == Pace::Jump {
            let left = until - clock.now();
            clock.leapt += left;
            device.advance(clock.now());
        }
    }

    /// Device time.
    pub fn now(&self) -> Instant {
        lock(&self.inner.clock).now()
    }

    /// Lets device time go by that nobody has to see go by. What falls due on the way happens at its own time.
    pub fn skip(&self, time: Duration) {
        let end = self.now() + time;
        loop {
            let wake = lock(&self.inner.device).next_wake();
            let until = wake.map_or(end, |wake| wake.min(end));
            {
                let mut clock = lock(&self.inner.clock);
                let left = until - clock.now();
                clock.leapt += left;
            }
            self.with(None, |_| ());
            if self.now() >= end {
                return;
            }
        }
    }
}

fn as_lines(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        // An entry is strings, numbers and nested tagged values: serialising it cannot fail.
        text += &serde_json::to_string(entry).unwrap_or_default();
        text.push('\n');
    }
    text
}

/// A thread that panicked while it held the lock leaves the device in a state that is still a device's.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::poll::poll;
    use crate::host::testing::amthi;

    fn is_raised(watch: &Watch) -> bool {
        poll(&[(watch.as_fd(), libc::POLLIN)], Some(Duration::ZERO)).unwrap() != [0]
    }

    #[test]
    fn an_answer_that_falls_due_in_anothers_call_wakes_everybody() {
        let device = SharedDevice::new(Device::builder("tiger-lake-15").build().unwrap());
        let reader = device.watch().unwrap();
        let other = device.watch().unwrap();
        let readiness = device.with(Some(&reader), |device| {
            let handle = amthi(device, 0x5c);
            device.mei_readiness(handle)
        });
        assert!(!readiness.readable);
        let wake = device.next_wake().unwrap();
        std::thread::sleep(wake);
        device.with(Some(&other), |_| ());
        assert_eq!(device.next_wake(), None);
        assert!(is_raised(&reader) && is_raised(&other));

        // Nothing is due any more: a call wakes nobody.
        reader.clear();
        other.clear();
        device.with(Some(&other), |_| ());
        assert!(!is_raised(&reader) && !is_raised(&other));
    }

    #[test]
    fn time_stands_still_while_the_device_is_at_work() {
        let device = SharedDevice::new(Device::builder("tiger-lake-15").build().unwrap());
        let (before, after) = device.with(None, |_| {
            let before = device.now();
            std::thread::sleep(Duration::from_millis(5));
            (before, device.now())
        });
        assert_eq!(before, after);
        std::thread::sleep(Duration::from_millis(1));
        assert!(device.now() > after, "it does not go on");
    }

    #[test]
    fn time_that_is_skipped_happens() {
        let device = SharedDevice::new(Device::builder("tiger-lake-15").build().unwrap());
        let reader = device.watch().unwrap();
        let readable = |handle| device.with(None, |device| device.mei_readiness(handle).readable);
        let handle = device.with(Some(&reader), |device| {
            device.arm("answer:amthi=delay-60000".parse().unwrap());
            amthi(device, 0x5c)
        });
        let before = device.now();
        device.skip(Duration::from_secs(30));
        assert!(!readable(handle) && !is_raised(&reader));
        device.skip(Duration::from_secs(300));
        assert!(readable(handle) && is_raised(&reader));
        assert!(device.now() - before >= Duration::from_secs(330));
    }

    #[test]
    fn a_reset_wakes_the_others() {
        let device = SharedDevice::new(Device::builder("tiger-lake-15").build().unwrap());
        let own = device.watch().unwrap();
        let other = device.watch().unwrap();
        device.with(Some(&own), |device| device.mei_reset("test"));
        assert!(!is_raised(&own) && is_raised(&other));
    }
}
