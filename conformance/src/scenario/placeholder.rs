//! `{device.version}` and its like inside the texts of scenarios and target files.

use std::fmt;
use std::ops::Range;

use amt_sim::Preset;
use amt_sim::diagnostic::closest;

use crate::document::Findings;
use crate::fact::{Fact, Truth, show};

/// A text with places to fill in. `{{` and `}}` stand for braces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

/// What a place is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `{device.FACT}`: what a good agent would say of this device.
    Device(Fact),
    /// `{device.hostname}`
    Hostname,
    /// `{device.profile}`
    Profile,
    /// `{seed}`
    Seed,
    /// `{scratch}`: a folder of the run's own. Target files only.
    Scratch,
    /// `{conformance}`: the program that is running. Target files only.
    Conformance,
    /// `{otp}`: the one-time password of the run.
    Otp,
    /// `{other.uuid}`: another machine of the same order, which nobody switches on. Services only, as its password.
    OtherUuid,
    /// `{other.otp}`: its one-time password.
    OtherOtp,
    /// `{hello.port}`: a port that is free, for Hello messages. Services only.
    HelloPort,
    /// `{address}`: where the device is on the network.
    Address,
    /// `{ca}`: a folder with what `amt-sim ca export` writes. Services only.
    Authority,
    /// `{admin.password}`: of the account `admin`, on a device that is set up.
    AdminPassword,
    /// `{agent}`: where the agent answers a console.
    Agent,
    /// `{sca}`: where the SCA answers a console.
    Sca,
    /// `{machine.uuid}`: what the agent says of the machine.
    MachineUuid,
    /// `{machine.version}`: the same.
    MachineVersion,
}

/// Which places a file may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Scenario,
    Target,
    /// A target file, where it speaks of a service.
    Service,
    /// A target file of a program that comes over the network.
    Network,
    /// A target file of a console.
    Console,
}

/// The places of target files, and where each may stand.
const PLACES: &[(&str, Place, &[Scope])] = &[
    ("scratch", Place::Scratch, Scope::OF_TARGETS),
    ("conformance", Place::Conformance, Scope::OF_TARGETS),
    ("otp", Place::Otp, &[Scope::Service, Scope::Target]),
    ("other.uuid", Place::OtherUuid, &[Scope::Service]),
    ("other.otp", Place::OtherOtp, &[Scope::Service]),
    ("hello.port", Place::HelloPort, &[Scope::Service]),
    ("address", Place::Address, &[Scope::Service, Scope::Network]),
    ("ca", Place::Authority, &[Scope::Service]),
    ("admin.password", Place::AdminPassword, &[Scope::Network]),
    ("agent", Place::Agent, &[Scope::Console]),
    ("sca", Place::Sca, &[Scope::Console]),
    ("machine.uuid", Place::MachineUuid, &[Scope::Console]),
    ("machine.version", Place::MachineVersion, &[Scope::Console]),
];

impl Scope {
    const OF_TARGETS: &[Self] = &[Self::Target, Self::Service, Self::Network, Self::Console];

    fn places(self) -> impl Iterator<Item = (&'static str, Place)> {
        PLACES
            .iter()
            .filter(move |(_, _, scopes)| scopes.contains(&self))
            .map(|(name, place, _)| (*name, *place))
    }
}

/// What fills the places.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    pub truth: &'a Truth,
    pub seed: u64,
    pub scratch: &'a str,
    pub conformance: &'a str,
    /// Only for a service.
    pub service: Option<&'a ServiceValues>,
    /// What else the run gives its programs.
    pub told: &'a Told,
}

/// What a program is told of one run, as text; empty where nobody told it.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Where the device is on the network.
    pub address: String,
    pub otp: String,
    /// Where agent and SCA answer a console.
    pub agent: String,
    pub sca: String,
    /// What the agent says of the machine.
    pub uuid: String,
    pub version: String,
}

impl Told {
    /// For programs that need nothing.
    pub const NOTHING: Self = Self {
        address: String::new(),
        otp: String::new(),
        agent: String::new(),
        sca: String::new(),
        uuid: String::new(),
        version: String::new(),
    };
}

/// What a service is told of the run.
#[derive(Debug, Clone)]
pub struct ServiceValues {
    pub otp: String,
    pub other_uuid: String,
    pub other_otp: String,
    pub hello_port: u16,
    pub address: std::net::IpAddr,
    pub authority: String,
}

impl<'a> Values<'a> {
    /// What a scenario knows.
    pub fn of_device(truth: &'a Truth, seed: u64) -> Self {
        static NOTHING: Told = Told::NOTHING;
        Self {
            truth,
            seed,
            scratch: "",
            conformance: "",
            service: None,
            told: &NOTHING,
        }
    }

    /// The parser lets these places stand where there is a service only.
    fn service(&self, value: impl FnOnce(&ServiceValues) -> String) -> String {
        self.service.map(value).unwrap_or_default()
    }
}

/// A place that nothing fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPlace {
    pub message: String,
    pub help: Option<String>,
    /// Bytes of the text.
    pub range: Range<usize>,
}

impl UnknownPlace {
    /// Says so of a text between quotes that stands at this place of a file.
    pub fn tell(self, text: &Range<usize>, findings: &Findings) {
        // One byte for the opening quote.
        let start = text.start + 1 + self.range.start;
        findings.tell(start..start + self.range.len(), self.message, self.help);
    }
}

impl fmt::Display for UnknownPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, ": {help}"),
            None => Ok(()),
        }
    }
}

