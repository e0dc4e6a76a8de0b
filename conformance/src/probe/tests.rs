//! Scripts that are right and wrong, bytes that are like their pattern and not, and devices that answer otherwise.

use amt_sim::{Device, Preset};
use proptest::prelude::*;
use rstest::rstest;

use super::bytes::{Bytes, Kept};
use super::*;
use crate::document::read;
use crate::fact::Truth;
use crate::run::VirtualDevice;
use crate::scenario::placeholder::Values;

pub(super) fn script(lines: &str) -> Result<Script, Vec<String>> {
    let text = format!("probe = '''\n{lines}\n'''\n");
    let parsed = read("probe.toml", &text, |table, findings| {
        let script = table.require_string("probe")?;
        Script::parse(&text, &script, findings)
    });
    let shown = |found: &amt_sim::diagnostic::Diagnostic| {
        let help = found.help.as_deref().unwrap_or_default();
        format!("{}:{}: {} {help}", found.line, found.column, found.message)
    };
    parsed.map_err(|found| found.iter().map(shown).collect())
}

/// The script is refused, for this and nothing else.
pub(super) fn complains(lines: &str, complaint: &str) {
    let complaints = script(lines).unwrap_err();
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].starts_with(complaint), "{complaints:?}");
}

fn play(lines: &str, mute: bool) -> Result<usize, Mismatch> {
    play_on(Preset::Factory, lines, mute)
}

pub(super) fn play_on(preset: Preset, lines: &str, mute: bool) -> Result<usize, Mismatch> {
    let builder = Device::builder("tiger-lake-15").preset(preset);
    let device = builder.build().unwrap();
    let truth = Truth::of(&device);
    let prober = Prober::new(VirtualDevice::new(device));
    let mut prober = if mute { prober.mute() } else { prober };
    prober.play(&script(lines).unwrap(), Values::of_device(&truth, 1))
}

/// GetUUID, and its answer.
const UUID: &str = "connect amthi
> 0101 0000 5c000004 u32:0        # GetUUID
< 0101 0000 5c008004 u32:20 u32:0 uuid:{device.uuid}";

#[test]
fn a_device_that_is_right_passes() {
    assert_eq!(play(UUID, false), Ok(1));
}

#[test]
fn who_says_nothing_gets_no_answer() {
    let mismatch = play(UUID, true).unwrap_err();
    assert_eq!((mismatch.line, mismatch.actual.as_str()), (4, "nothing"));
}

#[rstest]
#[case::other_answer(
    "connect amthi\n> 0101 0000 5c000004 u32:0\n< 0101 0000 5c008004 u32:20 u32:1 ...",
    4,
    "from byte 8"
)]
#[case::shorter(
    "connect amthi\n> 0101 0000 5c000004 u32:0\n< 0101 0000 5c008004",
    4,
    "(8 bytes)"
)]
#[case::something_came("connect amthi\n> 0101 0000 5c000004 u32:0\n< nothing", 4, "nothing")]
#[case::not_refused("connect amthi\n= EBUSY", 2, "EBUSY")]
#[case::refused(
    "connect 00000000-0000-0000-0000-000000000000\n< nothing",
    2,
    "connected"
)]
#[case::no_such_name("on b\n< nothing", 2, "connection")]
#[case::nobody_listens("connect network:16992\n< end", 2, "connected")]
#[case::nothing_kept("connect amthi\n> @handle\n< ...", 3, "bytes")]
#[case::not_there_yet(
    "connect amthi\n> 0101 0000 5c000004 u32:0\n<now 01 ...",
    4,
    "(at least 1 bytes)"
)]
#[case::not_in_it(
    "connect amthi\n> 0101 0000 5c000004 u32:0\n< ...\nhas u8:77 \"mountain\"",
    5,
    "somewhere in it"
)]
#[case::the_same(
    "connect amthi\n> 0101 0000 5c000004 u32:0\n< ..*8 @a*4 ...\n> 0101 0000 5c000004 u32:0\n< ..*8 !@a ...",
    6,
    "from byte 7"
)]
#[case::not_empty("connect amthi\n> 0101 0000 5c000004 u32:0\n< empty", 4, "0 bytes")]
#[case::other_properties("connect amthi\n= u32:4096 ...", 2, "at least 4")]
#[case::not_readable("connect amthi\npoll in out", 3, "poll in out")]
#[case::no_hello("hello in 1h 0100 0300 ...", 2, "a Hello message")]
#[case::the_last_time_only("3 times connect lme as l\n= EBUSY\n< ...", 2, "it is connected")]
#[case::no_http("connect amthi\n> GET /\n< HTTP 200", 3, "a port")]
#[case::no_answer("connect local:16992\n< HTTP 200", 3, "HTTP 200")]
#[case::other_status("connect local:16992\n> GET /nowhere\n< HTTP 200", 4, "HTTP 200")]
#[case::no_answer_yet("connect local:16992\n< Server: *", 3, "an HTTP answer")]
#[case::unasked("connect local:16992\n> GET / as admin\n< HTTP 200", 3, "a request")]
fn what_goes_otherwise_is_told(#[case] lines: &str, #[case] line: usize, #[case] expected: &str) {
    let mismatch = play(lines, false).unwrap_err();
    assert_eq!(mismatch.line, line, "{mismatch:?}");
    assert!(mismatch.expected.contains(expected), "{mismatch:?}");
}

