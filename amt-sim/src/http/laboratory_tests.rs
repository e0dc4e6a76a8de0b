//! Every chain of the laboratory on its way to the device, as bytes on a wire: over TLS through the host and from the
//! network, and certificate by certificate over IPS_HostBasedSetupService.

use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer};
use rstest::rstest;
use rustls::{AlertDescription, Error};

use super::super::testing::{converse, events, header, login, post, with_profile};
use super::secure_flow_tests::{call, envelope};
use super::*;
use crate::device::setup::{host_based_tls, out_of_band};
use crate::device::{
    Announced, HashAlgorithm, Mode, PeerRefusal, Profile, Rules, SetupMethod, SetupRefusal,
};
use crate::pki::fingerprint;
use crate::pki::laboratory::{Made, Specimen, Verdict, Way};
use crate::tls::testing::{client_holding, heard, say, spoken, text};
use crate::tls::{FailureKind, Version};
use crate::wsman::base64;

use Interface::{Local, Network};

const SERVER: &str = "mc.corp.example";
const SERVICE: &str = "AMT_SetupAndConfigurationService";
const TRANSFER_GET: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get";

/// A factory-fresh device in this specimen's domain that has this specimen's root in its list.
fn device(profile: &str, made: &Made) -> Firmware {
    let profile = Profile::builtin(profile).unwrap();
    let mut fw = with_profile(profile, Mode::PreProvisioning, Rules::default());
    know(&mut fw, made);
    fw
}

fn know(fw: &mut Firmware, made: &Made) {
    fw.state.hashes = made.entry.clone().into_iter().collect();
    fw.state.pki_dns_suffix.clone_from(&made.domain);
}

fn announcement(made: &Made) -> Announced {
    Announced {
        algorithm: HashAlgorithm::Sha256,
        hash: crate::hex::encode(&fingerprint(HashAlgorithm::Sha256, &made.announced)),
        suffixes: Vec::new(),
        host_vpn: false,
    }
}

/// A device that waits for a server to come this way.
fn waiting(profile: &str, made: &Made, way: Way) -> Firmware {
    let mut fw = device(profile, made);
    if way == Way::ThroughHost {
        host_based_tls::start(&mut fw, announcement(made)).unwrap();
    } else {
        fw.state.own_key_made = true;
        out_of_band::start(&mut fw, Some(false)).unwrap();
    }
    events(&mut fw);
    fw
}

/// What became of one connection.
#[derive(Debug)]
struct Met {
    answers: Vec<String>,
    alert: Option<AlertDescription>,
    reason: Option<FailureKind>,
    refusal: Option<PeerRefusal>,
}

/// A server with this chain says all of these over one connection.
fn meet(fw: &mut Firmware, made: &Made, way: Way, version: Version, requests: &[String]) -> Met {
    let side = if way == Way::Network { Network } else { Local };
    let id = open(fw, side, 16993).unwrap();
    let mut client = client_holding(version, &made.chain, &made.key);
    let mut met = Met {
        answers: Vec::new(),
        alert: None,
        reason: None,
        refusal: None,
    };
    for request in requests {
        say(&mut client, post("", request).as_bytes());
        loop {
            let up = spoken(&mut client);
            receive(fw, id, &up);
            let down = take(fw, id, usize::MAX);
            if let Err(error) = heard(&mut client, &down) {
                let Error::AlertReceived(alert) = error else {
                    panic!("{error}");
                };
                met.alert = Some(alert);
                break;
            }
            if up.is_empty() && down.is_empty() {
                break;
            }
        }
        met.answers
            .push(String::from_utf8(text(&mut client)).unwrap());
    }
    if met.alert.is_some() {
        assert!(finished(fw, id));
    }
    close(fw, id);
    for event in events(fw) {
        if let Event::TlsFailed {
            reason, refusal, ..
        } = event
        {
            (met.reason, met.refusal) = (Some(reason), refusal);
        }
    }
    met
}

fn ask_general() -> String {
    envelope(TRANSFER_GET, "AMT_GeneralSettings", "", "")
}

/// From nothing to CommitChanges, and what the record says then.
fn set_up(
    fw: &mut Firmware,
    made: &Made,
    way: Way,
    version: Version,
) -> crate::device::SetupRecord {
    fw.state.mebx_password_set = true;
    let account = "<r:Username>admin</r:Username>\
                   <r:DigestPassword>ABEiM0RVZneImaq7zN3u/w==</r:DigestPassword>";
    let requests = [
        call("AMT_AuthorizationService", "SetAdminAclEntryEx", account),
        call(SERVICE, "CommitChanges", ""),
    ];
    let met = meet(fw, made, way, version, &requests);
    assert!(met.answers[1].contains("ReturnValue>0<"), "{met:?}");
    assert_eq!(fw.mode(), Mode::Admin);
    fw.state.setup_record.clone().unwrap()
}

