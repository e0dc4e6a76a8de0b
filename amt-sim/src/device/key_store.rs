//! Private keys and TLS settings: what TLS on the device's ports is made of.

use serde::{Deserialize, Serialize};

/// A key pair: AMT_PublicPrivateKeyPair shows the public half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKey {
    /// The number in `Intel(r) AMT Key: Handle: N`.
    pub handle: u32,
    /// PKCS#1 RSAPrivateKey in DER, as hex digits.
    pub private: String,
    /// PKCS#1 RSAPublicKey in DER, as hex digits.
    pub public: String,
}

/// TLS as it was last committed: AMT_TLSSettingData.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Towards the LAN.
    pub network: TlsPort,
    /// Towards the host.
    pub local: TlsPort,
    /// The device's certificate: the number in `Intel(r) AMT Certificate: Handle: N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<u32>,
}

/// One side of the device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsPort {
    pub enabled: bool,
    /// Clients must show a certificate that a trusted root signed.
    pub mutual: bool,
    /// The ports without TLS stay open.
    pub accept_plain: bool,
    /// Common names that a client's certificate may have; any when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_names: Vec<String>,
}
