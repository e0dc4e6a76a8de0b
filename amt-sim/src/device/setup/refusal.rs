//! Why host-based set-up refuses, and the return value that says so.
//!
//! Source: value maps of IPS_HostBasedSetupService.

use serde::{Deserialize, Serialize};

use crate::device::Refusal;
use crate::pki::ChainRefusal;

/// A method of IPS_HostBasedSetupService.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetupMethod {
    Setup,
    AddNextCertInChain,
    AdminSetup,
    UpgradeClientToAdmin,
    DisableClientControlMode,
}

/// Why a method did nothing. Several reasons share a return value; the journal keeps them apart. Serialised in
/// kebab-case, a chain's reason without anything around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SetupRefusal {
    #[error("not possible in this mode")]
    Mode,
    #[error("this firmware generation has no such method")]
    Unsupported,
    #[error("client control mode was disabled")]
    ClientModeDisabled,
    #[error("the password is not sent as an MD5 digest (type 2)")]
    PasswordType,
    #[error("the password's digest is not 32 hex digits")]
    PasswordForm,
    #[error("a parameter that should be base64 is not")]
    Encoding,
    #[error("certificate, nonce and signature do not come together")]
    Incomplete,
    #[error("the certificate cannot be read or has no RSA key")]
    Certificate,
    #[error("SigningAlgorithm is not 2, RSA with SHA-256")]
    SigningAlgorithm,
    #[error("McNonce has not 20 bytes")]
    McNonce,
    #[error("the signature is not this certificate's over the nonces")]
    Signature,
    #[error("McNonce was signed before ConfigurationNonce")]
    NoncesSwapped,
    #[error("an earlier ConfigurationNonce was signed")]
    StaleNonce,
    #[error("the digest of the nonces was hashed once more before it was signed")]
    HashedTwice,
    #[error("the nonces were signed by another algorithm than RSA PKCS#1 v1.5 with SHA-256")]
    OtherAlgorithm,
    #[error("the certificate chain is not complete")]
    ChainIncomplete,
    #[error(transparent)]
    #[serde(untagged)]
    Chain(ChainRefusal),
}

impl From<Refusal> for SetupRefusal {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidMode => Self::Mode,
            Refusal::Unsupported => Self::Unsupported,
        }
    }
}

impl SetupRefusal {
    /// The number on the wire. AddNextCertInChain numbers the same things differently.
    pub fn return_value(self, method: SetupMethod) -> u32 {
        if method == SetupMethod::AddNextCertInChain {
            return self.of_add_next();
        }
        match self {
            Self::Mode | Self::Unsupported | Self::ChainIncomplete => setup::INVALID_STATE,
            Self::ClientModeDisabled => setup::METHOD_DISABLED,
            Self::PasswordType
            | Self::PasswordForm
            | Self::Encoding
            | Self::Incomplete
            | Self::Certificate
            | Self::SigningAlgorithm
            | Self::McNonce => setup::INVALID_PARAMETER,
            Self::Signature
            | Self::NoncesSwapped
            | Self::StaleNonce
            | Self::HashedTwice
            | Self::OtherAlgorithm
            | Self::Chain(_) => setup::AUTH_FAILED,
        }
    }

    fn of_add_next(self) -> u32 {
        match self {
            Self::Mode | Self::Unsupported | Self::Chain(ChainRefusal::NoLeaf) => {
                add_next::INVALID_STATE
            }
            Self::Encoding | Self::Chain(ChainRefusal::Unreadable | ChainRefusal::Flags) => {
                add_next::INVALID_PARAMETER
            }
            Self::Chain(ChainRefusal::TooLong) => add_next::CHAIN_LENGTH_EXCEEDED,
            _ => add_next::VERIFY_FAILED,
        }
    }
}

/// Setup, AdminSetup, UpgradeClientToAdmin. 1 is an internal error, 6 a flash that was written too often.
mod setup {
    pub(super) const INVALID_STATE: u32 = 2;
    pub(super) const INVALID_PARAMETER: u32 = 3;
    pub(super) const METHOD_DISABLED: u32 = 4;
    pub(super) const AUTH_FAILED: u32 = 5;
}

/// AddNextCertInChain. 2 is an internal error.
mod add_next {
    pub(super) const INVALID_PARAMETER: u32 = 1;
    pub(super) const INVALID_STATE: u32 = 3;
    pub(super) const VERIFY_FAILED: u32 = 4;
    pub(super) const CHAIN_LENGTH_EXCEEDED: u32 = 5;
}
