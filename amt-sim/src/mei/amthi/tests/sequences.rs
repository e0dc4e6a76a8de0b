//! Whole conversations as real agents hold them, over the bus, with every byte on record.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::mei::ClientKind;
use crate::mei::testing::profile;
use crate::{Device, Preset};

/// Opens, connects, asks, reads and closes for each request, as rpc-go does.
fn one_by_one(device: &mut Device, requests: &[(ClientKind, &str)]) -> String {
    let mut out = String::new();
    for (client, request) in requests {
        let handle = device.mei_open().unwrap();
        device.mei_connect(handle, client.guid()).unwrap();
        exchange(device, handle, request, &mut out);
        device.mei_close(handle);
    }
    out
}

/// One connection for all requests, as MeshCmd does.
fn in_one_go(device: &mut Device, requests: &[&str]) -> String {
    let mut out = String::new();
    let handle = device.mei_open().unwrap();
    device
        .mei_connect(handle, ClientKind::Amthi.guid())
        .unwrap();
    for request in requests {
        exchange(device, handle, request, &mut out);
    }
    out
}

fn exchange(device: &mut Device, handle: crate::HandleId, request: &str, out: &mut String) {
    device.mei_write(handle, &bytes(request)).unwrap();
    let wake = device.next_wake().unwrap();
    device.advance(wake);
    let answer = device.mei_read(handle, 5120).unwrap();
    writeln!(out, "> {request}\n{}\n", dump(&answer)).unwrap();
}

fn device(preset: Preset) -> Device {
    let mut device = Device::of(Arc::new(profile()))
        .seed(7)
        .preset(preset)
        .build()
        .unwrap();
    device.advance(crate::Instant::POWER_ON + Duration::from_secs(60));
    device
}

#[test]
fn rpc_go_asks_for_everything() {
    use ClientKind::{Amthi, Upid, Watchdog};
    let requests = [
        (Amthi, "01010000 6b000004 00000000"),
        (Watchdog, "05025110"),
        (Amthi, "01010000 1a000004 00000000"),
        (Amthi, "01010000 5c000004 00000000"),
        (Upid, "00020100 01"),
        (Upid, "00050000"),
        (Upid, "00020100 00"),
        (Amthi, "01010000 6b000004 00000000"),
        (Amthi, "01010000 11000004 00000000"),
        (Watchdog, "05025110"),
        (Amthi, "01010000 36000004 00000000"),
        (Amthi, "01010000 46000004 00000000"),
        (Amthi, "01010000 48000004 04000000 00000000"),
        (Amthi, "01010000 48000004 04000000 01000000"),
        (Amthi, "01010000 2c000004 00000000"),
        (Amthi, "01010000 2d000004 04000000 00000000"),
        (Amthi, "01010000 2d000004 04000000 16000000"),
    ];
    // UPID switches a setting for one connection each, so the id is asked while it is on.
    insta::assert_snapshot!(one_by_one(&mut device(Preset::Factory), &requests));
}

#[test]
fn meshcmd_asks_for_everything() {
    let requests = [
        "01010000 1a000004 00000000",
        "01010000 11000004 00000000",
        "01010000 08000004 00000000",
        "01010000 84000004 00000000",
        "01010000 6b000004 00000000",
        "01010000 25000004 00000000",
        "01010000 48000004 04000000 00000000",
        "01010000 48000004 04000000 01000000",
        "01010000 5c000004 00000000",
        "01010000 46000004 00000000",
        "01010000 36000004 00000000",
        "01010000 67000004 28000000 00000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "01010000 5e000004 00000000",
        "01010000 10000004 04000000 01000000",
        "01010000 11000004 00000000",
    ];
    insta::assert_snapshot!(in_one_go(&mut device(Preset::Client), &requests));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let requests = [
        "01010000 5c000004 00000000",
        "01010000 67000004 28000000 00000000000000000000000000000000000000000000000000000000000000000000000000000000",
    ];
    let once = |seed| {
        let mut device = Device::builder("alder-lake-16").seed(seed).build().unwrap();
        in_one_go(&mut device, &requests)
    };
    assert_eq!(once(1), once(1));
    assert_ne!(once(1), once(2));
}
