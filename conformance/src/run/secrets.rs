//! What nobody who reads a report needs to know: found by what it is, taken out wherever it stands.
//!
//! A secret is known by its kind from where it came: the device's memory, a field of a request, an argument of a
//! program, a PEM block. It is then taken out of every text of the run, in whatever form it is written there: as it
//! is, as hex digits, in base64, or escaped for XML. In the journal, where bytes are hex digits, it becomes as many
//! `*`, so that the messages can still be read; elsewhere `[redacted: password]` and the like.

use std::collections::BTreeSet;

use amt_sim::capture::describe;
use amt_sim::device::{Party, Passage, Recording};
use amt_sim::{ClientKind, Device, Entry, Event, Preset};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::verdict::Run;
use crate::role::Process;
use crate::words::words;

words! {
    SecretKind {
        Password = "password",
        Otp = "one-time password",
        /// What HTTP digest makes of a password: as good as one.
        Ha1 = "digest password",
        PrivateKey = "private key",
    }
}

/// Everything secret that one run has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    known: BTreeSet<(SecretKind, Vec<u8>)>,
}

/// Shorter ones would be found where they are not meant; they protect nothing anyway.
const SHORTEST: usize = 6;

/// Words that stand for themselves.
const NO_SECRETS: [&str; 3] = ["admin", "password", "$$OsAdmin"];

impl Secrets {
    pub fn add(&mut self, kind: SecretKind, secret: impl AsRef<[u8]>) {
        let secret = secret.as_ref();
        let is_word = NO_SECRETS.iter().any(|word| word.as_bytes() == secret);
        if secret.len() >= SHORTEST && !is_word {
            self.known.insert((kind, secret.to_vec()));
        }
    }

    fn add_hex(&mut self, kind: SecretKind, digits: &str) {
        if let Some(bytes) = amt_sim::hex::decode(digits) {
            self.add(kind, bytes);
        }
    }

    /// What the device remembers now.
    pub fn look_into(&mut self, device: &Device) {
        self.add(SecretKind::Password, &device.local_account().password);
        self.add(SecretKind::Password, Preset::PASSWORD);
        let state = device.state();
        if let Some(ha1) = &state.admin_ha1 {
            self.add_hex(SecretKind::Ha1, ha1);
        }
        for account in &state.accounts {
            self.add_hex(SecretKind::Ha1, &account.ha1);
        }
        if let Some(otp) = &state.otp {
            self.add(SecretKind::Otp, otp);
        }
        for key in &state.keys {
            self.add_hex(SecretKind::PrivateKey, &key.private);
        }
    }

    /// A variable or an argument by its name.
    pub fn look_at(&mut self, name: &str, value: &str) {
        if let Some(kind) = kind_of(&name.to_ascii_lowercase().replace('_', "")) {
            self.add(kind, value);
        }
    }

    /// What went over the wire.
    pub fn read(&mut self, journal: &[Entry], recording: &Recording) {
        for entry in journal {
            let Event::Received { client, bytes, .. } = &entry.event else {
                continue;
            };
            // An AMT_ANSI_STRING: u16 length and the text, after the header of twelve bytes.
            if *client == ClientKind::Amthi
                && describe(*client, Party::Host, bytes).label == "SetProvisioningServerOTP"
                && let Some(text) = bytes.get(14..)
            {
                self.add(SecretKind::Otp, text);
            }
        }
        let mut said: std::collections::BTreeMap<(u32, bool), Vec<u8>> = Default::default();
        for traffic in &recording.traffic {
            let (by, bytes) = match &traffic.what {
                Passage::Wire { by, bytes } | Passage::Text { by, bytes } => (by, bytes),
                _ => continue,
            };
            // Both layers of a connection with TLS may be mixed here: what is sealed looks like nothing.
            let of = said.entry((traffic.stream, *by == Party::Device));
            of.or_default().extend_from_slice(bytes);
        }
        for bytes in said.values() {
            self.read_text(&String::from_utf8_lossy(bytes));
        }
    }

