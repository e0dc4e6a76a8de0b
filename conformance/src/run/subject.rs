//! Who is tried, and whether a story has a part for it.

use amt_sim::Mode;

use super::plan::Case;
use crate::fact::Feature;
use crate::requirement::{Ledger, Party};
use crate::role::target::{ExternalAgent, ExternalApplication, ExternalConsole, Side, Target};
use crate::scenario::{OtpForm, Role, Step, StepKind};

/// Who is tried.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The bundled roles, on a device in virtual time.
    Reference,
    /// A real agent, on a device in real time. The console is ours.
    Agent(Box<ExternalAgent>),
    /// A real setup and configuration application, on a device in real time. Console and agent are ours.
    Application(Box<ExternalApplication>),
    /// Several at once, or one that needs others: what is missing of them is ours.
    Several(Box<Several>),
}

/// The real programs of set-up over the network.
#[derive(Debug, Clone)]
pub struct Several {
    pub agent: Option<ExternalAgent>,
    pub console: Option<ExternalConsole>,
    /// The bundled one, as a program of its own, where none is tried.
    pub application: ExternalApplication,
    pub tries_application: bool,
}

impl Subject {
    /// The target files of the real programs that are tried.
    pub fn targets(&self) -> Vec<&Target> {
        match self {
            Self::Reference => Vec::new(),
            Self::Agent(agent) => vec![agent.target()],
            Self::Application(application) => vec![application.target()],
            Self::Several(several) => {
                let agent = several.agent.iter().map(ExternalAgent::target);
                let console = several.console.iter().map(ExternalConsole::target);
                let application = several
                    .tries_application
                    .then(|| several.application.target());
                agent.chain(console).chain(application).collect()
            }
        }
    }

    pub(super) fn agent(&self) -> Option<&ExternalAgent> {
        match self {
            Self::Agent(agent) => Some(agent),
            Self::Several(several) => several.agent.as_ref(),
            Self::Reference | Self::Application(_) => None,
        }
    }

    pub(super) fn console(&self) -> Option<&ExternalConsole> {
        match self {
            Self::Several(several) => several.console.as_ref(),
            _ => None,
        }
    }

    pub(super) fn application(&self) -> Option<&ExternalApplication> {
        match self {
            Self::Application(application) => Some(application),
            Self::Several(several) => Some(&several.application),
            Self::Reference | Self::Agent(_) => None,
        }
    }

    /// Why the story says nothing about the programs that are tried; nothing for one that does.
    pub(super) fn has_no_part(&self, case: &Case<'_>, ledger: &Ledger) -> Option<String> {
        let targets = self.targets();
        let over_network = is_of_the_network(case);
        for target in &targets {
            let part = target.role;
            if !case.scenario.roles.contains(&part) {
                return Some(format!("it has no part for the program's role, {part}"));
            }
            let needs = case.scenario.needs.iter().copied();
            // What there is to find out about the device in the middle of it, the harness finds out itself.
            let needs: Vec<Feature> = match over_network {
                true => needs.filter(|need| need.is_of_an_application()).collect(),
                false => needs.collect(),
            };
            if let Some(feature) = target.lacks(&needs) {
                return Some(format!("{} has no `{feature}`", target.name));
            }
            if target.side == Side::Network
                && let Some(why) = out_of_reach(case)
            {
                return Some(why.to_owned());
            }
        }
        if let Some(application) = self.application().filter(|_| over_network)
            && let Some(why) = application.cannot(case.scenario)
        {
            return Some(why);
        }
        if self.console().is_some() && orders_badly(case) {
            return Some("its console hands out what no real one would".to_owned());
        }
        let tries = |target: &&Target| match target.role {
            Role::Sca => true, // Whatever others do is something to cope with.
            role => case.scenario.requirements.iter().any(|id| {
                let party = ledger.get(id).map(|requirement| requirement.who);
                party == Some(party_of(role))
            }),
        };
        if over_network && !targets.is_empty() && !targets.iter().any(tries) {
            return Some("it asks nothing of the program's role".to_owned());
        }
        None
    }
}

fn party_of(role: Role) -> Party {
    match role {
        Role::Console => Party::Console,
        Role::Sca => Party::Sca,
        _ => Party::Agent,
    }
}

/// Whether the story is about set-up over the network.
pub(super) fn is_of_the_network(case: &Case<'_>) -> bool {
    let mut steps = case.scenario.steps.iter();
    steps
        .any(|step| matches!(&step.kind, StepKind::Do { action, .. } if action.is_of_the_network()))
}

/// Whether the story tells the console to hand out wrong one-time passwords, or none.
fn orders_badly(case: &Case<'_>) -> bool {
    let mut steps = case.scenario.steps.iter();
    steps.any(|step| matches!(&step.kind, StepKind::Do { order, .. } if order.otp != OtpForm::Both))
}

/// Why a program that comes over the network has no part in the story.
fn out_of_reach(case: &Case<'_>) -> Option<&'static str> {
    let setup = &case.scenario.device;
    let steps = &case.scenario.steps;
    let strikes = |step: &Step| matches!(step.kind, StepKind::Fault(_));
    if !matches!(setup.mode, Mode::Client | Mode::Admin) {
        return Some("the device is not set up, so nobody has a login over the network");
    }
    if !setup.faults.is_empty() || steps.iter().any(strikes) {
        return Some("its faults are those of the host's interface");
    }
    None
}
