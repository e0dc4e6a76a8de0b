//! The stores of certificates and keys: AMT_PublicKeyManagementService and what it fills.

use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{SignatureEncoding, Signer};
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, sha2::Sha256};

use super::der;
use crate::device::{Firmware, Rule, StoredKey, assumed};
use crate::wsman::call::{Call, Outcome, status};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Applied, Change};
use crate::wsman::store;
use crate::wsman::value::{Instance, Reference, Selectors, Value};

pub(crate) const CERTIFICATE: &str = "AMT_PublicKeyCertificate";
pub(crate) const KEY: &str = "AMT_PublicPrivateKeyPair";

const CERTIFICATE_ID: &str = "Intel(r) AMT Certificate: Handle: ";
const KEY_ID: &str = "Intel(r) AMT Key: Handle: ";

/// How many fit: assumed, except that four roots are documented for remote set-up.
const MOST_CERTIFICATES: usize = 16;
const MOST_KEYS: usize = 8;
/// Longest certificate in octets.
const LONGEST: usize = 4100;

/// `sha256WithRSAEncryption`.
const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];

pub(super) fn add_root(call: &mut Call<'_>) -> Outcome {
    add(call, true)
}

pub(super) fn add_certificate(call: &mut Call<'_>) -> Outcome {
    add(call, false)
}

fn add(call: &mut Call<'_>, trusted: bool) -> Outcome {
    let Some(der) = call.input.bytes("CertificateBlob") else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    let certificate = match der::certificate(&der) {
        Some(certificate) if der.len() <= LONGEST => certificate,
        _ => return Outcome::status(status::INVALID_CERTIFICATE),
    };
    let kept = store::instances(call.fw, CERTIFICATE);
    let same = |other: &Instance| {
        other.get("X509Certificate") == Some(&Value::Bytes(der.clone()))
            && other.bool("TrustedRootCertficate") == Some(trusted)
    };
    if kept.iter().any(same) && call.fw.enforced(Rule::CERTIFICATE_DUPLICATE) {
        return Outcome::status(status::DUPLICATE);
    }
    if kept.len() >= MOST_CERTIFICATES {
        call.fw.assume(assumed::CERTIFICATE_LIMITS);
        return Outcome::status(status::MAX_LIMIT_REACHED);
    }
    let used = kept.iter().filter_map(|other| handle(other, CERTIFICATE_ID));
    let id = format!("{CERTIFICATE_ID}{}", free(used.collect()));
    let instance = Instance::new()
        .with("ElementName", "Intel(r) AMT Certificate")
        .with("InstanceID", id.as_str())
        .with("Issuer", certificate.issuer)
        .with("Subject", certificate.subject)
        .with("TrustedRootCertficate", trusted)
        .with("X509Certificate", der);
    let keys = Selectors::new().with("InstanceID", id.as_str());
    store::create(call.fw, CERTIFICATE, &keys, instance);
    Outcome::OK.with("CreatedCertificate", named(CERTIFICATE, &id))
}

/// AddKey: a PKCS#1 private key.
pub(super) fn add_key(call: &mut Call<'_>) -> Outcome {
    let Some(blob) = call.input.bytes("KeyBlob") else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    match RsaPrivateKey::from_pkcs1_der(&blob) {
        Ok(key) if is_length(key.n().bits()) => keep(call.fw, &key, "CreatedKey"),
        _ => Outcome::status(status::INVALID_KEY),
    }
}

const fn is_length(bits: usize) -> bool {
    matches!(bits, 1024 | 1536 | 2048 | 3072)
}

