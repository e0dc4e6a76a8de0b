//! rpc-go with its check of the on-die chain on: the one root in its memory is replaced by the device's
//! (`--inject-odca-root`), and no flag of its own switches anything off.
//!
//! Every row has a known result: accepted, or refused with these words. A program that does otherwise fails the row,
//! also where it does better than known.

use std::path::{Path, PathBuf};

use amt_sim::State;
use amt_sim::host::backend::Backend;
use amt_sim::pki::WrongChain;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::Bench;
use super::rpc::Line;
use super::rpc_setup::{Act, Authority, PASSWORD, TLS_PROFILES, authority};
use super::run::{Output, Setting, limited, under_device};
use super::table::{Outcome, Table};
use super::tools;

/// The rows are of a name of their own, so that they can be run alone (`--only rpc-go-checked`).
pub(super) const PROGRAM: &str = "rpc-go-checked";

/// What the program is known to do.
#[derive(Debug, Clone, Copy)]
enum Known {
    Accepts,
    /// It ends with a failure, prints this, and the device is not set up.
    Refuses(&'static str),
}

/// One device from the factory on, and what is done to it.
struct Life<'a> {
    title: String,
    profile: &'a str,
    backend: Backend,
    /// Arguments of `amt-sim run`.
    device: Vec<&'a str>,
    /// Environment of the program.
    environment: Option<(&'a str, String)>,
    /// More words for the program.
    words: &'static [&'static str],
    acts: Vec<(Act, Known)>,
    /// Whether the run must have replaced a root.
    injects: bool,
}

const INJECT: &str = "--inject-odca-root";
const PORTS: &str = "--local-ports";

/// The 3.0 line sets no server name for TLS inside LME once a device is set up, so that no certificate would do.
const NO_SERVER_NAME: Known =
    Known::Refuses("either ServerName or InsecureSkipVerify must be specified");
const UNKNOWN_ROOT: Known = Known::Refuses("certificate signed by unknown authority");
/// A device that is set up shows a certificate of its own, which no root stands above.
const OWN_CERTIFICATE: Known = Known::Refuses("UnableToDeactivate");
/// The 2.x line dials the port all the same; in client control mode it does not say so.
const NO_TLS_IN_LME: Known = Known::Refuses("ActivationFailed");
const SKIPPED: &str = "--skipamtcertcheck";
/// The 2.x line looks for the host's name first, which on-die leaves do not have.
const NO_NAME: Known = Known::Refuses("not valid for any names, but wanted to match localhost");

pub(super) fn checks(bench: &Bench, program: &Path, line: Line, version: &str, table: &mut Table) {
    let authority = match authority(bench) {
        Ok(authority) => authority,
        Err(error) => {
            let failed = Outcome::Failed(format!("{error:#}"));
            return table.add(PROGRAM, version, "amt-sim ca export", failed);
        }
    };
    let given = Given {
        bench,
        program,
        line,
        authority: &authority,
    };
    let lives = match line {
        Line::Three => given.lives_of_three(),
        Line::Two => given.lives_of_two(),
    };
    for life in lives {
        let result = given.live(&life);
        table.add(PROGRAM, version, &life.title, Outcome::of(result));
    }
    let result = given.is_refused_without_a_root();
    let title = "--inject-odca-root refuses a program without a root";
    table.add(PROGRAM, version, title, Outcome::of(result));
    if line == Line::Two {
        return;
    }
    match chains() {
        Err(error) => table.add(
            PROGRAM,
            version,
            "rpc_chains.toml",
            Outcome::Failed(format!("{error:#}")),
        ),
        Ok(chains) => {
            for chain in chains {
                let result = given.shown(&chain);
                let title = format!("wrong on-die chain {}", chain.name);
                table.add(PROGRAM, version, &title, Outcome::of(result));
            }
        }
    }
}

/// A wrong chain and what is known to become of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chain {
    name: String,
    admin: String,
    client: String,
    #[serde(default)]
    accepted: String,
}

#[derive(Debug, Deserialize)]
struct Chains {
    chain: Vec<Chain>,
}

/// Those of the file, which must be all that the laboratory has.
fn chains() -> Result<Vec<Chain>> {
    let chains: Chains = toml::from_str(include_str!("rpc_chains.toml"))?;
    let chains = chains.chain;
    for wrong in WrongChain::ALL {
        let known = chains.iter().any(|chain| chain.name == wrong.to_string());
        ensure!(known, "{wrong} has no known result");
    }
    for chain in &chains {
        let is_one = |wrong: &&WrongChain| wrong.to_string() == chain.name;
        let known = WrongChain::ALL.iter().any(|wrong| is_one(&wrong));
        ensure!(known, "no wrong chain is called {}", chain.name);
        let accepted = chain.admin.is_empty() || chain.client.is_empty();
        ensure!(
            accepted != chain.accepted.is_empty(),
            "{}: say why it is accepted, where it is",
            chain.name
        );
    }
    Ok(chains)
}

struct Given<'a> {
    bench: &'a Bench,
    program: &'a Path,
    line: Line,
    authority: &'a Authority,
}

