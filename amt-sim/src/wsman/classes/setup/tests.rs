//! The service, the records and the root hashes as clients meet them.

use rsa::pkcs1v15::SigningKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer};
use rstest::rstest;

use super::SERVICE;
use crate::device::setup::configuration_nonce;
use crate::device::{HashAlgorithm, Mode, SetupRecord, State, Trigger};
use crate::pki::test_chain::TestChain;
use crate::time::UnixTime;
use crate::wsman::base64;
use crate::wsman::tests::{Bench, TRANSFER, brief, enumerate, get, go, invoke, pull, put, uri};

const MODERN: &str = "alder-lake-16";
const DIGEST: &str = "0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "<h:NetAdminPassEncryptionType>2</h:NetAdminPassEncryptionType>\
                        <h:NetworkAdminPassword>0123456789abcdef0123456789abcdef</h:NetworkAdminPassword>";
const MC_NONCE: [u8; 20] = [0x5a; 20];

/// A factory-fresh device that knows the test root, seen from its host.
fn host(profile: &str) -> Bench {
    let mut bench = Bench::of(profile, Mode::PreProvisioning, &[]).seen_by_os_admin();
    let root = TestChain::good().root_entry(HashAlgorithm::Sha256, true);
    bench.fw.state.hashes.push(root);
    bench
}

/// The return value that an answer carries, or the whole answer when it carries none.
fn value(answer: &str) -> String {
    match answer.split_once("ReturnValue>") {
        Some((_, rest)) => rest.split('<').next().unwrap().to_owned(),
        None => answer.to_owned(),
    }
}

/// The text of every element of this name.
fn all(answer: &str, name: &str) -> Vec<String> {
    let pieces = answer.split(&format!(":{name}>")).collect::<Vec<_>>();
    pieces
        .iter()
        .skip(1)
        .step_by(2)
        .map(|piece| piece.split("</").next().unwrap().to_owned())
        .collect()
}

fn call(bench: &mut Bench, method: &str, input: &str) -> String {
    value(&bench.ask(&invoke(SERVICE, method, input)))
}

/// McNonce, SigningAlgorithm, DigitalSignature of the test chain's leaf over this device's nonce.
fn proof(bench: &Bench) -> String {
    let message = [configuration_nonce(&bench.fw), MC_NONCE].concat();
    let signature = SigningKey::<Sha256>::new(TestChain::good().key()).sign(&message);
    format!(
        "<h:McNonce>{}</h:McNonce><h:SigningAlgorithm>2</h:SigningAlgorithm>\
         <h:DigitalSignature>{}</h:DigitalSignature>",
        base64::encode(&MC_NONCE),
        base64::encode(&signature.to_vec())
    )
}

fn send_chain(bench: &mut Bench) -> String {
    let chain = TestChain::good().build();
    for (at, der) in chain.iter().enumerate() {
        let input = format!(
            "<h:NextCertificate>{}</h:NextCertificate><h:IsLeafCertificate>{}</h:IsLeafCertificate>\
             <h:IsRootCertificate>{}</h:IsRootCertificate>",
            base64::encode(der),
            at == 0,
            at + 1 == chain.len()
        );
        let value = call(bench, "AddNextCertInChain", &input);
        if value != "0" {
            return value;
        }
    }
    "0".to_owned()
}

#[test]
fn the_service_before_and_after_set_up() {
    let mut bench = host(MODERN);
    let before = bench.ask(&get(SERVICE, &[]));
    assert_eq!(all(&before, "AllowedControlModes"), ["2", "1"]);
    assert_eq!(all(&before, "CurrentControlMode"), ["0"]);
    assert_eq!(all(&before, "CertChainStatus"), ["0"]);
    let nonce = base64::encode(&configuration_nonce(&bench.fw));
    assert_eq!(nonce.len(), 28);
    assert_eq!(all(&before, "ConfigurationNonce"), [nonce.as_str()]);

    assert_eq!(call(&mut bench, "Setup", PASSWORD), "0");
    assert_eq!(bench.fw.mode(), Mode::Client);
    assert_eq!(bench.fw.state.admin_ha1.as_deref(), Some(DIGEST));
    let after = bench.ask(&get(SERVICE, &[]));
    assert_eq!(all(&after, "CurrentControlMode"), ["1"]);
    assert_ne!(all(&after, "ConfigurationNonce"), [nonce]);
    assert_eq!(call(&mut bench, "Setup", PASSWORD), "2");
}

