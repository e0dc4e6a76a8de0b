//! What to run: scenarios by filter, devices by scenario, in a stable order.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use amt_sim::Profile;
use amt_sim::device::ProfileError;

use crate::filter::{Filter, FilterError, Subject};
use crate::requirement::Ledger;
use crate::scenario::{Library, Scenario};

/// One scenario on one device.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    pub scenario: &'a Scenario,
    pub profile: Arc<Profile>,
    pub seed: u64,
}

impl Case<'_> {
    /// `SCENARIO@PROFILE`
    pub fn id(&self) -> String {
        format!("{}@{}", self.scenario.id, self.profile.name)
    }
}

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    pub filter: Option<String>,
    /// Name of a profile, or path of a profile file.
    pub profile: Option<String>,
    /// For scenarios that do not fix their own.
    pub seed: Option<u64>,
    /// Only the runs of one shard.
    pub shard: Option<Shard>,
    /// Only these runs, by `SCENARIO@PROFILE`, each with its own seed.
    pub only: Option<BTreeMap<String, u64>>,
}

/// One of several machines that share the work: `2/8`.
///
/// A run belongs to a shard by its name alone, so that no run moves when others are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Counts from one.
    pub index: NonZeroU32,
    pub of: NonZeroU32,
}

impl Shard {
    pub fn takes(self, run: &str) -> bool {
        // FNV-1a, which is the same on every machine and for ever.
        let hash = run.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The low bits alone are poor.
        let hash = hash ^ (hash >> 32);
        hash % u64::from(self.of.get()) == u64::from(self.index.get() - 1)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shard = text.split_once('/').and_then(|(index, of)| {
            let (index, of) = (index.parse().ok()?, of.parse().ok()?);
            Some(Self { index, of })
        });
        shard
            .filter(|shard| shard.index <= shard.of)
            .ok_or_else(|| "write 2/8 for the second of eight; the first is 1/8".to_owned())
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// Everything that will be run, in order.
#[derive(Debug)]
pub struct Plan<'a> {
    pub cases: Vec<Case<'a>>,
}

/// Why there is nothing to run: always the set-up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("cannot read {path}: {error}")]
    Unreadable { path: String, error: std::io::Error },
    #[error("no scenario is selected by `{filter}`{}; `conformance list` shows them all", suggestion.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    NothingSelected {
        filter: String,
        suggestion: Option<String>,
    },
    #[error(
        "none of the runs that failed then is selected now, or there is none of that name any more"
    )]
    NothingLeft,
    #[error("none of the selected scenarios is told about profile `{profile}`")]
    NoSuchDevice { profile: String },
}

impl<'a> Plan<'a> {
    /// The seed of scenarios that fix none, unless the user gives one.
    pub const SEED: u64 = 1;

    pub fn new(library: &'a Library, ledger: &Ledger, choice: &Choice) -> Result<Self, PlanError> {
        let scenarios = select(library, ledger, choice.filter.as_deref())?;
        let profiles = profiles(choice.profile.as_deref())?;
        let mut cases = Vec::new();
        for scenario in scenarios {
            for profile in &profiles {
                if scenario.device.profiles.takes(profile) {
                    let seed = scenario.device.seed.or(choice.seed);
                    cases.push(Case {
                        scenario,
                        profile: Arc::clone(profile),
                        seed: seed.unwrap_or(Self::SEED),
                    });
                }
            }
        }
        if let (true, Some(profile)) = (cases.is_empty(), &choice.profile) {
            return Err(PlanError::NoSuchDevice {
                profile: profile.clone(),
            });
        }
        if let Some(only) = &choice.only {
            cases.retain_mut(|case| match only.get(&case.id()) {
                Some(seed) => {
                    case.seed = *seed;
                    true
                }
                None => false,
            });
            if cases.is_empty() {
                return Err(PlanError::NothingLeft);
            }
        }
        if let Some(shard) = choice.shard {
            cases.retain(|case| shard.takes(&case.id()));
        }
        Ok(Self { cases })
    }
}

/// The scenarios that a filter takes; never none.
pub fn select<'a>(
    library: &'a Library,
    ledger: &Ledger,
    filter: Option<&str>,
) -> Result<Vec<&'a Scenario>, PlanError> {
    let Some(text) = filter else {
        return Ok(library.scenarios.iter().collect());
    };
    let filter = Filter::parse(text)?;
    let chosen: Vec<&Scenario> = library
        .scenarios
        .iter()
        .filter(|scenario| filter.takes(&Subject { scenario, ledger }))
        .collect();
    if chosen.is_empty() {
        return Err(PlanError::NothingSelected {
            filter: text.to_owned(),
            suggestion: library.closest(text).map(str::to_owned),
        });
    }
    Ok(chosen)
}

fn profiles(chosen: Option<&str>) -> Result<Vec<Arc<Profile>>, PlanError> {
    match chosen {
        None => fixtures::PROFILES
            .iter()
            .map(|file| Ok(Arc::new(Profile::parse(file.path, file.text)?)))
            .collect(),
        Some(path) if path.ends_with(".toml") || path.contains('/') => {
            let text = std::fs::read_to_string(path).map_err(|error| PlanError::Unreadable {
                path: path.to_owned(),
                error,
            })?;
            Ok(vec![Arc::new(Profile::parse(path, &text)?)])
        }
        Some(name) => Ok(vec![Arc::new(Profile::builtin(name)?)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn every_run_is_in_one_shard_and_the_shards_are_alike() {
        let runs: Vec<String> = (0..1000)
            .map(|n| format!("a.b-{n}@tiger-lake-15"))
            .collect();
        let mut sizes = Vec::new();
        for index in 1..=8 {
            let shard: Shard = format!("{index}/8").parse().unwrap();
            sizes.push(runs.iter().filter(|run| shard.takes(run)).count());
        }
        assert_eq!(sizes.iter().sum::<usize>(), 1000);
        assert!(
            sizes.iter().all(|size| (80..170).contains(size)),
            "{sizes:?}"
        );
    }

    /// Scripts count on it: a run stays where it is.
    #[test]
    fn a_run_stays_in_its_shard() {
        let of = |run: &str| {
            (1..=8).find(|index| format!("{index}/8").parse::<Shard>().unwrap().takes(run))
        };
        assert_eq!(of("discovery.uuid@tiger-lake-15"), Some(3));
        assert_eq!(of("setup.signed@meteor-lake-18"), Some(1));
    }

    #[rstest]
    #[case("0/8")]
    #[case("9/8")]
    #[case("1")]
    #[case("1/0")]
    #[case("a/b")]
    fn what_is_no_shard(#[case] text: &str) {
        assert!(text.parse::<Shard>().is_err());
    }
}
