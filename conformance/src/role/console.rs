//! The management console of the guide, as far as discovery goes: it asks the agent and recommends a method.

use serde_json::json;

use super::Misbehaviour;
use crate::fact::{Fact, Facts, major_version};

/// The console that comes with the harness.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReferenceConsole {
    /// One mistake to make on purpose.
    pub misbehaviour: Option<Misbehaviour>,
}

impl ReferenceConsole {
    /// Adds the recommendation that follows from what the agent said; none when it did not say enough.
    ///
    /// Source: "Out of Band Remote PKI Configuration with a Local Agent", step 4: secure host-based provisioning
    /// is recommended where the firmware is Tiger Lake, 15.x.x, or later.
    pub fn recommend(&self, facts: &mut Facts) {
        // requirement `console.discovery.recommend-by-version`
        let present = facts.get(&Fact::PRESENT) == Some(&json!(true));
        let identified = facts.contains_key(&Fact::UUID);
        let version = facts.get(&Fact::VERSION).and_then(|value| value.as_str());
        let Some(major) = version
            .and_then(major_version)
            .filter(|_| present && identified)
        else {
            return;
        };
        let secure = match self.misbehaviour {
            Some(Misbehaviour::AlwaysSecure) => true,
            Some(Misbehaviour::RecommendAbove15) => major > 15,
            _ => major >= 15,
        };
        let method = if secure {
            "secure-host-based"
        } else {
            "legacy-out-of-band"
        };
        facts.insert(Fact::RECOMMENDATION, json!(method));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("11.8.55", Some("legacy-out-of-band"))]
    #[case("14.1.60", Some("legacy-out-of-band"))]
    #[case("15.0.0", Some("secure-host-based"))]
    #[case("16.1.25", Some("secure-host-based"))]
    #[case("100.0", Some("secure-host-based"))]
    #[case("v15", None)]
    #[case("", None)]
    fn by_the_leading_number(#[case] version: &str, #[case] want: Option<&str>) {
        let mut facts: Facts = [
            (Fact::PRESENT, json!(true)),
            (Fact::UUID, json!("x")),
            (Fact::VERSION, json!(version)),
        ]
        .into();
        ReferenceConsole::default().recommend(&mut facts);
        assert_eq!(
            facts.get(&Fact::RECOMMENDATION),
            want.map(|method| json!(method)).as_ref()
        );
    }
}
