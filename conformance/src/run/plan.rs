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

/// One scenario on one device, with one value of each parameter.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    pub scenario: &'a Scenario,
    pub profile: Arc<Profile>,
    pub seed: u64,
}

impl Case<'_> {
    /// `SCENARIO@PROFILE`, or `SCENARIO@PROFILE,PARAMETER-VALUE`
    pub fn id(&self) -> String {
        self.scenario.run_name(&self.profile.name)
    }
}

/// One case of each scenario: that of the newest device, and of several on that one the last. Those of a scenario stand
/// together, as in a [`Plan`].
pub fn newest<'c, 'a>(cases: &'c [Case<'a>]) -> impl Iterator<Item = &'c Case<'a>> {
    cases
        .chunk_by(|a, b| a.scenario.id == b.scenario.id)
        .filter_map(|story| {
            story
                .iter()
                .max_by_key(|case| case.profile.firmware.parts())
        })
}

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    pub filter: Option<String>,
    /// Name of a profile, or path of a profile file; behind a comma what varies, as in the name of a run.
    pub profile: Option<String>,
    /// For scenarios that do not fix their own.
    pub seed: Option<u64>,
    /// Only the runs of one shard.
    pub shard: Option<Shard>,
    /// Only these runs, by name, each with its own seed.
    pub only: Option<BTreeMap<String, u64>>,
    /// Every combination of parameters, not only each pair of values.
    pub all_combinations: bool,
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
        let mut device = choice.profile.as_deref().unwrap_or_default().split(',');
        let profile = device.next().filter(|name| !name.is_empty());
        let wanted: Vec<&str> = device.collect();
        let chosen = profiles(profile)?;
        // Whoever asks for one device gets the runs that it has among all of them, under the same names.
        let pool = match profile {
            Some(name) if !is_file(name) => profiles(None)?,
            _ => chosen.clone(),
        };
        // A run that is asked for by name may be one of all combinations.
        let all = choice.all_combinations || choice.only.is_some() || !wanted.is_empty();
        let mut cases = Vec::new();
        for scenario in scenarios {
            let takes = |profile: &&Arc<Profile>| scenario.device.profiles.takes(profile);
            let pool: Vec<&Arc<Profile>> = pool.iter().filter(takes).collect();
            let names: Vec<&str> = pool.iter().map(|profile| profile.name.as_str()).collect();
            for (told, profile) in scenario.runs(&names, all) {
                let Some(profile) = pool.get(profile).copied() else {
                    continue;
                };
                let has = |wanted: &&str| {
                    let mut values = told.values.iter();
                    values.any(|(name, word)| *wanted == format!("{name}-{word}"))
                };
                let is_wanted = wanted.iter().all(has);
                if !is_wanted || !chosen.iter().any(|chosen| chosen.name == profile.name) {
                    continue;
                }
                let seed = told.device.seed.or(choice.seed);
                cases.push(Case {
                    scenario: told,
                    profile: Arc::clone(profile),
                    seed: seed.unwrap_or(Self::SEED),
                });
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

fn is_file(profile: &str) -> bool {
    profile.ends_with(".toml") || profile.contains('/')
}

fn profiles(chosen: Option<&str>) -> Result<Vec<Arc<Profile>>, PlanError> {
    match chosen {
        None => fixtures::PROFILES
            .iter()
            .map(|file| Ok(Arc::new(Profile::parse(file.path, file.text)?)))
            .collect(),
        Some(path) if is_file(path) => {
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

    fn ids(choice: &Choice) -> Vec<String> {
        let ledger = Ledger::builtin().unwrap();
        let library = Library::builtin(&ledger).unwrap();
        let plan = Plan::new(&library, &ledger, choice).unwrap();
        plan.cases.iter().map(Case::id).collect()
    }

    fn chosen(profile: Option<&str>, all_combinations: bool) -> Vec<String> {
        ids(&Choice {
            filter: Some("flow.legacy".to_owned()),
            profile: profile.map(str::to_owned),
            all_combinations,
            ..Choice::default()
        })
    }

    #[test]
    fn every_pair_is_run_or_all_there_are() {
        let (pairs, all) = (chosen(None, false), chosen(None, true));
        assert_eq!(pairs.len(), fixtures::PROFILES.len() * 2);
        assert_eq!(all.len(), fixtures::PROFILES.len() * 4);
        assert!(pairs.iter().all(|run| all.contains(run)));
        assert!(all.contains(&"flow.legacy@alder-lake-16,root-sha384,tls-1.3".to_owned()));
    }

    /// Who asks for one device gets what it has in the whole plan, by the same names.
    #[test]
    fn one_device_has_the_runs_that_it_has_among_all() {
        let mut of_all = chosen(None, false);
        of_all.retain(|run| run.contains("@alder-lake-16,"));
        assert_eq!(chosen(Some("alder-lake-16"), false), of_all);
    }

    #[test]
    fn one_run_is_asked_for_by_what_varies() {
        assert_eq!(
            chosen(Some("alder-lake-16,tls-1.3,root-sha384"), false),
            ["flow.legacy@alder-lake-16,root-sha384,tls-1.3"]
        );
        let device = Some("alder-lake-16,tls-1.3".to_owned());
        let run = "flow.legacy@alder-lake-16,root-sha256,tls-1.3".to_owned();
        let again = ids(&Choice {
            only: Some([(run.clone(), 7)].into()),
            profile: device,
            ..Choice::default()
        });
        assert_eq!(again, [run]);
    }

    /// What a run is called is what happens in it.
    #[test]
    fn a_parameter_reaches_the_wire() {
        let ledger = Ledger::builtin().unwrap();
        let library = Library::builtin(&ledger).unwrap();
        let entries = |scenario: &str, device: &str, counts: fn(&amt_sim::Event) -> bool| {
            let choice = Choice {
                filter: Some(scenario.to_owned()),
                profile: Some(device.to_owned()),
                ..Choice::default()
            };
            let plan = Plan::new(&library, &ledger, &choice).unwrap();
            let engine = crate::run::Engine {
                ledger: &ledger,
                subject: crate::run::Subject::Reference,
                misbehaviour: None,
                rules: amt_sim::Rules::default(),
            };
            let run = engine.run(&plan.cases[0]);
            assert_eq!(run.verdict, crate::run::Verdict::Pass, "{}", run.id);
            run.journal
                .iter()
                .filter(|entry| counts(&entry.event))
                .count()
        };
        let channels = |through: &str| {
            let device = format!("tiger-lake-15,through-{through}");
            entries("setup.signed", &device, |event| {
                matches!(event, amt_sim::Event::ChannelOpened { .. })
            })
        };
        assert!(channels("local-port") < channels("lme"));
        let newest = |tls: &str| {
            let device = format!("tiger-lake-15,tls-{tls}");
            entries("secure.whole", &device, |event| {
                let version = amt_sim::tls::Version::Tls13;
                matches!(event, amt_sim::Event::TlsEstablished { version: is, .. } if *is == version)
            })
        };
        assert_eq!(newest("1.2"), 0);
        assert!(newest("1.3") > 0);
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
