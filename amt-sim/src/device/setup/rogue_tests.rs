//! The point of signing: whoever administers the host can unprovision the device and set it up again. Somebody who
//! looks at the record later can tell, if he looks at both the hash and the time.
//!
//! Source: "Intel AMT Implementation and Reference Guide", page "Creating a Signed Configuration Request".

use std::time::Duration;

use super::test_support::*;
use super::*;
use crate::time::UnixTime;

const PROFILE: &str = "alder-lake-16";
const DAY: Duration = Duration::from_secs(86_400);

/// What the owner wrote down when he set the device up.
struct Expected {
    hash: String,
    at: UnixTime,
}

/// What a later look at the record shows.
#[derive(Debug, PartialEq)]
struct Look {
    hash_is_ours: bool,
    time_is_ours: bool,
}

impl Expected {
    fn look(&self, fw: &Firmware) -> Look {
        let Some(ProvisioningRecord::Client(record)) = &fw.state.provisioning_record else {
            panic!("no client record");
        };
        Look {
            hash_is_ours: record.hash.as_deref() == Some(&self.hash),
            time_is_ours: record.at == self.at,
        }
    }
}

/// The owner sets the device up at noon, signed.
fn owned() -> (Firmware, Expected) {
    let mut fw = device(PROFILE);
    let server = Server::own();
    assert_eq!(server.set_up(&mut fw, &MC_NONCE), 0);
    let expected = Expected {
        hash: server.hash(),
        at: NOON,
    };
    let calm = Look {
        hash_is_ours: true,
        time_is_ours: true,
    };
    assert_eq!(expected.look(&fw), calm);
    (fw, expected)
}

/// The host's administrator needs no password for this.
fn unprovision(fw: &mut Firmware) {
    fw.trigger(Trigger::MeiUnprovision).unwrap();
}

#[test]
fn an_unsigned_setup_by_somebody_else_shows_in_both() {
    let (mut fw, expected) = owned();
    fw.now = fw.now + DAY;
    unprovision(&mut fw);
    assert_eq!(unsigned_setup(&mut fw), 0);
    let look = Look {
        hash_is_ours: false,
        time_is_ours: false,
    };
    assert_eq!(expected.look(&fw), look);
}

#[test]
fn another_certificate_with_the_clock_set_back_shows_in_the_hash_only() {
    let (mut fw, expected) = owned();
    unprovision(&mut fw);
    // The record's time is the host's clock, and the host is the intruder's.
    let mut fw = reboot(fw, NOON);
    assert_eq!(Server::rogue().set_up(&mut fw, &MC_NONCE), 0);
    let look = Look {
        hash_is_ours: false,
        time_is_ours: true,
    };
    assert_eq!(expected.look(&fw), look);
}

#[test]
fn an_unsigned_setup_with_the_clock_set_back_shows_in_the_hash_only() {
    let (mut fw, expected) = owned();
    unprovision(&mut fw);
    let mut fw = reboot(fw, NOON);
    assert_eq!(unsigned_setup(&mut fw), 0);
    let look = Look {
        hash_is_ours: false,
        time_is_ours: true,
    };
    assert_eq!(expected.look(&fw), look);
}

#[test]
fn a_server_that_signs_for_anybody_shows_in_the_time_only() {
    let (mut fw, expected) = owned();
    fw.now = fw.now + DAY;
    unprovision(&mut fw);
    // The intruder asks the owner's server for a signature over new nonces, and gets it.
    assert_eq!(Server::own().set_up(&mut fw, &[1; 20]), 0);
    let look = Look {
        hash_is_ours: true,
        time_is_ours: false,
    };
    assert_eq!(expected.look(&fw), look);
}

#[test]
fn a_recorded_request_played_again_gets_nowhere() {
    let mut fw = device(PROFILE);
    let server = Server::own();
    let signature = server.sign_nonces(&fw, &MC_NONCE);
    let play = |fw: &mut Firmware| {
        let proof = signed(&MC_NONCE, &signature);
        setup(fw, PASSWORD, Some(&server.certificate), proof)
    };
    assert_eq!(play(&mut fw), 0);
    fw.now = fw.now + DAY;
    unprovision(&mut fw);
    assert_eq!(play(&mut fw), 5);
    assert_eq!(fw.mode(), Mode::PreProvisioning);
}

#[test]
fn on_a_device_that_keeps_its_nonce_a_replay_shows_in_the_time_only() {
    let mut fw = without(PROFILE, Rule::SETUP_NONCE_RENEWED);
    let server = Server::own();
    let signature = server.sign_nonces(&fw, &MC_NONCE);
    let play = |fw: &mut Firmware| {
        let proof = signed(&MC_NONCE, &signature);
        setup(fw, PASSWORD, Some(&server.certificate), proof)
    };
    assert_eq!(play(&mut fw), 0);
    let expected = Expected {
        hash: server.hash(),
        at: NOON,
    };
    fw.now = fw.now + DAY;
    unprovision(&mut fw);
    assert_eq!(play(&mut fw), 0);
    let look = Look {
        hash_is_ours: true,
        time_is_ours: false,
    };
    assert_eq!(expected.look(&fw), look);
}

#[test]
fn an_unprovision_alone_shows_as_a_record_that_is_gone() {
    let (mut fw, _) = owned();
    unprovision(&mut fw);
    assert_eq!(fw.state.provisioning_record, None);
}
