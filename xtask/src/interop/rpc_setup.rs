//! rpc-go sets devices up in-band and takes them down again: client control mode, admin control mode by a
//! provisioning certificate of the project's own authority, the upgrade from one to the other.
//!
//! Each life is one device with a memory file; every command of it is one run of the real program. After each the
//! memory, and what `amtinfo` prints, must show the new mode.

use std::path::{Path, PathBuf};

use amt_sim::pki::pem;
use amt_sim::{Mode, State};
use anyhow::{Context, Result, ensure};

use super::Bench;
use super::rpc::{Line, PROGRAM};
use super::run::{Output, Setting, limited, under_device};
use super::table::{Outcome, Table};
use super::tools;

/// Without TLS on the local ports: AMT 11.8, 14.1, 16.1, 18.
const PROFILES: [&str; 4] = [
    "skylake-11",
    "comet-lake-14",
    "alder-lake-16",
    "meteor-lake-18",
];

/// With nothing but TLS on the local ports. The root behind their on-die chains is not the one in the program, so
/// that it is told not to verify them; with its check on: `rpc_checked`.
pub(super) const TLS_PROFILES: [&str; 2] = ["arrow-lake-19", "lunar-lake-20"];

pub(super) const PASSWORD: &str = "P@ssw0rd1";

/// What is done to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Client,
    Admin,
    DeactivateClient,
    DeactivateAdmin,
}

impl Act {
    pub(super) const fn leads_to(self) -> Mode {
        match self {
            Self::Client => Mode::Client,
            Self::Admin => Mode::Admin,
            Self::DeactivateClient | Self::DeactivateAdmin => Mode::PreProvisioning,
        }
    }

    /// How rpc-go is told to. `pfx` is the provisioning certificate in base64.
    pub(super) fn words(self, line: Line, pfx: &str) -> Vec<&str> {
        match self {
            Self::Client => vec!["activate", "--local", "--ccm", "--password", PASSWORD],
            Self::Admin => vec![
                "activate",
                "--local",
                "--acm",
                line.admin_password_flag(),
                PASSWORD,
                "--provisioningCert",
                pfx,
                "--provisioningCertPwd",
                PASSWORD,
            ],
            Self::DeactivateClient => vec!["deactivate", "--local"],
            Self::DeactivateAdmin => vec!["deactivate", "--local", "--password", PASSWORD],
        }
    }

    /// Holds what `amtinfo --json` printed against the mode that this leads to.
    pub(super) fn is_shown(self, line: Line, printed: Output) -> Result<()> {
        let seen = printed.succeeded()?.json()?;
        let expected = line.control_mode(self.leads_to());
        ensure!(
            seen["controlMode"] == expected,
            "amtinfo: expected {expected:?}, actual {}",
            seen["controlMode"]
        );
        Ok(())
    }
}

struct Life {
    title: &'static str,
    acts: &'static [Act],
    /// The 2.x line calls a device in client control mode "already activated".
    new: bool,
}

const LIVES: &[Life] = &[
    Life {
        title: "activate --ccm, deactivate",
        acts: &[Act::Client, Act::DeactivateClient],
        new: false,
    },
    Life {
        title: "activate --acm, deactivate",
        acts: &[Act::Admin, Act::DeactivateAdmin],
        new: false,
    },
    Life {
        title: "activate --ccm, upgrade to admin, deactivate",
        acts: &[Act::Client, Act::Admin, Act::DeactivateAdmin],
        new: true,
    },
];

/// Nobody upgrades there: AddNextCertInChain is not what the program does over TLS.
const TLS_LIVES: &[Life] = LIVES.split_at(2).0;

/// How the program reaches the firmware's web server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Over `/dev/mei0`: no LMS.
    Lme,
    /// As with LMS: a local port.
    LocalPort,
}

