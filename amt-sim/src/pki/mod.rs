//! Certificates: the project's own authority, what a device signs for itself, reading what others made, and judging
//! a provisioning chain. Nothing here does I/O or draws entropy.

mod authority;
mod certificate;
pub(crate) mod chain;
pub mod laboratory;
mod odca;
mod odca_crl;
mod odca_der;
mod odca_names;
pub(crate) mod odca_root;
mod odca_wrong;
mod self_signed;
mod signature;
mod suffix;
#[cfg(test)]
pub(crate) mod test_chain;
#[cfg(test)]
pub(crate) mod test_client;

pub use authority::{AuthorityError, PROVISIONING_EKU, PROVISIONING_OU, ProvisioningIdentity, pem};
pub use chain::ChainRefusal;
pub use odca::{ChainForm, OnDieChain};
pub use odca_crl::{ListForm, Platform, RevocationList, revocation_lists};
pub use odca_wrong::{Exhibit, Turn, WrongChain};
pub use self_signed::SelfSigned;

pub(crate) use odca::sign_with;

pub(crate) use certificate::{Certificate, Key};
pub(crate) use signature::{Digest, fingerprint};