/// All that the device does with one specimen over TLS is what the laboratory says; else, what it does.
fn mistake(
    fw: &mut Firmware,
    specimen: &Specimen,
    made: &Made,
    way: Way,
    version: Version,
) -> Option<String> {
    let amt = fw.profile.firmware.parts()[0];
    let met = meet(fw, made, way, version, &[ask_general()]);
    let served = met.answers[0].starts_with("HTTP/1.1 200 ");
    let right = match specimen.verdict(way, amt) {
        Verdict::Taken => served && met.reason.is_none(),
        Verdict::Noted => served && !fw.setup.believed.as_ref()?.time_valid,
        Verdict::Refused(refusal) => {
            met.answers[0].is_empty()
                && met.refusal == Some(refusal)
                && met.reason == Some(FailureKind::UntrustedClient)
                && met.alert == Some(AlertDescription::CertificateUnknown)
        }
        Verdict::KeyNotHeld => {
            met.answers[0].is_empty()
                && met.refusal.is_none()
                && met.reason == Some(FailureKind::ClientCertificate)
                && met.alert == Some(AlertDescription::DecryptError)
        }
    };
    (!right).then(|| format!("{}: {met:?}", specimen.name))
}

#[rstest]
fn over_tls(
    #[values(Way::ThroughHost, Way::Network)] way: Way,
    #[values("tiger-lake-15", "alder-lake-16")] profile: &str,
    #[values(Version::Tls12, Version::Tls13)] version: Version,
) {
    let good = Specimen::named("good").unwrap().make(SERVER).unwrap();
    let mut fw = waiting(profile, &good, way);
    let mut mistakes = Vec::new();
    for specimen in Specimen::all() {
        let made = specimen.make(SERVER).unwrap();
        know(&mut fw, &made);
        if way == Way::ThroughHost {
            fw.state.announced = Some(announcement(&made));
        }
        mistakes.extend(mistake(&mut fw, specimen, &made, way, version));
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// One method of IPS_HostBasedSetupService as the host's own account calls it; its return value.
fn host_based(fw: &mut Firmware, method: &str, input: &str) -> String {
    const SCHEMA: &str = "http://intel.com/wbem/wscim/1/ips-schema/1";
    let body = call("IPS_HostBasedSetupService", method, input)
        .replace("http://intel.com/wbem/wscim/1/amt-schema/1", SCHEMA);
    let (challenge, _) = converse(fw, Local, post("", "").as_bytes());
    let password = fw.local_account.password.clone();
    let login = login(&challenge, "$$OsAdmin", &password, 1);
    let (answer, _) = converse(fw, Local, post(&header(&login), &body).as_bytes());
    let value = answer.split("ReturnValue>").nth(1);
    let value = value.and_then(|rest| rest.split('<').next());
    value.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// AddNextCertInChain for the whole chain, then AdminSetup: the return values that were not 0, and whether the device
/// is set up.
fn over_the_service(fw: &mut Firmware, made: &Made) -> (Vec<String>, bool) {
    let last = made.chain.len() - 1;
    for (at, der) in made.chain.iter().enumerate() {
        let input = format!(
            "<r:NextCertificate>{}</r:NextCertificate><r:IsLeafCertificate>{}</r:IsLeafCertificate>\
             <r:IsRootCertificate>{}</r:IsRootCertificate>",
            base64::encode(der),
            at == 0,
            at == last
        );
        let value = host_based(fw, "AddNextCertInChain", &input);
        if value != "0" {
            return (vec![value], false);
        }
    }
    let nonce = [7; 20];
    let message = [
        crate::device::setup::configuration_nonce(fw).as_slice(),
        &nonce,
    ]
    .concat();
    let key = RsaPrivateKey::from_pkcs8_der(&made.key).unwrap();
    let signature = SigningKey::<Sha256>::new(key).sign(&message).to_vec();
    let input = format!(
        "<r:NetAdminPassEncryptionType>2</r:NetAdminPassEncryptionType>\
         <r:NetworkAdminPassword>00112233445566778899aabbccddeeff</r:NetworkAdminPassword>\
         <r:McNonce>{}</r:McNonce><r:SigningAlgorithm>2</r:SigningAlgorithm>\
         <r:DigitalSignature>{}</r:DigitalSignature>",
        base64::encode(&nonce),
        base64::encode(&signature)
    );
    let value = host_based(fw, "AdminSetup", &input);
    (vec![value], fw.mode() == Mode::Admin)
}

#[rstest]
fn over_add_next_cert_in_chain(#[values("tiger-lake-15", "alder-lake-16")] profile: &str) {
    let mut mistakes = Vec::new();
    for specimen in Specimen::all() {
        let made = specimen.make(SERVER).unwrap();
        let mut fw = device(profile, &made);
        let amt = fw.profile.firmware.parts()[0];
        let (values, admin) = over_the_service(&mut fw, &made);
        let refusals: Vec<(SetupMethod, SetupRefusal)> = events(&mut fw)
            .into_iter()
            .filter_map(|event| match event {
                Event::HostBasedSetup {
                    method, refusal, ..
                } => Some((method, refusal?)),
                _ => None,
            })
            .collect();
        let right = match specimen.verdict(Way::Chain, amt) {
            Verdict::Taken => admin && refusals.is_empty() && values == ["0"],
            Verdict::Refused(PeerRefusal::Chain(refusal)) => {
                let refusal = SetupRefusal::Chain(refusal);
                let method = SetupMethod::AddNextCertInChain;
                let value = refusal.return_value(method).to_string();
                !admin && refusals == [(method, refusal)] && values == [value]
            }
            Verdict::KeyNotHeld => {
                let refused = [(SetupMethod::AdminSetup, SetupRefusal::Signature)];
                !admin && refusals == refused && values == ["5"]
            }
            Verdict::Noted | Verdict::Refused(_) => false,
        };
        if !right {
            mistakes.push(format!(
                "{}: {values:?} {refusals:?} {admin}",
                specimen.name
            ));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// What the record says of a set-up that was committed.
#[rstest]
fn records(
    #[values(Way::ThroughHost, Way::Network)] way: Way,
    #[values("tiger-lake-15", "alder-lake-16")] profile: &str,
    #[values("good", "expired", "not-yet-valid", "expired-intermediate")] name: &str,
) {
    let made = Specimen::named(name).unwrap().make(SERVER).unwrap();
    let mut fw = waiting(profile, &made, way);
    let record = set_up(&mut fw, &made, way, Version::Tls12);
    assert_eq!(record.time_valid, name == "good");
    assert!(record.secure_dns);
    assert_eq!(record.hash, made.entry.unwrap().hash);
}

/// Nobody typed a domain in: it is the one that DHCP tells, which is whoever answers first.
#[rstest]
#[case::enforced(None, false)]
#[case::knocked_out(Some("device.pki.secure-dns"), true)]
fn a_domain_from_dhcp_is_not_secure(#[case] without: Option<&str>, #[case] secure: bool) {
    let made = Specimen::named("good").unwrap().make(SERVER).unwrap();
    let mut fw = waiting("alder-lake-16", &made, Way::Network);
    if let Some(rule) = without {
        fw.rules.knock_out(rule).unwrap();
    }
    fw.state.pki_dns_suffix.clear();
    assert_eq!(fw.profile.network.dhcp_domain, made.domain);
    let record = set_up(&mut fw, &made, Way::Network, Version::Tls13);
    assert_eq!(record.secure_dns, secure);
}

/// Where firmware may tell more than that it does not like the certificate.
#[rstest]
#[case("unknown-root", AlertDescription::UnknownCA)]
#[case("no-setup-mark", AlertDescription::UnsupportedCertificate)]
#[case("wrong-suffix", AlertDescription::AccessDenied)]
#[case("forged-signature", AlertDescription::BadCertificate)]
fn alerts_by_reason(#[case] name: &str, #[case] alert: AlertDescription) {
    let made = Specimen::named(name).unwrap().make(SERVER).unwrap();
    let profile = Profile::builtin("alder-lake-16").unwrap();
    let profile = profile
        .with("assumptions.chain.alert", "by-reason")
        .unwrap();
    let mut fw = with_profile(profile, Mode::PreProvisioning, Rules::default());
    let met = meet_at_set_up(&mut fw, &made);
    assert_eq!(
        (met.alert, met.reason),
        (Some(alert), Some(FailureKind::UntrustedClient))
    );
}

/// What becomes of such a chain over the network, on a device that knows its root and has started set-up.
fn meet_at_set_up(fw: &mut Firmware, made: &Made) -> Met {
    know(fw, made);
    fw.state.own_key_made = true;
    out_of_band::start(fw, Some(false)).unwrap();
    meet(fw, made, Way::Network, Version::Tls13, &[ask_general()])
}

/// Each switch turns the answer about its specimen around.
#[rstest]
#[case("any-usage", "any_usage", "false", false)]
#[case("wildcard", "wildcard_names", "false", false)]
#[case("alternative-name-only", "alternative_names", "true", true)]
#[case("elliptic-leaf", "elliptic_keys", "true", true)]
#[case("longest-chain", "longest", "4", false)]
fn switches(#[case] name: &str, #[case] key: &str, #[case] value: &str, #[case] taken: bool) {
    let made = Specimen::named(name).unwrap().make(SERVER).unwrap();
    let profile = Profile::builtin("alder-lake-16").unwrap();
    let key = format!("assumptions.chain.{key}");
    let mut fw = with_profile(
        profile.with(&key, value).unwrap(),
        Mode::PreProvisioning,
        Rules::default(),
    );
    let met = meet_at_set_up(&mut fw, &made);
    assert_eq!(
        met.answers[0].starts_with("HTTP/1.1 200 "),
        taken,
        "{met:?}"
    );
}
