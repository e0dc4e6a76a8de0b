//! What holds for every request.

use proptest::prelude::*;

use super::*;

/// Whole requests of every sort.
fn valid() -> Vec<String> {
    let first = [("InstanceID", "Probe 0")];
    vec![
        get("AMT_GeneralSettings", &[]),
        get("CIM_SoftwareIdentity", &[("InstanceID", "AMT")]),
        put(
            "AMT_Probe",
            &first,
            "<h:Small>7</h:Small><h:Alarm>2026-01-01T00:00:00Z</h:Alarm><h:Names>a</h:Names>",
        ),
        enumerate("AMT_Probe"),
        pull("AMT_Probe", "01000000-0000-0000-0000-000000000000", Some(9)),
        pull("AMT_Probe", "02000000-0000-0000-0000-000000000000", None),
        invoke(
            "AMT_TimeSynchronizationService",
            "SetHighAccuracyTimeSynch",
            "<h:Ta0>1</h:Ta0><h:Tm1>4294967295</h:Tm1><h:Tm2>4294967295</h:Tm2>",
        ),
        invoke("AMT_SetupAndConfigurationService", "Unprovision", ""),
        go(&format!("{TRANSFER}/Delete"), "AMT_Probe", &first, ""),
    ]
}

/// An answer that an XML reader takes, in ASCII, with an Envelope.
fn sound(reply: &Reply) -> bool {
    match reply {
        Reply::NotAuthorized | Reply::Failed(_) => true,
        Reply::Answer { body, .. } | Reply::Fault { body } => {
            let text = body.trim_start_matches("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
            body.is_ascii()
                && roxmltree::Document::parse(text)
                    .is_ok_and(|document| document.root_element().has_tag_name("Envelope"))
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes: Vec<u8>, text in "[<>/a-zA-Z:=\"'& ]{0,200}") {
        let mut bench = Bench::admin();
        for request in [bytes.as_slice(), text.as_bytes()] {
            let reply = respond(&mut bench.fw, &bench.caller, request);
            prop_assert!(sound(&reply));
        }
    }

    #[test]
    fn requests_with_damage_are_answered(
        damage in prop::collection::vec((0..9_usize, 0..2000_usize, 0..40_usize, "[<>/a-z0-9&\"]{0,6}"), 1..12)
    ) {
        let mut bench = Bench::admin();
        let requests = valid();
        for (which, at, cut, put) in damage {
            let mut bytes = requests[which].clone().into_bytes();
            let at = at.min(bytes.len());
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, put.into_bytes());
            let reply = respond(&mut bench.fw, &bench.caller, &bytes);
            prop_assert!(sound(&reply));
        }
    }

    #[test]
    fn what_is_put_is_got(
        small: u8, signed: i16, flag: bool,
        blob in prop::collection::vec(any::<u8>(), 1..20),
        text in "[a-zA-Z0-9<>&\"' é–]{1,30}",
        numbers in prop::collection::vec(any::<u8>(), 1..5),
        seconds in 0_i64..4_102_444_800,
    ) {
        let mut escaped = String::new();
        crate::wsman::xml::escape(&text, &mut escaped);
        let alarm = crate::wsman::value::datetime_text(UnixTime(seconds));
        let mut properties = format!(
            "<h:Small>{small}</h:Small><h:Signed>{signed}</h:Signed><h:Flag>{flag}</h:Flag><h:Blob>{}</h:Blob>\
             <h:Text>{escaped}</h:Text><h:Alarm><h:Datetime>{alarm}</h:Datetime></h:Alarm>",
            crate::wsman::base64::encode(&blob),
        );
        for number in &numbers {
            properties += &format!("<h:Numbers>{number}</h:Numbers>");
        }
        let first = [("InstanceID", "Probe 0")];
        let mut bench = Bench::admin();
        let put = bench.ask(&put("AMT_Probe", &first, &properties));
        let got = bench.ask(&get("AMT_Probe", &first));
        prop_assert_eq!(&put, &got);
        let instance = crate::wsman::store::find(
            &bench.fw,
            "AMT_Probe",
            &crate::wsman::value::Selectors::new().with("InstanceID", "Probe 0"),
        ).unwrap();
        prop_assert_eq!(instance.int("Small"), Some(small.into()));
        prop_assert_eq!(instance.int("Signed"), Some(signed.into()));
        prop_assert_eq!(instance.bool("Flag"), Some(flag));
        prop_assert_eq!(instance.text("Text"), Some(text.as_str()));
        prop_assert_eq!(instance.get("Blob"), Some(&blob.into()));
        prop_assert_eq!(instance.get("Alarm"), Some(&UnixTime(seconds).into()));
    }
}
