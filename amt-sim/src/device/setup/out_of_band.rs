//! Set-up over the network, the older of the two ways: an agent starts it, the device makes a key, opens its network
//! interface, says Hello to its SCA, and waits for the SCA to come.
//!
//! ```text
//!   StartConfiguration ─▶ making the key ─▶ interface open ─▶ Hello, again and again ─▶ CommitChanges
//!                          (minutes)          │                                        StopConfiguration
//!                                             └── 6 hours, or what the SCA asked for ─▶ elapsed
//! ```
//! Where the vendor set the timer for it, power and network start it without an agent (`capabilities.bare_metal`).
//!
//! All of it is device time. What a power cut must not change is in [`OutOfBand`]; moments are in [`Runtime`] and
//! are worked out anew at power-on.
//!
//! Source: "Intel AMT Implementation and Reference Guide", pages "Remote Setup and Configuration Flow",
//! "CFG_StartConfigurationEx", "Out of Band Remote PKI Configuration with a Local Agent"; manuals of HP and Altiris
//! for the six hours.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hello::{self, Dial, DialEnd, HelloStop};
use super::random_seed::{self, SeedStatus};
use crate::device::assumed;
use crate::device::fault::{FaultPoint, Occasion};
use crate::device::firmware::Firmware;
use crate::device::journal::Event;
use crate::device::mode::{Mode, Refusal, Trigger};
use crate::device::profile::SlowKey;
use crate::device::rule::Rule;
use crate::time::{Instant, UnixTime};

/// The interface is never open for longer than this after it opened.
const LONGEST_PERIOD: Duration = Duration::from_secs(255 * 3600);

/// Hours that one ExtendProvisioningPeriod may ask for.
const MOST_HOURS: u32 = 24;

/// How far set-up over the network has come, in memory that keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutOfBand {
    /// StartConfigurationEx asked for IPv6.
    pub ipv6: bool,
    /// Since when the interface has been open, by the clock that nobody can set; absent while the key is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_since: Option<UnixTime>,
    /// When it closes by itself, by the same clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes: Option<UnixTime>,
    /// Hello messages so far.
    #[serde(default)]
    pub hellos: u32,
    /// No agent started it: power and network did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare_metal: bool,
}

/// What of it is gone with the power.
#[derive(Debug, Default)]
pub(crate) struct Runtime {
    key_ready: Option<Instant>,
    closes: Option<Instant>,
    next_hello: Option<Instant>,
    /// Connections that nobody has made yet, each with the moment from which it may be.
    dials: Vec<(Instant, Dial)>,
    dials_made: u32,
    /// Hello messages so far, as in memory that may be cleared by now.
    hellos: u32,
    /// Counts what happened by itself and may matter to whoever carries bytes.
    disturbances: u64,
}

/// Why StartConfiguration does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartRefusal {
    Mode(Refusal),
    /// No link, no DHCP, or no domain from it.
    NoNetwork,
    /// No seed for random numbers.
    Seed(SeedStatus),
    /// The key is being made, and set-up mode begins when it is.
    Key,
}

impl From<Refusal> for StartRefusal {
    fn from(refusal: Refusal) -> Self {
        Self::Mode(refusal)
    }
}

/// StartConfiguration and StartConfigurationEx. The key comes first, unless there is one already.
pub(crate) fn start(fw: &mut Firmware, ipv6: Option<bool>) -> Result<(), StartRefusal> {
    fw.permit(Trigger::StartConfiguration)?;
    if ipv6.is_some() && !has_network(fw) && fw.enforced(Rule::OOB_START_NETWORK) {
        return Err(StartRefusal::NoNetwork);
    }
    match random_seed::status(fw) {
        missing @ (SeedStatus::InProgress | SeedStatus::Missing)
            if fw.enforced(Rule::HELLO_SEED) =>
        {
            return Err(StartRefusal::Seed(missing));
        }
        _ => {}
    }
    let flow = OutOfBand {
        ipv6: ipv6 == Some(true),
        ..OutOfBand::default()
    };
    let waits = fw.profile.assumptions.slow_key == SlowKey::BeforeSetUp;
    if waits && !fw.state.own_key_made {
        fw.assume(assumed::OOB_KEY_FIRST);
        if fw.setup.out_of_band.key_ready.is_none() {
            begin(fw, flow);
        }
        return Err(StartRefusal::Key);
    }
    fw.trigger(Trigger::StartConfiguration)?;
    fw.assume(assumed::OOB_KEY);
    begin(fw, flow);
    Ok(())
}

