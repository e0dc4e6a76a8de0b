//! The guide's out-of-band flow for somebody who has never seen it: four roles, played live in the terminal.
//!
//! Everybody in it is real but for the time: the device is the one that every scenario runs on, and what is drawn is
//! its journal. Seven minutes of key generation are jumped over.

mod events;
mod lanes;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amt_sim::{Device, Profile};

use self::events::Reader;
use self::lanes::{Lane, Line, Tone, What, draw, head, paint, wrapped};
use crate::fact::{Fact, Facts, show};
use crate::role::certificates::{CertificateForm, Identity, fingerprint};
use crate::role::network::{Company, Field};
use crate::role::setup::Host;
use crate::role::{ActionReport, Clock, Ending, Misbehaviour};
use crate::run::{Observed, VIRTUAL_EPOCH, VirtualDevice, VirtualLan};
use crate::scenario::{Action, Order, Outcome};

/// How it is played.
#[derive(Debug)]
pub struct Demo {
    pub profile: Profile,
    pub seed: u64,
    pub misbehaviour: Option<Misbehaviour>,
    /// Rest after each line.
    pub pace: Duration,
    pub width: usize,
    pub colour: bool,
}

/// Why it could not be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    #[error("{0}")]
    Device(#[from] amt_sim::BuildError),
    #[error("{0}")]
    Profile(#[from] amt_sim::device::ProfileError),
    #[error("{0}")]
    Certificate(#[from] crate::role::certificates::CertificateError),
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// One thing that must be so of an SCA, and whether it was.
struct Judgement {
    good: bool,
    text: String,
}

impl Demo {
    /// Plays it, and says whether everything was as it should be.
    pub fn play(self, out: &mut dyn Write) -> Result<bool, DemoError> {
        let started = Instant::now();
        let root = Identity::of(CertificateForm::Good)?;
        let hash = fingerprint(root.chain.last().map(Vec::as_slice).unwrap_or_default());
        let trusted = format!(
            "[{{ name = \"the root of the SCA\", algorithm = \"sha256\", hash = \"{hash}\" }}]"
        );
        let profile = self.profile.with("certificates.custom", &trusted)?;
        let device = Device::of(Arc::new(profile.clone()))
            .seed(self.seed)
            .build()?;
        let world = VirtualDevice::new(device);
        let mut stage = Stage {
            lan: VirtualLan::new(world.clone(), profile, self.seed),
            company: Company::new(self.seed, self.misbehaviour),
            world,
            reader: Reader::default(),
            facts: Facts::new(),
            demo: &self,
            out,
        };
        let good = stage.play()?;
        stage.conclude(good, started.elapsed())
    }
}

/// The play while it goes on.
struct Stage<'d> {
    demo: &'d Demo,
    world: VirtualDevice,
    lan: VirtualLan,
    company: Company,
    reader: Reader,
    /// Of the last action that told it.
    facts: Facts,
    out: &'d mut dyn Write,
}

impl Stage<'_> {
    fn play(&mut self) -> Result<bool, DemoError> {
        let Demo {
            profile, colour, ..
        } = self.demo;
        let title = "The out-of-band flow of Intel AMT, with a local agent";
        writeln!(self.out, "{}", paint(title, "1", *colour))?;
        writeln!(self.out, "on {}", profile.title)?;
        writeln!(self.out, "\n{}", head(*colour))?;

        let (console, agent, device, sca) = (Lane::Console, Lane::Agent, Lane::Device, Lane::Sca);
        self.says(console, agent, "what machine is this?", Tone::Plain)?;
        let ordered = self.act(Action::ConsoleOrder)?;
        if !ordered {
            return Ok(false);
        }
        let version = &profile.firmware.amt;
        self.says(
            agent,
            console,
            &format!("AMT {version}, and its UUID"),
            Tone::Plain,
        )?;
        let [major, ..] = profile.firmware.parts();
        if major >= 15 {
            let text =
                "from 15 on the guide recommends set-up through the host; this is the older way";
            self.happens(console, text, Tone::Plain)?;
        }
        self.happens(
            console,
            "makes a one-time password for this machine",
            Tone::Bright,
        )?;
        self.says(
            console,
            sca,
            "expect that UUID with that password",
            Tone::Plain,
        )?;
        self.says(console, agent, "begin, with that password", Tone::Plain)?;
        if !self.act(Action::AgentStart)? {
            return Ok(false);
        }
        self.says(agent, console, "begun", Tone::Plain)?;
        if !self.act(Action::ScaAwaitHello)? {
            return Ok(false);
        }
        self.happens(
            sca,
            "it is one that the console ordered, and knows our root",
            Tone::Plain,
        )?;
        if !self.act(Action::ScaConfigure)? {
            return Ok(false);
        }
        self.happens(device, "its ports come up anew", Tone::Plain)?;
        if !self.act(Action::ScaReturn)? {
            return Ok(false);
        }
        self.says(sca, console, "it is configured", Tone::Bright)?;
        Ok(true)
    }

    /// Lets a role act and draws what the device saw of it. Says whether it went well.
    fn act(&mut self, action: Action) -> Result<bool, DemoError> {
        let field = Field {
            host: Host {
                port: &self.world,
                clock: &self.world,
            },
            lan: &self.lan,
            epoch: VIRTUAL_EPOCH,
        };
        let report: ActionReport = self.company.act(action, &Order::default(), field);
        for line in self.reader.lines(&self.world.journal()) {
            self.show(&line)?;
        }
        self.facts.extend(report.facts);
        let good = report.ending == Ending::Outcome(Outcome::Done);
        if !good {
            let who = match action {
                Action::ConsoleOrder => Lane::Console,
                Action::AgentStart | Action::AgentStop => Lane::Agent,
                _ => Lane::Sca,
            };
            let why = report.remarks.first().cloned();
            let why = why.unwrap_or_else(|| "it did not work".to_owned());
            let why = why
                .split_once(": ")
                .map_or(why.as_str(), |(_, why)| why)
                .to_owned();
            self.happens(who, &why, Tone::Bad)?;
        }
        Ok(good)
    }

    fn says(&mut self, from: Lane, to: Lane, text: &str, tone: Tone) -> Result<(), DemoError> {
        self.now(What::Says { from, to }, text, tone)
    }

    fn happens(&mut self, at: Lane, text: &str, tone: Tone) -> Result<(), DemoError> {
        self.now(What::Alone(at), text, tone)
    }

    fn now(&mut self, what: What, text: &str, tone: Tone) -> Result<(), DemoError> {
        let line = Line {
            at: Clock::now(&self.world),
            what,
            text: text.to_owned(),
            tone,
        };
        self.show(&line)
    }

    fn show(&mut self, line: &Line) -> Result<(), DemoError> {
        let drawn = draw(line, self.demo.width, self.demo.colour);
        self.out.write_all(drawn.as_bytes())?;
        self.out.flush()?;
        std::thread::sleep(self.demo.pace);
        Ok(())
    }

    fn conclude(self, finished: bool, took: Duration) -> Result<bool, DemoError> {
        let colour = self.demo.colour;
        let judged = self.judge();
        let good = finished && judged.iter().all(|judgement| judgement.good);
        writeln!(self.out, "\n{}", paint("What happened", "1", colour))?;
        let minutes = Clock::now(&self.world).as_secs() / 60;
        let mode = self
            .facts
            .get(&Fact::CONTROL_MODE)
            .map_or_else(String::new, show);
        let summary = match finished {
            true => format!(
                "The device is in control mode {mode}. It lived {minutes} minutes; you waited {:.1} s.",
                took.as_secs_f64()
            ),
            false => format!("The flow was not finished; the device is in control mode {mode}."),
        };
        for line in wrapped(&summary, self.demo.width.saturating_sub(2)) {
            writeln!(self.out, "  {line}")?;
        }
        for judgement in &judged {
            let (mark, code) = match judgement.good {
                true => ("ok  ", "32"),
                false => ("BAD ", "1;31"),
            };
            writeln!(
                self.out,
                "  {} {}",
                paint(mark, code, colour),
                judgement.text
            )?;
        }
        writeln!(self.out, "\n{}", paint("What to try next", "1", colour))?;
        let name = &self.demo.profile.name;
        for (command, why) in [
            (
                "conformance demo --misbehave sca-skips-otp".to_owned(),
                "the same with an SCA that never compares the password",
            ),
            (
                "conformance run --filter 'flow.* or sca.*'".to_owned(),
                "all stories of this flow, each with a verdict",
            ),
            (
                format!("amt-sim run --profile {name} -- conformance agent discover"),
                "a program that sees the device as /dev/mei0",
            ),
            (
                "conformance run --target rpc-go --program rpc=PATH".to_owned(),
                "a real agent",
            ),
        ] {
            writeln!(self.out, "  {command}\n      {}", paint(why, "2", colour))?;
        }
        Ok(good)
    }

    /// What the device's own record says of the SCA.
    fn judge(&self) -> Vec<Judgement> {
        let mut seen = Facts::new();
        Observed::of(&self.world.journal()).tell(&mut seen);
        let said = |fact: Fact| seen.get(&fact).map_or_else(String::new, show);
        let mut judged = Vec::new();
        let mut add = |good: bool, text: &str, otherwise: String| {
            let text = if good { text.to_owned() } else { otherwise };
            judged.push(Judgement { good, text });
        };
        if said(Fact::SCA_CONNECTIONS) == "0" {
            return judged;
        }
        add(
            said(Fact::SCA_OTP_READ) == "before-writes",
            "the SCA read the one-time password before it wrote anything",
            format!(
                "when the SCA read the one-time password: {}",
                said(Fact::SCA_OTP_READ)
            ),
        );
        add(
            said(Fact::SCA_IN_THE_CLEAR) == "false" && said(Fact::SCA_PLAIN_LOGINS) == "0",
            "everything that it sent was under TLS",
            "the SCA sent something without TLS".to_owned(),
        );
        add(
            said(Fact::SCA_GOES_ON) == "0",
            "nothing that it asked for was refused, or it stopped there",
            "the SCA went on after a refusal".to_owned(),
        );
        add(
            said(Fact::SCA_MEBX) == "before-commit",
            "it set the MEBx password before it committed",
            format!(
                "when the SCA set the MEBx password: {}",
                said(Fact::SCA_MEBX)
            ),
        );
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(misbehaviour: Option<Misbehaviour>) -> (bool, String) {
        let demo = Demo {
            profile: Profile::builtin("comet-lake-14").unwrap(),
            seed: 1,
            misbehaviour,
            pace: Duration::ZERO,
            width: 100,
            colour: false,
        };
        let mut out = Vec::new();
        let good = demo.play(&mut out).unwrap();
        (good, String::from_utf8(out).unwrap())
    }

    #[test]
    fn from_the_first_question_to_the_last_answer() {
        let (good, shown) = played(None);
        assert!(good, "{shown}");
        for part in [
            "what machine is this?",
            "SetProvisioningServerOTP",
            "makes the key of its certificate: 7 minutes",
            "Hello, number 1",
            "mc.corp.example is believed",
            "CommitChanges",
            "it is configured",
            "What to try next",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("BAD"), "{shown}");
    }

    #[test]
    fn a_mistake_shows() {
        let (good, shown) = played(Some(Misbehaviour::ScaSkipsOtp));
        assert!(!good);
        assert!(shown.contains("BAD  when the SCA read"), "{shown}");
    }
}
