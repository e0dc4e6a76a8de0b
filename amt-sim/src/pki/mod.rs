//! Certificates: the project's own authority, and what a device signs for itself. Nothing here does I/O or draws entropy.

mod authority;
mod self_signed;

pub use authority::{AuthorityError, PROVISIONING_EKU, PROVISIONING_OU, ProvisioningIdentity, pem};
pub use self_signed::SelfSigned;
