//! Setup, signed and not: what is taken, and every way in which a signature can be wrong.

use rsa::sha2::{Digest as _, Sha256};
use rsa::{Pkcs1v15Sign, Pss};
use rstest::rstest;

use super::test_support::*;
use super::*;
use crate::device::ProvisioningState;

const PROFILE: &str = "alder-lake-16";

#[test]
fn unsigned_setup_leaves_a_record_without_a_hash() {
    let mut fw = device(PROFILE);
    assert_eq!(unsigned_setup(&mut fw), 0);
    assert_eq!(fw.mode(), Mode::Client);
    assert_eq!(fw.state.admin_ha1.as_deref(), Some(DIGEST));
    let record = ProvisioningRecord::Client(ClientRecord {
        hash: None,
        at: NOON,
    });
    assert_eq!(fw.state.provisioning_record, Some(record));
}

#[test]
fn signed_setup_leaves_the_hash_of_its_certificate() {
    let mut fw = device(PROFILE);
    let server = Server::own();
    assert_eq!(server.set_up(&mut fw, &MC_NONCE), 0);
    assert_eq!(fw.mode(), Mode::Client);
    let record = ProvisioningRecord::Client(ClientRecord {
        hash: Some(server.hash()),
        at: NOON,
    });
    assert_eq!(fw.state.provisioning_record, Some(record));
    let event = fw.journal.entries().last().unwrap().event.clone();
    let told = Event::HostBasedSetup {
        method: SetupMethod::Setup,
        return_value: 0,
        refusal: None,
        certificate: Some(server.hash()),
        mc_nonce: Some(crate::hex::encode(&MC_NONCE)),
    };
    assert_eq!(event, told);
}

/// Makes the signature that a case wants.
type Forge = fn(&Server, &Firmware) -> Vec<u8>;

fn nonces(fw: &Firmware) -> Vec<u8> {
    [configuration_nonce(fw), MC_NONCE].concat()
}

#[rstest]
#[case::one_bit(|server: &Server, fw: &Firmware| {
    let mut signature = server.sign_nonces(fw, &MC_NONCE);
    signature[100] ^= 1;
    signature
}, SetupRefusal::Signature)]
#[case::cut(|server: &Server, fw: &Firmware| server.sign_nonces(fw, &MC_NONCE)[1..].to_vec(), SetupRefusal::Signature)]
#[case::empty(|_: &Server, _: &Firmware| Vec::new(), SetupRefusal::Signature)]
#[case::of_another_key(|_: &Server, fw: &Firmware| Server::rogue().sign_nonces(fw, &MC_NONCE), SetupRefusal::Signature)]
#[case::over_one_nonce(|server: &Server, fw: &Firmware| server.sign(&configuration_nonce(fw)), SetupRefusal::Signature)]
#[case::over_another_mc_nonce(|server: &Server, fw: &Firmware| server.sign_nonces(fw, &[1; 20]), SetupRefusal::Signature)]
#[case::nonces_swapped(|server: &Server, fw: &Firmware| server.sign(&[MC_NONCE, configuration_nonce(fw)].concat()), SetupRefusal::NoncesSwapped)]
#[case::hashed_twice(|server: &Server, fw: &Firmware| server.sign(&Sha256::digest(nonces(fw))), SetupRefusal::HashedTwice)]
#[case::sha384(|server: &Server, fw: &Firmware| {
    let digest = rsa::sha2::Sha384::digest(nonces(fw));
    server.key.sign(Pkcs1v15Sign::new::<rsa::sha2::Sha384>(), &digest).unwrap()
}, SetupRefusal::OtherAlgorithm)]
#[case::pss(|server: &Server, fw: &Firmware| {
    // Salt from the operating system: whatever it is, the answer is the same.
    let digest = Sha256::digest(nonces(fw));
    server.key.sign_with_rng(&mut rsa::rand_core::OsRng, Pss::new::<Sha256>(), &digest).unwrap()
}, SetupRefusal::OtherAlgorithm)]
fn a_wrong_signature_is_return_value_5(#[case] forge: Forge, #[case] reason: SetupRefusal) {
    let mut fw = device(PROFILE);
    let server = Server::own();
    let signature = forge(&server, &fw);
    let nonce = configuration_nonce(&fw);
    let proof = signed(&MC_NONCE, &signature);
    let value = setup(&mut fw, PASSWORD, Some(&server.certificate), proof);
    assert_eq!((value, last_refusal(&fw)), (5, Some(reason)));
    assert_eq!(fw.mode(), Mode::PreProvisioning);
    assert_eq!(fw.state.admin_ha1, None);
    assert_eq!(fw.state.provisioning_record, None);
    // Nothing came of it, so the nonce stands, and the right signature is taken at once.
    assert_eq!(configuration_nonce(&fw), nonce);
    assert_eq!(server.set_up(&mut fw, &MC_NONCE), 0);
}

