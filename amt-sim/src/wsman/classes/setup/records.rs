//! IPS_ClientProvisioningRecord and its siblings: at most one of them has an instance.
//!
//! Source: classes IPS_ProvisioningAuditRecord, IPS_ClientProvisioningRecord, IPS_AdminProvisioningRecord,
//! IPS_TLSProvisioningRecord. What the strings of a real record say is not known; these are ours.

use crate::device::{AdminRecord, ClientRecord, Firmware, HashAlgorithm, ProvisioningRecord};
use crate::time::UnixTime;
use crate::wsman::provider::Provider;
use crate::wsman::value::Instance;

pub(super) const CLIENT: Provider = Provider {
    instances: Some(client),
    ..Provider::of("IPS_ClientProvisioningRecord")
};
pub(super) const ADMIN: Provider = Provider {
    instances: Some(admin),
    ..Provider::of("IPS_AdminProvisioningRecord")
};
pub(super) const TLS: Provider = Provider {
    instances: Some(tls),
    ..Provider::of("IPS_TLSProvisioningRecord")
};
/// Nobody can set this device up from its set-up screen, so that there is never one.
pub(super) const MANUAL: Provider = Provider {
    instances: Some(|_| Vec::new()),
    ..Provider::of("IPS_ManualProvisioningRecord")
};

/// Records in the log: none or one.
pub(super) fn count(fw: &Firmware) -> u32 {
    let any = fw.state.provisioning_record.is_some() || fw.state.setup_record.is_some();
    u32::from(any)
}

/// What all records have in common.
fn record(kind: &str, at: UnixTime) -> Instance {
    Instance::new()
        .with("CreationTimeStamp", at)
        .with("ElementName", format!("Intel(r) AMT {kind} Record"))
        .with("InstanceID", format!("Intel(r) AMT: {kind} Record 1"))
        .with("LogInstanceID", "Intel(r) AMT: RecordLog 1")
        .with("LogName", "Intel(r) AMT Provisioning Record Log")
        .with("RecordID", "1")
}

fn client(fw: &Firmware) -> Vec<Instance> {
    let Some(ProvisioningRecord::Client(ClientRecord { hash, at })) = &fw.state.provisioning_record
    else {
        return Vec::new();
    };
    let record = record("Client Provisioning", *at);
    // Nobody signed: the hash is NULL, which is no element at all.
    vec![match hash {
        Some(hash) => record
            .with("HashAlgorithm", number(HashAlgorithm::Sha256))
            .with("ProvCertificateHash", octets(hash)),
        None => record,
    }]
}

fn admin(fw: &Firmware) -> Vec<Instance> {
    let Some(ProvisioningRecord::Admin(admin)) = &fw.state.provisioning_record else {
        return Vec::new();
    };
    let AdminRecord {
        secure_dns,
        certificate_cn,
        hash,
        hash_is_default,
        ca_serials,
        more_serials,
        ehbc,
        at,
    } = admin;
    let record = record("Admin Provisioning", *at).with("EHBCState", u8::from(*ehbc));
    let Some((algorithm, hash)) = hash else {
        return vec![record];
    };
    vec![
        record
            .with("AdditionalCaSerialNums", *more_serials)
            .with("CaCertificateSerials", ca_serials.concat())
            .with("CertificateCN", certificate_cn.as_str())
            .with("HashIsOemDefault", *hash_is_default)
            .with("SecureDNS", *secure_dns)
            .with("SelectedHashData", octets(hash))
            .with("SelectedHashType", number(*algorithm)),
    ]
}

fn tls(fw: &Firmware) -> Vec<Instance> {
    const PKI: u8 = 1;
    let Some(tls) = &fw.state.setup_record else {
        return Vec::new();
    };
    vec![
        record("TLS Provisioning", tls.at)
            .with("AdditionalCaSerialNums", tls.more_serials)
            .with("CaCertificateSerials", tls.ca_serials.concat())
            .with("HashIsOemDefault", tls.hash_is_default)
            .with("HostInitiated", tls.host_initiated)
            .with("IsTimeValid", tls.time_valid)
            .with("ProvServerFQDN", tls.server_fqdn.as_str())
            .with("ProvServerIP", tls.server_address.as_str())
            .with("ProvisioningTLSMode", PKI)
            .with("SecureDNS", tls.secure_dns)
            .with("SelectedHashData", octets(&tls.hash))
            .with("SelectedHashType", number(tls.hash_algorithm)),
    ]
}

pub(super) const fn number(algorithm: HashAlgorithm) -> u8 {
    algorithm as u8
}

/// Octets of hex digits.
fn octets(hex: &str) -> Vec<u8> {
    crate::hex::decode(hex).unwrap_or_default()
}
