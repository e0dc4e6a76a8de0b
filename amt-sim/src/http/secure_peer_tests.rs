//! Set-up through the host: one TLS client may do everything, all others nothing.

use rstest::rstest;

use super::super::testing::{PASSWORD, events, post, with_profile, without};
use super::*;
use crate::device::setup::host_based_tls;
use crate::device::{
    Announced, HashAlgorithm, Mode, Profile, Rules, SetupRecord, State, digest_a1,
};
use crate::pki::test_chain::TestChain;
use crate::pki::{ChainForm, OnDieChain, fingerprint};
use crate::time::UnixTime;
use crate::tls::testing::{client_with, heard, say, spoken, text};
use crate::tls::{FailureKind, Version};
use rsa::pkcs8::EncodePrivateKey;

use HashAlgorithm::{Sha256, Sha384};
use Interface::{Local, Network};

/// A device that waits for this chain's leaf and trusts its root.
fn armed(profile: &str, chain: &TestChain, algorithm: HashAlgorithm, rules: Rules) -> Firmware {
    let profile = Profile::builtin(profile).unwrap();
    let mut fw = with_profile(profile, Mode::PreProvisioning, rules);
    fw.state.hashes.push(chain.root_entry(Sha256, true));
    let announced = Announced {
        algorithm,
        hash: crate::hex::encode(&fingerprint(algorithm, &chain.build()[0])),
        suffixes: Vec::new(),
        host_vpn: false,
    };
    host_based_tls::start(&mut fw, announced).unwrap();
    events(&mut fw);
    fw
}

/// What a client with this chain gets for a request, and the certificates that it saw.
fn ask(
    fw: &mut Firmware,
    chain: &TestChain,
    body: &str,
    version: Version,
) -> (String, Vec<Vec<u8>>) {
    let id = open(fw, Local, 16993).unwrap();
    let key = chain.key().to_pkcs8_der().unwrap();
    let mut client = client_with(version, Some((&chain.build(), key.as_bytes())));
    say(&mut client, post("", body).as_bytes());
    loop {
        let up = spoken(&mut client);
        receive(fw, id, &up);
        let down = take(fw, id, usize::MAX);
        // An alert, where the client is refused.
        let gone = heard(&mut client, &down).is_err();
        if gone || (up.is_empty() && down.is_empty()) {
            break;
        }
    }
    close(fw, id);
    let shown = client.peer_certificates().unwrap();
    let shown = shown.iter().map(|der| der.to_vec()).collect();
    (String::from_utf8(text(&mut client)).unwrap(), shown)
}

const SCHEMA: &str = "http://intel.com/wbem/wscim/1/amt-schema/1";

fn call(class: &str, action: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Envelope xmlns=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\"><Header><a:Action>{action}</a:Action>\
         <a:To>/wsman</a:To><w:ResourceURI>{SCHEMA}/{class}</w:ResourceURI><a:MessageID>1</a:MessageID>\
         <a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address>\
         </a:ReplyTo></Header><Body>{body}</Body></Envelope>"
    )
}

fn general() -> String {
    let action = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";
    call("AMT_GeneralSettings", action, "")
}

fn commit() -> String {
    const CLASS: &str = "AMT_SetupAndConfigurationService";
    let input = format!("<r:CommitChanges_INPUT xmlns:r=\"{SCHEMA}/{CLASS}\"/>");
    call(CLASS, &format!("{SCHEMA}/{CLASS}/CommitChanges"), &input)
}

/// Why the device let nobody in.
fn refusals(fw: &mut Firmware) -> Vec<String> {
    let untrusted = |event| match event {
        Event::TlsFailed {
            reason: FailureKind::UntrustedClient,
            why,
            ..
        } => Some(why),
        _ => None,
    };
    events(fw).into_iter().filter_map(untrusted).collect()
}

#[rstest]
fn the_announced_client_is_the_administrator(
    #[values("tiger-lake-15", "lunar-lake-20")] profile: &str,
    #[values(Sha256, Sha384)] algorithm: HashAlgorithm,
    #[values(Version::Tls12, Version::Tls13)] version: Version,
) {
    let chain = TestChain::good();
    let mut fw = armed(profile, &chain, algorithm, Rules::default());
    let (answer, shown) = ask(&mut fw, &chain, &general(), version);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let amt = fw.profile.firmware.parts()[0];
    let family = fw.profile.platform.family.clone();
    let own = OnDieChain::for_device(fw.seed, &family, amt).unwrap();
    assert_eq!(shown, own.shown(ChainForm::Six));
}

