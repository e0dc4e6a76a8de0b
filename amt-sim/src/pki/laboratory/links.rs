//! Specimens about the rest of the chain: authorities, root, order, signatures, and who holds the key.
//!
//! Source: "Intel AMT Implementation and Reference Guide", pages "Certificate Chains for Host-Based Configuration" and
//! "Root Certificate Hashes", command CFG_StartConfigurationHBased; RFC 5280 for what makes an authority.

use super::answer::Verdict::{KeyNotHeld, Noted, Refused, Taken};
use super::answer::When::{Before, Over};
use super::answer::{Way, refused};
use super::draft::{Draft, Knows, Plan};
use super::leaves::STRICT_SINCE;
use super::sign::Key;
use super::{Specimen, specimen};
use crate::device::PeerRefusal;
use crate::pki::ChainRefusal::{
    Expired, Flags, InactiveRoot, NotAuthority, NotForSetup, NotIssuer, PathLength, ShortKey,
    Signature, TooLong, UnknownRoot, Unreadable, WeakDigest,
};
use crate::pki::signature::Digest;

const ORDER: &str = "device.pki.chain-order";
const SIGNATURE: &str = "device.pki.chain-signature";
const AUTHORITY: &str = "device.pki.authority";
const TIME: &str = "device.pki.time-noted";

/// So many authorities between leaf and root, none of which limits what stands below it.
fn authorities(draft: &mut Draft, count: usize) {
    const NAMES: [&str; 5] = [
        "amt-sim Issuing CA 1",
        "amt-sim Issuing CA 2",
        "amt-sim Issuing CA 3",
        "amt-sim Issuing CA 4",
        "amt-sim Issuing CA 5",
    ];
    draft.plans.truncate(1);
    for name in NAMES.iter().take(count) {
        let plan = Plan::authority(name, Key::Intermediate, None);
        draft.plans.push(plan);
    }
    let root = Plan::authority("amt-sim Unlimited Root CA", Key::Root, None);
    draft.plans.push(root);
}

