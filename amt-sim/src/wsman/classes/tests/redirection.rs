use std::time::Duration;

use rstest::rstest;

use super::{Bench, e};
use crate::device::{Event, Mode};

const SERVICE: &str = "AMT_RedirectionService";
const KVM: &str = "CIM_KVMRedirectionSAP";
const CONSENT: &str = "IPS_OptInService";

#[test]
fn sol_and_ider_are_switched_and_stay() {
    let mut bench = Bench::admin();
    let answer = bench.get(SERVICE).ok();
    assert_eq!(answer.text("EnabledState"), Some("32771"));
    let state = e("RequestedState", "32770");
    assert_eq!(bench.call(SERVICE, "RequestStateChange", &state).value(), 0);
    // One public agent puts CIM's 2 into EnabledState here.
    let body = e("EnabledState", "2") + &e("ListenerEnabled", "false");
    bench.put(SERVICE, &[], &body).ok();
    let mut bench = bench.power_cycle();
    let answer = bench.get(SERVICE);
    assert_eq!(answer.text("EnabledState"), Some("32770"));
    assert_eq!(answer.text("ListenerEnabled"), Some("false"));
    bench.unprovision();
    let answer = bench.get(SERVICE);
    assert_eq!(answer.text("EnabledState"), Some("32771"));
    let odd = e("RequestedState", "2");
    assert_eq!(bench.call(SERVICE, "RequestStateChange", &odd).value(), 5);
}

#[test]
fn kvm_is_on_without_a_session_or_off() {
    let mut bench = Bench::admin();
    let off = e("RequestedState", "3");
    assert_eq!(bench.call(KVM, "RequestStateChange", &off).value(), 0);
    let answer = bench.get(KVM);
    assert_eq!(answer.text("EnabledState"), Some("3"));
    assert_eq!(answer.text("RequestedState"), Some("3"));
    let on = e("RequestedState", "2");
    assert_eq!(bench.call(KVM, "RequestStateChange", &on).value(), 0);
    assert_eq!(bench.get(KVM).text("EnabledState"), Some("6"));
}

#[test]
fn a_machine_without_kvm_has_no_access_point() {
    let mut bench = Bench::admin();
    let profile = bench.fw.profile.with("platform.features", "4").unwrap();
    bench.fw.profile = std::sync::Arc::new(profile);
    assert_eq!(bench.get(KVM).fault, "b:DestinationUnreachable");
    let all = bench.all(KVM).ok();
    assert_eq!(all.texts("Name"), [""; 0]);
}

fn code(bench: &Bench) -> String {
    let shown = bench
        .events()
        .into_iter()
        .rev()
        .find_map(|event| match event {
            Event::ConsentDisplayed { code } => Some(code.clone()),
            _ => None,
        });
    shown.unwrap()
}

fn state(bench: &mut Bench) -> String {
    let answer = bench.get(CONSENT);
    answer.text("OptInState").unwrap_or_default().to_owned()
}

#[test]
fn the_user_reads_a_code_and_the_operator_sends_it() {
    let mut bench = Bench::client();
    assert_eq!(state(&mut bench), "0");
    assert_eq!(bench.call(CONSENT, "StartOptIn", "").value(), 0);
    assert_eq!(state(&mut bench), "2");
    assert_eq!(bench.call(CONSENT, "StartOptIn", "").value(), 2);
    let code = code(&bench);
    assert_eq!(code.len(), 6);
    let answer = bench.call(CONSENT, "SendOptInCode", &e("OptInCode", &code));
    assert_eq!(answer.value(), 0);
    assert_eq!(state(&mut bench), "3");
    // Nobody opens a session in time.
    bench.fw.now = bench.fw.now + Duration::from_secs(120);
    assert_eq!(state(&mut bench), "0");
}

#[test]
fn three_wrong_codes_block() {
    let mut bench = Bench::client();
    bench.call(CONSENT, "StartOptIn", "");
    let wrong = e("OptInCode", "1000000");
    let values: Vec<u32> = (0..4)
        .map(|_| bench.call(CONSENT, "SendOptInCode", &wrong).value())
        .collect();
    assert_eq!(values, [4, 4, 3, 2]);
    assert_eq!(state(&mut bench), "0");
}

#[test]
fn a_consent_ends_by_cancel_by_time_and_by_power() {
    let mut bench = Bench::client();
    assert_eq!(bench.call(CONSENT, "CancelOptIn", "").value(), 2);
    bench.call(CONSENT, "StartOptIn", "");
    assert_eq!(bench.call(CONSENT, "CancelOptIn", "").value(), 0);
    assert_eq!(state(&mut bench), "0");
    bench.call(CONSENT, "StartOptIn", "");
    bench.fw.now = bench.fw.now + Duration::from_secs(300);
    assert_eq!(state(&mut bench), "0");
    bench.call(CONSENT, "StartOptIn", "");
    assert_eq!(state(&mut bench), "2");
    let mut bench = bench.power_cycle();
    assert_eq!(state(&mut bench), "0");
}

#[rstest]
#[case::client(Mode::Client, "0", "4294967295", "e:AccessDenied")]
#[case::admin(Mode::Admin, "1", "1", "")]
fn the_policy_is_the_administrators(
    #[case] mode: Mode,
    #[case] can_modify: &str,
    #[case] required: &str,
    #[case] fault: &str,
) {
    let mut bench = Bench::of("tiger-lake-15", mode, &[]);
    let answer = bench.get(CONSENT).ok();
    assert_eq!(answer.text("CanModifyOptInPolicy"), Some(can_modify));
    assert_eq!(answer.text("OptInRequired"), Some(required));
    // Sending it back as it is harms nobody.
    let same = e("OptInRequired", required) + &e("OptInState", "0");
    bench.put(CONSENT, &[], &same).ok();
    let answer = bench.put(CONSENT, &[], &e("OptInRequired", "0"));
    assert_eq!(answer.fault, fault);
    if mode == Mode::Admin {
        let mut bench = bench.power_cycle();
        assert_eq!(bench.get(CONSENT).text("OptInRequired"), Some("0"));
    }
}
