//! TLS of a firmware generation.

use serde::{Deserialize, Serialize};

use crate::tls::Version;

/// What the device's TLS ports speak. Nobody outside knows which generation has which version; the ledger says so
/// as `device.assumed.tls-versions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    pub versions: Vec<Version>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            versions: vec![Version::Tls12, Version::Tls13],
        }
    }
}
