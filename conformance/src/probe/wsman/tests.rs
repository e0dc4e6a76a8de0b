//! Lines that are right and wrong, and a device that answers otherwise than they say.

use amt_sim::Preset;
use proptest::prelude::*;
use rstest::rstest;

use super::xml::Envelope;
use crate::probe::tests::{complains, play_on, script};

const ADMIN: &str = "wsman lme as admin P@ssw0rd1";

fn play(lines: &str) -> Result<usize, (usize, String, String)> {
    let played = play_on(Preset::Admin, &format!("{ADMIN}\n{lines}"), false);
    played.map_err(|mismatch| (mismatch.line, mismatch.expected, mismatch.actual))
}

#[rstest]
#[case::a_get(
    "get AMT_GeneralSettings\nDigestRealm = Digest:*\nNetworkInterfaceEnabled = true\nabsent NoSuch",
    4
)]
#[case::keys("get CIM_SoftwareIdentity[InstanceID=\"AMT\"]\nInstanceID = AMT", 2)]
#[case::a_put(
    "get AMT_GeneralSettings\nput AMT_GeneralSettings HostName=\"a & b\"\nHostName = \"a & b\"",
    3
)]
#[case::left_out("get AMT_GeneralSettings\nput AMT_GeneralSettings -HostName", 2)]
#[case::an_array(
    "get AMT_EnvironmentDetectionSettingData\nput AMT_EnvironmentDetectionSettingData DetectionStrings=a.example DetectionStrings=b.example\nDetectionStrings = a.example b.example",
    3
)]
#[case::items(
    "all CIM_SoftwareIdentity\nitem InstanceID=AMT\nInstanceID = AMT\nitem 1\nInstanceID != AMT",
    5
)]
#[case::one_by_one(
    "enumerate AMT_TLSSettingData\nkeep EnumerationContext as one\npull\nincomplete\npull 9\ncomplete\npull from @one\nfault wsen:InvalidEnumerationContext",
    8
)]
#[case::a_refusal(
    "invoke AMT_AuthorizationService.RemoveUserAclEntry Handle=9\nreturns 2053",
    2
)]
#[case::a_reference(
    "invoke AMT_PublicKeyManagementService.AddTrustedRootCertificate CertificateBlob=certificate:good.1\nkeep CreatedCertificate[InstanceID] as root\nget AMT_PublicKeyCertificate[InstanceID=@root]\nX509Certificate = certificate:good.1",
    4
)]
#[case::a_request(
    "invoke AMT_PublicKeyManagementService.GenerateKeyPair KeyAlgorithm=0 KeyLength=2048\nkeep KeyPair[InstanceID] as k\nget AMT_PublicPrivateKeyPair[InstanceID=@k]\nkeep DERKey as public\ninvoke AMT_PublicKeyManagementService.GeneratePKCS10RequestEx KeyPair=AMT_PublicPrivateKeyPair[InstanceID=@k] SigningAlgorithm=1 NullSignedCertificateRequest=unsigned-request:@public",
    5
)]
#[case::often("3 times enumerate AMT_TLSSettingData\nrelease", 4)]
#[case::of_an_instance(
    "invoke AMT_EthernetPortSettings[InstanceID=\"Intel(r) AMT Ethernet Port Settings 0\"].SetLinkPreference LinkPreference=1 Timeout=1\nreturns 2066",
    2
)]
#[case::a_header(
    "message-id 7\nheader <x:X xmlns:x=\"urn:x\"/>\nget AMT_GeneralSettings\nHeader.RelatesTo = 7\nsorted\nanswer not *> *<*",
    4
)]
#[case::another_login(
    "wsman local:16992 as admin wrong\nget AMT_GeneralSettings\nstatus 401",
    2
)]
#[case::the_host("wsman lme as $$OsAdmin\nget AMT_GeneralSettings", 1)]
#[case::an_envelope("post <x/>\nstatus 400", 2)]
fn every_line_does_what_it_says(#[case] lines: &str, #[case] judged: usize) {
    assert_eq!(play(lines), Ok(judged));
}

