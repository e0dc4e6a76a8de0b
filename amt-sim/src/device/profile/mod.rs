//! A firmware generation as data: versions, capabilities, sizes, timings, quirks, and what we assume of it.
//!
//! A profile is one TOML file in `fixtures/profiles`, or one of the user's own. Every key is known here; a
//! misspelt one is refused with its line, its column and the key that was probably meant.

mod check;
mod hash;
mod mac;
mod sections;
mod tls;
mod web;

use serde::{Deserialize, Serialize};

use super::mode::Traits;
use crate::diagnostic::{Diagnostic, closest, parse_toml};

pub(crate) use check::LONGEST_SUFFIX;
pub use hash::{CertificateHash, Certificates, HashAlgorithm, HashSet};
pub use mac::Mac;
pub use sections::{
    Assumptions, Capabilities, ChainAlert, ChainAssumptions, DynamicDns, Features, FirmwareUpdate,
    FirmwareVersions, HostBasedAgain, HostReset, Ipv6, Ipv6Entry, Ipv6Origin, Ipv6State,
    LanInterface, LmeDrop, LmeNumbers, MeReset, MeiClient, MeiLink, Network, Platform, RandomSeed,
    RemoteAccess, SetupServer, SlowKey, Timings, Tunnel, TunnelTrigger, WhileDisabled,
};
pub use tls::Tls;
pub use web::{ChallengeQuality, Web};

/// One firmware generation, or one particular machine of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// How people name it on a command line.
    pub name: String,
    /// One line for `amt-sim profiles`.
    pub title: String,
    pub firmware: FirmwareVersions,
    pub capabilities: Capabilities,
    pub mei: MeiLink,
    pub platform: Platform,
    pub network: Network,
    #[serde(default)]
    pub features: Features,
    #[serde(default)]
    pub setup_server: SetupServer,
    #[serde(default)]
    pub remote_access: RemoteAccess,
    pub certificates: Certificates,
    pub timings: Timings,
    pub assumptions: Assumptions,
    #[serde(default)]
    pub web: Web,
    #[serde(default)]
    pub tls: Tls,
}

impl Profile {
    /// A profile that comes with the program.
    pub fn builtin(name: &str) -> Result<Self, ProfileError> {
        match fixtures::named(fixtures::PROFILES, name) {
            Some(file) => Self::parse(file.path, file.text),
            None => Err(ProfileError::Unknown {
                name: name.to_owned(),
                suggestion: closest(name, fixtures::PROFILES.iter().map(|file| file.name))
                    .map(str::to_owned),
            }),
        }
    }

    /// Reads a profile's text; `file` is only named in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        let profile: Self = parse_toml(file, text)?;
        profile.check()?;
        Ok(profile)
    }

    /// The same profile with `key.in.dots = value`; the value is TOML, or else taken as a string.
    pub fn with(&self, key: &str, value: &str) -> Result<Self, ProfileError> {
        let refuse = |why: String| ProfileError::Override {
            key: key.to_owned(),
            value: value.to_owned(),
            why,
        };
        let parsed = value.parse::<toml::Value>();
        let mut table = toml::Table::try_from(self).map_err(|error| refuse(error.to_string()))?;
        let parsed = parsed.unwrap_or_else(|_| toml::Value::String(value.to_owned()));
        set(&mut table, key, parsed).map_err(refuse)?;
        let profile: Self = table
            .try_into()
            .map_err(|error: toml::de::Error| refuse(error.message().trim().to_owned()))?;
        profile.check()?;
        Ok(profile)
    }

    /// The profile as a file that [`Profile::parse`] reads back.
    pub fn to_toml(&self) -> String {
        // Every field is a plain value, string-keyed table or list of those, which TOML can always say.
        toml::to_string_pretty(self).unwrap_or_default()
    }

    /// Every root hash of the device before anybody changed it, built-in ones first.
    pub fn certificate_hashes(&self) -> Result<Vec<CertificateHash>, ProfileError> {
        let mut hashes = HashSet::builtin(&self.certificates.builtin)?.hash.clone();
        hashes.extend(self.certificates.custom.iter().cloned());
        Ok(hashes)
    }

    /// What the mode table depends on.
    pub fn traits(&self) -> Traits {
        Traits {
            host_based_tls: self.capabilities.host_based_tls,
            admin_setup: self.capabilities.admin_setup,
            local_tls_enforced: self.capabilities.local_tls_enforced,
            bare_metal: self.capabilities.bare_metal,
        }
    }

    /// What agents allocate for: 0x21.
    pub const MOST_HASHES: usize = 33;

    /// The table of GetCodeVersions in the order in which firmware lists it.
    pub fn code_versions(&self) -> Vec<(&'static str, String)> {
        let firmware = &self.firmware;
        vec![
            ("Flash", firmware.flash.clone()),
            ("Netstack", firmware.netstack.clone()),
            ("AMTApps", firmware.apps.clone()),
            ("AMT", firmware.amt.clone()),
            ("Sku", firmware.sku.to_string()),
            ("VendorID", firmware.vendor_id.clone()),
            ("Build Number", firmware.build.clone()),
            ("Recovery Version", firmware.recovery.clone()),
            ("Recovery Build Num", firmware.recovery_build.clone()),
            (
                "Legacy Mode",
                if firmware.legacy_mode {
                    "True"
                } else {
                    "False"
                }
                .to_owned(),
            ),
        ]
    }
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    #[error("no profile is called {name:?}{}; `amt-sim profiles` lists them", did_you_mean(.suggestion))]
    Unknown {
        name: String,
        suggestion: Option<String>,
    },
    #[error("no set of certificate hashes is called {name:?}{}", did_you_mean(.suggestion))]
    UnknownHashes {
        name: String,
        suggestion: Option<String>,
    },
    #[error(transparent)]
    Text(#[from] Diagnostic),
    #[error("profile {profile:?} contradicts itself: {why}")]
    Inconsistent { profile: String, why: String },
    #[error("--set {key}={value}: {why}")]
    Override {
        key: String,
        value: String,
        why: String,
    },
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion
        .as_ref()
        .map_or(String::new(), |near| format!("; did you mean {near:?}?"))
}

fn set(table: &mut toml::Table, key: &str, value: toml::Value) -> Result<(), String> {
    let (head, rest) = match key.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (key, None),
    };
    match rest {
        None => {
            table.insert(head.to_owned(), value);
            Ok(())
        }
        Some(rest) => {
            let known: Vec<String> = table.keys().cloned().collect();
            match table.get_mut(head) {
                Some(toml::Value::Table(inner)) => set(inner, rest, value),
                Some(_) => Err(format!("{head:?} is a value, not a table")),
                None => {
                    let near = closest(head, known.iter().map(String::as_str));
                    Err(format!(
                        "there is no table {head:?}{}",
                        near.map_or(String::new(), |near| format!("; did you mean {near:?}?"))
                    ))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
