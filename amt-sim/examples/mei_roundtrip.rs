//! How long a message to the firmware and its answer take, through `/dev/mei0` and between two processes.
//!
//! ```text
//! mei_roundtrip device [TRIPS]    inside a program that has a /dev/mei0: AMTHI GetUUID and its answer
//! mei_roundtrip sockets [TRIPS]   the same bytes through a bare socket pair to a process that sends them back
//! mei_roundtrip [TRIPS]           both in turns, the first under the FUSE front end without reply delay
//! ```
//! Each run prints one JSON object: the work, its trips, and nanoseconds a trip (median and tenth percentile).
#![expect(unsafe_code, reason = "an ioctl")]

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use amt_sim::host::{SharedDevice, fuse};
use amt_sim::{ClientKind, Device, Profile};

/// GetUUID: AMTHI version 1.1, reserved, command 0x0400005C, no data.
const REQUEST: [u8; 12] = [1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0];
const DEFAULT_TRIPS: usize = 20_000;
/// Not measured: caches and clocks get warm.
const WARM_UP: usize = 500;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (work, trips) = match words[..] {
        [] => ("compare", DEFAULT_TRIPS),
        [word] => match word.parse() {
            Ok(trips) => ("compare", trips),
            Err(_) => (word, DEFAULT_TRIPS),
        },
        [work, trips] => (work, trips.parse().map_err(io::Error::other)?),
        _ => ("help", 0),
    };
    match work {
        "compare" => compare(trips),
        "device" => through_device(trips),
        "sockets" => through_sockets(trips),
        "echo" => echo(),
        _ => Err(io::Error::other(
            "give: device | sockets, and how many trips",
        )),
    }
}

/// In turns, so that whatever else the machine does falls on both.
fn compare(trips: usize) -> io::Result<()> {
    let profile = Profile::builtin("tiger-lake-15")
        .and_then(|profile| profile.with("timings.mei_reply_ms", "0"))
        .map_err(io::Error::other)?;
    let device = Device::of(Arc::new(profile)).build();
    let device = SharedDevice::new(device.map_err(io::Error::other)?);
    let itself = |work: &str| -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([work, &trips.to_string()]);
        Ok(command)
    };
    for _ in 0..3 {
        itself("sockets")?.status()?;
        fuse::launch(itself("device")?, &device, fuse::Options::default())?.wait()?;
    }
    Ok(())
}

fn through_device(trips: usize) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/mei0")?;
    let mut argument = ClientKind::Amthi.guid().to_wire();
    // SAFETY: IOCTL_MEI_CONNECT_CLIENT reads and writes sixteen bytes.
    if unsafe { libc::ioctl(file.as_raw_fd(), 0xC010_4801, argument.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    measure("device", trips, &mut file)
}

fn through_sockets(trips: usize) -> io::Result<()> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut echo = Command::new(std::env::current_exe()?)
        .arg("echo")
        .stdin(OwnedFd::from(theirs))
        .spawn()?;
    let result = measure("sockets", trips, &mut ours);
    drop(ours);
    echo.wait()?;
    result
}

/// Sends back whatever comes.
fn echo() -> io::Result<()> {
    use std::os::fd::AsFd;
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer)? {
            0 => return Ok(()),
            count => socket.write_all(&buffer[..count])?,
        }
    }
}

fn measure(work: &str, trips: usize, peer: &mut (impl Read + Write)) -> io::Result<()> {
    let mut answer = [0; 5120];
    let mut times = Vec::with_capacity(trips);
    for trip in 0..trips + WARM_UP {
        let start = Instant::now();
        peer.write_all(&REQUEST)?;
        let length = peer.read(&mut answer)?;
        if trip >= WARM_UP {
            times.push(start.elapsed().as_nanos());
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied();
    println!(
        r#"{{"work":"{work}","trips":{trips},"median_ns":{},"p10_ns":{}}}"#,
        at(50).unwrap_or_default(),
        at(10).unwrap_or_default()
    );
    Ok(())
}
