//! TLS over a port, as a script writes it: a handshake, how it is refused, and what the device showed.
//!
//! ```text
//! tls                                a handshake in any version; `tls 1.2`, `tls 1.3` in that one
//! tls 1.2 as good                    the same, showing this chain of the certificate laboratory
//! tls 1.2 resuming                   the same, with what an earlier such line was given to resume by
//! = alert certificate_required       the handshake before fails with this alert
//! = closed                           the same without any
//! < TLS 1.3                          this version was agreed on
//! < certificates 1                   so many were shown
//! < certificate subject CN=*         what stands in the first: `subject`, `issuer`, `key`, `valid`
//! < authorities 0                    a certificate was asked for, and so many authorities were named
//! < handshake whole                  nothing was resumed
//! < close_notify                     the device says that no more comes
//! ```
//! From then on bytes and HTTP go through TLS. Under TLS 1.3 a client that is refused hears of it after its own part of
//! the handshake; `= alert` waits for that.

use std::time::Duration;

use rustls::AlertDescription;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::chains;
use super::pattern::TextPattern;
use super::player::Wrong;
use crate::role::certificates::CertificateForm;
use crate::scenario::placeholder::Values;
use crate::wire::tls::{Seen, TlsClient, TlsError, TlsVersion, alert_name};
use crate::wire::{Pipe, PipeError, TlsOptions};

/// One handshake.
#[derive(Debug, Clone)]
pub struct Handshake {
    version: Option<TlsVersion>,
    shows: Option<CertificateForm>,
    resuming: bool,
    pub refused: Option<Refusal>,
}

/// How a handshake fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// By the name that RFC 8446 gives it.
    Alert(String),
    Closed,
}

/// What must be so of a handshake, or of the connection that came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecureAnswer {
    Version(&'static str),
    Certificates(usize),
    Certificate { part: Part, value: TextPattern },
    Authorities(usize),
    Whole,
    CloseNotify,
}

/// What stands in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Subject,
    Issuer,
    /// `RSA 2048`
    Key,
    /// `2024 to 2049`
    Valid,
}

impl Part {
    const NAMED: [(&'static str, Self); 4] = [
        ("subject", Self::Subject),
        ("issuer", Self::Issuer),
        ("key", Self::Key),
        ("valid", Self::Valid),
    ];
}

/// A connection, and what its handshake showed.
type Opened = (Box<dyn Pipe>, Seen);

const VERSIONS: [(&str, TlsVersion); 2] = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];

impl Handshake {
    /// How long the device may be silent.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Reads what stands behind `tls`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut handshake = Self {
            version: None,
            shows: None,
            resuming: false,
            refused: None,
        };
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let version = VERSIONS.iter().find(|(known, _)| *known == word);
            match (word, version) {
                (_, Some((_, version))) => handshake.version = Some(*version),
                ("resuming", _) => handshake.resuming = true,
                ("as", _) => {
                    let name = words.next().unwrap_or_default();
                    let mut forms = CertificateForm::ALL.iter();
                    let form = forms.find(|form| form.to_string() == name);
                    let known = CertificateForm::ALL.iter().map(ToString::to_string);
                    handshake.shows = Some(*form.ok_or_else(|| {
                        let known: Vec<String> = known.collect();
                        no_such("chain of the laboratory", name, &known)
                    })?);
                }
                _ => {
                    return Err(format!(
                        "`{word}` does not belong there: write `tls`, `tls 1.2`, `tls as CHAIN` or `tls resuming`"
                    ));
                }
            }
        }
        Ok(handshake)
    }

    /// Shakes hands over `under`. Gives what was seen, and the connection unless it is to be refused.
    pub fn play(
        &self,
        under: Box<dyn Pipe>,
        resumed: &mut Option<TlsClient>,
    ) -> Result<Option<Opened>, Wrong> {
        let setup = |why: String| ("a handshake".to_owned(), why);
        let client = match resumed.take().filter(|_| self.resuming) {
            Some(client) => client,
            None => self.client().map_err(setup)?,
        };
        let (seen, opened) = client.shake_hands(under, Self::PATIENCE);
        if self.resuming {
            *resumed = Some(client);
        }
        let Some(refusal) = &self.refused else {
            let pipe = opened.map_err(|error| setup(error.to_string()))?;
            return Ok(Some((Box::new(pipe), seen)));
        };
        // What is refused after the handshake of this side is heard of with the next bytes.
        let outcome = opened.and_then(|mut pipe| pipe.receive(Self::PATIENCE));
        let actual = match &outcome {
            Err(PipeError::Tls(TlsError::Alert(name))) => Some(Refusal::Alert(name.clone())),
            Err(PipeError::Tls(TlsError::Closed) | PipeError::Ended) => Some(Refusal::Closed),
            Ok(bytes) if bytes.is_empty() => Some(Refusal::Closed),
            Ok(_) | Err(_) => None,
        };
        if actual.as_ref() == Some(refusal) {
            return Ok(None);
        }
        let instead = match (actual, outcome) {
            (Some(actual), _) => actual.describe(),
            (None, Err(PipeError::Timeout(_))) => "a connection".to_owned(),
            (None, Err(error)) => error.to_string(),
            (None, Ok(_)) => "a connection, and something said".to_owned(),
        };
        Err((refusal.describe(), instead))
    }

    fn client(&self) -> Result<TlsClient, String> {
        let mut options = TlsOptions::default();
        options.versions = match self.version {
            Some(version) => vec![version],
            None => options.versions,
        };
        if let Some(form) = self.shows {
            options.identity = Some(chains::shown(form)?);
        }
        TlsClient::resuming(&options).map_err(|error| error.to_string())
    }
}