    /// What a program was told, and what it printed.
    pub fn watch(&mut self, process: &Process) {
        let mut words = process.command.iter();
        while let Some(word) = words.next() {
            let name = word.trim_start_matches('-').to_ascii_lowercase();
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => {
                    // The value as it was written, not in lower case.
                    let start = word.len() - value.len();
                    (name.to_owned(), word.get(start..))
                }
                None if word.starts_with('-') && kind_of(&name).is_some() => {
                    (name, words.next().map(String::as_str))
                }
                None => continue,
            };
            if let (Some(kind), Some(value)) = (kind_of(&name), value) {
                self.add(kind, value);
            }
        }
        for text in process
            .command
            .iter()
            .chain([&process.stdout, &process.stderr])
        {
            self.read_text(text);
        }
    }

    /// Elements that hold a secret by their name, `Authorization: Basic`, and PEM blocks.
    fn read_text(&mut self, text: &str) {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('<') {
            rest = after;
            let Some((tag, after)) = after.split_once('>') else {
                break;
            };
            let name = tag.split([' ', '\t', '\n']).next().unwrap_or_default();
            let name = name.rsplit(':').next().unwrap_or_default();
            let Some(kind) = kind_of(&name.to_ascii_lowercase()) else {
                continue;
            };
            let Some((value, _)) = after.split_once('<') else {
                continue;
            };
            let value = value.trim();
            self.add(kind, unescaped(value));
            if let (SecretKind::Ha1 | SecretKind::PrivateKey, Ok(bytes)) =
                (kind, STANDARD.decode(value))
            {
                self.add(kind, bytes);
            }
            if kind == SecretKind::Ha1 {
                self.add_hex(kind, value);
            }
        }
        for (_, after) in split_at_each(text, "Authorization: Basic ") {
            let token = after.split_ascii_whitespace().next().unwrap_or_default();
            let plain = STANDARD.decode(token).unwrap_or_default();
            if let Some(colon) = plain.iter().position(|byte| *byte == b':') {
                self.add(SecretKind::Password, token);
                self.add(SecretKind::Password, &plain[colon + 1..]);
            }
        }
        for (_, after) in split_at_each(text, "PRIVATE KEY-----") {
            if let Some((body, _)) = after.split_once("-----END") {
                self.add(SecretKind::PrivateKey, body.trim());
                for line in body.split(['\n', '\r', '\\']) {
                    // The last line of a block may be too short to be told from anything else.
                    if line.len() >= 16 {
                        self.add(SecretKind::PrivateKey, line.trim());
                    }
                }
            }
        }
    }

    /// How each of them may be written, longest first: one may be a part of another.
    fn forms(&self) -> Vec<Form> {
        let mut forms: BTreeSet<(String, bool, SecretKind)> = BTreeSet::new();
        for (kind, secret) in &self.known {
            let hex = amt_sim::hex::encode(secret);
            forms.insert((hex.to_uppercase(), true, *kind));
            forms.insert((hex, true, *kind));
            let coded = STANDARD.encode(secret);
            forms.insert((amt_sim::hex::encode(coded.as_bytes()), true, *kind));
            forms.insert((coded, false, *kind));
            if let Ok(text) = std::str::from_utf8(secret) {
                forms.insert((text.to_owned(), false, *kind));
                let escaped = escaped(text);
                forms.insert((amt_sim::hex::encode(escaped.as_bytes()), true, *kind));
                forms.insert((escaped, false, *kind));
            } else {
                // Written as text, such as the digits of a digest in a request.
                let digits = amt_sim::hex::encode(secret);
                forms.insert((amt_sim::hex::encode(digits.as_bytes()), true, *kind));
            }
        }
        let mut forms: Vec<Form> = forms
            .into_iter()
            .map(|(text, digits, kind)| Form { text, digits, kind })
            .collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.text.len()));
        forms
    }
}

/// One way to write one secret.
#[derive(Debug)]
struct Form {
    text: String,
    /// It is written in hex digits.
    digits: bool,
    kind: SecretKind,
}

/// What an element, an argument or a variable of that name holds; in lower case.
fn kind_of(name: &str) -> Option<SecretKind> {
    let ends = |ending: &str| name.ends_with(ending);
    if matches!(name, "networkadminpassword" | "digestpassword" | "ha1") {
        return Some(SecretKind::Ha1);
    }
    if ends("otp") || ends("onetimepassword") {
        return Some(SecretKind::Otp);
    }
    if matches!(name, "keyblob" | "privatekey") {
        return Some(SecretKind::PrivateKey);
    }
    let is_password = ends("password")
        || ends("passphrase")
        || ends("passwd")
        || ends("-pass")
        || name == "psk"
        || name == "pass";
    is_password.then_some(SecretKind::Password)
}

