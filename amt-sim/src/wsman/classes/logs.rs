//! Event log, audit log, and the alarm clock.

use crate::device::{Firmware, Realm, Rule, assumed};
use crate::time::UnixTime;
use crate::wsman::base64;
use crate::wsman::call::status::cim;
use crate::wsman::call::{Access, Call, Input, Method, Outcome, parse_bool, status};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Live, Provider};
use crate::wsman::request::Element;
use crate::wsman::store;
use crate::wsman::value::{Instance, Interval, Reference, Selectors, Value, parse_datetime};

const MESSAGES: &str = "AMT_MessageLog";
const AUDIT: &str = "AMT_AuditLog";
const ALARM: &str = "IPS_AlarmClockOccurrence";

const MOST_ALARMS: usize = 5;
const MOST_RECORDS_READ: usize = 390;

const READ_EVENTS: Access = Access::Realms(&[Realm::EVENT_MANAGER, Realm::EVENT_LOG_READER]);
const EVENTS: Access = Access::Realms(&[Realm::EVENT_MANAGER]);
const AUDITOR: Access = Access::Realms(&[Realm::AUDIT_LOG, Realm::LOCAL_SYSTEM]);

pub(crate) const METHODS: &[Method] = &[
    Method::new(MESSAGES, "PositionToFirstRecord", READ_EVENTS, position_to_first),
    Method::new(MESSAGES, "PositionAtRecord", READ_EVENTS, position_at),
    Method::new(MESSAGES, "GetRecords", READ_EVENTS, records),
    Method::new(MESSAGES, "GetRecord", READ_EVENTS, record),
    Method::new(MESSAGES, "CancelIteration", READ_EVENTS, cancel),
    Method::new(MESSAGES, "ClearLog", EVENTS, clear),
    Method::new(MESSAGES, "FreezeLog", EVENTS, freeze),
    Method::new(MESSAGES, "RequestStateChange", EVENTS, log_state),
    Method::new(AUDIT, "ReadRecords", AUDITOR, read_audit),
    Method::new(AUDIT, "ClearLog", Access::Administrator, clear_audit),
    Method::new(
        "AMT_AlarmClockService",
        "AddAlarm",
        Access::Realms(&[Realm::GENERAL_INFO, Realm::REMOTE_CONTROL]),
        add_alarm,
    ),
];

pub(crate) const PROVIDERS: &[Provider] = &[];

pub(crate) const LIVE: &[Live] = &[
    Live {
        name: "event-records",
        value: |fw| Some(i64::try_from(events(fw).len()).unwrap_or(i64::MAX).into()),
    },
    Live {
        name: "audit-records",
        value: |_| Some(0.into()),
    },
    Live {
        name: "last-audit-record",
        // There is none; clients read a time all the same.
        value: |_| Some(UnixTime(0).into()),
    },
];

/// The event log: two entries a boot, oldest first, 21 bytes each.
///
/// ```text
/// u32 LE time, device address, sensor type, event type, event offset, source type, severity, sensor number,
/// entity, entity instance, eight bytes of data
/// ```
/// Two, not one: a single entry is no array for some clients.
fn events(fw: &Firmware) -> Vec<[u8; 21]> {
    if fw.state.events_cleared_at == Some(fw.state.boots) {
        return Vec::new();
    }
    const FIRMWARE_PROGRESS: u8 = 0x0f;
    const PROGRESS_OFFSET: u8 = 2;
    const BIOS_ENTITY: u8 = 34;
    // "Secondary processor initialization" and "Starting operating system boot process".
    [0x03_u8, 0x13]
        .into_iter()
        .map(|progress| {
            let mut entry = [0; 21];
            let at = u32::try_from(fw.clock_at_power_on.0).unwrap_or_default();
            let (time, rest) = entry.split_at_mut(4);
            time.copy_from_slice(&at.to_le_bytes());
            let fields = [
                0xff,
                FIRMWARE_PROGRESS,
                0x6f,
                PROGRESS_OFFSET,
                0x68,
                1,
                0xff,
                BIOS_ENTITY,
                0,
                0x40,
                progress,
            ];
            for (place, byte) in rest.iter_mut().zip(fields) {
                *place = byte;
            }
            entry
        })
        .collect()
}

/// PositionToFirstRecord: 2 when there is none.
fn position_to_first(call: &mut Call<'_>) -> Outcome {
    const NO_RECORD: u32 = 2;
    call.fw.assume(assumed::EVENT_LOG);
    match events(call.fw).is_empty() {
        true => Outcome::status(NO_RECORD).with("IterationIdentifier", "0"),
        false => Outcome::OK.with("IterationIdentifier", "1"),
    }
}

/// The iterator is the number of the next entry, from 1 up.
fn position(input: &Input) -> Option<usize> {
    input.fits::<usize>("IterationIdentifier").filter(|at| *at > 0)
}

fn position_at(call: &mut Call<'_>) -> Outcome {
    const INVALID: u32 = 2;
    let number = call.input.number("RecordNumber").unwrap_or_default();
    let from = match call.input.bool("MoveAbsolute") {
        Some(false) => call.input.number("IterationIdentifier").unwrap_or_default(),
        _ => 0,
    };
    let at = from.saturating_add(number);
    let last = i64::try_from(events(call.fw).len()).unwrap_or(i64::MAX);
    if !(1..=last).contains(&at) {
        return Outcome::status(INVALID);
    }
    Outcome::OK
        .with("IterationIdentifier", at.to_string())
        .with("RecordNumber", at)
}

