//! Real agents on a simulated machine: MeshCmd, which does one thing, and MeshAgent, which stays.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use amt_sim::device::Event;
use amt_sim::host::backend::Backend;
use amt_sim::{Mode, State};
use anyhow::{Result, ensure};

use super::PORT;
use super::group::Group;
use super::namespace::{Namespace, Program};
use super::server::Server;
use crate::interop::in_setup;

/// Who brings the host's TCP connections to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ports {
    /// The agent, over LME, as MeshCmd and MeshAgent do where no LMS runs.
    Agent,
    /// The simulator listens on the ports as if LMS ran.
    Local,
}

/// One machine, over several runs.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) amt_sim: &'a Path,
    pub(super) backend: Backend,
    pub(super) profile: &'static str,
    /// Another number is another machine.
    pub(super) seed: u64,
    folder: PathBuf,
    /// Root certificate that is trusted for provisioning.
    root: PathBuf,
    /// More arguments of `amt-sim run`: the life that a new machine has behind it.
    past: Vec<&'static str>,
    runs: u32,
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        amt_sim: &'a Path,
        backend: Backend,
        profile: &'static str,
        seed: u64,
        folder: PathBuf,
        root: PathBuf,
    ) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self {
            amt_sim,
            backend,
            profile,
            seed,
            folder,
            root,
            past: Vec::new(),
            runs: 0,
        })
    }

    /// Lets the machine be provisioned already.
    pub(super) fn was_provisioned(&mut self, preset: &'static str, password: &'static str) {
        self.past = vec!["--preset", preset, "--admin-password", password];
    }

    /// Lets the machine be one whose owner has chosen a password in MEBx.
    pub(super) fn mebx_password_was_set(&mut self, namespace: &Namespace) -> Result<()> {
        self.start(namespace, Ports::Agent, &[OsStr::new("true")])?
            .finish(30)?;
        let mut state = self.state()?;
        state.mebx_password_set = true;
        fs::write(self.memory(), serde_json::to_string(&state)?)?;
        Ok(())
    }

    /// Lets the machine be one on which set-up over the network has begun.
    pub(super) fn setup_was_begun(&self) -> Result<()> {
        let seed = self.seed.to_string();
        let trust = [OsStr::new("--trust"), self.root.as_os_str()];
        in_setup::begun(self.amt_sim, &self.memory(), &self.folder, &seed, &trust)
    }

    /// Starts a program that sees the device of this machine.
    pub(super) fn start(
        &mut self,
        namespace: &Namespace,
        ports: Ports,
        words: &[&OsStr],
    ) -> Result<Program> {
        self.runs += 1;
        let backend = self.backend.to_string();
        let seed = self.seed.to_string();
        let state = self.memory();
        let journal = self.journal();
        let mut all: Vec<&OsStr> = vec![self.amt_sim.as_os_str()];
        all.extend(["run", "--quiet", "--backend", &backend].map(OsStr::new));
        all.extend(["--profile", self.profile, "--seed", &seed].map(OsStr::new));
        all.extend([OsStr::new("--state"), state.as_os_str()]);
        all.extend([OsStr::new("--journal"), journal.as_os_str()]);
        all.extend([OsStr::new("--trust"), self.root.as_os_str()]);
        all.extend(self.past.iter().map(OsStr::new));
        if ports == Ports::Local {
            all.push(OsStr::new("--local-ports"));
        }
        all.push(OsStr::new("--"));
        all.extend(words);
        let log = self.folder.join(format!("run-{}.log", self.runs));
        namespace.start(&all, &[], &self.folder, &log)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The device's memory as the last run left it, or as it is now.
    pub(super) fn state(&self) -> Result<State> {
        in_setup::memory(&self.memory())
    }

    fn memory(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    fn journal(&self) -> PathBuf {
        self.folder.join(format!("journal-{}.jsonl", self.runs))
    }

    /// What happened in the last run.
    pub(super) fn events(&self) -> Result<Vec<Event>> {
        in_setup::events(&self.journal())
    }

    /// The mode changes of the last run.
    pub(super) fn mode_changes(&self) -> Result<Vec<Mode>> {
        let modes = self.events()?.into_iter().filter_map(|event| match event {
            Event::ModeChanged { to, .. } => Some(to),
            _ => None,
        });
        Ok(modes.collect())
    }

    pub(super) fn went_to(&self, mode: Mode) -> Result<()> {
        let modes = self.mode_changes()?;
        ensure!(
            modes.last() == Some(&mode),
            "the journal's mode changes: expected the last to be {mode:?}, actual {modes:?}"
        );
        Ok(())
    }

    /// The machine's UUID, as the device would tell it.
    pub(super) fn uuid(&self) -> Result<String> {
        Ok(self.device()?.identity().uuid.to_string())
    }

    /// What its passwords are for.
    pub(super) fn realm(&self) -> Result<String> {
        Ok(self.device()?.identity().digest_realm.clone())
    }

    fn device(&self) -> Result<amt_sim::Device> {
        let device = amt_sim::Device::builder(self.profile).seed(self.seed);
        Ok(device.build()?)
    }

    /// What MeshCmd, started anew, says about the device.
    pub(super) fn amtinfo(&mut self, namespace: &Namespace, meshcmd: &Path) -> Result<String> {
        const LOST_ANSWER: &str = "fs.read.bufferFD.callback()";
        const ATTEMPTS: u32 = 3;
        let words = [meshcmd.as_os_str(), OsStr::new("amtinfo")];
        let mut attempt = 1;
        loop {
            let mut program = self.start(namespace, Ports::Agent, &words)?;
            match program.finish(30) {
                // The agent's own fault on a busy machine; see the rows of MeshCmd.
                Err(_) if attempt < ATTEMPTS && program.printed().contains(LOST_ANSWER) => {
                    attempt += 1;
                }
                result => {
                    result?;
                    return Ok(program.printed());
                }
            }
        }
    }

    pub(super) fn is_in(
        &mut self,
        namespace: &Namespace,
        meshcmd: &Path,
        shown: &str,
    ) -> Result<()> {
        let printed = self.amtinfo(namespace, meshcmd)?;
        ensure!(
            printed.contains(shown),
            "`meshcmd amtinfo` afterwards: expected {shown:?}, actual:\n{printed}"
        );
        Ok(())
    }

    /// `meshcmd amtconfig`: brings the device to the server and lets it do what the group's policy says.
    pub(super) fn start_meshcmd(
        &mut self,
        server: &Server,
        ports: Ports,
        meshcmd: &Path,
        group: &Group,
    ) -> Result<Program> {
        let url = format!("wss://127.0.0.1:{PORT}/{}apf.ashx", group.path());
        let id = group.id();
        let words = [
            meshcmd.as_os_str(),
            OsStr::new("amtconfig"),
            OsStr::new("--url"),
            OsStr::new(&url),
            OsStr::new("--id"),
            OsStr::new(&id),
        ];
        self.start(&server.namespace, ports, &words)
    }

    /// A MeshAgent, installed anew into a folder of its own and run in the foreground.
    pub(super) fn start_meshagent(
        &mut self,
        server: &Server,
        ports: Ports,
        package: &Path,
        group: &Group,
    ) -> Result<Program> {
        let folder = self.folder.join(format!("agent-{}", self.runs + 1));
        fs::create_dir_all(&folder)?;
        let program = folder.join("meshagent");
        fs::copy(package.join("agents/meshagent_x86-64"), &program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let settings = [
            "MeshName=interop".to_owned(),
            format!("MeshType={}", group.members as u8),
            format!("MeshID=0x{}", group.digits()),
            format!("ServerID={}", server.id),
            format!(
                "MeshServer=wss://127.0.0.1:{PORT}/{}agent.ashx",
                group.path()
            ),
            String::new(),
        ];
        fs::write(folder.join("meshagent.msh"), settings.join("\r\n"))?;
        let mut go_there = OsString::from("--chdir=");
        go_there.push(&folder);
        let words = [
            OsStr::new("env"),
            go_there.as_os_str(),
            OsStr::new("./meshagent"),
            OsStr::new("run"),
        ];
        self.start(&server.namespace, ports, &words)
    }
}
