//! One run: builds the device, lets the roles act, judges what is expected, and draws the verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amt_sim::device::Interface;
use amt_sim::{Device, Entry, Event, Fault, Mode, Preset, Rules};

use super::beside::Beside;
use super::check::{Asked, Scene, judge, judge_probe, mode_word};
use super::evidence::{Captured, Evidence};
use super::lan::VirtualLan;
use super::observe::Observed;
use super::plan::Case;
use super::secrets::Secrets;
use super::sequence::Epoch;
use super::subject::{Subject, is_of_the_network};
use super::verdict::{Blame, Check, CheckVerdict, Performed, Run, Verdict};
use super::world::World;
use crate::fact::{Fact, Facts, Feature, Truth, project};
use crate::probe::{Prober, Script};
use crate::requirement::{Grade, Ledger, Level, Party};
use crate::role::agent::ReferenceAgent;
use crate::role::console::ReferenceConsole;
use crate::role::network::{Company, Field, Look};
use crate::role::secure;
use crate::role::setup::{Cast, Host};
use crate::role::target::{KnownFailing, Office, Site, Target};
use crate::role::{ActionReport, Ending, Misbehaviour, Wanted};
use crate::scenario::placeholder::Values;
use crate::scenario::{Action, Expectation, Order, Outcome, Role, Step, StepKind, changed_profile};

/// Runs cases.
#[derive(Debug, Clone)]
pub struct Engine<'a> {
    pub ledger: &'a Ledger,
    pub subject: Subject,
    /// One mistake that the bundled roles make on purpose.
    pub misbehaviour: Option<Misbehaviour>,
    /// Rules that the device does not enforce.
    pub rules: Rules,
}

/// How the harness cheats itself, to see that a check can fail at all (see [`knockout`](crate::knockout)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tampering {
    #[default]
    None,
    /// No role does anything, and each says that it is done.
    DoesNothing,
    /// Every role does what it was told, and says that it failed.
    SaysFailed,
    /// Every role does what it was told, and never says anything.
    Hangs,
    /// Every role does what it was told, and takes as long for it as it may without hanging.
    Dawdles,
}

/// A reference role that is busy longer than this on the device's clock hangs.
const REFERENCE_LIMIT: Duration = Duration::from_secs(300);

/// Seconds since 1970 when a device in virtual time is switched on, by its own clock: 2026-01-01.
pub(crate) const VIRTUAL_EPOCH: u64 = 1_767_225_600;

