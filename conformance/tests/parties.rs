//! Set-up over the network with real programs in the places of agent, console and SCA: the bundled ones as programs of
//! their own, good ones and bad ones, and others that a shell plays.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "common/folder.rs"]
mod folder;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;

use folder::Folder;
use rstest::rstest;
use serde_json::{Value, json};

/// The only run of one story.
fn run(targets: &[&str], story: &str) -> Value {
    let folder = Folder::new("parties");
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    command.args(["run", "--profile", "tiger-lake-15", "--filter", story]);
    for (count, target) in targets.iter().enumerate() {
        // A name, or the text of a file.
        let target = match target.contains('\n') {
            true => {
                let file = folder.0.join(format!("target-{count}.toml"));
                std::fs::write(&file, target).unwrap();
                file.to_string_lossy().into_owned()
            }
            false => (*target).to_owned(),
        };
        command.args(["--target", &target]);
    }
    let output = command.arg("--report").arg(&folder.0).output().unwrap();
    let report = std::fs::read_to_string(folder.0.join("report.json"));
    let report = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let report: Value = serde_json::from_str(&report).unwrap();
    report["runs"][0].clone()
}

/// A target file that ships, with something else in it.
fn changed(name: &str, from: &str, to: &str) -> String {
    let file = format!(
        "{}/../fixtures/targets/{name}.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{name}: no {from}");
    text.replace(from, to)
}

/// First words of everything that was run, without the program's path.
fn ran(run: &Value) -> Vec<String> {
    let processes = run["processes"].as_array().unwrap().iter();
    let words = processes.map(|process| {
        let words = process["command"].as_array().unwrap();
        let words: Vec<&str> = words
            .iter()
            .filter_map(Value::as_str)
            .skip(1)
            .take(2)
            .collect();
        words.join(" ")
    });
    words.collect()
}

const AGENTS: &[&str] = &["agent discover", "agent start"];
const CONSOLES: &[&str] = &["console order", "console start"];

#[rstest]
#[case::the_agent(&["reference-agent"], &[AGENTS])]
#[case::the_console(&["reference-console"], &[CONSOLES])]
#[case::all_of_them(&["reference-sca", "reference-console", "reference-agent"], &[AGENTS, CONSOLES])]
fn the_flow_goes_through_with_programs(#[case] targets: &[&str], #[case] ran_by: &[&[&str]]) {
    let run = run(targets, "flow.legacy");
    assert_eq!(run["verdict"], "pass", "{run:#}");
    let mut expected: Vec<&str> = ran_by.concat();
    expected.push("sca --listen");
    assert_eq!(ran(&run), expected);
}

/// It makes the one-time password and prints it; the harness carries it to agent and SCA.
const PRINTER: &str = r#"
name = "printer"
title = "prints a one-time password"
program = "/bin/sh"
role = "console"
has = ["network-setup"]
[[command]]
for = "console.order"
args = ["-c", 'test -n "$1" && echo "machine $1, one-time password: Kdh4hSu7sHtw"', "sh", "{machine.uuid}"]
[command.otp]
regex = 'one-time password: (\S+)'
"#;

/// It is told the one-time password by a file, and hands it over and begins by two commands.
const BY_FILE: &str = r#"
name = "by-file"
title = "an agent that reads a file"
program = "/bin/sh"
has = ["uuid", "version", "network-setup"]
[[command]]
for = "agent.discover"
args = ["-c", '"$0" agent discover --json', "{conformance}"]
output = "facts"
reports = ["uuid", "version"]
[[command]]
for = "agent.start"
args = ["-c", '"$0" agent start --json --otp "$(cat "$1")"', "{conformance}", "{scratch}/otp"]
output = "facts"
reports = ["agent.otp-status", "agent.start-status"]
[[command.write]]
file = "{scratch}/otp"
text = "{otp}"
"#;

#[rstest]
#[case::a_console_that_prints(PRINTER)]
#[case::an_agent_that_reads_a_file(BY_FILE)]
fn programs_need_no_words_of_ours(#[case] target: &str) {
    let run = run(&[target], "flow.legacy");
    assert_eq!(run["verdict"], "pass", "{run:#}");
}

/// A console that runs already: it is asked by HTTP, answers at once, and turns to agent and SCA by HTTP afterwards.
struct Office {
    port: u16,
}

impl Office {
    fn open() -> Self {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = door.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for caller in door.incoming() {
                let mut caller = caller.unwrap();
                let (path, body) = request(&mut caller);
                let answer = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
                caller.write_all(answer.as_bytes()).unwrap();
                drop(caller);
                let told: Value = serde_json::from_str(&body).unwrap();
                let [agent, sca] = ["agent", "sca"].map(|key| told[key].as_str().unwrap());
                match path.as_str() {
                    "/order" => {
                        let machine = post(agent, r#"{"identify": {}}"#);
                        let uuid = &machine["identity"]["uuid"];
                        post(
                            sca,
                            &json!({"expect": {"uuid": uuid, "otp": "Kdh4hSu7sHtw"}}).to_string(),
                        );
                    }
                    _ => {
                        post(agent, r#"{"start": {"otp": "Kdh4hSu7sHtw"}}"#);
                    }
                }
            }
        });
        Self { port }
    }

