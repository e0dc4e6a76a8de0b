//! Scenarios: one file tells one story about a device, the programs around it, and what must come of it.
//!
//! A file is 20 to 60 lines of TOML, documented in `docs/scenarios.md`. [`parse`] refuses whatever it does not
//! know, with its place and what was probably meant, so that a scenario never proves less than it says.

mod expectation;
mod order;
pub mod pairwise;
mod parameter;
#[cfg(test)]
mod parameter_tests;
mod parse;
pub mod placeholder;
mod select;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use amt_sim::diagnostic::{Diagnostic, closest};
use amt_sim::{Fault, Mode};

pub(crate) use expectation::journal_kinds;
pub use expectation::{Expectation, FactTest, JournalQuery, Literal, Outcome};
pub use order::{
    Anchors, Announces, ChainForm, HalfWay, HashForm, HelloForm, HelloSource, LooksAt, LooksFor,
    Mebx, NonceForm, Order, OtpForm, Published, RogueClock, RogueSigns, SendForm, SignatureForm,
    StandIn, Through, Way,
};
pub use parameter::{Parameters, Pattern, Values, told_for};
pub(crate) use parse::changed_profile;
pub use parse::parse;
pub use placeholder::Template;
pub use select::{Selection, Trait};

use crate::fact::Feature;
use crate::probe::Script;
use crate::requirement::{Ledger, Level};
use crate::words::words;

/// One story.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Dotted words; the same for the life of the project.
    pub id: String,
    pub title: String,
    /// Two to four sentences, present tense.
    pub story: String,
    /// What it proves: each of them is named by at least one expectation.
    pub requirements: Vec<String>,
    pub tags: Vec<String>,
    pub roles: BTreeSet<Role>,
    /// What a program under test must be able to do for the story to make sense.
    pub needs: Vec<Feature>,
    pub device: DeviceSetup,
    pub steps: Vec<Step>,
    /// File that it stands in.
    pub file: String,
    /// What varies beside the device; empty where nothing does.
    pub parameters: Parameters,
    /// What this telling of the story has for each parameter.
    pub values: Values,
    /// The story once for each combination of values; empty where nothing varies. The story itself is the first.
    pub variants: Vec<Scenario>,
}

impl Scenario {
    /// The story on one device: `SCENARIO@PROFILE`, and behind it what varies, as in `,tls-1.3`.
    pub fn run_name(&self, profile: &str) -> String {
        let mut name = format!("{}@{profile}", self.id);
        for (parameter, word) in &self.values {
            name.push_str(&format!(",{parameter}-{word}"));
        }
        name
    }

    /// The tellings and the profiles, by their names, of which there is to be a run: every pair of values at least once,
    /// or all combinations.
    pub fn runs<'a>(&'a self, profiles: &[&str], all: bool) -> Vec<(&'a Scenario, usize)> {
        let mut sizes = vec![profiles.len()];
        sizes.extend(self.parameters.sizes());
        let allowed = |row: &[usize]| {
            let Some((profile, row)) = row.split_first() else {
                return false;
            };
            let profile = profiles.get(*profile).copied().unwrap_or_default();
            self.parameters.allow(profile, &self.parameters.values(row))
        };
        let rows = match all {
            true => pairwise::product(&sizes, allowed),
            false => pairwise::pairwise(&sizes, allowed),
        };
        let run = |row: &Vec<usize>| {
            let (profile, row) = row.split_first()?;
            let values = self.parameters.values(row);
            let told = self.variants.iter().find(|told| told.values == values);
            Some((told.unwrap_or(self), *profile))
        };
        rows.iter().filter_map(run).collect()
    }
}

words! {
    /// A party in the story beside the device.
    Role {
        Agent = "agent",
        Console = "console",
        /// The program on the host that sets the device up.
        Application = "application",
        /// The central server, which keeps the signing key.
        Server = "server",
        /// The set-up and configuration application, which comes over the network or through the host.
        Sca = "sca",
        /// Whoever looks later whether the device is still as it was left.
        Checker = "checker",
        /// The host's administrator, who means no good.
        Rogue = "rogue",
        /// Somebody else on the network.
        Stranger = "stranger",
        /// Whoever tries the device itself, byte by byte.
        Prober = "prober",
    }
}