#[test]
fn an_unsigned_setup_leaves_a_record_without_a_hash() {
    const RECORD: &str = "IPS_ClientProvisioningRecord";
    let mut bench = host(MODERN);
    let none = bench.ask(&get(RECORD, &[]));
    assert_eq!(none, "fault: b:DestinationUnreachable");
    assert_eq!(call(&mut bench, "Setup", PASSWORD), "0");
    // The host's own service reads it, with the operating system's account.
    insta::assert_snapshot!(bench.ask(&get(RECORD, &[])));
    let log = bench.ask(&get("IPS_ProvisioningRecordLog", &[]));
    assert_eq!(all(&log, "CurrentNumberOfRecords"), ["1"]);
}

#[test]
fn a_signed_setup_leaves_the_hash_of_its_certificate() {
    let mut bench = host(MODERN);
    let leaf = TestChain::good().build().remove(0);
    let certificate = base64::encode(&leaf);
    let input = format!(
        "{PASSWORD}<h:Certificate>{certificate}</h:Certificate>{}",
        proof(&bench)
    );
    assert_eq!(call(&mut bench, "Setup", &input), "0");
    let record = bench.ask(&get("IPS_ClientProvisioningRecord", &[]));
    let hash = crate::pki::fingerprint(HashAlgorithm::Sha256, &leaf);
    assert_eq!(
        all(&record, "ProvCertificateHash"),
        [base64::encode(&hash)]
    );
    assert_eq!(all(&record, "HashAlgorithm"), ["2"]);
}

#[test]
fn a_chain_and_admin_setup_leave_an_admin_record() {
    let mut bench = host(MODERN);
    assert_eq!(send_chain(&mut bench), "0");
    let status = bench.ask(&get(SERVICE, &[]));
    assert_eq!(all(&status, "CertChainStatus"), ["2"]);
    let input = format!("{PASSWORD}{}", proof(&bench));
    assert_eq!(call(&mut bench, "AdminSetup", &input), "0");
    assert_eq!(bench.fw.mode(), Mode::Admin);
    insta::assert_snapshot!(bench.ask(&get("IPS_AdminProvisioningRecord", &[])));
    for other in [
        "IPS_ClientProvisioningRecord",
        "IPS_TLSProvisioningRecord",
        "IPS_ManualProvisioningRecord",
    ] {
        let none = bench.ask(&get(other, &[]));
        assert_eq!(none, "fault: b:DestinationUnreachable", "{other}");
    }
}

#[test]
fn an_upgrade_wants_the_administrator() {
    let mut bench = host(MODERN);
    assert_eq!(call(&mut bench, "Setup", PASSWORD), "0");
    assert_eq!(send_chain(&mut bench), "0");
    let input = proof(&bench);
    let refused = call(&mut bench, "UpgradeClientToAdmin", &input);
    assert_eq!(refused, "not authorized");
    bench.caller.principal = crate::device::Principal::Admin;
    assert_eq!(call(&mut bench, "UpgradeClientToAdmin", &input), "0");
    assert_eq!(bench.fw.mode(), Mode::Admin);
}

#[test]
fn admin_setup_is_gone_where_local_ports_speak_tls_only() {
    let mut bench = host("arrow-lake-19");
    let answer = call(&mut bench, "AdminSetup", PASSWORD);
    assert_eq!(answer, "fault: b:ActionNotSupported");
}

