//! JSON schemas (draft 7) of the files that people write, made from the enumerations that read them.
//!
//! Editors complete and check with them while somebody types. They say less than `conformance check`: what only shows
//! when the whole story is known is checked there.

use amt_sim::Profile;
use serde_json::{Map, Value, json};

use crate::fact::{Fact, Feature};
use crate::requirement::Ledger;
use crate::role::target::Side;
use crate::scenario::{Action, Outcome, Role, Trait, journal_kinds};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// A scenario file.
pub fn scenario() -> Value {
    let step = json!({
        "type": "object",
        "description": "Exactly one of do, expect, probe, fault and advance.",
        "properties": {
            "do": words(Action::ALL.iter().map(|action| action.word()), "A role acts."),
            "with": described(json!({"type": "object"}), "What exactly the role does; docs/scenarios.md lists the keys."),
            "expect": {"$ref": "#/definitions/expect"},
            "requirement": {"$ref": "#/definitions/requirement"},
            "probe": text("A script that tries the device itself; docs/scenarios.md lists its lines."),
            "severity": words(["MUST", "SHOULD", "MAY"], "Never stronger than the requirement's own level."),
            "fault": or_parameter(json!({"$ref": "#/definitions/fault"})),
            "advance": or_parameter(json!({"$ref": "#/definitions/time"})),
        },
        "additionalProperties": false,
        "oneOf": [
            {"required": ["do"]},
            {"required": ["expect", "requirement", "severity"]},
            {"required": ["probe", "requirement", "severity"]},
            {"required": ["fault"]},
            {"required": ["advance"]},
        ],
    });
    json!({
        "$schema": DRAFT,
        "title": "amt-sim scenario",
        "type": "object",
        "required": ["id", "title", "story", "requirements", "roles", "device", "step"],
        "additionalProperties": false,
        "properties": {
            "id": described(dotted(), "FOLDER.NAME; the file stands in scenarios/FOLDER/NAME.toml."),
            "title": text("One line."),
            "story": text("Two to four sentences, present tense."),
            "requirements": described(list(json!({"$ref": "#/definitions/requirement"})), "What it proves."),
            "tags": list(json!({"type": "string"})),
            "roles": list(words(Role::ALL.iter().map(|role| role.word()), "A party beside the device.")),
            "needs": list(words(features(), "What a program must be able to do.")),
            "parameters": parameters(),
            "device": device(),
            "step": list(step),
        },
        "definitions": {
            "expect": expect(),
            "requirement": words(requirements(), "ID of the ledger; conformance explain ID."),
            "fault": fault(),
            "time": time(),
            "fact": words(Fact::names(), "A fact; conformance list --facts."),
        },
    })
}

fn device() -> Value {
    let profiles = fixtures::PROFILES
        .iter()
        .filter_map(|file| Profile::parse(file.path, file.text).ok())
        .map(|profile| profile.name);
    let profiles: Vec<String> = profiles.collect();
    let name = json!({
        "anyOf": [{"enum": profiles}, {"type": "string", "pattern": "[*?]"}],
        "description": "A profile, or a pattern over their names.",
    });
    let traits = || {
        list(words(
            Trait::ALL.iter().map(|has| has.word()),
            "A trait of a machine.",
        ))
    };
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "profile": one_or_list(name.clone()),
            "profiles": one_or_list(name),
            "from": text("This AMT version or a later one."),
            "before": text("An AMT version before this one."),
            "with": one_or_list(traits()["items"].clone()),
            "without": one_or_list(traits()["items"].clone()),
            "preset": text("factory, ccm, acm, or a mode of the mode table."),
            "seed": {"type": "integer", "minimum": 0},
            "set": described(json!({"type": "object"}), "Other values for keys of the profile."),
            "faults": one_or_list(or_parameter(json!({"$ref": "#/definitions/fault"}))),
        },
    })
}

fn parameters() -> Value {
    let words = one_or_list(json!({"type": "string"}));
    let patterns = |about: &str| {
        let pattern = json!({"type": "object", "additionalProperties": words});
        described(list(pattern), about)
    };
    let values = json!({
        "anyOf": [
            list(json!({"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}]})),
            {"type": "object"},
        ],
        "description": "Values, or named values where the value itself cannot be part of the name of a run.",
    });
    json!({
        "type": "object",
        "description": "What varies beside the device; every pair of values occurs in a run. {parameter.NAME} stands for the value.",
        "properties": {
            "unless": patterns("Combinations that there are not; `profile` is a parameter too."),
            "only": patterns("Where there are any, every combination is like one of them."),
        },
        "additionalProperties": values,
    })
}

/// Anything, or a text in which a parameter stands for it.
fn or_parameter(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "string", "pattern": "\\{parameter\\."}]})
}

