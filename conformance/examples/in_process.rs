//! A test of your own against a simulated device, in your own process: no root, no sockets, no waiting.
//!
//! What is tried here is the bundled application; yours takes its place if it can be given a port to open. The device
//! is busy twice, loses an answer and takes a minute over another, and all of it costs a few milliseconds.

use amt_sim::{Device, Mode};
use conformance::in_process::TestDevice;
use conformance::role::Ending;
use conformance::role::setup::{Cast, Host};
use conformance::scenario::{Action, Order, Outcome};

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::builder("tiger-lake-15").seed(7).build()?;
    let device = TestDevice::new(device)
        .fault("connect:amthi=EBUSY*2")?
        .fault("http+1=delay-2000*1")?
        .allow_assumptions()
        .expect_mode(Mode::Client);

    // The program under test: it opens a port and waits by a clock.
    let mut cast = Cast::new(7, None);
    let host = Host {
        port: device.port(),
        clock: device.clock(),
    };
    let report = cast.act(Action::ApplicationSetup, &Order::default(), host);
    assert_eq!(report.ending, Ending::Outcome(Outcome::Done), "{report:?}");

    println!("{} journal entries", device.journal().len());
    Ok(())
    // Here the device is dropped, and says so if a fault never struck, a message was malformed, or the mode is wrong.
}
