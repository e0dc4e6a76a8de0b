use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rstest::rstest;

use super::{Answer, Bench, e, r};
use crate::device::Mode;
use crate::pki::ProvisioningIdentity;
use crate::wsman::base64;

const SERVICE: &str = "AMT_PublicKeyManagementService";
const CERTIFICATE: &str = "AMT_PublicKeyCertificate";
const KEY: &str = "AMT_PublicPrivateKeyPair";
const CONTEXT: &str = "AMT_TLSCredentialContext";
const SETTINGS: &str = "AMT_TLSSettingData";
const NETWORK: (&str, &str) = ("InstanceID", "Intel(r) AMT 802.3 TLS Settings");
const LOCAL: (&str, &str) = ("InstanceID", "Intel(r) AMT LMS TLS Settings");

/// Leaf and root of the project's own authority. The leaf is for `fixtures::keys::PROVISIONING`.
fn chain() -> (String, String) {
    let chain = ProvisioningIdentity::for_name("host.corp.example")
        .unwrap()
        .chain;
    (base64::encode(&chain[0]), base64::encode(&chain[2]))
}

fn leaf_key() -> String {
    let key = rsa::RsaPrivateKey::from_pkcs8_pem(fixtures::keys::PROVISIONING).unwrap();
    base64::encode(key.to_pkcs1_der().unwrap().as_bytes())
}

fn add(bench: &mut Bench, method: &str, blob: &str) -> Answer {
    let name = if method == "AddKey" {
        "KeyBlob"
    } else {
        "CertificateBlob"
    };
    bench.call(SERVICE, method, &e(name, blob))
}

fn generate(bench: &mut Bench) -> Answer {
    let input = e("KeyAlgorithm", "0") + &e("KeyLength", "2048");
    bench.call(SERVICE, "GenerateKeyPair", &input)
}

/// The context as clients send it: one blank less in the name than the device has.
fn context(certificate: &str) -> String {
    r(
        "ElementInContext",
        CERTIFICATE,
        &[("InstanceID", certificate)],
    ) + &r(
        "ElementProvidingContext",
        "AMT_TLSProtocolEndpointCollection",
        &[("ElementName", "TLSProtocolEndpointInstances Collection")],
    )
}

/// Certificate and key of the device, and the context: everything before the settings.
fn prepare(bench: &mut Bench) -> String {
    let (leaf, root) = chain();
    assert_eq!(add(bench, "AddTrustedRootCertificate", &root).value(), 0);
    assert_eq!(add(bench, "AddKey", &leaf_key()).value(), 0);
    let answer = add(bench, "AddCertificate", &leaf);
    assert_eq!(answer.value(), 0);
    let handle = answer.selector("InstanceID").unwrap().to_owned();
    bench.create(CONTEXT, &context(&handle)).ok();
    handle
}

#[test]
fn certificates_show_what_they_say() {
    let mut bench = Bench::admin();
    assert!(bench.all(CERTIFICATE).ok().texts("InstanceID").is_empty());
    let (leaf, root) = chain();
    let answer = add(&mut bench, "AddTrustedRootCertificate", &root);
    assert_eq!(
        (answer.value(), answer.selector("InstanceID")),
        (0, Some("Intel(r) AMT Certificate: Handle: 0"))
    );
    add(&mut bench, "AddCertificate", &leaf);
    let mut bench = bench.power_cycle();
    let answer = bench.all(CERTIFICATE).ok();
    assert_eq!(answer.texts("TrustedRootCertficate"), ["true", "false"]);
    assert_eq!(
        answer.texts("X509Certificate"),
        [root.as_str(), leaf.as_str()]
    );
    assert_eq!(
        answer.texts("Subject")[0],
        "C=US,O=amt-sim,CN=amt-sim Provisioning Root CA"
    );
    bench.unprovision();
    assert!(bench.all(CERTIFICATE).texts("InstanceID").is_empty());
}

#[rstest]
#[case::duplicate("AddTrustedRootCertificate", chain().1, 2058)]
#[case::no_certificate("AddCertificate", base64::encode(b"no certificate"), 2063)]
#[case::no_base64("AddCertificate", "?".to_owned(), 36)]
#[case::no_key("AddKey", base64::encode(b"no key"), 2062)]
fn refused_credentials(#[case] method: &str, #[case] blob: String, #[case] expected: u32) {
    let mut bench = Bench::admin();
    add(&mut bench, "AddTrustedRootCertificate", &chain().1);
    assert_eq!(add(&mut bench, method, &blob).value(), expected);
}

#[test]
fn keys_come_from_the_pool_and_each_only_once() {
    let mut bench = Bench::admin();
    for number in 0..8 {
        let answer = generate(&mut bench);
        assert_eq!(answer.value(), 0);
        let handle = format!("Intel(r) AMT Key: Handle: {number}");
        assert_eq!(answer.selector("InstanceID"), Some(handle.as_str()));
    }
    assert_eq!(generate(&mut bench).value(), 23);
    let mut bench = bench.power_cycle();
    let answer = bench.all(KEY).ok();
    let keys = answer.texts("DERKey");
    assert_eq!(keys.len(), 8);
    assert!(keys.iter().all(|key| key.len() == 360));
    let ids = ("InstanceID", "Intel(r) AMT Key: Handle: 3");
    bench.delete(KEY, ids).ok();
    assert_eq!(generate(&mut bench).selector("InstanceID"), Some(ids.1));
    bench.unprovision();
    assert!(bench.fw.state.keys.is_empty());
}

