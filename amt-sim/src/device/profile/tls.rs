//! TLS of a firmware generation.

use serde::{Deserialize, Serialize};

use crate::tls::Version;

/// What the device's TLS ports speak. Nobody outside knows which generation has which version; the ledger says so
/// as `device.assumed.tls-versions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    pub versions: Vec<Version>,
    /// A DNS name in the leaf of the on-die chain, which real ones have not: for agents that look for the name that
    /// they connected to before they look at anything else. Empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub on_die_dns_name: String,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            versions: vec![Version::Tls12, Version::Tls13],
            on_die_dns_name: String::new(),
        }
    }
}