/// The device as it is when the story begins.
#[derive(Debug, Clone)]
pub struct DeviceSetup {
    pub profiles: Selection,
    pub mode: Mode,
    /// Only where the story depends on it; else the seed of the run counts.
    pub seed: Option<u64>,
    /// Keys of the profile with other values, as TOML.
    pub set: Vec<(String, String)>,
    pub faults: Vec<Fault>,
}

/// One step, and where it stands.
#[derive(Debug, Clone)]
pub struct Step {
    pub line: usize,
    /// Bytes of the file.
    pub span: Range<usize>,
    pub kind: StepKind,
}

impl StepKind {
    /// What the step proves.
    pub fn requirement(&self) -> Option<&str> {
        match self {
            Self::Expect { requirement, .. } | Self::Probe { requirement, .. } => Some(requirement),
            Self::Do { .. } | Self::Fault(_) | Self::Advance(_) => None,
        }
    }
}

#[derive(Debug, Clone)]
pub enum StepKind {
    /// A role acts.
    Do { action: Action, order: Order },
    /// Something must be so.
    Expect {
        expectation: Expectation,
        requirement: String,
        severity: Level,
    },
    /// The device itself is tried.
    Probe {
        script: Script,
        requirement: String,
        severity: Level,
    },
    /// The device misbehaves from here on.
    Fault(Fault),
    /// Time passes.
    Advance(Duration),
}

words! {
    /// What a role can be told to do.
    Action {
        /// The agent finds out what the scenario needs.
        AgentDiscover = "agent.discover",
        /// The console asks the agent for capability, UUID and version, and recommends a method of set-up.
        ConsoleAsk = "console.ask",
        /// Console, agent and SCA set the device up through its host.
        ConsoleSetUpSecure = "console.set-up-secure",
        /// The application draws its nonce, reads the device's and hashes both.
        ApplicationPrepare = "application.prepare",
        /// The server signs the hash that the application sends it.
        ServerIssue = "server.issue",
        /// The application calls Setup without a signature.
        ApplicationSetup = "application.setup",
        /// The application calls Setup with what the server sent it.
        ApplicationSetupSigned = "application.setup-signed",
        /// The application sends the chain and calls AdminSetup.
        ApplicationSetupAdmin = "application.setup-admin",
        /// The application sends the chain and calls UpgradeClientToAdmin.
        ApplicationUpgrade = "application.upgrade",
        /// The application takes the device out of service.
        ApplicationUnprovision = "application.unprovision",
        /// The application reads the device's nonce again.
        ApplicationLook = "application.look",
        /// The rogue takes the device out of service and sets it up again, signed.
        RogueSetup = "rogue.setup",
        /// The same without a signature.
        RogueSetupUnsigned = "rogue.setup-unsigned",
        /// The checker compares the record with what the server knows.
        CheckerCheck = "checker.check",
        /// The console asks the agent what the machine is, makes a one-time password, and tells the SCA.
        ConsoleOrder = "console.order",
        /// The console lets the agent begin: one-time password, then StartConfigurationEx.
        AgentStart = "agent.start",
        /// The agent calls StopConfiguration.
        AgentStop = "agent.stop",
        /// Time passes until a Hello reaches the SCA, which hears it.
        ScaAwaitHello = "sca.await-hello",
        /// The SCA sets up every device that it heard, up to CommitChanges.
        ScaConfigure = "sca.configure",
        /// The SCA comes back to what it set up, by the login that it gave.
        ScaReturn = "sca.return",
        /// The stranger says Hello to the SCA.
        StrangerHello = "stranger.hello",
        /// The stranger puts another machine in the place of the device.
        StrangerStandIn = "stranger.stand-in",
    }
}

