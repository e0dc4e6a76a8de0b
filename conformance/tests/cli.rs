//! The front door as scripts use it: exit codes, messages, files. Agents here are shell scripts that behave badly.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "common/folder.rs"]
mod folder;

use std::fs;
use std::process::{Command, Output};

use amt_sim::host::backend;
use rstest::rstest;
use serde_json::Value;

use folder::Folder;

impl Folder {
    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_conformance"))
            .args(args)
            .current_dir(&self.0)
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    }

    fn report(&self) -> Value {
        let text = fs::read_to_string(self.0.join("report/report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[rstest]
#[case::all_is_well(&["run", "--filter", "discovery.uuid"], 0)]
#[case::a_finding(&["run", "--filter", "discovery.uuid", "--misbehave", "uuid-byte-order"], 1)]
#[case::a_warning(&["run", "--filter", "discovery.uuid-zero", "--misbehave", "any-uuid"], 0)]
#[case::a_warning_that_counts(&["run", "--filter", "discovery.uuid-zero", "--misbehave", "any-uuid", "--strict"], 1)]
#[case::a_rule_is_gone(&["run", "--filter", "discovery.cira-log-unknown", "--without", "device.amthi.unknown-command", "--strict"], 1)]
#[case::an_unknown_rule(&["run", "--without", "device.amthi.unknwon-command"], 2)]
#[case::an_unknown_scenario(&["run", "--filter", "discovery.uid"], 2)]
#[case::a_bad_filter(&["run", "--filter", "discovery.uuid or"], 2)]
#[case::an_unknown_profile(&["run", "--profile", "tiger-lake-51"], 2)]
#[case::no_such_device(&["run", "--filter", "discovery.old-firmware", "--profile", "tiger-lake-15"], 2)]
#[case::an_unknown_target(&["run", "--target", "rpcgo"], 2)]
#[case::a_missing_program(&["run", "--target", "rpc-go", "--program", "rpc=/nonexistent/rpc"], 2)]
#[case::a_strange_program(&["run", "--target", "reference-agent", "--program", "rpc=/bin/true"], 2)]
#[case::an_unknown_flag(&["run", "--flitre", "x"], 2)]
#[case::an_unknown_mistake(&["run", "--misbehave", "uuid-byte-odrer"], 2)]
#[case::help(&["--help"], 0)]
#[case::list(&["list"], 0)]
#[case::list_facts(&["list", "--facts"], 0)]
#[case::list_targets(&["list", "--targets"], 0)]
#[case::ledger(&["ledger"], 0)]
#[case::ledger_the_other_way(&["ledger", "--by", "scenario", "--json"], 0)]
#[case::schema(&["schema", "target"], 0)]
#[case::no_shard(&["run", "--shard", "9/8"], 2)]
#[case::an_empty_shard(&["run", "--filter", "discovery.uuid-zero", "--shard", "1/1000"], 0)]
#[case::nothing_to_run_again(&["run", "--rerun-failed"], 2)]
#[case::the_same_each_time(&["run", "--filter", "discovery.uuid", "--repeat", "2"], 0)]
#[case::a_sweep(&["sweep", "discovery.uuid@tiger-lake-15", "--limit", "8", "--several", "2"], 0)]
#[case::a_sweep_that_finds(&["sweep", "discovery.uuid@tiger-lake-15", "--misbehave", "endless-wait", "--several", "0"], 1)]
#[case::check(&["check"], 0)]
#[case::explain(&["explain", "P08"], 0)]
#[case::explain_a_scenario(&["explain", "discovery.uuid"], 0)]
#[case::explain_nothing(&["explain", "P99"], 2)]
fn exit_codes(#[case] args: &[&str], #[case] want: i32) {
    let folder = Folder::new("exit");
    let output = folder.run(args);
    assert_eq!(code(&output), want, "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
}

#[rstest]
#[case(&["run", "--filter", "discovery.uid"], "did you mean `discovery.uuid`?")]
#[case(&["run", "--profile", "tiger-lake-51"], "did you mean \"tiger-lake-15\"?")]
#[case(&["run", "--target", "rpcgo"], "did you mean `rpc-go`?")]
#[case(&["run", "--without", "device.amthi.unknwon-command"], "did you mean `device.amthi.unknown-command`?")]
#[case(&["run", "--misbehave", "uuid-byte-odrer"], "did you mean `uuid-byte-order`?")]
#[case(&["explain", "agent.discovery.uid"], "did you mean `agent.discovery.uuid`?")]
fn mistakes_are_answered_with_what_was_meant(#[case] args: &[&str], #[case] help: &str) {
    let folder = Folder::new("meant");
    let output = folder.run(args);
    assert!(stderr(&output).contains(help), "{}", stderr(&output));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let binary = env!("CARGO_BIN_EXE_conformance");
    let output = Command::new("sh")
        .args(["-c", &format!("{binary} ledger | head -1")])
        .output()
        .unwrap();
    assert_eq!(stderr(&output), "");
}

#[test]
fn files_are_told_apart_and_checked() {
    let folder = Folder::new("check");
    fs::write(folder.0.join("t.toml"), "name = \"x\"\nprogram = \"x\"\n").unwrap();
    fs::write(folder.0.join("s.toml"), "id = \"x\"\n").unwrap();
    let output = folder.run(&["check", "t.toml", "s.toml"]);
    assert_eq!(code(&output), 2);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("t.toml:1:1: the file lacks `has`"), "{text}");
    assert!(text.contains("s.toml:1:6: `x` is not an ID"), "{text}");
}

/// Runs one scenario with a shell script for an agent. `None` where no back end works here.
fn try_script(name: &str, script: &str, extra: &str) -> Option<(Output, Value)> {
    if let Err(why) = backend::choose(None) {
        eprintln!("skipped: {why}");
        return None;
    }
    let folder = Folder::new(name);
    let target = format!(
        r#"
name = "script"
title = "A script"
program = "/bin/sh"
has = ["version"]
time_limit = "2s"
{extra}
[[command]]
for = "agent.discover"
args = ["-c", {script:?}]
output = "json"
[command.facts]
version = {{ json = "version", map = {{ "fifteen" = "15.0.35" }} }}
"#
    );
    fs::write(folder.0.join("script.toml"), target).unwrap();
    let output = folder.run(&[
        "run",
        "--target",
        "script.toml",
        "--filter",
        "discovery.version",
        "--profile",
        "tiger-lake-15",
    ]);
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    let report = folder.report();
    Some((output, report))
}

#[rstest]
#[case::good("good", r#"echo '{{"version": "fifteen"}}'"#, "pass", 0)]
#[case::hangs("hangs", "sleep 1000", "fail", 1)]
#[case::hangs_in_a_child("child", "sleep 1000 & sleep 1000 & wait", "fail", 1)]
#[case::floods("floods", "yes", "fail", 1)]
#[case::garbage("garbage", "head -c 100000 /dev/urandom", "fail", 1)]
#[case::says_nothing("silent", "true", "fail", 1)]
#[case::fails("fails", "echo oh no >&2; exit 3", "fail", 1)]
#[case::dies("dies", "kill -SEGV $$", "fail", 1)]
#[case::cannot("cannot", "exit 89", "not-implemented", 3)]
#[case::set_up("setup", "echo run me as root >&2; exit 77", "configuration-error", 2)]
#[case::a_gap_of_the_file("gap", r#"echo '{{"version": "sixteen"}}'"#, "configuration-error", 2)]
#[case::leaves_a_daemon(
    "daemon",
    r#"setsid sleep 1000 & echo '{{"version": "fifteen"}}'"#,
    "pass",
    0
)]
fn a_program_may_do_anything(
    #[case] name: &str,
    #[case] script: &str,
    #[case] verdict: &str,
    #[case] exit: i32,
) {
    let extra = "[exit]\nconfiguration = [77]\n";
    let Some((output, report)) = try_script(name, script, extra) else {
        return;
    };
    let run = &report["runs"][0];
    assert_eq!(run["verdict"], verdict, "{run:#}");
    assert_eq!(code(&output), exit, "{run:#}");
    assert_eq!(report["exit_code"], exit);
}

#[test]
fn a_known_failure_is_as_expected_until_it_passes() {
    let known = "[[known_failing]]\nscenario = \"discovery.version\"\nreason = \"observed\"\n";
    let Some((output, report)) = try_script("known", "exit 3", known) else {
        return;
    };
    assert_eq!(
        (code(&output), &report["summary"]["known_failing"]),
        (0, &Value::from(1))
    );
    let good = r#"echo '{{"version": "fifteen"}}'"#;
    let Some((output, report)) = try_script("unknown", good, known) else {
        return;
    };
    assert_eq!(
        (code(&output), &report["summary"]["unexpected_passes"]),
        (1, &Value::from(1))
    );
}

#[test]
fn what_fails_now_and_then_may_fail_and_may_pass() {
    let flaky = "[[known_flaky]]\nscenario = \"discovery.version\"\nreason = \"observed\"\n";
    for script in ["exit 3", r#"echo '{{"version": "fifteen"}}'"#] {
        let Some((output, report)) = try_script("flaky", script, flaky) else {
            return;
        };
        assert_eq!(code(&output), 0, "{script}: {report:#}");
    }
}

/// Every other answer of this program is wrong: each single run may hide that, ten do not.
#[test]
fn what_wavers_is_a_finding() {
    if let Err(why) = backend::choose(None) {
        eprintln!("skipped: {why}");
        return;
    }
    let folder = Folder::new("wavers");
    let memory = folder.0.join("memory");
    let script = format!(
        "if [ -e {0} ]; then rm {0}; exit 3; fi; touch {0}; echo '{{{{\"version\": \"15.0.35\"}}}}'",
        memory.display()
    );
    let target = format!(
        "name = \"script\"\ntitle = \"A script\"\nprogram = \"/bin/sh\"\nhas = [\"version\"]\n[[command]]\nfor = \"agent.discover\"\nargs = [\"-c\", {script:?}]\noutput = \"json\"\n[command.facts]\nversion = {{ json = \"version\" }}\n"
    );
    fs::write(folder.0.join("script.toml"), target).unwrap();
    let mut args = vec![
        "run",
        "--target",
        "script.toml",
        "--filter",
        "discovery.version",
    ];
    args.extend(["--profile", "tiger-lake-15", "--repeat", "4"]);
    let output = folder.run(&args);
    let report = folder.report();
    assert_eq!(code(&output), 1, "{report:#}");
    assert_eq!(
        report["runs"][0]["repeats"]["verdicts"]["pass"], 2,
        "{report:#}"
    );
}

#[test]
fn what_failed_is_run_again_and_nothing_else() {
    let folder = Folder::new("again");
    let failing = [
        "run",
        "--filter",
        "discovery.uuid, discovery.ras",
        "--misbehave",
        "uuid-byte-order",
    ];
    assert_eq!(code(&folder.run(&failing)), 1);
    let output = folder.run(&["run", "--rerun-failed"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let runs = folder.report()["runs"].clone();
    let runs = runs.as_array().unwrap();
    assert!(!runs.is_empty());
    assert!(
        runs.iter().all(|run| run["scenario"] == "discovery.uuid"),
        "{runs:#?}"
    );
    let output = folder.run(&["run", "--rerun-failed"]);
    assert_eq!(code(&output), 0);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("nothing in report/report.json"), "{text}");
}

fn names(report: &Value) -> Vec<String> {
    let runs = report["runs"].as_array().unwrap().iter();
    runs.map(|run| run["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Several machines do together what one does alone, and nothing twice.
#[test]
fn the_shards_are_the_whole() {
    let folder = Folder::new("shards");
    let of = |more: &[&str]| {
        let output = folder.run(&[&["run", "--filter", "discovery.uuid"], more].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        names(&folder.report())
    };
    let whole = of(&[]);
    let mut parts: Vec<String> = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let part = of(&["--shard", shard]);
        assert!(part.len() < whole.len(), "{shard}");
        parts.extend(part);
    }
    parts.sort();
    let mut sorted = whole;
    sorted.sort();
    assert_eq!(parts, sorted);
}

/// Who has the seed has the run: another one is another machine.
#[test]
fn a_seed_is_a_run() {
    let folder = Folder::new("seed");
    let seeded = |seed: &str| {
        let what = ["run", "--filter", "discovery.capability"];
        let device = ["--profile", "tiger-lake-15", "--seed", seed];
        let output = folder.run(&[&what[..], &device].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let run = folder.report()["runs"][0].clone();
        assert_eq!(run["seed"].to_string(), seed);
        run
    };
    let first = seeded("7");
    assert!(first["facts"]["uuid"].is_string());
    assert!(first["sequence"].is_object(), "{first:#}");
    assert_eq!(seeded("7"), first);
    assert_ne!(seeded("8")["facts"]["uuid"], first["facts"]["uuid"]);
}

/// A scenario that a sweep wrote fails by itself.
#[test]
fn what_a_sweep_found_can_be_run() {
    let folder = Folder::new("sweep");
    let mistake = ["--misbehave", "endless-wait"];
    let sweep = ["sweep", "discovery.uuid@tiger-lake-15", "--several", "0"];
    let output = folder.run(&[&sweep[..], &mistake].concat());
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let found = fs::read_dir(folder.0.join("found/discovery")).unwrap();
    let file = found.map(|entry| entry.unwrap().path()).next().unwrap();
    let file = file.to_string_lossy();
    let output = folder.run(&[&["run", "--file", &file][..], &mistake].concat());
    assert_eq!(code(&output), 1, "{file}: {}", stderr(&output));
    let output = folder.run(&["run", "--file", &file]);
    assert_eq!(code(&output), 0, "{file}: {}", stderr(&output));
}

#[test]
fn a_known_failure_that_matches_nothing_is_refused() {
    let folder = Folder::new("stale");
    let target = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fixtures/targets/reference-agent.toml"
    ))
    .unwrap();
    let stale = "[[known_failing]]\nscenario = \"discovery.uuid-of-the-moon\"\nreason = \"x\"\n";
    fs::write(folder.0.join("stale.toml"), format!("{target}\n{stale}")).unwrap();
    let output = folder.run(&["run", "--target", "stale.toml"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("no run is called `discovery.uuid-of-the-moon@*`"),
        "{}",
        stderr(&output)
    );
}

/// The bundled agent as a real program under each back end that works here.
#[test]
fn the_bundled_agent_as_a_program() {
    for backend in backend::Backend::ALL {
        if let Err(why) = backend.probe() {
            eprintln!("skipped {backend}: {why}");
            continue;
        }
        let folder = Folder::new(&format!("bundled-{backend}"));
        let output = folder.run(&[
            "run",
            "--target",
            "reference-agent",
            "--backend",
            backend.name(),
            "--profile",
            "raptor-lake-16-wifi",
            "--filter",
            "discovery.lan-wireless, discovery.ras-outside, discovery.amt-off, discovery.version",
        ]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(code(&output), 0, "{backend}: {text}");
        assert_eq!(folder.report()["summary"]["verdicts"]["pass"], 4, "{text}");
    }
}