impl Refusal {
    /// Reads what stands behind `=`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(' ') {
            None if text == "closed" => Ok(Self::Closed),
            Some(("alert", name)) => {
                let known: Vec<String> = (0..=u8::MAX)
                    .map(AlertDescription::from)
                    .filter(|alert| !matches!(alert, AlertDescription::Unknown(_)))
                    .map(alert_name)
                    .collect();
                let name = name.trim();
                match known.iter().any(|known| known == name) {
                    true => Ok(Self::Alert(name.to_owned())),
                    false => Err(no_such("alert", name, &known)),
                }
            }
            _ => Err(format!(
                "`= {text}`: a handshake is refused by `= alert NAME` or `= closed`"
            )),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Alert(name) => format!("alert {name}"),
            Self::Closed => "the end".to_owned(),
        }
    }
}

fn no_such(what: &str, word: &str, known: &[String]) -> String {
    let near = amt_sim::diagnostic::closest(word, known.iter().map(String::as_str));
    let help = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!("no {what} is called `{word}`{help}")
}

impl SecureAnswer {
    /// Reads what stands behind `<`; none where that is not about TLS.
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        let number = || {
            rest.parse()
                .map_err(|_| format!("`{rest}` is not a number"))
        };
        Some(match (word, rest) {
            ("close_notify", "") => Ok(Self::CloseNotify),
            ("handshake", "whole") => Ok(Self::Whole),
            ("certificates", _) => number().map(Self::Certificates),
            ("authorities", _) => number().map(Self::Authorities),
            ("TLS", version) => VERSIONS
                .iter()
                .find(|(known, _)| *known == version)
                .map(|(known, _)| Self::Version(known))
                .ok_or_else(|| format!("`{version}` is no version: write 1.2 or 1.3")),
            ("certificate", _) => certificate(rest),
            _ => return None,
        })
    }

    /// Looks at what was seen. [`SecureAnswer::CloseNotify`] is for the connection to say.
    pub fn look(&self, seen: &Seen, values: Values<'_>) -> Result<(), Wrong> {
        let text = |what: &str, wanted: String, actual: String| match wanted == actual {
            true => Ok(()),
            false => Err((format!("{what}{wanted}"), format!("{what}{actual}"))),
        };
        match self {
            Self::Version(wanted) => {
                let actual = seen.version.unwrap_or("none");
                text("TLS ", (*wanted).to_owned(), actual.to_owned())
            }
            Self::Certificates(count) => {
                let actual = seen.chain.len().to_string();
                text("certificates ", count.to_string(), actual)
            }
            Self::Authorities(count) => {
                let actual = seen.authorities.map(|count| count.to_string());
                let actual = actual.unwrap_or_else(|| "not asked for".to_owned());
                text("authorities ", count.to_string(), actual)
            }
            Self::Whole if !seen.resumed => Ok(()),
            Self::Whole => Err(("a whole handshake".to_owned(), "a resumed one".to_owned())),
            Self::CloseNotify => Ok(()),
            Self::Certificate { part, value } => {
                let actual = part.of(seen);
                match value.matches(&actual, values) {
                    true => Ok(()),
                    false => Err((value.written().to_owned(), actual)),
                }
            }
        }
    }
}

fn certificate(rest: &str) -> Result<SecureAnswer, String> {
    let (name, value) = rest.split_once(' ').unwrap_or((rest, "*"));
    let known = Part::NAMED.iter().find(|(known, _)| *known == name);
    let (_, part) = known.ok_or_else(|| {
        let known = Part::NAMED.map(|(known, _)| known.to_owned());
        no_such("part of a certificate", name, &known)
    })?;
    let value = TextPattern::parse(value.trim())?;
    Ok(SecureAnswer::Certificate { part: *part, value })
}