/// Power and network are there, and the vendor's timer runs: set-up without an agent and without a one-time password.
fn start_alone(fw: &mut Firmware) {
    let wanted = fw.profile.capabilities.bare_metal
        && fw.profile.network.link_up()
        && fw.enforced(Rule::HELLO_BARE_METAL);
    if !wanted || fw.mode() != Mode::PreProvisioning || fw.trigger(Trigger::BareMetal).is_err() {
        return;
    }
    begin(
        fw,
        OutOfBand {
            bare_metal: true,
            ..OutOfBand::default()
        },
    );
}

fn begin(fw: &mut Firmware, flow: OutOfBand) {
    fw.remember(|state| state.out_of_band = Some(flow));
    fw.setup.out_of_band = Runtime {
        // Numbers of dials and disturbances never come twice.
        dials_made: fw.setup.out_of_band.dials_made,
        disturbances: fw.setup.out_of_band.disturbances,
        ..Runtime::default()
    };
    proceed(fw);
}

/// StopConfiguration while the key is made before set-up mode: whether there was anything to cancel.
pub(crate) fn cancel_start(fw: &mut Firmware) -> bool {
    let waiting = fw.mode() != Mode::SetupOutOfBand && fw.state.out_of_band.is_some();
    if waiting {
        fw.assume(assumed::OOB_KEY_FIRST);
        abandon(fw);
    }
    waiting
}

/// The key that was made before set-up mode is not wanted any more.
fn abandon(fw: &mut Firmware) {
    fw.remember(|state| {
        state.out_of_band = None;
        state.otp = None;
    });
    if fw.setup.out_of_band.key_ready.take().is_some() {
        fw.record(Event::KeyGeneration {
            stage: KeyStage::Cancelled,
            takes_ms: 0,
        });
    }
}

/// A DHCP lease with a domain in it: what the guide says that status NOT_READY means.
fn has_network(fw: &Firmware) -> bool {
    let network = &fw.profile.network;
    let lans = [&network.wired, &network.wireless];
    let leased = lans
        .into_iter()
        .flatten()
        .any(|lan| lan.dhcp && lan.link_up);
    leased && !network.dhcp_domain.is_empty()
}

/// Goes on where memory says that it was: after a start, and after a power cut.
fn proceed(fw: &mut Firmware) {
    let Some(at) = fw.state.out_of_band.clone() else {
        return;
    };
    if at.open_since.is_some() {
        let left = at.closes.map_or(0, |closes| closes.0 - unset_clock(fw).0);
        let left = Duration::from_secs(u64::try_from(left).unwrap_or(0));
        let now = fw.now;
        let runtime = &mut fw.setup.out_of_band;
        runtime.closes = Some(now + left);
        runtime.next_hello = Some(now);
    } else if fw.state.own_key_made {
        key_is_there(fw);
    } else {
        let takes = fw.profile.timings.key_generation_ms;
        fw.setup.out_of_band.key_ready = Some(fw.now + takes);
        fw.record(Event::KeyGeneration {
            stage: KeyStage::Started,
            takes_ms: u64::try_from(takes.as_millis()).unwrap_or(u64::MAX),
        });
    }
}

/// At power-on. A key that was half made is made anew.
pub(crate) fn resume(fw: &mut Firmware) {
    match fw.mode() {
        Mode::SetupOutOfBand => proceed(fw),
        Mode::PreProvisioning | Mode::SetupElapsed if fw.state.out_of_band.is_some() => proceed(fw),
        _ => start_alone(fw),
    }
}

/// The key is made, or was there: the interface opens, and set-up mode begins where it waited for that.
fn key_is_there(fw: &mut Firmware) {
    let waited = fw.mode() != Mode::SetupOutOfBand;
    let wanted = fw.state.out_of_band.is_some();
    if waited && (!wanted || fw.trigger(Trigger::StartConfiguration).is_err()) {
        // Somebody set the device up another way meanwhile, or cleared it. The key is kept all the same.
        fw.remember(|state| {
            state.own_key_made = true;
            state.out_of_band = None;
        });
        return;
    }
    open_interface(fw);
}

