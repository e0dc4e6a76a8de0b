//! A real MeshCentral server.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::group::{DNS_SUFFIX, activation_log, database, settings};
use super::namespace::{Namespace, Program};
use crate::interop::run::limited;
use crate::interop::tools;
use crate::workspace;

/// A server that is ready for agents.
#[derive(Debug)]
pub(super) struct Server {
    program: Program,
    pub(super) namespace: Rc<Namespace>,
    folder: PathBuf,
    without: Option<Repair>,
    /// SHA-384 of the key that agents shall find the server to have.
    pub(super) id: String,
    /// Root of the provisioning certificate.
    pub(super) root: PathBuf,
}

/// What the pre-loaded script repairs, by the names that it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repair {
    ChainOrder,
    DeclaredVersion,
    PasswordName,
    AskAgain,
}

impl Repair {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ChainOrder => "chain-order",
            Self::DeclaredVersion => "declared-version",
            Self::PasswordName => "password-name",
            Self::AskAgain => "ask-again",
        }
    }
}

/// In files that every server loads as it starts; the one that hears Hello messages comes later.
const AT_START: [Repair; 3] = [
    Repair::DeclaredVersion,
    Repair::PasswordName,
    Repair::AskAgain,
];

/// What a server is started with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) package: &'a Path,
    pub(super) amt_sim: &'a Path,
    /// Everything that it leaves behind goes there.
    pub(super) folder: &'a Path,
    /// A repair that it does not get.
    pub(super) without: Option<Repair>,
    /// A server that ran before, whose certificates it takes over: making them takes longer than all the rest.
    pub(super) like: Option<&'a Server>,
}

/// Making certificates takes most of it.
const STARTS_WITHIN: u64 = 240;

impl Server {
    pub(super) fn start(start: Start<'_>, namespace: Namespace) -> Result<Self> {
        let Start {
            package,
            amt_sim,
            folder,
            ..
        } = start;
        let namespace = Rc::new(namespace);
        let scripts = scripts();
        let certificates = folder.join("ca");
        let export = [
            OsStr::new("ca"),
            OsStr::new("export"),
            certificates.as_os_str(),
            OsStr::new("--name"),
            OsStr::new(DNS_SUFFIX),
        ];
        limited(180, amt_sim.as_os_str(), &export, folder)?.succeeded()?;
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        if let Some(like) = start.like {
            like.hand_down(&data)?;
        }
        fs::write(data.join("meshcentral.db"), database())?;
        let settings = settings(text(folder)?, text(&certificates)?);
        fs::write(data.join("config.json"), settings.to_string())?;

        let mut preload = OsString::from("--require=");
        preload.push(scripts.join("preload.js"));
        let words = [
            OsStr::new("node"),
            package.as_os_str(),
            OsStr::new("--datapath"),
            data.as_os_str(),
        ];
        let without = OsStr::new(start.without.map_or("", Repair::name));
        let program = namespace.start(
            &words,
            &[("NODE_OPTIONS", &preload), ("MESHCENTRAL_WITHOUT", without)],
            folder,
            &folder.join("server.log"),
        )?;
        let mut server = Self {
            program,
            namespace,
            folder: folder.to_owned(),
            without: start.without,
            id: String::new(),
            root: certificates.join("root.pem"),
        };
        let ready = format!(
            "MeshCentral HTTPS server running on mc.corp.example:{}",
            super::PORT
        );
        let started = server.program.prints(0, &[&ready], STARTS_WITHIN, None);
        started.with_context(|| format!("it printed:\n{}", server.program.tail()))?;
        server.has_its_repairs()?;
        let public = data.join("agentserver-cert-public.crt");
        let script = scripts.join("server-id.js");
        let words = [script.as_os_str(), public.as_os_str()];
        let output = limited(120, "node".as_ref(), &words, folder)?.succeeded()?;
        server.id = output.stdout.trim().to_owned();
        Ok(server)
    }

