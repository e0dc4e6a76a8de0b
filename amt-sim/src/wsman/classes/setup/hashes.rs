//! AMT_ProvisioningCertificateHash: the roots that a provisioning chain may end at.
//!
//! Source: class AMT_ProvisioningCertificateHash; "Intel AMT Implementation and Reference Guide", page "Root
//! Certificate Hashes". The form of InstanceID is ours.

use super::records::number;
use crate::device::{CertificateHash, Firmware, HashAlgorithm, Profile, Rule};
use crate::wsman::fault::Fault;
use crate::wsman::provider::{Applied, Change, Provider};
use crate::wsman::value::{Instance, Selectors, Value};

pub(super) const PROVIDER: Provider = Provider {
    instances: Some(hashes),
    put: Some(put),
    create: Some(create),
    delete: Some(delete),
    ..Provider::of("AMT_ProvisioningCertificateHash")
};

/// What stands in front of a handle.
const ID: &str = "Intel(r) AMT Provisioning Certificate Hash: Handle: ";
/// Characters of the longest name.
const LONGEST_NAME: usize = 32;
/// SHA-1 hashes cannot be added from this generation on.
const NO_NEW_SHA1_SINCE: u16 = 16;

fn hashes(fw: &Firmware) -> Vec<Instance> {
    let entries = fw.state.hashes.iter().enumerate();
    entries
        .map(|(handle, entry)| {
            Instance::new()
                .with("ElementName", entry.name.as_str())
                .with("Enabled", entry.active)
                .with("HashData", entry.digest())
                .with("HashType", number(entry.algorithm))
                .with("InstanceID", format!("{ID}{handle}"))
                .with("IsDefault", entry.default)
        })
        .collect()
}

fn handle(keys: &Selectors) -> Result<usize, Fault> {
    keys.text("InstanceID")
        .and_then(|id| id.strip_prefix(ID)?.parse().ok())
        .ok_or(Fault::DestinationUnreachable)
}

/// Which digest an instance holds, when it is one.
fn digest(fw: &Firmware, instance: &Instance) -> Result<(HashAlgorithm, String), Fault> {
    let algorithm = match instance.int("HashType") {
        Some(1) => HashAlgorithm::Sha1,
        Some(2) => HashAlgorithm::Sha256,
        Some(3) => HashAlgorithm::Sha384,
        Some(_) => return Err(Fault::InvalidValues),
        None => return Err(Fault::MissingValues),
    };
    let bytes = match instance.get("HashData") {
        Some(Value::Bytes(bytes)) => bytes,
        _ => return Err(Fault::MissingValues),
    };
    if bytes.len() != algorithm.size() {
        return Err(Fault::InvalidValues);
    }
    let strict = fw.profile.firmware.parts()[0] >= NO_NEW_SHA1_SINCE;
    if strict && algorithm == HashAlgorithm::Sha1 && fw.enforced(Rule::PKI_NO_NEW_SHA1) {
        return Err(Fault::InvalidValues);
    }
    Ok((algorithm, crate::hex::encode(bytes)))
}

/// A factory hash can be switched off and on, nothing else.
fn put(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let handle = handle(&change.keys)?;
    let differs = |name| change.after.get(name) != change.before.get(name);
    let other = differs("HashData") || differs("HashType");
    let factory = change.before.bool("IsDefault") == Some(true);
    if other && factory && change.fw.enforced(Rule::PKI_FACTORY_HASHES) {
        return Err(Fault::AccessDenied);
    }
    let digest = match other {
        true => Some(digest(change.fw, &change.after)?),
        false => None,
    };
    let enabled = change.after.bool("Enabled");
    change.fw.remember(|state| {
        if let Some(entry) = state.hashes.get_mut(handle) {
            entry.active = enabled.unwrap_or(entry.active);
            if let Some((algorithm, hash)) = digest {
                entry.algorithm = algorithm;
                entry.hash = hash;
            }
        }
    });
    Ok(Applied::elsewhere())
}

fn create(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let (algorithm, hash) = digest(change.fw, &change.given)?;
    let name = change.given.text("ElementName").unwrap_or_default().trim();
    let name = if name.is_empty() { "Custom" } else { name };
    if name.len() > LONGEST_NAME || !name.is_ascii() {
        return Err(Fault::InvalidValues);
    }
    let entry = CertificateHash {
        name: name.to_owned(),
        algorithm,
        hash,
        active: change.given.bool("Enabled").unwrap_or(true),
        default: false,
    };
    let held = &change.fw.state.hashes;
    let same = |known: &CertificateHash| {
        known.algorithm == entry.algorithm && known.hash.eq_ignore_ascii_case(&entry.hash)
    };
    if held.iter().any(same) {
        return Err(Fault::AlreadyExists);
    }
    let handle = held.len();
    if handle >= Profile::MOST_HASHES {
        return Err(Fault::QuotaLimit);
    }
    change.fw.remember(|state| state.hashes.push(entry));
    let keys = Selectors::new().with("InstanceID", format!("{ID}{handle}"));
    Ok(Applied::created(keys))
}

fn delete(change: &mut Change<'_>) -> Result<Applied, Fault> {
    let handle = handle(&change.keys)?;
    let factory = change.before.bool("IsDefault") == Some(true);
    if factory && change.fw.enforced(Rule::PKI_FACTORY_HASHES) {
        return Err(Fault::AccessDenied);
    }
    change.fw.remember(|state| {
        if handle < state.hashes.len() {
            state.hashes.remove(handle);
        }
    });
    Ok(Applied::elsewhere())
}