/// What becomes of the key that the device makes for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyStage {
    Started,
    Finished,
    Cancelled,
}

fn open_interface(fw: &mut Firmware) {
    let timings = &fw.profile.timings;
    let flow = fw.state.out_of_band.as_ref();
    let alone = flow.is_some_and(|flow| flow.bare_metal);
    let period = match alone {
        true => timings.bare_metal_period_ms,
        false => timings.provisioning_period_ms,
    }
    .min(LONGEST_PERIOD);
    let (now, clock) = (fw.now, unset_clock(fw));
    fw.remember(|state| {
        state.own_key_made = true;
        if let Some(flow) = &mut state.out_of_band {
            flow.open_since = Some(clock);
            flow.closes = Some(clock.after(period));
        }
    });
    let runtime = &mut fw.setup.out_of_band;
    runtime.closes = Some(now + period);
    runtime.next_hello = Some(now);
    runtime.disturbances += 1;
    fw.record(Event::NetworkInterface { open: true });
    fw.assume(match alone {
        true => assumed::OOB_BARE_METAL,
        false => assumed::OOB_PERIOD,
    });
}

/// The clock without what was set over WS-Management: it only ever goes forward.
fn unset_clock(fw: &Firmware) -> UnixTime {
    fw.clock_at_power_on.after(fw.now - Instant::POWER_ON)
}

/// When the next thing here happens by itself.
pub(crate) fn next_wake(fw: &Firmware) -> Option<Instant> {
    let runtime = &fw.setup.out_of_band;
    let held = runtime.dials.iter().map(|(from, _)| *from);
    [runtime.key_ready, runtime.next_hello, runtime.closes]
        .into_iter()
        .flatten()
        .chain(random_seed::next_wake(fw))
        .chain(held.filter(|from| *from > fw.now))
        .min()
}

/// Until when the device is at work on something during which nobody can reach it from the network.
pub(crate) fn busy_until(fw: &Firmware) -> Option<Instant> {
    fw.setup.out_of_band.key_ready
}

/// Does what is due now.
pub(crate) fn advance(fw: &mut Firmware) {
    random_seed::advance(fw);
    let is_due = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= fw.now);
    let runtime = &fw.setup.out_of_band;
    if is_due(runtime.key_ready) {
        fw.setup.out_of_band.key_ready = None;
        fw.record(Event::KeyGeneration {
            stage: KeyStage::Finished,
            takes_ms: 0,
        });
        key_is_there(fw);
    } else if is_due(runtime.closes) {
        fw.setup.out_of_band.closes = None;
        if fw.enforced(Rule::HELLO_PERIOD) {
            // A refusal is journaled; there is nobody to tell.
            let _ = fw.trigger(Trigger::PeriodElapsed);
        }
    } else if is_due(runtime.next_hello) {
        say_hello(fw);
    }
}

fn say_hello(fw: &mut Firmware) {
    let count = fw.state.out_of_band.as_ref().map_or(0, |flow| flow.hellos);
    let wait = hello::wait_after(count, &fw.profile);
    fw.setup.out_of_band.next_hello = wait.map(|wait| fw.now + wait);
    if count >= fw.profile.setup_server.most_hellos {
        return;
    }
    fw.remember(|state| {
        if let Some(flow) = &mut state.out_of_band {
            flow.hellos = count + 1;
        }
    });
    fw.setup.out_of_band.hellos = count + 1;
    let fault = fw.strike(Occasion {
        at: FaultPoint::Hello,
        client: None,
        command: None,
    });
    let effect = fault.as_ref().map(|fault| &fault.effect);
    for sending in hello::sendings(fw, count, effect) {
        dial(fw, count, sending);
    }
    fw.assume(assumed::OOB_HELLO_SCHEDULE);
    fw.assume(assumed::OOB_HELLO_FLAG);
    if wait.is_none() {
        fw.record(Event::HelloStopped {
            sent: count + 1,
            why: HelloStop::AllSent,
        });
    }
}