    /// Copies what takes long to make: certificates with their keys, and the programs that were signed with one.
    fn hand_down(&self, to: &Path) -> Result<()> {
        let from = self.folder.join("data");
        let signed = Path::new("signedagents");
        fs::create_dir_all(to.join(signed))?;
        for folder in [Path::new(""), signed] {
            for entry in fs::read_dir(from.join(folder))? {
                let name = entry?.file_name();
                let file = folder.join(&name);
                let is = |end: &str| Path::new(&name).extension() == Some(OsStr::new(end));
                if is("crt") || is("key") || is("exe") {
                    fs::copy(from.join(&file), to.join(&file))?;
                }
            }
        }
        Ok(())
    }

    /// A repair that does not match ends the server; a file that was never loaded would go unnoticed.
    fn has_its_repairs(&self) -> Result<()> {
        AT_START.into_iter().try_for_each(|repair| self.has(repair))
    }

    fn has(&self, repair: Repair) -> Result<()> {
        let line = format!("PRELOAD: repaired {}", repair.name());
        let there = self.program.printed().contains(&line);
        ensure!(
            there == (self.without != Some(repair)),
            "{} was repaired: expected {}, actual {there}",
            repair.name(),
            !there
        );
        Ok(())
    }

    /// Waits until the server hears Hello messages.
    pub(super) fn hears_hello(&mut self) -> Result<()> {
        let ready = "provisioning server running on port";
        self.program.prints(0, &[ready], STARTS_WITHIN, None)?;
        self.has(Repair::ChainOrder)
    }

    /// Waits until the server has nothing more to say about agents that are gone.
    pub(super) fn settle(&self) {
        /// A connection that its agent left is noticed at once.
        const QUIET: Duration = Duration::from_millis(500);
        const AT_MOST: u32 = 6;
        let mut before = self.mark();
        for _ in 0..AT_MOST {
            thread::sleep(QUIET);
            let now = self.mark();
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// How much the server has said; give it to `says`.
    pub(super) fn mark(&self) -> usize {
        self.program.printed().len()
    }

    /// Waits until the server has said one of these since the mark, as long as the agent is there.
    pub(super) fn says(
        &mut self,
        mark: usize,
        texts: &[&str],
        seconds: u64,
        agent: &mut Program,
    ) -> Result<usize> {
        self.program.prints(mark, texts, seconds, Some(agent))
    }

    /// The line since the mark that holds this text, and where it ends.
    pub(super) fn whole_line(&self, mark: usize, text: &str) -> Result<(String, usize)> {
        let printed = self.program.printed();
        let found = printed.get(mark..).and_then(|new| new.find(text));
        let start = mark + found.with_context(|| format!("{text:?} is gone from the log"))?;
        let rest = printed.get(start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        Ok((line.to_owned(), start + line.len()))
    }

    /// What the server said about AMT since the mark, without the traffic.
    pub(super) fn story(&self, mark: usize) -> String {
        let printed = self.program.printed();
        let new = printed.get(mark..).unwrap_or_default();
        let told: Vec<&str> = new
            .lines()
            .filter(|line| line.starts_with("AMT:") || line.contains("rror"))
            .collect();
        super::namespace::last_lines(&told.join("\n"), 20)
    }

    /// The line about this device in the log of activations, which the server writes before it activates.
    pub(super) fn activation(&self, uuid: &str, domain: &str) -> Result<serde_json::Value> {
        let path = self.folder.join("data").join(activation_log(domain));
        let log = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines
            .find(|line| {
                let logged = line["amtUuid"].as_str();
                logged.is_some_and(|logged| logged.eq_ignore_ascii_case(uuid))
            })
            .with_context(|| format!("{uuid} is not in the log of activations:\n{log}"))
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{}: not UTF-8", path.display()))
}

/// Our scripts for the server and its agents.
pub(super) fn scripts() -> PathBuf {
    workspace::root().join("xtask/agents/meshcentral")
}

/// A folder of its own, below the target folder, for everything that a run leaves behind.
pub(super) fn folder() -> Result<PathBuf> {
    tools::clean_folder("meshcentral")
}