#[rstest]
#[case("1", "2048", 2066)]
#[case("0", "4096", 2062)]
fn other_keys_are_not_made(#[case] algorithm: &str, #[case] length: &str, #[case] expected: u32) {
    let mut bench = Bench::admin();
    let input = e("KeyAlgorithm", algorithm) + &e("KeyLength", length);
    let answer = bench.call(SERVICE, "GenerateKeyPair", &input);
    assert_eq!(answer.value(), expected);
}

/// A request for the key, signed by nobody: what servers send.
fn null_signed(public: &[u8]) -> Vec<u8> {
    let der = |tag: u8, content: &[u8]| {
        let mut out = vec![tag, 0x82];
        out.extend((content.len() as u16).to_be_bytes());
        out.extend(content);
        out
    };
    let rsa = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let key = der(0x03, &[&[0], public].concat());
    let info = [
        vec![2, 1, 0],
        der(0x30, &[]),
        der(0x30, &[der(0x30, &rsa), key].concat()),
    ];
    let info = der(0x30, &[info.concat(), vec![0xa0, 0]].concat());
    der(0x30, &[info, der(0x30, &rsa), vec![3, 1, 0]].concat())
}

#[test]
fn a_request_is_signed_with_the_key_that_it_names() {
    let mut bench = Bench::admin();
    generate(&mut bench);
    generate(&mut bench);
    let all = bench.all(KEY);
    let public = base64::decode(all.texts("DERKey")[0]).unwrap();
    let request = base64::encode(&null_signed(&public));
    let mut sign = |handle: &str, algorithm: &str| {
        let input = r("KeyPair", KEY, &[("InstanceID", handle)])
            + &e("SigningAlgorithm", algorithm)
            + &e("NullSignedCertificateRequest", &request);
        bench.call(SERVICE, "GeneratePKCS10RequestEx", &input)
    };
    let answer = sign("Intel(r) AMT Key: Handle: 0", "1");
    assert_eq!(answer.value(), 0);
    let signed = base64::decode(answer.text("SignedCertificateRequest").unwrap()).unwrap();
    // Longer by an RSA signature of 256 octets.
    assert!(signed.len() > 256 + public.len());
    assert_eq!(sign("Intel(r) AMT Key: Handle: 1", "1").value(), 2064);
    assert_eq!(sign("Intel(r) AMT Key: Handle: 7", "1").value(), 2068);
    assert_eq!(sign("Intel(r) AMT Key: Handle: 0", "9").value(), 2066);
}

#[test]
fn one_certificate_is_for_tls_and_stays_while_it_is() {
    let mut bench = Bench::admin();
    let handle = prepare(&mut bench);
    let again = bench.create(CONTEXT, &context(&handle));
    assert_eq!(again.fault, "e:AlreadyExists");
    bench.put(CONTEXT, &[], &context(&handle)).ok();
    let contexts = bench.all("CIM_CredentialContext").ok();
    assert!(contexts.body.contains(":AMT_TLSCredentialContext>"));
    assert_eq!(contexts.selector("InstanceID"), Some(handle.as_str()));
    let dependencies = bench.all("CIM_ConcreteDependency").ok();
    assert_eq!(dependencies.selector("InstanceID"), Some(handle.as_str()));
    assert!(dependencies.body.contains("Intel(r) AMT Key: Handle: 0"));
    let in_use = bench.delete(CERTIFICATE, ("InstanceID", &handle));
    assert_eq!(in_use.fault, "e:AccessDenied");
    let in_use = bench.delete(KEY, ("InstanceID", "Intel(r) AMT Key: Handle: 0"));
    assert_eq!(in_use.fault, "e:AccessDenied");
    // One library deletes with the handle as the name.
    bench.delete(CONTEXT, ("Name", &handle)).ok();
    bench.delete(CERTIFICATE, ("InstanceID", &handle)).ok();
    assert!(bench.all(CONTEXT).texts("ElementInContext").is_empty());
}

/// Another certificate takes the place of the first one by Put; Create is refused before anybody looks at it.
#[test]
fn a_second_certificate_is_put_not_created() {
    let mut bench = Bench::admin();
    prepare(&mut bench);
    let other = bench.create(CONTEXT, &context("Intel(r) AMT Certificate: Handle: 0"));
    assert_eq!(other.fault, "e:AlreadyExists");
}