impl Action {
    /// The roles that it takes.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::AgentDiscover => &[Role::Agent],
            Self::ConsoleAsk => &[Role::Agent, Role::Console],
            Self::ConsoleSetUpSecure => &[Role::Agent, Role::Console, Role::Sca],
            Self::ApplicationPrepare
            | Self::ApplicationSetup
            | Self::ApplicationUnprovision
            | Self::ApplicationLook => &[Role::Application],
            Self::ServerIssue
            | Self::ApplicationSetupSigned
            | Self::ApplicationSetupAdmin
            | Self::ApplicationUpgrade => &[Role::Application, Role::Server],
            Self::RogueSetup | Self::RogueSetupUnsigned => &[Role::Rogue],
            Self::CheckerCheck => &[Role::Checker, Role::Server],
            Self::ConsoleOrder => &[Role::Console, Role::Agent, Role::Sca],
            Self::AgentStart | Self::AgentStop => &[Role::Console, Role::Agent],
            Self::ScaAwaitHello | Self::ScaConfigure | Self::ScaReturn => &[Role::Sca],
            Self::StrangerHello => &[Role::Stranger, Role::Sca],
            Self::StrangerStandIn => &[Role::Stranger],
        }
    }

    /// Whether it belongs to set-up over the network.
    pub const fn is_of_the_network(self) -> bool {
        matches!(
            self,
            Self::ConsoleOrder
                | Self::AgentStart
                | Self::AgentStop
                | Self::ScaAwaitHello
                | Self::ScaConfigure
                | Self::ScaReturn
                | Self::StrangerHello
                | Self::StrangerStandIn
        )
    }

    /// Whether the application or the checker speaks WS-Management in it.
    pub const fn speaks_for_the_application(self) -> bool {
        matches!(
            self,
            Self::ApplicationPrepare
                | Self::ApplicationSetup
                | Self::ApplicationSetupSigned
                | Self::ApplicationSetupAdmin
                | Self::ApplicationUpgrade
                | Self::ApplicationUnprovision
                | Self::ApplicationLook
                | Self::CheckerCheck
        )
    }

    /// What an agent must be able to do for it.
    pub const fn needs(self) -> &'static [Feature] {
        match self {
            Self::AgentDiscover => &[],
            Self::ConsoleAsk => &[
                Feature::Presence,
                Feature::Uuid,
                Feature::Version,
                Feature::Recommend,
            ],
            Self::RogueSetup | Self::RogueSetupUnsigned => &[],
            Self::ConsoleSetUpSecure => &[Feature::SecureSetup],
            Self::CheckerCheck => &[Feature::Check],
            Self::StrangerStandIn => &[],
            network if network.is_of_the_network() => &[Feature::NetworkSetup],
            _ => &[Feature::HostSetup],
        }
    }
}

/// All scenarios, in the order of their IDs.
#[derive(Debug, Clone, Default)]
pub struct Library {
    pub scenarios: Vec<Scenario>,
}

impl Library {
    /// The scenarios that come with the program.
    pub fn builtin(ledger: &Ledger) -> Result<Self, Vec<Diagnostic>> {
        let files = fixtures::SCENARIOS
            .iter()
            .map(|file| (file.path, file.text));
        Self::parse(files, ledger)
    }

    /// Reads several files, given as path and text.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        ledger: &Ledger,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut library = Self::default();
        let mut wrong = Vec::new();
        for (path, text) in files {
            match parse(path, text, ledger) {
                Ok(scenario) => match library.get(&scenario.id) {
                    None => library.scenarios.push(scenario),
                    Some(twin) => {
                        let at = text.find(&scenario.id).unwrap_or(0);
                        let message = format!("`{}` is told in {} already", scenario.id, twin.file);
                        let span = at..at + scenario.id.len();
                        wrong.push(Diagnostic::at(path, text, span, message));
                    }
                },
                Err(errors) => wrong.extend(errors),
            }
        }
        library.scenarios.sort_by(|a, b| a.id.cmp(&b.id));
        if wrong.is_empty() {
            Ok(library)
        } else {
            Err(wrong)
        }
    }

    pub fn get(&self, id: &str) -> Option<&Scenario> {
        self.scenarios.iter().find(|scenario| scenario.id == id)
    }

    /// The ID that somebody who wrote `id` probably meant.
    pub fn closest(&self, id: &str) -> Option<&str> {
        closest(
            id,
            self.scenarios.iter().map(|scenario| scenario.id.as_str()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_that_ship_are_sound() {
        let ledger = Ledger::builtin().unwrap();
        if let Err(errors) = Library::builtin(&ledger) {
            let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!("{}", shown.join("\n\n"));
        }
    }

    #[test]
    fn a_scenario_stands_where_its_id_says() {
        let ledger = Ledger::builtin().unwrap();
        for scenario in Library::builtin(&ledger).unwrap().scenarios {
            let path = format!("scenarios/{}.toml", scenario.id.replacen('.', "/", 1));
            assert_eq!(scenario.file, path);
        }
    }

    #[test]
    fn a_scenario_is_short_enough_to_read() {
        for file in fixtures::SCENARIOS {
            let lines = file.text.lines().count();
            assert!(lines <= 60, "{} has {lines} lines", file.path);
        }
    }
}
