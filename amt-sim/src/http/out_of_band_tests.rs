//! Set-up over the network as an SCA does it: by its certificate, without a login, up to CommitChanges.

use rstest::rstest;
use rustls::ClientConnection;

use super::super::testing::{events, firmware, with_profile};
use super::*;
use crate::device::setup::out_of_band;
use crate::device::{CertificateHash, HashAlgorithm, Mode, Profile, Rules};
use crate::pki::ProvisioningIdentity;
use crate::pki::test_chain::TestChain;
use crate::tls::Version;
use crate::tls::testing::{CLIENT, client, client_with, heard, say, spoken, text};

use Interface::Network;

const OTP: &[u8] = b"PassWord1234";

/// An open interface on a device that knows the root of [`CLIENT`].
fn ready(mut fw: Firmware) -> Firmware {
    fw.state.hashes.push(CertificateHash {
        name: "test".to_owned(),
        algorithm: HashAlgorithm::Sha256,
        hash: crate::hex::encode(&CLIENT.root_hash()),
        active: true,
        default: false,
    });
    fw.state.otp = Some(String::from_utf8(OTP.to_vec()).unwrap());
    fw.state.own_key_made = true;
    out_of_band::start(&mut fw, Some(false)).unwrap();
    fw.journal.drain();
    fw
}

struct Sca {
    id: StreamId,
    client: ClientConnection,
}

impl Sca {
    fn connect(fw: &mut Firmware, client: ClientConnection) -> Self {
        let id = open(fw, Network, 16993).unwrap();
        Self { id, client }
    }