impl Given<'_> {
    fn lives_of_three(&self) -> Vec<Life<'static>> {
        let mut lives = Vec::new();
        for profile in TLS_PROFILES {
            for way in [None, Some(PORTS)] {
                let name = way.map_or("LME", |_| "local port");
                let life = |title: &str, acts: Vec<(Act, Known)>| Life {
                    title: format!("checked: {title}, {profile}, {name}"),
                    profile,
                    backend: self.bench.backends[0],
                    device: [INJECT].into_iter().chain(way).collect(),
                    environment: None,
                    words: &[],
                    acts,
                    injects: true,
                };
                let client = [Act::Client, Act::DeactivateClient].map(|act| (act, Known::Accepts));
                lives.push(life("activate --ccm, deactivate", client.to_vec()));
                let admin = vec![
                    (Act::Admin, Known::Accepts),
                    (Act::DeactivateAdmin, NO_SERVER_NAME),
                ];
                lives.push(life(
                    "activate --acm; deactivate fails on its own",
                    admin.clone(),
                ));
                lives.push(Life {
                    device: way.into_iter().collect(),
                    injects: false,
                    ..life(
                        "its own root does not know the device",
                        vec![(Act::Admin, UNKNOWN_ROOT)],
                    )
                });
            }
        }
        for &backend in self.bench.backends.iter().skip(1) {
            lives.push(Life {
                title: format!("checked: activate --acm, lunar-lake-20, LME, {backend}"),
                profile: "lunar-lake-20",
                backend,
                device: vec![INJECT],
                environment: None,
                words: &[],
                acts: vec![(Act::Admin, Known::Accepts)],
                injects: true,
            });
        }
        lives
    }

    /// It speaks TLS over a local port only, and asks Go's own verifier before its own. With a root in a file and a
    /// name in the leaf that asks for both, its own check is what is left.
    fn lives_of_two(&self) -> Vec<Life<'static>> {
        let mut lives = Vec::new();
        for profile in TLS_PROFILES {
            let life = |title: &str, act: Act, known: Known| Life {
                title: format!("checked: {title}, {profile}"),
                profile,
                backend: self.bench.backends[0],
                device: vec![INJECT, PORTS],
                environment: None,
                words: &[],
                acts: vec![(act, known)],
                injects: true,
            };
            // With its check off, and without injection.
            for act in [Act::Client, Act::Admin] {
                lives.push(Life {
                    title: format!("{SKIPPED} over LME, {act:?}, {profile}"),
                    device: Vec::new(),
                    words: &["--skipamtcertcheck"],
                    injects: false,
                    ..life("", act, NO_TLS_IN_LME)
                });
            }
            lives.push(life(
                "activate --acm wants a host name in the leaf",
                Act::Admin,
                NO_NAME,
            ));
            let root = || ("SSL_CERT_FILE", self.on_die_root(profile));
            let named = vec![INJECT, PORTS, "--set", "tls.on_die_dns_name=localhost"];
            for (title, acts) in [
                (
                    "activate --ccm, deactivate, SSL_CERT_FILE and a name in the leaf",
                    [
                        (Act::Client, Known::Accepts),
                        (Act::DeactivateClient, Known::Accepts),
                    ],
                ),
                (
                    "activate --acm, SSL_CERT_FILE and a name in the leaf; deactivate fails",
                    [
                        (Act::Admin, Known::Accepts),
                        (Act::DeactivateAdmin, OWN_CERTIFICATE),
                    ],
                ),
            ] {
                let (act, _) = acts[0];
                lives.push(Life {
                    device: named.clone(),
                    environment: Some(root()),
                    acts: acts.to_vec(),
                    ..life(title, act, Known::Accepts)
                });
                lives.push(Life {
                    title: format!("checked: {act:?} is refused without injection, {profile}"),
                    device: named[1..].to_vec(),
                    environment: Some(root()),
                    injects: false,
                    ..life(title, act, UNKNOWN_ROOT)
                });
            }
        }
        lives
    }

    /// Where `amt-sim ca odca` writes it.
    fn on_die_root(&self, profile: &str) -> String {
        let export = || -> Result<PathBuf> {
            let folder = tools::clean_folder(&format!("on-die-{profile}"))?;
            let words = ["ca", "odca", "--profile", profile];
            let mut words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
            words.push(folder.as_os_str());
            limited(60, self.bench.programs.amt_sim.as_os_str(), &words, &folder)?.succeeded()?;
            Ok(folder.join("on-die-root.pem"))
        };
        // A row whose root is not there fails and says what the program printed.
        export().map_or_else(
            |error| format!("{error:#}"),
            |path| path.display().to_string(),
        )
    }

    fn live(&self, life: &Life<'_>) -> Result<()> {
        let folder = tools::clean_folder("rpc-checked")?;
        for (act, known) in &life.acts {
            self.act(life, *act, *known, &folder)
                .with_context(|| format!("{act:?}"))?;
        }
        Ok(())
    }

    fn shown(&self, chain: &Chain) -> Result<()> {
        let fault = format!("odca={}", chain.name);
        for (act, says) in [(Act::Admin, &chain.admin), (Act::Client, &chain.client)] {
            let folder = tools::clean_folder("rpc-checked")?;
            let life = Life {
                title: String::new(),
                profile: TLS_PROFILES[0],
                backend: self.bench.backends[0],
                device: vec![INJECT, PORTS, "--fault", &fault],
                environment: None,
                words: &[],
                acts: Vec::new(),
                injects: true,
            };
            let output = self.run(&life, act, &folder)?;
            judge(&output, act, says, &folder).with_context(|| format!("{act:?}"))?;
            journaled(&folder, true)?;
        }
        Ok(())
    }

    fn act(&self, life: &Life<'_>, act: Act, known: Known, folder: &Path) -> Result<()> {
        let output = self.run(life, act, folder)?;
        let says = match known {
            Known::Accepts => "",
            Known::Refuses(says) => says,
        };
        judge(&output, act, says, folder)?;
        journaled(folder, life.injects)?;
        if !says.is_empty() {
            return Ok(());
        }
        let printed = self.run_words(life, &["amtinfo", "--json"], folder)?;
        act.is_shown(self.line, printed)
    }

    fn run(&self, life: &Life<'_>, act: Act, folder: &Path) -> Result<Output> {
        let mut words = act.words(self.line, &self.authority.pfx);
        if act == Act::Admin {
            words.extend(["--mebxpassword", PASSWORD]);
        }
        words.extend(life.words);
        self.run_words(life, &words, folder)
    }

    fn run_words(&self, life: &Life<'_>, words: &[&str], folder: &Path) -> Result<Output> {
        let memory = folder.join("state.json").display().to_string();
        let journal = folder.join("journal").display().to_string();
        let root = self.authority.root.display().to_string();
        let mut device = vec!["--state", &memory, "--trust", &root, "--journal", &journal];
        for word in &life.device {
            // `env` is the program then, and has no root.
            device.push(match (*word, &life.environment) {
                (INJECT, Some(_)) => "--inject-odca-root=descendants",
                (word, _) => word,
            });
        }
        let setting = Setting {
            backend: life.backend,
            profile: life.profile,
            device: &device,
            unprivileged: false,
            seconds: 120,
        };
        let amt_sim = &self.bench.programs.amt_sim;
        match &life.environment {
            None => under_device(amt_sim, &setting, self.program, words, folder),
            // The program's own environment, not the simulator's: `env` becomes the program, and what is expected of
            // the program is expected of what begins under the supervisor.
            Some((name, value)) => {
                let given = format!("{name}={value}");
                let program = self.program.display().to_string();
                let words: Vec<&str> = [given.as_str(), &program]
                    .into_iter()
                    .chain(words.iter().copied())
                    .collect();
                under_device(amt_sim, &setting, Path::new("env"), &words, folder)
            }
        }
    }

    fn is_refused_without_a_root(&self) -> Result<()> {
        const NOT_EXECUTABLE: i32 = 126;
        let setting = Setting {
            backend: self.bench.backends[0],
            profile: TLS_PROFILES[0],
            device: &[INJECT],
            unprivileged: false,
            seconds: Setting::SECONDS,
        };
        let output = under_device(
            &self.bench.programs.amt_sim,
            &setting,
            Path::new("true"),
            &[],
            &tools::clean_folder("rpc-checked")?,
        )?;
        let refused = output.code == Some(NOT_EXECUTABLE);
        ensure!(
            refused && output.stderr.contains("cannot be replaced"),
            "exit code {:?}; it printed:\n{}",
            output.code,
            output.shown()
        );
        Ok(())
    }
}

