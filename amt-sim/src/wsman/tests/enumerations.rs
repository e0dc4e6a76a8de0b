//! Enumerate, Pull and Release.

use std::time::Duration;

use super::*;

const SOFTWARE: &str = "CIM_SoftwareIdentity";

fn context(answer: &str) -> String {
    between(answer, "<g:EnumerationContext>", "</g:EnumerationContext>").to_owned()
}

#[test]
fn a_pull_with_a_limit_gives_everything_and_the_end() {
    let mut bench = Bench::admin();
    let context = context(&bench.ask(&enumerate(SOFTWARE)));
    assert_eq!(context, "01000000-0000-0000-0000-000000000000");
    let answer = bench.ask(&pull(SOFTWARE, &context, Some(999)));
    assert_eq!(answer.matches("<h:CIM_SoftwareIdentity>").count(), 11);
    assert!(answer.ends_with("</g:Items><g:EndOfSequence></g:EndOfSequence></g:PullResponse>"));
    assert!(!answer.contains("EnumerationContext"));
}

#[test]
fn a_pull_without_one_gives_one_and_a_new_context_until_the_end() {
    let mut bench = Bench::admin();
    let mut next = context(&bench.ask(&enumerate(SOFTWARE)));
    let mut pulls = 0;
    loop {
        let answer = bench.ask(&pull(SOFTWARE, &next, None));
        pulls += 1;
        assert_eq!(answer.matches("<h:CIM_SoftwareIdentity>").count(), 1);
        if answer.contains("EndOfSequence") {
            assert!(!answer.contains("EnumerationContext"));
            break;
        }
        assert!(
            answer.find("EnumerationContext") < answer.find("<g:Items>"),
            "the context comes first"
        );
        assert_ne!(context(&answer), next);
        next = context(&answer);
    }
    assert_eq!(pulls, 11);
}

#[test]
fn a_limit_below_the_rest_is_kept() {
    let mut bench = Bench::admin();
    let first = context(&bench.ask(&enumerate(SOFTWARE)));
    let answer = bench.ask(&pull(SOFTWARE, &first, Some(10)));
    assert_eq!(answer.matches("<h:CIM_SoftwareIdentity>").count(), 10);
    let answer = bench.ask(&pull(SOFTWARE, &context(&answer), Some(10)));
    assert_eq!(answer.matches("<h:CIM_SoftwareIdentity>").count(), 1);
}

#[test]
fn a_context_is_good_once_and_for_its_class_only() {
    let mut bench = Bench::admin();
    let context = context(&bench.ask(&enumerate(SOFTWARE)));
    let refused = "fault: c:InvalidEnumerationContext";
    assert_eq!(
        bench.ask(&pull("AMT_GeneralSettings", &context, None)),
        refused
    );
    bench.ask(&pull(SOFTWARE, &context, None));
    assert_eq!(bench.ask(&pull(SOFTWARE, &context, None)), refused);
}

#[test]
fn a_context_dies_of_age_or_is_released() {
    let mut bench = Bench::admin();
    let old = context(&bench.ask(&enumerate(SOFTWARE)));
    bench.fw.now = bench.fw.now + Duration::from_secs(301);
    let refused = "fault: c:InvalidEnumerationContext";
    assert_eq!(bench.ask(&pull(SOFTWARE, &old, None)), refused);

    let context = context(&bench.ask(&enumerate(SOFTWARE)));
    let body = format!(
        "<Release xmlns=\"{ENUMERATION}\"><EnumerationContext>{context}</EnumerationContext></Release>"
    );
    let release = go(&format!("{ENUMERATION}/Release"), SOFTWARE, &[], &body);
    assert_eq!(bench.ask(&release), "");
    assert_eq!(bench.ask(&release), refused);
}

#[test]
fn too_many_at_a_time_are_a_quota() {
    let mut bench = Bench::admin();
    for _ in 0..32 {
        assert!(bench.ask(&enumerate(SOFTWARE)).contains("Context"));
    }
    assert_eq!(bench.ask(&enumerate(SOFTWARE)), "fault: e:QuotaLimit");
    bench.fw.now = bench.fw.now + Duration::from_secs(301);
    assert!(bench.ask(&enumerate(SOFTWARE)).contains("Context"));
}

#[test]
fn references_can_be_enumerated_instead() {
    let mut bench = Bench::admin();
    let class = "AMT_GeneralSettings";
    let body = format!(
        "<n:Enumerate xmlns:n=\"{ENUMERATION}\" xmlns:m=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\">\
         <m:EnumerationMode>EnumerateEPR</m:EnumerationMode></n:Enumerate>"
    );
    let request = go(&format!("{ENUMERATION}/Enumerate"), class, &[], &body);
    let context = context(&bench.ask(&request));
    let answer = bench.ask(&pull(class, &context, None));
    insta::assert_snapshot!(between(&answer, "<g:Items>", "</g:Items>"));
}

#[test]
fn a_filter_is_refused() {
    let mut bench = Bench::admin();
    let body = format!(
        "<n:Enumerate xmlns:n=\"{ENUMERATION}\"><n:Filter>everything</n:Filter></n:Enumerate>"
    );
    let request = go(&format!("{ENUMERATION}/Enumerate"), SOFTWARE, &[], &body);
    assert_eq!(bench.ask(&request), "fault: c:FilteringNotSupported");
}