#[rstest]
#[case::a_fault(
    "get AMT_NoSuch",
    "success",
    "fault wsa:DestinationUnreachable with HTTP status 400"
)]
#[case::a_return_value(
    "invoke AMT_AuthorizationService.RemoveUserAclEntry Handle=9",
    "success",
    "return value 2053"
)]
#[case::another_fault(
    "get AMT_NoSuch\nfault wsman:AlreadyExists",
    "fault wsman:AlreadyExists",
    "fault wsa:"
)]
#[case::another_prefix(
    "get AMT_NoSuch\nfault wxf:DestinationUnreachable",
    "fault wxf:",
    "fault wsa:"
)]
#[case::no_fault(
    "get AMT_GeneralSettings\nfault wsa:DestinationUnreachable",
    "fault",
    "AMT_GeneralSettings with"
)]
#[case::a_value("get AMT_GeneralSettings\nDigestRealm = x", "\"x\"", "\"Digest:")]
#[case::too_few(
    "get AMT_GeneralSettings\nDigestRealm = * *",
    "\"*\" \"*\"",
    "\"Digest:"
)]
#[case::the_same(
    "get AMT_GeneralSettings\nDigestRealm != Digest:*",
    "other than",
    "\"Digest:"
)]
#[case::there("get AMT_GeneralSettings\nabsent DigestRealm", "no such", "\"Digest:")]
#[case::not_there("get AMT_GeneralSettings\nkeep NoSuch as x", "one value", "nothing")]
#[case::count("all AMT_TLSSettingData\ninstances 3", "3", "2")]
#[case::no_such_item("all AMT_TLSSettingData\nitem 3", "such an item", "2 items")]
#[case::not_the_end(
    "enumerate AMT_TLSSettingData\npull\ncomplete",
    "the end",
    "a new context"
)]
#[case::order(
    "get AMT_GeneralSettings\nproperties ElementName",
    "ElementName",
    "AMTNetworkEnabled "
)]
#[case::letters("get AMT_GeneralSettings\nanswer <b*", "<b*", "<?xml")]
#[case::no_login("wsman lme\nget AMT_GeneralSettings", "an answer", "LME wants a login")]
#[case::nobody_listens(
    "wsman network:1 as a b\nget AMT_GeneralSettings",
    "an answer",
    "port 1"
)]
#[case::nothing_kept(
    "get AMT_GeneralSettings[InstanceID=@x]",
    "a request",
    "nothing was kept as @x"
)]
fn what_goes_otherwise_is_told(#[case] lines: &str, #[case] expected: &str, #[case] actual: &str) {
    let (line, wanted, found) = play(lines).unwrap_err();
    assert_eq!(line, 2 + lines.lines().count(), "{wanted}: {found}");
    assert!(
        wanted.contains(expected) && found.contains(actual),
        "{wanted}: {found}"
    );
}

#[test]
fn who_asks_nothing_is_answered_nothing() {
    let lines = format!("{ADMIN}\nget AMT_NoSuch\nfault wsa:DestinationUnreachable");
    let mismatch = play_on(Preset::Admin, &lines, true).unwrap_err();
    assert_eq!(
        (mismatch.line, mismatch.actual.as_str()),
        (3, "nothing was asked")
    );
}

#[rstest]
#[case::verb("gett AMT_X", "2:1: no line begins with `gett` did you mean `get`?")]
#[case::place(
    "wsman lmee as a b",
    "2:1: no way to the service is called `lmee` did you mean `lme`?"
)]
#[case::side(
    "wsman lokal:16992",
    "2:1: no side is called `lokal` did you mean `local`?"
)]
#[case::login("wsman lme as admin", "2:1: write `wsman WHERE as USER PASSWORD`")]
#[case::chain(
    "wsman network:16993 with certificate godo",
    "2:1: no chain of the laboratory is called `godo`: did you mean `good`?"
)]
#[case::no_method(
    "invoke AMT_X",
    "2:1: `AMT_X`: write `invoke CLASS.METHOD Name=value ...`"
)]
#[case::no_value("create AMT_X Name", "2:1: `Name` lacks its value: write `Name=value`")]
#[case::empty_value(
    "create AMT_X Name= Other=1",
    "2:1: `Name` of what value? Write \"\" for an empty one"
)]
#[case::bracket("get AMT_X[Name=a", "2:1: a bracket without its partner")]
#[case::quote("get AMT_X[Name=\"a]", "2:1: a quote without its partner")]
#[case::trailing("get AMT_X y", "2:1: nothing can stand here: `y`")]
#[case::prefix(
    "get AMT_X\nfault wsmn:X",
    "3:1: no prefix of a fault is called `wsmn` did you mean `wsman`?"
)]
#[case::nobody_asked("fault wsa:X", "2:1: `fault` stands below a request, in the same step")]
#[case::number("get AMT_X\nreturns none", "3:1: `none` is no return value")]
#[case::placeholder(
    "get AMT_X\nName = {device.uid}",
    "3:1: no placeholder is called `{device.uid}` here: did you mean `{device.uuid}`?"
)]
#[case::octets("create AMT_X Name=octets:0", "2:1: `0` are no octets in hex")]
#[case::zero("all AMT_X\nitem 0", "3:1: items count from one")]
#[case::alone("get AMT_X\nsorted A", "3:1: `sorted` stands alone")]
fn what_is_wrong_with_a_line_is_said(#[case] lines: &str, #[case] complaint: &str) {
    complains(lines, complaint);
}

proptest! {
    #[test]
    fn no_line_is_a_panic(verb in prop::sample::select(super::VERBS.to_vec()), rest in "[A-Za-z\\[\\]=@.,:\" 0-9*-]{0,30}") {
        let _ = script(&format!("{verb} {rest}"));
    }

    #[test]
    fn no_answer_is_a_panic(text in "[<>/a-z:=\" ]{0,60}") {
        let _ = Envelope::parse(&text);
    }
}