#[test]
fn the_service_deletes_what_is_selected() {
    let mut bench = Bench::admin();
    generate(&mut bench);
    add(&mut bench, "AddTrustedRootCertificate", &chain().1);
    for handle in [
        "Intel(r) AMT Certificate: Handle: 0",
        "Intel(r) AMT Key: Handle: 0",
    ] {
        bench.delete(SERVICE, ("InstanceID", handle)).ok();
    }
    assert!(bench.all(CERTIFICATE).texts("InstanceID").is_empty());
    assert!(bench.all(KEY).texts("InstanceID").is_empty());
    bench.get(SERVICE).ok();
}

#[rstest]
#[case::no_such_certificate(
    context("Intel(r) AMT Certificate: Handle: 9"),
    "d:InvalidRepresentation"
)]
#[case::no_reference(e("ElementInContext", "1"), "d:InvalidRepresentation")]
#[case::a_root_without_a_key(context("Intel(r) AMT Certificate: Handle: 0"), "e:InternalError")]
fn refused_contexts(#[case] body: String, #[case] fault: &str) {
    let mut bench = Bench::admin();
    add(&mut bench, "AddTrustedRootCertificate", &chain().1);
    assert_eq!(bench.create(CONTEXT, &body).fault, fault);
}

fn tls_on() -> String {
    e("Enabled", "true") + &e("MutualAuthentication", "false") + &e("TrustedCN", "console.example")
}

fn commit(bench: &mut Bench) -> u32 {
    let service = "AMT_SetupAndConfigurationService";
    bench.call(service, "CommitChanges", "").value()
}

#[test]
fn settings_wait_for_the_commit() {
    let mut bench = Bench::admin();
    let answer = bench.all(SETTINGS).ok();
    assert_eq!(answer.texts("InstanceID"), [NETWORK.1, LOCAL.1]);
    assert_eq!(
        answer.texts("AcceptNonSecureConnections"),
        ["false", "true"]
    );
    assert_eq!(answer.text("NonSecureConnectionsSupported"), None);
    prepare(&mut bench);
    bench.put(SETTINGS, &[NETWORK], &tls_on()).ok();
    let answer = bench.get_by(SETTINGS, NETWORK);
    assert_eq!(answer.text("Enabled"), Some("true"));
    assert_eq!(answer.texts("TrustedCN"), ["console.example"]);
    assert_eq!(bench.fw.state.tls, None);
    let mut bench = bench.power_cycle();
    assert_eq!(commit(&mut bench), 0);
    let tls = bench.fw.state.tls.clone().unwrap();
    assert!(tls.network.enabled && !tls.local.enabled);
    assert_eq!(tls.network.trusted_names, ["console.example"]);
    assert_eq!(tls.certificate, Some(1));
    assert_eq!(commit(&mut bench), 0);
    bench.unprovision();
    assert_eq!(bench.fw.state.tls, None);
    let answer = bench.get_by(SETTINGS, NETWORK);
    assert_eq!(answer.text("Enabled"), Some("false"));
}

#[test]
fn tls_needs_a_certificate() {
    let mut bench = Bench::admin();
    bench.put(SETTINGS, &[NETWORK], &tls_on()).ok();
    assert_eq!(commit(&mut bench), 2057);
    assert_eq!(bench.fw.state.tls, None);
}

#[test]
fn without_the_rule_settings_do_not_wait() {
    let rule = "device.wsman.tls-needs-commit";
    let mut bench = Bench::of("tiger-lake-15", Mode::Admin, &[rule]);
    prepare(&mut bench);
    bench.put(SETTINGS, &[NETWORK], &tls_on()).ok();
    assert!(bench.fw.state.tls.is_some());
}

#[test]
fn where_tls_is_enforced_it_cannot_be_left() {
    let mut bench = Bench::of("arrow-lake-19", Mode::Admin, &[]);
    let answer = bench.all(SETTINGS).ok();
    assert_eq!(answer.texts("Enabled"), ["true", "true"]);
    assert_eq!(
        answer.texts("NonSecureConnectionsSupported"),
        ["false", "false"]
    );
    let off = bench.put(SETTINGS, &[LOCAL], &e("Enabled", "false"));
    assert_eq!(off.fault, "d:InvalidRepresentation");
    let plain = e("Enabled", "true") + &e("AcceptNonSecureConnections", "true");
    bench.put(SETTINGS, &[LOCAL], &plain).ok();
    let answer = bench.get_by(SETTINGS, LOCAL);
    assert_eq!(answer.text("AcceptNonSecureConnections"), Some("false"));
}

#[test]
fn revocation_lists_are_kept() {
    let mut bench = Bench::admin();
    let list =
        e("Url", "http://crl.example/1") + &e("SerialNumbers", "01") + &e("SerialNumbers", "02");
    assert_eq!(bench.call(SERVICE, "AddCRL", &list).value(), 0);
    assert_eq!(bench.call(SERVICE, "AddCRL", &list).value(), 2058);
    assert_eq!(bench.all("AMT_CRL").texts("SerialNumbers"), ["01", "02"]);
    assert_eq!(bench.call(SERVICE, "ResetCRLList", "").value(), 0);
    assert!(bench.all("AMT_CRL").texts("Url").is_empty());
}
