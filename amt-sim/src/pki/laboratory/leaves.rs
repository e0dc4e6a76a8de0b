//! Specimens about the leaf: what it is for, for whom, since when, and its key.
//!
//! Source: "Intel AMT Implementation and Reference Guide", pages "Acquiring an Intel vPro certificate" and "Root
//! Certificate Hashes"; class IPS_TLSProvisioningRecord.

use super::answer::Verdict::{Noted, Taken};
use super::answer::When::{Before, Over};
use super::answer::{Way, refused};
use super::draft::{Plan, Usage};
use super::sign::Key;
use super::{Specimen, specimen};
use crate::pki::ChainRefusal::{
    Algorithm, AlternativeNameOnly, Expired, LookAlikeSuffix, NoName, NotForSetup, NotServer,
    NotYetValid, OtherSuffix, ShortKey, WeakDigest,
};
use crate::pki::PROVISIONING_OU;
use crate::pki::signature::Digest;

const MARK: &str = "device.pki.setup-mark";
const SERVER: &str = "device.pki.server-usage";
const SUFFIX: &str = "device.pki.dns-suffix";
const SUFFIX_MATCH: &str = "device.assumed.suffix-match";
const TIME: &str = "device.pki.time-noted";

/// SHA-1 and short keys went with this generation.
pub(super) const STRICT_SINCE: u16 = 16;

/// For servers, with nothing in it that says set-up but this unit.
fn unit_alone(leaf: &mut Plan, unit: Option<&'static str>) {
    leaf.usages = vec![Usage::Server];
    leaf.unit = unit;
}

/// For servers, with nothing in it that says set-up but this usage.
fn usage_alone(leaf: &mut Plan, number: u64) {
    leaf.usages = vec![Usage::Server, Usage::Intel(number)];
    leaf.unit = None;
}

