//! What the tests of the web server share: a firmware in any mode, and logins as clients write them.

use super::authorization::Login;
use super::{StreamId, close, finished, open, receive, take};
use crate::device::{Event, Firmware, Interface, Mode, Profile, Rules, digest_a1};
use crate::mei;

pub(crate) const PASSWORD: &str = "P@ssw0rd1";

pub(crate) fn firmware(mode: Mode) -> Firmware {
    with_rules(mode, Rules::default())
}

pub(crate) fn with_rules(mode: Mode, rules: Rules) -> Firmware {
    with_profile(Profile::builtin("tiger-lake-15").unwrap(), mode, rules)
}

/// In an operational mode `admin` has [`PASSWORD`].
pub(crate) fn with_profile(profile: Profile, mode: Mode, rules: Rules) -> Firmware {
    let mut fw = mei::testing::with_rules(profile, mode, rules);
    if matches!(mode, Mode::Client | Mode::Admin) {
        let realm = &fw.identity.digest_realm;
        fw.state.admin_ha1 = Some(digest_a1("admin", realm, PASSWORD));
    }
    fw
}

pub(crate) fn without(rule: &str) -> Rules {
    let mut rules = Rules::default();
    rules.knock_out(rule).unwrap();
    rules
}

/// Everything that one connection answers to these bytes, and whether the device closes it then.
pub(crate) fn converse(fw: &mut Firmware, from: Interface, bytes: &[u8]) -> (String, bool) {
    let stream = open(fw, from, 16992).unwrap();
    receive(fw, stream, bytes);
    let answer = answered(fw, stream);
    let closes = finished(fw, stream);
    close(fw, stream);
    (answer, closes)
}

pub(crate) fn answered(fw: &mut Firmware, stream: StreamId) -> String {
    String::from_utf8(take(fw, stream, usize::MAX)).unwrap()
}

/// A POST to `/wsman`, with more headers if any.
pub(crate) fn post(headers: &str, body: &str) -> String {
    format!(
        "POST /wsman HTTP/1.1\r\nHost: amt\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The value between `name="` and the next quotation mark.
pub(crate) fn quoted<'a>(text: &'a str, name: &str) -> &'a str {
    let at = text.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
    text[at..].split('"').next().unwrap()
}

/// A login that answers a challenge, with response and count as told.
pub(crate) fn login(challenge: &str, user: &str, password: &str, count: u32) -> Login {
    let mut login = Login {
        user: user.to_owned(),
        realm: quoted(challenge, "realm").to_owned(),
        nonce: quoted(challenge, "nonce").to_owned(),
        uri: "/wsman".to_owned(),
        response: String::new(),
        algorithm: None,
        qop: Some("auth".to_owned()),
        count: Some(format!("{count:08x}")),
        client_nonce: Some("0a4f113b".to_owned()),
    };
    let ha1 = digest_a1(user, &login.realm, password);
    login.response = login.expected_response(&ha1, "POST", b"");
    login
}

/// As a Go client writes it: everything quoted, no blanks.
pub(crate) fn header(login: &Login) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    format!(
        "Authorization: Digest username=\"{}\",realm=\"{}\",nonce=\"{}\",uri=\"{}\",response=\"{}\",qop=\"{}\",nc=\"{}\",cnonce=\"{}\"\r\n",
        login.user,
        login.realm,
        login.nonce,
        login.uri,
        login.response,
        text(&login.qop),
        text(&login.count),
        text(&login.client_nonce)
    )
}

/// A challenge as the device gives it to one who does not log in.
pub(crate) fn challenge(fw: &mut Firmware, from: Interface) -> String {
    converse(fw, from, post("", "").as_bytes()).0
}

/// The journal since this was last asked.
pub(crate) fn events(fw: &mut Firmware) -> Vec<Event> {
    let entries = fw.journal.drain().into_iter();
    entries.map(|entry| entry.event).collect()
}
