//! Every layout, and the list in it.

use rstest::rstest;

use super::*;
use crate::device::{Event, HostBasedAgain, Interface, Mode};
use crate::http::testing::{events, with_profile};

fn firmware(profile: &str, mode: Mode) -> Firmware {
    let profile = crate::device::Profile::builtin(profile).unwrap();
    with_profile(profile, mode, crate::device::Rules::default())
}

/// A request of `size` bytes with a list and what is said of its length.
fn request(size: usize, algorithm: u8, digest: &[u8], vpn: u8, count: u32, list: &[u8]) -> Vec<u8> {
    let wide = if size == 396 { 4 } else { 1 };
    let boolean = if size == 390 { 1 } else { 4 };
    let mut data = vec![0; size];
    data[0] = algorithm;
    data[wide..wide + digest.len()].copy_from_slice(digest);
    let at = wide + 64;
    data[at] = vpn;
    data[at + boolean..at + boolean + 4].copy_from_slice(&count.to_le_bytes());
    if size > 73 {
        let at = at + boolean + 4;
        data[at..at + list.len()].copy_from_slice(list);
    }
    data
}

fn ask(fw: &mut Firmware, data: &[u8]) -> Result<Vec<u8>, Status> {
    start(fw, Reader::new(data)).map(Writer::finish)
}

#[rstest]
fn every_layout_arms_the_device(
    #[values(73, 390, 393, 396)] size: usize,
    #[values((2, 32), (3, 48))] algorithm: (u8, usize),
    #[values("comet-lake-14", "tiger-lake-15", "alder-lake-16", "lunar-lake-20")] profile: &str,
) {
    let (number, length) = algorithm;
    let digest: Vec<u8> = (1..=length as u8).collect();
    let mut fw = firmware(profile, Mode::PreProvisioning);
    let answer = ask(&mut fw, &request(size, number, &digest, 0, 0, b"")).unwrap();
    assert_eq!(fw.mode(), Mode::SetupHostBased);
    assert_eq!(answer.len(), 65);
    assert_eq!(answer[0], number);
    let shown = crate::http::leaf(&mut fw, Interface::Local);
    let expected = crate::pki::fingerprint(fw.state.announced.clone().unwrap().algorithm, &shown);
    assert_eq!(answer[1..=length], expected);
    assert!(answer[1 + length..].iter().all(|byte| *byte == 0));
    assert_eq!(
        fw.state.announced.unwrap().hash,
        crate::hex::encode(&digest)
    );
}

#[rstest]
#[case::bytes(390, 26, &["corp.example", "lab.example"], false)]
#[case::bytes_and_a_last_nul(390, 320, &["corp.example", "lab.example"], false)]
#[case::names(393, 2, &["corp.example", "lab.example"], true)]
#[case::names(396, 2, &["corp.example", "lab.example"], true)]
#[case::fewer_names(396, 1, &["corp.example"], true)]
fn a_list(
    #[case] size: usize,
    #[case] count: u32,
    #[case] expected: &[&str],
    #[case] finding: bool,
) {
    let mut fw = firmware("alder-lake-16", Mode::PreProvisioning);
    let list = b"corp.example\0lab.example\0";
    ask(&mut fw, &request(size, 2, &[7; 32], 1, count, list)).unwrap();
    let announced = fw.state.announced.clone().unwrap();
    assert_eq!(announced.suffixes, expected);
    assert!(announced.host_vpn);
    let malformed = |event: &Event| matches!(event, Event::Malformed { .. });
    assert_eq!(events(&mut fw).iter().any(malformed), finding);
}

#[rstest]
#[case::md5(0, 0, 0)]
#[case::sha1(1, 0, 0)]
#[case::sha224(4, 0, 0)]
#[case::sha512(5, 0, 0)]
#[case::unknown(6, 0, 0)]
#[case::no_boolean(2, 2, 0)]
#[case::a_longer_list_than_there_can_be(2, 0, 321)]
fn what_is_refused(#[case] algorithm: u8, #[case] vpn: u8, #[case] count: u32) {
    let mut fw = firmware("alder-lake-16", Mode::PreProvisioning);
    let data = request(390, algorithm, &[7; 64], vpn, count, b"");
    assert_eq!(ask(&mut fw, &data), Err(Status::INVALID_PARAMETER));
    assert_eq!(fw.mode(), Mode::PreProvisioning);
    assert_eq!(fw.state.announced, None);
}