impl Engine<'_> {
    /// Runs one case to its verdict. Never panics, whatever happens inside.
    pub fn run(&self, case: &Case<'_>) -> Run {
        self.run_with(case, Tampering::None, Evidence::default())
    }

    /// The same with roles that the harness itself holds back.
    pub fn run_tampered(&self, case: &Case<'_>, tampering: Tampering) -> Run {
        self.run_with(case, tampering, Evidence::default())
    }

    /// The same, with what is wanted of it beside the verdict.
    pub fn run_for(&self, case: &Case<'_>, evidence: Evidence) -> Run {
        self.run_with(case, Tampering::None, evidence)
    }

    fn run_with(&self, case: &Case<'_>, tampering: Tampering, evidence: Evidence) -> Run {
        let mut run = empty_run(case);
        let subject = AssertUnwindSafe(|| self.try_run(case, tampering, evidence));
        match catch_unwind(subject) {
            Ok(Ok(done)) => run = done,
            Ok(Err(why)) => {
                run.verdict = Verdict::ConfigurationError;
                run.reason = Some(why);
            }
            Err(panic) => {
                let said = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("it says nothing");
                run.verdict = Verdict::Inconclusive;
                run.reason = Some(format!("a mistake of the harness itself: {said}"));
            }
        }
        let targets = self.subject.targets();
        let reason = |known: fn(&Target) -> &[KnownFailing]| {
            let mut known = targets.iter().flat_map(|target| known(target));
            let entry = known.find(|entry| entry.takes(&run.id));
            entry.map(|entry| entry.reason.clone())
        };
        let mut known = reason(|target| &target.known_failing);
        // What fails now and then may pass: only its failure is something that was known.
        if known.is_none() && run.verdict != Verdict::Pass {
            known = reason(|target| &target.known_flaky).map(|why| format!("now and then: {why}"));
        }
        run.known_failing = known;
        run
    }

    fn try_run(
        &self,
        case: &Case<'_>,
        tampering: Tampering,
        evidence: Evidence,
    ) -> Result<Run, String> {
        if let Some(reason) = self.subject.has_no_part(case, self.ledger) {
            return Ok(Run {
                verdict: Verdict::NotApplicable,
                reason: Some(reason),
                ..empty_run(case)
            });
        }
        let site = match self.subject.application() {
            Some(application) if is_of_the_network(case) => Some(application.site()?),
            _ => None,
        };
        let mut device = self.device(case, site.as_ref())?;
        device.record_streams(true);
        device.record_secrets(evidence.capture);
        device.record_chances(evidence.chances);
        // Device time begins about now, on the clock that counts for this subject.
        let epoch = match self.subject {
            Subject::Reference => Epoch {
                power_on: Duration::from_secs(u64::try_from(device.clock().0).unwrap_or_default()),
                real_time: false,
            },
            _ => Epoch {
                power_on: SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
                real_time: true,
            },
        };
        let mut secrets = Secrets::default();
        secrets.look_into(&device);
        for target in self.subject.targets() {
            for (name, value) in &target.environment {
                secrets.look_at(name, &value.text());
            }
        }
        let mode = mode_word(&device);
        let profile = device.profile().clone();
        let world = match self.subject {
            Subject::Reference => World::in_virtual_time(device),
            _ => World::in_real_time(device),
        };
        let lan = match &world {
            World::Virtual(virtual_device) => {
                let profile = profile.clone();
                Some(VirtualLan::new(virtual_device.clone(), profile, case.seed))
            }
            World::Real(_) => None,
        };
        let looks = match case.scenario.needs.contains(&Feature::Record) {
            true => Look::Record,
            false => Look::Mode,
        };
        let beside = match (site, &world) {
            (Some(site), World::Real(world)) => {
                let console = self.subject.console();
                let console =
                    console.map(|console| Office::new(console, world.device.clone(), case.seed));
                let beside = Beside::new(site, profile.clone(), case.seed, looks);
                Some(beside.with(self.subject.agent(), console.transpose()?))
            }
            _ => None,
        };
        let cast = Cast::new(case.seed, self.misbehaviour);
        let cast = match &world {
            World::Virtual(device) => cast.with_local_ports(device.dialer(Interface::Local)),
            World::Real(_) => cast,
        };
        let stage = Stage {
            engine: self,
            case,
            company: Company::new(case.seed, self.misbehaviour),
            lan,
            beside,
            prober: None,
            world,
            cast,
            secure: secure::Cast::new(self.misbehaviour),
            truth: None,
            last: None,
            checks: Vec::new(),
            faults: case.scenario.device.faults.clone(),
            tampering,
            actions: Vec::new(),
            epoch,
            secrets,
        };
        Ok(Run {
            mode,
            ..stage.play()
        })
    }

    /// The device as it is when the story begins.
    fn device(&self, case: &Case<'_>, site: Option<&Site<'_>>) -> Result<Device, String> {
        let setup = &case.scenario.device;
        let mut profile =
            changed_profile(&case.profile, &setup.set).map_err(|error| error.to_string())?;
        if let Some(site) = site {
            site.prepare(&mut profile)?;
        }
        if let Some(agent) = self.subject.agent() {
            let delay = &mut profile.timings.mei_reply_ms;
            *delay = (*delay).max(agent.target().reply_delay);
        }
        let profile = Arc::new(profile);
        let builder = || {
            let builder = Device::of(Arc::clone(&profile))
                .seed(case.seed)
                .rules(self.rules.clone());
            let faults = setup.faults.iter().cloned();
            faults.fold(builder, |builder, fault| builder.fault(fault))
        };
        let built = match setup.mode {
            Mode::PreProvisioning => builder().build(),
            Mode::Client => builder().preset(Preset::Client).build(),
            Mode::Admin => builder().preset(Preset::Admin).build(),
            // No preset leads there: memory is set as it would be.
            other => builder().build().and_then(|new| {
                let mut state = new.state().clone();
                state.mode = other;
                state.boots = 0;
                builder().state(state).build()
            }),
        };
        built.map_err(|error| error.to_string())
    }
}