#[rstest]
#[case("Setup", "<h:McNonce>!</h:McNonce>", "3")]
#[case("Setup", "<h:Certificate>!</h:Certificate>", "3")]
#[case("Setup", "<h:DigitalSignature>!</h:DigitalSignature>", "3")]
#[case("AdminSetup", "<h:McNonce>!</h:McNonce>", "3")]
fn what_is_no_base64_is_an_invalid_parameter(
    #[case] method: &str,
    #[case] input: &str,
    #[case] expected: &str,
) {
    let mut bench = host(MODERN);
    let input = format!("{PASSWORD}{input}");
    assert_eq!(call(&mut bench, method, &input), expected);
    assert_eq!(bench.fw.mode(), Mode::PreProvisioning);
}

#[rstest]
#[case("-----BEGIN CERTIFICATE-----", "1")]
#[case("aGVsbG8=", "1")]
#[case("", "1")]
fn what_is_no_certificate_is_return_value_1(#[case] text: &str, #[case] expected: &str) {
    let mut bench = host(MODERN);
    let input = format!(
        "<h:NextCertificate>{text}</h:NextCertificate><h:IsLeafCertificate>true</h:IsLeafCertificate>"
    );
    assert_eq!(call(&mut bench, "AddNextCertInChain", &input), expected);
}

#[test]
fn empty_parameters_are_absent_ones() {
    let mut bench = host(MODERN);
    let input = format!("{PASSWORD}<h:McNonce/><h:Certificate/><h:DigitalSignature/>");
    assert_eq!(call(&mut bench, "Setup", &input), "0");
}

#[test]
fn client_control_mode_disabled() {
    let mut bench = host(MODERN);
    assert_eq!(call(&mut bench, "DisableClientControlMode", ""), "0");
    assert_eq!(call(&mut bench, "Setup", PASSWORD), "4");
    let service = bench.ask(&get(SERVICE, &[]));
    assert_eq!(all(&service, "AllowedControlModes"), ["2"]);
}

#[test]
fn a_record_of_set_up_over_tls() {
    let mut bench = host(MODERN);
    bench.fw.state.setup_record = Some(SetupRecord {
        secure_dns: true,
        host_initiated: true,
        hash_algorithm: HashAlgorithm::Sha256,
        hash: "ab".repeat(32),
        hash_is_default: false,
        ca_serials: vec!["00112233445566778899aabbccddeeff".to_owned()],
        more_serials: false,
        time_valid: true,
        server_address: "192.0.2.9".to_owned(),
        server_fqdn: "mc.corp.example".to_owned(),
        at: UnixTime(1_767_225_600),
    });
    insta::assert_snapshot!(bench.ask(&get("IPS_TLSProvisioningRecord", &[])));
}

#[test]
fn an_unprovision_leaves_no_record() {
    let mut bench = host(MODERN);
    assert_eq!(call(&mut bench, "Setup", PASSWORD), "0");
    bench.fw.trigger(Trigger::MeiUnprovision).unwrap();
    let none = bench.ask(&get("IPS_ClientProvisioningRecord", &[]));
    assert_eq!(none, "fault: b:DestinationUnreachable");
    let log = bench.ask(&get("IPS_ProvisioningRecordLog", &[]));
    assert_eq!(all(&log, "CurrentNumberOfRecords"), ["0"]);
}

const HASH: &str = "AMT_ProvisioningCertificateHash";

fn create_hash(kind: u8, octets: usize) -> String {
    let body = format!(
        "<h:{HASH} xmlns:h=\"{}\"><h:ElementName>Ours</h:ElementName><h:Enabled>true</h:Enabled>\
         <h:HashData>{}</h:HashData><h:HashType>{kind}</h:HashType></h:{HASH}>",
        uri(HASH),
        base64::encode(&vec![7; octets])
    );
    go(&format!("{TRANSFER}/Create"), HASH, &[], &body)
}

fn id(handle: usize) -> String {
    format!("Intel(r) AMT Provisioning Certificate Hash: Handle: {handle}")
}