pub(super) const SPECIMENS: &[Specimen] = &[
    specimen(
        "expired-intermediate",
        "the validity of its issuing authority is over",
        TIME,
        Noted,
        |draft| draft.issuing().years = Some((2022, 2023)),
    )
    .except(&[(Over(Way::Chain), refused(Expired))]),
    specimen(
        "expired-root",
        "the validity of its root is over",
        TIME,
        Noted,
        |draft| {
            draft.root().years = Some((2022, 2023));
        },
    )
    .except(&[(Over(Way::Chain), refused(Expired))]),
    specimen(
        "sha1-intermediate",
        "the certificate of its issuing authority is signed over SHA-1",
        "device.pki.digest",
        refused(WeakDigest),
        |draft| draft.issuing().digest = Digest::Sha1,
    )
    .except(&[(Before(STRICT_SINCE), Taken)]),
    specimen(
        "sha1-root",
        "the root signed itself over SHA-1",
        "device.pki.digest",
        refused(WeakDigest),
        |draft| draft.root().digest = Digest::Sha1,
    )
    .except(&[(Before(STRICT_SINCE), Taken)]),
    specimen(
        "rsa-1024-intermediate",
        "the key of its issuing authority is RSA of 1024 bits",
        "device.pki.key-size",
        refused(ShortKey),
        |draft| draft.issuing().key = Key::Short,
    )
    .except(&[(Before(STRICT_SINCE), Taken)]),
    specimen(
        "unknown-root",
        "the chain ends at a root that is not in the device's list",
        "device.pki.root-known",
        refused(UnknownRoot),
        |draft| {
            draft.root().key = Key::Rogue;
            draft.knows = Knows::Nothing;
        },
    ),
    specimen(
        "inactive-root",
        "the hash of its root is in the device's list, but switched off",
        "device.pki.root-active",
        refused(InactiveRoot),
        |draft| draft.knows = Knows::Inactive,
    ),
    specimen(
        "sha1-hash",
        "the device's list has a SHA-1 hash of its root and no other",
        "device.pki.root-digest",
        refused(UnknownRoot),
        |draft| draft.knows = Knows::Sha1,
    )
    .except(&[(Before(STRICT_SINCE), Taken)]),
    specimen(
        "without-root",
        "the root is not sent",
        "device.pki.root-known",
        refused(UnknownRoot),
        |draft| draft.send = |sent| drop(sent.pop()),
    ),
    specimen(
        "root-before-issuer",
        "the root is sent before the issuing authority",
        ORDER,
        refused(NotIssuer),
        |draft| draft.send = |sent| sent[1..].reverse(),
    ),
    specimen(
        "root-first",
        "the chain is sent from root to leaf",
        ORDER,
        refused(NotForSetup),
        |draft| draft.send = |sent| sent.reverse(),
    ),
    specimen(
        "leaf-twice",
        "the leaf is sent twice",
        AUTHORITY,
        refused(NotAuthority),
        |draft| draft.send = |sent| sent.insert(0, sent[0].clone()),
    ),
    specimen(
        "missing-intermediate",
        "the issuing authority is not sent",
        ORDER,
        refused(NotIssuer),
        |draft| draft.send = |sent| drop(sent.remove(1)),
    ),
    specimen(
        "issuer-is-no-authority",
        "its issuer must not sign certificates",
        AUTHORITY,
        refused(NotAuthority),
        |draft| draft.issuing().authority = None,
    ),
    specimen(
        "path-length",
        "one more authority stands below its issuing authority, which allows none",
        AUTHORITY,
        refused(PathLength),
        |draft| {
            let below = Plan::authority("amt-sim Sub CA", Key::Intermediate, None);
            draft.plans.insert(1, below);
        },
    ),
    specimen(
        "longest-chain",
        "three authorities stand between it and the root",
        "device.assumed.chain-length",
        Taken,
        |draft| authorities(draft, 3),
    ),
    specimen(
        "long-chain",
        "five authorities stand between it and the root",
        "device.pki.chain-length",
        refused(TooLong),
        |draft| authorities(draft, 5),
    ),
    specimen(
        "forged-signature",
        "another key than its issuer's signed it",
        SIGNATURE,
        refused(Signature),
        |draft| draft.leaf().forged_with = Some(Key::Rogue),
    ),
    specimen(
        "forged-intermediate",
        "another key than the root's signed its issuing authority",
        SIGNATURE,
        refused(Signature),
        |draft| draft.issuing().forged_with = Some(Key::Rogue),
    ),
    specimen(
        "self-signed",
        "signed with its own key; its hash is in the device's list",
        "device.pki.root-known",
        Refused(PeerRefusal::NoRoot),
        |draft| {
            draft.plans.truncate(1);
            draft.leaf().key = Key::Rogue;
        },
    )
    .except(&[(Over(Way::Chain), refused(Flags))]),
    specimen(
        "other-key",
        "a good chain in the hands of somebody who has another key",
        "device.setup.signature",
        KeyNotHeld,
        |draft| draft.holds = Some(Key::Rogue),
    ),
    specimen(
        "other-leaf",
        "a good chain, but StartConfigurationHBased announced another leaf",
        "device.setup.announced-leaf",
        Taken,
        |draft| draft.announces_another = true,
    )
    .except(&[(Over(Way::ThroughHost), Refused(PeerRefusal::OtherLeaf))]),
    specimen(
        "trailing-byte",
        "a byte follows the leaf",
        "device.pki.readable",
        refused(Unreadable),
        |draft| draft.send = |sent| sent[0].push(0),
    ),
    specimen(
        "malformed",
        "the leaf is no DER: a SET stands where a SEQUENCE should",
        "device.pki.readable",
        refused(Unreadable),
        |draft| draft.send = |sent| sent[0][4] = 0x31,
    ),
];
