//! Everything that is drawn from `report.json`: held against the formats' own rules, against hostile programs, and
//! searched for secrets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "common/folder.rs"]
mod folder;

use std::fs;
use std::path::{Path, PathBuf};

use amt_sim::Rules;
use conformance::report::{
    Format, Invocation, Report, Subject as Described, Timing, badge_svg, sarif, write_bundle,
};
use conformance::requirement::Ledger;
use conformance::role::{Misbehaviour, Process};
use conformance::run::{Choice, Engine, Evidence, Plan, Run, SecretKind, Subject, Verdict};
use conformance::scenario::Library;
use rstest::rstest;
use serde_json::Value;

use folder::Folder;

fn report_with(
    filter: &str,
    misbehaviour: Option<Misbehaviour>,
    evidence: Evidence,
    change: impl Fn(&mut Run),
) -> Report {
    let ledger = Ledger::builtin().unwrap();
    let library = Library::builtin(&ledger).unwrap();
    let choice = Choice {
        filter: Some(filter.to_owned()),
        profile: Some("tiger-lake-15".to_owned()),
        ..Choice::default()
    };
    let plan = Plan::new(&library, &ledger, &choice).unwrap();
    let engine = Engine {
        ledger: &ledger,
        subject: Subject::Reference,
        misbehaviour,
        rules: Rules::default(),
    };
    let runs = plan
        .cases
        .iter()
        .map(|case| {
            let mut run = engine.run_for(case, evidence);
            change(&mut run);
            evidence.settle(&mut run);
            run
        })
        .collect();
    let described = Described {
        kind: "reference",
        name: "reference".to_owned(),
        title: "bundled </script> & \"roles\"".to_owned(),
        program: None,
        program_version: None,
        backend: None,
    };
    let invocation = Invocation {
        filter: choice.filter.clone(),
        seed: Plan::SEED,
        ..Invocation::default()
    };
    let timing = Timing {
        started: "2026-01-01T00:00:00Z".to_owned(),
        duration_ms: 1,
    };
    Report::new(described, invocation, timing, runs, &ledger, false)
}

fn report(filter: &str, misbehaviour: Option<Misbehaviour>) -> Report {
    report_with(filter, misbehaviour, Evidence::default(), |_| ())
}

/// A report with every kind of run: passed, failed, warned, known, unexpected, unclear, set up wrong.
fn every_verdict() -> Report {
    report_with(
        "discovery.uuid, discovery.uuid-zero, discovery.dns-*, discovery.mode-*",
        Some(Misbehaviour::UuidByteOrder),
        Evidence::default(),
        |run| {
            let (verdict, known) = match run.scenario.as_str() {
                "discovery.dns-suffix" => (Verdict::Pass, Some("passes now")),
                "discovery.mode-factory" => (Verdict::ConfigurationError, None),
                "discovery.mode-client" => (Verdict::Inconclusive, None),
                _ => return,
            };
            run.verdict = verdict;
            run.known_failing = known.map(str::to_owned);
            run.reason = Some("because: 100%, really\n<b>".to_owned());
        },
    )
}

#[test]
fn a_report_reads_back_and_is_drawn_the_same() {
    let folder = Folder::new("evidence");
    let report = every_verdict();
    report.write(&folder.0).unwrap();
    let again = Report::read(&folder.0).unwrap();
    assert_eq!(again.to_json().unwrap(), report.to_json().unwrap());
    for format in Format::ALL {
        assert_eq!(again.draw(*format), report.draw(*format), "{format}");
        if let Some(name) = format.file() {
            let written = fs::read_to_string(folder.0.join(name)).unwrap();
            assert_eq!(written, report.draw(*format), "{name}");
        }
    }
}