/// One connection for one message.
fn dial(fw: &mut Firmware, count: u32, sending: hello::Sending) {
    let hosts = hello::hosts(fw);
    let port = fw.profile.setup_server.port;
    let from = fw.now + sending.delay;
    let runtime = &mut fw.setup.out_of_band;
    let id = runtime.dials_made;
    runtime.dials_made = id.wrapping_add(1);
    runtime.disturbances += 1;
    runtime.dials.push((
        from,
        Dial {
            id,
            hosts: hosts.clone(),
            port,
            bytes: sending.bytes.clone(),
            delivery: sending.delivery,
        },
    ));
    fw.record(Event::Hello {
        dial: id,
        hosts,
        port,
        retry: count,
        bytes: sending.bytes,
        delivery: sending.delivery,
    });
}

/// Dials that nobody has made yet.
pub(crate) fn take_dials(fw: &mut Firmware) -> Vec<Dial> {
    let now = fw.now;
    let dials = &mut fw.setup.out_of_band.dials;
    let due = dials.extract_if(.., |(from, _)| *from <= now);
    due.map(|(_, dial)| dial).collect()
}

/// What came of a dial.
pub(crate) fn dial_ended(fw: &mut Firmware, dial: u32, end: DialEnd) {
    fw.record(Event::HelloEnded { dial, end });
}

/// Counts what happened here without a call from outside.
pub(crate) fn disturbances(fw: &Firmware) -> u64 {
    fw.setup.out_of_band.disturbances
}

/// Whether the network interface is open. A memory that says nothing of it is one from before the flow existed.
pub(crate) fn interface_is_open(fw: &Firmware) -> bool {
    let flow = fw.state.out_of_band.as_ref();
    fw.mode() == Mode::SetupOutOfBand && flow.is_none_or(|flow| flow.open_since.is_some())
}

/// The mode is another now: the flow is over, whatever ended it.
pub(crate) fn left(fw: &mut Firmware, to: Mode) {
    let elapsed = to == Mode::SetupElapsed;
    fw.remember(|state| state.out_of_band = None);
    let goes_on = !fw.enforced(Rule::HELLO_STOPS);
    let runtime = &mut fw.setup.out_of_band;
    let making = runtime.key_ready.take().is_some();
    // The end of the period is what took this away before.
    let was_open = runtime.closes.take().is_some() || elapsed;
    let more = !goes_on && runtime.next_hello.take().is_some();
    runtime.dials.clear();
    runtime.disturbances += 1;
    if more {
        let why = match to {
            Mode::SetupElapsed => HelloStop::Elapsed,
            Mode::Admin | Mode::HalfAdmin => HelloStop::Committed,
            _ => HelloStop::Stopped,
        };
        let sent = fw.setup.out_of_band.hellos;
        fw.record(Event::HelloStopped { sent, why });
    }
    if making {
        fw.record(Event::KeyGeneration {
            stage: KeyStage::Cancelled,
            takes_ms: 0,
        });
    }
    if was_open && to != Mode::Admin {
        fw.record(Event::NetworkInterface { open: false });
    }
}

/// Why ExtendProvisioningPeriod does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtendRefusal {
    /// No period runs.
    Mode,
    /// Not 1 to 24 hours.
    Hours,
}

/// ExtendProvisioningPeriod: so many hours are left from now on.
pub(crate) fn extend(fw: &mut Firmware, hours: Option<u32>) -> Result<(), ExtendRefusal> {
    let open = matches!(fw.mode(), Mode::SetupOutOfBand | Mode::SetupHostBased);
    if !open && fw.enforced(Rule::WSMAN_EXTEND_PERIOD) {
        return Err(ExtendRefusal::Mode);
    }
    let within =
        |hours: &u32| *hours > 0 && (*hours <= MOST_HOURS || !fw.enforced(Rule::OOB_EXTEND_HOURS));
    let hours = hours.filter(within).ok_or(ExtendRefusal::Hours)?;
    let clock = unset_clock(fw);
    let Some(since) = fw
        .state
        .out_of_band
        .as_ref()
        .and_then(|flow| flow.open_since)
    else {
        return Ok(());
    };
    let latest = since.after(LONGEST_PERIOD);
    let closes = clock
        .after(Duration::from_secs(u64::from(hours) * 3600))
        .min(latest);
    let left = Duration::from_secs(u64::try_from(closes.0 - clock.0).unwrap_or(0));
    fw.setup.out_of_band.closes = Some(fw.now + left);
    fw.remember(|state| {
        if let Some(flow) = &mut state.out_of_band {
            flow.closes = Some(closes);
        }
    });
    Ok(())
}

#[cfg(test)]
#[path = "out_of_band_tests.rs"]
mod tests;