fn empty_run(case: &Case<'_>) -> Run {
    Run {
        id: case.id(),
        scenario: case.scenario.id.clone(),
        title: case.scenario.title.clone(),
        file: case.scenario.file.clone(),
        profile: case.profile.name.clone(),
        parameters: case.scenario.values.clone(),
        mode: String::new(),
        seed: case.seed,
        verdict: Verdict::Inconclusive,
        reason: None,
        known_failing: None,
        repeats: None,
        requirements: case.scenario.requirements.clone(),
        checks: Vec::new(),
        assumptions: Vec::new(),
        facts: Facts::new(),
        remarks: Vec::new(),
        processes: Vec::new(),
        device_time_ms: 0,
        sequence: None,
        journal: Vec::new(),
        actions: Vec::new(),
        captured: Captured::default(),
    }
}

/// The run while it happens.
struct Stage<'e> {
    engine: &'e Engine<'e>,
    case: &'e Case<'e>,
    world: World,
    /// The parties of host-based set-up, who remember from one step to the next.
    cast: Cast,
    /// The parties of set-up over the network, who remember too.
    company: Company,
    /// The network around the device; none in real time.
    lan: Option<VirtualLan>,
    /// Those of the secure flow.
    secure: secure::Cast,
    /// Those beside a real SCA.
    beside: Option<Beside<'e>>,
    /// Whoever tries the device itself, once there is a step for him.
    prober: Option<Prober>,
    /// The device after the last action.
    truth: Option<Truth>,
    last: Option<Acted>,
    checks: Vec<Check>,
    /// Everything that the device was told to do wrong.
    faults: Vec<Fault>,
    tampering: Tampering,
    actions: Vec<Performed>,
    epoch: Epoch,
    /// What the device knew and nobody else should.
    secrets: Secrets,
}

/// The last action.
struct Acted {
    report: ActionReport,
    took: Duration,
    /// Journal entries before it.
    journal_before: usize,
}

