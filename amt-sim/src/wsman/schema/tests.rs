//! The class files are whole, and a broken one is told of.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::wsman::classes;

#[test]
fn every_class_file_reads_without_a_complaint() {
    let (classes, problems) = load::all();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(classes.contains_key("AMT_GeneralSettings"));
}

#[test]
fn every_live_value_has_code() {
    let mut missing: Vec<String> = Vec::new();
    for class in load::all().0.values() {
        for instance in &class.instances {
            for (property, template) in &instance.properties {
                for name in template.live_names() {
                    if classes::live(name).is_none() {
                        missing.push(format!("{}.{property}: {name}", class.name));
                    }
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_method_and_provider_has_data() {
    for method in classes::methods() {
        let known =
            class(method.class).is_some_and(|class| class.methods.contains_key(method.name));
        assert!(known, "{}.{} is in no file", method.class, method.name);
    }
    for provider in classes::providers() {
        assert!(class(provider.class).is_some(), "{}", provider.class);
    }
}

#[test]
fn no_method_provider_or_live_value_stands_twice() {
    let mut seen = BTreeSet::new();
    for method in classes::methods() {
        let name = format!("{}.{}", method.class, method.name);
        assert!(seen.insert(name.clone()), "{name}");
    }
    for provider in classes::providers() {
        assert!(seen.insert(provider.class.to_owned()), "{}", provider.class);
    }
    for live in classes::lives() {
        assert!(seen.insert(format!("live {}", live.name)), "{}", live.name);
    }
}

fn complaints(text: &str) -> String {
    let mut problems = Vec::new();
    load::read("f.toml", text, &mut BTreeMap::new(), &mut problems);
    problems.join("\n")
}

#[test]
fn a_broken_class_is_told_of() {
    insta::assert_snapshot!(complaints(
        r#"
        [[class]]
        name = "AMT_X"
        keys = ["Name", "Id"]
        operations = ["get", "fly"]
        when = ["rainy"]
        realms = ["middle-earth"]
        [class.properties]
        Name = "str key"
        Port = "u16 rw"
        Odd = "u17"
        [[class.instances]]
        Port = 65536
        Colour = 1
        [class.methods]
        Go = { input = { Where = "str perhaps" } }
        [[class]]
        name = "AMT_X"
        keys = []
        "#
    ), @r#"
    f.toml: AMT_X: Odd: cannot read "u17"
    f.toml: AMT_X: the key Id is no property
    f.toml: AMT_X: an instance has Colour, which is no property
    f.toml: AMT_X: Port: 65536 does not fit the type Unsigned(16)
    f.toml: AMT_X: an instance lacks its key Name
    f.toml: AMT_X: an instance lacks its key Id
    f.toml: AMT_X: Go(Where): cannot read "str perhaps"
    f.toml: AMT_X: no operation is called "fly"
    f.toml: AMT_X: no condition is called "rainy"
    f.toml: AMT_X: no realm is called "middle-earth"
    f.toml: AMT_X: stands twice
    "#);
}