#[rstest]
#[case::other_leaf(TestChain::good().leaf(|leaf| leaf.serial = vec![0x12]), "announced")]
#[case::root_missing(TestChain(TestChain::good().0[..1].to_vec()), "announced")]
fn another_client_is_cut_off(#[case] chain: TestChain, #[case] why: &str) {
    let mut fw = armed(
        "alder-lake-16",
        &TestChain::good(),
        Sha256,
        Rules::default(),
    );
    let (answer, _) = ask(&mut fw, &chain, &general(), Version::Tls13);
    assert_eq!(answer, "");
    let refusals = refusals(&mut fw);
    assert!(
        refusals.len() == 1 && refusals[0].contains(why),
        "{refusals:?}"
    );
    assert_eq!(fw.mode(), Mode::SetupHostBased);
}

/// The announced leaf alone is not enough.
#[rstest]
#[case::domain(TestChain::good().leaf(|leaf| leaf.common_name = Some("mc.evil.example")), "domain")]
#[case::no_mark(TestChain::good().leaf(|leaf| { leaf.unit = None; leaf.usages.pop(); }), "lacks")]
#[case::no_authority(TestChain::good().at(1, |ca| ca.authority = rcgen::IsCa::ExplicitNoCa), "sign")]
fn a_chain_that_does_not_hold(#[case] chain: TestChain, #[case] why: &str) {
    let mut fw = armed("alder-lake-16", &chain, Sha256, Rules::default());
    let (answer, _) = ask(&mut fw, &chain, &general(), Version::Tls13);
    assert_eq!(answer, "");
    let refusals = refusals(&mut fw);
    assert!(
        refusals.len() == 1 && refusals[0].contains(why),
        "{refusals:?}"
    );
}

#[test]
fn an_unknown_root() {
    let chain = TestChain::good();
    let mut fw = armed("alder-lake-16", &chain, Sha256, Rules::default());
    fw.state.hashes.pop();
    assert_eq!(ask(&mut fw, &chain, &general(), Version::Tls12).0, "");
    assert!(refusals(&mut fw)[0].contains("list"));
}

#[rstest]
#[case::leaf("device.setup.announced-leaf", TestChain::good().leaf(|leaf| leaf.serial = vec![0x12]), "200")]
#[case::judged("device.setup.peer-judged", TestChain::good().leaf(|leaf| leaf.common_name = Some("mc.evil.example")), "200")]
#[case::administrator("device.setup.peer-administrator", TestChain::good(), "401")]
fn knocked_out(#[case] rule: &str, #[case] chain: TestChain, #[case] expected: &str) {
    let mut fw = armed("alder-lake-16", &TestChain::good(), Sha256, without(rule));
    let (answer, _) = ask(&mut fw, &chain, &general(), Version::Tls13);
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {expected} ")),
        "{answer}"
    );
}

/// Commit: the record says who it was, the way in is shut, and the next certificate is the device's own.
#[rstest]
#[case::in_time((2024, 2045), true)]
#[case::expired((2010, 2011), false)]
#[case::not_begun((2040, 2045), false)]
fn a_commit_leaves_a_record(#[case] years: (i32, i32), #[case] time_valid: bool) {
    let chain = TestChain::good().leaf(|leaf| leaf.years = years);
    let mut fw = armed("lunar-lake-20", &chain, Sha256, Rules::default());
    let (answer, _) = ask(&mut fw, &chain, &commit(), Version::Tls13);
    assert!(answer.contains(">2057<"), "{answer}");
    let realm = fw.identity.digest_realm.clone();
    fw.state.admin_ha1 = Some(digest_a1("admin", &realm, PASSWORD));
    fw.state.mebx_password_set = true;
    let (answer, before) = ask(&mut fw, &chain, &commit(), Version::Tls13);
    assert!(answer.contains(">0<"), "{answer}");
    assert_eq!(fw.mode(), Mode::Admin);
    let SetupRecord {
        host_initiated,
        time_valid: recorded,
        server_fqdn,
        ..
    } = fw.state.setup_record.clone().unwrap();
    assert_eq!((host_initiated, recorded), (true, time_valid));
    assert_eq!(server_fqdn, "mc.corp.example");
    assert_eq!(fw.state.announced, None);
    let (answer, after) = ask(&mut fw, &chain, &general(), Version::Tls13);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!((before.len(), after.len()), (6, 1));
}

/// Who was accepted once is nobody after StopConfiguration, on the connection that is still there.
#[test]
fn a_connection_does_not_outlive_its_set_up() {
    let chain = TestChain::good();
    let mut fw = armed("lunar-lake-20", &chain, Sha256, Rules::default());
    let id = open(&mut fw, Local, 16993).unwrap();
    let key = chain.key().to_pkcs8_der().unwrap();
    let mut client = client_with(Version::Tls13, Some((&chain.build(), key.as_bytes())));
    let mut answer = |fw: &mut Firmware| {
        say(&mut client, post("", &general()).as_bytes());
        loop {
            let up = spoken(&mut client);
            receive(fw, id, &up);
            let down = take(fw, id, usize::MAX);
            heard(&mut client, &down).unwrap();
            if up.is_empty() && down.is_empty() {
                break;
            }
        }
        String::from_utf8(text(&mut client)).unwrap()
    };
    assert!(answer(&mut fw).starts_with("HTTP/1.1 200 "));
    let announced = fw.state.announced.clone().unwrap();
    fw.trigger(crate::device::Trigger::StopConfiguration)
        .unwrap();
    host_based_tls::start(&mut fw, announced).unwrap();
    assert!(answer(&mut fw).starts_with("HTTP/1.1 401 "));
}