pub(super) const SPECIMENS: &[Specimen] = &[
    specimen(
        "good",
        "marked by extended key usage and by organisational unit; issuing authority and root are sent",
        MARK,
        Taken,
        |_| {},
    ),
    specimen(
        "unit-only",
        "marked by organisational unit alone",
        MARK,
        Taken,
        |draft| {
            unit_alone(draft.leaf(), Some(PROVISIONING_OU));
        },
    ),
    specimen(
        "usage-only",
        "marked by extended key usage alone",
        MARK,
        Taken,
        |draft| {
            usage_alone(draft.leaf(), 3);
        },
    ),
    specimen(
        "no-setup-mark",
        "neither extended key usage nor organisational unit say that it is for AMT set-up",
        MARK,
        refused(NotForSetup),
        |draft| unit_alone(draft.leaf(), None),
    ),
    specimen(
        "unit-wrong-case",
        "marked by the organisational unit alone, in other letters",
        MARK,
        refused(NotForSetup),
        |draft| unit_alone(draft.leaf(), Some("Intel(R) client setup certificate")),
    ),
    specimen(
        "unit-cut",
        "marked by the beginning of the organisational unit alone",
        MARK,
        refused(NotForSetup),
        |draft| unit_alone(draft.leaf(), Some("Intel(R) Client Setup")),
    ),
    specimen(
        "unit-trailing-space",
        "marked by the organisational unit and a space",
        MARK,
        refused(NotForSetup),
        |draft| unit_alone(draft.leaf(), Some("Intel(R) Client Setup Certificate ")),
    ),
    specimen(
        "usage-remote-console",
        "marked by 2.16.840.1.113741.1.2.1, which is for remote consoles",
        MARK,
        refused(NotForSetup),
        |draft| usage_alone(draft.leaf(), 1),
    ),
    specimen(
        "usage-local-agent",
        "marked by 2.16.840.1.113741.1.2.2, which is for local agents",
        MARK,
        refused(NotForSetup),
        |draft| usage_alone(draft.leaf(), 2),
    ),
    specimen(
        "no-server-usage",
        "extended key usages without that of TLS servers",
        SERVER,
        refused(NotServer),
        |draft| draft.leaf().usages = vec![Usage::Intel(3)],
    ),
    specimen(
        "client-only",
        "for TLS clients, not for servers",
        SERVER,
        refused(NotServer),
        |draft| draft.leaf().usages = vec![Usage::Client, Usage::Intel(3)],
    ),
    specimen(
        "any-usage",
        "for any extended key usage, without naming that of TLS servers",
        "device.assumed.any-usage",
        Taken,
        |draft| draft.leaf().usages = vec![Usage::Any],
    ),
    specimen(
        "no-usages",
        "no extended key usages at all, so for every use; marked by organisational unit",
        SERVER,
        Taken,
        |draft| draft.leaf().usages.clear(),
    ),
    specimen("expired", "its validity is over", TIME, Noted, |draft| {
        draft.leaf().years = Some((2022, 2023));
    })
    .except(&[(Over(Way::Chain), refused(Expired))]),
    specimen(
        "not-yet-valid",
        "its validity has not begun",
        TIME,
        Noted,
        |draft| {
            draft.leaf().years = Some((2045, 2046));
        },
    )
    .except(&[(Over(Way::Chain), refused(NotYetValid))]),
    specimen(
        "wrong-suffix",
        "for a name in another domain",
        SUFFIX,
        refused(OtherSuffix),
        |draft| {
            draft.leaf().common_name = Some("{host}.other.example");
        },
    ),
    specimen(
        "look-alike-suffix",
        "for a name that only ends in the same letters as the device's domain",
        "device.pki.whole-labels",
        refused(LookAlikeSuffix),
        |draft| draft.leaf().common_name = Some("{host}.evil{domain}"),
    ),
    specimen(
        "suffix-in-front",
        "for a name that begins with the device's domain and goes on with another",
        SUFFIX,
        refused(OtherSuffix),
        |draft| draft.leaf().common_name = Some("{domain}.other.example"),
    ),
    specimen(
        "parent-domain",
        "for the domain above the device's",
        SUFFIX_MATCH,
        refused(OtherSuffix),
        |draft| draft.domain = Some("lab.{domain}"),
    ),
    specimen(
        "public-suffix",
        "for another domain below the same public suffix, as in a.co.uk and b.co.uk",
        SUFFIX,
        refused(OtherSuffix),
        |draft| {
            draft.leaf().common_name = Some("{host}.other.co.uk");
            draft.domain = Some("corp.co.uk");
        },
    ),
    specimen(
        "alternative-name-only",
        "for a name in another domain; one in the device's is an alternative name",
        "device.assumed.alternative-names",
        refused(AlternativeNameOnly),
        |draft| {
            draft.leaf().common_name = Some("{host}.other.example");
            draft.leaf().alternative = Some("{server}");
        },
    ),
    specimen(
        "domain-itself",
        "for the device's domain itself",
        SUFFIX_MATCH,
        Taken,
        |draft| {
            draft.leaf().common_name = Some("{domain}");
        },
    ),
    specimen(
        "wildcard",
        "for every name in the device's domain",
        "device.assumed.wildcard-names",
        Taken,
        |draft| draft.leaf().common_name = Some("*.{domain}"),
    ),
    specimen(
        "upper-case-name",
        "for the right name in capital letters",
        SUFFIX_MATCH,
        Taken,
        |draft| draft.leaf().common_name = Some("{SERVER}"),
    ),
    specimen(
        "empty-name",
        "its common name is empty",
        SUFFIX,
        refused(NoName),
        |draft| {
            draft.leaf().common_name = Some("");
        },
    ),
    specimen(
        "no-name",
        "it has no common name",
        SUFFIX,
        refused(NoName),
        |draft| {
            draft.leaf().common_name = None;
        },
    ),
    specimen(
        "zero-byte-name",
        "its common name has a zero byte between another domain and the device's",
        SUFFIX,
        refused(NoName),
        |draft| draft.leaf().common_name = Some("{host}.other.example\0.{domain}"),
    ),
    specimen(
        "sha1",
        "signed over SHA-1",
        "device.pki.digest",
        refused(WeakDigest),
        |draft| {
            draft.leaf().digest = Digest::Sha1;
        },
    )
    .except(&[(Before(STRICT_SINCE), Taken)]),
    specimen(
        "md5",
        "signed over MD5",
        "device.pki.digest",
        refused(WeakDigest),
        |draft| {
            draft.leaf().digest = Digest::Md5;
        },
    ),
    specimen(
        "sha384",
        "signed over SHA-384",
        "device.pki.digest",
        Taken,
        |draft| {
            draft.leaf().digest = Digest::Sha384;
        },
    ),
    specimen(
        "sha512",
        "signed over SHA-512",
        "device.pki.digest",
        Taken,
        |draft| {
            draft.leaf().digest = Digest::Sha512;
        },
    ),
    specimen(
        "rsa-1024",
        "its key is RSA of 1024 bits",
        "device.pki.key-size",
        refused(ShortKey),
        |draft| draft.leaf().key = Key::Short,
    )
    .except(&[(Before(STRICT_SINCE), Taken)]),
    specimen(
        "rsa-4096",
        "its key is RSA of 4096 bits",
        "device.pki.key-size",
        Taken,
        |draft| draft.leaf().key = Key::Long,
    ),
    specimen(
        "elliptic-leaf",
        "its key is on P-384; the authorities' are RSA",
        "device.assumed.chain-rsa-only",
        refused(Algorithm),
        |draft| draft.leaf().key = Key::Elliptic,
    ),
];