    fn send(&mut self, fw: &mut Firmware, body: &str) -> String {
        let request = format!(
            "POST /wsman HTTP/1.1\r\nHost: amt:16993\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        say(&mut self.client, request.as_bytes());
        loop {
            let up = spoken(&mut self.client);
            receive(fw, self.id, &up);
            let down = take(fw, self.id, usize::MAX);
            // An alert, where it is refused.
            let gone = heard(&mut self.client, &down).is_err();
            if gone || (up.is_empty() && down.is_empty()) {
                return String::from_utf8(text(&mut self.client)).unwrap();
            }
        }
    }

    fn call(&mut self, fw: &mut Firmware, class: &str, method: &str, input: &str) -> String {
        let answer = self.send(fw, &super::secure_flow_tests::call(class, method, input));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{method}: {answer}");
        answer
    }

    fn get(&mut self, fw: &mut Firmware, class: &str) -> String {
        let transfer = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";
        self.send(
            fw,
            &super::secure_flow_tests::envelope(transfer, class, "", ""),
        )
    }
}

const SERVICE: &str = "AMT_SetupAndConfigurationService";

fn set_admin(digest: &str) -> String {
    format!("<r:Username>admin</r:Username><r:DigestPassword>{digest}</r:DigestPassword>")
}

/// 32 hex digits, as MeshCentral writes them, and base64 of the octets.
#[rstest]
#[case(Version::Tls12, "00112233445566778899aabbccddeeff")]
#[case(Version::Tls13, "ABEiM0RVZneImaq7zN3u/w==")]
fn up_to_commit_changes(#[case] version: Version, #[case] digest: &str) {
    let mut fw = ready(firmware(Mode::PreProvisioning));
    let shown = client_with(version, Some((&CLIENT.chain, &CLIENT.key)));
    let mut sca = Sca::connect(&mut fw, shown);
    let service = sca.get(&mut fw, SERVICE);
    let otp = crate::wsman::base64::encode(OTP);
    assert!(service.contains(&otp), "{service}");
    sca.call(
        &mut fw,
        SERVICE,
        "SetMEBxPassword",
        "<r:Password>P@ssw0rd</r:Password>",
    );
    let access = "AMT_AuthorizationService";
    let answer = sca.call(&mut fw, access, "SetAdminAclEntryEx", &set_admin(digest));
    assert!(answer.contains("ReturnValue>0<"), "{answer}");
    let answer = sca.call(&mut fw, SERVICE, "CommitChanges", "");
    assert!(answer.contains("ReturnValue>0<"), "{answer}");
    assert_eq!(fw.mode(), Mode::Admin);
    let ha1 = fw.state.admin_ha1.clone();
    assert_eq!(ha1.as_deref(), Some("00112233445566778899aabbccddeeff"));
    assert_eq!(fw.state.otp, None);
    let record = fw.state.setup_record.clone().unwrap();
    assert_eq!(record.server_fqdn, "sca.corp.example");
    assert_eq!(record.hash, crate::hex::encode(&CLIENT.root_hash()));
    assert!(record.secure_dns && record.time_valid && !record.hash_is_default);
    assert_eq!(out_of_band::next_wake(&fw), None);
    // The ports come up anew, and whoever comes now has to log in.
    assert!(finished(&fw, sca.id));
    assert!(open(&mut fw, Network, 16992).is_ok());
}

#[test]
fn hex_digits_may_be_refused() {
    let profile = Profile::builtin("tiger-lake-15").unwrap();
    let profile = profile
        .with("assumptions.hex_digest_password", "false")
        .unwrap();
    let mut fw = ready(with_profile(
        profile,
        Mode::PreProvisioning,
        Rules::default(),
    ));
    let mut sca = Sca::connect(&mut fw, client(Version::Tls13, true));
    let digest = set_admin("00112233445566778899aabbccddeeff");
    let answer = sca.call(
        &mut fw,
        "AMT_AuthorizationService",
        "SetAdminAclEntryEx",
        &digest,
    );
    assert!(answer.contains("ReturnValue>36<"), "{answer}");
    let answer = sca.call(&mut fw, SERVICE, "CommitChanges", "");
    assert!(answer.contains("ReturnValue>2057<"), "{answer}");
    assert_eq!(fw.mode(), Mode::SetupOutOfBand);
}

#[test]
fn an_expired_certificate_is_believed_and_noted() {
    let mut fw = firmware(Mode::PreProvisioning);
    let plan = TestChain::good().leaf(|leaf| leaf.years = (2020, 2021));
    let chain = plan.build();
    fw.state
        .hashes
        .push(plan.root_entry(HashAlgorithm::Sha256, true));
    let mut fw = ready(fw);
    let mut sca = Sca::connect(
        &mut fw,
        client_with(Version::Tls13, Some((&chain, &CLIENT.key))),
    );
    let digest = set_admin("ABEiM0RVZneImaq7zN3u/w==");
    sca.call(
        &mut fw,
        "AMT_AuthorizationService",
        "SetAdminAclEntryEx",
        &digest,
    );
    sca.call(&mut fw, SERVICE, "CommitChanges", "");
    assert!(!fw.state.setup_record.unwrap().time_valid);
}

#[rstest]
#[case("evil-corp.example", true, "device's domain")]
#[case("sca.other.example", true, "outside")]
#[case("sca.corp.example", false, "not in the device's list")]
fn others_are_not_served(#[case] name: &str, #[case] known_root: bool, #[case] why: &str) {
    let mut fw = ready(firmware(Mode::PreProvisioning));
    if !known_root {
        fw.state.hashes.pop();
    }
    let other = ProvisioningIdentity::for_name(name).unwrap();
    let shown = client_with(Version::Tls13, Some((&other.chain, &other.key)));
    let mut sca = Sca::connect(&mut fw, shown);
    assert_eq!(sca.get(&mut fw, SERVICE), "");
    assert!(finished(&fw, sca.id));
    let told = events(&mut fw)
        .into_iter()
        .any(|event| matches!(event, Event::TlsFailed { why: told, .. } if told.contains(why)));
    assert!(told);
    // The next one may be the right one.
    fw.state.hashes.push(CertificateHash {
        name: "test".to_owned(),
        algorithm: HashAlgorithm::Sha256,
        hash: crate::hex::encode(&CLIENT.root_hash()),
        active: true,
        default: false,
    });
    let mut sca = Sca::connect(&mut fw, client(Version::Tls13, true));
    assert!(sca.get(&mut fw, SERVICE).starts_with("HTTP/1.1 200 "));
}

#[test]
fn stop_configuration_ends_the_connection_too() {
    let mut fw = ready(firmware(Mode::PreProvisioning));
    let mut sca = Sca::connect(&mut fw, client(Version::Tls13, true));
    sca.get(&mut fw, SERVICE);
    fw.trigger(crate::device::Trigger::StopConfiguration)
        .unwrap();
    assert!(finished(&fw, sca.id));
    assert!(open(&mut fw, Network, 16993).is_err());
}
