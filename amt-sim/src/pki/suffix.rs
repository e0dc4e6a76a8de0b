//! Whether a provisioning certificate is for this device's domain.
//!
//! The guide asks that the certificate's domain suffix be that of the device. What it leaves open is an assumption
//! (`device.assumed.suffix-match`): labels are compared whole and without regard to case, a leading `*.` stands for
//! no label or more, only the common name counts, and a device in a sub-domain is not covered by its parent. Wildcards
//! and alternative names have a switch each, in [`crate::device::ChainAssumptions`].
//!
//! Source: "Intel AMT Implementation and Reference Guide", page "Acquiring an Intel vPro certificate".

/// The domain that the device believes itself in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suffix {
    pub(crate) name: String,
    /// Typed into the set-up screen or set over AMTHI, not learnt from DHCP.
    pub(crate) secure: bool,
}

/// How a certificate's name stands to the device's domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// The domain itself, or a name below it.
    Inside,
    /// It only ends in the same letters: `evilcorp.example` for `corp.example`.
    LookAlike,
    Outside,
    /// No host name at all.
    NoName,
}

impl Suffix {
    pub(crate) fn relation(&self, common_name: &str) -> Relation {
        let name = normal(common_name.strip_prefix("*.").unwrap_or(common_name));
        let suffix = normal(&self.name);
        if !is_host_name(&name) || suffix.is_empty() {
            return Relation::NoName;
        }
        match name.strip_suffix(&suffix) {
            Some("") => Relation::Inside,
            Some(front) if front.ends_with('.') => Relation::Inside,
            Some(_) => Relation::LookAlike,
            None => Relation::Outside,
        }
    }
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Labels of letters, digits, hyphens and underscores. A name with a zero byte or a space in it is none.
fn is_host_name(name: &str) -> bool {
    name.split('.').all(|label| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("mc.corp.example", "corp.example", Relation::Inside)]
    #[case("corp.example", "corp.example", Relation::Inside)]
    #[case("a.b.corp.example", "corp.example", Relation::Inside)]
    #[case("*.corp.example", "corp.example", Relation::Inside)]
    #[case("MC.Corp.Example", "corp.EXAMPLE", Relation::Inside)]
    #[case("mc.corp.example.", "corp.example", Relation::Inside)]
    #[case("mc.corp.example", "corp.example.", Relation::Inside)]
    #[case("evilcorp.example", "corp.example", Relation::LookAlike)]
    #[case("*.evilcorp.example", "corp.example", Relation::LookAlike)]
    #[case("mc.example", "corp.example", Relation::Outside)]
    #[case("corp.example.evil.test", "corp.example", Relation::Outside)]
    #[case("mc.example", "dept.mc.example", Relation::Outside)]
    #[case("*", "corp.example", Relation::NoName)]
    #[case("*.*.corp.example", "corp.example", Relation::NoName)]
    #[case("", "corp.example", Relation::NoName)]
    #[case("evil.test\0.corp.example", "corp.example", Relation::NoName)]
    #[case("mc corp.example", "corp.example", Relation::NoName)]
    #[case("mc..corp.example", "corp.example", Relation::NoName)]
    #[case("mc.corp.example", "", Relation::NoName)]
    fn names(#[case] name: &str, #[case] suffix: &str, #[case] expected: Relation) {
        let suffix = Suffix {
            name: suffix.to_owned(),
            secure: true,
        };
        assert_eq!(suffix.relation(name), expected);
    }

    proptest! {
        #[test]
        fn inside_means_the_same_last_labels(name in "[a-c.*]{0,8}", suffix in "[a-c.]{0,6}") {
            let inside = Suffix { name: suffix.clone(), secure: false }.relation(&name) == Relation::Inside;
            let wanted: Vec<&str> = suffix.trim_end_matches('.').split('.').collect();
            let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
            prop_assert!(!inside || labels.ends_with(&wanted));
        }
    }
}