/// Domains that the host names count beside the device's own.
#[test]
fn domains_of_the_host() {
    let chain = TestChain::good().leaf(|leaf| leaf.common_name = Some("mc.lab.example"));
    let mut fw = armed("alder-lake-16", &chain, Sha256, Rules::default());
    let mut announced = fw.state.announced.clone().unwrap();
    announced.suffixes = vec!["other.example".to_owned(), "lab.example".to_owned()];
    fw.state.announced = Some(announced);
    let (answer, _) = ask(&mut fw, &chain, &general(), Version::Tls13);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// The announcement outlives a power cycle, and the LAN stays shut.
#[test]
fn it_is_remembered() {
    let chain = TestChain::good();
    let mut fw = armed("lunar-lake-20", &chain, Sha256, Rules::default());
    let memory = serde_json::to_string(&fw.state).unwrap();
    let state: State = serde_json::from_str(&memory).unwrap();
    assert!(!listens(&fw, Network, 16993) && !listens(&fw, Network, 16992));
    fw = Firmware::power_on(
        fw.profile.clone(),
        state,
        Rules::default(),
        crate::device::Faults::default(),
        UnixTime(1_767_225_600),
    );
    let (answer, _) = ask(&mut fw, &chain, &general(), Version::Tls12);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// A wrong chain is shown as it is, and counted: the third connection sees the genuine one.
#[test]
fn a_wrong_chain_is_shown() {
    let chain = TestChain::good();
    let mut fw = armed("lunar-lake-20", &chain, Sha256, Rules::default());
    fw.faults.arm("odca=rotating-leaf*2".parse().unwrap());
    let mut shown = || {
        let (answer, shown) = ask(&mut fw, &chain, &general(), Version::Tls13);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        shown
    };
    let (first, second, third) = (shown(), shown(), shown());
    assert_ne!(first[0], second[0]);
    assert_eq!(first[1..], second[1..]);
    let genuine = OnDieChain::for_device(fw.seed, "LNL", 20).unwrap();
    assert_eq!(third, genuine.shown(ChainForm::Six));
    let struck = |event: &Event| matches!(event, Event::FaultInjected { .. });
    assert_eq!(
        events(&mut fw).iter().filter(|event| struck(event)).count(),
        2
    );
}

/// What faults do to CommitChanges: whether it is obeyed, and what of its answer comes through.
#[rstest]
#[case::cut("commit=cut*1", Mode::SetupHostBased, 0)]
#[case::lost("commit=drop*1", Mode::Admin, 0)]
#[case::inside("commit=truncate-40*1", Mode::Admin, 40)]
#[case::half("commit=half*1", Mode::HalfAdmin, 0)]
fn a_commit_that_goes_wrong(#[case] fault: &str, #[case] mode: Mode, #[case] length: usize) {
    let chain = TestChain::good();
    let mut fw = armed("lunar-lake-20", &chain, Sha256, Rules::default());
    let realm = fw.identity.digest_realm.clone();
    fw.state.admin_ha1 = Some(digest_a1("admin", &realm, PASSWORD));
    fw.state.mebx_password_set = true;
    fw.faults.arm(fault.parse().unwrap());
    let (answer, _) = ask(&mut fw, &chain, &commit(), Version::Tls13);
    assert_eq!((fw.mode(), answer.len()), (mode, length));
    // Whatever state that left: there is a way on.
    match mode {
        Mode::SetupHostBased => {
            let (answer, _) = ask(&mut fw, &chain, &commit(), Version::Tls13);
            assert!(answer.contains(">0<"), "{answer}");
        }
        Mode::HalfAdmin => {
            // The same server may finish what it began; nobody else is let in, and it can be called off.
            let (answer, _) = ask(
                &mut fw,
                &TestChain::good().leaf(|leaf| leaf.serial = vec![0x12]),
                &commit(),
                Version::Tls13,
            );
            assert_eq!(answer, "");
            let half = fw.state.clone();
            let (answer, _) = ask(&mut fw, &chain, &commit(), Version::Tls13);
            assert!(answer.contains(">0<"), "{answer}");
            assert_eq!(fw.mode(), Mode::Admin);
            let record = fw.state.setup_record.clone().unwrap();
            assert_eq!(record.server_fqdn, "mc.corp.example");
            fw.state = half;
            fw.trigger(crate::device::Trigger::StopConfiguration)
                .unwrap();
            assert_eq!(fw.mode(), Mode::PreProvisioning);
        }
        _ => {}
    }
}
