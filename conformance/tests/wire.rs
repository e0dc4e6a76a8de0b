//! The parties of host-based set-up where no clock jumps: on a device that lives in real time, as behind `/dev/mei0`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

use amt_sim::Device;
use amt_sim::host::SharedDevice;
use amt_sim::host::port::DevicePort;
use conformance::fact::Fact;
use conformance::role::WallClock;
use conformance::role::setup::{Cast, Host};
use conformance::scenario::{Action, Order};
use serde_json::json;

#[test]
fn the_flow_of_the_page_in_real_time() {
    let device = Device::builder("comet-lake-14").build().unwrap();
    let port = DevicePort::new(SharedDevice::new(device));
    let clock = WallClock::default();
    let host = Host {
        port: &port,
        clock: &clock,
    };
    let mut cast = Cast::new(1, None);
    let steps = [
        Action::ApplicationPrepare,
        Action::ServerIssue,
        Action::ApplicationSetupSigned,
        Action::CheckerCheck,
    ];
    for action in steps {
        let report = cast.act(action, &Order::default(), host);
        assert!(report.remarks.is_empty(), "{action}: {:?}", report.remarks);
        match action {
            Action::ApplicationSetupSigned => {
                assert_eq!(report.facts[&Fact::RETURN_VALUE], json!(0));
                assert_eq!(report.facts[&Fact::CONTROL_MODE], json!("ccm"));
            }
            Action::CheckerCheck => {
                assert_eq!(report.facts[&Fact::CHECKER_VERDICT], json!("genuine"));
            }
            _ => {}
        }
    }
}