#[test]
fn another_programs_file_is_refused() {
    let folder = Folder::new("evidence");
    fs::write(
        folder.0.join("report.json"),
        "{\"format\": \"x\", \"version\": 9}",
    )
    .unwrap();
    let error = Report::read(&folder.0).unwrap_err().to_string();
    assert!(error.contains("is a x of version 9"), "{error}");
    fs::write(folder.0.join("report.json"), "[]").unwrap();
    assert!(Report::read(&folder.0).is_err());
    assert!(Report::read(Path::new("/nonexistent")).is_err());
}

/// What the SARIF 2.1.0 schema demands of the parts that we use: what must be there, and of what type.
mod sarif_rules {
    use super::*;

    fn text(value: &Value, what: &str) {
        assert!(
            value["text"].is_string(),
            "{what} is a message with a text: {value}"
        );
    }

    fn only(value: &Value, allowed: &[&str], what: &str) {
        for key in value
            .as_object()
            .unwrap_or_else(|| panic!("{what}: {value}"))
            .keys()
        {
            assert!(
                allowed.contains(&key.as_str()),
                "{what} has no property {key}"
            );
        }
    }

    fn level(value: &Value) {
        let word = value.as_str().unwrap();
        assert!(
            ["none", "note", "warning", "error"].contains(&word),
            "{word}"
        );
    }

    fn location(value: &Value) {
        only(value, &["physicalLocation", "logicalLocations"], "location");
        let physical = &value["physicalLocation"];
        only(
            physical,
            &["artifactLocation", "region"],
            "physicalLocation",
        );
        let artifact = &physical["artifactLocation"];
        only(artifact, &["uri", "uriBaseId"], "artifactLocation");
        let uri = artifact["uri"].as_str().unwrap();
        assert!(uri.starts_with("scenarios/") && !uri.contains(' '), "{uri}");
        assert!(physical["region"]["startLine"].as_u64().unwrap() >= 1);
    }