fn delete_hash(handle: usize) -> String {
    let id = id(handle);
    go(&format!("{TRANSFER}/Delete"), HASH, &[("InstanceID", &id)], "")
}

#[test]
fn every_hash_is_listed() {
    let mut bench = Bench::of(MODERN, Mode::Admin, &[]);
    let context = bench.ask(&enumerate(HASH));
    let context = all(&context, "EnumerationContext").remove(0);
    let listed = bench.ask(&pull(HASH, &context, Some(999)));
    let known = &bench.fw.state.hashes;
    let hashes = known.iter().map(|entry| base64::encode(&entry.digest()));
    assert_eq!(all(&listed, "HashData"), hashes.collect::<Vec<_>>());
}

#[test]
fn a_hash_is_added_switched_off_and_deleted() {
    let mut bench = Bench::of(MODERN, Mode::Admin, &[]);
    let before: State = bench.fw.state.clone();
    let handle = before.hashes.len();
    let made = bench.ask(&create_hash(2, 32));
    assert!(made.contains(&id(handle)), "{made}");
    let added = bench.fw.state.hashes.last().unwrap();
    assert!(added.active && !added.default && added.name == "Ours");
    let again = bench.ask(&create_hash(2, 32));
    assert_eq!(again, "fault: e:AlreadyExists");

    let id = id(handle);
    let off = put(HASH, &[("InstanceID", &id)], "<h:Enabled>false</h:Enabled>");
    assert!(bench.ask(&off).contains("Enabled>false<"));
    assert!(!bench.fw.state.hashes[handle].active);
    assert_eq!(brief(&bench.send(&delete_hash(handle))), "");
    assert_eq!(bench.fw.state.hashes, before.hashes);
}

#[rstest]
#[case(1, 20)]
#[case(2, 31)]
#[case(4, 64)]
fn a_hash_that_cannot_be_added(#[case] kind: u8, #[case] octets: usize) {
    let mut bench = Bench::of(MODERN, Mode::Admin, &[]);
    let refused = bench.ask(&create_hash(kind, octets));
    assert_eq!(refused, "fault: d:InvalidRepresentation");
}

#[test]
fn older_generations_still_take_sha1() {
    let made = Bench::of("tiger-lake-15", Mode::Admin, &[]).ask(&create_hash(1, 20));
    assert!(made.contains("ResourceCreated"), "{made}");
    let knocked_out = &["device.pki.no-new-sha1"];
    let made = Bench::of(MODERN, Mode::Admin, knocked_out).ask(&create_hash(1, 20));
    assert!(made.contains("ResourceCreated"), "{made}");
}

#[test]
fn a_factory_hash_can_only_be_switched_off() {
    let mut bench = Bench::of(MODERN, Mode::Admin, &[]);
    assert_eq!(bench.ask(&delete_hash(0)), "fault: e:AccessDenied");
    let id = id(0);
    let selectors: &[(&str, &str)] = &[("InstanceID", &id)];
    let other = format!("<h:HashData>{}</h:HashData>", base64::encode(&[7; 32]));
    let refused = bench.ask(&put(HASH, selectors, &other));
    assert_eq!(refused, "fault: e:AccessDenied");
    let off = put(HASH, selectors, "<h:Enabled>false</h:Enabled>");
    assert!(bench.ask(&off).contains("Enabled>false<"));

    let mut bench = Bench::of(MODERN, Mode::Admin, &["device.pki.factory-hashes"]);
    assert_eq!(brief(&bench.send(&delete_hash(0))), "");
}

#[test]
fn the_list_has_an_end() {
    let mut bench = Bench::of(MODERN, Mode::Admin, &[]);
    let entry = bench.fw.state.hashes[0].clone();
    bench.fw.state.hashes.resize(33, entry);
    assert_eq!(bench.ask(&create_hash(2, 32)), "fault: e:QuotaLimit");
}
