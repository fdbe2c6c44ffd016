//! For each field of each version a config that has it, one that has it with another type, and in earlier versions one
//! that has it too early: made from the table, so that no field can be forgotten.

use ignition_spec::{Spec, parse};

use crate::sample::{fitting, mistyped, places};

fn specs() -> impl Iterator<Item = Spec> {
    (0..=Spec::EXPERIMENTAL.minor_number()).filter_map(Spec::minor)
}

#[test]
fn every_field_is_taken_with_its_type_and_refused_with_another() {
    let mut counts = Vec::new();
    for spec in specs() {
        let mut fields = 0;
        for place in places().iter().filter(|place| place.since() <= spec.minor_number()) {
            if place.path() == "$.ignition.version" {
                continue;
            }
            fields += 1;
            let shape = (place.field.shape)();
            let good = place.config(spec, fitting(place.section, place.field, shape)).to_string();
            let path = place.path();
            let parsed =
                parse(good.as_bytes()).unwrap_or_else(|report| panic!("{spec} {path}\n{good}\n{report}"));
            assert!(parsed.report.is_empty(), "{spec} {path}\n{good}\n{}", parsed.report);
            let bad = place.config(spec, mistyped(shape)).to_string();
            let report = parse(bad.as_bytes()).expect_err("another type is refused");
            let found: Vec<_> =
                report.entries.iter().map(|entry| (entry.code, entry.path.as_str())).collect();
            assert_eq!(found, [("wrong-type", path.as_str())], "{spec}\n{bad}");
        }
        counts.push(fields);
    }
    eprintln!("fields per version: {counts:?}");
    assert!(counts.windows(2).all(|pair| pair[0] <= pair[1]), "{counts:?}");
}

#[test]
fn a_field_before_its_time_is_unused_and_says_since_when() {
    for spec in specs() {
        for place in places().iter().filter(|place| place.field.since > spec.minor_number()) {
            let shape = (place.field.shape)();
            let text = place.config(spec, fitting(place.section, place.field, shape)).to_string();
            let parsed = parse(text.as_bytes()).unwrap_or_else(|report| panic!("{spec}\n{text}\n{report}"));
            assert!(!parsed.report.is_empty(), "{spec} {}", place.path());
            for entry in &parsed.report.entries {
                assert_eq!(entry.code, "unused-key", "{text}\n{entry}");
                let hint = entry.hint.as_deref().unwrap_or_default();
                assert!(hint.contains("needs spec 3."), "{text}\n{entry}\n{hint}");
            }
        }
    }
}