/// GenerateKeyPair: a key of the pool that this device does not have yet. Making one for real would stop the
/// device for seconds and could not be repeated.
pub(super) fn generate(call: &mut Call<'_>) -> Outcome {
    const RSA: i64 = 0;
    if call.input.number("KeyAlgorithm") != Some(RSA) {
        return Outcome::status(status::UNSUPPORTED);
    }
    if call.input.number("KeyLength") != Some(2048) {
        return Outcome::status(status::INVALID_KEY);
    }
    call.fw.assume(assumed::KEY_POOL);
    let pool = fixtures::keys::DEVICE;
    // Two devices side by side start at different keys.
    let [start] = call.fw.seed.bytes::<1>("key pool", 0);
    for turn in 0..pool.len() {
        let place = (usize::from(start) + turn) % pool.len();
        let Some(key) = pool
            .get(place)
            .and_then(|pem| RsaPrivateKey::from_pkcs8_pem(pem).ok())
        else {
            continue;
        };
        if !holds(call.fw, &key) {
            return keep(call.fw, &key, "KeyPair");
        }
    }
    Outcome::status(status::MAX_LIMIT_REACHED)
}

fn public_half(key: &RsaPrivateKey) -> Option<Vec<u8>> {
    let public = key.to_public_key().to_pkcs1_der().ok()?;
    Some(public.into_vec())
}

fn holds(fw: &Firmware, key: &RsaPrivateKey) -> bool {
    let public = public_half(key).map(|der| crate::hex::encode(&der));
    let same = |stored: &StoredKey| Some(&stored.public) == public.as_ref();
    fw.state.keys.iter().any(same)
}

fn keep(fw: &mut Firmware, key: &RsaPrivateKey, output: &'static str) -> Outcome {
    if holds(fw, key) && fw.enforced(Rule::CERTIFICATE_DUPLICATE) {
        return Outcome::status(status::DUPLICATE);
    }
    if fw.state.keys.len() >= MOST_KEYS {
        fw.assume(assumed::CERTIFICATE_LIMITS);
        return Outcome::status(status::MAX_LIMIT_REACHED);
    }
    let (Some(public), Ok(private)) = (public_half(key), key.to_pkcs1_der()) else {
        return Outcome::status(status::INTERNAL_ERROR);
    };
    let handle = free(fw.state.keys.iter().map(|key| key.handle).collect());
    let private = crate::hex::encode(private.as_bytes());
    let public = crate::hex::encode(&public);
    fw.remember(|state| {
        state.keys.push(StoredKey {
            handle,
            private,
            public,
        });
    });
    Outcome::OK.with(output, named(KEY, &format!("{KEY_ID}{handle}")))
}

/// GeneratePKCS10RequestEx: the request as given, signed with one of the device's keys.
pub(super) fn sign_request(call: &mut Call<'_>) -> Outcome {
    const SHA256_RSA: i64 = 1;
    let pair = call.input.reference("KeyPair");
    let handle = pair.and_then(|pair| number(pair.key("InstanceID")?, KEY_ID));
    let keys = &call.fw.state.keys;
    let Some(key) = keys.iter().find(|key| Some(key.handle) == handle) else {
        return Outcome::status(status::NOT_FOUND);
    };
    if call.input.number("SigningAlgorithm") != Some(SHA256_RSA) {
        return Outcome::status(status::UNSUPPORTED);
    }
    let request = call.input.bytes("NullSignedCertificateRequest");
    let Some((info, public)) = request.and_then(|request| der::request(&request)) else {
        return Outcome::status(status::INVALID_PARAMETER);
    };
    if crate::hex::encode(&public) != key.public && call.fw.enforced(Rule::REQUEST_KEY) {
        return Outcome::status(status::CERTIFICATE_KEY_MISMATCH);
    }
    let private = crate::hex::decode(&key.private)
        .and_then(|der| RsaPrivateKey::from_pkcs1_der(&der).ok());
    let Some(private) = private else {
        return Outcome::status(status::INTERNAL_ERROR);
    };
    let signature = SigningKey::<Sha256>::new(private).sign(&info).to_vec();
    let signed = der::signed_request(&info, SHA256_WITH_RSA, &signature);
    Outcome::OK.with("SignedCertificateRequest", signed)
}

/// AMT_PublicPrivateKeyPair: the public halves.
pub(super) fn key_pairs(fw: &Firmware) -> Vec<Instance> {
    let pair = |key: &StoredKey| {
        Instance::new()
            .with("DERKey", crate::hex::decode(&key.public).unwrap_or_default())
            .with("ElementName", "Intel(r) AMT Key")
            .with("InstanceID", format!("{KEY_ID}{}", key.handle))
    };
    fw.state.keys.iter().map(pair).collect()
}

