use super::{Bench, e};
use crate::wsman::base64;

const LOG: &str = "AMT_MessageLog";
const ALARMS: &str = "IPS_AlarmClockOccurrence";

fn records(bench: &mut Bench, from: &str, most: &str) -> super::Answer {
    let input = e("IterationIdentifier", from) + &e("MaxReadRecords", most);
    bench.call(LOG, "GetRecords", &input)
}

#[test]
fn the_event_log_reads_from_the_first_entry_on() {
    let mut bench = Bench::admin();
    let answer = bench.get(LOG).ok();
    assert_eq!(answer.text("CurrentNumberOfRecords"), Some("2"));
    let answer = bench.call(LOG, "PositionToFirstRecord", "");
    assert_eq!(answer.text("IterationIdentifier"), Some("1"));
    let answer = records(&mut bench, "1", "390");
    assert_eq!(answer.text("NoMoreRecords"), Some("true"));
    let entries = answer.texts("RecordArray");
    assert_eq!(entries.len(), 2);
    let entry = base64::decode(entries[0]).unwrap();
    assert_eq!(entry.len(), 21);
    assert_eq!(entry[..4], 1_767_225_600_u32.to_le_bytes());
    let answer = records(&mut bench, "1", "1");
    assert_eq!(answer.text("NoMoreRecords"), Some("false"));
    assert_eq!(answer.text("IterationIdentifier"), Some("2"));
    assert_eq!(records(&mut bench, "3", "1").value(), 3);
    assert_eq!(records(&mut bench, "0", "1").value(), 2);
}

#[test]
fn a_cleared_log_is_empty_until_the_next_boot() {
    let mut bench = Bench::admin();
    assert_eq!(bench.call(LOG, "ClearLog", "").value(), 0);
    assert_eq!(bench.call(LOG, "PositionToFirstRecord", "").value(), 2);
    assert_eq!(records(&mut bench, "1", "390").value(), 3);
    let mut bench = bench.power_cycle();
    assert_eq!(records(&mut bench, "1", "390").value(), 0);
}

#[test]
fn the_audit_log_is_empty() {
    let mut bench = Bench::admin();
    for start in ["0", "1"] {
        let answer = bench.call("AMT_AuditLog", "ReadRecords", &e("StartIndex", start));
        assert_eq!(answer.value(), 0);
        assert_eq!(answer.text("TotalRecordCount"), Some("0"));
    }
    let answer = bench.call("AMT_AuditLog", "ReadRecords", &e("StartIndex", "2"));
    assert_eq!(answer.value(), 35);
}

/// As Go clients write it: namespaces on the way.
fn alarm(name: &str) -> String {
    let own = "http://intel.com/wbem/wscim/1/ips-schema/1/IPS_AlarmClockOccurrence";
    let common = "http://schemas.dmtf.org/wbem/wscim/1/common";
    format!(
        "<d:AlarmTemplate xmlns:d=\"http://intel.com/wbem/wscim/1/amt-schema/1/AMT_AlarmClockService\" \
         xmlns:s=\"{own}\"><s:InstanceID>{name}</s:InstanceID>\
         <s:StartTime><p:Datetime xmlns:p=\"{common}\">2026-02-03T04:05:00Z</p:Datetime></s:StartTime>\
         <s:Interval><p:Interval xmlns:p=\"{common}\">P1DT2H0M</p:Interval></s:Interval>\
         <s:DeleteOnCompletion>true</s:DeleteOnCompletion></d:AlarmTemplate>"
    )
}

fn add(bench: &mut Bench, alarm: &str) -> super::Answer {
    bench.call("AMT_AlarmClockService", "AddAlarm", alarm)
}

#[test]
fn alarms_are_kept_five_at_most() {
    let mut bench = Bench::admin();
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(add(&mut bench, &alarm(name)).ok().value(), 0);
    }
    assert_eq!(add(&mut bench, &alarm("f")).fault, "e:QuotaLimit");
    let mut bench = bench.power_cycle();
    let answer = bench.all(ALARMS).ok();
    assert_eq!(answer.texts("InstanceID"), ["a", "b", "c", "d", "e"]);
    assert_eq!(answer.text("Datetime"), Some("2026-02-03T04:05:00Z"));
    assert!(answer.body.contains("P1DT2H0M"));
    bench.delete(ALARMS, ("InstanceID", "c")).ok();
    assert_eq!(bench.all(ALARMS).texts("InstanceID").len(), 4);
    bench.unprovision();
    assert!(bench.all(ALARMS).texts("InstanceID").is_empty());
}

#[test]
fn a_name_is_used_once_and_a_time_is_a_time() {
    let mut bench = Bench::admin();
    add(&mut bench, &alarm("a")).ok();
    assert_eq!(
        add(&mut bench, &alarm("a")).fault,
        "d:InvalidRepresentation"
    );
    let odd = alarm("b").replace("2026-02-03T04:05:00Z", "soon");
    assert_eq!(add(&mut bench, &odd).fault, "d:InvalidRepresentation");
}
