//! Which devices a scenario is told about.

use amt_sim::Profile;

use crate::glob::Glob;
use crate::words::words;

words! {
    /// Something that a machine has or lacks.
    Trait {
        Wired = "wired",
        Wireless = "wireless",
        /// Shows an on-die certificate chain.
        OnDieCa = "on-die-ca",
        /// Local ports speak TLS only.
        LocalTls = "local-tls",
        /// Can be switched on and off over MEI.
        OperationalState = "operational-state",
        /// Keeps a log of remote connections.
        CiraLog = "cira-log",
    }
}

impl Trait {
    fn holds(self, profile: &Profile) -> bool {
        let capabilities = &profile.capabilities;
        match self {
            Self::Wired => profile.network.wired.is_some(),
            Self::Wireless => profile.network.wireless.is_some(),
            Self::OnDieCa => capabilities.on_die_ca,
            Self::LocalTls => capabilities.local_tls_enforced,
            Self::OperationalState => capabilities.operational_state,
            Self::CiraLog => capabilities.cira_log,
        }
    }
}

/// Names, versions and traits; a profile must satisfy all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Any of these; every profile when empty.
    pub names: Vec<Glob>,
    /// This AMT version or a later one.
    pub from: Option<[u16; 3]>,
    /// An AMT version before this one.
    pub before: Option<[u16; 3]>,
    pub with: Vec<Trait>,
    pub without: Vec<Trait>,
}

impl Selection {
    pub fn takes(&self, profile: &Profile) -> bool {
        let version = profile.firmware.parts();
        (self.names.is_empty() || self.names.iter().any(|name| name.matches(&profile.name)))
            && self.from.is_none_or(|from| version >= from)
            && self.before.is_none_or(|before| version < before)
            && self.with.iter().all(|wanted| wanted.holds(profile))
            && !self.without.iter().any(|unwanted| unwanted.holds(profile))
    }
}

/// `15`, `15.0` or `15.0.35`.
pub(super) fn parse_version(text: &str) -> Option<[u16; 3]> {
    let mut version = [0; 3];
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > version.len() {
        return None;
    }
    for (slot, part) in version.iter_mut().zip(parts) {
        *slot = part.parse().ok()?;
    }
    Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("15", Some([15, 0, 0]))]
    #[case("16.1", Some([16, 1, 0]))]
    #[case("11.8.55", Some([11, 8, 55]))]
    #[case("11.8.55.1", None)]
    #[case("", None)]
    #[case("15.x", None)]
    fn versions(#[case] text: &str, #[case] want: Option<[u16; 3]>) {
        assert_eq!(parse_version(text), want);
    }
}