impl Template {
    pub fn parse(text: &str, scope: Scope) -> Result<Self, UnknownPlace> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let offset = text.len() - rest.len() + at;
            plain.push_str(&rest[..at]);
            let tail = &rest[at..];
            if tail.starts_with("{{") || tail.starts_with("}}") {
                plain.push_str(&tail[..1]);
                rest = &tail[2..];
                continue;
            }
            let end = tail.find('}').filter(|_| tail.starts_with('{'));
            let Some(end) = end else {
                return Err(UnknownPlace {
                    message: "a brace without its partner".to_owned(),
                    help: Some("write {{ or }} for a brace itself".to_owned()),
                    range: offset..offset + 1,
                });
            };
            let name = &tail[1..end];
            let place = Place::named(name, scope).map_err(|help| UnknownPlace {
                message: format!("no placeholder is called `{{{name}}}` here"),
                help,
                range: offset..offset + end + 1,
            })?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Place(place));
            rest = &tail[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// Whether there is nothing to fill in.
    pub fn is_plain(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Whether something is filled in there.
    pub fn has(&self, place: Place) -> bool {
        self.parts.contains(&Part::Place(place))
    }

    /// The text alone, for a template that is used where there is no device.
    pub fn text(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Place(_) => "",
            })
            .collect()
    }

    /// The text before there is a device: what is said of one is left out.
    pub fn fill_service(&self, values: &ServiceValues) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Place(Place::HelloPort) => values.hello_port.to_string(),
                Part::Place(Place::Address) => values.address.to_string(),
                Part::Place(_) => String::new(),
            })
            .collect()
    }

    /// The text; a fact that a good agent does not report becomes the empty text.
    pub fn fill(&self, values: Values<'_>) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Place(place) => place.value(values),
            })
            .collect()
    }
}

impl Place {
    fn named(name: &str, scope: Scope) -> Result<Self, Option<String>> {
        let place = match name {
            "device.hostname" => Some(Self::Hostname),
            "device.profile" => Some(Self::Profile),
            "seed" => Some(Self::Seed),
            _ => match name.strip_prefix("device.") {
                Some(fact) => Fact::named(fact).map(Self::Device),
                None => scope
                    .places()
                    .find(|(known, _)| *known == name)
                    .map(|(_, place)| place),
            },
        };
        place.ok_or_else(|| {
            let mut known: Vec<String> =
                Fact::names().map(|fact| format!("device.{fact}")).collect();
            known.extend(["device.hostname", "device.profile", "seed"].map(str::to_owned));
            known.extend(scope.places().map(|(known, _)| known.to_owned()));
            closest(name, known.iter().map(String::as_str))
                .map(|near| format!("did you mean `{{{near}}}`?"))
        })
    }

    fn value(self, values: Values<'_>) -> String {
        match self {
            Self::Device(fact) => match fact.expected(values.truth).best() {
                None => String::new(),
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(other) => show(other),
            },
            Self::Hostname => values.truth.hostname().to_owned(),
            Self::Profile => values.truth.profile().name.clone(),
            Self::Seed => values.seed.to_string(),
            Self::Scratch => values.scratch.to_owned(),
            Self::Conformance => values.conformance.to_owned(),
            Self::Otp => match values.service {
                Some(service) => service.otp.clone(),
                None => values.told.otp.clone(),
            },
            Self::Agent => values.told.agent.clone(),
            Self::Sca => values.told.sca.clone(),
            Self::MachineUuid => values.told.uuid.clone(),
            Self::MachineVersion => values.told.version.clone(),
            Self::OtherUuid => values.service(|service| service.other_uuid.clone()),
            Self::OtherOtp => values.service(|service| service.other_otp.clone()),
            Self::HelloPort => values.service(|service| service.hello_port.to_string()),
            Self::Address => match values.service {
                Some(service) => service.address.to_string(),
                None => values.told.address.clone(),
            },
            Self::AdminPassword => Preset::PASSWORD.to_owned(),
            Self::Authority => values.service(|service| service.authority.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amt_sim::Device;
    use proptest::prelude::*;
    use rstest::rstest;

    fn fill(text: &str) -> String {
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let truth = Truth::of(&device);
        let values = Values {
            truth: &truth,
            seed: 7,
            scratch: "/tmp/x",
            conformance: "conformance",
            service: None,
            told: &Told::NOTHING,
        };
        Template::parse(text, Scope::Target).unwrap().fill(values)
    }

    #[rstest]
    #[case("plain", "plain")]
    #[case("v{device.version}!", "v15.0.35!")]
    #[case("{scratch}/{device.profile}.json", "/tmp/x/tiger-lake-15.json")]
    #[case("{{\"a\": {seed}}}", "{\"a\": 7}")]
    #[case("{device.wireless.mac}", "")]
    fn places_are_filled(#[case] text: &str, #[case] want: &str) {
        assert_eq!(fill(text), want);
    }

    #[rstest]
    #[case("{device.verison}", 0..16, Some("did you mean `{device.version}`?"))]
    #[case("a {sed}", 2..7, Some("did you mean `{seed}`?"))]
    #[case("a { b", 2..3, Some("write {{ or }} for a brace itself"))]
    #[case("a } b", 2..3, Some("write {{ or }} for a brace itself"))]
    #[case("{scratch}", 0..9, None)]
    fn unknown_places_are_refused(
        #[case] text: &str,
        #[case] range: Range<usize>,
        #[case] help: Option<&str>,
    ) {
        let error = Template::parse(text, Scope::Scenario).unwrap_err();
        assert_eq!(error.range, range);
        assert_eq!(error.help.as_deref(), help);
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in ".{0,40}") {
            let _ = Template::parse(&text, Scope::Target);
        }
    }
}
