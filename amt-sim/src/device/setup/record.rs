//! What a host-based set-up leaves behind, so that somebody who looks later can tell who did it and when.
//!
//! Source: classes IPS_ProvisioningAuditRecord, IPS_ClientProvisioningRecord, IPS_AdminProvisioningRecord; the guide's
//! page "Creating a Signed Configuration Request". Where the page says that the certificate is in the record, the
//! class has a hash of it.

use serde::{Deserialize, Serialize};

use crate::device::{HashAlgorithm, State};
use crate::pki::chain::Trust;
use crate::time::UnixTime;

/// The one record that the log holds. What a set-up over TLS leaves is [`crate::device::SetupRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProvisioningRecord {
    Client(ClientRecord),
    Admin(AdminRecord),
}

/// IPS_ClientProvisioningRecord.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRecord {
    /// SHA-256 of the certificate that signed the request, as hex digits; absent when nobody signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// By the host's clock, which whoever administers the host can set.
    pub at: UnixTime,
}

/// IPS_AdminProvisioningRecord.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminRecord {
    /// The device's domain was not learnt from DHCP.
    pub secure_dns: bool,
    /// Common name of the provisioning certificate; empty without one.
    pub certificate_cn: String,
    /// The root that the chain ended at, as hex digits, and by which algorithm; absent without a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<(HashAlgorithm, String)>,
    /// The hash came from the factory.
    pub hash_is_default: bool,
    /// Serial numbers of the CAs, 16 bytes each as hex digits; three at most.
    pub ca_serials: Vec<String>,
    /// The chain had more CAs than that.
    pub more_serials: bool,
    /// Enterprise host-based configuration was on.
    pub ehbc: bool,
    pub at: UnixTime,
}

impl AdminRecord {
    pub(super) fn take(&mut self, trust: &Trust) {
        self.secure_dns = trust.secure_dns;
        self.certificate_cn = trust.name.clone();
        self.hash = Some((trust.hash_algorithm, trust.hash.clone()));
        self.hash_is_default = trust.hash_is_default;
        self.ca_serials = trust.ca_serials.clone();
        self.more_serials = trust.more_serials;
    }
}

impl State {
    /// Writes the log's one record over whatever was there.
    pub(super) fn record_provisioning(&mut self, record: ProvisioningRecord) {
        self.setup_record = None;
        self.provisioning_record = Some(record);
    }
}
