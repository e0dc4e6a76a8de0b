//! The provisioning record: who set the device up, and when.
//!
//! The log holds one record, of one of four classes. Which one is found by asking for each.

use amt_sim::hex;
use serde_json::json;

use crate::fact::{Fact, Facts};
use crate::wire::soap::Element;
use crate::wire::{Client, ClientError};

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `client`, `admin`, `tls` or `manual`.
    pub kind: &'static str,
    /// CreationTimeStamp as it stands there.
    pub created: String,
    /// Hash of the certificate that signed the request, as hex digits; absent when nobody did.
    pub certificate: Option<String>,
    /// Common name of the provisioning certificate.
    pub name: Option<String>,
    /// Whether the domain was typed in, where the record says so.
    pub secure_dns: Option<bool>,
    /// Whether the certificate was within its validity, where the record says so.
    pub time_valid: Option<bool>,
}

const CLASSES: [(&str, &str); 4] = [
    ("client", "IPS_ClientProvisioningRecord"),
    ("admin", "IPS_AdminProvisioningRecord"),
    ("tls", "IPS_TLSProvisioningRecord"),
    ("manual", "IPS_ManualProvisioningRecord"),
];

impl Record {
    /// The record, if there is one.
    pub fn read(client: &mut Client<'_>) -> Result<Option<Self>, ClientError> {
        for (kind, class) in CLASSES {
            match client.get(class) {
                Ok(instance) => return Self::of(kind, &instance).map(Some),
                Err(error) if error.is_no_instance() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn of(kind: &'static str, instance: &Element) -> Result<Self, ClientError> {
        // A field of 64 bytes; how many of them count is the algorithm's to say.
        let certificate = instance.bytes("ProvCertificateHash")?;
        let length = match instance.child("HashAlgorithm").map(|n| n.text.as_str()) {
            Some("1") => 20,
            Some("2") => 32,
            Some("3") => 48,
            _ => 64,
        };
        let text = |name: &str| {
            let text = instance.child(name)?.text.clone();
            (!text.is_empty()).then_some(text)
        };
        Ok(Self {
            kind,
            created: instance.datetime("CreationTimeStamp")?.to_owned(),
            certificate: certificate
                .map(|bytes| hex::encode(bytes.get(..length).unwrap_or(&bytes))),
            name: text("CertificateCN").or_else(|| text("ProvServerFQDN")),
            secure_dns: text("SecureDNS").map(|flag| flag == "true"),
            time_valid: text("IsTimeValid").map(|flag| flag == "true"),
        })
    }
}

/// The record as facts.
pub(in crate::role) fn tell(record: Option<&Record>, facts: &mut Facts) {
    let kind = record.map_or("none", |record| record.kind);
    facts.insert(Fact::RECORD_KIND, json!(kind));
    let Some(record) = record else {
        return;
    };
    facts.insert(Fact::RECORD_TIME, json!(record.created));
    if let Some(hash) = &record.certificate {
        facts.insert(Fact::RECORD_CERTIFICATE, json!(hash));
    }
    if let Some(name) = &record.name {
        facts.insert(Fact::RECORD_NAME, json!(name));
    }
    if let Some(flag) = record.secure_dns {
        facts.insert(Fact::RECORD_SECURE_DNS, json!(flag));
    }
    if let Some(flag) = record.time_valid {
        facts.insert(Fact::RECORD_TIME_VALID, json!(flag));
    }
}

/// The mistakes of [`MisreadsRecord`](crate::role::Misbehaviour::MisreadsRecord): another hour, another hash, and both
/// where there is none.
pub(super) fn misread(facts: &mut Facts) {
    let time = facts.get(&Fact::RECORD_TIME).and_then(|time| time.as_str());
    let other = match time {
        Some(time) => format!("{}+02:00", time.trim_end_matches('Z')),
        None => "2004-01-01T00:00:00Z".to_owned(),
    };
    facts.insert(Fact::RECORD_TIME, json!(other));
    facts.insert(Fact::RECORD_CERTIFICATE, json!("00".repeat(32)));
}
