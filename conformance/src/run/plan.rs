//! What to run: scenarios by filter, devices by scenario, in a stable order.

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
        match (cases.is_empty(), &choice.profile) {
            (true, Some(profile)) => Err(PlanError::NoSuchDevice {
                profile: profile.clone(),
            }),
            _ => Ok(Self { cases }),
        }
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
