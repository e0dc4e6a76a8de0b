//! A real console in set-up over the network: a command for each of its parts, with agent and SCA at addresses that it is
//! told; or one that prints the one-time password, which the harness then carries to both.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use amt_sim::host::SharedDevice;
use serde_json::Value;

use super::desk::Desk;
use super::errand::{Done, Over, Work};
use super::external::Scratch;
use super::telling::Call;
use super::{CommandLine, Target};
use crate::fact::{Facts, Truth};
use crate::role::network::talk::{Ear, FromAgent, FromSca, Listener, Tap, ToAgent, ToSca, ask};
use crate::role::network::{Orders, begun, called_off};
use crate::role::{Ending, Process};
use crate::scenario::placeholder::{Place, Told, Values};
use crate::scenario::{Action, OtpForm, Outcome};

/// A console under test.
#[derive(Debug, Clone)]
pub struct ExternalConsole {
    target: Target,
    /// None for one that runs already.
    program: Option<PathBuf>,
}

impl ExternalConsole {
    pub fn new(target: Target, program: Option<PathBuf>) -> Self {
        Self { target, program }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }
}

/// A real console in one run.
#[derive(Debug)]
pub struct Office<'a> {
    console: &'a ExternalConsole,
    device: SharedDevice,
    seed: u64,
    scratch: Scratch,
    told: Told,
    /// What the harness carries to the agent for it; the inner one where it made none.
    carried: Option<Option<String>>,
    /// Everything that it ran.
    pub processes: Vec<Process>,
    /// What went wrong on its side.
    pub remarks: Vec<String>,
    /// How it ended, where that was not well and nobody else's fault.
    pub trouble: Option<Ending>,
}

const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// How long a console may think between two things that it says.
const MORE: Duration = Duration::from_millis(300);

impl<'a> Office<'a> {
    pub fn new(
        console: &'a ExternalConsole,
        device: SharedDevice,
        seed: u64,
    ) -> Result<Self, String> {
        Ok(Self {
            console,
            device,
            seed,
            scratch: Scratch::new().map_err(|error| format!("no scratch folder: {error}"))?,
            told: Told::default(),
            carried: None,
            processes: Vec::new(),
            remarks: Vec::new(),
            trouble: None,
        })
    }

    fn has(&self, action: Action) -> bool {
        let mut commands = self.console.target.commands.iter();
        commands.any(|command| command.action == action)
    }

    /// Runs its commands for this part, while agent and SCA answer. What it printed of a one-time password.
    fn run(
        &mut self,
        action: Action,
        agent: &mut dyn Listener,
        sca: &mut dyn Listener,
    ) -> Result<Option<String>, String> {
        let mut agent = Desk::open().map(|desk| (desk, agent)).map_err(no_desk)?;
        let mut sca = Desk::open().map(|desk| (desk, sca)).map_err(no_desk)?;
        self.told.agent = agent.0.address().to_string();
        self.told.sca = sca.0.address().to_string();
        let target = &self.console.target;
        let truth = self.device.with(None, |device| Truth::of(device));
        let scratch = self.scratch.path.to_string_lossy();
        let conformance = std::env::current_exe().unwrap_or_default();
        let values = Values {
            truth: &truth,
            seed: self.seed,
            scratch: &scratch,
            conformance: &conformance.to_string_lossy(),
            service: None,
            told: &self.told,
        };
        let mut otp = None;
        for command in &target.commands {
            if command.action != action {
                continue;
            }
            command.tell(values)?;
            let mut work = match (&command.http, &self.console.program) {
                (Some(request), _) => Work::asked(Call::of(request, values)),
                (None, Some(program)) => Work::run(target, program, command, values)?,
                (None, None) => return Err(format!("`{}` has no program", target.name)),
            };
            let deadline = Instant::now() + target.time_limit;
            let is_for = match action {
                Action::ConsoleOrder => Whom::Sca,
                _ => Whom::Agent,
            };
            // When it last turned to whom this step is about.
            let mut heard = command.otp.is_some().then(Instant::now);
            loop {
                let asked = agent.0.serve(agent.1);
                let told = sca.0.serve(sca.1);
                let turned = match is_for {
                    Whom::Agent => asked,
                    Whom::Sca => told,
                };
                heard = turned.then(Instant::now).or(heard);
                let over = match work.is_over()? {
                    // It may take its time after its answer, and say more than one thing.
                    Over::Answered => heard.is_some_and(|heard| heard.elapsed() > MORE),
                    Over::Ended => true,
                    Over::No => false,
                };
                if over || Instant::now() >= deadline {
                    break;
                }
                if !asked && !told {
                    thread::sleep(LOOK_AGAIN);
                }
            }
            let Done {
                ending,
                remark,
                text,
                process,
            } = work.finish(target, command, values)?;
            self.processes.push(process);
            if ending != Ending::Outcome(Outcome::Done) {
                self.trouble = Some(ending);
                return Err(remark);
            }
            if let Some(source) = &command.otp {
                otp = Some(read(command, source, &text)?);
            }
        }
        Ok(otp)
    }

