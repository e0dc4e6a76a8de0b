//! AMTAuthenticate: whoever knows the on-die root can tell that it is this device that answers.

use p384::ecdsa::signature::Verifier as _;
use rstest::rstest;
use sha2::{Digest as _, Sha384};
use x509_parser::prelude::*;

use super::*;
use crate::pki::OnDieChain;
use crate::wsman::base64;

const CLASS: &str = "AMT_GeneralSettings";

fn ask(bench: &mut Bench, nonce: &[u8]) -> Answer {
    let nonce = base64::encode(nonce);
    let input = format!("<h:MC_Nonce>{nonce}</h:MC_Nonce>");
    bench.call(CLASS, "AMTAuthenticate", &input)
}

fn bytes(answer: &Answer, name: &str) -> Vec<u8> {
    base64::decode(answer.text(name).unwrap()).unwrap()
}

#[rstest]
fn the_leaf_of_its_chain_signed_everything(
    #[values("tiger-lake-15", "lunar-lake-20")] profile: &str,
) {
    let mut bench = Bench::of(profile, Mode::Admin, &[]);
    let asked = [7; 20];
    let answer = ask(&mut bench, &asked);
    assert_eq!(answer.value(), 0);
    let all = bytes(&answer, "Certificates");
    let mut rest = all.as_slice();
    let mut chain = Vec::new();
    for length in answer.texts("LengthOfCertificates") {
        let (one, after) = rest.split_at(length.parse().unwrap());
        chain.push(one);
        rest = after;
    }
    assert!(rest.is_empty());
    assert_eq!(chain.len(), 6);
    // The same authorities as in set-up, another leaf.
    let amt = bench.fw.profile.firmware.parts()[0];
    let family = &bench.fw.profile.platform.family;
    let own = OnDieChain::for_device(bench.fw.seed, family, amt).unwrap();
    assert_eq!(chain[1..], own.certificates[1..6]);
    let (_, leaf) = X509Certificate::from_der(chain[0]).unwrap();
    assert!(leaf.subject().to_string().ends_with("WS-MAN"));

    let shown = crate::http::leaf(&mut bench.fw, Interface::Network);
    let nonce = bytes(&answer, "Nonce");
    let identity = &bench.fw.identity;
    assert_eq!(
        answer.text("UUID"),
        Some(crate::hex::encode(&identity.uuid.to_wire()).as_str())
    );
    let svn = u32::from(bench.fw.profile.firmware.security_version);
    assert_eq!(answer.text("AMTSVN"), Some(svn.to_string().as_str()));
    let message = [
        &Sha384::digest(&shown)[..],
        &asked,
        &nonce,
        answer.text("FQDN").unwrap().as_bytes(),
        &identity.uuid.to_wire(),
        answer.text("FWVersion").unwrap().as_bytes(),
        &svn.to_le_bytes(),
        identity.digest_realm.as_bytes(),
        &[0; 4],
    ];
    let key = &leaf.public_key().subject_public_key.data;
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).unwrap();
    let signature = p384::ecdsa::Signature::from_der(&bytes(&answer, "Signature")).unwrap();
    key.verify(&message.concat(), &signature).unwrap();
    let mut other = message.concat();
    other[60] ^= 1;
    assert!(key.verify(&other, &signature).is_err());
    let again = ask(&mut bench, &asked);
    assert_ne!(bytes(&again, "Nonce"), nonce, "a nonce serves once");
}

#[rstest]
#[case::short("tiger-lake-15", 19, 36, "")]
#[case::no_on_die_authority("cannon-lake-12", 20, 0, "ActionNotSupported")]
fn refused(#[case] profile: &str, #[case] size: usize, #[case] value: u32, #[case] fault: &str) {
    let mut bench = Bench::of(profile, Mode::Admin, &[]);
    let answer = ask(&mut bench, &vec![1; size]);
    assert!(answer.fault.ends_with(fault), "{answer:?}");
    if fault.is_empty() {
        assert_eq!(answer.value(), value);
    }
}