    pub(super) fn check(log: &Value) {
        only(log, &["$schema", "version", "runs"], "log");
        assert_eq!(log["version"], "2.1.0");
        for run in log["runs"].as_array().unwrap() {
            only(
                run,
                &[
                    "tool",
                    "automationDetails",
                    "invocations",
                    "columnKind",
                    "results",
                    "properties",
                ],
                "run",
            );
            let driver = &run["tool"]["driver"];
            only(
                driver,
                &["name", "version", "semanticVersion", "rules"],
                "driver",
            );
            assert!(driver["name"].is_string());
            let rules = driver["rules"].as_array().unwrap();
            for rule in rules {
                let allowed = [
                    "id",
                    "name",
                    "shortDescription",
                    "fullDescription",
                    "help",
                    "defaultConfiguration",
                    "properties",
                ];
                only(rule, &allowed, "rule");
                assert!(rule["id"].is_string());
                text(&rule["shortDescription"], "shortDescription");
                text(&rule["help"], "help");
                level(&rule["defaultConfiguration"]["level"]);
            }
            let mut ids: Vec<&str> = rules
                .iter()
                .map(|rule| rule["id"].as_str().unwrap())
                .collect();
            ids.sort_unstable();
            assert!(
                ids.windows(2).all(|pair| pair[0] != pair[1]),
                "rule IDs are unique"
            );
            assert!(
                ["utf16CodeUnits", "unicodeCodePoints"]
                    .contains(&run["columnKind"].as_str().unwrap())
            );
            for invocation in run["invocations"].as_array().unwrap() {
                let allowed = [
                    "executionSuccessful",
                    "exitCode",
                    "startTimeUtc",
                    "toolConfigurationNotifications",
                ];
                only(invocation, &allowed, "invocation");
                assert!(invocation["executionSuccessful"].is_boolean());
                assert!(invocation["exitCode"].is_u64());
                for notification in invocation["toolConfigurationNotifications"]
                    .as_array()
                    .unwrap()
                {
                    only(
                        notification,
                        &["level", "message", "locations"],
                        "notification",
                    );
                    text(&notification["message"], "notification");
                    level(&notification["level"]);
                    notification["locations"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .for_each(location);
                }
            }
            for result in run["results"].as_array().unwrap() {
                let allowed = [
                    "ruleId",
                    "ruleIndex",
                    "kind",
                    "level",
                    "message",
                    "locations",
                    "partialFingerprints",
                    "properties",
                    "suppressions",
                ];
                only(result, &allowed, "result");
                text(&result["message"], "result");
                level(&result["level"]);
                assert_eq!(result["kind"], "fail");
                result["locations"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(location);
                let index = result["ruleIndex"].as_u64().unwrap() as usize;
                assert_eq!(rules[index]["id"], result["ruleId"]);
                let prints = result["partialFingerprints"].as_object().unwrap();
                assert!(prints.values().all(Value::is_string));
                for suppression in result["suppressions"].as_array().into_iter().flatten() {
                    assert!(
                        ["inSource", "external"].contains(&suppression["kind"].as_str().unwrap())
                    );
                }
            }
        }
    }
}

#[test]
fn sarif_is_what_the_schema_demands() {
    let log = sarif(&every_verdict());
    sarif_rules::check(&log);
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert!(results.len() >= 2, "{results:?}");
    let uuid = results
        .iter()
        .find(|result| result["ruleId"] == "agent.discovery.uuid")
        .unwrap();
    assert_eq!(uuid["properties"]["blame"], "agent");
    assert_eq!(uuid["level"], "error");
    let place = &uuid["locations"][0]["physicalLocation"];
    assert_eq!(
        place["artifactLocation"]["uri"],
        "scenarios/discovery/uuid.toml"
    );
    let notes = run["invocations"][0]["toolConfigurationNotifications"]
        .as_array()
        .unwrap();
    assert!(!notes.is_empty());
}

#[test]
fn sarif_of_nothing_wrong_has_no_results() {
    let log = sarif(&report("discovery.dns-*", None));
    sarif_rules::check(&log);
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn known_failures_are_suppressed_in_sarif() {
    let report = report_with(
        "discovery.uuid",
        Some(Misbehaviour::UuidByteOrder),
        Evidence::default(),
        |run| run.known_failing = Some("they know".to_owned()),
    );
    let log = sarif(&report);
    sarif_rules::check(&log);
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["suppressions"][0]["justification"], "they know");
}

#[test]
fn annotations_stand_on_lines_that_exist() {
    let text = every_verdict().draw(Format::Github);
    let annotation = text
        .lines()
        .find(|line| line.contains("title=agent.discovery.uuid:"))
        .unwrap();
    let (head, _) = annotation.split_once(",title=").unwrap();
    let (file, line) = head
        .strip_prefix("::error file=")
        .unwrap()
        .split_once(",line=")
        .unwrap();
    let scenario =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap();
    let line = scenario
        .lines()
        .nth(line.parse::<usize>().unwrap() - 1)
        .unwrap();
    assert!(
        line.starts_with("[[step]]") || line.starts_with("expect"),
        "{line}"
    );
    for line in text.lines() {
        assert!(line.starts_with("::"), "one annotation a line: {line}");
    }
    assert!(text.contains("because: 100%25, really%0A<b>"));
}

fn page(html: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    roxmltree::Document::parse_with_options(html, options).unwrap()
}

#[test]
fn the_page_is_well_formed_and_needs_nobody() {
    let html = every_verdict().draw(Format::Html);
    let document = page(&html);
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        assert!(
            !["link", "img", "iframe", "object", "embed", "base"].contains(&name),
            "{name}"
        );
        for attribute in node.attributes() {
            assert!(
                !attribute.name().starts_with("on"),
                "scripts stand in one place"
            );
            if ["src", "href", "action"].contains(&attribute.name()) {
                assert!(attribute.value().starts_with('#'), "{}", attribute.value());
            }
        }
    }
    for mark in ["http://", "https://", "url(", "@import"] {
        let outside = html.replace("http://www.w3.org/2000/svg", "");
        let (page, _) = outside.split_once("<script type=").unwrap();
        assert!(!page.contains(mark), "{mark}");
    }
    let text = |name: &str| {
        let found = document.descendants().find(|node| node.has_tag_name(name));
        found
            .and_then(|node| node.text())
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(text("h1"), "Conformance of bundled </script> & \"roles\"");
}

/// The JSON inside of the page.
fn embedded(html: &str) -> Value {
    let document = page(html);
    let node = document
        .descendants()
        .find(|node| node.attribute("id") == Some("data"))
        .unwrap();
    serde_json::from_str(node.text().unwrap()).unwrap()
}

#[test]
fn hostile_output_stays_text() {
    const HOSTILE: &str =
        "</script><script>alert(1)</script>\u{0}\u{1b}[31m ]]> <!-- & \" ' \u{2028}";
    let report = report_with(
        "discovery.uuid",
        Some(Misbehaviour::UuidByteOrder),
        Evidence::default(),
        |run| {
            run.remarks.push(HOSTILE.to_owned());
            run.title = HOSTILE.to_owned();
            run.checks[0].actual = Some(HOSTILE.to_owned());
            run.processes.push(Process {
                command: vec![HOSTILE.to_owned()],
                ended: "exit 0".to_owned(),
                duration_ms: 1,
                stdout: HOSTILE.to_owned(),
                stderr: String::new(),
                left_behind: Vec::new(),
            });
        },
    );
    let html = report.draw(Format::Html);
    assert_eq!(
        html.matches("<script").count(),
        2,
        "the data and the program of the page"
    );
    assert_eq!(html.matches("</script>").count(), 2);
    let data = embedded(&html);
    assert_eq!(data["runs"][0]["remarks"][0], HOSTILE);
    assert_eq!(data["runs"][0]["processes"][0]["stdout"], HOSTILE);
    roxmltree::Document::parse(&report.draw(Format::Junit)).unwrap();
    roxmltree::Document::parse(&badge_svg(&report)).unwrap();
    sarif_rules::check(&sarif(&report));
}

#[test]
fn what_is_wrong_comes_with_its_wire() {
    let data =
        embedded(&report("discovery.uuid", Some(Misbehaviour::UuidByteOrder)).draw(Format::Html));
    let arrows = data["runs"][0]["seq"]["arrows"].as_array().unwrap();
    let wires: Vec<&str> = arrows
        .iter()
        .filter_map(|arrow| arrow[6].as_str())
        .collect();
    assert!(
        wires
            .iter()
            .any(|wire| wire.starts_with("GetUUID of 12 bytes")),
        "{wires:?}"
    );
    // What passed keeps names only.
    let data = embedded(&report("discovery.uuid", None).draw(Format::Html));
    let arrows = data["runs"][0]["seq"]["arrows"].as_array().unwrap();
    assert!(!arrows.is_empty());
    assert!(arrows.iter().all(|arrow| arrow[6].is_null()));
}

#[test]
fn requests_over_lme_come_with_their_soap() {
    let evidence = Evidence {
        all: true,
        ..Evidence::default()
    };
    let report = report_with("setup.unsigned", None, evidence, |_| ());
    let sequence = report.runs[0].sequence.as_ref().unwrap();
    let setup = sequence
        .arrows
        .iter()
        .find(|arrow| arrow.label.starts_with("Setup IPS_HostBasedSetupService"))
        .unwrap();
    let wire = setup.wire.as_deref().unwrap();
    assert!(wire.starts_with("POST /wsman HTTP/1.1\n"), "{wire}");
    assert!(
        wire.contains("\n  <"),
        "the body has a line for each element: {wire}"
    );
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

const MINE: &str = "Myown-S3cret!";

/// Files by path, and what they hold.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// Everything that a report and a bundle consist of, for a run that saw passwords of every kind.
fn written(show_secrets: bool) -> (Folder, Files, Vec<Vec<u8>>) {
    let evidence = Evidence {
        all: true,
        show_secrets,
        capture: true,
        ..Evidence::default()
    };
    let secrets = std::sync::Mutex::new(Vec::new());
    let report = report_with("setup.unsigned", None, evidence, |run| {
        run.verdict = Verdict::Fail; // Its journal is written too.
        run.captured.secrets.add(SecretKind::Password, MINE);
        run.remarks.push(format!("logged in with {MINE}"));
        run.processes.push(Process {
            command: vec![
                "agent".to_owned(),
                "--password".to_owned(),
                "0nTheCommandLine".to_owned(),
            ],
            ended: "exit 0".to_owned(),
            duration_ms: 1,
            stdout: "the password is 0nTheCommandLine".to_owned(),
            stderr: String::new(),
            left_behind: Vec::new(),
        });
        let device = amt_sim::Device::builder("tiger-lake-15")
            .seed(run.seed)
            .build()
            .unwrap();
        let mut list = secrets.lock().unwrap();
        list.push(device.local_account().password.clone().into_bytes());
        list.push(MINE.as_bytes().to_vec());
        list.push(b"0nTheCommandLine".to_vec());
    });
    let folder = Folder::new("evidence");
    report.write(&folder.0).unwrap();
    write_bundle(&report, &folder.0.join("bundle")).unwrap();
    write_bundle(&report, &folder.0.join("bundle.zip")).unwrap();
    let contents = files(&folder.0)
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    let secrets = secrets.into_inner().unwrap();
    (folder, contents, secrets)
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    // Everything here is text; searching text is quick even in a build for tests.
    let wanted = std::str::from_utf8(wanted).unwrap();
    String::from_utf8_lossy(bytes).contains(wanted)
}

#[test]
fn no_secret_is_in_anything_but_the_capture() {
    let (_folder, contents, secrets) = written(false);
    let mut captures = 0;
    for (path, bytes) in &contents {
        if path.extension().is_some_and(|ending| ending == "pcapng") {
            captures += 1;
            continue;
        }
        // The archive has the capture in it, stored as it is.
        if path.extension().is_some_and(|ending| ending == "zip") {
            continue;
        }
        for secret in &secrets {
            let hex = amt_sim::hex::encode(secret);
            assert!(!holds(bytes, secret), "{} has a secret", path.display());
            assert!(
                !holds(bytes, hex.as_bytes()),
                "{} has a secret in hex",
                path.display()
            );
        }
    }
    assert_eq!(captures, 1);
    let names: Vec<String> = contents
        .iter()
        .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    for name in [
        "README.txt",
        "report.json",
        "report.html",
        "scenario.toml",
        "replay.json",
        "journal.jsonl",
        "capture.pcapng",
        "process-1.txt",
    ] {
        assert!(
            names.iter().any(|have| have == name),
            "{name} is in a bundle"
        );
    }
}

#[test]
fn secrets_are_shown_when_they_are_asked_for() {
    let (_folder, contents, secrets) = written(true);
    let (_, report) = contents
        .iter()
        .find(|(path, _)| path.ends_with("report.json"))
        .unwrap();
    assert!(holds(report, MINE.as_bytes()));
    // In the decoded wire it stands beside its bytes, sixteen a line; in the journal it is hex digits.
    let (_, journal) = contents
        .iter()
        .find(|(path, _)| path.ends_with("journal.jsonl"))
        .unwrap();
    let local = amt_sim::hex::encode(&secrets[0]);
    assert!(holds(journal, local.as_bytes()));
}

#[rstest]
#[case(None, "brightgreen")]
#[case(Some(Misbehaviour::UuidByteOrder), "red")]
fn the_badge(#[case] mistake: Option<Misbehaviour>, #[case] colour: &str) {
    let report = report("discovery.uuid", mistake);
    let badge: Value = serde_json::from_str(&report.draw(Format::BadgeJson)).unwrap();
    assert_eq!(badge["schemaVersion"], 1);
    assert_eq!(badge["color"], colour);
    let svg = report.draw(Format::Badge);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let title = document
        .descendants()
        .find(|node| node.has_tag_name("title"))
        .unwrap();
    let message = badge["message"].as_str().unwrap();
    assert_eq!(title.text().unwrap(), format!("AMT conformance: {message}"));
}

fn conformance(folder: &Folder, args: &[&str], github: Option<&str>) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_conformance"));
    command
        .args(args)
        .current_dir(&folder.0)
        .env_remove("GITHUB_ACTIONS");
    if let Some(value) = github {
        command.env("GITHUB_ACTIONS", value);
    }
    command.output().unwrap()
}

#[test]
fn the_command_line_writes_it_all() {
    let folder = Folder::new("evidence");
    let wrong = [
        "run",
        "--filter",
        "discovery.uuid",
        "--profile",
        "tiger-lake-15",
        "--misbehave",
        "uuid-byte-order",
    ];
    let output = conformance(
        &folder,
        &[&wrong[..], &["--bundle", "b.zip"]].concat(),
        Some("true"),
    );
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("\n::error file=scenarios/discovery/uuid.toml,line="),
        "{printed}"
    );
    for name in [
        "report.json",
        "report.html",
        "report.sarif",
        "junit.xml",
        "badge.svg",
        "badge.json",
    ] {
        assert!(folder.0.join("report").join(name).exists(), "{name}");
    }
    let archive = fs::read(folder.0.join("b.zip")).unwrap();
    assert_eq!(archive[..4], [0x50, 0x4b, 3, 4]);

    // Nobody asked for annotations here.
    let output = conformance(&folder, &wrong, None);
    assert!(
        !String::from_utf8(output.stdout)
            .unwrap()
            .contains("::error")
    );

    let html = fs::read(folder.0.join("report/report.html")).unwrap();
    fs::remove_file(folder.0.join("report/report.html")).unwrap();
    let output = conformance(&folder, &["report"], None);
    assert_eq!(output.status.code(), Some(1), "the exit code of the run");
    assert!(fs::read(folder.0.join("report/report.html")).unwrap() == html);

    let output = conformance(&folder, &["report", "report", "--format", "github"], None);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .starts_with("::error")
    );
    let args = [
        "report",
        "report/report.json",
        "--format",
        "terminal",
        "--output",
        "said.txt",
    ];
    conformance(&folder, &args, None);
    let said = fs::read_to_string(folder.0.join("said.txt")).unwrap();
    assert!(said.contains("FAIL  discovery.uuid"), "{said}");
    let output = conformance(&folder, &["report", "nowhere"], None);
    assert_eq!(output.status.code(), Some(2));
}

/// A rule that is switched off is the device's fault, also where the requirement binds somebody else.
#[test]
fn what_was_knocked_out_is_the_devices_fault() {
    let ledger = Ledger::builtin().unwrap();
    let library = Library::builtin(&ledger).unwrap();
    let choice = Choice {
        filter: Some("setup.wrong-signature".to_owned()),
        profile: Some("tiger-lake-15".to_owned()),
        ..Choice::default()
    };
    let plan = Plan::new(&library, &ledger, &choice).unwrap();
    let mut rules = Rules::default();
    rules.knock_out("device.setup.signature").unwrap();
    let engine = Engine {
        ledger: &ledger,
        subject: Subject::Reference,
        misbehaviour: None,
        rules,
    };
    let run = engine.run(&plan.cases[0]);
    let check = run
        .failed_checks()
        .find(|check| check.requirement == "device.setup.signature")
        .unwrap();
    assert_eq!(check.blame, Some(conformance::run::Blame::Device));
    let note = check.note.as_deref().unwrap();
    assert!(
        note.starts_with("the device's rule device.setup.signature is switched off"),
        "{note}"
    );
}