#[test]
fn a_replayed_request_is_refused_because_the_device_drew_another_nonce() {
    let mut fw = device(PROFILE);
    let server = Server::own();
    let signature = server.sign_nonces(&fw, &MC_NONCE);
    let replay = |fw: &mut Firmware| {
        let proof = signed(&MC_NONCE, &signature);
        setup(fw, PASSWORD, Some(&server.certificate), proof)
    };
    assert_eq!(replay(&mut fw), 0);
    fw.trigger(Trigger::MeiUnprovision).unwrap();
    assert_eq!(replay(&mut fw), 5);
    assert_eq!(last_refusal(&fw), Some(SetupRefusal::StaleNonce));
}

#[test]
fn a_replay_works_on_a_device_that_does_not_renew_its_nonce() {
    for rule in [Rule::SETUP_NONCE_RENEWED, Rule::SETUP_NONCE_FRESH] {
        let mut fw = without(PROFILE, rule);
        let server = Server::own();
        let signature = server.sign_nonces(&fw, &MC_NONCE);
        for _ in 0..2 {
            let proof = signed(&MC_NONCE, &signature);
            assert_eq!(
                setup(&mut fw, PASSWORD, Some(&server.certificate), proof),
                0,
                "{}",
                rule.id()
            );
            fw.trigger(Trigger::MeiUnprovision).unwrap();
        }
    }
}

#[test]
fn an_mc_nonce_that_comes_twice_is_for_the_journal_to_tell() {
    let mut fw = device(PROFILE);
    let server = Server::own();
    assert_eq!(server.set_up(&mut fw, &MC_NONCE), 0);
    fw.trigger(Trigger::MeiUnprovision).unwrap();
    // Signed anew over the device's new nonce: firmware has no memory of the application's.
    assert_eq!(server.set_up(&mut fw, &MC_NONCE), 0);
    let told = fw.journal.entries().filter(|entry| {
        matches!(&entry.event, Event::HostBasedSetup { mc_nonce: Some(nonce), .. }
            if *nonce == crate::hex::encode(&MC_NONCE))
    });
    assert_eq!(told.count(), 2);
}

#[rstest]
#[case::no_certificate(|request: &mut Request| request.certificate = None, SetupRefusal::Incomplete)]
#[case::no_mc_nonce(|request: &mut Request| request.mc_nonce = None, SetupRefusal::Incomplete)]
#[case::no_signature(|request: &mut Request| request.signature = None, SetupRefusal::Incomplete)]
#[case::no_algorithm(|request: &mut Request| request.algorithm = None, SetupRefusal::SigningAlgorithm)]
#[case::algorithm_none(|request: &mut Request| request.algorithm = Some(0), SetupRefusal::SigningAlgorithm)]
#[case::algorithm_other(|request: &mut Request| request.algorithm = Some(1), SetupRefusal::SigningAlgorithm)]
#[case::algorithm_reserved(|request: &mut Request| request.algorithm = Some(3), SetupRefusal::SigningAlgorithm)]
#[case::short_mc_nonce(|request: &mut Request| request.mc_nonce = Some(vec![0x5a; 19]), SetupRefusal::McNonce)]
#[case::long_mc_nonce(|request: &mut Request| request.mc_nonce = Some(vec![0x5a; 21]), SetupRefusal::McNonce)]
#[case::no_certificate_at_all(|request: &mut Request| request.certificate = Some(b"hello".to_vec()), SetupRefusal::Certificate)]
#[case::elliptic_key(|request: &mut Request| request.certificate = Some(include_bytes!("../../pki/testdata/elliptic.der").to_vec()), SetupRefusal::Certificate)]
#[case::clear_password(|request: &mut Request| request.encryption = 0, SetupRefusal::PasswordType)]
#[case::other_password(|request: &mut Request| request.encryption = 1, SetupRefusal::PasswordType)]
#[case::short_digest(|request: &mut Request| request.digest = "0123456789abcdef", SetupRefusal::PasswordForm)]
#[case::digest_in_base64(|request: &mut Request| request.digest = "ASNFZ4mrze8BI0VniavN7w==", SetupRefusal::PasswordForm)]
#[case::no_digest(|request: &mut Request| request.digest = "", SetupRefusal::PasswordForm)]
fn a_wrong_parameter_is_return_value_3(
    #[case] change: fn(&mut Request),
    #[case] reason: SetupRefusal,
) {
    let mut fw = device(PROFILE);
    let server = Server::own();
    let mut request = Request {
        encryption: 2,
        digest: DIGEST,
        certificate: Some(server.certificate.clone()),
        mc_nonce: Some(MC_NONCE.to_vec()),
        algorithm: Some(2),
        signature: Some(server.sign_nonces(&fw, &MC_NONCE)),
    };
    change(&mut request);
    let value = request.send(&mut fw);
    assert_eq!((value, last_refusal(&fw)), (3, Some(reason)));
    assert_eq!(fw.mode(), Mode::PreProvisioning);
}