/// GetRecords: up to 390 entries from the iterator on.
fn records(call: &mut Call<'_>) -> Outcome {
    const INVALID_POINTER: u32 = 2;
    const NO_RECORD: u32 = 3;
    let most = call.input.fits::<usize>("MaxReadRecords").unwrap_or_default();
    let Some(at) = position(call.input) else {
        return Outcome::status(INVALID_POINTER);
    };
    let events = events(call.fw);
    let left = events.get(at - 1..).unwrap_or_default();
    if left.is_empty() || most == 0 {
        return Outcome::status(NO_RECORD)
            .with("IterationIdentifier", at.to_string())
            .with("NoMoreRecords", true);
    }
    let taken = left.len().min(most.min(MOST_RECORDS_READ));
    let array = left.iter().take(taken);
    let array = array.map(|entry| base64::encode(entry).into()).collect();
    Outcome::OK
        .with("IterationIdentifier", (at + taken).to_string())
        .with("NoMoreRecords", taken == left.len())
        .with("RecordArray", Value::List(array))
}

fn record(call: &mut Call<'_>) -> Outcome {
    const NO_RECORD: u32 = 3;
    let at = position(call.input).unwrap_or_default();
    let events = events(call.fw);
    let Some(entry) = at.checked_sub(1).and_then(|place| events.get(place)) else {
        return Outcome::status(NO_RECORD);
    };
    let moves = call.input.bool("PositionToNext") == Some(true);
    let next = at + usize::from(moves);
    let number = i64::try_from(at).unwrap_or(i64::MAX);
    Outcome::OK
        .with("IterationIdentifier", next.to_string())
        .with("RecordNumber", number)
        .with(
            "RecordData",
            Value::List(entry.iter().map(|byte| (*byte).into()).collect()),
        )
}

fn cancel(_: &mut Call<'_>) -> Outcome {
    Outcome::OK
}

fn clear(call: &mut Call<'_>) -> Outcome {
    let boots = call.fw.state.boots;
    call.fw
        .remember(|state| state.events_cleared_at = Some(boots));
    Outcome::OK
}

fn freeze(call: &mut Call<'_>) -> Outcome {
    let Some(freeze) = call.input.bool("Freeze") else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    let keys = call.instance.clone();
    store::set(call.fw, MESSAGES, &keys, "IsFrozen", freeze);
    Outcome::OK
}

/// RequestStateChange of the event log: 2 on, 3 off.
fn log_state(call: &mut Call<'_>) -> Outcome {
    let Some(state @ 2..=3) = call.input.number("RequestedState") else {
        return Outcome::status(cim::INVALID_PARAMETER);
    };
    let changes = Instance::new()
        .with("EnabledState", state)
        .with("RequestedState", state);
    let keys = call.instance.clone();
    store::put(call.fw, MESSAGES, &keys, changes);
    Outcome::OK
}

/// ReadRecords of the audit log, which is empty as it is over AMTHI. Public clients start at 0 or at 1.
fn read_audit(call: &mut Call<'_>) -> Outcome {
    let Some(start) = call.input.fits::<u32>("StartIndex") else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    if start > 1 {
        return Outcome::status(status::INVALID_INDEX);
    }
    call.fw.assume(assumed::AUDIT_LOG_EMPTY);
    Outcome::OK
        .with("TotalRecordCount", 0)
        .with("RecordsReturned", 0)
}

fn clear_audit(_: &mut Call<'_>) -> Outcome {
    Outcome::OK
}

/// AddAlarm: at most five, each with a name of its own.
fn add_alarm(call: &mut Call<'_>) -> Outcome {
    let mut template = call.input.elements("AlarmTemplate");
    let Some(alarm) = template.next().and_then(read_alarm) else {
        return Outcome::fault(Fault::MissingValues);
    };
    let keys = Selectors::new().with("InstanceID", alarm.text("InstanceID").unwrap_or_default());
    if store::find(call.fw, ALARM, &keys).is_some() {
        return Outcome::fault(Fault::InvalidValues);
    }
    let alarms = store::instances(call.fw, ALARM).len();
    if alarms >= MOST_ALARMS && call.fw.enforced(Rule::ALARM_LIMIT) {
        return Outcome::fault(Fault::QuotaLimit);
    }
    store::create(call.fw, ALARM, &keys, alarm);
    // Real devices leave the reference empty although the alarm was made.
    Outcome::OK.with("AlarmClock", Reference::new(""))
}

fn read_alarm(template: &Element) -> Option<Instance> {
    let text = |name: &str| template.child(name).map(|child| child.text.trim());
    let time = |name: &str, inner: &str| {
        let element = template.child(name)?;
        let text = element.child(inner).unwrap_or(element).text.trim();
        Some(text.to_owned())
    };
    let id = text("InstanceID").filter(|id| (1..=32).contains(&id.len()))?;
    let start = parse_datetime(&time("StartTime", "Datetime")?)?;
    let mut alarm = Instance::new()
        .with("ElementName", text("ElementName").unwrap_or(id))
        .with("InstanceID", id)
        .with("StartTime", start)
        .with(
            "DeleteOnCompletion",
            text("DeleteOnCompletion").and_then(parse_bool)?,
        );
    let interval = match time("Interval", "Interval") {
        Some(text) if !text.is_empty() => Interval::parse(&text)?,
        _ => Interval::default(),
    };
    alarm.set("Interval", Value::Interval(interval));
    Some(alarm)
}
