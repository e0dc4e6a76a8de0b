//! The door at the device's address on the network. Whoever calls the device comes through it, so that a story can let
//! a caller wait, or lead it to another machine that has taken the address.
//!
//! ```text
//!   SCA ──TCP──▶ door at 127.50.0.1:16993 ──TCP──▶ the device's ports at an address of their own
//!                  │ held: the caller is in, and hears nothing
//!                  └ counts callers, and knows who waits for an answer
//! ```
//! A port is open while the machine behind listens on it, and bytes and ends go through as they are.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use amt_sim::host::LocalPorts;

/// Who is behind a door.
#[derive(Debug, Clone)]
pub(super) enum Behind {
    Machine(Arc<LocalPorts>),
    /// A machine without AMT that takes any call and says nothing.
    Nobody,
}

/// Ports of a machine without AMT on which a caller of AMT is noticed.
const WATCHED: [u16; 2] = [16992, 16993];

/// How soon a port follows the machine behind it.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long a port may take to be there that the machine listens on.
const OPENING: Duration = Duration::from_secs(5);

/// Stopped when it is dropped.
#[derive(Debug)]
pub(super) struct Door {
    latch: Latch,
    thread: Option<JoinHandle<()>>,
}

/// Shuts and opens the door. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Latch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    behind: Behind,
    held: bool,
    stopped: bool,
    /// How often the ports were brought in line with the machine.
    rounds: u64,
    /// Everybody who ever came.
    callers: u64,
    /// Pieces that went through, either way.
    pieces: u64,
    open: BTreeMap<u64, Line>,
}

