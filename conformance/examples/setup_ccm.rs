//! How long the reference application takes to bring a device into client control mode.
//!
//! ```text
//! setup_ccm [TIMES]
//! ```
//! Each time it is another device, in this process, without reply delay. What is measured: the account over AMTHI, the
//! LME handshake, the digest login, AMT_GeneralSettings, and Setup. It prints one JSON object, in milliseconds.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use amt_sim::device::ControlMode;
use amt_sim::host::SharedDevice;
use amt_sim::host::port::DevicePort;
use amt_sim::{Device, Profile};
use conformance::role::WallClock;
use conformance::wire::{Amthi, Client, digest};

const TIMES: usize = 50;
/// Not measured: caches and clocks get warm.
const WARM_UP: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let times = std::env::args().nth(1);
    let times = times.map_or(Ok(TIMES), |text| text.parse())?;
    let profile = Profile::builtin("tiger-lake-15")?.with("timings.mei_reply_ms", "0")?;
    let profile = Arc::new(profile);
    let mut figures = Vec::with_capacity(times);
    for turn in 0..times + WARM_UP {
        let seed = u64::try_from(turn)?;
        let device = SharedDevice::new(Device::of(profile.clone()).seed(seed).build()?);
        let started = Instant::now();
        activate(&DevicePort::new(device.clone()))?;
        let took = started.elapsed();
        let mode = device.with(None, |device| device.mode().control_mode());
        if mode != ControlMode::Client {
            return Err(format!("the device is in {mode:?}").into());
        }
        if turn >= WARM_UP {
            figures.push(took.as_secs_f64() * 1000.0);
        }
    }
    figures.sort_by(f64::total_cmp);
    let median = figures.get(figures.len() / 2).copied().unwrap_or_default();
    println!(
        "{}",
        serde_json::json!({ "times": times, "median_ms": median })
    );
    Ok(())
}

/// As the application does it without a signature.
fn activate(port: &DevicePort) -> Result<(), Box<dyn Error>> {
    const SERVICE: &str = "IPS_HostBasedSetupService";
    let clock = WallClock::default();
    let account = Amthi::open(port, &clock)?.local_account()?;
    let mut client = Client::new(port, &clock, account.user, account.password);
    let settings = client.get("AMT_GeneralSettings")?;
    let realm = settings.text_of("DigestRealm")?;
    let parameters = [
        ("NetAdminPassEncryptionType", "2".to_owned()), // HTTP digest A1
        (
            "NetworkAdminPassword",
            digest::a1("admin", realm, "P@ssw0rd1"),
        ),
    ];
    let answer = client.invoke(SERVICE, "Setup", &parameters)?;
    match answer.return_value {
        0 => Ok(()),
        other => Err(format!("Setup returned {other}").into()),
    }
}
