//! `--bundle`: everything that somebody else needs to look into a run and to run it again.
//!
//! ```text
//!   README.txt                 what is here, and what of it is secret
//!   report.json, report.html   as without a bundle
//!   runs/SCENARIO@PROFILE/
//!     scenario.toml            the story
//!     replay.json              device, seed, rules, and the command that runs it again
//!     journal.jsonl            everything that the device saw
//!     capture.pcapng           what went over the wire, with the secrets of TLS
//!     process-1.txt            what a program printed
//! ```

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::zip::Archive;
use super::{Report, html};
use crate::run::Run;

/// Writes a bundle: a ZIP archive if the path ends so, else a folder.
pub fn write_bundle(report: &Report, path: &Path) -> io::Result<()> {
    let is_zip = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("zip"));
    let mut sink = match is_zip {
        true => Sink::Zip(Archive::new(BufWriter::new(fs::File::create(path)?))),
        false => Sink::Folder(path.to_owned()),
    };
    sink.add("README.txt", readme(report).as_bytes())?;
    sink.add("report.json", report.to_json()?.as_bytes())?;
    sink.add("report.html", html(report).as_bytes())?;
    for run in report.runs.iter().filter(|run| !run.journal.is_empty()) {
        let folder = format!("runs/{}", run.id);
        if let Some(text) = scenario(run) {
            sink.add(&format!("{folder}/scenario.toml"), text.as_bytes())?;
        }
        sink.add(
            &format!("{folder}/replay.json"),
            replay(report, run)?.as_bytes(),
        )?;
        let mut journal = Vec::new();
        super::write_journal(run, &mut journal)?;
        sink.add(&format!("{folder}/journal.jsonl"), &journal)?;
        if let Some(capture) = &run.captured.pcapng {
            sink.add(&format!("{folder}/capture.pcapng"), capture)?;
        }
        for (index, process) in run.processes.iter().enumerate() {
            let text = format!(
                "$ {}\n{} after {} ms\nleft behind: {}\n\n--- stdout\n{}\n--- stderr\n{}\n",
                process.command.join(" "),
                process.ended,
                process.duration_ms,
                process.left_behind.join("; "),
                process.stdout,
                process.stderr
            );
            sink.add(
                &format!("{folder}/process-{}.txt", index + 1),
                text.as_bytes(),
            )?;
        }
    }
    match sink {
        Sink::Zip(archive) => archive.finish().map(|_| ()),
        Sink::Folder(_) => Ok(()),
    }
}

enum Sink {
    Zip(Archive<BufWriter<fs::File>>),
    Folder(PathBuf),
}

impl Sink {
    fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Zip(archive) => archive.add(name, bytes),
            Self::Folder(folder) => {
                let path = folder.join(name);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::write(path, bytes)
            }
        }
    }
}

/// The scenario's own text.
fn scenario(run: &Run) -> Option<String> {
    let builtin = fixtures::SCENARIOS
        .iter()
        .find(|file| file.path == run.file)
        .map(|file| file.text.to_owned());
    builtin.or_else(|| fs::read_to_string(&run.file).ok())
}

/// The command that runs it again.
fn command(report: &Report, run: &Run) -> Vec<String> {
    let invocation = &report.invocation;
    let mut words: Vec<String> = ["conformance", "run", "--filter", &run.scenario]
        .map(str::to_owned)
        .into();
    let mut flag = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
    // A profile of the user's own is named by its file.
    let own = invocation
        .profile
        .as_ref()
        .filter(|profile| profile.contains(['/', '.']));
    let varies = run.device().split_once(',').map(|(_, varies)| varies);
    let device = own.unwrap_or(&run.profile);
    match varies {
        Some(varies) => flag("--profile", &format!("{device},{varies}")),
        None => flag("--profile", device),
    }
    flag("--seed", &run.seed.to_string());
    if let Some(target) = &invocation.target {
        flag("--target", target);
        if let Some(program) = &report.subject.program {
            flag("--program", &format!("{}={program}", report.subject.name));
        }
    }
    if let Some(mistake) = &invocation.misbehave {
        flag("--misbehave", mistake);
    }
    for rule in &invocation.without {
        flag("--without", rule);
    }
    words
}

fn replay(report: &Report, run: &Run) -> io::Result<String> {
    let value = json!({
        "run": run.id,
        "scenario": run.scenario,
        "file": run.file,
        "profile": run.profile,
        "mode": run.mode,
        "seed": run.seed,
        "without": report.invocation.without,
        "misbehave": report.invocation.misbehave,
        "subject": report.subject,
        "verdict": run.verdict,
        "command": command(report, run),
    });
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn readme(report: &Report) -> String {
    let mut text = format!(
        "{} {}: {}\n\n",
        report.tool.name, report.tool.version, report.subject.title
    );
    text += "report.html             look here first; any browser, no network\n\
             report.json             the same for programs; `conformance report FOLDER` draws it anew\n\
             runs/*/scenario.toml    what was to happen\n\
             runs/*/replay.json      the command that runs it again\n\
             runs/*/journal.jsonl    everything that the device saw, an entry a line\n\
             runs/*/capture.pcapng   what went over the wire; Wireshark and tshark open it, TLS and all\n\
             runs/*/process-*.txt    what a program printed\n\n\
             Passwords and keys are taken out of everything but capture.pcapng: a capture without them is none.\n\
             Whoever has it has the secrets of the run.\n\n";
    for run in report.runs.iter().filter(|run| run.is_finding()) {
        let _ = writeln!(text, "{}: {}", run.id, run.verdict);
        let _ = writeln!(text, "  {}", command(report, run).join(" "));
    }
    text
}
