//! What is said about scenario files that are wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

use conformance::requirement::Ledger;
use conformance::scenario::parse;
use proptest::prelude::*;
use rstest::rstest;

const GOOD: &str = r#"id = "discovery.sample"
title = "A sample"
story = "It is told."
requirements = ["agent.discovery.uuid"]
tags = ["sample"]
roles = ["agent"]
needs = ["uuid"]

[device]
profile = "tiger-lake-15"
preset = "factory"
set.network.pki_dns_suffix = "corp.example"
faults = ["connect:amthi=EBUSY*3"]

[[step]]
do = "agent.discover"

[[step]]
expect = { fact = "uuid", equals = "{device.uuid}" }
requirement = "agent.discovery.uuid"
severity = "MUST"
"#;

fn shown(text: &str) -> String {
    let ledger = Ledger::builtin().unwrap();
    match parse("scenarios/discovery/sample.toml", text, &ledger) {
        Ok(_) => "nothing".to_owned(),
        Err(errors) => {
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            texts.join("\n\n")
        }
    }
}

#[test]
fn the_good_one_is_good() {
    assert_eq!(shown(GOOD), "nothing");
}

#[rstest]
#[case("unknown_key", "tags = ", "tag = ")]
#[case(
    "unknown_requirement",
    "[\"agent.discovery.uuid\"]",
    "[\"agent.discovry.uuid\"]"
)]
#[case("alias", "[\"agent.discovery.uuid\"]", "[\"P01\"]")]
#[case("unknown_profile", "\"tiger-lake-15\"", "\"tigerlake-15\"")]
#[case(
    "no_such_device",
    "profile = \"tiger-lake-15\"",
    "profiles = \"*\"\nfrom = \"99\""
)]
#[case("unknown_preset", "\"factory\"", "\"factroy\"")]
#[case(
    "unknown_profile_key",
    "network.pki_dns_suffix",
    "network.pki_dns_sufix"
)]
#[case("unknown_fault", "EBUSY*3", "EBSY*3")]
#[case("unknown_action", "agent.discover", "agent.discovr")]
#[case("unknown_fact", "fact = \"uuid\"", "fact = \"uid\"")]
#[case("unknown_placeholder", "{device.uuid}", "{device.uiud}")]
#[case("wrong_value", "{device.uuid}", "not-a-uuid")]
#[case("unknown_role", "roles = [\"agent\"]", "roles = [\"agnet\"]")]
#[case("missing_role", "roles = [\"agent\"]", "roles = []")]
#[case("missing_need", "needs = [\"uuid\"]", "needs = []")]
#[case("unknown_severity", "\"MUST\"", "\"WILL\"")]
#[case(
    "claim_without_proof",
    "[\"agent.discovery.uuid\"]",
    "[\"agent.discovery.uuid\", \"agent.discovery.ras\"]"
)]
#[case(
    "proof_without_claim",
    "requirement = \"agent.discovery.uuid\"",
    "requirement = \"agent.discovery.ras\""
)]
#[case(
    "stronger_than_the_ledger",
    "agent.discovery.uuid\"",
    "agent.discovery.uuid-usable\""
)]
#[case(
    "two_questions",
    "fact = \"uuid\"",
    "outcome = \"done\", fact = \"uuid\""
)]
#[case("no_question", "fact = \"uuid\", equals", "fct = \"uuid\", equals")]
#[case("two_kinds_of_step", "do = ", "advance = \"1s\"\ndo = ")]
#[case(
    "hang_is_fine",
    "fact = \"uuid\", equals = \"{device.uuid}\"",
    "outcome = \"hung\""
)]
#[case(
    "always_true",
    "fact = \"uuid\", equals = \"{device.uuid}\"",
    "journal = \"command\", at_least = 0"
)]
#[case(
    "unknown_event",
    "fact = \"uuid\", equals = \"{device.uuid}\"",
    "journal_none = \"malfromed\""
)]
#[case(
    "unknown_errno",
    "fact = \"uuid\", equals = \"{device.uuid}\"",
    "journal = \"refused\", errno = \"EBUZY\""
)]
#[case("not_toml", "title = ", "title ")]
fn mistakes(#[case] name: &str, #[case] good: &str, #[case] bad: &str) {
    assert!(GOOD.contains(good), "{good}");
    insta::assert_snapshot!(format!("mistake_{name}"), shown(&GOOD.replace(good, bad)));
}

const SET_UP: &str = r#"id = "setup.sample"
title = "A sample"
story = "It is told."
requirements = ["device.setup.nonce-order"]
tags = ["sample"]
roles = ["application", "server"]
needs = ["host-setup"]

[device]
profile = "tiger-lake-15"

[[step]]
do = "application.prepare"
with = { hash = "swapped-nonces" }

[[step]]
do = "application.setup-signed"
with = { algorithm = 2 }

[[step]]
expect = { facts = { "return-value" = 5, "refused-by" = "Setup" } }
requirement = "device.setup.nonce-order"
severity = "MUST"

[[step]]
expect = { journal_distinct = "host-based-setup", field = "mc_nonce" }
requirement = "device.setup.nonce-order"
severity = "MUST"
"#;

#[rstest]
#[case("unknown_order", "hash = \"swapped", "hsah = \"swapped")]
#[case("order_of_another_role", "hash = \"swapped-nonces\"", "by = \"both\"")]
#[case("unknown_form", "swapped-nonces", "swaped-nonces")]
#[case("wrong_type_of_order", "algorithm = 2", "algorithm = \"two\"")]
#[case(
    "order_that_looking_does_not_take",
    "do = \"application.prepare\"",
    "do = \"application.look\""
)]
#[case("missing_set_up_role", ", \"server\"]", "]")]
#[case("unknown_fact_of_several", "\"refused-by\"", "\"refusd-by\"")]
#[case("wrong_value_of_several", "\"Setup\"", "\"Set-up\"")]
#[case(
    "device_cannot_say",
    "facts = { \"return-value\" = 5, \"refused-by\" = \"Setup\" }",
    "matches_device = [\"return-value\"]"
)]
#[case(
    "unknown_refusal",
    "journal_distinct = \"host-based-setup\", field = \"mc_nonce\"",
    "journal = \"host-based-setup\", refusal = \"nonces-swaped\""
)]
#[case("distinct_without_field", ", field = \"mc_nonce\"", "")]
fn mistakes_in_set_up(#[case] name: &str, #[case] good: &str, #[case] bad: &str) {
    assert_eq!(shown(SET_UP), "nothing");
    assert!(SET_UP.contains(good), "{good}");
    insta::assert_snapshot!(
        format!("mistake_{name}"),
        shown(&SET_UP.replacen(good, bad, 1))
    );
}

#[test]
fn several_mistakes_in_one_go() {
    let bad = GOOD
        .replace("tags", "tgas")
        .replace("\"tiger-lake-15\"", "\"tiger-lake\"")
        .replace("\"uuid\", equals", "\"uidd\", equals")
        .replace("EBUSY", "EBUSSY");
    insta::assert_snapshot!(shown(&bad));
}

proptest! {
    /// Any change to a good file is read or refused, never a panic.
    #[test]
    fn no_file_is_a_panic(at in 0usize..GOOD.len(), length in 0usize..30, new in "[\\PC\n]{0,12}") {
        let mut text = GOOD.to_owned();
        let end = (at + length).min(GOOD.len());
        if text.is_char_boundary(at) && text.is_char_boundary(end) {
            text.replace_range(at..end, &new);
        }
        shown(&text);
    }
}