fn expect() -> Value {
    let fact = json!({"$ref": "#/definitions/fact"});
    let kind = words(journal_kinds(), "Kind of a journal entry.");
    let outcome = words(
        Outcome::ALL
            .iter()
            .filter(|outcome| **outcome != Outcome::Hung)
            .map(|outcome| outcome.word()),
        "How the last action ended.",
    );
    let count = or_parameter(json!({"type": "integer", "minimum": 0}));
    json!({
        "type": "object",
        "description": "Exactly one question.",
        "additionalProperties": false,
        "properties": {
            "fact": fact,
            "equals": {},
            "one_of": {"type": "array"},
            "or_absent": {"type": "boolean"},
            "absent": {"const": true},
            "facts": described(
                json!({"type": "object", "propertyNames": {"$ref": "#/definitions/fact"}}),
                "Several facts, each with one value.",
            ),
            "matches_device": described(
                one_or_list(json!({"$ref": "#/definitions/fact"})),
                "These facts are what a good agent would say of this device.",
            ),
            "outcome": one_or_list(or_parameter(outcome)),
            "took_at_most": or_parameter(json!({"$ref": "#/definitions/time"})),
            "journal": kind,
            "journal_none": kind,
            "journal_distinct": kind,
            "field": text("Field of the entries of that kind."),
            "name": {"type": "string"},
            "action": {"type": "string"},
            "class": {"type": "string"},
            "client": {"type": "string"},
            "operation": {"type": "string"},
            "errno": {"type": "string"},
            "method": {"type": "string"},
            "refusal": {"type": "string"},
            "id": count,
            "status": count,
            "return_value": count,
            "at_least": count,
            "at_most": count,
        },
        "oneOf": [
            {"required": ["fact"]},
            {"required": ["facts"]},
            {"required": ["matches_device"]},
            {"required": ["outcome"]},
            {"required": ["took_at_most"]},
            {"required": ["journal"]},
            {"required": ["journal_none"]},
            {"required": ["journal_distinct"]},
        ],
    })
}

/// A target file.
pub fn target() -> Value {
    let known = || {
        list(json!({
            "type": "object",
            "required": ["scenario", "reason"],
            "additionalProperties": false,
            "properties": {
                "scenario": text("A scenario, or a pattern."),
                "profile": text("A device, or a pattern; every one when absent."),
                "reason": text("What goes wrong, and where that was seen."),
            },
        }))
    };
    let codes = || list(json!({"type": "integer"}));
    json!({
        "$schema": DRAFT,
        "title": "amt-sim target",
        "type": "object",
        "required": ["name", "title", "has"],
        "properties": {
            "name": text("How people name it on a command line."),
            "title": text("One line."),
            "program": text("On PATH, or a path; --program NAME=PATH wins."),
            "get_it": text("How to get the program."),
            "has": list(words(features(), "What the program can do.")),
            "role": words(["agent", "console"], "Whose part it has; agent when absent. An SCA has the table service instead."),
            "side": words(Side::ALL.iter().map(|side| side.word()), "From where it reaches the device; host when absent."),
            "time_limit": time(),
            "reply_delay": time(),
            "as_root": {"type": "boolean"},
            "look": {"type": "boolean"},
            "serial": {"type": "boolean"},
            "working_directory": {"type": "string"},
            "environment": {"type": "object", "additionalProperties": {"type": "string"}},
            "exit": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "done": codes(),
                    "not_implemented": described(codes(), "89 when absent."),
                    "configuration": codes(),
                },
            },
            "version": {"type": "object", "required": ["args"]},
            "command": list(command()),
            "service": service(),
            "known_failing": described(known(), "Still run; a pass fails the run, and so does an entry that matches nothing."),
            "known_flaky": described(known(), "Still run; may fail or pass."),
        },
    })
}