pub(super) fn delete_key(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let id = change.keys.text("InstanceID").unwrap_or_default().to_owned();
    forget_key(change.fw, &id)
}

fn forget_key(fw: &mut Firmware, id: &str) -> Result<Applied, Fault> {
    let handle = number(id, KEY_ID).ok_or(Fault::DestinationUnreachable)?;
    if !fw.state.keys.iter().any(|key| key.handle == handle) {
        return Err(Fault::DestinationUnreachable);
    }
    let pairs = pairs(fw);
    let bound = pairs.iter().filter(|(_, key)| key == id);
    for (certificate, _) in bound {
        refuse_in_use(fw, certificate)?;
    }
    fw.remember(|state| state.keys.retain(|key| key.handle != handle));
    Ok(Applied::elsewhere())
}

pub(super) fn delete_certificate(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let id = change.keys.text("InstanceID").unwrap_or_default().to_owned();
    forget_certificate(change.fw, &id)
}

fn forget_certificate(fw: &mut Firmware, id: &str) -> Result<Applied, Fault> {
    let keys = Selectors::new().with("InstanceID", id);
    if store::find(fw, CERTIFICATE, &keys).is_none() {
        return Err(Fault::DestinationUnreachable);
    }
    refuse_in_use(fw, id)?;
    store::delete(fw, CERTIFICATE, &keys);
    Ok(Applied::elsewhere())
}

/// Delete on the service itself, with the handle of a certificate or a key: one public library does it so.
pub(super) fn delete_either(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let id = change.selectors.text("InstanceID").unwrap_or_default().to_owned();
    match id.starts_with(KEY_ID) {
        true => forget_key(change.fw, &id),
        false => forget_certificate(change.fw, &id),
    }
}

fn refuse_in_use(fw: &Firmware, certificate: &str) -> Result<(), Fault> {
    let used = super::uses(fw).iter().any(|context| {
        let element = context.reference("ElementInContext");
        element.is_some_and(|it| it.class == CERTIFICATE && it.key("InstanceID") == Some(certificate))
    });
    match used && fw.enforced(Rule::CERTIFICATE_IN_USE) {
        true => Err(Fault::AccessDenied),
        false => Ok(()),
    }
}

/// Which certificate belongs to which key, by their InstanceIDs.
pub(super) fn pairs(fw: &Firmware) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for certificate in store::instances(fw, CERTIFICATE) {
        let Some(key) = key_of(fw, &certificate) else {
            continue;
        };
        if let Some(id) = certificate.text("InstanceID") {
            pairs.push((id.to_owned(), format!("{KEY_ID}{}", key.handle)));
        }
    }
    pairs
}

/// The stored key that a certificate is for.
pub(crate) fn key_of<'a>(fw: &'a Firmware, certificate: &Instance) -> Option<&'a StoredKey> {
    let Some(Value::Bytes(der)) = certificate.get("X509Certificate") else {
        return None;
    };
    let public = crate::hex::encode(&der::certificate(der)?.public_key);
    fw.state.keys.iter().find(|key| key.public == public)
}

/// The number of a certificate's InstanceID.
pub(super) fn certificate_number(id: &str) -> Option<u32> {
    number(id, CERTIFICATE_ID)
}

pub(crate) fn named(class: &str, id: &str) -> Reference {
    Reference::new(class).with("InstanceID", id)
}

fn number(id: &str, prefix: &str) -> Option<u32> {
    id.strip_prefix(prefix)?.parse().ok()
}

fn handle(instance: &Instance, prefix: &str) -> Option<u32> {
    number(instance.text("InstanceID")?, prefix)
}

/// The smallest number that is not taken.
fn free(taken: Vec<u32>) -> u32 {
    (0..).find(|number| !taken.contains(number)).unwrap_or(u32::MAX)
}