/// One connection.
#[derive(Debug)]
struct Line {
    /// The caller spoke last.
    waits: bool,
    /// Kept to end it.
    sockets: Vec<TcpStream>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latch {
    /// New callers wait.
    pub fn hold(&self) {
        self.shared.lock().held = true;
    }

    pub fn let_in(&self) {
        self.shared.lock().held = false;
        self.shared.changed.notify_all();
    }
}

impl Door {
    /// Ports that are open now are bound when this returns.
    pub(super) fn open(address: IpAddr, behind: Behind) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                behind,
                held: false,
                stopped: false,
                rounds: 0,
                callers: 0,
                pieces: 0,
                open: BTreeMap::new(),
            }),
            changed: Condvar::new(),
        });
        let mut listeners = BTreeMap::new();
        follow(&shared, address, &mut listeners)?;
        // Whether the address is one of this machine's shows now, not when the device first opens a port.
        TcpListener::bind((address, 0))?;
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("door".to_owned())
            .spawn(move || serve(&serving, address, listeners))?;
        Ok(Self {
            latch: Latch { shared },
            thread: Some(thread),
        })
    }

    pub(super) fn latch(&self) -> &Latch {
        &self.latch
    }

    /// Waits until every port is open that the machine behind listens on now.
    pub(super) fn settle(&self) {
        let shared = &self.latch.shared;
        let state = shared.lock();
        // The round that is under way may have begun before.
        let wanted = state.rounds + 2;
        let settled = shared
            .changed
            .wait_while(state, |state| state.rounds < wanted && !state.stopped);
        drop(settled);
    }

    /// New callers come to another machine.
    pub(super) fn lead_to(&self, behind: Behind) {
        let mut state = self.latch.shared.lock();
        let before = std::mem::replace(&mut state.behind, behind);
        drop(state);
        // Ending it may wait for somebody who shuts the door.
        drop(before);
    }

    /// Everybody who came so far, those who wait included.
    pub(super) fn callers(&self) -> u64 {
        self.latch.shared.lock().callers
    }

    /// A number that changes with everything that goes through.
    pub(super) fn bustle(&self) -> u64 {
        let state = self.latch.shared.lock();
        state.callers + state.pieces
    }

    /// Whether somebody waits for an answer.
    pub(super) fn is_awaited(&self) -> bool {
        self.latch
            .shared
            .lock()
            .open
            .values()
            .any(|line| line.waits)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let shared = &self.latch.shared;
        let mut state = shared.lock();
        state.stopped = true;
        for socket in state.open.values().flat_map(|line| &line.sockets) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        drop(state);
        shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(shared: &Arc<Shared>, address: IpAddr, mut listeners: BTreeMap<u16, TcpListener>) {
    while !shared.lock().stopped {
        // A port that another program has is tried again.
        let _ = follow(shared, address, &mut listeners);
        shared.lock().rounds += 1;
        shared.changed.notify_all();
        for (port, listener) in &listeners {
            while let Ok((socket, _)) = listener.accept() {
                let (shared, port) = (Arc::clone(shared), *port);
                // Without a thread the caller is sent away.
                let _ = thread::Builder::new()
                    .name("caller".to_owned())
                    .spawn(move || carry(&shared, port, socket));
            }
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Opens and closes ports as the machine behind does.
fn follow(
    shared: &Shared,
    address: IpAddr,
    listeners: &mut BTreeMap<u16, TcpListener>,
) -> io::Result<()> {
    // The machine is asked without the lock: it may be about to shut the door.
    let behind = shared.lock().behind.clone();
    let wanted = match &behind {
        Behind::Machine(ports) => ports.ports(),
        Behind::Nobody => WATCHED.to_vec(),
    };
    listeners.retain(|port, listener| {
        let stays = wanted.contains(port);
        // Who came just before is sent away by FIN, not by the RST of a listener that closes.
        while !stays && listener.accept().is_ok() {}
        stays
    });
    for port in wanted {
        if let Entry::Vacant(place) = listeners.entry(port) {
            let listener = TcpListener::bind(SocketAddr::new(address, port))?;
            listener.set_nonblocking(true)?;
            place.insert(listener);
        }
    }
    Ok(())
}

/// One caller, from the door to the end.
fn carry(shared: &Arc<Shared>, port: u16, caller: TcpStream) {
    let mut state = shared.lock();
    state.callers += 1;
    let line = state.callers;
    let kept = caller.try_clone().into_iter().collect();
    state.open.insert(
        line,
        Line {
            waits: false,
            sockets: kept,
        },
    );
    let waited = shared
        .changed
        .wait_while(state, |state| state.held && !state.stopped);
    let state = waited.unwrap_or_else(PoisonError::into_inner);
    let behind = state.behind.clone();
    let stopped = state.stopped;
    drop(state);
    if let Behind::Machine(ports) = behind
        && !stopped
    {
        // A machine that has closed the port since refuses; its caller is let go.
        let _ = connect(shared, line, &caller, &ports, port);
    }
    shared.lock().open.remove(&line);
}

fn connect(
    shared: &Arc<Shared>,
    line: u64,
    caller: &TcpStream,
    ports: &LocalPorts,
    port: u16,
) -> io::Result<()> {
    let since = Instant::now();
    let machine = loop {
        match TcpStream::connect((ports.address(), port)) {
            // It has opened the port, and is about to be there.
            Err(_) if ports.ports().contains(&port) && since.elapsed() < OPENING => {
                thread::sleep(LOOK_AGAIN);
            }
            other => break other?,
        }
    };
    machine.set_nodelay(true)?;
    caller.set_nonblocking(false)?;
    caller.set_nodelay(true)?;
    let kept = machine.try_clone()?;
    if let Some(line) = shared.lock().open.get_mut(&line) {
        line.sockets.push(kept);
    }
    let (inward, outward) = (
        (caller.try_clone()?, machine.try_clone()?),
        (machine, caller.try_clone()?),
    );
    thread::scope(|scope| {
        scope.spawn(|| pump(shared, line, inward, true));
        pump(shared, line, outward, false);
    });
    Ok(())
}

/// Carries bytes one way until they end.
fn pump(shared: &Shared, line: u64, (mut from, mut to): (TcpStream, TcpStream), inward: bool) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(count) => {
                {
                    let mut state = shared.lock();
                    state.pieces += 1;
                    if let Some(line) = state.open.get_mut(&line) {
                        line.waits = inward;
                    }
                }
                let bytes = buffer.get(..count).unwrap_or_default();
                if to.write_all(bytes).is_ok() {
                    continue;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => {}
        }
        // One side is gone: so is the other.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
        return;
    }
}

#[cfg(test)]
mod tests {
    use amt_sim::device::Interface;
    use amt_sim::host::SharedDevice;
    use amt_sim::host::local_ports::Reach;
    use amt_sim::{Device, Preset};

    use super::*;

    fn machine(last: u8) -> Behind {
        let device = Device::builder("tiger-lake-15").preset(Preset::Admin);
        let device = SharedDevice::new(device.build().unwrap());
        let address = IpAddr::from([127, 49, 1, last]);
        let ports = LocalPorts::open(&device, Interface::Network, address, Reach::Loopback);
        Behind::Machine(Arc::new(ports.unwrap()))
    }

    fn port(behind: &Behind) -> u16 {
        match behind {
            Behind::Machine(ports) => ports.ports()[0],
            Behind::Nobody => WATCHED[0],
        }
    }

    fn until(what: impl Fn() -> bool) {
        let start = Instant::now();
        while !what() {
            assert!(start.elapsed() < Duration::from_secs(30), "it never came");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn who_waits_at_the_door_is_led_to_whoever_is_behind_it_then() {
        let (first, other) = (machine(1), machine(2));
        let port = port(&first);
        let address = IpAddr::from([127, 49, 1, 3]);
        let door = Door::open(
            address,
            Behind::Machine(Arc::clone(match &first {
                Behind::Machine(ports) => ports,
                Behind::Nobody => panic!("it is a machine"),
            })),
        )
        .unwrap();
        door.latch().hold();
        let mut caller = TcpStream::connect((address, port)).unwrap();
        caller
            .write_all(b"GET /logon.htm HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        until(|| door.callers() == 1);
        caller
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        assert!(caller.read(&mut [0; 1]).is_err(), "nobody let it in");
        door.lead_to(other);
        drop(first);
        door.latch().let_in();
        caller
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut answer = [0; 9];
        caller.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 ");
        until(|| !door.is_awaited());
    }

    #[test]
    fn who_calls_nobody_is_counted() {
        let address = IpAddr::from([127, 49, 1, 4]);
        let door = Door::open(address, Behind::Nobody).unwrap();
        let mut caller = TcpStream::connect((address, WATCHED[1])).unwrap();
        assert_eq!(caller.read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(door.callers(), 1);
        drop(door);
        assert!(TcpStream::connect((address, WATCHED[1])).is_err());
    }
}