fn command() -> Value {
    let write = json!({
        "type": "object",
        "required": ["file", "text"],
        "additionalProperties": false,
        "properties": {"file": {"type": "string"}, "text": {"type": "string"}},
    });
    json!({
        "type": "object",
        "required": ["for"],
        "properties": {
            "for": words(Action::ALL.iter().map(|action| action.word()), "The action that it does."),
            "args": one_or_list(json!({"type": "string"})),
            "http": text("Instead of args, for a console that runs already: POST http://127.0.0.1:8080/order."),
            "body": {"type": "string"},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "needs_otp": described(json!({"type": "boolean"}), "Left out where there is no one-time password to hand over."),
            "otp": described(json!({"type": "object"}), "Where a console prints the one-time password that it made: json, regex or line."),
            "write": described(list(write), "Files that it reads, written before it is run."),
            "facts": described(
                json!({"type": "object", "propertyNames": {"enum": Fact::names().collect::<Vec<_>>()}}),
                "Where each fact is read from.",
            ),
        },
    })
}

/// `[service]` of a target file.
fn service() -> Value {
    let sign = |when: &str| text(&format!("Pattern of what it prints {when}."));
    json!({
        "type": "object",
        "description": "An SCA, which stays and calls devices back.",
        "required": ["hello"],
        "additionalProperties": false,
        "properties": {
            "args": list(json!({"type": "string"})),
            "ready": sign("when it takes Hello messages"),
            "ready_within": time(),
            "hello": text("Where it hears Hello messages, such as 127.0.0.1:{hello.port}."),
            "address": text("Where it finds the device."),
            "suffix": text("PKI DNS suffix of the device."),
            "trust": text("File with the root of its provisioning certificate."),
            "told": described(
                list(json!({
                    "type": "object",
                    "additionalProperties": false,
                    "oneOf": [
                        {"required": ["args"]},
                        {"required": ["http"]},
                        {"required": ["file", "text"]},
                    ],
                    "properties": {
                        "args": list(json!({"type": "string"})),
                        "http": text("Method and address."),
                        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                        "body": {"type": "string"},
                        "file": {"type": "string"},
                        "text": {"type": "string"},
                    },
                })),
                "How it hears about a device.",
            ),
            "refused": sign("when a Hello leads to nothing"),
            "committed": sign("when it is through with CommitChanges"),
            "done": sign("when it has come back to the device that it set up"),
            "failed": sign("when it gives up"),
            "facts": described(
                json!({"type": "object", "propertyNames": {"enum": Fact::names().collect::<Vec<_>>()}}),
                "What it says of itself.",
            ),
            "quiet": time(),
            "within": time(),
        },
    })
}

fn features() -> impl Iterator<Item = &'static str> {
    Feature::ALL.iter().map(|feature| feature.word())
}

fn requirements() -> Vec<String> {
    let ledger = Ledger::builtin().unwrap_or_default();
    ledger.ids().map(str::to_owned).collect()
}

fn described(mut schema: Value, text: &str) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), text.into());
    }
    schema
}

fn text(about: &str) -> Value {
    json!({"type": "string", "minLength": 1, "description": about})
}

fn words<W: Into<String>>(words: impl IntoIterator<Item = W>, about: &str) -> Value {
    let words: Vec<String> = words.into_iter().map(Into::into).collect();
    json!({"enum": words, "description": about})
}

fn list(items: Value) -> Value {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "array".into());
    schema.insert("items".to_owned(), items);
    Value::Object(schema)
}

/// A single value stands for a list of one.
fn one_or_list(item: Value) -> Value {
    json!({"anyOf": [item, list(item.clone())]})
}

fn dotted() -> Value {
    json!({"type": "string", "pattern": "^[a-z0-9-]+(\\.[a-z0-9-]+)+$"})
}

fn time() -> Value {
    json!({"type": "string", "pattern": "^[0-9]+(ms|s|min|h)$", "description": "250ms, 15s, 7min or 6h."})
}

fn fault() -> Value {
    json!({
        "type": "string",
        "pattern": "^[a-z-]+(:[A-Za-z0-9._-]+)*(\\+[0-9]+)?=[A-Za-z0-9-]+(\\*[0-9]+)?$",
        "description": "POINT[:CLIENT[:COMMAND]][+AFTER]=EFFECT[*TIMES], such as connect:amthi=EBUSY*3.",
    })
}