pub(crate) fn checks(bench: &Bench, program: &Path, line: Line, version: &str, table: &mut Table) {
    let authority = match authority(bench) {
        Ok(authority) => authority,
        Err(error) => {
            let failed = Outcome::Failed(format!("{error:#}"));
            return table.add(PROGRAM, version, "amt-sim ca export", failed);
        }
    };
    let plain = PROFILES.map(|profile| (profile, LIVES));
    let tls = TLS_PROFILES.map(|profile| (profile, TLS_LIVES));
    for (profile, lives) in plain.into_iter().chain(tls) {
        for (way, name) in [(Way::Lme, "LME"), (Way::LocalPort, "local port")] {
            // The 2.x line does not speak TLS over LME.
            if TLS_PROFILES.contains(&profile) && way == Way::Lme && line == Line::Two {
                continue;
            }
            let lives = lives.iter().filter(|life| line == Line::Three || !life.new);
            for life in lives {
                let device = Device {
                    bench,
                    program,
                    line,
                    profile,
                    way,
                    authority: &authority,
                };
                let title = format!("{}, {profile}, {name}", life.title);
                table.add(PROGRAM, version, &title, Outcome::of(device.live(life)));
            }
        }
    }
}

/// What `amt-sim ca export` made.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) root: PathBuf,
    /// PFX as base64, as rpc-go takes it.
    pub(super) pfx: String,
}

pub(super) fn authority(bench: &Bench) -> Result<Authority> {
    let folder = tools::clean_folder("authority")?;
    limited(
        // It signs a whole laboratory, which takes a machine that is busy a while.
        120,
        bench.programs.amt_sim.as_os_str(),
        &["ca".as_ref(), "export".as_ref(), folder.as_os_str()],
        &folder,
    )?
    .succeeded()?;
    let pfx = folder.join("provisioning.pfx");
    let bytes = std::fs::read(&pfx).with_context(|| pfx.display().to_string())?;
    let armoured = pem("PFX", &bytes);
    Ok(Authority {
        root: folder.join("root.pem"),
        pfx: armoured
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect(),
    })
}

struct Device<'a> {
    bench: &'a Bench,
    program: &'a Path,
    line: Line,
    profile: &'static str,
    way: Way,
    authority: &'a Authority,
}

impl Device<'_> {
    fn live(&self, life: &Life) -> Result<()> {
        let once = self.live_once(life);
        // The 2.x line leaves a reader behind that now and then takes the one message that another waits for.
        let may_hang = self.line == Line::Two && self.way == Way::Lme;
        match once {
            Err(error) if may_hang && format!("{error:#}").contains("did not end") => {
                self.live_once(life).context("tried twice")
            }
            other => other,
        }
    }

    fn live_once(&self, life: &Life) -> Result<()> {
        let folder = tools::clean_folder("rpc-setup")?;
        let memory = folder.join("state.json");
        for act in life.acts {
            self.act(*act, &folder, &memory)
                .with_context(|| format!("{act:?}"))?;
        }
        Ok(())
    }

    fn act(&self, act: Act, folder: &Path, memory: &Path) -> Result<()> {
        let tls = TLS_PROFILES.contains(&self.profile);
        let mut words = act.words(self.line, &self.authority.pfx);
        if tls {
            words.push(self.line.skip_flag());
            if matches!(act, Act::Admin) {
                words.extend(["--mebxpassword", PASSWORD]);
            }
        }
        self.run(&words, folder, memory)?.succeeded()?;
        let text = std::fs::read_to_string(memory)?;
        let state: State = serde_json::from_str(&text).context("the device's memory")?;
        ensure!(
            state.mode == act.leads_to(),
            "expected {}, the device is in {}",
            act.leads_to(),
            state.mode
        );
        let mut words = vec!["amtinfo", "--json"];
        if tls && self.line == Line::Three {
            words.push(self.line.skip_flag());
        }
        act.is_shown(self.line, self.run(&words, folder, memory)?)
    }

    fn run(&self, words: &[&str], folder: &Path, memory: &Path) -> Result<Output> {
        let memory = memory.display().to_string();
        let root = self.authority.root.display().to_string();
        let mut device = vec!["--state", &memory, "--trust", &root];
        if self.way == Way::LocalPort {
            device.push("--local-ports");
        }
        let setting = Setting {
            backend: self.bench.backends[0],
            profile: self.profile,
            device: &device,
            unprivileged: false,
            // The 2.x line waits 20 s for a message that never comes, and 2 s after each answer.
            seconds: 120,
        };
        under_device(
            &self.bench.programs.amt_sim,
            &setting,
            self.program,
            words,
            folder,
        )
    }
}