#[rstest]
#[case::errors("connect 00000000-0000-0000-0000-000000000000\n= ENOTTY", 1)]
#[case::open_first(
    "open as n\n> 00\n= ENODEV\nconnect amthi on n\n> 0101 0000 5c000004 u32:0\n< ...",
    2
)]
#[case::not_listening("connect network:16992\n= not-listening", 1)]
#[case::two_at_once(
    "connect amthi\nconnect mkhi\non amthi\n> 0101 0000 5c000004 u32:0\n< 01 ..*3 ...",
    1
)]
#[case::silence("connect amthi\n< nothing\nwait 10s\n< EAGAIN", 2)]
#[case::kept(
    "connect amthi\n> 0101 0000 5c000004 u32:0\n< 0101 @rest*2 5c008004 ...\n> 0101 @rest 5c000004 u32:0\n< 0101 @rest ...",
    2
)]
#[case::at_once(
    "connect amthi\n> 0101 0000 5c000004 u32:0\n<now EAGAIN\n<now nothing\n< ...\nhas uuid:{device.uuid}",
    4
)]
#[case::others(
    "connect amthi\n> 0101 0000 5c000004 u32:0\n< ..*4 @a*8 ...\n> 0101 0000 11000004 u32:0\n< ..*4 !@a ...",
    2
)]
#[case::empty("connect amthi\n> empty\n< nothing", 1)]
#[case::properties("connect amthi\n= u32:5120 u8:1 000000", 1)]
#[case::readiness(
    "open\npoll error\nconnect amthi on node\npoll out\n> 0101 0000 5c000004 u32:0\nwait 1s\npoll in out",
    3
)]
#[case::often(
    "4 times connect amthi as a\nconnect amthi\n= EBUSY\non a-4\n< nothing",
    2
)]
#[case::hello(
    "connect amthi\n> 0101 0000 29000004 u32:0\n< ...\nhello none in 6min\nhello in 2min to ProvisionServer.corp.example:9971 ..*2 0300 u32:0 uuid:{device.uuid} ...\nhas 02 20",
    4
)]
#[case::web(
    "connect local:16992\n> GET /logon.htm\n< HTTP 200\n< body *</html>\n> GET /wsman\n< HTTP 405\n< end",
    4
)]
#[case::two_answers(
    "connect local:16992\n> \"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nGET /x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\"\n< HTTP 303\n< HTTP 404\n< end",
    3
)]
fn every_line_does_what_it_says(#[case] lines: &str, #[case] answers: usize) {
    assert_eq!(play(lines, false), Ok(answers));
}

/// A device with TLS on the host's port.
fn play_over_tls(lines: &str, mute: bool) -> Result<usize, Mismatch> {
    let device = Device::builder("arrow-lake-19").build().unwrap();
    let truth = Truth::of(&device);
    let prober = Prober::new(VirtualDevice::new(device));
    let mut prober = if mute { prober.mute() } else { prober };
    prober.play(&script(lines).unwrap(), Values::of_device(&truth, 1))
}

#[rstest]
#[case::both_versions("tls 1.2\n< TLS 1.2\nconnect local:16993\ntls\n< TLS 1.3", 2)]
#[case::http("tls\n> POST /wsman\n< HTTP 401\n< close_notify", 2)]
#[case::certificate("tls\n< certificates 6\n< certificate subject *CN=*", 2)]
#[case::whole(
    "tls resuming\nclose\nconnect local:16993\ntls resuming\n< handshake whole",
    1
)]
fn handshakes(#[case] lines: &str, #[case] answers: usize) {
    let lines = format!("connect local:16993\n{lines}");
    assert_eq!(play_over_tls(&lines, false), Ok(answers));
    assert!(play_over_tls(&lines, true).is_err(), "a mute one has none");
}

