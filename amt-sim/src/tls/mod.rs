//! The device's TLS server, as bytes in and bytes out: one [`TlsStream`] is one connection, whatever carries it.
//!
//! ```text
//!   from the peer ──receive──▶ +-----------+ ──plaintext──▶ HTTP
//!   to the peer   ◀───take──── | TlsStream | ◀────send─────
//!                              +-----------+ ──▶ Established or Failure, for the journal
//! ```
//! Nothing here reads a socket or a clock. Keys of a session are the one thing that does not follow from the
//! seed: rustls' provider draws them from the operating system. What is sent and received inside of the session
//! does not depend on them.
//!
//! rustls knows TLS 1.2 with elliptic-curve key exchange and TLS 1.3. Older versions and static RSA, which real
//! firmware has too, are not to be had here; who is affected is in `docs/tls.md`, and a client that comes so is
//! journaled as one.

mod client_certificate;
mod credential;
mod failure;
mod hello;
mod key_log;
mod server_judge;
mod stream;
mod trust;

pub use credential::{Credential, CredentialError};
pub use failure::{Failure, FailureKind};
pub use key_log::KeyLog;
pub use server_judge::{AnyServer, JudgedServer, ServerJudge};
pub use stream::{ClientCertificates, Established, Settings, TlsStream, Version};
pub use trust::{Alert, Judge, Untrusted, ends_at_root};

#[cfg(test)]
mod property_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
