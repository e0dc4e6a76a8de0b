//! The secrets of TLS connections, for a capture that somebody wants to read.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Collects the secrets of every connection that it is given to, as lines of the `SSLKEYLOGFILE` format:
/// label, client random and secret, the latter two in hex digits.
///
/// Whoever has these lines can read the connections. A device collects none unless it is asked to.
#[derive(Clone, Default)]
pub struct KeyLog {
    lines: Arc<Mutex<String>>,
}

impl KeyLog {
    /// The lines since this was last asked, each with its line end.
    pub fn take(&self) -> String {
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLog").finish_non_exhaustive()
    }
}

impl rustls::KeyLog for KeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!(
            "{label} {} {}\n",
            crate::hex::encode(client_random),
            crate::hex::encode(secret)
        );
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(&line);
    }
}