    /// Who is at fault is plain where agent and SCA gave it what it wanted.
    fn excuse(&mut self, others_refused: bool) {
        if others_refused && self.trouble == Some(Ending::Outcome(Outcome::Failed)) {
            self.trouble = None;
        }
    }

    fn note(&mut self, why: String) -> String {
        if self.trouble.is_some() {
            self.remarks.push(why.clone());
        }
        why
    }

    /// A part that is the console's to play, or the harness's for one that only prints.
    fn lead(
        &mut self,
        action: Action,
        question: ToAgent,
        agent: &mut dyn Listener,
        facts: &mut Facts,
        understand: impl Fn(&FromAgent, &mut Facts) -> Result<bool, String>,
        silent: &str,
    ) -> Result<bool, String> {
        if !self.has(action) {
            return understand(&ask(agent, &question)?, facts);
        }
        let mut agent = Ear::new(agent);
        let ran = self.run(action, &mut agent, &mut Nobody);
        let answers = agent.answers();
        let mut said = Err(silent.to_owned());
        for answer in answers {
            if !matches!(answer, FromAgent::Identity { .. }) {
                said = understand(answer, facts);
            }
        }
        // A console may well end badly over what the device refused.
        let refused = !answers.is_empty() && said != Ok(true);
        self.excuse(refused);
        match (ran, said) {
            (_, Ok(false)) => Ok(false),
            (Err(why), _) => Err(self.note(why)),
            (Ok(_), Err(why)) if answers.is_empty() => {
                self.trouble = Some(Ending::Outcome(Outcome::Failed));
                Err(self.note(why))
            }
            (Ok(_), said) => said,
        }
    }
}

impl Orders for Office<'_> {
    fn order(
        &mut self,
        agent: &mut dyn Listener,
        sca: &mut dyn Listener,
        _form: OtpForm,
    ) -> Result<(), String> {
        let mut commands = self.console.target.commands.iter();
        let prints = commands.any(|command| command.otp.is_some());
        let is_told = self.console.target.commands.iter().any(|command| {
            let files = command.files.iter().map(|(_, text)| text);
            let request = command.http.iter().flat_map(|http| [&http.url, &http.body]);
            let mut texts = command.args.iter().chain(files).chain(request);
            texts.any(|text| text.has(Place::MachineUuid))
        });
        // One that cannot ask the agent itself is told what it said.
        if prints || is_told {
            match ask(agent, &ToAgent::Identify {})? {
                FromAgent::Identity { uuid, version, .. } => {
                    self.told.uuid = uuid.unwrap_or_default();
                    self.told.version = version.unwrap_or_default();
                }
                FromAgent::Refused { why } => return Err(format!("the agent: {why}")),
                _ => return Err("the agent answered something else".to_owned()),
            }
        }
        let mut agent = Ear::new(agent);
        let mut sca = Tap::new(sca);
        let ran = self.run(Action::ConsoleOrder, &mut agent, &mut sca);
        let refused = |answer: &FromAgent| matches!(answer, FromAgent::Refused { .. });
        let others = agent.answers().iter().any(refused) || sca.refused();
        self.excuse(others);
        let otp = match ran {
            Ok(otp) => otp,
            Err(why) => return Err(self.note(why)),
        };
        if prints {
            let uuid = self.told.uuid.clone();
            let expect = ToSca::Expect {
                uuid,
                otp: otp.clone(),
            };
            if let FromSca::Refused { why } = ask(&mut sca, &expect)? {
                return Err(format!("the SCA: {why}"));
            }
        }
        self.carried = prints.then_some(otp);
        Ok(())
    }

    fn start(&mut self, agent: &mut dyn Listener, facts: &mut Facts) -> Result<bool, String> {
        let otp = self.carried.clone().flatten();
        self.lead(
            Action::AgentStart,
            ToAgent::Start { otp },
            agent,
            facts,
            begun,
            "the console did not tell the agent to begin",
        )
    }

    fn stop(&mut self, agent: &mut dyn Listener, facts: &mut Facts) -> Result<bool, String> {
        self.lead(
            Action::AgentStop,
            ToAgent::Stop {},
            agent,
            facts,
            called_off,
            "the console did not tell the agent to stop",
        )
    }
}

/// Whom a console turns to in a step.
#[derive(Debug, Clone, Copy)]
enum Whom {
    Agent,
    Sca,
}

/// Who is there where the story has no SCA to talk to.
struct Nobody;

impl Listener for Nobody {
    fn answer(&mut self, _: &str) -> String {
        let refused = FromSca::Refused {
            why: "the SCA is asked for nothing in this step".to_owned(),
        };
        // A text only: writing it cannot fail.
        serde_json::to_string(&refused).unwrap_or_default()
    }
}

fn no_desk(error: std::io::Error) -> String {
    format!("no port on loopback: {error}")
}

/// The one-time password in what it printed.
fn read(command: &CommandLine, source: &super::Source, text: &str) -> Result<String, String> {
    let document = command.output.document(text).unwrap_or_default();
    match source.read(text, &document)? {
        Some(Value::String(otp)) if !otp.is_empty() => Ok(otp),
        _ => Err("it printed no one-time password".to_owned()),
    }
}
