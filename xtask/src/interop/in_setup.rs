//! A machine on which set-up over the network has begun: what an agent that is there meanwhile says, held against what
//! the device itself wrote down.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use amt_sim::device::{Event, KeyStage};
use amt_sim::host::port::{MeiPort, SocketPort};
use amt_sim::{ClientKind, Mode, State};
use anyhow::{Context, Result, ensure};

use super::run::{Output, Setting, under_device};
use super::{Bench, tools};

/// A local agent's part in the older flow: the one-time password, and the start.
pub(super) fn start(socket: &Path) -> Result<()> {
    const SET_OTP: u8 = 0x2a;
    const START_EX: u8 = 0x62;
    let mut amthi = SocketPort::at(socket).connect(ClientKind::Amthi.guid())?;
    let steps: [(u8, &[u8]); 2] = [(SET_OTP, b"\x0c\0PassWord1234"), (START_EX, &[0; 4])];
    for (command, data) in steps {
        let length = u8::try_from(data.len())?;
        let mut message = vec![1, 1, 0, 0, command, 0, 0, 4, length, 0, 0, 0];
        message.extend(data);
        amthi.send(&message)?;
        let answer = amthi.receive(Duration::from_secs(5))?;
        ensure!(
            answer.get(12..16) == Some([0; 4].as_slice()),
            "command {command:#x}: expected status 0, actual {answer:02x?}"
        );
    }
    Ok(())
}

/// A device's memory file.
pub(super) fn memory(path: &Path) -> Result<State> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).context("the device's memory")
}

/// A device's journal. The last line may be half written when the device was ended from outside.
pub(super) fn events(path: &Path) -> Result<Vec<Event>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let entries = text.lines().filter_map(|line| {
        let entry: amt_sim::device::Entry = serde_json::from_str(line).ok()?;
        Some(entry.event)
    });
    Ok(entries.collect())
}

/// How far set-up has come while the agent looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The key takes seven minutes of the wall's time.
    KeyInTheMaking,
    /// The same twenty times as fast: still longer than the agent is there.
    KeyInTheMakingScaled,
    /// The key is there, the interface open, and nobody answers the Hello messages.
    SayingHello,
}

impl Stage {
    pub(super) const ALL: [Self; 3] = [
        Self::KeyInTheMaking,
        Self::KeyInTheMakingScaled,
        Self::SayingHello,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::KeyInTheMaking => "amtinfo while the device makes its key",
            Self::KeyInTheMakingScaled => "amtinfo while it makes its key in twentyfold time",
            Self::SayingHello => "amtinfo while it says Hello",
        }
    }

    const fn time(self) -> &'static str {
        match self {
            Self::KeyInTheMaking => "real",
            Self::KeyInTheMakingScaled => "scaled:20",
            Self::SayingHello => "jump",
        }
    }

    const fn answers(self) -> &'static str {
        match self {
            Self::KeyInTheMakingScaled => "timings.mei_reply_ms=400",
            Self::KeyInTheMaking | Self::SayingHello => "timings.mei_reply_ms=20",
        }
    }
}

pub(super) const PROFILE: &str = "tiger-lake-15";
const SEED: &str = "131";

/// A device on which set-up was started, and which was switched off then: its memory file. `more` are arguments of
/// `amt-sim serve`.
pub(super) fn begun(
    amt_sim: &Path,
    memory: &Path,
    folder: &Path,
    seed: &str,
    more: &[&OsStr],
) -> Result<()> {
    struct Ended(Child);
    impl Drop for Ended {
        fn drop(&mut self) {
            // Nothing can be done about a process that is gone already.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let socket = folder.join("mei");
    let serve = Command::new(amt_sim)
        .args(["serve", "--profile", PROFILE, "--seed", seed])
        .args(more)
        .arg("--state")
        .arg(memory)
        .arg("--mei-socket")
        .arg(&socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let mut serve = Ended(serve);
    let until = Instant::now() + Duration::from_secs(30);
    while !socket.exists() {
        let ended = serve.0.try_wait()?;
        ensure!(
            ended.is_none() && Instant::now() < until,
            "`amt-sim serve` is not ready"
        );
        thread::sleep(Duration::from_millis(20));
    }
    start(&socket)
}

/// Runs the agent at one stage, and sees to it that the device was there from its first to its last word.
pub(super) fn look(
    bench: &Bench,
    stage: Stage,
    program: &Path,
    arguments: &[&str],
) -> Result<Output> {
    let folder = tools::clean_folder("in-setup")?;
    let (state, journal) = (folder.join("state.json"), folder.join("journal.jsonl"));
    let amt_sim = &bench.programs.amt_sim;
    begun(amt_sim, &state, &folder, SEED, &[])?;
    let text = |path: &PathBuf| path.display().to_string();
    let (state_text, journal_text) = (text(&state), text(&journal));
    let device = [
        ["--seed", SEED],
        ["--state", &state_text],
        ["--journal", &journal_text],
        ["--time", stage.time()],
        // Nobody is there.
        ["--sca", "127.0.0.1:9"],
        // Answers take as long as ever on the wall: MeshCmd loses those that come at once.
        ["--set", stage.answers()],
    ];
    let setting = Setting {
        backend: bench.backends[0],
        profile: PROFILE,
        device: device.as_flattened(),
        unprivileged: false,
        seconds: Setting::SECONDS,
    };
    let output = under_device(amt_sim, &setting, program, arguments, &folder)?.succeeded()?;
    ensure!(
        memory(&state)?.mode == Mode::SetupOutOfBand,
        "the agent ended set-up"
    );
    let events = events(&journal)?;
    let has = |wanted: KeyStage| {
        events
            .iter()
            .any(|event| matches!(event, Event::KeyGeneration { stage, .. } if *stage == wanted))
    };
    let called = events
        .iter()
        .any(|event| matches!(event, Event::Hello { .. }));
    let made = stage == Stage::SayingHello;
    ensure!(
        has(KeyStage::Started) && has(KeyStage::Finished) == made && called == made,
        "{stage:?}: the journal tells of another stage"
    );
    Ok(output)
}
