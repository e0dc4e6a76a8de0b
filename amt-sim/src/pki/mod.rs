//! Certificates: the project's own authority. Nothing here does I/O or draws entropy.

mod authority;

pub use authority::{AuthorityError, PROVISIONING_EKU, PROVISIONING_OU, ProvisioningIdentity, pem};
