//! `amt-sim ca list`: names of the laboratory's chains, what they are, and what a device says to them.

use std::io::{self, Write};

use amt_sim::hex;
use amt_sim::host::keystore;
use amt_sim::pki::laboratory::{Specimen, Verdict, Way};
use serde_json::{Map, Value, json};

use crate::cli::CommandError;
use crate::cli::device_args::load_profile;

pub(super) fn list(profile: &str, name: &str, as_json: bool) -> Result<(), CommandError> {
    let profile = load_profile(profile)?;
    let [amt, ..] = profile.firmware.parts();
    if as_json {
        let chains = Specimen::all()
            .map(|specimen| describe(specimen, name, amt))
            .collect::<Result<Vec<_>, _>>()?;
        let list = json!({ "profile": profile.name, "name": name, "chains": chains });
        return print(&format!("{}\n", serde_json::to_string_pretty(&list)?));
    }
    let rows: Vec<(&str, String, &str)> = Specimen::all()
        .map(|specimen| (specimen.name, says(specimen, amt), specimen.what))
        .collect();
    let head = ("chain", format!("{} says", profile.name), "what it is");
    let names = rows.iter().map(|row| row.0.len()).max().unwrap_or_default();
    let said = rows.iter().map(|row| row.1.len()).max().unwrap_or_default();
    let said = said.max(head.1.len());
    let mut table = String::new();
    for (name, says, what) in std::iter::once(&head).chain(&rows) {
        table += &format!("{name:names$}  {says:said$}  {what}\n");
    }
    print(&table)
}

/// Whoever reads it may stop in the middle, as `head` does.
fn print(text: &str) -> Result<(), CommandError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// One word where all ways of set-up agree; else that of the network, and those of the others.
fn says(specimen: &Specimen, amt: u16) -> String {
    let usual = specimen.verdict(Way::Network, amt);
    let others = [Way::ThroughHost, Way::Chain].into_iter();
    let others: Vec<String> = others
        .filter(|way| specimen.verdict(*way, amt) != usual)
        .map(|way| format!("{way}: {}", specimen.verdict(way, amt)))
        .collect();
    if others.is_empty() {
        return usual.to_string();
    }
    format!("{usual} ({})", others.join(", "))
}

fn describe(specimen: &Specimen, name: &str, amt: u16) -> Result<Value, CommandError> {
    let made = specimen.make(name)?;
    let mut verdicts = Map::new();
    for way in Way::ALL {
        let verdict = specimen.verdict(way, amt);
        let taken = matches!(verdict, Verdict::Taken | Verdict::Noted);
        let value = json!({ "taken": taken, "says": verdict.to_string() });
        verdicts.insert(way.to_string(), value);
    }
    let sha256 = |der: &[u8]| hex::encode(&keystore::sha256(der));
    let leaf = made.chain.first().map(Vec::as_slice).unwrap_or_default();
    Ok(json!({
        "name": specimen.name,
        "what": specimen.what,
        "requirement": specimen.requirement,
        "good": specimen.is_good(amt),
        "verdicts": verdicts,
        "domain": made.domain,
        "leaf_sha256": sha256(leaf),
        "root_sha256": sha256(&made.root),
    }))
}
