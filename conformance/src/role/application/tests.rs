use amt_sim::Device;

use super::*;
use crate::run::VirtualDevice;

fn parties() -> (VirtualDevice, Parties) {
    let device = Device::builder("alder-lake-16").build().unwrap();
    (VirtualDevice::new(device), Parties::new(1, None))
}

fn act(parties: &mut Parties, device: &VirtualDevice, action: Action) -> ActionReport {
    parties.act(action, device, device)
}

#[test]
fn a_signed_request_goes_through_and_is_recognised() {
    let (device, mut parties) = parties();
    let report = act(&mut parties, &device, Action::ApplicationSetUp);
    assert_eq!(
        report.ending,
        Ending::Outcome(Outcome::Done),
        "{:?}",
        report.remarks
    );
    let report = act(&mut parties, &device, Action::ApplicationCheck);
    assert_eq!(report.facts.get(&Fact::RECORD_ROGUE), Some(&json!(false)));
}

#[test]
fn a_check_before_any_set_up_is_no_check() {
    let (device, mut parties) = parties();
    let report = act(&mut parties, &device, Action::ApplicationCheck);
    assert_eq!(report.ending, Ending::Outcome(Outcome::Failed));
}