/// The second of two calls is refused; StopConfiguration makes room for another.
#[test]
fn twice() {
    let mut fw = firmware("alder-lake-16", Mode::PreProvisioning);
    let data = |digest: u8| request(390, 2, &[digest; 32], 0, 0, b"");
    ask(&mut fw, &data(1)).unwrap();
    assert_eq!(ask(&mut fw, &data(2)), Err(Status::INVALID_AMT_MODE));
    assert_eq!(fw.state.announced.clone().unwrap().hash, "01".repeat(32));
    fw.trigger(crate::device::Trigger::StopConfiguration)
        .unwrap();
    assert_eq!(fw.state.announced, None);
    ask(&mut fw, &data(2)).unwrap();
    assert_eq!(fw.state.announced.unwrap().hash, "02".repeat(32));
}

/// Firmware that takes the second call forgets the first one's server.
#[test]
fn twice_where_the_second_is_taken() {
    let mut profile = crate::device::Profile::builtin("lunar-lake-20").unwrap();
    profile.assumptions.host_based_again = HostBasedAgain::Taken;
    let mut fw = with_profile(
        profile,
        Mode::PreProvisioning,
        crate::device::Rules::default(),
    );
    let data = |digest: u8| request(390, 2, &[digest; 32], 0, 0, b"");
    ask(&mut fw, &data(1)).unwrap();
    ask(&mut fw, &data(2)).unwrap();
    assert_eq!(fw.mode(), Mode::SetupHostBased);
    assert_eq!(fw.state.announced.unwrap().hash, "02".repeat(32));
}

#[rstest]
#[case(Mode::Disabled, Err(Status::INVALID_AMT_MODE))]
#[case(Mode::PreProvisioning, Ok(()))]
#[case(Mode::SetupOutOfBand, Err(Status::INVALID_AMT_MODE))]
#[case(Mode::SetupElapsed, Err(Status::INVALID_AMT_MODE))]
#[case(Mode::SetupHostBased, Err(Status::INVALID_AMT_MODE))]
#[case(Mode::HalfClient, Err(Status::INVALID_AMT_MODE))]
#[case(Mode::HalfAdmin, Err(Status::INVALID_AMT_MODE))]
#[case(Mode::Client, Err(Status::INVALID_AMT_MODE))]
#[case(Mode::Admin, Err(Status::INVALID_AMT_MODE))]
fn in_every_state(#[case] mode: Mode, #[case] expected: Result<(), Status>) {
    let mut fw = firmware("lunar-lake-20", mode);
    let answer = ask(&mut fw, &request(390, 2, &[7; 32], 0, 0, b""));
    assert_eq!(answer.map(|_| ()), expected);
}

/// The hash is told as the chain that stands in has it.
#[rstest]
#[case("odca=wrong-cn", true)]
#[case("odca=other-leaf", false)]
fn the_hash_of_a_wrong_chain(#[case] fault: &str, #[case] fits: bool) {
    let mut fw = firmware("lunar-lake-20", Mode::PreProvisioning);
    fw.faults.arm(fault.parse().unwrap());
    let answer = ask(&mut fw, &request(390, 2, &[7; 32], 0, 0, b"")).unwrap();
    let shown = crate::device::setup::host_based_tls::wrong_chain(&mut fw).unwrap();
    let hash = crate::pki::fingerprint(HashAlgorithm::Sha256, &shown.shown[0]);
    assert_eq!(answer[1..33] == hash, fits);
}

/// Where the profile says for how long, the device gives up waiting and is what it was; else it waits for ever.
#[rstest]
#[case(0, None)]
#[case(600_000, Some(600))]
fn how_long_it_waits(#[case] limit: u64, #[case] seconds: Option<u64>) {
    let mut profile = crate::device::Profile::builtin("lunar-lake-20").unwrap();
    profile.assumptions.host_based_wait_ms = limit;
    let mut fw = with_profile(
        profile,
        Mode::PreProvisioning,
        crate::device::Rules::default(),
    );
    ask(&mut fw, &request(390, 2, &[7; 32], 0, 0, b"")).unwrap();
    let due = host_based_tls::next_wake(&fw);
    assert_eq!(due.map(|due| (due - fw.now).as_secs()), seconds);
    if let Some(due) = due {
        fw.now = due;
        host_based_tls::advance(&mut fw);
        assert_eq!(fw.mode(), Mode::PreProvisioning);
        assert_eq!(fw.state.announced, None);
        assert_eq!(host_based_tls::next_wake(&fw), None);
    }
}