/// `says` is empty where the act is known to succeed.
fn judge(output: &Output, act: Act, says: &str, folder: &Path) -> Result<()> {
    let text = std::fs::read_to_string(folder.join("state.json"))?;
    let state: State = serde_json::from_str(&text).context("the device's memory")?;
    let done = state.mode == act.leads_to() && output.code == Some(0);
    if says.is_empty() {
        ensure!(
            done,
            "expected {}, the device is in {}, exit code {:?}; it printed:\n{}",
            act.leads_to(),
            state.mode,
            output.code,
            output.shown()
        );
        return Ok(());
    }
    if done || state.mode == act.leads_to() {
        bail!(
            "known to be refused ({says}), but it is in {} now",
            state.mode
        );
    }
    let printed = output.stdout.contains(says) || output.stderr.contains(says);
    ensure!(
        printed && output.code != Some(0),
        "known to be refused with {says:?}; exit code {:?}, it printed:\n{}",
        output.code,
        output.shown()
    );
    Ok(())
}

/// Whether the run says of itself that a root was replaced.
fn journaled(folder: &Path, injected: bool) -> Result<()> {
    let journal = std::fs::read_to_string(folder.join("journal"))?;
    let told = journal.contains("\"root-injected\"");
    ensure!(
        told == injected,
        "the journal {} that a root was replaced",
        if told { "says" } else { "does not say" }
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    /// Every chain of the laboratory has a known result, and every accepted one a reason.
    #[test]
    fn every_wrong_chain_is_known() {
        assert!(!super::chains().unwrap().is_empty());
    }
}