fn split_at_each<'t>(text: &'t str, mark: &'t str) -> impl Iterator<Item = (usize, &'t str)> {
    text.match_indices(mark)
        .filter_map(move |(at, _)| Some((at, text.get(at + mark.len()..)?)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// Takes every secret out of what a report shows of the run.
pub(super) fn redact(run: &mut Run, secrets: &Secrets) {
    let forms = secrets.forms();
    if forms.is_empty() {
        return;
    }
    redact_channels(&mut run.journal, &forms);
    for entry in &mut run.journal {
        match &mut entry.event {
            Event::Received { bytes, .. } | Event::Sent { bytes, .. } => {
                redact_bytes(bytes, &forms);
            }
            _ => {
                if let Some(clean) = redacted(entry, &forms) {
                    *entry = clean;
                }
            }
        }
    }
    let journal = std::mem::take(&mut run.journal);
    let recording = std::mem::take(&mut run.captured);
    if let Some(clean) = redacted(run, &forms) {
        *run = clean;
    }
    run.journal = journal;
    run.captured = recording;
}

/// The same without secrets, or nothing when there are none in it.
fn redacted<T: serde::Serialize + serde::de::DeserializeOwned>(
    what: &T,
    forms: &[Form],
) -> Option<T> {
    let mut value = serde_json::to_value(what).ok()?;
    let mut found = false;
    walk(&mut value, forms, &mut found);
    found.then(|| serde_json::from_value(value).ok()).flatten()
}

fn walk(value: &mut Value, forms: &[Form], found: &mut bool) {
    match value {
        Value::String(text) => {
            if let Some(clean) = clean(text, forms) {
                *text = clean;
                *found = true;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|item| walk(item, forms, found)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|item| walk(item, forms, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn clean(text: &str, forms: &[Form]) -> Option<String> {
    let is_hex = text.len() % 2 == 0
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut clean: Option<String> = None;
    for form in forms {
        let current = clean.as_deref().unwrap_or(text);
        if !current.contains(&form.text) {
            continue;
        }
        clean = Some(if is_hex && form.digits {
            current.replace(&form.text, &"2a".repeat(form.text.len() / 2))
        } else {
            current.replace(&form.text, &format!("[redacted: {}]", form.kind))
        });
    }
    clean
}

/// Over LME a text may be cut anywhere, also inside of a secret: looked for in what the messages of one channel say
/// together.
fn redact_channels(journal: &mut [Entry], forms: &[Form]) {
    const CHANNEL_DATA: u8 = 94;
    const HEADER: usize = amt_sim::apf::DATA_HEADER;
    let channel = |entry: &Entry| match &entry.event {
        Event::Received {
            client: ClientKind::Lme,
            bytes,
            ..
        } if bytes.first() == Some(&CHANNEL_DATA) => Some((true, bytes.get(1..5)?.to_vec())),
        Event::Sent {
            client: ClientKind::Lme,
            bytes,
            ..
        } if bytes.first() == Some(&CHANNEL_DATA) => Some((false, bytes.get(1..5)?.to_vec())),
        _ => None,
    };
    let mut ropes: std::collections::BTreeMap<_, (Vec<u8>, Vec<(usize, usize)>)> =
        Default::default();
    for (index, entry) in journal.iter().enumerate() {
        let Some(key) = channel(entry) else { continue };
        let (Event::Received { bytes, .. } | Event::Sent { bytes, .. }) = &entry.event else {
            continue;
        };
        let (text, places) = ropes.entry(key).or_default();
        for (offset, byte) in bytes.iter().enumerate().skip(HEADER) {
            text.push(*byte);
            places.push((index, offset));
        }
    }
    for (text, places) in ropes.values() {
        let digits = amt_sim::hex::encode(text);
        for form in forms.iter().filter(|form| form.digits) {
            for (at, _) in digits.match_indices(&form.text) {
                // Two digits are a byte; anything else is met by chance.
                if at % 2 == 1 {
                    continue;
                }
                let end = (at + form.text.len()) / 2;
                for (index, offset) in places.get(at / 2..end).unwrap_or_default() {
                    if let Event::Received { bytes, .. } | Event::Sent { bytes, .. } =
                        &mut journal[*index].event
                    {
                        bytes[*offset] = b'*';
                    }
                }
            }
        }
    }
}

/// A message of the journal without secrets.
fn redact_bytes(bytes: &mut Vec<u8>, forms: &[Form]) {
    let digits = amt_sim::hex::encode(bytes);
    if let Some(clean) = clean(&digits, forms)
        && let Some(clean) = amt_sim::hex::decode(&clean)
    {
        *bytes = clean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amt_sim::Instant;
    use rstest::rstest;

    const SECRET: &str = "S3cret&Word";

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add(SecretKind::Password, SECRET);
        secrets
    }

    fn shown(text: &str) -> String {
        clean(text, &secrets().forms()).unwrap_or_else(|| text.to_owned())
    }

    #[rstest]
    #[case::as_it_is(
        "the password is S3cret&Word!",
        "the password is [redacted: password]!"
    )]
    #[case::in_xml("<p>S3cret&amp;Word</p>", "<p>[redacted: password]</p>")]
    #[case::in_base64("x UzNjcmV0JldvcmQ= y", "x [redacted: password] y")]
    #[case::as_digits("key 53336372657426576F7264", "key [redacted: password]")]
    #[case::as_bytes("0153336372657426576f726400", "012a2a2a2a2a2a2a2a2a2a2a00")]
    fn forms(#[case] text: &str, #[case] want: &str) {
        assert_eq!(shown(text), want);
    }

    #[test]
    fn bytes_stay_as_many() {
        let mut bytes = b"\x01\x02S3cret&Word\x03".to_vec();
        redact_bytes(&mut bytes, &secrets().forms());
        assert_eq!(bytes, b"\x01\x02***********\x03");
    }

    #[test]
    fn a_secret_that_was_cut_in_two_is_found() {
        let message = |seq, text: &[u8]| {
            let mut bytes = vec![94, 0, 0, 0, 1, 0, 0, 0, text.len() as u8];
            bytes.extend(text);
            Entry {
                seq,
                at: Instant::POWER_ON,
                event: Event::Received {
                    handle: 1,
                    client: ClientKind::Lme,
                    bytes,
                },
            }
        };
        let mut journal = vec![message(1, b"abcS3cr"), message(2, b"et&Wordxyz")];
        redact_channels(&mut journal, &secrets().forms());
        let text: String = journal
            .iter()
            .map(|entry| match &entry.event {
                Event::Received { bytes, .. } => String::from_utf8_lossy(&bytes[9..]).into_owned(),
                _ => String::new(),
            })
            .collect();
        assert_eq!(text, "abc***********xyz");
    }

    #[rstest]
    #[case(
        "<g:NetworkAdminPassword>00112233445566778899aabbccddeeff</g:NetworkAdminPassword>",
        "xx 00112233445566778899aabbccddeeff"
    )]
    #[case(
        "<p:DigestPassword>AAECAwQFBgcICQoLDA0ODw==</p:DigestPassword>",
        "000102030405060708090a0b0c0d0e0f hex"
    )]
    #[case(
        "<x:PSKPassPhrase>correct horse</x:PSKPassPhrase>",
        "it is correct horse"
    )]
    #[case(
        "GET / HTTP/1.1\r\nAuthorization: Basic YWRtaW46aHVudGVyNDI=\r\n",
        "hunter42"
    )]
    #[case(
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END",
        "key MIIEpAIBAAKCAQEA"
    )]
    fn secrets_are_known_by_where_they_stand(#[case] text: &str, #[case] elsewhere: &str) {
        let mut secrets = Secrets::default();
        secrets.read_text(text);
        let clean = clean(elsewhere, &secrets.forms()).unwrap();
        assert!(clean.contains("[redacted: "), "{clean}");
    }

    #[rstest]
    #[case(&["rpc", "activate", "-password", "Hunter42!"])]
    #[case(&["rpc", "activate", "--mebxpassword=Hunter42!"])]
    #[case(&["meshcmd", "amtpower", "--pass", "Hunter42!"])]
    fn arguments_tell_what_follows_them(#[case] command: &[&str]) {
        let mut secrets = Secrets::default();
        secrets.watch(&Process {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            ended: String::new(),
            duration_ms: 0,
            stdout: String::new(),
            stderr: String::new(),
            left_behind: Vec::new(),
        });
        assert_eq!(
            clean("logged in with Hunter42!", &secrets.forms()).as_deref(),
            Some("logged in with [redacted: password]")
        );
    }

    #[test]
    fn words_that_mean_themselves_stay() {
        let mut secrets = Secrets::default();
        secrets.add(SecretKind::Password, "admin");
        secrets.add(SecretKind::Password, "12345");
        assert!(secrets.forms().is_empty());
    }
}