struct Request {
    encryption: i64,
    digest: &'static str,
    certificate: Option<Vec<u8>>,
    mc_nonce: Option<Vec<u8>>,
    algorithm: Option<i64>,
    signature: Option<Vec<u8>>,
}

impl Request {
    fn send(&self, fw: &mut Firmware) -> u32 {
        let password = Password {
            encryption: self.encryption,
            digest: self.digest,
        };
        let proof = Proof {
            mc_nonce: self.mc_nonce.as_deref(),
            algorithm: self.algorithm,
            signature: self.signature.as_deref(),
        };
        setup(fw, password, self.certificate.as_deref(), proof)
    }
}

#[rstest]
#[case(Rule::SETUP_SIGNATURE, false)]
#[case(Rule::SETUP_NONCE_ORDER, true)]
fn a_knocked_out_rule_lets_the_wrong_signature_through(#[case] rule: Rule, #[case] swapped: bool) {
    let mut fw = without(PROFILE, rule);
    let server = Server::own();
    let signature = if swapped {
        server.sign(&[MC_NONCE, configuration_nonce(&fw)].concat())
    } else {
        vec![0; 256]
    };
    let proof = signed(&MC_NONCE, &signature);
    assert_eq!(
        setup(&mut fw, PASSWORD, Some(&server.certificate), proof),
        0
    );
}

#[rstest]
#[case(Rule::SETUP_SIGNING_ALGORITHM, 1, 20)]
#[case(Rule::SETUP_MC_NONCE, 2, 19)]
fn a_knocked_out_rule_lets_the_wrong_parameter_through(
    #[case] rule: Rule,
    #[case] algorithm: i64,
    #[case] size: usize,
) {
    let mut fw = without(PROFILE, rule);
    let server = Server::own();
    let mc_nonce = vec![0x5a; size];
    let proof = Proof {
        mc_nonce: Some(&mc_nonce),
        algorithm: Some(algorithm),
        signature: Some(&server.sign_nonces(&fw, &mc_nonce)),
    };
    assert_eq!(
        setup(&mut fw, PASSWORD, Some(&server.certificate), proof),
        0
    );
}

#[test]
fn an_unsigned_request_may_say_so() {
    let mut fw = device(PROFILE);
    let proof = Proof {
        mc_nonce: Some(&MC_NONCE),
        algorithm: Some(0),
        signature: None,
    };
    assert_eq!(setup(&mut fw, PASSWORD, None, proof), 0);
}

#[test]
fn digits_of_either_case_are_kept_in_lower_case() {
    let mut fw = device(PROFILE);
    let digest = DIGEST.to_uppercase();
    let password = Password {
        encryption: 2,
        digest: &digest,
    };
    assert_eq!(setup(&mut fw, password, None, Proof::default()), 0);
    assert_eq!(fw.state.admin_ha1.as_deref(), Some(DIGEST));
}

#[test]
fn where_local_ports_speak_tls_only_setup_waits_for_a_commit() {
    let mut fw = device("arrow-lake-19");
    assert_eq!(Server::own().set_up(&mut fw, &MC_NONCE), 0);
    assert_eq!(fw.mode(), Mode::HalfClient);
    assert_eq!(fw.mode().provisioning_state(), ProvisioningState::In);
    assert_eq!(fw.mode().control_mode(), ControlMode::Client);
    fw.trigger(Trigger::CommitChanges).unwrap();
    assert_eq!(fw.mode(), Mode::Client);
    assert!(fw.state.provisioning_record.is_some());
}

#[test]
fn a_set_up_that_is_stopped_half_way_leaves_nobody_in_charge() {
    let mut fw = device("arrow-lake-19");
    assert_eq!(unsigned_setup(&mut fw), 0);
    let nonce = configuration_nonce(&fw);
    fw.trigger(Trigger::StopConfiguration).unwrap();
    assert_eq!(fw.mode(), Mode::PreProvisioning);
    assert_eq!(fw.state.admin_ha1, None);
    assert_eq!(fw.state.provisioning_record, None);
    assert_ne!(configuration_nonce(&fw), nonce);
}
