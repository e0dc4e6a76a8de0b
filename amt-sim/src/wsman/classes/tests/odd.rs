//! Every class on every profile, and every method with every kind of nonsense.

use rstest::rstest;

use super::{Bench, e, r};
use crate::device::Mode;
use crate::wsman::{base64, classes, schema};

/// Every class that the data describe.
fn names() -> Vec<String> {
    let mut names = Vec::new();
    for file in fixtures::WSMAN {
        let table: toml::Table = file.text.parse().unwrap();
        for class in table["class"].as_array().unwrap() {
            names.push(class["name"].as_str().unwrap().to_owned());
        }
    }
    names
}

#[test]
fn there_are_all_the_classes_that_known_clients_touch() {
    assert_eq!(names().len(), 109);
}

#[rstest]
fn every_class_can_be_read(#[values(Mode::PreProvisioning, Mode::Client, Mode::Admin)] mode: Mode) {
    for profile in fixtures::PROFILES {
        let mut bench = Bench::of(profile.name, mode, &[]);
        for name in names() {
            let Some(class) = schema::known(&bench.fw, &name) else {
                continue;
            };
            let singleton = crate::wsman::store::instances(&bench.fw, &name).len() == 1;
            if class.operations.enumerate {
                bench.all(&name).ok();
            }
            if class.operations.get && singleton {
                bench.get(&name).ok();
            }
        }
    }
}

/// An instance shows properties of its class only, and has all its keys.
#[test]
fn computed_instances_fit_their_class() {
    for profile in fixtures::PROFILES {
        let bench = Bench::of(profile.name, Mode::Admin, &[]);
        for name in names() {
            let class = schema::class(&name).unwrap();
            for instance in crate::wsman::store::instances(&bench.fw, &name) {
                for (property, value) in &instance {
                    let described = class.properties.get(property);
                    let kind = described.map(|described| described.kind);
                    assert!(
                        kind.is_some_and(|kind| kind.fits(value)),
                        "{name}.{property}: {value:?} on {}",
                        profile.name
                    );
                }
                for key in &class.keys {
                    assert!(instance.get(key).is_some(), "{name} lacks {key}");
                }
            }
        }
    }
}

#[rstest]
#[case::nothing(None)]
#[case::empty(Some(""))]
#[case::negative(Some("-1"))]
#[case::huge(Some("99999999999999999999999"))]
#[case::small(Some("1"))]
#[case::largest(Some("4294967295"))]
#[case::text(Some("0123456789abcdef0123456789abcdef"))]
#[case::octets(Some("MAAwADAAMIAwhP////8="))]
#[case::not_ascii(Some("\u{e9}\u{4e16}&amp;&lt;"))]
fn nonsense_is_answered(#[case] text: Option<&str>) {
    let mut bench = Bench::wireless();
    for method in classes::methods() {
        let class = schema::class(method.class).unwrap();
        let mut input = String::new();
        for name in class.methods[method.name].input.keys() {
            input += &text.map_or(String::new(), |text| e(name, text));
        }
        bench.call(method.class, method.name, &input);
        // The same with a reference where a value should be, and the other way about.
        let mut input = String::new();
        for name in class.methods[method.name].input.keys() {
            input += &r(name, "CIM_Nothing", &[("InstanceID", text.unwrap_or("x"))]);
        }
        bench.call(method.class, method.name, &input);
    }
    for name in names() {
        let class = schema::class(&name).unwrap();
        let mut properties = String::new();
        for property in class.properties.keys() {
            properties += &text.map_or(String::new(), |text| e(property, text));
        }
        bench.put(&name, &[], &properties);
        bench.create(&name, &properties);
        bench.delete(&name, ("InstanceID", text.unwrap_or("x")));
    }
    // The device goes on.
    bench.power_cycle().get("AMT_GeneralSettings").ok();
}

/// The device has one, and is in service: it shows zeros, as a device without one does.
#[test]
fn the_one_time_password_shows_in_set_up_only() {
    let shown = |mode: Mode| {
        let mut bench = Bench::of("tiger-lake-15", mode, &[]);
        bench.fw.state.otp = Some("12345678".to_owned());
        let answer = bench.get("AMT_SetupAndConfigurationService").ok();
        answer.text("ProvisioningServerOTP").unwrap().to_owned()
    };
    assert_eq!(shown(Mode::Admin), base64::encode(&[0; 32]));
    assert_eq!(shown(Mode::SetupOutOfBand), base64::encode(b"12345678"));
}
