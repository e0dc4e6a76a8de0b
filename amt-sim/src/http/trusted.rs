//! Whom mutual authentication believes: clients of the roots and by the names that AMT_TLSSettingData and the
//! certificate store hold.

use crate::device::{Firmware, Interface, Rule, TlsSettings, assumed};
use crate::time::UnixTime;
use crate::tls::{Judge, Untrusted, ends_at_root};
use crate::wsman::{subject_of, trusted_roots};

/// What one connection's client certificate is measured by.
#[derive(Debug)]
pub(super) struct TrustedClients {
    /// Absent when any root will do.
    roots: Option<Vec<Vec<u8>>>,
    /// Any name will do when there is none.
    names: Vec<String>,
    at: UnixTime,
}

impl TrustedClients {
    /// `None` where TLS is not mutual.
    pub(super) fn of(fw: &mut Firmware, side: Interface) -> Option<Self> {
        let settings = TlsSettings::in_force(fw);
        let port = settings.side(side);
        if !port.mutual {
            return None;
        }
        if port.trusted_names.iter().any(|name| name.starts_with('.')) {
            fw.assume(assumed::TRUSTED_DOMAIN);
        }
        let by_root = fw.enforced(Rule::TLS_TRUSTED_ROOT);
        let by_name = fw.enforced(Rule::TLS_TRUSTED_NAME);
        Some(Self {
            roots: by_root.then(|| trusted_roots(fw)),
            names: port
                .trusted_names
                .clone()
                .into_iter()
                .filter(|_| by_name)
                .collect(),
            at: fw.clock(),
        })
    }

    fn knows(&self, name: &str) -> bool {
        // One with a leading dot stands for a domain.
        self.names.iter().any(|known| {
            known.eq_ignore_ascii_case(name)
                || (known.starts_with('.')
                    && name
                        .to_ascii_lowercase()
                        .ends_with(&known.to_ascii_lowercase()))
        })
    }
}

impl Judge for TrustedClients {
    fn judge(&self, chain: &[&[u8]]) -> Result<(), Untrusted> {
        if let Some(roots) = &self.roots {
            ends_at_root(chain, roots, self.at)
                .map_err(|why| format!("the client's certificate does not hold: {why}"))?;
        }
        if self.names.is_empty() {
            return Ok(());
        }
        let subject = chain.first().and_then(|leaf| subject_of(leaf));
        let subject = subject.unwrap_or_default();
        // Commas inside of a value are blanks here.
        let name = subject
            .rsplit(',')
            .find_map(|part| part.strip_prefix("CN="));
        match name {
            Some(name) if self.knows(name) => Ok(()),
            _ => {
                Err(format!("no TrustedCN is that of the client's certificate, {subject:?}").into())
            }
        }
    }
}
