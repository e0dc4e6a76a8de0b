//! The web server of a firmware generation: what is assumed of it, each behind a switch.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the device's own web server behaves where nobody outside knows it.
///
/// The ledger lists the assumptions as `device.assumed.http-*` and `device.assumed.login-*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// A digest nonce is good for this long after it was given out.
    #[serde(with = "super::sections::milliseconds")]
    pub nonce_life_ms: Duration,
    /// Wrong passwords in a row after which an account is locked for a while; 0 never locks.
    pub failures_before_lock: u32,
    /// The first lock lasts this long. Each wrong password after one doubles it.
    #[serde(with = "super::sections::milliseconds")]
    pub first_lock_ms: Duration,
    #[serde(with = "super::sections::milliseconds")]
    pub longest_lock_ms: Duration,
    /// Requests that break HTTP/1.1 but can be understood are refused too.
    pub strict_requests: bool,
    /// Which qualities of protection the challenge offers.
    pub challenge: ChallengeQuality,
    /// The device closes the connection behind every answer, and says so.
    pub closes_connections: bool,
}

/// What a challenge's `qop` offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChallengeQuality {
    /// `auth`: a login proves the password.
    #[default]
    Auth,
    /// `auth-int, auth`: it may vouch for the body too.
    AuthIntFirst,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            nonce_life_ms: Duration::from_secs(30 * 60),
            failures_before_lock: 10,
            first_lock_ms: Duration::from_secs(5),
            longest_lock_ms: Duration::from_secs(80),
            strict_requests: false,
            challenge: ChallengeQuality::Auth,
            closes_connections: false,
        }
    }
}