#[rstest]
#[case::not_refused("tls\n= alert unknown_ca", 3, "a connection")]
#[case::not_closed("tls\n= closed", 3, "a connection")]
#[case::twice("tls\ntls\n< TLS 1.3", 4, "there is none")]
#[case::version("tls 1.2\n< TLS 1.3", 4, "TLS 1.2")]
#[case::not_asked("tls\n< authorities 0", 4, "not asked for")]
#[case::no_goodbye("tls\n> GET /logon.htm\n< HTTP 200\n< close_notify", 6, "nothing came")]
#[case::no_tls("< close_notify", 3, "there is none")]
fn what_tls_shows_otherwise_is_told(
    #[case] lines: &str,
    #[case] line: usize,
    #[case] actual: &str,
) {
    let lines = format!("connect local:16993\n{lines}");
    let mismatch = play_over_tls(&lines, false).unwrap_err();
    assert_eq!(mismatch.line, line, "{mismatch:?}");
    assert!(mismatch.actual.contains(actual), "{mismatch:?}");
}

#[rstest]
#[case::verb(
    "conect amthi",
    "2:1: no line begins with `conect` did you mean `connect`?"
)]
#[case::client(
    "connect amth",
    "2:1: no ME client is called `amth` did you mean `amthi`?"
)]
#[case::side(
    "connect lokal:16992",
    "2:1: no side is called `lokal` did you mean `local`?"
)]
#[case::bytes("connect amthi\n> 010", "3:1: `010` stands for no bytes")]
#[case::number("connect amthi\n> u8:256", "3:1: `256` does not fit into 1 bytes")]
#[case::place(
    "connect amthi\n> \"{device.uid}\"",
    "3:1: no placeholder is called `{device.uid}` here: did you mean `{device.uuid}`?"
)]
#[case::chain(
    "connect amthi\n> sha256:godo.0",
    "3:1: no chain of the laboratory is called `godo`: did you mean `good`?"
)]
#[case::any_sent(
    "connect amthi\n> 01 ..",
    "3:1: what is sent must be said to the last byte"
)]
#[case::behind_rest("connect amthi\n< ... 01", "3:1: nothing can stand behind `...`")]
#[case::quote("connect amthi\n< \"a", "3:1: a quote without its partner")]
#[case::errno(
    "connect amthi\n= EBUSSY",
    "3:1: no error is called `EBUSSY` did you mean `EBUSY`?"
)]
#[case::nothing_refused("= EBUSY", "2:1: `=` stands below a line that is refused")]
#[case::no_question("connect amthi", "1:9: a probe that expects nothing")]
#[case::time("wait soon", "2:1: `soon` is not a time")]
#[case::readiness(
    "open\npoll inn",
    "3:1: no readiness is called `inn` did you mean `in`?"
)]
#[case::readiness_and_none("open\npoll in nothing", "3:1: write `poll in`")]
#[case::hello("hello 0100", "2:1: write `hello in TIME BYTES`")]
#[case::hello_time("hello in soon 0100", "2:1: `soon` is not a time")]
#[case::no_hello("hello none in 1h 0100", "2:1: write `hello in TIME BYTES`")]
#[case::too_often(
    "1001 times open\npoll error",
    "2:1: a line can be said 1 to 1000 times"
)]
#[case::times_of_times(
    "2 times 2 times open\npoll error",
    "2:1: `times` stands in front of a line"
)]
#[case::not_found("has ...  01", "2:1: nothing can stand behind `...`")]
#[case::request("connect local:16992\n> GET", "3:1: a request has a path")]
#[case::status("connect local:16992\n< HTTP 4O1", "3:1: `4O1` is no status of HTTP")]
#[case::alert(
    "connect local:16993\ntls\n= alert unknown",
    "4:1: no alert is called `unknown`"
)]
#[case::chain(
    "connect local:16993\ntls as god\n< TLS 1.3",
    "3:1: no chain of the laboratory is called `god`"
)]
fn what_is_wrong_with_a_line_is_said(#[case] lines: &str, #[case] complaint: &str) {
    complains(lines, complaint);
}

proptest! {
    #[test]
    fn no_text_of_bytes_is_a_panic(text in ".{0,40}") {
        let _ = Bytes::parse(&text);
    }

    #[test]
    fn no_script_is_a_panic(lines in "([a-z<>=#@*.: \"0-9]{0,20}\n){0,4}") {
        let _ = script(&lines);
    }

    #[test]
    fn a_message_is_like_its_own_pattern(message in prop::collection::vec(any::<u8>(), 1..64), cut in 0_usize..64) {
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let truth = Truth::of(&device);
        let values = Values::of_device(&truth, 1);
        let mut kept = Kept::new();
        let hex = amt_sim::hex::encode(&message);
        let bytes = Bytes::parse(&hex).unwrap();
        prop_assert_eq!(&bytes.message(values, &kept).unwrap(), &message);
        let pattern = bytes.pattern(values, &kept).unwrap();
        prop_assert!(pattern.compare(&message, &mut kept).is_ok());
        let mut other = message.clone();
        let at = cut % message.len();
        other[at] ^= 0x40;
        prop_assert!(pattern.compare(&other, &mut kept).is_err());
        prop_assert!(pattern.compare(&message[..at], &mut kept).is_err());
    }
}