    fn target(&self) -> String {
        let port = self.port;
        let command = |step: &str, path: &str| {
            format!(
                "[[command]]\nfor = \"{step}\"\nhttp = \"POST http://127.0.0.1:{port}/{path}\"\nbody = '{{{{\"agent\": \"{{agent}}\", \"sca\": \"{{sca}}\"}}}}'\n"
            )
        };
        let (order, start) = (
            command("console.order", "order"),
            command("agent.start", "start"),
        );
        format!(
            "name = \"office\"\ntitle = \"runs already\"\nrole = \"console\"\nhas = [\"network-setup\"]\n{order}{start}"
        )
    }
}

/// Path and body of a request.
fn request(caller: &mut TcpStream) -> (String, String) {
    let mut reader = BufReader::new(caller);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line);
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.unwrap().trim().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = head[0].split(' ').nth(1).unwrap().to_owned();
    (path, String::from_utf8(body).unwrap())
}

fn post(address: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn a_console_that_runs_already_is_asked_by_http() {
    let run = run(&[&Office::open().target()], "flow.legacy");
    assert_eq!(run["verdict"], "pass", "{run:#}");
    assert_eq!(run["processes"][0]["ended"], "answered");
}

#[test]
fn a_console_that_does_not_answer_is_blamed() {
    let nobody = Office { port: 1 }.target();
    let run = run(&[&nobody], "flow.legacy");
    let check = &run["checks"][0];
    assert_eq!(
        (&check["actual"], &check["blame"]),
        (&json!("failed"), &json!("console")),
        "{run:#}"
    );
}

/// Nobody but the one who is wrong is blamed first, and for this.
#[rstest]
#[case::an_agent_without_the_password(
    "reference-agent",
    r#""start", "#,
    r#""start", "--misbehave", "agent-forgets-otp", "#,
    "flow.legacy",
    "agent.setup.otp-to-device",
    "agent"
)]
#[case::an_agent_that_cannot_begin(
    "reference-agent",
    r#""start", "#,
    r#""start", "--node", "/nowhere", "#,
    "flow.legacy",
    "agent.setup.otp-to-device",
    "agent"
)]
#[case::an_agent_that_says_nothing(
    "reference-agent",
    r#"["agent", "start", "--json", "--otp", "{otp}"]"#,
    r#"["list"]"#,
    "flow.legacy",
    "agent.setup.otp-to-device",
    "agent"
)]
#[case::an_agent_that_says_it_stopped(
    "reference-agent",
    r#""stop", "#,
    r#""stop", "--misbehave", "agent-hides-status", "#,
    "flow.called-off",
    "agent.out-of-band.stop",
    "agent"
)]
#[case::an_agent_that_turns_the_uuid_round(
    "reference-agent",
    r#""discover", "#,
    r#""discover", "--misbehave", "uuid-byte-order", "#,
    "flow.legacy",
    "agent.setup.otp-to-device",
    "agent"
)]
#[case::a_console_that_forgets_the_sca(
    "reference-console",
    r#""order", "#,
    r#""order", "--misbehave", "console-forgets-sca", "#,
    "flow.legacy",
    "console.setup.identity-to-sca",
    "console"
)]
#[case::a_console_with_one_password(
    "reference-console",
    r#""order", "#,
    r#""order", "--misbehave", "console-one-otp", "#,
    "flow.password-for-each",
    "console.out-of-band.otp-per-machine",
    "console"
)]
#[case::a_console_that_breaks(
    "reference-console",
    r#"["console", "order", "#,
    r#"["console", "odrer", "#,
    "flow.legacy",
    "agent.setup.otp-to-device",
    "console"
)]
#[case::a_console_that_lets_nobody_begin(
    "reference-console",
    r#"["console", "start", "#,
    r#"["list", "--filter", "flow.*"] # "#,
    "flow.legacy",
    "agent.setup.otp-to-device",
    "console"
)]
#[case::an_sca_that_skips_the_password(
    "reference-sca",
    r#""sca", "#,
    r#""sca", "--misbehave", "sca-skips-otp", "#,
    "flow.legacy",
    "sca.otp.read-before-write",
    "sca"
)]
fn whoever_is_wrong_is_blamed(
    #[case] name: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] story: &str,
    #[case] requirement: &str,
    #[case] blame: &str,
) {
    let bad = changed(name, from, to);
    // The others are programs too: it must still be plain who it was.
    let all = ["reference-agent", "reference-console", "reference-sca"];
    let targets: Vec<&str> = all
        .into_iter()
        .map(|target| if target == name { bad.as_str() } else { target })
        .collect();
    let run = run(&targets, story);
    assert_eq!(run["verdict"], "fail", "{run:#}");
    let checks = run["checks"].as_array().unwrap().iter();
    let failed: Vec<(&str, &str)> = checks
        .filter(|check| check["verdict"] == "fail")
        .map(|check| {
            let text = |key: &str| check[key].as_str().unwrap();
            (text("requirement"), text("blame"))
        })
        .collect();
    assert_eq!(failed[0].1, blame, "{failed:#?}");
    assert!(failed.contains(&(requirement, blame)), "{failed:#?}");
}

#[test]
fn a_console_that_hangs_is_ended() {
    let hangs = PRINTER
        .replace("echo", "sleep 1000; echo")
        .replace("role =", "time_limit = \"1s\"\nrole =");
    let run = run(&[&hangs], "flow.legacy");
    let check = &run["checks"][0];
    assert_eq!(check["actual"], "hung", "{run:#}");
    assert_eq!(check["blame"], "console", "{run:#}");
    assert_eq!(run["processes"][0]["ended"], "still running after 1s");
}