impl Stage<'_> {
    fn play(mut self) -> Run {
        let steps = &self.case.scenario.steps;
        let mut stopped = None;
        for (index, step) in steps.iter().enumerate() {
            match &step.kind {
                StepKind::Fault(fault) => {
                    self.faults.push(fault.clone());
                    self.world.arm(fault.clone());
                }
                StepKind::Advance(time) => self.world.advance(*time),
                StepKind::Do { action, order } => {
                    match self.tampering {
                        Tampering::DoesNothing => self.sit_still(),
                        _ => self.act(*action, order),
                    }
                    stopped = self.ended_early();
                    if stopped.is_some() {
                        break;
                    }
                    if !outcome_is_expected(&steps[index + 1..]) {
                        self.must_be_done(*action, step);
                    }
                }
                StepKind::Expect {
                    expectation,
                    requirement,
                    severity,
                } => self.expect(expectation, requirement, *severity, step),
                StepKind::Probe {
                    script,
                    requirement,
                    severity,
                } => {
                    let as_written = self.probe(script, requirement, *severity, step);
                    // Every answer from here on would be one to another question. Who asks nothing gets none at all.
                    if !as_written && self.tampering != Tampering::DoesNothing {
                        break;
                    }
                }
            }
        }
        self.finish(stopped)
    }

    fn act(&mut self, action: Action, order: &Order) {
        let journal_before = self.world.journal().len();
        let started = self.world.now();
        let mut wanted: Wanted = self.case.scenario.needs.iter().copied().collect();
        wanted.extend(action.needs());
        let discovers = matches!(action, Action::AgentDiscover | Action::ConsoleAsk);
        let mut report = match (&self.engine.subject, &self.world) {
            (Subject::Reference, World::Virtual(device)) if action.is_of_the_network() => {
                match &self.lan {
                    Some(lan) => {
                        let field = Field {
                            host: Host {
                                port: device,
                                clock: device,
                            },
                            lan,
                            epoch: VIRTUAL_EPOCH,
                        };
                        let mut report = self.company.act(action, order, field);
                        Observed::of(&device.journal()).tell(&mut report.facts);
                        if action == Action::StrangerStandIn {
                            lan.forgive_stranger();
                        }
                        lan.tell(&mut report.facts);
                        report
                    }
                    None => ActionReport::configuration("there is no network in real time yet"),
                }
            }
            (Subject::Reference, World::Virtual(device)) if !discovers => {
                let host = Host {
                    port: device,
                    clock: device,
                };
                match action {
                    Action::ConsoleSetUpSecure => self.secure.set_up(order, host),
                    _ => self.cast.act(action, order, host),
                }
            }
            (Subject::Reference, World::Virtual(device)) => {
                let agent = ReferenceAgent {
                    misbehaviour: self.engine.misbehaviour,
                };
                agent.discover(device, device, &wanted)
            }
            (subject, World::Real(world)) => {
                match (&mut self.beside, subject.agent().filter(|_| discovers)) {
                    (Some(beside), _) => beside.act(action, order, world),
                    (None, Some(agent)) => agent.discover(&world.device, self.case.seed, &wanted),
                    (None, None) => {
                        let why = "no target file says how a real program does this";
                        ActionReport::configuration(why)
                    }
                }
            }
            // `try_run` pairs them.
            _ => ActionReport::configuration("role and device do not share a clock"),
        };
        let elapsed = || self.world.now().saturating_sub(started);
        match self.tampering {
            Tampering::Hangs => self.world.advance(REFERENCE_LIMIT),
            Tampering::Dawdles => self
                .world
                .advance(REFERENCE_LIMIT.saturating_sub(elapsed())),
            Tampering::None | Tampering::DoesNothing | Tampering::SaysFailed => {}
        }
        let took = elapsed();
        // Who waits for a Hello waits for the device's key.
        let hurries = action != Action::ScaAwaitHello;
        if matches!(self.engine.subject, Subject::Reference) && hurries && took > REFERENCE_LIMIT {
            report.ending = Ending::Outcome(Outcome::Hung);
        }
        if action == Action::ConsoleAsk {
            let console = ReferenceConsole {
                misbehaviour: self.engine.misbehaviour,
            };
            console.recommend(&mut report.facts);
            report.unmapped.remove(&crate::fact::Fact::RECOMMENDATION);
        }
        match self.tampering {
            Tampering::SaysFailed => report.ending = Ending::Outcome(Outcome::Failed),
            Tampering::Hangs => report.ending = Ending::Outcome(Outcome::Hung),
            Tampering::None | Tampering::DoesNothing | Tampering::Dawdles => {}
        }
        let truth = self.world.truth();
        self.actions.push(Performed {
            action,
            ending: report.ending.clone(),
            mode: truth.mode(),
            lies: lies(&report.facts, &truth),
            facts: report.facts.clone(),
        });
        self.truth = Some(truth);
        let secrets = &mut self.secrets;
        self.world.with(|device| secrets.look_into(device));
        self.last = Some(Acted {
            report,
            took,
            journal_before,
        });
    }

    /// Plays a script, and says whether everything went as it is written.
    fn probe(&mut self, script: &Script, requirement: &str, severity: Level, step: &Step) -> bool {
        let World::Virtual(device) = &self.world else {
            return false; // Nobody but the reference roles has a part with the prober.
        };
        let journal_before = self.world.journal().len();
        let started = self.world.now();
        let truth = self.world.truth();
        let prober = self.prober.get_or_insert_with(|| {
            let prober = Prober::new(device.clone());
            match self.tampering {
                Tampering::DoesNothing => prober.mute(),
                _ => prober,
            }
        });
        let values = Values::of_device(&truth, self.case.seed);
        let played = prober.play(script, values);
        self.truth = Some(self.world.truth());
        let report = ActionReport::done(Facts::new());
        let took = self.world.now().saturating_sub(started);
        let journal = self.world.journal();
        let scene = Scene {
            report: &report,
            took,
            truth: &truth,
            seed: self.case.seed,
            journal: &journal,
            action_start: journal_before,
            rules: &self.engine.rules,
        };
        let asked = self.asked(requirement, severity, step.line);
        let as_written = played.is_ok();
        self.checks.push(judge_probe(played, asked, scene));
        self.last = Some(Acted {
            report,
            took,
            journal_before,
        });
        as_written
    }

    fn sit_still(&mut self) {
        self.truth = Some(self.world.truth());
        self.last = Some(Acted {
            report: ActionReport::done(Facts::new()),
            took: Duration::ZERO,
            journal_before: self.world.journal().len(),
        });
    }

    /// The verdict and its reason when the last action leaves nothing to judge.
    fn ended_early(&self) -> Option<(Verdict, String)> {
        match &self.last.as_ref()?.report.ending {
            Ending::Outcome(_) => None,
            Ending::NotImplemented => Some((
                Verdict::NotImplemented,
                "the program says that it does not implement this".to_owned(),
            )),
            Ending::Configuration(why) => Some((Verdict::ConfigurationError, why.clone())),
        }
    }

    /// An action whose end no expectation is about must simply be done.
    fn must_be_done(&mut self, action: Action, step: &Step) {
        let requirements = &self.case.scenario.requirements;
        let at_fault = self.last.as_ref().and_then(|acted| acted.report.at_fault);
        // A real SCA answers for what it does itself, if the story is about it at all; and whoever is plainly at fault
        // for what he was to do.
        let is_scas = action.roles().last() == Some(&Role::Sca) && self.beside.is_some();
        let party = at_fault.or(is_scas.then_some(Party::Sca));
        let its_own = requirements.iter().find(|id| {
            let requirement = self.engine.ledger.get(id);
            party.is_some() && requirement.map(|requirement| requirement.who) == party
        });
        let Some(requirement) = its_own.or(requirements.first()) else {
            return;
        };
        let expectation = Expectation::Outcome(vec![Outcome::Done]);
        let before = self.checks.len();
        self.expect(&expectation, requirement, Level::Must, step);
        for check in &mut self.checks[before..] {
            check.about = format!("outcome of {action}");
        }
    }

    fn expect(
        &mut self,
        expectation: &Expectation,
        requirement: &str,
        severity: Level,
        step: &Step,
    ) {
        let (Some(acted), Some(truth)) = (&self.last, &self.truth) else {
            return; // The parser refuses an expectation before the first action.
        };
        let journal = self.world.journal();
        let scene = Scene {
            report: &acted.report,
            took: acted.took,
            truth,
            seed: self.case.seed,
            journal: &journal,
            action_start: acted.journal_before,
            rules: &self.engine.rules,
        };
        let asked = self.asked(requirement, severity, step.line);
        self.checks.extend(judge(expectation, asked, scene));
    }

    fn asked<'r>(&self, requirement: &'r str, severity: Level, line: usize) -> Asked<'r> {
        let known = self.engine.ledger.get(requirement);
        let (party, assumed) = known.map_or((Party::Agent, false), |requirement| {
            (requirement.who, requirement.grade == Grade::Assumed)
        });
        Asked {
            requirement,
            party,
            severity,
            assumed,
            line,
        }
    }

    fn finish(mut self, stopped: Option<(Verdict, String)>) -> Run {
        let journal = self.world.journal();
        let (verdict, reason) = match stopped {
            Some((verdict, reason)) => (verdict, Some(reason)),
            None => conclude(&self.checks, &self.faults, &journal),
        };
        let mut report = self
            .last
            .map_or_else(|| ActionReport::done(Facts::new()), |acted| acted.report);
        report
            .processes
            .extend(self.beside.take().map(Beside::stop).unwrap_or_default());
        Run {
            verdict,
            reason,
            checks: self.checks,
            assumptions: assumptions(&journal),
            facts: report.facts,
            remarks: report.remarks,
            processes: report.processes,
            device_time_ms: u64::try_from(self.world.now().as_millis()).unwrap_or(u64::MAX),
            journal,
            actions: self.actions,
            captured: Captured {
                recording: self.world.with(Device::take_recording),
                epoch: self.epoch,
                secrets: self.secrets,
                ..Captured::default()
            },
            ..empty_run(self.case)
        }
    }
}