impl Part {
    /// That part of the first certificate, as a text.
    fn of(self, seen: &Seen) -> String {
        let Some(leaf) = seen.chain.first() else {
            return "no certificate".to_owned();
        };
        let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
            return "no certificate that can be read".to_owned();
        };
        match self {
            Self::Subject => certificate.subject().to_string(),
            Self::Issuer => certificate.issuer().to_string(),
            Self::Key => match certificate.public_key().parsed() {
                Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
                Ok(PublicKey::EC(point)) => format!("EC {}", point.key_size()),
                Ok(_) | Err(_) => "another kind".to_owned(),
            },
            Self::Valid => {
                let validity = certificate.validity();
                let year = |time: x509_parser::time::ASN1Time| time.to_datetime().year();
                let (from, to) = (year(validity.not_before), year(validity.not_after));
                format!("{from} to {to}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use amt_sim::Device;
    use amt_sim::pki::SelfSigned;
    use rstest::rstest;

    use super::*;
    use crate::fact::Truth;

    fn seen() -> Seen {
        let own = SelfSigned::for_device("pc.corp.example", "1").unwrap();
        Seen {
            chain: vec![own.certificate],
            finished: true,
            version: Some("1.3"),
            cipher: None,
            authorities: Some(0),
            resumed: false,
        }
    }

    fn look(line: &str, seen: &Seen) -> Option<String> {
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let truth = Truth::of(&device);
        let wanted = SecureAnswer::parse(line).unwrap().unwrap();
        let looked = wanted.look(seen, Values::of_device(&truth, 1));
        looked.err().map(|(_, actual)| actual)
    }

    #[rstest]
    #[case("TLS 1.3", None)]
    #[case("TLS 1.2", Some("TLS 1.3"))]
    #[case("certificates 1", None)]
    #[case("certificates 2", Some("certificates 1"))]
    #[case("certificate subject *CN=pc.corp.example*", None)]
    #[case(
        "certificate issuer *CN=other",
        Some("C=US, O=amt-sim, CN=pc.corp.example")
    )]
    #[case("certificate key RSA 2048", None)]
    #[case("certificate key EC 384", Some("RSA 2048"))]
    #[case("certificate valid 2024 to 2049", None)]
    #[case("authorities 0", None)]
    #[case("authorities 3", Some("authorities 0"))]
    #[case("handshake whole", None)]
    fn what_was_seen_is_looked_at(#[case] line: &str, #[case] actual: Option<&str>) {
        assert_eq!(look(line, &seen()).as_deref(), actual);
    }

    #[test]
    fn a_session_that_went_on_is_told() {
        let resumed = Seen {
            resumed: true,
            authorities: None,
            ..Seen::default()
        };
        let actual = look("handshake whole", &resumed);
        assert_eq!(actual.as_deref(), Some("a resumed one"));
        let actual = look("authorities 0", &resumed);
        assert_eq!(actual.as_deref(), Some("authorities not asked for"));
        let actual = look("certificate subject *", &Seen::default());
        assert_eq!(actual, None, "any text will do");
    }

    #[rstest]
    #[case("1.1", "`1.1` does not belong there")]
    #[case(
        "as god",
        "no chain of the laboratory is called `god`; did you mean `good`?"
    )]
    #[case("as", "no chain of the laboratory is called ``")]
    fn wrong_handshakes(#[case] line: &str, #[case] complaint: &str) {
        let wrong = Handshake::parse(line).unwrap_err();
        assert!(wrong.starts_with(complaint), "{wrong}");
    }

    #[rstest]
    #[case(
        "alert certificate_unknow",
        "no alert is called `certificate_unknow`; did you mean `certificate_unknown`?"
    )]
    #[case("EBUSY", "`= EBUSY`: a handshake is refused by")]
    fn wrong_refusals(#[case] line: &str, #[case] complaint: &str) {
        let wrong = Refusal::parse(line).unwrap_err();
        assert_eq!(wrong.get(..complaint.len()), Some(complaint), "{wrong}");
    }

    #[rstest]
    #[case("TLS 1.1", "`1.1` is no version")]
    #[case("certificates one", "`one` is not a number")]
    #[case(
        "certificate subjekt x",
        "no part of a certificate is called `subjekt`; did you mean `subject`?"
    )]
    fn wrong_answers(#[case] line: &str, #[case] complaint: &str) {
        let wrong = SecureAnswer::parse(line).unwrap().unwrap_err();
        assert!(wrong.starts_with(complaint), "{wrong}");
    }
}
