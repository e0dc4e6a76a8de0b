//! What the fuzz targets do with an input. `tests/corpus.rs` does the same on a stable compiler.
//!
//! Each `run` panics when the device breaks a promise: it never panics itself, what it sends is in bounds and well
//! formed, it comes to rest, and whatever came before, it answers a good request afterwards.
#![allow(dead_code, reason = "each fuzz target uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken promise is a panic"
)]

pub mod apf;
pub mod http;
pub mod login;
pub mod soap;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use amt_sim::device::Interface;
use amt_sim::{ClientKind, Device, Errno, HandleId, Preset, Profile, StreamId};

use login::Login;

/// The device's port without TLS.
pub const PORT: u16 = 16992;

/// Longest input that is looked at.
pub const LONGEST_INPUT: usize = 256 * 1024;

/// A device with that life behind it; always the same one.
pub fn device(preset: Preset) -> Device {
    static PROFILE: OnceLock<Arc<Profile>> = OnceLock::new();
    let profile = PROFILE.get_or_init(|| Arc::new(Profile::builtin("tiger-lake-15").unwrap()));
    Device::of(profile.clone())
        .seed(7)
        .preset(preset)
        .build()
        .unwrap()
}

/// Lets time pass, with everything that the device does by itself on the way.
pub fn pass(device: &mut Device, time: Duration, now: &mut amt_sim::Instant) {
    let end = *now + time;
    let mut wakes = 0;
    while let Some(wake) = device.next_wake().filter(|wake| *wake <= end) {
        device.advance(wake);
        wakes += 1;
        assert!(wakes < 10_000, "the device never comes to rest");
    }
    device.advance(end);
    *now = end;
}

/// More than a device may send for so many bytes.
pub fn bound(input: usize) -> usize {
    64 * 1024 + 512 * input
}

/// Answers and nothing else: status and body of each, in order. Panics at anything that is no HTTP.
pub fn answers(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = find(bytes, b"\r\n\r\n").expect("a head ends");
        let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
        let mut rest = &bytes[end + 4..];
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .and_then(|line| line.get(..3)?.parse().ok())
            .expect("a status line");
        let mut body = Vec::new();
        if let Some(length) = header(head, "Content-Length") {
            let length: usize = length.parse().expect("a length is a number");
            body.extend_from_slice(&rest[..length]);
            rest = &rest[length..];
        } else if header(head, "Transfer-Encoding") == Some("chunked") {
            loop {
                let line = find(rest, b"\r\n").expect("a chunk has a size");
                let size = std::str::from_utf8(&rest[..line]).expect("a size is text");
                let size = usize::from_str_radix(size, 16).expect("a size is a number");
                let data = &rest[line + 2..][..size];
                body.extend_from_slice(data);
                rest = rest[line + 2 + size..]
                    .strip_prefix(b"\r\n")
                    .expect("a chunk ends");
                if size == 0 {
                    break;
                }
            }
        }
        answers.push((status, body));
        bytes = rest;
    }
    answers
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

/// Everything that a stream gives now.
pub fn take(device: &mut Device, stream: StreamId) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let pending = device.stream_pending(stream);
        assert!(pending <= 1024 * 1024, "{pending} bytes wait");
        let bytes = device.stream_take(stream, 4096);
        if bytes.is_empty() {
            return all;
        }
        all.extend(bytes);
    }
}

/// Connects to a client of the ME, whatever became of the link.
pub fn connect(device: &mut Device, client: ClientKind, now: &mut amt_sim::Instant) -> HandleId {
    for _ in 0..20 {
        let opened = device.mei_open();
        if let Ok(handle) = opened {
            match device.mei_connect(handle, client.guid()) {
                Ok(_) => return handle,
                Err(Errno::Ebusy | Errno::Enodev) => device.mei_close(handle),
                Err(errno) => panic!("{client:?} cannot be connected: {errno:?}"),
            }
        }
        pass(device, Duration::from_secs(1), now);
    }
    panic!("{client:?} never comes back");
}

/// The next message on a handle, if one is on its way.
pub fn read(
    device: &mut Device,
    handle: HandleId,
    now: &mut amt_sim::Instant,
) -> Result<Vec<u8>, Errno> {
    for _ in 0..100 {
        match device.mei_read(handle, 64 * 1024) {
            Err(Errno::Eagain) => {}
            other => return other,
        }
        match device.next_wake() {
            // What takes longer is no answer.
            Some(wake) if wake <= *now + Duration::from_secs(2) => {
                device.advance(wake);
                *now = (*now).max(wake);
            }
            _ => return Err(Errno::Eagain),
        }
    }
    Err(Errno::Eagain)
}

/// The device lives: it answers over MEI, and over HTTP whoever may log in where it listens.
pub fn is_well(device: &mut Device, before: &Before, now: &mut amt_sim::Instant) {
    // Accounts that were locked are open again.
    pass(device, Duration::from_secs(300), now);
    let handle = connect(device, ClientKind::Amthi, now);
    let uuid = [1, 1, 0, 0, 0x5c, 0, 0, 4, 0, 0, 0, 0];
    device.mei_write(handle, &uuid).unwrap();
    let answer = read(device, handle, now).unwrap();
    assert_eq!(answer[16..], device.identity().uuid.to_wire());
    device.mei_close(handle);
    for side in [Interface::Local, Interface::Network] {
        if !device.stream_listens(side, PORT) {
            assert!(device.stream_open(side, PORT).is_err());
            continue;
        }
        let account = device.local_account();
        let (user, password) = match side {
            Interface::Local => (account.user.to_string(), account.password.clone()),
            Interface::Network => ("admin".to_owned(), Preset::PASSWORD.to_owned()),
        };
        let known = side == Interface::Local || before.admin == Before::of(device).admin;
        let mut login = Login::new(user, password);
        let good = soap::get("AMT_GeneralSettings");
        let (status, body) = login.post(device, side, good.as_bytes());
        assert!(
            status == 200 || !known,
            "a good request is answered with {status} on the side {side:?}: {}",
            String::from_utf8_lossy(&body)
        );
    }
}

/// What decides later whether the administrator's password still opens the device.
#[derive(Debug, PartialEq)]
pub struct Before {
    admin: (String, Option<String>),
}

impl Before {
    pub fn of(device: &Device) -> Self {
        let state = device.state();
        Self {
            admin: (state.admin_name.clone(), state.admin_ha1.clone()),
        }
    }
}