/// What was said of the device and is not so.
fn lies(facts: &Facts, truth: &Truth) -> Vec<Fact> {
    let false_ones = facts.iter().filter(|(fact, said)| {
        let expected = fact.expected(truth);
        fact.is_of_the_device()
            && !expected.any_of.iter().any(|allowed| {
                allowed
                    .as_ref()
                    .is_some_and(|allowed| project(allowed, said) == **said)
            })
    });
    false_ones.map(|(fact, _)| *fact).collect()
}

/// Whether the scenario itself judges how the action ends, before the next one begins.
fn outcome_is_expected(following: &[Step]) -> bool {
    following
        .iter()
        .take_while(|step| !matches!(step.kind, StepKind::Do { .. }))
        .any(|step| {
            matches!(
                &step.kind,
                StepKind::Expect {
                    expectation: Expectation::Outcome(_),
                    ..
                }
            )
        })
}

fn conclude(checks: &[Check], faults: &[Fault], journal: &[Entry]) -> (Verdict, Option<String>) {
    let failed = |severity: Level| {
        checks.iter().any(|check| {
            check.verdict == CheckVerdict::Fail
                && check.severity == severity
                && check.blame != Some(Blame::Configuration)
        })
    };
    if failed(Level::Must) {
        return (Verdict::Fail, None);
    }
    if failed(Level::Should) || failed(Level::May) {
        return (Verdict::Warn, None);
    }
    let gap = checks
        .iter()
        .find(|check| check.blame == Some(Blame::Configuration));
    if let Some(gap) = gap {
        let why = gap.note.as_deref().unwrap_or_default();
        return (
            Verdict::ConfigurationError,
            Some(format!("`{}`: {why}", gap.about)),
        );
    }
    if checks
        .iter()
        .all(|check| check.verdict == CheckVerdict::NotApplicable)
    {
        let reason = "the target file reads none of the facts".to_owned();
        return (Verdict::NotApplicable, Some(reason));
    }
    // A fault that never struck proves nothing about who copes with it.
    if let Some(fault) = faults.iter().find(|fault| !struck(fault, journal)) {
        let reason = format!(
            "the fault at {:?} never struck: the program did not do what it waits for",
            fault.at
        );
        return (Verdict::Inconclusive, Some(reason));
    }
    (Verdict::Pass, None)
}

/// Whether it took effect.
pub(crate) fn struck(fault: &Fault, journal: &[Entry]) -> bool {
    let shown = format!("{:?} at {:?}", fault.effect, fault.at);
    journal
        .iter()
        .any(|entry| matches!(&entry.event, Event::FaultInjected { fault } if *fault == shown))
}

/// Assumptions that the device's answers rest on, each once.
fn assumptions(journal: &[Entry]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for entry in journal {
        if let Event::Assumed { requirement } = &entry.event
            && !found.contains(requirement)
        {
            found.push(requirement.clone());
        }
    }
    found
}

impl Run {
    /// The party that most findings of this run point at.
    pub fn blame(&self) -> Option<Blame> {
        match self.verdict {
            Verdict::ConfigurationError => Some(Blame::Configuration),
            _ => self.failed_checks().find_map(|check| check.blame),
        }
    }
}
